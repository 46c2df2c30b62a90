//! The stored trie against one built from scratch, on keys of any shape.

use super::*;
use crate::codec::{encode_slot, slot_leaf};
use crate::tables::slot_key;
use crate::{Batch, Kv, MemoryKv, StoreError, Table, Tuning};
use alloy_primitives::{B256, U256};
use alloy_trie::proof::verify_proof;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use proptest::prelude::*;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const OWNER: B256 = B256::repeat_byte(0x5a);

/// A storage trie on keys that are taken as they are, beside a plain map of what it should hold.
struct World {
    kv: Arc<MemoryKv>,
    tries: TrieStore,
    model: BTreeMap<B256, U256>,
}

impl World {
    fn new(trie_cache_bytes: u64) -> Self {
        let kv = Arc::new(MemoryKv::with_tuning(Tuning { trie_cache_bytes, ..Tuning::default() }));
        Self { tries: TrieStore::new(kv.clone()), kv, model: BTreeMap::new() }
    }

    /// Applies changes (zero deletes) to the trie, the flat table and the model, and compares all three.
    fn apply(&mut self, changes: &BTreeMap<B256, U256>) {
        let leaves: Vec<Vec<u8>> = changes.values().map(|value| slot_leaf(&encode_slot(value))).collect();
        let updates: Vec<Update<'_>> = changes
            .iter()
            .zip(&leaves)
            .map(|((key, value), leaf)| Update {
                key: *key,
                value: (!value.is_zero()).then_some(leaf.as_slice()),
                existed: self.model.contains_key(key),
            })
            .collect();
        let (root, nodes) = update(&self.tries.storage(OWNER), &updates).unwrap();
        let paths: BTreeSet<_> = nodes.iter().map(|(path, _)| *path).collect();
        assert_eq!(paths.len(), nodes.len(), "a path was changed twice");
        self.tries.storage(OWNER).apply(&nodes);
        let mut batch = Batch::default();
        self.tries.write_all(&mut batch);
        for (key, value) in changes {
            match value.is_zero() {
                true => batch.delete(Table::Slots, slot_key(&OWNER, key)),
                false => batch.put(Table::Slots, slot_key(&OWNER, key), encode_slot(value)),
            }
        }
        self.kv.write(batch).unwrap();
        self.tries.all_written();
        self.model.extend(changes);
        self.model.retain(|_, value| !value.is_zero());
        self.check(root);
    }

    fn check(&self, root: B256) {
        assert_eq!(root, alloy_trie::root::storage_root(self.model.clone()), "root");
        assert_eq!(self.tries.storage(OWNER).root().unwrap(), root, "stored root");
        let paths = self.tries.storage(OWNER).paths().unwrap();
        assert_eq!(paths, places_of_branches(&self.model), "places of stored branches");
        let leaves: Vec<_> = self
            .model
            .iter()
            .map(|(key, value)| (*key, Cow::Owned(slot_leaf(&encode_slot(value)))))
            .collect();
        let (built_root, built) = build(&leaves);
        assert_eq!(built_root, root, "root built from scratch");
        assert_eq!(built.len(), paths.len());
        let reader = self.tries.reader();
        let (_, uncached) = reader.snapshot(|| Some(0)).unwrap();
        for (path, branch) in built {
            assert_eq!(uncached.storage(OWNER).branch(&path).unwrap(), branch, "stored branch at {path:?}");
            assert_eq!(self.tries.storage(OWNER).branch(&path).unwrap(), branch, "cached branch at {path:?}");
        }
    }

    fn check_proof(&self, key: B256) {
        let (root, nodes) = prove(&self.tries.storage(OWNER), &[], &key).unwrap();
        assert_eq!(root, alloy_trie::root::storage_root(self.model.clone()));
        let value = self.model.get(&key).map(alloy_rlp::encode);
        let path = Nibbles::unpack(key);
        verify_proof(root, path, value.clone(), &nodes).unwrap();
        let wrong = if value.is_some() { None } else { Some(vec![1]) };
        assert!(verify_proof(root, path, wrong, &nodes).is_err());
    }
}

/// Where branches stand, from the keys alone: a branch is wherever two neighbours part, and it is stored just
/// below the next branch above it.
fn places_of_branches(keys: &BTreeMap<B256, U256>) -> BTreeSet<Nibbles> {
    let keys: Vec<Nibbles> = keys.keys().map(Nibbles::unpack).collect();
    let branches: BTreeSet<Nibbles> =
        keys.windows(2).map(|pair| pair[0].slice(..pair[0].common_prefix_length(&pair[1]))).collect();
    let place = |branch: &Nibbles| {
        let above = (0..branch.len()).rev().find(|length| branches.contains(&branch.slice(..*length)));
        above.map_or(Nibbles::new(), |length| branch.slice(..length + 1))
    };
    branches.iter().map(place).collect()
}

fn key(nibbles: &[(usize, u8)]) -> B256 {
    let mut key = [0; 32];
    for (index, nibble) in nibbles {
        key[index / 2] |= if index % 2 == 0 { nibble << 4 } else { *nibble };
    }
    B256::new(key)
}

/// Keys that differ from zero in at most three nibbles: they share prefixes of every length, which hashes
/// never do.
fn close_keys() -> impl Strategy<Value = B256> {
    prop::collection::vec((prop_oneof![0..4usize, 0..64usize, 60..64usize], 1..4u8), 0..3)
        .prop_map(|nibbles| key(&nibbles))
}

fn keys() -> impl Strategy<Value = B256> {
    prop_oneof![4 => close_keys(), 1 => any::<[u8; 32]>().prop_map(B256::new)]
}

fn values() -> impl Strategy<Value = U256> {
    prop_oneof![
        2 => Just(U256::ZERO),
        3 => (1..300u64).prop_map(U256::from),
        1 => any::<[u64; 4]>().prop_map(U256::from_limbs),
    ]
}

fn rounds() -> impl Strategy<Value = Vec<BTreeMap<B256, U256>>> {
    prop::collection::vec(prop::collection::btree_map(keys(), values(), 0..24), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn any_changes_give_the_trie_from_scratch(
        rounds in rounds(),
        cache in prop_oneof![Just(0u64), Just(3_000), Just(1 << 20)],
        ask in prop::collection::vec(keys(), 4),
    ) {
        let mut world = World::new(cache);
        for changes in rounds {
            world.apply(&changes);
            for key in ask.iter().chain(changes.keys()) {
                world.check_proof(*key);
            }
        }
        // What was inserted can be taken out again, to the last node.
        let rest: BTreeMap<_, _> = world.model.keys().map(|key| (*key, U256::ZERO)).collect();
        let half = rest.iter().step_by(2).map(|(key, value)| (*key, *value)).collect();
        world.apply(&half);
        world.apply(&rest);
        prop_assert!(world.kv.is_empty(Table::StorageTrie));
    }
}

/// Enough changes at once that the work is shared out.
#[test]
fn large_rounds_in_parallel() {
    let mut world = World::new(1 << 20);
    let hashed = |number: u64| alloy_primitives::keccak256(number.to_be_bytes());
    world.apply(&(0..2_000).map(|number| (hashed(number), U256::from(number + 1))).collect());
    world.apply(&(1_000..3_000).map(|number| (hashed(number), U256::from(number % 3))).collect());
    world.apply(&(0..3_000).map(|number| (hashed(number), U256::from(number % 2))).collect());
    for number in [0, 1, 1_500, 1_501, 2_999, 5_000] {
        world.check_proof(hashed(number));
    }
    world.apply(&(0..3_000).map(|number| (hashed(number), U256::ZERO)).collect());
    assert!(world.kv.is_empty(Table::StorageTrie));
}

#[test]
fn an_empty_trie() {
    let mut world = World::new(0);
    world.apply(&BTreeMap::new());
    world.check_proof(key(&[]));
    assert_eq!(prove(&world.tries.storage(OWNER), &[], &key(&[])).unwrap(), (EMPTY_ROOT_HASH, vec![]));
    world.apply(&BTreeMap::from([(key(&[(5, 1)]), U256::ZERO)]));
}

/// A branch whose child is gone from the store is damage, not an empty place.
#[test]
fn missing_nodes_and_leaves_are_damage() {
    let mut world = World::new(0);
    let keys = [key(&[(0, 1)]), key(&[(0, 2), (9, 1)]), key(&[(0, 2), (9, 2)])];
    world.apply(&keys.iter().map(|key| (*key, U256::from(1))).collect());
    let paths = world.tries.storage(OWNER).paths().unwrap();
    assert_eq!(paths, BTreeSet::from([Nibbles::new(), Nibbles::from_nibbles([2])]));
    let mut batch = Batch::default();
    batch.delete(Table::StorageTrie, [OWNER.as_slice(), &[2]].concat());
    batch.delete(Table::Slots, slot_key(&OWNER, &keys[0]));
    world.kv.write(batch).unwrap();
    let trie = world.tries.storage(OWNER);
    for (key, what) in [(keys[1], "branch"), (keys[0], "leaf")] {
        let error = prove(&trie, &[], &key).unwrap_err();
        assert!(matches!(&error, StoreError::Damaged(text) if text.contains(what)), "{error}");
    }
    let change = Update { key: keys[2], value: Some(&[2]), existed: true };
    assert!(matches!(update(&trie, &[change]), Err(StoreError::Damaged(_))));
}
