//! Many worlds at once: one per thread, seed after seed.

use super::report::{Failure, Stats};
use super::story::run;
use super::world::Options;
use parking_lot::Mutex;
use rayon::ThreadPoolBuilder;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// Which worlds to run.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// The first seed.
    pub from: u64,
    /// How many; `u64::MAX` for as long as `go_on` says so.
    pub seeds: u64,
    /// Threads; 0 for one per core.
    pub threads: usize,
    /// Go on after a failure.
    pub keep_going: bool,
    /// How each is run.
    pub options: Options,
}

impl Crowd {
    /// Runs them. `progress` hears of every world that ended, and says whether to go on. The failures come back
    /// in the order of their seeds.
    pub fn run(&self, progress: impl Fn(&Stats) -> bool + Sync) -> (Stats, Vec<Failure>) {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = if self.threads == 0 { cores } else { self.threads };
        let next = AtomicU64::new(0);
        let stop = AtomicBool::new(false);
        let total = Mutex::new((Stats::default(), Vec::new()));
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= self.seeds {
                    return;
                }
                let outcome = run(self.from.wrapping_add(index), self.options);
                let mut total = total.lock();
                match outcome {
                    Ok(stats) => total.0 += stats,
                    Err(failure) => {
                        total.0.worlds += 1;
                        total.1.push(failure);
                        stop.fetch_or(!self.keep_going, Ordering::Relaxed);
                    }
                }
                if !progress(&total.0) {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| alone(work));
            }
        });
        let (stats, mut failures) = total.into_inner();
        failures.sort_by_key(|failure: &Failure| failure.seed);
        (stats, failures)
    }
}

/// Runs `work` with a worker pool of its own that has this one thread only: what nodes do in parallel happens in
/// order, and without a thread waiting for another.
pub fn alone<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let pool = ThreadPoolBuilder::new().num_threads(1).build().expect("the system can start a thread");
    pool.install(work)
}
