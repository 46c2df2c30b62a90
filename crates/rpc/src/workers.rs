//! Blocking threads behind bounded queues: what a client asks for never runs on the threads that serve sockets.

use crate::config::RpcLimits;
use crate::error::RpcError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;

/// Traces that run at the same time. One takes seconds of a processor and a few times the longest answer in memory, and
/// must not keep others from their calls.
const TRACES_RUNNING: usize = 1;

/// Traces that may wait: each for all before it.
const TRACES_WAITING: usize = 16;

/// The three lanes.
#[derive(Debug)]
pub(crate) struct Workers {
    /// Point reads of the store.
    pub(crate) reads: Lane,
    /// Calls, estimates, searches, proofs.
    pub(crate) heavy: Lane,
    /// Transactions and blocks that are executed once more to be looked at.
    pub(crate) traces: Lane,
}

/// So many jobs at the same time, so many waiting, and not one more.
#[derive(Debug)]
pub(crate) struct Lane {
    name: &'static str,
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

/// A place in the queue; given back when the wait ends, also by a client that went away.
struct Place<'a>(&'a AtomicUsize);

impl Workers {
    /// Lanes of the configured widths.
    pub(crate) fn new(limits: &RpcLimits) -> Self {
        Self {
            reads: Lane::new("reads", limits.reads_running, limits.reads_waiting),
            heavy: Lane::new("heavy requests", limits.heavy_running, limits.heavy_waiting),
            traces: Lane::new("traces", TRACES_RUNNING, TRACES_WAITING),
        }
    }
}

impl Lane {
    fn new(name: &'static str, running_max: usize, waiting_max: usize) -> Self {
        let running = Arc::new(Semaphore::new(running_max.max(1)));
        Self { name, running, waiting: AtomicUsize::new(0), waiting_max }
    }

    /// Runs the job on a blocking thread when its turn comes; refuses at once when the queue is full.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let permit = match Arc::clone(&self.running).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _place = self.queue()?;
                let permit = Arc::clone(&self.running).acquire_owned().await;
                permit.map_err(|_| RpcError::Internal("the worker pool is closed".to_owned()))?
            }
        };
        let job = move || {
            let result = job();
            drop(permit);
            result
        };
        let joined = tokio::task::spawn_blocking(job).await;
        joined.unwrap_or_else(|error| Err(RpcError::Internal(format!("a worker failed: {error}"))))
    }

    fn queue(&self) -> Result<Place<'_>, RpcError> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.waiting_max {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(RpcError::busy(self.name));
        }
        Ok(Place(&self.waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn a_full_queue_is_said_and_a_free_one_serves() {
        let lane = Arc::new(Lane::new("test jobs", 1, 1));
        let (release, gate) = mpsc::channel::<()>();
        let (started, running) = tokio::sync::oneshot::channel();
        let first = tokio::spawn({
            let lane = Arc::clone(&lane);
            async move {
                let job = move || {
                    let _ = started.send(());
                    gate.recv().map_err(|error| RpcError::Internal(error.to_string()))
                };
                lane.run(job).await
            }
        });
        running.await.unwrap();
        let second = tokio::spawn({
            let lane = Arc::clone(&lane);
            async move { lane.run(|| Ok(2)).await }
        });
        while lane.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        let refused = lane.run(|| Ok(3)).await.unwrap_err();
        assert_eq!(refused.code(), -32005);
        assert!(refused.to_string().contains("try again"), "{refused}");
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!(second.await.unwrap(), Ok(2));
        assert_eq!(lane.run(|| Ok(4)).await, Ok(4));
    }

    #[tokio::test]
    async fn a_waiting_client_that_goes_away_frees_its_place() {
        let lane = Lane::new("test jobs", 1, 1);
        let held = Arc::clone(&lane.running).acquire_owned().await.unwrap();
        {
            let mut waiting = Box::pin(lane.run(|| Ok(())));
            assert!(futures::poll!(&mut waiting).is_pending());
            assert_eq!(lane.waiting.load(Ordering::Relaxed), 1);
        }
        assert_eq!(lane.waiting.load(Ordering::Relaxed), 0);
        drop(held);
        assert_eq!(lane.run(|| Ok(1)).await, Ok(1));
    }

    #[tokio::test]
    async fn a_panicking_job_is_an_internal_error_and_frees_its_thread() {
        let lane = Lane::new("test jobs", 1, 0);
        let result: Result<(), RpcError> = lane.run(|| panic!("on purpose")).await;
        assert_eq!(result.unwrap_err().code(), -32603);
        assert_eq!(lane.run(|| Ok(1)).await, Ok(1));
    }
}
