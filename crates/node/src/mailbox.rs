//! The loop's letter box: three bounded lanes, emptied in a fixed order.
//!
//! | lane | carries | bound | when full |
//! |---|---|---|---|
//! | inner | answers of our own threads, the operator's wishes | [`INNER_MAX`] | the sender waits |
//! | consensus | verified consensus messages | [`CONSENSUS_MAX`] | the new message is dropped, counted |
//! | bulk | peers coming, going, their heads and blocks | [`BULK_MAX`] | the new message is dropped, counted |
//!
//! Peers lose nothing for good by a drop: consensus messages are sent again by the round change protocol, and
//! catch-up asks again when a request times out.

use crate::event::Event;
use metrics::counter;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Answers are at most one per outstanding command, and few are outstanding; more means that a thread runs
/// wild, and then it shall wait.
const INNER_MAX: usize = 1_024;

/// A hundred validators send about 200 messages a round; this holds several rounds.
const CONSENSUS_MAX: usize = 4_096;

/// Answers to requests are few and large (10 MiB at most each, one per peer outstanding).
const BULK_MAX: usize = 512;

/// Which lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Our own threads.
    Inner,
    /// Verified consensus messages.
    Consensus,
    /// Everything else that peers cause.
    Bulk,
}

#[derive(Default)]
struct Lanes {
    inner: VecDeque<Event>,
    consensus: VecDeque<Event>,
    bulk: VecDeque<Event>,
    closed: bool,
}

struct Shared {
    lanes: Mutex<Lanes>,
    arrived: Condvar,
    room: Condvar,
}

/// Puts events in. Cheap to clone.
#[derive(Clone)]
pub struct Sender(Arc<Shared>);

/// Takes events out; there is one.
pub struct Receiver(Arc<Shared>);

/// What a wait ended with.
#[derive(Debug)]
pub enum Received {
    /// An event.
    Event(Event),
    /// The time was up.
    Timeout,
    /// The node stops.
    Closed,
}

/// A new, empty letter box.
pub fn mailbox() -> (Sender, Receiver) {
    let shared = Arc::new(Shared { lanes: Mutex::default(), arrived: Condvar::new(), room: Condvar::new() });
    (Sender(shared.clone()), Receiver(shared))
}

impl Sender {
    /// Puts an answer of our own in; waits while the lane is full. Only for threads, never for async tasks.
    pub fn answer(&self, event: Event) {
        let mut lanes = self.0.lanes.lock();
        while lanes.inner.len() >= INNER_MAX && !lanes.closed {
            self.0.room.wait(&mut lanes);
        }
        lanes.inner.push_back(event);
        self.0.arrived.notify_one();
    }

    /// Puts an event in without ever waiting. Returns whether there was room.
    pub fn offer(&self, lane: Lane, event: Event) -> bool {
        let mut lanes = self.0.lanes.lock();
        let (queue, max, name) = match lane {
            Lane::Inner => (&mut lanes.inner, INNER_MAX, "inner"),
            Lane::Consensus => (&mut lanes.consensus, CONSENSUS_MAX, "consensus"),
            Lane::Bulk => (&mut lanes.bulk, BULK_MAX, "bulk"),
        };
        if queue.len() >= max {
            counter!("lonja_node_events_dropped_total", "lane" => name).increment(1);
            return false;
        }
        queue.push_back(event);
        self.0.arrived.notify_one();
        true
    }

    /// Ends the loop: what is waiting is still delivered.
    pub fn close(&self) {
        self.0.lanes.lock().closed = true;
        self.0.arrived.notify_all();
        self.0.room.notify_all();
    }
}

impl Receiver {
    /// Waits for the next event, at most `wait`.
    pub fn next(&self, wait: Duration) -> Received {
        let mut lanes = self.0.lanes.lock();
        loop {
            if let Some(event) = lanes.take() {
                self.0.room.notify_one();
                return Received::Event(event);
            }
            if lanes.closed {
                return Received::Closed;
            }
            if self.0.arrived.wait_for(&mut lanes, wait).timed_out() {
                return lanes.take().map_or(Received::Timeout, Received::Event);
            }
        }
    }
}

impl Lanes {
    fn take(&mut self) -> Option<Event> {
        self.inner.pop_front().or_else(|| self.consensus.pop_front()).or_else(|| self.bulk.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lonja_primitives::NodeId;

    fn gone(n: u8) -> Event {
        Event::PeerDown(NodeId(alloy_primitives::B512::repeat_byte(n)))
    }

    #[test]
    fn own_answers_come_first_and_bulk_last() {
        let (sender, receiver) = mailbox();
        assert!(sender.offer(Lane::Bulk, gone(3)));
        assert!(sender.offer(Lane::Consensus, gone(2)));
        sender.answer(Event::Tick);
        let next = || receiver.next(Duration::ZERO);
        assert!(matches!(next(), Received::Event(Event::Tick)));
        assert!(matches!(next(), Received::Event(Event::PeerDown(NodeId(id))) if id[0] == 2));
        assert!(matches!(next(), Received::Event(Event::PeerDown(NodeId(id))) if id[0] == 3));
        assert!(matches!(next(), Received::Timeout));
    }

    #[test]
    fn a_full_lane_refuses_and_the_others_go_on() {
        let (sender, receiver) = mailbox();
        for _ in 0..BULK_MAX {
            assert!(sender.offer(Lane::Bulk, gone(1)));
        }
        assert!(!sender.offer(Lane::Bulk, gone(1)));
        assert!(sender.offer(Lane::Consensus, gone(2)));
        assert!(
            matches!(receiver.next(Duration::ZERO), Received::Event(Event::PeerDown(NodeId(id))) if id[0] == 2)
        );
    }

    #[test]
    fn closing_delivers_the_rest() {
        let (sender, receiver) = mailbox();
        sender.answer(Event::Tick);
        sender.close();
        assert!(matches!(receiver.next(Duration::from_secs(9)), Received::Event(Event::Tick)));
        assert!(matches!(receiver.next(Duration::from_secs(9)), Received::Closed));
    }
}
