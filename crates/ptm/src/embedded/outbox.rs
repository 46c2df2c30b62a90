//! Payloads that wait for recipients that could not be reached.
//!
//! Each is a durable row that names an envelope of the store and a recipient. A recipient's rows are delivered in order:
//! the creation of a contract comes before what calls it.

use super::Core;
use super::deliver::Letter;
use crate::store::{PayloadStore, Row, damaged, now_ms};
use crate::surroundings::within;
use crate::{PayloadHash, PtmError, PublicKey};
use alloy_primitives::{B256, B512};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use futures::StreamExt;
use lonja_primitives::NodeId;
use lonja_storage::Table;
use metrics::gauge;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Payloads that wait, one counted for each recipient: hours of a busy member. At some 200 bytes each they take 13 MB.
const MAX_WAITING: usize = 65_536;

/// Recipients that are delivered to at a time.
const RECIPIENTS_AT_ONCE: usize = 8;

/// The first pause after an attempt that failed, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How long one recipient is delivered to before the others' turn comes again.
const SLICE: Duration = Duration::from_secs(5);

/// How long is waited where nothing waits.
const IDLE: Duration = Duration::from_secs(60);

const ROW_VERSION: u8 = 1;

/// What waits for recipients that could not be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxStatus {
    /// Payloads, one counted for each recipient.
    pub waiting: usize,
    /// Recipients, those with the oldest payload first.
    pub recipients: Vec<OutboxRecipient>,
}

/// What waits for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRecipient {
    /// Who.
    pub recipient: PublicKey,
    /// Payloads that it has not got.
    pub waiting: usize,
    /// When the oldest of these was sent, in milliseconds since 1970.
    pub since_ms: u64,
    /// What came of the last attempt; `None` before the first.
    pub last_error: Option<String>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct WaitingRow {
    version: u8,
    hash: B512,
    recipient: B256,
    since_ms: u64,
}

#[derive(Clone, Copy)]
struct Waiting {
    hash: PayloadHash,
    recipient: PublicKey,
    since_ms: u64,
}

struct Attempts {
    failed: u32,
    next: Instant,
    last_error: String,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<u64, Waiting>,
    attempts: HashMap<PublicKey, Attempts>,
}

/// What waits, as it stands in the store.
pub(super) struct Outbox {
    state: Mutex<State>,
    wake: Arc<Notify>,
}

impl Waiting {
    fn encode(&self) -> Vec<u8> {
        let (hash, recipient, since_ms) = (self.hash.0, B256::from(self.recipient.0), self.since_ms);
        alloy_rlp::encode(WaitingRow { version: ROW_VERSION, hash, recipient, since_ms })
    }

    fn decode(row: &[u8]) -> Result<Self, PtmError> {
        match alloy_rlp::decode_exact(row) {
            Ok(WaitingRow { version: ROW_VERSION, hash, recipient, since_ms }) => {
                Ok(Self { hash: PayloadHash(hash), recipient: PublicKey(recipient.0), since_ms })
            }
            _ => Err(damaged("a row of the outbox does not read")),
        }
    }
}

impl Outbox {
    pub(super) fn open(store: &PayloadStore) -> Result<Self, PtmError> {
        let mut state = State::default();
        for (key, row) in store.rows(Table::Outbox, &[], &[], MAX_WAITING)? {
            let number =
                key.as_slice().try_into().map_err(|_| damaged("a row of the outbox has no number"))?;
            state.waiting.insert(u64::from_be_bytes(number), Waiting::decode(&row)?);
        }
        Ok(Self { state: Mutex::new(state), wake: Arc::default() })
    }

    /// From now on a payload waits for these recipients. Durable when this returns.
    pub(super) async fn put(
        &self,
        store: &PayloadStore,
        hash: PayloadHash,
        recipients: &[PublicKey],
    ) -> Result<(), PtmError> {
        if self.state.lock().waiting.len().saturating_add(recipients.len()) > MAX_WAITING {
            return Err(PtmError::Unavailable(format!(
                "{MAX_WAITING} payloads wait for their recipients already"
            )));
        }
        let since_ms = now_ms();
        let waiting = recipients.iter().map(|recipient| Waiting { hash, recipient: *recipient, since_ms });
        let waiting: Vec<Waiting> = waiting.collect();
        let put = store.change(move |pending| {
            let numbered = waiting.into_iter().map(|waiting| (pending.next_sequence(), waiting));
            let numbered: Vec<(u64, Waiting)> = numbered.collect();
            let row = |(number, waiting): &(u64, Waiting)| {
                (Table::Outbox, number.to_be_bytes().to_vec(), Some(waiting.encode()))
            };
            Ok((numbered.iter().map(row).collect(), numbered))
        });
        let numbered = put.await?;
        self.state.lock().waiting.extend(numbered);
        self.wake.notify_one();
        Ok(())
    }

    /// Changes that remove the rows of a payload. They are to be [forgotten](Self::forget) when that is durable.
    pub(super) fn rows_of(&self, hash: &PayloadHash) -> Vec<Row> {
        self.state.lock().numbers_of(hash).into_iter().map(removed).collect()
    }

    /// A payload waits for nobody any more.
    pub(super) fn forget(&self, hash: &PayloadHash) {
        let mut state = self.state.lock();
        state.numbers_of(hash).into_iter().for_each(|number| state.forget(number));
    }

    fn remove(&self, store: &PayloadStore, number: u64) {
        self.state.lock().forget(number);
        let row = removed(number);
        // Where this is lost the recipient gets the same copy once more.
        drop(store.write(vec![row]));
    }

    /// There is news of these keys: what waits for them is tried at once.
    pub(super) fn wake(&self, keys: impl IntoIterator<Item = PublicKey>, now: Instant) {
        let mut state = self.state.lock();
        if state.waiting.is_empty() {
            return;
        }
        for key in keys {
            if let Some(attempts) = state.attempts.get_mut(&key) {
                attempts.next = now;
            }
        }
        self.wake.notify_one();
    }

    /// Lets the task look whether it is to end.
    pub(super) fn close(&self) {
        self.wake.notify_one();
    }

    /// What waits for each recipient that may be tried now, in order.
    fn due(&self, now: Instant) -> Vec<(PublicKey, Vec<(u64, PayloadHash)>)> {
        let state = self.state.lock();
        let mut due: Vec<(PublicKey, Vec<(u64, PayloadHash)>)> = Vec::new();
        let mut places: HashMap<PublicKey, usize> = HashMap::new();
        let later = |key: &PublicKey| state.attempts.get(key).is_some_and(|attempts| attempts.next > now);
        for (number, waiting) in state.waiting.iter().filter(|(_, waiting)| !later(&waiting.recipient)) {
            let place = *places.entry(waiting.recipient).or_insert_with(|| {
                due.push((waiting.recipient, Vec::new()));
                due.len().saturating_sub(1)
            });
            if let Some((_, payloads)) = due.get_mut(place) {
                payloads.push((*number, waiting.hash));
            }
        }
        due
    }

    fn settle(&self, recipient: PublicKey, error: Option<String>, now: Instant) {
        let mut state = self.state.lock();
        let Some(last_error) = error else {
            state.attempts.remove(&recipient);
            return;
        };
        let failed = state.attempts.get(&recipient).map_or(0, |attempts| attempts.failed);
        let pause = FIRST_PAUSE.saturating_mul(1 << failed.min(16)).min(LONGEST_PAUSE);
        let attempts = Attempts { failed: failed.saturating_add(1), next: now + pause, last_error };
        state.attempts.insert(recipient, attempts);
    }

    /// How long nothing is to be done.
    fn pause(&self, now: Instant) -> Duration {
        let state = self.state.lock();
        let next = state.waiting.values().map(|waiting| {
            let attempts = state.attempts.get(&waiting.recipient);
            attempts.map_or(Duration::ZERO, |attempts| attempts.next.saturating_duration_since(now))
        });
        next.min().map_or(IDLE, |pause| pause.min(IDLE))
    }

    pub(super) fn status(&self) -> OutboxStatus {
        let state = self.state.lock();
        let mut recipients: Vec<OutboxRecipient> = Vec::new();
        let mut places: HashMap<PublicKey, usize> = HashMap::new();
        for waiting in state.waiting.values() {
            let place = *places.entry(waiting.recipient).or_insert(recipients.len());
            match recipients.get_mut(place) {
                Some(recipient) => recipient.waiting = recipient.waiting.saturating_add(1),
                None => recipients.push(OutboxRecipient {
                    recipient: waiting.recipient,
                    waiting: 1,
                    since_ms: waiting.since_ms,
                    last_error: state.attempts.get(&waiting.recipient).map(|last| last.last_error.clone()),
                }),
            }
        }
        OutboxStatus { waiting: state.waiting.len(), recipients }
    }
}

impl State {
    fn numbers_of(&self, hash: &PayloadHash) -> Vec<u64> {
        let of_payload = self.waiting.iter().filter(|(_, waiting)| waiting.hash == *hash);
        of_payload.map(|(number, _)| *number).collect()
    }

    /// With the last that waits for a recipient its pauses go too.
    fn forget(&mut self, number: u64) {
        let Some(Waiting { recipient, .. }) = self.waiting.remove(&number) else { return };
        let waits = |waiting: &Waiting| waiting.recipient == recipient;
        if self.attempts.contains_key(&recipient) && !self.waiting.values().any(waits) {
            self.attempts.remove(&recipient);
        }
    }
}

/// The change that removes a row.
fn removed(number: u64) -> Row {
    (Table::Outbox, number.to_be_bytes().to_vec(), None)
}

/// Delivers on its own for as long as the manager is there.
pub(super) fn start(core: &Arc<Core>) {
    let (wake, surroundings) = (core.outbox.wake.clone(), core.surroundings.clone());
    let (core, runtime) = (Arc::downgrade(core), core.runtime.clone());
    runtime.spawn(async move {
        loop {
            let Some(core) = core.upgrade() else { return };
            core.deliver_due().await;
            gauge!("lonja_ptm_outbox").set(core.outbox.state.lock().waiting.len() as f64);
            let pause = core.outbox.pause(surroundings.now());
            drop(core);
            let _ = within(&*surroundings, pause, wake.notified()).await;
        }
    });
}

impl Core {
    async fn deliver_due(&self) {
        let due = futures::stream::iter(self.outbox.due(self.surroundings.now()));
        due.for_each_concurrent(RECIPIENTS_AT_ONCE, |(recipient, payloads)| async move {
            let error = self.deliver_waiting(recipient, payloads).await;
            self.outbox.settle(recipient, error, self.surroundings.now());
        })
        .await;
    }

    /// Delivers what waits for a recipient, until it cannot be reached. Returns what went wrong last.
    async fn deliver_waiting(
        &self,
        recipient: PublicKey,
        payloads: Vec<(u64, PayloadHash)>,
    ) -> Option<String> {
        let (mut last_error, begun) = (None, self.surroundings.now());
        for (number, hash) in payloads {
            // The others wait for the whole round: the rest goes in the next one.
            if self.surroundings.now().saturating_duration_since(begun) > SLICE {
                return last_error;
            }
            let letter = match self.store.envelope(&hash) {
                Ok(Some(row)) => Letter::new(self, row.envelope, 0),
                Ok(None) => {
                    self.outbox.remove(&self.store, number);
                    continue;
                }
                Err(error) => return Some(error.to_string()),
            };
            let letter = match letter {
                Ok(letter) => letter,
                Err(error) => {
                    last_error = Some(error.to_string());
                    continue;
                }
            };
            match self.push(&letter, recipient).await.result {
                Ok(()) => self.outbox.remove(&self.store, number),
                Err(failed) if failed.erased => self.outbox.remove(&self.store, number),
                Err(failed) if failed.later => return Some(failed.error.to_string()),
                Err(failed) => last_error = Some(failed.error.to_string()),
            }
        }
        last_error
    }

    /// What waits for the keys of a node that can be reached now is delivered at once.
    pub(super) fn wake_outbox(&self, node: &NodeId) {
        let keys = self.directory.lock().keys_of(node);
        self.outbox.wake(keys.into_iter().map(|(key, _)| key), self.surroundings.now());
    }
}
