//! Answers the questions of nodes that join, on a thread of its own: a state is held still for as long as somebody
//! asks for parts of it.

use super::words::{
    Question, encode_chapters, encode_codes, encode_headers, encode_part, encode_snapshots, encode_witness,
};
use crate::meet::witness;
use alloy_primitives::Bytes;
use lonja_p2p::P2p;
use lonja_p2p::wire::Message;
use lonja_primitives::{ChainSpec, NodeId};
use lonja_storage::snapshot::Pinned;
use lonja_storage::{Reader, StoreError};
use metrics::{counter, gauge};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Questions that wait. A node that joins has a few under way, and asks again what is not answered.
const QUESTIONS_MAX: usize = 64;
/// States held at once. What is overwritten meanwhile stays on the disk for each.
const PINS_MAX: usize = 3;
/// A state is held until nobody asked for a part of it for this long.
const PIN_IDLE: Duration = Duration::from_secs(120);
/// And this long at most.
const PIN_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Whoever comes new is offered a state of no more blocks ago than this; the rest is quickly executed.
const PIN_BLOCKS: u64 = 512;
/// How often held states are looked at when nobody asks.
const LOOK: Duration = Duration::from_secs(10);

/// After each answer the thread rests as long as it worked, up to this: whoever asks, however much, gets half of one
/// processor at most.
const REST_MAX: Duration = Duration::from_millis(100);

/// A question of a peer.
pub struct Asked {
    /// Who asks.
    pub peer: NodeId,
    /// Its number for the answer.
    pub request: u64,
    /// What.
    pub question: Question,
}

/// The way to the thread. Cheap to clone.
#[derive(Clone)]
pub struct Giver(SyncSender<Asked>);

/// Starts the thread. It ends when every [`Giver`] is dropped.
pub fn start(reader: Reader, spec: Arc<ChainSpec>, p2p: P2p) -> (Giver, JoinHandle<()>) {
    let (sender, receiver) = sync_channel(QUESTIONS_MAX);
    let run = move || run(&reader, &spec, &p2p, &receiver);
    let thread = thread::Builder::new().name("giver".into()).spawn(run);
    (Giver(sender), thread.expect("the system can start a thread"))
}

impl Giver {
    /// Puts a question in line; one too many is dropped.
    pub fn ask(&self, asked: Asked) {
        if let Err(TrySendError::Full(_)) = self.0.try_send(asked) {
            counter!("lonja_questions_refused_total").increment(1);
        }
    }
}

fn run(reader: &Reader, spec: &ChainSpec, p2p: &P2p, questions: &Receiver<Asked>) {
    let mut desk = Desk::new(reader, spec, p2p.node_id());
    loop {
        match questions.recv_timeout(LOOK) {
            Ok(Asked { peer, request, question }) => {
                let begun = Instant::now();
                let content = desk.answer(&peer, &question).unwrap_or_else(|error| {
                    tracing::warn!(%error, "a question of a joining node could not be answered");
                    Bytes::new()
                });
                // A full queue refuses; the peer asks again.
                let _ = p2p.send_to(&peer, Message::Answer { request, content });
                thread::sleep(begun.elapsed().min(REST_MAX));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        desk.let_go();
    }
}

struct Pin<'a> {
    state: Pinned<'a>,
    since: Instant,
    asked: Instant,
}

/// What the thread knows.
pub(crate) struct Desk<'a> {
    reader: &'a Reader,
    spec: &'a ChainSpec,
    own: NodeId,
    pins: Vec<Pin<'a>>,
}

impl<'a> Desk<'a> {
    pub(crate) fn new(reader: &'a Reader, spec: &'a ChainSpec, own: NodeId) -> Self {
        Self { reader, spec, own, pins: Vec::new() }
    }

    /// The answer for a peer; empty where there is none.
    pub(crate) fn answer(&mut self, peer: &NodeId, question: &Question) -> Result<Bytes, StoreError> {
        counter!("lonja_questions_total").increment(1);
        match question {
            Question::Snapshots => self.snapshots(),
            Question::Headers { from, count } => {
                let headers = Self::read(*from, *count, |number| self.reader.header(number));
                Ok(encode_headers(headers.map(|header| header.into_header())))
            }
            Question::Part { number, id } => {
                let Some(pin) = self.pins.iter_mut().find(|pin| pin.state.block().number == *number) else {
                    return Ok(Bytes::new());
                };
                pin.asked = Instant::now();
                Ok(pin.state.part(id)?.map(|part| encode_part(&part)).unwrap_or_default())
            }
            Question::Codes(hashes) => {
                let codes: Result<Vec<_>, StoreError> =
                    hashes.iter().map_while(|hash| self.reader.code(hash).transpose()).collect();
                Ok(encode_codes(codes?.into_iter()))
            }
            Question::Chapters { from, count } => {
                let chapter = |number| Ok(self.reader.block(number)?.zip(self.reader.receipts(number)?));
                Ok(encode_chapters(Self::read(*from, *count, chapter)))
            }
            Question::Witness(ends) => {
                let witness = witness::make(self.reader, self.spec, self.own, *peer, ends)?;
                Ok(witness.map(|witness| encode_witness(&witness)).unwrap_or_default())
            }
        }
    }

    /// Consecutive items up to the first that is not there, read as they are taken.
    fn read<T>(
        from: u64,
        count: u64,
        item: impl Fn(u64) -> Result<Option<T>, StoreError>,
    ) -> impl Iterator<Item = T> {
        (from..from.saturating_add(count)).map_while(move |number| {
            item(number).unwrap_or_else(|error| {
                tracing::warn!(number, %error, "a stored block cannot be read");
                None
            })
        })
    }

    /// The states that can be asked for, among them a new one.
    fn snapshots(&mut self) -> Result<Bytes, StoreError> {
        let head = self.reader.head().number;
        let is_new = |pin: &Pin<'_>| head.saturating_sub(pin.state.block().number) <= PIN_BLOCKS;
        if !self.pins.iter().any(is_new) && self.pins.len() < PINS_MAX {
            let state = self.reader.pin()?;
            tracing::info!(block = state.block().number, "a node joins: this block's state is held for it");
            self.pins.push(Pin { state, since: Instant::now(), asked: Instant::now() });
        }
        // Whoever was told of a state has time to come and ask for it.
        self.pins.iter_mut().filter(|pin| is_new(pin)).for_each(|pin| pin.asked = Instant::now());
        let numbers: Vec<u64> = self.pins.iter().map(|pin| pin.state.block().number).collect();
        Ok(encode_snapshots(&numbers))
    }

    fn let_go(&mut self) {
        self.pins.retain(|pin| pin.asked.elapsed() < PIN_IDLE && pin.since.elapsed() < PIN_AGE);
        gauge!("lonja_states_held").set(self.pins.len() as f64);
    }
}
