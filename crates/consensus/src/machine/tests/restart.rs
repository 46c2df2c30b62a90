//! Crashes: a validator started again with what is durable never contradicts what it has sent.

use super::cast::{Cast, kinds};
use crate::machine::harness::{self, Bench};
use crate::machine::{Input, Istanbul, Output, Phase, RestoreError, record_height};
use crate::message::VerifiedMessage;
use lonja_primitives::{NodeKey, Signer};
use std::sync::Arc;

/// A leader that crashes after its proposal is durable does not propose a second block in the round.
#[test]
fn no_second_proposal_after_a_restart() {
    let cast = Cast::new(4);
    let mut bench = cast.bench(0);
    bench.tick_at(6_000);
    assert_eq!(kinds(&bench.sent), ["proposal 0", "prepare 0"]);
    bench.restart();
    bench.tick_at(7_000);
    assert_eq!(bench.built.len(), 1);
    assert_eq!(kinds(&bench.sent), ["proposal 0", "prepare 0", "prepare 0"]);
    assert_eq!(bench.sent_bytes[1], bench.sent_bytes[2], "the same bytes again");
    assert_eq!(bench.log.len(), 1, "already written down");
    bench.time_out(0);
    assert_eq!(kinds(&bench.sent[3..]), ["change 1"]);
}

#[test]
fn round_and_certificate_survive_a_restart() {
    let cast = Cast::new(4);
    let mut bench = cast.bench(3);
    let block = cast.block(0, 1);
    cast.say(&mut bench, 0, cast.proposal(&block, 0));
    (0..3).for_each(|index| cast.say(&mut bench, index, cast.prepare(index, &block, 0)));
    bench.restart();
    assert_eq!(kinds(&bench.sent), ["prepare 0", "commit 0", "prepare 0", "commit 0"]);
    assert_eq!(bench.sent_bytes[1], bench.sent_bytes[3]);
    bench.time_out(0);
    let VerifiedMessage::RoundChange(change) = bench.sent.last().unwrap().clone() else { panic!() };
    let claim = change.round_change.prepared.unwrap();
    assert_eq!((claim.round, claim.digest), (0, cast.digest(&block, 0)));
    assert!(change.prepares.len() >= 3 && change.block.is_some());
    bench.restart();
    assert_eq!(bench.machine.status().round, 1);
    assert_eq!(bench.machine.status().prepared_round, Some(0));
    assert_eq!(
        bench.sent.last(),
        Some(&VerifiedMessage::RoundChange(change)),
        "and the request goes out again"
    );
    let before = bench.sent.len();
    cast.say(&mut bench, 0, cast.proposal(&block, 0));
    (0..3).for_each(|index| cast.say(&mut bench, index, cast.prepare(index, &block, 0)));
    assert_eq!(bench.sent.len(), before, "no way back to round 0");
}

/// A restart with a commit quorum at hand needs nobody to say anything twice but the commits.
#[test]
fn a_committed_validator_decides_after_a_restart() {
    let cast = Cast::new(4);
    let mut bench = cast.bench(3);
    let block = cast.block(0, 1);
    cast.say(&mut bench, 0, cast.proposal(&block, 0));
    (0..3).for_each(|index| cast.say(&mut bench, index, cast.prepare(index, &block, 0)));
    bench.restart();
    (0..2).for_each(|index| cast.say(&mut bench, index, cast.commit(index, &block, 0)));
    assert_eq!(bench.decided.len(), 1);
}

/// Entered by its proposal, round 1 was never asked for. Without asking now the validator would wait in it for
/// good when the others are too few without it.
#[test]
fn a_restart_in_a_round_never_asked_for_asks_for_it() {
    let cast = Cast::new(4);
    let mut bench = cast.bench(3);
    cast.say(&mut bench, 1, cast.proposal(&cast.block(1, 1), 1));
    assert_eq!(kinds(&bench.sent), ["prepare 1"]);
    bench.restart();
    assert_eq!(kinds(&bench.sent[1..]), ["prepare 1", "change 1"]);
    cast.say(&mut bench, 0, cast.round_change(0, 1));
    cast.say(&mut bench, 1, cast.round_change(1, 1));
    bench.time_out(1);
    assert_eq!(kinds(&bench.sent).last().unwrap(), "change 2");
}

/// The database can be older than the log: what the log says of later heights holds when they are reached.
#[test]
fn records_of_a_later_height_wait_for_it() {
    let mut cast = Cast::new(4);
    let genesis = cast.position.clone();
    let head = cast.next_height(3);
    let mut bench = cast.bench(3);
    let (one, other) = (cast.block(0, 1), cast.block(0, 2));
    cast.say(&mut bench, 0, cast.proposal(&one, 0));
    assert_eq!(kinds(&bench.sent), ["prepare 0"]);
    bench.position = genesis;
    bench.restart();
    assert_eq!(bench.machine.status().height, 1);
    bench.head(head);
    bench.pass(1_000);
    bench.tick();
    cast.say(&mut bench, 0, cast.proposal(&other, 0));
    assert_eq!(bench.machine.status().phase, Phase::WaitingForProposal, "not taken at all");
    let digests: Vec<_> = bench.sent.iter().filter_map(prepared_digest).collect();
    assert!(digests.iter().all(|digest| *digest == cast.digest(&one, 0)), "{digests:?}");
}

fn prepared_digest(message: &VerifiedMessage) -> Option<alloy_primitives::B256> {
    match message {
        VerifiedMessage::Prepare(prepare) => Some(prepare.digest),
        _ => None,
    }
}

#[test]
fn records_of_heights_that_are_over_are_let_go() {
    let mut cast = Cast::new(4);
    let mut bench = cast.bench(3);
    cast.say(&mut bench, 0, cast.proposal(&cast.block(0, 1), 0));
    assert_eq!(record_height(&bench.log[0]), Some(1));
    let next = cast.next_height(0);
    bench.head(next);
    assert!(bench.log.is_empty());
    let outputs = bench.machine.step(bench.now, Input::Tick);
    assert!(!outputs.iter().any(|output| matches!(output, Output::Forget { .. })), "once is enough");
}

#[test]
fn an_unreadable_record_stops_the_start() {
    let cast = Cast::new(4);
    let signer: Arc<NodeKey> = Arc::new(cast.keys[0].clone());
    let records = vec![vec![1, 0, 0, 0, 0, 0, 0, 0, 1, 0xc1, 0x09]];
    let refused = Istanbul::new(cast.spec.clone(), Some(signer), cast.position.clone(), &records);
    assert!(matches!(refused, Err(RestoreError::Record { index: 0, .. })));
}

/// What one validator signs in a height of three rounds, as a list of inputs.
fn eventful_height(cast: &Cast, own: usize) -> Vec<Input> {
    let others: Vec<usize> = (0..4).filter(|index| *index != own).collect();
    let hear = |index: usize, message| Input::Message { from: Some(cast.keys[index].node_id()), message };
    let mut inputs = Vec::new();
    let (first, second) = (cast.block(0, 1), cast.block(1, 2));
    inputs.push(hear(0, cast.proposal(&first, 0)));
    others.iter().for_each(|index| inputs.push(hear(*index, cast.prepare(*index, &first, 0))));
    others.iter().for_each(|index| inputs.push(hear(*index, cast.round_change(*index, 1))));
    inputs.push(hear(1, cast.proposal(&second, 1)));
    others.iter().for_each(|index| inputs.push(hear(*index, cast.prepare(*index, &second, 1))));
    others.iter().for_each(|index| inputs.push(hear(*index, cast.round_change(*index, 2))));
    others.iter().for_each(|index| inputs.push(hear(*index, cast.commit(*index, &first, 0))));
    inputs
}

/// The machine dies before its n-th output, for every n, and everything it hears is said again afterwards.
/// Whatever it sends, before and after, must agree.
#[test]
fn a_crash_before_any_output_never_leads_to_a_second_vote() {
    let cast = Cast::new(4);
    for own in 0..4 {
        for crash_at in 0..60 {
            let mut bench = cast.bench(own);
            let mut left = crash_at;
            let inputs = eventful_height(&cast, own);
            for input in &inputs {
                if !feed(&mut bench, input.clone(), &mut left) {
                    break;
                }
            }
            bench.restart();
            for input in inputs {
                bench.input(input);
                bench.pass(50);
            }
            bench.time_out(2);
            no_contradiction(&cast.keys[own], &bench, &format!("validator {own}, crash at {crash_at}"));
        }
    }
}

/// Carries out the outputs of one input until `left` of them are used up; false when the process died.
fn feed(bench: &mut Bench, input: Input, left: &mut usize) -> bool {
    let mut outputs: std::collections::VecDeque<Output> = bench.machine.step(bench.now, input).into();
    while let Some(output) = outputs.pop_front() {
        if *left == 0 {
            return false;
        }
        *left -= 1;
        let answer = match output {
            Output::CheckBlock { height, digest, .. } => {
                Some(Input::Checked { height, digest, verdict: crate::machine::Verdict::Valid })
            }
            Output::BuildBlock(request) => {
                let block = harness::build(&request, 500);
                Some(Input::Built { height: request.height, round: request.round, block })
            }
            other => {
                bench.carry_out(other);
                None
            }
        };
        if let Some(answer) = answer {
            outputs.extend(bench.machine.step(bench.now, answer));
        }
    }
    true
}

fn no_contradiction(key: &NodeKey, bench: &Bench, place: &str) {
    use std::collections::BTreeMap;
    let mut votes = BTreeMap::new();
    let mut highest_change = 0;
    let mut highest_commit: Option<u32> = None;
    for message in &bench.sent {
        assert_eq!(message.author(), key.address());
        let round = message.view().round;
        let value = match message {
            VerifiedMessage::Prepare(prepare) => (1, prepare.digest),
            VerifiedMessage::Commit(commit) => (2, commit.digest),
            VerifiedMessage::Proposal(message) => {
                let header = &message.proposal.block.header;
                (3, lonja_primitives::extra::qbft_digest(header, round).unwrap())
            }
            VerifiedMessage::RoundChange(message) => {
                let claim = message.round_change.prepared.map(|claim| claim.round);
                assert!(claim >= highest_commit.filter(|at| *at < round), "{place}: a certificate is lost");
                highest_change = highest_change.max(round);
                continue;
            }
        };
        assert!(round >= highest_change, "{place}: a vote for round {round} after one for {highest_change}");
        if value.0 == 2 {
            highest_commit = highest_commit.max(Some(round));
        }
        let known = *votes.entry((value.0, round)).or_insert(value.1);
        assert_eq!(known, value.1, "{place}: two values in round {round}");
    }
}
