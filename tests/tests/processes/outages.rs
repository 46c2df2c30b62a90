//! Nodes that are gone for a while, and what the others do meanwhile.

use lonja_tests::harness::{Load, Network, Plan};
use std::thread;
use std::time::{Duration, Instant};

/// Timeout of round 0 where the time until the first block is measured: the default of a new network.
const BASE_TIMEOUT: Duration = Duration::from_secs(3);
/// How late this machine may be with what it does, when other tests keep it busy.
const NOISE: Duration = Duration::from_millis(1_500);
/// Length of the outage: rounds 0 and 1 are over, and round 2 would last until 21 seconds after its beginning.
const OUTAGE: Duration = Duration::from_secs(12);

#[test]
fn blocks_go_on_without_one_of_four_stop_without_two_and_resume_at_once() {
    let plan = Plan { request_timeout_ms: BASE_TIMEOUT.as_millis() as u64, ..Plan::new(4, 0) };
    let mut network = Network::start(plan);

    network.kill9(&[0]);
    network.wait_for_more(1, 6);
    network.assert_same_chain(&[1, 2, 3]);

    network.kill9(&[1]);
    // A block that had its quorum when the validator died may still be finished.
    thread::sleep(Duration::from_secs(1));
    let stood = network.head(2).expect("it answers");
    thread::sleep(OUTAGE);
    assert_eq!([network.head(2), network.head(3)], [Some(stood); 2], "two of four are no quorum");

    let started = Instant::now();
    let start_up = network.start_all(&[1]);
    network.wait_for_block(2, stood + 1);
    let first_block = started.elapsed();
    println!("after an outage of {OUTAGE:?}: up in {start_up:?}, first block after {first_block:?}");
    assert!(
        first_block < start_up + 2 * BASE_TIMEOUT + NOISE,
        "first block {first_block:?} after the third validator was started ({start_up:?} until it answered)"
    );

    network.start_all(&[0]);
    network.wait_for_more(2, 8);
    network.assert_same_chain(&[2, 0, 1, 3]);
    network.assert_calm(&network.all());
}

#[test]
fn halves_that_could_not_hear_each_other_agree_at_once_when_they_can() {
    let plan = Plan { request_timeout_ms: BASE_TIMEOUT.as_millis() as u64, ..Plan::new(4, 0) };
    let mut network = Network::prepare(plan);
    network.lay_cables();
    network.start_whole();

    network.cut(&[0]);
    network.wait_for_more(1, 6);
    let first_block = network.part_in_halves(OUTAGE);
    assert!(
        first_block < 2 * BASE_TIMEOUT + NOISE,
        "first block {first_block:?} after the cables were mended"
    );
    network.wait_for_more(0, 4);
    network.assert_same_chain(&[0, 1, 2, 3]);
    network.assert_calm(&network.all());
}

#[test]
fn a_frozen_node_catches_up_when_it_thaws() {
    let network = Network::start(Plan::new(4, 1));
    let regular = 4;
    let load = Load::start(network.member(0).rpc);
    load.wait_for(100);

    network.freeze(regular);
    network.wait_for_more(0, 25);
    network.thaw(regular);
    network.assert_same_chain(&[0, 1, 2, 3, regular]);

    network.freeze(3);
    network.wait_for_more(0, 8);
    network.thaw(3);
    network.assert_same_chain(&[0, 1, 2, 3, regular]);

    load.wait_for(100);
    load.finish();
    network.wait_for_more(0, 5);
    network.assert_same_chain(&[0, 1, 2, 3, regular]);
    network.assert_calm(&network.all());
}
