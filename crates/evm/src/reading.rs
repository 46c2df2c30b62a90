//! Notes what code reads of its question and of the block, by watched forms of the few opcodes that can read them.

use crate::inquiry::InputRead;
use crate::machine::Machine;
use crate::watch::Watch;
use revm::bytecode::opcode::{
    BASEFEE, BLOCKHASH, CALLDATACOPY, CALLDATALOAD, CALLDATASIZE, COINBASE, DIFFICULTY, GASLIMIT, NUMBER,
    TIMESTAMP,
};
use revm::interpreter::instructions::{block_info, host, system};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_types::InputsTr;
use revm::interpreter::{Instruction, InstructionContext, InstructionResult};
use std::mem;

/// What was read since the question was asked.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    input: InputRead,
    block: bool,
    /// The lowest depth of frames at which input was read. Frames above it are entered with memory as their input, into
    /// which everything came by way of what is noted already.
    depth: Option<usize>,
}

impl Watch<'_> {
    pub(crate) fn begin_reading(&mut self) {
        self.reading = Reading::default();
    }

    /// Bytes of the input, and whether the block was looked at.
    pub(crate) fn take_reading(&mut self) -> (InputRead, bool) {
        let reading = mem::take(&mut self.reading);
        (reading.input, reading.block)
    }
}

impl Reading {
    /// The note to write to, where a frame of this depth may be the question's own.
    fn at(&mut self, depth: usize) -> Option<&mut InputRead> {
        let lowest = *self.depth.get_or_insert(depth);
        if depth > lowest {
            return None;
        }
        self.depth = Some(depth);
        Some(&mut self.input)
    }
}

type Step<'i, 'a> = InstructionContext<'i, Machine<'a>, EthInterpreter>;
type Table<'a> = [Instruction<EthInterpreter, Machine<'a>>; 256];
type Done = Result<(), InstructionResult>;

/// Puts the watched forms into the table; their gas stays as it is.
pub(crate) fn install<'a>(table: &mut Table<'a>) {
    let watched: [(u8, Instruction<EthInterpreter, Machine<'a>>); 10] = [
        (CALLDATALOAD, Instruction::new(calldataload)),
        (CALLDATACOPY, Instruction::new(calldatacopy)),
        (CALLDATASIZE, Instruction::new(calldatasize)),
        (BLOCKHASH, Instruction::new(|step| noting(step, host::blockhash))),
        (COINBASE, Instruction::new(|step| noting(step, block_info::coinbase))),
        (TIMESTAMP, Instruction::new(|step| noting(step, block_info::timestamp))),
        (NUMBER, Instruction::new(|step| noting(step, block_info::block_number))),
        (DIFFICULTY, Instruction::new(|step| noting(step, block_info::difficulty))),
        (GASLIMIT, Instruction::new(|step| noting(step, block_info::gaslimit))),
        (BASEFEE, Instruction::new(|step| noting(step, block_info::basefee))),
    ];
    for (opcode, instruction) in watched {
        table[opcode as usize] = instruction;
    }
}

/// An opcode that looks at the block.
fn noting<'i, 'a>(step: Step<'i, 'a>, opcode: impl FnOnce(Step<'i, 'a>) -> Done) -> Done {
    step.host.chain.reading.block = true;
    opcode(step)
}

fn calldataload(mut step: Step<'_, '_>) -> Done {
    let offset = step.interpreter.stack.peek(0).ok();
    if let Some(offset) = offset {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        note(&mut step, offset, 32);
    }
    system::calldataload(step)
}

fn calldatacopy(mut step: Step<'_, '_>) -> Done {
    let (offset, length) = (step.interpreter.stack.peek(1).ok(), step.interpreter.stack.peek(2).ok());
    if let (Some(offset), Some(length)) = (offset, length) {
        let (offset, length) = (usize::try_from(offset), usize::try_from(length));
        note(&mut step, offset.unwrap_or(usize::MAX), length.unwrap_or(usize::MAX));
    }
    system::calldatacopy(step)
}

fn calldatasize(step: Step<'_, '_>) -> Done {
    let depth = step.host.journaled_state.inner.depth;
    if let Some(input) = step.host.chain.reading.at(depth) {
        input.note_length();
    }
    system::calldatasize(step)
}

fn note(step: &mut Step<'_, '_>, offset: usize, length: usize) {
    let size = step.interpreter.input.input().len();
    let depth = step.host.journaled_state.inner.depth;
    if let Some(input) = step.host.chain.reading.at(depth) {
        // What lies behind the end of every input may lie anywhere behind it.
        let offset = offset.min(usize::MAX.saturating_sub(length));
        input.note(offset..offset.saturating_add(length), size);
    }
}
