use super::*;
use crate::testing::sign;
use alloy_consensus::TxLegacy;
use alloy_primitives::{Bytes, U256};

#[tokio::test]
async fn free_gas_costs_nothing() {
    let (_node, client, _) = chain();
    assert_eq!(client.call("eth_gasPrice", json!([])).await, "0x0");
    assert_eq!(client.call("eth_maxPriorityFeePerGas", json!([])).await, "0x0");
    let history = client.call("eth_feeHistory", json!(["0x5", "latest", [25, 75.5]])).await;
    assert_eq!(history["oldestBlock"], "0x0");
    assert_eq!(history["baseFeePerGas"], json!(["0x0", "0x0", "0x0", "0x0"]));
    assert_eq!(history["reward"], json!([["0x0", "0x0"], ["0x0", "0x0"], ["0x0", "0x0"]]));
    let ratios = history["gasUsedRatio"].as_array().unwrap();
    assert!(
        ratios.len() == 3 && ratios[1].as_f64() > Some(0.0) && ratios[2].as_f64() == Some(0.0),
        "{ratios:?}"
    );
    let plain = client.call("eth_feeHistory", json!([1, "0x1"])).await;
    assert_eq!((&plain["oldestBlock"], plain.get("reward")), (&json!("0x1"), None));
}

#[tokio::test]
async fn fee_histories_that_make_no_sense_are_refused() {
    let (_node, client, _) = chain();
    let refused = client.refused("eth_feeHistory", json!(["0x1", "0x9"])).await;
    assert!(
        refused.code == -32000 && refused.message.starts_with("request beyond head block"),
        "{refused:?}"
    );
    assert_eq!(client.refused("eth_feeHistory", json!(["0x1", "latest", [50, 10]])).await.code, -32602);
    let none = client.call("eth_feeHistory", json!(["0x0", "latest"])).await;
    assert_eq!(none["gasUsedRatio"], json!([]));
}

#[tokio::test]
async fn where_gas_is_paid_others_set_the_price() {
    let mut node = TestNode::with_rules(json!({ "freeGas": false }));
    let client = node.client();
    assert_eq!(client.call("eth_gasPrice", json!([])).await, "0x0");
    let paid = |nonce, gas_price| {
        let (to, value, input) = (TxKind::Call(CONTRACT), U256::ZERO, Bytes::from(vec![0]));
        let chain_id = Some(crate::testing::CHAIN_ID);
        sign(&key(9), TxLegacy { chain_id, nonce, gas_price, gas_limit: 100_000, to, value, input })
    };
    let hash = node.submit(paid(0, 1_000));
    node.submit(paid(1, 3_000));
    node.mine();
    assert_eq!(client.call("eth_gasPrice", json!([])).await, "0x3e8");
    assert_eq!(client.call("eth_maxPriorityFeePerGas", json!([])).await, "0x3e8");
    let receipt = client.call("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(receipt["effectiveGasPrice"], "0x3e8");
    let history = client.call("eth_feeHistory", json!(["0x1", "latest", [0, 100]])).await;
    assert_eq!(history["reward"], json!([["0x3e8", "0xbb8"]]));
}
