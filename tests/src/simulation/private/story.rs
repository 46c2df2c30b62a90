//! The course of a world with private transactions: members deal through a storm, then in good weather, perhaps one loses its
//! payloads and gets them back, and in the end everything that was promised must hold.

use crate::simulation::disk::Crash;
use crate::simulation::plan::Plan;
use crate::simulation::report::{Failure, Outcome, Stats};
use crate::simulation::schedule::Happening;
use crate::simulation::world::{Options, World};
use lonja_storage::MemoryKv;

/// Sends that were begun in the storm have ended after this, microseconds.
const SENDS_END_US: u64 = 120_000_000;
/// What waits in an outbox is tried again within this, microseconds: the longest pause, and an attempt.
const OUTBOX_US: u64 = 400_000_000;
/// Everybody has given back what somebody lost after this, microseconds.
const RECOVERY_US: u64 = 60_000_000;
/// A second pass is at the head after this, microseconds.
const PASS_US: u64 = 60_000_000;

/// Runs the world of a seed.
pub(in crate::simulation) fn run(seed: u64, options: Options, more: &str) -> Result<Stats, Failure> {
    let mut world = World::new(Plan::draw_private(seed), options);
    world.judged(Some(seed), more, World::private_story)
}

impl World {
    /// A storm, good weather, perhaps one more power cut, and the reckoning.
    pub fn private_story(&mut self) -> Outcome {
        self.storm()?;
        self.calm_down()?;
        let patience_us = self.grown_timeouts_us();
        self.expect_block("after the storm", patience_us)?;
        self.expect_everybody()?;
        self.stop_dealing()?;
        self.run_healthily(1)?;
        self.deal_in_good_weather()?;
        match self.dice.below(4) {
            0 => self.lights_out()?,
            1 => self.payloads_lost()?,
            _ => {}
        }
        self.private_reckoning()
    }

    /// Nobody begins a deal any more, and those under way come to an end.
    pub fn stop_dealing(&mut self) -> Outcome {
        self.schedule.cancel(|happening| matches!(happening, Happening::Deal));
        let until_us = self.now_us + SENDS_END_US;
        match self.run_until(until_us, |world| !world.deals.is_open())? {
            true => Ok(()),
            false => self.violation("delivery: a send does not end"),
        }
    }

    /// Every member makes a contract with all others, and then calls one: nothing may fail.
    pub fn deal_in_good_weather(&mut self) -> Outcome {
        let dealers = self.dealers();
        for round in 0..2 {
            for by in dealers.iter().copied() {
                let failed = self.stats.sends_failed;
                self.deal_by(by, (round == 0).then_some(&dealers[..]))?;
                self.stop_dealing()?;
                if self.stats.sends_failed > failed {
                    let refused = self.deals.refused.clone();
                    return self.violation(format!(
                        "delivery: node {by} cannot send in good weather; in all: {refused:?}"
                    ));
                }
            }
            self.run_healthily(2)?;
        }
        Ok(())
    }

    /// All members lose their power together.
    fn lights_out(&mut self) -> Outcome {
        for node in 0..self.nodes.len() {
            if self.nodes[node].party.is_some() {
                self.crash(node, Crash::PowerCut)?;
            }
        }
        self.revive()?;
        self.run_healthily(1)
    }

    /// A member loses its payloads, and its private state with them: the other parties give back what they have.
    pub fn payloads_lost(&mut self) -> Outcome {
        self.expect_delivery()?;
        let dealers = self.dealers();
        let node = self.dice.pick(&dealers);
        self.trace(|| format!("n{node} loses its payloads"));
        self.crash(node, Crash::PowerCut)?;
        let disk = &mut self.nodes[node].disk;
        (disk.payloads, disk.private) = (MemoryKv::new(), MemoryKv::new());
        let wanted = self.deals.forget_secrets_of(node);
        self.revive()?;
        self.run_healthily(1)?;
        self.begin_recovery(node, wanted)?;
        let done = |world: &Self| {
            let member = world.member(node);
            member.is_some_and(|member| !member.manager().recovery_status().running)
        };
        let until_us = self.now_us + RECOVERY_US;
        if !self.run_until(until_us, done)? {
            return self.violation("recovery: it does not end");
        }
        let status = self.member(node).map(|member| member.manager().recovery_status()).unwrap_or_default();
        let outcome = &status.outcome;
        if status.failed.is_some() || !outcome.is_complete() || !outcome.missing.is_empty() {
            return self.violation(format!("recovery: node {node} does not get all back: {status:?}"));
        }
        self.stats.recovered += outcome.recovered as u64;
        Ok(())
    }

    fn expect_delivery(&mut self) -> Outcome {
        let delivered = |world: &Self| {
            let mut members = (0..world.nodes.len()).filter_map(|node| world.member(node));
            members.all(|member| member.manager().outbox_status().waiting == 0)
        };
        let until_us = self.now_us + OUTBOX_US;
        match self.run_until(until_us, delivered)? {
            true => Ok(()),
            false => self.violation("delivery: something waits in an outbox for ever"),
        }
    }

    /// Everything has been delivered, everybody stands at the head, and all promises are looked at.
    pub fn private_reckoning(&mut self) -> Outcome {
        self.expect_delivery()?;
        self.run_healthily(1)?;
        let height = self.top();
        let there = move |world: &Self| {
            let mut members = (0..world.nodes.len()).filter_map(|node| world.member(node));
            members.all(|member| member.follower.head().number >= height)
        };
        let until_us = self.now_us + PASS_US;
        if !self.run_until(until_us, there)? {
            return self.violation(format!("a second pass does not get to block {height}"));
        }
        self.private_audit(height)?;
        self.audit()
    }
}
