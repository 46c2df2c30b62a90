//! A gate that asks: whom it lets in, whom it drops, and how often it is asked.

use crate::world::*;
use lonja_p2p::{
    Host, P2pConfig, PeerAddress, PeerEvent, PeerGate, PeerRule, PeerVerdict, SendError, Transport,
    wire::{self, GoodbyeReason, Message, Status},
};
use lonja_primitives::{NodeId, NodeKey};
use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

type At = Option<(String, u16)>;
type Answer = dyn Fn(&NodeId, Option<(&str, u16)>) -> PeerVerdict + Send + Sync;

/// A rule that notes what it was asked.
struct Rule {
    answer: Box<Answer>,
    asked: Mutex<Vec<(NodeId, At)>>,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rule")
    }
}

impl PeerRule for Rule {
    fn judge(&self, peer: &NodeId, at: Option<(&str, u16)>) -> PeerVerdict {
        self.asked.lock().unwrap().push((*peer, at.map(|(host, port)| (host.to_owned(), port))));
        (self.answer)(peer, at)
    }
}

impl Rule {
    fn new(
        answer: impl Fn(&NodeId, Option<(&str, u16)>) -> PeerVerdict + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { answer: Box::new(answer), asked: Mutex::default() })
    }

    /// Allows these nodes.
    fn allowing(nodes: &[NodeId]) -> Arc<Self> {
        let nodes: BTreeSet<_> = nodes.iter().copied().collect();
        Self::new(move |peer, _| if nodes.contains(peer) { PeerVerdict::Allowed } else { revoked() })
    }

    /// Allows everybody at this place, and cannot tell without.
    fn at(host: &'static str, port: u16) -> Arc<Self> {
        Self::new(move |_, at| match at {
            None => PeerVerdict::NeedsAddress,
            Some(at) if at == (host, port) => PeerVerdict::Allowed,
            Some((host, port)) => PeerVerdict::Refused(format!("not listed at {host}:{port}")),
        })
    }

    fn gate(self: &Arc<Self>) -> PeerGate {
        PeerGate::Ask(self.clone())
    }

    fn asked(&self) -> Vec<At> {
        self.asked.lock().unwrap().iter().map(|(_, at)| at.clone()).collect()
    }
}

fn revoked() -> PeerVerdict {
    PeerVerdict::Refused("node revoked".into())
}

fn at(host: &str, port: u16) -> At {
    Some((host.to_owned(), port))
}

async fn node_with(gate: PeerGate) -> Node {
    Node::start(P2pConfig { gate, ..config(&NodeKey::generate()) }).await
}

/// Long enough for several tries.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(1500)).await;
}

async fn both_connect(one: &mut Node, two: &mut Node) {
    let (one_id, two_id) = (one.id(), two.id());
    tokio::join!(one.connected(two_id), two.connected(one_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_is_not_let_in_and_learns_it() {
    let rule = Rule::allowing(&[]);
    let (mut one, mut two) = (node_with(rule.gate()).await, Node::new().await);
    two.p2p.add_peer(one.address()).unwrap();
    let one_id = one.id();
    eventually("the other node sees that it is not permitted", || two.p2p.unwanted_by() == [one_id]).await;
    assert!(one.events.try_recv().is_none() && two.events.try_recv().is_none());
    let refusals = one.p2p.refusals();
    assert_eq!(refusals.len(), 1, "however often it came");
    assert_eq!((refusals[0].peer, refusals[0].inbound), (two.id(), true));
    assert!(refusals[0].reason.contains("node revoked"), "{}", refusals[0].reason);
    assert!(refusals[0].address.starts_with("127.0.0.1:"), "{}", refusals[0].address);
    assert!(rule.asked().iter().all(Option::is_none), "there is no address yet");
    assert!(two.p2p.refusals().is_empty() && one.p2p.unwanted_by().is_empty());

    // Permitted without a restart of anybody, and then nobody refuses it any more.
    one.p2p.set_gate(Rule::allowing(&[two.id()]).gate());
    both_connect(&mut one, &mut two).await;
    assert!(two.p2p.unwanted_by().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_no_stream_through_a_rule() {
    let friend = NodeKey::generate();
    let mut node = node_with(Rule::allowing(&[friend.node_id()]).gate()).await;
    assert!(Raw::open(&NodeKey::generate(), node.id(), node.socket()).await.is_none());
    let raw = Raw::greet(&friend, &node, &status(1)).await;
    node.connected(raw.id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_is_not_even_knocked_at() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = NodeKey::generate().node_id();
    let rule = Rule::new(|_, at| if at.is_some() { PeerVerdict::NeedsAddress } else { PeerVerdict::Allowed });
    let one = node_with(rule.gate()).await;
    let address: PeerAddress = format!("enode://{peer}@localhost:{port}").parse().unwrap();
    one.p2p.add_peer(address.clone()).unwrap();
    eventually("it is refused", || !one.p2p.refusals().is_empty()).await;
    let refused = &one.p2p.refusals()[0];
    assert_eq!((refused.peer, refused.inbound), (peer, false));
    assert_eq!(refused.address, format!("localhost:{port}"));
    a_while().await;
    assert!(futures::poll!(std::pin::pin!(listener.accept())).is_pending());
    assert_eq!(rule.asked(), [at("localhost", port)], "asked once");
    assert_eq!(one.p2p.static_peers(), [address], "it may be permitted later");

    one.p2p.set_gate(Rule::allowing(&[peer]).gate());
    assert!(tokio::time::timeout(PATIENCE, listener.accept()).await.is_ok());
}

/// Both roles in the handshake: the node as the one who decides and as the one who speaks first.
#[tokio::test(flavor = "multi_thread")]
async fn where_only_an_address_tells_it_is_asked_for_after_the_handshake() {
    let (low, high) = ordered_keys();
    for (node_key, raw_key) in [(&low, &high), (&high, &low)] {
        let rule = Rule::at("127.0.0.1", 7);
        let mut node = Node::start(P2pConfig { gate: rule.gate(), ..config(node_key) }).await;
        let elsewhere = Status { listen_port: 8, ..status(1) };
        let mut raw = Raw::greet(raw_key, &node, &elsewhere).await;
        let goodbye = raw.goodbye().await;
        assert_eq!(goodbye.reason, GoodbyeReason::NotAllowed);
        assert!(goodbye.text.contains("not listed at 127.0.0.1:8"), "{}", goodbye.text);
        assert_eq!(rule.asked(), [None, at("127.0.0.1", 8)]);
        assert!(node.events.try_recv().is_none() && node.p2p.peers().is_empty());
        let refusals = node.p2p.refusals();
        assert_eq!((refusals.len(), refusals[0].peer, refusals[0].inbound), (1, raw.id, true));

        let mut raw = Raw::greet(raw_key, &node, &Status { listen_port: 7, ..status(2) }).await;
        node.connected(raw.id).await;
        raw.write_consensus(&wire::encode_frame(&vote(3)).unwrap()).await;
        assert_eq!(node.message(raw.id).await, vote(3));
        assert_eq!(rule.asked()[2..], [None, at("127.0.0.1", 7)]);

        // The next gate is asked about the same place.
        let next = Rule::at("127.0.0.1", 7);
        node.p2p.set_gate(next.gate());
        assert!(node.p2p.is_connected(&raw.id));
        assert_eq!(next.asked(), [at("127.0.0.1", 7)]);
        node.p2p.set_gate(Rule::at("10.0.0.1", 7).gate());
        assert!(!node.p2p.is_connected(&raw.id));
        assert!(node.disconnected(raw.id).await.contains("not listed at 127.0.0.1:7"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_refused_for_its_address_learns_why() {
    let two = Node::new().await;
    let rule = Rule::at("10.0.0.1", 7);
    let mut one = node_with(rule.gate()).await;
    two.p2p.add_peer(one.address()).unwrap();
    let one_id = one.id();
    eventually("the other node sees that it is not permitted", || two.p2p.unwanted_by() == [one_id]).await;
    assert!(one.events.try_recv().is_none());
    assert_eq!(rule.asked(), [None, at("127.0.0.1", two.socket().port())]);
    a_while().await;
    assert_eq!(rule.asked().len(), 2, "who was told so does not come again soon");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialed_peer_is_judged_by_the_address_it_is_configured_with() {
    let mut two = Node::new().await;
    let rule = Rule::at("localhost", two.socket().port());
    let mut one = node_with(rule.gate()).await;
    one.p2p
        .add_peer(format!("enode://{}@localhost:{}", two.id(), two.socket().port()).parse().unwrap())
        .unwrap();
    both_connect(&mut one, &mut two).await;
    for n in 0..500 {
        one.say(two.id(), vote(n));
        two.say(one.id(), vote(n));
    }
    while two.message(one.id()).await != vote(499) {}
    while one.message(two.id()).await != vote(499) {}
    a_while().await;
    assert_eq!(rule.asked(), [at("localhost", two.socket().port())], "once for the dial and the session");
    let next = Rule::at("localhost", two.socket().port());
    one.p2p.set_gate(next.gate());
    a_while().await;
    assert_eq!(next.asked(), [at("localhost", two.socket().port())], "once for the session");
    assert!(one.p2p.is_connected(&two.id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_gate_drops_at_once_and_nothing_passes_after_it() {
    let mut node = Node::new().await;
    let mut raw = Raw::connect(&mut node).await;
    let mut friend = Raw::connect(&mut node).await;
    node.say(raw.id, vote(1));
    assert_eq!(raw.read_consensus().await.unwrap().first(), Some(&(wire::Kind::Status as u8)));
    assert_eq!(raw.read_consensus().await, Some(wire::encode(&vote(1)).unwrap()));

    let rule = Rule::allowing(&[friend.id]);
    node.p2p.set_gate(rule.gate());
    assert_eq!(node.p2p.send_to(&raw.id, vote(2)), Err(SendError::NotConnected), "without a wait");
    assert_eq!(node.p2p.connected(), [friend.id]);
    raw.write_consensus(&wire::encode_frame(&vote(3)).unwrap()).await;
    let said = node.next().await;
    assert!(
        matches!(&said, PeerEvent::Disconnected { reason, .. } if reason.contains("node revoked")),
        "{said:?}"
    );
    let last = raw.read_consensus().await.unwrap();
    let goodbye = wire::decode_goodbye(&last).expect("nothing but the goodbye comes");
    assert_eq!(goodbye.reason, GoodbyeReason::NotAllowed);
    assert_eq!(raw.read_consensus().await, None);
    assert_eq!(rule.asked().len(), 2, "once for each session");
    let refusals = node.p2p.refusals();
    assert_eq!((refusals[0].peer, refusals[0].reason.as_str()), (raw.id, "node revoked"));

    friend.write_consensus(&wire::encode_frame(&vote(4)).unwrap()).await;
    assert_eq!(node.message(friend.id).await, vote(4));
}

/// What waits in the queues when the gate changes stays there.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_dropped_peer_is_not_sent() {
    let mut node = Node::new().await;
    let mut raw = Raw::connect(&mut node).await;
    // It does not read: what is larger than the buffers on the way waits.
    node.say(raw.id, Message::Consensus(vec![7; 8 << 20].into()));
    for n in 0..500 {
        node.say(raw.id, vote(n));
    }
    node.p2p.set_gate(Rule::allowing(&[]).gate());
    while let Some(message) = raw.read_consensus().await {
        assert!(!(0..500).any(|n| message == wire::encode(&vote(n)).unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_takes_its_time_holds_up_nobody() {
    let (one, mut two) = pair().await;
    let (began, begins) = mpsc::channel();
    let (go, goes) = mpsc::channel::<()>();
    let (began, goes) = (Mutex::new(began), Mutex::new(goes));
    let rule = Rule::new(move |_, _| {
        began.lock().unwrap().send(()).unwrap();
        goes.lock().unwrap().recv().unwrap();
        revoked()
    });
    let (p2p, gate) = (one.p2p.clone(), rule.gate());
    let change = std::thread::spawn(move || p2p.set_gate(gate));
    begins.recv().unwrap();
    one.say(two.id(), vote(1));
    assert_eq!(two.message(one.id()).await, vote(1));
    assert_eq!(one.p2p.peers().len(), 1);
    one.p2p.set_head(9, network().genesis_hash);
    go.send(()).unwrap();
    change.join().unwrap();
    assert_eq!(one.p2p.send_to(&two.id(), vote(2)), Err(SendError::NotConnected));
    drop(go);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_left_the_gate_and_came_back_is_dialed_at_once() {
    // The first one dialed.
    let (mut one, mut two) = pair().await;
    let (one_id, two_id) = (one.id(), two.id());
    one.p2p.set_gate(Rule::allowing(&[]).gate());
    let reason = two.disconnected(one_id).await;
    assert!(reason.contains("the other node does not permit this one"), "{reason}");
    assert!(reason.contains("node revoked"), "{reason}");
    one.disconnected(two_id).await;
    a_while().await;
    assert!(one.p2p.peers().is_empty() && one.p2p.static_peers().len() == 1);
    assert_eq!(two.p2p.unwanted_by(), [one_id]);
    one.p2p.set_gate(Rule::allowing(&[two_id]).gate());
    both_connect(&mut one, &mut two).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_own_gate_is_a_reason_to_ask_the_others_again() {
    let (mut one, mut two) = pair().await;
    let (one_id, two_id) = (one.id(), two.id());
    two.p2p.set_gate(PeerGate::Only([].into()));
    one.disconnected(two_id).await;
    two.disconnected(one_id).await;
    two.p2p.set_gate(PeerGate::Open);
    a_while().await;
    assert_eq!(one.p2p.unwanted_by(), [two_id]);
    assert!(one.p2p.peers().is_empty(), "who was told so comes back slowly");
    one.p2p.set_gate(Rule::allowing(&[two_id]).gate());
    both_connect(&mut one, &mut two).await;
    assert!(one.p2p.unwanted_by().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn gates_that_follow_each_other_quickly_end_with_the_last() {
    let (mut one, mut two) = pair().await;
    let (one_id, two_id) = (one.id(), two.id());
    let changes: Vec<_> = (0..4)
        .map(|n| {
            let p2p = one.p2p.clone();
            std::thread::spawn(move || {
                for round in 0..50 {
                    let nodes = if (n + round) % 2 == 0 { vec![two_id] } else { vec![] };
                    p2p.set_gate(Rule::allowing(&nodes).gate());
                }
            })
        })
        .collect();
    changes.into_iter().for_each(|change| change.join().unwrap());
    one.p2p.set_gate(Rule::allowing(&[]).gate());
    assert!(one.p2p.peers().is_empty());
    one.p2p.set_gate(Rule::allowing(&[two_id]).gate());
    two.p2p.set_gate(PeerGate::Open);
    let connected = || one.p2p.is_connected(&two_id) && two.p2p.is_connected(&one_id);
    eventually("they meet again", connected).await;
    one.say(two_id, vote(77));
    assert_eq!(two.message(one_id).await, vote(77));
    two.say(one_id, vote(78));
    assert_eq!(one.message(two_id).await, vote(78));
}

#[tokio::test(flavor = "multi_thread")]
async fn known_addresses_are_dialed_and_are_not_static() {
    let (mut one, mut two) = (Node::new().await, Node::new().await);
    assert_eq!(one.p2p.set_known_addresses(vec![two.address(), one.address()]), 0);
    both_connect(&mut one, &mut two).await;
    let peer = &one.p2p.peers()[0];
    assert_eq!((peer.is_static, peer.enode.clone()), (false, two.p2p.enode()));
    assert!(one.p2p.static_peers().is_empty());
    one.p2p.set_known_addresses(vec![]);
    a_while().await;
    assert!(one.p2p.is_connected(&two.id()), "a session does not end with the address");
    two.p2p.remove_peer(&one.id());
    one.disconnected(two.id()).await;
    a_while().await;
    assert!(one.p2p.peers().is_empty(), "it is not dialed again");
}

#[tokio::test(flavor = "multi_thread")]
async fn known_addresses_are_dialed_as_far_as_there_is_room_and_the_gate_permits() {
    let (one, gate) = (NodeKey::generate(), Rule::new(|_, _| PeerVerdict::Allowed));
    let one = Node::start(P2pConfig { max_peers: 2, gate: gate.gate(), ..config(&one) }).await;
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(Node::new().await);
    }
    // The first is configured and does not count.
    one.p2p.add_peer(others[0].address()).unwrap();
    one.p2p.set_known_addresses(others.iter().map(Node::address).collect());
    eventually("there are as many as wanted", || one.p2p.peers().len() == 3).await;
    a_while().await;
    let connected = one.p2p.connected();
    assert_eq!(connected.len(), 3);
    assert!(connected.contains(&others[0].id()));
    assert_eq!(gate.asked().len(), 3, "nobody is judged who is not to be dialed");

    let (gone, rest): (Vec<_>, Vec<_>) =
        others[1..].iter().partition(|other| connected.contains(&other.id()));
    let allowed: Vec<_> = rest.iter().map(|other| other.id()).collect();
    one.p2p.set_gate(Rule::allowing(&allowed).gate());
    eventually("others take the places of those who left", || {
        allowed.iter().all(|other| one.p2p.is_connected(other))
    })
    .await;
    assert!(gone.iter().all(|other| !one.p2p.is_connected(&other.id())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_address_counts_more_than_a_known_one() {
    let (mut one, mut two) = (Node::new().await, Node::new().await);
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let wrong = PeerAddress::new(two.id(), Host::Ip(nowhere.ip()), nowhere.port(), Transport::TcpThenQuic);
    one.p2p.add_peer(wrong).unwrap();
    one.p2p.set_known_addresses(vec![two.address()]);
    a_while().await;
    assert!(one.p2p.peers().is_empty());
    assert!(one.p2p.remove_peer(&two.id()));
    one.p2p.set_known_addresses(vec![two.address()]);
    both_connect(&mut one, &mut two).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn known_addresses_are_bounded() {
    let one = Node::start(P2pConfig { max_peers: 0, ..config(&NodeKey::generate()) }).await;
    let id = |n: usize| {
        let mut id = one.id();
        id.0[..8].copy_from_slice(&n.to_be_bytes());
        id
    };
    let address = |n| PeerAddress::new(id(n), Host::Ip([127, 0, 0, 1].into()), 9, Transport::TcpThenQuic);
    let mut many: Vec<_> = (0..lonja_p2p::MAX_KNOWN_PEERS + 10).map(address).collect();
    many.extend((0..20).map(address));
    assert_eq!(one.p2p.set_known_addresses(many), 10, "the same ones again do not count");
    assert_eq!(one.p2p.set_known_addresses(vec![address(1), address(2)]), 0, "replaced whole");
}
