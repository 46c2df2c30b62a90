//! The pool: what comes in, what leaves, and the bounds.

use crate::config::{PoolConfig, footprint_bytes};
use crate::error::PoolError;
use crate::recent::Recent;
use crate::sender::{Entry, Sender, SenderState};
use crate::waiting::WaitingIndex;
use alloy_primitives::{Address, B256, Bytes, U256, map::HashMap};
use lonja_primitives::RecoveredTransaction;
use std::collections::BTreeSet;

/// Hashes of included transactions that are remembered, so that a late copy from a peer costs a look-up and
/// no signature recovery: some seconds of a fully loaded chain.
const MAX_RECENTLY_INCLUDED: usize = 32_768;

/// Reasons of drops that are remembered for whoever asks where a transaction went.
const MAX_RECENTLY_DROPPED: usize = 1_024;

/// What became of the nonce of a transaction that a block made stale.
const USED_BY_ANOTHER: &str = "was used by another transaction";

/// Where a transaction came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client of this node.
    Local,
    /// A peer.
    Gossip,
    /// The journal of an earlier run.
    Restored,
}

/// What an accepted transaction did to the pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// The next block may take it.
    pub ready: bool,
    /// The transaction with the same nonce that it replaced.
    pub replaced: Option<B256>,
    /// How many transactions of the sender became ready with it, itself included.
    pub promoted: usize,
    /// Queued transactions of others that made way.
    pub evicted: Vec<B256>,
}

/// Transactions waiting for a block.
#[derive(Debug)]
pub struct TxPool {
    config: PoolConfig,
    free_gas: bool,
    next_arrival: u64,
    pub(crate) bytes: usize,
    pub(crate) senders: HashMap<Address, Sender>,
    pub(crate) by_hash: HashMap<B256, (Address, u64)>,
    pub(crate) waiting: WaitingIndex,
    /// The first ready transaction of every sender that has one, by arrival.
    pub(crate) fronts: BTreeSet<(u64, Address)>,
    included: Recent<()>,
    dropped: Recent<String>,
}

impl TxPool {
    /// An empty pool, for a chain with free gas until [`TxPool::set_free_gas`] says otherwise.
    pub fn new(config: PoolConfig) -> Self {
        Self {
            config,
            free_gas: true,
            next_arrival: 0,
            bytes: 0,
            senders: HashMap::default(),
            by_hash: HashMap::default(),
            waiting: WaitingIndex::default(),
            fronts: BTreeSet::new(),
            included: Recent::new(MAX_RECENTLY_INCLUDED),
            dropped: Recent::new(MAX_RECENTLY_DROPPED),
        }
    }

    /// Whether a transaction costs its value only (`ChainSpec::free_gas`), or its gas limit at its highest
    /// price too. To be said before the first transaction comes in.
    pub fn set_free_gas(&mut self, free_gas: bool) {
        self.free_gas = free_gas;
    }

    /// Takes a transaction, or says why not. `sender` is what the newest state says of its sender; a nonce
    /// lower than the one known here is taken for an old reading and ignored.
    pub fn insert(
        &mut self,
        tx: RecoveredTransaction,
        sender: SenderState,
        origin: Origin,
        now_ms: u64,
    ) -> Result<Inserted, PoolError> {
        self.expire(now_ms);
        let address = tx.sender();
        let state = match self.senders.get(&address) {
            Some(known) if known.state.nonce > sender.nonce => known.state,
            _ => sender,
        };
        let cost = self.cost(&tx);
        self.check_alone(&tx, cost, state, origin)?;
        if self.senders.contains_key(&address) {
            self.advance(&address, state, "is used up", now_ms);
        }
        let bytes = footprint_bytes(&tx);
        let old = self.replaceable(&tx)?;
        let evicted = self.make_room(&tx, bytes, old, state, origin, now_ms)?;

        let hash = tx.hash();
        let arrival = old.map_or(self.next_arrival, |old| old.arrival);
        self.next_arrival = self.next_arrival.saturating_add(1);
        let origin = if old.is_some_and(|old| old.origin == Origin::Local) { Origin::Local } else { origin };
        let nonce = tx.nonce();
        self.by_hash.insert(hash, (address, nonce));
        self.bytes = self.bytes.saturating_add(bytes);
        let entry = Entry { tx, origin, arrival, bytes, cost, since_ms: now_ms };
        let (promoted, replaced) =
            self.change(&address, state, |sender, waiting| sender.insert(entry, waiting));
        let replaced = replaced.map(|entry| self.forget(&entry));
        if let Some(old) = replaced {
            self.dropped.insert(old, format!("replaced by {hash}"));
        }
        let ready = self.senders.get(&address).is_some_and(|sender| sender.ready(nonce).is_some());
        Ok(Inserted { ready, replaced, promoted, evicted })
    }

    /// Takes note of a block: `included` are its transactions, `senders` the new state of every account it
    /// touched (accounts without transactions here are passed over). Drops what is included or used up,
    /// promotes what became ready, drops what has waited too long. The cost follows what the block touched,
    /// not the size of the pool.
    pub fn on_block(&mut self, included: &[B256], senders: &[(Address, SenderState)], now_ms: u64) {
        for hash in included {
            self.included.insert(*hash, ());
        }
        for (address, state) in senders {
            self.advance(address, *state, USED_BY_ANOTHER, now_ms);
        }
        for hash in included {
            let Some((address, nonce)) = self.by_hash.get(hash).copied() else { continue };
            let Some(sender) = self.senders.get(&address) else { continue };
            let used_up = SenderState { nonce: nonce.saturating_add(1), ..sender.state };
            self.advance(&address, used_up, USED_BY_ANOTHER, now_ms);
        }
        self.expire(now_ms);
    }

    /// Drops the queued transactions that have waited longer than the lifetime.
    pub fn expire(&mut self, now_ms: u64) {
        let Some(until_ms) = now_ms.checked_sub(self.config.lifetime_ms) else { return };
        while let Some((address, nonce)) = self.waiting.oldest_until(until_ms) {
            let reason = format!("waited longer than {} s", self.config.lifetime_ms / 1000);
            if self.drop_one(&address, nonce, &reason, now_ms).is_none() {
                break;
            }
        }
    }

    /// Drops a transaction that turned out not to be executable, remembering why. Those behind it wait from
    /// now on.
    pub fn remove_invalid(&mut self, hash: &B256, reason: &str, now_ms: u64) -> Option<RecoveredTransaction> {
        let (address, nonce) = self.by_hash.get(hash).copied()?;
        self.drop_one(&address, nonce, reason, now_ms)
    }

    /// Why a transaction was dropped or replaced, as long as that is remembered.
    pub fn dropped_reason(&self, hash: &B256) -> Option<&str> {
        self.dropped.get(hash).map(String::as_str)
    }

    /// Whether a block that came by lately has this transaction.
    pub fn recently_included(&self, hash: &B256) -> bool {
        self.included.get(hash).is_some()
    }

    /// The addresses with transactions here.
    pub fn senders(&self) -> Vec<Address> {
        self.senders.keys().copied().collect()
    }

    /// Whether this address has transactions here.
    pub fn has_sender(&self, address: &Address) -> bool {
        self.senders.contains_key(address)
    }

    /// The transaction with this hash.
    pub fn get(&self, hash: &B256) -> Option<RecoveredTransaction> {
        let (address, nonce) = self.by_hash.get(hash)?;
        self.senders.get(address)?.transactions.get(nonce).map(|entry| entry.tx.clone())
    }

    /// Whether it is here.
    pub fn contains(&self, hash: &B256) -> bool {
        self.by_hash.contains_key(hash)
    }

    /// The nonce for the sender's next transaction: the first one, from the state's on, that nothing here
    /// has. `None` where the sender has nothing here.
    pub fn pending_nonce(&self, address: &Address) -> Option<u64> {
        self.senders.get(address).map(Sender::first_free_nonce)
    }

    /// Every transaction in its encoded form, in the order of arrival: for the journal.
    pub fn all_raw(&self) -> Vec<Bytes> {
        let entries = self.senders.values().flat_map(|sender| sender.transactions.values());
        let mut all: Vec<_> = entries.map(|entry| (entry.arrival, entry.tx.raw().clone())).collect();
        all.sort_unstable_by_key(|(arrival, _)| *arrival);
        all.into_iter().map(|(_, raw)| raw).collect()
    }

    /// Every transaction, sender by sender.
    pub fn all(&self) -> Vec<RecoveredTransaction> {
        let entries = self.senders.values().flat_map(|sender| sender.transactions.values());
        entries.map(|entry| entry.tx.clone()).collect()
    }

    /// The most a transaction may cost its sender, wei.
    fn cost(&self, tx: &RecoveredTransaction) -> U256 {
        if self.free_gas {
            return tx.value();
        }
        let gas = U256::from(tx.gas_limit()).saturating_mul(U256::from(tx.max_fee_per_gas()));
        tx.value().saturating_add(gas)
    }

    /// The rules that look at one transaction and its sender's state. One that was taken in an earlier run
    /// may wait for funds, since its sender may have had them then.
    fn check_alone(
        &self,
        tx: &RecoveredTransaction,
        cost: U256,
        state: SenderState,
        origin: Origin,
    ) -> Result<(), PoolError> {
        if self.contains(&tx.hash()) {
            return Err(PoolError::AlreadyKnown);
        }
        if tx.nonce() < state.nonce {
            return Err(PoolError::NonceTooLow { next: state.nonce, got: tx.nonce() });
        }
        if tx.nonce() == u64::MAX {
            return Err(PoolError::NonceMax);
        }
        if cost > state.balance && origin != Origin::Restored {
            return Err(PoolError::InsufficientFunds { needs: cost, has: state.balance });
        }
        Ok(())
    }

    /// The transaction that this one would replace, or why it may not.
    fn replaceable(&self, tx: &RecoveredTransaction) -> Result<Option<Replaced>, PoolError> {
        let Some(sender) = self.senders.get(&tx.sender()) else { return Ok(None) };
        let Some(old) = sender.transactions.get(&tx.nonce()) else { return Ok(None) };
        let (offered, before) = (tx.max_fee_per_gas(), old.tx.max_fee_per_gas());
        let bump = before.saturating_mul(u128::from(self.config.price_bump_percent)).div_ceil(100);
        let required = before.saturating_add(bump.max(1));
        if offered < required {
            return Err(PoolError::ReplacementUnderpriced { offered, required });
        }
        Ok(Some(Replaced { arrival: old.arrival, origin: old.origin, bytes: old.bytes }))
    }

    /// Checks the bounds and evicts what has to make way, for a transaction that is local or would be ready:
    /// queued gossip pushes nothing out. On a refusal nothing has changed.
    fn make_room(
        &mut self,
        tx: &RecoveredTransaction,
        bytes: usize,
        old: Option<Replaced>,
        state: SenderState,
        origin: Origin,
        now_ms: u64,
    ) -> Result<Vec<B256>, PoolError> {
        let (count, more) = match old {
            Some(old) => (0, bytes.saturating_sub(old.bytes)),
            None => (1, bytes),
        };
        self.check_sender_bounds(&tx.sender(), count, more)?;
        if self.fits(count, more) {
            return Ok(Vec::new());
        }
        if origin != Origin::Local && !self.would_be_ready(tx, state) {
            return Err(PoolError::Full { transactions: self.by_hash.len(), bytes: self.bytes });
        }
        let victims = self.victims(&tx.sender(), count, more)?;
        let mut evicted = Vec::with_capacity(victims.len());
        for (address, nonce) in victims {
            let reason = "made way for another transaction, the pool was full";
            evicted.extend(self.drop_one(&address, nonce, reason, now_ms).map(|tx| tx.hash()));
        }
        Ok(evicted)
    }

    fn check_sender_bounds(&self, address: &Address, count: usize, more: usize) -> Result<(), PoolError> {
        let (transactions, bytes) =
            self.senders.get(address).map_or((0, 0), |sender| (sender.transactions.len(), sender.bytes));
        if transactions.saturating_add(count) > self.config.max_per_sender
            || bytes.saturating_add(more) > self.config.max_bytes_per_sender
        {
            return Err(PoolError::SenderLimit { transactions, bytes });
        }
        Ok(())
    }

    fn fits(&self, count: usize, more: usize) -> bool {
        self.by_hash.len().saturating_add(count) <= self.config.max_transactions
            && self.bytes.saturating_add(more) <= self.config.max_bytes
    }

    fn would_be_ready(&self, tx: &RecoveredTransaction, state: SenderState) -> bool {
        let (ready_end, ready_cost) = self
            .senders
            .get(&tx.sender())
            .map_or((state.nonce, U256::ZERO), |sender| (sender.ready_end, sender.ready_cost));
        tx.nonce() < ready_end
            || tx.nonce() == ready_end && ready_cost.saturating_add(self.cost(tx)) <= state.balance
    }

    /// Which queued transactions of senders other than `incoming` make way, oldest first. Nothing ready and
    /// nothing local ever does.
    fn victims(
        &self,
        incoming: &Address,
        count: usize,
        more: usize,
    ) -> Result<Vec<(Address, u64)>, PoolError> {
        let full = PoolError::Full { transactions: self.by_hash.len(), bytes: self.bytes };
        let mut free_count = self.config.max_transactions.saturating_sub(self.by_hash.len());
        let mut free_bytes = self.config.max_bytes.saturating_sub(self.bytes);
        let mut victims = Vec::new();
        for (address, nonce) in self.waiting.evictable().filter(|(address, _)| address != incoming) {
            if free_count >= count && free_bytes >= more {
                break;
            }
            let entry = self.senders.get(&address).and_then(|sender| sender.transactions.get(&nonce));
            free_count = free_count.saturating_add(1);
            free_bytes = free_bytes.saturating_add(entry.map_or(0, |entry| entry.bytes));
            victims.push((address, nonce));
        }
        if free_count >= count && free_bytes >= more { Ok(victims) } else { Err(full) }
    }

    /// Gives a sender its new state; a lower nonce than the known one is an old reading and ignored. `how` says
    /// what became of the nonces that no transaction included here had.
    fn advance(&mut self, address: &Address, state: SenderState, how: &str, now_ms: u64) {
        let Some(known) = self.senders.get(address).map(|sender| sender.state) else { return };
        if state.nonce < known.nonce || state == known {
            return;
        }
        let (_, dropped) =
            self.change(address, known, |sender, waiting| sender.advance(state, now_ms, waiting));
        for entry in dropped {
            let hash = self.forget(&entry);
            if !self.recently_included(&hash) {
                let reason =
                    format!("nonce {} {how}: the sender's next is {}", entry.tx.nonce(), state.nonce);
                self.dropped.insert(hash, reason);
            }
        }
    }

    fn drop_one(
        &mut self,
        address: &Address,
        nonce: u64,
        reason: &str,
        now_ms: u64,
    ) -> Option<RecoveredTransaction> {
        let known = self.senders.get(address)?.state;
        let (_, entry) = self.change(address, known, |sender, waiting| sender.remove(nonce, now_ms, waiting));
        let entry = entry?;
        let hash = self.forget(&entry);
        self.dropped.insert(hash, reason.to_owned());
        Some(entry.tx)
    }

    /// Changes one sender and keeps the list of fronts right; a sender without transactions is forgotten.
    /// Also says by how many the ready transactions grew.
    fn change<T>(
        &mut self,
        address: &Address,
        state: SenderState,
        work: impl FnOnce(&mut Sender, &mut WaitingIndex) -> T,
    ) -> (usize, T) {
        let sender = self.senders.entry(*address).or_insert_with(|| Sender::new(state));
        let (front, ready) = (sender.front(), sender.ready_count());
        let result = work(sender, &mut self.waiting);
        let (new_front, new_ready) = (sender.front(), sender.ready_count());
        if sender.transactions.is_empty() {
            self.senders.remove(address);
        }
        if front != new_front {
            front.map(|arrival| self.fronts.remove(&(arrival, *address)));
            new_front.map(|arrival| self.fronts.insert((arrival, *address)));
        }
        (new_ready.saturating_sub(ready), result)
    }

    /// Takes an entry that has left its sender out of the accounts.
    fn forget(&mut self, entry: &Entry) -> B256 {
        let hash = entry.tx.hash();
        self.by_hash.remove(&hash);
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        hash
    }
}

/// What the pool keeps of a transaction that is about to be replaced.
#[derive(Clone, Copy, Debug)]
struct Replaced {
    arrival: u64,
    origin: Origin,
    bytes: usize,
}
