//! A network of GoQuorum's goes on as one of lonja: its IBFT 1.0 chain is imported, and continued by QBFT.

use lonja_primitives::NodeKey;
use lonja_tests::harness::{Network, Plan, run};
use serde_json::{Value, json};
use std::fs;

/// The first block that is agreed on by QBFT.
const START_BLOCK: u64 = 67;

fn vector(name: &str) -> Value {
    let path = format!("{}/vectors/istanbul/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&fs::read_to_string(path).expect("the vectors are there")).expect("JSON")
}

/// The genesis file of the chain, with the transition that its operators agreed on.
fn genesis() -> String {
    let cases = vector("genesis");
    let mut genesis = cases["cases"][0]["genesis"].clone();
    genesis["config"]["qbft"] = json!({
        "epochLength": 30_000, "blockPeriodSeconds": 1, "requestTimeoutSeconds": 1, "startBlock": START_BLOCK,
    });
    genesis.to_string()
}

/// Four of its five validators, a node of a member, and the chain in a file.
fn network(chain: &Value) -> (Network, String) {
    let mut network = Network::prepare(Plan::new(4, 1));
    fs::write(network.path().join("genesis.json"), genesis()).expect("the genesis can be written");
    let keys = chain["validator_private_keys"].as_object().expect("keys by address");
    for (n, key) in (0..4).zip(keys.values()) {
        let key = key.as_str().expect("hex").trim_start_matches("0x");
        let member = network.member_mut(n);
        fs::write(member.folder.join("node.key"), key).expect("the key can be written");
        member.key = NodeKey::from_hex(key).expect("a key");
    }
    let blocks = chain["blocks"].as_array().expect("blocks").iter();
    let bytes = blocks
        .flat_map(|block| alloy_primitives::hex::decode(block["rlp"].as_str().expect("hex")).expect("hex"));
    let file = network.path().join("chain.rlp");
    fs::write(&file, bytes.collect::<Vec<u8>>()).expect("the chain can be written");
    (network, file.display().to_string())
}

#[test]
fn an_imported_chain_is_gone_on_with() {
    let chain = vector("ibft1_chain");
    let (mut network, file) = network(&chain);
    let all = network.all();
    let genesis = network.path().join("genesis.json").display().to_string();
    for n in &all {
        let folder = network.member(*n).folder.display().to_string();
        let said = run(["import", &file, "--data-dir", &folder, "--genesis", &genesis]).success();
        assert!(said.contains("66 blocks"), "{said}");
    }
    assert!(network.member(0).address().to_string().to_lowercase() == chain["validators_sorted"][0]);
    network.start_all(&all);
    all.iter().for_each(|n| network.wait_for_block(*n, START_BLOCK + 3));
    let rpc = network.member(4).rpc;
    for number in [0, 1, 40, 66] {
        let block = rpc.get("eth_getBlockByNumber", json!([format!("0x{number:x}"), false]));
        assert_eq!(block["hash"], chain["blocks"][number as usize]["hash"], "block {number}");
    }
    // After the transition every node is at home in both formats.
    network.kill9(&all);
    network.start_all(&all);
    all.iter().for_each(|n| network.wait_for_more(*n, 2));
    network.assert_same_chain(&all);
    network.member(4).command(&["db", "verify"]);
    all.iter().for_each(|n| network.stop(*n));
}
