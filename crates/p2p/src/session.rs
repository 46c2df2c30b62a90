//! One connection with one peer, from its streams to its end.
//!
//! First the handshake, under a deadline. Then four tasks: a reader and a writer for each lane. The first thing that
//! goes wrong, or the first call from outside, raises the session's [`Stop`]; all tasks see it, the node is told, and
//! the peer is told why, as far as it listens.

use crate::{
    budget::Meter,
    dialer::Outcome,
    events::{EventSender, PeerEvent},
    gate::{Pass, Place, Points},
    handler::Streams,
    handshake::{self, Admitted},
    hearing::Hearing,
    hub::Hub,
    identity::short,
    lanes::{Inlet, Outlet, ReadError, Traffic, WriteError},
    limits::{GOODBYE_TIME, HANDSHAKE_TIMEOUT, INBOX_BYTES, INBOX_LEAST_BYTES},
    outbox::{Outbox, Pushed},
    service::Report,
    stop::{Ending, Stop},
    wire::{self, Goodbye, GoodbyeReason, Kind, Lane, Message, Status, StreamVersion, WireError},
};
use alloy_primitives::{B256, Bytes};
use libp2p::{Stream, swarm::ConnectionId};
use lonja_primitives::NodeId;
use parking_lot::Mutex;
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Instant, SystemTime},
};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};

/// The connection a session runs on.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) connection: ConnectionId,
    /// Whether the peer dialed.
    pub(crate) inbound: bool,
    /// `ip:port` of the other end.
    pub(crate) remote: String,
    /// The address of the other end, where the transport tells.
    pub(crate) ip: Option<IpAddr>,
    /// `ip:port` of this end, where the transport tells.
    pub(crate) local: Option<String>,
    /// `tcp` or `quic`.
    pub(crate) transport: &'static str,
    pub(crate) hearing: Arc<Hearing>,
    /// What the peer understands of data.
    pub(crate) data_version: StreamVersion,
    /// What the gate said of it.
    pub(crate) pass: Pass,
}

/// A session: what others may know of it and do to it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) peer: NodeId,
    pub(crate) link: Link,
    /// Where the peer listens, for the gate: where it was dialed, or where it comes from and the port it says.
    pub(crate) at: Option<Place>,
    /// What the peer said of itself.
    pub(crate) status: Status,
    pub(crate) since: Instant,
    pub(crate) since_time: SystemTime,
    pub(crate) stop: Arc<Stop>,
    pub(crate) received: Traffic,
    pub(crate) sent: Traffic,
    head: Mutex<(u64, B256)>,
    consensus: Outbox,
    data: Outbox,
    points: Mutex<Points>,
    /// `true` when nothing more will be told about this session.
    over: watch::Sender<bool>,
}

impl Session {
    pub(crate) fn new(hub: &Hub, peer: NodeId, link: Link, status: Status, stop: Arc<Stop>) -> Self {
        let now = Instant::now();
        let seen = || link.ip.map(|ip| Place::seen(ip, status.listen_port));
        Self {
            peer,
            at: link.pass.at.clone().or_else(seen),
            link,
            since: now,
            since_time: SystemTime::now(),
            stop,
            received: Traffic::default(),
            sent: Traffic::default(),
            head: Mutex::new((status.head_number, status.head_hash)),
            consensus: hub.outbox(Lane::Consensus),
            data: hub.outbox(Lane::Data),
            points: Mutex::new(Points::new(now)),
            over: watch::Sender::new(false),
            status,
        }
    }

    /// Puts a frame into the queue of its lane.
    pub(crate) fn push(&self, lane: Lane, frame: Bytes) -> Pushed {
        let pushed = self.outbox(lane).push(frame);
        let lost = match pushed {
            Pushed::Queued { dropped } => dropped,
            Pushed::Refused => 1,
        };
        if lost > 0 {
            metrics::counter!("lonja_p2p_queue_drops_total", "queue" => lane.label()).increment(lost as u64);
        }
        pushed
    }

    /// Whether the peer knows messages of this kind.
    pub(crate) fn knows(&self, kind: Kind) -> bool {
        match kind.lane() {
            Lane::Consensus => true,
            Lane::Data => kind.since() <= self.link.data_version,
        }
    }

    /// The newest head the peer told of.
    pub(crate) fn head(&self) -> (u64, B256) {
        *self.head.lock()
    }

    /// Adds bad marks and gives the sum.
    pub(crate) fn add_points(&self, points: u32, now: Instant) -> u32 {
        self.points.lock().add(points, now)
    }

    fn outbox(&self, lane: Lane) -> &Outbox {
        match lane {
            Lane::Consensus => &self.consensus,
            Lane::Data => &self.data,
        }
    }

    async fn over(&self) {
        // An error would mean that the sender is gone, and it is borrowed here.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }
}

/// Whom a session tells what. Held by sessions and the service only: the node's events end with them.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) hub: Arc<Hub>,
    pub(crate) events: EventSender,
    pub(crate) reports: mpsc::Sender<Report>,
}

/// Runs a connection to its end: handshake, session, goodbye. Reports when the connection may be closed.
pub(crate) async fn run(ground: Ground, peer: NodeId, link: Link, streams: Streams, stop: Arc<Stop>) {
    let Ground { hub, reports, .. } = &ground;
    let (connection, hearing) = (link.connection, link.hearing.clone());
    let mut inlet = Inlet::new(streams.consensus_in, Lane::Consensus, hearing.clone());
    let mut outlet = Outlet::new(streams.consensus_out);
    let shaken = tokio::select! {
        done = timeout(HANDSHAKE_TIMEOUT, handshake::run(hub, peer, link.clone(), &mut inlet, &mut outlet, &stop)) => {
            done.unwrap_or_else(|_| Err(Ending::lost("it did not finish the handshake in time")))
        }
        ending = stop.stopped() => Err(ending),
    };
    match shaken {
        Ok(admitted) => {
            let lanes = Lanes {
                consensus_in: inlet,
                consensus_out: outlet,
                data_in: Inlet::new(streams.data_in, Lane::Data, hearing),
                data_out: Outlet::new(streams.data_out),
            };
            live(&ground, admitted, lanes).await;
        }
        Err(ending) => {
            stop.stop(ending.clone());
            log_refused(hub, &peer, &link, &ending);
            farewell(&ending, &mut inlet, &mut outlet).await;
            let _ = reports.send(Report::Finished { connection, outcome: ending.outcome(None) }).await;
        }
    }
}

struct Lanes {
    consensus_in: Inlet<Stream>,
    consensus_out: Outlet<Stream>,
    data_in: Inlet<Stream>,
    data_out: Outlet<Stream>,
}

/// The session proper. The node hears of it only after the end of the one it replaces.
async fn live(ground: &Ground, admitted: Admitted, lanes: Lanes) {
    let Admitted { session, predecessor, opening } = admitted;
    let announced = tokio::select! {
        announced = announce(&ground.events, &session, predecessor.as_deref()) => announced,
        _ = session.stop.stopped() => false,
    };
    let tasks = Tasks::start(ground, &session, opening, lanes);
    let ending = session.stop.stopped().await;
    let [consensus_in, data_in] = tasks.readers;
    let inlets = (consensus_in.await, data_in.await);
    log_ended(&session, &ending);
    let leave = async {
        last_words(&ending, inlets.0.ok(), tasks.writers).await;
        let outcome = ending.outcome(announced.then(|| session.since.elapsed()));
        let connection = session.link.connection;
        let _ = ground.reports.send(Report::Finished { connection, outcome }).await;
    };
    let tell = async {
        if announced {
            let reason = ending.text.clone();
            ground.events.session(PeerEvent::Disconnected { peer: session.peer, reason }).await;
        } else if let Some(predecessor) = predecessor.as_deref() {
            // Whoever replaces this one must not be announced before the end of the one this one was to replace.
            predecessor.over().await;
        }
        ground.hub.remove(&session);
        session.over.send_replace(true);
    };
    tokio::join!(leave, tell);
}

/// Tells the node of the session. `false` when nobody listens to events any more; the session is stopped then.
async fn announce(events: &EventSender, session: &Session, predecessor: Option<&Session>) -> bool {
    if let Some(predecessor) = predecessor {
        predecessor.over().await;
    }
    let Session { peer, link, status, .. } = session;
    tracing::info!(
        peer = %short(peer), address = %link.remote, inbound = link.inbound, transport = link.transport,
        client = %status.client, head = status.head_number, "peer connected"
    );
    let event = PeerEvent::Connected {
        peer: *peer,
        address: link.remote.clone(),
        inbound: link.inbound,
        head: session.head(),
        client: status.client.clone(),
    };
    let heard = events.session(event).await;
    if !heard {
        session.stop.stop(Ending::ours(GoodbyeReason::Shutdown, NOBODY_LISTENS));
    }
    heard
}

const NOBODY_LISTENS: &str = "the node no longer listens";

/// The tasks of a session, consensus first. Each gives its stream back when the session is stopped: all stay open until
/// the last words, for a stream reset early could hide the reason of the end.
struct Tasks {
    readers: [JoinHandle<Inlet<Stream>>; 2],
    writers: [JoinHandle<Outlet<Stream>>; 2],
}

impl Tasks {
    fn start(ground: &Ground, session: &Arc<Session>, opening: Option<Bytes>, lanes: Lanes) -> Self {
        let reader = |inlet, lane| tokio::spawn(read(ground.clone(), session.clone(), inlet, lane));
        let writer = |outlet, lane, opening| tokio::spawn(write(session.clone(), outlet, lane, opening));
        Self {
            readers: [reader(lanes.consensus_in, Lane::Consensus), reader(lanes.data_in, Lane::Data)],
            writers: [
                writer(lanes.consensus_out, Lane::Consensus, opening),
                writer(lanes.data_out, Lane::Data, None),
            ],
        }
    }
}

/// Lets the frame being written out, if the peer takes it soon, and says goodbye.
async fn last_words(ending: &Ending, inlet: Option<Inlet<Stream>>, writers: [JoinHandle<Outlet<Stream>>; 2]) {
    let [mut consensus, data] = writers;
    let outlet = timeout(GOODBYE_TIME, &mut consensus).await;
    if let (Ok(Ok(mut outlet)), Some(mut inlet)) = (outlet, inlet) {
        farewell(ending, &mut inlet, &mut outlet).await;
    }
    consensus.abort();
    data.abort();
}

/// Ends the session when a task of it ends for whatever reason, so that none lives on with half of its tasks.
struct LastOne<'a>(&'a Session);

impl Drop for LastOne<'_> {
    fn drop(&mut self) {
        self.0.stop.stop(Ending::lost("a task of the session broke"));
    }
}

/// Why a reader stopped by itself.
enum ReadEnd {
    Error(ReadError),
    Goodbye(Goodbye),
    NobodyListens,
}

impl<E: Into<ReadError>> From<E> for ReadEnd {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// Reads one lane until the session is stopped, and stops it when the peer ends it or breaks the protocol.
async fn read(ground: Ground, session: Arc<Session>, mut inlet: Inlet<Stream>, lane: Lane) -> Inlet<Stream> {
    let _guard = LastOne(&session);
    let end = tokio::select! {
        biased;
        _ = session.stop.stopped() => return inlet,
        end = read_messages(&ground, &session, &mut inlet, lane) => end,
    };
    match end {
        ReadEnd::Error(ReadError::Broken(error)) => {
            let label = if matches!(error, WireError::TooLarge { .. }) { "oversized" } else { "malformed" };
            ground.hub.offence(&session, &error.to_string(), label, Instant::now());
        }
        ReadEnd::Error(ReadError::Lost(error)) => lost(&session, lane, &error).await,
        ReadEnd::Goodbye(goodbye) => {
            session.stop.stop(Ending::theirs(goodbye.reason, &goodbye.text));
        }
        ReadEnd::NobodyListens => {
            session.stop.stop(Ending::ours(GoodbyeReason::Shutdown, NOBODY_LISTENS));
        }
    }
    inlet
}

/// A stream ended. The reason may still be on its way on the consensus stream.
async fn lost(session: &Session, lane: Lane, error: &std::io::Error) {
    if lane == Lane::Data {
        let _ = timeout(GOODBYE_TIME, session.stop.stopped()).await;
    }
    session.stop.stop(Ending::lost(format!("the connection was closed: {error}")));
}

/// Passes messages to the node. A peer beyond its budget, or whose messages the node has not yet taken, is not read from
/// for a while: its own queue fills then, and no other peer is concerned.
async fn read_messages(ground: &Ground, session: &Session, inlet: &mut Inlet<Stream>, lane: Lane) -> ReadEnd {
    let mut meter = Meter::new(&ground.hub.budgets, Instant::now());
    let inbox = Arc::new(Semaphore::new(INBOX_BYTES));
    loop {
        let passed = read_message(ground, session, inlet, lane, &mut meter, &inbox).await;
        if let Err(end) = passed {
            return end;
        }
    }
}

async fn read_message(
    ground: &Ground,
    session: &Session,
    inlet: &mut Inlet<Stream>,
    lane: Lane,
    meter: &mut Meter,
    inbox: &Arc<Semaphore>,
) -> Result<(), ReadEnd> {
    let (kind, length) = inlet.header().await?;
    let wait = meter.take(kind, length, Instant::now());
    if !wait.is_zero() {
        metrics::counter!("lonja_p2p_throttled_total", "kind" => kind.label()).increment(1);
        sleep(wait).await;
    }
    let weight = u32::try_from(length.clamp(INBOX_LEAST_BYTES, INBOX_BYTES)).unwrap_or(u32::MAX);
    let allowance = inbox.clone().acquire_many_owned(weight).await.map_err(|_| ReadEnd::NobodyListens)?;
    let bytes = inlet.body(kind, length).await?;
    session.received.count("in", kind, bytes.len());
    if kind == Kind::Goodbye {
        return Err(ReadEnd::Goodbye(wire::decode_goodbye(&bytes)?));
    }
    let message = wire::decode(&bytes)?;
    if let Message::NewHead { number, hash } = message {
        *session.head.lock() = (number, hash);
    }
    if ground.events.message(lane, session.peer, message, allowance).await {
        Ok(())
    } else {
        Err(ReadEnd::NobodyListens)
    }
}

/// Writes one lane until the session is stopped; stops it when the peer takes nothing.
async fn write(
    session: Arc<Session>,
    mut outlet: Outlet<Stream>,
    lane: Lane,
    opening: Option<Bytes>,
) -> Outlet<Stream> {
    let _guard = LastOne(&session);
    let written = async {
        if !session.stop.is_stopped() {
            outlet.write(opening.as_slice()).await?;
        }
        outlet.run(session.outbox(lane), lane == Lane::Consensus, &session.stop, &session.sent).await
    };
    match written.await {
        Ok(()) => {}
        // The reason may still be on its way in the other direction.
        Err(WriteError::Lost(error)) => lost(&session, Lane::Data, &error).await,
        Err(stalled @ WriteError::Stalled) => {
            session.stop.stop(Ending::ours(GoodbyeReason::Stalled, stalled.to_string()));
        }
    }
    outlet
}

/// The last words: says goodbye if there is a reason to tell, and gives the peer a moment to take it and to hang up, since
/// closing the connection at once could destroy what is on its way.
async fn farewell(ending: &Ending, inlet: &mut Inlet<Stream>, outlet: &mut Outlet<Stream>) {
    let Some(reason) = ending.goodbye else { return };
    let frame = wire::encode_goodbye_frame(&Goodbye { reason, text: ending.text.clone() });
    let said = timeout(GOODBYE_TIME, async {
        outlet.write(&[frame]).await?;
        outlet.close().await
    });
    if let Ok(Ok(())) = said.await {
        let _ = timeout(GOODBYE_TIME, inlet.drain()).await;
    }
}

fn log_refused(hub: &Hub, peer: &NodeId, link: &Link, ending: &Ending) {
    match (ending.by_gate, link.inbound) {
        (true, true) => return hub.refusals.inbound(Some(peer), &link.remote, &ending.text, "not_permitted"),
        (true, false) => return hub.refusals.outbound(peer, &link.remote, &ending.text),
        _ => {}
    }
    if ending.goodbye.is_some() && ending.outcome(None) != Outcome::Duplicate {
        hub.refusals.note(peer, &link.remote, &ending.text, link.inbound);
    }
    if let Some(reason) = ending.dropped {
        metrics::counter!("lonja_p2p_dropped_peers_total", "reason" => reason).increment(1);
    }
    let (peer, address, why) = (short(peer), &link.remote, &ending.text);
    match ending.outcome(None) {
        Outcome::Unwanted | Outcome::NotPermitted => {
            tracing::warn!(%peer, %address, "no session with peer: {why}");
        }
        Outcome::Duplicate => tracing::debug!(%peer, %address, "connection not needed: {why}"),
        _ => tracing::info!(%peer, %address, "no session with peer: {why}"),
    }
}

fn log_ended(session: &Session, ending: &Ending) {
    if let Some(reason) = ending.dropped {
        metrics::counter!("lonja_p2p_dropped_peers_total", "reason" => reason).increment(1);
    }
    let seconds = session.since.elapsed().as_secs();
    tracing::info!(
        peer = %short(&session.peer), address = %session.link.remote, seconds, "peer disconnected: {}", ending.text
    );
}
