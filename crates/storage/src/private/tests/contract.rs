//! Contracts as a whole: read from one node, brought to another.

use super::*;
use crate::tables::slot_hash;
use crate::tests::{address, change};
use crate::{Brought, codec::FlatAccount};
use lonja_primitives::{Account, AccountChange, StateView};
use proptest::prelude::*;

const CODE: &[u8] = &[0x60, 0x01];

/// A contract with these slots.
fn contract(number: u64, slots: &[(u64, u64)]) -> StateChanges {
    let mut changes = change(number, 7, slots);
    let change = changes.accounts.get_mut(&address(number)).unwrap();
    change.account = change.account.map(|account| Account { code_hash: keccak256(CODE), ..account });
    changes.codes.insert(keccak256(CODE), CODE.into());
    changes
}

/// What brings a contract as it is elsewhere.
fn bring(address: Address, state: &ContractState) -> (StateChanges, Brought) {
    let change =
        AccountChange { account: Some(state.flat.account), storage_wiped: true, storage: BTreeMap::new() };
    let codes = BTreeMap::from([(state.flat.account.code_hash, state.code.clone())]);
    let changes = StateChanges { accounts: BTreeMap::from([(address, change)]), codes };
    (changes, BTreeMap::from([(address, state.slots.clone())]))
}

impl World {
    fn commit_brought(&mut self, changes: &StateChanges, brought: &Brought) {
        let number = self.head.number + 1;
        let prepared = self.writer.prepare_with(changes, brought).unwrap();
        let block = PrivateBlock {
            number,
            hash: hash(number),
            changes,
            prepared: &prepared,
            receipts: &[],
            contracts: &[],
            seen: &[],
        };
        self.writer.commit(&block).unwrap();
        self.head = Head { number, hash: hash(number) };
    }

    fn contract(&self, number: u64) -> ContractState {
        self.reader.contract_state(&address(number), 1_000).unwrap().unwrap()
    }
}

#[test]
fn a_contract_is_read_with_all_that_it_stores() {
    let mut world = World::new(Arc::new(MemoryKv::new()));
    world.commit(Done::with(contract(1, &[(1, 5), (9, 6)]), 20));
    world.commit(Done::with(change(2, 1, &[(1, 5)]), 21));
    let state = world.contract(1);
    assert_eq!((state.head, state.code.as_ref()), (world.head, CODE));
    let slots = [(1, 5), (9, 6)].map(|(slot, value)| (slot_hash(&U256::from(slot)), U256::from(value)));
    assert_eq!(state.slots, BTreeMap::from(slots));
    let flat = world.reader.state_at(2).unwrap().flat_account(&address(1)).unwrap();
    assert_eq!(Some(state.flat), flat);
    let plain = world.contract(2);
    assert_eq!((plain.code.len(), plain.slots.len()), (0, 1));
    assert_eq!(world.reader.contract_state(&address(3), 10), Ok(None));
    let some = |most| world.reader.contract_state(&address(1), most).unwrap().unwrap().slots.len();
    assert_eq!([some(0), some(1), some(2), some(3)], [1, 2, 2, 2]);
}

#[test]
fn a_brought_contract_is_as_where_it_came_from_and_goes_when_led_back() {
    for lag in [0, 64] {
        let tuning = Tuning { trie_lag_blocks: lag, trie_lag_bytes: 1 << 20, ..Tuning::default() };
        let mut from = World::new(Arc::new(MemoryKv::new()));
        from.commit(Done::with(contract(1, &[(1, 5), (9, 6), (4, 1)]), 20));
        let mut to = World::new(Arc::new(MemoryKv::with_tuning(tuning)));
        to.commit(Done::with(change(8, 1, &[(1, 1)]), 21));
        let (before, root) = (to.head, to.writer.root());
        let (changes, brought) = bring(address(1), &from.contract(1));
        to.commit_brought(&changes, &brought);
        assert_eq!(to.contract(1).flat, from.contract(1).flat);
        // It goes on like any other.
        for world in [&mut from, &mut to] {
            world.commit(Done::with(contract(1, &[(1, 0), (5, 5)]), 22));
        }
        assert_eq!(to.contract(1).slots, from.contract(1).slots);
        assert_eq!(to.contract(1).flat, from.contract(1).flat);
        let at = |number| to.reader.state_at(number).unwrap().storage(&address(1), &U256::from(1)).unwrap();
        assert_eq!([at(1), at(2), at(3)], [U256::ZERO, U256::from(5), U256::ZERO]);
        to.rewind(before.number);
        assert_eq!((to.writer.root(), to.reader.contract_state(&address(1), 9)), (root, Ok(None)));
    }
}

#[test]
fn a_second_one_takes_the_place_of_the_first() {
    let mut from = World::new(Arc::new(MemoryKv::new()));
    let mut to = World::new(Arc::new(MemoryKv::new()));
    from.commit(Done::with(contract(1, &[(1, 5), (9, 6)]), 20));
    let (changes, brought) = bring(address(1), &from.contract(1));
    to.commit_brought(&changes, &brought);
    from.commit(Done::with(contract(1, &[(1, 0), (2, 8), (9, 7)]), 21));
    let (changes, brought) = bring(address(1), &from.contract(1));
    to.commit_brought(&changes, &brought);
    assert_eq!(to.contract(1).slots, from.contract(1).slots);
    assert_eq!(to.writer.root(), from.writer.root());
    // The same again changes nothing.
    let rows = rows(&*to.kv, Table::SlotHistory).len();
    to.commit_brought(&changes, &brought);
    assert_eq!(self::rows(&*to.kv, Table::SlotHistory).len(), rows);
    assert_eq!(to.writer.root(), from.writer.root());
}

#[test]
fn slots_written_after_it_count_and_nothing_is_left_of_one_that_goes() {
    let mut from = World::new(Arc::new(MemoryKv::new()));
    from.commit(Done::with(contract(1, &[(1, 5), (9, 6)]), 20));
    let mut to = World::new(Arc::new(MemoryKv::new()));
    let (mut changes, brought) = bring(address(1), &from.contract(1));
    let slots = [(1, 0), (3, 4)].map(|(slot, value)| (U256::from(slot), U256::from(value)));
    changes.accounts.get_mut(&address(1)).unwrap().storage.extend(slots);
    to.commit_brought(&changes, &brought);
    from.commit(Done::with(contract(1, &[(1, 0), (3, 4)]), 21));
    assert_eq!(to.contract(1).slots, from.contract(1).slots);
    changes.accounts.get_mut(&address(1)).unwrap().account = None;
    to.commit_brought(&changes, &brought);
    assert_eq!(to.reader.contract_state(&address(1), 9), Ok(None));
    assert_eq!(to.kv.first_from(Table::Slots, &[], None), Ok(None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_was_there_before_makes_no_difference(
        theirs in prop::collection::btree_map(0u64..20, 1u64..9, 0..12),
        ours in prop::collection::btree_map(0u64..20, 1u64..9, 0..12),
    ) {
        let list = |slots: &BTreeMap<u64, u64>| slots.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>();
        let mut from = World::new(Arc::new(MemoryKv::new()));
        from.commit(Done::with(contract(1, &list(&theirs)), 20));
        let mut to = World::new(Arc::new(MemoryKv::new()));
        to.commit(Done::with(contract(1, &list(&ours)), 20));
        let (changes, brought) = bring(address(1), &from.contract(1));
        to.commit_brought(&changes, &brought);
        prop_assert_eq!(to.writer.root(), from.writer.root());
        let FlatAccount { storage_root, .. } = to.contract(1).flat;
        prop_assert_eq!(storage_root, from.contract(1).flat.storage_root);
        to.rewind(1);
        prop_assert_eq!(to.contract(1).slots.len(), ours.len());
    }
}
