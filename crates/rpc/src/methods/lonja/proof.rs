//! Proofs of entries of the registry: which slots an entry stands in, and the nodes that lead to them.
//!
//! The slots follow from the registry's storage layout, which never changes: a mapping's entry begins at the hash of its
//! key and the mapping's slot.

use crate::context::Context;
use crate::error::RpcError;
use crate::methods::eth::{Slot, prove};
use alloy_primitives::{Address, B256, U256, keccak256};
use lonja_permissioning::registry::abi::REGISTRY;
use serde_json::{Value, json};

/// The registry's mappings, by their slots.
const MEMBERS_SLOT: u8 = 1;
const NODES_SLOT: u8 = 2;
const ACCOUNTS_SLOT: u8 = 3;

/// Words of a member before the list of its admins, whose length is the last.
const MEMBER_WORDS: u8 = 8;
/// Words of a node; in the last its endpoints, or their length.
const NODE_WORDS: u8 = 7;
/// Words of an account.
const ACCOUNT_WORDS: u8 = 2;

fn entry(key: B256, mapping: u8) -> U256 {
    keccak256([key, B256::with_last_byte(mapping)].concat()).into()
}

fn words(key: B256, mapping: u8, count: u8) -> Vec<U256> {
    let first = entry(key, mapping);
    (0..count).map(|word| first.wrapping_add(U256::from(word))).collect()
}

/// A member's words.
pub(super) fn member_slots(id: B256) -> Vec<U256> {
    words(id, MEMBERS_SLOT, MEMBER_WORDS)
}

/// A node's words, and its member's first one, which has the member's status.
pub(super) fn node_slots(key: B256, member: B256) -> Vec<U256> {
    let mut slots = words(key, NODES_SLOT, NODE_WORDS);
    slots.push(entry(member, MEMBERS_SLOT));
    slots
}

/// An account's words, and its member's first one.
pub(super) fn account_slots(address: Address, member: B256) -> Vec<U256> {
    let mut slots = words(address.into_word(), ACCOUNTS_SLOT, ACCOUNT_WORDS);
    slots.push(entry(member, MEMBERS_SLOT));
    slots
}

/// What `eth_getProof` gives for these slots of the registry, with the root that the proof leads to.
pub(super) fn registry_proof(context: &Context, number: u64, slots: &[U256]) -> Result<Value, RpcError> {
    let slots: Vec<Slot> = slots.iter().map(|slot| Slot { key: format!("{slot:#x}"), slot: *slot }).collect();
    let view = prove(context, number, REGISTRY, slots)?;
    let mut value = serde_json::to_value(view).map_err(|error| RpcError::Internal(error.to_string()))?;
    value["number"] = json!(number);
    value["stateRoot"] = json!(context.header(number)?.state_root);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layout that the compiler wrote down beside the code in use.
    #[test]
    fn slots_are_those_of_the_artifact() {
        let artifact: Value = serde_json::from_str(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../genesis/contracts/artifacts/Registry.json"
        )))
        .unwrap();
        let layout = &artifact["storageLayout"];
        let slot = |label: &str| {
            let variables = layout["storage"].as_array().unwrap();
            let variable = variables.iter().find(|variable| variable["label"] == label).unwrap();
            variable["slot"].as_str().unwrap().parse::<u8>().unwrap()
        };
        assert_eq!(
            [slot("members"), slot("nodes"), slot("accounts")],
            [MEMBERS_SLOT, NODES_SLOT, ACCOUNTS_SLOT]
        );
        let last = |name: &str, member: &str| {
            let members = layout["types"][format!("t_struct({name})_storage")]["members"].as_array().unwrap();
            let found = members.iter().find(|one| one["label"] == member).unwrap();
            (found["slot"].as_str().unwrap().parse::<u8>().unwrap(), members.last() == Some(found))
        };
        assert_eq!(last("Member", "admins"), (MEMBER_WORDS - 1, true));
        assert_eq!(last("Node", "endpoints"), (NODE_WORDS - 1, true));
        assert_eq!(last("Account", "memberId"), (ACCOUNT_WORDS - 1, true));
        assert_eq!((last("Member", "status").0, last("Node", "memberId").0), (0, 1));
    }
}
