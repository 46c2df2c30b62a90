//! Who may be connected, and who is kept out for a while.

use crate::{
    address::{Host, PeerAddress},
    hub::Refusal,
    limits::{BAN_BASE, BAN_MOST, MAX_BANS},
};
use lonja_primitives::NodeId;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// Answers for one state of the chain, for as long as it is the gate: always the same for the same question.
///
/// Asked once for each connection and for each peer about to be dialed, and again by the next gate; never for a message.
/// It is asked on the task that serves all connections, so it should answer within some tens of microseconds.
pub trait PeerRule: fmt::Debug + Send + Sync {
    /// Whether this node may be connected. `at` is where the peer listens, as far as it is known: the host of its
    /// configured or observed address (text of an IP without brackets, or a DNS name) and port, 0 when it listens nowhere.
    ///
    /// `Allowed` without an address must mean allowed at any: it is not asked again once the address is known.
    fn judge(&self, peer: &NodeId, at: Option<(&str, u16)>) -> PeerVerdict;
}

/// What a gate says of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerVerdict {
    /// It may be connected.
    Allowed,
    /// It may not. The rule and why, for people.
    Refused(String),
    /// Only an address could tell; ask again when it is known. Refused, when it is known already.
    NeedsAddress,
}

/// Who may be connected, by value, replaced whole. Decided elsewhere; here it is obeyed when dialing, when a
/// connection comes in, and at once when it changes.
#[derive(Debug, Clone)]
pub enum PeerGate {
    /// Everybody on the same chain.
    Open,
    /// These nodes only.
    Only(BTreeSet<NodeId>),
    /// Whom this rule allows: for rules that cannot be listed, only asked.
    Ask(Arc<dyn PeerRule>),
}

impl PeerGate {
    /// Whether this node may be connected, see [`PeerRule::judge`].
    pub fn judge(&self, peer: &NodeId, at: Option<(&str, u16)>) -> PeerVerdict {
        match self {
            Self::Open => PeerVerdict::Allowed,
            Self::Only(nodes) if nodes.contains(peer) => PeerVerdict::Allowed,
            Self::Only(_) => PeerVerdict::Refused("it is not on the list of allowed nodes".to_owned()),
            Self::Ask(rule) => rule.judge(peer, at),
        }
    }
}

/// The gate in force and its number: what it said once holds while the number is the same.
#[derive(Debug)]
pub(crate) struct Gate {
    number: u64,
    gate: PeerGate,
}

/// Where a peer listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    host: String,
    port: u16,
}

/// What a gate said of a connection so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pass {
    /// The number of the gate that was asked.
    pub(crate) gate: u64,
    /// Whether it let the connection through. If not, only an address can tell.
    pub(crate) allowed: bool,
    /// Where it was dialed; `None` when the peer dialed.
    pub(crate) at: Option<Place>,
}

impl Gate {
    pub(crate) fn first(gate: PeerGate) -> Self {
        Self { number: 0, gate }
    }

    pub(crate) fn next(&self, gate: PeerGate) -> Self {
        Self { number: self.number.wrapping_add(1), gate }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Asks as long as an answer may still be missing.
    pub(crate) fn pass(&self, peer: &NodeId, at: Option<Place>) -> Result<Pass, Refusal> {
        let allowed = match at {
            Some(_) => self.permits(peer, at.as_ref()).map(|()| true)?,
            None => match self.gate.judge(peer, None) {
                PeerVerdict::Allowed => true,
                PeerVerdict::Refused(why) => return Err(Refusal::NotPermitted(why)),
                PeerVerdict::NeedsAddress => false,
            },
        };
        Ok(Pass { gate: self.number, allowed, at })
    }

    /// Asks when everything is known that ever will be.
    pub(crate) fn permits(&self, peer: &NodeId, at: Option<&Place>) -> Result<(), Refusal> {
        match self.gate.judge(peer, at.map(|place| (place.host.as_str(), place.port))) {
            PeerVerdict::Allowed => Ok(()),
            PeerVerdict::Refused(why) => Err(Refusal::NotPermitted(why)),
            PeerVerdict::NeedsAddress => {
                Err(Refusal::NotPermitted("the rule does not decide about its address".to_owned()))
            }
        }
    }
}

impl Pass {
    /// The number of the gate that let it through.
    pub(crate) fn allowed_by(&self) -> Option<u64> {
        self.allowed.then_some(self.gate)
    }
}

impl Place {
    /// Where a peer seems to listen: the address it connects from, and the port it says. An IPv4 address that comes
    /// through an IPv6 socket is written as what it is.
    pub(crate) fn seen(ip: IpAddr, port: u16) -> Self {
        Self { host: ip.to_canonical().to_string(), port }
    }
}

impl From<&PeerAddress> for Place {
    fn from(address: &PeerAddress) -> Self {
        match address.host() {
            Host::Ip(ip) => Self::seen(*ip, address.port()),
            Host::Name(name) => Self { host: name.clone(), port: address.port() },
        }
    }
}

/// Peers that broke the protocol and are kept out, longer each time. Bounded: of too many, the ones who would be
/// let in soonest are forgotten.
#[derive(Debug, Default)]
pub(crate) struct Bans(BTreeMap<NodeId, Ban>);

#[derive(Debug, Clone, Copy)]
struct Ban {
    until: Instant,
    strikes: u32,
}

impl Bans {
    /// Keeps a peer out and says for how long.
    pub(crate) fn strike(&mut self, node: NodeId, now: Instant) -> Duration {
        let strikes = self.0.get(&node).map_or(1, |ban| ban.strikes.saturating_add(1));
        let length = BAN_BASE.saturating_mul(1 << (strikes - 1).min(10)).min(BAN_MOST);
        if self.0.len() >= MAX_BANS
            && !self.0.contains_key(&node)
            && let Some(soonest) = self.0.iter().min_by_key(|(_, ban)| ban.until).map(|(node, _)| *node)
        {
            self.0.remove(&soonest);
        }
        self.0.insert(node, Ban { until: now + length, strikes });
        length
    }

    /// Whether a peer is kept out. Strikes are forgotten only when as much time again as the longest ban has passed.
    pub(crate) fn is_banned(&self, node: &NodeId, now: Instant) -> bool {
        self.0.get(node).is_some_and(|ban| now < ban.until)
    }

    /// Forgets bans long over.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.0.retain(|_, ban| now < ban.until + BAN_MOST);
    }

    /// Lets a peer in again.
    pub(crate) fn pardon(&mut self, node: &NodeId) {
        self.0.remove(node);
    }
}

/// Bad marks of a session, forgotten at one point a second.
#[derive(Debug)]
pub(crate) struct Points {
    level: f64,
    at: Instant,
}

impl Points {
    pub(crate) fn new(now: Instant) -> Self {
        Self { level: 0.0, at: now }
    }

    /// Adds bad marks and gives the sum.
    pub(crate) fn add(&mut self, points: u32, now: Instant) -> u32 {
        let forgotten = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level - forgotten).max(0.0) + f64::from(points);
        self.at = self.at.max(now);
        self.level as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Transport;
    use alloy_primitives::B512;

    #[test]
    fn bad_marks_add_up_and_are_forgotten() {
        let start = Instant::now();
        let mut points = Points::new(start);
        assert_eq!(points.add(25, start), 25);
        assert_eq!(points.add(25, start), 50);
        assert_eq!(points.add(5, start + Duration::from_secs(20)), 35);
        assert_eq!(points.add(5, start + Duration::from_secs(200)), 5);
    }

    fn node(n: usize) -> NodeId {
        let mut id = B512::ZERO;
        id[..8].copy_from_slice(&n.to_be_bytes());
        NodeId(id)
    }

    /// Node 1 anywhere, node 2 at one place, and words for the others.
    #[derive(Debug)]
    struct Rule;

    impl PeerRule for Rule {
        fn judge(&self, peer: &NodeId, at: Option<(&str, u16)>) -> PeerVerdict {
            match at {
                _ if *peer == node(1) => PeerVerdict::Allowed,
                _ if *peer == node(3) => PeerVerdict::NeedsAddress,
                _ if *peer != node(2) => PeerVerdict::Refused("node unknown".into()),
                None => PeerVerdict::NeedsAddress,
                Some(("10.0.0.1" | "fd00::1" | "two.example", 7)) => PeerVerdict::Allowed,
                Some((host, port)) => PeerVerdict::Refused(format!("not listed at {host} {port}")),
            }
        }
    }

    fn place(text: &str, port: u16) -> Option<Place> {
        let address = PeerAddress::new(node(2), text.parse().unwrap(), port, Transport::TcpThenQuic);
        Some(Place::from(&address))
    }

    fn words(refused: Result<impl fmt::Debug, Refusal>) -> String {
        match refused {
            Err(Refusal::NotPermitted(words)) => words,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_gate_by_list_allows_its_list() {
        let gate = PeerGate::Only([node(1)].into());
        assert_eq!(gate.judge(&node(1), None), PeerVerdict::Allowed);
        assert!(matches!(gate.judge(&node(2), None), PeerVerdict::Refused(_)));
        assert_eq!(PeerGate::Open.judge(&node(2), None), PeerVerdict::Allowed);
        let nobody = PeerGate::Only(BTreeSet::new());
        assert!(matches!(nobody.judge(&node(1), Some(("10.0.0.1", 7))), PeerVerdict::Refused(_)));
    }

    #[test]
    fn a_gate_that_asks_needs_an_address_or_does_not() {
        let gate = Gate::first(PeerGate::Open).next(PeerGate::Ask(Arc::new(Rule)));
        assert_eq!(gate.pass(&node(1), None), Ok(Pass { gate: 1, allowed: true, at: None }));
        assert_eq!(gate.pass(&node(2), None), Ok(Pass { gate: 1, allowed: false, at: None }));
        assert_eq!(words(gate.pass(&node(9), None)), "node unknown");
        let at = place("10.0.0.1", 7);
        assert_eq!(gate.pass(&node(2), at.clone()), Ok(Pass { gate: 1, allowed: true, at }));
        assert_eq!(words(gate.pass(&node(2), place("10.0.0.1", 8))), "not listed at 10.0.0.1 8");
        assert_eq!(words(gate.permits(&node(2), None)), "the rule does not decide about its address");
        assert_eq!(
            words(gate.pass(&node(3), place("10.0.0.1", 7))),
            "the rule does not decide about its address"
        );
    }

    #[test]
    fn places_are_asked_for_in_plain_text() {
        let gate = Gate::first(PeerGate::Ask(Arc::new(Rule)));
        for host in ["10.0.0.1", "::ffff:10.0.0.1", "[fd00::1]", "two.example"] {
            assert_eq!(gate.permits(&node(2), place(host, 7).as_ref()), Ok(()), "{host}");
        }
        let seen = |text: &str| Place::seen(text.parse().unwrap(), 7);
        assert_eq!(gate.permits(&node(2), Some(&seen("::ffff:10.0.0.1"))), Ok(()));
        assert_eq!(words(gate.permits(&node(2), Some(&seen("fd00::2")))), "not listed at fd00::2 7");
    }

    #[test]
    fn bans_grow_and_end() {
        let mut bans = Bans::default();
        let start = Instant::now();
        assert_eq!(bans.strike(node(1), start), BAN_BASE);
        assert!(bans.is_banned(&node(1), start));
        assert!(!bans.is_banned(&node(1), start + BAN_BASE));
        assert_eq!(bans.strike(node(1), start + BAN_BASE), BAN_BASE * 2);
        for _ in 0..40 {
            assert!(bans.strike(node(1), start) <= BAN_MOST);
        }
        bans.expire(start + BAN_MOST);
        assert_eq!(bans.strike(node(1), start), BAN_MOST, "strikes outlive the ban");
        bans.expire(start + BAN_MOST * 2);
        assert_eq!(bans.strike(node(1), start), BAN_BASE, "but not for ever");
        bans.pardon(&node(1));
        assert!(!bans.is_banned(&node(1), start));
    }

    #[test]
    fn the_list_is_bounded() {
        let mut bans = Bans::default();
        let start = Instant::now();
        for n in 0..MAX_BANS + 10 {
            bans.strike(node(n), start + Duration::from_secs(n as u64));
        }
        assert_eq!(bans.0.len(), MAX_BANS);
        let last = start + Duration::from_secs(MAX_BANS as u64 + 9);
        assert!(bans.is_banned(&node(MAX_BANS + 9), last));
        assert!(!bans.0.contains_key(&node(0)));
    }
}
