//! From written to durable, and only then visible.

use crate::error::ChainError;
use crate::telemetry::{self, Step, timed};
use lonja_storage::{Head, Publisher as StorePublisher};

/// Makes commits durable and shows them to the readers, while the next block is built. Clones act on one chain.
#[derive(Clone)]
pub struct Publisher(StorePublisher);

impl Publisher {
    pub(crate) fn new(store: StorePublisher) -> Self {
        Self(store)
    }

    /// Makes every commit up to `written` durable, and then publishes it as the head. One call covers all
    /// commits before it. The only error is a halt: nothing is known about what is on disk.
    pub fn publish(&self, written: Head) -> Result<Head, ChainError> {
        let head = timed(Step::Persist, || self.0.sync_and_publish(written))?;
        telemetry::published(head.number);
        Ok(head)
    }
}
