use super::*;
use crate::testing::{CHAIN_ID, CONTRACT, legacy, sign};
use alloy_consensus::TxLegacy;
use alloy_eips::Encodable2718;
use alloy_primitives::{TxKind, U256};
use lonja_primitives::spec::{MARKER_PRECOMPILE, Privacy};
use lonja_primitives::transaction::sign_private;
use lonja_ptm::PtmError;

fn draft(nonce: u64, to: TxKind, input: &[u8]) -> TxLegacy {
    let input = Bytes::copy_from_slice(input);
    TxLegacy { chain_id: None, nonce, gas_price: 0, gas_limit: 1_000_000, to, value: U256::ZERO, input }
}

/// As web3js-quorum makes them: signed with `v` 27 or 28, to which it adds 10.
fn private(tx: TxLegacy) -> String {
    hex::encode_prefixed(sign_private(tx, &key(5)).encoded_2718())
}

fn parties() -> Value {
    json!({ "privateFor": [THEIRS] })
}

#[tokio::test]
async fn a_stored_payload_is_shared_and_its_transaction_sent() {
    let (mut node, client) = party();
    let stored = node.manager().store(init_code().into());
    let raw = private(draft(0, TxKind::Create, stored.as_slice()));
    let hash = client.call("eth_sendRawPrivateTransaction", json!([raw, parties()])).await;
    let sent = node.manager().sent();
    assert_eq!((sent.len(), &sent[0].to, sent[0].payload.as_ref()), (1, &vec![THEIRS], &init_code()[..]));
    assert_eq!(receipt(&client, &hash).await, Value::Null);
    node.mine_and_follow();
    let receipt = receipt(&client, &hash).await;
    assert_eq!((&receipt["status"], &receipt["isPrivacyMarkerTransaction"]), (&json!("0x1"), &json!(false)));
    let contract: Address = serde_json::from_value(receipt["contractAddress"].clone()).unwrap();
    assert_eq!(contract, key(5).address().create(0));

    let stored = node.manager().store(write_word(6).into());
    let raw = private(draft(1, TxKind::Call(contract), stored.as_slice()));
    client.call("eth_sendRawPrivateTransaction", json!([raw, parties()])).await;
    node.mine_and_follow();
    assert_eq!(slot(&client, contract).await, word(6));
}

#[tokio::test]
async fn protection_travels_with_signed_ones_too() {
    let (mut node, client) = party();
    for flag in [1_u8, 3] {
        let nonce = u64::from(flag - 1);
        let stored = node.manager().store(init_code().into());
        let raw = private(draft(nonce, TxKind::Create, stored.as_slice()));
        let fields = with(parties(), json!({ "privacyFlag": flag }));
        let hash = client.call("eth_sendRawPrivateTransaction", json!([raw, fields])).await;
        node.mine_and_follow();
        let made = receipt(&client, &hash).await;
        assert_eq!(made["status"], "0x1", "{made}");
        let contract: Address = serde_json::from_value(made["contractAddress"].clone()).unwrap();
        let stored = node.manager().store(write_word(flag).into());
        let raw = private(draft(nonce + 1, TxKind::Call(contract), stored.as_slice()));
        let unprotected = client.refused("eth_sendRawPrivateTransaction", json!([raw, parties()])).await;
        assert_eq!(unprotected.message, "sent privacy flag doesn't match all affected contract flags");
        client.call("eth_sendRawPrivateTransaction", json!([raw, fields])).await;
        node.mine_and_follow();
        assert_eq!(slot(&client, contract).await, word(flag));
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_before_anybody_gets_the_payload() {
    let (mut node, client) = party();
    node.submit(legacy(&key(5), 0, TxKind::Call(CONTRACT), 0, &[0]));
    node.mine_and_follow();
    let stored = node.manager().store(write_word(1).into());
    let to = TxKind::Call(CONTRACT);
    let good = || draft(1, to, stored.as_slice());
    let public = hex::encode_prefixed(sign(&key(5), TxLegacy { chain_id: Some(CHAIN_ID), ..good() }));
    let unmarked = hex::encode_prefixed(sign(&key(5), good()));
    let valued = TxLegacy { value: U256::from(1), ..good() };
    let no_gas = TxLegacy { gas_limit: 21_000, ..good() };
    for (raw, fields, text) in [
        (public, parties(), "transaction is not private"),
        (unmarked, parties(), "transaction is not private"),
        (private(good()), json!({}), "transaction is not private"),
        (private(good()), json!(null), "transaction is not private"),
        (private(good()), with(parties(), json!({ "privacyFlag": 9 })), "invalid privacy flag"),
        (private(draft(1, to, &[1, 2])), parties(), "their data is a payload hash of 64 bytes, not 2 bytes"),
        (private(draft(1, to, &[3; 64])), parties(), "404 status: Raw Message with hash"),
        (private(draft(0, to, stored.as_slice())), parties(), "nonce too low"),
        (private(valued), parties(), "ether value is not supported for private transactions"),
        (private(no_gas), parties(), "intrinsic gas too low"),
        (
            private(good()),
            with(parties(), json!({ "privateFrom": THEIRS })),
            "The PrivateFrom address retrieved from the privacy manager does not match private PrivateFrom",
        ),
        ("0x01".to_owned(), parties(), "does not decode"),
    ] {
        for method in ["eth_sendRawPrivateTransaction", "eth_distributePrivateTransaction"] {
            let refused = client.refused(method, json!([raw, fields])).await;
            assert!(refused.message.contains(text) || method.contains("distribute"), "{fields}: {refused:?}");
        }
        assert!(node.manager().sent().is_empty(), "{text}");
    }
    let misspelt = json!([private(good()), { "privateFor": [THEIRS], "privacy_flag": 1 }]);
    assert_eq!(client.refused("eth_sendRawPrivateTransaction", misspelt).await.code, -32602);
    node.manager().refuse(Some(PtmError::Violation("no".to_owned())));
    let refused = client.refused("eth_sendRawPrivateTransaction", json!([private(good()), parties()])).await;
    assert_eq!(refused.message, "403 status: no");
    assert_eq!(node.node.pool.lock().status().pending, 0);
}

#[tokio::test]
async fn a_client_signs_the_marker_too() {
    for rule in ["anySigner", "sameSigner"] {
        let mut node = TestNode::with_markers(privacy_rules(Some(rule)));
        let client = node.client();
        let stored = node.manager().store(init_code().into());
        let inner = private(draft(0, TxKind::Create, stored.as_slice()));
        let carried = client.call("eth_distributePrivateTransaction", json!([inner, parties()])).await;
        let carried: Bytes = serde_json::from_value(carried).unwrap();
        assert_eq!((carried.len(), node.manager().sent().len()), (64, 2));
        assert_eq!(node.node.pool.lock().status().pending, 0);
        let marker = legacy(&key(5), 0, TxKind::Call(MARKER_PRECOMPILE), 0, &carried);
        let hash = client.call("eth_sendRawTransaction", json!([marker])).await;
        node.mine_and_follow();
        assert_eq!(receipt(&client, &hash).await["isPrivacyMarkerTransaction"], true);
        let made = client.call("eth_getPrivateTransactionReceipt", json!([hash])).await;
        assert_eq!(made["contractAddress"], json!(key(5).address().create(0)), "{made}");
    }
}

#[tokio::test]
async fn without_markers_nothing_is_put_into_one() {
    let (node, client) = party();
    let stored = node.manager().store(init_code().into());
    let inner = private(draft(0, TxKind::Create, stored.as_slice()));
    let refused = client.refused("eth_distributePrivateTransaction", json!([inner, parties()])).await;
    assert_eq!(refused.message, "privacy marker transactions are not enabled on this network");
    assert!(node.manager().sent().is_empty());
}

#[tokio::test]
async fn who_may_not_transact_has_nothing_shared() {
    let plan = crate::methods::lonja::tests::plan();
    let node = TestNode::with_registry_and(&plan, Privacy::OF_NEW_NETWORKS).joined(false);
    let client = node.client();
    let stored = node.manager().store(init_code().into());
    let raw = private(draft(0, TxKind::Create, stored.as_slice()));
    let refused = client.refused("eth_sendRawPrivateTransaction", json!([raw, parties()])).await;
    assert_eq!(refused.code, -32007, "{refused:?}");
    assert!(node.manager().sent().is_empty());
}
