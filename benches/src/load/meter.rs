//! Watching the chain grow at one node, block by block.

use super::ledger::Ledger;
use super::rpc::{BlockView, Endpoint};
use serde_json::json;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Follows one node. On an Istanbul chain a block that can be read is final.
pub struct Meter {
    endpoint: Endpoint,
    ledger: Rc<RefCell<Ledger>>,
    /// How often the node is asked for a block that was not there yet.
    poll: Duration,
}

impl Meter {
    /// Asks this node every `poll`.
    pub fn new(endpoint: Endpoint, ledger: Rc<RefCell<Ledger>>, poll: Duration) -> Self {
        Self { endpoint, ledger, poll }
    }

    /// Enters every block from `next` on into the ledger. Never returns.
    pub async fn run(self, mut next: u64) {
        loop {
            let params = json!([format!("{next:#x}"), false]);
            match self.endpoint.timed_call::<BlockView>("eth_getBlockByNumber", params).await {
                Ok((Some(block), seen)) => {
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
}
