//! Errors, by what the caller should do about them.

use lonja_consensus::HeaderError;
use lonja_evm::ExecuteError;
use lonja_primitives::StateError;
use lonja_storage::StoreError;
use thiserror::Error;

/// Why the chain could not be opened, or could not build or commit a block.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChainError {
    /// Our own disk or an invariant of ours is broken, or a quorum sealed what does not execute here: stop
    /// the node and say why.
    #[error("{0}")]
    Halt(String),
    /// Not possible on this head, or at this moment; it may be on another, or later.
    #[error("{0}")]
    Unavailable(String),
}

/// What a check found wrong with a proposed block.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BlockError {
    /// Whoever built the block broke a rule; names the rule, or the header field and both values.
    #[error("{0}")]
    Invalid(String),
    /// The block does not stand on our head, so it cannot be judged now.
    #[error("{0}")]
    Unavailable(String),
    /// Our own disk or an invariant of ours is broken: stop the node and say why.
    #[error("{0}")]
    Halt(String),
}

/// A header field and the value that execution gives for it.
pub(crate) fn compare<T: PartialEq + std::fmt::Display>(
    field: &str,
    header: T,
    computed: T,
) -> Result<(), BlockError> {
    if header == computed {
        return Ok(());
    }
    Err(BlockError::Invalid(format!("{field}: the header says {header}, execution gives {computed}")))
}

impl From<StoreError> for ChainError {
    fn from(error: StoreError) -> Self {
        match error {
            // Somebody reads what is to be written anew: nothing is broken.
            StoreError::Busy(_) => Self::Unavailable(error.to_string()),
            _ => Self::Halt(error.to_string()),
        }
    }
}

impl From<StateError> for ChainError {
    fn from(error: StateError) -> Self {
        Self::Halt(error.to_string())
    }
}

impl From<StoreError> for BlockError {
    fn from(error: StoreError) -> Self {
        Self::Halt(error.to_string())
    }
}

impl From<HeaderError> for BlockError {
    fn from(error: HeaderError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<ExecuteError> for BlockError {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::Invalid(reason) => Self::Invalid(reason.to_string()),
            ExecuteError::State(error) => Self::Halt(error.to_string()),
            ExecuteError::Internal(_) => Self::Halt(error.to_string()),
        }
    }
}

/// For blocks of our own making and for certified ones, where nobody else can be at fault any more.
impl From<BlockError> for ChainError {
    fn from(error: BlockError) -> Self {
        match error {
            BlockError::Invalid(reason) | BlockError::Halt(reason) => Self::Halt(reason),
            BlockError::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_read_meanwhile_is_not_a_broken_one() {
        let busy = StoreError::Busy("somebody looks at older data".into());
        assert!(
            matches!(ChainError::from(busy), ChainError::Unavailable(reason) if reason.contains("looks"))
        );
        let broken = StoreError::Unavailable("the disk".into());
        assert!(matches!(ChainError::from(broken), ChainError::Halt(_)));
    }
}
