//! A private transaction in the public pass: it is charged like any other, its nonce goes up, and nothing runs.

use crate::block::Failure;
use crate::machine::Evm;
use crate::trace::Observer;
use alloy_primitives::Bytes;
use revm::context::result::HaltReason;
use revm::context_interface::journaled_state::JournalCheckpoint;
use revm::context_interface::journaled_state::account::JournaledAccountTr;
use revm::context_interface::{ContextTr, JournalTr, Transaction};
use revm::handler::{EvmTr, FrameResult, Handler};
use revm::interpreter::{CallOutcome, Gas, GasTracker, InstructionResult, InterpreterResult};
use std::marker::PhantomData;

/// revm's way of running a transaction, without the running.
#[derive(Default)]
pub(crate) struct ShellHandler<'a>(PhantomData<Evm<'a, Observer>>);

impl<'a> Handler for ShellHandler<'a> {
    type Evm = Evm<'a, Observer>;
    type Error = Failure;
    type HaltReason = HaltReason;

    /// A call's nonce was raised before, a creation's is raised here, as by the first frame of an ordinary one.
    fn execution(
        &mut self,
        evm: &mut Self::Evm,
        _: JournalCheckpoint,
        gas: &mut GasTracker,
    ) -> Result<Option<FrameResult>, Self::Error> {
        let journal = evm.ctx().journal_mut();
        journal.checkpoint_commit();
        let (caller, creates) = (evm.ctx_ref().tx().caller(), evm.ctx_ref().tx().kind().is_create());
        if creates {
            evm.ctx().journal_mut().load_account_mut(caller)?.data.bump_nonce();
        }
        let unused = Gas::new_with_regular_gas_and_reservoir(gas.remaining(), gas.reservoir());
        let result = InterpreterResult::new(InstructionResult::Stop, Bytes::new(), unused);
        let mut result = FrameResult::Call(CallOutcome::new(result, 0..0));
        self.last_frame_result(evm, &mut result, gas)?;
        Ok(Some(result))
    }
}
