//! Payload hashes in URL paths. Base64 has `+`, `/` and `=`, and clients escape some of them, all or none: GoQuorum
//! writes `%2F` and leaves the others. A `+` in a path is a plus, never a space.

use crate::PayloadHash;
use thiserror::Error;

/// Bytes of the longest way to write a hash: each of 88 characters escaped.
const MAX_SEGMENT_BYTES: usize = 88 * 3;

/// The part of a path is not a payload's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a payload hash in a path is 64 bytes in base64, with / written as %2F")]
pub struct PathError;

/// Reads a hash from one part of a path, as it came: before anybody unescaped it. What was unescaped already reads the
/// same.
pub fn hash_from_path(segment: &str) -> Result<PayloadHash, PathError> {
    if segment.len() > MAX_SEGMENT_BYTES {
        return Err(PathError);
    }
    unescape(segment).and_then(|text| text.parse().ok()).ok_or(PathError)
}

pub(crate) fn unescape(segment: &str) -> Option<String> {
    let mut parts = segment.split('%');
    let mut text = parts.next()?.to_string();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let byte = u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii)?;
        text.push(byte.into());
        text.push_str(part.get(2..)?);
    }
    Some(text)
}

/// Writes a hash as one part of a path, with everything escaped that is not a letter or a digit: what a `Location` header
/// has, and what every server reads the same way.
pub fn hash_to_path(hash: &PayloadHash) -> String {
    hash.to_string().replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{text, vectors};
    use proptest::prelude::*;

    #[test]
    fn as_clients_send_it() {
        for vector in vectors!("path_escape.json") {
            let hash: PayloadHash = text(&vector, "hashBase64").parse().unwrap();
            let sent = text(&vector, "pathAsSentByGoQuorum").strip_prefix("/transaction/").unwrap();
            assert_eq!(hash_from_path(sent), Ok(hash));
            assert_eq!(format!("transaction/{}", hash_to_path(&hash)), text(&vector, "locationHeaderSuffix"));
            assert_eq!(
                hash_from_path(&hash_to_path(&hash).replace("%2B", "%2b").replace("%3D", "=")),
                Ok(hash)
            );
        }
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let hash = PayloadHash::from_data(&[0xfb; 64]);
        let plain = hash.to_string();
        assert_eq!(hash_from_path(&plain), Ok(hash));
        assert!(plain.contains('+'));
        let escaped = hash_to_path(&hash);
        let cases = [
            String::new(),
            plain.replace('+', " "),
            plain.replace('+', "%20"),
            plain.replacen('+', "%2", 1),
            plain.replacen('+', "%", 1),
            plain.replacen('+', "%+b", 1),
            plain.replacen('+', "%é", 1),
            plain.replacen('+', "%ff", 1),
            escaped.replace('%', "%25"),
            plain.trim_end_matches('=').to_string(),
            format!("{escaped}%"),
            "%41".repeat(89),
        ];
        for case in cases {
            assert_eq!(hash_from_path(&case), Err(PathError), "{case}");
        }
    }

    proptest! {
        #[test]
        fn every_hash_comes_back(bytes in any::<[u8; 32]>()) {
            let hash = PayloadHash::from_data(&bytes);
            prop_assert_eq!(hash_from_path(&hash_to_path(&hash)), Ok(hash));
            prop_assert_eq!(hash_from_path(&hash.to_string()), Ok(hash));
            prop_assert_eq!(hash_from_path(&hash.to_string().replace('/', "%2f")), Ok(hash));
        }

        #[test]
        fn no_text_is_a_trap(text in "\\PC{0,300}") {
            let _ = hash_from_path(&text);
        }
    }
}
