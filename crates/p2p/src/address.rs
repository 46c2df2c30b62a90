//! Where a peer is, and who must answer there.

use crate::{error::AddressError, identity};
use libp2p::{
    PeerId,
    multiaddr::{Multiaddr, Protocol},
};
use lonja_primitives::NodeId;
use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// Longest DNS name (RFC 1035).
const MAX_NAME_BYTES: usize = 253;

/// The address of one node: who it is, on which host and port, over which transport.
///
/// Read from `enode://<128 hex>@<host>:<port>[?discport=…]` (TCP on that port, and QUIC on the UDP port of the same
/// number where QUIC is enabled) or from a multiaddr that ends with `/p2p/<peer id>`. Names are kept as names and
/// resolved anew for every connection attempt. Printed as an enode, except when only QUIC was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerAddress {
    node_id: NodeId,
    host: Host,
    port: u16,
    transport: Transport,
}

/// A host by address or by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// IPv4 or IPv6.
    Ip(IpAddr),
    /// A DNS name, or a name of the hosts file.
    Name(String),
}

/// Over what to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// TCP, then QUIC on the same port number if this node has QUIC enabled.
    TcpThenQuic,
    /// QUIC only.
    Quic,
}

impl PeerAddress {
    /// An address from its parts. The port is the TCP port, or the UDP port for [`Transport::Quic`].
    pub fn new(node_id: NodeId, host: Host, port: u16, transport: Transport) -> Self {
        Self { node_id, host, port, transport }
    }

    /// Who must answer.
    pub fn node_id(&self) -> NodeId {
        self.node_id
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The transports to try.
    pub fn transport(&self) -> Transport {
        self.transport
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.transport, identity::peer_id(&self.node_id)) {
            (Transport::Quic, Some(peer)) => {
                let host = match &self.host {
                    Host::Ip(IpAddr::V4(ip)) => Protocol::Ip4(*ip),
                    Host::Ip(IpAddr::V6(ip)) => Protocol::Ip6(*ip),
                    Host::Name(name) => Protocol::Dns(name.into()),
                };
                write!(f, "{host}/udp/{}/quic-v1/p2p/{peer}", self.port)
            }
            _ => write!(f, "enode://{}@{}:{}", self.node_id, self.host, self.port),
        }
    }
}

impl FromStr for PeerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix("enode://") {
            from_enode(rest)
        } else if text.starts_with('/') {
            from_multiaddr(text)
        } else {
            Err(AddressError::UnknownForm)
        }
    }
}

impl FromStr for Host {
    type Err = AddressError;

    /// `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]` or a name.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let bad = || AddressError::BadHost(text.to_owned());
        if let Some(inside) = text.strip_prefix('[') {
            let ip: Ipv6Addr = inside.strip_suffix(']').and_then(|ip| ip.parse().ok()).ok_or_else(bad)?;
            return Ok(Self::Ip(ip.into()));
        }
        if let Ok(ip) = text.parse() {
            return Ok(Self::Ip(ip));
        }
        if is_name(text) { Ok(Self::Name(text.to_owned())) } else { Err(bad()) }
    }
}

/// Letters, digits, hyphens and (as container networks use them) underscores, in labels joined by dots. A last
/// label of digits only would be an IPv4 address gone wrong.
fn is_name(text: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len()) && l.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
    };
    let labels = text.strip_suffix('.').unwrap_or(text);
    text.len() <= MAX_NAME_BYTES
        && labels.split('.').all(label)
        && labels.split('.').next_back().is_some_and(|l| !l.bytes().all(|c| c.is_ascii_digit()))
}

fn port(text: &str) -> Result<u16, AddressError> {
    match text.parse() {
        Ok(0) | Err(_) => Err(AddressError::BadPort(text.to_owned())),
        Ok(port) => Ok(port),
    }
}

fn from_enode(rest: &str) -> Result<PeerAddress, AddressError> {
    let (id, place) = rest.split_once('@').ok_or(AddressError::NoHost)?;
    let node_id = NodeId::from_hex(id).map_err(|_| AddressError::BadNodeId)?;
    let (place, query) = place.split_once('?').map_or((place, None), |(p, q)| (p, Some(q)));
    let (host, port_text) = place.rsplit_once(':').ok_or_else(|| AddressError::BadPort(String::new()))?;
    let host = if host.contains(':') && !host.starts_with('[') {
        return Err(AddressError::BadHost(host.to_owned()));
    } else {
        host.parse()?
    };
    query.map_or(Ok(()), check_query)?;
    Ok(PeerAddress::new(node_id, host, port(port_text)?, Transport::TcpThenQuic))
}

/// Other clients write discovery and Raft ports behind an enode; they mean nothing here.
fn check_query(query: &str) -> Result<(), AddressError> {
    for parameter in query.split('&') {
        let known = matches!(parameter.split_once('='), Some(("discport" | "raftport", value))
            if value.parse::<u16>().is_ok());
        if !known {
            return Err(AddressError::BadQuery(parameter.to_owned()));
        }
    }
    Ok(())
}

fn from_multiaddr(text: &str) -> Result<PeerAddress, AddressError> {
    let address: Multiaddr = text.parse().map_err(|e| AddressError::BadMultiaddr(format!("{e}")))?;
    let mut parts = address.iter().peekable();
    let unsupported = |part: Option<Protocol<'_>>| {
        AddressError::UnsupportedMultiaddr(part.map_or("the end".to_owned(), |p| p.to_string()))
    };
    let host = match parts.next() {
        Some(Protocol::Ip4(ip)) => Host::Ip(ip.into()),
        Some(Protocol::Ip6(ip)) => Host::Ip(ip.into()),
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) => name.parse()?,
        other => return Err(unsupported(other)),
    };
    let (port, transport) = match parts.next() {
        Some(Protocol::Tcp(port)) => (port, Transport::TcpThenQuic),
        Some(Protocol::Udp(port)) => match parts.next() {
            Some(Protocol::QuicV1) => (port, Transport::Quic),
            other => return Err(unsupported(other)),
        },
        other => return Err(unsupported(other)),
    };
    let node_id = match parts.next() {
        Some(Protocol::P2p(peer)) => node_of(&peer)?,
        None => return Err(AddressError::NoPeerId),
        other => return Err(unsupported(other)),
    };
    match (port, parts.next()) {
        (0, _) => Err(AddressError::BadPort("0".to_owned())),
        (_, None) => Ok(PeerAddress::new(node_id, host, port, transport)),
        (_, other) => Err(unsupported(other)),
    }
}

fn node_of(peer: &PeerId) -> Result<NodeId, AddressError> {
    identity::node_id(peer).ok_or(AddressError::BadPeerId)
}

#[cfg(test)]
mod tests;
