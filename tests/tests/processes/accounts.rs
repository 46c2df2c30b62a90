//! Users who leave signing to their node.

use lonja_tests::harness::{Network, Plan, Rpc, run, wait_for};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Transactions that are sent in one batch, without waiting for each other's answer.
const AT_ONCE: usize = 50;

/// What a node answers over its local socket.
fn over_socket(folder: &Path, method: &str, params: Value) -> Value {
    let mut socket = UnixStream::connect(folder.join("lonja.ipc")).expect("the node has a socket");
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    socket.write_all(request.to_string().as_bytes()).expect("the node reads");
    socket.shutdown(Shutdown::Write).expect("a socket has two directions");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("the node answers");
    serde_json::from_str(&answer).expect("the answer is JSON")
}

fn receipt(rpc: Rpc, hash: &Value) -> Value {
    wait_for("the transaction is in a block", || {
        let receipt = rpc.get("eth_getTransactionReceipt", json!([hash]));
        (!receipt.is_null()).then_some(receipt)
    })
}

#[test]
fn a_node_signs_for_the_accounts_that_its_operator_unlocks() {
    let mut network = Network::prepare(Plan::new(1, 1));
    let folder = network.member(1).folder.clone();
    let passwords = folder.join("passwords").display().to_string();
    fs::write(&passwords, "swordfish-one\nswordfish-two\n").expect("it can be written");
    let data = folder.display().to_string();
    let new = ["account", "new", "--light-kdf", "--data-dir", &data, "--password-file", &passwords];
    run(new).success();
    run(new).success();
    let listed = run(["account", "list", "--json", "--data-dir", &data]).success();
    let listed: Value = serde_json::from_str(&listed).expect("it is JSON");
    let (one, other) = (listed[0]["address"].clone(), listed[1]["address"].clone());

    // Both have the first line's password; the second account stays locked.
    network.member_mut(1).flags = ["--unlock", "0", "--password-file", &passwords].map(String::from).into();
    network.start_whole();
    let rpc = network.member(1).rpc;
    assert_eq!(rpc.get("eth_accounts", json!([])), json!([one, other]));
    let request = json!([{ "from": one, "to": other, "data": "0x01" }]);
    let answers = rpc.batch("eth_sendTransaction", &vec![request; AT_ONCE]).expect("the node answers");
    for hash in answers {
        let receipt = receipt(rpc, &hash.expect("each gets a nonce of its own"));
        assert_eq!((&receipt["status"], &receipt["from"]), (&json!("0x1"), &one));
    }
    let nonce = rpc.get("eth_getTransactionCount", json!([one, "latest"]));
    assert_eq!(nonce, json!(format!("{AT_ONCE:#x}")));

    let request = json!([{ "from": other, "to": one, "data": "0x01" }]);
    let locked = rpc.call("eth_sendTransaction", request.clone()).expect_err("it is locked");
    assert!(locked.contains("authentication needed: password or unlock (code -32000)"), "{locked}");
    let missing =
        rpc.call("personal_unlockAccount", json!([other, "swordfish-one"])).expect_err("not over HTTP");
    assert!(missing.contains("-32601"), "{missing}");
    assert_eq!(
        over_socket(&folder, "personal_unlockAccount", json!([other, "swordfish-one", 60]))["result"],
        true
    );
    receipt(rpc, &rpc.get("eth_sendTransaction", request.clone()));

    // What is unlocked over the socket is not after a restart.
    network.stop(1);
    network.start_all(&[1]);
    assert!(rpc.call("eth_sendTransaction", request).is_err());
    network.assert_calm(&[0, 1]);
    for line in network.member(1).log().lines() {
        assert!(!line.contains("swordfish"), "a password in the log: {line}");
    }
}
