//! What a builder takes, what it leaves, and what it throws out.

use super::network::*;
use alloy_primitives::U256;
use lonja_consensus::header::check_body;
use lonja_primitives::genesis::NewNetwork;
use lonja_primitives::{RecoveredTransaction, block_hash};
use lonja_txpool::{Origin, SenderState, WaitReason};
use std::cell::Cell;

/// Past the door, straight into the pool, with a state of our choice.
fn smuggle(network: &Network, tx: &RecoveredTransaction, nonce: u64) {
    let state = SenderState { nonce, balance: U256::MAX };
    network.pool.lock().insert(tx.clone(), state, Origin::Local, 0).unwrap();
}

#[test]
fn time_gas_and_size_each_end_a_block() {
    let mut network = Network::of(NewNetwork { gas_limit: Some(5_000_000), ..Default::default() }, |spec| {
        spec.limits[0].1.block_size = 8_000;
    });
    let all: Vec<_> = (1..=40).flat_map(|key| [draft(key, 0), draft(key, 1)]).collect();
    network.submit(&all);
    let (asked, request) = (Cell::new(0), network.request(None));
    let out_of_time = || {
        asked.set(asked.get() + 1);
        asked.get() > 3
    };
    assert_eq!(network.core.build(&request, &out_of_time).unwrap().transactions.len(), 3);
    let block = network.build();
    assert!(block.size() <= 8_000 && block.size() > 7_500, "{}", block.size());
    check_body(&network.spec, &block).unwrap();
    let left = 80 - network.commit(block).included.len();
    assert_eq!(network.pool.lock().status().pending, left);

    let mut network = Network::of(NewNetwork { gas_limit: Some(5_000_000), ..Default::default() }, |_| {});
    let greedy = draft(1, 0).with(|tx| tx.gas_limit = 4_990_000);
    network.submit(&[draft(2, 0), greedy, draft(3, 0), draft(4, 0)]);
    let included = network.next_block().included;
    assert_eq!(included, [draft(2, 0), draft(3, 0), draft(4, 0)].map(|draft| draft.recovered().hash()));
    assert_eq!(network.next_block().included.len(), 1, "it comes first in an empty block");
}

#[test]
fn gas_that_is_not_used_is_there_for_others() {
    let mut network = Network::of(NewNetwork { gas_limit: Some(5_000_000), ..Default::default() }, |_| {});
    let generous = |key| draft(key, 0).with(|tx| tx.gas_limit = 3_000_000);
    network.submit(&(1..=20).map(generous).collect::<Vec<_>>());
    assert_eq!(network.next_block().included.len(), 20);
}

#[test]
fn what_cannot_be_executed_is_dropped_with_its_reason() {
    let mut network = Network::new();
    let poor_in_gas = draft(1, 0).with(|tx| tx.gas_limit = 20_000).recovered();
    let behind = draft(1, 1).recovered();
    let good = draft(2, 0).recovered();
    for tx in [&poor_in_gas, &behind, &good] {
        smuggle(&network, tx, 0);
    }
    let block = network.build();
    assert_eq!(block.transactions, [good.raw().clone()]);
    let pool = network.pool.lock();
    let reason = pool.dropped_reason(&poor_in_gas.hash()).unwrap();
    assert!(reason.starts_with("intrinsic gas too low"), "{reason}");
    assert!(!pool.contains(&poor_in_gas.hash()));
    assert_eq!(pool.content_of(&sender(1))[0].reason, WaitReason::NonceGap { expected: 0 });
}

#[test]
fn a_pool_with_a_wrong_idea_of_a_sender_is_corrected() {
    let mut network = Network::new();
    let dear = transfer(2, 0, sender(1), START_BALANCE * 2).recovered();
    let used = draft(3, 0).recovered();
    smuggle(&network, &dear, 0);
    network.submit(&[draft(3, 0)]);
    network.next_block();
    smuggle(&network, &used, 0);
    let early = draft(1, 3).recovered();
    smuggle(&network, &early, 3);
    assert!(network.build().transactions.is_empty());
    let pool = network.pool.lock();
    assert_eq!(pool.status().pending, 0);
    let wait = WaitReason::InsufficientFunds {
        needs: U256::from(START_BALANCE * 2),
        has: U256::from(START_BALANCE),
    };
    assert_eq!(pool.content_of(&sender(2))[0].reason, wait);
    assert!(pool.dropped_reason(&used.hash()).unwrap().starts_with("nonce too low"));
    assert!(pool.dropped_reason(&early.hash()).unwrap().starts_with("nonce too high"));
}

#[test]
fn a_transaction_larger_than_any_block_does_not_stay() {
    let mut network = Network::of(NewNetwork { gas_limit: Some(5_000_000), ..Default::default() }, |spec| {
        spec.limits[0].1.block_size = 2_000;
    });
    let greedy = draft(1, 0).with(|tx| tx.gas_limit = 6_000_000).recovered();
    let long = draft(2, 0).with(|tx| tx.input = vec![0; 1_500].into()).recovered();
    smuggle(&network, &greedy, 0);
    smuggle(&network, &long, 0);
    assert!(network.build().transactions.is_empty());
    assert!(!network.core.work_waiting());
    let pool = network.pool.lock();
    for tx in [greedy, long] {
        assert!(pool.dropped_reason(&tx.hash()).unwrap().starts_with("exceeds block gas limit"));
    }
}

#[test]
fn a_failing_transaction_is_included_all_the_same() {
    let mut network = Network::new();
    network.submit(&[draft(1, 0).with(|tx| tx.to = REFUSER.into())]);
    let committed = network.next_block();
    assert_eq!(committed.included.len(), 1);
    assert!(!committed.executed.receipts[0].success);
    assert!(!network.core.work_waiting());
}

#[test]
fn the_header_is_the_requests_and_executions() {
    let mut network = Network::new();
    network.submit(&[draft(1, 0)]);
    let request = network.request(None);
    let block = network.build();
    let header = &block.header;
    assert_eq!((header.number, header.parent_hash), (request.height, request.parent));
    assert_eq!((header.timestamp, header.beneficiary), (request.timestamp, request.beneficiary));
    assert_eq!((&header.extra_data, header.base_fee_per_gas), (&request.extra_data, Some(0)));
    assert!(header.gas_used > 21_000 && header.gas_used < 100_000);
    assert!(!header.logs_bloom.is_zero());
    check_body(&network.spec, &block).unwrap();
    let hash = block_hash(header, network.spec.format_at(1)).unwrap();
    assert_eq!(network.commit(block).hash, hash);
}

#[test]
fn a_block_promotes_whoever_waited_for_it() {
    let mut network = Network::new();
    let stranger = sender(90);
    // Its own transactions wait for money that another account's contract call or transfer brings.
    network.submit(&[transfer(1, 0, stranger, 10)]);
    let waits = transfer(90, 0, sender(1), 8).recovered();
    network.pool.lock().insert(waits.clone(), SenderState::default(), Origin::Restored, 0).unwrap();
    network.submit(&[draft(2, 1)]);
    assert_eq!(network.pool.lock().status().queued, 2);
    assert_eq!(network.next_block().included.len(), 1);
    assert_eq!(network.next_block().included, [waits.hash()]);
    // The gap of the other sender is closed by a block, with a transaction that never was in this pool.
    let mut elsewhere = network.other_node();
    for number in 1..=2 {
        let block = network.core.reader().block(number).unwrap().unwrap();
        let position = elsewhere.core.position();
        let sealed =
            lonja_consensus::certify(&network.spec, block, &position.head, position.votes.validators());
        elsewhere.core.commit(&sealed.unwrap()).unwrap();
    }
    elsewhere.submit(&[draft(2, 0)]);
    let block = elsewhere.build();
    network.commit(block);
    assert_eq!(network.next_block().included, [draft(2, 1).recovered().hash()]);
    assert_eq!(network.pool.lock().status().bytes, 0);
}
