//! Permissions in the simulator: whoever is let in or shut out, everywhere alike, at once, and without a restart.

use lonja_primitives::{NodeKey, Signer};
use lonja_tests::simulation::{
    Chaos, Fault, Options, Outcome, Plan, Stats, Violation, World, alone, set_account,
};

const SECOND_US: u64 = 1_000_000;

fn tell(plan: Plan, course: impl FnOnce(&mut World) -> Outcome + Send) -> Stats {
    let stats = alone(|| World::new(plan, Options::default()).judged(None, "", course));
    stats.unwrap_or_else(|failure| panic!("{failure}"))
}

fn expect(holds: bool, what: &str) -> Outcome {
    if holds { Ok(()) } else { Err(Violation::new(what)) }
}

fn permitted(validators: usize, regulars: usize, seed: u64) -> Plan {
    Plan { permits: true, regulars, ..Plan::calm(validators, seed) }
}

/// Whether nobody has a session with the node.
fn is_alone(world: &World, node: usize) -> bool {
    world.network.sessions().iter().all(|(one, other, _)| *one != node && *other != node)
}

#[test]
fn twenty_nodes_agree_on_five_hundred_admissions_and_revocations_under_faults() {
    let chaos = Chaos {
        pause_us: 3 * SECOND_US,
        partition: 2,
        one_way: 2,
        silence: 4,
        slow_disk: 2,
        clock_jump: 1,
        ..Chaos::default()
    };
    let mut plan = Plan { chaos, ..permitted(7, 13, 1) };
    plan.rules.period_ms = 300;
    plan.rules.empty_period_ms = 300;
    plan.storm.delay_us = (500, 120_000);
    plan.storm.spike_permille = 20;
    plan.missing_links = 4;
    let stats = tell(plan, |world| {
        world.start()?;
        // The first five validators always stay, so that there is a quorum.
        world.permission_storm(500, 5, 8)?;
        expect(world.permits.applied() >= 500, "too few changes came into blocks")?;
        expect(world.permits.revoked_sessions > 500, "sessions were not ended")?;
        world.let_everybody_in()
    });
    assert_eq!(stats.kills + stats.power_cuts, 0, "nobody was restarted");
    assert!(stats.partitions > 0, "the world was too quiet: {stats}");
}

#[test]
fn a_node_that_is_revoked_hears_nothing_more_and_comes_back_without_a_restart() {
    tell(permitted(4, 2, 2), |world| {
        world.start()?;
        world.set_listed(0, 5, false)?;
        world.run_until(world.now_us + 10 * SECOND_US, |world| is_alone(world, 5))?;
        expect(is_alone(world, 5), "the revoked node still has sessions")?;
        let (number, at) = (world.nodes[5].written, world.top());
        world.run_for(10 * SECOND_US)?;
        expect(world.top() > at + 5, "the others go on")?;
        expect(world.nodes[5].written <= number + 1, "the revoked node heard of later blocks")?;
        world.let_everybody_in()
    });
}

#[test]
fn a_revoked_validator_is_missed_no_longer_than_a_dead_one() {
    tell(permitted(4, 1, 3), |world| {
        world.start()?;
        world.set_listed(1, 0, false)?;
        world.run_until(world.now_us + 10 * SECOND_US, |world| is_alone(world, 0))?;
        expect(is_alone(world, 0), "the revoked validator still has sessions")?;
        let at = world.top();
        world.run_for(60 * SECOND_US)?;
        expect(world.top() > at + 8, "three of four validators go on")?;
        world.call_lists(1, set_account(world.senders[2].address(), true))?;
        world.set_listed(1, 0, true)?;
        world.run_for(20 * SECOND_US)?;
        expect(!is_alone(world, 0), "it is connected again")?;
        world.let_everybody_in()
    });
}

/// A node that fetches what it missed is revoked while it does, in a block that it fetches itself.
#[test]
fn a_node_that_is_revoked_while_it_syncs_ends_where_it_learns_of_it() {
    tell(permitted(4, 2, 4), |world| {
        world.start()?;
        world.network.split(&[0, 0, 0, 0, 0, 1]);
        world.run_for(20 * SECOND_US)?;
        world.set_listed(0, 5, false)?;
        world.run_for(5 * SECOND_US)?;
        expect(!world.is_listed(0, 5), "the others know")?;
        world.heal();
        world.run_for(20 * SECOND_US)?;
        expect(is_alone(world, 5), "nobody talks to the revoked node")?;
        world.let_everybody_in()
    });
}

#[test]
fn transactions_of_a_revoked_account_come_into_no_block() {
    tell(permitted(4, 1, 5), |world| {
        world.start()?;
        let stranger = NodeKey::from_bytes(&[7; 32]).unwrap();
        let nonce_of = |world: &World, address| {
            let process = world.nodes[0].process.as_ref().unwrap();
            let state = process.reader.state_at(process.reader.head().number).unwrap();
            lonja_primitives::StateView::account(&state, &address).unwrap().map_or(0, |account| account.nonce)
        };
        world.submit_as(0, &stranger)?;
        world.run_for(5 * SECOND_US)?;
        expect(nonce_of(world, stranger.address()) == 0, "a stranger's transaction is in a block")?;
        world.call_lists(0, set_account(stranger.address(), true))?;
        world.run_for(5 * SECOND_US)?;
        world.submit_as(1, &stranger)?;
        world.run_for(5 * SECOND_US)?;
        expect(nonce_of(world, stranger.address()) == 1, "a permitted account's transaction is in no block")
    });
}

/// A proposer whose program has the rules taken out puts a stranger's transaction into its blocks.
#[test]
fn a_transaction_that_is_forced_into_a_block_is_refused_by_all_honest_nodes_and_the_network_goes_on() {
    let plan = Plan { faulty: vec![(0, Fault::Lawless)], ..permitted(4, 1, 6) };
    tell(plan, |world| {
        world.start()?;
        let stranger = NodeKey::from_bytes(&[7; 32]).unwrap();
        let late = world.checks.chain.late_blocks;
        world.submit_as(0, &stranger)?;
        world.run_for(60 * SECOND_US)?;
        expect(
            world.checks.chain.late_blocks > late,
            "the forced block was never proposed, or never refused",
        )?;
        expect(world.top() > 20, "the network does not go on")?;
        for node in 1..5 {
            let process = world.nodes[node].process.as_ref().expect("it runs");
            let state =
                process.reader.state_at(process.reader.head().number).expect("the newest state is there");
            let account = lonja_primitives::StateView::account(&state, &stranger.address());
            expect(account == Ok(None), "the forced transaction was executed")?;
        }
        Ok(())
    });
}

/// Whoever proposes at the moment is shut out in the middle of its round, before, while or after its block is voted on.
#[test]
fn proposers_are_revoked_in_the_middle_of_their_rounds() {
    tell(permitted(7, 2, 7), |world| {
        world.start()?;
        for turn in 0..14_u64 {
            world.run_for(SECOND_US / 3 + turn * SECOND_US / 14)?;
            let seen = world.nodes[0].process.as_ref().map(|process| process.core.status().proposer);
            let proposer = world.nodes.iter().position(|node| Some(node.address) == seen).unwrap_or(1);
            let other = (proposer + 1) % 7;
            let height = world.top();
            world.set_listed(other, proposer, false)?;
            world.run_for(6 * SECOND_US)?;
            expect(world.top() > height, "the network stands still")?;
            expect(!world.is_listed(other, proposer), "the change came into no block")?;
            expect(is_alone(world, proposer), "the revoked proposer still has sessions")?;
            world.set_listed(other, proposer, true)?;
            world.run_for(8 * SECOND_US)?;
        }
        expect(world.permits.applied() >= 28, "changes were lost")?;
        world.let_everybody_in()
    });
}
