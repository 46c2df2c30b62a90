//! What the scenarios are told in: a network of processes, its accounts, and load on it.

mod cable;
mod load;
mod namespace;
mod network;
pub mod party;
mod ports;
mod process;
mod registry;
mod rpc;
mod wallet;
mod witness;

pub use load::Load;
pub use network::{Member, Network, Plan, assert_calm};
pub use ports::{free_port, is_free, offset_for};
pub use process::{Finished, Process, choose_binary, lonja, run, run_for};
pub use registry::{Organisation, Organisations, node_key};
pub use rpc::Rpc;
pub use wallet::{Signed, Wallet};
pub use witness::Witness;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a scenario waits for something that has no promised time. Only a node that hangs takes this long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(25);

static TURN: Mutex<()> = Mutex::new(());

/// Waits until no other scenario runs processes. A scenario that failed does not stop the others.
pub fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `probe` gives something; fails with `what` after [`PATIENCE`].
#[track_caller]
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited {} s in vain: {what}", PATIENCE.as_secs());
        thread::sleep(LOOK_EVERY);
    }
}

/// As [`wait_for`], for a condition.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}
