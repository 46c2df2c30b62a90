//! Reading the chain back.

use super::network::*;
use crate::history::{self, FoundLog, LogFilter, LogsError};
use alloy_primitives::{Address, B256};
use lonja_primitives::receipt::receipts_bloom;
use std::cell::Cell;

/// Three blocks: two counter calls and a transfer; a failing call and a creation; a call of the created
/// counter.
fn three_blocks() -> (Network, Address) {
    let mut network = Network::new();
    let created = sender(3).create(0);
    network.submit(&[
        draft(1, 0),
        transfer(2, 0, sender(1), 1),
        draft(3, 0).with(|tx| tx.nonce = 1),
        draft(2, 1),
    ]);
    network.next_block();
    network.submit(&[draft(1, 1).with(|tx| tx.to = REFUSER.into()), creation(3, 0)]);
    network.next_block();
    network.submit(&[draft(1, 2).with(|tx| tx.to = created.into())]);
    network.next_block();
    (network, created)
}

#[test]
fn outcomes_carry_what_a_receipt_needs() {
    let (network, created) = three_blocks();
    let reader = network.core.reader();
    let block = history::block(&reader, 1).unwrap().unwrap();
    let outcomes = block.outcomes().unwrap();
    assert_eq!(outcomes.iter().map(|o| o.sender).collect::<Vec<_>>(), [sender(1), sender(2), sender(2)]);
    assert_eq!(outcomes.iter().map(|o| o.first_log_index).collect::<Vec<_>>(), [0, 1, 1]);
    assert_eq!(outcomes.iter().map(|o| o.gas_used).sum::<u64>(), block.header.gas_used);
    assert_eq!(outcomes[1].gas_used, 21_000);
    for (index, outcome) in (0..).zip(&outcomes) {
        assert_eq!(block.outcome(index).unwrap().as_ref(), Some(outcome));
        let (of, found) = history::outcome(&reader, &outcome.hash).unwrap().unwrap();
        assert_eq!((&of, &found), (&block, outcome));
    }
    assert_eq!(block.outcome(3).unwrap(), None);
    assert_eq!(block.size, reader.block(1).unwrap().unwrap().size());
    assert_eq!(receipts_bloom(&block.receipts), block.header.logs_bloom);

    let second = history::block(&reader, 2).unwrap().unwrap().outcomes().unwrap();
    let failed = second.iter().find(|outcome| !outcome.receipt.success).unwrap();
    assert_eq!((failed.sender, failed.contract), (sender(1), None));
    // The gap before the transaction that came first is closed by the creation; both are in the block.
    assert_eq!(second.iter().find_map(|outcome| outcome.contract), Some(created));
    assert_eq!(second.len(), 3);

    assert_eq!(history::block(&reader, 4).unwrap(), None);
    assert_eq!(history::outcome(&reader, &B256::ZERO).unwrap(), None);
}

fn search(network: &Network, filter: &LogFilter) -> Vec<FoundLog> {
    history::logs(&network.core.reader(), 0..=u64::MAX, filter, 100, &|| false).unwrap()
}

#[test]
fn logs_by_address_and_topics() {
    let (network, created) = three_blocks();
    let topic = |number| sender(number).into_word();
    let places = |filter: &LogFilter| -> Vec<(u64, u32, u32)> {
        search(&network, filter).iter().map(|f| (f.block_number, f.transaction_index, f.log_index)).collect()
    };
    let all = places(&LogFilter::default());
    assert_eq!(all, [(1, 0, 0), (1, 2, 1), (2, 2, 0), (3, 0, 0)]);
    let by = |addresses: &[Address], topics: &[&[B256]]| LogFilter {
        addresses: addresses.to_vec(),
        topics: topics.iter().map(|any| any.to_vec()).collect(),
    };
    assert_eq!(places(&by(&[created], &[])), [(3, 0, 0)]);
    assert_eq!(places(&by(&[COUNTER], &[])), all[..3]);
    assert_eq!(places(&by(&[COUNTER, created], &[&[topic(1)]])), [(1, 0, 0), (3, 0, 0)]);
    assert_eq!(places(&by(&[], &[&[topic(2), topic(3)]])), [(1, 2, 1), (2, 2, 0)]);
    assert_eq!(places(&by(&[], &[&[]])), all, "any topic");
    assert_eq!(places(&by(&[], &[&[], &[]])), [], "but two of them");
    assert_eq!(places(&by(&[REFUSER], &[])), []);
    assert_eq!(places(&by(&[created], &[&[topic(2)]])), []);

    let found = search(&network, &by(&[created], &[]));
    let block = network.core.reader().header(3).unwrap().unwrap();
    assert_eq!((found[0].block_hash, found[0].block_timestamp), (block.hash(), block.timestamp));
    assert_eq!(found[0].transaction_hash, draft(1, 2).with(|tx| tx.to = created.into()).recovered().hash());
    assert_eq!(found[0].log.data.data.last(), Some(&1));
}

#[test]
fn a_search_ends_at_its_bounds() {
    let (network, _) = three_blocks();
    let reader = network.core.reader();
    let any = LogFilter::default();
    let with_max = |max| history::logs(&reader, 1..=3, &any, max, &|| false);
    assert_eq!(with_max(4).unwrap().len(), 4);
    assert_eq!(with_max(3), Err(LogsError::TooMany { max: 3, complete_to: Some(2) }));
    assert_eq!(with_max(2), Err(LogsError::TooMany { max: 2, complete_to: Some(1) }));
    assert_eq!(with_max(1), Err(LogsError::TooMany { max: 1, complete_to: None }));
    let asked = Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 2
    };
    assert_eq!(history::logs(&reader, 1..=3, &any, 9, &stop), Err(LogsError::Stopped(3)));
}

#[test]
fn a_bloom_never_hides_a_match() {
    let (network, created) = three_blocks();
    let reader = network.core.reader();
    for found in search(&network, &LogFilter::default()) {
        let bloom = reader.header(found.block_number).unwrap().unwrap().logs_bloom;
        let exact = LogFilter {
            addresses: vec![found.log.address],
            topics: found.log.topics().iter().map(|topic| vec![*topic]).collect(),
        };
        assert!(exact.matches(&found.log) && exact.may_match(&bloom));
    }
    let first = reader.header(1).unwrap().unwrap().logs_bloom;
    assert!(!LogFilter { addresses: vec![created], topics: Vec::new() }.may_match(&first));
}
