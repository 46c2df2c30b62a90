//! Executing the payload of a private transaction.

use super::guard::{Guarded, Realm};
use super::layered::DualView;
use crate::block::{ExecuteError, Failure};
use crate::call::halt_text;
use crate::env::BlockEnv;
use crate::machine::{Evm, watched_machine};
use crate::overlay::{Overlay, ReadError};
use crate::watch::Watch;
use alloy_primitives::{Address, Bytes, Log, TxKind, U256};
use lonja_primitives::{BlockRules, StateChanges, StateError, StateView};
use revm::ExecuteEvm;
use revm::context::result::{EVMError, ExecutionResult, HaltReason};
use revm::context::{ContextSetters, TxEnv};
use revm::context_interface::{ContextTr, JournalTr, Transaction};
use revm::handler::{EthPrecompiles, EvmTr, FrameResult, Handler};
use revm::interpreter::InitialAndFloorGas;
use revm::state::EvmState;
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
    let mut overlay = Overlay::new(state);
    if message.kind.is_create() {
        // The shell raised the nonce; the address of the contract comes from the one before.
        let account = overlay.account(message.sender)?.unwrap_or_default();
        let before = lonja_primitives::Account { nonce: message.nonce, ..account };
        overlay.replace_account(message.sender, before)?;
    }
    let watch = Watch::default().in_realm(state.private);
    let mut evm = watched_machine(rules, env, overlay, watch);
    evm.ctx.set_tx(tx_env(message));
    let mut handler = PrivateHandler { shell_gas: message.shell_gas, machine: PhantomData };
    let result = handler.run(&mut Guarded(&mut evm)).map_err(fault)?;
    let touched = evm.finalize();
    outcome(result, touched, evm, state, message.sender)
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

fn outcome(
    result: ExecutionResult,
    mut touched: EvmState,
    mut evm: Evm<'_>,
    state: &DualView<'_>,
    sender: Address,
) -> Result<PrivateOutcome, ExecuteError> {
    let mut realm = evm.ctx.chain.realm.take().unwrap_or_else(|| Realm::new(state.private));
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
        keep_private(&mut touched, &mut realm, state.public, sender)?;
        outcome.created =
            touched.iter().filter(|(_, account)| account.is_created()).map(|(address, _)| *address).collect();
        let overlay = &mut evm.ctx.journaled_state.database;
        outcome.changes = overlay.delta(touched.iter());
    }
    outcome.called = realm.into_called();
    Ok(outcome)
}

/// Forgets what belongs to the public state: the sender's nonce, accounts that were only looked at or touched. A sender whose
/// transaction came in somebody else's marker may be in no state at all, and its nonce is public all the same.
fn keep_private(
    touched: &mut EvmState,
    realm: &mut Realm<'_>,
    public: &dyn StateView,
    sender: Address,
) -> Result<(), StateError> {
    let mut foreign = Vec::new();
    for (address, account) in touched.iter() {
        let private = account.is_created() || realm.is_private(address)?;
        let is_public = || Ok(*address == sender || public.account(address)?.is_some());
        if !private && (account.is_empty() || is_public()?) {
            foreign.push(*address);
        }
    }
    foreign.iter().for_each(|address| drop(touched.remove(address)));
    Ok(())
}

/// revm's way of running a transaction, without judging or charging it: its shell was.
struct PrivateHandler<'e, 'a> {
    shell_gas: u64,
    machine: PhantomData<(&'e (), &'a ())>,
}

impl<'e, 'a: 'e> Handler for PrivateHandler<'e, 'a> {
    type Evm = Guarded<'e, 'a, EthPrecompiles>;
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
