use super::*;
use crate::testing::sign;
use alloy_consensus::TxEip7702;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{Address, U256};
use lonja_primitives::Signer;

const UNKNOWN: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";

#[tokio::test]
async fn a_block_has_the_fields_of_geth() {
    let (_node, client, hashes) = chain();
    let block = client.call("eth_getBlockByNumber", json!(["0x1", false])).await;
    let mut expected = vec![
        "baseFeePerGas",
        "difficulty",
        "extraData",
        "gasLimit",
        "gasUsed",
        "hash",
        "istanbulExtraData",
        "logsBloom",
        "miner",
        "mixHash",
        "nonce",
        "number",
        "parentHash",
        "receiptsRoot",
        "sha3Uncles",
        "size",
        "stateRoot",
        "timestamp",
        "totalDifficulty",
        "transactions",
        "transactionsRoot",
        "uncles",
    ];
    expected.sort_unstable();
    assert_eq!(keys(&block), expected);
    assert_eq!(block["extraData"].as_str().unwrap().len(), 66);
    assert!(block["istanbulExtraData"].as_str().unwrap().len() > 66);
    assert_eq!(block["baseFeePerGas"], "0x0");
    assert_eq!(block["difficulty"], "0x1");
    assert_eq!(block["totalDifficulty"], "0x2");
    assert_eq!(block["nonce"], "0x0000000000000000");
    assert_eq!((&block["uncles"], &block["transactions"]), (&json!([]), &json!(hashes)));
    assert_eq!(block["logsBloom"].as_str().unwrap().len(), 514);
    let hash = &block["hash"];
    assert_eq!(client.call("eth_getBlockByHash", json!([hash, false])).await, block);
    assert_eq!(client.call("eth_getBlockByNumber", json!(["0x2"])).await["parentHash"], *hash);
}

#[tokio::test]
async fn tags_mean_the_head_or_the_beginning() {
    let (_node, client, _) = chain();
    assert_eq!(client.call("eth_blockNumber", json!([])).await, "0x2");
    for tag in ["latest", "safe", "finalized", "pending"] {
        assert_eq!(client.call("eth_getBlockByNumber", json!([tag, false])).await["number"], "0x2", "{tag}");
    }
    assert_eq!(client.call("eth_getBlockByNumber", json!(["earliest", false])).await["number"], "0x0");
    assert_eq!(client.call("eth_getHeaderByNumber", json!(["0x1"])).await["number"], "0x1");
}

#[tokio::test]
async fn what_is_unknown_is_null() {
    let (_node, client, _) = chain();
    for (method, params) in [
        ("eth_getBlockByNumber", json!(["0x3", true])),
        ("eth_getBlockByHash", json!([UNKNOWN, true])),
        ("eth_getHeaderByNumber", json!(["0x3"])),
        ("eth_getHeaderByHash", json!([UNKNOWN])),
        ("eth_getBlockReceipts", json!(["0x3"])),
        ("eth_getBlockTransactionCountByNumber", json!(["0x3"])),
        ("eth_getBlockTransactionCountByHash", json!([UNKNOWN])),
        ("eth_getUncleCountByBlockNumber", json!(["0x3"])),
        ("eth_getUncleByBlockNumberAndIndex", json!(["0x1", "0x0"])),
        ("eth_getUncleByBlockHashAndIndex", json!([UNKNOWN, "0x0"])),
        ("eth_getTransactionByHash", json!([UNKNOWN])),
        ("eth_getTransactionReceipt", json!([UNKNOWN])),
        ("eth_getRawTransactionByHash", json!([UNKNOWN])),
        ("eth_getTransactionByBlockNumberAndIndex", json!(["0x1", "0x3"])),
        ("eth_getTransactionByBlockNumberAndIndex", json!(["0x9", "0x0"])),
        ("eth_getTransactionByBlockHashAndIndex", json!([UNKNOWN, "0xffffffffff"])),
    ] {
        assert_eq!(client.call(method, params.clone()).await, Value::Null, "{method} {params}");
    }
    assert_eq!(client.call("eth_getBlockTransactionCountByNumber", json!(["0x1"])).await, "0x3");
    assert_eq!(client.call("eth_getUncleCountByBlockNumber", json!(["0x1"])).await, "0x0");
}

#[tokio::test]
async fn transactions_in_a_block() {
    let (_node, client, [transfer, call, creation]) = chain();
    let block = client.call("eth_getBlockByNumber", json!(["0x1", true])).await;
    for (index, hash) in [transfer, call, creation].iter().enumerate() {
        let tx = client.call("eth_getTransactionByHash", json!([hash])).await;
        assert_eq!(block["transactions"][index], tx);
        let by_place = json!(["0x1", format!("{index:#x}")]);
        assert_eq!(client.call("eth_getTransactionByBlockNumberAndIndex", by_place).await, tx);
        let by_place = json!([block["hash"], format!("{index:#x}")]);
        assert_eq!(client.call("eth_getTransactionByBlockHashAndIndex", by_place).await, tx);
        assert_eq!((&tx["blockNumber"], &tx["blockHash"]), (&json!("0x1"), &block["hash"]));
        assert_eq!(tx["transactionIndex"], format!("{index:#x}"));
    }
    let legacy = &block["transactions"][0];
    assert_eq!(
        (&legacy["type"], &legacy["gasPrice"], &legacy["chainId"]),
        (&json!("0x0"), &json!("0x0"), &json!("0x539"))
    );
    assert!(["0xa95", "0xa96"].contains(&legacy["v"].as_str().unwrap()), "{legacy}");
    assert!(legacy.get("yParity").is_none() && legacy.get("maxFeePerGas").is_none());
    let dynamic = &block["transactions"][1];
    // The fees that were offered, and what was paid: nothing.
    assert_eq!((&dynamic["type"], &dynamic["gasPrice"]), (&json!("0x2"), &json!("0x0")));
    assert_eq!(dynamic["maxFeePerGas"], "0x77359400");
    assert_eq!((&dynamic["yParity"], &dynamic["accessList"]), (&dynamic["v"], &json!([])));
    assert_eq!(block["transactions"][2]["to"], Value::Null);
}

#[tokio::test]
async fn receipts() {
    let (_node, client, [transfer, call, creation]) = chain();
    let receipts = client.call("eth_getBlockReceipts", json!(["0x1"])).await;
    for (index, hash) in [transfer, call, creation].iter().enumerate() {
        let receipt = client.call("eth_getTransactionReceipt", json!([hash])).await;
        assert_eq!(receipts[index], receipt);
        assert_eq!((&receipt["status"], &receipt["effectiveGasPrice"]), (&json!("0x1"), &json!("0x0")));
        assert_eq!(receipt["transactionIndex"], format!("{index:#x}"));
    }
    let gas = |receipt: &Value, field: &str| {
        u64::from_str_radix(receipt[field].as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    };
    let total: u64 = (0..3).map(|index| gas(&receipts[index], "gasUsed")).sum();
    assert_eq!(total, gas(&receipts[2], "cumulativeGasUsed"));
    let log = &receipts[1]["logs"][0];
    assert_eq!((&log["address"], &log["topics"]), (&json!(CONTRACT), &json!([word(0x77)])));
    assert_eq!((&log["data"], &log["removed"], &log["logIndex"]), (&word(7), &json!(false), &json!("0x0")));
    assert_eq!((&log["transactionHash"], &log["blockTimestamp"]), (&json!(call), &json!("0x3e9")));
    assert_eq!(receipts[0]["contractAddress"], Value::Null);
    assert_eq!(receipts[2]["contractAddress"], json!(key(2).address().create(1)));
    assert_eq!((&receipts[0]["type"], &receipts[1]["type"]), (&json!("0x0"), &json!("0x2")));
}

#[tokio::test]
async fn delegations_are_shown() {
    let mut node = TestNode::new();
    let authorization = Authorization { chain_id: U256::ZERO, address: CONTRACT, nonce: 0 };
    let signature = key(5).sign(authorization.signature_hash());
    let signature =
        alloy_primitives::Signature::from_bytes_and_parity(&signature.0[..64], signature.0[64] == 1);
    let access_list = AccessList(vec![AccessListItem { address: CONTRACT, storage_keys: vec![B256::ZERO] }]);
    let hash = node.submit(sign(
        &key(2),
        TxEip7702 {
            chain_id: crate::testing::CHAIN_ID,
            nonce: 0,
            gas_limit: 200_000,
            max_fee_per_gas: 1,
            max_priority_fee_per_gas: 0,
            to: Address::repeat_byte(7),
            value: U256::ZERO,
            access_list,
            authorization_list: vec![authorization.into_signed(signature)],
            input: Default::default(),
        },
    ));
    let waiting = node.client().call("eth_getTransactionByHash", json!([hash])).await;
    assert_eq!((&waiting["blockHash"], &waiting["gasPrice"]), (&Value::Null, &json!("0x1")));
    node.mine();
    let client = node.client();
    let tx = client.call("eth_getTransactionByHash", json!([hash])).await;
    assert_eq!((&tx["type"], &tx["gasPrice"]), (&json!("0x4"), &json!("0x0")));
    assert_eq!(tx["accessList"][0]["storageKeys"], json!([B256::ZERO]));
    let listed = &tx["authorizationList"][0];
    assert_eq!(keys(listed), ["address", "chainId", "nonce", "r", "s", "yParity"]);
    let code = client.call("eth_getCode", json!([key(5).address(), "latest"])).await;
    assert!(code.as_str().unwrap().starts_with("0xef0100"), "{code}");
}
