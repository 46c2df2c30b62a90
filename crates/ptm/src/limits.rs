//! How large things may be. Whatever a peer, a client or a file says is held against these before memory is given to it.

use crate::crypto::TAG_BYTES;

/// Bytes of one payload in clear. Call data beyond this costs more gas than any block has; and a payload stands in memory
/// a few times while it is sealed and sent.
pub const MAX_PAYLOAD_BYTES: usize = 16 * 1024 * 1024;

/// Recipients of one payload. Each costs a key agreement at the sender and 88 bytes in the envelope.
pub const MAX_RECIPIENTS: usize = 4_096;

/// Private contracts that one transaction calls. Each has to be opened and hashed, by sender and recipients.
pub const MAX_AFFECTED: usize = 1_024;

/// Bytes of an execution hash. It is 44 characters of base64; the rest is room for other encodings.
pub const MAX_EXEC_HASH_BYTES: usize = 256;

/// Bytes of a privacy group's id, name, seed or description. Ids are hashes of 32 bytes, or the names of tenants.
pub const MAX_GROUP_TEXT_BYTES: usize = 4_096;

/// Bytes of a whole encoded envelope: the largest payload, and every list at its limit in the wordier encoding.
pub const MAX_ENVELOPE_BYTES: usize = MAX_PAYLOAD_BYTES
    + TAG_BYTES
    + MAX_RECIPIENTS * (56 + 40 + 40)
    + MAX_AFFECTED * 160
    + MAX_EXEC_HASH_BYTES
    + MAX_GROUP_TEXT_BYTES
    + 1_024;

/// Parties or keys that one peer announces.
pub const MAX_ANNOUNCED: usize = 16_384;

/// Bytes of a peer's URL.
pub const MAX_URL_BYTES: usize = 2_048;
