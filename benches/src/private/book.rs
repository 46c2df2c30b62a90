//! What was sent, and who saw it when.

use crate::load::ledger::{Answers, SeenBlock, plain};
use crate::load::rpc::BlockView;
use alloy_primitives::B256;
use alloy_primitives::map::B256Map;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Different reasons of refusals that are told apart; more are counted under the last.
const REASONS_MAX: usize = 20;

/// From where blocks are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// A validator, which is no party: a block is final.
    Chain,
    /// The member that sends has executed it.
    Sender,
    /// The member that receives has.
    Receiver,
}

impl Stand {
    /// Each.
    pub const ALL: [Self; 3] = [Self::Chain, Self::Sender, Self::Receiver];
}

/// Keeps count. A transaction that the node signs may be in a block before its hash is known here, so that the two are
/// brought together at the end.
#[derive(Default)]
pub struct Book {
    sent: B256Map<Instant>,
    blocks: [Vec<(Instant, BlockView)>; 3],
    executed: [usize; 3],
    answers: Answers,
    reasons: BTreeMap<String, u64>,
}

impl Book {
    /// The node took it; sending it began at this time.
    pub fn accepted(&mut self, hash: B256, began: Instant) {
        self.answers.offers += 1;
        self.sent.insert(hash, began);
    }

    /// The node, or its manager, refused one, or did not answer.
    pub fn refused(&mut self, reason: &str) {
        self.answers.offers += 1;
        self.answers.refusals += 1;
        let reason = plain(reason);
        let known = self.reasons.len() < REASONS_MAX || self.reasons.contains_key(&reason);
        *self.reasons.entry(if known { reason } else { "other reasons".into() }).or_default() += 1;
    }

    /// A block can be seen from there.
    pub fn block(&mut self, stand: Stand, block: &BlockView, seen: Instant) {
        self.executed[stand as usize] += block.transactions.len();
        self.blocks[stand as usize].push((seen, block.clone()));
    }

    /// Accepted, and not executed by all parties yet.
    pub fn outstanding(&self) -> usize {
        let executed = self.executed.iter().copied().min().unwrap_or_default();
        self.sent.len().saturating_sub(executed)
    }

    /// Counts of answers so far.
    pub fn answers(&self) -> Answers {
        self.answers
    }

    /// How often each reason was given.
    pub fn reasons(&self) -> &BTreeMap<String, u64> {
        &self.reasons
    }

    /// The blocks that were seen from there within a time, in order.
    pub fn blocks(&self, stand: Stand, within: Range<Instant>) -> Vec<SeenBlock> {
        let blocks = self.blocks[stand as usize].iter().filter(|(seen, _)| within.contains(seen));
        let seen = |(seen, block): &(Instant, BlockView)| SeenBlock {
            seen: *seen,
            transactions: block.transactions.len(),
            ours: block.transactions.iter().filter(|hash| self.sent.contains_key(*hash)).count(),
            gas_used: block.gas_used.to(),
            bytes: block.size.to(),
        };
        blocks.map(seen).collect()
    }

    /// Of those sent within a time: from sending until the receiver had executed it, and how many it never had.
    pub fn latencies(&self, sent: Range<Instant>) -> (Vec<Duration>, u64) {
        let mut seen = B256Map::default();
        for (at, block) in &self.blocks[Stand::Receiver as usize] {
            seen.extend(block.transactions.iter().map(|hash| (*hash, *at)));
        }
        let (mut latencies, mut lost) = (Vec::new(), 0);
        for (hash, began) in self.sent.iter().filter(|(_, began)| sent.contains::<Instant>(began)) {
            match seen.get(hash) {
                Some(at) => latencies.push(at.saturating_duration_since(*began)),
                None => lost += 1,
            }
        }
        latencies.sort_unstable();
        (latencies, lost)
    }

    /// Everything that was accepted.
    pub fn hashes(&self) -> Vec<B256> {
        self.sent.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::U64;

    fn block(hashes: &[u8]) -> BlockView {
        let transactions = hashes.iter().map(|n| B256::repeat_byte(*n)).collect();
        BlockView { gas_used: U64::ZERO, size: U64::ZERO, transactions }
    }

    #[test]
    fn what_one_party_lacks_is_outstanding() {
        let (mut book, now) = (Book::default(), Instant::now());
        book.block(Stand::Chain, &block(&[1, 2]), now);
        book.accepted(B256::repeat_byte(1), now);
        book.accepted(B256::repeat_byte(2), now);
        book.refused("no");
        assert_eq!((book.outstanding(), book.answers().offers, book.answers().refusals), (2, 3, 1));
        book.block(Stand::Receiver, &block(&[1, 2]), now);
        assert_eq!(book.outstanding(), 2);
        book.block(Stand::Sender, &block(&[1]), now);
        assert_eq!(book.outstanding(), 1);
        book.block(Stand::Sender, &block(&[2]), now);
        assert_eq!(book.outstanding(), 0);
    }

    #[test]
    fn latency_ends_with_the_receiver_also_where_the_block_came_before_the_answer() {
        let (mut book, start) = (Book::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        book.block(Stand::Receiver, &block(&[1, 9]), at(30));
        book.block(Stand::Sender, &block(&[1, 2]), at(10));
        book.accepted(B256::repeat_byte(1), at(5));
        book.accepted(B256::repeat_byte(2), at(6));
        book.accepted(B256::repeat_byte(3), at(50));
        assert_eq!(book.latencies(at(0)..at(40)), (vec![Duration::from_millis(25)], 1));
        let blocks = book.blocks(Stand::Receiver, at(0)..at(40));
        assert_eq!((blocks[0].transactions, blocks[0].ours), (2, 1));
        assert!(book.blocks(Stand::Receiver, at(0)..at(30)).is_empty());
    }
}
