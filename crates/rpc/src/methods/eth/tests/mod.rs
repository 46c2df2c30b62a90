//! The namespace over a real small chain.

mod blocks;
mod calls;
mod fees;
mod junk;
mod logs;
mod sending;
mod state;
mod subscriptions;

use crate::testing::{CONTRACT, Client, TestNode, dynamic, key, legacy, write_word};
use alloy_primitives::{B256, TxKind};
use serde_json::{Value, json};

/// Block 1: a legacy transfer, a dynamic-fee call that logs, a creation. Block 2: empty.
fn chain() -> (TestNode, Client, [B256; 3]) {
    let mut node = TestNode::new();
    let transfer = node.submit(legacy(&key(9), 0, TxKind::Call(CONTRACT), 5, &[0]));
    let call = node.submit(dynamic(&key(2), 0, TxKind::Call(CONTRACT), &write_word(7)));
    // The code of the new contract is empty.
    let creation = node.submit(dynamic(&key(2), 1, TxKind::Create, &[]));
    assert_eq!((node.mine(), node.mine()), (1, 2));
    let client = node.client();
    (node, client, [transfer, call, creation])
}

/// The names of an object's fields.
fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

fn word(n: u8) -> Value {
    json!(B256::with_last_byte(n))
}
