//! Who looks on.

use super::Ended;
use super::TraceError;
use super::frames::Frames;
use super::steps::StepLog;
use crate::block::ExecuteError;
use crate::machine::Machine;
use crate::overlay::{Overlay, ReadError};
use alloy_primitives::{Address, Log, U256};
use revm::Inspector;
use revm::context::{ContextError, TxEnv};
use revm::context_interface::ContextTr;
use revm::interpreter::interpreter_types::LoopControl;
use revm::interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter};
use serde_json::value::RawValue;

/// What looks on while something is executed.
#[derive(Default)]
pub(crate) enum Observer {
    #[default]
    Nobody,
    Steps(Box<StepLog>),
    Frames(Box<Frames>),
}

impl Observer {
    /// Is told of a private transaction whose payload is not executed.
    pub(crate) fn see_shell(&mut self, tx: &TxEnv) {
        if let Self::Frames(frames) = self {
            frames.see_shell(tx);
        }
    }

    /// Is told what was executed: calls are seen without what a transaction pays before its first.
    pub(super) fn see_whole(&mut self, tx: &TxEnv) {
        if let Self::Frames(frames) = self {
            frames.see_whole(tx);
        }
    }

    /// What it has to tell. `before` is the state before the execution.
    pub(crate) fn answer(
        self,
        ended: &Ended<'_>,
        before: &mut Overlay<'_>,
    ) -> Result<Box<RawValue>, TraceError> {
        match self {
            Self::Nobody => Err(ExecuteError::Internal("nobody looked on".to_owned()).into()),
            Self::Steps(steps) => steps.answer(ended),
            Self::Frames(frames) => frames.answer(ended, before),
        }
    }

    /// How much it may tell, if there is more.
    pub(crate) fn overfull(&self) -> Option<usize> {
        let (is_overfull, bytes_max) = match self {
            Self::Nobody => return None,
            Self::Steps(steps) => (steps.is_overfull(), steps.bytes_max()),
            Self::Frames(frames) => (frames.is_overfull(), frames.bytes_max()),
        };
        is_overfull.then_some(bytes_max)
    }

    /// Ends the whole execution where there is more to tell than may be.
    fn end_if_overfull(&self, interpreter: &mut Interpreter, machine: &mut Machine<'_>) {
        if self.overfull().is_none() {
            return;
        }
        *machine.error() = Err(ContextError::Db(ReadError::Stopped));
        // A call that was about to begin, or a return, does not come about any more.
        interpreter.bytecode.action().take();
        interpreter.bytecode.reset_action();
        interpreter.halt_fatal();
    }
}

impl<'a> Inspector<Machine<'a>> for Observer {
    fn initialize_interp(&mut self, interpreter: &mut Interpreter, machine: &mut Machine<'a>) {
        if let Self::Frames(frames) = self
            && let Some(calls) = frames.calls()
        {
            calls.initialize_interp(interpreter, machine);
        }
    }

    fn step(&mut self, interpreter: &mut Interpreter, machine: &mut Machine<'a>) {
        if let Self::Steps(steps) = self {
            steps.begin(interpreter);
        }
        self.end_if_overfull(interpreter, machine);
    }

    fn step_end(&mut self, interpreter: &mut Interpreter, machine: &mut Machine<'a>) {
        if let Self::Steps(steps) = self {
            steps.end(interpreter);
        }
        self.end_if_overfull(interpreter, machine);
    }

    fn log(&mut self, machine: &mut Machine<'a>, log: Log) {
        if let Self::Frames(frames) = self {
            frames.count_log(&log);
            if let Some(calls) = frames.calls() {
                calls.log(machine, log);
            }
        }
    }

    fn call(&mut self, machine: &mut Machine<'a>, inputs: &mut CallInputs) -> Option<CallOutcome> {
        match self {
            Self::Nobody => {}
            Self::Steps(steps) => steps.enter(),
            Self::Frames(frames) => {
                frames.enter(inputs.input.len());
                if let Some(selectors) = frames.selectors() {
                    selectors.call(machine, inputs);
                }
                if let Some(calls) = frames.calls() {
                    calls.call(machine, inputs);
                }
            }
        }
        None
    }

    fn call_end(&mut self, machine: &mut Machine<'a>, inputs: &CallInputs, outcome: &mut CallOutcome) {
        match self {
            Self::Nobody => {}
            Self::Steps(steps) => steps.leave(),
            Self::Frames(frames) => {
                if let Some(calls) = frames.calls() {
                    calls.call_end(machine, inputs, outcome);
                }
                frames.leave(outcome.result.output.len());
            }
        }
    }

    fn create(&mut self, machine: &mut Machine<'a>, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        match self {
            Self::Nobody => {}
            Self::Steps(steps) => steps.enter(),
            Self::Frames(frames) => {
                frames.enter(inputs.init_code().len());
                if let Some(calls) = frames.calls() {
                    calls.create(machine, inputs);
                }
            }
        }
        None
    }

    fn create_end(&mut self, machine: &mut Machine<'a>, inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        match self {
            Self::Nobody => {}
            Self::Steps(steps) => steps.leave(),
            Self::Frames(frames) => {
                if let Some(calls) = frames.calls() {
                    calls.create_end(machine, inputs, outcome);
                }
                frames.leave(outcome.result.output.len());
            }
        }
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        if let Self::Frames(frames) = self
            && let Some(calls) = frames.calls()
        {
            Inspector::<Machine<'a>>::selfdestruct(calls, contract, target, value);
        }
    }
}
