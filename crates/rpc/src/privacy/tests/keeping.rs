//! `private_`, with a manager that is part of the node.

use super::*;
use crate::privacy::RpcPrivacy;
use crate::testing::legacy;
use alloy_primitives::TxKind;
use lonja_ptm::{EmbeddedManager, KeyPair, Keyring, NoCourier, Parts, PrivateTransactionManager, Settings};
use lonja_ptm::{Metadata, SendRequest, Standing, Statement};
use lonja_storage::MemoryKv;
use std::sync::Arc;
use tokio::runtime::Handle;

fn embedded_party() -> (TestNode, Client, EmbeddedManager) {
    let mut node = TestNode::with_parties(privacy_rules(None));
    let parts = Parts {
        store: Arc::new(MemoryKv::new()),
        keyring: Keyring::new(vec![KeyPair::from_secret(&[1; 32])]).unwrap(),
        node: key(9).node_id(),
        signer: Arc::new(key(9)),
        courier: Arc::new(NoCourier),
        runtime: Handle::current(),
    };
    let genesis = node.node.reader.genesis_hash();
    let embedded = EmbeddedManager::start(parts, Settings { genesis, ..Settings::default() }).unwrap();
    let before = node.node.privacy.take().unwrap();
    node.node.privacy = Some(Arc::new(RpcPrivacy {
        manager: Arc::new(embedded.clone()),
        embedded: Some(embedded.clone()),
        reader: before.reader.clone(),
        status: before.status.clone(),
        markers: false,
        rules: None,
        add_required: true,
        simulate_root: before.simulate_root.clone(),
    }));
    let client = node.client();
    (node, client, embedded)
}

async fn send(manager: &EmbeddedManager, payload: &[u8]) -> PayloadHash {
    let (payload, metadata) = (Bytes::copy_from_slice(payload), Metadata::default());
    manager.send(SendRequest { payload, from: None, to: Vec::new(), metadata }).await.unwrap().hash
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_is_erased_by_order_and_that_is_told() {
    let (_node, client, manager) = embedded_party();
    let (hash, kept) = (send(&manager, b"secret").await, send(&manager, b"another").await);
    let order = B256::repeat_byte(7);
    let purged = client.call("private_purge", json!([hash, order])).await;
    assert_eq!(purged[0]["tombstone"]["payload"], json!(hash), "{purged}");
    assert_eq!(purged[0]["tombstone"]["order"], json!(order));
    assert_eq!((&purged[0]["parties"], &purged[0]["stateStays"]), (&json!([]), &json!(false)));
    // By its name in hex it is the same one; the first order stands.
    let again = client.call("private_purge", json!([hash.0, B256::ZERO])).await;
    assert_eq!(again[0]["tombstone"], purged[0]["tombstone"]);
    let status = client.call("private_purged", json!([[hash]])).await;
    assert_eq!((&status["followed"], &status["stands"]), (&json!(false), &json!(false)), "{status}");
    assert_eq!(status["tombstones"][0], purged[0]["tombstone"]);
    let mut arrivals = manager.arrivals();
    arrivals.take(9).unwrap();
    arrivals.done();
    let mut done = false;
    for _ in 0..500 {
        let status = client.call("private_purged", json!([[hash]])).await;
        done = status["followed"] == true && status["scrubbed"] == true;
        if done {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(done);
    assert!(matches!(manager.lookup(kept).await, lonja_ptm::Lookup::Found(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_here_is_not_erased() {
    let (mut node, client, _manager) = embedded_party();
    let stranger = PayloadHash::from_data(b"stranger");
    for (hash, words) in [
        (json!(stranger), "no party to it"),
        (json!(B256::repeat_byte(5)), "no transaction of the chain"),
        (json!("short"), "a transaction's hash, or a payload's name"),
        (json!(5), "hash"),
    ] {
        let refused = client.refused("private_purge", json!([hash, B256::ZERO])).await;
        assert!(refused.message.contains(words), "{refused:?}");
    }
    assert_eq!(client.refused("private_purge", json!([stranger])).await.code, -32602);
    let public = node.submit(legacy(&key(2), 0, TxKind::Call(key(3).address()), 0, &[]));
    node.mine_and_follow();
    let refused = client.refused("private_purge", json!([public, B256::ZERO])).await;
    assert!(refused.message.contains("names no payload"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_given_of_whatever_is_asked() {
    let (_node, client, manager) = embedded_party();
    let hash = send(&manager, b"secret").await;
    let read = |value: Value| -> Vec<Statement> { serde_json::from_value(value).unwrap() };
    let closed = read(client.call("private_statement", json!([hash])).await);
    assert_eq!((closed[0].standing, closed[0].check()), (Standing::Held, Ok(None)));
    let open = read(client.call("private_statement", json!([hash, true])).await);
    assert_eq!(open[0].check(), Ok(Some(Bytes::from_static(b"secret"))));
    let absent = read(client.call("private_statement", json!([PayloadHash::from_data(b"x"), true])).await);
    assert_eq!((absent[0].standing, absent[0].check()), (Standing::Absent, Ok(None)));
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_outbox_and_readings_are_told() {
    let (_node, client, _manager) = embedded_party();
    let status = client.call("private_recovery", json!([])).await;
    assert_eq!((&status["running"], &status["nodes"]), (&json!(false), &json!(0)), "{status}");
    assert_eq!(client.call("private_recover", json!([])).await, json!({ "wanted": 0 }));
    assert_eq!(client.call("private_outbox", json!([])).await, json!({ "waiting": 0, "recipients": [] }));
    assert_eq!(client.call("private_readings", json!(["0x1", 5])).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_elsewhere_are_looked_after_elsewhere() {
    let (_node, client) = party();
    let refused = client.refused("private_outbox", json!([])).await;
    assert!(refused.code == -32604 && refused.message.contains("another process"), "{refused:?}");
    let refused = TestNode::new().client().refused("private_outbox", json!([])).await;
    assert!(refused.message.contains("PrivateTransactionManager is not enabled"), "{refused:?}");
}
