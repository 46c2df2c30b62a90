//! One height, seen from one validator: order and number of outputs, and what bad messages come to.

use super::cast::{Cast, kinds};
use crate::header::certify;
use crate::machine::harness::{self, Bench};
use crate::machine::{Input, Output, Phase, Verdict};
use crate::message::{PreparedClaim, VerifiedMessage};
use crate::testing::params;
use alloy_primitives::{B256, Bytes};
use lonja_primitives::spec::{ConsensusParams, DigestRule};
use lonja_primitives::{Block, Header, Signature, Signer, extra};

fn names(outputs: &[Output]) -> Vec<&'static str> {
    let name = |output: &Output| match output {
        Output::Persist(_) => "persist",
        Output::Forget { .. } => "forget",
        Output::Send(_) => "send",
        Output::BuildBlock(_) => "build",
        Output::CheckBlock { .. } => "check",
        Output::Decide(_) => "decide",
        Output::Blame { .. } => "blame",
    };
    outputs.iter().map(name).collect()
}

fn step(bench: &mut Bench, input: Input) -> Vec<Output> {
    bench.machine.step(bench.now, input)
}

fn hear(cast: &Cast, bench: &mut Bench, index: usize, message: VerifiedMessage) -> Vec<&'static str> {
    let from = Some(cast.keys[index].node_id());
    names(&step(bench, Input::Message { from, message }))
}

#[test]
fn a_happy_block_costs_its_proposer_two_records() {
    let cast = Cast::new(4);
    let mut bench = cast.bench(0);
    bench.pass(1_000);
    let outputs = step(&mut bench, Input::Tick);
    let Output::BuildBlock(request) = &outputs[0] else { panic!("{outputs:?}") };
    assert_eq!((request.height, request.round, request.timestamp), (1, 0, harness::GENESIS_TIME_S + 1));
    assert_eq!((request.beneficiary, request.deadline_ms), (cast.keys[0].address(), 500));
    let block = harness::build(request, 1);
    let outputs = step(&mut bench, Input::Built { height: 1, round: 0, block: block.clone() });
    assert_eq!(names(&outputs), ["persist", "send", "send"]);
    assert!(hear(&cast, &mut bench, 1, cast.prepare(1, &block, 0)).is_empty());
    assert_eq!(hear(&cast, &mut bench, 2, cast.prepare(2, &block, 0)), ["persist", "send"]);
    assert!(hear(&cast, &mut bench, 3, cast.prepare(3, &block, 0)).is_empty());
    assert!(hear(&cast, &mut bench, 1, cast.commit(1, &block, 0)).is_empty());
    assert_eq!(hear(&cast, &mut bench, 2, cast.commit(2, &block, 0)), ["decide"]);
    assert!(hear(&cast, &mut bench, 3, cast.commit(3, &block, 0)).is_empty(), "decided once");
    let next = harness::after(&cast.spec, &cast.position, &block);
    assert_eq!(step(&mut bench, Input::NewHead(next))[0], Output::Forget { below_height: 2 });
}

#[test]
fn a_happy_block_costs_a_follower_two_records() {
    let cast = Cast::new(4);
    let mut bench = cast.bench(2);
    let block = cast.block(0, 1);
    assert_eq!(hear(&cast, &mut bench, 0, cast.proposal(&block, 0)), ["check"]);
    assert_eq!(bench.machine.status().phase, Phase::Checking);
    let digest = cast.digest(&block, 0);
    let outputs = step(&mut bench, Input::Checked { height: 1, digest, verdict: Verdict::Valid });
    assert_eq!(names(&outputs), ["persist", "send"]);
    assert!(hear(&cast, &mut bench, 0, cast.prepare(0, &block, 0)).is_empty());
    assert_eq!(hear(&cast, &mut bench, 1, cast.prepare(1, &block, 0)), ["persist", "send"]);
    assert_eq!(bench.machine.status().phase, Phase::Committing);
    assert!(hear(&cast, &mut bench, 0, cast.commit(0, &block, 0)).is_empty());
    assert_eq!(hear(&cast, &mut bench, 1, cast.commit(1, &block, 0)), ["decide"]);
    assert_eq!(bench.machine.status().phase, Phase::Decided);
    assert_eq!(bench.machine.deadline(), None);
}

#[test]
fn a_lone_validator_decides_with_one_record() {
    let cast = Cast::new(1);
    let mut bench = cast.bench(0);
    bench.builds = false;
    bench.pass(1_000);
    let Output::BuildBlock(request) = step(&mut bench, Input::Tick)[0].clone() else { panic!() };
    let block = harness::build(&request, 1);
    let outputs = step(&mut bench, Input::Built { height: 1, round: 0, block });
    assert_eq!(names(&outputs), ["persist", "send", "send", "send", "decide"]);
}

/// A lone validator that cannot build goes on to the next round, where the next try is.
#[test]
fn a_lone_validator_changes_rounds_by_itself() {
    let cast = Cast::new(1);
    let mut bench = cast.bench(0);
    bench.builds = false;
    bench.tick_at(6_000);
    bench.input(Input::BuildFailed { height: 1, round: 0, reason: "slow disk".into() });
    bench.time_out(0);
    bench.time_out(1);
    bench.builds = true;
    bench.time_out(2);
    assert_eq!(bench.decided.len(), 1);
    assert_eq!(extra::qbft_round(&bench.decided[0].block().header), Ok(3));
}

/// Decides a block in `round` and hands it out.
fn decide_in(cast: &Cast, round: u32) -> Bench {
    let mut bench = cast.bench(3);
    let block = cast.block(round, 9);
    let leader = cast.keys.iter().position(|key| key == cast.leader(round)).unwrap();
    cast.say(&mut bench, leader, cast.proposal(&block, round));
    for index in 0..3 {
        cast.say(&mut bench, index, cast.prepare(index, &block, round));
        cast.say(&mut bench, index, cast.commit(index, &block, round));
    }
    bench
}

#[test]
fn decided_blocks_pass_the_rules_of_sealed_blocks_in_every_round_and_digest_rule() {
    for digest in [DigestRule::Eea, DigestRule::GoQuorum] {
        let cast = Cast::with(4, ConsensusParams { digest, ..params() });
        for round in [0, 2] {
            let bench = decide_in(&cast, round);
            assert_eq!(bench.decided.len(), 1, "{digest:?} {round} {:?}", bench.blamed);
            let block = bench.decided[0].block().clone();
            assert_eq!(extra::qbft_round(&block.header), Ok(round));
            let certified =
                certify(&cast.spec, block, &cast.position.head, cast.position.votes.validators()).unwrap();
            assert_eq!(certified, bench.decided[0]);
        }
    }
}

#[test]
fn a_proposer_that_proposes_two_blocks_is_convicted_once() {
    let cast = Cast::new(4);
    let mut bench = cast.bench(3);
    cast.say(&mut bench, 0, cast.proposal(&cast.block(0, 1), 0));
    cast.say(&mut bench, 0, cast.proposal(&cast.block(0, 1), 0));
    assert!(bench.blamed.is_empty(), "the same one again is harmless");
    cast.say(&mut bench, 1, cast.proposal(&cast.block(0, 2), 0));
    cast.say(&mut bench, 1, cast.proposal(&cast.block(0, 3), 0));
    assert_eq!(kinds(&bench.sent), ["prepare 0"]);
    assert_eq!(bench.blamed.len(), 1);
    assert_eq!((bench.blamed[0].0, bench.blamed[0].1), (cast.keys[0].address(), None));
}

#[test]
fn a_voter_that_names_two_values_is_convicted() {
    let cast = Cast::new(4);
    let mut bench = cast.bench(3);
    cast.say(&mut bench, 1, cast.prepare(1, &cast.block(0, 1), 0));
    assert!(bench.blamed.is_empty());
    cast.say(&mut bench, 2, cast.prepare(1, &cast.block(0, 2), 0));
    assert_eq!((bench.blamed[0].0, bench.blamed[0].1), (cast.keys[1].address(), None));
}

#[test]
fn bad_commit_seals_are_the_authors_fault_and_do_not_count() {
    for digest in [DigestRule::Eea, DigestRule::GoQuorum] {
        let cast = Cast::with(4, ConsensusParams { digest, ..params() });
        for early in [true, false] {
            let mut bench = cast.bench(3);
            let block = cast.block(1, 1);
            let propose = |bench: &mut Bench| cast.say(bench, 1, cast.proposal(&block, 1));
            if !early {
                propose(&mut bench);
            }
            let right = extra::qbft_digest(&block.header, 1).unwrap();
            let bad = [
                Signature([0; 65]),
                cast.keys[1].sign(right),
                cast.keys[0].sign(extra::qbft_digest(&block.header, 2).unwrap()),
            ];
            for seal in bad {
                cast.say(&mut bench, 0, cast.commit_with(0, &block, 1, seal));
            }
            (1..3).for_each(|index| cast.say(&mut bench, index, cast.commit(index, &block, 1)));
            if early {
                propose(&mut bench);
            }
            let place = format!("{digest:?} early {early}");
            assert!(bench.decided.is_empty(), "{place}");
            assert!(!bench.blamed.is_empty(), "{place}");
            assert!(bench.blamed.iter().all(|blame| blame.0 == cast.keys[0].address()), "{place}");
            cast.say(&mut bench, 0, cast.commit(0, &block, 1));
            assert_eq!(bench.decided.len(), 1, "{place}: the good one counts");
        }
    }
}

#[test]
fn forged_round_changes_count_for_nothing_and_convict_who_passed_them_on() {
    let cast = Cast::new(4);
    let block = cast.block(0, 1);
    let claim = |round, digest| Some(PreparedClaim { round, digest });
    let change = |edit: &dyn Fn(&mut crate::message::VerifiedRoundChange)| {
        let message = cast.prepared_round_change(1, 2, &block, 0, &[0, 1, 2]);
        let VerifiedMessage::RoundChange(mut message) = message else { panic!() };
        edit(&mut message);
        VerifiedMessage::RoundChange(message)
    };
    let key = &cast.keys[1];
    let forged = [
        cast.prepared_round_change(1, 2, &block, 0, &[0, 1]),
        cast.prepared_round_change(1, 2, &block, 0, &[0, 1, 1]),
        cast.prepared_round_change(1, 2, &block, 2, &[0, 1, 2]),
        change(&|message| message.block = None),
        change(&|message| message.prepares.clear()),
        change(&|message| message.block = Some(cast.block(0, 2))),
        change(&|message| {
            let block = message.block.as_mut().unwrap();
            block.transactions.push(Bytes::from_static(&[0xc0]));
        }),
        change(&|message| message.round_change = cast.request(key, 2, None)),
        change(&|message| message.round_change = cast.request(key, 2, claim(0, B256::ZERO))),
        change(&|message| message.round_change = cast.request(key, 2, claim(1, cast.digest(&block, 1)))),
    ];
    for (index, message) in forged.into_iter().enumerate() {
        let mut bench = cast.bench(3);
        cast.say(&mut bench, 2, cast.round_change(2, 2));
        let sender = cast.keys[0].node_id();
        bench.input(Input::Message { from: Some(sender), message });
        assert_eq!(bench.machine.status().round, 0, "{index}: one good sender moves nobody");
        assert_eq!(bench.blamed.len(), 1, "{index}");
        assert_eq!((bench.blamed[0].0, bench.blamed[0].1), (key.address(), Some(sender)), "{index}");
        let asked = bench.machine.status().round_change_senders;
        assert_eq!(asked, 1, "{index}: it is not counted");
    }
}

#[test]
fn proposals_without_justification_or_with_a_bad_header_are_refused() {
    let cast = Cast::new(4);
    let good = cast.block(0, 1);
    let with = |edit: &dyn Fn(&mut Header)| {
        let mut block = good.clone();
        edit(&mut block.header);
        block
    };
    let quorum: Vec<_> = cast.keys[..3].iter().map(|key| cast.request(key, 1, None)).collect();
    let leader = cast.leader(1);
    let refused = [
        cast.proposal_by(&cast.keys[1], &good, 0, vec![], vec![]),
        cast.proposal(&with(&|header| header.timestamp = harness::GENESIS_TIME_S), 0),
        cast.proposal(&with(&|header| header.parent_hash = B256::ZERO), 0),
        cast.proposal(&with(&|header| header.beneficiary = cast.keys[1].address()), 0),
        cast.proposal(&with(&|header| header.extra_data = harness::extra_data(vec![], 0)), 0),
        cast.proposal(&Block { transactions: vec![Bytes::from_static(&[0xc0])], ..good.clone() }, 0),
        cast.proposal_by(leader, &cast.block(1, 1), 1, quorum[..2].to_vec(), vec![]),
        cast.proposal_by(leader, &cast.block(1, 1), 1, [&quorum[..2], &quorum[..1]].concat(), vec![]),
        cast.proposal_by(leader, &good, 1, quorum, vec![]),
    ];
    for (index, message) in refused.into_iter().enumerate() {
        let mut bench = cast.bench(3);
        cast.say(&mut bench, 0, message);
        assert!(bench.sent.is_empty(), "{index}");
        assert_eq!(bench.blamed.len(), 1, "{index}");
        cast.say(&mut bench, 0, cast.proposal(&good, 0));
        assert_eq!(kinds(&bench.sent), ["prepare 0"], "{index}: the right one afterwards");
    }
}

#[test]
fn strangers_and_our_own_echo_are_ignored() {
    let cast = Cast::new(4);
    let strangers = Cast { keys: vec![crate::testing::key(88)], ..Cast::new(4) };
    let mut bench = cast.bench(3);
    let block = cast.block(0, 1);
    for message in
        [strangers.prepare(0, &block, 0), strangers.commit(0, &block, 0), strangers.round_change(0, 3)]
    {
        bench.receive(&cast.keys[0], message.clone());
        assert!(!bench.counts(&message));
    }
    cast.say(&mut bench, 0, cast.prepare(3, &block, 0));
    assert!(bench.blamed.is_empty() && bench.sent.is_empty());
}

#[test]
fn an_invalid_block_gets_no_vote_and_its_proposer_no_second_try() {
    let cast = Cast::new(4);
    let mut bench = cast.bench(3);
    bench.verdict = Some(Verdict::Invalid("state root".into()));
    cast.say(&mut bench, 0, cast.proposal(&cast.block(0, 1), 0));
    bench.verdict = Some(Verdict::Valid);
    cast.say(&mut bench, 0, cast.proposal(&cast.block(0, 2), 0));
    assert!(bench.sent.is_empty());
    assert_eq!(bench.asked.len(), 1);
    assert!(bench.blamed.iter().all(|blame| blame.0 == cast.keys[0].address() && blame.1.is_none()));
    bench.time_out(0);
    assert_eq!(kinds(&bench.sent), ["change 1"]);
}

#[test]
fn a_check_that_is_not_possible_now_is_repeated() {
    let cast = Cast::new(4);
    let mut bench = cast.bench(3);
    bench.verdict = Some(Verdict::Unavailable("busy".into()));
    cast.say(&mut bench, 0, cast.proposal(&cast.block(0, 1), 0));
    bench.tick();
    assert_eq!(bench.asked.len(), 1, "not at once");
    bench.verdict = Some(Verdict::Valid);
    let due = bench.machine.deadline().unwrap();
    bench.tick_at(due);
    assert_eq!(bench.asked.len(), 2);
    assert_eq!(kinds(&bench.sent), ["prepare 0"]);
}

#[test]
fn a_commit_quorum_waits_for_the_verdict() {
    let cast = Cast::new(4);
    let block = cast.block(0, 1);
    for (verdict, decided) in [(Verdict::Valid, 1), (Verdict::Invalid("roots".into()), 0)] {
        let mut bench = cast.bench(3);
        bench.verdict = None;
        cast.say(&mut bench, 0, cast.proposal(&block, 0));
        (0..3).for_each(|index| cast.say(&mut bench, index, cast.commit(index, &block, 0)));
        assert!(bench.decided.is_empty());
        let digest = cast.digest(&block, 0);
        bench.input(Input::Checked { height: 1, digest, verdict });
        assert_eq!(bench.decided.len(), decided);
    }
}

/// The verdict is about the block: it also settles the same block proposed again in the next round.
#[test]
fn a_late_verdict_counts_for_the_same_block_proposed_again() {
    let cast = Cast::new(4);
    let mut bench = cast.bench(3);
    bench.verdict = None;
    let block = cast.block(0, 1);
    cast.say(&mut bench, 0, cast.proposal(&block, 0));
    let claim = Some(PreparedClaim { round: 0, digest: cast.digest(&block, 0) });
    let changes: Vec<_> = cast.keys[..3].iter().map(|key| cast.request(key, 1, claim)).collect();
    let prepares = (0..3).map(|index| cast.signed_prepare(index, &block, 0)).collect();
    cast.say(&mut bench, 1, cast.proposal_by(cast.leader(1), &block, 1, changes, prepares));
    let digest = cast.digest(&block, 0);
    bench.input(Input::Checked { height: 1, digest, verdict: Verdict::Valid });
    assert_eq!(kinds(&bench.sent), ["prepare 1"]);
}

#[test]
fn without_voting_nothing_is_signed_and_sealed_blocks_are_still_decided() {
    let cast = Cast::new(4);
    let mut bench = cast.bench(0);
    bench.input(Input::SetVoting(false));
    bench.tick_at(60_000);
    let block = cast.block(1, 1);
    (1..4).for_each(|index| cast.say(&mut bench, index, cast.round_change(index, 1)));
    cast.say(&mut bench, 1, cast.proposal(&block, 1));
    (1..4).for_each(|index| cast.say(&mut bench, index, cast.prepare(index, &block, 1)));
    assert_eq!(bench.machine.deadline(), None);
    (1..3).for_each(|index| cast.say(&mut bench, index, cast.commit(index, &block, 1)));
    assert!(bench.sent.is_empty() && bench.log.is_empty() && bench.built.is_empty());
    let mut resumed = cast.bench(0);
    std::mem::swap(&mut bench, &mut resumed);
    resumed.input(Input::SetVoting(true));
    assert_eq!(kinds(&resumed.sent), ["prepare 1", "commit 1"]);
    assert_eq!(resumed.decided.len(), 1, "with our own commit");
}

#[test]
fn voting_again_in_a_later_round_begins_with_the_round_change() {
    let cast = Cast::new(4);
    let mut bench = cast.bench(1);
    bench.input(Input::SetVoting(false));
    cast.say(&mut bench, 2, cast.round_change(2, 1));
    cast.say(&mut bench, 3, cast.round_change(3, 1));
    assert_eq!(bench.machine.status().round, 1);
    assert!(bench.sent.is_empty());
    bench.input(Input::SetVoting(true));
    assert_eq!(kinds(&bench.sent), ["change 1", "proposal 1", "prepare 1"]);
}

#[test]
fn whoever_is_no_validator_only_follows_the_head() {
    let mut cast = Cast::new(4);
    let outsider = crate::testing::key(77);
    let mut bench = Bench::new(cast.spec.clone(), outsider, cast.position.clone());
    bench.tick();
    let block = cast.block(0, 1);
    cast.say(&mut bench, 0, cast.proposal(&block, 0));
    (0..4).for_each(|index| cast.say(&mut bench, index, cast.commit(index, &block, 0)));
    bench.tick_at(600_000);
    assert_eq!(bench.machine.deadline(), None);
    assert_eq!(bench.machine.status().phase, Phase::Observing);
    let next = cast.next_height(0);
    bench.head(next);
    assert_eq!(bench.machine.status().height, 2);
    assert!(bench.sent.is_empty() && bench.decided.is_empty());
}

#[test]
fn the_jump_goes_no_further_than_a_correct_validator_asked() {
    let cast = Cast::new(7);
    let mut bench = cast.bench(6);
    for (index, round) in [(0, 9_000), (1, 5), (2, 8)] {
        cast.say(&mut bench, index, cast.round_change(index, round));
    }
    assert_eq!(kinds(&bench.sent), ["change 5"]);
    cast.say(&mut bench, 3, cast.round_change(3, 20_000));
    assert_eq!(bench.machine.status().round, 5, "too far ahead to be taken");
    cast.say(&mut bench, 3, cast.round_change(3, 7));
    assert_eq!(kinds(&bench.sent), ["change 5", "change 7"]);
}

#[test]
fn far_rounds_of_one_validator_move_nobody_and_take_two_places() {
    let cast = Cast::new(4);
    let mut bench = cast.bench(3);
    for round in 1..500 {
        cast.say(&mut bench, 0, cast.round_change(0, round));
    }
    assert_eq!(bench.machine.status().round, 0);
    assert!(bench.sent.is_empty());
}

#[test]
fn the_leader_of_a_later_round_proposes_what_is_prepared_highest() {
    let cast = Cast::new(4);
    let (old, new) = (cast.block(0, 1), cast.block(1, 2));
    let mut bench = cast.bench(2);
    cast.say(&mut bench, 0, cast.prepared_round_change(0, 2, &old, 0, &[0, 1, 3]));
    cast.say(&mut bench, 1, cast.prepared_round_change(1, 2, &new, 1, &[0, 1, 3]));
    assert_eq!(kinds(&bench.sent), ["change 2", "proposal 2", "prepare 2"]);
    let VerifiedMessage::Proposal(message) = &bench.sent[1] else { panic!() };
    let proposed = &message.proposal.block;
    assert_eq!(cast.digest(proposed, 2), cast.digest(&new, 2));
    assert_eq!(proposed.header.beneficiary, cast.keys[1].address());
    assert_eq!((message.round_changes.len(), message.prepares.len()), (3, 3));
    let mut follower = cast.bench(3);
    follower.receive(&cast.keys[2], bench.sent[1].clone());
    assert_eq!(kinds(&follower.sent), ["prepare 2"]);
    assert!(bench.built.is_empty());
}

/// While its block is built, a leader hears that another one was prepared.
#[test]
fn something_prepared_wins_over_a_fresh_block() {
    let cast = Cast::new(4);
    let mut bench = cast.bench(1);
    bench.builds = false;
    for index in [0, 2] {
        cast.say(&mut bench, index, cast.round_change(index, 1));
    }
    let old = cast.block(0, 1);
    cast.say(&mut bench, 3, cast.prepared_round_change(3, 1, &old, 0, &[0, 2, 3]));
    let VerifiedMessage::Proposal(message) = bench.sent[1].clone() else { panic!() };
    assert_eq!(cast.digest(&message.proposal.block, 1), cast.digest(&old, 1));
    bench.input(Input::Built { height: 1, round: 1, block: cast.block(1, 3) });
    assert_eq!(kinds(&bench.sent), ["change 1", "proposal 1", "prepare 1"]);
}
