//! Why a transaction is not taken.

use alloy_primitives::U256;
use thiserror::Error;

/// Why the pool refuses a transaction. The texts begin as geth's do, since tools look for those words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PoolError {
    /// The very same transaction is here.
    #[error("already known")]
    AlreadyKnown,
    /// The nonce is used up.
    #[error("nonce too low: next nonce {next}, tx nonce {got}")]
    NonceTooLow {
        /// The sender's nonce in the state.
        next: u64,
        /// The transaction's.
        got: u64,
    },
    /// No transaction may follow this nonce (EIP-2681).
    #[error("nonce has max value")]
    NonceMax,
    /// Another transaction has this nonce and the new one does not offer enough more per gas.
    #[error("replacement transaction underpriced: offers {offered} per gas, at least {required} is required")]
    ReplacementUnderpriced {
        /// What it offers per gas.
        offered: u128,
        /// What would have been enough.
        required: u128,
    },
    /// The sender cannot pay for this transaction alone.
    #[error("insufficient funds for gas * price + value: balance {has}, tx cost {needs}, overshot {}", needs.saturating_sub(*has))]
    InsufficientFunds {
        /// What the transaction may cost at most.
        needs: U256,
        /// The balance.
        has: U256,
    },
    /// The sender has as many transactions, or as many bytes, waiting as one sender may.
    #[error("account limit exceeded: the sender has {transactions} transactions ({bytes} bytes) waiting")]
    SenderLimit {
        /// Waiting now.
        transactions: usize,
        /// Their memory, bytes.
        bytes: usize,
    },
    /// The pool is full and holds nothing that would make way for this transaction.
    #[error("txpool is full: {transactions} transactions ({bytes} bytes) are waiting")]
    Full {
        /// Waiting now.
        transactions: usize,
        /// Their memory, bytes.
        bytes: usize,
    },
}

impl PoolError {
    /// A short stable name, for counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AlreadyKnown => "already_known",
            Self::NonceTooLow { .. } => "nonce_too_low",
            Self::NonceMax => "nonce_max",
            Self::ReplacementUnderpriced { .. } => "replacement_underpriced",
            Self::InsufficientFunds { .. } => "insufficient_funds",
            Self::SenderLimit { .. } => "sender_limit",
            Self::Full { .. } => "full",
        }
    }
}
