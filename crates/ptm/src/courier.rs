//! How a manager reaches the managers of other parties. What carries the bytes is not its business.

use crate::{EncodedPayload, PeerUrl, PeerVersions, PtmError, PublicKey};
use alloy_primitives::Bytes;
use futures::future::BoxFuture;
use lonja_primitives::NodeId;
use thiserror::Error;

/// Why a node gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CourierError {
    /// There is no way to it now.
    #[error("the node is not connected")]
    NotConnected,
    /// It took too long.
    #[error("the node did not answer in time")]
    TimedOut,
    /// There is a way, and it is full.
    #[error("too much waits for this node already")]
    Busy,
    /// Anything else, in words.
    #[error("{0}")]
    Failed(String),
}

/// Carries requests to the managers of other nodes, which answer with
/// [`EmbeddedManager::handle`](crate::EmbeddedManager::handle). Sessions are authenticated: whoever answers for a node has
/// its key.
pub trait Courier: Send + Sync {
    /// Asks the manager of another node and waits for its answer. The bytes are
    /// [`MAX_MESSAGE_BYTES`](crate::wire::MAX_MESSAGE_BYTES) at most. The request may have arrived also where this fails.
    fn ask(&self, to: NodeId, request: Bytes) -> BoxFuture<'_, Result<Bytes, CourierError>>;

    /// Whether there is a way to this node now.
    fn is_reachable(&self, node: &NodeId) -> bool;
}

/// Carries envelopes to managers that are known by their URL.
pub trait UrlCourier: Send + Sync {
    /// Hands the recipient's copy of an envelope to the manager there. [`PtmError::Unreachable`] and
    /// [`PtmError::Refused`] say why it does not have it.
    fn push(
        &self,
        url: PeerUrl,
        recipient: PublicKey,
        copy: EncodedPayload,
    ) -> BoxFuture<'_, Result<(), PtmError>>;

    /// What the manager there announced that it understands.
    fn versions(&self, url: &PeerUrl) -> PeerVersions;
}

/// The courier of a manager that stands alone: it reaches no node.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCourier;

impl Courier for NoCourier {
    fn ask(&self, _to: NodeId, _request: Bytes) -> BoxFuture<'_, Result<Bytes, CourierError>> {
        Box::pin(std::future::ready(Err(CourierError::NotConnected)))
    }

    fn is_reachable(&self, _node: &NodeId) -> bool {
        false
    }
}
