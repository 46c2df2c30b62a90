//! Sessions between nodes, and messages on their way.

use super::byzantine::{Byzantine, Outgoing};
use super::disk::Crash;
use super::network::Departure;
use super::process::{BULK_LANE, CONSENSUS_LANE, Process};
use super::report::Outcome;
use super::schedule::{Arrival, Happening, Life};
use super::world::World;
use alloy_primitives::Bytes;
use lonja_node::core::limit_blocks;
use lonja_node::event::Event;
use lonja_node::ingest::Ingested;
use lonja_p2p::wire::{MAX_BLOCKS_BYTES, MAX_TRANSACTIONS, Message};
use lonja_primitives::NodeId;
use lonja_storage::Head;
use lonja_txpool::Origin;

/// Bytes of waiting transactions told to a new peer.
const TOLD_BYTES: usize = 1 << 16;

impl World {
    // --- sessions ---

    /// The node and all others it could talk to dial each other.
    pub(super) fn dial_all(&mut self, node: usize) {
        for other in 0..self.nodes.len() {
            if self.network.are_linked(&self.nodes, node, other) {
                self.dial_later(node, other);
            }
        }
    }

    pub(super) fn dial_later(&mut self, one: usize, other: usize) {
        let most_us = if self.stormy { 1_500_000 } else { 20_000 };
        let delay_us = self.dice.magnitude(500, most_us);
        self.after(delay_us, Happening::Dial { one, other });
    }

    pub(super) fn dial(&mut self, one: usize, other: usize) -> Outcome {
        let both_up = self.nodes[one].is_up() && self.nodes[other].is_up();
        let linked = self.network.are_linked(&self.nodes, one, other);
        let open = self.network.is_open_both_ways(one, other);
        if !both_up || !linked || !open || self.network.session(one, other).is_some() {
            return Ok(());
        }
        let until_us = self.network.banned_until_us(one, other);
        if until_us > self.now_us {
            self.schedule.at(until_us, Happening::Dial { one, other });
            return Ok(());
        }
        if !self.lets_in(one, other)? || !self.lets_in(other, one)? {
            return Ok(());
        }
        let session = self.network.begin_session(one, other);
        let heads = [one, other].map(|node| self.head_of(node));
        self.connected(one, other, session, heads[1])?;
        self.connected(other, one, session, heads[0])
    }

    fn head_of(&self, node: usize) -> Head {
        let process = self.nodes[node].process.as_ref();
        process.map_or(Head { number: 0, hash: Default::default() }, |process| process.announced)
    }

    fn connected(&mut self, node: usize, peer: usize, session: u64, head: Head) -> Outcome {
        let id = self.nodes[peer].id;
        let Some(process) = &mut self.nodes[node].process else { return Ok(()) };
        let stale = process.peers.insert(peer, session).is_some();
        let waiting = process.pool.lock().ready(u64::MAX, TOLD_BYTES);
        if stale {
            self.tell(node, Event::PeerDown(id));
            self.party_peer(node, id, false);
        }
        self.trace(|| format!("n{node} is connected with n{peer}, whose head is {}", head.number));
        self.tell(node, Event::PeerUp { peer: id, number: head.number, hash: head.hash });
        self.party_peer(node, id, true);
        let raws: Vec<Bytes> = waiting.iter().map(|tx| tx.raw().clone()).take(MAX_TRANSACTIONS).collect();
        if raws.is_empty() { Ok(()) } else { self.send(node, &[id], Message::Transactions(raws)) }
    }

    /// The process is gone; its peers notice sooner or later.
    pub(super) fn sever_all(&mut self, node: usize, process: &Process, crash: Crash) {
        for (peer, session) in &process.peers {
            if self.network.session(node, *peer) == Some(*session) {
                self.network.end_session(node, *peer);
            }
            // The system of a killed process closes its sockets; a machine without power says nothing.
            let most_us = if crash == Crash::Kill { 5_000 } else { 20_000_000 };
            let delay_us = self.dice.magnitude(500, most_us);
            self.lose_session(*peer, node, *session, delay_us);
        }
    }

    pub(super) fn lose_session(&mut self, node: usize, peer: usize, session: u64, delay_us: u64) {
        if let Some(process) = &self.nodes[node].process {
            let life = process.life;
            self.after(delay_us, Happening::SessionLost { node, life, peer, session });
        }
    }

    pub(super) fn session_lost(&mut self, node: usize, life: Life, peer: usize, session: u64) {
        let id = self.nodes[peer].id;
        let Some(process) = self.nodes[node].alive(life) else { return };
        if process.peers.get(&peer) == Some(&session) {
            process.peers.remove(&peer);
            self.trace(|| format!("n{node} has lost n{peer}"));
            self.tell(node, Event::PeerDown(id));
            self.party_peer(node, id, false);
        }
    }

    /// Ends a session between two nodes that are both up; they dial again.
    pub(super) fn drop_session(&mut self, one: usize, other: usize) {
        let Some(session) = self.network.end_session(one, other) else { return };
        for (node, peer) in [(one, other), (other, one)] {
            let delay_us = self.dice.magnitude(100, 50_000);
            self.lose_session(node, peer, session, delay_us);
        }
        let delay_us = 60_000 + self.dice.below(100_000);
        self.after(delay_us, Happening::Dial { one, other });
    }

    pub(super) fn session_expires(&mut self, one: usize, other: usize, session: u64) {
        let same = self.network.session(one, other) == Some(session);
        if same && !self.network.is_open_both_ways(one, other) {
            self.drop_session(one, other);
        }
    }

    pub(super) fn penalise(&mut self, node: usize, peer: &NodeId, reason: &str) -> Outcome {
        let Some(offender) = self.peer_index(node, peer) else { return Ok(()) };
        self.trace(|| format!("n{node} blames n{offender}: {reason}"));
        if self.nodes[node].honest && self.nodes[offender].honest {
            return self.violation(format!("node {node} blames the honest node {offender}: {reason}"));
        }
        if self.network.offend(self.now_us, node, offender) {
            self.drop_session(node, offender);
        }
        Ok(())
    }

    /// The peer with this name that a node has a session with.
    fn peer_index(&self, node: usize, id: &NodeId) -> Option<usize> {
        let process = self.nodes[node].process.as_ref()?;
        process.peers.keys().copied().find(|peer| self.nodes[*peer].id == *id)
    }

    // --- sending ---

    /// Tells every peer about the durable head.
    pub(super) fn announce(&mut self, node: usize, head: Head) -> Outcome {
        let Some(process) = &mut self.nodes[node].process else { return Ok(()) };
        process.announced = head;
        let peers = self.peers_of(node);
        self.send(node, &peers, Message::NewHead { number: head.number, hash: head.hash })
    }

    fn peers_of(&self, node: usize) -> Vec<NodeId> {
        let process = self.nodes[node].process.as_ref();
        let peers = process.into_iter().flat_map(|process| process.peers.keys());
        peers.map(|peer| self.nodes[*peer].id).collect()
    }

    /// Lets a message out: past the malice of a byzantine node, past the judge, onto the network.
    pub(super) fn send(&mut self, node: usize, to: &[NodeId], message: Message) -> Outcome {
        let Self { nodes, dice, .. } = self;
        let outgoing = match &mut nodes[node].malice {
            Some(malice) => malice.tamper(dice, to, message),
            None => vec![Outgoing { to: to.to_vec(), message }],
        };
        self.let_out(node, outgoing)
    }

    pub(super) fn let_out(&mut self, node: usize, outgoing: Vec<Outgoing>) -> Outcome {
        for Outgoing { to, message } in outgoing {
            if let Message::Consensus(bytes) | Message::Relay { message: bytes, .. } = &message {
                let sender = self.nodes[node].address;
                self.checks.votes.sent(&self.checks.chain, node, sender, bytes)?;
            }
            for id in to {
                self.depart(node, &id, &message)?;
            }
        }
        Ok(())
    }

    fn depart(&mut self, from: usize, id: &NodeId, message: &Message) -> Outcome {
        let Some(to) = self.peer_index(from, id) else { return Ok(()) };
        if self.nodes[from].honest && !self.lets_in(from, to)? {
            return self.violation(format!("node {from} sends to node {to}, which its newest block forbids"));
        }
        let Some(process) = &self.nodes[from].process else { return Ok(()) };
        let Some(session) = process.peers.get(&to).copied() else { return Ok(()) };
        self.look_at(from, to, message)?;
        let Some(process) = &self.nodes[from].process else { return Ok(()) };
        let departure = Departure { from, life: process.life, left_us: self.now_us + self.dice.below(60) };
        let repeatable = !matches!(message, Message::Blocks { .. } | Message::GetBlocks { .. });
        let twice = repeatable && self.dice.rarely(self.network.weather.duplicate_permille);
        for _ in 0..=u8::from(twice) {
            let Departure { from, life, left_us } = departure;
            let arrival = Arrival { from, to, session, life, left_us, message: message.clone() };
            self.travel(arrival);
        }
        Ok(())
    }

    pub(super) fn travel(&mut self, arrival: Arrival) {
        let (from, to) = (arrival.from, arrival.to);
        if !self.network.is_open(from, to) {
            if self.network.weather.streams {
                self.network.stall(arrival);
            }
            return;
        }
        let at_us = self.network.arrival_us(&mut self.dice, self.now_us, from, to);
        if let Some(at_us) = at_us {
            self.schedule.at(at_us, Happening::Arrival(Box::new(arrival)));
        }
    }

    /// Everything gets through again, also what was held up.
    pub fn heal(&mut self) {
        self.trace(|| "the network is whole again".into());
        self.nodes.iter_mut().filter_map(|node| node.malice.as_mut()).for_each(Byzantine::give_up);
        for arrival in self.network.heal() {
            self.travel(arrival);
        }
        for one in 0..self.nodes.len() {
            for other in one + 1..self.nodes.len() {
                if self.network.are_linked(&self.nodes, one, other)
                    && self.network.session(one, other).is_none()
                {
                    self.dial_later(one, other);
                }
            }
        }
    }

    // --- receiving ---

    pub(super) fn arrive(&mut self, arrival: Arrival) -> Outcome {
        let Arrival { from, to, session, life, left_us, message } = arrival;
        // What had not left the machine when the sender died was lost with it.
        if self.deaths.get(&life).is_some_and(|died_us| *died_us < left_us) {
            return Ok(());
        }
        let outlives = self.network.outlives_session(&message);
        let Some(process) = &self.nodes[to].process else { return Ok(()) };
        let current = process.peers.get(&from) == Some(&session);
        let heard = current || (outlives && process.peers.contains_key(&from));
        if !heard {
            return Ok(());
        }
        self.stats.messages += 1;
        if let Some(malice) = &mut self.nodes[to].malice {
            malice.hear(&message);
        }
        self.take_in(from, to, message)
    }

    fn take_in(&mut self, from: usize, to: usize, message: Message) -> Outcome {
        let id = self.nodes[from].id;
        let now = self.now_of(to);
        let Some(process) = &mut self.nodes[to].process else { return Ok(()) };
        process.set_clock(now.unix_ms);
        let validators = process.core.position().votes.validators().as_slice();
        match process.ingest.take(now.mono_ms, id, message, validators) {
            Ingested::Event(event @ Event::Consensus { .. }) => {
                if process.consensus.len() < CONSENSUS_LANE {
                    process.consensus.push_back(event);
                }
            }
            Ingested::Event(event) => {
                if process.bulk.len() < BULK_LANE {
                    process.bulk.push_back(event);
                }
            }
            Ingested::BlocksWanted { request, from: first, count } => {
                return self.serve(to, id, request, first, count);
            }
            Ingested::Transactions(raws) => return self.take_transactions(to, Some(from), raws),
            Ingested::Announced(_) | Ingested::Wanted(_) => return Ok(()),
            // Nobody here joins by a fetched state, so nobody asks.
            Ingested::Question { .. } | Ingested::Answer { .. } => return Ok(()),
            Ingested::PartyRequest { request, body } => return self.party_asks(to, id, request, body),
            Ingested::PartyAnswer { request, body } => {
                self.party_answers(to, id, request, body);
                return Ok(());
            }
            Ingested::Duplicate | Ingested::Stranger => return Ok(()),
            Ingested::Abuse(reason) => return self.penalise(to, &id, &reason),
        }
        self.rouse(to);
        Ok(())
    }

    /// Answers with durable blocks.
    fn serve(&mut self, node: usize, peer: NodeId, request: u64, first: u64, count: u64) -> Outcome {
        let Some(process) = &self.nodes[node].process else { return Ok(()) };
        let last = first.saturating_add(count.saturating_sub(1)).min(process.reader.head().number);
        let mut blocks = Vec::new();
        for number in first..=last {
            match process.reader.block(number) {
                Ok(Some(block)) => blocks.push(block),
                other => {
                    return self.violation(format!("node {node} cannot read its block {number}: {other:?}"));
                }
            }
        }
        let blocks = limit_blocks(blocks.into_iter(), MAX_BLOCKS_BYTES / 2);
        self.send(node, &[peer], Message::Blocks { request, blocks })
    }

    /// Transactions come in by the door; what is new goes to everybody else.
    pub(super) fn take_transactions(
        &mut self,
        node: usize,
        from: Option<usize>,
        raws: Vec<Bytes>,
    ) -> Outcome {
        let Some(process) = &mut self.nodes[node].process else { return Ok(()) };
        let origin = if from.is_some() { Origin::Gossip } else { Origin::Local };
        process.door.submit(raws, origin);
        let fresh = std::mem::take(&mut *process.fresh.lock());
        if fresh.is_empty() {
            return Ok(());
        }
        if !process.work_told {
            process.work_told = true;
            self.tell(node, Event::WorkWaiting(true));
        }
        let raws = fresh.iter().map(|tx| tx.raw().clone()).collect();
        let not_to = from.map(|peer| self.nodes[peer].id);
        let peers: Vec<NodeId> = self.peers_of(node).into_iter().filter(|id| Some(*id) != not_to).collect();
        self.send(node, &peers, Message::Transactions(raws))
    }
}
