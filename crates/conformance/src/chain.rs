//! A chain of a test: blocks of mainnet's shape on the node's executor, state and checks.

use crate::block::{Body, decode};
use crate::mainnet::{
    DAO_REFUND, block_reward, check_header, dao_accounts, ensure, ensure_eq, is_after_merge,
};
use crate::network::Network;
use crate::world::{BlockHashes, View, credit, open_at};
use crate::{receipts, system, uncles};
use alloy_primitives::{Address, B256, Bytes, U256};
use lonja_chain::{BlockError, check_output, check_state};
use lonja_consensus::header::check_body;
use lonja_evm::{BlockEnv, BlockExecutor, ExecuteError, ExecutionOutput};
use lonja_primitives::genesis::GenesisAccount;
use lonja_primitives::{
    Block, BlockRules, Fork, Header, Receipt, RecoveredTransaction, SealedHeader, StateChanges,
};
use lonja_storage::{BlockCommit, ChainWriter, PreparedState, StoreError};
use std::collections::{BTreeMap, HashMap};
use thiserror::Error;

/// Why a block is not in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Refused {
    /// It breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// We could not say.
    #[error("our own fault: {0}")]
    Ours(String),
}

/// A block of the chain or beside it, found valid.
pub(crate) struct Known {
    pub(crate) header: Header,
    pub(crate) uncles: Vec<Header>,
    total_difficulty: U256,
    executed: Executed,
}

/// What the seal of a block tells those who execute it.
pub(crate) struct Sealed {
    /// Who gets its fees, where that is not its coinbase.
    pub(crate) author: Option<Address>,
    /// Whether its difficulty means something.
    pub(crate) has_work: bool,
    /// Whether it brings its author something.
    pub(crate) reward: bool,
}

/// What is written of a block.
#[derive(Default)]
struct Executed {
    transactions: Vec<Bytes>,
    hashes: Vec<B256>,
    senders: Vec<Address>,
    receipts: Vec<Receipt>,
    changes: StateChanges,
}

/// All valid blocks of a test. The store holds one line of them; to execute a block beside it, the store is written
/// anew up to the parent.
pub(crate) struct Chain {
    network: Network,
    genesis: (SealedHeader, BTreeMap<Address, GenesisAccount>),
    blocks: HashMap<B256, Known>,
    best: B256,
    writer: ChainWriter,
}

impl Chain {
    /// Opens a chain at its block 0.
    pub(crate) fn new(
        network: Network,
        genesis: SealedHeader,
        alloc: BTreeMap<Address, GenesisAccount>,
    ) -> Result<Self, StoreError> {
        let writer = open_at(genesis.clone(), alloc.clone())?;
        let known = Known {
            header: genesis.header().clone(),
            uncles: Vec::new(),
            total_difficulty: genesis.difficulty,
            executed: Executed::default(),
        };
        let best = genesis.hash();
        let blocks = HashMap::from([(best, known)]);
        Ok(Self { network, genesis: (genesis, alloc), blocks, best, writer })
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// A block found valid before.
    pub(crate) fn block(&self, hash: &B256) -> Option<&Known> {
        self.blocks.get(hash)
    }

    /// The head: most total difficulty, then height, then who came first.
    pub(crate) fn best(&self) -> B256 {
        self.best
    }

    /// Checks and executes a block, and gives its hash.
    pub(crate) fn import(&mut self, raw: &[u8]) -> Result<B256, Refused> {
        let (header, body) = decode(raw).map_err(Refused::Invalid)?;
        let parent = self.parent(&header)?;
        let work = !is_after_merge(&self.network, parent.total_difficulty);
        check_header(&self.network, &header, &parent.header, work).map_err(Refused::Invalid)?;
        let hash =
            self.import_checked(header, body, &Sealed { author: None, has_work: work, reward: work })?;
        if self.weight(&hash) > self.weight(&self.best) {
            self.best = hash;
        }
        Ok(hash)
    }

    fn parent(&self, header: &Header) -> Result<&Known, Refused> {
        let parent = self.blocks.get(&header.parent_hash);
        parent.ok_or_else(|| Refused::Invalid("its parent is not known".to_owned()))
    }

    /// An account at the newest block of the store.
    #[cfg(test)]
    pub(crate) fn account(&self, address: &Address) -> Option<lonja_primitives::Account> {
        lonja_primitives::StateView::account(&self.writer.head_state(), address).ok().flatten()
    }

    /// Makes a block the head.
    pub(crate) fn set_best(&mut self, hash: B256) {
        self.best = hash;
    }

    /// Executes a block whose header was checked, and gives its hash.
    pub(crate) fn import_checked(
        &mut self,
        header: Header,
        body: Body,
        sealed: &Sealed,
    ) -> Result<B256, Refused> {
        let hash = header.hash_slow();
        let total_difficulty = self.parent(&header)?.total_difficulty.saturating_add(header.difficulty);
        self.check_body(&header, &body).map_err(Refused::Invalid)?;
        if self.writer.written().hash != header.parent_hash {
            self.rewrite(header.parent_hash)?;
        }
        let (executed, prepared) = self.execute(&header, &body, sealed)?;
        let known = Known { header, uncles: body.uncles, total_difficulty, executed };
        write(&mut self.writer, hash, &known, &prepared)?;
        self.blocks.insert(hash, known);
        Ok(hash)
    }

    fn weight(&self, hash: &B256) -> (U256, u64) {
        self.blocks
            .get(hash)
            .map_or_else(Default::default, |known| (known.total_difficulty, known.header.number))
    }

    /// The body that the header stands for.
    fn check_body(&self, header: &Header, body: &Body) -> Result<(), String> {
        let block = Block { header: header.clone(), transactions: body.transactions.clone() };
        check_body(&self.network.spec, &block).map_err(|error| error.to_string())?;
        ensure_eq("uncles hash", body.uncles_hash, header.ommers_hash)?;
        uncles::check(self, header, &body.uncles)?;
        let present = body.withdrawals.is_some();
        ensure(present == header.withdrawals_root.is_some(), "withdrawals: header and body disagree")?;
        match (body.withdrawals_root(), header.withdrawals_root) {
            (Some(want), Some(got)) => ensure_eq("withdrawals root", want, got),
            _ => Ok(()),
        }
    }

    /// Makes `hash` the newest block of the store.
    fn rewrite(&mut self, hash: B256) -> Result<(), Refused> {
        let mut line = Vec::new();
        let mut at = hash;
        while at != self.genesis.0.hash() {
            let known = self.blocks.get(&at).ok_or_else(|| Refused::Ours(format!("block {at} is lost")))?;
            line.push((at, known));
            at = known.header.parent_hash;
        }
        let mut writer = open_at(self.genesis.0.clone(), self.genesis.1.clone())?;
        for (hash, known) in line.into_iter().rev() {
            let prepared = writer.prepare(&known.executed.changes)?;
            write(&mut writer, hash, known, &prepared)?;
        }
        self.writer = writer;
        Ok(())
    }

    /// Executes a block on the newest one of the store and compares what came of it with its header.
    fn execute(
        &self,
        header: &Header,
        body: &Body,
        sealed: &Sealed,
    ) -> Result<(Executed, PreparedState), Refused> {
        let rules = self.network.rules_at(header.number, header.timestamp);
        let transactions = recover(&body.transactions, rules.chain_id)?;
        let view = self.view(header)?;
        let reward = if sealed.reward { block_reward(rules.fork) } else { U256::ZERO };
        let uncles = U256::from(body.uncles.len());
        let with_reward = BlockRules { block_reward: reward + reward / U256::from(32) * uncles, ..rules };
        let block_env = env(header, rules.fork, sealed);
        let mut output = run(with_reward, &block_env, &view, header, &transactions)?;
        if rules.fork < Fork::Byzantium {
            let states = receipts::states(rules, &block_env, &view, &transactions, &self.writer)?;
            output.receipts_root = receipts::root_with_states(&output.receipts, &states);
        }
        check_output(header, &output)?;
        let mut changes = view.changes.clone();
        changes.merge(output.changes);
        for uncle in &body.uncles {
            let amount = uncles::reward(uncle, header.number, reward);
            credit(&mut changes, &view.state, (uncle.beneficiary, amount), rules.fork)?;
        }
        for withdrawal in body.withdrawals.iter().flatten() {
            let receiver = (withdrawal.address, withdrawal.amount_wei());
            credit(&mut changes, &view.state, receiver, rules.fork)?;
        }
        let prepared = self.writer.prepare(&changes)?;
        check_state(header, &prepared)?;
        let executed = Executed {
            transactions: body.transactions.clone(),
            hashes: transactions.iter().map(RecoveredTransaction::hash).collect(),
            senders: transactions.iter().map(RecoveredTransaction::sender).collect(),
            receipts: output.receipts,
            changes,
        };
        Ok((executed, prepared))
    }

    /// The parent's state; at the DAO fork with the DAO's accounts emptied.
    fn view(&self, header: &Header) -> Result<View, Refused> {
        let state = self.writer.head_state();
        let mut changes = StateChanges::default();
        if self.network.dao_block == Some(header.number) {
            empty_dao(&mut changes, &state)?;
        }
        Ok(View { state, changes, block_hashes: BlockHashes::OfChain })
    }
}

/// Moves what the DAO's accounts have to who refunds it.
pub(crate) fn empty_dao(
    changes: &mut StateChanges,
    state: &dyn lonja_primitives::StateView,
) -> Result<(), Refused> {
    let mut sum = U256::ZERO;
    for address in dao_accounts() {
        credit(changes, state, (address, U256::ZERO), Fork::Homestead)?;
        if let Some(account) = changes.accounts.get_mut(&address).and_then(|change| change.account.as_mut()) {
            sum += std::mem::take(&mut account.balance);
        }
    }
    Ok(credit(changes, state, (DAO_REFUND, sum), Fork::Homestead)?)
}

/// Decodes the transactions and recovers their senders.
fn recover(raws: &[Bytes], chain_id: u64) -> Result<Vec<RecoveredTransaction>, Refused> {
    let recover = |(index, raw): (usize, &Bytes)| {
        RecoveredTransaction::recover(raw.clone(), chain_id)
            .map_err(|error| Refused::Invalid(format!("transaction {index}: {error}")))
    };
    raws.iter().enumerate().map(recover).collect()
}

/// The block as its transactions see it. Paris has no fork of its own with us: all it changes in the EVM is what
/// `DIFFICULTY` says, which is then the header's mix hash.
pub(crate) fn env(header: &Header, fork: Fork, sealed: &Sealed) -> BlockEnv {
    let mut env = BlockEnv::from_header(header);
    env.beneficiary = sealed.author.unwrap_or(header.beneficiary);
    if !sealed.has_work && fork < Fork::Shanghai {
        env.difficulty = header.mix_hash.into();
    }
    env
}

/// Executes all transactions, and what a block does by itself before and after them.
fn run(
    rules: BlockRules,
    env: &BlockEnv,
    view: &View,
    header: &Header,
    transactions: &[RecoveredTransaction],
) -> Result<ExecutionOutput, Refused> {
    let mut executor = BlockExecutor::new(rules, env.clone(), view);
    system::before(&mut executor, header, rules.fork)?;
    for (index, tx) in transactions.iter().enumerate() {
        executor.execute(tx).map_err(|error| match error {
            ExecuteError::Invalid(rule) => Refused::Invalid(format!("transaction {index}: {rule}")),
            other => Refused::Ours(other.to_string()),
        })?;
    }
    if system::after(&mut executor, rules.fork)? && header.requests_hash.is_some() {
        return Err(Refused::Invalid("requests: the header says there are none".to_owned()));
    }
    Ok(executor.finish()?)
}

fn write(
    writer: &mut ChainWriter,
    hash: B256,
    known: &Known,
    prepared: &PreparedState,
) -> Result<(), StoreError> {
    let executed = &known.executed;
    writer.commit(&BlockCommit {
        block: &Block { header: known.header.clone(), transactions: executed.transactions.clone() },
        hash,
        transaction_hashes: &executed.hashes,
        senders: &executed.senders,
        receipts: &executed.receipts,
        changes: &executed.changes,
        prepared,
        votes: &[],
    })
}

impl From<BlockError> for Refused {
    fn from(error: BlockError) -> Self {
        match error {
            BlockError::Invalid(rule) => Self::Invalid(rule),
            other => Self::Ours(other.to_string()),
        }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Ours(error.to_string())
    }
}

impl From<lonja_primitives::StateError> for Refused {
    fn from(error: lonja_primitives::StateError) -> Self {
        Self::Ours(error.to_string())
    }
}

impl From<ExecuteError> for Refused {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::Invalid(rule) => Self::Invalid(rule.to_string()),
            other => Self::Ours(other.to_string()),
        }
    }
}
