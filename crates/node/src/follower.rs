//! The thread of the second pass: takes [`PrivateFollower`] along behind the public head, asks the manager for payloads,
//! and says where it stands.
//!
//! ```text
//!  durable heads ──┐                        ┌─▶ status ─▶ rpc, health, metrics
//!  what arrived ───┼─▶ thread ─▶ follower ──┤
//!  simulations ────┘      │                 └─▶ halt, where its own store is damaged
//!                         └─ asks ─▶ manager
//! ```
//!
//! The public chain never waits for it. Where a payload cannot be had it waits and asks again; what comes late leads it
//! back.

use alloy_primitives::B256;
use alloy_primitives::map::HashMap;
use futures::{StreamExt, stream};
use lonja_chain::ChainError;
use lonja_chain::private::{
    Advance, Arrived, PrivateFollower, PrivateStatus, PrivateWait, Simulation, SimulationError,
};
use lonja_evm::PrivateMessage;
use lonja_primitives::{ChainSpec, PayloadHash};
use lonja_ptm::{Arrival, Arrivals, Lookup, PrivateTransactionManager};
use lonja_rpc::HealthCheck;
use lonja_storage::{Head, Reader};
use metrics::{counter, gauge};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use crate::halt::Halt;

/// Payloads asked for at the same time: enough to hide the way to a manager elsewhere, few enough for any of them.
const ASKED_AT_ONCE: usize = 16;
/// How long the manager may take for one answer. Managers have times of their own, which are shorter.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// While it waits, it asks again after this, and then more and more slowly up to [`AGAIN_MOST`].
const AGAIN_FIRST: Duration = Duration::from_millis(200);
/// The longest pause between two tries: a manager that is back is noticed within it.
const AGAIN_MOST: Duration = Duration::from_secs(5);
/// How often a thread with nothing to do looks whether the node stops.
const LOOK: Duration = Duration::from_millis(500);
/// What arrived is dealt with in pieces of so many, so that blocks go on between them.
const ARRIVALS_AT_ONCE: usize = 1_024;
/// Simulations that wait. Each takes milliseconds, and who asks waits for it.
const JOBS_MAX: usize = 64;
/// Blocks whose payloads are asked for together, where the manager is elsewhere and the pass is behind.
const AHEAD_BLOCKS: u64 = 32;
/// Bytes of payloads that are held for them.
const AHEAD_BYTES: usize = 32 << 20;
/// While it waits, the log says so this often.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// Blocks behind the public head at which the node still counts as ready: it is about to take them.
const READY_BEHIND: u64 = 10;
/// It may wait this long before the node counts as not ready.
const READY_WAIT: Duration = Duration::from_secs(5);

/// Name of the health check.
pub const CHECK: &str = "private";

/// What the thread works with.
pub struct Parts {
    /// Owns the state.
    pub follower: PrivateFollower,
    /// The public chain.
    pub public: Reader,
    /// Its rules.
    pub spec: Arc<ChainSpec>,
    /// Has the payloads.
    pub manager: Arc<dyn PrivateTransactionManager>,
    /// What comes late, where the manager says so.
    pub arrivals: Option<Arrivals>,
    /// Whether payloads of the next blocks are asked for together: where asking takes its time.
    pub ask_ahead: bool,
    /// The durable public head.
    pub heads: watch::Receiver<Head>,
    /// For what is asked.
    pub runtime: Handle,
    /// The way out.
    pub halt: Halt,
    /// Set when the node stops.
    pub stopping: Arc<AtomicBool>,
}

/// The way to the thread. Cheap to clone.
#[derive(Clone)]
pub struct Following {
    jobs: mpsc::Sender<Job>,
    status: watch::Receiver<PrivateStatus>,
}

struct Job {
    message: PrivateMessage,
    answer: oneshot::Sender<Result<(Simulation, B256), SimulationError>>,
}

/// The thread's work, and the way to it.
pub fn prepare(parts: Parts) -> (Following, Worker) {
    let (jobs, taken) = mpsc::channel(JOBS_MAX);
    let (told, status) = watch::channel(PrivateStatus::at(parts.follower.head()));
    let worker = Worker {
        ahead: Ahead::default(),
        jobs: taken,
        told,
        pause: AGAIN_FIRST,
        said: None,
        to_scrub: false,
        parts,
    };
    (Following { jobs, status }, worker)
}

impl Following {
    /// Where the pass stands; changes with every step.
    pub fn status(&self) -> watch::Receiver<PrivateStatus> {
        self.status.clone()
    }

    /// What a transaction whose parties compare states would do, and the root that it comes to.
    pub async fn simulate_root(
        &self,
        message: PrivateMessage,
    ) -> Result<(Simulation, B256), SimulationError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.jobs.try_send(Job { message, answer });
        let gone = || SimulationError::State("the node is stopping".into());
        sent.map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SimulationError::State("too busy, try again".into()),
            mpsc::error::TrySendError::Closed(_) => gone(),
        })?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// Whether what the second pass gives can be relied on now, and if not, why.
pub fn check(status: &PrivateStatus, public_head: u64) -> HealthCheck {
    let behind = public_head.saturating_sub(status.head.number);
    let (ok, reason) = match &status.waiting {
        Some(wait) => {
            let waited = wait.since.elapsed().unwrap_or_default();
            let what = wait.payload.map_or_else(
                || format!("block {} is not executed", wait.number),
                |payload| format!("waiting for the payload {payload} of block {}", wait.number),
            );
            (waited < READY_WAIT, format!("{what} since {} s: {}", waited.as_secs(), wait.reason))
        }
        None if behind > 0 => {
            (behind <= READY_BEHIND, format!("at block {}, {behind} behind the head", status.head.number))
        }
        None => (true, "at the head".into()),
    };
    HealthCheck { name: CHECK, ok, reason }
}

/// Answers of a manager elsewhere, asked for ahead.
#[derive(Default)]
struct Ahead {
    known: HashMap<PayloadHash, Lookup>,
    /// Up to this block.
    until: u64,
}

/// What the thread does.
pub struct Worker {
    parts: Parts,
    ahead: Ahead,
    jobs: mpsc::Receiver<Job>,
    told: watch::Sender<PrivateStatus>,
    /// Before it tries again.
    pause: Duration,
    /// When the log last said that it waits.
    said: Option<Instant>,
    /// Whether bytes of what was erased still stand in the files of the private state.
    to_scrub: bool,
}

/// What comes next.
enum Next {
    /// The next block.
    GoOn,
    /// Nothing before there is another block.
    Rest,
    /// The same again, after a pause.
    Again,
}

impl Worker {
    /// Starts the thread. It ends when the node stops, or with the node halted.
    pub fn start(self) -> JoinHandle<()> {
        let thread = thread::Builder::new().name("follower".into()).spawn(move || self.run());
        thread.expect("the system can start a thread")
    }

    fn run(mut self) {
        while !self.stops() {
            while let Ok(job) = self.jobs.try_recv() {
                self.simulate(job);
            }
            match self.take_arrivals().and_then(|()| self.step()) {
                Ok(Next::GoOn) => {}
                Ok(Next::Rest) => self.rest(LOOK, true),
                Ok(Next::Again) => {
                    self.rest(self.pause, false);
                    self.pause = self.pause.saturating_mul(2).min(AGAIN_MOST);
                }
                Err(ChainError::Unavailable(reason)) => {
                    tracing::warn!(%reason, "the second pass is put off");
                    self.rest(AGAIN_MOST, false);
                }
                Err(ChainError::Halt(reason)) => self.parts.halt.now(format!("the second pass: {reason}")),
            }
        }
    }

    fn stops(&self) -> bool {
        self.parts.stopping.load(Ordering::Relaxed) || self.parts.halt.reason().is_some()
    }

    /// Waits until there may be something to do, but not for longer than this.
    fn rest(&mut self, at_most: Duration, for_heads: bool) {
        let Self { parts: Parts { runtime, heads, arrivals, .. }, jobs, .. } = self;
        let runtime = runtime.clone();
        let arrived = async {
            match arrivals {
                Some(arrivals) => drop(arrivals.wait(at_most).await),
                None => std::future::pending().await,
            }
        };
        let job = runtime.block_on(async {
            tokio::select! {
                Some(job) = jobs.recv() => Some(job),
                Ok(()) = heads.changed(), if for_heads => None,
                () = arrived => None,
                () = tokio::time::sleep(at_most) => None,
            }
        });
        if let Some(job) = job {
            self.simulate(job);
        }
    }

    fn simulate(&self, job: Job) {
        let Parts { follower, spec, public, .. } = &self.parts;
        // Who asked may have given up.
        let _ = job.answer.send(follower.simulate_root(spec, public, &job.message));
    }

    /// Deals with payloads that were stored or erased since the last time.
    fn take_arrivals(&mut self) -> Result<(), ChainError> {
        let Self { parts: Parts { follower, arrivals: Some(arrivals), .. }, to_scrub, .. } = self else {
            return Ok(());
        };
        let news = match arrivals.take(ARRIVALS_AT_ONCE) {
            Ok(news) => news,
            Err(error) => {
                // The manager's store, not ours: lookups will say what is wrong with it.
                tracing::debug!(%error, "what arrived cannot be read");
                return Ok(());
            }
        };
        if news.is_empty() && !*to_scrub {
            return Ok(());
        }
        let mut led_back = false;
        for arrival in news {
            let (outcome, erased) = match arrival {
                Arrival::Stored(hash) => (follower.arrived(&hash)?, false),
                Arrival::Erased(hash) => (follower.erased(&hash)?, true),
            };
            tell_arrival(&outcome, erased);
            led_back |= matches!(outcome, Arrived::LedBack(_));
            // Also where nothing was led back now: it may have been before the node was stopped.
            *to_scrub |= erased;
        }
        if *to_scrub {
            follower.scrub()?;
            *to_scrub = false;
        }
        arrivals.done();
        if led_back {
            self.pause = AGAIN_FIRST;
            self.tell(None);
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Next, ChainError> {
        if let Some(wait) = self.lacks_blocks() {
            return Ok(self.wait(wait));
        }
        self.look_ahead()?;
        let Self { parts, ahead, .. } = self;
        let Parts { follower, manager, runtime, .. } = parts;
        // A manager that hangs answers nothing for a while, and that counts.
        let asked = SystemTime::now();
        let mut ask = |hashes: &[PayloadHash]| ask(&**manager, runtime, ahead, hashes);
        match follower.advance(&mut ask) {
            Ok(Advance::UpToDate) => {
                self.tell(None);
                Ok(Next::Rest)
            }
            Ok(Advance::Moved { head, executed, not_ours }) => {
                self.count(&head, executed, not_ours)?;
                self.pause = AGAIN_FIRST;
                self.tell(None);
                Ok(Next::GoOn)
            }
            Ok(Advance::Waiting(waiting)) => Ok(self.wait(PrivateWait::since(asked, waiting))),
            Err(error) => match self.lacks_state() {
                Some(wait) => Ok(self.wait(wait)),
                None => Err(error),
            },
        }
    }

    /// After joining by a state, blocks before it come later, or never.
    fn lacks_blocks(&self) -> Option<PrivateWait> {
        let next = self.parts.follower.head().number.saturating_add(1);
        let oldest = self.parts.public.oldest_block();
        (next < oldest && next <= self.parts.public.head().number).then(|| PrivateWait {
            number: next,
            payload: None,
            reason: format!(
                "the blocks before {oldest} are not here yet: they come in the background, unless --backfill is \
                 false"
            ),
            since: SystemTime::now(),
        })
    }

    /// The next block names a payload of ours, and the state that it stands on is gone.
    fn lacks_state(&self) -> Option<PrivateWait> {
        let (head, oldest) = (self.parts.follower.head().number, self.parts.public.oldest_state());
        (head < oldest).then(|| PrivateWait {
            number: head.saturating_add(1),
            payload: None,
            reason: format!(
                "it has a transaction of ours, and states before block {oldest} are not kept here: a node with \
                 --sync full and --history archive can execute it"
            ),
            since: SystemTime::now(),
        })
    }

    /// Asks a manager elsewhere for the payloads of several blocks together, where it is behind.
    fn look_ahead(&mut self) -> Result<(), ChainError> {
        let Self { parts, ahead, .. } = self;
        let Parts { follower, public, manager, runtime, ask_ahead, .. } = parts;
        let head = follower.head().number;
        if !*ask_ahead || head < ahead.until || public.head().number < head.saturating_add(2) {
            return Ok(());
        }
        *ahead = Ahead { known: HashMap::default(), until: head.saturating_add(AHEAD_BLOCKS) };
        let mut hashes = follower.upcoming(AHEAD_BLOCKS)?;
        hashes.sort_unstable();
        hashes.dedup();
        let mut bytes = 0usize;
        for hashes in hashes.chunks(ASKED_AT_ONCE) {
            let answers = ask(&**manager, runtime, &mut Ahead::default(), hashes);
            for (hash, answer) in hashes.iter().zip(answers) {
                match &answer {
                    Lookup::Unavailable(_) => return Ok(()),
                    Lookup::Found(payload) => bytes = bytes.saturating_add(payload.payload.len()),
                    Lookup::NotOurs | Lookup::Erased => {}
                }
                if bytes > AHEAD_BYTES {
                    return Ok(());
                }
                ahead.known.insert(*hash, answer);
            }
        }
        Ok(())
    }

    fn wait(&mut self, wait: PrivateWait) -> Next {
        self.tell(Some(wait));
        Next::Again
    }

    /// Says where it stands. A wait for the same thing goes on since it began.
    fn tell(&mut self, waiting: Option<PrivateWait>) {
        let head = self.parts.follower.head();
        let before = self.told.borrow().waiting.clone();
        let waiting = waiting.map(|wait| match &before {
            Some(before) if (before.number, before.payload) == (wait.number, wait.payload) => {
                PrivateWait { since: before.since, ..wait }
            }
            _ => wait,
        });
        gauge!("lonja_private_head_number").set(head.number as f64);
        gauge!("lonja_private_waiting").set(if waiting.is_some() { 1.0 } else { 0.0 });
        match (&waiting, self.said) {
            (Some(wait), said) if said.is_none_or(|said| said.elapsed() >= TELL_EVERY) => {
                let payload = wait.payload.map(|payload| payload.to_string()).unwrap_or_default();
                let (block, reason) = (wait.number, &wait.reason);
                tracing::warn!(block, payload, reason, "the second pass waits");
                self.said = Some(Instant::now());
            }
            (None, Some(_)) => {
                tracing::info!(block = head.number, "the second pass goes on");
                self.said = None;
            }
            _ => {}
        }
        self.told.send_if_modified(|told| {
            let now = PrivateStatus { head, waiting };
            let differs = *told != now;
            *told = now;
            differs
        });
    }

    fn count(&self, head: &Head, executed: usize, not_ours: usize) -> Result<(), ChainError> {
        let mut failed = 0;
        if executed > 0 {
            let receipts = self.parts.follower.reader().receipts(head.number)?;
            failed = receipts.iter().filter(|(_, receipt)| !receipt.success).count();
        }
        let outcomes =
            [("executed", executed.saturating_sub(failed)), ("failed", failed), ("not_ours", not_ours)];
        for (outcome, count) in outcomes {
            counter!("lonja_private_transactions_total", "outcome" => outcome).increment(count as u64);
        }
        Ok(())
    }
}

/// Asks the manager, several at a time. Behind the first that cannot be had the others are not waited for.
fn ask(
    manager: &dyn PrivateTransactionManager,
    runtime: &Handle,
    ahead: &mut Ahead,
    hashes: &[PayloadHash],
) -> Vec<Lookup> {
    let known: Vec<_> = hashes.iter().map(|hash| (*hash, ahead.known.remove(hash))).collect();
    runtime.block_on(async {
        let lookups = stream::iter(known).map(|(hash, known)| async move {
            match known {
                Some(known) => known,
                None => look_up(manager, hash).await,
            }
        });
        let mut lookups = pin!(lookups.buffered(ASKED_AT_ONCE));
        let mut answers = Vec::with_capacity(hashes.len());
        while let Some(answer) = lookups.next().await {
            let unavailable = matches!(answer, Lookup::Unavailable(_));
            answers.push(answer);
            if unavailable {
                break;
            }
        }
        answers
    })
}

async fn look_up(manager: &dyn PrivateTransactionManager, hash: PayloadHash) -> Lookup {
    let answer = tokio::time::timeout(ANSWER_TIME, manager.lookup(hash)).await;
    answer.unwrap_or_else(|_| {
        Lookup::Unavailable(format!("the manager did not answer in {} s", ANSWER_TIME.as_secs()))
    })
}

fn tell_arrival(outcome: &Arrived, erased: bool) {
    let what = if erased { "was erased" } else { "came late" };
    match outcome {
        Arrived::InTime => {}
        Arrived::LedBack(to) => {
            counter!("lonja_private_led_back_total").increment(1);
            let block = to.saturating_add(1);
            tracing::info!(block, "a payload {what}: the second pass goes again from its block on");
        }
        Arrived::TooOld(block) => {
            counter!("lonja_private_too_old_total").increment(1);
            tracing::warn!(
                block,
                "a payload {what}, and the states from before its block are not kept here: nothing is executed again"
            );
        }
    }
}

#[cfg(test)]
mod tests;
