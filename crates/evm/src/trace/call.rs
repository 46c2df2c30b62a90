//! Messages that nobody signed, looked at.

use super::{Ended, TraceError, Tracing, told};
use crate::call::{CallContext, CallRequest, RunError, Session, gas_cap};
use crate::overrides::Overrides;
use crate::private::Guarded;
use revm::ExecuteEvm;
use revm::context::ContextSetters;
use revm::context_interface::result::ResultAndState;
use revm::handler::MainnetHandler;
use revm::inspector::InspectorHandler;
use serde_json::value::RawValue;

/// Runs a message as [`crate::call`] does, and tells of it what is asked for (`debug_traceCall`). A message that fails is
/// told of as well.
///
/// # Errors
/// As of [`crate::call`]; the answer is longer than it may be.
pub fn trace_call(
    context: &CallContext<'_>,
    request: &CallRequest,
    overrides: &Overrides,
    tracing: &Tracing,
) -> Result<Box<RawValue>, TraceError> {
    let mut session = Session::new(context, request, overrides, tracing.observer())?;
    let gas = request.gas.unwrap_or(u64::MAX).min(gas_cap(context));
    let mut trace = None;
    let run = session.run_with(gas, |evm, tx| {
        evm.ctx.set_tx(tx);
        let result = MainnetHandler::<_, RunError, _>::default().inspect_run(&mut Guarded(evm))?;
        let ended = ResultAndState::new(result, evm.finalize());
        let gas_used = ended.result.tx_gas_used();
        trace = Some(told(evm, &Ended { gas_used, outcome: &ended, foreign: &[] }));
        Ok(ended.result)
    });
    if let Some(bytes_max) = session.evm.inspector.overfull() {
        return Err(TraceError::TooLong { bytes_max });
    }
    run?;
    trace.unwrap_or(Err(TraceError::Stopped))
}
