//! When to dial whom: a pure schedule. The service asks it, dials, and tells it what came of it.

use crate::{
    address::PeerAddress,
    limits::{RETRY_FIRST, RETRY_MOST, RETRY_REFUSED, STEADY},
};
use lonja_primitives::NodeId;
use std::{
    collections::BTreeMap,
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
    /// No session began.
    Failed,
}

/// Whether a peer should be dialed, apart from the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// There is no connection with it.
    Dial,
    /// There is a connection.
    Connected,
    /// It may not be connected. Once it may, it is due at once.
    Forbidden,
}

/// The peers to keep connected, and when to try each.
#[derive(Debug, Default)]
pub(crate) struct Dialer(BTreeMap<NodeId, Entry>);

#[derive(Debug)]
struct Entry {
    address: PeerAddress,
    failures: u32,
    next: Instant,
    /// When the dial began that is under way.
    dialing: Option<Instant>,
}

impl Dialer {
    /// Takes over the list of peers. New ones and those with a new address are due at once.
    pub(crate) fn sync(&mut self, wanted: &BTreeMap<NodeId, PeerAddress>, now: Instant) {
        self.0.retain(|node, _| wanted.contains_key(node));
        for (node, address) in wanted {
            match self.0.get_mut(node) {
                Some(entry) if entry.address == *address => {}
                Some(entry) => {
                    entry.address = address.clone();
                    entry.failures = 0;
                    entry.next = now;
                }
                None => {
                    let entry = Entry { address: address.clone(), failures: 0, next: now, dialing: None };
                    self.0.insert(*node, entry);
                }
            }
        }
    }

    /// The addresses to dial now. They count as being dialed until [`Dialer::connected`] or [`Dialer::failed`].
    pub(crate) fn due(&mut self, now: Instant, need: impl Fn(&NodeId) -> Need) -> Vec<PeerAddress> {
        let mut due = Vec::new();
        for (node, entry) in &mut self.0 {
            let need = need(node);
            if need == Need::Forbidden {
                entry.failures = 0;
                entry.next = now;
            }
            if entry.dialing.is_none() && entry.next <= now && need == Need::Dial {
                entry.dialing = Some(now);
                due.push(entry.address.clone());
            }
        }
        due
    }

    /// When the next peer is due.
    pub(crate) fn next(&self, need: impl Fn(&NodeId) -> Need) -> Option<Instant> {
        self.0
            .iter()
            .filter(|(node, entry)| entry.dialing.is_none() && need(node) == Need::Dial)
            .map(|(_, entry)| entry.next)
            .min()
    }

    /// The dial led to a connection.
    pub(crate) fn connected(&mut self, node: &NodeId) {
        if let Some(entry) = self.0.get_mut(node) {
            entry.dialing = None;
        }
    }

    /// The dial led nowhere. `jitter` between 0 and 1 spreads the retries of many nodes. Says how often in a row
    /// that happened.
    pub(crate) fn failed(&mut self, node: &NodeId, now: Instant, jitter: f64) -> u32 {
        let Some(entry) = self.0.get_mut(node) else { return 0 };
        let begun = entry.dialing.take().unwrap_or(now);
        entry.failures = entry.failures.saturating_add(1);
        entry.next = (begun + spread(pause(entry.failures), jitter)).max(now + spread(RETRY_FIRST, jitter));
        entry.failures
    }

    /// The last connection with the peer is gone, whoever had dialed it.
    pub(crate) fn ended(&mut self, node: &NodeId, outcome: Outcome, now: Instant, jitter: f64) {
        let Some(entry) = self.0.get_mut(node) else { return };
        let wait = match outcome {
            Outcome::Lived(time) if time >= STEADY => {
                entry.failures = 0;
                RETRY_FIRST
            }
            Outcome::Duplicate => RETRY_FIRST,
            Outcome::Unwanted => RETRY_REFUSED,
            Outcome::Lived(_) | Outcome::Failed => {
                entry.failures = entry.failures.saturating_add(1);
                pause(entry.failures)
            }
        };
        entry.next = now + spread(wait, jitter);
    }
}

fn pause(failures: u32) -> Duration {
    RETRY_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(RETRY_MOST)
}

/// Between three quarters and five quarters of the time.
fn spread(time: Duration, jitter: f64) -> Duration {
    time.mul_f64(0.75 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Host, Transport};
    use alloy_primitives::B512;

    fn node(n: u8) -> NodeId {
        NodeId(B512::repeat_byte(n))
    }

    fn wanted(list: &[(u8, u16)]) -> BTreeMap<NodeId, PeerAddress> {
        let address = |(n, port): &(u8, u16)| {
            let host = Host::Ip([127, 0, 0, 1].into());
            (node(*n), PeerAddress::new(node(*n), host, *port, Transport::TcpThenQuic))
        };
        list.iter().map(address).collect()
    }

    fn all(_: &NodeId) -> Need {
        Need::Dial
    }

    #[test]
    fn new_peers_are_due_at_once_and_once() {
        let (mut dialer, now) = (Dialer::default(), Instant::now());
        dialer.sync(&wanted(&[(1, 10), (2, 20)]), now);
        assert_eq!(dialer.due(now, |n| if *n == node(2) { Need::Connected } else { Need::Dial }).len(), 1);
        assert_eq!(dialer.due(now, all).len(), 1);
        assert!(dialer.due(now, all).is_empty());
        dialer.sync(&wanted(&[(2, 20)]), now);
        dialer.connected(&node(2));
        assert_eq!(dialer.due(now, all)[0].port(), 20);
    }

    #[test]
    fn pauses_grow_to_a_bound_and_start_over() {
        let (mut dialer, mut now) = (Dialer::default(), Instant::now());
        dialer.sync(&wanted(&[(1, 10)]), now);
        let mut pauses = Vec::new();
        for failure in 1..12 {
            assert_eq!(dialer.due(now, all).len(), 1);
            assert_eq!(dialer.failed(&node(1), now, 0.5), failure);
            let next = dialer.next(all).unwrap();
            pauses.push((next - now).as_millis());
            assert!(dialer.due(next - Duration::from_millis(1), all).is_empty());
            now = next;
        }
        assert_eq!(pauses[..5], [200, 400, 800, 1600, 3200]);
        assert_eq!(pauses[5..], [4_000; 6]);
        dialer.ended(&node(1), Outcome::Lived(STEADY), now, 0.5);
        assert_eq!(dialer.next(all), Some(now + RETRY_FIRST));
    }

    #[test]
    fn a_try_that_took_long_is_repeated_sooner() {
        let (mut dialer, mut now) = (Dialer::default(), Instant::now());
        dialer.sync(&wanted(&[(1, 10)]), now);
        let mut wait_after = |took: Duration| {
            assert_eq!(dialer.due(now, all).len(), 1);
            dialer.failed(&node(1), now + took, 0.5);
            let next = dialer.next(all).unwrap();
            let wait = next - now - took;
            now = next;
            wait
        };
        let longest = (0..8).map(|_| wait_after(Duration::ZERO)).max();
        assert_eq!(longest, Some(RETRY_MOST));
        assert_eq!(wait_after(RETRY_MOST / 4), RETRY_MOST * 3 / 4);
        assert_eq!(wait_after(RETRY_MOST * 4), RETRY_FIRST);
    }

    #[test]
    fn how_it_ended_decides_the_pause() {
        let (mut dialer, now) = (Dialer::default(), Instant::now());
        dialer.sync(&wanted(&[(1, 10)]), now);
        let mut after = |outcome| {
            dialer.ended(&node(1), outcome, now, 0.5);
            dialer.next(all).unwrap() - now
        };
        assert_eq!(after(Outcome::Failed), RETRY_FIRST);
        assert_eq!(after(Outcome::Lived(Duration::ZERO)), RETRY_FIRST * 2, "kicked out at once");
        assert_eq!(after(Outcome::Duplicate), RETRY_FIRST);
        assert_eq!(after(Outcome::Unwanted), RETRY_REFUSED);
        assert_eq!(after(Outcome::Failed), RETRY_FIRST * 4);
    }

    #[test]
    fn who_may_connect_again_is_tried_at_once() {
        let (mut dialer, now) = (Dialer::default(), Instant::now());
        dialer.sync(&wanted(&[(1, 10)]), now);
        dialer.ended(&node(1), Outcome::Unwanted, now, 0.5);
        assert!(dialer.due(now, all).is_empty());
        assert!(dialer.due(now, |_| Need::Forbidden).is_empty());
        assert_eq!(dialer.due(now, all).len(), 1);
    }

    #[test]
    fn a_new_address_is_tried_at_once() {
        let (mut dialer, now) = (Dialer::default(), Instant::now());
        dialer.sync(&wanted(&[(1, 10)]), now);
        dialer.due(now, all);
        dialer.failed(&node(1), now, 1.0);
        dialer.sync(&wanted(&[(1, 10)]), now);
        assert!(dialer.due(now, all).is_empty());
        dialer.sync(&wanted(&[(1, 11)]), now);
        assert_eq!(dialer.due(now, all)[0].port(), 11);
    }
}
