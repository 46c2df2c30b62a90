//! The one task that owns the swarm: dials who is due, hands connections to sessions, closes what is over. No message
//! passes through it.

use crate::{
    address::PeerAddress,
    behaviour::{SessionEvent, Sessions},
    dialer::{Dialer, Need, Outcome},
    events::EventSender,
    gate::{Gate, Pass, Place},
    handler::{NoStreams, Streams},
    hub::{Hub, Peers, Plan, Refusal},
    identity::{self, short},
    limits::{HANDSHAKE_TIMEOUT, HANG_UPS, REPORTS, SHUTDOWN_TIME, TICK},
    session::{self, Ground, Link},
    stop::{Ending, Stop},
    transport,
    wire::GoodbyeReason,
};
use futures::StreamExt;
use libp2p::{
    Multiaddr, Swarm,
    core::ConnectedPoint,
    swarm::{
        ConnectionDenied, ConnectionError, ConnectionId, DialError, ListenError, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use lonja_primitives::NodeId;
use std::{
    collections::{HashMap, HashSet},
    num::NonZeroU8,
    sync::Arc,
    time::Instant,
};
use tokio::{sync::mpsc, task::JoinSet, time::sleep_until};

/// What tasks tell the service.
pub(crate) enum Report {
    /// The name of a peer that the gate let through was looked up, or could not be.
    Resolved { peer: NodeId, pass: Pass, addresses: Result<Vec<Multiaddr>, String> },
    /// A session said its last word: its connection may be closed.
    Finished { connection: ConnectionId, outcome: Outcome },
}

/// The service.
pub(crate) struct Service {
    hub: Arc<Hub>,
    /// What sessions get.
    ground: Ground,
    swarm: Swarm<Sessions>,
    dialer: Dialer,
    connections: HashMap<ConnectionId, Connection>,
    inbox: mpsc::Receiver<Report>,
    tasks: JoinSet<()>,
    last_tick: Instant,
}

/// A connection that stands, from libp2p's point of view.
struct Connection {
    peer: NodeId,
    endpoint: ConnectedPoint,
    stop: Arc<Stop>,
    /// Until when its streams must be there; `None` when they are.
    deadline: Option<Instant>,
    /// When a session was begun on it.
    begun: Option<Instant>,
    /// What the session said of its end.
    outcome: Option<Outcome>,
}

impl Service {
    pub(crate) fn new(hub: Arc<Hub>, swarm: Swarm<Sessions>, events: EventSender) -> Self {
        let (reports, inbox) = mpsc::channel(REPORTS);
        let now = Instant::now();
        Self {
            ground: Ground { hub: hub.clone(), events, reports },
            hub,
            swarm,
            dialer: Dialer::new(rand::random()),
            connections: HashMap::new(),
            inbox,
            tasks: JoinSet::new(),
            last_tick: now,
        }
    }

    /// Runs until the hub says stop.
    pub(crate) async fn run(mut self) {
        let hub = self.hub.clone();
        while !hub.is_stopping() {
            let wake = self.work(Instant::now());
            self.step(&hub, wake).await;
        }
        self.finish().await;
    }

    /// Ends all sessions with a goodbye, then everything else.
    async fn finish(&mut self) {
        let hub = self.hub.clone();
        for connection in self.connections.values() {
            connection.stop.stop(Ending::ours(GoodbyeReason::Shutdown, "this node is stopping"));
        }
        let until = Instant::now() + SHUTDOWN_TIME;
        while !self.connections.is_empty() && Instant::now() < until {
            self.close_overdue(Instant::now());
            self.step(&hub, until.min(Instant::now() + TICK)).await;
        }
        self.tasks.shutdown().await;
    }

    /// Waits for one thing to happen, and deals with it.
    async fn step(&mut self, hub: &Hub, until: Instant) {
        tokio::select! {
            event = self.swarm.select_next_some() => self.on_swarm(event),
            Some(report) = self.inbox.recv() => self.on_report(report),
            Some(_) = self.tasks.join_next() => {}
            () = hub.changed.notified() => {}
            () = sleep_until(until.into()) => {}
        }
    }

    /// Everything that is due now; says when to look again.
    fn work(&mut self, now: Instant) -> Instant {
        if now.saturating_duration_since(self.last_tick) >= TICK {
            self.last_tick = now;
            self.hub.tick(now);
        }
        self.close_overdue(now);
        let Plan { gate, wanted, known } = self.hub.plan();
        self.dialer.sync(&wanted, &known, gate.number(), now);
        let hub = &self.hub;
        let connected: HashSet<_> = self.connections.values().map(|connection| connection.peer).collect();
        let need = |node: &NodeId| {
            if connected.contains(node) {
                Need::Connected
            } else if hub.barred(node, now).is_err() {
                Need::Forbidden
            } else {
                Need::Dial
            }
        };
        let mut room = self.room(&wanted, &known);
        let due = self.dialer.due(now, &mut room, need, |address| permits(hub, &gate, address));
        let next = self.dialer.next(room, need);
        for address in due {
            self.look_up(address, gate.number());
        }
        next.unwrap_or(now + TICK).min(now + TICK)
    }

    /// How many known peers may be dialed now. Those on their way count, or there would be too many in the end.
    fn room(&self, wanted: &Peers, known: &Peers) -> usize {
        if known.is_empty() {
            return 0;
        }
        let mut others = self.hub.others();
        let ours = self.connections.values().filter(|connection| connection.endpoint.is_dialer());
        others.extend(ours.map(|connection| connection.peer).filter(|peer| !wanted.contains_key(peer)));
        others.extend(self.dialer.dialing_known());
        self.hub.most_dialed().saturating_sub(others.len())
    }

    fn close_overdue(&mut self, now: Instant) {
        for (id, connection) in &mut self.connections {
            if connection.deadline.is_some_and(|deadline| deadline <= now) {
                connection.deadline = None;
                tracing::info!(peer = %short(&connection.peer), "no session with peer: it opened no streams");
                self.swarm.close_connection(*id);
            }
        }
    }

    /// Looks up the addresses of a peer that the gate of this number permits.
    fn look_up(&mut self, address: PeerAddress, gate: u64) {
        let (reports, quic) = (self.ground.reports.clone(), self.hub.quic);
        self.tasks.spawn(async move {
            let addresses = transport::resolve(&address, quic).await;
            let (peer, at) = (address.node_id(), Some(Place::from(&address)));
            let pass = Pass { gate, allowed: true, at };
            let _ = reports.send(Report::Resolved { peer, pass, addresses }).await;
        });
    }

    fn on_report(&mut self, report: Report) {
        match report {
            Report::Resolved { peer, pass, addresses } => match addresses {
                Ok(addresses) => self.dial(peer, pass, addresses),
                Err(why) => self.dial_failed(&peer, &why),
            },
            Report::Finished { connection, outcome } => {
                if let Some(entry) = self.connections.get_mut(&connection) {
                    entry.outcome = Some(outcome);
                    self.swarm.close_connection(connection);
                }
            }
        }
    }

    /// Tries the addresses one after the other. From a new port: a port used for listening too would make two sides that
    /// dial each other at once run into one and the same connection.
    fn dial(&mut self, peer: NodeId, mut pass: Pass, addresses: Vec<Multiaddr>) {
        if self.hub.renew(&peer, &mut pass).is_err() {
            // Another gate came while the name was looked up. The schedule asks it again, and tells why not.
            return self.dialer.connected(&peer);
        }
        let Some(id) = identity::peer_id(&peer) else {
            return self.dial_failed(&peer, "its node id is not a public key");
        };
        let options = DialOpts::peer_id(id)
            .condition(PeerCondition::Always)
            .override_dial_concurrency_factor(NonZeroU8::MIN)
            .addresses(addresses)
            .allocate_new_port()
            .build();
        self.swarm.behaviour_mut().expect(options.connection_id(), pass);
        if let Err(error) = self.swarm.dial(options) {
            self.dial_failed(&peer, &dial_error(&error));
        }
    }

    fn dial_failed(&mut self, peer: &NodeId, why: &str) {
        metrics::counter!("lonja_p2p_dial_failures_total").increment(1);
        let failures = self.dialer.failed(peer, Instant::now(), rand::random());
        let peer = short(peer);
        if failures == 1 {
            tracing::info!(%peer, "cannot connect to peer, will keep trying: {why}");
        } else {
            tracing::debug!(%peer, failures, "cannot connect to peer: {why}");
        }
    }

    fn on_swarm(&mut self, event: SwarmEvent<SessionEvent>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_established(identity::node_id(&peer_id), connection_id, endpoint);
            }
            SwarmEvent::Behaviour(event) => self.on_streams(event),
            SwarmEvent::ConnectionClosed { connection_id, cause, .. } => {
                self.on_closed(connection_id, cause.as_ref());
            }
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => {
                if let Some(peer) = peer_id.as_ref().and_then(identity::node_id) {
                    self.dial_failed(&peer, &dial_error(&error));
                }
            }
            SwarmEvent::IncomingConnectionError { peer_id, send_back_addr, error, .. } => {
                self.on_refused(peer_id.as_ref().and_then(identity::node_id), &send_back_addr, error);
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!("listening: {error}"),
            SwarmEvent::ListenerClosed { reason: Err(error), .. } => {
                tracing::error!("no longer listening for peers: {error}");
            }
            _ => {}
        }
    }

    fn on_established(&mut self, peer: Option<NodeId>, id: ConnectionId, endpoint: ConnectedPoint) {
        let Some(peer) = peer else {
            self.swarm.close_connection(id);
            return;
        };
        if endpoint.is_dialer() {
            self.dialer.connected(&peer);
        }
        let connection = Connection {
            peer,
            endpoint,
            stop: Arc::new(Stop::new()),
            deadline: Some(Instant::now() + HANDSHAKE_TIMEOUT),
            begun: None,
            outcome: None,
        };
        self.connections.insert(id, connection);
    }

    fn on_streams(&mut self, event: SessionEvent) {
        let SessionEvent { connection: id, peer, streams } = event;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match streams {
            Ok((streams, pass)) => self.begin(id, peer, streams, pass),
            Err(NoStreams::Unknown(why)) => {
                connection.deadline = None;
                connection.outcome = Some(Outcome::Unwanted);
                tracing::info!(peer = %short(&peer), "no session with peer: it does not speak lonja's protocols: {why}");
                self.swarm.close_connection(id);
            }
            Err(NoStreams::Broken(why)) => {
                connection.deadline = None;
                let dialed = connection.endpoint.is_dialer();
                connection.outcome = Some(if dialed { Outcome::HungUp } else { Outcome::Failed });
                tracing::debug!(peer = %short(&peer), "no session with peer: {why}");
                self.swarm.close_connection(id);
            }
        }
    }

    fn begin(&mut self, id: ConnectionId, peer: NodeId, streams: Streams, pass: Pass) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.deadline = None;
        connection.begun = Some(Instant::now());
        let (remote, ip, transport) = match transport::socket(connection.endpoint.get_remote_address()) {
            Some((socket, transport)) => (socket.to_string(), Some(socket.ip()), transport),
            None => (connection.endpoint.get_remote_address().to_string(), None, "other"),
        };
        let local = match &connection.endpoint {
            ConnectedPoint::Listener { local_addr, .. } => {
                transport::socket(local_addr).map(|(s, _)| s.to_string())
            }
            ConnectedPoint::Dialer { .. } => None,
        };
        let inbound = connection.endpoint.is_listener();
        let (hearing, data_version) = (Arc::default(), streams.data_version);
        let link =
            Link { connection: id, inbound, remote, ip, local, transport, hearing, data_version, pass };
        let (ground, stop) = (self.ground.clone(), connection.stop.clone());
        self.tasks.spawn(Box::pin(session::run(ground, peer, link, streams, stop)));
    }

    fn on_closed(&mut self, id: ConnectionId, cause: Option<&ConnectionError>) {
        let Some(connection) = self.connections.remove(&id) else { return };
        let (peer, now) = (connection.peer, Instant::now());
        let outcome = connection.outcome(cause);
        let why = cause.map_or("closed".to_owned(), |cause| transport::words(cause));
        connection.stop.stop(Ending::lost(format!("the connection was closed: {why}")));
        if outcome == Outcome::NotPermitted && self.hub.session(&peer).is_none() {
            self.hub.refusals.unwanted_by(peer, now);
        }
        if self.connections.values().all(|other| other.peer != peer) {
            let hang_ups = self.dialer.ended(&peer, outcome, now, rand::random());
            if hang_ups >= HANG_UPS {
                self.hub.refusals.unwanted_by(peer, now);
            }
            if hang_ups == HANG_UPS {
                tracing::warn!(peer = %short(&peer), "no session with peer, will keep trying: it hangs up as soon as it knows this node's key, so most likely the other node does not permit this one");
            }
        }
    }

    fn on_refused(&mut self, peer: Option<NodeId>, from: &Multiaddr, error: ListenError) {
        let address = transport::socket(from).map_or_else(|| from.to_string(), |(from, _)| from.to_string());
        let refusal = match &error {
            ListenError::Denied { cause } => denied(cause),
            _ => None,
        };
        match refusal {
            Some(refusal) => {
                let why = refusal.to_string();
                self.hub.refusals.inbound(peer.as_ref(), &address, &why, refusal.label());
            }
            // What never came to a handshake is mostly somebody who looks for open ports.
            None => {
                metrics::counter!("lonja_p2p_refused_connections_total", "reason" => "handshake")
                    .increment(1);
                tracing::debug!(%address, "connection refused: {}", transport::words(&error));
            }
        }
    }
}

impl Connection {
    /// How it ended. It may be closed before its session has reported, but not before the session knew why, if there is
    /// more to know than that it broke.
    fn outcome(&self, cause: Option<&ConnectionError>) -> Outcome {
        let lived = self.begun.map(|begun| begun.elapsed());
        let known = || self.stop.ending().map(|ending| ending.outcome(lived));
        self.outcome.or_else(known).unwrap_or_else(|| match (lived, cause) {
            (Some(lived), _) => Outcome::Lived(lived),
            (None, Some(ConnectionError::IO(_))) if self.endpoint.is_dialer() => Outcome::HungUp,
            (None, _) => Outcome::Failed,
        })
    }
}

/// Whether the gate lets a peer be dialed. Remembered and logged where not.
fn permits(hub: &Hub, gate: &Gate, address: &PeerAddress) -> bool {
    match gate.permits(&address.node_id(), Some(&Place::from(address))) {
        Ok(()) => true,
        Err(refusal) => {
            let place = format!("{}:{}", address.host(), address.port());
            hub.refusals.outbound(&address.node_id(), &place, &refusal.to_string());
            false
        }
    }
}

/// Our own reason for a refusal, if it was ours.
fn denied(cause: &ConnectionDenied) -> Option<Refusal> {
    cause.downcast_ref::<Refusal>().cloned()
}

/// A failed dial in words an operator can use.
fn dial_error(error: &DialError) -> String {
    match error {
        DialError::WrongPeerId { obtained, address } => {
            format!("another node ({obtained}) answers at {address}")
        }
        DialError::LocalPeerId { address } => format!("{address} is this node itself"),
        DialError::Denied { cause } => {
            denied(cause).map_or_else(|| transport::words(error), |r| r.to_string())
        }
        DialError::Transport(errors) => {
            let texts: Vec<_> =
                errors.iter().map(|(address, e)| format!("{address}: {}", transport::words(e))).collect();
            texts.join("; ")
        }
        other => other.to_string(),
    }
}
