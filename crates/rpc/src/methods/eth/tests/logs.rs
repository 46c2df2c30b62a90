use super::*;
use crate::{Access, RpcLimits};
use alloy_primitives::Address;

/// Five blocks, one log in each; block n writes n.
fn logging_chain() -> (TestNode, Client) {
    let mut node = TestNode::new();
    for nonce in 0..5 {
        node.submit(legacy(&key(2), nonce, TxKind::Call(CONTRACT), 0, &write_word(nonce as u8 + 1)));
        node.mine();
    }
    let client = node.client();
    (node, client)
}

fn data(logs: &Value) -> Vec<Value> {
    logs.as_array().unwrap().iter().map(|log| log["data"].clone()).collect()
}

fn words(numbers: impl IntoIterator<Item = u8>) -> Vec<Value> {
    numbers.into_iter().map(word).collect()
}

#[tokio::test]
async fn logs_by_range_address_and_topic() {
    let (_node, client) = logging_chain();
    let logs = |filter: Value| {
        let client = client.clone();
        async move { data(&client.call("eth_getLogs", json!([filter])).await) }
    };
    assert_eq!(logs(json!({ "fromBlock": "0x2", "toBlock": "0x4" })).await, words(2..=4));
    assert_eq!(logs(json!({ "fromBlock": "earliest" })).await, words(1..=5));
    assert_eq!(logs(json!({})).await, words([5]));
    assert_eq!(logs(json!({ "fromBlock": "0x4", "toBlock": "0x99" })).await, words(4..=5));
    assert_eq!(logs(json!({ "fromBlock": "0x99" })).await, words([]));
    assert_eq!(logs(json!({ "fromBlock": "0x0", "address": [CONTRACT, Address::ZERO] })).await, words(1..=5));
    assert_eq!(logs(json!({ "fromBlock": "0x0", "address": Address::ZERO })).await, words([]));
    assert_eq!(logs(json!({ "fromBlock": "0x0", "topics": [word(0x77)] })).await, words(1..=5));
    assert_eq!(logs(json!({ "fromBlock": "0x0", "topics": [[word(1), word(0x77)]] })).await, words(1..=5));
    assert_eq!(logs(json!({ "fromBlock": "0x0", "topics": [word(1)] })).await, words([]));
    assert_eq!(logs(json!({ "fromBlock": "0x0", "topics": [null, null] })).await, words([]));
    let hash = client.call("eth_getBlockByNumber", json!(["0x3", false])).await["hash"].clone();
    assert_eq!(logs(json!({ "blockHash": hash })).await, words([3]));
}

#[tokio::test]
async fn impossible_searches_are_refused() {
    let (_node, client) = logging_chain();
    for method in ["eth_getLogs", "eth_newFilter"] {
        let refused = client.refused(method, json!([{ "fromBlock": "0x4", "toBlock": "0x2" }])).await;
        assert!(refused.code == -32602 && refused.message.contains("invalid block range"), "{refused:?}");
    }
    let refused = client.refused("eth_getLogs", json!([{ "blockHash": word(1) }])).await;
    assert_eq!((refused.code, refused.message.as_str()), (-32000, "unknown block"));
    let both = json!([{ "blockHash": word(1), "fromBlock": "0x1" }]);
    assert_eq!(client.refused("eth_getLogs", both).await.code, -32602);
}

#[tokio::test]
async fn the_limits_say_what_to_ask_for_instead() {
    let (node, _) = logging_chain();
    let few = node.client_with(Access::public(), RpcLimits { log_results: 2, ..RpcLimits::default() });
    let refused = few.refused("eth_getLogs", json!([{ "fromBlock": "0x1" }])).await;
    assert!(refused.code == -32005 && refused.message.ends_with("up to block 0x2"), "{refused:?}");
    assert_eq!(
        data(&few.call("eth_getLogs", json!([{ "fromBlock": "0x1", "toBlock": "0x2" }])).await).len(),
        2
    );
    let near = node.client_with(Access::public(), RpcLimits { log_blocks: 3, ..RpcLimits::default() });
    let refused = near.refused("eth_getLogs", json!([{ "fromBlock": "0x1" }])).await;
    assert!(refused.code == -32005 && refused.message.contains("block range"), "{refused:?}");
    assert_eq!(data(&near.call("eth_getLogs", json!([{ "fromBlock": "0x3" }])).await), words(3..=5));
}

#[tokio::test]
async fn a_log_filter_tells_what_is_new() {
    let (mut node, client) = logging_chain();
    let id = client.call("eth_newFilter", json!([{ "fromBlock": "0x1", "address": CONTRACT }])).await;
    assert_eq!(client.call("eth_getFilterChanges", json!([id])).await, json!([]));
    node.submit(legacy(&key(2), 5, TxKind::Call(CONTRACT), 0, &write_word(6)));
    node.mine();
    assert_eq!(data(&client.call("eth_getFilterChanges", json!([id])).await), words([6]));
    assert_eq!(client.call("eth_getFilterChanges", json!([id])).await, json!([]));
    assert_eq!(data(&client.call("eth_getFilterLogs", json!([id])).await), words(1..=6));
    assert_eq!(client.call("eth_uninstallFilter", json!([id])).await, json!(true));
    assert_eq!(client.call("eth_uninstallFilter", json!([id])).await, json!(false));
    let refused = client.refused("eth_getFilterChanges", json!([id])).await;
    assert_eq!((refused.code, refused.message.as_str()), (-32000, "filter not found"));
}

#[tokio::test]
async fn a_slow_poller_gets_everything_in_pieces() {
    let mut node = TestNode::new();
    let limits = RpcLimits { log_results: 2, log_blocks: 2, ..RpcLimits::default() };
    let client = node.client_with(Access::public(), limits);
    let logs = client.call("eth_newFilter", json!([{}])).await;
    let blocks = client.call("eth_newBlockFilter", json!([])).await;
    // Three logs in block 1 alone are more than a poll may give, and come nevertheless.
    for nonce in 0..6 {
        node.submit(legacy(&key(2), nonce, TxKind::Call(CONTRACT), 0, &write_word(nonce as u8 + 1)));
        if nonce >= 2 {
            node.mine();
        }
    }
    let mut seen = Vec::new();
    for expected in [vec![1, 2, 3], vec![4, 5], vec![6], vec![]] {
        let found = data(&client.call("eth_getFilterChanges", json!([logs])).await);
        assert_eq!(found, words(expected));
        let hashes = client.call("eth_getFilterChanges", json!([blocks])).await;
        seen.extend(hashes.as_array().unwrap().clone());
    }
    assert_eq!(seen.len(), 4);
    assert_eq!(seen[3], client.call("eth_getBlockByNumber", json!(["latest", false])).await["hash"]);
}

#[tokio::test]
async fn a_transaction_filter_tells_what_came_in() {
    let (node, client) = logging_chain();
    let hashes = client.call("eth_newPendingTransactionFilter", json!([])).await;
    let full = client.call("eth_newPendingTransactionFilter", json!([true])).await;
    let hash = node.submit(legacy(&key(2), 5, TxKind::Call(CONTRACT), 0, &[0]));
    assert_eq!(client.call("eth_getFilterChanges", json!([hashes])).await, json!([hash]));
    assert_eq!(client.call("eth_getFilterChanges", json!([hashes])).await, json!([]));
    assert_eq!(client.call("eth_getFilterChanges", json!([full])).await[0]["hash"], json!(hash));
    let hash = node.submit(legacy(&key(2), 6, TxKind::Call(CONTRACT), 0, &[0]));
    let refused = client.refused("eth_getFilterLogs", json!([hashes])).await;
    assert_eq!(refused.message, "filter not found");
    // The question was wrong; what arrived is still there.
    assert_eq!(client.call("eth_getFilterChanges", json!([hashes])).await, json!([hash]));
}
