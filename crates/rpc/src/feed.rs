//! Tells subscribers about new blocks: each block is read once, whatever the number of subscribers.

use crate::blocks::FullBlock;
use crate::context::{Context, HEAD_NEWS_WAITING};
use crate::error::RpcError;
use crate::view::HeaderView;
use serde_json::value::{RawValue, to_raw_value};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A new block, with its header as subscribers get it.
#[derive(Debug)]
pub(crate) struct HeadNews {
    pub(crate) header: Box<RawValue>,
    pub(crate) block: Arc<FullBlock>,
}

/// How often, and how long each time, the feed waits for subscribers to catch up before it goes on and lets the
/// slow ones be dropped. A node that fetches history passes thousands of blocks in one go.
const PATIENCE_STEPS: usize = 20;
const PATIENCE_STEP: Duration = Duration::from_millis(10);

/// Runs until stopped, or until the node's end of the feed is gone.
pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    let mut heads = context.node.heads.clone();
    let mut told = heads.borrow_and_update().number;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = heads.changed() => if changed.is_err() { return },
        }
        let head = heads.borrow_and_update().number;
        while told < head && context.news.receiver_count() > 0 && !stop.is_cancelled() {
            told = told.saturating_add(1);
            match read(Arc::clone(&context), told).await {
                // Nobody is left to hear it: nothing is lost.
                Ok(news) => drop(context.news.send(Arc::new(news))),
                Err(error) => tracing::error!(block = told, %error, "subscribers miss a block"),
            }
            wait_for_subscribers(&context).await;
        }
        told = head;
    }
}

async fn read(context: Arc<Context>, number: u64) -> Result<HeadNews, RpcError> {
    let job = move || {
        let block = context.block(number)?;
        let header = to_raw_value(&HeaderView::new(&block.header));
        Ok(HeadNews { header: header.map_err(|error| RpcError::Internal(error.to_string()))?, block })
    };
    let joined = tokio::task::spawn_blocking(job).await;
    joined.unwrap_or_else(|error| Err(RpcError::Internal(error.to_string())))
}

async fn wait_for_subscribers(context: &Context) {
    for _ in 0..PATIENCE_STEPS {
        if context.news.len() < HEAD_NEWS_WAITING / 2 {
            return;
        }
        tokio::time::sleep(PATIENCE_STEP).await;
    }
}
