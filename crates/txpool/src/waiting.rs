//! The queued transactions of all senders by age: what expires next, and what makes way when the pool is full.

use crate::pool::Origin;
use crate::sender::Entry;
use alloy_primitives::Address;
use std::collections::BTreeMap;

/// Since when a transaction waits (ms), and its arrival number, which makes the key unique.
type Age = (u64, u64);

/// Queued transactions, oldest first. Local ones stand apart: they never make way for others.
#[derive(Debug, Default)]
pub(crate) struct WaitingIndex {
    local: BTreeMap<Age, (Address, u64)>,
    foreign: BTreeMap<Age, (Address, u64)>,
}

impl WaitingIndex {
    fn of(&mut self, origin: Origin) -> &mut BTreeMap<Age, (Address, u64)> {
        match origin {
            Origin::Local => &mut self.local,
            Origin::Gossip | Origin::Restored => &mut self.foreign,
        }
    }

    pub(crate) fn insert(&mut self, entry: &Entry) {
        let place = (entry.tx.sender(), entry.tx.nonce());
        self.of(entry.origin).insert((entry.since_ms, entry.arrival), place);
    }

    pub(crate) fn remove(&mut self, entry: &Entry) {
        self.of(entry.origin).remove(&(entry.since_ms, entry.arrival));
    }

    pub(crate) fn len(&self) -> usize {
        self.local.len() + self.foreign.len()
    }

    /// The transactions of others, oldest first: (sender, nonce).
    pub(crate) fn evictable(&self) -> impl Iterator<Item = (Address, u64)> + '_ {
        self.foreign.values().copied()
    }

    /// One that has waited since `until_ms` or longer.
    pub(crate) fn oldest_until(&self, until_ms: u64) -> Option<(Address, u64)> {
        let first = |index: &BTreeMap<Age, (Address, u64)>| {
            index
                .first_key_value()
                .filter(|((since_ms, _), _)| *since_ms <= until_ms)
                .map(|(_, place)| *place)
        };
        first(&self.foreign).or_else(|| first(&self.local))
    }
}
