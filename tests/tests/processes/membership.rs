//! Who belongs to the network: nodes that come late, validators that are voted in and out.

use alloy_primitives::Address;
use lonja_tests::harness::{Network, Plan, wait_until};
use serde_json::{Value, json};

/// The validators of the next block, as the operator of a node sees them.
fn validators(network: &Network, n: usize) -> Vec<Address> {
    let text = network.member(n).command(&["validator", "list", "--json"]);
    serde_json::from_str(&text).expect("a list of addresses")
}

fn vote(network: &Network, voters: &[usize], candidate: Address, words: &[&str]) {
    for n in voters {
        let address = candidate.to_string();
        let call: Vec<&str> = ["validator", "propose", &address].iter().chain(words).copied().collect();
        let said = network.member(*n).command(&call);
        assert!(said.contains(&address), "{said}");
    }
}

#[test]
fn a_node_joins_late_is_voted_in_and_another_is_voted_out() {
    let mut network = Network::start(Plan::new(4, 0));
    network.wait_for_block(0, 20);

    let late = network.add("late", None);
    network.start_all(&[late]);
    network.assert_same_chain(&[0, 1, 2, 3, late]);
    let newcomer = network.member(late).address();
    assert!(!validators(&network, late).contains(&newcomer));

    vote(&network, &[0], newcomer, &[]);
    network.wait_for_more(0, 8);
    assert_eq!(validators(&network, 0).len(), 4, "one vote of four decides nothing");
    let status = network.member(0).command(&["validator", "status"]);
    assert!(status.contains(&format!("add {}", newcomer.to_string().to_lowercase())), "{status}");

    vote(&network, &[1, 2], newcomer, &[]);
    wait_until("three votes of four bring a validator in", || validators(&network, 0).contains(&newcomer));
    it_proposes_and_seals(&network, late, newcomer);

    let leaver = network.member(3).address();
    vote(&network, &[0, 1, late], leaver, &["--remove"]);
    wait_until("three votes of five take a validator out", || !validators(&network, 0).contains(&leaver));
    it_is_only_a_spectator(&network, 3, leaver);

    let list = network.member(late).command(&["validator", "list"]);
    assert!(list.contains("(this node)"), "{list}");
    let status = network.member(late).command(&["validator", "status"]);
    assert!(status.to_lowercase().contains(&newcomer.to_string().to_lowercase()), "{status}");
    network.assert_same_chain(&[0, 1, 2, 3, late]);
    network.assert_calm(&network.all());
}

fn it_proposes_and_seals(network: &Network, n: usize, address: Address) {
    let from = network.head(0).expect("it answers");
    // With five validators each proposes every fifth block.
    network.wait_for_block(0, from + 15);
    let blocks: Vec<Value> = (from + 1..=from + 15).map(|number| network.signers(0, number)).collect();
    let text = json!(address);
    assert!(blocks.iter().any(|block| block["Author"] == text), "it never proposed: {blocks:?}");
    let sealed = |block: &&Value| block["Committers"].as_array().is_some_and(|all| all.contains(&text));
    assert!(blocks.iter().filter(sealed).count() > 0, "it never sealed: {blocks:?}");
    let role = network.member(n).rpc.get("lonja_status", json!([]));
    assert_eq!(role["role"], "validator", "{role}");
}

fn it_is_only_a_spectator(network: &Network, n: usize, address: Address) {
    // The block in which the last vote came was still sealed by the old validators.
    network.wait_for_more(0, 2);
    let from = network.head(0).expect("it answers");
    network.wait_for_block(0, from + 8);
    let text = json!(address);
    for number in from + 1..=from + 8 {
        let block = network.signers(0, number);
        assert_ne!(block["Author"], text);
        assert!(!block["Committers"].as_array().expect("a list").contains(&text), "{block}");
    }
    network.wait_for_block(n, from + 8);
    let role = network.member(n).rpc.get("lonja_status", json!([]));
    assert_eq!(role["role"], "regular", "{role}");
}
