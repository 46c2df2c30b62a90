//! When a node asks for proof, and what it says when there is none.

use super::*;
use crate::gate::Gatekeeper;
use crate::join::tests::{core, key};
use crate::meet::tests::{genesis, host, peer};
use lonja_p2p::{NetworkId, Transport};
use lonja_primitives::Genesis;
use lonja_storage::MemoryKv;
use std::collections::BTreeSet;

/// A node at block 0 that is to be kept connected with these peers.
async fn newcomer(genesis: &Genesis, peers: &[u8]) -> Newcomer {
    let chain = core(Arc::new(MemoryKv::new()), genesis);
    let hash = genesis.hash();
    let rules = genesis.spec.rule_ids(hash);
    let network = NetworkId { genesis_hash: hash, chain_id: genesis.spec.chain_id, rules };
    let place = |n: &u8| PeerAddress::new(peer(*n), host(*n).parse().unwrap(), 30303, Transport::TcpThenQuic);
    let only_listed = P2pConfig {
        // Nobody is dialed while the test looks.
        gate: PeerGate::Only([].into()),
        peers: peers.iter().map(place).collect(),
        ..P2pConfig::new(key(99), network, (0, hash))
    };
    let (p2p, _) = lonja_p2p::start(only_listed.clone()).await.unwrap();
    let own = OwnEnd { node: key(99).node_id(), ip: None, port: 30303 };
    let judge = chain.peer_judge(own.clone());
    let (poke, known, thread) = addresses::start(judge.clone(), p2p.clone(), false);
    thread.join().unwrap();
    let gate = Arc::new(Gatekeeper::new(p2p.clone(), judge, Arc::default(), &own, poke));
    Newcomer {
        network: only_listed,
        spec: Arc::new(genesis.spec.clone()),
        genesis: genesis.header.clone(),
        checkpoint: None,
        own,
        gate,
        p2p,
        known,
        stopping: Arc::default(),
    }
}

fn nodes(strangers: Option<Vec<PeerAddress>>) -> Option<BTreeSet<NodeId>> {
    strangers.map(|all| all.iter().map(PeerAddress::node_id).collect())
}

#[tokio::test]
async fn proof_is_asked_for_where_nobody_else_is_left() {
    let genesis = genesis(&[1, 2]);
    let day = Duration::from_secs(86_400);
    let all_permitted = newcomer(&genesis, &[1, 2]).await;
    assert_eq!(all_permitted.strangers(Duration::ZERO), None, "a network that begins starts at once");
    assert_eq!(all_permitted.strangers(day), None, "also where it stood still for long");
    assert_eq!(newcomer(&genesis, &[]).await.strangers(day), None, "there is nobody to ask");
    let none = newcomer(&genesis, &[3, 4]).await;
    assert_eq!(nodes(none.strangers(Duration::ZERO)), Some([peer(3), peer(4)].into()));
    let some = newcomer(&genesis, &[1, 3]).await;
    assert_eq!(some.strangers(PATIENCE - LOOK), None, "the permitted one is tried first");
    assert_eq!(nodes(some.strangers(PATIENCE)), Some([peer(3)].into()));
    none.gate.vouch(peer(3), 7);
    none.gate.vouch(peer(4), 7);
    assert_eq!(none.strangers(day), None, "they are let in already");
}

#[tokio::test]
async fn without_rules_about_connections_nobody_is_asked() {
    let mut open = genesis(&[]);
    open.spec.permissions = vec![(0, lonja_primitives::spec::Permissions::default())];
    assert_eq!(newcomer(&open, &[1]).await.strangers(Duration::from_secs(86_400)), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_cannot_be_reached_is_told_of_and_a_node_that_stops_asks_no_more() {
    let genesis = genesis(&[]);
    let one = newcomer(&genesis, &[]).await;
    let nowhere = PeerAddress::new(peer(3), "127.0.0.1".parse().unwrap(), 1, Transport::TcpThenQuic);
    let machine = {
        let known = Known {
            spec: one.spec.clone(),
            genesis: one.genesis.clone(),
            head: one.gate.head(),
            checkpoint: None,
            own: one.own.node,
        };
        Meeting::new(known, [(peer(3), one.ends(&nowhere))].into_iter())
    };
    assert!(troubles(&machine, &[]).ends_with("at 127.0.0.1:1: it cannot be reached"));
    assert!(troubles(&machine, &[peer(3)]).ends_with("it does not permit this node"));
    assert!(machine.is_hopeless(|node| *node == peer(3)) && !machine.is_hopeless(|_| false));
    one.stopping.store(true, Ordering::Relaxed);
    assert_eq!(one.ask(vec![nowhere]).await, End::Needless);
    one.run().await;
}
