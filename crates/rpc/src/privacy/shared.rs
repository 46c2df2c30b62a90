//! What the methods of private transactions have in common while the node runs.

use super::results::RecentResults;
use crate::context::HEAD_NEWS_WAITING;
use crate::error::RpcError;
use lonja_chain::history::FoundLog;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

/// Private transactions on their way to their parties at the same time. Each waits for the slowest of its parties, and has
/// its payload in memory meanwhile.
const DISTRIBUTING_MAX: usize = 256;

/// Payloads that are being looked up: a manager elsewhere has other things to do than to answer clients.
const LOOKING_MAX: usize = 256;

/// Transactions that somebody sends without waiting for the answer (GoQuorum's bound).
const UNATTENDED_MAX: usize = 100;

/// Bounds and caches.
pub(crate) struct Shared {
    distributing: Arc<Semaphore>,
    unattended: Arc<Semaphore>,
    looking: Arc<Semaphore>,
    /// What private transactions gave in the blocks that clients asked about lately.
    pub(crate) results: RecentResults,
    /// Private logs as they come about, by block.
    pub(crate) news: broadcast::Sender<Arc<Vec<FoundLog>>>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            distributing: Arc::new(Semaphore::new(DISTRIBUTING_MAX)),
            unattended: Arc::new(Semaphore::new(UNATTENDED_MAX)),
            looking: Arc::new(Semaphore::new(LOOKING_MAX)),
            results: RecentResults::new(),
            news: broadcast::channel(HEAD_NEWS_WAITING).0,
        }
    }

    /// A place among those that share something.
    pub(super) fn distribute(&self) -> Result<OwnedSemaphorePermit, RpcError> {
        let place = Arc::clone(&self.distributing).try_acquire_owned();
        place.map_err(|_| RpcError::busy("private transactions"))
    }

    /// A place among those that look at payloads.
    pub(super) fn look(&self) -> Result<OwnedSemaphorePermit, RpcError> {
        let place = Arc::clone(&self.looking).try_acquire_owned();
        place.map_err(|_| RpcError::busy("payloads"))
    }

    /// A place among those that nobody waits for.
    pub(super) fn unattended(&self) -> Result<OwnedSemaphorePermit, RpcError> {
        let place = Arc::clone(&self.unattended).try_acquire_owned();
        place.map_err(|_| RpcError::Refused("too many concurrent requests".to_owned()))
    }
}
