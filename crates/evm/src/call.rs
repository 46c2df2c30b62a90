//! Runs messages that nobody signed; nothing they change is kept.

use crate::env::BlockEnv;
use crate::invalid::TxInvalid;
use crate::machine::{Evm, call_machine};
use crate::overlay::{Overlay, ReadError};
use crate::overrides::{Overrides, apply_state};
use crate::private::Guarded;
use crate::revert::revert_reason;
use crate::watch::{PRECOMPILE_TOO_LONG, TimeLeft, Watch};
use alloy_eips::eip2930::AccessList;
use alloy_eips::eip7702::SignedAuthorization;
use alloy_primitives::{Address, Bytes, Log, TxKind, U256};
use lonja_primitives::{BlockRules, StateError, StateView};
use revm::ExecuteEvm;
use revm::context::{ContextSetters, TxEnv};
use revm::context_interface::either::Either;
use revm::context_interface::result::{
    EVMError, ExecutionResult, HaltReason, InvalidTransaction, OutOfGasError,
};
use revm::handler::{Handler, MainnetHandler};
use std::time::Duration;
use thiserror::Error;

/// Gas limit of a call where the node sets no cap: half of all there is, so that sums do not overflow.
const UNCAPPED_GAS: u64 = u64::MAX / 2;

/// A message as JSON-RPC describes it. What is `None` is filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallRequest {
    /// Sender; the zero address when `None`. Nobody signs, so anybody can be named.
    pub from: Option<Address>,
    /// Target; `None` creates a contract.
    pub to: Option<Address>,
    /// Gas limit; the cap of the context when `None` or above it.
    pub gas: Option<u64>,
    /// Price per gas in wei; 0 when no price is given. Not together with the two fees of EIP-1559.
    pub gas_price: Option<u128>,
    /// Highest fee per gas in wei (EIP-1559).
    pub max_fee_per_gas: Option<u128>,
    /// Highest tip per gas in wei (EIP-1559).
    pub max_priority_fee_per_gas: Option<u128>,
    /// Value in wei.
    pub value: U256,
    /// Call data, or init code.
    pub data: Bytes,
    /// Nonce; the sender's next when `None`. Decides the address of a created contract only.
    pub nonce: Option<u64>,
    /// Access list (EIP-2930).
    pub access_list: Option<AccessList>,
    /// Delegations to set before the call (EIP-7702).
    pub authorization_list: Vec<SignedAuthorization>,
}

/// Where and within what limits a call runs.
#[derive(Clone, Copy)]
pub struct CallContext<'a> {
    /// Rules of the block.
    pub rules: BlockRules,
    /// The block.
    pub env: &'a BlockEnv,
    /// State to run on; not changed.
    pub state: &'a dyn StateView,
    /// Where `state` is a [`crate::DualView`]: the private one of its two. Public code runs read-only then.
    pub private: Option<&'a dyn StateView>,
    /// The most gas a call gets, whatever it asks for; 0 for no cap.
    pub gas_cap: u64,
    /// How much time is left. Asked regularly, so it must be cheap; zero ends the call with [`CallError::Stopped`].
    pub time_left: &'a (dyn Fn() -> Duration + Sync),
}

/// What came of a call that ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// It returned.
    Success {
        /// What it returned; the code of the new contract for a creation.
        output: Bytes,
        /// Gas used.
        gas_used: u64,
        /// Logs in order.
        logs: Vec<Log>,
    },
    /// It reverted.
    Revert {
        /// What it says about it: see [`revert_reason`].
        output: Bytes,
        /// Gas used.
        gas_used: u64,
    },
    /// It broke a rule of the EVM, or ran out of gas.
    Halt {
        /// Which, in geth's words.
        reason: String,
        /// Gas used: all of it.
        gas_used: u64,
    },
}

/// Why a call has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    /// The message could not be a transaction: too little gas, too little balance, a fee below the base fee.
    #[error(transparent)]
    Invalid(#[from] TxInvalid),
    /// The request contradicts itself.
    #[error("{0}")]
    BadRequest(String),
    /// The message reverts with this output whatever its gas (estimation only).
    #[error("execution reverted{}", reason_suffix(.0))]
    Reverted(Bytes),
    /// The message fails for another reason whatever its gas (estimation only).
    #[error("{0}")]
    Failed(String),
    /// The message needs more gas than it can get (estimation only).
    #[error("gas required exceeds allowance ({0})")]
    GasAllowance(u64),
    /// The time was up.
    #[error("execution aborted (timeout)")]
    Stopped,
    /// A precompiled contract was called with work for more time than is left, and was not begun.
    #[error("execution aborted (timeout): a precompiled contract would not end in the time left")]
    PrecompileTooLong,
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The machine broke a rule of its own.
    #[error("the EVM failed: {0}")]
    Internal(String),
}

fn reason_suffix(output: &Bytes) -> String {
    revert_reason(output).map(|reason| format!(": {reason}")).unwrap_or_default()
}

/// Runs a message (`eth_call`). Gas needs no balance unless a price is given and gas is not free; `value` does.
pub fn call(
    context: &CallContext<'_>,
    request: &CallRequest,
    overrides: &Overrides,
) -> Result<CallOutcome, CallError> {
    let mut session = Session::new(context, request, overrides, ())?;
    let gas = request.gas.unwrap_or(u64::MAX).min(gas_cap(context));
    session.run(gas).map(outcome)
}

/// The cap of the context, or the highest sensible gas limit where there is none.
pub(crate) fn gas_cap(context: &CallContext<'_>) -> u64 {
    if context.gas_cap == 0 { UNCAPPED_GAS } else { context.gas_cap.min(UNCAPPED_GAS) }
}

fn outcome(result: ExecutionResult) -> CallOutcome {
    let gas_used = result.tx_gas_used();
    match result {
        ExecutionResult::Success { output, logs, .. } => {
            CallOutcome::Success { output: output.into_data(), gas_used, logs }
        }
        ExecutionResult::Revert { output, .. } => CallOutcome::Revert { output, gas_used },
        ExecutionResult::Halt { reason, .. } => CallOutcome::Halt { reason: halt_text(&reason), gas_used },
    }
}

/// A message on its machine; can be run many times, each time on the same state.
pub(crate) struct Session<'a, Observer = ()> {
    pub(crate) evm: Evm<'a, Observer>,
    /// The message; its gas limit is set by each run.
    pub(crate) tx: TxEnv,
    pub(crate) rules: BlockRules,
    pub(crate) env: BlockEnv,
    time_left: TimeLeft<'a>,
}

impl<'a, Observer> Session<'a, Observer> {
    pub(crate) fn new(
        context: &CallContext<'a>,
        request: &CallRequest,
        overrides: &Overrides,
        observer: Observer,
    ) -> Result<Self, CallError> {
        let (mut rules, mut env) = (context.rules, context.env.clone());
        overrides.block.apply(&mut rules, &mut env);
        let mut overlay = Overlay::new(context.state);
        overlay.set_block_hashes(overrides.block.block_hashes.clone());
        apply_state(&overrides.state, &mut overlay)?;
        let tx = message(&rules, request, &mut overlay)?;
        let mut watch = Watch::new(context.time_left);
        if let Some(private) = context.private {
            watch = watch.in_realm(private);
        }
        let evm = call_machine(&rules, &env, overlay, watch, observer);
        Ok(Self { evm, tx, rules, env, time_left: context.time_left })
    }

    /// As [`Session::run`], by a way of running of the caller's choice.
    pub(crate) fn run_with(
        &mut self,
        gas_limit: u64,
        run: impl FnOnce(&mut Evm<'a, Observer>, TxEnv) -> Result<ExecutionResult, RunError>,
    ) -> Result<ExecutionResult, CallError> {
        if (self.time_left)().is_zero() {
            return Err(CallError::Stopped);
        }
        self.tx.gas_limit = gas_limit;
        let result = run(&mut self.evm, self.tx.clone());
        // Forgets what the run changed.
        self.evm.finalize();
        result.map_err(|error| self.refusal(error))
    }

    fn refusal(&self, error: RunError) -> CallError {
        match error {
            EVMError::Transaction(error) => {
                let limit = self.rules.limits.init_code_size;
                TxInvalid::from_revm(error, &self.tx, self.rules.fork, limit).into()
            }
            EVMError::Database(ReadError::State(error)) => CallError::State(error),
            EVMError::Database(ReadError::Stopped) => CallError::Stopped,
            EVMError::Custom(text) if text == PRECOMPILE_TOO_LONG => CallError::PrecompileTooLong,
            other => CallError::Internal(other.to_string()),
        }
    }
}

impl Session<'_> {
    /// Runs the message with this gas limit.
    pub(crate) fn run(&mut self, gas_limit: u64) -> Result<ExecutionResult, CallError> {
        self.run_with(gas_limit, |evm, tx| {
            evm.ctx.set_tx(tx);
            MainnetHandler::default().run(&mut Guarded(evm))
        })
    }
}

pub(crate) type RunError = EVMError<ReadError, InvalidTransaction>;

/// The request as revm takes it. With free gas every price is 0, as it is for transactions.
fn message(rules: &BlockRules, request: &CallRequest, overlay: &mut Overlay<'_>) -> Result<TxEnv, CallError> {
    let caller = request.from.unwrap_or_default();
    let nonce = match request.nonce {
        Some(nonce) => nonce,
        None => overlay.account(caller)?.map_or(0, |account| account.nonce),
    };
    let (price, tip) = prices(request)?;
    if !request.authorization_list.is_empty() && request.to.is_none() {
        return Err(TxInvalid::AuthorizationListOnCreate.into());
    }
    Ok(TxEnv {
        tx_type: message_type(request),
        caller,
        gas_limit: 0,
        gas_price: if rules.free_gas { 0 } else { price },
        kind: request.to.map_or(TxKind::Create, TxKind::Call),
        value: request.value,
        data: request.data.clone(),
        nonce,
        chain_id: Some(rules.chain_id),
        access_list: request.access_list.clone().unwrap_or_default(),
        gas_priority_fee: if rules.free_gas { tip.map(|_| 0) } else { tip },
        blob_hashes: Vec::new(),
        max_fee_per_blob_gas: 0,
        authorization_list: request.authorization_list.iter().cloned().map(Either::Left).collect(),
    })
}

/// Price (or highest fee) and tip.
fn prices(request: &CallRequest) -> Result<(u128, Option<u128>), CallError> {
    let fee_market = request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some();
    if request.gas_price.is_some() && fee_market {
        let text = "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified";
        return Err(CallError::BadRequest(text.to_owned()));
    }
    if !fee_market {
        return Ok((request.gas_price.unwrap_or(0), None));
    }
    let tip = request.max_priority_fee_per_gas.unwrap_or(0);
    // A tip without a highest fee means that the fee does not matter.
    let fee = request.max_fee_per_gas.unwrap_or(tip);
    if tip > fee {
        let address = request.from.unwrap_or_default();
        return Err(TxInvalid::TipAboveFee { address, tip, fee }.into());
    }
    Ok((fee, Some(tip)))
}

fn message_type(request: &CallRequest) -> u8 {
    if !request.authorization_list.is_empty() {
        4
    } else if request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some() {
        2
    } else if request.access_list.is_some() {
        1
    } else {
        0
    }
}

/// Why code was ended, in geth's words where geth has some.
pub(crate) fn halt_text(reason: &HaltReason) -> String {
    let text = match reason {
        HaltReason::OutOfGas(OutOfGasError::InvalidOperand) => "gas uint64 overflow",
        HaltReason::OutOfGas(OutOfGasError::ReentrancySentry) => {
            "out of gas: not enough gas for reentrancy sentry"
        }
        HaltReason::OutOfGas(_) => "out of gas",
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => "invalid opcode",
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID",
        HaltReason::InvalidJump => "invalid jump destination",
        HaltReason::StackUnderflow => "stack underflow",
        HaltReason::StackOverflow => "stack limit reached 1024",
        HaltReason::OutOfOffset => "return data out of bounds",
        HaltReason::CreateCollision => "contract address collision",
        HaltReason::NonceOverflow => "nonce uint64 overflow",
        HaltReason::CreateContractSizeLimit => "max code size exceeded",
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef",
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded",
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => {
            "write protection"
        }
        HaltReason::OutOfFunds => "insufficient balance for transfer",
        HaltReason::CallTooDeep => "max call depth exceeded",
        HaltReason::PrecompileErrorWithContext(text) => text,
        HaltReason::PrecompileError => "precompiled contract failed",
        HaltReason::OverflowPayment => "balance overflow",
    };
    text.to_owned()
}
