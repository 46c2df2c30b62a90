//! What was looked at in a state can be looked at in its witness, and nothing else.

use super::states::limits;
use super::{Chain, Model, address, change};
use crate::MemoryKv;
use crate::witness::{Recorder, WitnessState};
use alloy_primitives::{B256, Bytes, U256, keccak256};
use lonja_primitives::{Account, StateChanges, StateError, StateView};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

const CODE: Bytes = Bytes::from_static(&[0x60, 1]);

/// A few hundred accounts, some with storage and code.
fn chain() -> Chain {
    let mut genesis = StateChanges::default();
    for number in 0..300 {
        let slots: Vec<_> = (0..number % 40).map(|slot| (slot, number + slot)).collect();
        genesis.merge(change(number, 1 + number, &slots));
    }
    let code_hash = keccak256(&CODE);
    let contract = genesis.accounts.get_mut(&address(39)).and_then(|change| change.account.as_mut());
    contract.unwrap().code_hash = code_hash;
    genesis.codes.insert(code_hash, CODE);
    Chain::with_genesis(Arc::new(MemoryKv::new()), genesis)
}

/// An account, whether it has storage, and some of its slots.
type Seen = (Option<(Account, bool)>, Vec<U256>);

/// Looks at accounts and slots, there and not there.
fn look(state: &dyn StateView) -> Result<Vec<Seen>, StateError> {
    let one = |number: u64| {
        let address = address(number);
        let found = state.account_and_storage(&address)?;
        assert_eq!(state.account(&address)?, found.map(|(account, _)| account));
        assert_eq!(state.has_storage(&address)?, found.is_some_and(|(_, has)| has));
        let slots = (0..50).step_by(7).map(|slot| state.storage(&address, &U256::from(slot)));
        if let Some((account, _)) = found {
            state.code(&account.code_hash)?;
        }
        Ok((found, slots.collect::<Result<_, _>>()?))
    };
    [0, 1, 39, 40, 120, 299, 300, 5_000].into_iter().map(one).collect()
}

fn witness(chain: &Chain, number: u64) -> (B256, Vec<Bytes>, Vec<Bytes>) {
    let state = chain.reader.state_at(number).unwrap();
    let recorder = Recorder::new(&state);
    look(&recorder).unwrap();
    let looked = recorder.looked();
    assert!(!looked.block_hash && looked.accounts.len() == 8 && looked.codes.len() == 1, "{looked:?}");
    let nodes = chain.reader.witness(number, &looked.accounts, &limits(usize::MAX)).unwrap();
    let root = chain.reader.header(number).unwrap().unwrap().state_root;
    (root, nodes, looked.codes.into_values().collect())
}

#[test]
fn a_witness_tells_what_the_state_tells_now_and_later() {
    let mut chain = chain();
    let expected = look(&chain.reader.state_at(0).unwrap()).unwrap();
    let (root, nodes, codes) = witness(&chain, 0);
    assert_eq!(nodes.iter().collect::<BTreeSet<_>>().len(), nodes.len(), "each node once");
    assert_eq!(look(&WitnessState::new(root, nodes, codes)).unwrap(), expected);
    let changes = change(299, 77, &[(0, 0), (7, 99), (700, 1)]);
    chain.commit_and_publish(&changes);
    let (root, nodes, codes) = witness(&chain, 0);
    assert_eq!(look(&WitnessState::new(root, nodes, codes)).unwrap(), expected, "the past");
    let now = witness(&chain, 1);
    assert_ne!(look(&WitnessState::new(now.0, now.1, now.2)).unwrap(), expected);
}

#[test]
fn whatever_is_taken_away_or_changed_is_missed() {
    let chain = chain();
    let (root, nodes, codes) = witness(&chain, 0);
    for index in 0..nodes.len() {
        let mut fewer = nodes.clone();
        fewer.remove(index);
        let error = look(&WitnessState::new(root, fewer, codes.clone())).unwrap_err();
        assert!(error.to_string().contains("is missing"), "{error}");
        let mut other = nodes.clone();
        let mut bytes = other[index].to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        other[index] = bytes.into();
        assert!(look(&WitnessState::new(root, other, codes.clone())).is_err());
    }
    let other_code = vec![Bytes::from_static(&[0x60, 2])];
    assert!(look(&WitnessState::new(root, nodes.clone(), other_code)).is_err(), "another code");
    assert!(look(&WitnessState::new(root, nodes.clone(), vec![])).is_err(), "no code");
    assert!(look(&WitnessState::new(B256::repeat_byte(1), nodes.clone(), codes.clone())).is_err());
    let state = WitnessState::new(root, nodes, codes);
    assert!(state.account(&address(77)).is_err(), "an account that nobody looked at");
    assert!(state.storage(&address(39), &U256::from(3)).is_err(), "a slot that nobody looked at");
    assert!(state.block_hash(0).is_err());
}

#[test]
fn an_empty_state_needs_no_nodes() {
    let state = WitnessState::new(Model::default().root(), vec![], vec![]);
    assert_eq!(state.account_and_storage(&address(1)), Ok(None));
    assert_eq!(state.storage(&address(1), &U256::ZERO), Ok(U256::ZERO));
}

proptest! {
    #[test]
    fn arbitrary_nodes_never_panic(nodes in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..8)) {
        let root = keccak256(&nodes[0]);
        let state = WitnessState::new(root, nodes.into_iter().map(Bytes::from).collect(), vec![]);
        let _ = state.account(&address(1));
        let _ = state.storage(&address(1), &U256::ZERO);
    }
}
