//! What is different between two specs of one network, and from when on: a chain may get new rules for blocks to
//! come, never for blocks it has.

use super::{ChainSpec, Fork, ForkStart, words};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A rule that has another value under another spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleChange {
    /// From when on.
    pub from: ForkStart,
    /// Which rule, in words.
    pub rule: &'static str,
    /// Its value under the first spec, in words.
    pub before: String,
    /// Its value under the second.
    pub after: String,
}

impl RuleChange {
    /// Whether a chain whose head has this number and timestamp (seconds) has blocks for which the rule would be
    /// another. Block 0 is no such block: what counts for it is in its hash.
    pub fn is_past(&self, head: u64, head_timestamp: u64) -> bool {
        head > 0
            && match self.from {
                ForkStart::Block(block) => block <= head,
                ForkStart::Time(time) => time <= head_timestamp,
            }
    }
}

impl fmt::Display for RuleChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.from {
            ForkStart::Block(block) => write!(f, "from block {block} on, ")?,
            ForkStart::Time(time) => write!(f, "from time {time} on, ")?,
        }
        write!(f, "{}: {} instead of {}", self.rule, self.after, self.before)
    }
}

impl ChainSpec {
    /// What is different under another spec, in the order of blocks, then of times. A difference that goes on is
    /// named once, where it begins.
    pub fn changes(&self, other: &Self) -> Vec<RuleChange> {
        let mut found = Vec::new();
        let mut standing = BTreeMap::new();
        let blocks: BTreeSet<u64> = self.change_blocks().into_iter().chain(other.change_blocks()).collect();
        for block in blocks {
            let now = differences(self, other, block);
            for (rule, (before, after)) in &now {
                if standing.get(rule) != Some(&(before.clone(), after.clone())) {
                    let (before, after) = (before.clone(), after.clone());
                    found.push(RuleChange { from: ForkStart::Block(block), rule, before, after });
                }
            }
            standing = now;
        }
        found.extend(self.time_changes(other));
        found
    }

    fn time_changes(&self, other: &Self) -> Vec<RuleChange> {
        let starts = self.forks.iter().chain(&other.forks).filter_map(|(_, start)| match start {
            ForkStart::Time(time) => Some(*time),
            ForkStart::Block(_) => None,
        });
        let mut found: Vec<RuleChange> = Vec::new();
        for time in starts.collect::<BTreeSet<u64>>() {
            let name = |spec: &Self| spec.fork_by_time(time).map_or("none", Fork::name).to_owned();
            let (before, after) = (name(self), name(other));
            let goes_on = found.last().is_some_and(|last| (&last.before, &last.after) == (&before, &after));
            if before != after && !goes_on {
                found.push(RuleChange { from: ForkStart::Time(time), rule: "fork by time", before, after });
            }
        }
        found
    }
}

/// The rules that are different at a block, with both values.
fn differences(one: &ChainSpec, two: &ChainSpec, block: u64) -> BTreeMap<&'static str, (String, String)> {
    let (mut one, mut two) = (one.words_from(block), two.words_from(block));
    for lines in [&mut one, &mut two] {
        if !lines.iter().any(|(rule, _)| *rule == words::VALIDATORS) {
            lines.push((words::VALIDATORS, "what they are without a list".into()));
        }
    }
    let two: BTreeMap<_, _> = two.into_iter().collect();
    let pairs = one.into_iter().filter_map(|(rule, before)| Some((rule, (before, two.get(rule)?.clone()))));
    pairs.filter(|(_, (before, after))| before != after).collect()
}
