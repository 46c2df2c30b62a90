//! Base64 as Tessera writes it everywhere: the standard alphabet with padding.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The text for these bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of a text; `None` where it is not base64.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The `N` bytes of a text; `None` where it is not base64 or has another length.
pub(crate) fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}
