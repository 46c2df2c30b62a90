//! Where tries are read from: branches by path, and leaves from the flat state.

use super::branch::Branch;
use crate::codec::{FlatAccount, slot_leaf};
use crate::tables::prefix_end;
use crate::{Batch, Kv, StoreError, Table};
use alloy_primitives::B256;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;

/// What happens to a stored branch: its path, and its new version or `None` where it goes.
pub type NodeChange = (Nibbles, Option<Arc<Branch>>);

/// A branch anywhere: the account whose storage trie it is in (zero for the account trie), and its path.
type Place = (B256, Nibbles);

/// The stored tries of the newest state, with the branches used last held decoded.
pub struct TrieStore {
    kv: Arc<dyn Kv>,
    cache: Option<Cache<Place, Arc<Branch>, ByMemory>>,
}

#[derive(Clone)]
struct ByMemory;

impl Weighter<Place, Arc<Branch>> for ByMemory {
    fn weight(&self, _: &Place, branch: &Arc<Branch>) -> u64 {
        (size_of::<Place>() + branch.memory_bytes()) as u64
    }
}

/// About what a branch takes in the cache, for its first sizing only.
const TYPICAL_CACHED_BYTES: u64 = 500;

impl TrieStore {
    /// Reads through `kv`, caching as it was tuned.
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        let bytes = kv.tuning().trie_cache_bytes;
        let items = usize::try_from(bytes / TYPICAL_CACHED_BYTES).unwrap_or(usize::MAX);
        let cache = (bytes > 0).then(|| Cache::with_weighter(items, bytes, ByMemory));
        Self { kv, cache }
    }

    /// Reads through `kv` alone: for a reader beside the writer, whose cache is of another moment.
    pub fn uncached(kv: Arc<dyn Kv>) -> Self {
        Self { kv, cache: None }
    }

    /// The account trie.
    pub fn accounts(&self) -> Trie<'_> {
        Trie { store: self, owner: None }
    }

    /// The storage trie of an account, by the hash of its address.
    pub fn storage(&self, owner: B256) -> Trie<'_> {
        Trie { store: self, owner: Some(owner) }
    }

    /// Must follow the write of these changes, so that the cache stays what is stored.
    pub fn written(&self, owner: Option<B256>, changes: &[NodeChange]) {
        let Some(cache) = &self.cache else { return };
        let owner = owner.unwrap_or_default();
        for (path, branch) in changes {
            match branch {
                Some(branch) => cache.insert((owner, *path), branch.clone()),
                None => drop(cache.remove(&(owner, *path))),
            }
        }
    }
}

/// One trie of the newest state.
#[derive(Clone, Copy)]
pub struct Trie<'a> {
    store: &'a TrieStore,
    owner: Option<B256>,
}

impl Trie<'_> {
    fn table(&self) -> Table {
        if self.owner.is_some() { Table::StorageTrie } else { Table::AccountTrie }
    }

    fn key(&self, path: &Nibbles) -> Vec<u8> {
        let mut key = Vec::with_capacity(32 + path.len());
        key.extend_from_slice(self.owner.as_ref().map_or(&[], |owner| owner.as_slice()));
        key.extend(path.iter());
        key
    }

    /// The branch stored under a path.
    pub(super) fn branch(&self, path: &Nibbles) -> Result<Option<Arc<Branch>>, StoreError> {
        let place = (self.owner.unwrap_or_default(), *path);
        if let Some(branch) = self.store.cache.as_ref().and_then(|cache| cache.get(&place)) {
            return Ok(Some(branch));
        }
        let Some(bytes) = self.store.kv.get(self.table(), &self.key(path))? else { return Ok(None) };
        let branch = Arc::new(Branch::decode(&bytes)?);
        if let Some(cache) = &self.store.cache {
            cache.insert(place, branch.clone());
        }
        Ok(Some(branch))
    }

    /// The branch that a parent says is there.
    pub(super) fn known_branch(&self, path: &Nibbles) -> Result<Arc<Branch>, StoreError> {
        self.branch(path)?.ok_or_else(|| self.missing("branch", path))
    }

    /// Key and value of the first leaf whose key begins with `path`.
    pub(super) fn leaf_under(&self, path: &Nibbles) -> Result<Option<(B256, Vec<u8>)>, StoreError> {
        let table = if self.owner.is_some() { Table::Slots } else { Table::Accounts };
        let mut from = self.owner.as_ref().map_or(Vec::new(), |owner| owner.to_vec());
        let owner_bytes = from.len();
        from.extend_from_slice(&path.pack());
        let until = end_of(&from, path);
        let Some((key, value)) = self.store.kv.first_from(table, &from, until.as_deref())? else {
            return Ok(None);
        };
        let key = key.get(owner_bytes..).and_then(|key| B256::try_from(key).ok());
        let key =
            key.ok_or_else(|| StoreError::damaged(format!("a key of table {} is too short", table.name())))?;
        let leaf = if self.owner.is_some() { slot_leaf(&value) } else { FlatAccount::decode(&value)?.leaf() };
        Ok(Some((key, leaf)))
    }

    /// The leaf that a parent says is there.
    pub(super) fn known_leaf(&self, path: &Nibbles) -> Result<(B256, Vec<u8>), StoreError> {
        self.leaf_under(path)?.ok_or_else(|| self.missing("leaf", path))
    }

    /// The paths of all stored branches.
    pub fn paths(&self) -> Result<Vec<Nibbles>, StoreError> {
        let prefix = self.key(&Nibbles::new());
        let mut paths = Vec::new();
        self.store.kv.scan(
            self.table(),
            &prefix,
            &mut |key, _| match key.strip_prefix(prefix.as_slice()) {
                Some(path) => {
                    paths.push(path.to_vec());
                    true
                }
                None => false,
            },
        )?;
        let sound = |path: &Vec<u8>| path.iter().all(|nibble| *nibble < 16) && path.len() < 64;
        if !paths.iter().all(sound) {
            return Err(StoreError::damaged(format!("a key of table {} is no path", self.table().name())));
        }
        Ok(paths.into_iter().map(Nibbles::from_nibbles_unchecked).collect())
    }

    /// The root as stored, computed from the topmost node.
    pub fn root(&self) -> Result<B256, StoreError> {
        let top = Nibbles::new();
        if let Some(branch) = self.branch(&top)? {
            return Ok(super::branch::root_of(&branch.node_reference()));
        }
        let leaf = self.leaf_under(&top)?;
        let hash = |(key, value): (B256, Vec<u8>)| {
            super::branch::root_of(&super::branch::leaf_reference(&key, 0, &value))
        };
        Ok(leaf.map_or(EMPTY_ROOT_HASH, hash))
    }

    /// Adds changes to a batch.
    pub fn write(&self, changes: &[NodeChange], batch: &mut Batch) {
        for (path, branch) in changes {
            match branch {
                Some(branch) => batch.put(self.table(), self.key(path), branch.encode()),
                None => batch.delete(self.table(), self.key(path)),
            }
        }
    }

    fn missing(&self, what: &str, path: &Nibbles) -> StoreError {
        let whose =
            self.owner.map_or("the account trie".to_owned(), |owner| format!("the storage trie of {owner}"));
        StoreError::damaged(format!("{what} at path {path:?} of {whose} is missing"))
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
