//! Clocks, seen from outside: when the machine wants to be woken, and what happens then.

use super::cast::{Cast, kinds};
use crate::Now;
use crate::header::MAX_CLOCK_DIFFERENCE_MS;
use crate::machine::harness::{self, Bench};
use crate::machine::{Input, Phase};
use crate::testing::params;
use lonja_primitives::spec::ConsensusParams;
use lonja_primitives::{Block, Header};

/// Where the monotonic clock of a bench stands at genesis time.
const START: u64 = 5_000;

fn slow_when_empty() -> Cast {
    Cast::with(4, ConsensusParams { empty_block_period_ms: 20_000, ..params() })
}

#[test]
fn nothing_waits_before_the_first_step() {
    let cast = Cast::new(4);
    let bench = Bench::new(cast.spec.clone(), cast.keys[0].clone(), cast.position.clone());
    assert_eq!(bench.machine.deadline(), Some(0));
}

#[test]
fn proposer_and_followers_begin_round_zero_at_the_block_time() {
    let cast = Cast::new(4);
    for index in 0..4 {
        let mut bench = cast.bench(index);
        assert_eq!(bench.machine.deadline(), Some(START + 1_000));
        bench.tick_at(START + 999);
        assert_eq!(bench.machine.status().phase, Phase::WaitingForBlockTime);
        bench.tick_at(START + 1_000);
        assert_eq!(bench.built.len(), usize::from(index == 0));
        assert_eq!(bench.machine.deadline(), Some(START + 1_000 + 2_000));
    }
}

#[test]
fn without_work_both_wait_for_the_empty_block_period() {
    let cast = slow_when_empty();
    for index in 0..4 {
        let mut bench = cast.bench(index);
        assert_eq!(bench.machine.deadline(), Some(START + 20_000));
        bench.tick_at(START + 7_000);
        bench.input(Input::WorkWaiting(true));
        assert_ne!(bench.machine.status().phase, Phase::WaitingForBlockTime, "work came: at once");
        assert_eq!(bench.built.len(), usize::from(index == 0));
        assert_eq!(bench.machine.deadline(), Some(START + 9_000));
    }
    let mut bench = cast.bench(0);
    bench.input(Input::WorkWaiting(true));
    assert_eq!(bench.machine.deadline(), Some(START + 1_000), "not before the period");
    bench.input(Input::WorkWaiting(false));
    assert_eq!(bench.machine.deadline(), Some(START + 20_000));
    bench.tick_at(START + 20_000);
    assert_eq!(bench.built.len(), 1, "an empty one");
    assert_eq!(bench.built[0].header.timestamp, harness::GENESIS_TIME_S + 20);
}

#[test]
fn a_proposal_before_the_block_time_begins_the_round() {
    let cast = slow_when_empty();
    let mut bench = cast.bench(3);
    bench.tick_at(START + 2_000);
    cast.say(&mut bench, 0, cast.proposal(&cast.block(0, 1), 0));
    assert_eq!(bench.machine.deadline(), Some(START + 4_000));
    bench.time_out(0);
    assert_eq!(kinds(&bench.sent), ["prepare 0", "change 1"]);
}

#[test]
fn late_ticks_for_what_is_over_do_nothing() {
    let mut cast = Cast::new(4);
    let mut bench = cast.bench(3);
    let block = cast.block(0, 1);
    cast.say(&mut bench, 0, cast.proposal(&block, 0));
    (0..3).for_each(|index| cast.say(&mut bench, index, cast.prepare(index, &block, 0)));
    (0..3).for_each(|index| cast.say(&mut bench, index, cast.commit(index, &block, 0)));
    let sent = bench.sent.len();
    bench.tick_at(START + 3_600_000);
    assert_eq!(bench.sent.len(), sent, "nothing between the decision and the new head");
    let next = cast.next_height(0);
    bench.head(next);
    bench.tick();
    assert_eq!((bench.machine.status().height, bench.machine.status().round), (2, 0));
    assert_eq!(kinds(&bench.sent[sent..]), [] as [String; 0], "round 0 of the new height has its full time");
    assert_eq!(bench.machine.deadline(), Some(START + 3_602_000));
}

#[test]
fn the_round_clock_runs_only_with_a_quorum() {
    let cast = Cast::new(4);
    let mut bench = cast.bench(3);
    bench.tick_at(START + 1_000);
    bench.tick_at(START + 3_000);
    assert_eq!(kinds(&bench.sent), ["change 1"]);
    for _ in 0..50 {
        let due = bench.machine.deadline().unwrap();
        bench.tick_at(due);
    }
    assert_eq!(bench.machine.status().round, 1);
    assert_eq!(bench.sent_bytes.len(), 51, "the request is repeated, twice per timeout");
    assert!(bench.sent_bytes.iter().all(|bytes| *bytes == bench.sent_bytes[0]));
    assert_eq!(bench.log.len(), 1, "and written down once");
    assert_eq!(bench.now.mono_ms, START + 3_000 + 50 * 1_000);
    let start = bench.now.mono_ms;
    cast.say(&mut bench, 0, cast.round_change(0, 1));
    assert_eq!(bench.machine.deadline(), Some(start + 1_000), "still a repetition");
    cast.say(&mut bench, 2, cast.round_change(2, 1));
    assert_eq!(bench.machine.deadline(), Some(start + 500), "a quorum, but the proposer is silent");
    cast.say(&mut bench, 1, cast.round_change(1, 1));
    bench.tick_at(start + 1_000);
    assert_eq!(bench.machine.status().round, 1, "the proposer is there: full time");
    bench.tick_at(start + 2_000);
    assert_eq!(bench.machine.status().round, 2);
}

#[test]
fn a_proposal_from_the_future_waits_for_its_time_within_the_round() {
    let cast = Cast::new(4);
    let ahead = |seconds: u64| {
        let block = cast.block(0, 1);
        let timestamp = harness::GENESIS_TIME_S + seconds;
        Block { header: Header { timestamp, ..block.header }, ..block }
    };
    let mut bench = cast.bench(3);
    cast.say(&mut bench, 0, cast.proposal(&ahead(3), 0));
    assert!(bench.sent.is_empty() && bench.asked.is_empty());
    let due = START + 3_000 - MAX_CLOCK_DIFFERENCE_MS;
    bench.tick_at(START + 1_000);
    assert_eq!(bench.machine.deadline(), Some(due));
    bench.tick_at(due - 1);
    assert!(bench.sent.is_empty());
    bench.tick_at(due);
    assert_eq!(kinds(&bench.sent), ["prepare 0"]);

    let mut bench = cast.bench(3);
    cast.say(&mut bench, 0, cast.proposal(&ahead(3_000), 0));
    bench.time_out(0);
    assert_eq!(kinds(&bench.sent), ["change 1"]);
    bench.tick_at(START + 4_000_000);
    assert!(!kinds(&bench.sent).contains(&"prepare 0".to_owned()), "its round is over");
}

/// Everybody's wall clock stands an hour behind the chain: blocks go on, one period apart by the other clock.
#[test]
fn a_wall_clock_behind_the_chain_stops_nothing() {
    let cast = Cast::new(4);
    let mut bench = Bench::new(cast.spec.clone(), cast.keys[0].clone(), cast.position.clone());
    bench.now = Now { unix_ms: (harness::GENESIS_TIME_S - 3_600) * 1000, mono_ms: START };
    bench.tick();
    let due = bench.machine.deadline().unwrap();
    assert_eq!(due, START + 1_000 + MAX_CLOCK_DIFFERENCE_MS);
    bench.tick_at(due);
    let block = bench.built[0].clone();
    assert_eq!(block.header.timestamp, harness::GENESIS_TIME_S + 1, "the least the rules allow");
    assert_eq!(kinds(&bench.sent), ["proposal 0", "prepare 0"]);
    let mut follower = Bench::new(cast.spec.clone(), cast.keys[1].clone(), cast.position.clone());
    follower.now = Now { unix_ms: (harness::GENESIS_TIME_S - 3_600) * 1000, mono_ms: START };
    follower.receive(&cast.keys[0], bench.sent[0].clone());
    assert!(follower.sent.is_empty());
    let due = follower.machine.deadline().unwrap();
    follower.tick_at(due);
    assert_eq!(kinds(&follower.sent), ["prepare 0"]);
}

#[test]
fn a_jump_of_the_wall_clock_moves_no_timer_that_is_set() {
    let cast = Cast::new(4);
    for jump in [-3_600_000_i64, 3_600_000] {
        let mut bench = cast.bench(3);
        bench.now.unix_ms = bench.now.unix_ms.checked_add_signed(jump).unwrap();
        bench.tick();
        assert_eq!(bench.machine.deadline(), Some(START + 1_000));
        bench.tick_at(START + 1_000);
        bench.tick_at(START + 3_000);
        assert_eq!(kinds(&bench.sent), ["change 1"]);
    }
}

/// A lone validator with a period of 300 ms whose steps always come 7 ms late: the lateness does not add up.
#[test]
fn periods_below_a_second_hold_on_average() {
    let fast = ConsensusParams { block_period_ms: 300, empty_block_period_ms: 300, ..params() };
    let cast = Cast::with(1, fast);
    let mut bench = cast.bench(0);
    let mut position = cast.position.clone();
    let mut times = Vec::new();
    for _ in 0..40 {
        let due = bench.machine.deadline().unwrap();
        bench.tick_at(due + 7);
        let block = bench.decided.pop().unwrap().into_block();
        times.push(bench.now.mono_ms);
        bench.pass(11);
        let next = harness::after(&cast.spec, &position, &block);
        assert!(next.head.timestamp >= position.head.timestamp);
        position = next.clone();
        bench.head(next);
    }
    let span = times.last().unwrap() - times[0];
    assert_eq!(span, 39 * 300, "{times:?}");
    assert_eq!(
        position.head.timestamp,
        harness::GENESIS_TIME_S + (bench.now.unix_ms / 1000 - harness::GENESIS_TIME_S)
    );
}

/// A follower whose own clock would have been later counts the next period from the proposal that came.
#[test]
fn an_early_proposal_moves_the_slot_of_a_short_period() {
    let fast = ConsensusParams { block_period_ms: 300, empty_block_period_ms: 300, ..params() };
    let cast = Cast::with(4, fast);
    let block = cast.block(0, 1);
    let block = Block { header: Header { timestamp: harness::GENESIS_TIME_S, ..block.header }, ..block };
    let mut bench = cast.bench(3);
    assert_eq!(bench.machine.deadline(), Some(START + 300));
    bench.pass(100);
    cast.say(&mut bench, 0, cast.proposal(&block, 0));
    bench.pass(50);
    bench.head(harness::after(&cast.spec, &cast.position, &block));
    assert_eq!(bench.machine.deadline(), Some(START + 400));
}
