//! Tessera's HTTP: a client for a manager elsewhere, and servers for those who speak to ours as to a Tessera.

mod address;
mod client;
mod http;
mod json;
mod listen;
mod media;
mod peers;
mod pipe;
mod recovery;
mod reply;
mod server;
#[cfg(test)]
mod testing;
mod tls;
#[cfg(test)]
mod world;

pub use address::{Address, AddressError};
pub use client::{RemoteFeatures, RemoteManager, RemoteOptions};
pub use http::Timeouts;
pub use json::envelope_of_json;
pub use listen::{Listen, ListenError, Server};
pub use peers::{PeerOptions, Peers};
pub use recovery::{Recovery, RecoveryReport};
pub use server::{Cors, GroupCourier, Groups, KnownKeys, serve_managers, serve_nodes, serve_third_parties};
pub use tls::{TlsClientOptions, TlsError, TlsIdentity, TlsServerOptions};

/// What we call ourselves in requests.
const AGENT: &str = concat!("lonja-ptm/", env!("CARGO_PKG_VERSION"));

/// A header beside 404 that tells a lonja that the payload was here and was erased. Others see what they expect.
const ERASED_HEADER: &str = "lonja-erased";
