//! The second pass on a chain in memory: parties with different payloads follow the same blocks.

mod extension;
mod protection;
mod replay;
mod world;

use super::*;
use crate::tests::network::{COUNTER, COUNTER_CODE, Draft, draft, sender};
use alloy_primitives::{Address, Bytes, U256};
use lonja_primitives::spec::{MARKER_PRECOMPILE, MarkerRule};
use lonja_primitives::{PayloadHash, StateView};
use lonja_ptm::Lookup;
use lonja_storage::private::Fate;
use world::*;

/// Deploys another counter.
fn counter_init() -> Bytes {
    let head = [0x60, COUNTER_CODE.len() as u8, 0x80, 0x60, 0x0b, 0x60, 0x00, 0x39, 0x60, 0x00, 0xf3];
    [head.as_slice(), &COUNTER_CODE].concat().into()
}

fn slot(party: &Party, contract: Address) -> U256 {
    party.state().storage(&contract, &U256::ZERO).unwrap()
}

#[test]
fn parties_execute_and_others_see_nothing() {
    let mut chain = chain();
    let (mut a, mut b, mut c) = (Party::new(&chain), Party::new(&chain), Party::new(&chain));
    let contract = sender(1).create(0);
    let (create, call) = (payload(1, counter_init()), payload(2, Bytes::from_static(b"x")));
    for party in [&mut a, &mut b] {
        party.has(&create);
        party.has(&call);
    }
    chain.submit(&[private(1, 0, None, &create), private(1, 1, Some(contract), &call), draft(2, 0)]);
    let block = chain.next_block();
    let public = chain.core.reader().header(block.number).unwrap().unwrap();
    assert_eq!(public.gas_used, block.executed.receipts.last().unwrap().cumulative_gas_used);
    for party in [&mut a, &mut b] {
        assert!(matches!(party.advance(), Advance::Moved { executed: 2, not_ours: 0, .. }));
        assert_eq!(party.advance(), Advance::UpToDate);
        assert_eq!(slot(party, contract), U256::ONE);
    }
    assert!(matches!(c.advance(), Advance::Moved { executed: 0, not_ours: 2, .. }));
    assert!(c.state().account(&contract).unwrap().is_none());
    assert_eq!(a.root(), b.root());
    assert_ne!(a.root(), c.root());
    assert!(chain.core.reader().state_at(block.number).unwrap().account(&contract).unwrap().is_none());
    let receipts = a.reader().receipts(block.number).unwrap();
    assert_eq!(receipts, b.reader().receipts(block.number).unwrap());
    assert!(receipts.iter().all(|(_, receipt)| receipt.success));
    assert_eq!(receipts[0].1.contract, Some(contract));
    assert_eq!(receipts[1].1.logs.len(), 1);
    assert!(a.reader().bloom_at(block.number).unwrap().is_some());
    assert!(c.reader().receipts(block.number).unwrap().is_empty());
}

#[test]
fn private_code_sees_the_public_state_as_of_its_own_transaction() {
    // Calls the public counter's slot by way of a reader contract, and notes what it says.
    let mut chain = chain();
    let mut a = Party::new(&chain);
    // PUSH20 COUNTER, BALANCE, PUSH1 0, SSTORE: notes the counter's balance.
    let code = [&[0x73][..], COUNTER.as_slice(), &[0x31, 0x60, 0x00, 0x55, 0x00]].concat();
    let init =
        [&[0x60, code.len() as u8, 0x80, 0x60, 0x0b, 0x60, 0x00, 0x39, 0x60, 0x00, 0xf3][..], &code].concat();
    let (create, call) = (payload(1, init.into()), payload(2, Bytes::from_static(b"x")));
    a.has(&create);
    a.has(&call);
    let contract = sender(1).create(0);
    chain.submit(&[private(1, 0, None, &create)]);
    chain.next_block();
    let pay = |nonce| draft(1, nonce).with(|tx| tx.value = U256::from(5));
    chain.submit(&[pay(1), private(1, 2, Some(contract), &call), pay(3)]);
    chain.next_block();
    a.catch_up();
    assert_eq!(slot(&a, contract), U256::from(5), "the payment before it, not the one behind it");
}

#[test]
fn a_missing_payload_makes_the_private_head_wait_and_the_public_one_go_on() {
    let mut chain = chain();
    let mut a = Party::new(&chain);
    let create = payload(1, counter_init());
    a.unavailable(&create, "no answer in 5 s");
    chain.submit(&[private(1, 0, None, &create)]);
    chain.next_block();
    for nonce in 0..3 {
        chain.submit(&[draft(2, nonce)]);
        chain.next_block();
    }
    let waiting = Waiting { number: 1, payload: create.0, reason: "no answer in 5 s".to_owned() };
    for _ in 0..3 {
        assert_eq!(a.advance(), Advance::Waiting(waiting.clone()));
        assert_eq!(a.follower.head().number, 0);
    }
    a.has(&create);
    a.catch_up();
    assert_eq!(a.follower.head().number, 4);
    assert!(a.state().account(&sender(1).create(0)).unwrap().is_some());
}

#[test]
fn what_is_erased_when_there_is_no_way_back_loses_what_it_gave() {
    let mut chain = chain_keeping(2);
    let mut a = Party::new(&chain);
    let contract = sender(1).create(0);
    let (create, call) = (payload(1, counter_init()), payload(2, Bytes::from_static(b"x")));
    a.has(&create);
    a.has(&call);
    chain.submit(&[private(1, 0, None, &create)]);
    chain.next_block();
    a.catch_up();
    chain.submit(&[private(1, 1, Some(contract), &call)]);
    let block = chain.next_block().number;
    a.catch_up();
    for nonce in 0..4 {
        chain.submit(&[draft(2, nonce)]);
        chain.next_block();
        a.catch_up();
    }
    assert_eq!(a.reader().receipts(block).unwrap().len(), 1);
    a.erased(&call);
    assert_eq!(a.follower.erased(&call.0).unwrap(), Arrived::TooOld(block));
    assert_eq!(a.reader().receipts(block).unwrap(), []);
    assert_eq!(a.reader().bloom_at(block).unwrap(), None);
    assert_eq!(a.reader().seen(&call.0).unwrap(), [(block, 0, Fate::Erased)]);
    assert_eq!(slot(&a, contract), U256::ONE, "what it did to the state stays");
    assert_eq!(a.follower.erased(&call.0).unwrap(), Arrived::InTime, "there is nothing left");
}

#[test]
fn a_late_payload_is_executed_from_its_block_on() {
    let mut chain = chain();
    let (mut a, mut late) = (Party::new(&chain), Party::new(&chain));
    let contract = sender(1).create(0);
    let payloads: Vec<_> =
        (0..4).map(|n| payload(n, if n == 0 { counter_init() } else { vec![n].into() })).collect();
    payloads.iter().for_each(|payload| a.has(payload));
    payloads.iter().skip(1).for_each(|payload| late.has(payload));
    for (nonce, payload) in (0u64..).zip(&payloads) {
        let to = (nonce > 0).then_some(contract);
        chain.submit(&[private(1, nonce, to, payload)]);
        chain.next_block();
    }
    a.catch_up();
    late.catch_up();
    assert_eq!((slot(&a, contract), slot(&late, contract)), (U256::from(3), U256::ZERO));
    assert_eq!(late.reader().seen(&payloads[0].0).unwrap(), [(1, 0, Fate::NotOurs)]);
    late.has(&payloads[0]);
    assert_eq!(late.follower.arrived(&payloads[0].0).unwrap(), Arrived::LedBack(0));
    late.catch_up();
    assert_eq!(late.root(), a.root());
    assert_eq!(late.follower.arrived(&payloads[0].0).unwrap(), Arrived::InTime);
    for number in 0..=4 {
        assert_eq!(a.reader().root_at(number).unwrap(), late.reader().root_at(number).unwrap());
    }
}

#[test]
fn past_states_are_read_and_a_reset_gives_the_same_again() {
    let mut chain = chain();
    let mut a = Party::new(&chain);
    let contract = sender(1).create(0);
    for nonce in 0..5u8 {
        let made = payload(nonce, if nonce == 0 { counter_init() } else { vec![nonce].into() });
        a.has(&made);
        chain.submit(&[private(1, u64::from(nonce), (nonce > 0).then_some(contract), &made)]);
        chain.next_block();
    }
    a.catch_up();
    let roots: Vec<_> = (0..=5).map(|number| a.reader().root_at(number).unwrap()).collect();
    for number in 1..=5u64 {
        let state = a.reader().state_at(number).unwrap();
        assert_eq!(state.storage(&contract, &U256::ZERO).unwrap(), U256::from(number - 1));
    }
    a.follower.reset().unwrap();
    assert_eq!(a.follower.head().number, 0);
    a.catch_up();
    assert_eq!((0..=5).map(|number| a.reader().root_at(number).unwrap()).collect::<Vec<_>>(), roots);
    let again = a.reopen(&chain);
    assert_eq!(again.follower.head().number, 5);
    assert_eq!(again.root(), a.root());
}

#[test]
fn an_erased_payload_is_passed_and_what_it_did_is_gone() {
    let mut chain = chain();
    let mut a = Party::new(&chain);
    let contract = sender(1).create(0);
    let (create, first, second) =
        (payload(1, counter_init()), payload(2, vec![1].into()), payload(3, vec![2].into()));
    [&create, &first, &second].into_iter().for_each(|payload| a.has(payload));
    chain.submit(&[private(1, 0, None, &create), private(1, 1, Some(contract), &first)]);
    chain.next_block();
    chain.submit(&[private(1, 2, Some(contract), &second)]);
    chain.next_block();
    a.catch_up();
    assert_eq!(slot(&a, contract), U256::from(2));
    a.erased(&first);
    assert_eq!(a.follower.erased(&first.0).unwrap(), Arrived::LedBack(0));
    a.catch_up();
    assert_eq!(slot(&a, contract), U256::ONE);
    assert_eq!(a.reader().seen(&first.0).unwrap(), [(1, 1, Fate::Erased)]);
    assert!(a.reader().receipt(1, 1).unwrap().is_none());
    assert!(a.reader().receipt(2, 0).unwrap().unwrap().success);
}

#[test]
fn markers_carry_private_transactions_whoever_signs_them() {
    for (rule, signer, runs) in [
        (MarkerRule::SameSigner, 1, true),
        (MarkerRule::SameSigner, 9, false),
        (MarkerRule::AnySigner, 9, true),
    ] {
        let mut chain = chain_with(rule);
        let (mut a, mut c) = (Party::new(&chain), Party::new(&chain));
        let create = payload(1, counter_init());
        let inner = private(1, 0, None, &create).transaction();
        let carried = payload(2, marker::encode(&inner).unwrap());
        a.has(&create);
        a.has(&carried);
        chain.submit(&[marker_draft(signer, 0, &carried)]);
        let block = chain.next_block();
        assert!(block.executed.receipts[0].success);
        a.catch_up();
        c.catch_up();
        let contract = sender(1).create(0);
        assert_eq!(a.state().account(&contract).unwrap().is_some(), runs, "{rule:?} by {signer}");
        assert!(c.state().account(&contract).unwrap().is_none());
        let receipt = a.reader().receipt(1, 0).unwrap();
        assert_eq!(receipt.is_some(), runs);
        if let Some(receipt) = receipt {
            assert!(receipt.success && receipt.inner.is_some() && receipt.contract == Some(contract));
        }
        assert_eq!(a.reader().seen(&carried.0).unwrap(), [(1, 0, Fate::Executed)]);
        assert_eq!(c.reader().seen(&carried.0).unwrap(), [(1, 0, Fate::NotOurs)]);
    }
}

#[test]
fn what_is_in_a_marker_runs_once() {
    let mut chain = chain_with(MarkerRule::AnySigner);
    let mut a = Party::new(&chain);
    let contract = sender(1).create(0);
    let (create, call) = (payload(1, counter_init()), payload(2, Bytes::from_static(b"x")));
    let inner = private(1, 1, Some(contract), &call).transaction();
    let carried = payload(3, marker::encode(&inner).unwrap());
    [&create, &call, &carried].into_iter().for_each(|payload| a.has(payload));
    chain.submit(&[private(1, 0, None, &create)]);
    chain.next_block();
    // By others, in the same block and in another one.
    chain.submit(&[marker_draft(7, 0, &carried), marker_draft(8, 0, &carried)]);
    chain.next_block();
    chain.submit(&[marker_draft(7, 1, &carried)]);
    chain.next_block();
    a.catch_up();
    assert_eq!(slot(&a, contract), U256::ONE);
    let before = a.root();
    a.follower.reset().unwrap();
    a.catch_up();
    assert_eq!(a.root(), before);
}

#[test]
fn a_payload_inside_of_a_marker_may_come_late_too() {
    let mut chain = chain();
    let mut a = Party::new(&chain);
    let create = payload(1, counter_init());
    let carried = payload(2, marker::encode(&private(1, 0, None, &create).transaction()).unwrap());
    a.has(&carried);
    chain.submit(&[marker_draft(5, 0, &carried)]);
    chain.next_block();
    a.catch_up();
    assert_eq!(a.reader().seen(&create.0).unwrap(), [(1, 0, Fate::NotOurs)]);
    a.has(&create);
    assert_eq!(a.follower.arrived(&create.0).unwrap(), Arrived::LedBack(0));
    a.catch_up();
    assert!(a.state().account(&sender(1).create(0)).unwrap().is_some());
}

#[test]
fn nonsense_in_a_marker_does_nothing() {
    let mut chain = chain();
    let mut a = Party::new(&chain);
    let public = marker::encode(&draft(1, 0).with(|tx| tx.to = COUNTER.into()).transaction());
    assert_eq!(public, None, "a public transaction cannot be put into one");
    let bad = [&b""[..], b"{}", b"null", b"[]", &[0xff; 100]];
    for (nonce, bytes) in (0u64..).zip(bad) {
        let carried = payload(nonce as u8, Bytes::copy_from_slice(bytes));
        a.has(&carried);
        chain.submit(&[marker_draft(5, nonce, &carried)]);
        chain.next_block();
    }
    a.catch_up();
    assert_eq!(a.follower.head().number, 5);
    assert!(a.reader().receipts(1).unwrap().is_empty());
}

#[test]
fn a_marker_payload_hides_its_length_and_comes_back() {
    let short = private(1, 0, None, &payload(1, Bytes::new())).transaction();
    let encoded = marker::encode(&short).unwrap();
    assert_eq!(encoded.len(), 1024);
    let decoded = marker::decode(&encoded, 1337).unwrap();
    assert_eq!((decoded.hash(), decoded.sender()), (*short.tx_hash(), sender(1)));
    assert!(matches!(marker::decode(&encoded[..100], 1337), Err(marker::MarkerError::Malformed(_))));
    let text = String::from_utf8(encoded.to_vec()).unwrap();
    let v = if text.contains(r#""v":"0x25""#) { r#""v":"0x25""# } else { r#""v":"0x26""# };
    let public = text.replacen(v, r#""v":"0x1b""#, 1);
    assert_eq!(marker::decode(public.as_bytes(), 1337).unwrap_err(), marker::MarkerError::NotPrivate);
    // As GoQuorum writes it, with a new line behind it.
    let theirs = text.trim_end().to_owned() + "\n";
    assert_eq!(marker::decode(theirs.as_bytes(), 1337).unwrap().hash(), *short.tx_hash());
}

#[test]
fn many_empty_blocks_are_passed_at_once() {
    let mut chain = chain();
    for _ in 0..5 {
        chain.next_block();
    }
    let mut a = Party::new(&chain);
    assert!(matches!(a.advance(), Advance::Moved { head, executed: 0, not_ours: 0 } if head.number == 5));
    assert_eq!(a.advance(), Advance::UpToDate);
}

#[test]
fn a_private_state_of_another_chain_is_refused() {
    let mut chain = chain();
    let mut other = chain.other_node();
    chain.submit(&[draft(1, 0)]);
    chain.next_block();
    other.next_block();
    let mut a = Party::new(&chain);
    a.catch_up();
    let error = PrivateFollower::open(a.store(), other.core.reader(), other.spec.clone()).err().unwrap();
    assert!(error.to_string().contains("not in this chain"), "{error}");
}

/// What a draft says is where a hash belongs, for the marker's own address.
fn marker_draft(key: u8, nonce: u64, carried: &(PayloadHash, Lookup)) -> Draft {
    draft(key, nonce).with(|tx| {
        tx.to = MARKER_PRECOMPILE.into();
        tx.input = Bytes::copy_from_slice(carried.0.as_slice());
    })
}

#[test]
fn a_newcomer_may_begin_later() {
    let mut chain = chain();
    let (create, contract) = (payload(1, counter_init()), sender(1).create(1));
    chain.submit(&[private(1, 0, None, &payload(9, counter_init()))]);
    chain.next_block();
    chain.submit(&[private(1, 1, None, &create)]);
    chain.next_block();
    let (mut newcomer, mut other) = (Party::new(&chain), Party::new(&chain));
    newcomer.has(&create);
    other.has(&create);
    assert_eq!(newcomer.follower.begin_at(1).unwrap().number, 1);
    assert_eq!(newcomer.follower.begin_at(2).unwrap().number, 1, "only where it begins");
    newcomer.catch_up();
    other.catch_up();
    assert_eq!(slot(&newcomer, contract), slot(&other, contract));
    assert_eq!(newcomer.root(), other.root());
    let mut too_far = Party::new(&chain);
    assert!(too_far.follower.begin_at(9).is_err(), "there is no such block");
}
