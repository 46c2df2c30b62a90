//! Parties that the network requires.

use super::*;
use crate::testing::{CONTRACT, OURS};
use alloy_consensus::TxLegacy;
use alloy_eips::Encodable2718;
use alloy_primitives::TxKind;
use lonja_primitives::NodeId;
use lonja_primitives::transaction::sign_private;
use lonja_ptm::{NetworkRules, PublicKey};
use parking_lot::Mutex;
use std::sync::Arc;

/// What one account has to name; nothing is said about others.
struct Rules(Address, Mutex<Vec<PublicKey>>);

impl NetworkRules for Rules {
    fn required(&self, account: Option<Address>) -> Result<Vec<PublicKey>, String> {
        match account == Some(self.0) {
            true => Ok(self.1.lock().clone()),
            false => Err("the contract reverted".to_owned()),
        }
    }

    fn is_supervisor(&self, _: &PublicKey) -> Result<bool, String> {
        Ok(false)
    }

    fn holders(&self, _: &PublicKey) -> Result<Option<Vec<NodeId>>, String> {
        Ok(None)
    }
}

/// The supervisor of these tests.
const SUPERVISOR: PublicKey = PublicKey([3; 32]);

fn supervised(markers: Option<&str>, account: Address, add: bool) -> (TestNode, Client, Arc<Rules>) {
    let mut node = TestNode::with_markers(privacy_rules(markers));
    let rules = Arc::new(Rules(account, Mutex::new(vec![SUPERVISOR])));
    let privacy = Arc::get_mut(node.node.privacy.as_mut().unwrap()).unwrap();
    privacy.rules = Some(rules.clone());
    privacy.add_required = add;
    let client = node.client();
    (node, client, rules)
}

/// As a client signs it that stored its payload before.
fn signed(node: &TestNode) -> String {
    let stored = node.manager().store(init_code().into());
    let tx = TxLegacy {
        gas_limit: 1_000_000,
        to: TxKind::Create,
        input: Bytes::copy_from_slice(stored.as_slice()),
        ..TxLegacy::default()
    };
    hex::encode_prefixed(sign_private(tx, &key(5)).encoded_2718())
}

#[tokio::test]
async fn a_supervisor_is_added_to_the_parties() {
    for markers in [None, Some("anySigner")] {
        let (node, client, rules) = supervised(markers, key(2).address(), true);
        client.call("eth_sendTransaction", json!([message(Some(CONTRACT), b"call")])).await;
        let sent = node.manager().sent();
        // What is in a marker is two payloads, and both go to it.
        assert_eq!(sent.len(), if markers.is_some() { 2 } else { 1 });
        assert!(sent.iter().all(|sent| sent.to == [THEIRS, SUPERVISOR]), "{sent:?}");
        let named = with(message(Some(CONTRACT), b"call"), json!({ "privateFor": [SUPERVISOR, THEIRS] }));
        client.call("eth_sendTransaction", json!([named])).await;
        assert_eq!(node.manager().sent().last().unwrap().to, [SUPERVISOR, THEIRS]);
        // The rule ends.
        rules.1.lock().clear();
        client.call("eth_sendTransaction", json!([message(Some(CONTRACT), b"call")])).await;
        assert_eq!(node.manager().sent().last().unwrap().to, [THEIRS]);
    }
}

#[tokio::test]
async fn who_supervises_itself_need_not_be_named() {
    let (node, client, rules) = supervised(None, key(2).address(), false);
    *rules.1.lock() = vec![OURS];
    client.call("eth_sendTransaction", json!([message(Some(CONTRACT), b"call")])).await;
    let from = with(message(Some(CONTRACT), b"call"), json!({ "privateFrom": OURS }));
    client.call("eth_sendTransaction", json!([from])).await;
    assert!(node.manager().sent().iter().all(|sent| sent.to == [THEIRS]));
}

#[tokio::test]
async fn a_missing_supervisor_is_refused_where_it_must_be_named() {
    let (node, client, _) = supervised(None, key(2).address(), false);
    let refused = client.refused("eth_sendTransaction", json!([message(Some(CONTRACT), b"call")])).await;
    let text = format!("{SUPERVISOR} is a party of what {} sends", key(2).address());
    assert!(refused.message.contains(&text), "{}", refused.message);
    assert!(node.manager().sent().is_empty() && node.node.pool.lock().status().pending == 0);
    let named = with(message(Some(CONTRACT), b"call"), json!({ "privateFor": [THEIRS, SUPERVISOR] }));
    client.call("eth_sendTransaction", json!([named])).await;
    assert_eq!(node.manager().sent().len(), 1);
}

#[tokio::test]
async fn without_an_answer_nothing_is_sent() {
    let (node, client, _) = supervised(Some("anySigner"), key(7).address(), true);
    let (request, fields) = (message(Some(CONTRACT), b"call"), json!({ "privateFor": [THEIRS] }));
    let raw = signed(&node);
    for (method, params) in [
        ("eth_sendTransaction", json!([request])),
        ("eth_sendRawPrivateTransaction", json!([raw, fields])),
        ("eth_distributePrivateTransaction", json!([raw, fields])),
    ] {
        let refused = client.refused(method, params).await;
        assert!(
            refused.message.contains("cannot be found out: the contract reverted"),
            "{}",
            refused.message
        );
    }
    assert!(node.manager().sent().is_empty());
}

#[tokio::test]
async fn what_clients_sign_is_supervised_by_its_signer() {
    let (node, client, _) = supervised(Some("anySigner"), key(5).address(), true);
    let (raw, fields) = (signed(&node), json!({ "privateFor": [THEIRS] }));
    client.call("eth_distributePrivateTransaction", json!([raw, fields])).await;
    client.call("eth_sendRawPrivateTransaction", json!([raw, fields])).await;
    let sent = node.manager().sent();
    assert_eq!(sent.len(), 3, "{sent:?}");
    assert!(sent.iter().all(|sent| sent.to == [THEIRS, SUPERVISOR]), "{sent:?}");
}
