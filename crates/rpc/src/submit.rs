//! Raw transactions on their way to the door.
//!
//! Recovering a sender is the dearest step of a transaction's life, and the door does it for many at once on all
//! processors. So submissions of all clients meet in one queue; one thread takes whatever has gathered there,
//! passes it through the door, and answers each client. While it works the next batch gathers: under load
//! batches grow by themselves, and a single transaction on a quiet node waits for nobody.

use crate::config::RpcLimits;
use crate::error::{RpcError, StartError};
use alloy_primitives::{B256, Bytes};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{mpsc, oneshot};

/// Bytes of transactions that may wait for the door together, whatever their number: the number alone would
/// admit gigabytes of the largest ones.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What became of each transaction of a batch, in order.
pub(crate) type Outcomes = Vec<Result<B256, RpcError>>;

/// The queue before the door. The thread behind it ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Submitter {
    queue: mpsc::Sender<Submission>,
    waiting_bytes: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Submission {
    raw: Bytes,
    answer: oneshot::Sender<Result<B256, RpcError>>,
}

impl Submitter {
    /// Starts the thread. `door` decides about a batch.
    pub(crate) fn start(
        limits: &RpcLimits,
        door: impl FnMut(Vec<Bytes>) -> Outcomes + Send + 'static,
    ) -> Result<Self, StartError> {
        let (queue, arrivals) = mpsc::channel(limits.submissions_waiting.max(1));
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let batch_max = limits.submission_batch.max(1);
        let bytes = Arc::clone(&waiting_bytes);
        std::thread::Builder::new()
            .name("rpc-submit".to_owned())
            .spawn(move || serve(arrivals, &bytes, batch_max, door))
            .map_err(StartError::Thread)?;
        Ok(Self { queue, waiting_bytes })
    }

    /// Whether one more would be refused.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.capacity() == 0 || self.waiting_bytes.load(Ordering::Relaxed) > WAITING_BYTES_MAX
    }

    /// Brings one transaction in; the hash once the pool has taken it.
    pub(crate) async fn submit(&self, raw: Bytes) -> Result<B256, RpcError> {
        let length = raw.len();
        let waiting = self.waiting_bytes.fetch_add(length, Ordering::Relaxed).saturating_add(length);
        let (answer, outcome) = oneshot::channel();
        let full = waiting > WAITING_BYTES_MAX;
        if full || self.queue.try_send(Submission { raw, answer }).is_err() {
            self.waiting_bytes.fetch_sub(length, Ordering::Relaxed);
            return Err(RpcError::busy("transactions"));
        }
        outcome.await.unwrap_or_else(|_| Err(RpcError::Internal("the door did not answer".to_owned())))
    }
}

fn serve(
    mut arrivals: mpsc::Receiver<Submission>,
    waiting_bytes: &AtomicUsize,
    batch_max: usize,
    mut door: impl FnMut(Vec<Bytes>) -> Outcomes,
) {
    let mut batch = Vec::with_capacity(batch_max);
    while arrivals.blocking_recv_many(&mut batch, batch_max) > 0 {
        metrics::histogram!("lonja_rpc_submission_batch_size").record(batch.len() as f64);
        let (raws, answers): (Vec<Bytes>, Vec<_>) = batch.drain(..).map(|one| (one.raw, one.answer)).unzip();
        let bytes = raws.iter().map(|raw| raw.len()).sum();
        waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        // A panic at the door must cost one batch, not the node's ability to take transactions.
        let outcomes = catch_unwind(AssertUnwindSafe(|| door(raws))).unwrap_or_default();
        let mut outcomes = outcomes.into_iter();
        for answer in answers {
            let none = || Err(RpcError::Internal("the door failed".to_owned()));
            // The client may be gone; nobody else is interested.
            let _ = answer.send(outcomes.next().unwrap_or_else(none));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::keccak256;
    use std::sync::mpsc as std_mpsc;

    fn raw(n: u8) -> Bytes {
        Bytes::from(vec![n; 4])
    }

    #[tokio::test]
    async fn each_client_gets_its_own_answer() {
        let door = |raws: Vec<Bytes>| {
            let judge = |raw: &Bytes| match raw.first() {
                Some(n) if n % 2 == 0 => Ok(keccak256(raw)),
                _ => Err(RpcError::Refused("nonce too low".to_owned())),
            };
            raws.iter().map(judge).collect()
        };
        let submitter = Submitter::start(&RpcLimits::default(), door).unwrap();
        let all = (0..100).map(|n| submitter.submit(raw(n)));
        for (n, outcome) in futures::future::join_all(all).await.into_iter().enumerate() {
            match n % 2 {
                0 => assert_eq!(outcome, Ok(keccak256(raw(n as u8)))),
                _ => assert_eq!(outcome.unwrap_err().to_string(), "nonce too low"),
            }
        }
    }

    #[tokio::test]
    async fn what_arrives_while_the_door_is_busy_goes_in_together() {
        let (sizes_in, sizes) = std_mpsc::channel();
        let (release, gate) = std_mpsc::channel::<()>();
        let door = move |raws: Vec<Bytes>| {
            sizes_in.send(raws.len()).unwrap();
            gate.recv().unwrap();
            raws.iter().map(|raw| Ok(keccak256(raw))).collect()
        };
        let limits = RpcLimits { submission_batch: 3, ..RpcLimits::default() };
        let submitter = Submitter::start(&limits, door).unwrap();
        let mut first = Box::pin(submitter.submit(raw(0)));
        assert!(futures::poll!(&mut first).is_pending());
        assert_eq!(sizes.recv().unwrap(), 1);
        let mut rest = Box::pin(futures::future::join_all((1..=4).map(|n| submitter.submit(raw(n)))));
        assert!(futures::poll!(&mut rest).is_pending());
        (0..3).for_each(|_| release.send(()).unwrap());
        assert!(first.await.is_ok());
        assert!(rest.await.iter().all(Result::is_ok));
        assert_eq!(sizes.iter().take(2).collect::<Vec<_>>(), vec![3, 1]);
    }

    #[tokio::test]
    async fn a_full_queue_is_an_explicit_answer() {
        let (release, gate) = std_mpsc::channel::<()>();
        let (started_in, started) = std_mpsc::channel();
        let door = move |raws: Vec<Bytes>| {
            started_in.send(()).unwrap();
            gate.recv().unwrap();
            raws.iter().map(|raw| Ok(keccak256(raw))).collect()
        };
        let limits = RpcLimits { submissions_waiting: 1, ..RpcLimits::default() };
        let submitter = Submitter::start(&limits, door).unwrap();
        let mut first = Box::pin(submitter.submit(raw(0)));
        assert!(futures::poll!(&mut first).is_pending());
        started.recv().unwrap();
        let mut second = Box::pin(submitter.submit(raw(1)));
        assert!(futures::poll!(&mut second).is_pending());
        assert!(submitter.is_full());
        assert_eq!(submitter.submit(raw(2)).await.unwrap_err().code(), -32005);
        release.send(()).unwrap();
        release.send(()).unwrap();
        assert!(first.await.is_ok() && second.await.is_ok());
        assert!(!submitter.is_full());
        assert_eq!(submitter.waiting_bytes.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn too_many_bytes_are_refused_before_they_wait() {
        let submitter =
            Submitter::start(&RpcLimits::default(), |raws| vec![Ok(B256::ZERO); raws.len()]).unwrap();
        let huge = Bytes::from(vec![0; WAITING_BYTES_MAX + 1]);
        assert_eq!(submitter.submit(huge).await.unwrap_err().code(), -32005);
        assert!(submitter.submit(raw(1)).await.is_ok());
    }

    #[tokio::test]
    async fn a_door_that_panics_costs_one_batch() {
        let mut times = 0;
        let door = move |raws: Vec<Bytes>| {
            times += 1;
            assert!(times > 1, "on purpose");
            vec![Ok(B256::ZERO); raws.len()]
        };
        let submitter = Submitter::start(&RpcLimits::default(), door).unwrap();
        assert_eq!(submitter.submit(raw(0)).await.unwrap_err().code(), -32603);
        assert_eq!(submitter.submit(raw(1)).await, Ok(B256::ZERO));
    }
}
