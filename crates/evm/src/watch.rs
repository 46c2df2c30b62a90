//! Stops code that runs for too long.
//!
//! Code can run long only by jumping back or by entering other code. So those opcodes ask the caller now and then
//! whether to go on, and all others run at full speed, which an observer of every step would not allow.

use crate::machine::Machine;
use crate::overlay::ReadError;
use revm::bytecode::opcode::{CALL, CALLCODE, CREATE, CREATE2, DELEGATECALL, JUMP, JUMPI, STATICCALL};
use revm::context_interface::ContextTr;
use revm::context_interface::context::ContextError;
use revm::interpreter::instructions::{contract, control};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::{Instruction, InstructionContext, InstructionResult};

/// Jumps between two questions: about ten microseconds of the tightest loop.
const JUMPS_BETWEEN_QUESTIONS: u32 = 1024;

/// Asks whether to go on.
pub(crate) type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// The question, and how many jumps are left until it is asked again.
#[derive(Default)]
pub(crate) struct Watch<'a> {
    stop: Option<Stop<'a>>,
    jumps_left: u32,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(stop: Stop<'a>) -> Self {
        Self { stop: Some(stop), jumps_left: JUMPS_BETWEEN_QUESTIONS }
    }

    pub(crate) fn wants_stop(&self) -> bool {
        self.stop.is_some_and(|stop| stop())
    }

    fn wants_stop_at_jump(&mut self) -> bool {
        if self.jumps_left > 0 {
            self.jumps_left -= 1;
            return false;
        }
        self.jumps_left = JUMPS_BETWEEN_QUESTIONS;
        self.wants_stop()
    }
}

type Step<'i, 'a> = InstructionContext<'i, Machine<'a>, EthInterpreter>;
type Table<'a> = [Instruction<EthInterpreter, Machine<'a>>; 256];

/// Puts the watched forms of the opcodes that can make code run long into the table; their gas stays as it is.
pub(crate) fn install<'a>(table: &mut Table<'a>) {
    let watched: [(u8, Instruction<EthInterpreter, Machine<'a>>); 8] = [
        (JUMP, Instruction::new(jump)),
        (JUMPI, Instruction::new(jumpi)),
        (CALL, Instruction::new(call::<CALL>)),
        (CALLCODE, Instruction::new(call::<CALLCODE>)),
        (DELEGATECALL, Instruction::new(call::<DELEGATECALL>)),
        (STATICCALL, Instruction::new(call::<STATICCALL>)),
        (CREATE, Instruction::new(create::<false>)),
        (CREATE2, Instruction::new(create::<true>)),
    ];
    for (opcode, instruction) in watched {
        table[opcode as usize] = instruction;
    }
}

fn jump<'a>(step: Step<'_, 'a>) -> Result<(), InstructionResult> {
    if step.host.chain.wants_stop_at_jump() {
        return Err(stop(step.host));
    }
    control::jump(step)
}

fn jumpi<'a>(step: Step<'_, 'a>) -> Result<(), InstructionResult> {
    if step.host.chain.wants_stop_at_jump() {
        return Err(stop(step.host));
    }
    control::jumpi(step)
}

fn call<'a, const KIND: u8>(step: Step<'_, 'a>) -> Result<(), InstructionResult> {
    if step.host.chain.wants_stop() {
        return Err(stop(step.host));
    }
    contract::call::<KIND, _, _>(step)
}

fn create<'a, const IS_CREATE2: bool>(step: Step<'_, 'a>) -> Result<(), InstructionResult> {
    if step.host.chain.wants_stop() {
        return Err(stop(step.host));
    }
    contract::create::<IS_CREATE2, _, _>(step)
}

/// Ends the whole message, not just the frame: revm looks at the error when a frame returns.
#[cold]
fn stop(host: &mut Machine<'_>) -> InstructionResult {
    *host.error() = Err(ContextError::Db(ReadError::Stopped));
    InstructionResult::FatalExternalError
}
