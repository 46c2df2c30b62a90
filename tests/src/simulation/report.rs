//! What a run says: how it went, or what was broken and how to see it again.

use std::fmt;
use std::ops::AddAssign;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

impl Violation {
    /// Says what.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// What the steps of a world answer.
pub type Outcome<T = ()> = Result<T, Violation>;

/// A run that broke a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed of the world; `None` for a directed scenario.
    pub seed: Option<u64>,
    /// Step of the scheduler.
    pub step: u64,
    /// Simulated time, microseconds.
    pub time_us: u64,
    /// Which promise, and how.
    pub what: String,
    /// Options of `simulate` that are needed to see it again.
    pub options: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time_us as f64 / 1e6;
        writeln!(f, "{} (step {}, {seconds:.6} s of simulated time)", self.what, self.step)?;
        match self.seed {
            Some(seed) => write!(
                f,
                "seed {seed}; again: cargo run --release -p lonja-tests --bin simulate -- --seed {seed}{} --trace",
                self.options
            ),
            None => write!(f, "in a directed scenario"),
        }
    }
}

/// What happened in one world, or in many.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Worlds.
    pub worlds: u64,
    /// Steps of the scheduler.
    pub steps: u64,
    /// Blocks of the chain.
    pub blocks: u64,
    /// Blocks that were decided in a later round than the first.
    pub late_blocks: u64,
    /// Transactions in blocks.
    pub transactions: u64,
    /// Messages delivered.
    pub messages: u64,
    /// Processes killed.
    pub kills: u64,
    /// Power cuts.
    pub power_cuts: u64,
    /// Log tails that a crash tore.
    pub torn_logs: u64,
    /// Partitions of the network.
    pub partitions: u64,
    /// Changes of the validator set.
    pub set_changes: u64,
    /// Messages that faulty validators made up.
    pub forgeries: u64,
    /// Outages from which a network had to recover.
    pub outages: u64,
    /// Payloads that were sent, and those whose send failed.
    pub sends: u64,
    /// See `sends`.
    pub sends_failed: u64,
    /// Private transactions in markers.
    pub markers: u64,
    /// Private transactions that ran, at all their parties together, and those that failed there.
    pub private_runs: u64,
    /// See `private_runs`.
    pub private_failures: u64,
    /// Payloads that members got back from others.
    pub recovered: u64,
    /// How often a payload that came late led a private state back.
    pub led_back: u64,
    /// Secrets that the judge found in the private states of their parties.
    pub secrets_found: u64,
    /// Envelopes that the judge opened on their way.
    pub envelopes: u64,
    /// Simulated time, microseconds.
    pub simulated_us: u64,
    /// The slowest recovery, in thousandths of a base timeout.
    pub slowest_recovery: u64,
    /// The seed of it.
    pub slowest_seed: u64,
    /// Sum of all recoveries, in thousandths of a base timeout.
    pub recoveries: u64,
    /// A hash over everything that happened, to compare two runs of a seed; over several worlds, their exclusive or.
    pub fingerprint: u64,
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.worlds += other.worlds;
        self.steps += other.steps;
        self.blocks += other.blocks;
        self.late_blocks += other.late_blocks;
        self.transactions += other.transactions;
        self.messages += other.messages;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
        self.torn_logs += other.torn_logs;
        self.partitions += other.partitions;
        self.set_changes += other.set_changes;
        self.forgeries += other.forgeries;
        self.outages += other.outages;
        self.sends += other.sends;
        self.sends_failed += other.sends_failed;
        self.markers += other.markers;
        self.private_runs += other.private_runs;
        self.private_failures += other.private_failures;
        self.led_back += other.led_back;
        self.recovered += other.recovered;
        self.secrets_found += other.secrets_found;
        self.envelopes += other.envelopes;
        self.simulated_us += other.simulated_us;
        self.recoveries += other.recoveries;
        self.fingerprint ^= other.fingerprint;
        if other.slowest_recovery > self.slowest_recovery {
            (self.slowest_recovery, self.slowest_seed) = (other.slowest_recovery, other.slowest_seed);
        }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = self.recoveries as f64 / 1000.0 / self.outages.max(1) as f64;
        write!(
            f,
            "{} worlds, {} steps, {} blocks ({} in a later round), {} transactions, {} messages, {} kills, {} power \
             cuts, {} torn logs, {} partitions, {} set changes, {} forgeries, {} outages (recovery {mean:.2} base \
             timeouts on average, {:.2} at most in seed {}), {:.1} days",
            self.worlds,
            self.steps,
            self.blocks,
            self.late_blocks,
            self.transactions,
            self.messages,
            self.kills,
            self.power_cuts,
            self.torn_logs,
            self.partitions,
            self.set_changes,
            self.forgeries,
            self.outages,
            self.slowest_recovery as f64 / 1000.0,
            self.slowest_seed,
            self.simulated_us as f64 / 86_400e6,
        )?;
        if self.sends == 0 {
            return Ok(());
        }
        write!(
            f,
            "; {} payloads sent, {} not; {} markers; {} private runs ({} failed); led back {} times; {} recovered; {} envelopes and {} \
             secrets looked at",
            self.sends,
            self.sends_failed,
            self.markers,
            self.private_runs,
            self.private_failures,
            self.led_back,
            self.recovered,
            self.envelopes,
            self.secrets_found,
        )
    }
}
