//! What can go wrong, told to the owner of the handle.

use crate::wire::{Kind, WireError};
use std::net::SocketAddr;
use thiserror::Error;

/// Why the network could not start, or a peer could not be added.
#[derive(Debug, Error)]
pub enum P2pError {
    /// The node key cannot be an identity.
    #[error("the node key cannot be used as the p2p identity: {0}")]
    Identity(String),
    /// A listening address is taken or not ours.
    #[error("cannot listen on {address} ({transport}): {why}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// `tcp` or `quic`.
        transport: &'static str,
        /// The system's words.
        why: String,
    },
    /// The transports could not be set up.
    #[error("cannot set up the transport: {0}")]
    Transport(String),
    /// The list of peers to keep connected is full.
    #[error("there are {0} peers to keep connected already, no more can be added")]
    TooManyPeers(usize),
    /// A node was told to connect to itself.
    #[error("this is the node's own address")]
    OwnAddress,
}

/// Why an address of a peer was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Neither form.
    #[error("a peer address begins with enode:// or with / (a multiaddr)")]
    UnknownForm,
    /// The part before the `@` is not a public key.
    #[error("the node id before the @ must be 128 hex digits of a secp256k1 public key")]
    BadNodeId,
    /// No `@` in an enode.
    #[error("an enode has the form enode://<128 hex digits>@<host>:<port>, the @ is missing")]
    NoHost,
    /// The host is empty or has characters no name has.
    #[error("{0:?} is neither an IP address nor a DNS name")]
    BadHost(String),
    /// The port is missing, zero or no number.
    #[error("{0:?} is not a port (1 to 65535)")]
    BadPort(String),
    /// Something behind the `?` that nobody knows.
    #[error("{0:?} is not a parameter of an enode (discport and raftport are known, and ignored)")]
    BadQuery(String),
    /// The multiaddr does not parse.
    #[error("not a multiaddr: {0}")]
    BadMultiaddr(String),
    /// The multiaddr has parts that are not spoken here.
    #[error(
        "{0} is not supported: expected /ip4, /ip6 or /dns, then /tcp/<port> or /udp/<port>/quic-v1, then /p2p/<peer id>"
    )]
    UnsupportedMultiaddr(String),
    /// Without the id a peer cannot be authenticated.
    #[error("the multiaddr must end with /p2p/<peer id>, the peer cannot be authenticated without")]
    NoPeerId,
    /// The peer id is not that of a node key.
    #[error("the peer id is not that of a secp256k1 key (those begin with 16Uiu2HA)")]
    BadPeerId,
}

/// Why a message did not go into a peer's queue.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SendError {
    /// There is no session with this peer.
    #[error("not connected")]
    NotConnected,
    /// The peer takes messages slower than they come; this one was not taken.
    #[error("the peer's queue is full")]
    QueueFull,
    /// The peer runs a program from before there were such messages.
    #[error("the peer's version of lonja knows no message of kind {0:?}")]
    NotKnown(Kind),
    /// The message breaks a limit of the protocol.
    #[error(transparent)]
    Invalid(#[from] WireError),
}
