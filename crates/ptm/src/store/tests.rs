use super::*;
use crate::testing::{any_envelope, envelope_between, key_pair};
use crate::{Arrival, GroupKind, Keyring, PrivacyMode};
use lonja_storage::{KvRead, MemoryKv, Tuning};
use proptest::prelude::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::runtime::Runtime;

const NETWORK: B256 = B256::repeat_byte(7);

/// A store in memory whose disk can be made to fail, to panic, and to stand still.
#[derive(Default)]
struct Disk {
    kv: MemoryKv,
    fails: AtomicBool,
    panics: AtomicBool,
    still: Mutex<()>,
    syncs: AtomicUsize,
}

impl KvRead for Disk {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.kv.get(table, key)
    }

    fn first_from(
        &self,
        table: Table,
        from: &[u8],
        until: Option<&[u8]>,
    ) -> Result<Option<(Vec<u8>, Vec<u8>)>, StoreError> {
        self.kv.first_from(table, from, until)
    }

    fn last_at(&self, table: Table, at: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>, StoreError> {
        self.kv.last_at(table, at)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.kv.scan(table, from, visit)
    }
}

impl Kv for Disk {
    fn snapshot(&self) -> Box<dyn KvRead + '_> {
        self.kv.snapshot()
    }

    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        self.kv.write(batch)
    }

    fn sync(&self) -> Result<(), StoreError> {
        let _still = self.still.lock().unwrap();
        assert!(!self.panics.load(Ordering::SeqCst), "the disk panics");
        if self.fails.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("no space left".into()));
        }
        self.syncs.fetch_add(1, Ordering::SeqCst);
        self.kv.sync()
    }

    fn forget_history(&self, _: u64) {}

    fn scrub(&self) -> Result<(), StoreError> {
        self.kv.scrub()
    }

    fn tuning(&self) -> Tuning {
        self.kv.tuning()
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn open(kv: &MemoryKv) -> PayloadStore {
    PayloadStore::open(Arc::new(kv.clone()), NETWORK).unwrap()
}

fn keep(envelope: &EncodedPayload, sent_here: bool) -> Keep {
    Keep { hash: envelope.hash(), envelope: envelope.clone(), sent_here, other: Other::Refuse }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future)
}

#[test]
fn what_was_acknowledged_survives_a_power_cut() {
    let kv = MemoryKv::new();
    let store = open(&kv);
    let (first, second) = (envelope_between(1, &[2], b"first"), envelope_between(3, &[2], b"second"));
    assert_eq!(wait(store.keep(keep(&first, true))), Ok(Kept::New));
    drop(store);
    kv.crash();
    let store = open(&kv);
    let row = store.envelope(&first.hash()).unwrap().unwrap();
    assert!(row.sent_here && row.stored_ms > 0 && row.sequence == 1);
    assert_eq!(row.envelope, first);
    assert!(store.envelope(&second.hash()).unwrap().is_none());
    assert_eq!(wait(store.keep(keep(&second, false))), Ok(Kept::New));
    let row = store.envelope(&second.hash()).unwrap().unwrap();
    assert!(!row.sent_here && row.sequence == 2, "numbers go on where they stopped");
}

#[test]
fn copies_come_together_and_others_of_the_same_name_are_refused() {
    let kv = MemoryKv::new();
    let store = open(&kv);
    let whole = envelope_between(1, &[2, 3], b"payload");
    let [one, two] = [2, 3].map(|seed| key_pair(seed).public());
    let (first, second) = (whole.strip_for(&one).unwrap(), whole.strip_for(&two).unwrap());
    let hash = whole.hash();
    assert_eq!(wait(store.keep(keep(&first, false))), Ok(Kept::New));
    assert_eq!(wait(store.keep(keep(&first, false))), Ok(Kept::Same));
    assert_eq!(wait(store.keep(keep(&second, false))), Ok(Kept::Merged));
    assert_eq!(wait(store.keep(keep(&first, false))), Ok(Kept::Same));
    let row = store.envelope(&hash).unwrap().unwrap();
    assert_eq!(row.envelope.recipients, [two, one], "the new one stands in front");
    assert_eq!(row.envelope.boxes, [second.boxes[0], first.boxes[0]]);
    let mut other = first.clone();
    other.recipient_nonce[0] ^= 1;
    let refused = wait(store.keep(keep(&other, false)));
    assert_eq!(refused, Err(PtmError::Store("Invalid existing transaction".into())));
    assert_eq!(store.envelope(&hash).unwrap().unwrap().envelope, row.envelope);

    assert_eq!(wait(store.keep(Keep { other: Other::Replace, ..keep(&first, false) })), Ok(Kept::Same));

    // The merged one stands in the index once, with its new number.
    for party in [one, two, whole.sender] {
        assert_eq!(store.index(&party, 0, 9).unwrap(), [(2, hash)], "{party}");
        assert_eq!(store.index(&party, 2, 9).unwrap(), []);
    }
    assert_eq!(store.arrived_after(0, 9).unwrap(), [(2, Arrival::Stored(hash))]);
    assert_eq!(kv.len(Table::EnvelopesByKey), 4);
    assert_eq!(wait(store.keep(Keep { other: Other::Replace, ..keep(&other, false) })), Ok(Kept::Replaced));
    assert_eq!(store.envelope(&hash).unwrap().unwrap().envelope, other);
    assert_eq!(store.index(&one, 0, 9).unwrap(), [(3, hash)]);
    assert_eq!(store.index(&two, 0, 9).unwrap(), []);
}

#[test]
fn what_was_deleted_may_come_again_and_what_was_erased_not() {
    let kv = MemoryKv::new();
    let store = open(&kv);
    let envelope = envelope_between(1, &[2], b"payload");
    let hash = envelope.hash();
    let ring = Keyring::new(vec![key_pair(1)]).unwrap();
    let raw = RawTransaction::encrypt(&ring, key_pair(1).public(), b"raw").unwrap();
    assert_eq!(wait(store.delete(hash)), Ok(false));
    wait(store.keep(keep(&envelope, true))).unwrap();
    wait(store.keep_raw(raw.hash(), &raw)).unwrap();
    assert_eq!(wait(store.delete(hash)), Ok(true));
    assert!(!store.has(&hash).unwrap() && kv.is_empty(Table::EnvelopesByKey));
    assert_eq!(wait(store.keep(keep(&envelope, true))), Ok(Kept::New));

    assert_eq!(wait(store.erase(hash, b"stone".to_vec(), vec![])), Ok(true));
    assert_eq!(wait(store.erase(raw.hash(), b"stone".to_vec(), vec![])), Ok(true));
    assert_eq!(wait(store.erase(hash, b"later".to_vec(), vec![])), Ok(false));
    assert!(!store.has(&hash).unwrap() && store.raw(&raw.hash()).unwrap().is_none());
    assert_eq!(store.tombstone(&hash).unwrap().unwrap()[..], b"stone"[..]);
    assert_eq!(wait(store.keep(keep(&envelope, false))), Err(PtmError::Erased(hash)));
    let erased = [(3, Arrival::Erased(hash)), (4, Arrival::Erased(raw.hash()))];
    assert_eq!(store.arrived_after(0, 9).unwrap(), erased);
    assert_eq!(store.arrived_after(0, 1).unwrap(), erased[..1]);
    assert_eq!(store.arrived_after(3, 9).unwrap(), erased[1..]);
}

#[test]
fn payloads_that_are_not_sent_yet_and_groups_are_read_back() {
    let kv = MemoryKv::new();
    let store = open(&kv);
    let ring = Keyring::new(vec![key_pair(1)]).unwrap();
    let raw = RawTransaction::encrypt(&ring, key_pair(1).public(), b"raw").unwrap();
    let members = vec![key_pair(1).public(), key_pair(2).public()];
    let kind = GroupKind::Pantheon;
    let name = "a group".to_owned();
    let group = PrivacyGroup {
        name,
        description: String::new(),
        members,
        seed: b"seed".into(),
        kind,
        deleted: false,
    };
    wait(store.keep_raw(raw.hash(), &raw)).unwrap();
    wait(store.keep_group(&group)).unwrap();
    wait(store.keep_group(&PrivacyGroup { deleted: true, ..group.clone() })).unwrap();
    store.set_arrivals_done(5);
    drop(store);
    kv.crash();
    let store = open(&kv);
    assert!(store.raw(&raw.hash()).unwrap().unwrap() == raw);
    assert!(store.raw(&PayloadHash::from_data(b"other")).unwrap().is_none());
    assert_eq!(store.groups().unwrap(), [PrivacyGroup { deleted: true, ..group.clone() }]);
    assert!(store.group(&group.id()).unwrap().unwrap().deleted);
    assert_eq!(store.group(b"another").unwrap(), None);
    assert_eq!(store.arrivals_done(), Ok(5), "what was handed in is done before the store is left");
}

#[test]
fn stores_of_other_networks_and_formats_are_refused() {
    let kv = MemoryKv::new();
    drop(open(&kv));
    drop(open(&kv));
    let other = PayloadStore::open(Arc::new(kv.clone()), B256::ZERO).err().unwrap();
    assert!(other.to_string().contains("another data directory"), "{other}");
    let mut batch = Batch::default();
    batch.put(Table::PtmMeta, META_FORMAT, 2u32.to_be_bytes());
    kv.write(batch).unwrap();
    let other = PayloadStore::open(Arc::new(kv), NETWORK).err().unwrap();
    assert!(other.to_string().contains("format 0x00000002"), "{other}");
}

#[test]
fn damage_is_said_and_never_taken_for_absence() {
    let kv = MemoryKv::new();
    let store = open(&kv);
    let envelope = envelope_between(1, &[2], b"payload");
    let hash = envelope.hash();
    wait(store.keep(keep(&envelope, false))).unwrap();
    let row = kv.get(Table::Envelopes, hash.as_slice()).unwrap().unwrap();
    for damage in [&row[..5], &row[..row.len() - 1], &[&[9], &row[1..]].concat()] {
        let mut batch = Batch::default();
        batch.put(Table::Envelopes, hash.as_slice(), damage);
        batch.put(Table::RawPayloads, hash.as_slice(), damage);
        kv.write(batch).unwrap();
        assert!(matches!(store.envelope(&hash), Err(PtmError::Store(_))));
        if damage.len() < 100 || damage[0] == 9 {
            assert!(matches!(store.raw(&hash), Err(PtmError::Store(_))));
        }
        assert!(matches!(wait(store.keep(keep(&envelope, false))), Err(PtmError::Store(_))));
    }
    assert_eq!(wait(store.delete(hash)), Ok(true), "it can be got rid of");
}

#[test]
fn many_writers_share_a_sync() {
    let disk = Arc::new(Disk::default());
    let store = PayloadStore::open(disk.clone(), NETWORK).unwrap();
    let before = disk.syncs.load(Ordering::SeqCst);
    let still = disk.still.lock().unwrap();
    let envelopes: Vec<_> = (0..100u8).map(|number| envelope_between(1, &[2], &[number])).collect();
    let mut kept: Vec<_> = envelopes.iter().map(|envelope| store.keep(keep(envelope, false))).collect();
    // The same again, inside of the batches that are under way.
    kept.extend(envelopes.iter().map(|envelope| store.keep(keep(envelope, false))));
    drop(still);
    let kept = wait(futures::future::join_all(kept));
    assert!(kept[..100].iter().all(|kept| *kept == Ok(Kept::New)));
    assert!(kept[100..].iter().all(|kept| *kept == Ok(Kept::Same)));
    let syncs = disk.syncs.load(Ordering::SeqCst) - before;
    assert!((1..=3).contains(&syncs), "{syncs} syncs");
    let mut newest = store.newest();
    assert_eq!(*newest.borrow_and_update(), 100);
}

#[test]
fn a_failing_disk_answers_everybody_and_ends_all_writing() {
    let fail: fn(&Disk) = |disk| disk.fails.store(true, Ordering::SeqCst);
    let panic: fn(&Disk) = |disk| disk.panics.store(true, Ordering::SeqCst);
    for (break_it, reason) in [(fail, "no space left"), (panic, "stopped")] {
        let disk = Arc::new(Disk::default());
        let store = PayloadStore::open(disk.clone(), NETWORK).unwrap();
        let old = envelope_between(1, &[2], b"old");
        wait(store.keep(keep(&old, false))).unwrap();
        let still = disk.still.lock().unwrap();
        let envelopes: Vec<_> = (0..10u8).map(|number| envelope_between(1, &[2], &[number])).collect();
        let kept: Vec<_> = envelopes.iter().map(|envelope| store.keep(keep(envelope, false))).collect();
        break_it(&disk);
        drop(still);
        for kept in wait(futures::future::join_all(kept)) {
            let Err(PtmError::Unavailable(text)) = kept else { panic!("{kept:?}") };
            assert!(text.contains(reason), "{text}");
        }
        disk.fails.store(false, Ordering::SeqCst);
        disk.panics.store(false, Ordering::SeqCst);
        assert!(matches!(wait(store.keep(keep(&old, false))), Err(PtmError::Unavailable(_))));
        while store.halted().is_none() {
            std::thread::yield_now();
        }
        // Whether it is here, nobody can say any more.
        assert!(matches!(store.envelope(&old.hash()), Err(PtmError::Unavailable(_))));
        assert!(matches!(store.index(&old.sender, 0, 1), Err(PtmError::Unavailable(_))));
        drop(store);
        disk.kv.crash();
        let store = PayloadStore::open(disk, NETWORK).unwrap();
        assert!(store.has(&old.hash()).unwrap());
        assert!(envelopes.iter().all(|envelope| !store.has(&envelope.hash()).unwrap()));
    }
}

#[test]
fn writes_beyond_the_bound_are_refused() {
    let disk = Arc::new(Disk::default());
    let store = PayloadStore::open(disk.clone(), NETWORK).unwrap();
    let still = disk.still.lock().unwrap();
    let large = |at: u8| store.put(Table::PtmMeta, &[at], vec![at; 40 << 20]);
    // One may be at the disk already; it is counted until it is durable.
    let mut written: Vec<_> = (0..3).map(large).collect();
    let refused = wait(large(3));
    assert!(matches!(refused, Err(PtmError::Unavailable(text)) if text.contains("try again")));
    drop(still);
    assert!(wait(futures::future::join_all(written.drain(..))).iter().all(Result::is_ok));
    assert_eq!(wait(large(3)), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is kept, deleted and erased in whatever order: rows and index agree with a list in memory, and again after a
    /// power cut.
    #[test]
    fn rows_and_index_agree(
        envelopes in proptest::collection::vec(any_envelope(), 1..6),
        steps in proptest::collection::vec((0..6usize, 0..4u8), 1..20),
    ) {
        let kv = MemoryKv::new();
        let mut store = open(&kv);
        let mut kept = std::collections::BTreeMap::new();
        let mut erased = std::collections::BTreeSet::new();
        for (which, what) in steps {
            let envelope = &envelopes[which % envelopes.len()];
            let hash = envelope.hash();
            match what {
                0 => {
                    wait(store.delete(hash)).unwrap();
                    kept.remove(&hash);
                }
                1 => {
                    wait(store.erase(hash, vec![1], vec![])).unwrap();
                    kept.remove(&hash);
                    erased.insert(hash);
                }
                2 => {
                    drop(store);
                    kv.crash();
                    store = open(&kv);
                }
                _ => match wait(store.keep(keep(envelope, false))) {
                    Ok(_) => {
                        prop_assert!(!erased.contains(&hash));
                        kept.entry(hash).or_insert_with(|| envelope.clone());
                    }
                    Err(PtmError::Erased(_)) => prop_assert!(erased.contains(&hash)),
                    // A drawn envelope may have fewer boxes than recipients, or another of its name is here.
                    Err(error) => prop_assert!(kept.contains_key(&hash), "{}", error),
                },
            }
        }
        for envelope in &envelopes {
            let row = store.envelope(&envelope.hash()).unwrap();
            prop_assert_eq!(row.is_some(), kept.contains_key(&envelope.hash()));
        }
        let mut by_sender = std::collections::BTreeMap::<PublicKey, Vec<_>>::new();
        for (hash, envelope) in &kept {
            by_sender.entry(envelope.sender).or_default().push(*hash);
        }
        for (sender, mut hashes) in by_sender {
            let mut found: Vec<_> =
                store.index(&sender, 0, 99).unwrap().into_iter().map(|(_, hash)| hash).collect();
            found.sort_unstable();
            hashes.sort_unstable();
            prop_assert_eq!(found, hashes);
        }
        let arrived = store.arrived_after(0, 99).unwrap();
        prop_assert_eq!(arrived.len(), kept.len() + erased.len());
        prop_assert!(arrived.is_sorted_by_key(|(sequence, _)| *sequence));
    }
}

#[test]
fn copies_that_lost_affected_transactions_come_together_where_asked() {
    let kv = MemoryKv::new();
    let store = open(&kv);
    let mut whole = envelope_between(1, &[2, 3], b"payload");
    let affected: Vec<_> = (0..3u8)
        .map(|number| {
            (
                PayloadHash::from_data(&[number]),
                crate::SecurityHash(alloy_primitives::B512::repeat_byte(number)),
            )
        })
        .collect();
    whole.affected = affected.clone();
    let copy = |seed: u8, affected: &[usize]| {
        let mut copy = whole.strip_for(&key_pair(seed).public()).unwrap();
        let kept = whole.affected.iter().enumerate().filter(|(place, _)| affected.contains(place));
        copy.affected = kept.map(|(_, affected)| *affected).collect();
        copy
    };
    let (first, second) = (copy(2, &[0, 1]), copy(3, &[1, 2]));
    let unite = |envelope: &EncodedPayload| Keep { other: Other::Unite, ..keep(envelope, true) };
    wait(store.keep(unite(&first))).unwrap();
    assert!(wait(store.keep(keep(&second, true))).is_err());
    assert_eq!(wait(store.keep(unite(&second))), Ok(Kept::Merged));
    let row = store.envelope(&first.hash()).unwrap().unwrap();
    assert_eq!((row.envelope.affected, row.envelope.boxes.len()), (affected, 2));
    assert_eq!(wait(store.keep(unite(&first))), Ok(Kept::Same));
    let mut wrong = second.clone();
    wrong.affected[0].1.0.0[0] ^= 1;
    assert!(wait(store.keep(unite(&wrong))).is_err());
}

#[test]
fn modes_are_kept() {
    let kv = MemoryKv::new();
    let store = open(&kv);
    let mut envelope = envelope_between(1, &[2, 3], b"payload");
    (envelope.mode, envelope.exec_hash) = (PrivacyMode::StateValidation, b"root".into());
    let copy = envelope.strip_for(&key_pair(2).public()).unwrap();
    wait(store.keep(keep(&copy, false))).unwrap();
    assert_eq!(store.envelope(&copy.hash()).unwrap().unwrap().envelope, copy);
    // Who has no box here is not found by its name.
    assert_eq!(store.index(&key_pair(3).public(), 0, 9).unwrap(), []);
}
