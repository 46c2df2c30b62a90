//! The private state: what private transactions did at this node, block by block, in a store of its own.
//!
//! It has the tables of a state (accounts, slots, codes, tries, history) with a root of its own, and beside them what
//! each private transaction gave. The root is a function of the state alone: two nodes with the same private state
//! have the same root, whatever their ways to it. Nothing here is agreed on: it follows from the chain and from the
//! payloads that the node has, and can be worked out again. So blocks are not made durable one by one, and a tail
//! that a power cut takes is executed once more.
//!
//! A block that does nothing private writes only the pointer to the newest block. When a payload turns up late, or is
//! erased, the store is led back ([`PrivateWriter::rewind`]) and the blocks from there on are executed again.
//!
//! | row | bytes |
//! |---|---|
//! | block | flags (1: has bloom) ++ root ++ block hash ++ bloom (256) if flagged ++ payload hashes ++ contracts ++ codes |
//! | payload hashes | count (varint) ++ per payload: index of its transaction (varint) ++ payload hash (64) |
//! | contracts | count (varint) ++ addresses of those whose metadata the block set |
//! | codes | count (varint) ++ hashes of codes that were not stored before |
//! | receipt | flags (1: success, 2: has error, 4: has contract, 8: has inner transaction) ++ gas used (varint) ++ logs as in [`crate::codec`] ++ output ++ error ++ contract ++ inner transaction; texts and byte strings behind their length (varint) |
//! | contract | hash of the creating payload (64) ++ flag (1) ++ count (varint) ++ keys of mandatory recipients (32 each) ++ origin (1: 0 a transaction, 1 the same and it manages an extension, 2 shared) ++ managing contract (20) if shared |
//! | seen | what became of it (1): 0 executed, 1 not ours, 2 erased, 3 read for another transaction |

mod audit;
mod codec;
mod contract;
mod open;
mod reader;
mod rewind;
mod types;
mod writer;

pub use audit::{PrivateAudit, verify_private};
pub use open::open_private;
pub use reader::{MAX_SEEN, PrivateReader};
pub use types::{ContractRecord, ContractState, Fate, Origin, PrivateBlock, PrivateReceipt, PrivateStore};
pub use writer::PrivateWriter;

#[cfg(test)]
pub(crate) mod tests;
