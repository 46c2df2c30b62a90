//! The time by which transactions grow old in the pool. Nothing that all nodes must agree on depends on it.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970: the system's clock, or the one that a test brings.
#[derive(Default)]
pub(crate) struct Clock(OnceLock<Box<dyn Fn() -> u64 + Send + Sync>>);

impl Clock {
    /// Uses another clock; the first one set stays.
    pub(crate) fn set(&self, clock: Box<dyn Fn() -> u64 + Send + Sync>) {
        // A second clock is refused, so that time never jumps between two.
        let _ = self.0.set(clock);
    }

    pub(crate) fn now_ms(&self) -> u64 {
        match self.0.get() {
            Some(clock) => clock(),
            None => system_ms(),
        }
    }
}

fn system_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
