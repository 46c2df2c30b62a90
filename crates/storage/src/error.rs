//! What can go wrong with a store, by what the caller should do about it.

use alloy_primitives::B256;
use lonja_primitives::StateError;
use std::path::PathBuf;
use thiserror::Error;

/// Why the store did not do what was asked. [`StoreError::is_halt`] tells the kinds apart.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// What is on disk cannot be right. Halt: nothing more may be served or written.
    #[error(
        "the data is damaged: {0}. Stop the node, check the disk, and restore the data directory from a \
         backup or start with an empty one so that it fetches the chain from its peers"
    )]
    Damaged(String),
    /// The disk or the operating system refused: full, read-only, too many open files.
    #[error("storage: {0}")]
    Unavailable(String),
    /// The data directory belongs to another network.
    #[error(
        "the data directory holds the chain of genesis {found}, but the genesis file gives {expected}. Use \
         the genesis file this directory was made with (the node keeps a copy in it, genesis.accepted.json), or \
         another data directory"
    )]
    WrongGenesis {
        /// Hash of block 0 on disk.
        found: B256,
        /// Hash of block 0 by the genesis file.
        expected: B256,
    },
    /// The data directory was written in another format.
    #[error(
        "the data directory has format version {found}, this program reads version {expected}. Use the \
         program version that wrote it, or an empty data directory"
    )]
    WrongVersion {
        /// Version on disk.
        found: u32,
        /// Version of this program.
        expected: u32,
    },
    /// A state was being fetched into the data directory, and that did not come to its end.
    #[error(
        "the data directory holds part of a state that was being fetched. Start with --sync snapshot to fetch it \
         anew, or remove the folder `db` in it to fetch every block"
    )]
    Unfinished,
    /// Another process has the data directory open.
    #[error(
        "the data directory {} is in use by another process. Stop that process first, or name another data \
         directory",
        .0.display()
    )]
    Locked(PathBuf),
    /// A block, or a prepared state, does not follow the head. Halt: our own invariant is broken.
    #[error("refused to write: {0}")]
    OutOfOrder(String),
    /// A proof at an old block takes more work than was allowed.
    #[error(
        "a proof at block {number} goes back over every change since, and these are {why}. Ask for a newer \
         block, or let the node's operator allow more"
    )]
    TooMuchChanged {
        /// The block asked for.
        number: u64,
        /// The limit that was met.
        why: String,
    },
    /// What was asked cannot be answered at this moment.
    #[error("{0}: try again")]
    Busy(String),
    /// The state of this block is not kept any more, or not yet there.
    #[error("the state of block {number} is not kept: this node has the states of block {oldest} and later")]
    NotAvailable {
        /// The block whose state was asked for.
        number: u64,
        /// The oldest block whose state can be read.
        oldest: u64,
    },
}

impl StoreError {
    /// Whether the node must stop: our disk or an invariant of our own is broken.
    pub fn is_halt(&self) -> bool {
        !matches!(self, Self::NotAvailable { .. } | Self::TooMuchChanged { .. } | Self::Busy(_))
    }

    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    pub(crate) fn io(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::Unavailable(format!("{doing} {}: {error}", path.display()))
    }
}

impl From<StoreError> for StateError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotAvailable { number, oldest } => Self::NotAvailable { number, oldest },
            other => Self::Store(other.to_string()),
        }
    }
}
