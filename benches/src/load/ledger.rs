//! What became of each transaction.

use super::rpc::BlockView;
use alloy_primitives::B256;
use alloy_primitives::map::B256Map;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// A refused transaction is offered again after this time, as a patient client would do it.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How often it is offered in all before it counts as rejected.
const OFFERS_MAX: u8 = 5;
/// Different reasons of refusals that are told apart; more are counted under the last.
const REASONS_MAX: usize = 20;

/// One transaction.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    offers: u8,
    /// The first time it was offered.
    submitted: Option<Instant>,
    accepted: bool,
    finalised: Option<Instant>,
}

/// A block as the meter saw it.
#[derive(Clone, Copy, Debug)]
pub struct SeenBlock {
    /// When its answer began to arrive.
    pub seen: Instant,
    /// Transactions in it.
    pub transactions: usize,
    /// Those of them that this tool sent.
    pub ours: usize,
    /// Gas used.
    pub gas_used: u64,
    /// Encoded size in bytes.
    pub bytes: u64,
}

/// Keeps count.
pub struct Ledger {
    index: B256Map<usize>,
    entries: Vec<Entry>,
    blocks: Vec<SeenBlock>,
    again: VecDeque<(Instant, usize)>,
    reasons: BTreeMap<String, u64>,
    offered: usize,
    finalised: usize,
    rejected: usize,
}

impl Ledger {
    /// For transactions with these hashes.
    pub fn new(hashes: &[B256]) -> Self {
        Self {
            index: hashes.iter().enumerate().map(|(index, hash)| (*hash, index)).collect(),
            entries: vec![Entry::default(); hashes.len()],
            blocks: Vec::new(),
            again: VecDeque::new(),
            reasons: BTreeMap::new(),
            offered: 0,
            finalised: 0,
            rejected: 0,
        }
    }

    /// These are being offered now.
    pub fn offering(&mut self, indexes: &[usize], now: Instant) {
        for index in indexes {
            let entry = &mut self.entries[*index];
            entry.offers += 1;
            if entry.submitted.is_none() {
                entry.submitted = Some(now);
                self.offered += 1;
            }
        }
    }

    /// The node took it.
    pub fn accepted(&mut self, index: usize) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.accepted = true;
        }
    }

    /// The node refused it, or did not answer; it will be offered again unless that was the last time.
    pub fn refused(&mut self, index: usize, reason: &str, now: Instant) {
        let Some(entry) = self.entries.get(index).copied() else { return };
        let reason = plain(reason);
        let known = self.reasons.len() < REASONS_MAX || self.reasons.contains_key(&reason);
        *self.reasons.entry(if known { reason } else { "other reasons".into() }).or_default() += 1;
        if entry.finalised.is_some() {
        } else if entry.offers < OFFERS_MAX {
            self.again.push_back((now + AGAIN_AFTER, index));
        } else {
            self.rejected += 1;
        }
    }

    /// Refused transactions whose time has come, at most `count`.
    pub fn due_again(&mut self, count: usize, now: Instant) -> Vec<usize> {
        let mut indexes = Vec::new();
        while indexes.len() < count
            && let Some((_, index)) = self.again.pop_front_if(|(due, _)| *due <= now)
        {
            if self.entries[index].finalised.is_none() {
                indexes.push(index);
            }
        }
        indexes
    }

    /// A block came.
    pub fn block(&mut self, block: &BlockView, seen: Instant) {
        let mut ours = 0;
        for hash in &block.transactions {
            let Some(index) = self.index.get(hash) else { continue };
            ours += 1;
            let entry = &mut self.entries[*index];
            if entry.finalised.is_none() {
                entry.finalised = Some(seen);
                self.finalised += 1;
            }
        }
        self.blocks.push(SeenBlock {
            seen,
            transactions: block.transactions.len(),
            ours,
            gas_used: block.gas_used.to(),
            bytes: block.size.to(),
        });
    }

    /// Offered and neither finalised nor given up.
    pub fn outstanding(&self) -> usize {
        self.offered.saturating_sub(self.finalised).saturating_sub(self.rejected)
    }

    /// Blocks in the order in which they were seen.
    pub fn blocks(&self) -> &[SeenBlock] {
        &self.blocks
    }

    /// How often each reason was given.
    pub fn reasons(&self) -> &BTreeMap<String, u64> {
        &self.reasons
    }

    /// Counts over those that were first offered within a time.
    pub fn tally(&self, from: Instant, to: Instant) -> Tally {
        let mut tally = Tally::default();
        for entry in &self.entries {
            let Some(submitted) = entry.submitted.filter(|at| (from..to).contains(at)) else { continue };
            tally.offered += 1;
            match (entry.accepted, entry.finalised) {
                (_, Some(finalised)) => {
                    tally.accepted += 1;
                    tally.latencies.push(finalised.saturating_duration_since(submitted));
                }
                (true, None) => {
                    tally.accepted += 1;
                    tally.lost += 1;
                }
                (false, None) => tally.rejected += 1,
            }
        }
        tally.latencies.sort_unstable();
        tally
    }
}

/// What became of the transactions of some time.
#[derive(Debug, Default)]
pub struct Tally {
    /// Sent.
    pub offered: u64,
    /// Taken by the node, or found in a block whatever it had answered.
    pub accepted: u64,
    /// Refused to the last.
    pub rejected: u64,
    /// Accepted, and in no block at the end.
    pub lost: u64,
    /// From the first submission until seen in a block, ascending.
    pub latencies: Vec<Duration>,
}

/// A reason without the numbers and hashes that make each one different.
fn plain(reason: &str) -> String {
    let is_part = |c: char| c.is_ascii_hexdigit() || c == 'x';
    let words = reason.split_inclusive(|c: char| !c.is_ascii_alphanumeric());
    let words = words.map(|word| {
        let (body, tail) = match word.char_indices().next_back() {
            Some((at, last)) if !last.is_ascii_alphanumeric() => word.split_at(at),
            _ => (word, ""),
        };
        let number = body.starts_with(|c: char| c.is_ascii_digit()) && body.chars().all(is_part);
        format!("{}{tail}", if number { "#" } else { body })
    });
    words.collect::<String>().chars().take(160).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::U64;

    fn hash(n: u8) -> B256 {
        B256::repeat_byte(n)
    }

    fn block(hashes: &[B256]) -> BlockView {
        let (gas_used, size) = (U64::from(21_000), U64::from(600));
        BlockView { gas_used, size, transactions: hashes.to_vec() }
    }

    #[test]
    fn every_transaction_is_counted_once() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut ledger = Ledger::new(&[hash(0), hash(1), hash(2), hash(3)]);
        ledger.offering(&[0, 1, 2, 3], at(1));
        ledger.accepted(0);
        ledger.accepted(1);
        for _ in 0..OFFERS_MAX {
            ledger.refused(2, "nonce too low: next 17, got 0xab12", at(1));
            let again = ledger.due_again(9, at(2));
            ledger.offering(&again, at(2));
        }
        ledger.refused(3, "nonce too low: next 3, got 0x9", at(1));
        ledger.block(&block(&[hash(0), hash(3), hash(9)]), at(4));
        assert_eq!(ledger.reasons(), &BTreeMap::from([("nonce too low: next #, got #".into(), 6)]));
        assert_eq!(ledger.outstanding(), 1);
        assert!(ledger.due_again(9, at(9)).is_empty());
        let tally = ledger.tally(at(0), at(2));
        assert_eq!((tally.offered, tally.accepted, tally.rejected, tally.lost), (4, 3, 1, 1));
        assert_eq!(tally.latencies, vec![Duration::from_secs(3); 2]);
        assert_eq!(ledger.tally(at(2), at(9)).offered, 0);
        assert_eq!((ledger.blocks()[0].transactions, ledger.blocks()[0].ours), (3, 2));
    }

    #[test]
    fn words_of_a_reason_stay() {
        assert_eq!(plain("txpool is full"), "txpool is full");
        assert_eq!(plain("block 12 of 0xdeadbeef"), "block # of #");
    }
}
