//! A part of the state: the tries above it, its accounts, their storage and code.

use super::Audit;
use crate::codec::FlatAccount;
use crate::tables::prefix_end;
use crate::trie::{Trie, TrieWalk};
use crate::{KvRead, StoreError, Table};
use alloy_primitives::{B256, KECCAK256_EMPTY, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use std::collections::BTreeSet;

/// Codes already compared, of those an audit remembers: most contracts share a few.
const CODES_REMEMBERED: usize = 4_096;

/// What was found in a part.
#[derive(Default)]
pub(super) struct Part {
    pub(super) accounts: u64,
    pub(super) slots: u64,
}

impl Audit {
    /// All accounts whose hash begins with this byte.
    pub(super) fn look_at_part(&self, first: u8) -> Result<Part, StoreError> {
        let within = Nibbles::unpack([first]);
        let mut part = Part::default();
        let mut known_codes = BTreeSet::new();
        let leaves = TrieWalk::new(self.tries.accounts(), within).check()?;
        let mut accounts = Vec::new();
        scan_prefix(&*self.kv, Table::Accounts, &[first], &mut |key, value| {
            accounts.push((B256::from_slice(key), FlatAccount::decode(value)?));
            Ok(())
        })?;
        part.accounts = accounts.len() as u64;
        if leaves != part.accounts {
            return Err(StoreError::damaged(format!(
                "the account trie holds {leaves} accounts whose hash begins with {first:02x}, the flat state {}",
                part.accounts
            )));
        }
        for (key, account) in accounts {
            part.slots += self.look_at_storage(&key, account.storage_root)?;
            let code_hash = account.account.code_hash;
            if !known_codes.contains(&code_hash) {
                self.look_at_code(&key, &code_hash)?;
            }
            if known_codes.len() < CODES_REMEMBERED {
                known_codes.insert(code_hash);
            }
        }
        let mut slots = 0;
        scan_prefix(&*self.kv, Table::Slots, &[first], &mut |_, _| {
            slots += 1;
            Ok(())
        })?;
        match slots == part.slots {
            true => Ok(part),
            false => Err(StoreError::damaged(format!(
                "the accounts whose hash begins with {first:02x} have {} slots, the flat state {slots}",
                part.slots
            ))),
        }
    }

    /// The number of slots.
    fn look_at_storage(&self, account: &B256, root: B256) -> Result<u64, StoreError> {
        let trie: Trie<'_> = self.tries.storage(*account);
        let mut slots = 0;
        scan_prefix(&*self.kv, Table::Slots, account.as_slice(), &mut |_, _| {
            slots += 1;
            Ok(())
        })?;
        let leaves = match root == EMPTY_ROOT_HASH {
            true => 0,
            false => TrieWalk::new(trie, Nibbles::new()).check()?,
        };
        let found = trie.root()?;
        if found != root || slots != leaves {
            return Err(StoreError::damaged(format!(
                "account {account}: its storage has root {found} and {slots} slots, but should have root {root} \
                 and {leaves}"
            )));
        }
        Ok(slots)
    }

    fn look_at_code(&self, account: &B256, hash: &B256) -> Result<(), StoreError> {
        if *hash == KECCAK256_EMPTY {
            return Ok(());
        }
        let code = self.kv.get(Table::Codes, hash.as_slice())?;
        match code.map(keccak256) {
            Some(found) if found == *hash => Ok(()),
            Some(found) => Err(StoreError::damaged(format!(
                "the code of account {account} has hash {found}, but should have {hash}"
            ))),
            None => Err(StoreError::damaged(format!("the code {hash} of account {account} is missing"))),
        }
    }
}

fn scan_prefix(
    kv: &dyn KvRead,
    table: Table,
    prefix: &[u8],
    visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let until = prefix_end(prefix);
    let mut result = Ok(());
    kv.scan(table, prefix, &mut |key, value| {
        if until.as_deref().is_some_and(|until| key >= until) {
            return false;
        }
        result = visit(key, value);
        result.is_ok()
    })?;
    result
}
