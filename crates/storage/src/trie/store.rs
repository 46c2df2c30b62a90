//! Where tries are read from, and how their changes reach the disk.
//!
//! A branch near the root changes with every block. So changed branches are held in memory and written every
//! few blocks, all of them in the batch of one block; opening the store works out again what was not written
//! ([`crate::trie::catch_up`]), from the lists of what each block touched.

use super::branch::{Branch, leaf_reference, root_of};
use super::update::Update;
use crate::codec::{FlatAccount, slot_leaf};
use crate::tables::prefix_end;
use crate::{Batch, Kv, KvRead, StoreError, Table};
use alloy_primitives::B256;
use alloy_primitives::map::HashMap;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use parking_lot::RwLock;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What happens to a branch: its path, and its new version or `None` where it goes.
pub type NodeChange = (Nibbles, Option<Arc<Branch>>);

/// A branch anywhere: the account whose storage trie it is in (zero for the account trie), and its path.
type Place = (B256, Nibbles);

type BranchCache = Cache<Place, Arc<Branch>, ByMemory>;

/// The tries of the newest state, as their writer has them.
pub struct TrieStore {
    kv: Arc<dyn Kv>,
    cache: Option<BranchCache>,
    unwritten: Arc<RwLock<Unwritten>>,
}

/// Changes that stand before what is stored. Bounded by [`crate::Tuning::trie_lag_bytes`].
#[derive(Clone, Default)]
struct Unwritten {
    branches: HashMap<Place, Option<Arc<Branch>>>,
    bytes: u64,
}

#[derive(Clone)]
struct ByMemory;

impl Weighter<Place, Arc<Branch>> for ByMemory {
    fn weight(&self, _: &Place, branch: &Arc<Branch>) -> u64 {
        memory_bytes(branch)
    }
}

/// About what a branch takes in the cache, for its first sizing only.
const TYPICAL_CACHED_BYTES: u64 = 500;

fn memory_bytes(branch: &Branch) -> u64 {
    (size_of::<Place>() + branch.memory_bytes()) as u64
}

impl TrieStore {
    /// Reads through `kv`, caching as it was tuned.
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        let bytes = kv.tuning().trie_cache_bytes;
        let items = usize::try_from(bytes / TYPICAL_CACHED_BYTES).unwrap_or(usize::MAX);
        let cache = (bytes > 0).then(|| Cache::with_weighter(items, bytes, ByMemory));
        Self { kv, cache, unwritten: Arc::default() }
    }

    /// For looking at the tries beside the writer.
    pub fn reader(&self) -> TrieReader {
        TrieReader { kv: self.kv.clone(), unwritten: self.unwritten.clone() }
    }

    /// The account trie.
    pub fn accounts(&self) -> Trie<'_> {
        self.trie(None)
    }

    /// The storage trie of an account, by the hash of its address.
    pub fn storage(&self, owner: B256) -> Trie<'_> {
        self.trie(Some(owner))
    }

    fn trie(&self, owner: Option<B256>) -> Trie<'_> {
        let (cache, unwritten) = (self.cache.as_ref(), &*self.unwritten);
        Trie { kv: &*self.kv, cache, unwritten, owner, in_parallel: true }
    }

    /// Bytes of changes that are not written.
    pub fn unwritten_bytes(&self) -> u64 {
        self.unwritten.read().bytes
    }

    /// Adds every change not written yet to a batch, in the order of the tables.
    pub fn write_all(&self, batch: &mut Batch) {
        let unwritten = self.unwritten.read();
        let mut changes: Vec<_> = unwritten.branches.iter().collect();
        changes.sort_unstable_by_key(|(place, _)| **place);
        for ((owner, path), branch) in changes {
            let owner = Some(*owner).filter(|owner| !owner.is_zero());
            self.trie(owner).write_one(path, branch.as_deref(), batch);
        }
    }

    /// Forgets every branch: what is stored counts from here on.
    pub(crate) fn clear(&self) {
        *self.unwritten.write() = Unwritten::default();
        if let Some(cache) = &self.cache {
            cache.clear();
        }
    }

    /// Must follow the write of [`TrieStore::write_all`].
    pub fn all_written(&self) {
        let mut unwritten = self.unwritten.write();
        let written = std::mem::take(&mut *unwritten);
        let Some(cache) = &self.cache else { return };
        for (place, branch) in written.branches {
            match branch {
                Some(branch) => cache.insert(place, branch),
                None => drop(cache.remove(&place)),
            }
        }
    }
}

/// Where readers get a [`TrieSnapshot`]. Cheap to clone.
#[derive(Clone)]
pub struct TrieReader {
    kv: Arc<dyn Kv>,
    unwritten: Arc<RwLock<Unwritten>>,
}

impl TrieReader {
    /// The tries as they are after one block, and that block. `settled` names the block that is completely
    /// written while no other is begun; `None` when it cannot, or can no more after the look.
    pub fn snapshot(&self, settled: impl Fn() -> Option<u64>) -> Option<(u64, TrieSnapshot<'_>)> {
        let unwritten = self.unwritten.read();
        let block = settled()?;
        let kv = self.kv.snapshot();
        // Some thousand pointers; a copy lets the writer go on at once.
        let unwritten = RwLock::new(unwritten.clone());
        (settled() == Some(block)).then_some((block, TrieSnapshot { kv, unwritten }))
    }
}

/// The tries after one block, for as long as one looks. Changes that are applied to it are seen by nobody
/// else.
pub struct TrieSnapshot<'a> {
    kv: Box<dyn KvRead + 'a>,
    unwritten: RwLock<Unwritten>,
}

impl TrieSnapshot<'_> {
    /// The flat state and the history after the same block.
    pub fn kv(&self) -> &dyn KvRead {
        &*self.kv
    }

    /// The account trie.
    pub fn accounts(&self) -> Trie<'_> {
        self.trie(None)
    }

    /// The storage trie of an account, by the hash of its address.
    pub fn storage(&self, owner: B256) -> Trie<'_> {
        self.trie(Some(owner))
    }

    /// One thread: the others are for the next block.
    fn trie(&self, owner: Option<B256>) -> Trie<'_> {
        Trie { kv: &*self.kv, cache: None, unwritten: &self.unwritten, owner, in_parallel: false }
    }
}

/// One trie.
#[derive(Clone, Copy)]
pub struct Trie<'a> {
    kv: &'a dyn KvRead,
    cache: Option<&'a BranchCache>,
    unwritten: &'a RwLock<Unwritten>,
    owner: Option<B256>,
    /// Whether large updates are shared among all processors.
    pub(super) in_parallel: bool,
}

impl Trie<'_> {
    /// Puts changes before what is stored: from here on they are what the trie holds.
    pub fn apply(&self, changes: &[NodeChange]) {
        let owner = self.owner.unwrap_or_default();
        let mut unwritten = self.unwritten.write();
        for (path, branch) in changes {
            let weight = |branch: &Option<Arc<Branch>>| branch.as_deref().map_or(0, memory_bytes) + 64;
            unwritten.bytes += weight(branch);
            if let Some(before) = unwritten.branches.insert((owner, *path), branch.clone()) {
                unwritten.bytes -= weight(&before);
            }
        }
    }

    fn table(&self) -> Table {
        if self.owner.is_some() { Table::StorageTrie } else { Table::AccountTrie }
    }

    fn key(&self, path: &Nibbles) -> Vec<u8> {
        let mut key = Vec::with_capacity(32 + path.len());
        key.extend_from_slice(self.owner.as_ref().map_or(&[], |owner| owner.as_slice()));
        key.extend(path.iter());
        key
    }

    /// The branch under a path.
    pub(super) fn branch(&self, path: &Nibbles) -> Result<Option<Arc<Branch>>, StoreError> {
        let place = (self.owner.unwrap_or_default(), *path);
        if let Some(unwritten) = self.unwritten.read().branches.get(&place) {
            return Ok(unwritten.clone());
        }
        if let Some(branch) = self.cache.and_then(|cache| cache.get(&place)) {
            return Ok(Some(branch));
        }
        let Some(bytes) = self.kv.get(self.table(), &self.key(path))? else { return Ok(None) };
        let branch = Arc::new(Branch::decode(&bytes)?);
        if let Some(cache) = self.cache {
            cache.insert(place, branch.clone());
        }
        Ok(Some(branch))
    }

    /// The branch that a parent says is there.
    pub(super) fn known_branch(&self, path: &Nibbles) -> Result<Arc<Branch>, StoreError> {
        self.branch(path)?.ok_or_else(|| self.missing("branch", path))
    }

    /// Key and value of the first leaf whose key begins with `path` and is not among `updates`, which are
    /// sorted.
    pub(super) fn leaf_under(
        &self,
        path: &Nibbles,
        updates: &[Update<'_>],
    ) -> Result<Option<(B256, Vec<u8>)>, StoreError> {
        let owner = self.owner.as_ref().map_or(&[][..], |owner| owner.as_slice());
        let mut from = [owner, &path.pack()].concat();
        let until = end_of(&from, path);
        loop {
            let Some((stored, value)) = self.kv.first_from(self.flat_table(), &from, until.as_deref())?
            else {
                return Ok(None);
            };
            let key = stored.strip_prefix(owner).and_then(|key| B256::try_from(key).ok());
            let key = key.ok_or_else(|| self.short_key())?;
            if updates.binary_search_by_key(&key, |update| update.key).is_err() {
                return Ok(Some((key, self.leaf_of(&value)?)));
            }
            from = stored;
            from.push(0);
        }
    }

    /// The leaf that a parent says is there.
    pub(super) fn known_leaf(&self, path: &Nibbles) -> Result<(B256, Vec<u8>), StoreError> {
        self.leaf_under(path, &[])?.ok_or_else(|| self.missing("leaf", path))
    }

    /// Visits what stands in the flat table under the keys that begin with `prefix`, in order, as it is stored,
    /// until `visit` answers `false`.
    pub fn scan(
        &self,
        prefix: &Nibbles,
        visit: &mut dyn FnMut(B256, &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let owner = self.owner.as_ref().map_or(&[][..], |owner| owner.as_slice());
        let from = [owner, &prefix.pack()].concat();
        let until = end_of(&from, prefix);
        let mut sound = true;
        self.kv.scan(self.flat_table(), &from, &mut |key, stored| {
            if until.as_deref().is_some_and(|until| key >= until) {
                return false;
            }
            match key.strip_prefix(owner).map(B256::try_from) {
                Some(Ok(key)) => visit(key, stored),
                // The next account's.
                None => false,
                Some(Err(_)) => {
                    sound = false;
                    false
                }
            }
        })?;
        match sound {
            true => Ok(()),
            false => Err(self.short_key()),
        }
    }

    /// The leaves whose keys begin with `prefix`, sorted, as the flat table has them.
    pub(super) fn leaves(&self, prefix: &Nibbles) -> Result<Vec<(B256, Cow<'static, [u8]>)>, StoreError> {
        let mut leaves = Vec::new();
        let mut fault = None;
        self.scan(prefix, &mut |key, stored| {
            match self.leaf_of(stored) {
                Ok(leaf) => leaves.push((key, Cow::Owned(leaf))),
                Err(error) => fault = Some(error),
            }
            fault.is_none()
        })?;
        fault.map_or(Ok(leaves), Err)
    }

    /// The leaf for what the flat table holds.
    fn leaf_of(&self, stored: &[u8]) -> Result<Vec<u8>, StoreError> {
        match self.owner {
            Some(_) => Ok(slot_leaf(stored)),
            None => Ok(FlatAccount::decode(stored)?.leaf()),
        }
    }

    fn flat_table(&self) -> Table {
        if self.owner.is_some() { Table::Slots } else { Table::Accounts }
    }

    fn short_key(&self) -> StoreError {
        StoreError::damaged(format!("a key of table {} is too short", self.flat_table().name()))
    }

    /// The paths of all branches.
    pub fn paths(&self) -> Result<BTreeSet<Nibbles>, StoreError> {
        let prefix = self.key(&Nibbles::new());
        let mut paths = BTreeSet::new();
        let mut sound = true;
        self.kv.scan(self.table(), &prefix, &mut |key, _| {
            let Some(path) = key.strip_prefix(prefix.as_slice()) else { return false };
            sound = path.len() < 64 && path.iter().all(|nibble| *nibble < 16);
            sound && paths.insert(Nibbles::from_nibbles_unchecked(path))
        })?;
        if !sound {
            return Err(StoreError::damaged(format!("a key of table {} is no path", self.table().name())));
        }
        let owner = self.owner.unwrap_or_default();
        for ((other, path), branch) in &self.unwritten.read().branches {
            match branch {
                _ if *other != owner => {}
                Some(_) => drop(paths.insert(*path)),
                None => drop(paths.remove(path)),
            }
        }
        Ok(paths)
    }

    /// The root, computed from the topmost node.
    pub fn root(&self) -> Result<B256, StoreError> {
        let top = Nibbles::new();
        if let Some(branch) = self.branch(&top)? {
            return Ok(root_of(&branch.node_reference()));
        }
        let leaf = self.leaf_under(&top, &[])?;
        Ok(leaf.map_or(EMPTY_ROOT_HASH, |(key, value)| root_of(&leaf_reference(&key, 0, &value))))
    }

    /// Adds changes to a batch.
    pub(crate) fn write(&self, changes: &[NodeChange], batch: &mut Batch) {
        changes.iter().for_each(|(path, branch)| self.write_one(path, branch.as_deref(), batch));
    }

    fn write_one(&self, path: &Nibbles, branch: Option<&Branch>, batch: &mut Batch) {
        match branch {
            Some(branch) => batch.put(self.table(), self.key(path), branch.encode()),
            None => batch.delete(self.table(), self.key(path)),
        }
    }

    pub(super) fn differs(&self, path: &Nibbles) -> StoreError {
        StoreError::damaged(format!("{} and what lies below it differ at path {path:?}", self.name()))
    }

    pub(super) fn missing(&self, what: &str, path: &Nibbles) -> StoreError {
        StoreError::damaged(format!("{what} at path {path:?} of {} is missing", self.name()))
    }

    fn name(&self) -> String {
        self.owner.map_or("the account trie".to_owned(), |owner| format!("the storage trie of {owner}"))
    }
}

/// The end of the range of keys that begin with these nibbles; `from` is the packed range start.
fn end_of(from: &[u8], path: &Nibbles) -> Option<Vec<u8>> {
    if path.len().is_multiple_of(2) {
        return prefix_end(from);
    }
    let (last, above) = from.split_last()?;
    match last.checked_add(0x10) {
        Some(next) => Some([above, &[next]].concat()),
        None => prefix_end(above),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_nibble_prefixes() {
        let end = |owner: &[u8], nibbles: &[u8]| {
            let path = Nibbles::from_nibbles(nibbles);
            end_of(&[owner, &path.pack()].concat(), &path)
        };
        assert_eq!(end(&[], &[1]), Some(vec![0x20]));
        assert_eq!(end(&[], &[0xf]), None);
        assert_eq!(end(&[], &[1, 2]), Some(vec![0x13]));
        assert_eq!(end(&[7], &[0xf, 0xf, 0xf]), Some(vec![8]));
        assert_eq!(end(&[7], &[]), Some(vec![8]));
        assert_eq!(end(&[], &[]), None);
    }
}
