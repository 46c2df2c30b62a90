//! Broken lines: packets vanish and neither end is told. Each node lives in a network namespace of its own; where
//! those cannot be made, the lines are TCP cables, see [`Network::lay_lines`].

use alloy_primitives::Address;
use lonja_tests::harness::{Load, Network, Plan, Wallet, wait_for, wait_until};
use serde_json::{Value, json};
use std::thread;
use std::time::{Duration, Instant};

/// Timeout of round 0 where the time until the first block is measured: the default of a new network.
const BASE_TIMEOUT: Duration = Duration::from_secs(3);
/// How late this machine may be with what it does, when other tests keep it busy.
const NOISE: Duration = Duration::from_millis(2_500);
/// Lengths of outages. The connections outlive the first, and what TCP has not delivered it sends again ever more
/// rarely; they do not outlive the last.
const OUTAGES: [Duration; 3] = [Duration::from_secs(4), Duration::from_secs(7), Duration::from_secs(18)];
/// How long a node may take from the mending of its line until it is where the others are.
const RETURN_MOST: Duration = Duration::from_secs(20);

/// A network whose lines can be cut.
fn start(plan: Plan) -> Network {
    let mut network = Network::prepare(plan);
    network.lay_lines();
    network.start_whole();
    network
}

/// Status code and checks of a node's readiness page.
fn readiness(network: &Network, n: usize) -> Option<(u16, Value)> {
    let (code, body) = network.member(n).health.page("/readiness").ok()?;
    Some((code, serde_json::from_str(&body).expect("a list of checks")))
}

/// Waits until one of the checks of a node's readiness fails; its reason.
#[track_caller]
fn wait_for_complaint(network: &Network, n: usize, name: &str) -> String {
    wait_for(&format!("{} complains about {name}", network.member(n).name), || {
        let (code, page) = readiness(network, n)?;
        let check = page["checks"].as_array()?.iter().find(|check| check["name"] == name)?.clone();
        (code == 503 && check["ok"] == false).then(|| check["reason"].to_string())
    })
}

/// Waits until a node has what another has at this moment, and is ready.
#[track_caller]
fn wait_for_return(network: &Network, n: usize, other: usize) {
    let mended = Instant::now();
    let head = network.head(other).expect("it answers");
    network.wait_for_block(n, head);
    wait_until("it is ready again", || readiness(network, n).is_some_and(|(code, _)| code == 200));
    let took = mended.elapsed();
    println!("{} is back after {took:?}", network.member(n).name);
    assert!(took < RETURN_MOST, "{} took {took:?} to come back", network.member(n).name);
}

/// It alone dials, as a regular node does that nobody was told of, and has more to send than its connections hold. The
/// system would not let go of such a TCP connection for a quarter of an hour; QUIC would.
#[test]
fn a_regular_node_cut_off_serves_what_it_has_and_comes_back_by_itself() {
    let mut network = Network::prepare(Plan::new(4, 1));
    let (regular, all) = (4, network.all());
    network.member_mut(regular).listed = false;
    network.member_mut(regular).flags = vec!["--p2p-quic".into(), "false".into()];
    network.lay_lines();
    network.start_whole();
    let load = Load::start(network.member(regular).rpc);
    load.wait_for(100);
    network.assert_same_chain(&all);

    network.unplug(regular);
    network.wait_for_more(0, 25);
    let complaint = wait_for_complaint(&network, regular, "head");
    assert!(complaint.contains("not ready after"), "{complaint}");
    wait_for_complaint(&network, regular, "peers");
    network.member(regular).wait_for_log(&["cannot connect to peer"]);

    let rpc = network.member(regular).rpc;
    let head = rpc.head().expect("it answers");
    assert!(head + 20 < network.head(0).expect("it answers"), "it has blocks that nobody can have sent");
    assert_eq!(rpc.hashes(0, head), network.member(0).rpc.hashes(0, head));
    let balance = rpc.get("eth_getBalance", json!([Wallet::funded().address(), "latest"]));
    assert_eq!(balance, "0xd3c21bcecceda1000000", "a million ether");
    let own = Wallet::funded().transfer(Wallet::empty().address(), 1);
    assert_eq!(rpc.get("eth_sendRawTransaction", json!([own.text()])), json!(own.hash));
    assert_eq!(network.member(regular).health.page("/liveness").expect("it answers").0, 200);

    network.plug_in(regular);
    wait_for_return(&network, regular, 0);
    load.wait_for(100);
    let acknowledged = load.finish();
    network.assert_mined(0, &[own.hash]);
    network.assert_mined(0, &acknowledged);
    network.assert_mined(regular, &acknowledged);
    network.assert_same_chain(&all);
    network.assert_calm(&all);
}

/// Whether a validator sealed one of some blocks, and whether it made one of them.
fn sealed_and_made(
    network: &Network,
    validator: Address,
    numbers: std::ops::RangeInclusive<u64>,
) -> [bool; 2] {
    let text = json!(validator);
    let blocks: Vec<Value> = numbers.map(|number| network.signers(0, number)).collect();
    let sealed = |block: &Value| block["Committers"].as_array().is_some_and(|all| all.contains(&text));
    [blocks.iter().any(sealed), blocks.iter().any(|block| block["Author"] == text)]
}

#[test]
fn a_validator_cut_off_is_not_missed_and_votes_again_when_it_is_back() {
    let network = start(Plan::new(4, 0));
    let address = network.member(3).address();
    network.assert_same_chain(&network.all());

    network.unplug(3);
    thread::sleep(Duration::from_secs(1));
    let (stood, from) = (network.head(3).expect("it answers"), network.head(0).expect("it answers") + 1);
    network.wait_for_block(0, from + 12);
    wait_for_complaint(&network, 3, "peers");
    assert_eq!(network.head(3), Some(stood), "it cannot agree with nobody");
    assert_eq!(sealed_and_made(&network, address, from..=from + 12), [false, false]);

    network.plug_in(3);
    wait_for_return(&network, 3, 0);
    wait_until("it makes and seals blocks again", || {
        let head = network.head(0).expect("it answers");
        sealed_and_made(&network, address, head - 8..=head) == [true, true]
    });
    network.assert_same_chain(&network.all());
    network.assert_calm(&network.all());
}

#[test]
fn halves_agree_soon_after_a_line_that_lost_packets_is_mended() {
    let plan = Plan { request_timeout_ms: BASE_TIMEOUT.as_millis() as u64, ..Plan::new(4, 0) };
    let network = start(plan);
    for outage in OUTAGES {
        network.wait_for_more(0, 6);
        // A second of it goes by before the count.
        let first_block = network.part_in_halves(outage - Duration::from_secs(1));
        assert!(
            first_block < 2 * BASE_TIMEOUT + NOISE,
            "first block {first_block:?} after the end of an outage of {outage:?}"
        );
        network.assert_same_chain(&network.all());
    }
    network.assert_calm(&network.all());
}
