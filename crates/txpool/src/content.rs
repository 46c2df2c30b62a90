//! What the pool tells about itself.

use crate::pool::TxPool;
use crate::sender::Sender;
use alloy_primitives::{Address, U256};
use lonja_primitives::RecoveredTransaction;
use std::fmt;

/// Counts of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStatus {
    /// Ready transactions: the next block may take them.
    pub pending: usize,
    /// Transactions that wait for something.
    pub queued: usize,
    /// Memory of both, bytes.
    pub bytes: usize,
    /// Senders with transactions here.
    pub senders: usize,
}

/// Why a transaction is not in a block yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// It only waits for its turn.
    Ready,
    /// A transaction with the nonce `expected` is missing.
    NonceGap {
        /// The lowest missing nonce.
        expected: u64,
    },
    /// The sender cannot pay for it and all its earlier ones together.
    InsufficientFunds {
        /// What they may cost together, wei.
        needs: U256,
        /// The balance, wei.
        has: U256,
    },
    /// An earlier transaction of the sender waits for funds.
    Behind {
        /// Its nonce.
        nonce: u64,
    },
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::NonceGap { expected } => write!(f, "waits for nonce {expected}"),
            Self::InsufficientFunds { needs, has } => {
                write!(f, "waits for funds: needs {needs} wei, the sender has {has}")
            }
            Self::Behind { nonce } => write!(f, "waits behind nonce {nonce}"),
        }
    }
}

/// A transaction in the pool, with the reason why it waits.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The transaction.
    pub transaction: RecoveredTransaction,
    /// Why it waits.
    pub reason: WaitReason,
}

/// The transactions of one sender in nonce order.
#[derive(Clone, Debug)]
pub struct SenderContent {
    /// The sender.
    pub address: Address,
    /// Its transactions.
    pub transactions: Vec<Waiting>,
}

impl TxPool {
    /// How much waits.
    pub fn status(&self) -> PoolStatus {
        let queued = self.waiting.len();
        PoolStatus {
            pending: self.by_hash.len().saturating_sub(queued),
            queued,
            bytes: self.bytes,
            senders: self.senders.len(),
        }
    }

    /// Everything, by sender in the order of their addresses. Costs a walk over the whole pool.
    pub fn content(&self) -> Vec<SenderContent> {
        let content = |(address, sender): (&Address, &Sender)| SenderContent {
            address: *address,
            transactions: content_of(sender),
        };
        let mut all: Vec<_> = self.senders.iter().map(content).collect();
        all.sort_unstable_by_key(|sender| sender.address);
        all
    }

    /// The transactions of one sender, in nonce order.
    pub fn content_of(&self, address: &Address) -> Vec<Waiting> {
        self.senders.get(address).map(content_of).unwrap_or_default()
    }
}

fn content_of(sender: &Sender) -> Vec<Waiting> {
    let free = sender.first_free_nonce();
    let reason = |nonce: u64, cost: U256| match nonce {
        nonce if nonce < sender.ready_end => WaitReason::Ready,
        nonce if nonce > free => WaitReason::NonceGap { expected: free },
        nonce if nonce > sender.ready_end => WaitReason::Behind { nonce: sender.ready_end },
        _ => WaitReason::InsufficientFunds {
            needs: sender.ready_cost.saturating_add(cost),
            has: sender.state.balance,
        },
    };
    let waiting = |(nonce, entry): (&u64, &crate::sender::Entry)| Waiting {
        transaction: entry.tx.clone(),
        reason: reason(*nonce, entry.cost),
    };
    sender.transactions.iter().map(waiting).collect()
}
