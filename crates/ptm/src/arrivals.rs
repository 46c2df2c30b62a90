//! What came into the store and went out of it, for those who execute payloads.

use crate::store::PayloadStore;
use crate::{PayloadHash, PtmError};
use std::sync::Arc;
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
    store: Arc<PayloadStore>,
    newest: watch::Receiver<u64>,
    /// Taken up to here; `None` before the first look.
    taken: Option<u64>,
}

impl Arrivals {
    pub(crate) fn new(store: Arc<PayloadStore>) -> Self {
        let newest = store.newest();
        Self { store, newest, taken: None }
    }

    /// What arrived since the last time, oldest first, `limit` at most. Empty where nothing did. Waits for nothing.
    ///
    /// # Errors
    /// [`PtmError::Store`] and [`PtmError::Unavailable`] where the store cannot be read.
    pub fn take(&mut self, limit: usize) -> Result<Vec<Arrival>, PtmError> {
        let taken = match self.taken {
            Some(taken) => taken,
            None => self.store.arrivals_done()?,
        };
        // Before the look: what comes meanwhile is seen the next time.
        self.newest.mark_unchanged();
        let arrived = self.store.arrived_after(taken, limit)?;
        self.taken = Some(arrived.last().map_or(taken, |(sequence, _)| *sequence));
        if arrived.len() >= limit {
            self.newest.mark_changed();
        }
        Ok(arrived.into_iter().map(|(_, arrival)| arrival).collect())
    }

    /// Everything taken so far has been dealt with: soon it does not come again, even after a restart.
    pub fn done(&mut self) {
        if let Some(taken) = self.taken {
            self.store.set_arrivals_done(taken);
        }
    }

    /// Waits until there may be something to take, or so long. `false` where nothing came.
    pub async fn wait(&mut self, at_most: Duration) -> bool {
        let more = tokio::time::timeout(at_most, self.newest.changed()).await;
        let more = matches!(more, Ok(Ok(())));
        if more {
            self.newest.mark_changed();
        }
        more
    }
}
