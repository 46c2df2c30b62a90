//! Why a transaction is refused at the door.

use lonja_evm::TxInvalid;
use lonja_permissioning::{Refusal, Rule};
use lonja_primitives::{StateError, TransactionError};
use lonja_txpool::PoolError;
use thiserror::Error;

/// JSON-RPC error code of geth for every refused transaction.
const REFUSED: i32 = -32_000;
/// JSON-RPC error code of Besu for an account that may not transact.
const NOT_PERMITTED: i32 = -32_007;
/// JSON-RPC error code for what may be tried again later.
const LATER: i32 = -32_005;
/// JSON-RPC error code for a fault of our own.
const INTERNAL: i32 = -32_603;

/// GoQuorum's words for whatever is wrong with the form of a private transaction.
const PRIVATE: &str = "ether value is not supported for private transactions";

/// Why a transaction is refused. The texts begin as geth's do, since tools look for those words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SubmitError {
    /// Not a transaction for this chain, ever: malformed, of a type that is not taken, badly signed, or of
    /// another chain. A peer that sends such a thing is at fault.
    #[error(transparent)]
    Invalid(TransactionError),
    /// Not possible under the rules of the next block.
    #[error(transparent)]
    Rules(TxInvalid),
    /// A permission contract of the network forbids it in the next block.
    #[error("{forbidden}: {0}", forbidden = forbidden_by(.0))]
    NotPermitted(Refusal),
    /// No block has that much gas.
    #[error("exceeds block gas limit: the transaction may use {got}, a block {limit}")]
    GasLimit {
        /// Gas limit of the next block.
        limit: u64,
        /// Gas limit of the transaction.
        got: u64,
    },
    /// A private transaction with a value, which its parties alone would see arrive.
    #[error("{PRIVATE}")]
    PrivateValue,
    /// A private transaction whose data is no payload hash.
    #[error("{PRIVATE}, and their data is a payload hash of 64 bytes, not {bytes} bytes")]
    PrivateData {
        /// Length of the data.
        bytes: usize,
    },
    /// The pool does not take it: known, nonce, funds, or no room.
    #[error(transparent)]
    Pool(PoolError),
    /// The sender's account could not be read: our own disk is at fault.
    #[error("the sender's account could not be read: {0}")]
    State(StateError),
}

impl SubmitError {
    /// The JSON-RPC error code.
    pub fn code(&self) -> i32 {
        match self {
            Self::State(_) => INTERNAL,
            Self::NotPermitted(Refusal { rule: Rule::Quotas, .. }) => LATER,
            Self::NotPermitted(_) => NOT_PERMITTED,
            _ => REFUSED,
        }
    }

    /// A short stable name, for counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Invalid(TransactionError::Malformed(_)) => "malformed",
            Self::Invalid(TransactionError::Blob | TransactionError::UnknownType(_)) => "type",
            Self::Invalid(TransactionError::BadSignature) => "bad_signature",
            Self::Invalid(TransactionError::WrongChain { .. }) => "wrong_chain",
            Self::Rules(_) => "rules",
            Self::NotPermitted(Refusal { rule: Rule::Quotas, .. }) => "quota",
            Self::NotPermitted(_) => "not_permitted",
            Self::GasLimit { .. } => "gas_limit",
            Self::PrivateValue | Self::PrivateData { .. } => "private_form",
            Self::Pool(error) => error.name(),
            Self::State(_) => "state",
        }
    }
}

/// Besu's words where it has some, for tools that look for them.
fn forbidden_by(refusal: &Refusal) -> &'static str {
    match refusal.rule {
        Rule::Quotas => "gas quota exceeded",
        _ => "sender account not authorized to send transactions",
    }
}
