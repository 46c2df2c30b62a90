//! The blocks below a fetched state, fetched from the newest down while the node does its work: one question at a time,
//! on a thread of its own. Nothing is executed: each block is named by the one above it, and names its transactions
//! and receipts.

use super::headers::check_chapter;
use super::words::{CHAPTERS_MAX, Chapter, Question, decode_chapters};
use alloy_primitives::{B256, Bytes};
use lonja_p2p::wire::Message;
use lonja_p2p::{Abuse, P2p};
use lonja_primitives::transaction::recover_all;
use lonja_primitives::{ChainSpec, NodeId};
use lonja_storage::snapshot::{BackfillBlock, BackfillWriter};
use metrics::{counter, gauge};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Answers that wait: one is expected at a time.
const ANSWERS_MAX: usize = 4;
/// A question that is not answered by then goes to another peer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two rounds in which no peer had what is missing.
const PAUSE: Duration = Duration::from_secs(10);
/// How often it is looked whether the node stops.
const LOOK: Duration = Duration::from_millis(200);
/// How often the progress is logged.
const PROGRESS_EVERY: Duration = Duration::from_secs(30);

/// An answer of a peer.
pub struct Answered {
    /// Who.
    pub peer: NodeId,
    /// To which question.
    pub request: u64,
    /// What.
    pub content: Bytes,
}

/// The way to the thread, where there is one. Cheap to clone.
#[derive(Clone, Default)]
pub struct Backfill(Option<SyncSender<Answered>>);

impl Backfill {
    /// Hands an answer over; what nobody waits for is dropped.
    pub fn answered(&self, answered: Answered) {
        if let Some(sender) = &self.0 {
            let _ = sender.try_send(answered);
        }
    }
}

/// Starts the thread where there is something to write. It ends with the last of them, or when `stopping` says so.
pub fn start(
    writer: Option<BackfillWriter>,
    spec: Arc<ChainSpec>,
    p2p: P2p,
    has_room: impl Fn() -> bool + Send + 'static,
    stopping: impl Fn() -> bool + Send + 'static,
) -> (Backfill, Option<JoinHandle<()>>) {
    let Some(writer) = writer else { return (Backfill::default(), None) };
    let (sender, answers) = sync_channel(ANSWERS_MAX);
    let work = Work { writer, spec, p2p, answers, next_request: 1, span: CHAPTERS_MAX };
    let thread = thread::Builder::new().name("backfill".into()).spawn(move || work.run(&has_room, &stopping));
    (Backfill(Some(sender)), Some(thread.expect("the system can start a thread")))
}

struct Work {
    writer: BackfillWriter,
    spec: Arc<ChainSpec>,
    p2p: P2p,
    answers: Receiver<Answered>,
    next_request: u64,
    /// How many blocks are asked for at once: as many as fit an answer, as far as is known.
    span: u64,
}

impl Work {
    fn run(mut self, has_room: &dyn Fn() -> bool, stopping: &dyn Fn() -> bool) {
        let mut shown = Instant::now();
        loop {
            let wanted = match self.writer.wanted() {
                Ok(Some(wanted)) => wanted,
                Ok(None) => return tracing::info!("all blocks before the fetched state are here"),
                Err(error) => return tracing::error!(%error, "blocks cannot be fetched afterwards"),
            };
            gauge!("lonja_blocks_missing").set(wanted.0 as f64);
            if shown.elapsed() >= PROGRESS_EVERY {
                shown = Instant::now();
                tracing::info!(missing = wanted.0, "fetching the blocks before the fetched state");
            }
            let peers = self.p2p.connected();
            // Where the disk is short, what is left of it is for new blocks.
            let got = has_room() && peers.iter().any(|peer| !stopping() && self.ask(*peer, wanted, stopping));
            if !got {
                pause(PAUSE, stopping);
            }
            if stopping() {
                return;
            }
        }
    }

    /// Asks one peer, and writes what it has. `false` where that is nothing.
    fn ask(&mut self, peer: NodeId, (number, hash): (u64, B256), stopping: &dyn Fn() -> bool) -> bool {
        let from = number.saturating_sub(self.span - 1).max(1);
        let count = number - from + 1;
        let content = self.question(peer, Question::Chapters { from, count }, stopping);
        let Some(content) = content.filter(|content| !content.is_empty()) else { return false };
        let result = match decode_chapters(&content, from, count) {
            // Long blocks: as many as fit were sent from below, and the ones above are wanted first.
            Ok(chapters) if !chapters.is_empty() && (chapters.len() as u64) < count => {
                self.span = chapters.len() as u64;
                return true;
            }
            Ok(chapters) => {
                self.span = self.span.saturating_mul(2).min(CHAPTERS_MAX);
                self.write(chapters, hash)
            }
            Err(reason) => Err(reason),
        };
        self.judge(peer, result)
    }

    fn judge(&self, peer: NodeId, result: Result<bool, String>) -> bool {
        result.unwrap_or_else(|reason| {
            tracing::warn!(peer = %peer.address(), %reason, "a peer sent what is provably wrong");
            self.p2p.penalise(&peer, Abuse::InvalidBlock(reason));
            false
        })
    }

    fn question(&mut self, peer: NodeId, question: Question, stopping: &dyn Fn() -> bool) -> Option<Bytes> {
        let request = self.next_request;
        self.next_request += 1;
        self.p2p.send_to(&peer, Message::Question { request, content: question.encode() }).ok()?;
        let until = Instant::now() + ANSWER_TIMEOUT;
        while Instant::now() < until && !stopping() {
            match self.answers.recv_timeout(LOOK) {
                Ok(answer) if answer.peer == peer && answer.request == request => {
                    return Some(answer.content);
                }
                _ => {}
            }
        }
        None
    }

    /// Checks from the newest down, and writes; whether that went well. The error is for the peer.
    fn write(&mut self, chapters: Vec<Chapter>, mut hash: B256) -> Result<bool, String> {
        if chapters.is_empty() {
            return Err("an answer without a block".to_owned());
        }
        let mut blocks = Vec::with_capacity(chapters.len());
        for (block, receipts) in chapters.into_iter().rev() {
            check_chapter(&self.spec, &block, &receipts, hash)?;
            let recovered: Result<Vec<_>, _> =
                recover_all(block.transactions.clone(), self.spec.chain_id).into_iter().collect();
            let recovered = recovered.map_err(|error| format!("a transaction that is none: {error}"))?;
            let parent = block.header.parent_hash;
            blocks.push(BackfillBlock {
                block,
                hash,
                transaction_hashes: recovered.iter().map(|tx| tx.hash()).collect(),
                senders: recovered.iter().map(|tx| tx.sender()).collect(),
                receipts,
            });
            hash = parent;
        }
        blocks.reverse();
        if let Err(error) = self.writer.put(&blocks) {
            // Tried again after a pause; the chain's own writer halts the node if the disk is broken.
            tracing::error!(%error, "blocks that were fetched afterwards could not be written");
            return Ok(false);
        }
        counter!("lonja_blocks_backfilled_total").increment(blocks.len() as u64);
        Ok(true)
    }
}

fn pause(length: Duration, stopping: &dyn Fn() -> bool) {
    let until = Instant::now() + length;
    while Instant::now() < until && !stopping() {
        thread::sleep(LOOK);
    }
}
