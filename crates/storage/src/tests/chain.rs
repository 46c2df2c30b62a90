//! Blocks in and out, refusals, reopening, pruning.

use super::*;
use crate::tables::{META_FORMAT, META_HEAD};
use crate::{Batch, History, KvRead, MemoryKv, RocksKv, StoreOptions, Table, Tuning, open_rocks};
use lonja_primitives::StateError;

fn memory() -> Arc<MemoryKv> {
    Arc::new(MemoryKv::new())
}

fn delete(kv: &dyn Kv, table: Table, key: &[u8]) {
    let mut batch = Batch::default();
    batch.delete(table, key);
    kv.write(batch).unwrap();
}

#[test]
fn committed_blocks_are_seen_once_published() {
    let mut chain = Chain::new(memory());
    chain.check_blocks();
    chain.commit(&change(1, 1, &[]));
    chain.check_blocks();
    assert_eq!(chain.reader.head().number, 0);
    assert_eq!(chain.writer.written().number, 1);
    chain.commit(&change(2, 1, &[(1, 5)]));
    let head = chain.writer.sync_and_publish().unwrap();
    assert_eq!((head, head.number), (chain.reader.head(), 2));
    chain.check_blocks();
    assert_eq!(chain.reader.block(3).unwrap(), None);
    assert_eq!(chain.reader.number_of(&B256::ZERO).unwrap(), None);
    assert_eq!(chain.reader.transaction_location(&B256::ZERO).unwrap(), None);
    assert!(matches!(chain.reader.state_at(3), Err(StoreError::NotAvailable { number: 3, oldest: 0 })));
}

/// The disk may be busy with one block while the next is written; the head never goes back.
#[test]
fn publishing_beside_the_writer() {
    let mut chain = Chain::new(memory());
    let publisher = chain.writer.publisher();
    chain.commit(&change(1, 1, &[]));
    let first = chain.writer.written();
    chain.commit(&change(1, 2, &[]));
    assert_eq!(publisher.sync_and_publish(first), Ok(first));
    chain.check_blocks();
    assert_eq!(chain.reader.head().number, 1);
    let second = chain.writer.sync_and_publish().unwrap();
    assert_eq!(publisher.sync_and_publish(first), Ok(second));
    chain.check_blocks();
}

#[test]
fn block_hashes_up_to_the_states_own_block() {
    let mut chain = Chain::new(memory());
    chain.commit_and_publish(&change(1, 1, &[]));
    chain.commit_and_publish(&change(1, 2, &[]));
    let state = chain.reader.state_at(1).unwrap();
    for number in 0..=1u64 {
        let hash = chain.blocks[number as usize].header.hash_slow();
        assert_eq!(state.block_hash(number).unwrap(), hash);
    }
    assert_eq!(state.block_hash(2).unwrap(), B256::ZERO);
    assert_eq!(chain.writer.head_state().number(), 2);
}

#[test]
fn codes_are_kept_by_hash() {
    let mut chain = Chain::new(memory());
    let code = Bytes::from_static(&[0x60, 0x00]);
    let hash = keccak256(&code);
    let mut changes = change(1, 1, &[]);
    changes.codes.insert(hash, code.clone());
    changes.accounts.get_mut(&address(1)).unwrap().account.as_mut().unwrap().code_hash = hash;
    chain.commit_and_publish(&changes);
    let state = chain.reader.state_at(1).unwrap();
    assert_eq!(state.account(&address(1)).unwrap().unwrap().code_hash, hash);
    assert_eq!(state.code(&hash).unwrap(), code);
    assert_eq!(state.code(&alloy_primitives::KECCAK256_EMPTY).unwrap(), Bytes::new());
    assert!(matches!(state.code(&B256::ZERO), Err(StateError::Store(_))));
}

#[test]
fn vote_snapshots_are_stored_where_they_change() {
    let kv = memory();
    let mut chain = Chain::new(kv.clone());
    for (number, votes) in [b"a", b"a", b"b", b"b", b"a"].into_iter().enumerate() {
        let changes = change(1, number as u64 + 1, &[]);
        let block = chain.next_block(&changes);
        chain.try_commit(&block, &changes, votes).unwrap();
        chain.model.apply(&changes);
        chain.past.push(chain.model.clone());
        chain.blocks.push(block);
    }
    assert_eq!(chain.reader.votes(1).unwrap(), None, "not published yet");
    chain.writer.sync_and_publish().unwrap();
    let votes: Vec<_> = (0..=6).map(|number| chain.reader.votes(number).unwrap()).collect();
    let some = |text: &[u8]| Some(text.to_vec());
    assert_eq!(votes, [None, some(b"a"), some(b"a"), some(b"b"), some(b"b"), some(b"a"), None]);
    assert_eq!(kv.len(Table::Votes), 3);
    chain.reopen();
    let changes = change(1, 9, &[]);
    let block = chain.next_block(&changes);
    chain.try_commit(&block, &changes, b"a").unwrap();
    assert_eq!(kv.len(Table::Votes), 3, "the newest snapshot is known after reopening");
}

#[test]
fn what_does_not_follow_the_head_is_refused_and_nothing_is_written() {
    let mut chain = Chain::new(memory());
    chain.commit_and_publish(&change(1, 1, &[]));
    let changes = change(1, 2, &[]);
    let good = chain.next_block(&changes);
    let stale = chain.writer.prepare(&changes).unwrap();
    let wrong_number = Block { header: Header { number: 3, ..good.header.clone() }, ..good.clone() };
    let wrong_parent =
        Block { header: Header { parent_hash: B256::ZERO, ..good.header.clone() }, ..good.clone() };
    for block in [&wrong_number, &wrong_parent] {
        let error = chain.try_commit(block, &changes, b"").unwrap_err();
        assert!(matches!(error, StoreError::OutOfOrder(_)) && error.is_halt());
    }
    let commit = |block, prepared, senders| BlockCommit {
        block,
        hash: B256::repeat_byte(9),
        transaction_hashes: &[B256::ZERO],
        senders,
        receipts: const { &[Receipt { tx_type: 0, success: true, cumulative_gas_used: 0, logs: vec![] }] },
        changes: &changes,
        prepared,
        votes: b"",
    };
    let sender = [Address::ZERO];
    let other_root =
        Block { header: Header { state_root: B256::ZERO, ..good.header.clone() }, ..good.clone() };
    assert!(matches!(
        chain.writer.commit(&commit(&other_root, &stale, &sender)),
        Err(StoreError::OutOfOrder(_))
    ));
    assert!(matches!(chain.writer.commit(&commit(&good, &stale, &[])), Err(StoreError::OutOfOrder(_))));
    assert_eq!(chain.writer.written().number, 1);
    chain.commit_and_publish(&change(1, 5, &[]));
    let mut late = chain.next_block(&changes);
    late.header.state_root = stale.root;
    assert!(matches!(chain.writer.commit(&commit(&late, &stale, &sender)), Err(StoreError::OutOfOrder(_))));
    chain.check_blocks();
}

#[test]
fn a_store_of_another_network_or_format_is_refused() {
    let kv = memory();
    let chain = Chain::new(kv.clone());
    let other = SealedHeader::new_unchecked(chain.genesis.header().clone(), B256::repeat_byte(7));
    let error = open_chain(kv.clone(), &other, &chain.genesis_state).err().unwrap();
    let expected = StoreError::WrongGenesis { found: chain.genesis.hash(), expected: other.hash() };
    assert_eq!(error, expected);
    assert!(error.to_string().contains(&chain.genesis.hash().to_string()));
    let mut batch = Batch::default();
    batch.put(Table::Meta, META_FORMAT, 99u32.to_be_bytes());
    kv.write(batch).unwrap();
    let error = open_chain(kv, &chain.genesis, &chain.genesis_state).err().unwrap();
    assert_eq!(error, StoreError::WrongVersion { found: 99, expected: crate::tables::FORMAT_VERSION });
}

#[test]
fn block_0_must_have_the_root_of_its_accounts() {
    let header = Header { state_root: B256::ZERO, ..Header::default() };
    let genesis = SealedHeader::new_unchecked(header, B256::ZERO);
    let kv = memory();
    let error = open_chain(kv.clone(), &genesis, &change(1, 1, &[])).err().unwrap();
    assert!(matches!(error, StoreError::OutOfOrder(_)));
    assert!(kv.is_empty(Table::Meta));
}

#[test]
fn damage_is_found_when_opening() {
    let number = 2u64.to_be_bytes();
    let cases: [(Table, &[u8]); 8] = [
        (Table::Meta, META_FORMAT),
        (Table::Meta, META_HEAD),
        (Table::Headers, &number),
        (Table::Headers, &1u64.to_be_bytes()),
        (Table::Bodies, &number),
        (Table::Receipts, &number),
        (Table::AccountTrie, &[]),
        (Table::Touched, &number),
    ];
    for (table, key) in cases {
        // Without lag, so that there is a stored branch to lose.
        let lag = if table == Table::AccountTrie { Tuning::default() } else { memory().tuning() };
        let kv = Arc::new(MemoryKv::with_tuning(lag));
        let mut chain = Chain::new(kv.clone());
        chain.commit_and_publish(&change(1, 1, &[]));
        chain.commit_and_publish(&change(2, 1, &[]));
        delete(&*kv, table, key);
        let error = open_chain(kv, &chain.genesis, &chain.genesis_state).err();
        assert!(matches!(error, Some(StoreError::Damaged(_))), "{table:?} {error:?}");
    }
}

#[test]
fn a_missing_block_is_damage_and_not_an_unknown_block() {
    let kv = memory();
    let mut chain = Chain::new(kv.clone());
    chain.commit_and_publish(&change(1, 1, &[]));
    for table in [Table::Headers, Table::Bodies, Table::Receipts] {
        delete(&*kv, table, &1u64.to_be_bytes());
    }
    assert!(matches!(chain.reader.block(1), Err(StoreError::Damaged(_))));
    assert!(matches!(chain.reader.senders(1), Err(StoreError::Damaged(_))));
    assert!(matches!(chain.reader.receipts(1), Err(StoreError::Damaged(_))));
}

/// A store that refuses writes and syncs when told.
struct Failing {
    kv: MemoryKv,
    fails: std::sync::atomic::AtomicBool,
}

impl Failing {
    fn answer(&self) -> Result<(), StoreError> {
        match self.fails.load(std::sync::atomic::Ordering::SeqCst) {
            true => Err(StoreError::Unavailable("no space left".to_owned())),
            false => Ok(()),
        }
    }
}

type Entry = Option<(Vec<u8>, Vec<u8>)>;

impl KvRead for Failing {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.kv.get(table, key)
    }
    fn first_from(&self, table: Table, from: &[u8], until: Option<&[u8]>) -> Result<Entry, StoreError> {
        self.kv.first_from(table, from, until)
    }
    fn last_at(&self, table: Table, at: &[u8]) -> Result<Entry, StoreError> {
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

impl Kv for Failing {
    fn snapshot(&self) -> Box<dyn KvRead + '_> {
        self.kv.snapshot()
    }
    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        self.answer().and_then(|()| self.kv.write(batch))
    }
    fn sync(&self) -> Result<(), StoreError> {
        self.answer().and_then(|()| self.kv.sync())
    }
    fn forget_history(&self, up_to: u64) {
        self.kv.forget_history(up_to);
    }
    fn scrub(&self) -> Result<(), StoreError> {
        self.answer().and_then(|()| self.kv.scrub())
    }
    fn tuning(&self) -> Tuning {
        self.kv.tuning()
    }
}

#[test]
fn after_a_failed_write_or_sync_nothing_more_is_accepted() {
    for fail_at_sync in [false, true] {
        let kv = Arc::new(Failing { kv: MemoryKv::new(), fails: false.into() });
        let mut chain = Chain::new(kv.clone());
        chain.commit_and_publish(&change(1, 1, &[]));
        let changes = change(1, 2, &[]);
        let block = chain.next_block(&changes);
        if fail_at_sync {
            chain.try_commit(&block, &changes, b"").unwrap();
        }
        kv.fails.store(true, std::sync::atomic::Ordering::SeqCst);
        match fail_at_sync {
            true => assert!(chain.writer.sync_and_publish().is_err()),
            false => assert!(chain.try_commit(&block, &changes, b"").is_err()),
        }
        kv.fails.store(false, std::sync::atomic::Ordering::SeqCst);
        assert!(chain.writer.sync_and_publish().is_err());
        assert!(chain.writer.publisher().sync_and_publish(chain.writer.written()).is_err());
        assert!(chain.try_commit(&block, &changes, b"").is_err());
        assert_eq!(chain.reader.head().number, 1, "nothing is published");
        chain.past[1].check(&chain.reader.state_at(1).unwrap(), &[address(1)], &[]);
    }
}

#[test]
fn rocksdb_round_trip_with_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions::default();
    let mut chain = Chain::new(open_rocks(directory.path(), &options).unwrap());
    for number in 1..=20 {
        chain.commit_and_publish(&change(number % 5, number, &[(number % 3, number), (number % 7, 0)]));
    }
    // Written and not synced: a killed process keeps it.
    chain.commit(&change(3, 77, &[(1, 1)]));
    let Chain { genesis, genesis_state, kv, writer, reader, model, past, blocks } = chain;
    drop((kv, writer, reader));
    let kv = open_rocks(directory.path(), &options).unwrap();
    let Opened { writer, reader, .. } = open_chain(kv.clone(), &genesis, &genesis_state).unwrap();
    let mut chain = Chain { genesis, genesis_state, kv, writer, reader, model, past, blocks };
    assert_eq!(chain.reader.head().number, 21);
    chain.check_blocks();
    chain.commit_and_publish(&change(4, 78, &[(2, 2)]));
    let addresses: Vec<_> = (0..6).map(address).collect();
    let slots: Vec<_> = (0..8).map(U256::from).collect();
    for (number, model) in (0..).zip(&chain.past) {
        model.check(&chain.reader.state_at(number).unwrap(), &addresses, &slots);
    }
}

#[test]
fn pruned_states_are_refused_and_the_others_stay_right() {
    let last = |count| Tuning { history: History::Last(count), ..Tuning::default() };
    let kv = Arc::new(MemoryKv::with_tuning(last(3)));
    let mut chain = Chain::new(kv.clone());
    let old = chain.reader.state_at(0).unwrap();
    for number in 1..=10 {
        chain.commit_and_publish(&change(number % 2, number, &[(1, number)]));
    }
    let refused = |chain: &Chain| -> Vec<u64> {
        (0..=10).filter(|number| chain.reader.state_at(*number).is_err()).collect()
    };
    assert_eq!(refused(&chain), (0..7).collect::<Vec<_>>());
    assert_eq!(chain.reader.oldest_state(), 7);
    assert_eq!(old.account(&address(0)), Err(StateError::NotAvailable { number: 0, oldest: 7 }));
    assert_eq!(kv.len(Table::AccountHistory), 3);
    for number in 7..=10 {
        let state = chain.reader.state_at(number).unwrap();
        chain.past[number as usize].check(&state, &[address(0), address(1)], &[U256::from(1)]);
    }
    chain.reopen();
    assert_eq!(refused(&chain), (0..7).collect::<Vec<_>>());
    chain.check_blocks();
}

#[test]
fn an_archive_after_pruning_keeps_from_then_on() {
    let directory = tempfile::tempdir().unwrap();
    let options = |history| StoreOptions { history, ..StoreOptions::default() };
    let kv = RocksKv::open(directory.path(), &options(History::Last(2))).unwrap();
    let mut chain = Chain::new(Arc::new(kv));
    for number in 1..=6 {
        chain.commit_and_publish(&change(1, number, &[]));
    }
    let Chain { genesis, genesis_state, kv, writer, reader, model, past, blocks } = chain;
    drop((kv, writer, reader));
    let kv = open_rocks(directory.path(), &options(History::Archive)).unwrap();
    let Opened { writer, reader, .. } = open_chain(kv.clone(), &genesis, &genesis_state).unwrap();
    let mut chain = Chain { genesis, genesis_state, kv, writer, reader, model, past, blocks };
    for number in 7..=9 {
        chain.commit_and_publish(&change(1, number, &[]));
    }
    assert_eq!(chain.reader.oldest_state(), 4);
    for number in 4..=9 {
        chain.past[number as usize].check(&chain.reader.state_at(number).unwrap(), &[address(1)], &[]);
    }
}
