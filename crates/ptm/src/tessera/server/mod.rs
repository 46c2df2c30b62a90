//! Servers that answer as a Tessera does: to nodes (Q2T) and to third parties. Both work for any manager.

mod common;
mod cors;
mod groups;
mod p2p;
mod q2t;
#[cfg(test)]
mod tests;
mod third_party;

use super::listen::{Listen, ListenError, Server};
use super::peers::Peers;
use super::recovery::Recovery;
use crate::limits::{MAX_AFFECTED, MAX_GROUP_TEXT_BYTES, MAX_PAYLOAD_BYTES, MAX_RECIPIENTS};
use crate::{EmbeddedManager, PrivateTransactionManager, PublicKey};
pub use cors::Cors;
pub use groups::GroupCourier;
use std::sync::Arc;

/// Bytes of the largest request: a payload and every list at its limit, in JSON.
const MAX_REQUEST_BYTES: usize =
    MAX_PAYLOAD_BYTES / 3 * 4 + MAX_RECIPIENTS * 160 + MAX_AFFECTED * 200 + MAX_GROUP_TEXT_BYTES * 2 + 4_096;

/// Every key of the network that is known.
pub type KnownKeys = Arc<dyn Fn() -> Vec<PublicKey> + Send + Sync>;

/// Privacy groups: where they are kept, and how they get to their members.
#[derive(Clone)]
pub struct Groups {
    /// The manager that keeps them.
    pub manager: EmbeddedManager,
    /// The way to the managers of members; `None` where there is none.
    pub courier: Option<Arc<dyn GroupCourier>>,
}

/// Serves nodes. Without `groups`, what concerns privacy groups is answered with 503.
pub async fn serve_nodes(
    listen: &Listen,
    manager: Arc<dyn PrivateTransactionManager>,
    groups: Option<Groups>,
) -> Result<Server, ListenError> {
    Server::start(listen, Arc::new(q2t::Q2t { manager, groups })).await
}

/// Serves third parties. Where `known` is `None`, the keys of the network are those of the manager.
pub async fn serve_third_parties(
    listen: &Listen,
    manager: Arc<dyn PrivateTransactionManager>,
    known: Option<KnownKeys>,
    cors: Option<Cors>,
) -> Result<Server, ListenError> {
    Server::start(listen, Arc::new(third_party::ThirdParty { manager, known, cors })).await
}

/// Serves other managers: Tessera's, and those of a lonja that is no node. With a `recovery`, only what that needs.
pub async fn serve_managers(
    listen: &Listen,
    peers: Peers,
    recovery: Option<Arc<Recovery>>,
) -> Result<Server, ListenError> {
    Server::start(listen, Arc::new(p2p::P2p { peers, recovery })).await
}
