use crate::testing::{Client, TestNode, key, legacy};
use alloy_primitives::{Address, B256, TxKind, keccak256};
use alloy_sol_types::SolCall;
use lonja_permissioning::registry::abi::{GOVERNANCE, Governance, Proposal};
use lonja_permissioning::registry::plan::{id_value, member_id};
use lonja_primitives::{NodeKey, Signer};
use serde_json::{Value, json};

mod junk;
mod parties;
mod reads;
mod shapes;
mod verdicts;

/// Keys of the plan: 1 and 2 are nodes, 11 to 13 admins, 14 the council, 21 to 23 accounts.
pub(crate) fn plan() -> String {
    let node = |n: u8, roles: &[&str], endpoints: &[&str]| json!({ "key": key(n).node_id().to_string(), "roles": roles, "endpoints": endpoints, "hostProvider": 64_512 });
    let account = |n: u8, access: &[&str]| json!({ "address": key(n).address(), "access": access });
    let one = json!({
        "lei": "506700GE1G29325QX363", "name": "Uno", "sector": 64, "region": 28, "admins": [key(11).address()],
        "nodes": [node(1, &["regular", "validator"], &["10.0.0.1:30303", "node.example:1"])],
        "accounts": [account(21, &["transfer", "call", "deploy"]), account(22, &["transfer"])],
    });
    let two = json!({
        "taxId": "ESA12345674", "name": "Dos", "kind": "supervisor", "admins": [key(12).address()],
        "nodes": [node(2, &["regular", "supervisor"], &[])],
        "accounts": [account(23, &["call"])],
    });
    let three = json!({ "did": "did:web:tres.example", "name": "Tres", "admins": [key(13).address()] });
    let policy = json!({
        "selection": { "epochLength": 10, "freezeLength": 2 },
        "votes": { "votingLength": 50, "executionLength": 50, "confirmationLength": 50 },
        "quota": { "enabled": true, "capBlocks": 10 },
    });
    json!({ "members": [one, two, three], "council": [key(14).address()], "policy": policy }).to_string()
}

fn node() -> TestNode {
    TestNode::with_registry(&plan())
}

/// The id of the first member.
fn uno() -> B256 {
    member("lei", "506700GE1G29325QX363")
}

fn tres() -> B256 {
    member("did", "did:web:tres.example")
}

fn member(scheme: &str, text: &str) -> B256 {
    let scheme = scheme.parse().unwrap();
    member_id(scheme, id_value(scheme, text).unwrap())
}

/// The key of a node's entry.
fn node_key(n: u8) -> B256 {
    keccak256(key(n).node_id().0)
}

/// Sends a call and mines it; its hash.
fn act(node: &mut TestNode, from: &NodeKey, nonce: u64, to: Address, call: &impl SolCall) -> B256 {
    let hash = node.submit(legacy(from, nonce, TxKind::Call(to), 0, &call.abi_encode()));
    node.mine();
    hash
}

fn propose(node: &mut TestNode, from: &NodeKey, nonce: u64, proposal: &Proposal) {
    let call = Governance::proposeCall { kind: proposal.kind().number(), payload: proposal.payload() };
    act(node, from, nonce, GOVERNANCE, &call);
}

/// Suspends the third member: the first proposes, the second agrees and executes.
fn suspend_tres(node: &mut TestNode) {
    let proposal = Proposal::SuspendMember { member: tres(), reason: B256::ZERO };
    propose(node, &key(11), 0, &proposal);
    let id = alloy_primitives::U256::from(1);
    act(node, &key(12), 0, GOVERNANCE, &Governance::voteCall { id, support: true });
    act(node, &key(12), 1, GOVERNANCE, &Governance::executeCall { id, payload: proposal.payload() });
}

async fn code(client: &Client, method: &str, params: Value) -> i64 {
    client.refused(method, params).await.code
}
