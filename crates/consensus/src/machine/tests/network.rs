//! Whole networks: agreement and progress under loss, splits, crashes and lies.

use super::world::World;
use crate::machine::{ChainPosition, Input, harness};
use crate::proposer::proposer;
use crate::testing::params;
use alloy_primitives::Address;
use lonja_primitives::spec::{ConsensusParams, DigestRule, QuorumRule};
use lonja_primitives::{ExtraData, HeaderFormat, Signer, VoteKind};
use std::sync::Arc;

const BASE_MS: u64 = 2_000;
const HOUR_MS: u64 = 3_600_000;

fn world(count: u8, seed: u64) -> World {
    World::new(count, count.into(), seed, params())
}

#[test]
fn a_quiet_network_makes_a_block_per_period_with_two_records_each() {
    let mut world = world(4, 1);
    world.delay_ms = (5, 5);
    let took = world.run(60_000, |world| (0..4).all(|node| world.height(node) == 10)).unwrap();
    assert!((10_000..10_200).contains(&took), "{took}");
    for node in &world.nodes {
        assert_eq!(node.persists, 20);
        assert!(node.log.len() <= 2, "records of stored heights are let go");
        let rounds = node.blocks.iter().map(|block| lonja_primitives::extra::qbft_round(&block.header));
        assert!(rounds.into_iter().all(|round| round == Ok(0)));
    }
    assert!(world.blamed.is_empty());
}

#[test]
fn lossy_slow_and_reordering_networks_agree_and_go_on() {
    for count in 4..=7 {
        for seed in 0..4 {
            for digest in [DigestRule::Eea, DigestRule::GoQuorum] {
                let params = ConsensusParams { digest, max_request_timeout_ms: 20_000, ..params() };
                let mut world = World::new(count, count.into(), seed, params);
                world.loss = 15;
                world.delay_ms = (1, 900);
                let done = world.run(HOUR_MS, |world| world.highest() >= 4);
                assert!(done.is_some(), "{count} validators, seed {seed}: height {}", world.highest());
                assert!(world.blamed.is_empty(), "{count} validators, seed {seed}: {:?}", world.blamed);
            }
        }
    }
}

/// Message delays far beyond the request timeout: the doubling finds them.
#[test]
fn delays_longer_than_the_timeout_are_found() {
    for seed in 0..3 {
        let mut world = world(4, seed);
        world.delay_ms = (3_000, 5_000);
        assert!(world.run(HOUR_MS, |world| world.highest() >= 2).is_some(), "seed {seed}");
    }
}

#[test]
fn a_validator_that_is_down_costs_little() {
    for down in 0..4 {
        let mut world = world(4, 5);
        world.stop(down);
        let took = world.run(10 * 60_000, |world| world.highest() >= 8).unwrap();
        assert!(
            took < 8 * 1_000 + 3 * (BASE_MS + 100),
            "a timeout at each of its three turns at most: {took}"
        );
    }
}

/// Time from the return of `back` to the next block.
fn recovery(world: &mut World, back: &[usize], by_restart: bool) -> u64 {
    let before = world.highest();
    let rest: Vec<usize> = (0..world.nodes.len()).filter(|node| !back.contains(node)).collect();
    if by_restart {
        back.iter().for_each(|node| world.start(*node));
    } else {
        world.split(back, &rest, false);
    }
    world.run(HOUR_MS, |world| world.highest() > before).expect("a block after the return")
}

#[test]
fn two_of_four_down_for_an_hour_and_the_third_returns() {
    for outage_ms in [7_000, HOUR_MS] {
        for by_restart in [true, false] {
            for seed in 0..if outage_ms == HOUR_MS { 4 } else { 12 } {
                let mut world = world(4, seed);
                let first = (seed % 4) as usize;
                let second = (first + 1 + (seed / 4) as usize) % 4;
                world.run(60_000, |world| world.highest() >= 2 + seed % 3).unwrap();
                if by_restart {
                    world.stop(first);
                    world.stop(second);
                } else {
                    let rest: Vec<usize> = (0..4).filter(|node| *node != first).collect();
                    world.split(&[first], &rest, true);
                    world.stop(second);
                }
                let height = world.highest();
                world.run(outage_ms, |_| false);
                assert!(world.highest() <= height + 1);
                let took = recovery(&mut world, &[first], by_restart);
                let place = format!("seed {seed}, outage {outage_ms}, restart {by_restart}");
                assert!(took <= 2 * BASE_MS, "{place}: {took} ms");
            }
        }
    }
}

#[test]
fn seven_validators_recover_as_fast_with_two_still_missing() {
    for seed in 0..7 {
        let mut world = world(7, seed);
        world.run(60_000, |world| world.highest() >= 2).unwrap();
        let first = seed as usize;
        [0, 1, 2].iter().for_each(|step| world.stop((first + step) % 7));
        world.run(HOUR_MS, |_| false);
        let took = recovery(&mut world, &[first], true);
        assert!(took <= 2 * BASE_MS, "seed {seed}: {took} ms");
    }
}

#[test]
fn an_even_split_heals() {
    for (count, one) in [(4, vec![0, 1]), (6, vec![0, 2, 4]), (7, vec![0, 1, 2])] {
        let mut world = world(count, 3);
        let other: Vec<usize> = (0..count as usize).filter(|node| !one.contains(node)).collect();
        world.run(10_000, |world| world.highest() >= 2).unwrap();
        world.split(&one, &other, true);
        let before = world.highest();
        world.run(HOUR_MS, |_| false);
        assert!(world.highest() <= before + 1, "no half decides alone");
        let took = recovery(&mut world, &one, false);
        assert!(took <= 2 * BASE_MS, "{count}: {took}");
        let all = |world: &World| (0..count as usize).all(|node| world.height(node) > before + 3);
        assert!(world.run(60_000, all).is_some());
    }
}

#[test]
fn all_killed_at_once_go_on() {
    for seed in 0..5 {
        let mut world = world(4, seed);
        world.run(60_000, |world| world.highest() >= 2).unwrap();
        let pause = world.random() % 30;
        world.run(990 + pause, |_| false);
        (0..4).for_each(|node| world.stop(node));
        let before = world.highest();
        world.run(10_000, |_| false);
        (0..4).for_each(|node| world.start(node));
        assert!(world.run(4 * BASE_MS, |world| world.highest() > before + 1).is_some(), "seed {seed}");
    }
}

/// The process dies before its n-th output, for every n in the first heights, and comes back at once.
#[test]
fn a_crash_between_any_two_outputs_contradicts_nothing() {
    for count in [1, 4] {
        for nth in 1..40 {
            let mut world = world(count, nth);
            world.crash = Some((0, nth));
            let done = world.run(60_000, |world| world.highest() >= 5);
            assert!(done.is_some(), "{count} validators, crash at output {nth}");
            assert!(world.blamed.is_empty());
        }
    }
}

#[test]
fn an_equivocating_proposer_splits_nobody() {
    for count in [4, 5, 7] {
        for seed in 0..4 {
            let mut world = world(count, seed);
            world.equivocator = Some((seed as usize) % count as usize);
            let done = world.run(HOUR_MS, |world| world.highest() >= 8);
            assert!(done.is_some(), "{count} validators, seed {seed}");
        }
    }
}

#[test]
fn a_validator_is_voted_in_and_another_out() {
    let mut world = World::new(6, 4, 9, params());
    let addresses: Vec<_> = world.nodes.iter().map(|node| node.key.address()).collect();
    let members = |world: &World| world.nodes[0].chain.last().unwrap().votes.validators().len();
    for node in 0..4 {
        world.step(node, Input::Propose(addresses[4], VoteKind::Add));
        world.step(node, Input::Propose(addresses[5], VoteKind::Add));
    }
    assert!(world.run(60_000, |world| members(world) == 6).is_some());
    let at = world.highest();
    assert!(world.run(60_000, |world| world.highest() >= at + 8).is_some());
    let built =
        |node: usize| world.nodes[0].blocks.iter().any(|block| block.header.beneficiary == addresses[node]);
    assert!(built(4) && built(5), "the new ones take their turns");
    for node in 0..6 {
        world.step(node, Input::Propose(addresses[0], VoteKind::Drop));
    }
    assert!(world.run(60_000, |world| members(world) == 5).is_some());
    let at = world.highest();
    world.stop(0);
    let done = |world: &World| (1..6).all(|node| world.height(node) >= at + 6);
    assert!(world.run(60_000, done).is_some(), "and nobody waits for the one that left");
    let status = world.nodes[1].machine.as_ref().unwrap().status();
    assert!(status.candidates.is_empty(), "{:?}", status.candidates);
}

/// Under the old quorum rule of GoQuorum, where it is safe (n = 3F+1) and where it is a quorum of one.
#[test]
fn the_old_quorum_rule() {
    for count in [1, 4, 7] {
        let old = ConsensusParams { quorum: QuorumRule::TwoFPlusOne, ..params() };
        let mut world = World::new(count, count.into(), 2, old);
        assert!(world.run(60_000, |world| world.highest() >= 5).is_some());
    }
}

/// Three of seven leave and three come every third block, and for a while one alone validates.
fn rota(number: u64) -> Vec<usize> {
    match number / 3 % 5 {
        4 => vec![number as usize % 7],
        turn => (0..4).map(|step| (turn as usize * 3 + step) % 7).collect(),
    }
}

fn listed(block: &lonja_primitives::Block) -> Vec<Address> {
    ExtraData::decode(&block.header.extra_data, HeaderFormat::Qbft).unwrap().validators
}

#[test]
fn a_contract_replaces_the_validators_every_few_blocks() {
    for (loss, delay_ms, seeds) in [(0, (1, 10), 0..3), (10, (1, 600), 3..6)] {
        for seed in seeds {
            let mut world = World::new(7, 4, seed, harness::by_contract());
            (world.contract, world.loss, world.delay_ms) = (rota, loss, delay_ms);
            let done = world.run(HOUR_MS, |world| (0..7).all(|node| world.height(node) >= 32));
            assert!(done.is_some(), "seed {seed}, height {}", world.highest());
            assert!(world.blamed.is_empty());
            for block in &world.nodes[0].blocks[1..32] {
                let mut want: Vec<_> = rota(block.header.number - 1)
                    .iter()
                    .map(|node| world.nodes[*node].key.address())
                    .collect();
                want.sort();
                assert_eq!(listed(block), want, "block {}", block.header.number);
            }
        }
    }
}

#[test]
fn where_a_contract_chooses_nobody_votes() {
    let mut world = World::new(5, 4, 1, harness::by_contract());
    world.contract = |_| vec![0, 1, 2, 3];
    let stranger = world.nodes[4].key.address();
    (0..4).for_each(|node| world.step(node, Input::Propose(stranger, VoteKind::Add)));
    assert!(world.run(60_000, |world| world.highest() >= 8).is_some());
    let votes = |block: &lonja_primitives::Block| {
        ExtraData::decode(&block.header.extra_data, HeaderFormat::Qbft).unwrap().vote
    };
    assert!(world.nodes[0].blocks.iter().all(|block| votes(block).is_none()));
    assert!(world.nodes[0].machine.as_ref().unwrap().status().candidates.is_empty());
}

/// Votes up to block 5, the contract for blocks 6 to 11, a list at 9, votes again from 12 on.
#[test]
fn votes_and_a_contract_take_turns() {
    let mut world = World::new(6, 4, 4, params());
    let mut spec = (*world.spec).clone();
    let address = |node: usize| world.nodes[node].key.address();
    let list = vec![address(0), address(1), address(2), address(3)];
    spec.consensus.push((6, harness::by_contract()));
    spec.consensus.push((9, ConsensusParams { validators: Some(list.clone()), ..harness::by_contract() }));
    spec.consensus.push((12, params()));
    let [first, fifth] = [address(0), address(4)];
    world.set_spec(spec);
    world.contract = |_| vec![1, 2, 3, 4, 5];
    // A vote that waits when the contract begins is dropped, and one cast meanwhile is not taken.
    (0..2).for_each(|node| world.step(node, Input::Propose(fifth, VoteKind::Add)));
    assert!(world.run(60_000, |world| (0..6).all(|node| world.height(node) >= 8)).is_some());
    for node in 0..6 {
        world.step(node, Input::Propose(fifth, VoteKind::Drop));
    }
    assert!(world.run(60_000, |world| (0..6).all(|node| world.height(node) >= 12)).is_some());
    for node in 0..6 {
        world.step(node, Input::Propose(first, VoteKind::Add));
    }
    let done = |world: &World| (0..6).all(|node| world.height(node) >= 24);
    assert!(world.run(120_000, done).is_some());
    let blocks = &world.nodes[0].blocks;
    let set_of = |number: usize| listed(&blocks[number - 1]);
    assert_eq!((set_of(5), set_of(9)), (list.clone(), list));
    for number in [6, 8, 10, 12, 13] {
        assert_eq!(set_of(number).len(), 5, "block {number}");
        assert!(!set_of(number).contains(&first), "block {number}");
    }
    assert!(set_of(24).contains(&first), "voted in again");
    let vote_in = |number: usize| {
        ExtraData::decode(&blocks[number - 1].header.extra_data, HeaderFormat::Qbft).unwrap().vote.is_some()
    };
    assert!((1..=5).any(vote_in) && !(6..=11).any(vote_in) && (12..=24).any(vote_in));
}

/// A block that a quorum has prepared keeps what it commits to when somebody else proposes it again.
#[test]
fn a_block_proposed_again_commits_to_the_same_validators() {
    let mut again = 0;
    for seed in 0..6 {
        let mut world = World::new(5, 4, seed, harness::by_contract());
        world.contract = |number| (0..5).filter(|node| *node as u64 != number % 5).collect();
        world.loss = 35;
        let done = world.run(HOUR_MS, |world| world.highest() >= 15);
        assert!(done.is_some(), "seed {seed}");
        assert!(world.blamed.is_empty());
        // Whoever led the round in which it was sealed did not build it.
        again += world.nodes[0].blocks.iter().zip(&world.nodes[0].chain).filter(proposed_again).count();
    }
    assert!(again > 0);
}

fn proposed_again((block, parent): &(&lonja_primitives::Block, &Arc<ChainPosition>)) -> bool {
    let round = lonja_primitives::extra::qbft_round(&block.header).unwrap();
    let leader = proposer(&harness::by_contract(), parent.votes.validators(), parent.author, round);
    leader != block.header.beneficiary
}

#[test]
fn who_commits_to_other_validators_than_the_contract_is_refused_and_blamed() {
    for seed in 0..4 {
        let mut world = World::new(4, 4, seed, harness::by_contract());
        world.contract = |_| vec![0, 1, 2, 3];
        let usurper = seed as usize;
        world.usurper = Some(usurper);
        let done = |world: &World| (0..4).all(|node| world.height(node) >= 9);
        assert!(world.run(120_000, done).is_some(), "seed {seed}");
        let address = world.nodes[usurper].key.address();
        assert!(!world.blamed.is_empty() && world.blamed.iter().all(|blamed| *blamed == address));
        assert!(world.nodes[0].blocks.iter().all(|block| block.header.beneficiary != address));
    }
}
