//! Proofs of accounts and slots at any block whose state is kept (EIP-1186).
//!
//! The trie is stored for the newest state only. For an older block a snapshot of it is led back: every key that
//! was changed since gets the value it had, and the root must then be the one in that block's header. So the
//! work grows with what was changed since, and is limited.

use crate::codec::{FlatAccount, decode_slot, slot_leaf};
use crate::reader::Reader;
use crate::state::value_after;
use crate::tables::{account_key, slot_hash, slot_key};
use crate::touched::{self, Touched};
use crate::trie::{Trie, TrieSnapshot, Update, prove, update};
use crate::{KvRead, StoreError, Table};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_trie::EMPTY_ROOT_HASH;
use lonja_primitives::Account;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often a look at the tries is tried that falls between two blocks, and the pause before: together longer
/// than a block takes to be written.
const SNAPSHOT_ATTEMPTS: u32 = 400;
const SNAPSHOT_PAUSE: Duration = Duration::from_millis(5);

/// Keys between two looks at the clock.
const KEYS_PER_LOOK: usize = 256;

/// What `eth_getProof` answers (EIP-1186), at one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// The account's address.
    pub address: Address,
    /// The account; `None` when the proof shows that there is none.
    pub account: Option<Account>,
    /// Root of its storage trie; the empty root without an account.
    pub storage_root: B256,
    /// Nodes from the state root to the account.
    pub proof: Vec<Bytes>,
    /// The slots asked for, in that order.
    pub storage: Vec<SlotProof>,
}

/// One slot of an [`AccountProof`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotProof {
    /// The slot.
    pub slot: U256,
    /// Its value.
    pub value: U256,
    /// Nodes from the storage root to the slot.
    pub proof: Vec<Bytes>,
}

/// How much work a proof may be.
#[derive(Clone, Copy, Debug)]
pub struct ProofLimits {
    /// Accounts and slots that may have changed since the block. Each takes some hundred bytes of memory
    /// and some ten microseconds.
    pub changes: usize,
    /// When it is given up.
    pub until: Instant,
}

/// Hashed keys with the leaves that stood under them, sorted; `None` where there was none.
type Leaves = Vec<(B256, Option<Vec<u8>>)>;

impl Reader {
    /// Proofs of an account and some of its slots against the state root of a block. Errors: `NotAvailable`
    /// when the block's state is not kept, `TooMuchChanged` beyond the limits.
    pub fn proof(
        &self,
        number: u64,
        address: &Address,
        slots: &[U256],
        limits: &ProofLimits,
    ) -> Result<AccountProof, StoreError> {
        let header = self.header(number)?.ok_or_else(|| self.not_available(number))?;
        self.proof_against(header.state_root, number, address, slots, limits)
    }

    /// As [`Reader::proof`], given the state root of the block.
    pub(crate) fn proof_against(
        &self,
        root: B256,
        number: u64,
        address: &Address,
        slots: &[U256],
        limits: &ProofLimits,
    ) -> Result<AccountProof, StoreError> {
        let (newest, tries) = self.trie_snapshot(number)?;
        let key = account_key(address);
        let past = Past { kv: tries.kv(), number, limits };
        let touched = past.touched(newest, &key)?;
        let leaves = past.accounts(&touched)?;
        let proof = past.lead_back(&tries.accounts(), &leaves, root, &[key])?;
        let account = past.account(&key)?;
        let storage_root = account.map_or(EMPTY_ROOT_HASH, |account| account.storage_root);
        let storage = past.storage(&tries, &key, &touched, storage_root, slots)?;
        if self.oldest_state() > number {
            // Some of what was read may have been dropped already.
            return Err(self.not_available(number));
        }
        Ok(AccountProof {
            address: *address,
            account: account.map(|flat| flat.account),
            storage_root,
            proof: proof.into_iter().next().unwrap_or_default(),
            storage,
        })
    }

    fn not_available(&self, number: u64) -> StoreError {
        StoreError::NotAvailable { number, oldest: self.oldest_state() }
    }

    /// The tries between two blocks, not before `number`.
    pub(crate) fn trie_snapshot(&self, number: u64) -> Result<(u64, TrieSnapshot<'_>), StoreError> {
        if number < self.oldest_state() {
            return Err(self.not_available(number));
        }
        let settled = || {
            let written = self.progress.written.load(Ordering::SeqCst);
            (self.progress.begun.load(Ordering::SeqCst) == written).then_some(written)
        };
        for attempt in 0..SNAPSHOT_ATTEMPTS {
            if attempt > 0 {
                std::thread::sleep(SNAPSHOT_PAUSE);
            }
            if let Some(found) = self.tries.snapshot(settled) {
                return Ok(found);
            }
        }
        Err(StoreError::TooMuchChanged { number, why: "being written without a pause".to_owned() })
    }
}

/// A look back from an instant to the state after a block.
struct Past<'a> {
    kv: &'a dyn KvRead,
    number: u64,
    limits: &'a ProofLimits,
}

impl Past<'_> {
    /// The accounts that were changed since, and the slots of one of them.
    fn touched(&self, newest: u64, account: &B256) -> Result<Touched, StoreError> {
        let mut touched = Touched::default();
        let own = touched::beginning(account);
        let mut result = Ok(());
        let from = self.number.saturating_add(1).to_be_bytes();
        let mut blocks = 0usize;
        self.kv.scan(Table::Touched, &from, &mut |key, list| {
            if key > newest.to_be_bytes().as_slice() {
                return false;
            }
            blocks += 1;
            result = touched.add(list, |other| *other == own).and_then(|()| {
                let slots = touched.0.get(&own).map_or(0, BTreeSet::len);
                self.check(blocks, touched.0.len() + slots)
            });
            result.is_ok()
        })?;
        result.map(|()| touched)
    }

    fn account(&self, key: &B256) -> Result<Option<FlatAccount>, StoreError> {
        let tables = (Table::Accounts, Table::AccountHistory);
        let stored = value_after(self.kv, tables, key.as_slice(), self.number)?;
        stored.map(|bytes| FlatAccount::decode(&bytes)).transpose()
    }

    fn slot(&self, account: &B256, slot: &B256) -> Result<Option<Vec<u8>>, StoreError> {
        value_after(self.kv, (Table::Slots, Table::SlotHistory), &slot_key(account, slot), self.number)
    }

    fn accounts(&self, touched: &Touched) -> Result<Leaves, StoreError> {
        let mut leaves = Vec::with_capacity(touched.0.len());
        for beginning in touched.0.keys() {
            for key in touched::accounts(self.kv, beginning)? {
                leaves.push((key, self.account(&key)?.map(|account| account.leaf())));
            }
            self.check(leaves.len(), leaves.len())?;
        }
        Ok(leaves)
    }

    fn slots(&self, account: &B256, touched: &Touched) -> Result<Leaves, StoreError> {
        let mut leaves = Vec::new();
        for beginning in touched.0.get(&touched::beginning(account)).into_iter().flatten() {
            for key in touched::slots(self.kv, account, beginning)? {
                leaves.push((key, self.slot(account, &key)?.map(|stored| slot_leaf(&stored))));
            }
            self.check(leaves.len(), leaves.len())?;
        }
        Ok(leaves)
    }

    fn storage(
        &self,
        tries: &TrieSnapshot<'_>,
        account: &B256,
        touched: &Touched,
        root: B256,
        slots: &[U256],
    ) -> Result<Vec<SlotProof>, StoreError> {
        if slots.is_empty() || root == EMPTY_ROOT_HASH {
            let nothing = |slot: &U256| SlotProof { slot: *slot, value: U256::ZERO, proof: Vec::new() };
            return Ok(slots.iter().map(nothing).collect());
        }
        let leaves = self.slots(account, touched)?;
        let keys: Vec<B256> = slots.iter().map(slot_hash).collect();
        let proofs = self.lead_back(&tries.storage(*account), &leaves, root, &keys)?;
        let proofs = slots.iter().zip(keys).zip(proofs);
        let with_value = |((slot, key), proof): ((&U256, B256), Vec<Bytes>)| {
            let value = decode_slot(&self.slot(account, &key)?.unwrap_or_default())?;
            Ok(SlotProof { slot: *slot, value, proof })
        };
        proofs.map(with_value).collect()
    }

    /// Gives a trie the leaves it had, and proves keys in it.
    fn lead_back(
        &self,
        trie: &Trie<'_>,
        leaves: &Leaves,
        expected: B256,
        keys: &[B256],
    ) -> Result<Vec<Vec<Bytes>>, StoreError> {
        let updates: Vec<Update<'_>> = leaves
            .iter()
            .map(|(key, leaf)| Update { key: *key, value: leaf.as_deref(), existed: false })
            .collect();
        let (root, changes) = update(trie, &updates)?;
        if root != expected {
            return Err(StoreError::damaged(format!(
                "led back to block {}, a trie has root {root} where {expected} stood",
                self.number
            )));
        }
        trie.apply(&changes);
        keys.iter().map(|key| Ok(prove(trie, &updates, key)?.1)).collect()
    }

    /// Whether the work is still within its limits.
    fn check(&self, done: usize, changes: usize) -> Result<(), StoreError> {
        let number = self.number;
        if changes > self.limits.changes {
            let why = format!("more than {}", self.limits.changes);
            return Err(StoreError::TooMuchChanged { number, why });
        }
        if done.is_multiple_of(KEYS_PER_LOOK) && Instant::now() > self.limits.until {
            return Err(StoreError::TooMuchChanged { number, why: "too many for the time".to_owned() });
        }
        Ok(())
    }
}
