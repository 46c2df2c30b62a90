//! A store in memory with the state before a test, and changes from outside the transactions.

use crate::network::TEMPLATE;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use lonja_primitives::genesis::GenesisAccount;
use lonja_primitives::{
    Account, Block, Fork, Genesis, Header, SealedHeader, StateChanges, StateError, StateView,
};
use lonja_storage::{BlockCommit, ChainWriter, MemoryKv, StateAt, StoreError, open};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Opens a chain in memory whose block 0 is `header` over `alloc`. Fails where the header's state root is not that
/// of the accounts.
pub(crate) fn open_at(
    header: SealedHeader,
    alloc: BTreeMap<Address, GenesisAccount>,
) -> Result<ChainWriter, StoreError> {
    let genesis = Genesis { header, alloc, ..TEMPLATE.clone() };
    Ok(open(Arc::new(MemoryKv::new()), &genesis)?.writer)
}

/// Root of the state that these changes make of the empty one.
pub(crate) fn root_of(changes: &StateChanges) -> Result<B256, StoreError> {
    let empty = Header { state_root: alloy_consensus::constants::EMPTY_ROOT_HASH, ..Header::default() };
    let hash = empty.hash_slow();
    let writer = open_at(SealedHeader::new_unchecked(empty, hash), BTreeMap::new())?;
    Ok(writer.prepare(changes)?.root)
}

/// Opens a chain in memory with `alloc` as the state of its newest block, whatever root it has.
pub(crate) fn open_with(alloc: BTreeMap<Address, GenesisAccount>) -> Result<ChainWriter, StoreError> {
    let empty = Header { state_root: alloy_consensus::constants::EMPTY_ROOT_HASH, ..Header::default() };
    let hash = empty.hash_slow();
    let mut writer = open_at(SealedHeader::new_unchecked(empty, hash), BTreeMap::new())?;
    let changes = Genesis { alloc, ..TEMPLATE.clone() }.state_changes();
    let prepared = writer.prepare(&changes)?;
    let header = Header { number: 1, parent_hash: hash, state_root: prepared.root, ..Header::default() };
    let hash = header.hash_slow();
    writer.commit(&BlockCommit {
        block: &Block { header, transactions: Vec::new() },
        hash,
        transaction_hashes: &[],
        senders: &[],
        receipts: &[],
        changes: &changes,
        prepared: &prepared,
        votes: &[],
    })?;
    Ok(writer)
}

/// The state of the newest block with changes on top, and block hashes of its own where a test wants them.
pub(crate) struct View {
    pub(crate) state: StateAt,
    pub(crate) changes: StateChanges,
    pub(crate) block_hashes: BlockHashes,
}

/// What `BLOCKHASH` answers.
pub(crate) enum BlockHashes {
    /// Those of the chain.
    OfChain,
    /// That of the number in decimal digits, as the state tests have it.
    OfNumber,
    /// These, and a failure for every other block.
    These(BTreeMap<u64, B256>),
}

impl StateView for View {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        match self.changes.accounts.get(address) {
            Some(change) => Ok(change.account),
            None => self.state.account(address),
        }
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        match self.changes.accounts.get(address) {
            Some(change) if change.storage.contains_key(slot) => Ok(change.storage[slot]),
            Some(change) if change.storage_wiped || change.account.is_none() => Ok(U256::ZERO),
            _ => self.state.storage(address, slot),
        }
    }

    fn has_storage(&self, address: &Address) -> Result<bool, StateError> {
        match self.changes.accounts.get(address) {
            Some(change) if change.storage.values().any(|value| !value.is_zero()) => Ok(true),
            Some(change) if change.storage_wiped || change.account.is_none() => Ok(false),
            _ => self.state.has_storage(address),
        }
    }

    fn code(&self, code_hash: &B256) -> Result<Bytes, StateError> {
        match self.changes.codes.get(code_hash) {
            Some(code) => Ok(code.clone()),
            None => self.state.code(code_hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        match &self.block_hashes {
            BlockHashes::OfChain => self.state.block_hash(number),
            BlockHashes::OfNumber => Ok(keccak256(number.to_string())),
            BlockHashes::These(hashes) => hashes.get(&number).copied().ok_or_else(|| {
                StateError::Store(format!("the hash of block {number} is not among those given"))
            }),
        }
    }
}

/// Adds to a balance, after `changes` on `state`. The account is touched in the sense of EIP-161: from Spurious
/// Dragon on it is gone if it is empty afterwards, before it is made if it was not there.
pub(crate) fn credit(
    changes: &mut StateChanges,
    state: &dyn StateView,
    (address, amount): (Address, U256),
    fork: Fork,
) -> Result<(), StateError> {
    let before = state.account(&address)?;
    let change = changes
        .accounts
        .entry(address)
        .or_insert_with(|| lonja_primitives::AccountChange { account: before, ..Default::default() });
    if change.account.is_none() && before.is_some() {
        change.storage_wiped = true;
    }
    let mut account = change.account.unwrap_or_default();
    account.balance = account.balance.saturating_add(amount);
    let gone = fork >= Fork::SpuriousDragon && account.is_empty();
    change.account = (!gone).then_some(account);
    Ok(())
}
