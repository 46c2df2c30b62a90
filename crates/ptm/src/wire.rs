//! What the managers of nodes say to each other.

/// Bytes of the largest message: what the sessions between nodes carry.
pub const MAX_MESSAGE_BYTES: usize = 12 << 20;
