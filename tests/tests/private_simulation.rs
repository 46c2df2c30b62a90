//! Worlds with private transactions: members deal while everything goes wrong, and nobody else ever has a byte of it.

use lonja_tests::simulation::{Break, Crowd, Options, Plan, World, alone, run};
use parking_lot::Mutex;
use std::fmt::{Debug, Write};
use std::sync::Arc;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

fn options() -> Options {
    Options { private: true, ..Options::default() }
}

#[test]
fn private_worlds_keep_all_promises() {
    let seeds = std::env::var("SIMULATE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(30);
    let crowd = Crowd { from: 0, seeds, threads: 0, keep_going: false, options: options() };
    let (stats, failures) = crowd.run(|_| true);
    println!("{stats}");
    if let Some(failure) = failures.first() {
        panic!("{failure}");
    }
    let happened = [
        stats.sends,
        stats.sends_failed,
        stats.markers,
        stats.private_runs,
        stats.led_back,
        stats.recovered,
        stats.envelopes,
        stats.secrets_found,
        stats.kills,
        stats.power_cuts,
        stats.partitions,
    ];
    assert!(happened.iter().all(|count| *count > 0), "the worlds were too quiet: {stats}");
}

#[test]
fn a_seed_always_gives_the_same_private_world() {
    for seed in 100..104 {
        let [first, second] = [(); 2].map(|()| alone(|| run(seed, options())).unwrap());
        assert_eq!(first, second, "seed {seed}");
    }
}

/// Whatever is broken must be noticed in some world.
fn expect_noticed(broken: Break, says: &[&str]) {
    let options = Options { broken: Some(broken), ..options() };
    let crowd = Crowd { from: 0, seeds: 200, threads: 1, keep_going: false, options };
    let (stats, failures) = crowd.run(|_| true);
    let failure = failures.first().unwrap_or_else(|| panic!("{broken:?} goes unnoticed in {stats}"));
    println!("{broken:?} is noticed in world {}: {failure}", stats.worlds);
    assert!(says.iter().any(|part| failure.what.contains(part)), "{failure}");
}

#[test]
fn a_second_pass_that_misses_late_payloads_is_noticed() {
    expect_noticed(Break::LatePayloadsForgotten, &["private state"]);
}

#[test]
fn a_payload_for_somebody_who_is_no_party_is_noticed() {
    expect_noticed(Break::StrangerTold, &["secrecy"]);
}

#[test]
fn payloads_that_are_said_to_be_durable_and_are_not_are_noticed() {
    expect_noticed(Break::UnsyncedPayloads, &["delivery"]);
}

/// Everything that is said on a thread, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0.lock(), "{field}={value:?} ");
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn no_log_has_a_secret() {
    let mut said = 0;
    for seed in 0..5 {
        let log = Log::default();
        let heard = log.clone();
        said += alone(move || {
            tracing::subscriber::with_default(log, || {
                let mut world = World::new(Plan::draw_private(seed), options());
                world.judged(None, "", World::private_story).unwrap_or_else(|failure| panic!("{failure}"));
                let text = heard.0.lock();
                assert_eq!(world.deals.judge.found_in_text(&text), None, "seed {seed}");
                text.len()
            })
        });
    }
    assert!(said > 0, "nothing was said at all");
}
