//! The course of a world: a storm, the calm after it, an outage, and the recovery.
//!
//! The storm is about safety only. After it the network must go on: within a bound that depends on how far the
//! timeouts have grown, since an unreliable network with a quorum lets them grow. The outage that follows leaves
//! a healthy network without a quorum for any time; from the moment the quorum is connected again, a block must
//! come within two base timeouts.

use super::disk::Crash;
use super::plan::Plan;
use super::plan::{FUNDS, Rules};
use super::report::{Failure, Outcome, Stats, Violation};
use super::schedule::Happening;
use super::world::{Break, Options, World};
use alloy_primitives::{Address, U256, keccak256};
use lonja_consensus::timers::round_timeout_ms;
use lonja_node::event::{Event, Room};
use lonja_primitives::StateView;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Sessions must stand this soon after the storm, and after a restart in the calm, microseconds.
const CONNECTED_US: u64 = 5_000_000;
/// An answer that a faulty peer owes is waited for this long, microseconds: catch-up's request timeout.
const ANSWER_US: u64 = 5_000_000;

/// Runs the world of a seed.
pub fn run(seed: u64, options: Options) -> Result<Stats, Failure> {
    let broken = options.broken;
    let private = if options.private { " --private" } else { "" };
    let name = Break::ALL.iter().find(|(_, one)| Some(*one) == broken).map(|(name, _)| *name);
    let more = name.map_or(String::new(), |name| format!(" --break {name}"));
    if options.private {
        return super::private::run(seed, options, &format!("{private}{more}"));
    }
    let mut world = World::new(Plan::draw(seed), options);
    world.judged(Some(seed), &more, World::story)
}

impl World {
    /// Runs a course of events, and reports what was broken. A panic of a node counts as broken.
    pub fn judged(
        &mut self,
        seed: Option<u64>,
        options: &str,
        course: impl FnOnce(&mut Self) -> Outcome,
    ) -> Result<Stats, Failure> {
        let outcome = catch_unwind(AssertUnwindSafe(|| course(self))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(Violation(format!("panic: {}", text.unwrap_or_default())))
        });
        match outcome {
            Ok(()) => Ok(self.final_stats(seed)),
            Err(Violation(what)) => {
                let (step, time_us, options) = (self.stats.steps, self.now_us, options.to_owned());
                Err(Failure { seed, step, time_us, what, options })
            }
        }
    }

    fn final_stats(&mut self, seed: Option<u64>) -> Stats {
        let chain = &self.checks.chain;
        let forgeries = self.nodes.iter().filter_map(|node| node.malice.as_ref()).map(|malice| malice.forged);
        let mut stats = self.stats;
        stats.blocks = chain.height();
        (stats.late_blocks, stats.transactions) = (chain.late_blocks, chain.transactions);
        stats.set_changes = chain.set_changes;
        stats.forgeries = forgeries.sum();
        stats.simulated_us = self.now_us;
        stats.slowest_seed = seed.unwrap_or_default();
        let more = self.private_trail();
        let trail = format!("{} {} {} {}{more}", chain.head_hash(), stats.steps, stats.messages, self.now_us);
        stats.fingerprint = u64::from_be_bytes(*keccak256(trail).first_chunk().expect("a hash has 32 bytes"));
        stats
    }

    fn story(&mut self) -> Outcome {
        self.storm()?;
        self.calm_down()?;
        let patience_us = self.grown_timeouts_us();
        self.expect_block("after the storm", patience_us)?;
        self.expect_everybody()?;
        self.run_healthily(2)?;
        self.outage()?;
        self.audit()
    }

    // --- for stories ---

    /// Starts everybody and waits until all are connected.
    pub fn start(&mut self) -> Outcome {
        self.revive()?;
        self.expect_transaction();
        self.run_healthily(1)
    }

    /// The highest block of those who count.
    pub fn top(&self) -> u64 {
        let honest = self.nodes.iter().filter(|node| node.honest && !node.retired);
        honest.map(|node| node.written).max().unwrap_or(0)
    }

    /// The links work again, whoever is down starts, and a block must come within two base timeouts.
    pub fn recover(&mut self) -> Outcome {
        self.partition += 1;
        self.heal();
        self.revive()?;
        self.expect_recovery()?;
        self.expect_everybody()
    }

    // --- the storm ---

    pub(super) fn storm(&mut self) -> Outcome {
        self.stormy = true;
        for node in 0..self.nodes.len() {
            let delay_us = self.dice.magnitude(1, 2_000_000);
            self.after(delay_us, Happening::Restart { node });
        }
        self.expect_transaction();
        self.expect_deal();
        self.after(self.plan.chaos.pause_us, Happening::Chaos);
        let blocks = self.plan.chaos.blocks;
        self.run_until(self.plan.chaos.most_us, |world| world.checks.chain.height() >= blocks)?;
        Ok(())
    }

    /// No more faults from here on: the faulty fall silent, together with some honest ones where that is
    /// tolerated; everybody else is up and connected.
    pub(super) fn calm_down(&mut self) -> Outcome {
        self.trace(|| "it calms down".into());
        self.stormy = false;
        self.network.weather = self.plan.calm;
        self.schedule.cancel(|happening| {
            matches!(happening, Happening::Chaos | Happening::Crash { .. } | Happening::Restart { .. })
        });
        self.partition += 1;
        for wish in std::mem::take(&mut self.wishes) {
            self.ask_all(&Event::Discard(wish.0));
        }
        self.silence_faulty()?;
        for node in 0..self.nodes.len() {
            self.nodes[node].dies_in = None;
            self.nodes[node].sync_us = self.plan.sync_us;
            let most_ms = (self.plan.rules.timeout_ms / 20).min(100);
            self.nodes[node].skew_ms = self.dice.below(2 * most_ms + 1) as i64 - most_ms as i64;
            self.tell(node, Event::Room(Room::Enough));
        }
        self.reset_sessions();
        self.heal();
        self.revive()
    }

    /// What got lost on the way shows as a broken connection.
    fn reset_sessions(&mut self) {
        let lossy = self.plan.storm.loss_permille > 0 || !self.plan.storm.streams;
        let again = self.dice.chance(50);
        for (one, other, _) in self.network.sessions() {
            if lossy || again || !self.network.is_open_both_ways(one, other) {
                self.drop_session(one, other);
            }
        }
    }

    fn silence_faulty(&mut self) -> Outcome {
        for node in 0..self.nodes.len() {
            if self.nodes[node].honest {
                continue;
            }
            match &mut self.nodes[node].malice {
                Some(malice) if self.dice.chance(30) => {
                    malice.habits = super::byzantine::Habits { mute: true, ..Default::default() };
                }
                _ => self.retire(node)?,
            }
        }
        let spare = self.spare_validators();
        for node in spare {
            if self.dice.chance(40) {
                self.retire(node)?;
            }
        }
        Ok(())
    }

    /// Switches a node off for good.
    pub fn retire(&mut self, node: usize) -> Outcome {
        self.trace(|| format!("n{node} is switched off"));
        self.nodes[node].retired = true;
        self.crash(node, Crash::PowerCut)
    }

    /// Honest validators that may be down together with all the faulty ones.
    fn spare_validators(&mut self) -> Vec<usize> {
        let next = self.checks.chain.next().clone();
        let is_member = |node: &&super::process::Node| next.validators().contains(&node.address);
        let bad: std::collections::BTreeSet<Address> = self
            .nodes
            .iter()
            .filter(|node| !node.honest)
            .filter(is_member)
            .map(|node| node.address)
            .collect();
        // A vote in a block that is under way may still shrink the set.
        let sure = if self.checks.chain.set_changes > 0 || self.plan.chaos.votes > 0 { 1 } else { 0 };
        let most = next.validators().len().saturating_sub(1 + sure) / 3;
        let mut honest: Vec<usize> = (0..self.nodes.len())
            .filter(|node| self.nodes[*node].honest && is_member(&&self.nodes[*node]))
            .collect();
        self.dice.shuffle(&mut honest);
        honest.truncate(most.saturating_sub(bad.len()));
        honest
    }

    /// Starts whatever is down and not switched off.
    pub fn revive(&mut self) -> Outcome {
        for node in 0..self.nodes.len() {
            if !self.nodes[node].is_up() && !self.nodes[node].retired {
                let delay_us = self.dice.magnitude(1, 100_000);
                self.after(delay_us, Happening::Restart { node });
            }
        }
        self.await_connections()
    }

    /// Waits until all that are not switched off are up and have their sessions.
    fn await_connections(&mut self) -> Outcome {
        match self.run_until(self.now_us + CONNECTED_US, Self::is_connected)? {
            true => Ok(()),
            false => self.violation("the nodes do not get connected, which is a mistake of the simulator"),
        }
    }

    fn is_connected(&self) -> bool {
        let here: Vec<usize> = (0..self.nodes.len()).filter(|node| !self.nodes[*node].retired).collect();
        let up = here.iter().all(|node| self.nodes[*node].is_up());
        let pairs = here.iter().flat_map(|one| here.iter().map(move |other| (*one, *other)));
        up && pairs.into_iter().all(|(one, other)| {
            let both_honest = self.nodes[one].honest && self.nodes[other].honest;
            let session = self.network.session(one, other);
            let known = |node: usize, peer: usize| {
                self.nodes[node].process.as_ref().and_then(|process| process.peers.get(&peer).copied())
            };
            !both_honest
                || !self.network.are_linked(&self.nodes, one, other)
                || (session.is_some() && known(one, other) == session && known(other, one) == session)
        })
    }

    // --- what must happen then ---

    /// Messages, disks and processors need this long for a recovery, microseconds.
    fn slack_us(&self) -> u64 {
        let delay_us = self.plan.calm.delay_us.1;
        16 * delay_us + 10 * (self.plan.sync_us.1 + self.plan.work_us.1) + 100_000
    }

    /// How long rounds may take that have grown in the storm.
    pub(super) fn grown_timeouts_us(&self) -> u64 {
        let up = self.nodes.iter().filter_map(|node| node.process.as_ref());
        let round = up.map(|process| process.core.status().round).max().unwrap_or(0);
        let params = self.spec.consensus_at(0);
        let rounds = self.checks.chain.next().faulty() as u32 + 2;
        let sum: u64 = (round..=round + rounds).map(|round| round_timeout_ms(params, round) * 1_000).sum();
        sum + 2 * ANSWER_US
    }

    /// The next block must come: when its time is there, and after it within `patience_us`.
    pub fn expect_block(&mut self, when: &str, patience_us: u64) -> Outcome {
        let rules = self.plan.rules;
        let height = self.top();
        let period_us = rules.period_ms.max(rules.empty_period_ms) * 1_000;
        // Wall clocks of the proposer and the others may differ by as much as is tolerated.
        let head_us = self.reached_us[height as usize];
        let from_us = self.now_us.max(head_us + period_us + 1_000_000);
        let limit_us = from_us + patience_us + self.slack_us();
        if !self.run_until(limit_us, |world| world.top() > height)? {
            let late_ms = (limit_us - from_us) / 1_000;
            return self.violation(format!(
                "liveness: no block {} within {late_ms} ms {when}; {}",
                height + 1,
                self.describe()
            ));
        }
        Ok(())
    }

    /// As [`World::expect_block`] within two base timeouts, and remembers how long it took.
    pub fn expect_recovery(&mut self) -> Outcome {
        let Rules { timeout_ms, period_ms, empty_period_ms, .. } = self.plan.rules;
        let head_us = self.reached_us[self.top() as usize];
        let due_us = self.now_us.max(head_us + period_ms.max(empty_period_ms) * 1_000);
        self.expect_block("after the quorum was back", 2 * timeout_ms * 1_000)?;
        let took = self.now_us.saturating_sub(due_us) / timeout_ms;
        self.stats.outages += 1;
        self.stats.recoveries += took;
        self.stats.slowest_recovery = self.stats.slowest_recovery.max(took);
        Ok(())
    }

    /// All honest nodes get as far as the chain is now.
    pub fn expect_everybody(&mut self) -> Outcome {
        let height = self.top();
        let limit_us = self.now_us + ANSWER_US + 2 * self.plan.rules.timeout_ms * 1_000 + self.slack_us();
        let there = |world: &Self| {
            let mut honest = world.nodes.iter().filter(|node| node.honest && !node.retired);
            honest.all(|node| node.published >= height && node.is_up())
        };
        match self.run_until(limit_us, there)? {
            true => Ok(()),
            false => {
                self.violation(format!("liveness: not everybody gets to block {height}; {}", self.describe()))
            }
        }
    }

    /// A few blocks without any trouble.
    pub fn run_healthily(&mut self, blocks: u64) -> Outcome {
        for _ in 0..blocks {
            let patience_us = self.grown_timeouts_us();
            self.expect_block("in good weather", patience_us)?;
        }
        self.expect_everybody()
    }

    /// Where everybody stands.
    fn describe(&self) -> String {
        let mut text = String::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let state = match &node.process {
                Some(process) => {
                    let status = process.core.status();
                    let member = if status.is_validator { "" } else { " (no validator)" };
                    let sessions = process.peers.len();
                    format!("{}/{} {:?}{member}, {sessions} peers", status.height, status.round, status.phase)
                }
                None => "down".into(),
            };
            let kind = if node.honest { "" } else { " faulty" };
            text += &format!("n{index}{kind} {state}; ");
        }
        text
    }

    /// At the end: every store holds the one chain, its state has the right root, and all money is still there.
    pub fn audit(&mut self) -> Outcome {
        for node in 0..self.nodes.len() {
            let store = Arc::new(self.nodes[node].disk.chain.fork());
            let opened = match lonja_storage::open(store, &self.genesis) {
                Ok(opened) => opened,
                Err(error) => return self.violation(format!("the store of node {node} is damaged: {error}")),
            };
            let head = opened.reader.head();
            for number in 0..=head.number {
                let stored = opened.reader.header(number).ok().flatten().map(|header| header.hash());
                if stored.is_none() || stored != self.checks.chain.header(number).map(|known| known.hash()) {
                    return self.violation(format!("node {node} stores another block {number}"));
                }
            }
            let state =
                opened.reader.state_at(head.number).map_err(|error| Violation::new(error.to_string()))?;
            let mut money = U256::ZERO;
            let people = self.senders.iter().map(lonja_primitives::Signer::address);
            for address in people.chain((0x80..=0xff).map(Address::with_last_byte)) {
                let account = state.account(&address).map_err(|error| Violation::new(error.to_string()))?;
                money += account.unwrap_or_default().balance;
            }
            if money != U256::from(3 * FUNDS) {
                return self.violation(format!("node {node} has {money} wei at block {}", head.number));
            }
        }
        Ok(())
    }
}
