//! Durable before visible: one thread that writes consensus records and lets messages out, in the order the
//! machine gave them. Records that stand together are made durable by one sync.

use crate::halt::Halt;
use alloy_primitives::Bytes;
use lonja_consensus::machine::record_height;
use lonja_p2p::P2p;
use lonja_p2p::wire::Message;
use lonja_primitives::NodeId;
use lonja_storage::{Durability, RecordLog, StoreError};
use metrics::{counter, histogram};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// Jobs waiting for the disk. A round makes about ten; when this many wait the disk has stood still for many
/// rounds, and the loop may as well wait with it.
const JOBS_MAX: usize = 1_024;

/// The log is written anew without old heights when it is longer than this, bytes: some thousand records.
const REWRITE_ABOVE_BYTES: u64 = 1 << 20;

/// One step of the outbox.
#[derive(Debug)]
pub enum Job {
    /// Make a record durable.
    Persist(Bytes),
    /// Then let a message out.
    Send {
        /// To whom.
        to: Vec<NodeId>,
        /// What.
        message: Message,
    },
    /// Records below this height may go.
    Forget(u64),
}

/// Starts the thread. It ends when every sender is dropped.
pub fn start(
    log: RecordLog,
    records: Vec<Vec<u8>>,
    p2p: P2p,
    halt: Halt,
) -> (SyncSender<Job>, JoinHandle<()>) {
    let (sender, receiver) = sync_channel(JOBS_MAX);
    let outbox = Outbox { log, kept: records, unsynced: Vec::new(), p2p };
    let thread = thread::Builder::new().name("outbox".into()).spawn(move || {
        if let Err(error) = outbox.run(&receiver) {
            halt.now(format!("the consensus log failed, and nothing may be signed without it: {error}"));
        }
    });
    (sender, thread.expect("the system can start a thread"))
}

struct Outbox {
    log: RecordLog,
    /// Records in the file, for writing it anew.
    kept: Vec<Vec<u8>>,
    unsynced: Vec<Bytes>,
    p2p: P2p,
}

impl Outbox {
    fn run(mut self, jobs: &Receiver<Job>) -> Result<(), StoreError> {
        while let Ok(job) = jobs.recv() {
            self.carry_out(job)?;
            while let Ok(job) = jobs.try_recv() {
                self.carry_out(job)?;
            }
            self.sync()?;
        }
        Ok(())
    }

    fn carry_out(&mut self, job: Job) -> Result<(), StoreError> {
        match job {
            Job::Persist(record) => self.unsynced.push(record),
            Job::Send { to, message } => {
                self.sync()?;
                self.p2p.send(&to, message);
            }
            Job::Forget(below) => self.forget(below)?,
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        if self.unsynced.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        self.log.append_all(&self.unsynced, Durability::Fsync)?;
        histogram!("lonja_consensus_log_seconds").record(started.elapsed().as_secs_f64());
        counter!("lonja_consensus_log_records_total").increment(self.unsynced.len() as u64);
        self.kept.extend(self.unsynced.drain(..).map(|record| record.to_vec()));
        Ok(())
    }

    fn forget(&mut self, below: u64) -> Result<(), StoreError> {
        self.kept.retain(|record| record_height(record).is_none_or(|height| height >= below));
        if self.log.length_bytes() > REWRITE_ABOVE_BYTES {
            self.sync()?;
            self.log.rewrite(&self.kept)?;
        }
        Ok(())
    }
}
