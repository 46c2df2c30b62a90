//! When to dial whom: a pure schedule. The service asks it, dials, and tells it what came of it.

use crate::{
    address::PeerAddress,
    hub::Peers,
    limits::{JUDGED_AT_A_TIME, KNOWN_TRIES_PER_SECOND, RETRY_FIRST, RETRY_MOST, RETRY_REFUSED, STEADY},
};
use lonja_primitives::NodeId;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// What came of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A session began, and ended after this time.
    Lived(Duration),
    /// There was another session with the same peer.
    Duplicate,
    /// One side does not want the other, and only an operator or a vote will change that.
    Unwanted,
    /// The peer said that it does not permit this node.
    NotPermitted,
    /// The peer closed the connection as soon as it knew our key, without a word: so does who does not permit this node, and
    /// now and then one that starts or stops.
    HungUp,
    /// No session began.
    Failed,
}

/// Whether a peer should be dialed, apart from the time and the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// There is no connection with it.
    Dial,
    /// There is a connection.
    Connected,
    /// It may not be connected for a while. Once it may, it is due at once.
    Forbidden,
}

/// The peers to keep connected, those known from elsewhere, and when to try each.
#[derive(Debug)]
pub(crate) struct Dialer {
    entries: BTreeMap<NodeId, Entry>,
    wanted: Peers,
    known: Peers,
    /// The known ones in the order to try them. Another one on each node, or all would try the same few.
    order: Vec<NodeId>,
    seed: u64,
    /// The number of the gate whose verdicts the entries keep.
    gate: u64,
}

#[derive(Debug)]
struct Entry {
    address: PeerAddress,
    /// To be kept connected, and not only known.
    wanted: bool,
    failures: u32,
    /// How often in a row it hung up.
    hang_ups: u32,
    next: Instant,
    /// When the dial began that is under way.
    dialing: Option<Instant>,
    /// What the gate says of it; not known before it is due.
    permitted: Option<bool>,
    /// When the peer last did not want us, where that is why it waits.
    refused_us: Option<Instant>,
}

impl Dialer {
    /// `seed` shuffles the order of the known peers.
    pub(crate) fn new(seed: u64) -> Self {
        let (wanted, known) = (Arc::default(), Arc::default());
        Self { entries: BTreeMap::new(), wanted, known, order: Vec::new(), seed, gate: 0 }
    }

    /// Takes over the lists of peers. New ones and those with a new address are due at once. So are, when the gate is
    /// another one, those the last one refused, and those that refused us, for what changed here may have changed there;
    /// the latter not sooner than [`RETRY_MOST`] after they did, however often the gate changes.
    pub(crate) fn sync(&mut self, wanted: &Peers, known: &Peers, gate: u64, now: Instant) {
        if self.gate != gate {
            self.gate = gate;
            self.entries.values_mut().for_each(|entry| entry.gate_changed(now));
        }
        if !Arc::ptr_eq(&self.wanted, wanted) || !Arc::ptr_eq(&self.known, known) {
            (self.wanted, self.known) = (wanted.clone(), known.clone());
            self.take_over(now);
        }
    }

    fn take_over(&mut self, now: Instant) {
        let Self { entries, wanted, known, order, seed, .. } = self;
        entries.retain(|node, _| wanted.contains_key(node) || known.contains_key(node));
        let only_known = || known.iter().filter(|(node, _)| !wanted.contains_key(node));
        let both = wanted.iter().map(|entry| (entry, true)).chain(only_known().map(|entry| (entry, false)));
        for ((node, address), is_wanted) in both {
            let entry = entries.entry(*node).or_insert_with(|| Entry::new(address.clone(), now));
            entry.wanted = is_wanted;
            if entry.address != *address {
                *entry =
                    Entry { wanted: is_wanted, dialing: entry.dialing, ..Entry::new(address.clone(), now) };
            }
        }
        *order = only_known().map(|(node, _)| *node).collect();
        order.sort_by_key(|node| rank(node, *seed));
    }

    /// The addresses to dial now: those to be kept connected, then known ones while there is `room`. They count as being
    /// dialed until [`Dialer::connected`] or [`Dialer::failed`].
    ///
    /// The gate is asked by `judge` about who is due, once, and about few at a time: [`Dialer::next`] is now where some are
    /// left.
    pub(crate) fn due(
        &mut self,
        now: Instant,
        room: &mut usize,
        need: impl Fn(&NodeId) -> Need,
        mut judge: impl FnMut(&PeerAddress) -> bool,
    ) -> Vec<PeerAddress> {
        let (mut due, mut questions) = (Vec::new(), JUDGED_AT_A_TIME);
        for (node, entry) in self.entries.iter_mut().filter(|(_, entry)| entry.wanted) {
            let need = need(node);
            if need == Need::Forbidden {
                entry.failures = 0;
                entry.next = now;
            }
            if need == Need::Dial && entry.is_due(now) && entry.is_permitted(&mut judge, &mut questions) {
                due.push(entry.dial(now));
            }
        }
        for node in &self.order {
            if *room == 0 || questions == 0 {
                break;
            }
            let Some(entry) = self.entries.get_mut(node) else { continue };
            if entry.is_due(now) && need(node) == Need::Dial && entry.is_permitted(&mut judge, &mut questions)
            {
                *room -= 1;
                due.push(entry.dial(now));
            }
        }
        due
    }

    /// When the next peer is due, with `room` for known ones or not.
    pub(crate) fn next(&self, room: usize, need: impl Fn(&NodeId) -> Need) -> Option<Instant> {
        let waits = |entry: &Entry| entry.dialing.is_none() && entry.permitted != Some(false);
        self.entries
            .iter()
            .filter(|(node, entry)| (entry.wanted || room > 0) && waits(entry) && need(node) == Need::Dial)
            .map(|(_, entry)| entry.next)
            .min()
    }

    /// The known peers that are being dialed.
    pub(crate) fn dialing_known(&self) -> impl Iterator<Item = NodeId> {
        let dialing = |(_, entry): &(&NodeId, &Entry)| !entry.wanted && entry.dialing.is_some();
        self.entries.iter().filter(dialing).map(|(node, _)| *node)
    }

    /// The dial led to a connection, or was given up before it began.
    pub(crate) fn connected(&mut self, node: &NodeId) {
        if let Some(entry) = self.entries.get_mut(node) {
            entry.dialing = None;
        }
    }

    /// The dial led nowhere. `jitter` between 0 and 1 spreads the retries of many nodes. Says how often in a row
    /// that happened.
    pub(crate) fn failed(&mut self, node: &NodeId, now: Instant, jitter: f64) -> u32 {
        let known_most = self.known_most();
        let Some(entry) = self.entries.get_mut(node) else { return 0 };
        let begun = entry.dialing.take().unwrap_or(now);
        entry.failures = entry.failures.saturating_add(1);
        let pause = pause(entry.failures, entry.most(known_most));
        entry.next = (begun + spread(pause, jitter)).max(now + spread(RETRY_FIRST, jitter));
        entry.failures
    }

    /// The last connection with the peer is gone, whoever had dialed it. Says how often in a row the peer hung up.
    pub(crate) fn ended(&mut self, node: &NodeId, outcome: Outcome, now: Instant, jitter: f64) -> u32 {
        let known_most = self.known_most();
        let Some(entry) = self.entries.get_mut(node) else { return 0 };
        let refused_us = matches!(outcome, Outcome::Unwanted | Outcome::NotPermitted | Outcome::HungUp);
        entry.refused_us = refused_us.then_some(now);
        entry.hang_ups = if outcome == Outcome::HungUp { entry.hang_ups.saturating_add(1) } else { 0 };
        let wait = match outcome {
            Outcome::Lived(time) if time >= STEADY => {
                entry.failures = 0;
                RETRY_FIRST
            }
            Outcome::Duplicate => RETRY_FIRST,
            Outcome::Unwanted | Outcome::NotPermitted => RETRY_REFUSED,
            // Who only starts or stops is found again in about the time that took.
            Outcome::HungUp => entry.fail(RETRY_REFUSED),
            Outcome::Lived(_) | Outcome::Failed => entry.fail(entry.most(known_most)),
        };
        entry.next = now + spread(wait, jitter);
        entry.hang_ups
    }

    /// Longest pause between two tries of a known peer.
    fn known_most(&self) -> Duration {
        let seconds = self.order.len() / KNOWN_TRIES_PER_SECOND;
        Duration::from_secs(seconds as u64).clamp(RETRY_MOST, RETRY_REFUSED)
    }
}

impl Entry {
    fn new(address: PeerAddress, now: Instant) -> Self {
        Self {
            address,
            wanted: false,
            failures: 0,
            hang_ups: 0,
            next: now,
            dialing: None,
            permitted: None,
            refused_us: None,
        }
    }

    fn gate_changed(&mut self, now: Instant) {
        if self.permitted == Some(false) {
            self.failures = 0;
            self.next = now;
        } else if let Some(refused) = self.refused_us {
            self.failures = 0;
            self.next = self.next.min(now.max(refused + RETRY_MOST));
        }
        self.permitted = None;
    }

    fn is_due(&self, now: Instant) -> bool {
        self.dialing.is_none() && self.next <= now
    }

    /// As the gate said, or says now if there is a question left.
    fn is_permitted(&mut self, judge: &mut impl FnMut(&PeerAddress) -> bool, questions: &mut usize) -> bool {
        if self.permitted.is_none() && *questions > 0 {
            *questions -= 1;
            self.permitted = Some(judge(&self.address));
        }
        self.permitted == Some(true)
    }

    fn dial(&mut self, now: Instant) -> PeerAddress {
        self.dialing = Some(now);
        self.address.clone()
    }

    fn most(&self, known_most: Duration) -> Duration {
        if self.wanted { RETRY_MOST } else { known_most }
    }

    fn fail(&mut self, most: Duration) -> Duration {
        self.failures = self.failures.saturating_add(1);
        pause(self.failures, most)
    }
}

fn rank(node: &NodeId, seed: u64) -> u64 {
    node.0.first_chunk().map_or(0, |first| u64::from_be_bytes(*first)) ^ seed
}

fn pause(failures: u32, most: Duration) -> Duration {
    RETRY_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(most)
}

/// Between three quarters and five quarters of the time.
fn spread(time: Duration, jitter: f64) -> Duration {
    time.mul_f64(0.75 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests;
