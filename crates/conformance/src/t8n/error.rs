use crate::chain::Refused;
use lonja_evm::ExecuteError;
use lonja_primitives::StateError;
use lonja_storage::StoreError;
use thiserror::Error;

/// Why nothing came of a transition.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransitionError {
    /// The block could not be executed, or has what is not supported.
    #[error("the block cannot be executed: {0}")]
    Evm(String),
    /// The fork is not known, or the block lacks what the fork asks for.
    #[error("{0}")]
    Config(String),
    /// The hash of an earlier block was asked for that was not given.
    #[error("{0}")]
    BlockHash(String),
    /// The input is not JSON of the right shape.
    #[error("JSON: {0}")]
    Json(String),
    /// A file or stream cannot be read or written.
    #[error("{0}")]
    Io(String),
    /// The list of transactions is not RLP.
    #[error("RLP: {0}")]
    Rlp(String),
}

impl TransitionError {
    /// The exit code that geth's tool has for it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Evm(_) => 2,
            Self::Config(_) => 3,
            Self::BlockHash(_) => 4,
            Self::Json(_) => 10,
            Self::Io(_) => 11,
            Self::Rlp(_) => 12,
        }
    }
}

impl From<ExecuteError> for TransitionError {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::State(error) => error.into(),
            other => Self::Evm(other.to_string()),
        }
    }
}

/// The state is in memory: all that can fail of it is the hash of a block that was not given.
impl From<StateError> for TransitionError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Store(reason) => Self::BlockHash(reason),
            other => Self::BlockHash(other.to_string()),
        }
    }
}

impl From<StoreError> for TransitionError {
    fn from(error: StoreError) -> Self {
        Self::Evm(error.to_string())
    }
}

impl From<Refused> for TransitionError {
    fn from(error: Refused) -> Self {
        Self::Evm(error.to_string())
    }
}
