//! Over a real small chain with a second pass, and a manager in memory.

mod covers;
mod drafts;
mod inspect;
mod keeping;
mod logs;
mod receipts;
mod sending;
mod signed;
mod states;
mod supervised;
mod terms;
mod traces;

use crate::testing::{Client, OURS, THEIRS, TestNode, init_code, key, privacy_rules, write_word};
use alloy_primitives::{Address, B256, Bytes, hex};
use lonja_primitives::{PayloadHash, Signer};
use serde_json::{Value, json};

/// A party on a network without markers.
fn party() -> (TestNode, Client) {
    let node = TestNode::with_parties(privacy_rules(None));
    let client = node.client();
    (node, client)
}

/// A message from the unlocked account, private to us and another party.
fn message(to: Option<Address>, data: &[u8]) -> Value {
    json!({ "from": key(2).address(), "to": to, "data": hex::encode_prefixed(data), "privateFor": [THEIRS] })
}

fn with(mut request: Value, fields: Value) -> Value {
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request
}

/// A private contract as [`crate::testing::CONTRACT`], with this privacy flag.
async fn contract(node: &mut TestNode, client: &Client, flag: u8) -> Address {
    let mut request = with(message(None, &init_code()), json!({ "privacyFlag": flag }));
    if flag == 2 {
        request = with(request, json!({ "mandatoryFor": [THEIRS] }));
    }
    let hash = client.call("eth_sendTransaction", json!([request])).await;
    node.mine_and_follow();
    let receipt = client.call("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    receipt["contractAddress"].as_str().unwrap().parse().unwrap()
}

async fn transaction(client: &Client, hash: &Value) -> Value {
    client.call("eth_getTransactionByHash", json!([hash])).await
}

async fn receipt(client: &Client, hash: &Value) -> Value {
    client.call("eth_getTransactionReceipt", json!([hash])).await
}

/// The payload hash in a transaction's input.
fn hash_in(tx: &Value) -> PayloadHash {
    let input: Bytes = serde_json::from_value(tx["input"].clone()).unwrap();
    assert_eq!(input.len(), PayloadHash::LENGTH, "{tx}");
    PayloadHash::from_data(&input)
}

fn word(n: u8) -> Value {
    json!(B256::with_last_byte(n))
}

/// Reads slot 0.
async fn slot(client: &Client, contract: Address) -> Value {
    client.call("eth_call", json!([{ "to": contract, "data": "0x00" }])).await
}
