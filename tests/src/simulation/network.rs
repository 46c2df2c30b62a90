//! Who can reach whom, and how long it takes.

use super::dice::Dice;
use super::plan::{Plan, Weather};
use super::process::Node;
use super::schedule::{Arrival, Life};
use lonja_p2p::wire::Message;
use std::collections::{BTreeMap, BTreeSet};

/// The links between nodes, and the messages that are held up in them.
pub struct Network {
    /// How messages are treated now.
    pub weather: Weather,
    nodes: usize,
    /// Pairs that never have a link.
    missing: BTreeSet<(usize, usize)>,
    /// From whom to whom nothing gets through now.
    blocked: BTreeSet<(usize, usize)>,
    sessions: BTreeMap<(usize, usize), u64>,
    next_session: u64,
    /// Messages that wait for a blocked link to open again.
    stalled: Vec<Arrival>,
    /// When the last message of a direction arrives, for streams.
    last_us: BTreeMap<(usize, usize), u64>,
    /// Which body of a twin a node talks to.
    twin_choice: BTreeMap<(usize, usize), usize>,
    /// Points for offences, and until when an offender is not talked to.
    offences: BTreeMap<(usize, usize), (u32, u64)>,
}

/// Points at which a peer is banned, points of an offence, and for how long: as in p2p.
const BAN_POINTS: u32 = 100;
const OFFENCE_POINTS: u32 = 25;
const BAN_US: u64 = 60_000_000;

fn pair(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}

impl Network {
    /// All nodes linked to all others, but for the links the plan leaves out. Any two nodes keep a common
    /// neighbour, as the relaying of messages needs.
    pub fn new(dice: &mut Dice, plan: &Plan, nodes: &[Node]) -> Self {
        let count = nodes.len();
        let mut missing = BTreeSet::new();
        for _ in 0..plan.missing_links {
            let one = dice.index(count);
            let other = dice.index(count);
            let taken = missing.iter().any(|(a, b)| [one, other].contains(a) || [one, other].contains(b));
            let single = nodes[one].twin.is_none() && nodes[other].twin.is_none();
            if one != other && !taken && single {
                missing.insert(pair(one, other));
            }
        }
        let mut network = Self {
            weather: plan.storm,
            nodes: count,
            missing,
            blocked: BTreeSet::new(),
            sessions: BTreeMap::new(),
            next_session: 1,
            stalled: Vec::new(),
            last_us: BTreeMap::new(),
            twin_choice: BTreeMap::new(),
            offences: BTreeMap::new(),
        };
        for (body, node) in nodes.iter().enumerate() {
            if let Some(other) = node.twin.filter(|other| *other > body) {
                (0..count).for_each(|node| network.choose_twin(node, body, dice.pick(&[body, other])));
            }
        }
        network
    }

    /// Leaves a link out.
    pub fn remove_link(&mut self, one: usize, other: usize) {
        self.missing.insert(pair(one, other));
    }

    /// `node` talks to this body of the twin whose first body is `first`.
    pub fn choose_twin(&mut self, node: usize, first: usize, body: usize) {
        self.twin_choice.insert((node, first), body);
    }

    /// Whether the two would talk to each other, were both up and the way free.
    pub fn are_linked(&self, nodes: &[Node], one: usize, other: usize) -> bool {
        let talks_to = |node: usize, body: usize| match nodes[body].twin {
            Some(second) => self.twin_choice.get(&(node, body.min(second))) == Some(&body),
            None => true,
        };
        one != other
            && nodes[one].id != nodes[other].id
            && !self.missing.contains(&pair(one, other))
            && talks_to(one, other)
            && talks_to(other, one)
    }

    /// Whether messages get through in this direction.
    pub fn is_open(&self, from: usize, to: usize) -> bool {
        !self.blocked.contains(&(from, to))
    }

    /// Whether messages get through both ways.
    pub fn is_open_both_ways(&self, one: usize, other: usize) -> bool {
        self.is_open(one, other) && self.is_open(other, one)
    }

    /// Nothing gets through in this direction any more.
    pub fn block(&mut self, from: usize, to: usize) {
        self.blocked.insert((from, to));
    }

    /// Cuts the nodes into groups, by the group's number of each.
    pub fn split(&mut self, groups: &[u64]) {
        for from in 0..self.nodes {
            for to in 0..self.nodes {
                if groups[from] != groups[to] {
                    self.block(from, to);
                }
            }
        }
    }

    /// Opens everything; gives the messages that were held up.
    pub fn heal(&mut self) -> Vec<Arrival> {
        self.blocked.clear();
        std::mem::take(&mut self.stalled)
    }

    /// Keeps a message until the link opens.
    pub fn stall(&mut self, arrival: Arrival) {
        self.stalled.push(arrival);
    }

    /// The session of two nodes.
    pub fn session(&self, one: usize, other: usize) -> Option<u64> {
        self.sessions.get(&pair(one, other)).copied()
    }

    /// Begins a session.
    pub fn begin_session(&mut self, one: usize, other: usize) -> u64 {
        let session = self.next_session;
        self.next_session += 1;
        self.sessions.insert(pair(one, other), session);
        session
    }

    /// Ends a session.
    pub fn end_session(&mut self, one: usize, other: usize) -> Option<u64> {
        let session = self.sessions.remove(&pair(one, other));
        self.stalled.retain(|arrival| Some(arrival.session) != session);
        session
    }

    /// All sessions: the two nodes, and the number.
    pub fn sessions(&self) -> Vec<(usize, usize, u64)> {
        self.sessions.iter().map(|((one, other), session)| (*one, *other, *session)).collect()
    }

    /// When a message that leaves now arrives, microseconds; nothing when it is lost.
    pub fn arrival_us(&mut self, dice: &mut Dice, now_us: u64, from: usize, to: usize) -> Option<u64> {
        let weather = self.weather;
        if dice.rarely(weather.loss_permille) {
            return None;
        }
        let mut delay_us = dice.between(weather.delay_us.0, weather.delay_us.1);
        if dice.rarely(weather.spike_permille) {
            delay_us *= 10;
        }
        let mut at_us = now_us + delay_us;
        if weather.streams {
            let last_us = self.last_us.entry((from, to)).or_default();
            at_us = at_us.max(*last_us + 1);
            *last_us = at_us;
        }
        Some(at_us)
    }

    /// Whether a message of a session that is over may still arrive: only where sessions are no streams, and
    /// never an answer, whose question may be of another life.
    pub fn outlives_session(&self, message: &Message) -> bool {
        let answer = matches!(
            message,
            Message::Blocks { .. }
                | Message::GetBlocks { .. }
                | Message::PartyRequest { .. }
                | Message::PartyAnswer { .. }
        );
        !self.weather.streams && !answer
    }

    /// Notes an offence. Returns whether the offender is banned for it.
    pub fn offend(&mut self, now_us: u64, by: usize, offender: usize) -> bool {
        let (points, until_us) = self.offences.entry((by, offender)).or_default();
        *points += OFFENCE_POINTS;
        if *points < BAN_POINTS {
            return false;
        }
        (*points, *until_us) = (0, now_us + BAN_US);
        true
    }

    /// Until when the two do not talk because of a ban, microseconds.
    pub fn banned_until_us(&self, one: usize, other: usize) -> u64 {
        let until = |by, offender| self.offences.get(&(by, offender)).map_or(0, |(_, until_us)| *until_us);
        until(one, other).max(until(other, one))
    }
}

/// A message before it is on its way.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Departure {
    pub from: usize,
    pub life: Life,
    pub left_us: u64,
}
