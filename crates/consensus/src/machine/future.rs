//! Messages that came too early: for heights that have not begun.

use alloy_primitives::Address;
use std::collections::BTreeMap;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Heights above the current one.
    pub heights: u64,
    /// Messages per author and height: one of each kind is what an honest validator has to say early.
    pub per_author: usize,
    /// Sum of the sizes.
    pub bytes: usize,
}

/// The machine's limits. A validator further behind than this is catching up anyway; the bytes are what a node
/// with little memory can spare.
pub(super) const LIMITS: Limits = Limits { heights: 10, per_author: 4, bytes: 64 << 20 };

/// A bounded store by height, in order of arrival.
#[derive(Debug)]
pub(super) struct FutureBuffer<T> {
    limits: Limits,
    height: u64,
    heights: BTreeMap<u64, Vec<Waiting<T>>>,
    bytes: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    author: Address,
    bytes: usize,
    message: T,
}

impl<T: PartialEq> FutureBuffer<T> {
    /// Empty, at `height`: what is kept is for later ones.
    pub(super) fn new(limits: Limits, height: u64) -> Self {
        Self { limits, height, heights: BTreeMap::new(), bytes: 0 }
    }

    /// Keeps a message if it fits. When the bytes are used up, nearer heights push out the highest one.
    pub(super) fn add(&mut self, height: u64, author: Address, bytes: usize, message: T) {
        let near = height > self.height && height - self.height <= self.limits.heights;
        if !near || bytes > self.limits.bytes || self.is_refused(height, author, &message) {
            return;
        }
        while self.bytes.saturating_add(bytes) > self.limits.bytes {
            match self.heights.last_key_value() {
                Some((&highest, _)) if highest > height => self.drop_height(highest),
                _ => return,
            }
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.heights.entry(height).or_default().push(Waiting { author, bytes, message });
    }

    /// Begins `height`: gives its messages in order of arrival and drops those of lower heights.
    pub(super) fn take(&mut self, height: u64) -> Vec<T> {
        self.height = self.height.max(height);
        while let Some((&lowest, _)) = self.heights.first_key_value() {
            if lowest >= height {
                break;
            }
            self.drop_height(lowest);
        }
        let taken = self.heights.remove(&height).unwrap_or_default();
        self.release(&taken);
        taken.into_iter().map(|waiting| waiting.message).collect()
    }

    fn is_refused(&self, height: u64, author: Address, message: &T) -> bool {
        let waiting = self.heights.get(&height).map(Vec::as_slice).unwrap_or_default();
        let of_author = || waiting.iter().filter(|other| other.author == author);
        of_author().count() >= self.limits.per_author || of_author().any(|other| other.message == *message)
    }

    fn drop_height(&mut self, height: u64) {
        let dropped = self.heights.remove(&height).unwrap_or_default();
        self.release(&dropped);
    }

    fn release(&mut self, gone: &[Waiting<T>]) {
        let bytes: usize = gone.iter().map(|waiting| waiting.bytes).sum();
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{number, text, vectors};
    use serde_json::Value;

    /// The vectors count messages where the machine counts bytes, and know no limit per author.
    fn run(case: &Value) {
        let limits = Limits {
            heights: number(&case["max_distance"]),
            per_author: usize::MAX,
            bytes: number(&case["limit"]) as usize,
        };
        let mut buffer = FutureBuffer::new(limits, number(&case["height"]));
        for (index, op) in case["ops"].as_array().unwrap().iter().enumerate() {
            let height = number(&op[1]);
            match text(&op[0]) {
                "add" => buffer.add(height, Address::with_last_byte(index as u8), 1, text(&op[2]).to_owned()),
                _ => assert_eq!(Value::from(taken(&mut buffer, height)), op[2], "{}", case["id"]),
            }
        }
    }

    /// The vectors take heights out of order; beginning a height is the machine's way to take one.
    fn taken(buffer: &mut FutureBuffer<String>, height: u64) -> Vec<String> {
        let list = buffer.heights.remove(&height).unwrap_or_default();
        buffer.release(&list);
        list.into_iter().map(|waiting| waiting.message).collect()
    }

    #[test]
    fn vectors_of_the_future_buffer() {
        let file = vectors!("routing");
        let all = file["future_buffer"].as_array().unwrap();
        assert_eq!(all.len(), 6);
        all.iter().for_each(run);
    }

    #[test]
    fn an_author_cannot_take_more_than_its_share() {
        let mut buffer = FutureBuffer::new(LIMITS, 5);
        let (one, other) = (Address::with_last_byte(1), Address::with_last_byte(2));
        for message in 0..9 {
            buffer.add(6, one, 100, message);
        }
        buffer.add(6, other, 100, 50);
        buffer.add(6, other, 100, 50);
        assert_eq!(buffer.bytes, 500);
        assert_eq!(buffer.take(6), [0, 1, 2, 3, 50]);
        assert_eq!(buffer.bytes, 0);
    }

    #[test]
    fn beginning_a_height_drops_the_lower_ones() {
        let mut buffer = FutureBuffer::new(LIMITS, 5);
        let author = Address::with_last_byte(1);
        for height in 4..=16 {
            buffer.add(height, author, 10, height);
        }
        assert_eq!(buffer.bytes, 100, "heights 6 to 15");
        assert_eq!(buffer.take(8), [8]);
        assert_eq!(buffer.bytes, 70);
        buffer.add(8, author, 10, 99);
        assert!(buffer.take(8).is_empty(), "a height that has begun is not future");
    }

    #[test]
    fn a_full_buffer_keeps_what_came_first_at_the_highest_height() {
        let limits = Limits { bytes: 30, ..LIMITS };
        let mut buffer = FutureBuffer::new(limits, 0);
        for number in 0..5_u8 {
            buffer.add(2, Address::with_last_byte(number), 10, number);
        }
        assert_eq!(buffer.take(2), [0, 1, 2]);
        buffer.add(3, Address::ZERO, 31, 0);
        assert!(buffer.take(3).is_empty(), "larger than the whole buffer");
    }
}
