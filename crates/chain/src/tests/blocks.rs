//! The life of a chain: build, seal, commit, publish, stop, start.

use super::network::*;
use crate::{BlockError, ChainError};
use alloy_primitives::{Address, B256, U256};
use lonja_consensus::VoteState;
use lonja_primitives::{CertifiedBlock, StateView, Vote, VoteKind};
use lonja_storage::{Head, Table};

/// Block `n` (from 1): sender 1 sends `n` to an address of its own, sender 2 calls the counter.
fn busy_block(network: &mut Network, number: u64) {
    let to = Address::with_last_byte(number as u8 + 100);
    let mut drafts = vec![transfer(1, number - 1, to, number), draft(2, number - 1)];
    if number == 7 {
        drafts.push(creation(3, 0));
    }
    network.submit(&drafts);
    assert_eq!(network.next_block().included.len(), drafts.len());
}

#[test]
fn fifty_blocks_on_two_nodes_and_a_restart() {
    let mut network = Network::new();
    let mut follower = network.other_node();
    let mut roots = Vec::new();
    for number in 1..=50 {
        busy_block(&mut network, number);
        let block = network.core.reader().block(number).unwrap().unwrap();
        let sealed = lonja_consensus::certify(
            &network.spec,
            block,
            &follower.core.position().head,
            follower.core.position().votes.validators(),
        );
        let committed = follower.core.commit(&sealed.unwrap()).unwrap().unwrap();
        assert_eq!(committed.position.head, network.core.position().head);
        roots.push(committed.position.head.state_root);
    }
    // Built and committed: one execution each. The follower neither built nor checked: one each, too.
    assert_eq!((network.core.executed_count(), follower.core.executed_count()), (50, 50));
    roots.dedup();
    assert_eq!(roots.len(), 50, "every block changes the state");

    let before = network.core.position();
    let mut network = network.reopen();
    let after = network.core.position();
    assert_eq!((&after.head, after.author, &after.votes), (&before.head, before.author, &before.votes));
    let created = sender(3).create(0);
    for number in 0..=50u64 {
        assert_eq!(network.counter_at(number, COUNTER), U256::from(number));
        let spent = number * (number + 1) / 2;
        assert_eq!(network.balance_at(number, sender(1)), U256::from(START_BALANCE - spent));
        let state = network.core.reader().state_at(number).unwrap();
        assert_eq!(state.account(&created).unwrap().is_some(), number >= 7);
    }
    busy_block(&mut network, 51);
    assert_eq!(network.core.reader().head().number, 51);
    assert_eq!(network.core.executed_count(), 1);
}

#[test]
fn a_checked_block_is_not_executed_again() {
    let mut network = Network::new();
    let mut validating = network.other_node();
    network.submit(&[draft(1, 0)]);
    let block = network.build();
    assert_eq!(validating.core.check(&block), Ok(()));
    assert_eq!(validating.core.check(&block), Ok(()));
    let sealed = validating.seal(block, 0, &[1]);
    assert_eq!(validating.core.commit(&sealed).unwrap().unwrap().included.len(), 1);
    assert_eq!(validating.core.executed_count(), 1);
}

#[test]
fn a_block_decided_in_a_later_round_is_the_same_block() {
    let mut network = Network::new();
    network.submit(&[draft(1, 0)]);
    let block = network.build();
    let in_round_3 = network.seal(block.clone(), 3, &[1]);
    assert_eq!(in_round_3.hash(), network.seal(block, 0, &[1]).hash());
    network.core.commit(&in_round_3).unwrap().unwrap();
    assert_eq!(network.core.executed_count(), 1);
}

#[test]
fn the_next_block_is_built_before_the_last_one_is_durable() {
    let mut network = Network::new();
    network.next_block();
    let publisher = network.core.publisher();
    network.submit(&[draft(1, 0)]);
    let block = network.build();
    let first = network.commit(block);
    network.submit(&[draft(1, 1)]);
    let block = network.build();
    assert_eq!(block.transactions.len(), 1);
    let reader = network.core.reader();
    assert_eq!(reader.head().number, 1);
    assert_eq!(reader.header(2).unwrap(), None);
    let head = Head { number: 2, hash: first.hash };
    let published = std::thread::spawn(move || publisher.publish(head).unwrap()).join().unwrap();
    assert_eq!((published, reader.head()), (head, head));
    // A late word about an older block does not take the head back.
    let old = Head { number: 1, hash: reader.header(1).unwrap().unwrap().hash() };
    assert_eq!(network.core.publisher().publish(old), Ok(head));
    let second = network.commit(block);
    assert_eq!(second.number, 3);
    // The power fails before the second one is durable.
    network.kv.crash();
    let mut network = network.reopen();
    assert_eq!(network.core.position().head.hash(), first.hash);
    assert_eq!(network.counter_at(2, COUNTER), U256::from(1));
    network.next_block();
}

#[test]
fn a_block_that_is_there_is_no_error_and_another_one_in_its_place_is_a_halt() {
    let mut network = Network::new();
    network.submit(&[draft(1, 0)]);
    let (empty, full) = (network.other_node().build(), network.build());
    let (other, ours) = (network.seal(empty, 0, &[1]), network.seal(full, 0, &[1]));
    assert!(network.core.commit(&ours).unwrap().is_some());
    assert!(network.core.commit(&ours).unwrap().is_none());
    let Err(ChainError::Halt(reason)) = network.core.commit(&other) else { panic!("a fork") };
    assert!(reason.contains(&other.hash().to_string()) && reason.contains(&ours.hash().to_string()));
    // The same one height further down.
    network.core.sync_and_publish().unwrap();
    network.next_block();
    assert!(network.core.commit(&ours).unwrap().is_none());
    assert!(matches!(network.core.commit(&other), Err(ChainError::Halt(_))));
}

#[test]
fn what_does_not_follow_the_head_is_refused() {
    let mut network = Network::new();
    let mut ahead = network.other_node();
    ahead.next_block();
    let block = ahead.build();
    assert!(matches!(network.core.check(&block), Err(BlockError::Unavailable(_))));
    let sealed = ahead.seal(block, 0, &[1]);
    assert!(matches!(network.core.commit(&sealed), Err(ChainError::Unavailable(_))));
    let request = ahead.request(None);
    assert!(matches!(network.core.build(&request, &|| false), Err(ChainError::Unavailable(_))));
    // Right height, wrong parent: somebody sealed a block on a chain that is not ours.
    let mut stray = network.build();
    stray.header.parent_hash = B256::repeat_byte(9);
    let hash = lonja_primitives::block_hash(&stray.header, network.spec.format_at(1)).unwrap();
    let stray = CertifiedBlock::new_verified(hash, stray);
    assert!(matches!(network.core.commit(&stray), Err(ChainError::Halt(_))));
    network.next_block();
}

#[test]
fn votes_survive_a_restart_and_cost_nothing_when_nobody_votes() {
    let mut network = Network::new();
    for _ in 0..5 {
        network.next_block();
    }
    let vote = Vote { recipient: validator_address(2), kind: VoteKind::Add };
    let request = network.request(Some(vote));
    let block = network.core.build(&request, &|| false).unwrap();
    network.commit(block);
    for _ in 0..1_100 {
        let block = network.build();
        let sealed = network.seal(block, 0, &[1, 2]);
        network.core.commit(&sealed).unwrap();
    }
    network.core.sync_and_publish().unwrap();
    assert_eq!(network.kv.len(Table::Votes), 3, "the first one, the change, and one refreshment");
    let votes = network.core.position().votes.clone();
    assert_eq!(votes.validators().len(), 2);
    let again = network.reopen();
    assert_eq!(again.core.position().votes, votes);
    assert_eq!(again.core.position().author, Some(validator_address(1)));
}

#[test]
fn votes_are_counted_again_where_the_snapshot_cannot_be_read() {
    let mut network = Network::new();
    network.next_block();
    network.next_block();
    let votes = network.core.position().votes.clone();
    let mut batch = lonja_storage::Batch::default();
    batch.put(Table::Votes, 1u64.to_be_bytes(), [99u8]);
    lonja_storage::Kv::write(&network.kv, batch).unwrap();
    let mut again = network.reopen();
    assert_eq!(again.core.position().votes, votes);
    again.next_block();
    let stored = again.core.reader().votes(3).unwrap().unwrap();
    assert_eq!(VoteState::decode(&stored, &again.spec).unwrap().number(), 3);
}

#[test]
fn a_missing_header_stops_the_start() {
    let mut network = Network::new();
    for _ in 0..3 {
        network.next_block();
    }
    let mut batch = lonja_storage::Batch::default();
    batch.delete(Table::Votes, 1u64.to_be_bytes());
    batch.delete(Table::Headers, 1u64.to_be_bytes());
    lonja_storage::Kv::write(&network.kv, batch).unwrap();
    let Err(ChainError::Halt(reason)) = Network::open(network.genesis, network.kv) else {
        panic!("it opened")
    };
    assert!(reason.contains("block 1"), "{reason}");
}
