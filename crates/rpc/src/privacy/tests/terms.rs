use super::*;
use crate::testing::{CONTRACT, NOBODY};
use lonja_ptm::PtmError;

/// What is said to this request; nobody may have got anything.
async fn said(node: &TestNode, client: &Client, fields: Value) -> String {
    let before = node.manager().sent().len();
    let request = with(message(Some(CONTRACT), &[0]), with(json!({ "gas": "0x186a0" }), fields));
    let refused = client.refused("eth_sendTransaction", json!([request])).await;
    assert_eq!(node.manager().sent().len(), before, "{}", refused.message);
    assert_eq!(node.node.pool.lock().status().pending, 0, "{}", refused.message);
    refused.message
}

#[tokio::test]
async fn goquorums_checks_in_its_order_and_words() {
    let (node, client) = party();
    let mandatory = json!([THEIRS]);
    for (fields, text) in [
        (json!({ "privacyFlag": 4, "mandatoryFor": mandatory }), "invalid privacy flag"),
        (
            json!({ "privacyFlag": 2 }),
            "missing mandatory recipients data. if no mandatory recipients required consider using \
             PrivacyFlag=1(PartyProtection)",
        ),
        (json!({ "privacyFlag": 2, "mandatoryFor": [] }), "missing mandatory recipients data."),
        (
            json!({ "privacyFlag": 1, "mandatoryFor": mandatory }),
            "privacy metadata invalid. mandatory recipients are only applicable for \
             PrivacyFlag=2(MandatoryRecipients)",
        ),
        (json!({ "mandatoryFor": mandatory }), "privacy metadata invalid."),
        (json!({ "privacyFlag": 1 }), "contract not found. cannot transact"),
        (json!({ "privateFor": ["short"] }), "privateFor: \"short\": a public key is 32 bytes"),
        (json!({ "privateFrom": "AAAA" }), "privateFrom: \"AAAA\": a public key"),
        (json!({ "value": "0x1" }), "ether value is not supported for private transactions"),
        (json!({ "data": "0x" }), "ether value is not supported for private transactions"),
        (json!({ "gas": "0x5000" }), "intrinsic gas too low"),
        (json!({ "gas": "0xfffffff" }), "gas limit too high"),
        (json!({ "accessList": [{ "address": CONTRACT, "storageKeys": [] }] }), "no accessList"),
        (json!({ "input": "0x01" }), "both \"data\" and \"input\" are set and not equal"),
        (json!({ "chainId": "0x1" }), "chainId does not match"),
        (json!({ "privateFrom": THEIRS }), "404 status: Sender key"),
        (json!({ "privateFor": [NOBODY] }), "404 status: Recipient not found for key: CQkJ"),
    ] {
        let message = said(&node, &client, fields.clone()).await;
        assert!(message.contains(text), "{fields}: {message}");
    }
}

#[tokio::test]
async fn what_the_network_does_not_have_is_refused() {
    let plain = TestNode::with_parties(json!({ "privacy": { "transactions": true } }));
    let message = said(&plain, &plain.client(), json!({ "privacyFlag": 1 })).await;
    assert_eq!(
        message,
        "PrivacyEnhancements are disabled. Can only accept transactions with PrivacyFlag=0(StandardPrivate)."
    );
    assert!(
        said(&plain, &plain.client(), json!({ "privacyFlag": 5 })).await.contains("invalid privacy flag")
    );
    let none = TestNode::with_parties(json!({}));
    let message = said(&none, &none.client(), json!({})).await;
    assert_eq!(message, "private transactions are not enabled on this network");
}

#[tokio::test]
async fn a_node_without_a_manager_says_so() {
    let node = TestNode::with_rules(privacy_rules(Some("anySigner")));
    node.node.accounts.import(&key(2), &"two".into()).unwrap();
    node.node.accounts.unlock(key(2).address(), &"two".into(), None).unwrap();
    let client = node.client();
    let request = with(message(Some(CONTRACT), &[0]), json!({ "gas": "0x186a0" }));
    for method in ["eth_sendTransaction", "eth_fillTransaction", "eth_sendTransactionAsync"] {
        let refused = client.refused(method, json!([request])).await;
        let text = "private transaction manager is not in use";
        assert_eq!((refused.code, refused.message.as_str()), (-32000, text), "{method}");
    }
    let hash = hex::encode_prefixed([7; 64]);
    for (method, params) in [
        ("eth_getQuorumPayload", json!([hash])),
        ("eth_getQuorumPayloadExtra", json!([hash])),
        ("eth_decryptQuorumPayload", json!(["0x"])),
        ("eth_getContractPrivacyMetadata", json!([CONTRACT])),
        ("eth_getPrivateTransactionByHash", json!([word(1)])),
        ("eth_getPrivateTransactionReceipt", json!([word(1)])),
        ("debug_privateStateRoot", json!([])),
    ] {
        let refused = client.refused(method, params).await;
        let text = "PrivateTransactionManager is not enabled";
        assert_eq!((refused.code, refused.message.as_str()), (-32000, text), "{method}");
    }
    assert_eq!(client.call("eth_getPSI", json!([])).await, "private");
    let precompile = client.call("eth_getPrivacyPrecompileAddress", json!([])).await;
    assert_eq!(precompile, "0x000000000000000000000000000000000000007a");
}

#[tokio::test]
async fn what_the_manager_says_is_passed_on() {
    let (node, client) = party();
    let request = with(message(Some(CONTRACT), &[0]), json!({ "gas": "0x186a0" }));
    for (error, code, text) in [
        (PtmError::Remote { status: 410, body: "gone".to_owned() }, -32000, "410 status: gone"),
        (PtmError::Violation("not so".to_owned()), -32000, "403 status: not so"),
        (PtmError::Unavailable("manager down".to_owned()), -32005, "manager down"),
    ] {
        node.manager().refuse(Some(error));
        let refused = client.refused("eth_sendTransaction", json!([request])).await;
        assert_eq!((refused.code, refused.message.as_str()), (code, text));
    }
    node.manager().refuse(None);
    client.call("eth_sendTransaction", json!([request])).await;
}
