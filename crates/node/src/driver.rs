//! The loop's thread: takes events out of the letter box, hands them to [`NodeCore`], and carries the commands to
//! the edges. It never waits for anything but the next event.

use crate::chain_thread;
use crate::clock::Clock;
use crate::control::Published;
use crate::core::NodeCore;
use crate::event::{Command, Event, Room};
use crate::halt::Halt;
use crate::mailbox::{Received, Receiver};
use crate::outbox;
use arc_swap::ArcSwap;
use lonja_p2p::wire::Message;
use lonja_p2p::{Abuse, P2p};
use metrics::{counter, gauge};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The loop wakes at least this often, so that its sign of life stays fresh.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Where commands go.
pub struct Edges {
    /// Records and consensus messages, in order.
    pub outbox: SyncSender<outbox::Job>,
    /// Building, checking, writing.
    pub chain: SyncSender<chain_thread::Job>,
    /// Everything else for peers.
    pub p2p: P2p,
    /// The way out.
    pub halt: Halt,
}

/// Starts the loop; it ends when the letter box is closed.
pub fn start(
    core: NodeCore,
    receiver: Receiver,
    edges: Edges,
    clock: Clock,
    published: Arc<ArcSwap<Published>>,
) -> JoinHandle<()> {
    let driver = Driver { core, edges, clock, published, room: Room::Enough, syncing_from: None };
    let thread = thread::Builder::new().name("loop".into()).spawn(move || driver.run(&receiver));
    thread.expect("the system can start a thread")
}

struct Driver {
    core: NodeCore,
    edges: Edges,
    clock: Clock,
    published: Arc<ArcSwap<Published>>,
    room: Room,
    syncing_from: Option<u64>,
}

impl Driver {
    fn run(mut self, receiver: &Receiver) {
        let commands = self.core.start(self.clock.now());
        self.carry_out(commands);
        loop {
            let due = self.core.deadline().map_or(LONGEST_WAIT, |at| self.clock.until(at));
            let commands = match receiver.next(due.min(LONGEST_WAIT)) {
                Received::Event(event) => self.handle(event),
                Received::Timeout if self.is_due() => self.core.handle(self.clock.now(), Event::Tick),
                Received::Timeout => Vec::new(),
                Received::Closed => return,
            };
            self.carry_out(commands);
            // A stream of events must not keep a timer waiting.
            if self.is_due() {
                let commands = self.core.handle(self.clock.now(), Event::Tick);
                self.carry_out(commands);
            }
            self.publish();
        }
    }

    fn is_due(&self) -> bool {
        self.core.deadline().is_some_and(|at| at <= self.clock.mono_ms())
    }

    fn handle(&mut self, event: Event) -> Vec<Command> {
        if let Event::Room(room) = &event {
            self.room = *room;
        }
        if let Event::Durable { number, hash } = &event {
            log_block(&self.core, *number, hash);
        }
        self.core.handle(self.clock.now(), event)
    }

    fn publish(&mut self) {
        let before = self.published.load();
        let head = self.core.position().head.number;
        let target = self.core.catch_up_target();
        if target.is_none() {
            self.syncing_from = None;
        } else if self.syncing_from.is_none() {
            self.syncing_from = Some(head);
        }
        let consensus = self.core.status();
        gauge!("lonja_consensus_height").set(consensus.height as f64);
        gauge!("lonja_consensus_round").set(f64::from(consensus.round));
        self.published.store(Arc::new(Published {
            consensus,
            head,
            head_moved: if head == before.head { before.head_moved } else { Instant::now() },
            syncing: self.syncing_from.zip(target),
            room: self.room,
            alive: Instant::now(),
            block_period: before.block_period,
        }));
    }

    fn carry_out(&self, commands: Vec<Command>) {
        for command in commands {
            self.carry_out_one(command);
        }
    }

    fn carry_out_one(&self, command: Command) {
        let edges = &self.edges;
        match command {
            Command::Persist(record) => self.to_outbox(outbox::Job::Persist(record)),
            Command::Forget { below_height } => self.to_outbox(outbox::Job::Forget(below_height)),
            Command::Send { to, message } if is_consensus(&message) => {
                self.to_outbox(outbox::Job::Send { to, message });
            }
            Command::Send { to, message } => drop(edges.p2p.send(&to, message)),
            Command::Announce { number, hash } => {
                edges.p2p.set_head(number, hash);
                edges.p2p.send(&edges.p2p.connected(), Message::NewHead { number, hash });
            }
            Command::Build(request) => self.to_chain(chain_thread::Job::Build(request)),
            Command::Check { height, digest, block } => {
                self.to_chain(chain_thread::Job::Check { height, digest, block });
            }
            Command::Commit(block) => self.to_chain(chain_thread::Job::Commit(block)),
            Command::Penalise { peer, reason } => {
                tracing::warn!(%peer, %reason, "a peer broke the rules");
                counter!("lonja_peer_faults_total").increment(1);
                // Four of these drop a peer: one may come of a validator set that has just changed.
                edges.p2p.penalise(&peer, Abuse::InvalidMessage(reason));
            }
            Command::Halt(reason) => edges.halt.now(reason),
        }
    }

    /// The receivers end before the loop only when they halted, and then the reason is known already.
    fn to_outbox(&self, job: outbox::Job) {
        let _ = self.edges.outbox.send(job);
    }

    fn to_chain(&self, job: chain_thread::Job) {
        let _ = self.edges.chain.send(job);
    }
}

fn is_consensus(message: &Message) -> bool {
    matches!(message, Message::Consensus(_) | Message::Relay { .. })
}

fn log_block(core: &NodeCore, number: u64, hash: &alloy_primitives::B256) {
    let head = &core.position().head;
    if head.hash() != *hash {
        return;
    }
    let author = core.position().author.unwrap_or_default();
    if core.catch_up_target().is_some() && !number.is_multiple_of(1_000) {
        tracing::debug!(number, %hash, gas = head.gas_used, %author, "block");
    } else {
        tracing::info!(number, %hash, gas = head.gas_used, %author, "block");
    }
}
