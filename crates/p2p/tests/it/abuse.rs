//! What peers do that they should not, and that it hurts nobody else.

use crate::world::*;
use alloy_primitives::B256;
use futures::AsyncReadExt;
use lonja_p2p::{
    Budgets, P2pConfig, PeerEvent, PeerGate, Rate, SendError,
    wire::{self, GoodbyeReason, Kind, MAX_CONSENSUS_BYTES, Message, WireError},
};
use lonja_primitives::NodeKey;
use tokio::time::timeout;

/// A node, a good peer of it, and a raw one.
async fn with_a_good_peer(configuration: P2pConfig) -> (Node, Node, Raw) {
    let (mut node, mut good) = (Node::start(configuration).await, Node::new().await);
    good.p2p.add_peer(node.address()).unwrap();
    let (node_id, good_id) = (node.id(), good.id());
    tokio::join!(node.connected(good_id), good.connected(node_id));
    let raw = Raw::connect(&mut node).await;
    (node, good, raw)
}

async fn still_works(node: &mut Node, good: &Node) {
    good.say(node.id(), vote(77));
    assert_eq!(node.message(good.id()).await, vote(77));
    good.say(node.id(), head(77));
    assert_eq!(node.message(good.id()).await, head(77));
}

async fn is_dropped_for(bytes: &[u8], data_lane: bool, word: &str) {
    let (mut node, good, mut raw) = with_a_good_peer(config(&NodeKey::generate())).await;
    if data_lane {
        raw.write_data(bytes).await;
    } else {
        raw.write_consensus(bytes).await;
    }
    let reason = node.disconnected(raw.id).await;
    assert!(reason.contains(word), "{reason}");
    let goodbye = raw.goodbye().await;
    assert_eq!(goodbye.reason, GoodbyeReason::Abuse);
    assert!(goodbye.text.contains(word));
    still_works(&mut node, &good).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_frame_ends_the_session_before_its_body() {
    let mut bytes = (MAX_CONSENSUS_BYTES as u32 + 1).to_be_bytes().to_vec();
    bytes.push(Kind::Consensus as u8);
    is_dropped_for(&bytes, false, "10485760 are allowed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_and_misplaced_messages_end_the_session() {
    is_dropped_for(&[0, 0, 0, 2, Kind::GetBlocks as u8, 0xc0], true, "malformed GetBlocks").await;
    is_dropped_for(&[0, 0, 0, 1, 99], true, "kind 99").await;
    is_dropped_for(&[0, 0, 0, 2, Kind::Consensus as u8, 1], true, "does not belong here").await;
    is_dropped_for(&wire::encode_status_frame(&status(1)), false, "does not belong here").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_broke_the_protocol_is_kept_out() {
    let mut node = Node::new().await;
    let key = NodeKey::generate();
    let mut raw = Raw::greet(&key, &node, &status(1)).await;
    node.connected(raw.id).await;
    raw.write_consensus(&[0, 0, 0, 1, 99]).await;
    node.disconnected(raw.id).await;
    drop(raw);
    assert!(Raw::open(&key, node.id(), node.socket()).await.is_none());
    assert!(Raw::open(&NodeKey::generate(), node.id(), node.socket()).await.is_some(), "others are not");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_no_stream_through_the_gate() {
    let friend = NodeKey::generate();
    let gate = PeerGate::Only([friend.node_id()].into());
    let mut node = Node::start(P2pConfig { gate, ..config(&NodeKey::generate()) }).await;
    assert!(Raw::open(&NodeKey::generate(), node.id(), node.socket()).await.is_none());
    let raw = Raw::greet(&friend, &node, &status(1)).await;
    node.connected(raw.id).await;
}

/// Both roles in the handshake: the node as the one who decides and as the one who speaks first.
#[tokio::test(flavor = "multi_thread")]
async fn another_chain_is_told_so() {
    let (low, high) = ordered_keys();
    for (node_key, raw_key) in [(&low, &high), (&high, &low)] {
        let mut node = Node::start(config(node_key)).await;
        let mut other = status(1);
        other.genesis_hash = B256::ZERO;
        let mut raw = Raw::greet(raw_key, &node, &other).await;
        let goodbye = raw.goodbye().await;
        assert_eq!(goodbye.reason, GoodbyeReason::Network);
        assert!(goodbye.text.contains(&network().genesis_hash.to_string()), "{}", goodbye.text);
        other = wire::Status { version: 99, ..status(1) };
        let mut raw = Raw::greet(raw_key, &node, &other).await;
        assert_eq!(raw.goodbye().await.reason, GoodbyeReason::Version);
        assert!(node.events.try_recv().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn talking_before_the_handshake_is_refused() {
    let mut node = Node::new().await;
    let mut raw = Raw::open(&NodeKey::generate(), node.id(), node.socket()).await.unwrap();
    raw.write_consensus(&wire::encode_frame(&vote(1)).unwrap()).await;
    assert_eq!(raw.goodbye().await.reason, GoodbyeReason::Abuse);
    assert!(node.events.try_recv().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_peer_replaces_its_dead_session() {
    let (low, high) = ordered_keys();
    for (node_key, raw_key) in [(&low, &high), (&high, &low)] {
        let mut node = Node::start(config(node_key)).await;
        let mut first = Raw::greet(raw_key, &node, &status(1)).await;
        node.connected(first.id).await;
        let mut second = Raw::greet(raw_key, &node, &status(2)).await;
        assert!(node.disconnected(first.id).await.contains("replaced"));
        node.connected(second.id).await;
        assert_eq!(first.goodbye().await.reason, GoodbyeReason::AlreadyConnected);
        assert_eq!(node.p2p.peers().len(), 1);
        second.write_consensus(&wire::encode_frame(&vote(3)).unwrap()).await;
        assert_eq!(node.message(second.id).await, vote(3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_connection_of_the_same_process_is_not_needed() {
    let (low, high) = ordered_keys();
    let mut node = Node::start(config(&high)).await;
    let first = Raw::greet(&low, &node, &status(1)).await;
    node.connected(first.id).await;
    let mut second = Raw::greet(&low, &node, &status(1)).await;
    assert_eq!(second.goodbye().await.reason, GoodbyeReason::AlreadyConnected);
    assert!(node.p2p.is_connected(&first.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_house_says_so() {
    let mut node = Node::start(P2pConfig { max_peers: 1, ..config(&NodeKey::generate()) }).await;
    let _first = Raw::connect(&mut node).await;
    let mut second = Raw::greet(&NodeKey::generate(), &node, &status(1)).await;
    assert_eq!(second.goodbye().await.reason, GoodbyeReason::TooManyPeers);
    let mut friend = Node::new().await;
    node.p2p.add_peer(friend.address()).unwrap();
    let (node_id, friend_id) = (node.id(), friend.id());
    tokio::join!(node.connected(friend_id), friend.connected(node_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_held_to_its_budget_and_delays_nobody() {
    let rate = Rate { messages: 50, bytes: 1 << 20 };
    let budgets = Budgets { consensus: rate, ..Budgets::default() };
    let (mut node, good, mut raw) =
        with_a_good_peer(P2pConfig { budgets, ..config(&NodeKey::generate()) }).await;
    let flooder = raw.id;
    let total = 5_000;
    let flood: Vec<u8> = (0..total).flat_map(|n| wire::encode_frame(&vote(n)).unwrap().to_vec()).collect();
    let flooding = tokio::spawn(async move {
        raw.write_consensus(&flood).await;
        raw
    });
    let mut passed = 0;
    for n in 0..20 {
        good.say(node.id(), vote(n));
        loop {
            match node.next().await {
                PeerEvent::Message { peer, message } if peer == flooder => {
                    assert_eq!(message, vote(passed), "nothing of it is lost");
                    passed += 1;
                }
                PeerEvent::Message { message, .. } => {
                    assert_eq!(message, vote(n));
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(passed < total, "all {total} messages of the flood came before 20 of a good peer");
    assert!(node.p2p.is_connected(&flooder), "a burst is no crime");
    drop(flooding);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_read_delays_nobody() {
    let (mut node, mut good, raw) = with_a_good_peer(config(&NodeKey::generate())).await;
    let block = Message::Blocks { request: 1, blocks: vec![vec![1; 1 << 20].into()] };
    let mut taken = 0;
    let refused = loop {
        match node.p2p.send_to(&raw.id, block.clone()) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 100, "the queue of a peer that does not read has a bound");
    };
    assert_eq!(refused, SendError::QueueFull);
    for n in 0..10_000 {
        assert_eq!(node.p2p.send_to(&raw.id, vote(n)), Ok(()), "of consensus the oldest go");
    }
    let sent = node.p2p.send(&[raw.id, good.id()], block.clone());
    assert_eq!((sent.queued, sent.refused), (1, vec![(raw.id, SendError::QueueFull)]));
    assert_eq!(good.message(node.id()).await, block);
    node.say(good.id(), vote(1));
    assert_eq!(good.message(node.id()).await, vote(1));
    still_works(&mut node, &good).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_consensus_messages_reach_a_peer_that_reads_again() {
    let mut node = Node::new().await;
    let mut raw = Raw::connect(&mut node).await;
    let large = Message::Consensus(vec![7; 8 << 20].into());
    node.say(raw.id, large);
    let last = 20_000;
    for n in 0..=last {
        node.say(raw.id, vote(n));
    }
    let newest = wire::encode(&vote(last)).unwrap();
    let mut read = 0;
    while raw.read_consensus().await.expect("the session lives") != newest {
        read += 1;
    }
    assert!(read < last, "old ones were dropped");
}

/// The node takes no events: its peers wait, none of their messages is lost, and memory stays bounded because the
/// senders' queues fill up.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_node_holds_back_its_peers() {
    let (mut one, two) = pair().await;
    let block = |n: u64| Message::Blocks { request: n, blocks: vec![vec![n as u8; 1 << 20].into()] };
    let mut taken = 0;
    loop {
        match two.p2p.send_to(&one.id(), block(taken)) {
            Ok(()) => taken += 1,
            Err(SendError::QueueFull) if taken > 40 => break,
            Err(SendError::QueueFull) => {
                // The queue filled faster than the connection drains it; go on until nothing moves any more.
                let before = one.p2p.peers()[0].bytes_in;
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                if one.p2p.peers()[0].bytes_in == before {
                    break;
                }
            }
            Err(error) => panic!("{error}"),
        }
        assert!(taken < 200, "a node that takes nothing is sent no end of blocks");
    }
    for n in 0..taken {
        assert_eq!(one.message(two.id()).await, block(n));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_vanishes_without_a_word_is_noticed() {
    let mut node = Node::new().await;
    let raw = Raw::connect(&mut node).await;
    let id = raw.id;
    drop(raw);
    assert!(node.disconnected(id).await.contains("closed"));
    eventually("the list of peers is empty", || node.p2p.peers().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_falls_silent_is_taken_for_lost() {
    let mut node = Node::new().await;
    let raw = Raw::connect(&mut node).await;
    assert!(node.disconnected(raw.id).await.contains("nothing was heard"));
}

/// A node of an earlier version knows the first version of the data stream only: it is spoken to in that, and never hears
/// what it would take for a breach.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_of_an_earlier_version_is_spoken_to_in_its_own() {
    let (mut node, good, mut old) = with_a_good_peer(config(&NodeKey::generate())).await;
    old.write_data(&wire::encode_frame(&head(8)).unwrap()).await;
    assert_eq!(node.message(old.id).await, head(8));
    node.say(old.id, head(9));
    assert_eq!(old.read_data().await, wire::encode(&head(9)).unwrap());
    let request = Message::PartyRequest { request: 1, body: vec![1].into() };
    let answer = Message::PartyAnswer { request: 1, body: vec![1].into() };
    for message in [request.clone(), answer] {
        let kind = message.kind();
        assert_eq!(node.p2p.send_to(&old.id, message), Err(SendError::NotKnown(kind)));
        assert!(!node.p2p.understands(&old.id, kind) && node.p2p.understands(&good.id(), kind));
    }
    let sent = node.p2p.send(&[old.id, good.id()], request);
    assert_eq!(sent.queued, 1);
    assert!(node.p2p.understands(&old.id, Kind::NewHead));
    assert!(!node.p2p.understands(&NodeKey::generate().node_id(), Kind::NewHead), "nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sender_may_not_send_never_leaves() {
    let (one, two) = pair().await;
    let huge = Message::Consensus(vec![1; MAX_CONSENSUS_BYTES].into());
    let error = one.p2p.send_to(&two.id(), huge).unwrap_err();
    assert!(matches!(error, SendError::Invalid(WireError::TooLarge { .. })));
    assert!(one.p2p.is_connected(&two.id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_handshake_is_cut_off() {
    let node = Node::new().await;
    let mut raw = Raw::open(&NodeKey::generate(), node.id(), node.socket()).await.unwrap();
    let mut rest = Vec::new();
    let end = timeout(PATIENCE, raw.consensus_in.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "the node hangs up on a peer that says nothing");
    assert!(node.p2p.peers().is_empty());
}
