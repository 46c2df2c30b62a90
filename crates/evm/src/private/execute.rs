//! Executing the payload of a private transaction.

use super::guard::{Guarded, Realm};
use super::layered::DualView;
use crate::block::{ExecuteError, Failure};
use crate::call::halt_text;
use crate::env::BlockEnv;
use crate::machine::{Evm, watched_machine};
use crate::overlay::{Overlay, ReadError};
use crate::trace::{Ended, Observer, TraceError, Tracing};
use crate::watch::{TimeLeft, Watch};
use alloy_primitives::{Address, Bytes, Log, TxKind, U256};
use lonja_primitives::{BlockRules, StateChanges, StateError};
use revm::ExecuteEvm;
use revm::context::result::{EVMError, ExecutionResult, HaltReason, ResultAndState};
use revm::context::{ContextSetters, TxEnv};
use revm::context_interface::{ContextTr, JournalTr, Transaction};
use revm::handler::{EvmTr, FrameResult, Handler};
use revm::inspector::InspectorHandler;
use revm::interpreter::InitialAndFloorGas;
use revm::interpreter::interpreter::EthInterpreter;
use revm::state::EvmState;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::marker::PhantomData;

/// A private transaction with its payload.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateMessage {
    /// Who signed it.
    pub sender: Address,
    /// Its nonce: decides the address of a created contract.
    pub nonce: u64,
    /// Target, or creation.
    pub kind: TxKind,
    /// The decrypted call data, or init code.
    pub payload: Bytes,
    /// Its gas limit. Private execution is bounded by it and costs nothing.
    pub gas_limit: u64,
    /// What the shell cost: the rest of the gas limit is there for the payload.
    pub shell_gas: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrivateOutcome {
    /// Whether it ran to its end. If not, `changes` is empty.
    pub success: bool,
    /// What it returned, or reverted with: see [`crate::revert_reason`].
    pub output: Bytes,
    /// Why it ended early, in geth's words, where it broke a rule of the EVM.
    pub halt: Option<String>,
    /// Logs in order.
    pub logs: Vec<Log>,
    /// Gas that was used, that of the shell included.
    pub gas_used: u64,
    /// The contract that a creation made.
    pub contract: Option<Address>,
    /// The accounts whose code ran by a call, public ones included.
    pub called: BTreeSet<Address>,
    /// Contracts that came into being.
    pub created: BTreeSet<Address>,
    /// What it does to the private state.
    pub changes: StateChanges,
}

/// Executes a payload on the state that its transaction stands on: the public one with the shell already applied, and
/// the private one. The transaction itself is not judged again.
///
/// # Errors
/// A state could not be read, or the machine broke a rule of its own. Nothing is said about the payload then.
pub fn execute_private(
    rules: &BlockRules,
    env: &BlockEnv,
    state: &DualView<'_>,
    message: &PrivateMessage,
) -> Result<PrivateOutcome, ExecuteError> {
    let mut evm = machine(rules, env, state, message, Watch::default())?;
    let result = handler(message).run(&mut Guarded(&mut evm)).map_err(fault)?;
    let ended = ResultAndState::new(result, evm.finalize());
    let foreign = foreign(&mut evm, &ended.state, state, message.sender)?;
    Ok(outcome(ended, &foreign, evm))
}

/// As [`execute_private`], within the time that is left; with what was asked of the execution, where something was.
///
/// # Errors
/// As of [`execute_private`]; the time was up, or the answer is longer than it may be.
pub fn trace_private(
    rules: &BlockRules,
    env: &BlockEnv,
    state: &DualView<'_>,
    message: &PrivateMessage,
    time_left: TimeLeft<'_>,
    tracing: Option<&Tracing>,
) -> Result<(PrivateOutcome, Option<Box<RawValue>>), TraceError> {
    let mut evm = machine(rules, env, state, message, Watch::new(time_left))?;
    crate::watch::install(evm.instruction.instruction_table_mut());
    evm.inspector = tracing.map(Tracing::observer).unwrap_or_default();
    let result = handler(message).inspect_run(&mut Guarded(&mut evm));
    let touched = evm.finalize();
    let ended = match result {
        Ok(result) => ResultAndState::new(result, touched),
        Err(error) => return Err(crate::trace::why(&evm, fault(error))),
    };
    let foreign = foreign(&mut evm, &ended.state, state, message.sender)?;
    let mut told = None;
    if tracing.is_some() {
        let gas_used = ended.result.tx_gas_used();
        let ended = Ended { gas_used, outcome: &ended, foreign: &foreign };
        told = Some(crate::trace::told(&mut evm, &ended)?);
    }
    Ok((outcome(ended, &foreign, evm), told))
}

fn machine<'a>(
    rules: &BlockRules,
    env: &BlockEnv,
    state: &'a DualView<'_>,
    message: &PrivateMessage,
    watch: Watch<'a>,
) -> Result<Evm<'a, Observer>, StateError> {
    let mut overlay = Overlay::new(state);
    if message.kind.is_create() {
        // The shell raised the nonce; the address of the contract comes from the one before.
        let account = overlay.account(message.sender)?.unwrap_or_default();
        let before = lonja_primitives::Account { nonce: message.nonce, ..account };
        overlay.replace_account(message.sender, before)?;
    }
    let watch = watch.in_realm(state.private);
    let mut evm = watched_machine(rules, env, overlay, watch, Observer::Nobody);
    evm.ctx.set_tx(tx_env(message));
    Ok(evm)
}

fn handler<'e, 'a>(message: &PrivateMessage) -> PrivateHandler<'e, 'a> {
    PrivateHandler { shell_gas: message.shell_gas, machine: PhantomData }
}

fn tx_env(message: &PrivateMessage) -> TxEnv {
    TxEnv {
        caller: message.sender,
        kind: message.kind,
        data: message.payload.clone(),
        nonce: message.nonce,
        gas_limit: message.gas_limit,
        gas_price: 0,
        value: U256::ZERO,
        chain_id: None,
        ..TxEnv::default()
    }
}

fn fault(error: Failure) -> ExecuteError {
    match error {
        EVMError::Database(ReadError::State(error)) => ExecuteError::State(error),
        other => ExecuteError::Internal(other.to_string()),
    }
}

fn outcome(ended: ResultAndState, foreign: &[Address], mut evm: Evm<'_, Observer>) -> PrivateOutcome {
    let ResultAndState { result, state: mut touched } = ended;
    let mut outcome = PrivateOutcome { gas_used: result.tx_gas_used(), ..PrivateOutcome::default() };
    match result {
        ExecutionResult::Success { output, logs, .. } => {
            outcome.contract = output.address().copied();
            (outcome.success, outcome.output, outcome.logs) = (true, output.into_data(), logs);
        }
        ExecutionResult::Revert { output, .. } => outcome.output = output,
        ExecutionResult::Halt { reason, .. } => outcome.halt = Some(halt_text(&reason)),
    }
    if outcome.success {
        foreign.iter().for_each(|address| drop(touched.remove(address)));
        outcome.created =
            touched.iter().filter(|(_, account)| account.is_created()).map(|(address, _)| *address).collect();
        let overlay = &mut evm.ctx.journaled_state.database;
        outcome.changes = overlay.delta(touched.iter());
    }
    outcome.called = evm.ctx.chain.realm.map(Realm::into_called).unwrap_or_default();
    outcome
}

/// What of it belongs to the public state: the sender's nonce, accounts that were only looked at or touched. A sender whose
/// transaction came in somebody else's marker may be in no state at all, and its nonce is public all the same.
fn foreign<'a>(
    evm: &mut Evm<'a, Observer>,
    touched: &EvmState,
    state: &'a DualView<'_>,
    sender: Address,
) -> Result<Vec<Address>, StateError> {
    let realm = evm.ctx.chain.realm.get_or_insert_with(|| Realm::new(state.private));
    let mut foreign = Vec::new();
    for (address, account) in touched.iter() {
        let private = account.is_created() || realm.is_private(address)?;
        let is_public = || Ok(*address == sender || state.public.account(address)?.is_some());
        if !private && (account.is_empty() || is_public()?) {
            foreign.push(*address);
        }
    }
    Ok(foreign)
}

/// revm's way of running a transaction, without judging or charging it: its shell was.
struct PrivateHandler<'e, 'a> {
    shell_gas: u64,
    machine: PhantomData<(&'e (), &'a ())>,
}

impl<'e, 'a: 'e> Handler for PrivateHandler<'e, 'a> {
    type Evm = Guarded<'e, 'a, Observer>;
    type Error = Failure;
    type HaltReason = HaltReason;

    fn validate(&self, evm: &mut Self::Evm) -> Result<InitialAndFloorGas, Self::Error> {
        let caller = evm.ctx_ref().tx().caller();
        evm.ctx().journal_mut().load_account_with_code_mut(caller)?;
        Ok(InitialAndFloorGas::new(self.shell_gas, 0))
    }

    fn reimburse_caller(&self, _: &mut Self::Evm, _: &mut FrameResult) -> Result<(), Self::Error> {
        Ok(())
    }

    fn reward_beneficiary(&self, _: &mut Self::Evm, _: &mut FrameResult) -> Result<(), Self::Error> {
        Ok(())
    }
}

impl<'e, 'a: 'e> InspectorHandler for PrivateHandler<'e, 'a> {
    type IT = EthInterpreter;
}
