//! Work beside the chain's: room is given back, and the state is compared with its root in pieces.

use super::*;
use crate::tables::{account_key, slot_hash, slot_key};
use crate::{Batch, History, KvRead, MemoryKv, Position, RocksKv, StoreOptions, Table, Upkeep};
use std::ops::ControlFlow;

/// Compares everything in slices of so many rows; answers accounts and slots.
fn compare_all(chain: &Chain, rows: u64) -> Result<(u64, u64), StoreError> {
    let upkeep = Upkeep::new(chain.reader.clone());
    let (mut accounts, mut slots) = (0, 0);
    let mut at = Some(Position::default());
    while let Some(from) = at {
        let (block, slice) = upkeep.compare(&from, rows)?;
        assert_eq!(block, chain.writer.written().number);
        accounts += slice.accounts;
        slots += slice.slots;
        at = slice.next;
    }
    Ok((accounts, slots))
}

/// 200 accounts; one has 300 slots, some have a few.
fn chain() -> (Chain, MemoryKv) {
    let kv = MemoryKv::new();
    let mut chain = Chain::new(Arc::new(kv.clone()));
    for number in 1..200 {
        let slots: Vec<_> = match number {
            77 => (1..=300).map(|slot| (slot, slot)).collect(),
            _ if number % 10 == 0 => vec![(1, number), (2, number)],
            _ => vec![],
        };
        chain.commit_and_publish(&change(number, number, &slots));
    }
    (chain, kv)
}

#[test]
fn a_sound_state_is_compared_in_slices_of_any_size() {
    let (chain, _) = chain();
    for rows in [1, 2, 7, 64, 100_000] {
        // An account whose slots do not fit a slice may be met twice, never less than once.
        assert_eq!(compare_all(&chain, rows).unwrap(), (200, 1 + 19 * 2 + 300), "{rows} rows");
    }
}

#[test]
fn the_state_may_change_between_slices() {
    let (mut chain, _) = chain();
    let upkeep = Upkeep::new(chain.reader.clone());
    let mut at = Some(Position::default());
    let mut nonce = 1_000;
    while let Some(from) = at {
        at = upkeep.compare(&from, 16).unwrap().1.next;
        nonce += 1;
        chain.commit_and_publish(&change(77, nonce, &[(nonce % 300, nonce), (nonce % 7, 0)]));
        let gone = BTreeMap::from([(address(nonce % 190 + 80), AccountChange::default())]);
        chain.commit_and_publish(&StateChanges { accounts: gone, ..Default::default() });
    }
}

#[test]
fn a_row_changed_behind_the_back_is_found() {
    let slot =
        |account: u64, slot: u64| slot_key(&account_key(&address(account)), &slot_hash(&U256::from(slot)));
    let other = account_key(&address(5_000));
    let faults: Vec<(Table, Vec<u8>, Option<Vec<u8>>)> = vec![
        (Table::Accounts, account_key(&address(3)).to_vec(), None),
        (Table::Accounts, other.to_vec(), Some(vec![0, 1, 1, 1, 1])),
        (Table::Slots, slot(77, 250).to_vec(), Some(vec![9])),
        (Table::Slots, slot(77, 251).to_vec(), None),
        (Table::Slots, slot(77, 301).to_vec(), Some(vec![9])),
        (Table::Slots, slot(3, 1).to_vec(), Some(vec![9])),
        (Table::Slots, slot_key(&other, &other).to_vec(), Some(vec![9])),
    ];
    for (table, key, value) in faults {
        for rows in [5, 100_000] {
            let (chain, kv) = chain();
            let mut batch = Batch::default();
            match value.clone() {
                Some(value) => batch.put(table, key.clone(), value),
                None => batch.delete(table, key.clone()),
            }
            kv.write(batch).unwrap();
            let error = compare_all(&chain, rows).unwrap_err();
            assert!(error.is_halt() && matches!(error, StoreError::Damaged(_)), "{table:?} {error}");
        }
    }
    let (chain, kv) = chain();
    let account = account_key(&address(9));
    let mut bytes = kv.get(Table::Accounts, account.as_slice()).unwrap().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let mut batch = Batch::default();
    batch.put(Table::Accounts, *account, bytes);
    kv.write(batch).unwrap();
    assert!(matches!(compare_all(&chain, 64), Err(StoreError::Damaged(_))));
}

fn rows(kv: &dyn KvRead, table: Table) -> usize {
    let mut count = 0;
    kv.scan(table, &[], &mut |_, _| {
        count += 1;
        true
    })
    .unwrap();
    count
}

/// Opens the chain in a directory with another history.
fn open_with(directory: &std::path::Path, history: History, chain: Option<Chain>) -> (Chain, Arc<RocksKv>) {
    let known = chain.map(|chain| {
        let Chain { genesis, genesis_state, kv, writer, reader, model, past, blocks } = chain;
        drop((kv, writer, reader));
        (genesis, genesis_state, model, past, blocks)
    });
    let options = StoreOptions { history, ..StoreOptions::default() };
    let kv = Arc::new(RocksKv::open(directory, &options).unwrap());
    let Some((genesis, genesis_state, model, past, blocks)) = known else {
        return (Chain::new(kv.clone()), kv);
    };
    let Opened { writer, reader, .. } = open_chain(kv.clone(), &genesis, &genesis_state).unwrap();
    (Chain { genesis, genesis_state, kv: kv.clone(), writer, reader, model, past, blocks }, kv)
}

#[test]
fn an_archive_that_keeps_less_from_now_on_gives_the_room_back() {
    let directory = tempfile::tempdir().unwrap();
    let (mut chain, kv) = open_with(directory.path(), History::Archive, None);
    for number in 1..=400 {
        chain.commit_and_publish(&change(number % 7, number, &[(number % 5, number)]));
    }
    assert!(!Upkeep::new(chain.reader.clone()).has_room_to_give().unwrap(), "an archive drops nothing");
    drop(kv);

    let (mut chain, kv) = open_with(directory.path(), History::Last(150), Some(chain));
    assert_eq!(chain.reader.oldest_state(), 250, "at once");
    let error = chain.reader.state_at(249).err().unwrap();
    assert_eq!(error, StoreError::NotAvailable { number: 249, oldest: 250 });
    assert!(error.to_string().contains("the states of block 250 and later"));
    // The trie is some blocks older, and a restart needs what was touched since: not all can go yet.
    for number in 401..=480 {
        chain.commit_and_publish(&change(number % 7, number, &[(number % 5, number)]));
    }
    let upkeep = Upkeep::new(chain.reader.clone());
    assert!(upkeep.has_room_to_give().unwrap());
    assert_eq!(rows(&*kv, Table::Touched), 480);
    upkeep.give_room(&mut |_, _| ControlFlow::Break(())).unwrap();
    assert!(upkeep.has_room_to_give().unwrap(), "stopped, so it is still due");
    let mut reports = Vec::new();
    upkeep
        .give_room(&mut |done, of| {
            reports.push((done, of));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(reports, [(0, 1)]);
    assert!(!upkeep.has_room_to_give().unwrap());
    for table in [Table::Touched, Table::AccountHistory, Table::SlotHistory] {
        assert_eq!(rows(&*kv, table), 150, "{table:?}");
    }
    let addresses: Vec<_> = (0..7).map(address).collect();
    let slots: Vec<_> = (0..5).map(U256::from).collect();
    for number in 330..=480 {
        chain.past[number].check(&chain.reader.state_at(number as u64).unwrap(), &addresses, &slots);
    }
    drop((kv, upkeep));

    let (chain, _) = open_with(directory.path(), History::Archive, Some(chain));
    assert_eq!(chain.reader.oldest_state(), 330, "what was dropped stays dropped");
}

#[test]
fn histories_as_text() {
    assert_eq!("archive".parse(), Ok(History::Archive));
    assert_eq!("128".parse(), Ok(History::Last(128)));
    assert_eq!(
        (History::Archive.to_string(), History::Last(1_000).to_string()),
        ("archive".into(), "1000".into())
    );
    assert!("127".parse::<History>().unwrap_err().contains("128 at least"));
    assert!("all".parse::<History>().unwrap_err().contains("neither"));
    assert!("-1".parse::<History>().is_err() && "".parse::<History>().is_err());
}
