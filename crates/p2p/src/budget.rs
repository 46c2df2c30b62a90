//! How much a peer may send. A peer beyond its budget is not read from until the budget allows: that slows it
//! down and nobody else, and an honest peer in a burst loses nothing.

use crate::wire::Kind;
use std::time::{Duration, Instant};

/// What one peer may send of one kind, as a lasting rate. Twice the rate may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Messages per second.
    pub messages: u32,
    /// Bytes per second.
    pub bytes: u32,
}

/// What one peer may send of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// Consensus messages. A hundred blocks a second with two dozen validators who pass on each other's votes are
    /// about 5000 messages; a full-size block each second and its justification fit the bytes.
    pub consensus: Rate,
    /// Batches of transactions. The bytes are more than 50,000 small transfers a second, beyond what a node can
    /// check; the node refuses what it does not want sooner.
    pub transactions: Rate,
    /// Consensus messages to be passed on. Used where links are missing, so a fraction of `consensus` would do; the same
    /// holds for a network of which half is cut off.
    pub relay: Rate,
    /// Announcements of transactions by hash: as often as batches, a fifth of their bytes.
    pub transaction_hashes: Rate,
    /// Questions for transactions, as many as announcements.
    pub get_transactions: Rate,
    /// Heads: two for each of a hundred blocks a second.
    pub new_head: Rate,
    /// Questions for blocks. Each costs us up to 10 MiB of reading and sending.
    pub get_blocks: Rate,
    /// Blocks, which come because we asked: as fast as a good local network.
    pub blocks: Rate,
    /// Questions about the past. Each costs us up to some thousand reads and a megabyte to send; there are other peers
    /// to ask.
    pub question: Rate,
    /// Answers to ours, as fast as a good local network.
    pub answer: Rate,
    /// What the managers of parties ask of ours. Each may cost a durable write: a few times what one takes in a second.
    pub party_request: Rate,
    /// Answers to what ours asks, as many.
    pub party_answer: Rate,
}

impl Default for Budgets {
    fn default() -> Self {
        const MIB: u32 = 1 << 20;
        Self {
            consensus: Rate { messages: 5_000, bytes: 32 * MIB },
            transactions: Rate { messages: 1_000, bytes: 8 * MIB },
            relay: Rate { messages: 5_000, bytes: 32 * MIB },
            transaction_hashes: Rate { messages: 1_000, bytes: 2 * MIB },
            get_transactions: Rate { messages: 1_000, bytes: 2 * MIB },
            new_head: Rate { messages: 200, bytes: MIB },
            get_blocks: Rate { messages: 50, bytes: MIB },
            blocks: Rate { messages: 100, bytes: 64 * MIB },
            question: Rate { messages: 500, bytes: MIB },
            answer: Rate { messages: 500, bytes: 64 * MIB },
            party_request: Rate { messages: 8_000, bytes: 16 * MIB },
            party_answer: Rate { messages: 8_000, bytes: 16 * MIB },
        }
    }
}

/// A budget being used up and filling again. May go into debt by one message, so that one larger than the
/// budget passes at all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    rate: f64,
    most: f64,
    level: f64,
    filled: Instant,
}

/// The buckets of one stream.
#[derive(Debug)]
pub(crate) struct Meter {
    kinds: [Option<(Bucket, Bucket)>; Kind::ALL.len()],
}

impl Bucket {
    /// A full bucket. A rate of zero is taken as one.
    pub(crate) fn new(per_second: u32, now: Instant) -> Self {
        let rate = f64::from(per_second.max(1));
        Self { rate, most: rate * 2.0, level: rate * 2.0, filled: now }
    }

    /// A full bucket that holds what one minute fills.
    pub(crate) fn per_minute(amount: u32, now: Instant) -> Self {
        let most = f64::from(amount.max(1));
        Self { rate: most / 60.0, most, level: most, filled: now }
    }

    /// Takes `amount` out if it is there.
    pub(crate) fn try_take(&mut self, amount: f64, now: Instant) -> bool {
        self.fill(now);
        let there = self.level >= amount;
        if there {
            self.level -= amount;
        }
        there
    }

    /// Takes `amount` out and says how long to wait before going on.
    pub(crate) fn take(&mut self, amount: f64, now: Instant) -> Duration {
        self.fill(now);
        self.level -= amount;
        if self.level >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-self.level / self.rate) }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.level = (self.level + passed * self.rate).min(self.most);
    }
}

impl Meter {
    /// Full budgets. The messages of the handshake have none: their number is one.
    pub(crate) fn new(budgets: &Budgets, now: Instant) -> Self {
        let bucket = |rate: Rate| Some((Bucket::new(rate.messages, now), Bucket::new(rate.bytes, now)));
        let kinds = Kind::ALL.map(|kind| match kind {
            Kind::Status | Kind::Goodbye => None,
            Kind::Consensus => bucket(budgets.consensus),
            Kind::Transactions => bucket(budgets.transactions),
            Kind::Relay => bucket(budgets.relay),
            Kind::TransactionHashes => bucket(budgets.transaction_hashes),
            Kind::GetTransactions => bucket(budgets.get_transactions),
            Kind::Question => bucket(budgets.question),
            Kind::Answer => bucket(budgets.answer),
            Kind::PartyRequest => bucket(budgets.party_request),
            Kind::PartyAnswer => bucket(budgets.party_answer),
            Kind::NewHead => bucket(budgets.new_head),
            Kind::GetBlocks => bucket(budgets.get_blocks),
            Kind::Blocks => bucket(budgets.blocks),
        });
        Self { kinds }
    }

    /// Books one message and says how long to wait before reading it.
    pub(crate) fn take(&mut self, kind: Kind, length: usize, now: Instant) -> Duration {
        match self.kinds.get_mut(kind as usize) {
            Some(Some((messages, bytes))) => messages.take(1.0, now).max(bytes.take(length as f64, now)),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_passes_then_the_rate_rules() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, start);
        for _ in 0..20 {
            assert_eq!(bucket.take(1.0, start), Duration::ZERO);
        }
        assert_eq!(bucket.take(1.0, start), SECOND / 10);
        assert_eq!(bucket.take(1.0, start), SECOND / 5);
        assert_eq!(bucket.take(1.0, start + SECOND), Duration::ZERO, "refilled");
    }

    #[test]
    fn rest_does_not_save_up_more_than_the_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10, start);
        assert_eq!(bucket.take(20.0, start + SECOND * 1000), Duration::ZERO);
        assert!(bucket.take(1.0, start + SECOND * 1000) > Duration::ZERO);
    }

    #[test]
    fn what_is_not_there_is_not_taken() {
        let start = Instant::now();
        let mut bucket = Bucket::per_minute(2, start);
        assert!(bucket.try_take(1.0, start) && bucket.try_take(1.0, start));
        assert!(!bucket.try_take(1.0, start));
        assert!(!bucket.try_take(1.0, start + SECOND));
        assert!(bucket.try_take(1.0, start + SECOND * 31));
    }

    #[test]
    fn one_message_larger_than_the_burst_passes_after_its_time() {
        let start = Instant::now();
        assert_eq!(Bucket::new(10, start).take(120.0, start), SECOND * 10);
    }

    #[test]
    fn kinds_do_not_use_up_each_other() {
        let start = Instant::now();
        let rate = |messages, bytes| Rate { messages, bytes };
        let budgets =
            Budgets { transactions: rate(1, 1000), consensus: rate(1000, 100), ..Budgets::default() };
        let mut meter = Meter::new(&budgets, start);
        meter.take(Kind::Transactions, 10, start);
        meter.take(Kind::Transactions, 10, start);
        assert_eq!(meter.take(Kind::Transactions, 10, start), SECOND);
        assert_eq!(meter.take(Kind::NewHead, 10, start), Duration::ZERO);
        assert_eq!(meter.take(Kind::Consensus, 300, start), SECOND);
        assert_eq!(meter.take(Kind::Goodbye, 500, start), Duration::ZERO);
    }
}
