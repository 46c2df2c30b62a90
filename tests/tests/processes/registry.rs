//! The registry on real processes: votes let in and shut out, with no change on any other machine and no restart.

use alloy_primitives::B256;
use lonja_permissioning::registry::abi::{self, Proposal, Registry};
use lonja_tests::harness::{Load, Network, Organisations, Plan, Wallet, node_key, wait_until};
use serde_json::json;
use std::collections::BTreeSet;

/// Four validators, three regular nodes, four organisations: each a validator, the first three a regular node too.
fn owned() -> Vec<Vec<usize>> {
    vec![vec![0, 4], vec![1, 5], vec![2, 6], vec![3]]
}

fn policy() -> serde_json::Value {
    json!({
        "selection": { "nMin": 3, "epochLength": 10, "freezeLength": 2 },
        "sla": { "window": 100, "consecutiveMisses": 3, "jailLength": 5, "heartbeats": 1, "heartbeatInterval": 1 },
        "votes": { "votingLength": 600, "executionLength": 600 },
    })
}

fn peer_count(network: &Network, n: usize) -> usize {
    let count = network.member(n).rpc.get("net_peerCount", json!([]));
    usize::from_str_radix(count.as_str().unwrap_or_default().trim_start_matches("0x"), 16)
        .expect("a quantity")
}

/// Every one of these nodes has so many peers by the time it reports the block after `number`.
fn assert_dropped_by(network: &Network, nodes: &[usize], number: u64, peers: usize) {
    for n in nodes {
        network.wait_for_block(*n, number + 1);
        assert_eq!(peer_count(network, *n), peers, "{} at block {}", network.member(*n).name, number + 1);
    }
}

fn statement() -> B256 {
    B256::repeat_byte(0x11)
}

#[test]
fn a_vote_lets_an_outsider_in_and_another_shuts_it_out_under_load() {
    let plan = Plan::new(4, 3);
    let mut network = Network::prepare(plan);
    let mut registry = Organisations::prepare(&network, plan, &owned(), policy());
    let outsider = network.add("outsider", None);
    let members: Vec<usize> = (0..7).collect();
    network.start_all(&network.all());
    network.wait_for_block(6, 3);
    assert_eq!(
        (peer_count(&network, outsider), network.head(outsider)),
        (0, Some(0)),
        "an outsider connects"
    );
    network.member(outsider).wait_for_log(&["does not permit this node"]);
    let user = Wallet::empty().transfer(abi::REGISTRY, 0).text();
    let refused = network.member(4).rpc.call("eth_sendRawTransaction", json!([user])).unwrap_err();
    assert!(refused.contains("-32007") && refused.contains("rule accounts"), "{refused}");

    let newcomer = registry.found();
    let admission = Proposal::AdmitMember(registry.application(newcomer));
    registry.pass(&network, &[0, 1, 2], &admission);
    registry.add_node(&network, newcomer, outsider);
    wait_until("the newcomer follows the chain", || {
        network.head(outsider).is_some_and(|head| head >= 5) && peer_count(&network, outsider) == 7
    });
    let account = registry.get(newcomer).admin.address();
    let entry = Registry::setAccountCall { account, access: 7, quotaClass: 0, expires: 0 };
    registry.act(&network, newcomer, abi::REGISTRY, &entry);
    network.assert_same_chain(&network.all());
    let transfer = registry.get(newcomer).admin.transfer(abi::REGISTRY, 0);
    network.member(outsider).rpc.get("eth_sendRawTransaction", json!([transfer.text()]));
    network.assert_mined(0, &[transfer.hash]);

    let load = Load::from(network.member(4).rpc, Load::registered());
    load.wait_for(200);
    let revocation = Proposal::RevokeNode { node: node_key(&network, outsider), statement: statement() };
    let revoked = registry.pass(&network, &[0, 1, 2, 3], &revocation);
    assert_dropped_by(&network, &members, revoked, 6);
    network.wait_for_more(0, 10);
    assert!(network.head(outsider).is_some_and(|head| head <= revoked), "it receives later blocks");
    let transfer = registry.get(newcomer).admin.transfer(abi::REGISTRY, 0);
    let _ = network.member(outsider).rpc.call("eth_sendRawTransaction", json!([transfer.text()]));
    network.wait_for_more(0, 5);
    let receipt = network.member(0).rpc.get("eth_getTransactionReceipt", json!([transfer.hash]));
    assert!(receipt.is_null(), "a revoked node's transactions come in: {receipt}");
    let acknowledged = load.finish();
    network.assert_mined(0, &acknowledged);
    network.assert_same_chain(&members);
    network.assert_running(&network.all());
    network.assert_calm(&members);
}

#[test]
fn a_suspended_member_is_cut_off_with_its_validator_and_comes_back() {
    let plan = Plan::new(4, 3);
    let mut network = Network::prepare(plan);
    let mut registry = Organisations::prepare(&network, plan, &owned(), policy());
    network.start_all(&network.all());
    network.wait_for_block(6, 3);
    let member = registry.get(2).id;
    let suspended =
        registry.pass(&network, &[0, 1, 3], &Proposal::SuspendMember { member, reason: statement() });
    assert_dropped_by(&network, &[0, 1, 3, 4, 5], suspended, 4);
    registry.wait_for_seat(&network, 2, false);
    network.wait_for_more(0, 10);
    for cut_off in [2, 6] {
        assert!(
            network.head(cut_off).is_some_and(|head| head <= suspended),
            "node {cut_off} hears of later blocks"
        );
    }
    let transfer = registry.get(2).admin.transfer(abi::REGISTRY, 0).text();
    let refused = network.member(4).rpc.call("eth_sendRawTransaction", json!([transfer])).unwrap_err();
    assert!(refused.contains("-32007") && refused.contains("suspended"), "{refused}");
    registry.get(2).admin.again();

    registry.pass(&network, &[0, 1, 3], &Proposal::LiftMember { member, reason: statement() });
    wait_until("the member's nodes follow the chain again", || {
        [2, 6].iter().all(|n| peer_count(&network, *n) == 6)
    });
    registry.wait_for_seat(&network, 2, true);
    network.wait_for_more(0, 5);
    network.assert_same_chain(&network.all());
    network.assert_running(&network.all());
}

#[test]
fn a_revoked_validator_leaves_its_seat_and_the_network() {
    let plan = Plan::new(4, 3);
    let mut network = Network::prepare(plan);
    let mut registry = Organisations::prepare(&network, plan, &owned(), policy());
    network.start_all(&network.all());
    network.wait_for_block(6, 3);
    let node = node_key(&network, 3);
    let revoked = registry.pass(&network, &[0, 1, 2], &Proposal::RevokeNode { node, statement: statement() });
    assert_dropped_by(&network, &[0, 1, 2, 4, 5, 6], revoked, 5);
    registry.wait_for_seat(&network, 3, false);
    network.wait_for_more(0, 20);
    assert!(network.head(3).is_some_and(|head| head <= revoked), "it receives later blocks");
    network.assert_same_chain(&[0, 1, 2, 4, 5, 6]);
    network.assert_running(&network.all());
    network.assert_calm(&[0, 1, 2, 4, 5, 6]);
}

#[test]
fn a_validator_that_stops_is_suspended_by_rule_and_comes_back() {
    let plan = Plan::new(4, 3);
    let mut network = Network::prepare(plan);
    let registry = Organisations::prepare(&network, plan, &owned(), policy());
    network.start_all(&network.all());
    network.wait_for_block(6, 3);
    network.stop(3);
    registry.wait_for_seat(&network, 3, false);
    // Nobody waits for the missing proposer any more.
    let from = network.head(0).expect("it answers");
    network.wait_for_block(0, from + 20);
    let authors: BTreeSet<String> =
        (from + 2..=from + 20).map(|number| network.signers(0, number)["Author"].to_string()).collect();
    assert_eq!(authors.len(), 3, "{authors:?}");

    network.start_all(&[3]);
    network.assert_same_chain(&[0, 1, 2, 3]);
    // By itself: it shows that it follows the chain, and asks for its seat.
    network.member(3).wait_for_log(&["asks for its seat"]);
    registry.wait_for_seat(&network, 3, true);
    let from = network.head(0).expect("it answers");
    network.wait_for_block(0, from + 12);
    let back = json!(network.member(3).address());
    assert!(
        (from..=from + 12).any(|number| network.signers(0, number)["Author"] == back),
        "it proposes again"
    );
    network.assert_same_chain(&network.all());
}

#[test]
fn with_too_many_down_nobody_is_suspended() {
    let plan = Plan::new(4, 3);
    let mut network = Network::prepare(plan);
    let registry = Organisations::prepare(&network, plan, &owned(), policy());
    network.start_all(&network.all());
    network.wait_for_block(6, 3);
    network.kill9(&[2, 3]);
    std::thread::sleep(std::time::Duration::from_secs(5));
    let stands = network.head(0);
    network.start_all(&[2]);
    network.wait_for_more(0, 20);
    assert!(stands.is_some() && registry.is_seated(&network, 2), "one who came back keeps the seat");
    network.assert_running(&[0, 1, 2, 4, 5, 6]);
}
