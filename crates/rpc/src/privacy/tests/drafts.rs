use super::*;
use crate::testing::{CHAIN_ID, CONTRACT};
use alloy_consensus::TxLegacy;
use alloy_eips::Encodable2718;
use alloy_primitives::{TxKind, U256};
use lonja_primitives::RecoveredTransaction;
use lonja_primitives::transaction::sign_private;

#[tokio::test]
async fn a_filled_transaction_names_its_payload_and_shares_nothing() {
    let (mut node, client) = party();
    let filled = client.call("eth_fillTransaction", json!([message(None, &init_code())])).await;
    let tx = &filled["tx"];
    assert_eq!((&tx["v"], &tx["nonce"], &tx["value"]), (&json!("0x25"), &json!("0x0"), &json!("0x0")));
    assert!(node.manager().sent().is_empty());
    let hash = hash_in(tx);
    assert!(!filled.to_string().contains(&hex::encode(&init_code()[12..])), "{filled}");

    // Signed elsewhere, and sent.
    let gas: String = serde_json::from_value(tx["gas"].clone()).unwrap();
    let raw = sign_private(
        TxLegacy {
            chain_id: None,
            nonce: 0,
            gas_price: 0,
            gas_limit: u64::from_str_radix(gas.trim_start_matches("0x"), 16).unwrap(),
            to: TxKind::Create,
            value: U256::ZERO,
            input: Bytes::copy_from_slice(hash.as_slice()),
        },
        &key(5),
    );
    let raw = hex::encode_prefixed(raw.encoded_2718());
    let sent = client.call("eth_sendRawPrivateTransaction", json!([raw, { "privateFor": [THEIRS] }])).await;
    node.mine_and_follow();
    let receipt = receipt(&client, &sent).await;
    assert_eq!(receipt["status"], "0x1", "the filled gas is enough: {receipt}");
    assert_eq!(receipt["contractAddress"], json!(key(5).address().create(0)));
}

#[tokio::test]
async fn public_transactions_are_filled_as_before() {
    let (_node, client) = party();
    let request = json!({ "from": key(2).address(), "to": CONTRACT, "data": "0x00" });
    let filled = client.call("eth_fillTransaction", json!([request])).await;
    assert_eq!(filled["tx"]["type"], "0x2");
}

#[tokio::test]
async fn only_hashes_are_signed_as_private() {
    let (node, client) = party();
    node.node.accounts.import(&key(3), &"three".into()).unwrap();
    let complete = json!({ "gas": "0x186a0", "gasPrice": "0x0", "nonce": "0x4" });
    let clear = with(message(Some(CONTRACT), &init_code()), complete.clone());
    let refused = client.refused("eth_signTransaction", json!([clear])).await;
    assert!(refused.message.contains("which everybody would see"), "{refused:?}");
    let named = with(message(Some(CONTRACT), &[7; 64]), complete);
    let valued = with(named.clone(), json!({ "value": "0x1" }));
    let refused = client.refused("eth_signTransaction", json!([valued])).await;
    assert_eq!(refused.message, "ether value is not supported for private transactions");

    let others = with(named.clone(), json!({ "from": key(3).address() }));
    for (method, params, signer) in [
        ("eth_signTransaction", json!([named]), 2),
        ("personal_signTransaction", json!([others, "three"]), 3),
    ] {
        let signed = client.call(method, params).await;
        let raw: Bytes = serde_json::from_value(signed["raw"].clone()).unwrap();
        let tx = RecoveredTransaction::recover(raw, CHAIN_ID).unwrap();
        assert!(tx.is_private() && tx.sender() == key(signer).address(), "{signed}");
        assert!(signed["tx"]["v"] == "0x25" || signed["tx"]["v"] == "0x26", "{signed}");
    }
    assert!(node.manager().sent().is_empty());
}

#[tokio::test]
async fn estimates_for_private_sends_have_room_for_the_hash() {
    let (_node, client) = party();
    let estimate = |request: Value| {
        let client = client.clone();
        async move {
            let gas = client.call("eth_estimateGas", json!([request])).await;
            u64::from_str_radix(gas.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
        }
    };
    let call = json!({ "from": key(2).address(), "to": CONTRACT, "data": "0x00" });
    let (plain, valued) =
        (estimate(call.clone()).await, estimate(with(call, json!({ "value": "0x0" }))).await);
    assert!(valued >= plain + 1_000, "{valued} {plain}");
    let creation = json!({ "data": hex::encode_prefixed(init_code()) });
    let long = estimate(creation.clone()).await;
    assert_eq!(estimate(with(creation, json!({ "value": "0x0" }))).await, long, "its code costs more");
    let elsewhere = TestNode::new().client();
    let call = json!({ "to": CONTRACT, "data": "0x00", "value": "0x0" });
    let gas = elsewhere.call("eth_estimateGas", json!([call])).await;
    assert_eq!(u64::from_str_radix(gas.as_str().unwrap().trim_start_matches("0x"), 16).unwrap(), plain);
}
