//! What became of each transaction.

use super::rpc::BlockView;
use alloy_primitives::B256;
use alloy_primitives::map::B256Map;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Different reasons of refusals that are told apart; more are counted under the last.
const REASONS_MAX: usize = 20;

/// How far one transaction has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Not offered yet, or refused.
    #[default]
    Here,
    /// Offered and not answered.
    UnderWay,
    /// The node took it.
    Accepted,
    /// Seen in a block.
    Finalised(Instant),
}

/// One transaction.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    stage: Stage,
    /// The last time it was offered: the one that counted, if any did.
    submitted: Option<Instant>,
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

/// Answers so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answers {
    /// Transactions offered, each time counted.
    pub offers: u64,
    /// Of them refused, or not answered.
    pub refusals: u64,
}

/// Keeps count.
pub struct Ledger {
    index: B256Map<usize>,
    entries: Vec<Entry>,
    blocks: Vec<SeenBlock>,
    reasons: BTreeMap<String, u64>,
    answers: Answers,
    outstanding: usize,
}

impl Ledger {
    /// For transactions with these hashes.
    pub fn new(hashes: &[B256]) -> Self {
        Self {
            index: hashes.iter().enumerate().map(|(index, hash)| (*hash, index)).collect(),
            entries: vec![Entry::default(); hashes.len()],
            blocks: Vec::new(),
            reasons: BTreeMap::new(),
            answers: Answers::default(),
            outstanding: 0,
        }
    }

    /// These are being offered now.
    pub fn offering(&mut self, indexes: &[usize], now: Instant) {
        for index in indexes {
            self.answers.offers += 1;
            self.move_to(*index, Stage::UnderWay);
            self.entries[*index].submitted = Some(now);
        }
    }

    /// The node took it.
    pub fn accepted(&mut self, index: usize) {
        self.move_to(index, Stage::Accepted);
    }

    /// The node refused it, or did not answer. Tells whether it should be offered again.
    pub fn refused(&mut self, index: usize, reason: &str) -> bool {
        self.answers.refusals += 1;
        let reason = plain(reason);
        let known = self.reasons.len() < REASONS_MAX || self.reasons.contains_key(&reason);
        *self.reasons.entry(if known { reason } else { "other reasons".into() }).or_default() += 1;
        self.move_to(index, Stage::Here);
        !self.is_taken(index)
    }

    /// Whether the network has it: it need not be offered.
    pub fn is_taken(&self, index: usize) -> bool {
        matches!(self.entries[index].stage, Stage::Accepted | Stage::Finalised(_))
    }

    /// Whether it was ever offered.
    pub fn was_offered(&self, index: usize) -> bool {
        self.entries[index].submitted.is_some()
    }

    /// Whether it was offered and the last answer was no.
    pub fn is_refused(&self, index: usize) -> bool {
        self.was_offered(index) && self.entries[index].stage == Stage::Here
    }

    /// A block came.
    pub fn block(&mut self, block: &BlockView, seen: Instant) {
        let ours: Vec<usize> =
            block.transactions.iter().filter_map(|hash| self.index.get(hash).copied()).collect();
        ours.iter().for_each(|index| self.move_to(*index, Stage::Finalised(seen)));
        self.blocks.push(SeenBlock {
            seen,
            transactions: block.transactions.len(),
            ours: ours.len(),
            gas_used: block.gas_used.to(),
            bytes: block.size.to(),
        });
    }

    /// What is in a block stays there, whatever answer comes after it.
    fn move_to(&mut self, index: usize, stage: Stage) {
        let open = |stage: Stage| usize::from(matches!(stage, Stage::UnderWay | Stage::Accepted));
        let entry = &mut self.entries[index];
        if !matches!(entry.stage, Stage::Finalised(_)) {
            self.outstanding = self.outstanding + open(stage) - open(entry.stage);
            entry.stage = stage;
        }
    }

    /// Offered or accepted, and in no block yet.
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Blocks in the order in which they were seen.
    pub fn blocks(&self) -> &[SeenBlock] {
        &self.blocks
    }

    /// How often each reason was given.
    pub fn reasons(&self) -> &BTreeMap<String, u64> {
        &self.reasons
    }

    /// Counts of answers so far.
    pub fn answers(&self) -> Answers {
        self.answers
    }

    /// Counts over those that were offered, the last time, within a time.
    pub fn tally(&self, from: Instant, to: Instant) -> Tally {
        let mut tally = Tally::default();
        for entry in &self.entries {
            let Some(submitted) = entry.submitted.filter(|at| (from..to).contains(at)) else { continue };
            match entry.stage {
                Stage::Finalised(seen) => {
                    tally.accepted += 1;
                    tally.latencies.push(seen.saturating_duration_since(submitted));
                }
                Stage::Accepted => {
                    tally.accepted += 1;
                    tally.lost += 1;
                }
                Stage::Here | Stage::UnderWay => {}
            }
        }
        tally.latencies.sort_unstable();
        tally
    }
}

/// What became of the transactions of some time.
#[derive(Debug, Default)]
pub struct Tally {
    /// Taken by the node, or found in a block whatever it had answered.
    pub accepted: u64,
    /// Accepted, and in no block at the end.
    pub lost: u64,
    /// From the submission until seen in a block, ascending.
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
        assert_eq!(ledger.outstanding(), 4);
        ledger.accepted(0);
        ledger.accepted(1);
        assert!(ledger.refused(2, "nonce too low: next 17, got 0xab12"));
        ledger.offering(&[2], at(2));
        assert!(ledger.refused(2, "nonce too low: next 3, got 0x9"));
        ledger.block(&block(&[hash(0), hash(3), hash(9)]), at(4));
        assert!(!ledger.refused(3, "too late"), "it is in a block");
        assert!(ledger.is_taken(0) && ledger.is_taken(1) && !ledger.is_taken(2) && ledger.is_taken(3));
        assert!(ledger.is_refused(2) && !ledger.is_refused(1) && ledger.was_offered(1));
        assert_eq!(ledger.outstanding(), 1);
        let reasons = [("nonce too low: next #, got #", 2), ("too late", 1)];
        assert_eq!(ledger.reasons(), &reasons.map(|(text, count)| (text.into(), count)).into());
        assert_eq!((ledger.answers().offers, ledger.answers().refusals), (5, 3));
        let tally = ledger.tally(at(0), at(2));
        assert_eq!((tally.accepted, tally.lost), (3, 1));
        assert_eq!(tally.latencies, vec![Duration::from_secs(3); 2]);
        assert_eq!(ledger.tally(at(2), at(9)).accepted, 0);
        assert_eq!((ledger.blocks()[0].transactions, ledger.blocks()[0].ours), (3, 2));
    }

    #[test]
    fn words_of_a_reason_stay() {
        assert_eq!(plain("txpool is full"), "txpool is full");
        assert_eq!(plain("block 12 of 0xdeadbeef"), "block # of #");
    }
}
