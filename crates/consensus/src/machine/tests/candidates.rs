//! Votes on validators in the blocks we build.

use super::cast::Cast;
use crate::machine::{BuildRequest, Input, Output};
use crate::testing::params;
use alloy_primitives::Address;
use lonja_primitives::spec::ConsensusParams;
use lonja_primitives::{ExtraData, HeaderFormat, Signer, Vote, VoteKind};

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
