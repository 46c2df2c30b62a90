//! Who is let in: by the contract, by the operator's list, and by those who are vouched for.

use super::*;
use crate::addresses;
use crate::join::tests::{core, key, next_block};
use crate::meet::tests::{genesis, host, peer};
use lonja_chain::ChainCore;
use lonja_p2p::{NetworkId, P2pConfig, Transport};
use lonja_primitives::Genesis;
use lonja_storage::MemoryKv;

fn own() -> OwnEnd {
    OwnEnd { node: key(99).node_id(), ip: None, port: 30303 }
}

fn address(number: u8) -> PeerAddress {
    PeerAddress::new(peer(number), host(number).parse().unwrap(), 30303, Transport::TcpThenQuic)
}

fn verdict(gate: &PeerGate, number: u8) -> PeerVerdict {
    gate.judge(&peer(number), Some((&host(number), 30303)))
}

async fn network(genesis: &Genesis) -> P2p {
    let hash = genesis.hash();
    let rules = genesis.spec.rule_ids(hash);
    let network = NetworkId { genesis_hash: hash, chain_id: genesis.spec.chain_id, rules };
    lonja_p2p::start(P2pConfig::new(key(99), network, (0, hash))).await.unwrap().0
}

async fn keeper(only: &[u8], chain: &ChainCore, genesis: &Genesis) -> Gatekeeper {
    let (p2p, judge) = (network(genesis).await, chain.peer_judge(own()));
    let (poke, _, thread) = addresses::start(judge.clone(), p2p.clone(), false);
    thread.join().unwrap();
    let only = Arc::new(only.iter().map(|number| peer(*number)).collect());
    Gatekeeper::new(p2p, judge, only, &own(), poke)
}

#[test]
fn the_operators_list_only_closes() {
    let genesis = genesis(&[1, 2]);
    let chain = core(Arc::new(MemoryKv::new()), &genesis);
    let judge = chain.peer_judge(own());
    let gate = |only: &[u8], vouched: &[u8]| {
        let nodes = |numbers: &[u8]| numbers.iter().map(|n| peer(*n)).collect::<BTreeSet<_>>();
        gate_with(&judge, &Arc::new(nodes(only)), nodes(vouched))
    };
    assert_eq!(verdict(&gate(&[], &[]), 1), PeerVerdict::Allowed);
    assert!(matches!(verdict(&gate(&[], &[]), 3), PeerVerdict::Refused(_)));
    assert_eq!(gate(&[], &[]).judge(&peer(1), None), PeerVerdict::NeedsAddress);
    assert!(matches!(gate(&[], &[]).judge(&peer(1), Some(("10.0.0.2", 30303))), PeerVerdict::Refused(_)));
    assert!(matches!(verdict(&gate(&[2], &[]), 1), PeerVerdict::Refused(_)));
    assert_eq!(verdict(&gate(&[], &[3]), 3), PeerVerdict::Allowed);
    assert_eq!(gate(&[], &[3]).judge(&peer(3), None), PeerVerdict::Allowed);
    assert!(matches!(verdict(&gate(&[1], &[3]), 3), PeerVerdict::Refused(_)), "vouched for, not on the list");
}

#[tokio::test]
async fn who_is_vouched_for_is_let_in_until_our_own_chain_has_come_there() {
    let genesis = genesis(&[1]);
    let mut chain = core(Arc::new(MemoryKv::new()), &genesis);
    let keeper = keeper(&[], &chain, &genesis).await;
    let vouched = || keeper.vouched.lock().clone();
    keeper.vouch(peer(3), 2);
    keeper.vouch(peer(4), 5);
    keeper.vouch(peer(3), 1);
    assert_eq!(vouched(), BTreeMap::from([(peer(3), 2), (peer(4), 5)]), "the later one counts");
    next_block(&mut chain, &genesis, None);
    keeper.block_written(1, false);
    assert_eq!(vouched().len(), 2);
    next_block(&mut chain, &genesis, None);
    keeper.block_written(2, false);
    assert_eq!(vouched(), BTreeMap::from([(peer(4), 5)]), "from its block on the contract decides");
    keeper.vouch(peer(3), 2);
    assert_eq!(vouched().len(), 1, "our own chain knows better");
}

#[tokio::test]
async fn peers_are_strangers_where_our_own_block_does_not_permit_them() {
    let genesis = genesis(&[1, 2]);
    let chain = core(Arc::new(MemoryKv::new()), &genesis);
    let all = || vec![address(1), address(2), address(3), address(4)];
    let keeper_of_all = keeper(&[], &chain, &genesis).await;
    let strangers = |sorted: &Sorted| sorted.strangers.iter().map(PeerAddress::node_id).collect::<Vec<_>>();
    let sorted = keeper_of_all.sort(all()).unwrap();
    assert_eq!((sorted.permitted, strangers(&sorted)), (2, vec![peer(3), peer(4)]));
    keeper_of_all.vouch(peer(3), 9);
    assert_eq!(strangers(&keeper_of_all.sort(all()).unwrap()), [peer(4)]);
    // In a network that begins, all are permitted, and nobody is asked for proof.
    let sorted = keeper_of_all.sort(vec![address(1), address(2)]).unwrap();
    assert!(sorted.strangers.is_empty());
    let picky = keeper(&[2, 4], &chain, &genesis).await.sort(all()).unwrap();
    assert_eq!((picky.permitted, strangers(&picky)), (1, vec![peer(4)]));
}
