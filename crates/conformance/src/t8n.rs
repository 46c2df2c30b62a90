//! State transition as geth's `evm t8n` has it: transactions on a state, and what comes of both.

mod env;
mod error;
mod output;
mod transactions;

#[cfg(test)]
mod tests;

pub use error::TransitionError;
pub use transactions::TransitionTransactions;

use crate::chain::{Sealed, empty_dao};
use crate::network::Network;
use crate::world::{BlockHashes, View, credit, open_with};
use crate::{chain, geth, receipts, system};
use alloy_eips::eip6110::MAINNET_DEPOSIT_CONTRACT_ADDRESS;
use alloy_primitives::{B256, Bytes, U256};
use env::Env;
use lonja_evm::{BlockEnv, BlockExecutor, ExecuteError, ExecutionOutput};
use lonja_primitives::{BlockRules, Fork, Header, Receipt, RecoveredTransaction, StateChanges, StateError};
use lonja_storage::ChainWriter;
use serde_json::Value;
use transactions::Candidate;

/// What a transition starts from.
#[derive(Clone, Debug)]
pub struct TransitionInput {
    /// The state before: accounts by address, as in a genesis file of geth's.
    pub alloc: Value,
    /// The block: geth's `env`.
    pub env: Value,
    /// What is to be executed, in order.
    pub transactions: TransitionTransactions,
    /// Name of the fork, as the public tests have it.
    pub fork: String,
    /// Chain id.
    pub chain_id: u64,
    /// What the block brings its author, in wei; `None` does not even touch the author's account.
    pub reward: Option<u64>,
}

/// What came of a transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state after.
    pub alloc: Value,
    /// Roots, receipts, refused transactions: geth's `result`.
    pub result: Value,
    /// RLP list of the transactions that were executed.
    pub body: Bytes,
}

/// The block that is made.
struct World<'a> {
    header: &'a Header,
    rules: BlockRules,
    block_env: BlockEnv,
    view: View,
    writer: &'a ChainWriter,
}

/// What came of its transactions.
struct Executed {
    included: Vec<RecoveredTransaction>,
    /// Position and reason.
    rejected: Vec<(usize, String)>,
    output: ExecutionOutput,
    /// Roots of the state after each transaction; before Byzantium only.
    states: Vec<B256>,
}

/// Executes transactions on a state by mainnet's rules. A transaction that may not be in the block does not stop the
/// others.
///
/// # Errors
/// What is wrong with the input, or is not supported; see [`TransitionError`].
pub fn transition(input: &TransitionInput) -> Result<Transition, TransitionError> {
    let mut network = Network::named(&input.fork)
        .map_err(|skip| TransitionError::Config(format!("fork '{}': {}", input.fork, skip.reason())))?;
    network.spec.chain_id = input.chain_id;
    let accounts =
        geth::object(&input.alloc, "alloc").and_then(geth::alloc).map_err(TransitionError::Json)?;
    let env = Env::read(&input.env)?;
    let header = env.header(&network)?;
    let rules = network.rules_at(header.number, header.timestamp);
    let candidates = transactions::read(&input.transactions, &rules)?;
    let writer = open_with(accounts.clone())?;
    let mut changes = StateChanges::default();
    if network.dao_block == Some(header.number) {
        empty_dao(&mut changes, &writer.head_state())?;
    }
    let view = View { state: writer.head_state(), changes, block_hashes: BlockHashes::These(env.hashes()?) };
    let sealed = Sealed { author: None, has_work: !env::is_merged(&network), reward: false };
    let block_env = chain::env(&header, rules.fork, &sealed);
    let world = World { header: &header, rules, block_env, view, writer: &writer };
    let executed = world.execute(candidates)?;
    let changes = world.settle(&env, input.reward, executed.output.changes.clone())?;
    let root = writer.prepare(&changes)?.root;
    Ok(Transition {
        alloc: output::alloc(accounts, changes, &world.view)?,
        result: output::result(&world, &executed, root, env::is_merged(&network)),
        body: output::body(&executed.included),
    })
}

impl World<'_> {
    fn execute(&self, candidates: Vec<Candidate>) -> Result<Executed, TransitionError> {
        let mut executor = BlockExecutor::new(self.rules, self.block_env.clone(), &self.view);
        system::before(&mut executor, self.header, self.rules.fork)?;
        let (mut included, mut rejected) = (Vec::new(), Vec::new());
        for (index, candidate) in candidates.into_iter().enumerate() {
            let tried = match candidate {
                Ok(tx) => try_one(&mut executor, tx)?,
                Err(reason) => Err(reason),
            };
            match tried {
                Ok(tx) => included.push(tx),
                Err(reason) => rejected.push((index, reason)),
            }
        }
        let requests = system::after(&mut executor, self.rules.fork)?;
        let output = executor.finish()?;
        if requests || (self.rules.fork >= Fork::Prague && output.receipts.iter().any(has_deposit)) {
            let reason = "requests to the beacon chain (EIP-7685): not supported";
            return Err(TransitionError::Evm(reason.to_owned()));
        }
        let states = match self.rules.fork < Fork::Byzantium {
            true => receipts::states(self.rules, &self.block_env, &self.view, &included, self.writer)?,
            false => Vec::new(),
        };
        Ok(Executed { included, rejected, output, states })
    }

    /// All changes: those of the DAO fork, of the transactions, and what the block brings to whom.
    fn settle(
        &self,
        env: &Env,
        reward: Option<u64>,
        executed: StateChanges,
    ) -> Result<StateChanges, StateError> {
        let mut changes = self.view.changes.clone();
        changes.merge(executed);
        let mut receivers = Vec::new();
        if let Some(reward) = reward.map(U256::from) {
            let ommers = env.ommers();
            let more = reward / U256::from(32) * U256::from(ommers.len());
            receivers.push((self.header.beneficiary, reward + more));
            for ommer in ommers {
                let eighths = U256::from(8u64.saturating_sub(ommer.delta.0));
                receivers.push((ommer.address, reward * eighths / U256::from(8)));
            }
        }
        receivers.extend(env.withdrawals().iter().map(|one| (one.address, one.amount_wei())));
        for receiver in receivers {
            credit(&mut changes, &self.view, receiver, self.rules.fork)?;
        }
        Ok(changes)
    }
}

/// Executes a transaction; the inner error says why it may not be in the block.
fn try_one(
    executor: &mut BlockExecutor<'_>,
    tx: RecoveredTransaction,
) -> Result<Result<RecoveredTransaction, String>, ExecuteError> {
    match executor.execute(&tx) {
        Ok(()) => Ok(Ok(tx)),
        Err(ExecuteError::Invalid(rule)) => Ok(Err(rule.to_string())),
        Err(error) => Err(error),
    }
}

fn has_deposit(receipt: &Receipt) -> bool {
    receipt.logs.iter().any(|log| log.address == MAINNET_DEPOSIT_CONTRACT_ADDRESS)
}
