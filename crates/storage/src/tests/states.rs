//! Any sequence of changes: roots, tables without garbage, every past state, proofs.

use super::*;
use crate::tables::{account_key, slot_hash};
use crate::{AccountProof, Batch, History, MemoryKv, ProofLimits, Table, Tuning};
use alloy_trie::proof::verify_proof;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

pub(crate) const ADDRESSES: u64 = 12;
pub(crate) const SLOTS: u64 = 20;

fn account_change() -> impl Strategy<Value = AccountChange> {
    let account = (0..4u64, 0..4u64).prop_map(|(nonce, balance)| account(nonce, balance));
    let slots =
        prop::collection::btree_map((0..SLOTS).prop_map(U256::from), (0..3u64).prop_map(U256::from), 0..10);
    (prop::option::weighted(0.8, account), prop::bool::weighted(0.2), slots)
        .prop_map(|(account, storage_wiped, storage)| AccountChange { account, storage_wiped, storage })
}

pub(crate) fn changes() -> impl Strategy<Value = StateChanges> {
    prop::collection::btree_map((0..ADDRESSES).prop_map(address), account_change(), 0..8)
        .prop_map(|accounts| StateChanges { accounts, codes: BTreeMap::new() })
}

pub(crate) fn tunings() -> impl Strategy<Value = Tuning> {
    let cache = || prop_oneof![Just(0u64), Just(4_000), Just(1 << 20)];
    let bytes = prop_oneof![Just(2_000u64), Just(1 << 20)];
    (cache(), cache(), 0..6u64, bytes).prop_map(|(trie_cache_bytes, state_cache_bytes, blocks, bytes)| {
        Tuning {
            trie_cache_bytes,
            state_cache_bytes,
            trie_lag_blocks: blocks,
            trie_lag_bytes: bytes,
            ..Tuning::default()
        }
    })
}

/// The flat tables hold just the model, and the tries just their branches, in memory and once written.
fn check_tables(kv: &MemoryKv, chain: &Chain) {
    let model = &chain.model;
    let tries = &chain.writer.tries;
    assert_eq!(kv.len(Table::Accounts), model.0.len());
    assert_eq!(kv.len(Table::Slots), model.0.values().map(|(_, slots)| slots.len()).sum::<usize>());
    let accounts: Vec<B256> = model.0.keys().map(account_key).collect();
    let mut stored = tries.accounts().paths().unwrap().len();
    assert_eq!(stored, count_branches(accounts.iter().copied()));
    stored = 0;
    for (address, (_, slots)) in &model.0 {
        let count = tries.storage(account_key(address)).paths().unwrap().len();
        assert_eq!(count, count_branches(slots.keys().map(slot_hash)));
        assert_eq!(tries.storage(account_key(address)).root().unwrap(), model.storage_root(address));
        stored += count;
    }
    let mut batch = Batch::default();
    tries.write_all(&mut batch);
    let written = kv.fork();
    written.write(batch).unwrap();
    assert_eq!(written.len(Table::StorageTrie), stored, "no trie without an account");
    assert_eq!(written.len(Table::AccountTrie), count_branches(accounts.into_iter()));
}

/// Branches of a trie: the places where neighbouring keys part.
fn count_branches(keys: impl Iterator<Item = B256>) -> usize {
    let keys: BTreeSet<Nibbles> = keys.map(Nibbles::unpack).collect();
    let keys: Vec<_> = keys.into_iter().collect();
    let parting = |pair: &[Nibbles]| pair[0].slice(..pair[0].common_prefix_length(&pair[1]));
    keys.windows(2).map(parting).collect::<BTreeSet<_>>().len()
}

pub(crate) fn limits(changes: usize) -> ProofLimits {
    ProofLimits { changes, until: Instant::now() + Duration::from_secs(600) }
}

fn proof(chain: &Chain, number: u64, address: &Address, slots: &[U256]) -> AccountProof {
    chain.reader.proof(number, address, slots, &limits(usize::MAX)).unwrap()
}

pub(crate) fn check_proof(proof: &AccountProof, model: &Model) {
    let account = model.trie_account(&proof.address);
    assert_eq!(proof.account, model.0.get(&proof.address).map(|(account, _)| *account));
    assert_eq!(proof.storage_root, account.map_or(EMPTY_ROOT_HASH, |account| account.storage_root));
    let path = Nibbles::unpack(account_key(&proof.address));
    verify_proof(model.root(), path, account.map(alloy_rlp::encode), &proof.proof).unwrap();
    for slot in &proof.storage {
        let held = model.0.get(&proof.address).and_then(|(_, slots)| slots.get(&slot.slot).copied());
        assert_eq!(slot.value, held.unwrap_or_default());
        let path = Nibbles::unpack(slot_hash(&slot.slot));
        verify_proof(proof.storage_root, path, held.map(alloy_rlp::encode), &slot.proof).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_blocks(
        genesis in changes(),
        blocks in prop::collection::vec((changes(), prop::bool::weighted(0.3)), 1..12),
        tuning in tunings(),
    ) {
        let kv = Arc::new(MemoryKv::with_tuning(tuning));
        let mut chain = Chain::with_genesis(kv.clone(), genesis);
        let addresses: Vec<_> = (0..=ADDRESSES).map(address).collect();
        let slots: Vec<_> = (0..=SLOTS).map(U256::from).collect();
        check_tables(&kv, &chain);
        for (changes, reopen) in &blocks {
            chain.commit_and_publish(changes);
            if *reopen {
                chain.reopen();
            }
            chain.model.check(&chain.writer.head_state(), &addresses, &slots);
            check_tables(&kv, &chain);
            for address in &addresses {
                check_proof(&proof(&chain, chain.reader.head().number, address, &slots), &chain.model);
            }
        }
        for (number, model) in (0..).zip(&chain.past) {
            model.check(&chain.reader.state_at(number).unwrap(), &addresses, &slots);
            for address in &addresses {
                check_proof(&proof(&chain, number, address, &slots), model);
            }
        }
    }
}

/// Competing proposals are prepared on the same state, and preparing one leaves no trace in another.
#[test]
fn preparing_writes_nothing() {
    let kv = Arc::new(MemoryKv::with_tuning(Tuning { trie_cache_bytes: 1 << 20, ..Tuning::default() }));
    let mut chain = Chain::new(kv.clone());
    for number in 0..40 {
        chain.commit_and_publish(&change(number, 1, &[(number, 1), (number + 1, 2)]));
    }
    let before: Vec<_> = Table::CHAIN.map(|table| kv.len(table)).into();
    let wanted = change(3, 9, &[(3, 0), (4, 7)]);
    let root = chain.writer.prepare(&wanted).unwrap().root;
    for number in 0..40 {
        chain.writer.prepare(&change(number, 5, &[(number, 0)])).unwrap();
    }
    assert_eq!(Table::CHAIN.map(|table| kv.len(table)).to_vec(), before);
    assert_eq!(chain.writer.prepare(&wanted).unwrap().root, root);
    chain.commit_and_publish(&wanted);
    check_tables(&kv, &chain);
}

/// Thousands of accounts in one block take the parallel paths.
#[test]
fn large_blocks() {
    let kv = Arc::new(MemoryKv::with_tuning(Tuning { trie_cache_bytes: 1 << 20, ..Tuning::default() }));
    let mut chain = Chain::new(kv.clone());
    let all = |from: u64, to: u64, nonce: u64| {
        let mut changes = StateChanges::default();
        for number in from..to {
            changes.merge(change(number, nonce + number % 3, &[(number % 5, nonce), (1, number % 2)]));
        }
        changes
    };
    chain.commit_and_publish(&all(0, 2_000, 1));
    let mut second = all(1_000, 2_500, 2);
    for number in (0..1_500).step_by(2) {
        second.accounts.insert(address(number), AccountChange::default());
    }
    chain.commit_and_publish(&second);
    check_tables(&kv, &chain);
    let addresses: Vec<_> = (0..2_500).map(address).collect();
    for number in 0..=2u64 {
        chain.past[number as usize].check(
            &chain.reader.state_at(number).unwrap(),
            &addresses,
            &[U256::from(1)],
        );
        let past = proof(&chain, number, &address(1_501), &[U256::from(1)]);
        check_proof(&past, &chain.past[number as usize]);
    }
}

#[test]
fn a_proof_that_is_too_much_work_says_so() {
    let mut chain = Chain::new(Arc::new(MemoryKv::new()));
    for number in 1..6 {
        chain.commit_and_publish(&change(number, 1, &[(number, 1)]));
    }
    chain.commit_and_publish(&change(0, 2, &[(7, 1), (8, 1), (9, 1)]));
    let ask = |number, changes| chain.reader.proof(number, &address(0), &[], &limits(changes));
    // One account and three slots since block 5, one more account since block 4.
    assert!(ask(5, 4).is_ok() && ask(4, 5).is_ok());
    let error = ask(4, 4).unwrap_err();
    assert!(
        matches!(&error, StoreError::TooMuchChanged { number: 4, why } if why == "more than 4"),
        "{error}"
    );
    assert!(!error.is_halt());
    assert_eq!(ask(7, 100), Err(StoreError::NotAvailable { number: 7, oldest: 0 }));
    let late = ProofLimits { changes: 100, until: Instant::now() - Duration::from_secs(1) };
    for nonce in 0..300 {
        chain.commit_and_publish(&change(1, nonce, &[]));
    }
    let error = chain.reader.proof(0, &address(0), &[], &late).unwrap_err();
    assert!(error.to_string().contains("too many for the time"), "{error}");
}

/// With a short history, proofs reach as far back as states do, and the trie can still be worked out again.
#[test]
fn proofs_within_a_short_history() {
    let tuning = Tuning {
        history: History::Last(2),
        trie_lag_blocks: 8,
        trie_lag_bytes: 1 << 20,
        ..Tuning::default()
    };
    let kv = Arc::new(MemoryKv::with_tuning(tuning));
    let mut chain = Chain::new(kv.clone());
    for number in 1..40 {
        chain.commit_and_publish(&change(number % 7, number, &[(number % 3, number)]));
        chain.reopen();
        for past in number.saturating_sub(2)..=number {
            check_proof(&proof(&chain, past, &address(1), &[U256::from(1)]), &chain.past[past as usize]);
        }
        if let Some(gone) = number.checked_sub(3) {
            let answer = chain.reader.proof(gone, &address(1), &[], &limits(100));
            assert_eq!(answer, Err(StoreError::NotAvailable { number: gone, oldest: gone + 1 }));
        }
    }
    assert!(kv.len(Table::Touched) < 12, "lists are forgotten with the history");
}

/// An account that changes nothing leaves no entry in the history.
#[test]
fn what_does_not_change_is_not_recorded() {
    let kv = Arc::new(MemoryKv::new());
    let mut chain = Chain::new(kv.clone());
    chain.commit_and_publish(&change(0, 1, &[(1, 1), (2, 0)]));
    assert!(kv.is_empty(Table::AccountHistory) && kv.is_empty(Table::SlotHistory));
    let gone = StateChanges {
        accounts: BTreeMap::from([(address(5), AccountChange::default())]),
        ..Default::default()
    };
    chain.commit_and_publish(&gone);
    assert!(kv.is_empty(Table::AccountHistory));
    chain.commit_and_publish(&change(0, 1, &[(1, 2)]));
    assert_eq!((kv.len(Table::AccountHistory), kv.len(Table::SlotHistory)), (1, 1));
}
