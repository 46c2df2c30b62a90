//! The world in a box: a thousand worlds from seeds, and stories of single ones.

use lonja_node::event::{Event, Room};
use lonja_primitives::VoteKind;
use lonja_tests::simulation::{
    Break, Crash, Crowd, Fault, Habits, Options, Outcome, Plan, Stats, Violation, World, alone, run,
};

const SECOND_US: u64 = 1_000_000;

/// Plays a story; a broken promise fails the test.
fn tell(plan: Plan, course: impl FnOnce(&mut World) -> Outcome + Send) -> Stats {
    let stats = alone(|| World::new(plan, Options::default()).judged(None, "", course));
    stats.unwrap_or_else(|failure| panic!("{failure}"))
}

fn expect(holds: bool, what: &str) -> Outcome {
    if holds { Ok(()) } else { Err(Violation::new(what)) }
}

fn crash_all(world: &mut World, nodes: impl IntoIterator<Item = usize>, crash: Crash) -> Outcome {
    nodes.into_iter().try_for_each(|node| world.crash(node, crash))
}

/// Fails when a block comes within this time.
fn expect_silence(world: &mut World, time_us: u64) -> Outcome {
    let height = world.top();
    world.run_for(time_us)?;
    expect(world.top() == height, "a block was made without a quorum")
}

#[test]
fn a_thousand_worlds_keep_all_promises() {
    let seeds = std::env::var("SIMULATE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(1_000);
    let crowd = Crowd { from: 0, seeds, threads: 0, keep_going: false, options: Options::default() };
    let (stats, failures) = crowd.run(|_| true);
    println!("{stats}");
    if let Some(failure) = failures.first() {
        panic!("{failure}");
    }
    assert_eq!(stats.outages, seeds);
    let happened = [
        stats.late_blocks,
        stats.transactions,
        stats.kills,
        stats.power_cuts,
        stats.torn_logs,
        stats.partitions,
        stats.set_changes,
        stats.forgeries,
    ];
    assert!(happened.iter().all(|count| *count > 0), "the worlds were too quiet: {stats}");
}

#[test]
fn a_seed_always_gives_the_same_world() {
    for seed in 100..112 {
        let [first, second] = [(); 2].map(|()| alone(|| run(seed, Options::default())).unwrap());
        assert_eq!(first, second, "seed {seed}");
    }
}

/// Whatever is broken around the nodes must be noticed in some world.
fn expect_noticed(broken: Break, says: &[&str]) {
    let options = Options { broken: Some(broken), ..Options::default() };
    let crowd = Crowd { from: 0, seeds: 1_000, threads: 1, keep_going: false, options };
    let (stats, failures) = crowd.run(|_| true);
    let failure = failures.first().unwrap_or_else(|| panic!("{broken:?} goes unnoticed in {stats}"));
    println!("{broken:?} is noticed in world {}: {failure}", stats.worlds);
    assert!(says.iter().any(|part| failure.what.contains(part)), "{failure}");
}

#[test]
fn a_log_that_a_crash_loses_is_noticed() {
    expect_noticed(Break::WithoutLog, &["signs two values", "after it asked for round", "showing what was"]);
}

#[test]
fn messages_that_leave_before_their_record_is_durable_are_noticed() {
    expect_noticed(Break::UnsyncedLog, &["signs two values", "after it asked for round", "showing what was"]);
}

#[test]
fn two_nodes_with_one_key_are_noticed() {
    expect_noticed(
        Break::TwinVotesAsHonest,
        &["signs two values", "after it asked for round", "showing what"],
    );
}

#[test]
fn a_store_that_loses_published_blocks_is_noticed() {
    expect_noticed(Break::UnsyncedStore, &["durability", "liveness"]);
}

#[test]
fn an_hour_without_quorum_costs_two_timeouts_at_most() {
    let stats = tell(Plan::calm(4, 1), |world| {
        world.start()?;
        world.run_healthily(3)?;
        crash_all(world, [2, 3], Crash::PowerCut)?;
        world.run_for(5 * SECOND_US)?;
        expect_silence(world, 3_600 * SECOND_US)?;
        world.recover()?;
        world.run_healthily(3)?;
        world.audit()
    });
    assert!(stats.slowest_recovery <= 1_000, "{stats}");
}

#[test]
fn every_second_validator_down_for_a_moment_or_a_day_comes_back_the_same() {
    for (seed, outage_us) in (0..).zip([1, SECOND_US, 60 * SECOND_US, 86_400 * SECOND_US]) {
        tell(Plan::calm(7, seed), |world| {
            world.start()?;
            world.run_healthily(2)?;
            crash_all(world, 0..7, Crash::Kill)?;
            world.run_for(outage_us)?;
            // Two stay away for good: the first proposers of the rounds to come may be among them.
            world.retire(seed as usize)?;
            world.retire(seed as usize + 1)?;
            world.recover()?;
            world.audit()
        });
    }
}

#[test]
fn six_validators_in_two_halves_wait_and_go_on_together() {
    tell(Plan::calm(6, 3), |world| {
        world.start()?;
        world.run_healthily(2)?;
        world.cut(&[0, 1, 0, 1, 0, 1]);
        world.run_for(5 * SECOND_US)?;
        expect_silence(world, 1_800 * SECOND_US)?;
        world.recover()?;
        world.run_healthily(2)?;
        world.audit()
    });
}

/// The node dies at its `steps`-th step from some block on; the others go on without it, and it comes back.
fn dies_at(node: usize, steps: u64) -> Outcome<bool> {
    let mut died = false;
    tell(Plan::calm(4, 4), |world| {
        world.start()?;
        world.nodes[node].dies_in = Some(steps);
        world.run_for(5 * SECOND_US)?;
        died = !world.nodes[node].is_up();
        expect(world.top() > 2, "three of four stop when one dies")?;
        world.nodes[node].dies_in = None;
        world.recover()?;
        world.audit()
    });
    Ok(died)
}

#[test]
fn a_validator_may_die_at_every_single_step() {
    for node in [0, 1] {
        let deaths = (0..).take_while(|steps| dies_at(node, *steps) == Ok(true)).count();
        assert!(deaths > 100, "node {node} has only {deaths} steps to die at");
    }
}

#[test]
fn all_four_may_die_together_at_any_moment() {
    for steps in (0..900).step_by(7) {
        tell(Plan::calm(4, 5), |world| {
            world.start()?;
            for _ in 0..steps {
                world.step()?;
            }
            crash_all(world, 0..4, Crash::PowerCut)?;
            world.run_for(10 * SECOND_US)?;
            world.recover()?;
            world.audit()
        });
    }
}

#[test]
fn torn_logs_do_no_harm() {
    let mut torn = 0;
    for seed in 0..60 {
        let plan = Plan { sync_us: (20_000, 60_000), ..Plan::calm(4, seed) };
        let stats = tell(plan, |world| {
            world.start()?;
            for round in 0..4 {
                world.run_for(900_000 + seed * 7_000 + round * 31_000)?;
                crash_all(world, 0..4, if seed % 3 == 0 { Crash::Kill } else { Crash::PowerCut })?;
                world.run_for(SECOND_US)?;
                world.recover()?;
            }
            world.audit()
        });
        torn += stats.torn_logs;
    }
    assert!(torn > 20, "only {torn} torn logs");
}

#[test]
fn a_late_joiner_gets_the_whole_chain() {
    let calm = Plan::calm(4, 6);
    let rules = lonja_tests::simulation::Rules { period_ms: 20, empty_period_ms: 20, ..calm.rules };
    let weather = lonja_tests::simulation::Weather { delay_us: (100, 1_000), ..calm.calm };
    let plan = Plan { rules, regulars: 1, calm: weather, storm: weather, ..calm };
    tell(plan, |world| {
        world.nodes[4].retired = true;
        world.start()?;
        // More than one request can bring.
        let there = world.run_until(60 * SECOND_US, |world| world.top() >= 200)?;
        expect(there, "200 short blocks do not take a minute")?;
        world.nodes[4].retired = false;
        let joined_us = world.now_us;
        world.revive()?;
        world.run_until(joined_us + 10 * SECOND_US, |world| world.nodes[4].published + 5 >= world.top())?;
        expect(world.nodes[4].published + 5 >= world.top(), "the joiner does not catch up")?;
        world.run_healthily(2)?;
        world.audit()
    });
}

#[test]
fn a_validator_is_voted_in_and_another_out() {
    let plan = Plan { regulars: 1, ..Plan::calm(4, 7) };
    let stats = tell(plan, |world| {
        let [out, new] = [world.nodes[0].address, world.nodes[4].address];
        world.start()?;
        world.ask_all(&Event::Propose(new, VoteKind::Add));
        let limit_us = world.now_us + 20 * SECOND_US;
        let added = |world: &World| world.checks.chain.next().validators().contains(&new);
        expect(world.run_until(limit_us, added)?, "the new validator is not voted in")?;
        world.run_healthily(5)?;
        let height = world.top();
        let built =
            |height| world.checks.chain.header(height).is_some_and(|header| header.beneficiary == new);
        expect((height - 5..=height).any(built), "the new validator builds no block")?;
        world.ask_all(&Event::Propose(out, VoteKind::Drop));
        let limit_us = world.now_us + 20 * SECOND_US;
        let dropped = |world: &World| !world.checks.chain.next().validators().contains(&out);
        expect(world.run_until(limit_us, dropped)?, "the old validator is not voted out")?;
        world.run_healthily(3)?;
        // Four again: one may be down, and who is out is no loss.
        world.retire(1)?;
        world.run_healthily(3)?;
        world.audit()
    });
    assert_eq!(stats.set_changes, 2);
}

#[test]
fn a_validator_that_only_two_can_reach_takes_part() {
    let stats = tell(Plan::calm(5, 8), |world| {
        for other in [1, 2, 3] {
            world.network.remove_link(0, other);
        }
        world.start()?;
        world.retire(1)?;
        world.recover()?;
        world.run_healthily(8)?;
        let own = world.nodes[0].address;
        let built =
            |height| world.checks.chain.header(height).is_some_and(|header| header.beneficiary == own);
        expect((1..=world.top()).any(built), "it builds no block")?;
        world.audit()
    });
    assert!(stats.blocks > 8);
}

#[test]
fn a_key_in_use_twice_does_not_split_the_chain() {
    for seed in 0..8 {
        let plan = Plan { faulty: vec![(1, Fault::Twin)], ..Plan::calm(4, seed) };
        tell(plan, |world| {
            world.start()?;
            world.run_healthily(6)?;
            world.cut(&[0, 0, 1, 1, 1]);
            world.run_for(20 * SECOND_US)?;
            world.recover()?;
            world.run_healthily(6)?;
            world.audit()
        });
    }
}

/// Only one validator gets the votes of a faulty one, and nobody hears it; the others are told that nothing was prepared.
#[test]
fn a_plot_against_a_validator_that_nobody_hears_splits_nothing() {
    let mut forged = 0;
    for seed in 0..60 {
        let habits = Habits { plots: true, ..Habits::default() };
        let plan = Plan { faulty: vec![(1, Fault::Byzantine(habits))], ..Plan::calm(4, seed) };
        let stats = tell(plan, |world| {
            world.start()?;
            world.run_for(700_000 + seed * 61_000)?;
            world.hush([0, 2, 3][seed as usize % 3]);
            world.run_for(30 * SECOND_US)?;
            world.recover()?;
            world.run_healthily(3)?;
            world.audit()
        });
        forged += stats.forgeries;
    }
    assert!(forged > 60, "only {forged} forgeries");
}

/// A block is decided while one of the three that are needed hears nothing, not even that there is a block.
#[test]
fn whoever_misses_a_block_and_all_word_of_it_is_told_again() {
    let mut plan = Plan::calm(4, 9);
    (plan.storm.streams, plan.calm.streams) = (false, false);
    tell(plan, |world| {
        world.start()?;
        world.network.block(0, 2);
        world.network.block(1, 2);
        world.network.block(3, 2);
        let height = world.top();
        let limit_us = world.now_us + 20 * SECOND_US;
        world.run_until(limit_us, |world| [0, 1].iter().all(|node| world.nodes[*node].published > height))?;
        world.run_for(300_000)?;
        world.retire(3)?;
        world.recover()?;
        world.audit()
    });
}

#[test]
fn a_full_disk_stops_one_node_and_costs_no_work() {
    tell(Plan::calm(4, 10), |world| {
        world.start()?;
        world.tell(2, Event::Room(Room::ReadOnly));
        world.run_for(SECOND_US)?;
        let (stands, steps) = (world.nodes[2].written, world.nodes[2].steps);
        world.run_for(20 * SECOND_US)?;
        expect(world.nodes[2].written == stands, "a block was written without room for it")?;
        expect(world.nodes[2].steps - steps < 3_000, "a node without room spins")?;
        expect(world.top() > stands + 5, "three of four stop when one has no room")?;
        world.tell(2, Event::Room(Room::Enough));
        world.expect_everybody()?;
        world.run_healthily(4)?;
        world.audit()
    });
}

/// All are told to write nothing at every possible moment of a block, and go on when there is room again.
#[test]
fn full_disks_everywhere_lose_no_decided_block() {
    for delay_us in (0..1_200_000).step_by(40_000) {
        tell(Plan::calm(4, 11), |world| {
            world.start()?;
            world.run_for(delay_us)?;
            (0..4).for_each(|node| world.tell(node, Event::Room(Room::ReadOnly)));
            world.run_for(10 * SECOND_US)?;
            (0..4).for_each(|node| world.tell(node, Event::Room(Room::Enough)));
            world.recover()?;
            world.audit()
        });
    }
}

#[test]
fn a_single_validator_survives_its_crashes() {
    for seed in 0..20 {
        tell(Plan::calm(1, seed), |world| {
            world.start()?;
            for round in 0..3 {
                world.run_for(1_000_000 + seed * 1_733 + round * 331)?;
                world.crash(0, if round == 1 { Crash::Kill } else { Crash::PowerCut })?;
                world.recover()?;
            }
            world.audit()
        });
    }
}
