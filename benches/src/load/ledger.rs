//! What became of each transaction.

use super::lane::{Entry, Lane, Stage};
use super::rpc::{BlockView, RpcError};
use super::workload::{self, Signed};
use alloy_primitives::B256;
use alloy_primitives::map::B256Map;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Different reasons of refusals that are told apart; more are counted under the last.
const REASONS_MAX: usize = 20;
/// Length of a reason in the report.
const REASON_LENGTH_MAX: usize = 160;

/// A block as the meter saw it.
#[derive(Clone, Copy, Debug)]
pub struct SeenBlock {
    /// When it and its receipts could be read.
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
    /// Not offered although it was time, because too many requests were under way.
    pub held_back: u64,
    /// Not offered although it was time, because nothing was signed yet.
    pub unsigned: u64,
}

/// A transaction that is in a block, as small as can be: there are millions.
#[derive(Clone, Copy, Debug)]
pub struct Finalised {
    /// From the begin of the run until it was submitted, milliseconds.
    pub submitted_ms: u32,
    /// From then until it was seen in a block, microseconds.
    pub latency_us: u32,
}

/// Answers within one second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Second {
    /// Transactions offered.
    pub offers: u64,
    /// Refused, or not answered.
    pub refusals: u64,
}

/// Keeps count.
pub struct Ledger {
    start: Instant,
    lanes: Vec<Lane>,
    /// No account gets more transactions than this.
    each_max: u64,
    /// What was offered and is in no block yet.
    by_hash: B256Map<u64>,
    blocks: Vec<SeenBlock>,
    reasons: BTreeMap<String, u64>,
    answers: Answers,
    seconds: Vec<Second>,
    finalised: Vec<Finalised>,
    last_hash: Option<B256>,
    outstanding: usize,
}

impl Ledger {
    /// For accounts that have these transactions to begin with, and will not need more than `each_max`.
    pub fn new(stock: Vec<Vec<Signed>>, each_max: u64) -> Self {
        let lane = |signed| {
            let mut lane = Lane::default();
            lane.extend(signed);
            lane
        };
        Self {
            start: Instant::now(),
            lanes: stock.into_iter().map(lane).collect(),
            each_max,
            by_hash: B256Map::default(),
            blocks: Vec::new(),
            reasons: BTreeMap::new(),
            answers: Answers::default(),
            seconds: Vec::new(),
            finalised: Vec::new(),
            last_hash: None,
            outstanding: 0,
        }
    }

    /// The run begins now.
    pub fn begin(&mut self, now: Instant) {
        self.start = now;
    }

    /// When the run began.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// How many accounts send.
    pub fn accounts(&self) -> usize {
        self.lanes.len()
    }

    /// More transactions of an account.
    pub fn stock(&mut self, account: usize, signed: Vec<Signed>) {
        self.lanes[account].extend(signed);
    }

    /// The nonces of an account that should be signed now, and count as ordered from then on.
    pub fn order(&mut self, account: usize) -> Option<Range<u64>> {
        self.lanes[account].order(self.each_max)
    }

    /// The number of the transaction that an account should offer next.
    pub fn take(&mut self, account: usize) -> Option<u64> {
        let nonce = self.lanes[account].take()?;
        Some(nonce * self.lanes.len() as u64 + account as u64)
    }

    /// The account of a transaction, and its nonce.
    pub fn place(&self, number: u64) -> (usize, u64) {
        let accounts = self.lanes.len() as u64;
        ((number % accounts) as usize, number / accounts)
    }

    /// The request that offers these transactions, as far as they are not finalised.
    pub fn request(&self, numbers: &[u64]) -> Bytes {
        let requests: Vec<&Bytes> =
            numbers.iter().filter_map(|number| Some(&self.entry(*number)?.request)).collect();
        workload::body(requests.into_iter())
    }

    /// These are being offered now.
    pub fn offering(&mut self, numbers: &[u64], now: Instant) {
        self.answers.offers += numbers.len() as u64;
        self.second(now).offers += numbers.len() as u64;
        for number in numbers {
            self.move_to(*number, Stage::UnderWay);
            if let Some(entry) = self.entry_mut(*number) {
                entry.submitted = Some(now);
                let hash = entry.hash;
                self.by_hash.insert(hash, *number);
            }
        }
    }

    /// So many were not offered although it was time.
    pub fn held_back(&mut self, count: usize) {
        self.answers.held_back += count as u64;
    }

    /// So many were not offered because they were not signed.
    pub fn unsigned(&mut self, count: usize) {
        self.answers.unsigned += count as u64;
    }

    /// The node took it.
    pub fn accepted(&mut self, number: u64) {
        self.move_to(number, Stage::Accepted);
    }

    /// The node refused it, or did not answer. It will be offered again, unless it is in a block all the same.
    pub fn refused(&mut self, number: u64, reason: &str) {
        self.answers.refusals += 1;
        self.second(Instant::now()).refusals += 1;
        let reason = plain(reason);
        let known = self.reasons.len() < REASONS_MAX || self.reasons.contains_key(&reason);
        *self.reasons.entry(if known { reason } else { "other reasons".into() }).or_default() += 1;
        self.move_to(number, Stage::Here);
        if self.entry(number).is_some_and(|entry| entry.stage == Stage::Here) {
            let (account, nonce) = self.place(number);
            self.lanes[account].again(nonce);
        }
    }

    /// A block came.
    pub fn block(&mut self, block: &BlockView, seen: Instant) {
        let ours: Vec<u64> = block.transactions.iter().filter_map(|hash| self.by_hash.remove(hash)).collect();
        ours.iter().for_each(|number| self.finalise(*number, seen));
        self.last_hash = block.transactions.last().copied().or(self.last_hash);
        self.blocks.push(SeenBlock {
            seen,
            transactions: block.transactions.len(),
            ours: ours.len(),
            gas_used: block.gas_used.to(),
            bytes: block.size.to(),
        });
    }

    fn finalise(&mut self, number: u64, seen: Instant) {
        self.move_to(number, Stage::Finalised);
        let submitted = self.entry(number).and_then(|entry| entry.submitted).unwrap_or(seen);
        let clip = |value: u128| u32::try_from(value).unwrap_or(u32::MAX);
        self.finalised.push(Finalised {
            submitted_ms: clip(submitted.saturating_duration_since(self.start).as_millis()),
            latency_us: clip(seen.saturating_duration_since(submitted).as_micros()),
        });
        let (account, _) = self.place(number);
        self.lanes[account].trim();
    }

    /// What is in a block stays there, whatever answer comes after it.
    fn move_to(&mut self, number: u64, stage: Stage) {
        let open = |stage: Stage| usize::from(matches!(stage, Stage::UnderWay | Stage::Accepted));
        let Some(entry) = self.entry_mut(number) else { return };
        if entry.stage != Stage::Finalised {
            let before = std::mem::replace(&mut entry.stage, stage);
            self.outstanding = self.outstanding + open(stage) - open(before);
        }
    }

    fn entry(&self, number: u64) -> Option<&Entry> {
        let (account, nonce) = self.place(number);
        self.lanes.get(account)?.entry(nonce)
    }

    fn entry_mut(&mut self, number: u64) -> Option<&mut Entry> {
        let (account, nonce) = self.place(number);
        self.lanes.get_mut(account)?.entry_mut(nonce)
    }

    fn second(&mut self, now: Instant) -> &mut Second {
        let second = now.saturating_duration_since(self.start).as_secs() as usize;
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, Second::default());
        }
        &mut self.seconds[second]
    }

    /// Offered or accepted, and in no block yet.
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Refused ones that have later ones behind them which the node took, by account.
    pub fn holes(&self) -> Vec<u64> {
        let accounts = self.lanes.len() as u64;
        let of = |(account, lane): (u64, &Lane)| {
            lane.holes().into_iter().map(move |nonce| nonce * accounts + account)
        };
        (0..).zip(&self.lanes).flat_map(of).collect()
    }

    /// Blocks in the order in which they were seen.
    pub fn blocks(&self) -> &[SeenBlock] {
        &self.blocks
    }

    /// The last transaction of the last block that had any.
    pub fn last_hash(&self) -> Option<B256> {
        self.last_hash
    }

    /// How often each reason was given.
    pub fn reasons(&self) -> &BTreeMap<String, u64> {
        &self.reasons
    }

    /// Counts of answers so far.
    pub fn answers(&self) -> Answers {
        self.answers
    }

    /// Answers by second of the run.
    pub fn seconds(&self) -> &[Second] {
        &self.seconds
    }

    /// What is in blocks.
    pub fn finalised(&self) -> &[Finalised] {
        &self.finalised
    }

    /// Hashes of what was accepted and is in no block.
    pub fn lost(&self) -> impl Iterator<Item = B256> {
        let entries = self.lanes.iter().flat_map(Lane::entries);
        entries.filter(|entry| entry.stage == Stage::Accepted).map(|entry| entry.hash)
    }

    /// Counts over those that were offered, the last time, within a time.
    pub fn tally(&self, from: Instant, to: Instant) -> Tally {
        let of = |time: Instant| time.saturating_duration_since(self.start).as_millis();
        let window = of(from)..of(to);
        let within = self.finalised.iter().filter(|tx| window.contains(&u128::from(tx.submitted_ms)));
        let mut latencies: Vec<Duration> =
            within.map(|tx| Duration::from_micros(tx.latency_us.into())).collect();
        latencies.sort_unstable();
        let open = self.lanes.iter().flat_map(Lane::entries);
        let open: Vec<Stage> = open
            .filter(|entry| entry.submitted.is_some_and(|at| (from..to).contains(&at)))
            .map(|entry| entry.stage)
            .collect();
        let count = |stage| open.iter().filter(|it| **it == stage).count() as u64;
        Tally { lost: count(Stage::Accepted), unanswered: count(Stage::UnderWay), latencies }
    }
}

/// What became of the transactions of some time.
#[derive(Debug, Default)]
pub struct Tally {
    /// Accepted, and in no block at the end.
    pub lost: u64,
    /// Offered, never answered, and in no block at the end.
    pub unanswered: u64,
    /// From the submission until seen in a block, ascending.
    pub latencies: Vec<Duration>,
}

/// The reason of a refusal as it is counted: the code, and the words.
pub fn reason(error: &RpcError) -> String {
    format!("({}) {}", error.code, error.message)
}

/// A reason without the numbers and hashes that make each one different. A code in front and the status of HTTP stay.
pub fn plain(reason: &str) -> String {
    let (code, words) = match reason.strip_prefix('(').and_then(|rest| rest.split_once(") ")) {
        Some((code, words)) if code.parse::<i64>().is_ok() => (format!("({code}) "), words),
        _ => (String::new(), reason),
    };
    let is_part = |c: char| c.is_ascii_hexdigit() || c == 'x';
    let mut after_http = false;
    let words = words.split_inclusive(|c: char| !c.is_ascii_alphanumeric()).map(|word| {
        let (body, tail) = match word.char_indices().next_back() {
            Some((at, last)) if !last.is_ascii_alphanumeric() => word.split_at(at),
            _ => (word, ""),
        };
        let number = body.starts_with(|c: char| c.is_ascii_digit()) && body.chars().all(is_part);
        let is_status = std::mem::replace(&mut after_http, body == "HTTP");
        format!("{}{tail}", if number && !is_status { "#" } else { body })
    });
    (code + &words.collect::<String>()).chars().take(REASON_LENGTH_MAX).collect()
}
