//! Sets of validators that a contract chooses, told by headers alone.

use super::*;

#[test]
fn sets_of_a_contract_are_followed_by_headers_alone() {
    let chain = Chain::by_contract();
    for first in [1, 2, 16] {
        let mut node = Node::new(&chain);
        node.peer(1, &chain);
        let asked = node.asked.remove(0);
        node.answer(asked, chain.range(1, first));
        assert_eq!(node.imported.len() as u64, first);
        node.serve(&chain);
        assert_eq!(numbers(&node.imported), (1..=16).collect::<Vec<_>>());
        assert!(node.blamed.is_empty() && node.halted.is_empty());
    }
}

/// A block after a changed set by those who were replaced, or by anybody else than whom the block before commits to.
#[test]
fn a_set_other_than_the_one_committed_to_is_blamed() {
    let chain = Chain::by_contract();
    let good = chain.range(1, 16);
    // Block 2 commits to the fifth key alone. Its block 3 is rewritten as if the old set stood, and as if one more
    // did.
    for names in [vec![0, 1, 2, 3], vec![3, 4], vec![0]] {
        let mut node = Node::new(&chain);
        node.peer(1, &chain);
        let keys: Vec<NodeKey> = names.iter().map(|key| chain.keys[*key].clone()).collect();
        let mut lie = good[2].clone();
        let extra = ExtraData::decode(&lie.header.extra_data, HeaderFormat::Qbft).unwrap();
        let validators = keys.iter().map(Signer::address).collect();
        lie.header.extra_data = ExtraData { validators, ..extra }.encode(HeaderFormat::Qbft);
        lie.header.beneficiary = keys[0].address();
        let asked = node.asked.remove(0);
        node.answer(asked, [&good[..2], &[harness::seal(&lie, 1, &keys)]].concat());
        assert_eq!(numbers(&node.imported), [1, 2], "{names:?}");
        assert_eq!(node.blamed.len(), 1);
        assert!(node.blamed[0].1.contains("does not list the validators"), "{:?}", node.blamed);
        node.peer(2, &chain);
        node.serve(&chain);
        assert_eq!(node.imported.len(), 16);
    }
    // Another commitment than the sealed one breaks the seals.
    let mut node = Node::new(&chain);
    node.peer(1, &chain);
    let bent = harness::committing(&chain.spec, good[1].clone(), &harness::addresses(&chain.keys));
    let asked = node.asked.remove(0);
    node.answer(asked, [&good[..1], &[bent]].concat());
    assert_eq!((numbers(&node.imported), node.blamed.len()), (vec![1], 1));
}

/// The chain decides without us while our own newest set is known by its hash only.
#[test]
fn a_head_ahead_of_a_pending_set_is_taken_and_a_split_there_still_seen() {
    let chain = Chain::by_contract();
    let mut node = Node::new(&chain);
    node.peer(1, &chain);
    let asked = node.asked.remove(0);
    node.answer(asked, chain.range(1, 2));
    assert_eq!(numbers(&node.imported), [1, 2]);
    node.input(CatchUpInput::NewHead(chain.positions[3].clone()));
    let mut theirs = Chain::by_contract();
    theirs.positions.truncate(3);
    theirs.blocks.truncate(2);
    let fifth = [theirs.keys[4].address()];
    let other = theirs.next_choosing(&fifth, 9);
    assert_ne!(other.header.hash_slow(), chain.blocks[2].header.hash_slow());
    let hash = SealedHeader::seal(other.header.clone(), HeaderFormat::Qbft).unwrap().hash();
    node.asked.clear();
    node.input(CatchUpInput::PeerHead { peer: id(2), number: 3, hash });
    let probe = *node.asked.iter().find(|asked| asked.0 == id(2)).unwrap();
    node.answer(probe, vec![other]);
    assert_eq!(node.halted.len(), 1, "judged by the set of block 3: {:?}", node.blamed);
}
