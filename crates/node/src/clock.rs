//! The only clock of the node. Everything below the driver gets the time as an argument.

use lonja_consensus::Now;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Reads wall-clock and monotonic time together.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// Monotonic time counts from now on.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// The time, in milliseconds since the Unix epoch and since the start of the node.
    pub fn now(&self) -> Now {
        Now { unix_ms: unix_ms(), mono_ms: self.mono_ms() }
    }

    /// Milliseconds since the start of the node.
    pub fn mono_ms(&self) -> u64 {
        millis(self.started.elapsed())
    }

    /// How long it is until a monotonic time; zero when it is past.
    pub fn until(&self, mono_ms: u64) -> Duration {
        Duration::from_millis(mono_ms).saturating_sub(self.started.elapsed())
    }
}

/// Milliseconds since the Unix epoch; 0 on a machine whose clock stands before it.
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
