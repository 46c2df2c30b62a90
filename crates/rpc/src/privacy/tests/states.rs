use super::*;
use crate::testing::{CONTRACT, legacy};
use alloy_primitives::TxKind;

/// A private contract with 7 in slot 0 as of block 2, and 8 as of block 3.
async fn written() -> (TestNode, Client, Address) {
    let (mut node, client) = party();
    let contract = contract(&mut node, &client, 0).await;
    for n in [7, 8] {
        client.call("eth_sendTransaction", json!([message(Some(contract), &write_word(n))])).await;
        node.mine_and_follow();
    }
    (node, client, contract)
}

#[tokio::test]
async fn what_is_private_is_read_by_the_ordinary_methods() {
    let (node, client, contract) = written().await;
    let code = client.call("eth_getCode", json!([contract, "latest"])).await;
    assert_eq!(code, client.call("eth_getCode", json!([CONTRACT])).await);
    assert_eq!(client.call("eth_getStorageAt", json!([contract, "0x0"])).await, word(8));
    assert_eq!(client.call("eth_getStorageAt", json!([contract, "0x0", "0x2"])).await, word(7));
    assert_eq!(client.call("eth_getStorageAt", json!([contract, "0x0", "0x1"])).await, word(0));
    assert_eq!(client.call("eth_getStorageAt", json!([contract, "0x0", "earliest"])).await, word(0));
    assert_eq!(client.call("eth_getCode", json!([contract, "earliest"])).await, "0x");
    assert_eq!(client.call("eth_getBalance", json!([contract])).await, "0x0");
    assert_eq!(client.call("eth_getTransactionCount", json!([contract])).await, "0x1");
    // Everybody else knows nothing of it.
    let public = node.core.reader().state_at(3).unwrap();
    assert!(lonja_primitives::StateView::account(&public, &contract).unwrap().is_none());
}

#[tokio::test]
async fn calls_and_estimates_see_both_states_of_one_block() {
    let (_node, client, contract) = written().await;
    let call = json!({ "to": contract, "data": "0x00" });
    for (block, value) in [("latest", 8), ("pending", 8), ("0x2", 7), ("0x1", 0)] {
        assert_eq!(client.call("eth_call", json!([call, block])).await, word(value), "{block}");
    }
    let number = json!({ "to": contract, "data": "0x04" });
    assert_eq!(client.call("eth_call", json!([number, "0x2"])).await, word(2));
    let overridden = json!({ contract.to_string(): { "stateDiff": { word(0).as_str().unwrap(): word(5) } } });
    assert_eq!(client.call("eth_call", json!([call, "latest", overridden])).await, word(5));
    let write = json!({ "to": contract, "data": hex::encode_prefixed(write_word(1)) });
    client.call("eth_estimateGas", json!([write])).await;
    let list = client.call("eth_createAccessList", json!([call])).await;
    assert_eq!(list["accessList"][0]["storageKeys"], json!([word(0)]));
    assert_eq!(client.call("eth_call", json!([call, "0x0"])).await, "0x");
}

#[tokio::test]
async fn public_contracts_never_meet_private_ones() {
    let (mut node, client, _) = written().await;
    node.submit(legacy(&key(9), 0, TxKind::Call(CONTRACT), 0, &write_word(3)));
    node.mine();
    // The private head is a block behind; what is public is read at the newest.
    assert_eq!(slot(&client, CONTRACT).await, word(3));
    assert_eq!(client.call("eth_getStorageAt", json!([CONTRACT, "0x0", "0x4"])).await, word(3));
}

#[tokio::test]
async fn the_newest_is_the_newest_that_is_known() {
    let (mut node, client, contract) = written().await;
    client.call("eth_sendTransaction", json!([message(Some(contract), &write_word(9))])).await;
    assert_eq!(node.mine(), 4);
    assert_eq!(slot(&client, contract).await, word(8));
    let refused = client.refused("eth_getStorageAt", json!([contract, "0x0", "0x4"])).await;
    assert_eq!(refused.code, -32005);
    assert!(refused.message.contains("the private state of block 4 is not known yet, it is at block 3"));
    assert_eq!(client.call("eth_getBalance", json!([key(9).address(), "0x4"])).await, "0xde0b6b3a7640000");
    let refused = client.refused("debug_privateStateRoot", json!(["0x4"])).await;
    assert_eq!(refused.code, -32005);
    node.follow();
    assert_eq!(client.call("eth_getStorageAt", json!([contract, "0x0", "0x4"])).await, word(9));
}

#[tokio::test]
async fn whoever_is_a_moment_early_waits_for_that_moment() {
    let (mut node, client, contract) = written().await;
    client.call("eth_sendTransaction", json!([message(Some(contract), &write_word(9))])).await;
    node.mine();
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.try_call("eth_getStorageAt", json!([contract, "0x0", "0x4"])).await }
    });
    tokio::task::yield_now().await;
    node.follow();
    match asked.await.unwrap() {
        Ok(value) => assert_eq!(value, word(9)),
        Err(refused) => assert_eq!(refused.code, -32005, "only where the machine was too slow"),
    }
}

#[tokio::test]
async fn proofs_are_against_the_private_root() {
    let (_node, client, contract) = written().await;
    let root = client.call("debug_privateStateRoot", json!(["latest"])).await;
    let proof = client.call("eth_getProof", json!([contract, ["0x0"], "latest"])).await;
    assert_eq!(proof["storageProof"][0]["value"], "0x8");
    let first: Bytes = serde_json::from_value(proof["accountProof"][0].clone()).unwrap();
    assert_eq!(json!(alloy_primitives::keccak256(&first)), root);
    assert_eq!(proof["storageHash"], client.call("eth_storageRoot", json!([contract])).await);
    let public = client.call("eth_getProof", json!([CONTRACT, [], "latest"])).await;
    let first: Bytes = serde_json::from_value(public["accountProof"][0].clone()).unwrap();
    let header = client.call("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(json!(alloy_primitives::keccak256(&first)), header["stateRoot"]);
}
