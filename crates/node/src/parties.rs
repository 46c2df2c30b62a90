//! Carries what the managers of parties say to each other, over the sessions with peers.
//!
//! Ours asks ([`Parties::ask`]) and gets the answer, or learns soon that there will be none; what others ask is handed to
//! ours, off the task that takes messages in, a bounded number at a time. What is said is opaque here, and a secret: it
//! stands in no log.

use alloy_primitives::Bytes;
use futures::future::BoxFuture;
use lonja_p2p::wire::{Kind, Message};
use lonja_p2p::{P2p, SendError};
use lonja_primitives::NodeId;
use lonja_ptm::{Courier, CourierError, EmbeddedManager};
use metrics::{counter, gauge};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep, timeout_at};

/// Requests of ours that wait for their answers: some thousand transactions a second with a few recipients each, for as
/// long as a slow one takes. Each is a hundred bytes; what is asked waits in the queues of the sessions, which have bounds
/// of their own.
const ASKED_MAX: usize = 8_192;
/// How long an answer may take, beside the time on the way: the other side makes what it got durable first.
const ANSWER_TIME: Duration = Duration::from_secs(15);
/// The slowest line that large messages are waited for on, bytes a second: a megabit a second, as the manager waits.
const LINE_BYTES_PER_SECOND: usize = 128 << 10;
/// While the queue to a peer is full, it is tried again after this, and then more and more slowly up to
/// [`RETRY_MOST`].
const RETRY_FIRST: Duration = Duration::from_millis(10);
/// The longest pause between two tries.
const RETRY_MOST: Duration = Duration::from_millis(500);
/// How long an answer of ours may wait for room in the queue to its peer. Who asked does not wait much longer.
const ANSWER_ROOM_TIME: Duration = Duration::from_secs(10);
/// Requests of peers that are dealt with at a time. Each waits for the disk mostly, and many share one write.
const WORKING_MAX: usize = 256;
/// Of these, requests of one peer: whoever asks much does not hold up the others.
const PEER_WORKING: usize = 128;
/// Requests of one peer that wait or are dealt with.
const PEER_REQUESTS: usize = 256;
/// Bytes of them: two of the largest messages.
const PEER_BYTES: usize = 24 << 20;
/// Bytes of all peers' together.
const ALL_BYTES: usize = 96 << 20;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoAnswer {
    /// It is not connected.
    #[error("the node is not connected")]
    NotConnected,
    /// It runs a version that knows nothing of this.
    #[error("the node runs a version without a manager")]
    NotKnown,
    /// The session ended before the answer came.
    #[error("the node was disconnected before it answered")]
    Lost,
    /// Nobody there deals with it, or too much waits there.
    #[error("the node has no manager, or is too busy")]
    NotServed,
    /// It did not come in time.
    #[error("the node did not answer in time")]
    TimedOut,
    /// Too many requests wait here already.
    #[error("too many requests to other nodes are under way")]
    Busy,
    /// It is longer than a message may be.
    #[error("{0}")]
    TooLarge(String),
}

/// Who deals with what others ask, and hears of peers.
pub trait Desk: Send + Sync {
    /// A peer asks; the answer, which may be empty where there is none.
    fn handle(&self, peer: NodeId, request: Bytes) -> BoxFuture<'_, Bytes>;

    /// A session with a peer that understands us stands.
    fn peer_up(&self, peer: NodeId);
}

/// The way between managers. Cheap to clone.
#[derive(Clone)]
pub struct Parties(Arc<Shared>);

struct Shared {
    p2p: P2p,
    desk: Mutex<Option<Arc<dyn Desk>>>,
    asked: Mutex<Asked>,
    taken: Mutex<Taken>,
    working: Semaphore,
}

/// Our requests under way.
struct Asked {
    next: u64,
    waiting: HashMap<u64, (NodeId, oneshot::Sender<Bytes>)>,
}

/// Requests of peers that wait or are dealt with.
#[derive(Default)]
struct Taken {
    bytes: usize,
    of_peer: HashMap<NodeId, OfPeer>,
}

/// Those of one peer.
struct OfPeer {
    requests: usize,
    bytes: usize,
    working: Arc<Semaphore>,
}

/// Gives the number of a request back, however its future ends.
struct Number<'a> {
    shared: &'a Shared,
    request: u64,
}

/// Gives the room of a request back.
struct Room {
    shared: Arc<Shared>,
    peer: NodeId,
    bytes: usize,
    /// Turns of its peer.
    working: Arc<Semaphore>,
}

impl Parties {
    /// Over these sessions. Until there is a [`Desk`], every request is answered with nothing.
    pub fn new(p2p: P2p) -> Self {
        let asked = Asked { next: rand::random(), waiting: HashMap::new() };
        Self(Arc::new(Shared {
            p2p,
            desk: Mutex::default(),
            asked: Mutex::new(asked),
            taken: Mutex::default(),
            working: Semaphore::new(WORKING_MAX),
        }))
    }

    /// From now on this deals with what others ask.
    pub fn serve(&self, desk: Arc<dyn Desk>) {
        *self.0.desk.lock() = Some(desk);
        self.0.p2p.connected().into_iter().for_each(|peer| self.peer_up(peer));
    }

    /// From now on nobody deals with what others ask. A desk that asks by this very way could not end otherwise.
    pub fn close(&self) {
        *self.0.desk.lock() = None;
    }

    fn desk(&self) -> Option<Arc<dyn Desk>> {
        self.0.desk.lock().clone()
    }

    /// Whether a request can be sent to this node now.
    pub fn is_reachable(&self, node: &NodeId) -> bool {
        self.0.p2p.understands(node, Kind::PartyRequest)
    }

    /// Asks the manager of a node. A message may be 12 MiB long, a little less for what goes around it.
    pub async fn ask(&self, to: NodeId, body: Bytes) -> Result<Bytes, NoAnswer> {
        let answered = self.0.ask(to, body).await;
        counter!("lonja_parties_asked_total", "outcome" => outcome(&answered)).increment(1);
        answered
    }

    /// A peer asks. Never waits: what is too much is refused at once.
    pub fn requested(&self, peer: NodeId, request: u64, body: Bytes) {
        counter!("lonja_parties_requests_total").increment(1);
        let desk = self.desk();
        let room = self.0.take_room(peer, body.len());
        let (Some(desk), Some(room)) = (desk, room) else {
            return self.refuse(peer, request);
        };
        tokio::spawn(async move {
            let (shared, working) = (room.shared.clone(), room.working.clone());
            let Ok(_turn_of_its_peer) = working.acquire().await else { return };
            let Ok(_turn) = shared.working.acquire().await else { return };
            let body = desk.handle(peer, body).await;
            let until = Instant::now() + ANSWER_ROOM_TIME;
            let _ = shared.send(peer, Message::PartyAnswer { request, body }, until).await;
            drop(room);
        });
    }

    /// Tells a peer that nobody deals with its request.
    pub fn refuse(&self, peer: NodeId, request: u64) {
        counter!("lonja_parties_refused_total").increment(1);
        // Where its queue is full, the asker's time runs out.
        let _ = self.0.p2p.send_to(&peer, Message::PartyAnswer { request, body: Bytes::new() });
    }

    /// A peer answers. What nobody waits for, mostly because it comes late, is dropped.
    pub fn answered(&self, peer: NodeId, request: u64, body: Bytes) {
        let mut asked = self.0.asked.lock();
        let expected = asked.waiting.get(&request).is_some_and(|(asked, _)| *asked == peer);
        match expected.then(|| asked.waiting.remove(&request)).flatten() {
            Some((_, answer)) => drop(answer.send(body)),
            None => counter!("lonja_parties_stray_answers_total").increment(1),
        }
    }

    /// A session stands.
    pub fn peer_up(&self, peer: NodeId) {
        if let Some(desk) = self.desk().filter(|_| self.is_reachable(&peer)) {
            desk.peer_up(peer);
        }
    }

    /// A session ended: no answer will come on it.
    pub fn peer_down(&self, peer: NodeId) {
        self.0.asked.lock().waiting.retain(|_, (asked, _)| *asked != peer);
    }
}

impl Shared {
    async fn ask(&self, to: NodeId, body: Bytes) -> Result<Bytes, NoAnswer> {
        let on_the_way = Duration::from_secs((body.len() / LINE_BYTES_PER_SECOND) as u64);
        let until = Instant::now() + ANSWER_TIME + on_the_way;
        let (number, answer) = self.number(to)?;
        let message = Message::PartyRequest { request: number.request, body };
        self.send(to, message, until).await.map_err(NoAnswer::from)?;
        match timeout_at(until, answer).await {
            Ok(Ok(body)) if body.is_empty() => Err(NoAnswer::NotServed),
            Ok(Ok(body)) => Ok(body),
            Ok(Err(_)) => Err(NoAnswer::Lost),
            Err(_) => Err(NoAnswer::TimedOut),
        }
    }

    fn number(&self, to: NodeId) -> Result<(Number<'_>, oneshot::Receiver<Bytes>), NoAnswer> {
        let (sender, receiver) = oneshot::channel();
        let mut asked = self.asked.lock();
        if asked.waiting.len() >= ASKED_MAX {
            return Err(NoAnswer::Busy);
        }
        let request = asked.next;
        asked.next = request.wrapping_add(1);
        asked.waiting.insert(request, (to, sender));
        gauge!("lonja_parties_waiting").set(asked.waiting.len() as f64);
        Ok((Number { shared: self, request }, receiver))
    }

    /// Puts a message into the queue of a peer, waiting for room in it.
    async fn send(&self, to: NodeId, message: Message, until: Instant) -> Result<(), SendError> {
        let mut pause = RETRY_FIRST;
        loop {
            match self.p2p.send_to(&to, message.clone()) {
                Err(SendError::QueueFull) if Instant::now() + pause < until => sleep(pause).await,
                sent => return sent,
            }
            pause = pause.saturating_mul(2).min(RETRY_MOST);
        }
    }

    fn take_room(self: &Arc<Self>, peer: NodeId, bytes: usize) -> Option<Room> {
        let mut taken = self.taken.lock();
        let all = taken.bytes.saturating_add(bytes);
        let none = || OfPeer { requests: 0, bytes: 0, working: Arc::new(Semaphore::new(PEER_WORKING)) };
        let of_peer = taken.of_peer.entry(peer).or_insert_with(none);
        let own = of_peer.bytes.saturating_add(bytes);
        let refused = of_peer.requests >= PEER_REQUESTS || own > PEER_BYTES || all > ALL_BYTES;
        if refused {
            taken.forget_idle(&peer);
            return None;
        }
        of_peer.requests += 1;
        of_peer.bytes = own;
        let working = of_peer.working.clone();
        taken.bytes = all;
        Some(Room { shared: self.clone(), peer, bytes, working })
    }
}

impl Courier for Parties {
    fn ask(&self, to: NodeId, request: Bytes) -> BoxFuture<'_, Result<Bytes, CourierError>> {
        Box::pin(async move { Ok(Parties::ask(self, to, request).await?) })
    }

    fn is_reachable(&self, node: &NodeId) -> bool {
        Parties::is_reachable(self, node)
    }
}

impl Desk for EmbeddedManager {
    fn handle(&self, peer: NodeId, request: Bytes) -> BoxFuture<'_, Bytes> {
        Box::pin(EmbeddedManager::handle(self, peer, request))
    }

    fn peer_up(&self, peer: NodeId) {
        self.connected(peer);
    }
}

impl Drop for Number<'_> {
    fn drop(&mut self) {
        let mut asked = self.shared.asked.lock();
        asked.waiting.remove(&self.request);
        gauge!("lonja_parties_waiting").set(asked.waiting.len() as f64);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut taken = self.shared.taken.lock();
        taken.bytes = taken.bytes.saturating_sub(self.bytes);
        if let Some(of_peer) = taken.of_peer.get_mut(&self.peer) {
            of_peer.requests = of_peer.requests.saturating_sub(1);
            of_peer.bytes = of_peer.bytes.saturating_sub(self.bytes);
        }
        taken.forget_idle(&self.peer);
    }
}

impl Taken {
    fn forget_idle(&mut self, peer: &NodeId) {
        if self.of_peer.get(peer).is_some_and(|of_peer| of_peer.requests == 0) {
            self.of_peer.remove(peer);
        }
    }
}

impl From<SendError> for NoAnswer {
    fn from(error: SendError) -> Self {
        match error {
            SendError::NotConnected => Self::NotConnected,
            SendError::NotKnown(_) => Self::NotKnown,
            SendError::QueueFull => Self::TimedOut,
            SendError::Invalid(error) => Self::TooLarge(error.to_string()),
        }
    }
}

impl From<NoAnswer> for CourierError {
    fn from(why: NoAnswer) -> Self {
        match why {
            NoAnswer::NotConnected => Self::NotConnected,
            NoAnswer::TimedOut => Self::TimedOut,
            NoAnswer::Busy => Self::Busy,
            NoAnswer::NotKnown | NoAnswer::Lost | NoAnswer::NotServed | NoAnswer::TooLarge(_) => {
                Self::Failed(why.to_string())
            }
        }
    }
}

fn outcome(answered: &Result<Bytes, NoAnswer>) -> &'static str {
    match answered {
        Ok(_) => "answered",
        Err(NoAnswer::NotConnected) => "not_connected",
        Err(NoAnswer::NotKnown) => "not_known",
        Err(NoAnswer::Lost) => "lost",
        Err(NoAnswer::NotServed) => "not_served",
        Err(NoAnswer::TimedOut) => "timed_out",
        Err(NoAnswer::Busy) => "busy",
        Err(NoAnswer::TooLarge(_)) => "too_large",
    }
}

#[cfg(test)]
mod tests;
