//! The streams of one connection: each side opens one for consensus and one for data, writes to those it opened
//! and reads from those the other opened. So no stream is shared between a reader and a writer.

use crate::wire::{Lane, StreamVersion};
use futures::future::{Ready, ready};
use libp2p::{
    Stream, StreamProtocol,
    core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use std::{
    collections::VecDeque,
    convert::Infallible,
    task::{Context, Poll},
};

/// Protocol name of the consensus stream.
pub(crate) const CONSENSUS_PROTOCOL: StreamProtocol = StreamProtocol::new("/lonja/consensus/1");
/// Protocol name of the data stream, in its newest version.
pub(crate) const DATA_PROTOCOL: StreamProtocol = StreamProtocol::new("/lonja/data/2");
/// The version before, for peers that know no other.
pub(crate) const DATA_PROTOCOL_1: StreamProtocol = StreamProtocol::new("/lonja/data/1");

/// All streams of a session.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) consensus_in: Stream,
    pub(crate) consensus_out: Stream,
    pub(crate) data_in: Stream,
    pub(crate) data_out: Stream,
    /// What the peer understands on `data_out`.
    pub(crate) data_version: StreamVersion,
}

/// Why there are no streams.
#[derive(Debug)]
pub(crate) enum NoStreams {
    /// The peer does not know the protocols.
    Unknown(String),
    /// The connection broke before they were open.
    Broken(String),
}

/// Offers a list of protocols and gives back the stream and which of them it is.
pub(crate) struct Offer(Vec<StreamProtocol>);

/// Gathers the streams of one connection and hands them over together.
pub(crate) struct SessionHandler {
    /// Streams to open, each with the versions to offer, the best first.
    to_open: VecDeque<Vec<StreamProtocol>>,
    inbound: [Option<Stream>; 2],
    outbound: [Option<Stream>; 2],
    data_version: StreamVersion,
    failure: Option<NoStreams>,
    done: bool,
}

impl SessionHandler {
    pub(crate) fn new() -> Self {
        Self {
            to_open: [vec![CONSENSUS_PROTOCOL], vec![DATA_PROTOCOL, DATA_PROTOCOL_1]].into(),
            inbound: [None, None],
            outbound: [None, None],
            data_version: StreamVersion::One,
            failure: None,
            done: false,
        }
    }

    /// A second stream of a kind is dropped, which resets it: a session has one of each.
    fn keep(slots: &mut [Option<Stream>; 2], done: bool, stream: Stream, protocol: &StreamProtocol) {
        let [consensus, data] = slots;
        let slot = match lane(protocol) {
            Lane::Consensus => consensus,
            Lane::Data => data,
        };
        if !done && slot.is_none() {
            *slot = Some(stream);
        }
    }

    fn streams(&mut self) -> Option<Streams> {
        if self.inbound.iter().chain(&self.outbound).any(Option::is_none) {
            return None;
        }
        let [consensus_in, data_in] = &mut self.inbound;
        let [consensus_out, data_out] = &mut self.outbound;
        Some(Streams {
            consensus_in: consensus_in.take()?,
            consensus_out: consensus_out.take()?,
            data_in: data_in.take()?,
            data_out: data_out.take()?,
            data_version: self.data_version,
        })
    }
}

fn lane(protocol: &StreamProtocol) -> Lane {
    if *protocol == CONSENSUS_PROTOCOL { Lane::Consensus } else { Lane::Data }
}

impl ConnectionHandler for SessionHandler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Result<Streams, NoStreams>;
    type InboundProtocol = Offer;
    type OutboundProtocol = Offer;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Offer> {
        SubstreamProtocol::new(Offer(vec![CONSENSUS_PROTOCOL, DATA_PROTOCOL, DATA_PROTOCOL_1]), ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Offer, (), Result<Streams, NoStreams>>> {
        if let Some(versions) = self.to_open.pop_front() {
            let protocol = SubstreamProtocol::new(Offer(versions), ());
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        if self.done {
            return Poll::Pending;
        }
        let result = match (self.failure.take(), self.streams()) {
            (Some(failure), _) => Err(failure),
            (None, Some(streams)) => Ok(streams),
            (None, None) => return Poll::Pending,
        };
        self.done = true;
        Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(result))
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Offer, Offer>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, protocol),
                ..
            }) => Self::keep(&mut self.inbound, self.done, stream, &protocol),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: (stream, protocol),
                ..
            }) => {
                if protocol == DATA_PROTOCOL {
                    self.data_version = StreamVersion::Two;
                }
                Self::keep(&mut self.outbound, self.done, stream, &protocol);
            }
            ConnectionEvent::DialUpgradeError(error) => {
                self.failure = Some(match error.error {
                    StreamUpgradeError::Io(error) => NoStreams::Broken(error.to_string()),
                    other => NoStreams::Unknown(other.to_string()),
                });
            }
            _ => {}
        }
    }
}

impl UpgradeInfo for Offer {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Offer {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}

impl OutboundUpgrade<Stream> for Offer {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}
