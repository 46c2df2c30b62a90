//! What waits to be written to one peer on one stream.

use alloy_primitives::Bytes;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::Notify;

/// What happens to a message when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// The oldest waiting ones go: an old vote is worth less than a new one, and the protocol repeats itself.
    DropOldest,
    /// The new one is refused: its sender can do something else with it.
    Refuse,
}

/// Answer to a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits; so many older ones had to go for it.
    Queued { dropped: usize },
    /// No room.
    Refused,
}

/// Bounds of a queue, and what all queues of its kind share.
#[derive(Debug, Clone)]
pub(crate) struct QueueLimits {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(crate) overflow: Overflow,
    pub(crate) shared: Option<SharedBytes>,
}

/// Bytes waiting in all queues together, and their bound.
#[derive(Debug, Clone)]
pub(crate) struct SharedBytes {
    pub(crate) used: Arc<AtomicUsize>,
    pub(crate) limit: usize,
}

/// A bounded queue of frames. Pushing never waits.
#[derive(Debug)]
pub(crate) struct Outbox {
    limits: QueueLimits,
    queue: Mutex<Queue>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
}

impl Outbox {
    pub(crate) fn new(limits: QueueLimits) -> Self {
        Self { limits, queue: Mutex::default(), filled: Notify::new() }
    }

    /// Puts a frame at the end.
    pub(crate) fn push(&self, frame: Bytes) -> Pushed {
        let mut queue = self.queue.lock();
        let mut dropped = 0;
        while queue.frames.len() >= self.limits.messages
            || queue.bytes.saturating_add(frame.len()) > self.limits.bytes
        {
            if self.limits.overflow == Overflow::Refuse || self.pop(&mut queue).is_none() {
                return Pushed::Refused;
            }
            dropped += 1;
        }
        if !self.share(frame.len()) {
            return Pushed::Refused;
        }
        queue.bytes += frame.len();
        queue.frames.push_back(frame);
        drop(queue);
        self.filled.notify_one();
        Pushed::Queued { dropped }
    }

    /// Moves frames to `batch`, oldest first: as many as fit into `bytes`, at least one if there is one.
    pub(crate) fn take(&self, batch: &mut Vec<Bytes>, bytes: usize) {
        let mut queue = self.queue.lock();
        let mut taken = 0usize;
        while let Some(next) = queue.frames.front() {
            taken = taken.saturating_add(next.len());
            if taken > bytes && !batch.is_empty() {
                break;
            }
            batch.extend(self.pop(&mut queue));
        }
    }

    /// Returns when something was pushed since the last [`Outbox::take`] that found the queue empty. May return
    /// without reason.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Messages and bytes waiting.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let queue = self.queue.lock();
        (queue.frames.len(), queue.bytes)
    }

    fn pop(&self, queue: &mut Queue) -> Option<Bytes> {
        let frame = queue.frames.pop_front()?;
        queue.bytes -= frame.len();
        if let Some(shared) = &self.limits.shared {
            shared.used.fetch_sub(frame.len(), Ordering::Relaxed);
        }
        Some(frame)
    }

    fn share(&self, bytes: usize) -> bool {
        let Some(shared) = &self.limits.shared else { return true };
        let more = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= shared.limit);
        shared.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

impl Drop for Outbox {
    /// What never was written no longer counts against the others.
    fn drop(&mut self) {
        if let Some(shared) = &self.limits.shared {
            shared.used.fetch_sub(self.queue.get_mut().bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(overflow: Overflow) -> Outbox {
        Outbox::new(QueueLimits { messages: 3, bytes: 10, overflow, shared: None })
    }

    fn frame(first: u8, length: usize) -> Bytes {
        let mut bytes = vec![0; length];
        bytes[0] = first;
        bytes.into()
    }

    fn firsts(outbox: &Outbox, bytes: usize) -> Vec<u8> {
        let mut batch = Vec::new();
        outbox.take(&mut batch, bytes);
        batch.iter().map(|f| f[0]).collect()
    }

    #[test]
    fn the_oldest_go_when_too_many_or_too_large() {
        let outbox = outbox(Overflow::DropOldest);
        for n in 0..3 {
            assert_eq!(outbox.push(frame(n, 2)), Pushed::Queued { dropped: 0 });
        }
        assert_eq!(outbox.push(frame(3, 2)), Pushed::Queued { dropped: 1 });
        assert_eq!(outbox.push(frame(4, 8)), Pushed::Queued { dropped: 2 });
        assert_eq!(outbox.waiting(), (2, 10));
        assert_eq!(outbox.push(frame(5, 11)), Pushed::Refused, "would never fit");
        assert_eq!(outbox.waiting(), (0, 0));
    }

    #[test]
    fn the_new_one_is_refused_when_full() {
        let outbox = outbox(Overflow::Refuse);
        outbox.push(frame(0, 9));
        assert_eq!(outbox.push(frame(1, 2)), Pushed::Refused);
        assert_eq!(outbox.push(frame(2, 1)), Pushed::Queued { dropped: 0 });
        assert_eq!(firsts(&outbox, 100), [0, 2]);
    }

    #[test]
    fn batches_keep_order_and_size() {
        let outbox = outbox(Overflow::Refuse);
        for n in 0..3 {
            outbox.push(frame(n, 3));
        }
        assert_eq!(firsts(&outbox, 7), [0, 1]);
        assert_eq!(firsts(&outbox, 1), [2], "one always");
        assert!(firsts(&outbox, 1).is_empty());
    }

    #[test]
    fn all_queues_share_a_bound() {
        let used = Arc::new(AtomicUsize::new(0));
        let shared = Some(SharedBytes { used: used.clone(), limit: 12 });
        let limits = QueueLimits { messages: 3, bytes: 10, overflow: Overflow::Refuse, shared };
        let (one, two) = (Outbox::new(limits.clone()), Outbox::new(limits));
        assert_eq!(one.push(frame(0, 8)), Pushed::Queued { dropped: 0 });
        assert_eq!(two.push(frame(0, 8)), Pushed::Refused);
        assert_eq!(two.push(frame(0, 4)), Pushed::Queued { dropped: 0 });
        firsts(&two, 100);
        drop(one);
        assert_eq!(used.load(Ordering::Relaxed), 0);
    }
}
