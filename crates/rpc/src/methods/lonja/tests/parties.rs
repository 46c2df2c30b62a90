//! Supervisors' keys, and the nodes that hold parties' keys.

use super::*;
use alloy_primitives::U256;
use lonja_permissioning::registry::abi::{PARTIES, Parties, Scope};
use lonja_primitives::spec::Privacy;

const KEY: &str = "oNspPPgszVUFw0qmGFfWwh1uxVUXgvBxleXORHj07g8=";
const OTHER: &str = "BULeR8JyUWhiuuCMU/HLA0Q5pzkYT+cHII3ZKBey3Bo=";

fn network() -> TestNode {
    TestNode::with_registry_and(&plan(), Privacy { parties: Some(PARTIES), ..Privacy::OF_NEW_NETWORKS })
}

fn word(key: &str) -> B256 {
    B256::from(key.parse::<lonja_ptm::PublicKey>().unwrap().0)
}

/// The first member proposes, the second agrees and executes.
fn decide(node: &mut TestNode, id: u64, proposal: &Proposal) {
    propose(node, &key(11), id - 1, proposal);
    let nonce = 2 * (id - 1);
    act(node, &key(12), nonce, GOVERNANCE, &Governance::voteCall { id: U256::from(id), support: true });
    let call = Governance::executeCall { id: U256::from(id), payload: proposal.payload() };
    act(node, &key(12), nonce + 1, GOVERNANCE, &call);
}

#[tokio::test]
async fn supervisors_are_listed() {
    let mut node = network();
    let client = node.client();
    let none = client.call("lonja_getSupervisors", json!([])).await;
    assert_eq!((&none["rules"], &none["contract"]), (&json!([]), &json!(PARTIES)));
    let scopes = [Scope::Everybody, Scope::Sector(64), Scope::Member(tres())];
    for (number, (scope, key)) in scopes.into_iter().zip([KEY, OTHER, OTHER]).enumerate() {
        decide(&mut node, number as u64 + 1, &Proposal::AddSupervisor { scope, key: word(key) });
    }
    let all = client.call("lonja_getSupervisors", json!([])).await;
    assert_eq!(
        all["rules"],
        json!([
            { "key": KEY, "scope": "everybody" },
            { "key": OTHER, "scope": "sector", "sector": 64 },
            { "key": OTHER, "scope": "member", "member": tres() },
        ])
    );
    for (account, keys) in [(21, &[KEY, OTHER][..]), (12, &[KEY]), (13, &[KEY, OTHER]), (99, &[KEY])] {
        let of = client.call("lonja_getRequiredParties", json!([key(account).address()])).await;
        assert_eq!(of["keys"], json!(keys), "{account}");
    }
    let before = client.call("lonja_getRequiredParties", json!([key(21).address(), "0x1"])).await;
    assert_eq!(before["keys"], json!([]));
}

#[tokio::test]
async fn bindings_are_listed() {
    let mut node = network();
    let client = node.client();
    assert_eq!(client.call("lonja_listPartyBindings", json!([])).await["bindings"], json!([]));
    assert_eq!(client.call("lonja_getPartyBinding", json!([KEY])).await, Value::Null);
    let call = Parties::bindPartyCall { nodeKey: node_key(1), party: word(KEY) };
    act(&mut node, &key(11), 0, PARTIES, &call);
    let list = client.call("lonja_listPartyBindings", json!([])).await;
    let public = key(1).node_id().to_string();
    let entry = json!({ "node": node_key(1), "publicKey": public, "member": uno(), "parties": [KEY] });
    assert_eq!((&list["bindings"], &list["next"]), (&json!([entry]), &Value::Null));
    let paged = client.call("lonja_listPartyBindings", json!([1, 1])).await;
    assert_eq!(paged["bindings"], json!([]));
    let one = client.call("lonja_getPartyBinding", json!([KEY])).await;
    let nodes = json!([{ "key": node_key(1), "publicKey": public }]);
    assert_eq!((&one["party"], &one["member"], &one["nodes"]), (&json!(KEY), &json!(uno()), &nodes));
    for name in [node_key(1).to_string(), public] {
        let of_node = client.call("lonja_getPartyBinding", json!([name])).await;
        assert_eq!((&of_node["node"], &of_node["parties"]), (&json!(node_key(1)), &json!([KEY])));
    }
    assert_eq!(code(&client, "lonja_getPartyBinding", json!(["nobody"])).await, -32602);
}

#[tokio::test]
async fn networks_without_a_contract_say_so() {
    let client = node().client();
    for (method, params) in [
        ("lonja_getSupervisors", json!([])),
        ("lonja_getRequiredParties", json!([Address::ZERO])),
        ("lonja_getPartyBinding", json!([KEY])),
        ("lonja_listPartyBindings", json!([])),
    ] {
        let refused = client.refused(method, params).await;
        assert_eq!(refused.code, -32604, "{method}: {}", refused.message);
        assert!(refused.message.contains("no contract names parties"), "{}", refused.message);
    }
    let other = Privacy { parties: Some(Address::repeat_byte(0x11)), ..Privacy::OF_NEW_NETWORKS };
    let client = TestNode::with_registry_and(&plan(), other).client();
    let refused = client.refused("lonja_getSupervisors", json!([])).await;
    assert!(refused.message.contains("another contract"), "{}", refused.message);
}
