//! The writer of the chain.

mod build;
mod check;
mod commit;
mod open;
mod run;

use crate::door::Door;
use crate::error::ChainError;
use crate::executed::Executions;
use crate::peers::PeerJudge;
use crate::publisher::Publisher;
use crate::shared::Shared;
use alloy_primitives::{B256, Bytes};
use lonja_consensus::machine::ChainPosition;
use lonja_permissioning::OwnEnd;
use lonja_storage::{ChainWriter, Head, Reader};
use lonja_txpool::TxPool;
use parking_lot::Mutex;
use std::sync::Arc;

pub use check::{check_output, check_state};
pub use commit::Committed;

/// Builds, checks and commits blocks. One per store, driven by one thread.
pub struct ChainCore {
    writer: ChainWriter,
    reader: Reader,
    pool: Arc<Mutex<TxPool>>,
    position: Arc<ChainPosition>,
    executions: Executions,
    shared: Arc<Shared>,
    door: Door,
    /// The vote snapshot that is in the store, and the height it is of.
    votes_stored: Option<(u64, Bytes)>,
    executed_count: u64,
}

impl ChainCore {
    /// The newest block written, and who validates the next one. It may not be durable yet.
    pub fn position(&self) -> Arc<ChainPosition> {
        self.position.clone()
    }

    /// Reads what is published.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Where transactions come in. All clones share one listener.
    pub fn door(&self) -> Door {
        self.door.clone()
    }

    /// Says which nodes may connect, at the newest block. `own` is this node.
    pub fn peer_judge(&self, own: OwnEnd) -> PeerJudge {
        PeerJudge::new(self.shared.clone(), own)
    }

    /// Makes commits durable, for another thread.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(self.writer.publisher())
    }

    /// Makes every commit so far durable and publishes the newest, on this thread.
    pub fn sync_and_publish(&mut self) -> Result<Head, ChainError> {
        self.publisher().publish(self.writer.written())
    }

    /// Whether the next block could take a transaction.
    pub fn work_waiting(&self) -> bool {
        self.pool.lock().has_ready()
    }

    /// How many blocks were executed since the chain was opened: one per block on a node that is up to date.
    pub fn executed_count(&self) -> u64 {
        self.executed_count
    }

    /// Sets the clock by which transactions grow old (milliseconds since 1970); the system's where none is
    /// set. To be called before the first transaction comes in; a second call is ignored.
    pub fn set_clock(&self, clock: Box<dyn Fn() -> u64 + Send + Sync>) {
        self.shared.clock.set(clock);
    }

    /// Whether a block with this number and parent would stand on our head.
    fn expect_next(&self, number: u64, parent: B256) -> Result<(), String> {
        let head = &self.position.head;
        if head.number.checked_add(1) == Some(number) && head.hash() == parent {
            return Ok(());
        }
        Err(format!(
            "block {number} on parent {parent} does not stand on the head, which is block {} {}",
            head.number,
            head.hash()
        ))
    }
}
