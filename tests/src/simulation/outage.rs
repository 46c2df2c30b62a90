//! Outages: a healthy network loses its quorum for a while, and must be back soon after the quorum is.

use super::disk::Crash;
use super::report::Outcome;
use super::schedule::Happening;
use super::world::World;

/// Repetitions of requests that an outage may cost: what keeps talking without a quorum bounds how long it is
/// watched.
const REPETITIONS: u64 = 1_500;
/// The same where nobody hears them, which costs less.
const UNHEARD_REPETITIONS: u64 = 20_000;

impl World {
    /// One outage of some kind and length.
    pub(super) fn outage(&mut self) -> Outcome {
        let members = self.members();
        let quorum = self.checks.chain.next().quorum();
        // Nobody waits for a block meanwhile.
        self.schedule.cancel(|happening| matches!(happening, Happening::Transaction));
        match self.dice.below(4) {
            _ if quorum == 1 => self.everybody_dies()?,
            0 => self.everybody_dies()?,
            1 => self.quorum_dies(&members, quorum)?,
            2 => self.falls_into_two(&members, quorum),
            _ => self.falls_into_pieces(),
        }
        let time_us = self.outage_us();
        self.trace(|| format!("an outage of {time_us} us"));
        self.run_for(time_us)?;
        self.expect_transaction();
        self.recover()
    }

    /// Nodes that validate the next block and are up.
    pub fn members(&self) -> Vec<usize> {
        let next = self.checks.chain.next();
        let votes = |node: &super::process::Node| {
            node.honest && node.is_up() && next.validators().contains(&node.address)
        };
        (0..self.nodes.len()).filter(|node| votes(&self.nodes[*node])).collect()
    }

    /// From a moment to a day; shorter where many keep asking each other for a new round.
    fn outage_us(&mut self) -> u64 {
        let timeout_us = self.plan.rules.timeout_ms * 1_000;
        let talking = self.network.sessions().into_iter().filter(|(one, other, _)| {
            self.nodes[*one].is_up()
                && self.nodes[*other].is_up()
                && self.network.is_open_both_ways(*one, *other)
        });
        let talking = talking.count() as u64;
        let awake = self.nodes.iter().filter(|node| node.is_up()).count() as u64;
        // Each asks twice per timeout, and everybody up is asked to pass it on.
        let most_us = match (talking, awake) {
            (0, 0) => 86_400_000_000,
            (0, awake) => (UNHEARD_REPETITIONS / awake) * timeout_us / 2,
            (links, _) => (REPETITIONS / links).max(4) * timeout_us / 4,
        };
        self.dice.magnitude(timeout_us / 10, most_us.max(timeout_us))
    }

    fn dies_soon(&mut self, node: usize) {
        let crash = if self.dice.chance(50) { Crash::Kill } else { Crash::PowerCut };
        match self.dice.chance(50) {
            true => {
                let delay_us = self.dice.magnitude(1, 1_000_000);
                self.after(delay_us, Happening::Crash { node, crash });
            }
            false => {
                self.nodes[node].dies_in = Some(self.dice.below(60));
                self.after(2_000_000, Happening::Crash { node, crash });
            }
        }
    }

    fn everybody_dies(&mut self) -> Outcome {
        let at_once = self.dice.chance(50);
        for node in 0..self.nodes.len() {
            match at_once {
                true => self.crash(node, Crash::PowerCut)?,
                false => self.dies_soon(node),
            }
        }
        self.run_for(2_000_001)
    }

    fn quorum_dies(&mut self, members: &[usize], quorum: usize) -> Outcome {
        let mut members = members.to_vec();
        self.dice.shuffle(&mut members);
        let left = self.dice.index(quorum);
        members.into_iter().skip(left).for_each(|node| self.dies_soon(node));
        self.run_for(2_000_001)
    }

    /// Two parts, each without a quorum.
    fn falls_into_two(&mut self, members: &[usize], quorum: usize) {
        let mut members = members.to_vec();
        self.dice.shuffle(&mut members);
        let fewest = members.len().saturating_sub(quorum - 1);
        let first = self.dice.between(fewest as u64, (quorum - 1) as u64) as usize;
        let mut groups: Vec<u64> = (0..self.nodes.len()).map(|_| self.dice.below(2)).collect();
        // The mute vote for nothing, wherever they are.
        for (place, node) in members.into_iter().enumerate() {
            groups[node] = u64::from(place >= first);
        }
        self.cut(&groups);
    }

    /// Everybody alone.
    fn falls_into_pieces(&mut self) {
        let groups: Vec<u64> = (0..self.nodes.len() as u64).collect();
        self.cut(&groups);
    }

    /// Cuts the network into groups until it is healed.
    pub fn cut(&mut self, groups: &[u64]) {
        self.trace(|| format!("the network falls apart: {groups:?}"));
        self.stats.partitions += 1;
        self.partition += 1;
        self.network.split(groups);
        self.expire_blocked_sessions();
    }
}
