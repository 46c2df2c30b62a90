//! Watching the chain grow at one node, block by block.

use super::rpc::{BlockView, Endpoint};
use alloy_primitives::B256;
use serde::de::IgnoredAny;
use serde_json::json;
use std::time::{Duration, Instant};

/// How long a node may show a block without its receipts before they are no longer waited for.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(10);

/// Follows one node. On an Istanbul chain a block that can be read is final.
pub struct Meter {
    endpoint: Endpoint,
    /// How often the node is asked for what was not there yet.
    poll: Duration,
    /// Whether a block without its receipts is waited for whatever it takes.
    patient: bool,
}

impl Meter {
    /// Asks this node every `poll`.
    pub fn new(endpoint: Endpoint, poll: Duration) -> Self {
        Self { endpoint, poll, patient: false }
    }

    /// Takes no block before its last receipt is there: where that is private, a party has executed the block then.
    pub fn patient(self) -> Self {
        Self { patient: true, ..self }
    }

    /// Tells of every block from `next` on, as soon as its last receipt can be read. Never returns.
    pub async fn run(self, mut next: u64, mut tell: impl FnMut(&BlockView, Instant)) {
        loop {
            let params = json!([format!("{next:#x}"), false]);
            match self.endpoint.timed_call::<BlockView>("eth_getBlockByNumber", params).await {
                Ok((Some(block), seen)) => {
                    let seen = match block.transactions.last() {
                        Some(hash) => self.receipt(*hash).await.unwrap_or(seen),
                        None => seen,
                    };
                    tell(&block, seen);
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
        while self.patient || started.elapsed() < RECEIPT_TIMEOUT {
            let receipt = self.endpoint.timed_call::<IgnoredAny>("eth_getTransactionReceipt", json!([hash]));
            match receipt.await {
                Ok((Some(_), seen)) => return Some(seen),
                Err(_) if !self.patient => return None,
                _ => tokio::time::sleep(self.poll).await,
            }
        }
        None
    }
}
