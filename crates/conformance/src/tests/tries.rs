//! TrieTests, as far as their keys are hashed, which all keys of a state are.

use super::read;
use alloy_primitives::{B256, hex, keccak256};
use lonja_storage::MemoryKv;
use lonja_storage::trie::{TrieStore, Update, build, update};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Deserialize)]
struct Test {
    #[serde(rename = "in")]
    entries: Value,
    root: B256,
}

fn bytes(text: &str) -> Vec<u8> {
    match text.strip_prefix("0x") {
        Some(digits) => hex::decode(digits).unwrap(),
        None => text.as_bytes().to_vec(),
    }
}

/// What is in the trie in the end: pairs in order, of which the last counts, or an object.
fn leaves(entries: &Value) -> BTreeMap<B256, Vec<u8>> {
    let pairs: Vec<(&str, Option<&str>)> = match entries {
        Value::Array(pairs) => {
            pairs.iter().map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str())).collect()
        }
        object => {
            let entries = object.as_object().unwrap().iter();
            entries.map(|(key, value)| (key.as_str(), value.as_str())).collect()
        }
    };
    let mut leaves = BTreeMap::new();
    for (key, value) in pairs {
        match value {
            Some(value) => leaves.insert(keccak256(bytes(key)), bytes(value)),
            None => leaves.remove(&keccak256(bytes(key))),
        };
    }
    leaves
}

#[test]
fn tries_have_the_roots_of_the_tests() {
    let files = ["hex_encoded_securetrie_test", "trieanyorder_secureTrie", "trietest_secureTrie"];
    for file in files {
        let tests: BTreeMap<String, Test> =
            serde_json::from_str(&read(&format!("trie/{file}.json"))).unwrap();
        assert!(!tests.is_empty());
        for (name, test) in tests {
            let leaves = leaves(&test.entries);
            let sorted: Vec<(B256, Cow<'_, [u8]>)> =
                leaves.iter().map(|(key, value)| (*key, Cow::Borrowed(value.as_slice()))).collect();
            assert_eq!(build(&sorted).0, test.root, "{file} {name}: built");
            let updates: Vec<Update<'_>> = leaves
                .iter()
                .map(|(key, value)| Update { key: *key, value: Some(value), existed: false })
                .collect();
            let tries = TrieStore::new(Arc::new(MemoryKv::new()));
            assert_eq!(update(&tries.accounts(), &updates).unwrap().0, test.root, "{file} {name}: updated");
        }
    }
}
