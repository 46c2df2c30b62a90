//! Executing what a block carries, on the private state over the public one.

use super::block::{Carrier, Named, NamingBlock};
use super::checks::{execution_root, participation, same_execution};
use super::extension::PrivateView;
use super::extension::contract::{CODE_HASH, is_creation};
use super::extension::judge::{Effect, Stop};
use super::extension::shared::SharedState;
use super::inside::Insides;
use super::payloads::{Missing, Payloads};
use crate::error::{BlockError, ChainError};
use alloy_primitives::map::HashSet;
use alloy_primitives::{Address, Bytes};
use alloy_trie::TrieAccount;
use lonja_evm::{
    BlockEnv, BlockExecutor, DualView, ExecuteError, LayeredView, PrivateMessage, PrivateOutcome,
    execute_private, intrinsic_gas, revert_reason,
};
use lonja_primitives::{
    AccountChange, BlockRules, ChainSpec, PayloadHash, RecoveredTransaction, StateChanges, StateError,
    StateView,
};
use lonja_ptm::{Lookup, PrivacyMode, PrivatePayload};
use lonja_storage::private::{ContractRecord, Fate, Origin, PrivateReader, PrivateReceipt, PrivateWriter};
use lonja_storage::{Brought, PreparedState, StateAt, StoreError};
use std::collections::BTreeMap;

/// A private transaction that this node is a party to.
pub(super) struct Ours {
    pub(super) named: Named,
    /// The transaction that runs: that of the block, or the one its marker carries.
    pub(super) tx: RecoveredTransaction,
    pub(super) payload: PrivatePayload,
    /// Name of its payload: that of a marker is another one.
    pub(super) hash: PayloadHash,
}

/// What came of a block.
#[derive(Default)]
pub(super) struct Done {
    pub(super) changes: StateChanges,
    /// Storages of contracts that came whole.
    pub(super) brought: Brought,
    pub(super) receipts: Vec<(u32, PrivateReceipt)>,
    pub(super) contracts: Vec<(Address, Option<ContractRecord>)>,
    pub(super) seen: Vec<(PayloadHash, u32, Fate)>,
}

/// What a transaction that names a payload comes to here.
pub(super) struct Resolved {
    /// What runs; `None` where nothing does.
    pub(super) ours: Option<Ours>,
    /// What becomes of the payloads it names.
    pub(super) seen: Vec<(PayloadHash, Fate)>,
}

/// Looks a payload up, and what it carries. `ran` says whether a payload ran before this place.
pub(super) fn resolve(
    spec: &ChainSpec,
    block: &NamingBlock,
    named: &Named,
    payloads: &mut Payloads<'_, '_>,
    insides: &Insides,
    ran: &dyn Fn(&PayloadHash) -> Result<bool, ChainError>,
) -> Result<Result<Resolved, Missing>, ChainError> {
    let Some(tx) = block.transactions.get(named.index as usize) else {
        return Err(ChainError::Halt(format!("a block has no transaction {}", named.index)));
    };
    let payload = match payloads.get(&named.hash) {
        Ok(Lookup::Found(payload)) => payload,
        Ok(other) => return Ok(Ok(Resolved { ours: None, seen: vec![(named.hash, fate(&other))] })),
        Err(missing) => return Ok(Err(missing)),
    };
    let mut seen = vec![(named.hash, Fate::Executed)];
    if named.carrier == Carrier::Direct {
        let ours = Ours { named: *named, tx: tx.clone(), payload, hash: named.hash };
        return Ok(Ok(Resolved { ours: Some(ours), seen }));
    }
    let Some((inner, hash)) = insides.of(spec, block, named.index, &payload.payload) else {
        return Ok(Ok(Resolved { ours: None, seen }));
    };
    if ran(&hash)? {
        tracing::debug!(%hash, "a private transaction comes in a marker a second time");
        return Ok(Ok(Resolved { ours: None, seen }));
    }
    let ours = match payloads.get(&hash) {
        Ok(Lookup::Found(payload)) => Some(Ours { named: *named, tx: inner, payload, hash }),
        Ok(other) => {
            seen.push((hash, fate(&other)));
            return Ok(Ok(Resolved { ours: None, seen }));
        }
        Err(missing) => return Ok(Err(missing)),
    };
    seen.push((hash, Fate::Executed));
    Ok(Ok(Resolved { ours, seen }))
}

/// Whether a payload with this fate may not run once more.
fn runs(fate: Fate) -> bool {
    matches!(fate, Fate::Executed | Fate::Erased)
}

fn fate(lookup: &Lookup) -> Fate {
    match lookup {
        Lookup::Found(_) => Fate::Executed,
        Lookup::Erased => Fate::Erased,
        Lookup::NotOurs | Lookup::Unavailable(_) => Fate::NotOurs,
    }
}

/// One block on the states before it.
pub(super) struct PrivateRun<'a> {
    pub(super) rules: BlockRules,
    pub(super) env: BlockEnv,
    pub(super) parent: &'a StateAt,
    pub(super) private: &'a StateAt,
    pub(super) writer: &'a PrivateWriter,
    pub(super) reader: &'a PrivateReader,
    public: BlockExecutor<'a>,
    pub(super) public_changes: StateChanges,
    records: BTreeMap<Address, ContractRecord>,
    /// Payloads of this block that ran, or were erased and would have.
    ran: HashSet<PayloadHash>,
    pub(super) done: Done,
}

impl<'a> PrivateRun<'a> {
    pub(super) fn new(
        spec: &ChainSpec,
        block: &NamingBlock,
        parent: &'a StateAt,
        private: &'a StateAt,
        writer: &'a PrivateWriter,
        reader: &'a PrivateReader,
    ) -> Self {
        let rules = spec.rules_at(block.header.number, block.header.timestamp);
        let env = BlockEnv::from_header(&block.header);
        let mut public = BlockExecutor::new(rules, env.clone(), parent);
        public.tell_changes();
        Self {
            rules,
            env,
            parent,
            private,
            writer,
            reader,
            public,
            public_changes: StateChanges::default(),
            records: BTreeMap::new(),
            ran: HashSet::default(),
            done: Done::default(),
        }
    }

    /// Runs the transactions of the block up to the last that names a payload, the public ones for what they do to the
    /// public state.
    pub(super) fn run(
        mut self,
        spec: &ChainSpec,
        block: &NamingBlock,
        payloads: &mut Payloads<'_, '_>,
        insides: &Insides,
    ) -> Result<Result<Done, Missing>, ChainError> {
        let mut named = block.named.iter().peekable();
        for (index, tx) in (0u32..).zip(&block.transactions) {
            if named.peek().is_none() {
                break;
            }
            self.public_step(tx, index, &block.header)?;
            let Some(next) = named.next_if(|named| named.index == index) else { continue };
            let ran = |hash: &PayloadHash| self.ran_before(hash, index);
            match resolve(spec, block, next, payloads, insides, &ran)? {
                Err(missing) => return Ok(Err(missing)),
                Ok(Resolved { ours, seen }) => {
                    seen.into_iter().for_each(|(hash, fate)| self.note_seen(hash, index, fate));
                    let Some(mine) = ours else { continue };
                    if let Err(missing) = self.private_step(&mine, payloads)? {
                        return Ok(Err(missing));
                    }
                }
            }
        }
        Ok(Ok(self.done))
    }

    /// Whether the payload ran before this place: what comes in a marker runs once, whoever sends it again.
    fn ran_before(&self, hash: &PayloadHash, index: u32) -> Result<bool, ChainError> {
        let before = (self.env.number, index);
        let runs = |(number, index, fate): &(u64, u32, Fate)| runs(*fate) && (*number, *index) < before;
        Ok(self.ran.contains(hash) || self.reader.seen(hash)?.iter().any(runs))
    }

    pub(super) fn note_seen(&mut self, hash: PayloadHash, index: u32, fate: Fate) {
        if runs(fate) {
            self.ran.insert(hash);
        }
        self.done.seen.push((hash, index, fate));
    }

    fn public_step(
        &mut self,
        tx: &RecoveredTransaction,
        index: u32,
        header: &lonja_primitives::SealedHeader,
    ) -> Result<(), ChainError> {
        self.public.execute(tx).map_err(|error| match error {
            ExecuteError::State(error) => ChainError::from(error),
            other => ChainError::Halt(format!(
                "transaction {index} of block {} is in the chain and does not execute: {other}",
                header.number
            )),
        })?;
        self.public_changes.merge(self.public.take_told());
        Ok(())
    }

    fn private_step(
        &mut self,
        mine: &Ours,
        payloads: &mut Payloads<'_, '_>,
    ) -> Result<Result<(), Missing>, ChainError> {
        let inner = (mine.named.carrier == Carrier::Marker).then(|| mine.tx.raw().clone());
        let receipt = match self.outcome(mine, payloads) {
            Ok((outcome, effect)) => {
                self.keep(mine, &outcome);
                self.take_effect(effect);
                receipt(outcome, inner)
            }
            Err(Stop::Refused(error)) => {
                PrivateReceipt { error: Some(error), inner, ..PrivateReceipt::default() }
            }
            Err(Stop::Missing(missing)) => return Ok(Err(missing)),
            Err(Stop::Fault(error)) => return Err(error),
        };
        self.done.receipts.push((mine.named.index, receipt));
        Ok(Ok(()))
    }

    /// What a transaction gives that counts.
    fn outcome(
        &mut self,
        mine: &Ours,
        payloads: &mut Payloads<'_, '_>,
    ) -> Result<(PrivateOutcome, Effect), Stop> {
        before(&self.rules, mine).map_err(Stop::Refused)?;
        let gas = intrinsic_gas(&self.rules, &mine.tx);
        let gas = gas.map_err(|invalid| Stop::Refused(invalid.to_string()))?;
        let outcome = self.execute(mine, gas)?.map_err(Stop::Refused)?;
        let effect = self.judge(mine, &outcome, payloads)?;
        Ok((outcome, effect))
    }

    /// What came of a payload, or why it counts for nothing.
    fn execute(&mut self, mine: &Ours, shell_gas: u64) -> Result<Result<PrivateOutcome, String>, ChainError> {
        let message = PrivateMessage {
            sender: mine.tx.sender(),
            nonce: mine.tx.nonce(),
            kind: mine.tx.kind(),
            payload: mine.payload.payload.clone(),
            gas_limit: mine.tx.gas_limit(),
            shell_gas,
        };
        let public = LayeredView { base: self.parent, changes: &self.public_changes };
        let done = &self.done;
        let private = PrivateView { base: self.private, changes: &done.changes, brought: &done.brought };
        let state = DualView { private: &private, public: &public };
        let outcome = execute_private(&self.rules, &self.env, &state, &message).map_err(BlockError::from)?;
        let called = private_ones(&private, &outcome)?;
        if let Err(wrong) = self.check(mine, &outcome, &called)? {
            return Ok(Err(wrong));
        }
        Ok(Ok(outcome))
    }

    fn check(
        &self,
        mine: &Ours,
        outcome: &PrivateOutcome,
        called: &[Address],
    ) -> Result<Result<(), String>, ChainError> {
        if !self.rules.privacy.enhancements {
            return Ok(Ok(()));
        }
        let metadata = &mine.payload.metadata;
        let mut record_of = |address: &Address| self.record_of(address);
        let taken_part = participation(metadata.mode, &metadata.affected, called, &mut record_of)?;
        if taken_part.is_err() || metadata.mode != PrivacyMode::StateValidation || !outcome.success {
            return Ok(taken_part);
        }
        let accounts = self.accounts_after(outcome, called)?;
        Ok(same_execution(&metadata.exec_hash, execution_root(&accounts)))
    }

    /// What is known of a private contract as of the transaction before.
    pub(super) fn record_of(&self, address: &Address) -> Result<Option<ContractRecord>, StateError> {
        let number = self.env.number.saturating_sub(1);
        match self.records.get(address) {
            Some(record) => Ok(Some(record.clone())),
            None => self.reader.contract(address, number).map_err(StateError::from),
        }
    }

    fn accounts_after(
        &self,
        outcome: &PrivateOutcome,
        called: &[Address],
    ) -> Result<BTreeMap<Address, TrieAccount>, ChainError> {
        let mut changes = self.done.changes.clone();
        changes.merge(outcome.changes.clone());
        let prepared = self.writer.prepare_with(&changes, &self.done.brought)?;
        Ok(accounts_after(&prepared, self.private, outcome, called)?)
    }

    fn keep(&mut self, mine: &Ours, outcome: &PrivateOutcome) {
        for (address, change) in &outcome.changes.accounts {
            if change.storage_wiped || change.account.is_none() {
                self.done.brought.remove(address);
            }
        }
        self.done.changes.merge(outcome.changes.clone());
        let mode = mine.payload.metadata.mode;
        let protected = mode != PrivacyMode::Standard && self.rules.privacy.enhancements;
        for address in &outcome.created {
            let origin = origin(mine, outcome, address);
            if !protected && origin == Origin::Transaction {
                continue;
            }
            let mandatory = mine.payload.metadata.mandatory.iter().map(|key| key.0).collect();
            let record = ContractRecord { creation: mine.hash, flag: mode.flag(), mandatory, origin };
            self.note(*address, record);
        }
    }

    fn take_effect(&mut self, effect: Effect) {
        match effect {
            Effect::None => {}
            Effect::Known(address, record) => self.note(address, record),
            Effect::Brought(state, record) => {
                let contract = state.contract;
                bring(&mut self.done.changes, &mut self.done.brought, *state);
                self.note(contract, record);
            }
        }
    }

    fn note(&mut self, address: Address, record: ContractRecord) {
        self.records.insert(address, record.clone());
        self.done.contracts.push((address, Some(record)));
    }
}

/// Puts a contract that came whole into the private state.
pub(super) fn bring(changes: &mut StateChanges, brought: &mut Brought, state: SharedState) {
    let account = Some(state.account);
    let change = AccountChange { account, storage_wiped: true, storage: BTreeMap::new() };
    changes.accounts.insert(state.contract, change);
    changes.codes.insert(state.account.code_hash, state.code);
    brought.insert(state.contract, state.slots);
}

/// How a created contract came to be. One that manages an extension must have been made by the known code directly: code
/// of others could have put anything into its storage.
fn origin(mine: &Ours, outcome: &PrivateOutcome, address: &Address) -> Origin {
    let account = outcome.changes.accounts.get(address).and_then(|change| change.account);
    let known = account.is_some_and(|account| account.code_hash == CODE_HASH);
    let directly = mine.tx.kind().is_create() && outcome.contract.as_ref() == Some(address);
    match known && directly && is_creation(&mine.payload.payload) {
        true => Origin::Management,
        false => Origin::Transaction,
    }
}

/// The states of the contracts that a transaction concerned, private ones only: what is public is every node's to see, and
/// may have moved on between sending and execution.
pub(super) fn accounts_after(
    prepared: &PreparedState,
    before: &StateAt,
    outcome: &PrivateOutcome,
    called: &[Address],
) -> Result<BTreeMap<Address, TrieAccount>, StoreError> {
    let mut accounts = BTreeMap::new();
    for address in outcome.created.iter().chain(called) {
        if let Some(account) = trie_account(prepared, before, address)? {
            accounts.insert(*address, account);
        }
    }
    Ok(accounts)
}

/// An account after changes, as it stands in a trie.
pub(super) fn trie_account(
    prepared: &PreparedState,
    before: &StateAt,
    address: &Address,
) -> Result<Option<TrieAccount>, StoreError> {
    let flat = match prepared.account(address) {
        Some(after) => after,
        None => before.flat_account(address)?,
    };
    Ok(flat.map(|flat| TrieAccount {
        nonce: flat.account.nonce,
        balance: flat.account.balance,
        storage_root: flat.storage_root,
        code_hash: flat.account.code_hash,
    }))
}

/// Of the accounts whose code ran, those that were private before.
pub(super) fn private_ones(
    private: &dyn StateView,
    outcome: &PrivateOutcome,
) -> Result<Vec<Address>, StateError> {
    let mut called = Vec::with_capacity(outcome.called.len());
    for address in &outcome.called {
        if private.account(address)?.is_some() {
            called.push(*address);
        }
    }
    Ok(called)
}

/// What can be said before anything runs.
fn before(rules: &BlockRules, mine: &Ours) -> Result<(), String> {
    let metadata = &mine.payload.metadata;
    if metadata.mode != PrivacyMode::Standard && !rules.privacy.enhancements {
        return Err(format!(
            "the transaction has privacy flag {}, and this network has no privacy enhancements at this block",
            metadata.mode.flag()
        ));
    }
    if metadata.mode == PrivacyMode::StateValidation && metadata.exec_hash.is_empty() {
        return Err("privacy metadata has empty MR for stateValidation flag".to_owned());
    }
    Ok(())
}

fn receipt(outcome: PrivateOutcome, inner: Option<Bytes>) -> PrivateReceipt {
    let reverted = !outcome.success && outcome.halt.is_none();
    let reason = || match revert_reason(&outcome.output) {
        Some(reason) => format!("execution reverted: {reason}"),
        None => "execution reverted".to_owned(),
    };
    PrivateReceipt {
        success: outcome.success,
        gas_used: outcome.gas_used,
        error: if reverted { Some(reason()) } else { outcome.halt },
        output: if reverted { outcome.output } else { Bytes::new() },
        logs: outcome.logs,
        contract: outcome.contract.filter(|_| outcome.success),
        inner,
    }
}
