//! The transactions of one sender.

use crate::pool::Origin;
use crate::waiting::WaitingIndex;
use alloy_primitives::U256;
use lonja_primitives::RecoveredTransaction;
use std::collections::BTreeMap;

/// What the state says of a sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderState {
    /// The nonce its next transaction must have.
    pub nonce: u64,
    /// Its balance in wei.
    pub balance: U256,
}

/// A transaction in the pool.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) tx: RecoveredTransaction,
    pub(crate) origin: Origin,
    /// Counts up over the pool's life; a replacement takes over the number of what it replaces.
    pub(crate) arrival: u64,
    /// Memory, bytes.
    pub(crate) bytes: usize,
    /// The most it may cost its sender, wei.
    pub(crate) cost: U256,
    /// Since when it waits; only meaningful while it is queued.
    pub(crate) since_ms: u64,
}

/// One sender: its transactions by nonce, the first `ready_end - state.nonce` of them ready.
///
/// Held at every return: nonces `state.nonce..ready_end` are all present, `ready_cost` is the sum of their
/// costs and not above the balance; every other transaction has a higher nonce and stands in the waiting
/// index; the transaction with nonce `ready_end` is missing or not payable on top.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) state: SenderState,
    pub(crate) transactions: BTreeMap<u64, Entry>,
    pub(crate) ready_end: u64,
    pub(crate) ready_cost: U256,
    pub(crate) bytes: usize,
}

impl Sender {
    pub(crate) fn new(state: SenderState) -> Self {
        let ready_end = state.nonce;
        Self { state, transactions: BTreeMap::new(), ready_end, ready_cost: U256::ZERO, bytes: 0 }
    }

    /// How many are ready.
    pub(crate) fn ready_count(&self) -> usize {
        usize::try_from(self.ready_end.saturating_sub(self.state.nonce)).unwrap_or(usize::MAX)
    }

    /// Arrival number of the first ready transaction.
    pub(crate) fn front(&self) -> Option<u64> {
        self.ready(self.state.nonce).map(|entry| entry.arrival)
    }

    /// The transaction with this nonce, when it is ready.
    pub(crate) fn ready(&self, nonce: u64) -> Option<&Entry> {
        if nonce < self.ready_end { self.transactions.get(&nonce) } else { None }
    }

    /// The first nonce, from the state's on, that no transaction here has.
    pub(crate) fn first_free_nonce(&self) -> u64 {
        let mut next = self.ready_end;
        for nonce in self.transactions.range(self.ready_end..).map(|(nonce, _)| *nonce) {
            if nonce != next {
                break;
            }
            next = next.saturating_add(1);
        }
        next
    }

    /// Puts a transaction in, or in the place of another with its nonce, and promotes what became ready.
    /// Gives back the replaced one.
    pub(crate) fn insert(&mut self, entry: Entry, waiting: &mut WaitingIndex) -> Option<Entry> {
        let (nonce, now_ms) = (entry.tx.nonce(), entry.since_ms);
        let replaced = self.take(nonce, now_ms, waiting);
        self.bytes = self.bytes.saturating_add(entry.bytes);
        waiting.insert(&entry);
        self.transactions.insert(nonce, entry);
        self.settle(now_ms, waiting);
        replaced
    }

    /// Removes one; those behind it wait from now on.
    pub(crate) fn remove(&mut self, nonce: u64, now_ms: u64, waiting: &mut WaitingIndex) -> Option<Entry> {
        let entry = self.take(nonce, now_ms, waiting)?;
        self.settle(now_ms, waiting);
        Some(entry)
    }

    /// Takes the state after a block: drops what is used up, then promotes or demotes. Gives back what it
    /// dropped.
    pub(crate) fn advance(
        &mut self,
        state: SenderState,
        now_ms: u64,
        waiting: &mut WaitingIndex,
    ) -> Vec<Entry> {
        let mut dropped = Vec::new();
        while let Some(first) = self.transactions.first_entry().filter(|first| *first.key() < state.nonce) {
            let (nonce, entry) = first.remove_entry();
            if nonce < self.ready_end {
                self.ready_cost = self.ready_cost.saturating_sub(entry.cost);
            } else {
                waiting.remove(&entry);
            }
            self.bytes = self.bytes.saturating_sub(entry.bytes);
            dropped.push(entry);
        }
        self.state = state;
        self.ready_end = self.ready_end.max(state.nonce);
        self.settle(now_ms, waiting);
        dropped
    }

    /// Takes one out after demoting those behind it.
    fn take(&mut self, nonce: u64, now_ms: u64, waiting: &mut WaitingIndex) -> Option<Entry> {
        if !self.transactions.contains_key(&nonce) {
            return None;
        }
        while self.ready_end > nonce {
            self.demote_last(now_ms, waiting);
        }
        let entry = self.transactions.remove(&nonce)?;
        waiting.remove(&entry);
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        Some(entry)
    }

    /// Restores what is held at every return, after a change of state or transactions.
    fn settle(&mut self, now_ms: u64, waiting: &mut WaitingIndex) {
        while self.ready_cost > self.state.balance && self.ready_end > self.state.nonce {
            self.demote_last(now_ms, waiting);
        }
        for (nonce, entry) in self.transactions.range(self.ready_end..) {
            let payable = self.ready_cost.checked_add(entry.cost).filter(|sum| *sum <= self.state.balance);
            let (true, Some(sum)) = (*nonce == self.ready_end, payable) else { break };
            waiting.remove(entry);
            self.ready_cost = sum;
            self.ready_end = self.ready_end.saturating_add(1);
        }
    }

    fn demote_last(&mut self, now_ms: u64, waiting: &mut WaitingIndex) {
        self.ready_end = self.ready_end.saturating_sub(1);
        if let Some(entry) = self.transactions.get_mut(&self.ready_end) {
            self.ready_cost = self.ready_cost.saturating_sub(entry.cost);
            entry.since_ms = now_ms;
            waiting.insert(entry);
        }
    }
}
