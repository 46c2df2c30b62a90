//! Addresses out of the real registry contracts.

use super::*;
use crate::join::tests::{core, key};
use lonja_chain::ChainCore;
use lonja_p2p::{NetworkId, P2pConfig};
use lonja_permissioning::OwnEnd;
use lonja_permissioning::registry::genesis::seed;
use lonja_permissioning::registry::plan::Plan;
use lonja_primitives::Genesis;
use lonja_primitives::genesis::NewNetwork;
use lonja_storage::MemoryKv;
use serde_json::{Value, json};

/// Nodes of one member, at most.
const PER_MEMBER: usize = 16;

pub(crate) fn node(number: u16) -> NodeId {
    let mut bytes = [7; 32];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    lonja_primitives::NodeKey::from_bytes(&bytes).unwrap().node_id()
}

/// Number, texts of addresses, roles, and the block at which its permission ends.
pub(crate) type Entry = (u16, Vec<String>, Value, u64);

/// A network of these nodes; the first four validate.
pub(crate) fn genesis(nodes: &[Entry]) -> Genesis {
    let one = |(index, (number, endpoints, roles, expires)): (usize, &Entry)| {
        let key = alloy_primitives::hex::encode(node(*number).0);
        let validates = index < 4;
        let roles = if validates { json!(["regular", "validator"]) } else { roles.clone() };
        json!({ "key": key, "roles": roles, "endpoints": endpoints, "expires": expires, "hostProvider": index,
            "validates": validates })
    };
    let nodes: Vec<Value> = nodes.iter().enumerate().map(one).collect();
    let member = |(index, nodes): (usize, &[Value])| {
        let admin = format!("0x{:040x}", 1_000 + index);
        json!({ "taxId": format!("ES{index}"), "name": format!("Member {index}"), "sector": index, "region": index,
            "admins": [admin], "nodes": nodes })
    };
    let members: Vec<Value> = nodes.chunks(PER_MEMBER).enumerate().map(member).collect();
    let mut plan = Plan::from_json(&json!({ "members": members }).to_string()).unwrap();
    // A plan is checked, what members write later is not.
    for node in plan.members.iter_mut().flat_map(|member| &mut member.nodes) {
        if node.input.endpoints.is_empty() {
            node.input.endpoints = b"no-address".into();
        }
    }
    let registry = seed(&plan, 1337, 1000).unwrap();
    let network = NewNetwork {
        validators: registry.validators,
        alloc: registry.alloc,
        permissions: registry.permissions,
        validator_contract: Some(registry.validator_contract),
        ..NewNetwork::default()
    };
    Genesis::from_json(&network.to_json()).unwrap()
}

pub(crate) fn plain(number: u16) -> Entry {
    (number, vec![format!("10.0.{}.{}:30303", number >> 8, number & 255)], json!(["regular"]), 0)
}

pub(crate) fn chain(genesis: &Genesis) -> ChainCore {
    core(Arc::new(MemoryKv::new()), genesis)
}

fn judge(chain: &ChainCore) -> PeerJudge {
    chain.peer_judge(OwnEnd { node: node(1), ip: None, port: 30303 })
}

#[test]
fn texts_are_read_leniently() {
    let first = |text: &str| {
        let mut bad = 0;
        let found = first_address(node(1), text.as_bytes(), &mut bad);
        (found.map(|address| format!("{}:{}", address.host(), address.port())), bad)
    };
    let at = |text: &str, bad| (Some(text.to_owned()), bad);
    assert_eq!(first("10.0.0.1:30303"), at("10.0.0.1:30303", 0));
    assert_eq!(first(" node.example:1 ,10.0.0.1:2"), at("node.example:1", 0));
    assert_eq!(
        first("nothing, :5, a:0, b:99999, c:, 2001:db8::1, [2001:db8::1]:7"),
        at("[2001:db8::1]:7", 6)
    );
    assert_eq!(first(""), (None, 0));
    assert_eq!(first(",, ,"), (None, 0));
    assert_eq!(first("enode://x@y:z"), (None, 1));
    assert_eq!(first_address(node(1), &[0xff, b':', b'1'], &mut 0), None);
}

#[test]
fn addresses_are_those_of_permitted_nodes_without_our_own() {
    let mut nodes: Vec<_> = (1..=9).map(plain).collect();
    // Block 1 is the first at which this one may not connect any more; two have no address that is one.
    nodes[5].3 = 1;
    nodes[6].1 = vec![];
    nodes[7].1 = vec![];
    nodes[8].2 = json!(["regular", "boot"]);
    let genesis = genesis(&nodes);
    let chain = chain(&genesis);
    let found = read(&judge(&chain), &node(1)).unwrap();
    let numbers: Vec<u16> = found
        .addresses
        .iter()
        .map(|address| (1..=9).find(|number| node(*number) == address.node_id()).unwrap())
        .collect();
    let mut validators = numbers[..3].to_vec();
    validators.sort_unstable();
    assert_eq!((validators, &numbers[3..]), (vec![2, 3, 4], &[9, 5][..]), "validators, boot nodes, others");
    assert_eq!((found.bad, found.left_out), (2, 0));
    let one = found.addresses.iter().find(|address| address.node_id() == node(5)).unwrap();
    assert_eq!((one.host().to_string(), one.port()), ("10.0.0.5".to_owned(), 30303));
    // Another node has another order, with the same beginning.
    let other = read(&judge(&chain), &node(200)).unwrap();
    assert_eq!(other.addresses.len(), 6);
    assert_eq!(other.addresses[4].node_id(), node(9));
}

#[test]
fn without_a_registry_nothing_is_known() {
    let other = crate::meet::tests::genesis(&[1]);
    assert_eq!(read(&judge(&chain(&other)), &node(1)), None);
}

#[tokio::test]
async fn the_thread_tells_the_network_and_ends_with_its_last_poke() {
    let genesis = genesis(&(1..=6).map(plain).collect::<Vec<_>>());
    let chain = chain(&genesis);
    let hash = genesis.hash();
    let network =
        NetworkId { genesis_hash: hash, chain_id: genesis.spec.chain_id, rules: genesis.spec.rule_ids(hash) };
    let (p2p, _events) = lonja_p2p::start(P2pConfig::new(key(1), network, (0, hash))).await.unwrap();
    let (poke, known, thread) = start(judge(&chain), p2p, true);
    poke.poke();
    poke.poke();
    let waited = Instant::now();
    while known.count().is_none() && waited.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(known.count(), Some(6), "its own key is another one");
    drop(poke);
    thread.join().unwrap();
}
