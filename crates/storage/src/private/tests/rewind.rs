//! Leading the state back: to any block, from any block, through crashes.

use super::*;
use crate::kv::KvRead;
use crate::tests::states::{ADDRESSES, SLOTS, changes, tunings};
use crate::tests::{address, change};
use crate::{Batch, History};
use lonja_primitives::{StateError, StateView};
use parking_lot::Mutex;
use proptest::prelude::*;
use proptest::sample::Index;

fn done() -> impl Strategy<Value = Done> {
    let receipts = prop::collection::btree_map(0..4u32, (any::<u8>(), 0..3usize), 0..3);
    let contracts = prop::collection::vec((0..6u8, prop::option::weighted(0.8, any::<u8>())), 0..3);
    let seen = prop::collection::btree_map((0..4u32, 0..5u8), 0..3u8, 0..4);
    let codes = prop::collection::vec(0..4u8, 0..3);
    (changes(), receipts, contracts, seen, codes).prop_map(
        |(mut changes, receipts, contracts, seen, codes)| {
            for code in codes {
                let code = Bytes::from(vec![code; 3]);
                changes.codes.insert(keccak256(&code), code);
            }
            let receipts = receipts.into_iter().map(|(index, (number, logs))| (index, receipt(number, logs)));
            let contracts =
                contracts.into_iter().map(|(at, found)| (Address::repeat_byte(at), found.map(record)));
            let fates = [Fate::Executed, Fate::NotOurs, Fate::Erased];
            let seen =
                seen.into_iter().map(|((index, at), fate)| (payload(at), index, fates[usize::from(fate)]));
            let (receipts, contracts, seen) = (receipts.collect(), contracts.collect(), seen.collect());
            Done { changes, receipts, contracts, seen, ..Done::default() }
        },
    )
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Done),
    Advance(u64),
    Rewind(Index),
    Erase(Index, u32),
    Reopen,
    Wipe,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => done().prop_map(Step::Commit),
        3 => (1..5u64).prop_map(Step::Advance),
        3 => any::<Index>().prop_map(Step::Rewind),
        2 => (any::<Index>(), 0..4u32).prop_map(|(block, index)| Step::Erase(block, index)),
        2 => Just(Step::Reopen),
        1 => Just(Step::Wipe),
    ]
}

fn take(world: &mut World, step: Step) {
    let number = |index: Index| index.index(world.head.number as usize + 1) as u64;
    match step {
        Step::Commit(done) => world.commit(done),
        Step::Advance(blocks) => world.advance(blocks),
        Step::Rewind(index) => {
            let to = number(index);
            world.rewind(to);
        }
        Step::Erase(index, place) => {
            let block = number(index);
            world.erase(block, place);
        }
        Step::Reopen => world.reopen(),
        Step::Wipe => {
            let genesis = Head { number: 0, hash: GENESIS };
            assert_eq!(world.writer.wipe(), Ok(genesis));
            world.went_back(genesis);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Whatever way led to a state, the store is the same as one that went straight there, and so is its root.
    #[test]
    fn any_way_leads_to_the_same_store(steps in prop::collection::vec(step(), 1..24), tuning in tunings()) {
        let kv = Arc::new(MemoryKv::with_tuning(tuning));
        let mut world = World::new(kv.clone());
        for step in steps {
            take(&mut world, step);
            prop_assert_eq!(world.writer.root(), world.model_at(world.head.number).root());
        }
        world.check();
        world.check_states();
        assert_same(&*kv, &world.replayed(tuning));
        world.reopen();
        world.check();
        world.check_states();
    }

    /// Trie nodes too, where each block writes them.
    #[test]
    fn going_back_leaves_no_trie_nodes_behind(blocks in prop::collection::vec(done(), 1..12), to: Index) {
        let kv = Arc::new(MemoryKv::with_tuning(eager()));
        let mut world = World::new(kv.clone());
        blocks.into_iter().for_each(|done| world.commit(done));
        let to = to.index(world.head.number as usize + 1) as u64;
        world.rewind(to);
        assert_same(&*kv, &world.replayed(eager()));
    }
}

/// A world of `blocks` blocks, some of them empty, that share accounts and slots.
fn long_world(kv: Arc<dyn Kv>, blocks: u64) -> World {
    let mut world = World::new(kv);
    for number in 1..=blocks {
        match number % 5 {
            0 => world.advance(1),
            _ => {
                let slots: Vec<_> = (0..4).map(|slot| ((slot * number) % SLOTS, number % 3)).collect();
                world.commit(Done::with(change(number % ADDRESSES, number, &slots), number as u8));
            }
        }
    }
    world
}

#[test]
fn every_block_can_be_gone_back_to_in_many_steps() {
    for to in 0..=40 {
        let kv = Arc::new(MemoryKv::new());
        let mut world = long_world(kv.clone(), 40);
        world.rewind(to);
        world.check();
        world.check_states();
        assert_same(&*kv, &world.replayed(kv.tuning()));
    }
}

#[test]
fn wrong_blocks_to_go_back_to_are_refused_and_nothing_is_done() {
    let kv = Arc::new(MemoryKv::new());
    let mut world = long_world(kv.clone(), 8);
    let before = kv.fork();
    for (number, hash) in [(9, hash(9)), (8, hash(7)), (7, hash(6))] {
        let answer = world.writer.rewind(Head { number, hash });
        assert!(matches!(answer, Err(StoreError::OutOfOrder(_))), "{answer:?}");
    }
    assert_same(&*kv, &before);
    let head = world.head;
    assert_eq!(world.writer.rewind(head), Ok(head));
    world.check();
    world.commit(Done::with(change(1, 99, &[]), 99));
    world.check();
}

#[test]
fn states_from_before_are_not_answered_any_more() {
    let mut world = long_world(Arc::new(MemoryKv::new()), 10);
    let code = B256::repeat_byte(7);
    let older = [world.reader.state_at(9).unwrap(), world.reader.state_at(2).unwrap(), world.writer.state()];
    let prepared = world.writer.prepare(&change(1, 5, &[])).unwrap();
    world.rewind(4);
    for state in older {
        let refused = |error: StateError| error.to_string().contains("led back");
        assert!(state.account(&address(1)).is_err_and(refused));
        assert!(state.storage(&address(1), &U256::ZERO).is_err_and(refused));
        assert!(state.code(&code).is_err_and(refused));
    }
    let stale = PrivateBlock {
        number: 5,
        hash: hash(5),
        changes: &change(1, 5, &[]),
        prepared: &prepared,
        receipts: &[],
        contracts: &[],
        seen: &[],
    };
    assert!(matches!(world.writer.commit(&stale), Err(StoreError::OutOfOrder(_))));
    assert!(matches!(world.reader.state_at(5), Err(StoreError::NotAvailable { number: 5, oldest: 0 })));
    world.check();
    world.check_states();
}

/// Lets so many writes through, and fails then.
struct Dying {
    kv: MemoryKv,
    left: Mutex<usize>,
}

type Entry = Option<(Vec<u8>, Vec<u8>)>;

impl KvRead for Dying {
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

impl Kv for Dying {
    fn snapshot(&self) -> Box<dyn KvRead + '_> {
        self.kv.snapshot()
    }
    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        let mut left = self.left.lock();
        *left = left.checked_sub(1).ok_or_else(|| StoreError::Unavailable("killed".to_owned()))?;
        self.kv.write(batch)
    }
    fn sync(&self) -> Result<(), StoreError> {
        self.kv.sync()
    }
    fn forget_history(&self, up_to: u64) {
        self.kv.forget_history(up_to);
    }
    fn scrub(&self) -> Result<(), StoreError> {
        self.kv.scrub()
    }
    fn tuning(&self) -> Tuning {
        self.kv.tuning()
    }
}

/// Goes back to `to` and dies after so many writes; whether it got there.
fn go_back_and_die(to: u64, writes: usize, power_cut: bool) -> bool {
    let kv = MemoryKv::new();
    let dying = Arc::new(Dying { kv: kv.clone(), left: Mutex::new(usize::MAX) });
    let mut world = long_world(dying.clone(), 24);
    world.writer.sync().unwrap();
    *dying.left.lock() = writes;
    let target = Head { number: to, hash: world.block_hash(to) };
    let survived = world.writer.rewind(target).is_ok();
    if !survived {
        assert!(matches!(world.writer.advance(25, hash(25)), Err(StoreError::Unavailable(_))));
        assert!(
            matches!(world.reader.receipts(1), Err(StoreError::Unavailable(_))),
            "nothing in between is shown"
        );
    }
    if power_cut {
        kv.crash();
    }
    world.kv = Arc::new(kv.clone());
    world.reopen();
    match power_cut && !survived && world.writer.head() == world.head {
        true => {}
        false => world.went_back(target),
    }
    world.check();
    world.check_states();
    assert_same(&kv, &world.replayed(kv.tuning()));
    survived
}

#[test]
fn a_way_back_that_is_cut_off_anywhere_is_gone_to_its_end() {
    for power_cut in [false, true] {
        for to in [0, 6, 17] {
            let mut writes = 1;
            while !go_back_and_die(to, writes, power_cut) {
                writes += 1;
            }
            assert!(writes > 2, "only {writes} writes");
        }
    }
}

/// Before the first write nothing has begun.
#[test]
fn a_way_back_that_never_began_is_not_gone() {
    let kv = MemoryKv::new();
    let dying = Arc::new(Dying { kv: kv.clone(), left: Mutex::new(usize::MAX) });
    let mut world = long_world(dying.clone(), 10);
    *dying.left.lock() = 0;
    assert!(world.writer.rewind(Head { number: 3, hash: hash(3) }).is_err());
    world.kv = Arc::new(kv);
    world.reopen();
    world.check();
    world.check_states();
}

/// A late payload: back before the block where it was missed, and the blocks once more with it.
#[test]
fn blocks_are_executed_again_with_what_was_missing() {
    let kv = Arc::new(MemoryKv::with_tuning(Tuning { history: History::Archive, ..eager() }));
    let mut world = World::new(kv.clone());
    world.commit(Done::with(change(1, 1, &[(1, 1)]), 1));
    world.commit(Done { seen: vec![(payload(9), 3, Fate::NotOurs)], ..Done::default() });
    world.commit(Done::with(change(1, 2, &[(1, 2)]), 2));
    let first = world.reader.first_not_ours(&payload(9)).unwrap().unwrap();
    world.rewind(first - 1);
    let seen = vec![(payload(9), 3, Fate::Executed)];
    world.commit(Done { changes: change(5, 1, &[(7, 7)]), seen, ..Done::default() });
    world.commit(Done::with(change(1, 2, &[(1, 2)]), 2));
    world.check();
    world.check_states();
    assert_same(&*kv, &world.replayed(eager()));
    assert_eq!(world.reader.first_not_ours(&payload(9)), Ok(None));
}
