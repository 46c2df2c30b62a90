//! The store of the private state as its users see it, against a plain model.

mod blocks;
mod concurrent;
mod contract;
mod damage;
mod disk;
mod history;
mod rewind;

pub(crate) use disk::is_in_a_file;

use super::*;
use crate::tests::Model;
use crate::{Head, Kv, MemoryKv, StoreError, Table, Tuning};
use alloy_primitives::{Address, B256, B512, Bytes, Log, LogData, U256, keccak256};
use lonja_primitives::{PayloadHash, StateChanges};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(crate) const GENESIS: B256 = B256::repeat_byte(0x9e);

/// A block with something private, as it was committed and is to be found again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done {
    hash: B256,
    changes: StateChanges,
    receipts: Vec<(u32, PrivateReceipt)>,
    contracts: Vec<(Address, Option<ContractRecord>)>,
    seen: Vec<(PayloadHash, u32, Fate)>,
    /// Receipts that were erased since.
    erased: Vec<u32>,
}

/// A store under test and what it should hold.
pub(crate) struct World {
    kv: Arc<dyn Kv>,
    writer: PrivateWriter,
    reader: PrivateReader,
    head: Head,
    done: BTreeMap<u64, Done>,
}

pub(crate) fn payload(number: u8) -> PayloadHash {
    PayloadHash(B512::repeat_byte(number))
}

/// Hashes differ from one execution to the next, as those of different chains would.
pub(crate) fn hash(number: u64) -> B256 {
    keccak256(number.to_be_bytes())
}

pub(crate) fn log(topic: u8) -> Log {
    let data = LogData::new_unchecked(vec![B256::repeat_byte(topic)], Bytes::from(vec![topic; 3]));
    Log { address: Address::repeat_byte(topic), data }
}

pub(crate) fn receipt(number: u8, logs: usize) -> PrivateReceipt {
    PrivateReceipt {
        success: number.is_multiple_of(2),
        gas_used: u64::from(number) * 1_000,
        logs: vec![log(number); logs],
        output: Bytes::from(vec![number; usize::from(number % 5)]),
        error: number.is_multiple_of(3).then(|| format!("failure {number}")),
        contract: number.is_multiple_of(4).then(|| Address::repeat_byte(number)),
        inner: number.is_multiple_of(5).then(|| Bytes::from(vec![number; 9])),
    }
}

pub(crate) fn record(number: u8) -> ContractRecord {
    let mandatory = vec![[number; 32]; usize::from(number % 3)];
    let origin = match number % 4 {
        1 => Origin::Management,
        2 => Origin::Shared { by: Address::repeat_byte(number) },
        _ => Origin::Transaction,
    };
    ContractRecord { creation: payload(number), flag: number % 4, mandatory, origin }
}

impl Done {
    /// A block with one executed transaction that does `changes`.
    fn with(changes: StateChanges, number: u8) -> Self {
        Self {
            changes,
            receipts: vec![(0, receipt(number, 1))],
            contracts: vec![(Address::repeat_byte(number), Some(record(number)))],
            seen: vec![(payload(number), 0, Fate::Executed)],
            ..Self::default()
        }
    }

    fn is_empty(&self) -> bool {
        self.changes.is_empty()
            && self.receipts.is_empty()
            && self.contracts.is_empty()
            && self.seen.is_empty()
    }
}

impl World {
    fn new(kv: Arc<dyn Kv>) -> Self {
        let PrivateStore { writer, reader } = open_private(kv.clone(), GENESIS).unwrap();
        let head = Head { number: 0, hash: GENESIS };
        Self { kv, writer, reader, head, done: BTreeMap::new() }
    }

    fn commit(&mut self, done: Done) {
        let number = self.head.number + 1;
        let done = Done { hash: hash(number), ..done };
        self.try_commit(number, &done).unwrap();
        self.head = Head { number, hash: done.hash };
        if !done.is_empty() {
            self.done.insert(number, done);
        }
    }

    fn try_commit(&mut self, number: u64, done: &Done) -> Result<(), StoreError> {
        let prepared = self.writer.prepare(&done.changes)?;
        self.writer.commit(&PrivateBlock {
            number,
            hash: done.hash,
            changes: &done.changes,
            prepared: &prepared,
            receipts: &done.receipts,
            contracts: &done.contracts,
            seen: &done.seen,
        })
    }

    fn advance(&mut self, blocks: u64) {
        let number = self.head.number + blocks;
        self.writer.advance(number, hash(number)).unwrap();
        self.head = Head { number, hash: hash(number) };
    }

    fn block_hash(&self, number: u64) -> B256 {
        if number == 0 { GENESIS } else { hash(number) }
    }

    fn rewind(&mut self, number: u64) {
        let to = Head { number, hash: self.block_hash(number) };
        assert_eq!(self.writer.rewind(to), Ok(to));
        self.went_back(to);
    }

    fn went_back(&mut self, to: Head) {
        self.done.retain(|number, _| *number <= to.number);
        self.head = to;
    }

    fn erase(&mut self, number: u64, index: u32) {
        let done = self.done.get_mut(&number).filter(|done| !done.erased.contains(&index));
        let done = done.filter(|done| done.receipts.iter().any(|(other, _)| *other == index));
        assert_eq!(self.writer.erase_receipt(number, index).unwrap(), done.is_some());
        if let Some(done) = done {
            done.erased.push(index);
        }
    }

    /// Opens the store again, as a new process does.
    fn reopen(&mut self) {
        let PrivateStore { writer, reader } = open_private(self.kv.clone(), GENESIS).unwrap();
        self.writer = writer;
        self.reader = reader;
    }

    fn model_at(&self, number: u64) -> Model {
        let mut model = Model::default();
        self.done.range(..=number).for_each(|(_, done)| model.apply(&done.changes));
        model
    }

    /// Compares heads and roots, and what both ends show of every block, with what was done.
    fn check(&self) {
        assert_eq!((self.writer.head(), self.reader.head()), (self.head, self.head));
        assert_eq!(self.writer.root(), self.model_at(self.head.number).root());
        for number in 0..=self.head.number + 1 {
            self.check_block(number);
        }
        for number in 0..=u8::MAX {
            self.check_seen(number);
        }
        self.check_ours();
        let kept = (0..=self.head.number).any(|number| !self.reader.receipts(number).unwrap().is_empty());
        assert_eq!(self.reader.has_receipts().unwrap(), kept);
    }

    /// Compares the names of the payloads that ran or were read with what was done, all at once and page by page.
    fn check_ours(&self) {
        let is_ours = |payload: &PayloadHash| {
            let seen = self.reader.seen(payload).unwrap();
            seen.iter().any(|(.., fate)| matches!(fate, Fate::Executed | Fate::Read))
        };
        let expected: BTreeSet<_> = (0..=u8::MAX).map(payload).filter(is_ours).collect();
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.reader.payloads_of_ours(after.as_ref(), 2).unwrap();
            let Some(last) = page.last() else { break };
            after = Some(*last);
            found.extend(page);
        }
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    }

    fn check_block(&self, number: u64) {
        let done = self.done.get(&number).cloned().unwrap_or_default();
        let kept: Vec<_> =
            done.receipts.into_iter().filter(|(index, _)| !done.erased.contains(index)).collect();
        assert_eq!(self.reader.receipts(number).unwrap(), kept, "block {number}");
        for index in 0..4 {
            let found = kept.iter().find(|(other, _)| *other == index).map(|(_, receipt)| receipt.clone());
            assert_eq!(self.reader.receipt(number, index).unwrap(), found);
        }
        let mut logs = kept.iter().flat_map(|(_, receipt)| &receipt.logs).peekable();
        let bloom = logs.peek().is_some().then(|| alloy_primitives::logs_bloom(logs));
        assert_eq!(self.reader.bloom_at(number).unwrap(), bloom);
        let next = self.done.range(number..).next().map(|(number, _)| *number);
        assert_eq!(self.reader.next_block(number).unwrap(), next);
        match number <= self.head.number {
            true => assert_eq!(self.reader.root_at(number).unwrap(), self.model_at(number).root()),
            false => assert!(matches!(self.reader.root_at(number), Err(StoreError::NotAvailable { .. }))),
        }
        for contract in 0..=u8::MAX {
            let address = Address::repeat_byte(contract);
            let mut set = self.done.range(..=number).flat_map(|(_, done)| &done.contracts);
            let last = set.rfind(|(other, _)| *other == address).and_then(|(_, record)| record.clone());
            assert_eq!(self.reader.contract(&address, number).unwrap(), last, "block {number}");
        }
    }

    fn check_seen(&self, number: u8) {
        let mut expected = Vec::new();
        for (block, done) in &self.done {
            for (_, index, fate) in done.seen.iter().filter(|(other, ..)| *other == payload(number)) {
                let erased = done.erased.contains(index) && *fate != Fate::Read;
                let fate = if erased { Fate::Erased } else { *fate };
                expected.push((*block, *index, fate));
            }
        }
        assert_eq!(self.reader.seen(&payload(number)).unwrap(), expected);
        let first = expected.iter().find(|(.., fate)| *fate == Fate::NotOurs).map(|(block, ..)| *block);
        assert_eq!(self.reader.first_not_ours(&payload(number)).unwrap(), first);
    }

    /// Compares every past state that is kept with the model.
    fn check_states(&self) {
        let addresses: Vec<_> = (0..=crate::tests::states::ADDRESSES).map(crate::tests::address).collect();
        let slots: Vec<_> = (0..=crate::tests::states::SLOTS).map(U256::from).collect();
        for number in self.reader.oldest_state()..=self.head.number {
            self.model_at(number).check(&self.reader.state_at(number).unwrap(), &addresses, &slots);
        }
        self.model_at(self.head.number).check(&self.writer.state(), &addresses, &slots);
    }

    /// A store to which the same was done without a way back.
    fn replayed(&self, tuning: Tuning) -> MemoryKv {
        let kv = MemoryKv::with_tuning(tuning);
        let mut other = World::new(Arc::new(kv.clone()));
        for (number, done) in &self.done {
            if number - 1 > other.head.number {
                other.advance(number - 1 - other.head.number);
            }
            other.commit(Done { erased: Vec::new(), ..done.clone() });
            done.erased.iter().for_each(|index| other.erase(*number, *index));
        }
        if self.head.number > other.head.number {
            other.advance(self.head.number - other.head.number);
        }
        kv
    }
}

/// Any number of threads read; one writes.
#[test]
fn readers_are_shared_and_the_writer_moves() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    fn moves<T: Send + 'static>() {}
    shared::<PrivateReader>();
    moves::<PrivateWriter>();
}

/// All rows of a table.
pub(crate) fn rows(kv: &dyn Kv, table: Table) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    kv.scan(table, &[], &mut |key, row| rows.insert(key.to_vec(), row.to_vec()).is_none()).unwrap();
    rows
}

/// Whether two stores hold the same, byte for byte, but for trie nodes where these are held in memory for a while.
pub(crate) fn assert_same(left: &dyn Kv, right: &dyn Kv) {
    let lags = left.tuning().trie_lag_blocks > 0;
    for table in Table::PRIVATE {
        if lags && matches!(table, Table::AccountTrie | Table::StorageTrie) {
            continue;
        }
        let (mut left, mut right) = (rows(left, table), rows(right, table));
        if table == Table::Meta {
            // Says how far the trie nodes are written.
            left.remove(crate::tables::META_TRIE);
            right.remove(crate::tables::META_TRIE);
        }
        assert_eq!(left, right, "table {}", table.name());
    }
}

/// A store in memory that writes trie nodes with every block.
pub(crate) fn eager() -> Tuning {
    Tuning::default()
}
