//! Votes on validators in the blocks we build.

use super::cast::Cast;
use crate::machine::harness::{self, Bench};
use crate::machine::{BuildRequest, Input, Output, Phase};
use crate::testing::params;
use alloy_primitives::Address;
use lonja_primitives::spec::ConsensusParams;
use lonja_primitives::{ExtraData, HeaderFormat, Signer, Vote, VoteKind};
use std::sync::Arc;

fn request(cast: &Cast, setup: &[Input]) -> BuildRequest {
    let mut bench = cast.bench(0);
    setup.iter().for_each(|input| bench.input(input.clone()));
    bench.pass(60_000);
    let outputs = bench.machine.step(bench.now, Input::Tick);
    match outputs.into_iter().find(|output| matches!(output, Output::BuildBlock(_))) {
        Some(Output::BuildBlock(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn vote(request: &BuildRequest) -> Option<Vote> {
    ExtraData::decode(&request.extra_data, HeaderFormat::Qbft).unwrap().vote
}

#[test]
fn the_extra_data_of_a_fresh_block() {
    let cast = Cast::new(4);
    let extra = ExtraData::decode(&request(&cast, &[]).extra_data, HeaderFormat::Qbft).unwrap();
    assert_eq!(&extra.vanity[..6], b"lonja\0");
    assert_eq!(extra.vanity.len(), 32);
    assert_eq!(extra.validators, cast.position.votes.validators().as_slice());
    assert_eq!((extra.vote, extra.round, extra.seals.len()), (None, 0, 0));
}

#[test]
fn a_candidate_is_voted_on_until_discarded_and_never_in_an_epoch_block() {
    let stranger = Address::repeat_byte(9);
    let propose = Input::Propose(stranger, VoteKind::Add);
    let cast = Cast::new(4);
    let add = Some(Vote { recipient: stranger, kind: VoteKind::Add });
    assert_eq!(vote(&request(&cast, std::slice::from_ref(&propose))), add);
    assert_eq!(vote(&request(&cast, &[propose.clone(), Input::Discard(stranger)])), None);
    let epochs = Cast::with(4, ConsensusParams { epoch_length: 1, ..params() });
    assert_eq!(vote(&request(&epochs, &[propose])), None);
}

#[test]
fn a_candidate_that_came_true_is_dropped_with_the_next_head() {
    let mut cast = Cast::new(4);
    let mut bench = cast.bench(0);
    bench.input(Input::Propose(cast.keys[1].address(), VoteKind::Add));
    bench.input(Input::Propose(cast.keys[2].address(), VoteKind::Drop));
    let next = cast.next_height(0);
    bench.head(next);
    assert_eq!(bench.machine.status().candidates, [(cast.keys[2].address(), VoteKind::Drop)]);
}

#[test]
fn where_a_contract_chooses_wishes_are_not_taken_and_older_ones_dropped() {
    let stranger = Address::repeat_byte(9);
    let propose = Input::Propose(stranger, VoteKind::Add);
    let mut contract = Cast::with(4, harness::by_contract());
    assert_eq!(vote(&request(&contract, std::slice::from_ref(&propose))), None);
    let mut bench = contract.bench(0);
    bench.input(propose.clone());
    assert_eq!(bench.machine.status().candidates, []);

    // The contract begins with block 2: a wish from before does not come back later.
    let mut spec = (*Cast::new(4).spec).clone();
    spec.consensus.push((2, harness::by_contract()));
    contract.spec = Arc::new(spec);
    let mut bench = contract.bench(0);
    bench.input(propose);
    assert_eq!(bench.machine.status().candidates.len(), 1);
    let members = harness::addresses(&contract.keys);
    let block = harness::block_on(&contract.position, contract.keys[1].address(), 0, 1);
    let block = harness::committing(&contract.spec, block, &members);
    bench.head(harness::after_execution(&contract.spec, &contract.position, &block, &members));
    assert_eq!(bench.machine.status().candidates, []);
}

#[test]
fn while_the_validators_are_pending_the_machine_only_follows() {
    let cast = Cast::with(4, harness::by_contract());
    let mut bench = cast.bench(0);
    let next = [cast.keys[0].address()];
    let block = harness::block_on(&cast.position, cast.keys[0].address(), 0, 1);
    let block = harness::committing(&cast.spec, block, &next);
    bench.head(harness::after(&cast.spec, &cast.position, &block));
    assert_eq!(bench.machine.status().phase, Phase::Observing);
    assert_eq!(bench.machine.deadline(), None);
    let told = harness::after_execution(&cast.spec, &cast.position, &block, &next);
    let mut bench = Bench::new(cast.spec.clone(), cast.keys[0].clone(), told);
    bench.tick();
    assert!(bench.machine.status().is_validator && bench.machine.status().phase != Phase::Observing);
    assert_eq!(bench.machine.status().validators, next);
}
