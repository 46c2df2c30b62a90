//! `kill -9` at random instants, under load: what was final stays final, what was acknowledged is mined, and nobody
//! repairs anything.

use crate::harness::{Load, Network, Plan, Witness};
use crate::simulation::dice::Dice;
use std::fmt;
use std::thread;
use std::time::Duration;

/// Validators: the fewest that tolerate one fault.
const VALIDATORS: usize = 4;
/// Between two kills, at most: some blocks, and longer than a start takes.
const PAUSE_MOST_MS: u64 = 1_500;
/// A start takes about this long; a kill within it hits an unfinished one.
const START_MS: u64 = 150;
/// How long a killed node stays away, at most: the others change rounds meanwhile.
const AWAY_MOST_MS: u64 = 2_000;
/// After so many kills the network must come to rest once: all nodes answer, and blocks go on.
const REST_EVERY: usize = 10;
/// Blocks that show that it goes on.
const REST_BLOCKS: u64 = 2;

/// What happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Times that something was killed.
    pub kills: usize,
    /// Processes that were killed.
    pub processes: usize,
    /// Of them, those that did not yet answer.
    pub starting: usize,
    /// Times that all nodes were killed at once.
    pub everything: usize,
    /// Blocks that somebody saw before a kill, all there afterwards.
    pub blocks: usize,
    /// Transactions that were acknowledged, all mined.
    pub transactions: usize,
    /// Torn ends of consensus logs that nodes cut off by themselves.
    pub torn_logs: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, processes, starting, everything, blocks, transactions, torn_logs } = self;
        write!(
            f,
            "{kills} kills of {processes} processes ({starting} while they started, {everything} times all at once): \
             {blocks} blocks seen and {transactions} transactions acknowledged, none lost; {torn_logs} torn logs"
        )
    }
}

/// Runs a network of validators and a regular node under load, and kills it so many times. `progress` is called after
/// each kill.
///
/// # Panics
/// With the promise that was broken.
#[track_caller]
pub fn run(times: usize, seed: u64, mut progress: impl FnMut(&Tally)) -> Tally {
    let mut network = Network::start(Plan::new(VALIDATORS, 1));
    let all = network.all();
    let witness = Witness::start(all.iter().map(|n| network.member(*n).rpc).collect());
    // One where transactions only pass through, one that puts them into blocks itself.
    let loads = [VALIDATORS, 0].map(|n| Load::start(network.member(n).rpc));
    let mut dice = Dice::new(seed);
    let mut tally = Tally::default();
    let mut started = Vec::new();
    while tally.kills < times {
        started = kill_some(&mut network, &mut dice, &mut tally, &started);
        if tally.kills.is_multiple_of(REST_EVERY) || tally.kills == times {
            come_to_rest(&mut network);
        }
        progress(&tally);
    }
    for load in loads {
        let acknowledged = load.finish();
        tally.transactions += acknowledged.len();
        all.iter().for_each(|n| network.assert_mined(*n, &acknowledged));
    }
    network.assert_same_chain(&all);
    tally.blocks = witness.assert_kept(&network);
    network.assert_calm(&all);
    tally.torn_logs = all.iter().map(|n| network.member(*n).log().matches("torn end").count()).sum();
    for n in all {
        network.stop(n);
        let said = network.member(n).command(&["db", "verify"]);
        assert!(said.contains("all is well"), "{}: {said}", network.member(n).name);
    }
    tally
}

/// One round: waits, kills, waits, starts what was killed, and tells what that is. It may hit what the last round
/// started, and has not finished to.
fn kill_some(network: &mut Network, dice: &mut Dice, tally: &mut Tally, started: &[usize]) -> Vec<usize> {
    let again = !started.is_empty() && dice.chance(40);
    let most = if again { START_MS } else { PAUSE_MOST_MS };
    thread::sleep(Duration::from_millis(dice.below(most)));
    let doomed = if again { started.to_vec() } else { choose(&network.all(), dice) };
    network.assert_running(&network.all());
    let starting = doomed.iter().filter(|n| network.head(**n).is_none()).count();
    network.kill9(&doomed);
    tally.kills += 1;
    tally.processes += doomed.len();
    tally.starting += starting;
    tally.everything += usize::from(doomed.len() == network.all().len());
    if dice.chance(50) {
        thread::sleep(Duration::from_millis(dice.below(AWAY_MOST_MS)));
    }
    doomed.iter().for_each(|n| network.launch(*n));
    doomed
}

/// Mostly one node, now and then several, all validators, or everything.
fn choose(all: &[usize], dice: &mut Dice) -> Vec<usize> {
    let mut some = all.to_vec();
    dice.shuffle(&mut some);
    match dice.below(10) {
        0..=5 => some.truncate(1),
        6 => some.truncate(2),
        7 => some.truncate(3),
        8 => some.retain(|n| *n < VALIDATORS),
        _ => {}
    }
    some
}

/// Without anybody's help all nodes answer, and each gets new blocks.
#[track_caller]
fn come_to_rest(network: &mut Network) {
    let all = network.all();
    network.await_answers(&all);
    let newest = all.iter().filter_map(|n| network.head(*n)).max().expect("all answer");
    all.iter().for_each(|n| network.wait_for_block(*n, newest + REST_BLOCKS));
}
