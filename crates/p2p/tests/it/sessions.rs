//! Sessions on real sockets: how they begin, what they carry, how they end.

use crate::world::*;
use alloy_primitives::{B256, Bytes};
use lonja_p2p::{
    Abuse, Host, P2pConfig, P2pError, PeerAddress, PeerEvent, PeerGate, SendError, Transport,
    wire::{MAX_PARTY_BYTES, Message},
};
use lonja_primitives::NodeKey;
use std::time::Duration;

type Anything = Result<(), Box<dyn std::error::Error>>;

/// Everything once in both directions, with sizes that do not fit a buffer or a window.
async fn exchange(one: &mut Node, two: &mut Node) {
    let (one_id, two_id) = (one.id(), two.id());
    let large = Bytes::from((0..9_000_000u32).map(|n| n as u8).collect::<Vec<_>>());
    for n in 0..200 {
        one.say(two_id, vote(n));
        one.say(two_id, head(n.into()));
        two.say(one_id, vote(n));
    }
    one.say(two_id, Message::Consensus(large.clone()));
    one.say(two_id, Message::Blocks { request: 7, blocks: vec![large.clone(), Bytes::from_static(b"b")] });
    two.say(one_id, Message::Transactions(vec![Bytes::from_static(b"tx"); 4096]));
    two.say(one_id, Message::GetBlocks { request: 7, from: 1, count: 128 });
    let (mut votes, mut data) = (Vec::new(), Vec::new());
    while votes.len() < 201 || data.len() < 201 {
        match two.message(one_id).await {
            message @ Message::Consensus(_) => votes.push(message),
            message => data.push(message),
        }
    }
    assert_eq!(votes.pop(), Some(Message::Consensus(large.clone())));
    assert!(votes.into_iter().eq((0..200).map(vote)), "in order");
    let blocks = vec![large, Bytes::from_static(b"b")];
    assert_eq!(data.pop(), Some(Message::Blocks { request: 7, blocks }));
    assert!(data.into_iter().eq((0..200).map(head)), "in order");
    let mut last = Vec::new();
    while last.len() < 2 {
        match one.message(two_id).await {
            Message::Consensus(_) => {}
            message => last.push(message),
        }
    }
    parties_talk(one, two).await;
    assert_eq!(last[0], Message::Transactions(vec![Bytes::from_static(b"tx"); 4096]));
    assert_eq!(last[1], Message::GetBlocks { request: 7, from: 1, count: 128 });
}

/// The largest that two managers say to each other.
async fn parties_talk(one: &mut Node, two: &mut Node) {
    let (one_id, two_id) = (one.id(), two.id());
    let body = Bytes::from((0..MAX_PARTY_BYTES - 100).map(|n| n as u8).collect::<Vec<_>>());
    let request = Message::PartyRequest { request: 9, body: body.clone() };
    let answer = Message::PartyAnswer { request: 9, body };
    one.say(two_id, request.clone());
    assert_eq!(two.message(one_id).await, request);
    two.say(one_id, answer.clone());
    assert_eq!(one.message(two_id).await, answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_pass_over_tcp() {
    let (mut one, mut two) = pair().await;
    exchange(&mut one, &mut two).await;
    // What is sent counts when it is written, which its receiver may be ahead of.
    let counted = || one.p2p.peers()[0].bytes_out >= two.p2p.peers()[0].bytes_in;
    eventually("the sender has counted what was received", counted).await;
    let (theirs, ours) = (&one.p2p.peers()[0], &two.p2p.peers()[0]);
    assert_eq!((theirs.node_id, ours.node_id), (two.id(), one.id()));
    assert_eq!((theirs.inbound, ours.inbound), (false, true));
    assert_eq!((theirs.is_static, ours.is_static), (true, false));
    assert_eq!(theirs.enode, two.p2p.enode());
    assert_eq!(ours.enode, one.p2p.enode(), "by the address seen and the port told");
    assert_eq!((theirs.transport, theirs.address.clone()), ("tcp", two.socket().to_string()));
    assert_eq!(ours.head, (199, B256::repeat_byte(9)), "the newest told");
    assert_eq!(theirs.head, (5, B256::repeat_byte(5)), "that of the handshake");
    assert!(ours.bytes_in > 18_000_000 && theirs.bytes_out >= ours.bytes_in);
    assert_eq!(ours.messages_in, 403);
    assert!(theirs.client.starts_with("lonja/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_pass_over_quic() -> Anything {
    let quic = || P2pConfig { quic: true, ..config(&NodeKey::generate()) };
    let mut one = Node::start(quic()).await;
    let mut two = Node::start(quic()).await;
    let peer = lonja_p2p::peer_id_text(&two.id()).ok_or("no peer id")?;
    let address = format!("/ip4/127.0.0.1/udp/{}/quic-v1/p2p/{peer}", two.socket().port());
    one.p2p.add_peer(address.parse()?)?;
    let (one_id, two_id) = (one.id(), two.id());
    tokio::join!(one.connected(two_id), two.connected(one_id));
    assert_eq!(one.p2p.peers()[0].transport, "quic");
    exchange(&mut one, &mut two).await;
    two.p2p.shutdown().await;
    assert!(one.disconnected(two_id).await.contains("stopping"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn quic_is_tried_where_tcp_does_not_answer() -> Anything {
    // QUIC on a port whose TCP side is closed.
    let mut two = Node::start(P2pConfig { quic: true, ..config(&NodeKey::generate()) }).await;
    let free = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    let relay = tokio::net::UdpSocket::bind(free).await?;
    let behind = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
    behind.connect(two.socket()).await?;
    tokio::spawn(async move {
        let (mut there, mut back, mut client) = ([0; 2048], [0; 2048], None);
        loop {
            tokio::select! {
                Ok((read, from)) = relay.recv_from(&mut there) => {
                    client = Some(from);
                    let _ = behind.send(&there[..read]).await;
                }
                Ok(read) = behind.recv(&mut back) => {
                    if let Some(client) = client {
                        let _ = relay.send_to(&back[..read], client).await;
                    }
                }
            }
        }
    });
    let mut one = Node::start(P2pConfig { quic: true, ..config(&NodeKey::generate()) }).await;
    one.p2p.add_peer(format!("enode://{}@127.0.0.1:{}", two.id(), free.port()).parse()?)?;
    let (one_id, two_id) = (one.id(), two.id());
    tokio::join!(one.connected(two_id), two.connected(one_id));
    assert_eq!(one.p2p.peers()[0].transport, "quic");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_looked_up() -> Anything {
    let (mut one, mut two) = (Node::new().await, Node::new().await);
    let address: PeerAddress = format!("enode://{}@localhost:{}", two.id(), two.socket().port()).parse()?;
    one.p2p.add_peer(address.clone())?;
    let (one_id, two_id) = (one.id(), two.id());
    tokio::join!(one.connected(two_id), two.connected(one_id));
    assert_eq!(one.p2p.peers()[0].enode, address.to_string(), "the name is kept");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_dialing_at_once_end_up_with_one_session() {
    for _ in 0..6 {
        let (mut one, mut two) = (Node::new().await, Node::new().await);
        let (one_id, two_id) = (one.id(), two.id());
        one.p2p.add_peer(two.address()).unwrap();
        two.p2p.add_peer(one.address()).unwrap();
        tokio::join!(one.connected(two_id), two.connected(one_id));
        // The session that was announced is the one that stays: what is said on it arrives, whatever became of the
        // other connection.
        for n in 0..20 {
            one.say(two_id, vote(n));
            two.say(one_id, vote(n));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for n in 0..20 {
            assert!(matches!(two.next().await, PeerEvent::Message { message, .. } if message == vote(n)));
            assert!(matches!(one.next().await, PeerEvent::Message { message, .. } if message == vote(n)));
        }
        assert_eq!((one.p2p.peers().len(), two.p2p.peers().len()), (1, 1));
        assert_eq!(one.p2p.peers()[0].inbound, !two.p2p.peers()[0].inbound, "one and the same");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_peer_is_found_again() {
    let mut one = Node::new().await;
    let key = NodeKey::generate();
    let mut two = Node::start(config(&key)).await;
    let (address, socket) = (two.address(), two.socket());
    one.p2p.add_peer(address).unwrap();
    one.connected(key.node_id()).await;
    two.connected(one.id()).await;
    two.p2p.shutdown().await;
    assert_eq!(two.events.recv().await.map(|e| matches!(e, PeerEvent::Disconnected { .. })), Some(true));
    assert_eq!(two.events.recv().await, None, "the events end with the network");
    assert!(one.disconnected(key.node_id()).await.contains("stopping"));
    assert_eq!(one.p2p.send_to(&key.node_id(), vote(1)), Err(SendError::NotConnected));
    let mut two = Node::start(P2pConfig { listen: vec![socket], ..config(&key) }).await;
    one.connected(key.node_id()).await;
    two.connected(one.id()).await;
    two.say(one.id(), vote(2));
    assert_eq!(one.message(key.node_id()).await, vote(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_starts_late_is_found() {
    let (mut one, key) = (Node::new().await, NodeKey::generate());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    one.p2p.add_peer(format!("enode://{}@{port}", key.node_id()).parse().unwrap()).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let _two = Node::start(P2pConfig { listen: vec![port], ..config(&key) }).await;
    one.connected(key.node_id()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_with_nothing_to_say_stay_connected() {
    let (mut one, mut two) = pair().await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert!(one.events.try_recv().is_none() && two.events.try_recv().is_none());
    exchange(&mut one, &mut two).await;
}

/// The line takes nothing any more while megabytes are to be sent on it: no goodbye waits for them.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_behind_a_dead_line_is_dialed_anew_whatever_was_to_be_sent() {
    let (mut one, mut two) = (Node::new().await, Node::new().await);
    let wire = Wire::lay(two.socket()).await;
    let host = two.socket().ip();
    one.p2p.add_peer(PeerAddress::new(two.id(), Host::Ip(host), wire.port, Transport::TcpThenQuic)).unwrap();
    let (one_id, two_id) = (one.id(), two.id());
    tokio::join!(one.connected(two_id), two.connected(one_id));

    wire.stop();
    for n in 0..20 {
        one.say(two_id, Message::Consensus(vec![n; 1 << 20].into()));
    }
    assert!(one.disconnected(two_id).await.contains("nothing was heard"));
    tokio::join!(one.connected(two_id), two.connected(one_id));
    exchange(&mut one, &mut two).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_the_gate_ends_the_session_at_once_and_coming_back_restores_it() {
    let (mut one, mut two) = pair().await;
    let (one_id, two_id) = (one.id(), two.id());
    one.p2p.set_gate(PeerGate::Only([NodeKey::generate().node_id()].into()));
    assert_eq!(one.p2p.send_to(&two_id, vote(1)), Err(SendError::NotConnected), "without a wait");
    assert!(one.p2p.peers().is_empty());
    assert!(one.disconnected(two_id).await.contains("no longer allowed"));
    let reason = two.disconnected(one_id).await;
    assert!(reason.contains("NotAllowed"), "{reason}");
    one.p2p.set_gate(PeerGate::Only([two_id].into()));
    tokio::join!(one.connected(two_id), two.connected(one_id));
    // Before the old connection is gone.
    one.p2p.set_gate(PeerGate::Only([].into()));
    one.p2p.set_gate(PeerGate::Open);
    tokio::join!(one.disconnected(two_id), two.disconnected(one_id));
    tokio::join!(one.connected(two_id), two.connected(one_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_at_the_address_is_not_taken_for_the_peer() {
    let (mut one, mut two) = (Node::new().await, Node::new().await);
    let wrong = NodeKey::generate().node_id();
    one.p2p.add_peer(format!("enode://{wrong}@{}", two.socket()).parse().unwrap()).unwrap();
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert!(one.p2p.peers().is_empty() && two.p2p.peers().is_empty());
    assert!(one.events.try_recv().is_none() && two.events.try_recv().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_outside_the_gate_is_not_dialed_and_not_let_in() {
    let mut one =
        Node::start(P2pConfig { gate: PeerGate::Only([].into()), ..config(&NodeKey::generate()) }).await;
    let mut two = Node::new().await;
    one.p2p.add_peer(two.address()).unwrap();
    two.p2p.add_peer(one.address()).unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(one.events.try_recv().is_none() && two.events.try_recv().is_none());
    one.p2p.set_gate(PeerGate::Open);
    let (one_id, two_id) = (one.id(), two.id());
    tokio::join!(one.connected(two_id), two.connected(one_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_different_chains_do_not_meet() {
    let (mut one, key) = (Node::new().await, NodeKey::generate());
    let mut other = config(&key);
    other.network.genesis_hash = B256::ZERO;
    let mut two = Node::start(other).await;
    one.p2p.add_peer(two.address()).unwrap();
    two.p2p.add_peer(one.address()).unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(one.events.try_recv().is_none() && two.events.try_recv().is_none());
    assert!(one.p2p.peers().is_empty() && two.p2p.peers().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_peer_goes_and_is_not_dialed_again() {
    let (mut one, mut two) = pair().await;
    let (one_id, two_id) = (one.id(), two.id());
    assert!(one.p2p.remove_peer(&two_id));
    assert!(!one.p2p.remove_peer(&two_id));
    assert!(one.p2p.static_peers().is_empty());
    one.disconnected(two_id).await;
    assert!(two.disconnected(one_id).await.contains("Removed"));
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert!(one.p2p.peers().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_content_adds_up_to_a_ban() {
    let (mut one, mut two) = pair().await;
    let (one_id, two_id) = (one.id(), two.id());
    for _ in 0..3 {
        one.p2p.penalise(&two_id, Abuse::InvalidMessage("bad signature".into()));
    }
    assert!(one.p2p.is_connected(&two_id));
    one.p2p.penalise(&two_id, Abuse::InvalidBlock("wrong seal".into()));
    assert!(!one.p2p.is_connected(&two_id));
    assert_eq!(one.disconnected(two_id).await, "wrong seal");
    assert!(two.disconnected(one_id).await.contains("wrong seal"));
    two.p2p.add_peer(one.address()).unwrap();
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert!(one.p2p.peers().is_empty(), "kept out");
    one.p2p.add_peer(two.address()).unwrap();
    one.connected(two_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused() {
    let one = Node::new().await;
    assert!(matches!(one.p2p.add_peer(one.address()), Err(P2pError::OwnAddress)));
    let stranger = NodeKey::generate().node_id();
    assert_eq!(one.p2p.send(&[stranger], vote(1)).refused, [(stranger, SendError::NotConnected)]);
    assert!(matches!(one.p2p.send_to(&stranger, Message::Transactions(vec![])), Err(SendError::Invalid(_))));
    let taken = P2pConfig { listen: vec![one.socket()], ..config(&NodeKey::generate()) };
    let error = lonja_p2p::start(taken).await.err().unwrap();
    assert!(error.to_string().contains(&one.socket().to_string()), "{error}");
}
