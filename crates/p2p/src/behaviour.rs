//! The part of a libp2p swarm that is ours: decides which connections may exist, and opens the four substreams
//! of a session on each.

use crate::{
    gate::Pass,
    handler::{NoStreams, SessionHandler, Streams},
    hub::{Hub, Refusal},
    identity,
    limits::{
        MAX_CONNECTIONS_PER_PEER, MAX_PENDING_INBOUND, MAX_PENDING_INBOUND_PER_ADDRESS, SPARE_CONNECTIONS,
    },
};
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandlerInEvent, THandlerOutEvent,
        ToSwarm,
        behaviour::{ConnectionEstablished, DialFailure, ListenFailure},
    },
};
use lonja_primitives::NodeId;
use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

/// Lets connections in or not, and hands out the streams of those that are.
pub(crate) struct Sessions {
    hub: Arc<Hub>,
    pending_inbound: HashMap<ConnectionId, Option<IpAddr>>,
    established: HashMap<ConnectionId, PeerId>,
    /// What the gate said of connections that are being made or have no session yet.
    passes: HashMap<ConnectionId, Pass>,
    events: VecDeque<SessionEvent>,
}

/// A connection got as far as it could without reading anything of ours.
#[derive(Debug)]
pub(crate) struct SessionEvent {
    pub(crate) connection: ConnectionId,
    pub(crate) peer: NodeId,
    /// The four streams and what the gate said, or why there are none.
    pub(crate) streams: Result<(Streams, Pass), NoStreams>,
}

impl Sessions {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self {
            hub,
            pending_inbound: HashMap::new(),
            established: HashMap::new(),
            passes: HashMap::new(),
            events: VecDeque::new(),
        }
    }

    /// A connection that is about to be dialed, let through by the gate.
    pub(crate) fn expect(&mut self, id: ConnectionId, pass: Pass) {
        self.passes.insert(id, pass);
    }

    fn check_pending(&self, address: Option<IpAddr>) -> Result<(), Refusal> {
        let same = self.pending_inbound.values().filter(|other| **other == address).count();
        if self.pending_inbound.len() >= MAX_PENDING_INBOUND || same >= MAX_PENDING_INBOUND_PER_ADDRESS {
            return Err(Refusal::TooManyHandshakes);
        }
        Ok(())
    }

    /// The peer's key is proven now. Nothing of ours has been said or read.
    fn check_established(&mut self, id: ConnectionId, peer: &PeerId) -> Result<(), Refusal> {
        let expected = self.passes.remove(&id);
        let node = identity::node_id(peer).ok_or(Refusal::NotANode)?;
        self.hub.barred(&node, Instant::now())?;
        self.check_room(peer)?;
        let pass = match expected {
            Some(mut pass) => {
                self.hub.renew(&node, &mut pass)?;
                pass
            }
            None => self.hub.receive(&node)?,
        };
        self.passes.insert(id, pass);
        Ok(())
    }

    fn check_room(&self, peer: &PeerId) -> Result<(), Refusal> {
        let same = self.established.values().filter(|other| *other == peer).count();
        let room = self.hub.most_sessions() + SPARE_CONNECTIONS;
        if same >= MAX_CONNECTIONS_PER_PEER || self.established.len() >= room {
            return Err(Refusal::TooManyConnections);
        }
        Ok(())
    }
}

impl NetworkBehaviour for Sessions {
    type ConnectionHandler = SessionHandler;
    type ToSwarm = SessionEvent;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let address = ip(remote);
        self.check_pending(address).map_err(ConnectionDenied::new)?;
        self.pending_inbound.insert(id, address);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<SessionHandler, ConnectionDenied> {
        self.pending_inbound.remove(&id);
        self.check_established(id, &peer).map(|()| SessionHandler::new()).map_err(ConnectionDenied::new)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<SessionHandler, ConnectionDenied> {
        self.check_established(id, &peer).map(|()| SessionHandler::new()).map_err(ConnectionDenied::new)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { connection_id, peer_id, .. }) => {
                self.established.insert(connection_id, peer_id);
            }
            FromSwarm::ConnectionClosed(closed) => {
                self.established.remove(&closed.connection_id);
                self.passes.remove(&closed.connection_id);
            }
            FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => {
                self.pending_inbound.remove(&connection_id);
                self.passes.remove(&connection_id);
            }
            FromSwarm::DialFailure(DialFailure { connection_id, .. }) => {
                self.passes.remove(&connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        streams: THandlerOutEvent<Self>,
    ) {
        let Some(pass) = self.passes.remove(&connection) else { return };
        if let Some(peer) = identity::node_id(&peer) {
            let streams = streams.map(|streams| (streams, pass));
            self.events.push_back(SessionEvent { connection, peer, streams });
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<SessionEvent, THandlerInEvent<Self>>> {
        match self.events.pop_front() {
            Some(event) => Poll::Ready(ToSwarm::GenerateEvent(event)),
            None => Poll::Pending,
        }
    }
}

fn ip(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    })
}
