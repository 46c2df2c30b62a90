//! What is on disk: one RocksDB database with blocks, receipts, the latest state, the nodes of its trie and
//! the history that lets any kept block's state be read; and, beside it, logs of small records (the consensus
//! log, the transaction journal).
//!
//! ```text
//!                prepare (root, reads only)      commit (one atomic batch)      sync_and_publish (fsync)
//! StateChanges ───────────────▶ PreparedState ───────────────▶ written ───────────────▶ Head seen by Readers
//! ```
//!
//! Beside it, each in a database of its own: the private state ([`private`]) and the payloads of private transactions
//! ([`payloads`]).
//!
//! One [`ChainWriter`] writes; any number of [`Reader`]s and [`StateAt`]s read without a lock in common with
//! it. The state stands flat, by hashed key, for reading; the trie holds only what the root needs (see
//! [`trie`]).
//!
//! Never here: EVM, consensus, network, policy. Nothing is executed or judged: what is handed in was already
//! found right, and is only checked to follow the head.

pub mod audit;
pub mod codec;
pub mod disk;
pub mod error;
pub mod figures;
pub mod kv;
pub mod log;
pub mod open;
pub mod payloads;
pub mod prepare;
pub mod private;
pub mod proof;
pub mod reader;
mod recent;
pub mod record;
pub mod snapshot;
pub mod state;
pub mod tables;
pub mod touched;
pub mod trie;
pub mod upkeep;
pub mod witness;
pub mod writer;

pub use audit::{Audit, AuditProgress, Position, Slice, Stage};
pub use disk::free_bytes;
pub use error::StoreError;
pub use figures::{ChainFigures, chain_figures};
pub use kv::memory::MemoryKv;
pub use kv::rocks::{RocksKv, StoreOptions, TableFigures, open_rocks};
pub use kv::{Batch, History, Kv, KvRead, MIN_HISTORY_BLOCKS, Tuning};
pub use log::{Durability, RecordLog};
pub use open::{Opened, open};
pub use payloads::open_payloads;
pub use prepare::{Brought, PreparedState};
pub use private::{
    ContractRecord, ContractState, Fate, Origin, PrivateAudit, PrivateBlock, PrivateReader, PrivateReceipt,
    PrivateStore, PrivateWriter, open_private, verify_private,
};
pub use proof::{AccountProof, ProofLimits, SlotProof};
pub use reader::{Head, Reader};
pub use state::StateAt;
pub use tables::Table;
pub use upkeep::Upkeep;
pub use witness::{Looked, Recorder, WitnessState};
pub use writer::{BlockCommit, ChainWriter, Publisher};

#[cfg(test)]
mod tests;
