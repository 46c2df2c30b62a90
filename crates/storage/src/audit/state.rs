//! A stretch of the state: the tries above it, its accounts, their storage and code. Of neither more than a bounded
//! number of rows is held, however large one contract is.

use super::Audit;
use crate::codec::FlatAccount;
use crate::tables::{prefix_end, slot_key};
use crate::trie::{Trie, TrieSnapshot, TrieStore, TrieWalk};
use crate::{KvRead, StoreError, Table};
use alloy_primitives::{B256, KECCAK256_EMPTY, U256, keccak256};
use alloy_trie::EMPTY_ROOT_HASH;
use std::collections::BTreeSet;

/// Accounts and slots compared in one piece: their accounts are held in memory meanwhile.
const ROWS_PER_SLICE: u64 = 8_192;

/// Where a look at the state goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The hashed account.
    pub account: B256,
    /// The hashed slot, where this account was begun.
    pub slot: Option<B256>,
}

/// What was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Accounts.
    pub accounts: u64,
    /// Storage slots.
    pub slots: u64,
    /// Where the next slice begins; `None` at the end.
    pub next: Option<Position>,
}

/// The tries of one state.
pub(crate) trait Tries {
    fn accounts(&self) -> Trie<'_>;
    fn storage(&self, owner: B256) -> Trie<'_>;
}

impl Tries for TrieStore {
    fn accounts(&self) -> Trie<'_> {
        self.accounts()
    }

    fn storage(&self, owner: B256) -> Trie<'_> {
        self.storage(owner)
    }
}

impl Tries for TrieSnapshot<'_> {
    fn accounts(&self) -> Trie<'_> {
        self.accounts()
    }

    fn storage(&self, owner: B256) -> Trie<'_> {
        self.storage(owner)
    }
}

/// A look at one state.
pub(crate) struct StateLook<'a> {
    pub(crate) kv: &'a dyn KvRead,
    pub(crate) tries: &'a dyn Tries,
}

impl Audit {
    /// All accounts whose hash begins with this byte.
    pub(super) fn look_at_part(&self, first: u8) -> Result<Slice, StoreError> {
        let look = StateLook { kv: &*self.kv, tries: &self.tries };
        let until = first.checked_add(1).map(|next| B256::right_padding_from(&[next]));
        let mut all = Slice::default();
        let mut at = Some(Position { account: B256::right_padding_from(&[first]), slot: None });
        while let Some(from) = at {
            let slice = look.slice(&from, until, ROWS_PER_SLICE)?;
            all.accounts += slice.accounts;
            all.slots += slice.slots;
            at = slice.next;
        }
        Ok(all)
    }
}

impl StateLook<'_> {
    /// Compares the topmost node with the root that a block's header says.
    pub(crate) fn check_root(&self, block: u64, expected: B256) -> Result<(), StoreError> {
        let root = self.tries.accounts().root()?;
        match root == expected {
            true => Ok(()),
            false => Err(StoreError::damaged(format!(
                "the state after block {block} has root {root}, but its header says {expected}"
            ))),
        }
    }

    /// Compares accounts from a position on and below `until`, with their storage and code: about `rows` accounts and
    /// as many slots.
    pub(crate) fn slice(&self, from: &Position, until: Option<B256>, rows: u64) -> Result<Slice, StoreError> {
        if let Some(slot) = from.slot {
            return self.rest_of_storage(&from.account, slot, until, rows);
        }
        let walked = TrieWalk::new(self.tries.accounts(), from.account, until, rows).check()?;
        let end = walked.next.or(until);
        let accounts = self.accounts(from.account, end, walked.leaves)?;
        let mut slice =
            Slice { next: walked.next.map(|account| Position { account, slot: None }), ..Slice::default() };
        let mut known_codes = BTreeSet::new();
        let mut free_from = from.account.to_vec();
        for (key, account) in accounts {
            if account.storage_root != EMPTY_ROOT_HASH {
                let left = rows.saturating_sub(slice.slots);
                if left == 0 {
                    slice.next = Some(Position { account: key, slot: None });
                    return Ok(slice);
                }
                self.expect_no_slots(&free_from, Some(key.as_slice()))?;
                let (slots, next) = self.look_at_storage(&key, account.storage_root, B256::ZERO, left)?;
                slice.slots += slots;
                if next.is_some() {
                    slice.next = Some(Position { account: key, slot: next });
                    return Ok(slice);
                }
                match prefix_end(key.as_slice()) {
                    Some(after) => free_from = after,
                    None => return Ok(slice),
                }
            }
            if known_codes.insert(account.account.code_hash) {
                self.look_at_code(&key, &account.account.code_hash)?;
            }
            slice.accounts += 1;
        }
        self.expect_no_slots(&free_from, end.as_ref().map(|end| end.as_slice()))?;
        Ok(slice)
    }

    /// The account may have changed since its first slots were compared: what is there now counts.
    fn rest_of_storage(
        &self,
        key: &B256,
        from: B256,
        until: Option<B256>,
        rows: u64,
    ) -> Result<Slice, StoreError> {
        let after = U256::from_be_bytes(key.0).checked_add(U256::ONE).map(B256::from);
        let leaves = TrieWalk::new(self.tries.accounts(), *key, after, 1).check()?.leaves;
        let account = self.accounts(*key, after, leaves)?.into_iter().next();
        let mut slice = Slice::default();
        if let Some((_, account)) = account {
            let (slots, next) = self.look_at_storage(key, account.storage_root, from, rows)?;
            slice.slots = slots;
            if next.is_some() {
                slice.next = Some(Position { account: *key, slot: next });
                return Ok(slice);
            }
            self.look_at_code(key, &account.account.code_hash)?;
            slice.accounts = 1;
        }
        let after = after.filter(|after| until.is_none_or(|until| *after < until));
        slice.next = after.map(|account| Position { account, slot: None });
        Ok(slice)
    }

    /// The accounts of a stretch, of which the trie holds so many.
    fn accounts(
        &self,
        from: B256,
        end: Option<B256>,
        leaves: u64,
    ) -> Result<Vec<(B256, FlatAccount)>, StoreError> {
        let mut accounts = Vec::new();
        let end = end.map(|end| end.to_vec());
        scan_range(self.kv, Table::Accounts, from.as_slice(), end, &mut |key, value| {
            let sound =
                B256::try_from(key).map_err(|_| StoreError::damaged("a key of an account is too short"))?;
            accounts.push((sound, FlatAccount::decode(value)?));
            Ok(accounts.len() as u64 <= leaves)
        })?;
        match accounts.len() as u64 == leaves {
            true => Ok(accounts),
            false => Err(StoreError::damaged(format!(
                "the account trie holds {leaves} accounts from hash {from} on where the flat state has {}{}",
                accounts.len(),
                if accounts.len() as u64 > leaves { " or more" } else { "" }
            ))),
        }
    }

    /// Compares slots from `from` on; answers their number, and where to go on.
    fn look_at_storage(
        &self,
        account: &B256,
        root: B256,
        from: B256,
        rows: u64,
    ) -> Result<(u64, Option<B256>), StoreError> {
        if root == EMPTY_ROOT_HASH {
            return Ok((0, None));
        }
        let trie = self.tries.storage(*account);
        let walked = TrieWalk::new(trie, from, None, rows).check()?;
        let end = match &walked.next {
            Some(next) => Some(slot_key(account, next).to_vec()),
            None => prefix_end(account.as_slice()),
        };
        let mut slots = 0;
        scan_range(self.kv, Table::Slots, &slot_key(account, &from), end, &mut |_, _| {
            slots += 1;
            Ok(slots <= walked.leaves)
        })?;
        let found = trie.root()?;
        if found != root || slots != walked.leaves {
            return Err(StoreError::damaged(format!(
                "account {account}: its storage has root {found} and {slots} slots from {from} on, but should have \
                 root {root} and {}",
                walked.leaves
            )));
        }
        Ok((slots, walked.next))
    }

    /// Between accounts that have storage no slot stands.
    fn expect_no_slots(&self, from: &[u8], until: Option<&[u8]>) -> Result<(), StoreError> {
        match self.kv.first_from(Table::Slots, from, until)? {
            None => Ok(()),
            Some((key, _)) => Err(StoreError::damaged(format!(
                "the flat state has slot {}, but its account has no storage",
                alloy_primitives::hex::encode(key)
            ))),
        }
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

/// Visits the entries of a range until `visit` answers `false` or an error.
fn scan_range(
    kv: &dyn KvRead,
    table: Table,
    from: &[u8],
    until: Option<Vec<u8>>,
    visit: &mut dyn FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let mut result = Ok(());
    kv.scan(table, from, &mut |key, value| {
        if until.as_deref().is_some_and(|until| key >= until) {
            return false;
        }
        match visit(key, value) {
            Ok(more) => more,
            Err(error) => {
                result = Err(error);
                false
            }
        }
    })?;
    result
}
