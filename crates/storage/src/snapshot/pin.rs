//! A state held still, to be read by others in parts.

use super::part::{Part, PartId, WholeAccount};
use crate::codec::{FlatAccount, decode_slot};
use crate::trie::{Trie, TrieSnapshot, prove_part};
use crate::{Head, Reader, StoreError, Table};
use alloy_primitives::{B256, Bytes, U256};
use alloy_trie::EMPTY_ROOT_HASH;
use std::time::{Duration, Instant};

/// Most accounts or slots in one answer, and their bytes, about: so long that asking costs little, so short that a
/// part that is thrown away costs little too.
const PART_LEAVES: usize = 4096;
const PART_BYTES: usize = 1 << 20;
/// Storages up to this size travel with their account.
const SMALL_STORAGE: usize = 64;
/// What an account or slot takes in an answer, about.
const ACCOUNT_BYTES: usize = 80;
const SLOT_BYTES: usize = 66;
/// A block is durable, and so told to others, this long after it was written at most.
const DURABLE_WITHIN: Duration = Duration::from_secs(10);
const DURABLE_PAUSE: Duration = Duration::from_millis(5);

/// The state after one block for as long as this is kept. What is overwritten meanwhile takes space on the disk.
pub struct Pinned<'a> {
    block: Head,
    tries: TrieSnapshot<'a>,
}

impl Reader {
    /// Holds the newest state. Waits until its block is durable.
    pub fn pin(&self) -> Result<Pinned<'_>, StoreError> {
        let (number, tries) = self.trie_snapshot(self.head().number)?;
        let until = Instant::now() + DURABLE_WITHIN;
        while self.head().number < number && Instant::now() < until {
            std::thread::sleep(DURABLE_PAUSE);
        }
        match self.header(number)? {
            Some(header) => Ok(Pinned { block: Head { number, hash: header.hash() }, tries }),
            None => Err(StoreError::Unavailable(format!("block {number} was not made durable in time"))),
        }
    }

    /// A code by its hash.
    pub fn code(&self, hash: &B256) -> Result<Option<Bytes>, StoreError> {
        Ok(self.kv.get(Table::Codes, hash.as_slice())?.map(Bytes::from))
    }
}

impl Pinned<'_> {
    /// The block it is the state after.
    pub fn block(&self) -> Head {
        self.block
    }

    /// A part of the state; `None` for slots of an account that is not there.
    pub fn part(&self, id: &PartId) -> Result<Option<Part>, StoreError> {
        match id.owner {
            None => self.accounts(id).map(Some),
            Some(owner) if self.account(&owner)?.is_none() => Ok(None),
            Some(owner) => self.slots(&owner, id).map(Some),
        }
    }

    fn account(&self, key: &B256) -> Result<Option<FlatAccount>, StoreError> {
        let stored = self.tries.kv().get(Table::Accounts, key.as_slice())?;
        stored.map(|stored| FlatAccount::decode(&stored)).transpose()
    }

    fn accounts(&self, id: &PartId) -> Result<Part, StoreError> {
        let trie = self.tries.accounts();
        let Some(stored) = stored_part(&trie, id)? else { return Ok(Part::Split) };
        let mut bytes = stored.len() * ACCOUNT_BYTES;
        let mut accounts = Vec::with_capacity(stored.len());
        for (key, stored) in stored {
            let flat = FlatAccount::decode(&stored)?;
            let slots = match flat.storage_root == EMPTY_ROOT_HASH {
                true => Some(Vec::new()),
                false if bytes > PART_BYTES => None,
                false => self.small_storage(&key)?,
            };
            bytes += slots.as_ref().map_or(0, |slots| slots.len() * SLOT_BYTES);
            accounts.push(WholeAccount { key, flat, slots });
        }
        Ok(Part::Accounts { proof: prove_part(&trie, &id.prefix)?, accounts })
    }

    fn slots(&self, owner: &B256, id: &PartId) -> Result<Part, StoreError> {
        let trie = self.tries.storage(*owner);
        let Some(stored) = stored_part(&trie, id)? else { return Ok(Part::Split) };
        Ok(Part::Slots { proof: prove_part(&trie, &id.prefix)?, slots: decode_slots(stored)? })
    }

    fn small_storage(&self, owner: &B256) -> Result<Option<Vec<(B256, U256)>>, StoreError> {
        let whole = PartId::whole(Some(*owner));
        let stored = first_leaves(&self.tries.storage(*owner), &whole, SMALL_STORAGE)?;
        stored.map(decode_slots).transpose()
    }
}

type Stored = Vec<(B256, Vec<u8>)>;

/// What the flat table holds of a part; `None` where that is too much for an answer.
fn stored_part(trie: &Trie<'_>, id: &PartId) -> Result<Option<Stored>, StoreError> {
    first_leaves(trie, id, PART_LEAVES)
}

/// All that a part holds, unless it is more than `most`.
fn first_leaves(trie: &Trie<'_>, id: &PartId, most: usize) -> Result<Option<Stored>, StoreError> {
    let mut stored = Vec::new();
    trie.scan(&id.prefix, &mut |key, value| {
        stored.push((key, value.to_vec()));
        stored.len() <= most
    })?;
    Ok((stored.len() <= most).then_some(stored))
}

fn decode_slots(stored: Stored) -> Result<Vec<(B256, U256)>, StoreError> {
    stored.into_iter().map(|(key, value)| Ok((key, decode_slot(&value)?))).collect()
}
