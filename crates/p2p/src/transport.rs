//! Setting up libp2p: transports, listening, names to addresses.

use crate::{
    address::{Host, PeerAddress, Transport},
    behaviour::Sessions,
    closing::Closing,
    config::P2pConfig,
    error::P2pError,
    hub::Hub,
    identity,
    limits::{DIAL_TIMEOUT, IDLE_TIMEOUT, MAX_RESOLVED, MAX_SUBSTREAMS, RESOLVE_TIMEOUT},
};
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, Transport as _,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, ListenerId},
        upgrade::Version,
    },
    identity::Keypair,
    multiaddr::Protocol,
    noise,
    swarm::SwarmEvent,
    tcp, yamux,
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;

/// How long the system may take to open a listening socket.
const LISTEN_TIME: Duration = Duration::from_secs(5);

/// Builds the swarm: TCP, and QUIC, which is only used where the configuration says so.
pub(crate) fn swarm(config: &P2pConfig, hub: Arc<Hub>) -> Result<Swarm<Sessions>, P2pError> {
    let failed = |e: &dyn std::fmt::Display| P2pError::Transport(e.to_string());
    let keypair = identity::keypair(&config.node_key)?;
    let tcp = over_tcp(&keypair).map_err(|e| failed(&e))?;
    let swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_quic_config(|mut quic| {
            quic.max_concurrent_stream_limit = MAX_SUBSTREAMS as u32;
            quic
        })
        .with_other_transport(|_| tcp)
        .map_err(|e| failed(&e))?
        .with_behaviour(|_| Sessions::new(hub))
        .map_err(|e| failed(&e))?
        .with_swarm_config(|swarm| {
            swarm
                .with_idle_connection_timeout(IDLE_TIMEOUT)
                .with_max_negotiating_inbound_streams(MAX_SUBSTREAMS)
        })
        .with_connection_timeout(DIAL_TIMEOUT)
        .build();
    Ok(swarm)
}

/// TCP with noise and yamux.
fn over_tcp(keypair: &Keypair) -> Result<Boxed<(PeerId, Closing)>, noise::Error> {
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(MAX_SUBSTREAMS);
    let transport = tcp::tokio::Transport::new(tcp::Config::new().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(yamux)
        .map(|(peer, connection), _| (peer, Closing::new(StreamMuxerBox::new(connection))))
        .boxed();
    Ok(transport)
}

/// Listens as configured and gives the TCP addresses listened on. Where the system chooses the TCP port, QUIC takes the
/// UDP port of that number.
pub(crate) async fn listen(
    swarm: &mut Swarm<Sessions>,
    config: &P2pConfig,
) -> Result<Vec<SocketAddr>, P2pError> {
    let mut bound = Vec::new();
    for asked in &config.listen {
        check_free(*asked)?;
        let port = open(swarm, *asked, "tcp").await?;
        let tcp = SocketAddr::new(asked.ip(), port);
        if config.quic {
            open(swarm, tcp, "quic").await?;
        }
        bound.push(tcp);
    }
    Ok(bound)
}

/// libp2p shares a port with whoever else would share it, so that two nodes on one port would take turns. Whoever asks
/// for a port that is not shared is told that it is taken.
fn check_free(address: SocketAddr) -> Result<(), P2pError> {
    match std::net::TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) => Err(P2pError::Listen { address, transport: "tcp", why: error.to_string() }),
    }
}

/// Opens one listening socket and gives its port.
async fn open(
    swarm: &mut Swarm<Sessions>,
    address: SocketAddr,
    transport: &'static str,
) -> Result<u16, P2pError> {
    let failed = |why: String| P2pError::Listen { address, transport, why };
    let listener = swarm.listen_on(multiaddr(address, transport == "quic")).map_err(|e| failed(words(&e)))?;
    match timeout(LISTEN_TIME, listening(swarm, listener)).await {
        Ok(Ok(bound)) => Ok(socket(&bound).map_or(address.port(), |(socket, _)| socket.port())),
        Ok(Err(why)) => Err(failed(why)),
        Err(_) => Err(failed("the system does not answer".to_owned())),
    }
}

/// Waits for a listener. Whoever else connects meanwhile is dropped, and comes again.
async fn listening(swarm: &mut Swarm<Sessions>, listener: ListenerId) -> Result<Multiaddr, String> {
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { listener_id, address } if listener_id == listener => {
                return Ok(address);
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } if listener_id == listener => {
                return Err(reason.err().map_or("closed".to_owned(), |e| e.to_string()));
            }
            SwarmEvent::ListenerError { listener_id, error } if listener_id == listener => {
                return Err(error.to_string());
            }
            SwarmEvent::ConnectionEstablished { connection_id, .. } => {
                swarm.close_connection(connection_id);
            }
            _ => {}
        }
    }
}

/// An error with what caused it.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let part = error.to_string();
        if !parts.iter().any(|known| known.contains(&part)) {
            parts.push(part);
        }
        cause = error.source();
    }
    parts.retain(|part| !part.is_empty());
    parts.join(": ")
}

fn multiaddr(address: SocketAddr, quic: bool) -> Multiaddr {
    let host = match address.ip() {
        IpAddr::V4(ip) => Protocol::Ip4(ip),
        IpAddr::V6(ip) => Protocol::Ip6(ip),
    };
    let base = Multiaddr::empty().with(host);
    if quic {
        base.with(Protocol::Udp(address.port())).with(Protocol::QuicV1)
    } else {
        base.with(Protocol::Tcp(address.port()))
    }
}

/// IP address, port and transport of a connection's end.
pub(crate) fn socket(address: &Multiaddr) -> Option<(SocketAddr, &'static str)> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some((SocketAddr::new(ip, port), "tcp")),
        Protocol::Udp(port) => Some((SocketAddr::new(ip, port), "quic")),
        _ => None,
    }
}

/// The addresses to dial for a peer, in the order to try them. Names are looked up by the system, anew each time, hosts file
/// and all: a peer that moved is found at its new address.
pub(crate) async fn resolve(address: &PeerAddress, quic: bool) -> Result<Vec<Multiaddr>, String> {
    let sockets = match address.host() {
        Host::Ip(ip) => vec![SocketAddr::new(*ip, address.port())],
        Host::Name(name) => {
            let lookup = tokio::net::lookup_host((name.as_str(), address.port()));
            let found = timeout(RESOLVE_TIMEOUT, lookup)
                .await
                .map_err(|_| format!("looking up {name} takes too long"))?
                .map_err(|e| format!("cannot look up {name}: {e}"))?;
            found.take(MAX_RESOLVED).collect()
        }
    };
    let over = |quic| sockets.iter().map(move |socket| multiaddr(*socket, quic));
    let addresses: Vec<_> = match (address.transport(), quic) {
        (Transport::TcpThenQuic, true) => over(false).chain(over(true)).collect(),
        (Transport::TcpThenQuic, false) => over(false).collect(),
        (Transport::Quic, true) => over(true).collect(),
        (Transport::Quic, false) => return Err("its address needs QUIC, which is turned off here".to_owned()),
    };
    if addresses.is_empty() { Err("the name has no address".to_owned()) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lonja_primitives::NodeKey;
    use std::io;

    fn peer(host: &str, transport: Transport) -> PeerAddress {
        PeerAddress::new(NodeKey::generate().node_id(), host.parse().unwrap(), 7, transport)
    }

    #[test]
    fn causes_are_told_once() {
        let inner = io::Error::other("refused");
        assert_eq!(words(&inner), "refused");
        let outer = io::Error::other(P2pError::Transport("refused".into()));
        assert_eq!(words(&outer), "cannot set up the transport: refused");
    }

    #[tokio::test]
    async fn tcp_comes_before_quic() {
        let texts = |list: Vec<Multiaddr>| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let both = peer("10.0.0.1", Transport::TcpThenQuic);
        let (tcp, quic) = ("/ip4/10.0.0.1/tcp/7", "/ip4/10.0.0.1/udp/7/quic-v1");
        assert_eq!(texts(resolve(&both, true).await.unwrap()), [tcp, quic]);
        assert_eq!(texts(resolve(&both, false).await.unwrap()), [tcp]);
        let only = peer("10.0.0.1", Transport::Quic);
        assert_eq!(texts(resolve(&only, true).await.unwrap()), [quic]);
        assert!(resolve(&only, false).await.unwrap_err().contains("QUIC"));
    }

    #[tokio::test]
    async fn names_are_looked_up() {
        let here = resolve(&peer("localhost", Transport::TcpThenQuic), false).await.unwrap();
        assert!(here.iter().all(|a| socket(a).is_some_and(|(s, _)| s.ip().is_loopback() && s.port() == 7)));
        let nowhere = resolve(&peer("no-such-host.invalid", Transport::TcpThenQuic), false).await;
        assert!(nowhere.unwrap_err().contains("no-such-host.invalid"));
    }
}
