use super::*;
use crate::testing::{CONTRACT, legacy, sign};
use alloy_consensus::TxLegacy;
use alloy_eips::Encodable2718;
use alloy_primitives::{TxKind, U256};
use lonja_primitives::transaction::sign_private;
use lonja_ptm::Lookup;

/// A private transaction of which this node knows no more than everybody.
fn foreign(nonce: u64, hash: &PayloadHash) -> Bytes {
    let tx = TxLegacy {
        chain_id: None,
        nonce,
        gas_price: 0,
        gas_limit: 1_000_000,
        to: TxKind::Create,
        value: U256::ZERO,
        input: Bytes::copy_from_slice(hash.as_slice()),
    };
    sign_private(tx, &key(6)).encoded_2718().into()
}

fn some_hash(n: u8) -> PayloadHash {
    PayloadHash::from_data(&[n; 64])
}

#[tokio::test]
async fn a_receipt_is_not_given_before_it_is_known() {
    let (mut node, client) = party();
    let hash = client.call("eth_sendTransaction", json!([message(None, &init_code())])).await;
    let public = node.submit(legacy(&key(9), 0, TxKind::Call(CONTRACT), 0, &write_word(3)));
    let number = node.mine();
    assert_eq!(receipt(&client, &hash).await, Value::Null);
    assert_eq!(client.call("eth_getBlockReceipts", json!(["latest"])).await, Value::Null);
    let known = receipt(&client, &json!(public)).await;
    assert_eq!((&known["status"], &known["isPrivacyMarkerTransaction"]), (&json!("0x1"), &json!(false)));
    node.follow();
    let private = receipt(&client, &hash).await;
    assert_eq!(
        (&private["status"], &private["blockNumber"]),
        (&json!("0x1"), &json!(format!("{number:#x}")))
    );
    assert_eq!((&private["gasUsed"], &private["type"]), (&json!("0x0"), &json!("0x0")));
    assert!(private.get("revertReason").is_none() && private.get("error").is_none(), "{private}");
    let all = client.call("eth_getBlockReceipts", json!(["latest"])).await;
    let all = all.as_array().unwrap();
    assert!(all.len() == 2 && all.contains(&private) && all.contains(&known), "{all:?}");
}

#[tokio::test]
async fn who_is_no_party_sees_what_everybody_sees() {
    let (mut node, client) = party();
    let hash = json!(node.submit(foreign(0, &some_hash(7))));
    node.mine();
    assert_eq!(receipt(&client, &hash).await, Value::Null, "it might be ours");
    node.follow();
    let shell = receipt(&client, &hash).await;
    assert_eq!((&shell["status"], &shell["logs"]), (&json!("0x1"), &json!([])));
    let code = client.call("eth_getCode", json!([shell["contractAddress"]])).await;
    assert_eq!(code, "0x");
    // A node that has no manager will never know more.
    let mut without = TestNode::with_rules(privacy_rules(None));
    let hash = json!(without.submit(foreign(0, &some_hash(7))));
    without.mine();
    let shell = receipt(&without.client(), &hash).await;
    assert_eq!((&shell["status"], &shell["isPrivacyMarkerTransaction"]), (&json!("0x1"), &json!(false)));
}

#[tokio::test]
async fn the_field_is_there_where_a_network_has_private_transactions() {
    let mut node = TestNode::new();
    let hash = json!(node.submit(legacy(&key(2), 0, TxKind::Call(CONTRACT), 0, &[0])));
    node.mine();
    let receipt = receipt(&node.client(), &hash).await;
    assert!(receipt.get("isPrivacyMarkerTransaction").is_none(), "{receipt}");
}

#[tokio::test]
async fn a_missing_payload_holds_back_what_is_private_alone() {
    let (mut node, client) = party();
    let contract = contract(&mut node, &client, 0).await;
    node.manager().answer(some_hash(8), Lookup::Unavailable("manager down".to_owned()));
    let waiting = json!(node.submit(foreign(0, &some_hash(8))));
    node.mine_and_follow();
    let public = json!(node.submit(legacy(&key(9), 0, TxKind::Call(CONTRACT), 0, &write_word(3))));
    let number = node.mine_and_follow();
    assert_eq!(receipt(&client, &waiting).await, Value::Null);
    assert_eq!(receipt(&client, &public).await["status"], "0x1");
    assert_eq!(slot(&client, CONTRACT).await, word(3));
    assert_eq!(slot(&client, contract).await, word(0), "as of the private head");
    let refused = client.refused("eth_call", json!([{ "to": contract, "data": "0x00" }, number])).await;
    assert_eq!(refused.code, -32005);
    assert!(refused.message.contains("is not known yet, it is at block 1: manager down"), "{refused:?}");
    let status = client.call("lonja_status", json!([])).await["private"].clone();
    assert_eq!(status["head"]["number"], 1);
    assert_eq!(
        (&status["waiting"]["number"], &status["waiting"]["reason"]),
        (&json!(2), &json!("manager down"))
    );
    assert_eq!(status["waiting"]["payload"], json!(some_hash(8)));
    let syncing = client.call("lonja_syncing", json!([])).await;
    assert_eq!((&syncing["public"], &syncing["private"]["head"]["number"]), (&json!(false), &json!(1)));

    node.manager().keep(some_hash(8), init_code().into());
    node.follow();
    assert_eq!(receipt(&client, &waiting).await["status"], "0x1");
    assert_eq!(client.call("lonja_syncing", json!([])).await["private"], false);
    assert_eq!(client.call("lonja_status", json!([])).await["private"]["waiting"], Value::Null);
}

#[tokio::test]
async fn what_turns_up_late_replaces_what_was_seen() {
    let (mut node, client) = party();
    let hash = json!(node.submit(foreign(0, &some_hash(9))));
    node.mine_and_follow();
    let before = receipt(&client, &hash).await;
    let contract = before["contractAddress"].clone();
    assert_eq!(client.call("eth_getCode", json!([contract])).await, "0x");
    node.arrived(&some_hash(9), init_code().into());
    assert_eq!(receipt(&client, &hash).await["status"], "0x1");
    assert_ne!(client.call("eth_getCode", json!([contract])).await, "0x");
    assert_eq!(
        client.call("eth_getQuorumPayload", json!([hex::encode_prefixed(some_hash(9).as_slice())])).await,
        json!(hex::encode_prefixed(init_code()))
    );
}

#[tokio::test]
async fn a_failed_one_says_why() {
    let (mut node, client) = party();
    let protected = contract(&mut node, &client, 1).await;
    // A client that does not ask before it sends.
    let stored = some_hash(10);
    node.manager().keep(stored, write_word(1).into());
    let tx = TxLegacy { to: TxKind::Call(protected), ..call_of(&stored) };
    let hash = json!(node.submit(sign_private(tx, &key(6)).encoded_2718().into()));
    node.mine_and_follow();
    let receipt = receipt(&client, &hash).await;
    assert_eq!(receipt["status"], "0x0");
    let error = receipt["error"].as_str().unwrap();
    assert!(error.contains("verification of contract interaction differs"), "{receipt}");
    assert!(receipt.get("revertReason").is_none(), "{receipt}");
    assert_eq!(slot(&client, protected).await, word(0));
}

fn call_of(hash: &PayloadHash) -> TxLegacy {
    TxLegacy { gas_limit: 1_000_000, input: Bytes::copy_from_slice(hash.as_slice()), ..TxLegacy::default() }
}

#[tokio::test]
async fn by_the_door_for_public_ones_too() {
    let (mut node, client) = party();
    let raw = sign_private(call_of(&some_hash(3)), &key(6)).encoded_2718();
    let hash = client.call("eth_sendRawTransaction", json!([Bytes::from(raw)])).await;
    assert_eq!(hash_in(&transaction(&client, &hash).await), some_hash(3));
    let malformed = TxLegacy { input: Bytes::from_static(&[1]), nonce: 1, ..call_of(&some_hash(3)) };
    let raw = Bytes::from(sign_private(malformed, &key(6)).encoded_2718());
    assert!(client.refused("eth_sendRawTransaction", json!([raw])).await.message.contains("payload hash"));
    let public = sign(&key(6), TxLegacy { chain_id: Some(1337), nonce: 1, ..call_of(&some_hash(3)) });
    client.call("eth_sendRawTransaction", json!([public])).await;
    node.mine_and_follow();
    assert_eq!(receipt(&client, &hash).await["status"], "0x1");
}
