//! The door: where transactions of clients and peers come in.

mod error;
mod nonces;

use crate::recover::{PARALLEL_RECOVERIES, hashes, in_parallel, on_door_workers};
use crate::shared::{HeadView, Shared};
use crate::telemetry::{self, Step, timed};
use alloy_eips::eip7702::constants::EIP7702_DELEGATION_DESIGNATOR;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, map::HashMap};
use arc_swap::ArcSwapOption;
use lonja_evm::{ExecuteError, TxInvalid, intrinsic_gas};
use lonja_permissioning::{Judge, Ledger, TransactionQuestion};
use lonja_primitives::{BlockRules, PayloadHash, RecoveredTransaction, StateError, StateView};
use lonja_txpool::{Origin, PoolError, SenderState, TxPool};
use parking_lot::Mutex;
use rayon::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use error::SubmitError;

/// Transactions put into the pool under one lock, so that a large batch holds up neither the chain nor other
/// doors.
const INSERTED_AT_ONCE: usize = 256;

/// Below this many senders, reading their accounts one after the other is faster.
const PARALLEL_READS: usize = 32;

/// Hears of every transaction that came into the pool, batch by batch, on the thread that brought it. Must
/// not block.
pub type Listener = Box<dyn Fn(&[RecoveredTransaction], Origin) + Send + Sync>;

/// Takes transactions in. Clones are the same door; any thread may use it.
#[derive(Clone)]
pub struct Door(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    pool: Arc<Mutex<TxPool>>,
    listener: ArcSwapOption<Listener>,
    /// The block up to which the pool's permissions were looked at.
    looked_at: AtomicU64,
}

/// What becomes of one transaction of a batch.
enum Stage {
    Refused(SubmitError),
    Checked(RecoveredTransaction),
}

impl Door {
    pub(crate) fn new(shared: Arc<Shared>, pool: Arc<Mutex<TxPool>>) -> Self {
        let looked_at = AtomicU64::new(shared.head.load().memos.transactions_changed);
        Self(Arc::new(Inner { shared, pool, listener: ArcSwapOption::empty(), looked_at }))
    }

    /// Sets who hears of new transactions, instead of whoever did before.
    pub fn set_listener(&self, listener: Listener) {
        self.0.listener.store(Some(Arc::new(listener)));
    }

    /// Whether more transactions wait than the next blocks take. Whoever takes more in from clients then only makes them
    /// wait longer, and takes the processors from those who work off what waits.
    pub fn is_congested(&self) -> bool {
        let waiting = self.0.pool.lock().status().pending;
        self.0.shared.backlog.is_too_much(waiting)
    }

    /// Takes a batch in; one answer per transaction, in order: its hash, or why it was refused.
    ///
    /// Known transactions are recognised by their hash before anything is computed for them. The others are
    /// decoded and recovered in parallel, judged by the rules of the next block, then by their sender's nonce
    /// and balance in the newest state, and put into the pool.
    pub fn submit(&self, raws: Vec<Bytes>, origin: Origin) -> Vec<Result<B256, SubmitError>> {
        let view = self.0.shared.head.load_full();
        let hashes = hashes(&raws);
        let stages = self.check_alone(raws, &hashes, origin, &view);
        let stages = self.permitted(stages, origin, &view);
        let mut answers: Vec<Result<B256, SubmitError>> = Vec::with_capacity(stages.len());
        let mut checked = Vec::new();
        for (stage, hash) in stages.into_iter().zip(&hashes) {
            match stage {
                Stage::Refused(error) => answers.push(Err(error)),
                Stage::Checked(tx) => {
                    checked.push((answers.len(), tx));
                    answers.push(Ok(*hash));
                }
            }
        }
        let accepted = self.insert(checked, origin, view, &mut answers);
        self.report(&answers, accepted, origin);
        answers
    }

    /// Drops what waits in the pool and is not permitted any more, if a block since the last call may have changed that. Says
    /// how many those were.
    pub fn drop_not_permitted(&self) -> usize {
        let Inner { shared, pool, looked_at, .. } = &*self.0;
        let view = shared.head.load_full();
        if looked_at.swap(view.memos.transactions_changed, Ordering::Relaxed)
            == view.memos.transactions_changed
        {
            return 0;
        }
        let mut judge = view.judge_of_next(&shared.spec, shared.clock.now_ms() / 1000);
        if !judge.asks_about_transactions() {
            return 0;
        }
        let waiting = pool.lock().all();
        let refused = waiting.iter().filter_map(|tx| {
            let verdict = judge.transaction(&TransactionQuestion::of(tx)).ok()?;
            Some((tx.hash(), verdict.err()?))
        });
        let refused: Vec<_> = refused.collect();
        let (mut pool, now_ms) = (pool.lock(), shared.clock.now_ms());
        for (hash, refusal) in &refused {
            pool.remove_invalid(hash, &refusal.to_string(), now_ms);
        }
        refused.len()
    }

    /// Everything that needs no state: known, size, form, signature, rules of the next block.
    fn check_alone(&self, raws: Vec<Bytes>, hashes: &[B256], origin: Origin, view: &HeadView) -> Vec<Stage> {
        let spec = &self.0.shared.spec;
        let number = view.header.number.saturating_add(1);
        let timestamp = view.header.timestamp.max(self.0.shared.clock.now_ms() / 1000);
        let rules = spec.rules_at(number, timestamp);
        let gas_limit = view.next_gas_limit(spec);
        let known = self.known(hashes, origin);
        let judge = |(raw, known): (Bytes, bool)| {
            if known {
                return Stage::Refused(SubmitError::Pool(PoolError::AlreadyKnown));
            }
            judge(raw, &rules, gas_limit).map_or_else(Stage::Refused, Stage::Checked)
        };
        let items: Vec<(Bytes, bool)> = raws.into_iter().zip(known).collect();
        match items.len() < PARALLEL_RECOVERIES {
            true => in_parallel(items, judge),
            false => on_door_workers(|| in_parallel(items, judge)),
        }
    }

    /// What the permission contracts forbid in the next block is refused; a client is told why in their words.
    fn permitted(&self, stages: Vec<Stage>, origin: Origin, view: &HeadView) -> Vec<Stage> {
        let Inner { shared, .. } = &*self.0;
        let number = view.header.number.saturating_add(1);
        let permissions = *shared.spec.permissions_at(number);
        if permissions.accounts.is_none() && permissions.quotas.is_none() {
            return stages;
        }
        let mut judge = view.judge_of_next(&shared.spec, shared.clock.now_ms() / 1000);
        // Nothing is taken off it: each is judged as if it came first.
        let mut ledger = Ledger::default();
        let judge_one = |stage| match stage {
            Stage::Checked(tx) => match permit(&mut judge, &mut ledger, &tx, origin) {
                Ok(()) => Stage::Checked(tx),
                Err(error) => Stage::Refused(error),
            },
            refused => refused,
        };
        stages.into_iter().map(judge_one).collect()
    }

    /// Which hashes wait in the pool. What a block took lately is known too when a peer brings it late; a
    /// client deserves the precise answer.
    fn known(&self, hashes: &[B256], origin: Origin) -> Vec<bool> {
        let pool = self.0.pool.lock();
        let included = |hash: &B256| origin == Origin::Gossip && pool.recently_included(hash);
        hashes.iter().map(|hash| pool.contains(hash) || included(hash)).collect()
    }

    /// Puts the checked ones into the pool; corrects the answers of those that it refuses.
    fn insert(
        &self,
        checked: Vec<(usize, RecoveredTransaction)>,
        origin: Origin,
        mut view: Arc<HeadView>,
        answers: &mut [Result<B256, SubmitError>],
    ) -> Vec<RecoveredTransaction> {
        let mut accepted = Vec::with_capacity(checked.len());
        let mut rest = checked.as_slice();
        let mut senders = Senders::default();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(INSERTED_AT_ONCE));
            senders.read(&view, now.iter().map(|(_, tx)| tx.sender()));
            let done = timed(Step::Pool, || {
                let mut pool = self.0.pool.lock();
                // A head that changed since the accounts were read may have been told to the pool already:
                // then their state is out of date, and nobody would ever correct it.
                let newest = self.0.shared.head.load_full();
                if newest.header.hash() != view.header.hash() {
                    view = newest;
                    return false;
                }
                let now_ms = self.0.shared.clock.now_ms();
                for (index, tx) in now {
                    let result = senders.state_of(tx).and_then(|state| {
                        pool.insert(tx.clone(), state, origin, now_ms).map_err(SubmitError::Pool)
                    });
                    match (result, answers.get_mut(*index)) {
                        (Ok(_), _) => accepted.push(tx.clone()),
                        (Err(error), Some(answer)) => *answer = Err(error),
                        (Err(_), None) => {}
                    }
                }
                true
            });
            match done {
                true => rest = later,
                false => senders = Senders::default(),
            }
        }
        accepted
    }

    fn report(
        &self,
        answers: &[Result<B256, SubmitError>],
        accepted: Vec<RecoveredTransaction>,
        origin: Origin,
    ) {
        let name = match origin {
            Origin::Local => "local",
            Origin::Gossip => "gossip",
            Origin::Restored => "restored",
        };
        answers
            .iter()
            .filter_map(|answer| answer.as_ref().err())
            .for_each(|e| telemetry::refused(name, e.name()));
        telemetry::accepted(name, accepted.len());
        if let Some(listener) = self.0.listener.load_full().filter(|_| !accepted.is_empty()) {
            listener(&accepted, origin);
        }
    }
}

/// The rules that need no state. The size comes first: nothing is computed over what is too long anyway.
fn judge(raw: Bytes, rules: &BlockRules, gas_limit: u64) -> Result<RecoveredTransaction, SubmitError> {
    let (size, limit) = (raw.len(), rules.limits.transaction_size);
    if size > limit {
        return Err(SubmitError::Rules(TxInvalid::TooLarge { size, limit }));
    }
    let tx = RecoveredTransaction::recover(raw, rules.chain_id).map_err(SubmitError::Invalid)?;
    intrinsic_gas(rules, &tx).map_err(SubmitError::Rules)?;
    if tx.is_private() {
        judge_private(&tx)?;
    }
    if tx.gas_limit() > gas_limit {
        return Err(SubmitError::GasLimit { limit: gas_limit, got: tx.gas_limit() });
    }
    Ok(tx)
}

/// A block may hold private transactions without a proper name of a payload, since GoQuorum's do; nobody profits from
/// making more of them.
fn judge_private(tx: &RecoveredTransaction) -> Result<(), SubmitError> {
    let bytes = tx.input().len();
    match (tx.value().is_zero(), bytes) {
        (false, _) => Err(SubmitError::PrivateValue),
        (true, PayloadHash::LENGTH) => Ok(()),
        (true, _) => Err(SubmitError::PrivateData { bytes }),
    }
}

fn permit(
    judge: &mut Judge<'_>,
    ledger: &mut Ledger,
    tx: &RecoveredTransaction,
    origin: Origin,
) -> Result<(), SubmitError> {
    let question = TransactionQuestion::of(tx);
    let fault = |error: ExecuteError| SubmitError::State(StateError::Store(error.to_string()));
    if let Err(mut refusal) = judge.transaction(&question).map_err(fault)? {
        if origin == Origin::Local {
            refusal = judge.transaction_in_words(&question, refusal).map_err(fault)?;
        }
        return Err(SubmitError::NotPermitted(refusal));
    }
    let room = ledger.admit(judge, tx.sender(), tx.gas_limit()).map_err(fault)?;
    room.map_err(SubmitError::NotPermitted)
}

/// What the state of one head says of the senders of a batch.
#[derive(Default)]
struct Senders(HashMap<Address, Result<Sender, StateError>>);

#[derive(Clone, Copy)]
struct Sender {
    state: SenderState,
    /// Code other than a delegation (EIP-7702): a contract signs nothing (EIP-3607).
    is_contract: bool,
}

impl Senders {
    fn read(&mut self, view: &HeadView, addresses: impl Iterator<Item = Address>) {
        let mut unread: Vec<Address> = addresses.filter(|address| !self.0.contains_key(address)).collect();
        unread.sort_unstable();
        unread.dedup();
        if unread.len() < PARALLEL_READS {
            self.0.extend(unread.into_iter().map(|address| (address, read_sender(view, &address))));
        } else {
            let read = |address| (address, read_sender(view, &address));
            on_door_workers(|| self.0.par_extend(unread.into_par_iter().map(read)));
        }
    }

    fn state_of(&self, tx: &RecoveredTransaction) -> Result<SenderState, SubmitError> {
        let address = tx.sender();
        match self.0.get(&address) {
            Some(Ok(Sender { is_contract: true, .. })) => {
                Err(SubmitError::Rules(TxInvalid::SenderHasCode { address }))
            }
            Some(Ok(sender)) => Ok(sender.state),
            Some(Err(error)) => Err(SubmitError::State(error.clone())),
            None => Err(SubmitError::State(StateError::Store(format!("{address} was not read")))),
        }
    }
}

fn read_sender(view: &HeadView, address: &Address) -> Result<Sender, StateError> {
    let account = view.state.account(address)?.unwrap_or_default();
    let is_contract = account.code_hash != KECCAK256_EMPTY
        && !view.state.code(&account.code_hash)?.starts_with(&EIP7702_DELEGATION_DESIGNATOR);
    Ok(Sender { state: SenderState { nonce: account.nonce, balance: account.balance }, is_contract })
}
