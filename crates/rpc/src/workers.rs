//! Blocking threads behind bounded queues: what a client asks for never runs on the threads that serve sockets.

use crate::config::RpcLimits;
use crate::error::RpcError;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::oneshot;

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

/// So many jobs at the same time, so many waiting, and not one more. A thread that ends a job goes on with the next one that
/// waits: under load nobody is woken for it.
#[derive(Debug)]
pub(crate) struct Lane {
    name: &'static str,
    running_max: usize,
    waiting_max: usize,
    queue: Arc<Mutex<Queue>>,
}

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    /// Threads at work.
    running: usize,
    waiting: VecDeque<(u64, Job)>,
    next: u64,
}

/// A place in the queue; given back when the wait ends, also by a client that went away.
struct Place {
    queue: Arc<Mutex<Queue>>,
    number: u64,
}

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
        Self { name, running_max: running_max.max(1), waiting_max, queue: Arc::default() }
    }

    /// Runs the job on a blocking thread when its turn comes; refuses at once when the queue is full.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Whoever asked may have gone. A panic costs one job, and the thread goes on.
            let result = catch_unwind(AssertUnwindSafe(job));
            drop(answer.send(result.unwrap_or_else(|_| Err(failed()))));
        });
        let _place = self.begin(job)?;
        answered.await.unwrap_or_else(|_| Err(failed()))
    }

    /// Runs it now, or gives it a place.
    fn begin(&self, job: Job) -> Result<Option<Place>, RpcError> {
        let mut queue = self.queue.lock();
        if queue.running < self.running_max {
            queue.running = queue.running.saturating_add(1);
            drop(queue);
            let queue = Arc::clone(&self.queue);
            tokio::task::spawn_blocking(move || work(&queue, job));
            return Ok(None);
        }
        if queue.waiting.len() >= self.waiting_max {
            return Err(RpcError::busy(self.name));
        }
        let number = queue.next;
        queue.next = number.wrapping_add(1);
        queue.waiting.push_back((number, job));
        Ok(Some(Place { queue: Arc::clone(&self.queue), number }))
    }
}

fn failed() -> RpcError {
    RpcError::Internal("a worker failed".to_owned())
}

/// A thread's work: a job, and all that wait behind it.
fn work(queue: &Mutex<Queue>, first: Job) {
    let mut job = Some(first);
    while let Some(now) = job {
        now();
        let mut queue = queue.lock();
        job = queue.waiting.pop_front().map(|(_, job)| job);
        if job.is_none() {
            queue.running = queue.running.saturating_sub(1);
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { running, waiting, .. } = self;
        f.debug_struct("Queue").field("running", running).field("waiting", &waiting.len()).finish()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queue = self.queue.lock();
        if let Ok(at) = queue.waiting.binary_search_by_key(&self.number, |(number, _)| *number) {
            drop(queue.waiting.remove(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
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
        while lane.queue.lock().waiting.is_empty() {
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
        let (release, gate) = mpsc::channel::<()>();
        let held = move || gate.recv().map_err(|error| RpcError::Internal(error.to_string()));
        let mut first = Box::pin(lane.run(held));
        assert!(futures::poll!(&mut first).is_pending());
        {
            let mut waiting = Box::pin(lane.run(|| Ok(())));
            assert!(futures::poll!(&mut waiting).is_pending());
            assert_eq!(lane.queue.lock().waiting.len(), 1);
        }
        assert_eq!(lane.queue.lock().waiting.len(), 0);
        release.send(()).unwrap();
        assert_eq!(first.await, Ok(()));
        assert_eq!(lane.run(|| Ok(1)).await, Ok(1));
    }

    #[tokio::test]
    async fn a_panicking_job_is_an_internal_error_and_frees_its_thread() {
        let lane = Lane::new("test jobs", 1, 1);
        let failing = lane.run(|| -> Result<(), RpcError> { panic!("on purpose") });
        let (result, behind) = futures::join!(failing, lane.run(|| Ok(1)));
        assert_eq!((result.unwrap_err().code(), behind), (-32603, Ok(1)));
        while lane.queue.lock().running > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(lane.run(|| Ok(1)).await, Ok(1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn all_are_answered_and_no_more_run_than_may() {
        let (lane, running) = (Lane::new("test jobs", 2, 1_000), Arc::new(AtomicUsize::new(0)));
        let jobs = (0..500u32).map(|number| {
            let running = Arc::clone(&running);
            lane.run(move || {
                let together = running.fetch_add(1, Ordering::SeqCst);
                std::thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
                Ok((number, together))
            })
        });
        for (at, outcome) in (0..).zip(futures::future::join_all(jobs).await) {
            let (number, together) = outcome.unwrap();
            assert!(number == at && together < 2);
        }
    }
}
