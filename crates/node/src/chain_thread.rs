//! The chain's thread: builds, checks and commits, one job after the other; and the sync thread behind it, which
//! makes commits durable while the next block is worked on.

use crate::event::Event;
use crate::gate::Gatekeeper;
use crate::halt::Halt;
use crate::mailbox::Sender;
use crate::services::Work;
use alloy_primitives::B256;
use lonja_chain::{BlockError, ChainCore, ChainError, Publisher};
use lonja_consensus::machine::{BuildRequest, Verdict};
use lonja_primitives::{Block, CertifiedBlock};
use lonja_storage::Head;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Jobs waiting for the chain thread. Catch-up keeps a bounded number of imports under way; voting has one or two.
const JOBS_MAX: usize = 512;

/// Commits that may be written before the disk confirms them: one at work and one behind it.
const UNSYNCED_MAX: usize = 2;

/// Work for the chain thread.
#[derive(Debug)]
pub enum Job {
    /// Build a block.
    Build(BuildRequest),
    /// Execute a proposal.
    Check {
        /// Its height.
        height: u64,
        /// Its name in the answer.
        digest: B256,
        /// The block.
        block: Block,
    },
    /// Write a certified block.
    Commit(Box<CertifiedBlock>),
}

/// The two threads and the way to them.
pub struct ChainThreads {
    /// Takes jobs; both threads end when every sender is dropped.
    pub jobs: SyncSender<Job>,
    /// To be joined at the end.
    pub threads: [JoinHandle<()>; 2],
}

/// Starts both threads.
pub fn start(
    core: ChainCore,
    mailbox: Sender,
    heads: watch::Sender<Head>,
    halt: Halt,
    work: Work,
    gate: Arc<Gatekeeper>,
) -> ChainThreads {
    let (jobs, receiver) = sync_channel(JOBS_MAX);
    let (written, to_sync) = sync_channel(UNSYNCED_MAX);
    let publisher = core.publisher();
    let worker = Worker { core, mailbox: mailbox.clone(), written, halt: halt.clone(), work, gate };
    let chain = thread::Builder::new().name("chain".into()).spawn(move || worker.run(&receiver));
    let sync = thread::Builder::new()
        .name("sync".into())
        .spawn(move || run_sync(&publisher, &to_sync, &mailbox, &heads, &halt));
    let started = "the system can start a thread";
    ChainThreads { jobs, threads: [chain.expect(started), sync.expect(started)] }
}

struct Worker {
    core: ChainCore,
    mailbox: Sender,
    written: SyncSender<Head>,
    halt: Halt,
    work: Work,
    gate: Arc<Gatekeeper>,
}

impl Worker {
    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Build(request) => self.build(&request),
                Job::Check { height, digest, block } => self.check(height, digest, &block),
                Job::Commit(block) => {
                    if !self.commit(&block) {
                        return;
                    }
                }
            }
        }
    }

    fn build(&mut self, request: &BuildRequest) {
        let until = Instant::now() + Duration::from_millis(request.deadline_ms);
        let result = self.core.build(request, &|| Instant::now() >= until);
        if let Err(ChainError::Halt(reason)) = &result {
            self.halt.now(reason.clone());
        }
        match &result {
            // The chain moved on meanwhile, as it does while catching up.
            Err(ChainError::Unavailable(reason)) => {
                tracing::debug!(height = request.height, %reason, "no block was built")
            }
            Err(ChainError::Halt(reason)) => {
                tracing::error!(height = request.height, %reason, "no block was built")
            }
            Ok(_) => {}
        }
        let result = result.map_err(|error| error.to_string());
        self.mailbox.answer(Event::Built { height: request.height, round: request.round, result });
    }

    fn check(&mut self, height: u64, digest: B256, block: &Block) {
        let verdict = match self.core.check(block) {
            Ok(()) => Verdict::Valid,
            Err(BlockError::Invalid(reason)) => {
                tracing::warn!(height, %digest, %reason, "a proposed block is invalid");
                Verdict::Invalid(reason)
            }
            Err(BlockError::Unavailable(reason)) => Verdict::Unavailable(reason),
            Err(BlockError::Halt(reason)) => {
                self.halt.now(reason.clone());
                Verdict::Unavailable(reason)
            }
        };
        self.mailbox.answer(Event::Checked { height, digest, verdict });
    }

    /// Returns whether the thread may go on.
    fn commit(&mut self, block: &CertifiedBlock) -> bool {
        match self.core.commit(block) {
            Ok(Some(committed)) => {
                let head = Head { number: committed.number, hash: committed.hash };
                // Before the loop hears of the block: nothing about the next one is sent to whom this one revoked.
                self.gate.block_written(committed.number, committed.connections_differ);
                self.mailbox.answer(Event::Committed(committed.position));
                self.work.block_written(self.core.work_waiting(), &self.mailbox);
                self.written.send(head).is_ok()
            }
            // The block was there already: voting and catch-up both brought it.
            Ok(None) => true,
            Err(error) => {
                self.halt.now(format!("block {} {}: {error}", block.number(), block.hash()));
                false
            }
        }
    }
}

fn run_sync(
    publisher: &Publisher,
    written: &Receiver<Head>,
    mailbox: &Sender,
    heads: &watch::Sender<Head>,
    halt: &Halt,
) {
    while let Ok(first) = written.recv() {
        // One sync covers everything written before it.
        let newest = written.try_iter().last().unwrap_or(first);
        if let Err(error) = publisher.publish(newest) {
            halt.now(format!("blocks cannot be made durable: {error}"));
            return;
        }
        heads.send_replace(newest);
        mailbox.answer(Event::Durable { number: newest.number, hash: newest.hash });
    }
}
