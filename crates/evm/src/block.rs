//! Executes the transactions of a block.

use crate::env::BlockEnv;
use crate::inquiry::{self, Said};
use crate::invalid::TxInvalid;
use crate::machine::{Evm, block_machine};
use crate::overlay::{Overlay, ReadError};
use crate::private::shell::ShellHandler;
use crate::trace::{Ended, Observer, TraceError};
use crate::transaction::{check_shape, tx_env};
use crate::watch::{self, TimeLeft, Watch};
use alloy_primitives::{Address, B256, Bloom, Bytes, TxKind, U256, address};
use lonja_primitives::receipt::{receipts_bloom, receipts_root};
use lonja_primitives::{BlockRules, Receipt, RecoveredTransaction, StateChanges, StateError, StateView};
use revm::context::{ContextSetters, TxEnv};
use revm::context_interface::ContextTr;
use revm::context_interface::result::{EVMError, ExecutionResult, InvalidTransaction, ResultAndState};
use revm::handler::{Handler, MainnetHandler};
use revm::state::EvmState;
use revm::{ExecuteEvm, InspectEvm};
use serde_json::value::RawValue;
use thiserror::Error;

/// Who calls when a block itself does, and no transaction: an address that nobody has a key for (EIP-4788).
pub const SYSTEM_CALLER: Address = address!("fffffffffffffffffffffffffffffffffffffffe");

/// Why a transaction or a block was not executed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExecuteError {
    /// The transaction may not be in this block; the state is as before and the next one may be tried.
    #[error(transparent)]
    Invalid(#[from] TxInvalid),
    /// The state could not be read: our own fault, and no reason to go on.
    #[error(transparent)]
    State(#[from] StateError),
    /// The machine broke a rule of its own: our own fault too.
    #[error("the EVM failed: {0}")]
    Internal(String),
}

/// What came of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionOutput {
    /// One per transaction, in order.
    pub receipts: Vec<Receipt>,
    /// Gas used by all transactions.
    pub gas_used: u64,
    /// The way from the state before the block to the state after it. What ends as it began is left out.
    pub changes: StateChanges,
    /// Bloom over all logs.
    pub logs_bloom: Bloom,
    /// Root of the receipts trie.
    pub receipts_root: B256,
}

/// What came of a call that the block makes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemOutcome {
    /// Whether it ran to its end. If not, nothing of it is kept.
    pub success: bool,
    /// What the contract answered; empty where there is no code.
    pub output: Bytes,
    /// Gas it used. It does not count against the block's.
    pub gas_used: u64,
}

/// Executes transactions one after the other on one state.
pub struct BlockExecutor<'a> {
    rules: BlockRules,
    env: BlockEnv,
    pub(crate) evm: Evm<'a, Observer>,
    receipts: Vec<Receipt>,
    gas_used: u64,
    /// Gas that private transactions took from the block, which its header does not count.
    shell_gas: u64,
    /// What the transactions did, one after the other, where somebody wants to know before the end.
    told: Option<StateChanges>,
}

pub(crate) type Failure = EVMError<ReadError, InvalidTransaction>;
type Outcome = Result<ExecutionResult, Failure>;

impl<'a> BlockExecutor<'a> {
    /// Begins a block on the state of its parent.
    pub fn new(rules: BlockRules, env: BlockEnv, state: &'a dyn StateView) -> Self {
        let evm = block_machine(&rules, &env, Overlay::new(state), Observer::Nobody);
        Self { rules, env, evm, receipts: Vec::new(), gas_used: 0, shell_gas: 0, told: None }
    }

    /// Executes the next transaction. A transaction that reverts or runs out of gas is executed all the same: its
    /// receipt says that it failed.
    pub fn execute(&mut self, tx: &RecoveredTransaction) -> Result<(), ExecuteError> {
        self.admit(tx)?;
        let outcome = match tx.is_private() {
            true => self.run_shell(tx),
            false => self.evm.transact_one(tx_env(&self.rules, tx)),
        };
        let result = self.keep(outcome)?;
        self.add_receipt(tx, result);
        Ok(())
    }

    /// As [`BlockExecutor::execute`], with what the observer has to tell of it.
    pub(crate) fn observe(
        &mut self,
        tx: &RecoveredTransaction,
        observer: Observer,
    ) -> Result<Result<Box<RawValue>, TraceError>, ExecuteError> {
        self.admit(tx)?;
        self.evm.inspector = observer;
        let outcome = match tx.is_private() {
            true => {
                let outcome = self.run_shell(tx);
                self.evm.inspector.see_shell(&self.evm.ctx.tx);
                outcome
            }
            false => self.evm.inspect_one_tx(tx_env(&self.rules, tx)),
        };
        let (result, touched) = self.end(outcome)?;
        let gas_used = if tx.is_private() { 0 } else { result.tx_gas_used() };
        let (ended, foreign) = (ResultAndState::new(result, touched), []);
        let told = crate::trace::told(&mut self.evm, &Ended { gas_used, outcome: &ended, foreign: &foreign });
        self.commit(ended.state);
        self.add_receipt(tx, ended.result);
        Ok(told)
    }

    /// From now on the time is limited.
    pub(crate) fn limit_time(&mut self, time_left: TimeLeft<'a>) {
        self.evm.ctx.chain = Watch::new(time_left);
        watch::install(self.evm.instruction.instruction_table_mut());
    }

    fn admit(&self, tx: &RecoveredTransaction) -> Result<(), ExecuteError> {
        check_shape(&self.rules, tx)?;
        let left = self.env.gas_limit.saturating_sub(self.gas_taken());
        if tx.gas_limit() > left {
            return Err(TxInvalid::BlockGasExceeded { left, tx: tx.gas_limit() }.into());
        }
        Ok(())
    }

    /// What a private transaction is to everybody: its nonce counts, its intrinsic gas is taken, and it succeeds.
    fn run_shell(&mut self, tx: &RecoveredTransaction) -> Outcome {
        self.evm.ctx.set_tx(tx_env(&self.rules, tx));
        ShellHandler::default().run(&mut self.evm)
    }

    /// From now on [`BlockExecutor::take_told`] says what transactions did to the state.
    pub fn tell_changes(&mut self) {
        self.told = Some(StateChanges::default());
    }

    /// What the transactions since the last call did to the state.
    pub fn take_told(&mut self) -> StateChanges {
        self.told.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Calls a contract in the name of the block: [`SYSTEM_CALLER`] calls with `gas_limit` gas, which nobody pays
    /// for and which the block's gas does not count. No receipt comes of it and no logs are kept. A contract that
    /// is missing, reverts or runs out of gas changes nothing and stops nothing.
    pub fn system_call(
        &mut self,
        contract: Address,
        input: Bytes,
        gas_limit: u64,
    ) -> Result<SystemOutcome, ExecuteError> {
        self.evm.ctx.set_tx(TxEnv {
            caller: SYSTEM_CALLER,
            kind: TxKind::Call(contract),
            data: input,
            value: U256::ZERO,
            gas_limit,
            gas_price: 0,
            chain_id: None,
            ..TxEnv::default()
        });
        let outcome = MainnetHandler::default().run_system_call(&mut self.evm);
        let result = self.keep(outcome)?;
        let (success, gas_used) = (result.is_success(), result.tx_gas_used());
        Ok(SystemOutcome { success, output: result.into_output().unwrap_or_default(), gas_used })
    }

    /// Asks a contract at the state that the block has reached; nothing that it changes is kept.
    pub fn ask(&mut self, contract: Address, input: Bytes, gas_limit: u64) -> Result<Said, ExecuteError> {
        let outcome = inquiry::run(&mut self.evm, contract, input, gas_limit);
        let touched = self.evm.finalize();
        Ok(inquiry::said(outcome?, contract, &touched))
    }

    /// Gas that the block has no more: used by its transactions, and the intrinsic gas of the private ones, which the
    /// header does not count.
    pub fn gas_taken(&self) -> u64 {
        self.gas_used.saturating_add(self.shell_gas)
    }

    /// Ends the block: credits the block reward and gives everything that came of it.
    pub fn finish(mut self) -> Result<ExecutionOutput, ExecuteError> {
        if !self.rules.block_reward.is_zero() {
            let receiver = self.rules.beneficiary.unwrap_or(self.env.beneficiary);
            self.evm.ctx.db_mut().credit(receiver, self.rules.block_reward)?;
        }
        Ok(ExecutionOutput {
            gas_used: self.gas_used,
            logs_bloom: receipts_bloom(&self.receipts),
            receipts_root: receipts_root(&self.receipts),
            changes: self.evm.ctx.journaled_state.database.into_changes(),
            receipts: self.receipts,
        })
    }

    /// Takes what was just executed into the state of the block.
    fn keep(&mut self, outcome: Outcome) -> Result<ExecutionResult, ExecuteError> {
        let (result, touched) = self.end(outcome)?;
        self.commit(touched);
        Ok(result)
    }

    /// What was just executed, not taken into the state yet.
    fn end(&mut self, outcome: Outcome) -> Result<(ExecutionResult, EvmState), ExecuteError> {
        // Empties the journal in every case; of a refused transaction nothing is kept.
        let touched = self.evm.finalize();
        Ok((outcome.map_err(|error| self.refusal(error))?, touched))
    }

    fn commit(&mut self, mut touched: EvmState) {
        if let Some(told) = &mut self.told {
            told.merge(self.evm.ctx.journaled_state.database.delta(touched.iter()));
        }
        self.evm.ctx.journaled_state.database.commit(touched.drain());
        self.evm.ctx.journaled_state.inner.state = touched;
    }

    fn add_receipt(&mut self, tx: &RecoveredTransaction, result: ExecutionResult) {
        if tx.is_private() {
            self.shell_gas = self.shell_gas.saturating_add(result.tx_gas_used());
            let cumulative_gas_used = self.gas_used;
            self.receipts.push(Receipt { tx_type: 0, success: true, cumulative_gas_used, logs: Vec::new() });
            return;
        }
        // The gas limit of every transaction fitted in what the block had left.
        self.gas_used = self.gas_used.saturating_add(result.tx_gas_used());
        let success = result.is_success();
        let logs = if success { result.into_logs() } else { Vec::new() };
        let (tx_type, cumulative_gas_used) = (tx.tx_type(), self.gas_used);
        self.receipts.push(Receipt { tx_type, success, cumulative_gas_used, logs });
    }

    fn refusal(&self, error: Failure) -> ExecuteError {
        match error {
            EVMError::Transaction(error) => {
                let limit = self.rules.limits.init_code_size;
                TxInvalid::from_revm(error, &self.evm.ctx.tx, self.rules.fork, limit).into()
            }
            EVMError::Database(ReadError::State(error)) => ExecuteError::State(error),
            other => ExecuteError::Internal(other.to_string()),
        }
    }
}
