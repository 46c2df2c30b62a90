use super::fill::fill_legacy;
use super::signing::sign_private;
use super::*;
use crate::testing::{
    CHAIN_ID, CONTRACT, Client, TestNode, key, revert_data, revert_with_reason, write_word,
};
use alloy_primitives::{B256, hex, keccak256};
use futures::future::join_all;
use lonja_primitives::{RecoveredTransaction, Signer};
use serde_json::{Value, json};

/// A node with two accounts: that of key 2 is unlocked, that of key 3 is not.
fn node() -> (TestNode, Client) {
    let node = TestNode::new();
    let accounts = &node.node.accounts;
    accounts.import(&key(2), &"two".into()).unwrap();
    accounts.import(&key(3), &"three".into()).unwrap();
    accounts.unlock(key(2).address(), &"two".into(), None).unwrap();
    let client = node.client();
    (node, client)
}

async fn transaction(client: &Client, hash: &Value) -> Value {
    client.call("eth_getTransactionByHash", json!([hash])).await
}

fn waiting(node: &TestNode) -> usize {
    let status = node.node.pool.lock().status();
    status.pending + status.queued
}

#[tokio::test]
async fn all_accounts_are_listed() {
    let (_node, client) = node();
    let listed = client.call("eth_accounts", json!([])).await;
    assert_eq!(listed, json!([key(2).address(), key(3).address()]));
    assert_eq!(TestNode::new().client().call("eth_accounts", json!([])).await, json!([]));
}

#[tokio::test]
async fn what_is_left_out_is_filled_in() {
    let (mut node, client) = node();
    let from = key(2).address();
    let input = hex::encode_prefixed(write_word(3));
    let sent =
        client.call("eth_sendTransaction", json!([{ "from": from, "to": CONTRACT, "data": input }])).await;
    let tx = transaction(&client, &sent).await;
    assert_eq!((&tx["from"], &tx["type"], &tx["nonce"]), (&json!(from), &json!("0x2"), &json!("0x0")));
    assert_eq!((&tx["chainId"], &tx["maxFeePerGas"]), (&json!("0x539"), &json!("0x0")));
    node.mine();
    let receipt = client.call("eth_getTransactionReceipt", json!([sent])).await;
    assert_eq!(receipt["status"], "0x1", "the estimated gas is enough: {receipt}");
    assert_eq!(receipt["logs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn all_three_forms_are_sent() {
    let (mut node, client) = node();
    let (from, to) = (key(2).address(), CONTRACT);
    let list = json!([{ "address": CONTRACT, "storageKeys": [B256::ZERO] }]);
    let requests = [
        json!({ "from": from, "to": to, "gasPrice": "0x1", "gas": "0x186a0" }),
        json!({ "from": from, "to": to, "gasPrice": "0x1", "accessList": list }),
        json!({ "from": from, "to": to, "maxFeePerGas": "0x2", "value": "0x0", "nonce": "0x2" }),
        json!({ "from": from, "gas": "0x186a0", "input": "0x00", "type": "0x0" }),
    ];
    let mut hashes = Vec::new();
    for (n, (request, kind)) in requests.iter().zip(["0x0", "0x1", "0x2", "0x0"]).enumerate() {
        let hash = client.call("eth_sendTransaction", json!([request])).await;
        let tx = transaction(&client, &hash).await;
        assert_eq!((&tx["type"], &tx["nonce"]), (&json!(kind), &json!(format!("{n:#x}"))), "{request}");
        hashes.push(hash);
    }
    node.mine();
    for hash in &hashes {
        assert_eq!(client.call("eth_getTransactionReceipt", json!([hash])).await["status"], "0x1");
    }
    assert_eq!(transaction(&client, &hashes[1]).await["accessList"], list);
}

#[tokio::test]
async fn an_account_that_cannot_sign_is_told_so_in_geth_s_words() {
    let (node, client) = node();
    let request = |n| json!({ "from": key(n).address(), "to": CONTRACT, "gas": "0x186a0" });
    let complete = |n| json!({ "from": key(n).address(), "to": CONTRACT, "gas": "0x186a0", "gasPrice": "0x0", "nonce": "0x0" });
    for (method, params) in [
        ("eth_sendTransaction", [json!([request(3)]), json!([request(4)])]),
        ("eth_signTransaction", [json!([complete(3)]), json!([complete(4)])]),
        ("eth_sign", [json!([key(3).address(), "0x00"]), json!([key(4).address(), "0x00"])]),
    ] {
        let [locked, unknown] = params;
        let refused = client.refused(method, locked).await;
        assert_eq!((refused.code, &*refused.message), (-32000, "authentication needed: password or unlock"));
        let refused = client.refused(method, unknown).await;
        assert!(refused.code == -32000 && refused.message.starts_with("unknown account"), "{refused:?}");
    }
    // Locked again, also one that was unlocked.
    node.node.accounts.lock(key(2).address());
    let refused = client.refused("eth_sendTransaction", json!([request(2)])).await;
    assert_eq!(refused.message, "authentication needed: password or unlock");
    assert_eq!(waiting(&node), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_send_at_once_get_nonces_of_their_own() {
    const COUNT: u64 = 60;
    let (mut node, client) = node();
    // Half of them with an estimate, which takes longer; a block comes in between.
    let send = |n: u64| {
        let client = client.clone();
        async move {
            let mut request = json!({ "from": key(2).address(), "to": CONTRACT, "data": "0x00" });
            if n.is_multiple_of(2) {
                request["gas"] = json!("0x186a0");
            }
            client.call("eth_sendTransaction", json!([request])).await
        }
    };
    let mut hashes = join_all((0..COUNT / 2).map(send)).await;
    let rest = tokio::spawn(join_all((COUNT / 2..COUNT).map(send)));
    node.mine();
    hashes.extend(rest.await.unwrap());
    while waiting(&node) > 0 {
        node.mine();
    }
    let mut nonces = Vec::new();
    for hash in &hashes {
        assert_eq!(client.call("eth_getTransactionReceipt", json!([hash])).await["status"], "0x1");
        let nonce = transaction(&client, hash).await["nonce"].as_str().unwrap().to_owned();
        nonces.push(u64::from_str_radix(&nonce[2..], 16).unwrap());
    }
    nonces.sort_unstable();
    assert_eq!(nonces, (0..COUNT).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_message_that_fails_is_not_sent_without_a_gas_limit() {
    let (node, client) = node();
    let input = hex::encode_prefixed(revert_with_reason());
    let request = json!({ "from": key(2).address(), "to": CONTRACT, "input": input });
    let refused = client.refused("eth_sendTransaction", json!([request])).await;
    assert_eq!((refused.code, &*refused.message), (3, "execution reverted: no"));
    assert_eq!(refused.data, Some(json!(hex::encode_prefixed(revert_data()))));
    assert_eq!(waiting(&node), 0);
    // What the pool refuses leaves no gap behind.
    let poor = json!({ "from": key(2).address(), "to": CONTRACT, "value": "0x1", "gas": "0x186a0" });
    let refused = client.refused("eth_sendTransaction", json!([poor])).await;
    assert!(refused.message.starts_with("insufficient funds"), "{refused:?}");
    let good = json!({ "from": key(2).address(), "to": CONTRACT, "gas": "0x186a0" });
    let hash = client.call("eth_sendTransaction", json!([good])).await;
    assert_eq!(transaction(&client, &hash).await["nonce"], "0x0");
}

#[tokio::test]
async fn what_is_to_be_private_is_never_sent_in_clear() {
    let (node, client) = node();
    let from = key(2).address();
    for (name, value) in [
        ("privateFor", json!([])),
        ("privateFor", json!(["ROAZBWtSacxXQrOe3FGAqJDyJjFePR5ce4TSIzmJ0Bc="])),
        ("privatefor", json!([])),
        ("privateFrom", json!("ROAZBWtSacxXQrOe3FGAqJDyJjFePR5ce4TSIzmJ0Bc=")),
        ("privacyFlag", json!(3)),
    ] {
        for payload in ["data", "input"] {
            let mut request = json!({
                "from": from, "to": CONTRACT, "gas": "0x186a0", "gasPrice": "0x0", "nonce": "0x0",
                payload: "0x5ec2e7",
            });
            request[name] = value.clone();
            for method in ["eth_sendTransaction", "eth_signTransaction", "eth_fillTransaction"] {
                let refused = client.refused(method, json!([request])).await;
                assert!(!refused.message.contains("5ec2e7"), "{refused:?}");
                if name == "privateFor" {
                    assert_eq!(refused.message, "private transactions are not enabled on this network");
                }
            }
        }
    }
    assert_eq!(waiting(&node), 0);
}

#[tokio::test]
async fn a_message_is_signed_as_a_message() {
    let (_node, client) = node();
    let from = key(2).address();
    let signature = client.call("eth_sign", json!([from, "0xdeadbeef"])).await;
    let bytes = hex::decode(signature.as_str().unwrap()).unwrap();
    assert!(bytes.len() == 65 && [27, 28].contains(&bytes[64]), "{signature}");
    let digest = keccak256(b"\x19Ethereum Signed Message:\n4\xde\xad\xbe\xef");
    let expected = key(2).sign(digest).0;
    assert_eq!((&bytes[..64], bytes[64] - 27), (&expected[..64], expected[64]));
    let recovered = client.call("personal_ecRecover", json!(["0xdeadbeef", signature])).await;
    assert_eq!(recovered, json!(from));
}

#[tokio::test]
async fn a_signed_transaction_waits_for_its_sender() {
    let (node, client) = node();
    let from = key(2).address();
    let mut request = json!({ "from": from, "to": CONTRACT, "data": "0x00" });
    for (name, value, said) in [
        ("gas", "0x186a0", "gas not specified"),
        ("gasPrice", "0x0", "gasPrice not specified"),
        ("nonce", "0x7", "nonce not specified"),
    ] {
        let refused = client.refused("eth_signTransaction", json!([request])).await;
        assert_eq!((refused.code, &*refused.message), (-32000, said));
        request[name] = json!(value);
    }
    let signed = client.call("eth_signTransaction", json!([request])).await;
    assert_eq!(waiting(&node), 0);
    assert_eq!((&signed["tx"]["from"], &signed["tx"]["nonce"]), (&json!(from), &json!("0x7")));
    let sent = client.call("eth_sendRawTransaction", json!([signed["raw"]])).await;
    assert_eq!(sent, signed["tx"]["hash"]);
}

#[tokio::test]
async fn a_filled_transaction_lacks_only_the_signature() {
    let (_node, client) = node();
    // Nobody's key is needed.
    let from = key(9).address();
    let request = json!({ "from": from, "to": CONTRACT, "data": "0x00" });
    let filled = client.call("eth_fillTransaction", json!([request])).await;
    let (raw, tx) = (hex::decode(filled["raw"].as_str().unwrap()).unwrap(), &filled["tx"]);
    assert_eq!(raw[0], 2);
    assert!(raw.ends_with(&[0xc0, 0x80, 0x80, 0x80]), "{filled}");
    for (name, value) in [("type", "0x2"), ("nonce", "0x0"), ("v", "0x0"), ("r", "0x0"), ("input", "0x00")] {
        assert_eq!(tx[name], value, "{name}: {tx}");
    }
    assert!(tx["gas"].as_str().unwrap().len() > 4 && tx["hash"] == json!(keccak256(&raw)), "{tx}");
    assert_eq!((&tx["from"], &tx["to"]), (&json!(from), &json!(CONTRACT)));

    let request = json!({ "from": from, "to": CONTRACT, "gas": "0x5208", "gasPrice": "0x1", "nonce": "0x9" });
    let filled = client.call("eth_fillTransaction", json!([request])).await;
    // A list of nine: nonce, price, gas, target, no value, no data, and three zeros.
    let expected = [&hex!("df0901825208" "94")[..], CONTRACT.as_slice(), &hex!("8080808080")].concat();
    assert_eq!(filled["raw"], json!(hex::encode_prefixed(&expected)));
    assert_eq!((&filled["tx"]["gasPrice"], &filled["tx"]["type"]), (&json!("0x1"), &json!("0x0")));
}

#[tokio::test]
async fn where_gas_has_a_price_it_is_offered() {
    let node = TestNode::with_rules(json!({ "freeGas": false }));
    node.node.accounts.import(&key(9), &"".into()).unwrap();
    node.node.accounts.unlock(key(9).address(), &"".into(), None).unwrap();
    let client = node.client();
    *client.context.suggested_price.lock() = Some((client.context.head().hash, 12));
    let request = |more: Value| {
        let mut request = json!({ "from": key(9).address(), "to": CONTRACT, "gas": "0x186a0" });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([request])
    };
    let filled = client.call("eth_fillTransaction", request(json!({}))).await;
    assert_eq!(filled["tx"]["maxPriorityFeePerGas"], "0xc");
    let filled = client.call("eth_fillTransaction", request(json!({ "maxFeePerGas": "0x5" }))).await;
    assert_eq!(filled["tx"]["maxPriorityFeePerGas"], "0x5");
    let hash = client.call("eth_sendTransaction", request(json!({ "type": "0x0" }))).await;
    assert_eq!(transaction(&client, &hash).await["gasPrice"], "0xc");
}

#[tokio::test]
async fn a_private_form_is_signed_by_its_sender() {
    let (_node, client) = node();
    let from = key(2).address();
    let params =
        json!([{ "from": from, "to": CONTRACT, "data": hex::encode_prefixed([7; 64]), "gas": "0x186a0",
        "maxFeePerGas": "0x1", "privateFor": [] }])
        .to_string();
    let params = Params::new(Some(&params));
    let request = SendRequest::read(&Args::new(&params, 1).unwrap(), 0).unwrap();
    let tx = fill_legacy(&client.context, &request).unwrap();
    assert_eq!((tx.nonce, tx.gas_price, tx.gas_limit), (0, 1, 100_000));
    let unsigned = UnsignedView::new(tx.clone().into(), from, 37).unwrap();
    assert_eq!(serde_json::to_value(unsigned).unwrap()["tx"]["v"], "0x25");
    for authority in [Authority::Unlocked, Authority::Password("two".into())] {
        let raw = sign_private(&client.context, from, &authority, tx.clone()).unwrap();
        let tx = RecoveredTransaction::recover(raw, CHAIN_ID).unwrap();
        assert!(tx.is_private());
        assert_eq!((tx.sender(), tx.payload_hash().unwrap().0.as_slice()), (from, [7; 64].as_slice()));
    }
    let wrong = sign_private(&client.context, from, &Authority::Password("three".into()), tx);
    assert_eq!(wrong.unwrap_err().to_string(), "could not decrypt key with given password");
}
