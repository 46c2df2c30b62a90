use super::*;
use crate::testing::{CHAIN_ID, sign};
use alloy_consensus::TxLegacy;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Bytes, U256};
use lonja_primitives::Signer;

fn transaction(nonce: u64, chain_id: u64, gas_limit: u64, value: u64) -> Bytes {
    let to = TxKind::Call(Address::repeat_byte(7));
    let (value, input) = (U256::from(value), Bytes::new());
    sign(&key(2), TxLegacy { chain_id: Some(chain_id), nonce, gas_price: 0, gas_limit, to, value, input })
}

#[tokio::test]
async fn a_transaction_is_taken_answered_and_mined() {
    let mut node = TestNode::new();
    let client = node.client();
    let raw = dynamic(&key(2), 0, TxKind::Call(CONTRACT), &write_word(3));
    let hash = client.call("eth_sendRawTransaction", json!([raw])).await;
    assert_eq!(hash, json!(alloy_primitives::keccak256(&raw)));
    let waiting = client.call("eth_getTransactionByHash", json!([hash])).await;
    assert_eq!((&waiting["blockNumber"], &waiting["gasPrice"]), (&Value::Null, &json!("0x77359400")));
    assert_eq!(client.call("eth_getRawTransactionByHash", json!([hash])).await, json!(raw));
    assert_eq!(client.call("eth_getTransactionReceipt", json!([hash])).await, Value::Null);
    let reason = client.call("txpool_reason", json!([hash])).await;
    assert_eq!(reason["status"], "pending");
    node.mine();
    assert_eq!(client.call("eth_getTransactionReceipt", json!([hash])).await["status"], "0x1");
    assert_eq!(client.call("eth_getRawTransactionByHash", json!([hash])).await, json!(raw));
    assert_eq!(client.call("txpool_reason", json!([hash])).await["status"], "included");
}

#[tokio::test]
async fn refusals_have_the_words_that_tools_look_for() {
    let mut node = TestNode::new();
    let client = node.client();
    client.call("eth_sendRawTransaction", json!([transaction(0, CHAIN_ID, 21_000, 0)])).await;
    let refusal = |raw: Bytes| {
        let client = client.clone();
        async move { client.refused("eth_sendRawTransaction", json!([raw])).await }
    };
    for (raw, text) in [
        (transaction(0, CHAIN_ID, 21_000, 0), "already known"),
        (transaction(0, CHAIN_ID, 22_000, 0), "replacement transaction underpriced"),
        (transaction(1, CHAIN_ID, 20_999, 0), "intrinsic gas too low"),
        (transaction(1, CHAIN_ID, 21_000, 1), "insufficient funds"),
        (transaction(1, CHAIN_ID + 1, 21_000, 0), "chain id"),
        (dynamic(&key(2), 1, TxKind::Call(CONTRACT), &[1; 200_000]), "oversized data"),
        (Bytes::from(vec![3, 1, 2]), "blob transactions"),
        (Bytes::from(vec![0xff; 10]), ""),
        (Bytes::new(), ""),
    ] {
        let refused = refusal(raw).await;
        assert_eq!(refused.code, -32000, "{text}: {refused:?}");
        assert!(refused.message.contains(text), "{text}: {refused:?}");
    }
    node.mine();
    assert!(refusal(transaction(0, CHAIN_ID, 23_000, 0)).await.message.starts_with("nonce too low"));
}

#[tokio::test]
async fn too_much_gas_for_a_block_is_refused() {
    let node = TestNode::with_rules(json!({ "fork": "cancun", "limits": { "gasLimit": 2_000_000 } }));
    let client = node.client();
    let refused =
        client.refused("eth_sendRawTransaction", json!([transaction(0, CHAIN_ID, 2_000_001, 0)])).await;
    assert!(refused.message.starts_with("exceeds block gas limit"), "{refused:?}");
}

#[tokio::test]
async fn the_pool_shows_what_waits_and_why() {
    let node = TestNode::new();
    let client = node.client();
    let ready = node.submit(transaction(0, CHAIN_ID, 21_000, 0));
    let gap = node.submit(transaction(2, CHAIN_ID, 21_000, 0));
    assert_eq!(client.call("txpool_status", json!([])).await, json!({ "pending": "0x1", "queued": "0x1" }));
    let sender = key(2).address().to_checksum(None);
    let content = client.call("txpool_content", json!([])).await;
    assert_eq!(content["pending"][&sender]["0"]["hash"], json!(ready));
    assert_eq!(content["queued"][&sender]["2"]["hash"], json!(gap));
    let own = client.call("txpool_contentFrom", json!([key(2).address()])).await;
    assert_eq!(own["queued"]["2"], content["queued"][&sender]["2"]);
    let line = client.call("txpool_inspect", json!([])).await["queued"][&sender]["2"].clone();
    assert_eq!(line, "0x0707070707070707070707070707070707070707: 0 wei + 21000 gas × 0 wei");
    let reason = client.call("txpool_reason", json!([gap])).await;
    assert_eq!(reason, json!({ "status": "queued", "reason": "waits for nonce 1" }));
    assert_eq!(client.call("txpool_reason", json!([B256::ZERO])).await["status"], "unknown");
}

/// It signs no chain id; `v` says what it is.
#[tokio::test]
async fn a_private_transaction_is_shown_without_chain_id() {
    let privacy = json!({"transactions": true});
    let mut node = TestNode::with_rules(json!({ "privacy": privacy }));
    let client = node.client();
    let tx = TxLegacy {
        chain_id: None,
        nonce: 0,
        gas_price: 0,
        gas_limit: 100_000,
        to: TxKind::Call(CONTRACT),
        value: U256::ZERO,
        input: vec![7; 64].into(),
    };
    let tx = lonja_primitives::transaction::sign_private(tx, &key(2));
    let v = if tx.signature().v() { "0x26" } else { "0x25" };
    let hash = client.call("eth_sendRawTransaction", json!([Bytes::from(tx.encoded_2718())])).await;
    assert_eq!(hash, json!(tx.tx_hash()));
    let shown = |view: &Value| {
        assert_eq!((&view["v"], &view["from"]), (&json!(v), &json!(key(2).address())));
        assert_eq!((&view["hash"], view.get("chainId")), (&hash, None), "{view}");
    };
    let by_hash = || client.call("eth_getTransactionByHash", json!([hash]));
    shown(&by_hash().await);
    let content = client.call("txpool_contentFrom", json!([key(2).address()])).await;
    shown(&content["pending"]["0"]);
    node.mine();
    shown(&by_hash().await);
    let block = client.call("eth_getBlockByNumber", json!(["latest", true])).await;
    shown(&block["transactions"][0]);
    assert_eq!(block["gasUsed"], "0x0");
    let receipt = client.call("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!((&receipt["status"], &receipt["gasUsed"]), (&json!("0x1"), &json!("0x0")));
}
