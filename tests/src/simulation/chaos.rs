//! What goes wrong while a world is stormy.

use super::disk::Crash;
use super::report::Outcome;
use super::schedule::Happening;
use super::world::World;
use alloy_primitives::Address;
use lonja_node::event::{Event, Room};
use lonja_primitives::VoteKind;
use std::collections::BTreeSet;

impl World {
    /// One event of the storm, and the time of the next.
    pub(super) fn chaos(&mut self) -> Outcome {
        let pause_us = self.plan.chaos.pause_us;
        let pause_us = self.dice.between(pause_us / 4, pause_us * 2);
        self.after(pause_us, Happening::Chaos);
        let chaos = self.plan.chaos;
        let events: [(u64, fn(&mut Self) -> Outcome); 11] = [
            (chaos.crash_one, Self::crash_one),
            (chaos.crash_many, Self::crash_many),
            (chaos.partition, Self::partition),
            (chaos.one_way, Self::one_way),
            (chaos.silence, Self::silence),
            (chaos.clock_jump, Self::clock_jump),
            (chaos.slow_disk, Self::slow_disk),
            (chaos.votes, Self::vote),
            (chaos.full_disk, Self::full_disk),
            (chaos.switch_twin, Self::switch_twin),
            (chaos.noise, Self::noise),
        ];
        let total: u64 = events.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.dice.below(total);
        for (weight, event) in events {
            if drawn < weight {
                return event(self);
            }
            drawn -= weight;
        }
        Ok(())
    }

    /// A node dies: now, or in the middle of its next work.
    fn crash_one(&mut self) -> Outcome {
        let node = self.dice.index(self.nodes.len());
        self.strike(node)
    }

    fn strike(&mut self, node: usize) -> Outcome {
        if self.dice.chance(70) {
            let steps = self.dice.below(60);
            self.nodes[node].dies_in = Some(steps);
            return Ok(());
        }
        let crash = if self.dice.chance(50) { Crash::Kill } else { Crash::PowerCut };
        self.crash(node, crash)
    }

    fn crash_many(&mut self) -> Outcome {
        let each = self.dice.pick(&[40, 70, 100]);
        let lights_out = self.dice.chance(40);
        for node in 0..self.nodes.len() {
            if !self.dice.chance(each) {
                continue;
            }
            match lights_out {
                true => self.crash(node, Crash::PowerCut)?,
                false => self.strike(node)?,
            }
        }
        Ok(())
    }

    fn partition(&mut self) -> Outcome {
        let groups = self.dice.between(2, 3);
        let groups: Vec<u64> = (0..self.nodes.len()).map(|_| self.dice.below(groups)).collect();
        self.trace(|| format!("the network falls apart: {groups:?}"));
        self.network.split(&groups);
        self.fall_apart();
        Ok(())
    }

    fn one_way(&mut self) -> Outcome {
        for _ in 0..self.dice.between(1, 6) {
            let (from, to) = (self.dice.index(self.nodes.len()), self.dice.index(self.nodes.len()));
            if from != to {
                self.trace(|| format!("nothing gets from n{from} to n{to}"));
                self.network.block(from, to);
            }
        }
        self.fall_apart();
        Ok(())
    }

    fn silence(&mut self) -> Outcome {
        let silent = self.dice.index(self.plan.validators);
        self.hush(silent);
        self.fall_apart();
        Ok(())
    }

    /// Nobody hears one of the validators, which hears all: the worst that can happen to one that may have decided. The
    /// faulty know it, and make use of it.
    pub fn hush(&mut self, silent: usize) {
        self.trace(|| format!("nobody hears n{silent}"));
        let id = self.nodes[silent].id;
        for node in 0..self.nodes.len() {
            self.network.block(silent, node);
            if let Some(malice) = &mut self.nodes[node].malice {
                malice.plot(id);
            }
        }
    }

    /// The links stay blocked for a while, and sessions over them end when that takes long.
    fn fall_apart(&mut self) {
        self.stats.partitions += 1;
        self.partition += 1;
        let partition = self.partition;
        let time_us = self.dice.magnitude(20_000, 60_000_000);
        self.after(time_us, Happening::Heal { partition });
        self.expire_blocked_sessions();
    }

    /// Sessions that nothing gets through are given up after some seconds.
    pub(super) fn expire_blocked_sessions(&mut self) {
        for (one, other, session) in self.network.sessions() {
            if !self.network.is_open_both_ways(one, other) {
                let time_us = self.dice.between(5_000_000, 20_000_000);
                self.after(time_us, Happening::SessionExpires { one, other, session });
            }
        }
    }

    fn clock_jump(&mut self) -> Outcome {
        let node = self.dice.index(self.nodes.len());
        let ms = self.dice.magnitude(100, 10_000) as i64;
        self.nodes[node].skew_ms = if self.dice.chance(50) { ms } else { -ms };
        self.trace(|| format!("the wall clock of n{node} jumps to {:+} ms", self.nodes[node].skew_ms));
        Ok(())
    }

    fn slow_disk(&mut self) -> Outcome {
        let node = self.dice.index(self.nodes.len());
        let most_us = self.plan.rules.timeout_ms * 1_000;
        self.nodes[node].sync_us = (10_000, self.dice.between(20_000, most_us));
        let time_us = self.dice.between(100_000, 5_000_000);
        self.after(time_us, Happening::FastDisk { node });
        Ok(())
    }

    fn full_disk(&mut self) -> Outcome {
        let room = self.dice.pick(&[Room::NoVoting, Room::ReadOnly]);
        let each = self.dice.pick(&[20, 20, 100]);
        for node in 0..self.nodes.len() {
            if self.dice.chance(each) {
                self.trace(|| format!("the disk of n{node} fills up: {room:?}"));
                self.tell(node, Event::Room(room));
                let time_us = self.dice.magnitude(50_000, 20_000_000);
                self.after(time_us, Happening::DiskRoom { node, room: Room::Enough });
            }
        }
        Ok(())
    }

    fn switch_twin(&mut self) -> Outcome {
        let twins: Vec<(usize, usize)> = (0..self.nodes.len())
            .filter_map(|body| Some((body, self.nodes[body].twin.filter(|other| *other > body)?)))
            .collect();
        if twins.is_empty() {
            return Ok(());
        }
        let (first, second) = self.dice.pick(&twins);
        let node = self.dice.index(self.nodes.len());
        let to = self.dice.pick(&[first, second]);
        self.drop_session(node, first + second - to);
        self.network.choose_twin(node, first, to);
        if self.network.are_linked(&self.nodes, node, to) {
            self.after(50_000, Happening::Dial { one: node, other: to });
        }
        Ok(())
    }

    /// The faulty make themselves heard.
    fn noise(&mut self) -> Outcome {
        for node in 0..self.nodes.len() {
            let Some(process) = &self.nodes[node].process else { continue };
            let peers: Vec<_> = process.peers.keys().map(|peer| self.nodes[*peer].id).collect();
            let Some(malice) = &mut self.nodes[node].malice else { continue };
            let outgoing = malice.noise(&mut self.dice, &peers);
            self.let_out(node, outgoing)?;
        }
        Ok(())
    }

    /// The operators of some honest validators want somebody in or out.
    fn vote(&mut self) -> Outcome {
        let candidates: Vec<Address> = self.nodes.iter().map(|node| node.address).collect();
        let candidate = self.dice.pick(&candidates);
        let add = !self.checks.chain.next().validators().contains(&candidate);
        let kind = if add { VoteKind::Add } else { VoteKind::Drop };
        if self.dice.chance(20) {
            self.ask_all(&Event::Discard(candidate));
        } else if self.may_want(candidate, kind) {
            self.trace(|| format!("operators want: {kind:?} {candidate}"));
            self.ask_all(&Event::Propose(candidate, kind));
        }
        Ok(())
    }

    /// Whether the network tolerates its faulty validators whatever of all wishes comes true. A wish, once
    /// voiced, may come true long after it was taken back.
    pub fn may_want(&mut self, candidate: Address, kind: VoteKind) -> bool {
        let opposite = |wish: &(Address, VoteKind)| wish.0 == candidate && wish.1 != kind;
        if self.wishes.iter().any(opposite) {
            return false;
        }
        let mut wishes = self.wishes.clone();
        wishes.push((candidate, kind));
        let faulty: BTreeSet<Address> =
            self.nodes.iter().filter(|node| !node.honest).map(|node| node.address).collect();
        // That a faulty one goes is a wish like others, and may never come true.
        let dropped =
            |address: &Address| !faulty.contains(address) && wishes.contains(&(*address, VoteKind::Drop));
        let left: BTreeSet<Address> = self
            .checks
            .chain
            .next()
            .validators()
            .iter()
            .copied()
            .filter(|address| !dropped(address))
            .collect();
        let bad = left.intersection(&faulty).count();
        // A faulty candidate is never added, and the smallest set that may come about bears the faulty ones.
        let adds_faulty = kind == VoteKind::Add && faulty.contains(&candidate);
        if left.is_empty() || adds_faulty || bad > (left.len() - 1) / 3 {
            return false;
        }
        self.wishes = wishes;
        true
    }

    /// Tells every honest node.
    pub fn ask_all(&mut self, wish: &Event) {
        for node in 0..self.nodes.len() {
            let wish = match wish {
                Event::Propose(address, kind) => Event::Propose(*address, *kind),
                Event::Discard(address) => Event::Discard(*address),
                _ => return,
            };
            if self.nodes[node].honest {
                self.tell(node, wish);
            }
        }
    }
}
