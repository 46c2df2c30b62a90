//! Readers beside a writer that does not wait for them.

use super::states::{check_proof, limits};
use super::*;
use crate::{MemoryKv, StateAt, StoreOptions, open_rocks};
use std::sync::atomic::{AtomicBool, Ordering};

const ADDRESSES: u64 = 6;
const BLOCKS: u64 = 400;

/// Block `number` gives every account the nonce `number`, and slot 1 that value, except that one account in
/// turn is removed and its slot with it. So any state is known from its number alone.
fn block_changes(number: u64) -> StateChanges {
    let mut changes = StateChanges::default();
    for index in 0..ADDRESSES {
        let removed = number % ADDRESSES == index;
        match removed {
            true => drop(changes.accounts.insert(address(index), AccountChange::default())),
            false => changes.merge(change(index, number, &[(1, number)])),
        }
    }
    changes
}

fn check_state(state: &StateAt) {
    let number = state.number();
    for index in 0..ADDRESSES {
        let present = number > 0 && number % ADDRESSES != index;
        let expected = present.then(|| account(number, number * 10));
        assert_eq!(state.account(&address(index)).unwrap(), expected, "account {index} at {number}");
        let value = if present { U256::from(number) } else { U256::ZERO };
        assert_eq!(
            state.storage(&address(index), &U256::from(1)).unwrap(),
            value,
            "slot of {index} at {number}"
        );
    }
}

fn model_at(number: u64) -> Model {
    let mut model = Model::default();
    if number > 0 {
        model.apply(&block_changes(number));
    }
    model
}

fn read_while_writing(kv: Arc<dyn Kv>) {
    let mut chain = Chain::with_genesis(kv, StateChanges::default());
    let done = AtomicBool::new(false);
    let reader = chain.reader.clone();
    let begun: Vec<StateAt> = vec![reader.state_at(0).unwrap()];
    std::thread::scope(|scope| {
        let states = || {
            let mut held = begun.clone();
            while !done.load(Ordering::SeqCst) {
                let head = reader.head().number;
                for number in [head, head / 2, head.saturating_sub(1)] {
                    let state = reader.state_at(number).unwrap();
                    check_state(&state);
                    held.push(state);
                }
                held.iter().rev().step_by(held.len() / 3 + 1).for_each(check_state);
                held.truncate(30);
            }
        };
        let proofs = || {
            while !done.load(Ordering::SeqCst) {
                let head = reader.head().number;
                for number in [head, head.saturating_sub(1), head / 2] {
                    let (address, slots) = (address(head % ADDRESSES), [U256::from(1)]);
                    let proof = reader.proof(number, &address, &slots, &limits(usize::MAX)).unwrap();
                    check_proof(&proof, &model_at(number));
                }
            }
        };
        scope.spawn(states);
        scope.spawn(states);
        scope.spawn(proofs);
        let publisher = chain.writer.publisher();
        let (to_publish, published) = std::sync::mpsc::channel();
        scope.spawn(move || {
            for head in published {
                publisher.sync_and_publish(head).unwrap();
            }
        });
        for number in 1..=BLOCKS {
            chain.commit(&block_changes(number));
            check_state(&chain.writer.head_state());
            // Now and then two blocks are written before the first is shown.
            match number % 4 {
                0 => {}
                1 => drop(chain.writer.sync_and_publish().unwrap()),
                _ => to_publish.send(chain.writer.written()).unwrap(),
            }
        }
        drop(to_publish);
        chain.writer.sync_and_publish().unwrap();
        done.store(true, Ordering::SeqCst);
    });
}

#[test]
fn memory_readers_see_their_own_block_only() {
    read_while_writing(Arc::new(MemoryKv::new()));
}

#[test]
fn rocksdb_readers_see_their_own_block_only() {
    let directory = tempfile::tempdir().unwrap();
    read_while_writing(open_rocks(directory.path(), &StoreOptions::default()).unwrap());
}
