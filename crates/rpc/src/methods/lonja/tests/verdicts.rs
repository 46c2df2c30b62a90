use super::*;
use crate::testing::{CONTRACT, write_word};
use alloy_primitives::Bytes;

async fn connection(client: &Client, params: Value) -> Value {
    client.call("lonja_connectionPermitted", params).await
}

async fn transaction(client: &Client, params: Value) -> Value {
    client.call("lonja_transactionPermitted", params).await
}

#[tokio::test]
async fn connections_are_judged_at_any_block() {
    use lonja_permissioning::registry::abi::{NODE_RULES, REGISTRY, Registry};
    let mut node = node();
    let call = Registry::setOwnNodeStatusCall { nodeKey: node_key(2), status: 3 };
    act(&mut node, &key(12), 0, REGISTRY, &call);
    let client = node.client();
    let id = key(2).node_id();
    let now = connection(&client, json!([id.to_string()])).await;
    assert_eq!((&now["allowed"], &now["rule"], &now["block"]), (&json!(false), &json!("nodes"), &json!(1)));
    assert_eq!(now["contract"], json!(NODE_RULES));
    assert!(now["reason"].as_str().unwrap().contains("deactivated"), "{now}");
    assert_eq!(now.get("needsAddress"), None);
    let before = connection(&client, json!([format!("enode://{id}@1.2.3.4:30303"), "0x0"])).await;
    assert_eq!((&before["allowed"], &before["rule"]), (&json!(true), &Value::Null));
    assert_eq!(connection(&client, json!([node_key(2), "earliest"])).await["allowed"], true);
    assert_eq!(connection(&client, json!([key(1).address()])).await["allowed"], true);
    let stranger = connection(&client, json!([key(9).node_id().to_string()])).await;
    assert_eq!(stranger["allowed"], false);
    assert_eq!(code(&client, "lonja_connectionPermitted", json!([node_key(9)])).await, -32000);
    assert_eq!(code(&client, "lonja_connectionPermitted", json!(["enode://12@a:1"])).await, -32602);
    assert_eq!(code(&client, "lonja_connectionPermitted", json!([])).await, -32602);
    let status = client.call("lonja_status", json!([])).await;
    assert_eq!(status["permission"]["ownNode"]["allowed"], true);
    assert_eq!(status["permission"]["contracts"]["nodes"], json!(NODE_RULES));
    assert_eq!(status["validatorsConnected"], 1);
}

#[tokio::test]
async fn transactions_are_judged_as_objects_raw_and_by_hash() {
    let mut node = node();
    let to = Address::repeat_byte(3);
    let object =
        |n: u8, data: &str| json!({ "from": key(n).address(), "to": to, "data": data, "gas": "0x7a120" });
    let client = node.client();
    let full = transaction(&client, json!([object(21, "0x01")])).await;
    assert_eq!(
        (&full["allowed"], &full["rule"], &full["member"]),
        (&json!(true), &Value::Null, &json!(uno()))
    );
    assert!(full["gasAvailable"].is_u64() && full["gasPerBlock"].is_u64());
    let call = transaction(&client, json!([object(22, "0x01")])).await;
    assert_eq!((&call["allowed"], &call["rule"]), (&json!(false), &json!("accounts")));
    assert!(call["reason"].as_str().unwrap().contains("call"), "{call}");
    assert_eq!(transaction(&client, json!([object(22, "0x")])).await["allowed"], true);
    let stranger = transaction(&client, json!([object(99, "0x")])).await;
    assert_eq!((&stranger["allowed"], stranger.get("member")), (&json!(false), None));
    // A signed one, whether it is known or not.
    let raw = legacy(&key(21), 0, TxKind::Call(to), 0, &[1]);
    let judged = transaction(&client, json!([raw])).await;
    assert_eq!((&judged["allowed"], &judged["sender"]), (&json!(true), &json!(key(21).address())));
    let unknown = client.refused("lonja_transactionPermitted", json!([keccak256(&raw)])).await;
    assert_eq!(
        (unknown.code, unknown.message.contains("neither in the pool nor in a block")),
        (-32000, true)
    );
    let hash = node.submit(raw);
    let waiting = transaction(&client, json!([hash])).await;
    assert_eq!((&waiting["allowed"], waiting.get("minedIn")), (&json!(true), None));
    assert_eq!((&waiting["waiting"], &judged["waiting"]), (&json!(true), &json!(false)));
    node.mine();
    let mined = transaction(&node.client(), json!([hash])).await;
    assert_eq!((&mined["minedIn"], &mined["block"], &mined["allowed"]), (&json!(1), &json!(0), &json!(true)));
    let named = transaction(&node.client(), json!([hash, "latest"])).await;
    assert_eq!(named["block"], 1);
}

#[tokio::test]
async fn a_gas_limit_beyond_the_quota_is_refused_by_that_rule() {
    let client = node().client();
    let quota = client.call("lonja_getQuota", json!([uno()])).await["gasAvailable"].as_u64().unwrap();
    let object =
        |gas: u64| json!([{ "from": key(21).address(), "to": CONTRACT, "gas": format!("{gas:#x}") }]);
    assert_eq!(transaction(&client, object(quota)).await["allowed"], true);
    let over = transaction(&client, object(quota + 1)).await;
    assert_eq!((&over["allowed"], &over["rule"]), (&json!(false), &json!("quotas")));
    assert!(over["reason"].as_str().unwrap().contains("gas left"), "{over}");
}

#[tokio::test]
async fn what_is_malformed_is_the_clients_fault() {
    let client = node().client();
    for params in [
        json!([]),
        json!([null]),
        json!([{}]),
        json!([{ "to": CONTRACT }]),
        json!([{ "from": "0x12" }]),
        json!([{ "from": key(21).address(), "chainId": "0x1" }]),
        json!(["0xzz"]),
        json!(["hello"]),
        json!([Bytes::from(write_word(1))]),
        json!([7]),
        json!([[1, 2]]),
        json!([{ "from": key(21).address() }, { "blockHash": 3 }]),
    ] {
        assert_eq!(code(&client, "lonja_transactionPermitted", params.clone()).await, -32602, "{params}");
    }
    let later = json!([{ "from": key(21).address() }, "0x77"]);
    assert_eq!(code(&client, "lonja_transactionPermitted", later).await, -32000);
}

/// Without contracts everything is allowed, by no rule.
#[tokio::test]
async fn without_contracts_everything_is_allowed() {
    let client = TestNode::new().client();
    let answer = connection(&client, json!([key(9).node_id().to_string()])).await;
    assert_eq!((&answer["allowed"], &answer["contract"]), (&json!(true), &Value::Null));
    let answer = transaction(&client, json!([{ "from": Address::ZERO }])).await;
    assert_eq!(
        (&answer["allowed"], &answer["reason"]),
        (&json!(true), &json!("no contract decides about it"))
    );
    assert_eq!(client.call("lonja_status", json!([])).await["permission"], Value::Null);
}

/// A rule that is not there, or is no rule, closes.
#[tokio::test]
async fn a_missing_contract_closes() {
    let missing = Address::repeat_byte(0x77);
    let node = TestNode::with_rules(json!({ "permissions": { "nodes": missing, "accounts": missing } }));
    let client = node.client();
    let answer = connection(&client, json!([key(9).node_id().to_string()])).await;
    assert_eq!((&answer["allowed"], &answer["contract"]), (&json!(false), &json!(missing)));
    assert!(answer["reason"].as_str().unwrap().contains("no contract"), "{answer}");
    let answer = transaction(&client, json!([{ "from": Address::ZERO }])).await;
    assert_eq!(answer["allowed"], false);
    assert_eq!(code(&client, "lonja_listMembers", json!([])).await, -32604);
}

/// Wallets estimate before they send: whoever may not send hears so then. Looking is anybody's.
#[tokio::test]
async fn an_estimate_for_what_may_not_be_sent_is_refused_and_a_call_is_not() {
    let node = node();
    let client = node.client();
    let message = |from: Address| json!([{ "from": from, "to": key(1).address(), "value": "0x0" }]);
    let stranger = message(key(99).address());
    for method in ["eth_estimateGas", "eth_createAccessList"] {
        let refused = client.refused(method, stranger.clone()).await;
        assert_eq!(refused.code, -32007, "{}", refused.message);
        assert!(refused.message.contains("account unknown (rule accounts)"), "{}", refused.message);
    }
    assert_eq!(client.call("eth_call", stranger).await, json!("0x"));
    assert_eq!(client.call("eth_estimateGas", message(key(21).address())).await, json!("0x5208"));
    let nobody = json!([{ "to": key(1).address() }]);
    assert_eq!(client.call("eth_estimateGas", nobody).await, json!("0x5208"));
}
