//! Watching the chain grow at one node, block by block.

use super::ledger::Ledger;
use super::rpc::{BlockView, Endpoint};
use alloy_primitives::B256;
use serde::de::IgnoredAny;
use serde_json::json;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a node may show a block without its receipts before they are no longer waited for.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(10);

/// Follows one node. On an Istanbul chain a block that can be read is final.
pub struct Meter {
    endpoint: Endpoint,
    ledger: Rc<RefCell<Ledger>>,
    /// How often the node is asked for what was not there yet.
    poll: Duration,
}

impl Meter {
    /// Asks this node every `poll`.
    pub fn new(endpoint: Endpoint, ledger: Rc<RefCell<Ledger>>, poll: Duration) -> Self {
        Self { endpoint, ledger, poll }
    }

    /// Enters every block from `next` on into the ledger, as soon as its last receipt can be read. Never returns.
    pub async fn run(self, mut next: u64) {
        loop {
            let params = json!([format!("{next:#x}"), false]);
            match self.endpoint.timed_call::<BlockView>("eth_getBlockByNumber", params).await {
                Ok((Some(block), seen)) => {
                    let seen = match block.transactions.last() {
                        Some(hash) => self.receipt(*hash).await.unwrap_or(seen),
                        None => seen,
                    };
                    self.ledger.borrow_mut().block(&block, seen);
                    next += 1;
                }
                Ok((None, _)) => tokio::time::sleep(self.poll).await,
                Err(error) => {
                    eprintln!("block {next} could not be read: {error:#}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// When the receipt of this transaction could be read.
    async fn receipt(&self, hash: B256) -> Option<Instant> {
        let started = Instant::now();
        while started.elapsed() < RECEIPT_TIMEOUT {
            let receipt = self.endpoint.timed_call::<IgnoredAny>("eth_getTransactionReceipt", json!([hash]));
            if let (Some(_), seen) = receipt.await.ok()? {
                return Some(seen);
            }
            tokio::time::sleep(self.poll).await;
        }
        None
    }
}
