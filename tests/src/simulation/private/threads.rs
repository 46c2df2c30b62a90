//! The threads of a member, played step by step: its manager's tasks, and the second pass behind its chain.

use super::member::{Ground, Member};
use crate::simulation::process::Process;
use crate::simulation::report::{Outcome, Violation};
use crate::simulation::schedule::{Happening, Life};
use crate::simulation::world::{Break, World};
use alloy_primitives::Bytes;
use futures::executor::block_on;
use lonja_chain::ChainError;
use lonja_chain::private::{Advance, Arrived};
use lonja_p2p::wire::Message;
use lonja_primitives::NodeId;
use lonja_ptm::{Arrival, Lookup, PayloadHash, PrivateTransactionManager};
use std::time::Duration;

/// Pauses of a second pass that waits for a payload, as in the real node, microseconds.
const AGAIN_FIRST_US: u64 = 200_000;
/// See [`AGAIN_FIRST_US`].
const AGAIN_MOST_US: u64 = 5_000_000;
/// Arrivals that are dealt with at once, as in the real node.
const ARRIVALS_AT_ONCE: usize = 1_024;
/// A member gives up waiting for an answer after as many base timeouts, but not before [`ANSWER_LEAST_MS`].
const ANSWER_TIMEOUTS: u64 = 3;
const ANSWER_LEAST_MS: u64 = 1_000;

impl World {
    /// Starts what a member has beside the chain.
    pub(in crate::simulation) fn boot_member(&mut self, node: usize, process: &mut Process) -> Outcome {
        let answer_ms = (self.plan.rules.timeout_ms * ANSWER_TIMEOUTS).max(ANSWER_LEAST_MS);
        let (seed, unix_ms) = match self.nodes[node].party {
            Some(_) => (self.dice.next(), self.now_of(node).unix_ms),
            None => return Ok(()),
        };
        let this = &self.nodes[node];
        let Some(party) = &this.party else { return Ok(()) };
        let ground = Ground {
            disk: &this.disk,
            genesis: &self.genesis,
            spec: self.spec.clone(),
            public: process.reader.clone(),
            key: &this.key,
            node: this.id,
            now_us: self.now_us,
            unix_ms,
            seed,
            first_number: process.life << 32,
            answer_time: Duration::from_millis(answer_ms),
            lies: self.options.broken == Some(Break::UnsyncedPayloads),
        };
        let member = Member::boot(party, ground)
            .map_err(|Violation(what)| Violation(format!("node {node}: {what}")))?;
        self.trace(|| {
            format!("n{node} begins its second pass behind block {}", member.follower.head().number)
        });
        process.member = Some(member);
        Ok(())
    }

    /// A member has just started.
    pub(in crate::simulation) fn rouse_member(&mut self, node: usize) {
        if self.member(node).is_some() {
            self.rouse_manager(node);
            self.follow(node);
        }
    }

    /// The manager has something to do.
    pub(super) fn rouse_manager(&mut self, node: usize) {
        let delay_us = self.dice.between(1, 60);
        self.wake_manager_at(node, self.now_us + delay_us);
    }

    fn wake_manager_at(&mut self, node: usize, at_us: u64) {
        let Some(process) = &mut self.nodes[node].process else { return };
        let life = process.life;
        let Some(member) = &mut process.member else { return };
        if member.wake_us.is_none_or(|set_us| at_us < set_us) {
            member.wake_us = Some(at_us);
            self.schedule.at(at_us, Happening::Manager { node, life });
        }
    }

    /// One turn of the manager: everything that it can do now, and what it says to others.
    pub(in crate::simulation) fn manager_turn(&mut self, node: usize, life: Life) -> Outcome {
        let due = |world: &mut Self| {
            let now_us = world.now_us;
            let member = world.nodes[node].alive(life).and_then(|process| process.member.as_mut());
            member.is_some_and(|member| member.wake_us == Some(now_us))
        };
        if !due(self) || !self.lives(node, life)? {
            return Ok(());
        }
        let (now_us, unix_ms) = (self.now_us, self.now_of(node).unix_ms);
        let process = self.nodes[node].process.as_mut();
        let Some(member) = process.and_then(|process| process.member.as_mut()) else { return Ok(()) };
        member.wake_us = None;
        member.time.set(now_us, unix_ms);
        let news = member.settle()?;
        let (questions, answers, sends) = (member.questions(), member.answers(), member.sends());
        if let Some(next_us) = member.time.next_us() {
            self.wake_manager_at(node, next_us);
        }
        for (to, request, body) in questions {
            self.send(node, &[to], Message::PartyRequest { request, body })?;
        }
        for (to, request, body) in answers {
            self.send(node, &[to], Message::PartyAnswer { request, body })?;
        }
        for (number, result) in sends {
            self.payload_sent(node, number, result)?;
        }
        if news {
            self.follow(node);
        }
        Ok(())
    }

    /// A member asks the others for what they have of its payloads.
    pub(super) fn begin_recovery(&mut self, node: usize, wanted: Vec<PayloadHash>) -> Outcome {
        if let Some(member) = self.member(node) {
            let begun = member.manager().start_recovery(true, wanted);
            begun.map_err(|error| Violation(format!("recovery: {error}")))?;
            self.rouse_manager(node);
        }
        Ok(())
    }

    /// A manager asks this node's.
    pub(in crate::simulation) fn party_asks(
        &mut self,
        node: usize,
        peer: NodeId,
        request: u64,
        body: Bytes,
    ) -> Outcome {
        let process = self.nodes[node].process.as_ref();
        match process.and_then(|process| process.member.as_ref()) {
            Some(member) => {
                member.asked(peer, request, body);
                self.rouse_manager(node);
                Ok(())
            }
            None => self.send(node, &[peer], Message::PartyAnswer { request, body: Bytes::new() }),
        }
    }

    /// A manager answers this node's.
    pub(in crate::simulation) fn party_answers(
        &mut self,
        node: usize,
        peer: NodeId,
        request: u64,
        body: Bytes,
    ) {
        let process = self.nodes[node].process.as_ref();
        if let Some(member) = process.and_then(|process| process.member.as_ref()) {
            member.line.answered(&peer, request, body);
            self.rouse_manager(node);
        }
    }

    /// A member has a session with a peer, or has it no more.
    pub(in crate::simulation) fn party_peer(&mut self, node: usize, peer: NodeId, up: bool) {
        let process = self.nodes[node].process.as_ref();
        let Some(member) = process.and_then(|process| process.member.as_ref()) else { return };
        match up {
            true => {
                member.line.peer_up(peer);
                member.manager().connected(peer);
            }
            false => member.line.peer_down(&peer),
        }
        self.rouse_manager(node);
    }

    // --- the second pass ---

    /// The second pass has something to do.
    pub(in crate::simulation) fn follow(&mut self, node: usize) {
        if self.member(node).is_none() {
            return;
        }
        let (least, most) = self.plan.work_us;
        let time_us = self.dice.between(least, most);
        self.follow_in(node, time_us);
    }

    fn follow_in(&mut self, node: usize, time_us: u64) {
        let Some(process) = &mut self.nodes[node].process else { return };
        let life = process.life;
        let Some(member) = &mut process.member else { return };
        if !member.following {
            member.following = true;
            self.after(time_us, Happening::SecondPass { node, life });
        }
    }

    /// What arrived, then one block.
    pub(in crate::simulation) fn second_pass(&mut self, node: usize, life: Life) -> Outcome {
        if !self.lives(node, life)? {
            return Ok(());
        }
        let forgets = self.options.broken == Some(Break::LatePayloadsForgotten);
        let Some(member) = self.member_mut(node) else { return Ok(()) };
        member.following = false;
        let halted = |error: ChainError| Violation(format!("the second pass of node {node}: {error}"));
        let (arrived, led_back) = member.take_arrivals(forgets).map_err(halted)?;
        let manager = member.manager().clone();
        let advance = member.follower.advance(&mut |hashes| ask(&manager, hashes)).map_err(halted)?;
        let head = member.follower.head().number;
        member.pause_us = match &advance {
            Advance::Waiting(_) => (member.pause_us * 2).clamp(AGAIN_FIRST_US, AGAIN_MOST_US),
            Advance::Moved { .. } | Advance::UpToDate => 0,
        };
        let pause_us = member.pause_us;
        self.stats.led_back += led_back;
        self.trace(|| format!("n{node} second pass: {arrived} arrived, {advance:?}"));
        if arrived > 0 {
            self.rouse_manager(node);
        }
        match advance {
            Advance::Moved { .. } => {
                self.executed(node, head)?;
                self.follow(node);
            }
            Advance::Waiting(_) => self.follow_in(node, pause_us),
            Advance::UpToDate => {}
        }
        Ok(())
    }

    /// What a node has beside its chain, if it is a member and up.
    pub fn member(&self, node: usize) -> Option<&Member> {
        self.nodes[node].process.as_ref()?.member.as_ref()
    }

    fn member_mut(&mut self, node: usize) -> Option<&mut Member> {
        self.nodes[node].process.as_mut()?.member.as_mut()
    }
}

impl Member {
    /// Deals with payloads that were stored or erased. Returns how many, and how often that led the state back.
    fn take_arrivals(&mut self, forgets: bool) -> Result<(usize, u64), ChainError> {
        let news = self.arrivals.take(ARRIVALS_AT_ONCE);
        let news = news.map_err(|error| ChainError::Halt(error.to_string()))?;
        let mut led_back = 0;
        for arrival in &news {
            let outcome = match arrival {
                Arrival::Stored(_) if forgets => continue,
                Arrival::Stored(hash) => self.follower.arrived(hash)?,
                Arrival::Erased(hash) => self.follower.erased(hash)?,
            };
            led_back += u64::from(matches!(outcome, Arrived::LedBack(_)));
        }
        if !news.is_empty() {
            self.arrivals.done();
        }
        Ok((news.len(), led_back))
    }
}

/// Asks the manager. Behind the first payload that cannot be had the others are not asked for.
fn ask(manager: &dyn PrivateTransactionManager, hashes: &[PayloadHash]) -> Vec<Lookup> {
    let mut answers = Vec::with_capacity(hashes.len());
    for hash in hashes {
        answers.push(block_on(manager.lookup(*hash)));
        if matches!(answers.last(), Some(Lookup::Unavailable(_))) {
            break;
        }
    }
    answers
}
