//! What will happen, in order of time.

use super::disk::Crash;
use lonja_node::event::Room;
use lonja_p2p::wire::Message;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// A process of a node; a new number with every start, so that what was meant for a dead one is recognised.
pub type Life = u64;

/// Something that happens.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Happening {
    /// The node's loop does its next bit of work.
    Loop {
        node: usize,
        life: Life,
    },
    /// A deadline of the node's core may be over.
    Wake {
        node: usize,
        life: Life,
    },
    /// The outbox does its next bit of work.
    Outbox {
        node: usize,
        life: Life,
    },
    /// The consensus log is on disk.
    LogSynced {
        node: usize,
        life: Life,
    },
    /// The chain has finished a job.
    ChainDone {
        node: usize,
        life: Life,
    },
    /// The store is on disk.
    StoreSynced {
        node: usize,
        life: Life,
    },
    /// A message arrives.
    Arrival(Box<Arrival>),
    /// One of the two dials the other.
    Dial {
        one: usize,
        other: usize,
    },
    /// A node notices that a session is dead.
    SessionLost {
        node: usize,
        life: Life,
        peer: usize,
        session: u64,
    },
    /// Two nodes that cannot reach each other give their session up.
    SessionExpires {
        one: usize,
        other: usize,
        session: u64,
    },
    Crash {
        node: usize,
        crash: Crash,
    },
    Restart {
        node: usize,
    },
    /// Something goes wrong, or is tried.
    Chaos,
    /// All links work again.
    Heal {
        partition: u64,
    },
    DiskRoom {
        node: usize,
        room: Room,
    },
    FastDisk {
        node: usize,
    },
    /// Somebody submits a transaction.
    Transaction,
    /// A manager of private payloads has something to do.
    Manager {
        node: usize,
        life: Life,
    },
    /// A second pass goes on.
    SecondPass {
        node: usize,
        life: Life,
    },
    /// A member begins a private transaction.
    Deal,
}

/// A message on its way.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Arrival {
    pub from: usize,
    pub to: usize,
    pub session: u64,
    /// The sender's process, and when the message left it.
    pub life: Life,
    pub left_us: u64,
    pub message: Message,
}

/// A queue by time; what is due at the same time happens in the order it was put in.
#[derive(Default)]
pub struct Schedule {
    order: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    next: u64,
}

impl Schedule {
    /// Puts something in, microseconds.
    pub fn at(&mut self, time_us: u64, happening: Happening) {
        self.order.push(Reverse((time_us, self.next)));
        self.happenings.insert(self.next, happening);
        self.next += 1;
    }

    /// When the next thing happens.
    pub fn next_us(&self) -> Option<u64> {
        self.order.peek().map(|Reverse((time_us, _))| *time_us)
    }

    /// The next thing.
    pub fn pop(&mut self) -> Option<(u64, Happening)> {
        let Reverse((time_us, number)) = self.order.pop()?;
        let happening = self.happenings.remove(&number)?;
        Some((time_us, happening))
    }

    /// Drops what `gone` says.
    pub fn cancel(&mut self, gone: impl Fn(&Happening) -> bool) {
        let dropped: Vec<u64> = self
            .happenings
            .iter()
            .filter(|(_, happening)| gone(happening))
            .map(|(number, _)| *number)
            .collect();
        for number in dropped {
            self.happenings.remove(&number);
        }
        let happenings = &self.happenings;
        self.order.retain(|Reverse((_, number))| happenings.contains_key(number));
    }

    /// How much is to come.
    pub fn len(&self) -> usize {
        self.happenings.len()
    }

    /// Whether nothing is to come.
    pub fn is_empty(&self) -> bool {
        self.happenings.is_empty()
    }
}
