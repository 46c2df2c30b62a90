//! The nonce that whoever signs on this node is told.

use super::network::*;

#[test]
fn the_next_nonce_stands_behind_blocks_and_the_pool_at_every_moment() {
    let mut network = Network::new();
    let door = network.core.door();
    let next = || door.next_nonce(&sender(1)).unwrap();
    assert_eq!(next(), 0);
    network.submit(&[draft(1, 0), draft(1, 1)]);
    assert_eq!(next(), 2);
    // One that waits for another fills no gap.
    network.submit(&[draft(1, 3)]);
    assert_eq!(next(), 2);
    let block = network.build();
    network.commit(block);
    // The block is written, and nobody may read it yet.
    assert_eq!(network.core.reader().head().number, 0);
    assert_eq!(next(), 2);
    network.core.sync_and_publish().unwrap();
    assert_eq!(next(), 2);
    network.submit(&[draft(1, 2)]);
    assert_eq!(next(), 4);
}
