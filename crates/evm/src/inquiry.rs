//! Questions to contracts, with what each answer depended on.
//!
//! Whoever asks the same question at every block wants to know when the answer can change. So the machine notes which
//! accounts the contract looked at, which bytes of the question it read, and whether it looked at the block: as long as
//! none of these is different, the answer is the same, because code has nothing else to go by.

use crate::block::{ExecuteError, Failure};
use crate::env::BlockEnv;
use crate::machine::{Evm, inquiry_machine};
use crate::occupied::OCCUPIED;
use crate::overlay::{Overlay, ReadError};
use crate::watch::Watch;
use alloy_primitives::{Address, Bytes, KECCAK256_EMPTY, TxKind, U256};
use lonja_primitives::{Account, BlockRules, StateView};
use revm::ExecuteEvm;
use revm::context::{ContextSetters, TxEnv};
use revm::context_interface::result::{EVMError, ExecutionResult};
use revm::handler::{Handler, MainnetHandler};
use revm::state::{Account as TouchedAccount, EvmState};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Who asks: an address nobody has a key for, so that no contract can have a rule about it.
const ASKER: Address = Address::ZERO;

/// Separate stretches of a question that are told apart; a contract that reads more of them has read all of it.
const STRETCHES_MAX: usize = 16;

/// What a contract said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It returned this.
    Returned(Bytes),
    /// It reverted with this: see [`crate::revert_reason`].
    Reverted(Bytes),
    /// It broke a rule of the EVM or ran out of gas; says which in geth's words.
    Failed(String),
    /// There is no code at the address.
    NoContract,
}

/// An answer, and what it depended on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the contract said.
    pub said: Said,
    /// The accounts it looked at, itself included.
    pub accounts: BTreeMap<Address, Looked>,
    /// The bytes of the question it read.
    pub read: InputRead,
    /// Whether it looked at the block: its number, time, proposer, limits or an earlier block's hash.
    pub block: bool,
    /// Gas used.
    pub gas_used: u64,
}

/// What a contract saw of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// The account; empty where there is none.
    pub account: Account,
    /// The slots it looked at.
    pub slots: BTreeSet<U256>,
}

/// Which bytes of a question were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputRead {
    /// Ascending and apart from each other. May end behind the question's end.
    stretches: Vec<Range<usize>>,
    /// Its length, or bytes behind its end, which are zero only because it ends before.
    length: bool,
}

impl InputRead {
    /// Whether an answer to `asked` is one to `other` too.
    pub fn covers(&self, asked: &[u8], other: &[u8]) -> bool {
        if self.length && asked.len() != other.len() {
            return false;
        }
        self.stretches.iter().all(|stretch| match (asked.get(stretch.clone()), other.get(stretch.clone())) {
            (Some(one), Some(two)) => one == two,
            // Cut off by the end of one of the two: the length counts, and is equal or was looked at.
            _ => asked == other,
        })
    }

    /// The first byte that was not read and none behind it: whatever follows it makes no difference.
    pub fn end(&self) -> usize {
        if self.length { usize::MAX } else { self.stretches.last().map_or(0, |stretch| stretch.end) }
    }

    pub(crate) fn note_length(&mut self) {
        self.length = true;
    }

    pub(crate) fn note(&mut self, stretch: Range<usize>, input_length: usize) {
        if stretch.is_empty() {
            return;
        }
        self.length |= stretch.end > input_length;
        self.stretches.push(stretch);
        self.stretches.sort_unstable_by_key(|stretch| stretch.start);
        let mut joined: Vec<Range<usize>> = Vec::with_capacity(self.stretches.len());
        for stretch in self.stretches.drain(..) {
            match joined.last_mut() {
                Some(last) if stretch.start <= last.end => last.end = last.end.max(stretch.end),
                _ => joined.push(stretch),
            }
        }
        if joined.len() > STRETCHES_MAX {
            let end = joined.last().map_or(0, |last| last.end);
            joined = std::iter::once(0..end.max(input_length)).collect();
            self.length = true;
        }
        self.stretches = joined;
    }
}

/// Asks contracts at one state, as one block sees it. Nothing that they change is kept.
pub struct Inquiry<'a> {
    evm: Evm<'a>,
}

impl<'a> Inquiry<'a> {
    /// Questions under these rules, as if in this block, at this state.
    pub fn new(rules: &BlockRules, env: &BlockEnv, state: &'a dyn StateView) -> Self {
        Self { evm: inquiry_machine(rules, env, Overlay::new(state), Watch::default()) }
    }

    /// Asks one contract. It gets `gas_limit` gas, of which nothing but the running of its code is paid.
    ///
    /// # Errors
    /// The state could not be read, or the machine broke a rule of its own. Nothing is said about the contract then.
    pub fn ask(&mut self, contract: Address, input: Bytes, gas_limit: u64) -> Result<Answer, ExecuteError> {
        self.evm.ctx.chain.begin_reading();
        let outcome = run(&mut self.evm, contract, input, gas_limit);
        let touched = self.evm.finalize();
        let mut accounts: BTreeMap<Address, Looked> =
            touched.iter().map(|(address, account)| (*address, looked(account))).collect();
        accounts.entry(contract).or_default();
        let (read, block) = self.evm.ctx.chain.take_reading();
        let result = outcome?;
        let gas_used = result.tx_gas_used();
        Ok(Answer { said: said(result, contract, &touched), accounts, read, block, gas_used })
    }
}

fn looked(account: &TouchedAccount) -> Looked {
    let info = &account.info;
    let code_hash = if info.code_hash == OCCUPIED { KECCAK256_EMPTY } else { info.code_hash };
    // What the question itself would have changed is not kept: what counts is what was there.
    let info = Account { nonce: info.nonce, balance: info.balance, code_hash };
    Looked { account: info, slots: account.storage.keys().copied().collect() }
}

/// What came of a question, given the accounts it touched.
pub(crate) fn said(result: ExecutionResult, contract: Address, touched: &EvmState) -> Said {
    let has_code = touched.get(&contract).is_some_and(|account| !account.info.is_empty_code_hash());
    match result {
        _ if !has_code => Said::NoContract,
        ExecutionResult::Success { output, .. } => Said::Returned(output.into_data()),
        ExecutionResult::Revert { output, .. } => Said::Reverted(output),
        ExecutionResult::Halt { reason, .. } => Said::Failed(crate::call::halt_text(&reason)),
    }
}

/// Runs a question on a machine; the caller forgets what it touched.
pub(crate) fn run<Observer>(
    evm: &mut Evm<'_, Observer>,
    contract: Address,
    input: Bytes,
    gas_limit: u64,
) -> Result<ExecutionResult, ExecuteError> {
    evm.ctx.set_tx(TxEnv {
        caller: ASKER,
        kind: TxKind::Call(contract),
        data: input,
        value: U256::ZERO,
        gas_limit,
        gas_price: 0,
        chain_id: None,
        ..TxEnv::default()
    });
    MainnetHandler::default().run_system_call(evm).map_err(|error: Failure| match error {
        EVMError::Database(ReadError::State(error)) => ExecuteError::State(error),
        other => ExecuteError::Internal(other.to_string()),
    })
}
