//! The pool against the simplest thing that could be one: a list that is looked through from end to end.

use crate::config::footprint_bytes;
use crate::tests::Draft;
use crate::{Inserted, Origin, PoolConfig, PoolError, ReadyCursor, SenderState, TxPool, WaitReason};
use alloy_primitives::{Address, B256, U256, map::HashMap};
use lonja_primitives::RecoveredTransaction;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;

const SENDERS: u8 = 4;

/// Bounds that a few dozen steps reach.
const CONFIG: PoolConfig = PoolConfig {
    max_bytes: 14_000,
    max_bytes_per_sender: 8_000,
    max_transactions: 12,
    max_per_sender: 6,
    price_bump_percent: 10,
    lifetime_ms: 40,
};

type DraftKey = (u8, u64, u64, u128, usize);

thread_local! {
    /// Signing is dear, and the steps meet the same transactions again and again.
    static SIGNED: RefCell<HashMap<DraftKey, RecoveredTransaction>> = RefCell::new(HashMap::default());
}

fn signed(key: DraftKey) -> RecoveredTransaction {
    let (sender, nonce, value, price, data_bytes) = key;
    let draft = Draft { key: sender + 1, nonce, value, price, data_bytes };
    SIGNED.with_borrow_mut(|signed| signed.entry(key).or_insert_with(|| draft.sign()).clone())
}

#[derive(Clone, Debug)]
struct Item {
    tx: RecoveredTransaction,
    origin: Origin,
    arrival: u64,
    since_ms: u64,
}

impl Item {
    fn cost(&self) -> U256 {
        self.tx.value()
    }

    fn bytes(&self) -> usize {
        footprint_bytes(&self.tx)
    }
}

#[derive(Default)]
struct Model {
    items: Vec<Item>,
    states: BTreeMap<Address, SenderState>,
    arrivals: u64,
}

impl Model {
    fn of(&self, sender: Address) -> Vec<&Item> {
        let mut items: Vec<&Item> = self.items.iter().filter(|item| item.tx.sender() == sender).collect();
        items.sort_by_key(|item| item.tx.nonce());
        items
    }

    fn has(&self, sender: Address) -> bool {
        !self.of(sender).is_empty()
    }

    fn reasons(&self, sender: Address) -> Vec<WaitReason> {
        let state = self.states[&sender];
        let (mut sum, mut next, mut poor, mut gap) = (U256::ZERO, state.nonce, None, None);
        let mut reasons = Vec::new();
        for item in self.of(sender) {
            let nonce = item.tx.nonce();
            if gap.is_none() && nonce != next {
                gap = Some(next);
            }
            next = nonce + 1;
            reasons.push(match (gap, poor) {
                (Some(expected), _) => WaitReason::NonceGap { expected },
                (None, Some(nonce)) => WaitReason::Behind { nonce },
                (None, None) if sum + item.cost() > state.balance => {
                    poor = Some(nonce);
                    WaitReason::InsufficientFunds { needs: sum + item.cost(), has: state.balance }
                }
                (None, None) => {
                    sum += item.cost();
                    WaitReason::Ready
                }
            });
        }
        reasons
    }

    fn ready_of(&self, sender: Address) -> Vec<&Item> {
        let reasons = self.reasons(sender);
        self.of(sender)
            .into_iter()
            .zip(reasons)
            .filter(|(_, r)| *r == WaitReason::Ready)
            .map(|(i, _)| i)
            .collect()
    }

    fn is_ready(&self, hash: B256) -> bool {
        self.senders()
            .into_iter()
            .any(|sender| self.ready_of(sender).iter().any(|item| item.tx.hash() == hash))
    }

    fn senders(&self) -> Vec<Address> {
        let mut senders: Vec<Address> = self.items.iter().map(|item| item.tx.sender()).collect();
        senders.sort();
        senders.dedup();
        senders
    }

    fn ready(&self) -> Vec<B256> {
        let mut queues: Vec<Vec<&Item>> = self.senders().into_iter().map(|s| self.ready_of(s)).collect();
        let mut order = Vec::new();
        while let Some(queue) =
            queues.iter_mut().filter(|queue| !queue.is_empty()).min_by_key(|queue| queue[0].arrival)
        {
            order.push(queue.remove(0).tx.hash());
        }
        order
    }

    fn bytes(&self) -> usize {
        self.items.iter().map(Item::bytes).sum()
    }

    /// Does something and notes who has to wait since then.
    fn change(&mut self, now_ms: u64, work: impl FnOnce(&mut Self)) {
        let before: Vec<B256> = self.ready();
        work(self);
        self.states.retain(|sender, _| self.items.iter().any(|item| item.tx.sender() == *sender));
        let after = self.ready();
        for item in &mut self.items {
            if before.contains(&item.tx.hash()) && !after.contains(&item.tx.hash()) {
                item.since_ms = now_ms;
            }
        }
    }

    fn set_state(&mut self, sender: Address, state: SenderState, now_ms: u64) {
        if !self.has(sender) || self.states[&sender].nonce > state.nonce {
            return;
        }
        self.change(now_ms, |model| {
            model.states.insert(sender, state);
            model.items.retain(|item| item.tx.sender() != sender || item.tx.nonce() >= state.nonce);
        });
    }

    fn remove(&mut self, hash: B256, now_ms: u64) {
        self.change(now_ms, |model| model.items.retain(|item| item.tx.hash() != hash));
    }

    fn expire(&mut self, now_ms: u64) {
        let old = |model: &Self| {
            model
                .items
                .iter()
                .filter(|item| item.since_ms + CONFIG.lifetime_ms <= now_ms)
                .map(|item| item.tx.hash())
                .find(|hash| !model.is_ready(*hash))
        };
        while let Some(hash) = old(self) {
            self.remove(hash, now_ms);
        }
    }

    fn insert(
        &mut self,
        tx: RecoveredTransaction,
        given: SenderState,
        origin: Origin,
        now_ms: u64,
    ) -> Result<Inserted, PoolError> {
        self.expire(now_ms);
        let sender = tx.sender();
        let known = self.states.get(&sender).copied().filter(|known| known.nonce > given.nonce);
        let state = known.unwrap_or(given);
        if self.items.iter().any(|item| item.tx.hash() == tx.hash()) {
            return Err(PoolError::AlreadyKnown);
        }
        if tx.nonce() < state.nonce {
            return Err(PoolError::NonceTooLow { next: state.nonce, got: tx.nonce() });
        }
        if tx.value() > state.balance && origin != Origin::Restored {
            return Err(PoolError::InsufficientFunds { needs: tx.value(), has: state.balance });
        }
        self.set_state(sender, state, now_ms);
        let old = self.of(sender).into_iter().find(|item| item.tx.nonce() == tx.nonce()).cloned();
        if let Some(old) = &old {
            let before = old.tx.max_fee_per_gas();
            let required = before + (before * 10).div_ceil(100).max(1);
            if tx.max_fee_per_gas() < required {
                return Err(PoolError::ReplacementUnderpriced { offered: tx.max_fee_per_gas(), required });
            }
        }
        let evicted = self.make_room(&tx, &old, state, origin, now_ms)?;
        let ready_before = self.ready_of_or_none(sender);
        let arrival = old.as_ref().map_or(self.arrivals, |old| old.arrival);
        self.arrivals += 1;
        let origin = match &old {
            Some(old) if old.origin == Origin::Local => Origin::Local,
            _ => origin,
        };
        let item = Item { tx: tx.clone(), origin, arrival, since_ms: now_ms };
        self.change(now_ms, |model| {
            model.items.retain(|item| item.tx.sender() != sender || item.tx.nonce() != tx.nonce());
            model.items.push(item);
            model.states.insert(sender, state);
        });
        Ok(Inserted {
            ready: self.is_ready(tx.hash()),
            replaced: old.map(|old| old.tx.hash()),
            promoted: self.ready_of_or_none(sender).saturating_sub(ready_before),
            evicted,
        })
    }

    fn ready_of_or_none(&self, sender: Address) -> usize {
        if self.has(sender) { self.ready_of(sender).len() } else { 0 }
    }

    fn make_room(
        &mut self,
        tx: &RecoveredTransaction,
        old: &Option<Item>,
        state: SenderState,
        origin: Origin,
        now_ms: u64,
    ) -> Result<Vec<B256>, PoolError> {
        let sender = tx.sender();
        let mine = self.of(sender);
        let (count, old_bytes) = old.as_ref().map_or((1, 0), |old| (0, old.bytes()));
        let more = footprint_bytes(tx).saturating_sub(old_bytes);
        let my_bytes: usize = mine.iter().map(|item| item.bytes()).sum();
        if mine.len() + count > CONFIG.max_per_sender || my_bytes + more > CONFIG.max_bytes_per_sender {
            return Err(PoolError::SenderLimit { transactions: mine.len(), bytes: my_bytes });
        }
        let full = PoolError::Full { transactions: self.items.len(), bytes: self.bytes() };
        let mut victims: Vec<Item> = self.items.clone();
        victims.retain(|item| {
            item.origin != Origin::Local && item.tx.sender() != sender && !self.is_ready(item.tx.hash())
        });
        victims.sort_by_key(|item| (item.since_ms, item.arrival));
        if origin != Origin::Local {
            let ready = if mine.is_empty() { Vec::new() } else { self.ready_of(sender) };
            let end = state.nonce + ready.len() as u64;
            let cost: U256 = ready.iter().map(|item| item.cost()).sum();
            let would_be_ready = tx.nonce() < end || tx.nonce() == end && cost + tx.value() <= state.balance;
            victims.retain(|_| would_be_ready);
        }
        let (mut free, mut evict) = ((self.items.len(), self.bytes()), Vec::new());
        for victim in victims {
            if free.0 + count <= CONFIG.max_transactions && free.1 + more <= CONFIG.max_bytes {
                break;
            }
            free = (free.0 - 1, free.1 - victim.bytes());
            evict.push(victim.tx.hash());
        }
        if free.0 + count > CONFIG.max_transactions || free.1 + more > CONFIG.max_bytes {
            return Err(full);
        }
        evict.iter().for_each(|hash| self.remove(*hash, now_ms));
        Ok(evict)
    }

    fn on_block(&mut self, included: &[B256], senders: &[(Address, SenderState)], now_ms: u64) {
        senders.iter().for_each(|(sender, state)| self.set_state(*sender, *state, now_ms));
        for hash in included {
            let Some(item) = self.items.iter().find(|item| item.tx.hash() == *hash) else { continue };
            let (sender, nonce) = (item.tx.sender(), item.tx.nonce() + 1);
            let state = SenderState { nonce, ..self.states[&sender] };
            self.set_state(sender, state, now_ms);
        }
        self.expire(now_ms);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert { sender: u8, ahead: u64, value: u64, price: u128, data_bytes: usize, origin: Origin, stale: bool },
    Block { take: usize, tell: bool, balances: Vec<(u8, u64)>, jump: Option<u8> },
    Invalid(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let origin = prop_oneof![Just(Origin::Local), Just(Origin::Gossip), Just(Origin::Restored)];
    let price = prop_oneof![3 => Just(0u128), 1 => Just(10), 1 => Just(11), 1 => Just(30)];
    let data = prop_oneof![4 => Just(0usize), 1 => Just(700)];
    let insert = (0..SENDERS, 0..6u64, 0..6u64, price, data, origin, prop::bool::weighted(0.1));
    let insert = insert.prop_map(|(sender, ahead, value, price, data_bytes, origin, stale)| Step::Insert {
        sender,
        ahead,
        value,
        price,
        data_bytes,
        origin,
        stale,
    });
    let balances = prop::collection::vec((0..SENDERS, 0..14u64), 0..3);
    let jump = prop::option::weighted(0.2, 0..SENDERS);
    let block = (0..6usize, any::<bool>(), balances, jump)
        .prop_map(|(take, tell, balances, jump)| Step::Block { take, tell, balances, jump });
    prop_oneof![
        12 => insert,
        3 => block,
        1 => (0..12usize).prop_map(Step::Invalid),
        1 => (1..30u64).prop_map(Step::Wait),
    ]
}

/// Pool, model and the chain that both hear of.
struct World {
    pool: TxPool,
    model: Model,
    chain: Vec<SenderState>,
    now_ms: u64,
}

impl World {
    fn take(&mut self, step: Step) {
        match step {
            Step::Insert { sender, ahead, value, price, data_bytes, origin, stale } => {
                let state = self.chain[usize::from(sender)];
                let nonce = (state.nonce + ahead).saturating_sub(1);
                let tx = signed((sender, nonce, value, price, data_bytes));
                let given = SenderState { nonce: state.nonce.saturating_sub(u64::from(stale)), ..state };
                let want = self.model.insert(tx.clone(), given, origin, self.now_ms);
                assert_eq!(self.pool.insert(tx, given, origin, self.now_ms), want);
            }
            Step::Block { take, tell, balances, jump } => self.block(take, tell, &balances, jump),
            Step::Invalid(index) => {
                let hash = self.model.items.get(index).map_or(B256::ZERO, |item| item.tx.hash());
                let removed = self.pool.remove_invalid(&hash, "does not run", self.now_ms);
                assert_eq!(removed.map(|tx| tx.hash()), self.model.items.get(index).map(|_| hash));
                self.model.remove(hash, self.now_ms);
            }
            Step::Wait(ms) => {
                self.now_ms += ms;
                self.pool.expire(self.now_ms);
                self.model.expire(self.now_ms);
            }
        }
    }

    /// A block with the first ready transactions; `tell` says whether the states of their senders are named.
    fn block(&mut self, take: usize, tell: bool, balances: &[(u8, u64)], jump: Option<u8>) {
        let address = |sender: u8| signed((sender, 0, 0, 0, 0)).sender();
        let mut included = Vec::new();
        let mut touched: BTreeMap<u8, ()> = balances.iter().map(|(sender, _)| (*sender, ())).collect();
        for tx in self.pool.next_ready(&mut ReadyCursor::default(), take) {
            included.push(tx.hash());
            let sender = (0..SENDERS).find(|sender| address(*sender) == tx.sender()).unwrap();
            self.chain[usize::from(sender)].nonce = tx.nonce() + 1;
            if tell {
                touched.insert(sender, ());
            }
        }
        for (sender, balance) in balances {
            self.chain[usize::from(*sender)].balance = U256::from(*balance);
        }
        if let Some(sender) = jump {
            self.chain[usize::from(sender)].nonce += 1;
            touched.insert(sender, ());
        }
        let states: Vec<_> =
            touched.keys().map(|sender| (address(*sender), self.chain[usize::from(*sender)])).collect();
        self.pool.on_block(&included, &states, self.now_ms);
        self.model.on_block(&included, &states, self.now_ms);
    }

    fn check(&self) {
        let (pool, model) = (&self.pool, &self.model);
        let status = pool.status();
        let ready = model.ready();
        assert_eq!(status.bytes, model.bytes(), "bytes");
        assert_eq!((status.pending, status.queued), (ready.len(), model.items.len() - ready.len()));
        assert!(status.bytes <= CONFIG.max_bytes && model.items.len() <= CONFIG.max_transactions);
        let got: Vec<B256> = pool.ready(u64::MAX, usize::MAX).iter().map(|tx| tx.hash()).collect();
        assert_eq!(got, ready, "order");
        assert_eq!(pool.has_ready(), !ready.is_empty());
        let mut cursor = ReadyCursor::default();
        let mut in_steps = Vec::new();
        loop {
            let some = pool.next_ready(&mut cursor, 2);
            if some.is_empty() {
                break;
            }
            in_steps.extend(some.iter().map(|tx| tx.hash()));
        }
        assert_eq!(in_steps, ready, "order in steps");
        let content = pool.content();
        assert_eq!(content.iter().map(|c| c.address).collect::<Vec<_>>(), model.senders());
        for sender in content {
            let hashes: Vec<B256> = sender.transactions.iter().map(|w| w.transaction.hash()).collect();
            let want: Vec<B256> = model.of(sender.address).iter().map(|item| item.tx.hash()).collect();
            assert_eq!(hashes, want);
            let reasons: Vec<WaitReason> = sender.transactions.iter().map(|w| w.reason).collect();
            assert_eq!(reasons, model.reasons(sender.address), "reasons");
            assert!(hashes.iter().all(|hash| pool.get(hash).is_some_and(|tx| tx.hash() == *hash)));
            let mut free = model.states[&sender.address].nonce;
            while model.of(sender.address).iter().any(|item| item.tx.nonce() == free) {
                free += 1;
            }
            assert_eq!(pool.pending_nonce(&sender.address), Some(free), "pending nonce");
        }
        let mut arrived: Vec<&Item> = model.items.iter().collect();
        arrived.sort_by_key(|item| item.arrival);
        let raws: Vec<_> = arrived.iter().map(|item| item.tx.raw().clone()).collect();
        assert_eq!(pool.all_raw(), raws);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_pool_does_what_the_model_does(steps in prop::collection::vec(step(), 1..80)) {
        let rich = SenderState { nonce: 0, balance: U256::from(9) };
        let mut world = World {
            pool: TxPool::new(CONFIG),
            model: Model::default(),
            chain: vec![rich; usize::from(SENDERS)],
            now_ms: 0,
        };
        for step in steps {
            world.take(step);
            world.check();
        }
    }
}
