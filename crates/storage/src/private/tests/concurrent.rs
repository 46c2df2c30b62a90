//! Readers beside the writer: whatever they are answered is of one state.

use super::*;
use crate::tests::{address, change};
use lonja_primitives::StateView;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Every block sets all accounts to the same number, which no other block ever sets.
fn all_the_same(tag: u64) -> StateChanges {
    let mut changes = StateChanges::default();
    (0..6).for_each(|account| changes.merge(change(account, tag, &[(1, tag)])));
    changes
}

fn numbers(reader: &PrivateReader) -> Result<Vec<u64>, StoreError> {
    let state = reader.state_at(reader.head().number)?;
    let mut numbers = Vec::new();
    for account in 0..6 {
        let Some(found) = state.flat_account(&address(account))? else { continue };
        numbers.push(found.account.nonce);
        let slot = state.storage(&address(account), &U256::from(1));
        numbers.push(slot.map_err(|error| StoreError::Busy(error.to_string()))?.to());
    }
    Ok(numbers)
}

#[test]
fn readers_see_one_state_or_are_told_to_try_again() {
    let mut world = World::new(Arc::new(MemoryKv::new()));
    let done = AtomicBool::new(false);
    let answered = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let reader = world.reader.clone();
            let (done, answered) = (&done, &answered);
            scope.spawn(move || {
                while !done.load(Ordering::SeqCst) {
                    match numbers(&reader) {
                        Ok(numbers) => {
                            assert!(numbers.windows(2).all(|pair| pair[0] == pair[1]), "{numbers:?}");
                            answered.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(error) => assert!(!error.is_halt(), "{error}"),
                    }
                    let from = reader.head().number;
                    match reader.receipts(from) {
                        Ok(receipts) => assert!(receipts.len() <= 1),
                        Err(error) => assert!(!error.is_halt(), "{error}"),
                    }
                }
            });
        }
        let mut tag = 1;
        while tag < 400 || answered.load(Ordering::SeqCst) < 20 {
            tag += 1;
            world.commit(Done::with(all_the_same(tag), tag as u8));
            if tag % 7 == 0 {
                let to = world.head.number.saturating_sub(tag % 12 + 1);
                world.rewind(to);
            }
        }
        done.store(true, Ordering::SeqCst);
    });
    world.check_states();
}
