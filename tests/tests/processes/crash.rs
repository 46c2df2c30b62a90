//! `kill -9` under load: what was final stays final, what was acknowledged is mined, nobody repairs anything.

use lonja_tests::harness::{Load, Network, Plan, Witness};
use std::thread;
use std::time::Duration;

/// How long a node may take from its start until it answers.
const RESTART_MOST: Duration = Duration::from_secs(5);
/// Kills of everything, at random instants.
const KILLS: usize = 4;
/// Transfers between two kills, at least.
const TRANSFERS: usize = 300;

fn restart(network: &mut Network, numbers: &[usize]) {
    let took = network.start_all(numbers);
    println!("{} nodes answered {took:?} after their start", numbers.len());
    assert!(took < RESTART_MOST, "restarting took {took:?}");
}

#[test]
fn all_validators_killed_under_load_go_on_where_they_were() {
    let mut network = Network::start(Plan::new(4, 1));
    let regular = 4;
    let witness = Witness::start(network.all().iter().map(|n| network.member(*n).rpc).collect());
    let load = Load::start(network.member(regular).rpc);
    load.wait_for(TRANSFERS);

    network.kill9(&[0, 1, 2, 3]);
    // The regular node goes on taking transfers, which nobody can mine. Then it is killed too, and only its
    // journal has them.
    load.wait_for(TRANSFERS);
    network.kill9(&[regular]);
    restart(&mut network, &[0, 1, 2, 3, regular]);
    network.member(regular).wait_for_log(&["restored from the journal"]);
    network.wait_for_more(0, 3);
    load.wait_for(TRANSFERS);

    let acknowledged = load.finish();
    network.assert_mined(regular, &acknowledged);
    network.assert_same_chain(&[regular, 0, 1, 2, 3]);
    witness.assert_kept(&network);
    network.assert_calm(&network.all());
}

#[test]
fn all_nodes_killed_again_and_again_at_random_instants_lose_nothing() {
    let mut network = Network::start(Plan::new(4, 1));
    let (regular, all) = (4, network.all());
    let witness = Witness::start(all.iter().map(|n| network.member(*n).rpc).collect());
    let load = Load::start(network.member(regular).rpc);
    for _ in 0..KILLS {
        load.wait_for(TRANSFERS);
        let instant = Duration::from_millis(u64::from(rand::random::<u16>() % 1_000));
        thread::sleep(instant);
        println!("killing everything at block {:?} ({instant:?})", network.head(regular));
        network.kill9(&all);
        restart(&mut network, &all);
        let head = network.head(0).expect("it answers");
        all.iter().for_each(|n| network.wait_for_block(*n, head + 1));
    }
    let acknowledged = load.finish();
    network.assert_mined(regular, &acknowledged);
    network.assert_same_chain(&[regular, 0, 1, 2, 3]);
    witness.assert_kept(&network);
    network.assert_calm(&network.all());
}
