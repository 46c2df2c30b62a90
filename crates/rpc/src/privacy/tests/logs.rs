use super::*;
use crate::testing::{CONTRACT, legacy};
use crate::{Access, RpcLimits};
use alloy_consensus::TxLegacy;
use alloy_eips::Encodable2718;
use alloy_primitives::TxKind;
use lonja_primitives::transaction::sign_private;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Private and public writes together: block 2 has a private log of 5 and a public one of 6, block 3 a private one of 7.
async fn logging() -> (TestNode, Client, Address) {
    let (mut node, client) = party();
    let contract = contract(&mut node, &client, 0).await;
    client.call("eth_sendTransaction", json!([message(Some(contract), &write_word(5))])).await;
    node.submit(legacy(&key(9), 0, TxKind::Call(CONTRACT), 0, &write_word(6)));
    node.mine_and_follow();
    client.call("eth_sendTransaction", json!([message(Some(contract), &write_word(7))])).await;
    node.mine_and_follow();
    (node, client, contract)
}

fn data(logs: &Value) -> Vec<Value> {
    logs.as_array().unwrap_or_else(|| panic!("{logs}")).iter().map(|log| log["data"].clone()).collect()
}

/// A call of a contract whose payload this node lacks, until it turns up.
fn late(node: &TestNode, contract: Address, n: u8) -> PayloadHash {
    let hash = PayloadHash::from_data(&[n; 64]);
    let input = Bytes::copy_from_slice(hash.as_slice());
    let tx = TxLegacy { gas_limit: 1_000_000, to: TxKind::Call(contract), input, ..TxLegacy::default() };
    node.submit(sign_private(tx, &key(6)).encoded_2718().into());
    hash
}

#[tokio::test]
async fn private_logs_stand_behind_the_public_ones_of_their_block() {
    let (_node, client, contract) = logging().await;
    let logs = client.call("eth_getLogs", json!([{ "fromBlock": "earliest" }])).await;
    assert_eq!(data(&logs), [word(6), word(5), word(7)]);
    let places: Vec<_> = logs.as_array().unwrap().iter().map(|log| log["logIndex"].clone()).collect();
    assert_eq!(places, ["0x0", "0x1", "0x0"]);
    let private = &logs[1];
    assert_eq!((&private["address"], &private["removed"]), (&json!(contract), &json!(false)));
    let receipt = receipt(&client, &private["transactionHash"]).await;
    assert_eq!(receipt["logs"], json!([private]));
    assert_eq!(receipt["transactionIndex"], private["transactionIndex"]);
    assert_ne!(receipt["logsBloom"], json!(alloy_primitives::Bloom::ZERO));
}

#[tokio::test]
async fn filters_choose_among_both() {
    let (_node, client, contract) = logging().await;
    for (filter, found) in [
        (json!({ "fromBlock": "0x0", "address": contract }), vec![word(5), word(7)]),
        (json!({ "fromBlock": "0x0", "address": CONTRACT }), vec![word(6)]),
        (json!({ "fromBlock": "0x0", "toBlock": "0x2", "topics": [word(0x77)] }), vec![word(6), word(5)]),
        (json!({ "fromBlock": "0x0", "topics": [word(1)] }), vec![]),
        (json!({ "fromBlock": "0x3" }), vec![word(7)]),
        (json!({}), vec![word(7)]),
    ] {
        assert_eq!(data(&client.call("eth_getLogs", json!([filter])).await), found, "{filter}");
    }
    let hash = client.call("eth_getBlockByNumber", json!(["0x2", false])).await["hash"].clone();
    let logs = client.call("eth_getLogs", json!([{ "blockHash": hash }])).await;
    assert_eq!(data(&logs), [word(6), word(5)]);
    let many: Vec<Address> = (0..100_u8).map(Address::repeat_byte).chain([contract]).collect();
    let logs = client.call("eth_getLogs", json!([{ "fromBlock": "0x0", "address": many }])).await;
    assert_eq!(data(&logs), [word(5), word(7)]);
}

#[tokio::test]
async fn limits_count_both() {
    let (node, ..) = logging().await;
    let limited =
        |log_results| node.client_with(Access::full(), RpcLimits { log_results, ..RpcLimits::default() });
    let all = json!([{ "fromBlock": "0x0" }]);
    assert_eq!(data(&limited(3).call("eth_getLogs", all.clone()).await).len(), 3);
    let refused = limited(2).refused("eth_getLogs", all.clone()).await;
    assert!(refused.message.contains("ask for a range up to block 0x2"), "{refused:?}");
    let refused = limited(1).refused("eth_getLogs", all).await;
    assert!(refused.message.contains("ask for a range up to block 0x1"), "{refused:?}");
    let refused = limited(1).refused("eth_getLogs", json!([{ "fromBlock": "0x2" }])).await;
    assert!(refused.message.contains("within one block"), "{refused:?}");
}

#[tokio::test]
async fn polls_find_private_logs_when_they_are_known() {
    for log_results in [20_000, 1] {
        let (mut node, client) = party();
        let contract = contract(&mut node, &client, 0).await;
        let limits = RpcLimits { log_results, ..RpcLimits::default() };
        let client = node.client_with(Access::full(), limits);
        let id = client.call("eth_newFilter", json!([{ "topics": [word(0x77)] }])).await;
        let poll = || client.call("eth_getFilterChanges", json!([id]));
        for n in [5, 6] {
            client.call("eth_sendTransaction", json!([message(Some(contract), &write_word(n))])).await;
            node.submit(legacy(&key(9), u64::from(n) - 5, TxKind::Call(CONTRACT), 0, &write_word(n + 10)));
            node.mine();
        }
        let mut public = Vec::new();
        while public.len() < 2 {
            public.extend(data(&poll().await));
        }
        assert_eq!(public, [word(15), word(16)]);
        assert_eq!(data(&poll().await), Vec::<Value>::new());
        node.follow();
        let mut private = Vec::new();
        while private.len() < 2 {
            private.extend(data(&poll().await));
        }
        assert_eq!(private, [word(5), word(6)]);
        assert_eq!(data(&poll().await), Vec::<Value>::new());
    }
}

async fn subscribe(client: &Client, filter: Value) {
    let id = client.call("eth_subscribe", json!(["logs", filter])).await;
    assert_eq!(client.message().await["result"], id);
}

async fn told(client: &Client) -> Value {
    client.message().await["params"]["result"]["data"].clone()
}

#[tokio::test]
async fn subscribers_are_told_and_what_is_late_comes_late() {
    let (mut node, client) = party();
    let contract = contract(&mut node, &client, 0).await;
    let feed = tokio::spawn(crate::privacy::feed::run(Arc::clone(&client.context), CancellationToken::new()));
    let heads = tokio::spawn(crate::feed::run(Arc::clone(&client.context), CancellationToken::new()));
    subscribe(&client, json!({ "address": [contract, CONTRACT] })).await;
    let poll = client.call("eth_newFilter", json!([{ "address": contract }])).await;
    tokio::task::yield_now().await;

    client.call("eth_sendTransaction", json!([message(Some(contract), &write_word(5))])).await;
    let missing = late(&node, contract, 40);
    node.submit(legacy(&key(9), 0, TxKind::Call(CONTRACT), 0, &write_word(6)));
    node.mine();
    assert_eq!(told(&client).await, word(6), "the public chain does not wait");
    node.follow();
    assert_eq!(told(&client).await, word(5));
    client.call("eth_sendTransaction", json!([message(Some(contract), &write_word(7))])).await;
    node.mine_and_follow();
    assert_eq!(told(&client).await, word(7));
    assert_eq!(data(&client.call("eth_getFilterChanges", json!([poll])).await), [word(5), word(7)]);

    node.arrived(&missing, write_word(9).into());
    assert_eq!(told(&client).await, word(9), "and nothing twice");
    assert_eq!(data(&client.call("eth_getFilterChanges", json!([poll])).await), [word(9)]);
    assert_eq!(data(&client.call("eth_getFilterChanges", json!([poll])).await), Vec::<Value>::new());
    client.call("eth_sendTransaction", json!([message(Some(contract), &write_word(10))])).await;
    node.mine_and_follow();
    assert_eq!(told(&client).await, word(10));
    feed.abort();
    heads.abort();
}

#[tokio::test]
async fn logs_of_a_party_are_not_those_of_others() {
    let (mut node, client, contract) = logging().await;
    late(&node, contract, 41);
    node.mine_and_follow();
    let logs = client.call("eth_getLogs", json!([{ "fromBlock": "0x0", "address": contract }])).await;
    assert_eq!(data(&logs), [word(5), word(7)]);
}
