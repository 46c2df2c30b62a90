//! Power cuts between any two steps.

use super::*;
use crate::{MemoryKv, Table};

/// Runs commits with a sync after each `sync_every`-th, cuts the power after `steps` steps, and expects the
/// head of the last sync with all that belongs to it.
fn cut_after(steps: usize, sync_every: u64) {
    let kv = Arc::new(MemoryKv::new());
    let mut chain = Chain::new(kv.clone());
    let mut durable = 0;
    let mut done = 0;
    'run: for number in 1.. {
        for sync in [false, true] {
            if done == steps {
                break 'run;
            }
            done += 1;
            if !sync {
                chain.commit(&change(number % 4, number, &[(number % 3, number), (number % 5, 0)]));
            } else if number % sync_every == 0 {
                durable = chain.writer.sync_and_publish().unwrap().number;
            }
        }
    }
    assert_eq!(chain.reader.head().number, durable);
    kv.crash();
    chain.reopen();
    assert_eq!(chain.writer.written(), chain.reader.head());
    assert_eq!(chain.reader.head().number, durable);
    chain.check_blocks();
    let addresses: Vec<_> = (0..5).map(address).collect();
    let slots: Vec<_> = (0..6).map(U256::from).collect();
    // The chain goes on from there, and no trace of the lost blocks is left.
    for number in 50..53 {
        chain.commit_and_publish(&change(number % 4, number, &[(number % 3, number)]));
    }
    chain.check_blocks();
    for (number, model) in (0..).zip(&chain.past) {
        model.check(&chain.reader.state_at(number).unwrap(), &addresses, &slots);
    }
}

#[test]
fn a_power_cut_at_every_step() {
    for sync_every in [1, 2, 3] {
        for steps in 0..16 {
            cut_after(steps, sync_every);
        }
    }
}

/// A killed process loses nothing that was committed: the head is the last block written.
#[test]
fn a_killed_process_keeps_unsynced_blocks() {
    let kv = Arc::new(MemoryKv::new());
    let mut chain = Chain::new(kv.clone());
    chain.commit_and_publish(&change(1, 1, &[]));
    chain.commit(&change(1, 2, &[]));
    chain.commit(&change(1, 3, &[]));
    chain.reopen();
    assert_eq!(chain.reader.head().number, 3);
    chain.check_blocks();
    // What was found was made durable before it was shown.
    kv.crash();
    chain.reopen();
    assert_eq!(chain.reader.head().number, 3);
}

/// A cut before the first sync leaves nothing, and opening starts from block 0 again.
#[test]
fn a_cut_while_block_0_is_written() {
    let kv = MemoryKv::new();
    let fresh = kv.fork();
    Chain::new(Arc::new(kv.clone()));
    assert!(!kv.is_empty(Table::Meta));
    let chain = Chain::new(Arc::new(fresh));
    assert_eq!(chain.reader.head().number, 0);
}
