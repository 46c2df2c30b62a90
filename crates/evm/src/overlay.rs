//! The state of a block in the making: what was read once, and what its transactions changed so far.

use crate::occupied::OCCUPIED;
use alloy_primitives::map::{AddressMap, B256Map, U256Map};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use lonja_primitives::{Account, AccountChange, StateChanges, StateError, StateView};
use revm::Database;
use revm::bytecode::Bytecode;
use revm::database_interface::DBErrorMarker;
use revm::state::{Account as TouchedAccount, AccountInfo, EvmStorage};
use std::collections::BTreeMap;
use thiserror::Error;

/// Why the machine could not go on. Nothing of this says anything about the transaction.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum ReadError {
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The caller wants no more.
    #[error("stopped")]
    Stopped,
}

impl DBErrorMarker for ReadError {}

/// A state view with changes on top. Nothing is read from the view twice.
pub(crate) struct Overlay<'a> {
    view: &'a dyn StateView,
    accounts: AddressMap<Entry>,
    codes: B256Map<Bytecode>,
    block_hashes: BTreeMap<u64, B256>,
}

#[derive(Default)]
struct Entry {
    /// As the view has it.
    original: Option<Account>,
    current: Option<Account>,
    /// Whether the view has anything stored for it.
    has_stored: bool,
    slots: U256Map<Slot>,
    /// What the view has stored does not count any more.
    wiped: bool,
}

#[derive(Default)]
struct Slot {
    original: U256,
    current: U256,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(view: &'a dyn StateView) -> Self {
        Self {
            view,
            accounts: AddressMap::default(),
            codes: B256Map::default(),
            block_hashes: BTreeMap::new(),
        }
    }

    fn entry(&mut self, address: Address) -> Result<&mut Entry, StateError> {
        use alloy_primitives::map::Entry::{Occupied, Vacant};
        match self.accounts.entry(address) {
            Occupied(entry) => Ok(entry.into_mut()),
            Vacant(entry) => {
                let found = self.view.account_and_storage(&address)?;
                let original = found.map(|(account, _)| account);
                let has_stored = found.is_some_and(|(_, has_stored)| has_stored);
                Ok(entry.insert(Entry { original, current: original, has_stored, ..Entry::default() }))
            }
        }
    }

    /// The account as it stands now.
    pub(crate) fn account(&mut self, address: Address) -> Result<Option<Account>, StateError> {
        Ok(self.entry(address)?.current)
    }

    fn has_storage(&mut self, address: Address) -> Result<bool, StateError> {
        let entry = self.entry(address)?;
        let written = entry.slots.values().any(|slot| !slot.current.is_zero());
        Ok(written || (entry.has_stored && !entry.wiped))
    }

    /// Adds to a balance; an account that is not there is made.
    pub(crate) fn credit(&mut self, address: Address, amount: U256) -> Result<(), StateError> {
        let account = self.entry(address)?.current.get_or_insert_default();
        account.balance = account.balance.saturating_add(amount);
        Ok(())
    }

    /// Takes the accounts a transaction touched.
    pub(crate) fn commit(&mut self, touched: impl Iterator<Item = (Address, TouchedAccount)>) {
        for (address, account) in touched {
            if account.is_selfdestructed() {
                self.accounts.entry(address).or_default().remove();
            } else if account.is_touched() {
                self.commit_account(address, account);
            }
        }
    }

    fn commit_account(&mut self, address: Address, account: TouchedAccount) {
        let entry = self.accounts.entry(address).or_default();
        if account.is_created() {
            entry.wipe();
        } else if account.is_empty() {
            // EIP-161. Before that fork revm does not show us empty accounts as touched, or calls them created.
            entry.remove();
            return;
        }
        let info = account.info;
        if let Some(code) = info.code.filter(|_| entry.code_hash() != info.code_hash) {
            self.codes.entry(info.code_hash).or_insert(code);
        }
        let code_hash = if info.code_hash == OCCUPIED { KECCAK256_EMPTY } else { info.code_hash };
        entry.current = Some(Account { nonce: info.nonce, balance: info.balance, code_hash });
        entry.store(account.storage);
    }

    /// What a transaction does to the accounts it touched, as a delta on the state before it. Nothing is taken.
    pub(crate) fn delta<'t>(
        &self,
        touched: impl Iterator<Item = (&'t Address, &'t TouchedAccount)>,
    ) -> StateChanges {
        let mut changes = StateChanges::default();
        for (address, account) in touched.filter(|(_, account)| account.is_touched()) {
            let removed = account.is_selfdestructed() || (account.is_empty() && !account.is_created());
            if removed {
                let change = AccountChange { storage_wiped: true, ..AccountChange::default() };
                changes.accounts.insert(*address, change);
                continue;
            }
            let info = &account.info;
            let code_hash = if info.code_hash == OCCUPIED { KECCAK256_EMPTY } else { info.code_hash };
            let known = self.accounts.get(address).map_or(KECCAK256_EMPTY, Entry::code_hash);
            if let Some(code) =
                info.code.as_ref().filter(|_| code_hash != known && code_hash != KECCAK256_EMPTY)
            {
                changes.codes.insert(code_hash, code.original_bytes());
            }
            let slots = account.storage.iter().filter(|(_, slot)| slot.is_changed());
            let change = AccountChange {
                account: Some(Account { nonce: info.nonce, balance: info.balance, code_hash }),
                storage_wiped: account.is_created(),
                storage: slots.map(|(key, slot)| (*key, slot.present_value())).collect(),
            };
            changes.accounts.insert(*address, change);
        }
        changes
    }

    /// Everything that differs from the view. An account or slot that ends as it began is left out, so that the
    /// delta is the same whatever way led there.
    pub(crate) fn into_changes(self) -> StateChanges {
        let mut changes = StateChanges::default();
        for (address, entry) in self.accounts {
            let code_before = entry.original.map_or(KECCAK256_EMPTY, |account| account.code_hash);
            let Some(change) = entry.into_change() else { continue };
            let code_hash = change.account.map_or(KECCAK256_EMPTY, |account| account.code_hash);
            if code_hash != code_before
                && code_hash != KECCAK256_EMPTY
                && let Some(code) = self.codes.get(&code_hash)
            {
                changes.codes.insert(code_hash, code.original_bytes());
            }
            changes.accounts.insert(address, change);
        }
        changes
    }

    /// Sets what the caller of `eth_call` wants different: see [`crate::AccountOverride`].
    pub(crate) fn replace_account(&mut self, address: Address, account: Account) -> Result<(), StateError> {
        self.entry(address)?.current = Some(account);
        Ok(())
    }

    /// Makes code known and gives its hash.
    pub(crate) fn add_code(&mut self, code: &Bytes) -> B256 {
        let hash = keccak256(code);
        self.codes.insert(hash, analysed(code.clone()));
        hash
    }

    /// Forgets everything an account has stored.
    pub(crate) fn wipe_storage(&mut self, address: Address) -> Result<(), StateError> {
        self.entry(address)?.wipe();
        Ok(())
    }

    /// Sets one slot.
    pub(crate) fn set_storage(
        &mut self,
        address: Address,
        slot: U256,
        value: U256,
    ) -> Result<(), StateError> {
        self.entry(address)?.slots.entry(slot).or_default().current = value;
        Ok(())
    }

    /// Sets the answers of `BLOCKHASH` for these heights.
    pub(crate) fn set_block_hashes(&mut self, hashes: BTreeMap<u64, B256>) {
        self.block_hashes = hashes;
    }
}

impl Entry {
    fn code_hash(&self) -> B256 {
        self.current.map_or(KECCAK256_EMPTY, |account| account.code_hash)
    }

    fn wipe(&mut self) {
        self.wiped = true;
        self.slots.clear();
    }

    fn remove(&mut self) {
        self.wipe();
        self.current = None;
    }

    fn store(&mut self, storage: EvmStorage) {
        for (key, slot) in storage {
            if slot.is_changed() {
                let original = slot.original_value();
                let entry = self.slots.entry(key).or_insert(Slot { original, current: original });
                entry.current = slot.present_value();
            }
        }
    }

    fn into_change(self) -> Option<AccountChange> {
        // Where the view has no account there is nothing to wipe.
        let storage_wiped = self.wiped && self.original.is_some();
        let storage: BTreeMap<U256, U256> = self
            .slots
            .into_iter()
            .filter(
                |(_, slot)| if self.wiped { !slot.current.is_zero() } else { slot.current != slot.original },
            )
            .map(|(key, slot)| (key, slot.current))
            .collect();
        if self.current == self.original && !storage_wiped && storage.is_empty() {
            return None;
        }
        Some(AccountChange { account: self.current, storage_wiped, storage })
    }
}

impl Database for Overlay<'_> {
    type Error = ReadError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, ReadError> {
        let Some(account) = self.entry(address)?.current else { return Ok(None) };
        let occupied =
            account.nonce == 0 && account.code_hash == KECCAK256_EMPTY && self.has_storage(address)?;
        Ok(Some(AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: if occupied { OCCUPIED } else { account.code_hash },
            code: None,
            account_id: None,
        }))
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, ReadError> {
        if code_hash == KECCAK256_EMPTY || code_hash == OCCUPIED {
            return Ok(Bytecode::default());
        }
        if let Some(code) = self.codes.get(&code_hash) {
            return Ok(code.clone());
        }
        let bytes = self.view.code(&code_hash)?;
        if bytes.is_empty() {
            return Err(StateError::Store(format!("the code with hash {code_hash} is missing")).into());
        }
        let code = analysed(bytes);
        self.codes.insert(code_hash, code.clone());
        Ok(code)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, ReadError> {
        let view = self.view;
        let entry = self.entry(address)?;
        if let Some(known) = entry.slots.get(&slot) {
            return Ok(known.current);
        }
        if entry.wiped || entry.original.is_none() {
            return Ok(U256::ZERO);
        }
        let value = view.storage(&address, &slot)?;
        entry.slots.insert(slot, Slot { original: value, current: value });
        Ok(value)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, ReadError> {
        if let Some(hash) = self.block_hashes.get(&number) {
            return Ok(*hash);
        }
        Ok(self.view.block_hash(number)?)
    }
}

/// Code that looks like a delegation (EIP-7702) but is none runs as any other.
fn analysed(bytes: Bytes) -> Bytecode {
    Bytecode::new_raw_checked(bytes.clone()).unwrap_or_else(|_| Bytecode::new_legacy(bytes))
}
