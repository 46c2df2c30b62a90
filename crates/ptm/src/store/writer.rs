//! The one thread that writes.

use super::store_error;
use crate::PtmError;
use futures::future::BoxFuture;
use lonja_storage::{Batch, Kv, StoreError, Table};
use metrics::{counter, histogram};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// Writes that wait for the disk. At one sync in ten milliseconds and a thousand writes in each this is a second's worth
/// of many more than clients can send.
const MAX_WAITING_JOBS: usize = 8_192;

/// Bytes of these: a dozen of the largest payloads.
const MAX_WAITING_BYTES: usize = 128 << 20;

/// So many changes in one batch say that more are about to come, and the next one waits so long for them: a few payloads a
/// millisecond are what a busy member sends, and nobody notices the time beside that of a block.
const MANY_JOBS: usize = 3;
const GATHER: Duration = Duration::from_millis(3);

/// Writes in one batch, and their bytes: so that the first of them does not wait for long.
const MAX_BATCH_JOBS: usize = 1_024;
const MAX_BATCH_BYTES: usize = 32 << 20;

/// A write: table, key, and the value, `None` to remove it.
pub(crate) type Row = (Table, Vec<u8>, Option<Vec<u8>>);

/// Comes when a change is durable. The change goes on whether this is waited for or not.
pub(crate) type Durable<T> = BoxFuture<'static, Result<T, PtmError>>;

/// Answers one who waits, once it is known whether the batch is durable.
type Answer = Box<dyn FnOnce(Result<(), PtmError>) + Send>;

type Change = Box<dyn FnOnce(&mut Pending<'_>) -> (Vec<Row>, Answer) + Send>;

struct Job {
    bytes: usize,
    change: Change,
}

/// The store as the changes of the batch so far leave it. A change reads here and says what to write.
pub(crate) struct Pending<'a> {
    kv: &'a dyn Kv,
    changed: HashMap<(Table, Vec<u8>), Option<Vec<u8>>>,
    sequence: u64,
}

impl Pending<'_> {
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, PtmError> {
        if self.changed.is_empty() {
            return self.kv.get(table, key).map_err(store_error);
        }
        match self.changed.get(&(table, key.to_vec())) {
            Some(value) => Ok(value.clone()),
            None => self.kv.get(table, key).map_err(store_error),
        }
    }

    /// The next sequence number.
    pub(crate) fn next_sequence(&mut self) -> u64 {
        self.sequence = self.sequence.saturating_add(1);
        self.sequence
    }
}

pub(super) struct WriterParts {
    pub(super) kv: Arc<dyn Kv>,
    pub(super) sequence: u64,
    pub(super) newest: watch::Sender<u64>,
}

/// The way to the thread. Dropping it lets the thread finish what waits, and waits for that.
pub(super) struct Writer {
    jobs: Option<SyncSender<Job>>,
    waiting_bytes: Arc<AtomicUsize>,
    halted: Arc<OnceLock<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(parts: WriterParts) -> Self {
        let (sender, receiver) = sync_channel(MAX_WAITING_JOBS);
        let (waiting_bytes, halted) = (Arc::new(AtomicUsize::new(0)), Arc::new(OnceLock::new()));
        let mut work = Work { parts, waiting_bytes: waiting_bytes.clone(), halted: halted.clone() };
        let run = move || {
            if catch_unwind(AssertUnwindSafe(|| work.run(&receiver))).is_err() {
                work.halt("a fault in the program");
            }
        };
        let thread = thread::Builder::new().name("payloads".into()).spawn(run);
        let thread = thread.expect("the system can start a thread");
        Self { jobs: Some(sender), waiting_bytes, halted, thread: Some(thread) }
    }

    pub(super) fn halted(&self) -> Option<&str> {
        self.halted.get().map(String::as_str)
    }

    fn stopped(halted: &OnceLock<String>) -> PtmError {
        let reason = halted.get().map_or("the payload store has stopped", String::as_str);
        PtmError::Unavailable(reason.to_owned())
    }

    /// Hands a change in. It is under way when this returns, whether the answer is waited for or not; the answer comes
    /// when it is durable. `bytes`: about how much memory it takes until then.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        bytes: usize,
        change: impl FnOnce(&mut Pending<'_>) -> Result<(Vec<Row>, T), PtmError> + Send + 'static,
    ) -> Durable<T> {
        let (sender, receiver) = oneshot::channel();
        let change: Change = Box::new(move |pending| {
            let (rows, outcome) = match change(pending) {
                Ok((rows, value)) => (rows, Ok(value)),
                Err(error) => (Vec::new(), Err(error)),
            };
            // Nobody may wait any more; what was written stays.
            let answer = move |durable: Result<(), PtmError>| drop(sender.send(durable.and(outcome)));
            (rows, Box::new(answer))
        });
        let queued = self.queue(Job { bytes, change });
        let halted = self.halted.clone();
        Box::pin(async move {
            queued?;
            receiver.await.unwrap_or_else(|_| Err(Self::stopped(&halted)))
        })
    }

    fn queue(&self, job: Job) -> Result<(), PtmError> {
        let bytes = job.bytes;
        let full = || {
            counter!("lonja_ptm_store_refused_total").increment(1);
            PtmError::Unavailable("too many payloads wait for the disk: try again".into())
        };
        let jobs = self.jobs.as_ref().ok_or_else(|| Self::stopped(&self.halted))?;
        let before = self.waiting_bytes.fetch_add(bytes, Ordering::SeqCst);
        let give_back = || self.waiting_bytes.fetch_sub(bytes, Ordering::SeqCst);
        if before > 0 && before.saturating_add(bytes) > MAX_WAITING_BYTES {
            give_back();
            return Err(full());
        }
        jobs.try_send(job).map_err(|refused| {
            give_back();
            match refused {
                TrySendError::Full(_) => full(),
                TrySendError::Disconnected(_) => Self::stopped(&self.halted),
            }
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // The thread catches its own panics.
            let _ = thread.join();
        }
    }
}

struct Work {
    parts: WriterParts,
    waiting_bytes: Arc<AtomicUsize>,
    halted: Arc<OnceLock<String>>,
}

impl Work {
    /// Ends when nobody can hand in changes any more, or after the first failure of the store.
    fn run(&mut self, jobs: &Receiver<Job>) {
        let mut carried_out = 0;
        while let Ok(first) = jobs.recv() {
            // Many come at a time: a sync costs the same for all of them.
            if carried_out >= MANY_JOBS {
                thread::sleep(GATHER);
            }
            match self.batch(first, jobs) {
                Some(count) => carried_out = count,
                None => return,
            }
        }
    }

    fn halt(&self, reason: &str) {
        tracing::error!(reason, "the payload store has stopped");
        let text = format!(
            "the payload store has stopped, and nothing is kept any more: {reason}. Restart the node"
        );
        let _ = self.halted.set(text);
    }

    /// Carries out a change and those that wait behind it, and says how many. `None` when the store failed.
    fn batch(&mut self, first: Job, jobs: &Receiver<Job>) -> Option<usize> {
        let before = self.parts.sequence;
        let kv = self.parts.kv.clone();
        let mut pending = Pending { kv: &*kv, changed: HashMap::new(), sequence: before };
        let (mut answers, mut bytes, mut next) = (Vec::new(), 0usize, Some(first));
        while let Some(job) = next {
            bytes = bytes.saturating_add(job.bytes);
            let (rows, answer) = (job.change)(&mut pending);
            pending.changed.extend(rows.into_iter().map(|(table, key, value)| ((table, key), value)));
            answers.push(answer);
            let more = answers.len() < MAX_BATCH_JOBS && bytes < MAX_BATCH_BYTES;
            next = if more { jobs.try_recv().ok() } else { None };
        }
        let Pending { changed, sequence, .. } = pending;
        let outcome = self.commit(changed, sequence);
        self.waiting_bytes.fetch_sub(bytes, Ordering::SeqCst);
        if let Err(error) = &outcome {
            self.halt(&error.to_string());
        } else if sequence > before {
            self.parts.newest.send_replace(sequence);
        }
        let outcome = outcome.map_err(|_| Writer::stopped(&self.halted));
        let count = answers.len();
        answers.into_iter().for_each(|answer| answer(outcome.clone()));
        outcome.is_ok().then_some(count)
    }

    fn commit(
        &mut self,
        changed: HashMap<(Table, Vec<u8>), Option<Vec<u8>>>,
        sequence: u64,
    ) -> Result<(), StoreError> {
        if changed.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let mut batch = Batch::default();
        for ((table, key), value) in changed {
            match value {
                Some(value) => batch.put(table, key, value),
                None => batch.delete(table, key),
            }
        }
        if sequence != self.parts.sequence {
            batch.put(Table::PtmMeta, super::META_SEQUENCE, sequence.to_be_bytes());
            self.parts.sequence = sequence;
        }
        self.parts.kv.write(batch)?;
        self.parts.kv.sync()?;
        histogram!("lonja_ptm_store_seconds").record(started.elapsed().as_secs_f64());
        Ok(())
    }
}
