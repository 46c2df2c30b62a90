use super::*;
use crate::testing::CONTRACT;
use lonja_primitives::spec::{MARKER_PRECOMPILE, Privacy};

fn marking(rule: &str) -> (TestNode, Client) {
    let node = TestNode::with_markers(privacy_rules(Some(rule)));
    let client = node.client();
    (node, client)
}

/// The marker and the private receipt, once mined.
async fn send(node: &mut TestNode, client: &Client, request: Value) -> (Value, Value) {
    let hash = client.call("eth_sendTransaction", json!([request])).await;
    node.mine_and_follow();
    let marker = transaction(client, &hash).await;
    let public = receipt(client, &hash).await;
    assert_eq!(public["isPrivacyMarkerTransaction"], true, "{public}");
    assert_eq!((&public["status"], &public["logs"]), (&json!("0x1"), &json!([])));
    (marker, client.call("eth_getPrivateTransactionReceipt", json!([hash])).await)
}

#[tokio::test]
async fn a_stranger_signs_for_whoever_deals() {
    let (mut node, client) = marking("anySigner");
    let (marker, receipt) = send(&mut node, &client, message(None, &init_code())).await;
    assert_eq!(marker["to"], json!(MARKER_PRECOMPILE));
    assert_eq!((&marker["nonce"], &marker["value"]), (&json!("0x0"), &json!("0x0")));
    assert_ne!(marker["from"], json!(key(2).address()));
    assert_eq!(receipt["from"], json!(key(2).address()));
    assert_eq!((&receipt["status"], &receipt["isPrivacyMarkerTransaction"]), (&json!("0x1"), &json!(false)));
    assert_eq!(receipt["transactionHash"], marker["hash"]);
    let contract: Address = serde_json::from_value(receipt["contractAddress"].clone()).unwrap();
    // The same sender once more: another stranger, another contract.
    let (second, other) = send(&mut node, &client, message(None, &init_code())).await;
    assert_ne!(second["from"], marker["from"]);
    assert_ne!(other["contractAddress"], receipt["contractAddress"]);
    let (_, called) = send(&mut node, &client, message(Some(contract), &write_word(5))).await;
    assert_eq!((&called["status"], &called["to"]), (&json!("0x1"), &json!(contract)));
    assert_eq!(slot(&client, contract).await, word(5));
    assert_eq!(client.call("eth_getTransactionCount", json!([key(2).address()])).await, "0x0");
}

#[tokio::test]
async fn all_markers_look_alike() {
    let (mut node, client) = marking("anySigner");
    let (small, _) = send(&mut node, &client, message(None, &init_code())).await;
    let contract = with(message(Some(CONTRACT), &[0]), json!({ "gas": "0x30d40", "gasPrice": "0x5" }));
    let (large, _) = send(&mut node, &client, contract).await;
    for field in ["to", "gas", "gasPrice", "value", "nonce", "type"] {
        assert_eq!(small[field], large[field], "{field}");
    }
    let carried: Vec<_> = node.manager().sent().into_iter().skip(1).step_by(2).collect();
    assert_eq!(carried.len(), 2);
    for parcel in carried {
        assert_eq!((parcel.payload.len(), &parcel.to), (1_024, &vec![THEIRS]));
        assert_eq!(parcel.metadata, Default::default());
    }
}

#[tokio::test]
async fn where_the_rule_says_so_the_sender_signs_both() {
    let (mut node, client) = marking("sameSigner");
    let (marker, receipt) = send(&mut node, &client, message(None, &init_code())).await;
    assert_eq!((&marker["from"], &receipt["from"]), (&json!(key(2).address()), &json!(key(2).address())));
    assert_eq!(receipt["contractAddress"], json!(key(2).address().create(0)));
    let inner = client.call("eth_getPrivateTransactionByHash", json!([marker["hash"]])).await;
    assert_eq!((&inner["nonce"], &marker["nonce"]), (&json!("0x0"), &json!("0x0")));
    assert!(inner["v"] == "0x25" || inner["v"] == "0x26", "{inner}");
    assert_ne!(inner["hash"], marker["hash"]);
    for field in ["blockHash", "blockNumber", "transactionIndex"] {
        assert_eq!(inner[field], marker[field], "{field}");
    }
    let (second, _) = send(&mut node, &client, message(None, &init_code())).await;
    assert_eq!(second["nonce"], "0x1");
}

#[tokio::test]
async fn who_counts_its_transactions_signs_them() {
    let (mut node, client) = marking("anySigner");
    let request = with(message(None, &init_code()), json!({ "nonce": "0x0" }));
    let (marker, receipt) = send(&mut node, &client, request).await;
    assert_eq!((&marker["from"], &marker["nonce"]), (&json!(key(2).address()), &json!("0x0")));
    assert_eq!(receipt["contractAddress"], json!(key(2).address().create(0)));
}

#[tokio::test]
async fn compared_states_are_the_same_behind_markers() {
    for rule in ["anySigner", "sameSigner"] {
        let (mut node, client) = marking(rule);
        let request = with(message(None, &init_code()), json!({ "privacyFlag": 3 }));
        let (_, made) = send(&mut node, &client, request).await;
        assert_eq!(made["status"], "0x1", "{made}");
        let to: Address = serde_json::from_value(made["contractAddress"].clone()).unwrap();
        let call = with(message(Some(to), &write_word(4)), json!({ "privacyFlag": 3 }));
        let (_, called) = send(&mut node, &client, call).await;
        assert_eq!(called["status"], "0x1", "{called}");
    }
}

#[tokio::test]
async fn on_networks_without_them_there_are_no_markers() {
    let node = TestNode::with_markers(privacy_rules(None));
    let client = node.client();
    let hash = client.call("eth_sendTransaction", json!([message(None, &init_code())])).await;
    assert_eq!(transaction(&client, &hash).await["from"], json!(key(2).address()));
    assert_eq!(node.manager().sent().len(), 1);
}

#[tokio::test]
async fn who_is_no_party_sees_the_marker_alone() {
    let (mut node, client) = marking("anySigner");
    let marker = json!({ "from": key(2).address(), "to": MARKER_PRECOMPILE,
        "data": hex::encode_prefixed([7; 64]), "gas": "0x186a0" });
    let hash = client.call("eth_sendTransaction", json!([marker])).await;
    node.mine_and_follow();
    assert_eq!(receipt(&client, &hash).await["isPrivacyMarkerTransaction"], true);
    assert_eq!(client.call("eth_getPrivateTransactionByHash", json!([hash])).await, Value::Null);
    let refused = client.refused("eth_getPrivateTransactionReceipt", json!([hash])).await;
    assert_eq!(refused.message, "private transaction not found for this participant");
    let refused = client.refused("eth_getPrivateTransactionReceipt", json!([word(1)])).await;
    assert_eq!(refused.message, "privacy marker transaction not found");
    assert_eq!(client.call("eth_getPrivateTransactionByHash", json!([word(1)])).await, Value::Null);
}

/// A network whose contracts decide who may transact: account 21 may do everything, 22 may transfer only.
fn permissioned() -> (TestNode, Client) {
    let plan = crate::methods::lonja::tests::plan();
    let node = TestNode::with_registry_and(&plan, Privacy::OF_NEW_NETWORKS).joined(true);
    for n in [21, 22] {
        node.node.accounts.import(&key(n), &"password".into()).unwrap();
        node.node.accounts.unlock(key(n).address(), &"password".into(), None).unwrap();
    }
    let client = node.client();
    (node, client)
}

fn creation_by(n: u8) -> Value {
    with(message(None, &init_code()), json!({ "from": key(n).address() }))
}

#[tokio::test]
async fn where_strangers_may_not_transact_the_sender_signs_the_marker() {
    let (mut node, client) = permissioned();
    let (marker, receipt) = send(&mut node, &client, creation_by(21)).await;
    assert_eq!((&marker["from"], &marker["to"]), (&json!(key(21).address()), &json!(MARKER_PRECOMPILE)));
    assert_eq!((&receipt["status"], &receipt["from"]), (&json!("0x1"), &json!(key(21).address())));
}

#[tokio::test]
async fn who_may_not_transact_shares_nothing() {
    let (node, client) = permissioned();
    for n in [2, 22] {
        let request = with(creation_by(n), json!({ "gas": "0xf4240" }));
        for method in ["eth_sendTransaction", "eth_fillTransaction"] {
            let refused = client.refused(method, json!([request])).await;
            assert_eq!(refused.code, -32007, "{refused:?}");
        }
    }
    assert!(node.manager().sent().is_empty());
}
