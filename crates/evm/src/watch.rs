//! Stops code that runs for too long.
//!
//! Code can run long only by jumping back or by entering other code. So those opcodes ask the caller now and then
//! whether to go on, and all others run at full speed, which an observer of every step would not allow. A
//! precompiled contract cannot be asked while it runs: it is not begun when its gas says that it would not end in
//! the time left.

use crate::machine::Machine;
use crate::overlay::ReadError;
use crate::private::Realm;
use crate::private::marker::precompiles;
use crate::reading::Reading;
use lonja_primitives::{BlockRules, StateView};
use revm::bytecode::opcode::{CALL, CALLCODE, CREATE, CREATE2, DELEGATECALL, JUMP, JUMPI, STATICCALL};
use revm::context_interface::ContextTr;
use revm::context_interface::context::ContextError;
use revm::handler::{EthPrecompiles, PrecompileProvider};
use revm::interpreter::instructions::{contract, control};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::{
    CallInputs, Gas, Instruction, InstructionContext, InstructionResult, InterpreterResult,
};
use revm::primitives::AddressSet;
use revm::primitives::hardfork::SpecId;
use std::time::Duration;

/// Jumps between two questions: about ten microseconds of the tightest loop.
const JUMPS_BETWEEN_QUESTIONS: u32 = 1024;

/// Gas that every precompiled contract burns in a millisecond at least. The slowest per gas (big exponents, pairings,
/// points of BLS12-381) do some 20 million gas a second on one core of a small server; most do several times that.
const PRECOMPILE_GAS_PER_MS: u128 = 20_000;

/// The text by which a refused precompiled contract is known among the errors of the machine.
pub(crate) const PRECOMPILE_TOO_LONG: &str = "a precompiled contract would not end in the time left";

/// Asks how much time is left.
pub(crate) type TimeLeft<'a> = &'a (dyn Fn() -> Duration + Sync);

/// The question, and how many jumps are left until it is asked again; and what was read, where somebody notes that.
#[derive(Default)]
pub(crate) struct Watch<'a> {
    time_left: Option<TimeLeft<'a>>,
    jumps_left: u32,
    /// Whether something was ended because the time was up, or would have been.
    pub(crate) stopped: bool,
    pub(crate) reading: Reading,
    /// Where something private runs: which accounts are private.
    pub(crate) realm: Option<Realm<'a>>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(time_left: TimeLeft<'a>) -> Self {
        Self { time_left: Some(time_left), jumps_left: JUMPS_BETWEEN_QUESTIONS, ..Self::default() }
    }

    /// Watches which accounts are private too, of those in this private state.
    pub(crate) fn in_realm(self, private: &'a dyn StateView) -> Self {
        Self { realm: Some(Realm::new(private)), ..self }
    }

    fn wants_stop(&self) -> bool {
        self.time_left.is_some_and(|time_left| time_left().is_zero())
    }

    /// The most gas that one precompiled contract may use now; `None` where nobody watches the time.
    fn precompile_gas(&self) -> Option<u64> {
        let gas = self.time_left?().as_millis().saturating_mul(PRECOMPILE_GAS_PER_MS);
        Some(u64::try_from(gas).unwrap_or(u64::MAX))
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

/// The precompiled contracts of a fork. Where the time is watched, one that would need more than is left ends the message.
#[derive(Clone, Debug)]
pub(crate) struct TimedPrecompiles(EthPrecompiles);

impl TimedPrecompiles {
    pub(crate) fn new(rules: &BlockRules) -> Self {
        Self(precompiles(rules))
    }

    /// The addresses of the precompiled contracts.
    pub(crate) fn addresses(&self) -> &AddressSet {
        self.0.warm_addresses()
    }
}

impl<'a> PrecompileProvider<Machine<'a>> for TimedPrecompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: SpecId) -> bool {
        PrecompileProvider::<Machine<'a>>::set_spec(&mut self.0, spec)
    }

    /// A contract that has more gas than fits the time gets what fits. It looks at its gas before it works, so that
    /// running out means that nothing was done; and if it ends, it used what it would have used with all its gas.
    fn run(
        &mut self,
        machine: &mut Machine<'a>,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        let Some(fits) = machine.chain.precompile_gas() else { return self.0.run(machine, inputs) };
        if !self.0.contains(&inputs.bytecode_address) {
            return Ok(None);
        }
        if inputs.gas_limit <= fits {
            return self.0.run(machine, inputs);
        }
        let shortened = CallInputs { gas_limit: fits, ..inputs.clone() };
        let Some(mut result) = self.0.run(machine, &shortened)? else { return Ok(None) };
        match result.result {
            InstructionResult::PrecompileOOG => {
                machine.chain.stopped = true;
                return Err(PRECOMPILE_TOO_LONG.to_owned());
            }
            // Everything is lost, and that is more than it was given here.
            failed if failed.is_halt() => result.gas = Gas::new_spent_with_reservoir(inputs.gas_limit, 0),
            _ => {
                let used = result.gas.total_gas_spent();
                result.gas = Gas::new(inputs.gas_limit);
                let _covered = result.gas.record_regular_cost(used);
            }
        }
        Ok(Some(result))
    }

    fn warm_addresses(&self) -> &AddressSet {
        self.0.warm_addresses()
    }
}

/// Ends the whole message, not just the frame: revm looks at the error when a frame returns.
#[cold]
fn stop(host: &mut Machine<'_>) -> InstructionResult {
    host.chain.stopped = true;
    *host.error() = Err(ContextError::Db(ReadError::Stopped));
    InstructionResult::FatalExternalError
}
