//! What everybody sees of private transactions.

use super::world::World;
use alloy_primitives::Bytes;
use lonja_primitives::PayloadHash;
use lonja_primitives::spec::MARKER_PRECOMPILE;
use lonja_tests::harness::party::{self, Party};
use lonja_tests::harness::{Plan, wait_for};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What the members' nodes sent by default: markers that look alike, each signed by a key of its own.
pub fn others_see_markers_alone(world: &World) {
    let World { a, b, c, .. } = world;
    let head = c.rpc.head().expect("it answers");
    let params: Vec<Value> = (1..=head).map(|n| json!([format!("{n:#x}"), true])).collect();
    let blocks = c.rpc.batch("eth_getBlockByNumber", &params).expect("it answers");
    let blocks: Vec<Value> = blocks.into_iter().map(|block| block.expect("a block")).collect();
    let all = blocks.iter().flat_map(|block| block["transactions"].as_array().expect("a list"));
    let markers: Vec<&Value> = all.filter(|tx| tx["to"] == json!(MARKER_PRECOMPILE)).collect();
    assert!(markers.len() > 1, "{}", markers.len());
    let signers: BTreeSet<String> = markers.iter().map(|tx| tx["from"].to_string()).collect();
    assert_eq!(signers.len(), markers.len(), "each has a signer of its own");
    for party in [a, b, c] {
        assert!(!signers.contains(&json!(party.account).to_string()));
        assert_eq!(party.rpc.get("eth_getTransactionCount", json!([party.account, "latest"])), "0x0");
    }
    for tx in &markers {
        for field in ["type", "nonce", "value", "gas", "gasPrice", "chainId"] {
            assert_eq!(tx[field], markers[0][field], "{field} of {tx}");
        }
        let input: Bytes = serde_json::from_value(tx["input"].clone()).expect("bytes");
        assert_eq!(input.len(), PayloadHash::LENGTH);
        let receipt = c.rpc.get("eth_getTransactionReceipt", json!([tx["hash"]]));
        assert_eq!((&receipt["status"], &receipt["logs"]), (&json!("0x1"), &json!([])));
        assert_eq!(receipt["isPrivacyMarkerTransaction"], true);
    }
    what_a_marker_carries(world, markers[0]);
}

/// The parties have it by the marker's hash, and nobody else.
fn what_a_marker_carries(world: &World, tx: &Value) {
    let World { a, b, c, .. } = world;
    let hash = json!([tx["hash"]]);
    let inner = a.rpc.get("eth_getPrivateTransactionByHash", hash.clone());
    assert_eq!(inner, b.rpc.get("eth_getPrivateTransactionByHash", hash.clone()));
    let accounts = [json!(a.account), json!(b.account)];
    assert!(
        accounts.contains(&inner["from"]) && ["0x25", "0x26"].contains(&inner["v"].as_str().unwrap_or(""))
    );
    let receipt = a.rpc.get("eth_getPrivateTransactionReceipt", hash.clone());
    assert_eq!(receipt, b.rpc.get("eth_getPrivateTransactionReceipt", hash.clone()));
    assert_eq!((&receipt["transactionHash"], &receipt["from"]), (&tx["hash"], &inner["from"]));
    assert_ne!(inner["hash"], tx["hash"]);
    let nobody = json!([inner["hash"]]);
    assert_eq!(a.rpc.get("eth_getTransactionReceipt", nobody), Value::Null, "the marker's hash is its name");
    assert_eq!(c.rpc.get("eth_getPrivateTransactionByHash", hash.clone()), Value::Null);
    let refused = c.rpc.call("eth_getPrivateTransactionReceipt", hash).expect_err("it is no party");
    assert!(refused.contains("not found for this participant"), "{refused}");
    let payload = |party: &Party| -> Bytes {
        serde_json::from_value(party.rpc.get("eth_getQuorumPayload", json!([tx["input"]]))).expect("bytes")
    };
    assert_eq!(payload(a), payload(b));
    assert_eq!((payload(a).len(), payload(c).len()), (1024, 0), "it is padded, and nobody else has it");
}

/// Who names a nonce counts, and signs the marker; markers that the node is told not to make are not made.
#[test]
fn a_member_may_sign_its_markers_or_do_without() {
    let (mut network, parties) = party::prepare(Plan::new(1, 3));
    let [a, b, c] = &parties[..] else { panic!("three parties") };
    network.member_mut(b.number).flags.extend(["--ptm-markers", "false"].map(String::from));
    network.start_whole();
    party::meet(&parties);
    let own = a.send(None, &party::vault_code(), &[b], json!({ "nonce": "0x0" }));
    let bare = b.send(None, &party::vault_code(), &[a], json!({}));
    let made: Vec<Value> =
        [own, bare].iter().map(|hash| a.receipt(*hash)["contractAddress"].clone()).collect();
    assert_eq!(made, [json!(a.account.create(0)), json!(b.account.create(0))]);
    for (hash, party, to) in [(own, a, json!(MARKER_PRECOMPILE)), (bare, b, Value::Null)] {
        assert_eq!(a.receipt(hash), b.receipt(hash));
        let seen = wait_for("the third has it", || {
            let seen = c.rpc.get("eth_getTransactionByHash", json!([hash]));
            (!seen.is_null()).then_some(seen)
        });
        assert_eq!((&seen["from"], &seen["nonce"], &seen["to"]), (&json!(party.account), &json!("0x0"), &to));
        assert_eq!(c.rpc.get("eth_getTransactionCount", json!([party.account, "latest"])), "0x1");
        let receipt = c.rpc.get("eth_getTransactionReceipt", json!([hash]));
        assert_eq!(receipt["isPrivacyMarkerTransaction"], hash == own);
    }
    for vault in made {
        assert_eq!(c.rpc.get("eth_getCode", json!([vault, "latest"])), "0x");
    }
    network.assert_same_chain(&network.all());
}
