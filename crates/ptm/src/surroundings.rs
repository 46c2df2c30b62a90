//! What a manager takes from the machine it runs on, besides its store and its lines: time and chance.

use crate::crypto::CryptoError;
use futures::future::{BoxFuture, Either, select};
use rand::TryRngCore;
use std::pin::pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Clocks and random numbers. A simulation brings its own, so that everything happens again as it did.
pub trait Surroundings: Send + Sync {
    /// A clock that never goes back.
    fn now(&self) -> Instant;

    /// Milliseconds since 1970.
    fn unix_ms(&self) -> u64;

    /// Lets time pass.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;

    /// Fills these bytes. Whoever can guess them reads what is sealed with them: outside of a simulation nothing but
    /// [`Machine`] may give them.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), CryptoError>;
}

/// This machine's clocks, and its operating system's random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl Surroundings for Machine {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn unix_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        rand::rngs::OsRng.try_fill_bytes(bytes).map_err(|_| CryptoError::NoRandomness)
    }
}

/// What work comes to, unless so much time passes before.
pub(crate) async fn within<T>(
    surroundings: &dyn Surroundings,
    time: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    match select(pin!(work), surroundings.sleep(time)).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(((), _)) => None,
    }
}

/// `N` bytes that are random there.
pub(crate) fn draw<const N: usize>(surroundings: &dyn Surroundings) -> Result<[u8; N], CryptoError> {
    let mut bytes = [0; N];
    surroundings.fill(&mut bytes)?;
    Ok(bytes)
}
