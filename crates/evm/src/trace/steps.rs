//! geth's struct logger: every step, with what stood on the stack.
//!
//! Steps are written down as JSON at once. The library's tracer keeps them with all their stacks until the end, which
//! takes many times the memory of the answer.

use super::{Ended, TraceError};
use crate::block::ExecuteError;
use crate::call::halt_text;
use alloy_primitives::map::AddressMap;
use alloy_primitives::{B256, Bytes, U256, hex};
use alloy_rpc_types_trace::geth::{GethDefaultTracingOptions, StructLog};
use revm::bytecode::opcode::{OpCode, SLOAD, SSTORE};
use revm::context_interface::result::HaltReason;
use revm::interpreter::interpreter_types::{InputsTr, Jumps, LoopControl, ReturnData};
use revm::interpreter::{FrameInput, InstructionResult, Interpreter, InterpreterAction, SuccessOrHalt};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What a word of memory or a slot takes in an answer.
const WORD_BYTES: usize = 69;
const SLOT_BYTES: usize = 2 * WORD_BYTES;

/// Writes steps down.
pub(crate) struct StepLog {
    options: GethDefaultTracingOptions,
    /// The steps, with commas between them.
    text: Vec<u8>,
    count: u64,
    frames: Vec<Frame>,
    /// Slots that were read or written so far, with what they held last.
    storage: AddressMap<BTreeMap<B256, B256>>,
    open: Option<Open>,
    is_overfull: bool,
    bytes_max: usize,
}

/// A call that runs.
#[derive(Default)]
struct Frame {
    /// What the calls around it had to be refunded when it began: the machine counts for each on its own.
    refund_before: i64,
    refund: i64,
}

/// A step that was begun.
struct Open {
    log: StructLog,
    opcode: u8,
    /// Slot and value on the stack.
    operands: [Option<U256>; 2],
}

impl StepLog {
    pub(super) fn new(options: GethDefaultTracingOptions, bytes_max: usize) -> Self {
        Self {
            options,
            text: Vec::new(),
            count: 0,
            frames: Vec::new(),
            storage: AddressMap::default(),
            open: None,
            is_overfull: false,
            bytes_max,
        }
    }

    pub(super) fn is_overfull(&self) -> bool {
        self.is_overfull
    }

    pub(super) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    pub(super) fn enter(&mut self) {
        let refund_before =
            self.frames.last().map_or(0, |frame| frame.refund_before.saturating_add(frame.refund));
        self.frames.push(Frame { refund_before, refund: 0 });
    }

    pub(super) fn leave(&mut self) {
        self.frames.pop();
    }

    /// A step begins.
    pub(super) fn begin(&mut self, interpreter: &Interpreter) {
        self.open = None;
        let depth = self.frames.len() as u64;
        if self.options.limit.is_some_and(|limit| limit > 0 && self.count >= limit) {
            return;
        }
        let opcode = interpreter.bytecode.opcode();
        let stack = interpreter.stack.data();
        let from_top = |place: usize| interpreter.stack.peek(place).ok();
        let mut log = StructLog {
            pc: interpreter.bytecode.pc() as u64,
            op: name(opcode),
            gas: interpreter.gas.remaining(),
            depth,
            stack: self.options.is_stack_enabled().then(|| stack.clone()),
            ..StructLog::default()
        };
        if self.options.is_memory_enabled() {
            log.memory = self.memory(interpreter);
        }
        if self.options.is_return_data_enabled() {
            let data = interpreter.return_data.buffer();
            log.return_data = Some(data.clone()).filter(|data| !data.is_empty());
        }
        self.open = Some(Open { log, opcode, operands: [from_top(0), from_top(1)] });
    }

    /// What is to be refunded so far. geth counts what a step adds before it tells of it.
    fn refund(&mut self, interpreter: &Interpreter) -> i64 {
        let Some(frame) = self.frames.last_mut() else { return 0 };
        frame.refund = interpreter.gas.refunded();
        frame.refund_before.saturating_add(frame.refund)
    }

    /// The memory, if it is not empty and fits.
    fn memory(&mut self, interpreter: &Interpreter) -> Option<Vec<String>> {
        let memory = interpreter.memory.context_memory();
        if !self.fits(memory.len().div_ceil(32).saturating_mul(WORD_BYTES)) {
            return None;
        }
        let words = memory.chunks(32).map(hex::encode_prefixed);
        (!memory.is_empty()).then(|| words.collect())
    }

    /// The step is done.
    pub(super) fn end(&mut self, interpreter: &mut Interpreter) {
        let refund = self.refund(interpreter);
        let Some(mut open) = self.open.take() else { return };
        open.log.refund_counter = u64::try_from(refund).ok().filter(|refund| *refund > 0);
        let action = interpreter.bytecode.action().as_ref();
        let result = action.and_then(InterpreterAction::instruction_result);
        // What a call hands on is part of its cost, what a creation hands on is not: so it is with geth.
        let handed_on = match action {
            Some(InterpreterAction::NewFrame(FrameInput::Create(inputs))) => inputs.gas_limit(),
            _ => 0,
        };
        let left = interpreter.gas.remaining().saturating_add(handed_on);
        open.log.gas_cost = open.log.gas.saturating_sub(left);
        open.log.error = result.and_then(error);
        if self.options.is_storage_enabled() {
            open.log.storage = self.slots(&open, interpreter);
        }
        if self.count > 0 {
            self.text.push(b',');
        }
        self.count = self.count.saturating_add(1);
        // Writing into memory does not fail.
        let _ = serde_json::to_writer(&mut self.text, &open.log);
        self.fits(0);
    }

    /// All slots of the contract that it used so far, where this step uses one. What a step would have written that failed
    /// is told too, as by geth.
    fn slots(&mut self, open: &Open, interpreter: &Interpreter) -> Option<BTreeMap<B256, B256>> {
        let [Some(slot), on_stack] = open.operands else { return None };
        let value = match open.opcode {
            SLOAD if open.log.error.is_none() => interpreter.stack.peek(0).ok(),
            SLOAD => None,
            SSTORE => Some(on_stack?),
            _ => return None,
        };
        let slots = self.storage.entry(interpreter.input.target_address()).or_default();
        if let Some(value) = value {
            slots.insert(slot.into(), value.into());
        }
        let bytes = self.text.len().saturating_add(slots.len().saturating_mul(SLOT_BYTES));
        let fits = bytes <= self.bytes_max;
        let told = fits.then(|| slots.clone());
        self.is_overfull |= !fits;
        told
    }

    /// Whether so many more bytes fit; if not, this is the end.
    fn fits(&mut self, bytes: usize) -> bool {
        self.is_overfull |= self.text.len().saturating_add(bytes) > self.bytes_max;
        !self.is_overfull
    }

    pub(super) fn answer(mut self, ended: &Ended<'_>) -> Result<Box<RawValue>, TraceError> {
        let result = &ended.outcome.result;
        let output = result.output().cloned().unwrap_or_default();
        let (gas, failed) = (ended.gas_used, !result.is_success());
        let head = head(gas, failed, &output);
        if !self.fits(head.len().saturating_add(2)) {
            return Err(TraceError::TooLong { bytes_max: self.bytes_max });
        }
        let mut text = head.into_bytes();
        text.append(&mut self.text);
        text.extend_from_slice(b"]}");
        let internal = |text: String| TraceError::from(ExecuteError::Internal(text));
        let text = String::from_utf8(text).map_err(|error| internal(error.to_string()))?;
        RawValue::from_string(text).map_err(|error| internal(error.to_string()))
    }
}

fn head(gas: u64, failed: bool, output: &Bytes) -> String {
    format!(r#"{{"gas":{gas},"failed":{failed},"returnValue":"{output}","structLogs":["#)
}

fn name(opcode: u8) -> Cow<'static, str> {
    match OpCode::new(opcode) {
        Some(known) => known.as_str().into(),
        None => format!("opcode {opcode:#x} not defined").into(),
    }
}

/// Why the step ended the call, where it broke a rule.
fn error(result: InstructionResult) -> Option<String> {
    match SuccessOrHalt::<HaltReason>::from(result) {
        SuccessOrHalt::Halt(reason) => Some(halt_text(&reason)),
        _ => None,
    }
}
