use super::*;
use alloy_primitives::keccak256;
use lonja_primitives::Signer;

#[tokio::test]
async fn accounts_at_every_block() {
    let (_node, client, _) = chain();
    let rich = key(9).address();
    assert_eq!(client.call("eth_getBalance", json!([CONTRACT, "0x0"])).await, "0x0");
    for block in [json!("0x1"), json!("latest"), json!({ "blockNumber": "0x1" }), Value::Null] {
        assert_eq!(client.call("eth_getBalance", json!([CONTRACT, block])).await, "0x5", "{block}");
    }
    assert_eq!(client.call("eth_getBalance", json!([rich])).await, "0xde0b6b3a763fffb");
    assert_eq!(client.call("eth_getTransactionCount", json!([rich, "latest"])).await, "0x1");
    assert_eq!(client.call("eth_getTransactionCount", json!([rich, "earliest"])).await, "0x0");
    assert_eq!(client.call("eth_getStorageAt", json!([CONTRACT, "0x0", "0x0"])).await, word(0));
    assert_eq!(client.call("eth_getStorageAt", json!([CONTRACT, "0x0", "latest"])).await, word(7));
    assert_eq!(client.call("eth_getStorageAt", json!([CONTRACT, word(0), "latest"])).await, word(7));
    assert_eq!(client.call("eth_getCode", json!([rich, "latest"])).await, "0x");
    assert!(client.call("eth_getCode", json!([CONTRACT, "latest"])).await.as_str().unwrap().len() > 200);
}

#[tokio::test]
async fn blocks_by_hash_as_eip_1898_has_them() {
    let (_node, client, _) = chain();
    let hash = client.call("eth_getBlockByNumber", json!(["0x1", false])).await["hash"].clone();
    let by_hash = json!({ "blockHash": hash, "requireCanonical": true });
    assert_eq!(client.call("eth_getBalance", json!([CONTRACT, by_hash])).await, "0x5");
    let unknown = json!({ "blockHash": word(1) });
    let refused = client.refused("eth_getBalance", json!([CONTRACT, unknown])).await;
    assert_eq!((refused.code, refused.message.as_str()), (-32000, "header for hash not found"));
    let refused = client.refused("eth_getBalance", json!([CONTRACT, "0x3"])).await;
    assert_eq!((refused.code, refused.message.as_str()), (-32000, "header not found"));
}

#[tokio::test]
async fn pending_counts_what_waits() {
    let (node, client, _) = chain();
    let sender = key(2).address();
    node.submit(dynamic(&key(2), 2, TxKind::Call(CONTRACT), &[0]));
    node.submit(dynamic(&key(2), 3, TxKind::Call(CONTRACT), &[0]));
    node.submit(dynamic(&key(2), 5, TxKind::Call(CONTRACT), &[0]));
    assert_eq!(client.call("eth_getTransactionCount", json!([sender, "latest"])).await, "0x2");
    assert_eq!(client.call("eth_getTransactionCount", json!([sender, "pending"])).await, "0x4");
    let nobody = key(77).address();
    assert_eq!(client.call("eth_getTransactionCount", json!([nobody, "pending"])).await, "0x0");
}

#[tokio::test]
async fn a_proof_begins_at_the_state_root() {
    let (_node, client, _) = chain();
    let proof = client.call("eth_getProof", json!([CONTRACT, ["0x0", word(1)], "latest"])).await;
    assert_eq!(
        keys(&proof),
        ["accountProof", "address", "balance", "codeHash", "nonce", "storageHash", "storageProof"]
    );
    for block in ["0x0", "0x1", "latest"] {
        let header = client.call("eth_getBlockByNumber", json!([block, false])).await;
        let proof = client.call("eth_getProof", json!([CONTRACT, [], block])).await;
        let node: alloy_primitives::Bytes = proof["accountProof"][0].as_str().unwrap().parse().unwrap();
        assert_eq!(json!(keccak256(node)), header["stateRoot"], "{block}");
        assert_eq!(proof["balance"], client.call("eth_getBalance", json!([CONTRACT, block])).await);
    }
    assert_eq!(
        (&proof["storageProof"][0]["key"], &proof["storageProof"][0]["value"]),
        (&json!("0x0"), &json!("0x7"))
    );
    assert_eq!(
        (&proof["storageProof"][1]["key"], &proof["storageProof"][1]["value"]),
        (&word(1), &json!("0x0"))
    );
    let absent = client.call("eth_getProof", json!([CONTRACT, ["0x0"], "0x0"])).await;
    assert_eq!(absent["storageProof"], json!([{ "key": "0x0", "value": "0x0", "proof": [] }]));
    let many = vec!["0x0"; 1_025];
    assert_eq!(client.refused("eth_getProof", json!([CONTRACT, many, "latest"])).await.code, -32602);
}

#[tokio::test]
async fn the_wrong_parameter_is_named() {
    let (_node, client, _) = chain();
    for (method, params, name) in [
        ("eth_getBalance", json!([]), "address"),
        ("eth_getBalance", json!(["0x12"]), "address"),
        ("eth_getBalance", json!([CONTRACT, "newest"]), "block"),
        ("eth_getStorageAt", json!([CONTRACT]), "slot"),
        ("eth_getBlockByNumber", json!(["0x1", "yes"]), "fullTransactions"),
        ("eth_getTransactionReceipt", json!(["0x1234"]), "hash"),
        ("eth_sendRawTransaction", json!(["hello"]), "transaction"),
        ("eth_call", json!([{ "to": "nobody" }]), "transaction"),
        ("eth_getLogs", json!([{ "topics": "x" }]), "filter"),
        ("eth_feeHistory", json!(["0x1", "latest", ["x"]]), "rewardPercentiles"),
    ] {
        let refused = client.refused(method, params).await;
        assert_eq!(refused.code, -32602, "{method}: {refused:?}");
        assert!(refused.message.contains(&format!("({name})")), "{method}: {refused:?}");
    }
    let many = client.refused("eth_chainIdX", json!([])).await;
    assert_eq!(
        (many.code, many.message.as_str()),
        (-32601, "the method eth_chainIdX does not exist/is not available")
    );
    assert_eq!(client.refused("eth_getBalance", json!([CONTRACT, "latest", 1])).await.code, -32602);
    assert_eq!(client.refused("eth_getBalance", json!({ "address": CONTRACT })).await.code, -32602);
}
