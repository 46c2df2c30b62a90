//! Time and chance of one manager: the world's.

use crate::simulation::dice::Dice;
use futures::future::BoxFuture;
use lonja_ptm::{CryptoError, Surroundings};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The clocks of one process, which stand still until the world sets them.
#[derive(Clone)]
pub(super) struct Time(Arc<Shared>);

struct Shared {
    began: Instant,
    state: Mutex<State>,
}

struct State {
    now_us: u64,
    unix_ms: u64,
    dice: Dice,
    /// Who sleeps, by when it is to wake.
    sleepers: BTreeMap<(u64, u64), Waker>,
    next: u64,
}

impl Time {
    /// Clocks at this time, and random numbers of this seed.
    pub(super) fn new(now_us: u64, unix_ms: u64, seed: u64) -> Self {
        let state = State { now_us, unix_ms, dice: Dice::new(seed), sleepers: BTreeMap::new(), next: 0 };
        Self(Arc::new(Shared { began: Instant::now(), state: Mutex::new(state) }))
    }

    /// It is so late now. Wakes whoever slept until then.
    pub(super) fn set(&self, now_us: u64, unix_ms: u64) {
        let mut state = self.0.state.lock();
        (state.now_us, state.unix_ms) = (now_us, unix_ms);
        let later = state.sleepers.split_off(&(now_us + 1, 0));
        let woken = std::mem::replace(&mut state.sleepers, later);
        drop(state);
        woken.into_values().for_each(Waker::wake);
    }

    /// When the next one is to wake, microseconds of the world.
    pub(super) fn next_us(&self) -> Option<u64> {
        self.0.state.lock().sleepers.keys().next().map(|(at_us, _)| *at_us)
    }
}

impl Surroundings for Time {
    fn now(&self) -> Instant {
        self.0.began + Duration::from_micros(self.0.state.lock().now_us)
    }

    fn unix_ms(&self) -> u64 {
        self.0.state.lock().unix_ms
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        let mut state = self.0.state.lock();
        let at_us = state.now_us.saturating_add(time.as_micros() as u64);
        state.next += 1;
        Box::pin(Sleep { shared: self.0.clone(), place: (at_us, state.next) })
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        let dice = &mut self.0.state.lock().dice;
        bytes
            .chunks_mut(8)
            .for_each(|chunk| chunk.copy_from_slice(&dice.next().to_le_bytes()[..chunk.len()]));
        Ok(())
    }
}

struct Sleep {
    shared: Arc<Shared>,
    place: (u64, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.shared.state.lock();
        if self.place.0 <= state.now_us {
            return Poll::Ready(());
        }
        state.sleepers.insert(self.place, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.shared.state.lock().sleepers.remove(&self.place);
    }
}
