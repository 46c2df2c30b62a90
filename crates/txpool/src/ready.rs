//! The order in which ready transactions are taken.

use crate::pool::TxPool;
use alloy_primitives::{Address, map::HashSet};
use lonja_primitives::RecoveredTransaction;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Bound;

/// How many senders may be passed over because their next transaction does not fit, before the search ends.
/// Bounds the work for a block that is nearly full.
const MAX_PASSED_OVER: usize = 64;

/// Where a reader of the ready transactions stands: lets a block be filled in several steps, so that the pool
/// is not held while transactions execute. Belongs to one pool and one head; begin anew after each block.
#[derive(Clone, Debug, Default)]
pub struct ReadyCursor {
    /// The front of the last sender taken from the pool's list of fronts.
    last_front: Option<(u64, Address)>,
    /// Second and later transactions of senders already taken: (arrival, sender, nonce).
    next: BinaryHeap<Reverse<(u64, Address, u64)>>,
    /// Senders of whom nothing more is wanted.
    passed_over: HashSet<Address>,
}

impl ReadyCursor {
    /// Nothing more of this sender, since its next transaction does not fit or does not execute.
    pub fn pass_over(&mut self, sender: Address) {
        self.passed_over.insert(sender);
    }

    /// Whether the sender was passed over.
    pub fn is_passed_over(&self, sender: &Address) -> bool {
        self.passed_over.contains(sender)
    }

    /// How many senders were passed over.
    pub fn passed_over(&self) -> usize {
        self.passed_over.len()
    }
}

impl TxPool {
    /// Ready transactions that fit into `max_gas` (by gas limit) and `max_bytes` (encoded), in the order of
    /// [`TxPool::next_ready`]. A sender whose next one does not fit is passed over.
    pub fn ready(&self, max_gas: u64, max_bytes: usize) -> Vec<RecoveredTransaction> {
        let (mut gas, mut bytes) = (max_gas, max_bytes);
        let mut cursor = ReadyCursor::default();
        let mut taken = Vec::new();
        while cursor.passed_over() <= MAX_PASSED_OVER
            && let Some(tx) = self.peek(&mut cursor)
        {
            let left = (gas.checked_sub(tx.gas_limit()), bytes.checked_sub(tx.raw().len()));
            if let (Some(gas_left), Some(bytes_left)) = left {
                (gas, bytes) = (gas_left, bytes_left);
                taken.push(tx.clone());
                self.step(&mut cursor);
            } else {
                cursor.pass_over(tx.sender());
            }
        }
        taken
    }

    /// The next ready transactions behind the cursor, at most `max_count`. The sender whose next transaction
    /// came first goes first, so each sender's are in nonce order and nobody overtakes by offering a price.
    pub fn next_ready(&self, cursor: &mut ReadyCursor, max_count: usize) -> Vec<RecoveredTransaction> {
        let mut taken = Vec::new();
        while taken.len() < max_count
            && let Some(tx) = self.peek(cursor)
        {
            taken.push(tx.clone());
            self.step(cursor);
        }
        taken
    }

    /// Whether a block could take anything.
    pub fn has_ready(&self) -> bool {
        !self.fronts.is_empty()
    }

    /// The transaction at the top of the cursor's heap, after pulling in the next sender if that one came
    /// earlier and dropping what is not ready any more.
    fn peek(&self, cursor: &mut ReadyCursor) -> Option<&RecoveredTransaction> {
        loop {
            let after = cursor.last_front.map_or(Bound::Unbounded, Bound::Excluded);
            let front = self.fronts.range((after, Bound::Unbounded)).next();
            let top = cursor.next.peek().map(|Reverse((arrival, _, _))| *arrival);
            if let Some((arrival, address)) = front
                && top.is_none_or(|top| *arrival < top)
            {
                cursor.last_front = Some((*arrival, *address));
                let nonce = self.senders.get(address)?.state.nonce;
                cursor.next.push(Reverse((*arrival, *address, nonce)));
            }
            let Reverse((_, address, nonce)) = cursor.next.peek()?;
            let entry = self.senders.get(address).and_then(|sender| sender.ready(*nonce));
            if let Some(entry) = entry.filter(|_| !cursor.is_passed_over(address)) {
                return Some(&entry.tx);
            }
            cursor.next.pop();
        }
    }

    /// Replaces the top of the heap by its sender's next transaction.
    fn step(&self, cursor: &mut ReadyCursor) {
        let Some(Reverse((_, address, nonce))) = cursor.next.pop() else { return };
        let next = nonce.saturating_add(1);
        if let Some(entry) = self.senders.get(&address).and_then(|sender| sender.ready(next)) {
            cursor.next.push(Reverse((entry.arrival, address, next)));
        }
    }
}
