use super::*;
use crate::testing::CONTRACT;
use crate::{Access, RpcLimits};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lonja_ptm::Lookup;

#[tokio::test]
async fn payloads_and_what_goes_with_them() {
    let (mut node, client) = party();
    let contract = contract(&mut node, &client, 3).await;
    let call = with(message(Some(contract), &write_word(1)), json!({ "privacyFlag": 3 }));
    let hash = client.call("eth_sendTransaction", json!([call])).await;
    let input = transaction(&client, &hash).await["input"].clone();
    let bare = json!(input.as_str().unwrap().trim_start_matches("0x"));
    for digest in [&input, &bare] {
        let payload = client.call("eth_getQuorumPayload", json!([digest])).await;
        assert_eq!(payload, json!(hex::encode_prefixed(write_word(1))));
    }
    let more = client.call("eth_getQuorumPayloadExtra", json!([input])).await;
    assert_eq!(
        (&more["Payload"], &more["IsSender"]),
        (&json!(hex::encode_prefixed(write_word(1))), &json!(true))
    );
    let metadata = &more["ExtraMetaData"];
    let creation = client.call("eth_getContractPrivacyMetadata", json!([contract])).await;
    assert_eq!(metadata["ACHashes"], json!([creation["creationTxHash"]]));
    assert_eq!((&metadata["PrivacyFlag"], &metadata["Sender"]), (&json!(3), &json!(OURS)));
    assert_eq!((&metadata["ManagedParties"], &metadata["MandatoryRecipients"]), (&json!([OURS]), &json!([])));
    let root: B256 = serde_json::from_value(metadata["ACMerkleRoot"].clone()).unwrap();
    assert!(!root.is_zero());
    let sent = node.manager().sent();
    assert_eq!(sent.last().unwrap().metadata.exec_hash, STANDARD.encode(root).into_bytes());
}

#[tokio::test]
async fn what_is_not_ours_is_empty_and_what_cannot_be_said_is_not() {
    let (node, client) = party();
    let strange = hex::encode_prefixed([7; 64]);
    assert_eq!(client.call("eth_getQuorumPayload", json!([strange])).await, "0x");
    assert_eq!(client.call("eth_getQuorumPayloadExtra", json!([strange])).await, Value::Null);
    let hash = PayloadHash::from_data(&[7; 64]);
    node.manager().answer(hash, Lookup::Erased);
    assert_eq!(client.call("eth_getQuorumPayload", json!([strange])).await, "0x");
    node.manager().answer(hash, Lookup::Unavailable("manager down".to_owned()));
    let refused = client.refused("eth_getQuorumPayload", json!([strange])).await;
    assert_eq!((refused.code, refused.message.as_str()), (-32005, "manager down"));
    for (digest, text) in [
        ("0x12", "Expected a Quorum digest of length 64, but got 1"),
        ("", "Expected a Quorum digest of length 64, but got 0"),
        ("0xzz", "Invalid digest hex"),
    ] {
        let refused = client.refused("eth_getQuorumPayload", json!([digest])).await;
        assert_eq!(refused.message, text);
    }
}

#[tokio::test]
async fn a_parcel_that_is_not_stored_is_opened() {
    let (_node, client) = party();
    let base64 = |bytes: &[u8]| STANDARD.encode(bytes);
    let parcel = json!({
        "senderKey": THEIRS, "cipherText": base64(b"clear"), "cipherTextNonce": base64(&[1; 24]),
        "recipientBoxes": [base64(&[2; 48])], "recipientNonce": base64(&[3; 24]), "recipientKeys": [OURS],
    });
    let params = |parcel: &Value| json!([hex::encode_prefixed(parcel.to_string())]);
    let opened = client.call("eth_decryptQuorumPayload", params(&parcel)).await;
    assert_eq!(
        (&opened["Payload"], &opened["IsSender"]),
        (&json!(hex::encode_prefixed(b"clear")), &json!(true))
    );
    assert_eq!(opened["ExtraMetaData"]["Sender"], json!(THEIRS));
    for wrong in [
        with(parcel.clone(), json!({ "cipherTextNonce": base64(&[1; 23]) })),
        with(parcel.clone(), json!({ "recipientBoxes": [base64(&[1; 49])] })),
        with(parcel.clone(), json!({ "cipherText": "?" })),
        with(parcel.clone(), json!({ "recipientKeys": vec![OURS; 5_000] })),
        json!({}),
    ] {
        assert_eq!(client.refused("eth_decryptQuorumPayload", params(&wrong)).await.code, -32602, "{wrong}");
    }
}

#[tokio::test]
async fn how_contracts_are_protected() {
    let (mut node, client) = party();
    let plain = contract(&mut node, &client, 0).await;
    let refused = client.refused("eth_getContractPrivacyMetadata", json!([plain])).await;
    assert_eq!(refused.message, format!("no privacy metadata data for contract {plain:#x}"));
    let refused = client.refused("eth_getContractPrivacyMetadata", json!([CONTRACT])).await;
    assert_eq!(refused.message, format!("{CONTRACT:#x}: the provided address is not a private contract"));
    let protected = contract(&mut node, &client, 2).await;
    let metadata = client.call("eth_getContractPrivacyMetadata", json!([protected])).await;
    assert_eq!((&metadata["privacyFlag"], &metadata["mandatoryFor"]), (&json!(2), &json!([THEIRS])));
    let parties = contract(&mut node, &client, 1).await;
    let metadata = client.call("eth_getContractPrivacyMetadata", json!([parties])).await;
    assert!(metadata.get("mandatoryFor").is_none(), "{metadata}");
}

#[tokio::test]
async fn roots_and_accounts() {
    let (mut node, client) = party();
    let empty = client.call("debug_privateStateRoot", json!(["latest"])).await;
    let contract = contract(&mut node, &client, 0).await;
    let root = client.call("debug_privateStateRoot", json!([])).await;
    assert_ne!(root, empty);
    assert_eq!(client.call("debug_defaultStateRoot", json!(["0x1"])).await, root);
    assert_eq!(client.call("debug_privateStateRoot", json!(["earliest"])).await, empty);
    let before = client.call("eth_storageRoot", json!([contract])).await;
    client.call("eth_sendTransaction", json!([message(Some(contract), &write_word(1))])).await;
    node.mine_and_follow();
    assert_ne!(client.call("eth_storageRoot", json!([contract, "latest"])).await, before);
    assert_eq!(client.call("eth_storageRoot", json!([contract, "0x1"])).await, before);
    assert_eq!(client.call("eth_storageRoot", json!([CONTRACT, "latest"])).await, before, "of nothing");
    let refused = client.refused("eth_storageRoot", json!([contract, "0x99"])).await;
    assert_eq!(refused.message, "invalid block number");
    let refused = client.refused("eth_storageRoot", json!([Address::ZERO])).await;
    assert_eq!(refused.message, "can't find state object");
    let dump = client.call("debug_dumpAddress", json!([contract, "latest"])).await;
    assert_eq!((&dump["balance"], &dump["nonce"]), (&json!("0"), &json!(1)));
    assert_eq!(dump["code"], client.call("eth_getCode", json!([contract])).await);
    let public = client.call("debug_dumpAddress", json!([key(9).address(), "latest"])).await;
    assert_eq!(public["balance"], "1000000000000000000");
    assert!(public.get("code").is_none());
}

#[tokio::test]
async fn strangers_have_no_debug_methods() {
    let (node, _) = party();
    let client = node.client_with(Access::public(), RpcLimits::default());
    let refused = client.refused("debug_privateStateRoot", json!([])).await;
    assert_eq!(refused.code, -32601);
}

#[tokio::test]
async fn too_many_looks_at_once_are_refused() {
    let (_node, client) = party();
    let held: Vec<_> = std::iter::from_fn(|| client.context.private.look().ok()).collect();
    let hash = json!([hex::encode_prefixed([7; 64])]);
    assert_eq!(client.refused("eth_getQuorumPayload", hash.clone()).await.code, -32005);
    assert_eq!(client.refused("eth_getQuorumPayloadExtra", hash.clone()).await.code, -32005);
    drop(held);
    client.call("eth_getQuorumPayload", hash).await;
}
