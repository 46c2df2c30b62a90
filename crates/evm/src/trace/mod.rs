//! Looks at executions as they happen: what the methods `debug_trace*` of geth tell.
//!
//! Nothing is executed in a way of its own. The machines of blocks, calls and private payloads run as ever, with an
//! [`Observer`] beside them; what it collects is bounded while it collects, since a few million gas can tell gigabytes.

mod answer;
mod call;
mod frames;
mod observer;
mod options;
mod replay;
mod steps;

use crate::block::ExecuteError;
use crate::call::CallError;
use crate::machine::Evm;
use alloy_primitives::Address;
use lonja_primitives::StateError;
use revm::context_interface::ContextTr;
use revm::context_interface::result::ResultAndState;
use serde_json::value::RawValue;
use thiserror::Error;

pub use call::trace_call;
pub(crate) use observer::Observer;
pub use options::Tracing;
pub use replay::BlockReplay;

/// Why there is no trace.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TraceError {
    /// The transaction was not executed.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The message was not executed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The time was up.
    #[error("execution aborted (timeout)")]
    Stopped,
    /// There is more to tell than fits.
    #[error(
        "the trace is longer than {bytes_max} bytes: ask for less of it (limit, disableStack, disableStorage, without \
         enableMemory and enableReturnData), or use callTracer (onlyTopCall) or prestateTracer (disableCode)"
    )]
    TooLong {
        /// The most that would have been told.
        bytes_max: usize,
    },
}

impl From<StateError> for TraceError {
    fn from(error: StateError) -> Self {
        Self::Execute(error.into())
    }
}

/// An execution that came to its end and is not taken into the state yet.
pub(crate) struct Ended<'t> {
    /// As receipts say it.
    pub(crate) gas_used: u64,
    pub(crate) outcome: &'t ResultAndState,
    /// Accounts that were touched and do not change by it.
    pub(crate) foreign: &'t [Address],
}

/// What the machine's observer has to tell of an execution, which the machine's state must not have taken yet.
pub(crate) fn told(evm: &mut Evm<'_, Observer>, ended: &Ended<'_>) -> Result<Box<RawValue>, TraceError> {
    let mut observer = std::mem::take(&mut evm.inspector);
    observer.see_whole(&evm.ctx.tx);
    observer.answer(ended, evm.ctx.db_mut())
}

/// Why an observed execution came to no end.
pub(crate) fn why(evm: &Evm<'_, Observer>, error: ExecuteError) -> TraceError {
    match evm.inspector.overfull() {
        Some(bytes_max) => TraceError::TooLong { bytes_max },
        None if evm.ctx.chain.stopped => TraceError::Stopped,
        None => error.into(),
    }
}
