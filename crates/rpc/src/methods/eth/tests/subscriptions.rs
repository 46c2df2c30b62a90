use super::*;
use crate::control::SyncStatus;
use crate::feed;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

async fn subscribe(client: &Client, params: Value) -> Value {
    let id = client.call("eth_subscribe", params).await;
    // The answer also goes out on the connection, before the first message.
    assert_eq!(client.message().await["result"], id);
    assert!(id.as_str().unwrap().starts_with("0x") && id.as_str().unwrap().len() == 34, "{id}");
    id
}

#[tokio::test]
async fn heads_logs_and_transactions_are_told() {
    let mut node = TestNode::new();
    let client = node.client();
    let feed = tokio::spawn(feed::run(Arc::clone(&client.context), CancellationToken::new()));
    let transactions = subscribe(&client, json!(["newPendingTransactions"])).await;
    let hash = node.submit(legacy(&key(2), 0, TxKind::Call(CONTRACT), 0, &write_word(3)));
    let message = client.message().await;
    assert_eq!(
        (&message["method"], &message["params"]["subscription"]),
        (&json!("eth_subscription"), &transactions)
    );
    assert_eq!(message["params"]["result"], json!(hash));
    assert_eq!(client.call("eth_unsubscribe", json!([transactions])).await, json!(true));
    assert_eq!(client.call("eth_unsubscribe", json!([transactions])).await, json!(false));

    let logs = subscribe(&client, json!(["logs", { "address": CONTRACT, "topics": [word(0x77)] }])).await;
    subscribe(&client, json!(["logs", { "topics": [word(1)] }])).await;
    tokio::task::yield_now().await;
    node.mine();
    let message = client.message().await;
    assert_eq!(message["params"]["subscription"], logs);
    assert_eq!(
        (&message["params"]["result"]["data"], &message["params"]["result"]["blockNumber"]),
        (&word(3), &json!("0x1"))
    );

    subscribe(&client, json!(["newHeads"])).await;
    (2..=4).for_each(|height| assert_eq!(node.mine(), height));
    for number in ["0x2", "0x3", "0x4"] {
        let head = client.message().await["params"]["result"].clone();
        assert_eq!(head["number"], number);
        assert!(head.get("transactions").is_none() && head["logsBloom"].is_string(), "{head}");
    }
    feed.abort();
}

#[tokio::test]
async fn whole_transactions_when_asked_for() {
    let node = TestNode::new();
    let client = node.client();
    subscribe(&client, json!(["newPendingTransactions", true])).await;
    let hash = node.submit(legacy(&key(2), 0, TxKind::Call(CONTRACT), 0, &[0]));
    assert_eq!(client.message().await["params"]["result"]["hash"], json!(hash));
}

#[tokio::test]
async fn syncing_is_told_at_once() {
    let node = TestNode::new();
    *node.control.sync.lock() = SyncStatus::Syncing { start: 1, highest: 9 };
    let client = node.client();
    subscribe(&client, json!(["syncing"])).await;
    let status = client.message().await["params"]["result"].clone();
    assert_eq!((&status["syncing"], &status["status"]["highestBlock"]), (&json!(true), &json!("0x9")));
    assert_eq!(client.call("eth_syncing", json!([])).await["startingBlock"], "0x1");
}

#[tokio::test]
async fn what_cannot_be_subscribed_to_is_refused() {
    let client = TestNode::new().client();
    for params in [json!([]), json!(["newBlocks"]), json!(["logs", { "address": "x" }]), json!([7])] {
        let refused = client.refused("eth_subscribe", params.clone()).await;
        assert_eq!(refused.code, -32602, "{params}: {refused:?}");
        assert_eq!(client.message().await["error"]["code"], json!(-32602));
    }
}

#[tokio::test]
async fn a_connection_holds_so_many_subscriptions() {
    let node = TestNode::new();
    let limits = crate::RpcLimits { subscriptions_per_connection: 2, ..Default::default() };
    let client = node.client_with(crate::Access::public(), limits);
    let first = subscribe(&client, json!(["newHeads"])).await;
    subscribe(&client, json!(["newHeads"])).await;
    assert_eq!(client.refused("eth_subscribe", json!(["newHeads"])).await.code, -32006);
    client.call("eth_unsubscribe", json!([first])).await;
    while client.try_call("eth_subscribe", json!(["newHeads"])).await.is_err() {
        tokio::task::yield_now().await;
    }
}
