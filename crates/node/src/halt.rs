//! The way to stop the node from any thread, with the reason. The first reason counts.

use std::sync::Arc;
use tokio::sync::watch;

/// Asks the node to stop. Cheap to clone.
#[derive(Clone)]
pub struct Halt(Arc<watch::Sender<Option<String>>>);

impl Halt {
    /// Nothing is wrong yet.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    /// Something is broken for good: our disk, or an invariant.
    pub fn now(&self, reason: String) {
        tracing::error!(%reason, "halting");
        self.0.send_if_modified(|present| {
            let first = present.is_none();
            if first {
                *present = Some(reason);
            }
            first
        });
    }

    /// The reason, once there is one.
    pub async fn wait(&self) -> String {
        let mut receiver = self.0.subscribe();
        let reason = receiver.wait_for(Option::is_some).await;
        reason.ok().and_then(|reason| reason.clone()).unwrap_or_default()
    }

    /// The reason, if there is one.
    pub fn reason(&self) -> Option<String> {
        self.0.borrow().clone()
    }
}

impl Default for Halt {
    fn default() -> Self {
        Self::new()
    }
}
