use super::*;
use alloy_primitives::{Address, B256};
use lonja_p2p::wire::MAX_PARTY_BYTES;
use lonja_p2p::{NetworkId, P2pConfig, PeerEvent};
use lonja_primitives::genesis::NewNetwork;
use lonja_primitives::{Genesis, NodeKey};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node as far as parties are concerned.
struct Side {
    p2p: P2p,
    parties: Parties,
}

impl Side {
    async fn new() -> Self {
        let validators = vec![Address::repeat_byte(1)];
        let genesis = NewNetwork { validators, ..NewNetwork::default() };
        let rules = Genesis::from_json(&genesis.to_json()).unwrap().spec.rule_ids(B256::ZERO);
        let network = NetworkId { genesis_hash: B256::ZERO, chain_id: 1337, rules };
        let config = P2pConfig {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            ..P2pConfig::new(NodeKey::generate(), network, (0, B256::ZERO))
        };
        let (p2p, mut events) = lonja_p2p::start(config).await.unwrap();
        let parties = Parties::new(p2p.clone());
        let deliver = parties.clone();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                match event {
                    PeerEvent::Connected { peer, .. } => deliver.peer_up(peer),
                    PeerEvent::Disconnected { peer, .. } => deliver.peer_down(peer),
                    PeerEvent::Message { peer, message: Message::PartyRequest { request, body } } => {
                        deliver.requested(peer, request, body);
                    }
                    PeerEvent::Message { peer, message: Message::PartyAnswer { request, body } } => {
                        deliver.answered(peer, request, body);
                    }
                    PeerEvent::Message { .. } => {}
                }
            }
        });
        Self { p2p, parties }
    }

    fn id(&self) -> NodeId {
        self.p2p.node_id()
    }

    async fn meet(&self, other: &Self) {
        self.p2p.add_peer(other.p2p.enode().parse().unwrap()).unwrap();
        let met = || self.parties.is_reachable(&other.id()) && other.parties.is_reachable(&self.id());
        until("the two are connected", met).await;
    }

    async fn ask(&self, other: &Self, body: impl Into<Bytes>) -> Result<Bytes, NoAnswer> {
        timeout(PATIENCE, self.parties.ask(other.id(), body.into())).await.expect("an answer in time")
    }

    fn under_way(&self) -> usize {
        self.parties.0.asked.lock().waiting.len()
    }
}

async fn two() -> (Side, Side) {
    let (one, two) = (Side::new().await, Side::new().await);
    one.meet(&two).await;
    (one, two)
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let poll = async {
        while !condition() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, poll).await.unwrap_or_else(|_| panic!("{what}"));
}

/// Gives every request back, and says who came.
struct Echo(mpsc::UnboundedSender<NodeId>);

impl Desk for Echo {
    fn handle(&self, _: NodeId, request: Bytes) -> BoxFuture<'_, Bytes> {
        Box::pin(async move { request })
    }

    fn peer_up(&self, peer: NodeId) {
        let _ = self.0.send(peer);
    }
}

/// Answers nobody before it is allowed to.
struct Slow {
    begun: AtomicUsize,
    allowed: Semaphore,
}

impl Slow {
    fn new() -> Arc<Self> {
        Arc::new(Self { begun: AtomicUsize::new(0), allowed: Semaphore::new(0) })
    }
}

impl Desk for Slow {
    fn handle(&self, _: NodeId, request: Bytes) -> BoxFuture<'_, Bytes> {
        Box::pin(async move {
            self.begun.fetch_add(1, Ordering::Relaxed);
            self.allowed.acquire().await.unwrap().forget();
            request
        })
    }

    fn peer_up(&self, _: NodeId) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_answered_whatever_their_size() {
    let (one, two) = two().await;
    let (sender, mut seen) = mpsc::unbounded_channel();
    two.parties.serve(Arc::new(Echo(sender)));
    assert_eq!(seen.recv().await, Some(one.id()), "who was there before the desk is told too");
    assert_eq!(one.ask(&two, vec![7]).await, Ok(vec![7].into()));
    let large: Vec<u8> = (0..MAX_PARTY_BYTES - 20).map(|n| n as u8).collect();
    assert_eq!(one.ask(&two, large.clone()).await, Ok(large.into()));
    let many = (0..500u32).map(|n| one.ask(&two, n.to_be_bytes().to_vec()));
    let answers = futures::future::join_all(many).await;
    // Of one peer so many wait at a time; the rest is told at once.
    assert!(answers.iter().filter(|answer| answer.is_ok()).count() >= PEER_REQUESTS);
    let over = one.ask(&two, vec![1; MAX_PARTY_BYTES]).await;
    assert!(matches!(over, Err(NoAnswer::TooLarge(_))), "{over:?}");
    assert_eq!(one.under_way(), 0);
    let three = Side::new().await;
    three.meet(&two).await;
    assert_eq!(seen.recv().await, Some(three.id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_answers_that_is_told() {
    let (one, two) = two().await;
    assert_eq!(one.ask(&two, vec![7]).await, Err(NoAnswer::NotServed), "no manager there");
    let stranger = NodeKey::generate().node_id();
    assert!(!one.parties.is_reachable(&stranger));
    assert_eq!(one.parties.ask(stranger, vec![7].into()).await, Err(NoAnswer::NotConnected));
    let slow = Slow::new();
    two.parties.serve(slow.clone());
    let asking = one.ask(&two, vec![7]);
    let leaving = async {
        until("it arrived", || slow.begun.load(Ordering::Relaxed) == 1).await;
        two.p2p.shutdown().await;
    };
    let (answer, ()) = tokio::join!(asking, leaving);
    assert_eq!(answer, Err(NoAnswer::Lost));
    assert_eq!(one.under_way(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_peer_does_not_take_the_place_of_all() {
    let (one, two) = two().await;
    let three = Side::new().await;
    three.meet(&two).await;
    let slow = Slow::new();
    two.parties.serve(slow.clone());
    let extra = 9;
    let flood = (0..PEER_REQUESTS + extra).map(|_| one.ask(&two, vec![7]));
    let others = async {
        until("as many are dealt with as may be", || slow.begun.load(Ordering::Relaxed) == PEER_WORKING)
            .await;
        three.ask(&two, vec![8]).await
    };
    let free = async {
        until("the other has a turn", || slow.begun.load(Ordering::Relaxed) == PEER_WORKING + 1).await;
        until("all but the last wait", || one.under_way() == PEER_REQUESTS).await;
        slow.allowed.add_permits(PEER_REQUESTS + 1);
    };
    let (answers, other, ()) = tokio::join!(futures::future::join_all(flood), others, free);
    assert_eq!(other, Ok(vec![8].into()));
    let refused = answers.iter().filter(|answer| **answer == Err(NoAnswer::NotServed)).count();
    assert_eq!((refused, answers.iter().filter(|answer| answer.is_ok()).count()), (extra, PEER_REQUESTS));
    until("the room is given back", || two.parties.0.taken.lock().of_peer.is_empty()).await;
    assert_eq!(two.parties.0.taken.lock().bytes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_wait_have_a_bound() {
    let (one, two) = two().await;
    let slow = Slow::new();
    two.parties.serve(slow.clone());
    let size = MAX_PARTY_BYTES - 100;
    let large = || one.ask(&two, vec![7; size]);
    let free = async {
        until("two wait, which is all there is room for", || one.under_way() == 2).await;
        slow.allowed.add_permits(2);
    };
    let (a, b, c, ()) = tokio::join!(large(), large(), large(), free);
    let answers = [a, b, c];
    assert_eq!(answers.iter().filter(|answer| **answer == Err(NoAnswer::NotServed)).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_was_asked_answers_and_nobody_answers_who_gave_up() {
    let (one, two) = two().await;
    let slow = Slow::new();
    two.parties.serve(slow.clone());
    let asking = one.ask(&two, vec![7]);
    let meddling = async {
        until("it arrived", || slow.begun.load(Ordering::Relaxed) == 1).await;
        let request = one.parties.0.asked.lock().waiting.keys().copied().next().unwrap();
        one.parties.answered(NodeKey::generate().node_id(), request, vec![9].into());
        one.parties.answered(two.id(), request.wrapping_add(1), vec![9].into());
        assert_eq!(one.under_way(), 1);
        slow.allowed.add_permits(1);
    };
    let (answer, ()) = tokio::join!(asking, meddling);
    assert_eq!(answer, Ok(vec![7].into()));
    let asking = timeout(Duration::from_millis(50), one.parties.ask(two.id(), vec![7].into()));
    assert!(asking.await.is_err());
    assert_eq!(one.under_way(), 0, "nothing is left of it");
    slow.allowed.add_permits(2);
    assert_eq!(one.ask(&two, vec![7]).await.map(|answer| answer.len()), Ok(1));
}
