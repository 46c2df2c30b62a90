//! Whom to ask while joining, and what is asked of whom.

use lonja_primitives::NodeId;
use std::collections::BTreeMap;

/// A question that is not answered by then goes to another peer, milliseconds.
const ANSWER_TIMEOUT_MS: u64 = 10_000;
/// Peers that gave no state are asked again after this time, milliseconds: they may be joining themselves.
const OFFER_AGAIN_MS: u64 = 5_000;
/// Questions under way to one peer: it answers one after the other, and the line should not be empty meanwhile.
const UNDER_WAY_MAX: usize = 4;
/// Questions in a row that a peer leaves unanswered before it is asked no more.
const STRIKES_MAX: u32 = 3;
/// Parts a peer may call too large, beside one for this many accounts and slots that came from it: what is split
/// falls into sixteen parts of some hundred each.
const SPLITS_FREE: u64 = 64;
const LEAVES_PER_SPLIT: u64 = 200;

/// A question under way.
#[derive(Debug)]
pub(super) struct Flight<T> {
    pub peer: NodeId,
    pub task: T,
    deadline_ms: u64,
}

#[derive(Debug, Default)]
struct Peer {
    /// The blocks whose states it holds; `None` before it said so.
    offers: Option<Vec<u64>>,
    asked_ms: Option<u64>,
    strikes: u32,
    leaves: u64,
    splits: u64,
}

impl Peer {
    /// When it should be asked (again) which states it holds; `None` while it holds one, or does not answer.
    fn ask_again_ms(&self) -> Option<u64> {
        let holds = self.offers.as_ref().is_some_and(|offers| !offers.is_empty());
        let at = self.asked_ms.map_or(0, |asked| asked.saturating_add(OFFER_AGAIN_MS));
        (!holds && self.strikes < STRIKES_MAX).then_some(at)
    }
}

/// The peers and the questions under way to them, each for some task.
#[derive(Debug)]
pub(super) struct Peers<T> {
    peers: BTreeMap<NodeId, Peer>,
    flights: BTreeMap<u64, Flight<T>>,
    next_request: u64,
}

impl<T> Peers<T> {
    pub(super) fn new() -> Self {
        Self { peers: BTreeMap::new(), flights: BTreeMap::new(), next_request: 1 }
    }

    pub(super) fn add(&mut self, peer: NodeId) {
        self.peers.entry(peer).or_default();
    }

    /// Forgets a peer; what it was asked is to be asked of others.
    pub(super) fn remove(&mut self, peer: &NodeId) -> Vec<T> {
        self.peers.remove(peer);
        self.take_back(|flight| flight.peer == *peer)
    }

    /// Takes back everything that is under way.
    pub(super) fn take_back_all(&mut self) -> Vec<T> {
        self.take_back(|_| true)
    }

    fn take_back(&mut self, which: impl Fn(&Flight<T>) -> bool) -> Vec<T> {
        let requests: Vec<u64> =
            self.flights.iter().filter(|(_, flight)| which(flight)).map(|(request, _)| *request).collect();
        requests.iter().filter_map(|request| self.flights.remove(request)).map(|flight| flight.task).collect()
    }

    /// Notes a question and answers its number.
    pub(super) fn ask(&mut self, now_ms: u64, peer: NodeId, task: T) -> u64 {
        let request = self.next_request;
        self.next_request += 1;
        let deadline_ms = now_ms.saturating_add(ANSWER_TIMEOUT_MS);
        self.flights.insert(request, Flight { peer, task, deadline_ms });
        request
    }

    /// What an answer answers; `None` where it comes late or from somebody else.
    pub(super) fn answered(&mut self, peer: &NodeId, request: u64) -> Option<Flight<T>> {
        self.flights.get(&request).filter(|flight| flight.peer == *peer)?;
        self.flights.remove(&request)
    }

    /// A peer gave what it had offered.
    pub(super) fn gave(&mut self, peer: &NodeId) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.strikes = 0;
        }
    }

    /// Takes back what was not answered in time. Peers that do so again and again are asked for nothing more.
    pub(super) fn expire(&mut self, now_ms: u64) -> Vec<T> {
        let late: Vec<NodeId> = self
            .flights
            .values()
            .filter(|flight| flight.deadline_ms <= now_ms)
            .map(|flight| flight.peer)
            .collect();
        for peer in late {
            if let Some(peer) = self.peers.get_mut(&peer) {
                peer.strikes += 1;
            }
        }
        self.take_back(|flight| flight.deadline_ms <= now_ms)
    }

    /// Whether something that `which` picks is under way.
    pub(super) fn is_under_way(&self, which: impl Fn(&T) -> bool) -> bool {
        self.flights.values().any(|flight| which(&flight.task))
    }

    /// Those who should be asked (again) which states they hold.
    pub(super) fn unasked(&mut self, now_ms: u64) -> Vec<NodeId> {
        let is_due = |peer: &Peer| peer.ask_again_ms().is_some_and(|at| at <= now_ms);
        let due = self.peers.iter_mut().filter(|(_, peer)| is_due(peer));
        due.map(|(id, peer)| {
            peer.asked_ms = Some(now_ms);
            *id
        })
        .collect()
    }

    pub(super) fn offered(&mut self, peer: &NodeId, numbers: Vec<u64>) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.offers = Some(numbers);
        }
    }

    /// Everybody's offers are to be asked for anew, though not sooner than any offer.
    pub(super) fn forget_offers(&mut self) {
        for peer in self.peers.values_mut() {
            (peer.offers, peer.strikes) = (None, 0);
        }
    }

    /// Whether every peer has said which states it holds.
    pub(super) fn all_answered(&self) -> bool {
        self.peers.values().all(|peer| peer.offers.is_some())
    }

    /// The state that most peers hold, the newest of those.
    pub(super) fn best_offer(&self) -> Option<u64> {
        let mut holders: BTreeMap<u64, usize> = BTreeMap::new();
        let givers = self.peers.values().filter(|peer| peer.strikes < STRIKES_MAX);
        for number in givers.filter_map(|peer| peer.offers.as_ref()).flatten() {
            *holders.entry(*number).or_default() += 1;
        }
        holders.into_iter().max_by_key(|(number, count)| (*count, *number)).map(|(number, _)| number)
    }

    /// Takes a peer's word back that it holds states.
    pub(super) fn no_giver(&mut self, peer: &NodeId) {
        self.offered(peer, Vec::new());
    }

    /// Whether this peer holds the state after this block.
    pub(super) fn holds(&self, peer: &NodeId, number: u64) -> bool {
        self.peers.get(peer).is_some_and(|peer| holds(peer, number))
    }

    /// Whether anybody holds the state after this block.
    pub(super) fn has_giver(&self, number: u64) -> bool {
        self.peers.values().any(|peer| holds(peer, number))
    }

    /// A giver of the state after this block with little under way.
    pub(super) fn free_giver(&self, number: u64) -> Option<NodeId> {
        let under_way = |peer: &NodeId| self.flights.values().filter(|flight| flight.peer == *peer).count();
        let givers = self.peers.iter().filter(|(_, peer)| holds(peer, number));
        let free = givers.map(|(id, peer)| (under_way(id), peer.strikes, *id));
        let (_, _, peer) = free
            .filter(|(count, ..)| *count < UNDER_WAY_MAX)
            .min_by_key(|(count, strikes, peer)| (*strikes, *count, *peer))?;
        Some(peer)
    }

    /// Counts what came from a peer; `false` when it calls more parts too large than it can hold.
    pub(super) fn is_plausible(&mut self, peer: &NodeId, leaves: usize, is_split: bool) -> bool {
        let Some(peer) = self.peers.get_mut(peer) else { return true };
        peer.leaves += leaves as u64;
        peer.splits += u64::from(is_split);
        peer.splits <= SPLITS_FREE + peer.leaves / LEAVES_PER_SPLIT
    }

    /// When something is out of time, or peers are to be asked again.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        let again = self.peers.values().filter_map(Peer::ask_again_ms);
        self.flights.values().map(|flight| flight.deadline_ms).chain(again).min()
    }
}

fn holds(peer: &Peer, number: u64) -> bool {
    peer.strikes < STRIKES_MAX && peer.offers.as_ref().is_some_and(|offers| offers.contains(&number))
}
