//! Values on disk, byte for byte.
//!
//! | what | bytes |
//! |---|---|
//! | number (`varint`) | 7 bits a byte, lowest first, the high bit says that more follow; at most 10 bytes |
//! | account | flags (1: has code, 2: has storage) ++ nonce (varint) ++ length of balance (1) ++ balance ++ code hash if flagged ++ storage root if flagged |
//! | slot | value big-endian without leading zeros |
//! | body | count (varint) ++ per transaction: length (varint) ++ EIP-2718 bytes; then the senders, 20 bytes each |
//! | receipts | count (varint) ++ per receipt: type × 2 + success (1) ++ gas used (varint) ++ logs |
//! | logs | count (varint) ++ per log: address ++ number of topics (1) ++ topics ++ length of data (varint) ++ data |
//! | location | block number (varint) ++ index (varint) |
//! | header | block hash ++ RLP(header) |
//!
//! Decoders trust nothing: a value that does not decode to its last byte is [`StoreError::Damaged`].

mod account;
mod block;
mod cursor;

pub(crate) use account::slot_leaf;
pub use account::{FlatAccount, decode_slot, encode_slot};
pub use block::{
    decode_body, decode_header, decode_location, decode_receipts, encode_body, encode_header,
    encode_location, encode_receipts,
};
pub(crate) use block::{put_log, read_logs};
pub(crate) use cursor::{Cursor, put_sized, put_varint};

use crate::StoreError;

fn malformed(what: &str) -> StoreError {
    StoreError::damaged(format!("a stored {what} does not decode"))
}
