//! What a check refuses, and what a certified block that is wrong does to the node.

use super::network::*;
use crate::{BlockError, ChainError};
use alloy_primitives::{B256, Bloom, Bytes};
use lonja_primitives::genesis::NewNetwork;
use lonja_primitives::{Block, CertifiedBlock, Header, block_hash};

/// The reason why a proposal is invalid.
fn invalid(network: &mut Network, block: &Block) -> String {
    match network.core.check(block) {
        Err(BlockError::Invalid(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

/// A way to falsify a header, and the words by which it must be refused.
type Lie = (&'static str, fn(&mut Header));

const LIES: [Lie; 4] = [
    ("gas used", |header| header.gas_used += 1),
    ("receipts root", |header| header.receipts_root = B256::repeat_byte(1)),
    ("logs bloom", |header| header.logs_bloom = Bloom::ZERO),
    ("state root", |header| header.state_root = B256::repeat_byte(2)),
];

#[test]
fn every_field_that_execution_gives_is_compared() {
    let mut network = Network::new();
    let mut validating = network.other_node();
    network.submit(&[draft(1, 0), transfer(2, 0, sender(3), 5)]);
    let block = network.build();
    for (field, lie) in LIES {
        let mut wrong = block.clone();
        lie(&mut wrong.header);
        let reason = invalid(&mut validating, &wrong);
        assert!(reason.starts_with(&format!("{field}: the header says ")), "{reason}");
        let (said, computed) = values(field, &wrong.header, &block.header);
        assert!(reason.contains(&said) && reason.contains(&computed), "{reason}");
    }
    assert_eq!(validating.core.check(&block), Ok(()));
}

fn values(field: &str, wrong: &Header, right: &Header) -> (String, String) {
    let of = |header: &Header| match field {
        "gas used" => header.gas_used.to_string(),
        "receipts root" => header.receipts_root.to_string(),
        "logs bloom" => header.logs_bloom.to_string(),
        _ => header.state_root.to_string(),
    };
    (of(wrong), of(right))
}

#[test]
fn a_certified_block_that_executes_to_something_else_is_a_halt() {
    for (field, lie) in LIES {
        let mut network = Network::new();
        network.submit(&[draft(1, 0)]);
        let mut block = network.build();
        lie(&mut block.header);
        let sealed = network.seal(block, 0, &[1]);
        let Err(ChainError::Halt(reason)) = network.core.commit(&sealed) else { panic!("{field} was taken") };
        assert!(reason.starts_with(&format!("block 1 {}: ", sealed.hash())), "{reason}");
        assert!(reason.contains(&format!("{field}: the header says ")), "{reason}");
        assert_eq!(network.core.position().head.number, 0);
        assert_eq!(network.core.sync_and_publish().unwrap().number, 0);
    }
}

#[test]
fn the_body_must_be_the_headers() {
    let mut network = Network::new();
    let mut validating = network.other_node();
    network.submit(&[draft(1, 0), draft(2, 0)]);
    let block = network.build();
    let tampered = |change: fn(&mut Vec<Bytes>)| {
        let mut block = block.clone();
        change(&mut block.transactions);
        block
    };
    let bodies = [
        tampered(|body| drop(body.pop())),
        tampered(|body| body.swap(0, 1)),
        tampered(|body| body.push(body[0].clone())),
        tampered(Vec::clear),
    ];
    for wrong in &bodies {
        assert!(invalid(&mut validating, wrong).contains("transactions hash to"));
    }
    assert_eq!(validating.core.check(&block), Ok(()));
    // The header's hash is remembered now; a foreign body under it is still refused.
    for wrong in &bodies {
        assert!(invalid(&mut validating, wrong).contains("transactions hash to"));
        let forged = CertifiedBlock::new_verified(
            block_hash(&wrong.header, network.spec.format_at(1)).unwrap(),
            wrong.clone(),
        );
        assert!(matches!(validating.core.commit(&forged), Err(ChainError::Halt(_))));
    }
    assert_eq!(validating.core.executed_count(), 1);
}

/// A block of the network's shape with these transactions, whatever they are.
fn block_of(network: &mut Network, raws: Vec<Bytes>) -> Block {
    let mut block = network.build();
    block.header.transactions_root = Block::transactions_root(&raws);
    block.transactions = raws;
    block
}

#[test]
fn a_transaction_that_may_not_be_there_is_named() {
    let mut network = Network::new();
    let good = draft(1, 0).raw();
    let mut refuse = |second: Bytes| {
        let block = block_of(&mut network, vec![good.clone(), second]);
        let reason = invalid(&mut network, &block);
        assert!(reason.starts_with("transaction 1"), "{reason}");
        reason
    };
    assert!(refuse(draft(1, 0).raw()).contains("nonce too low"));
    assert!(refuse(draft(1, 2).raw()).contains("nonce too high"));
    assert!(refuse(draft(2, 0).with(|tx| tx.gas_limit = 20_000).raw()).contains("intrinsic gas too low"));
    assert!(refuse(transfer(2, 0, sender(1), START_BALANCE + 1).raw()).contains("insufficient funds"));
    assert!(refuse(draft(2, 0).with(|tx| tx.chain_id = Some(9)).raw()).contains("chain id 9"));
    assert!(refuse(Bytes::from_static(&[3, 1, 2])).contains("blob"));
    assert!(refuse(Bytes::from_static(&[0xc1, 0x80])).contains("does not decode"));
}

#[test]
fn gas_limit_and_size_are_rules_of_the_network() {
    let mut network = Network::of(NewNetwork::default(), |spec| spec.limits[0].1.block_size = 1_500);
    let mut block = network.build();
    block.header.gas_limit -= 1;
    let reason = invalid(&mut network, &block);
    assert!(reason.contains("gas limit") && reason.contains(&block.header.gas_limit.to_string()), "{reason}");
    let large = draft(1, 0).with(|tx| tx.input = vec![1; 1_000].into()).raw();
    let block = block_of(&mut network, vec![large]);
    let reason = invalid(&mut network, &block);
    assert!(reason.contains("1500 are the most"), "{reason}");
}

#[test]
fn only_so_many_executions_are_remembered() {
    let mut network = Network::new();
    let blocks: Vec<Block> = (1..=9)
        .map(|seconds| {
            let mut request = network.request(None);
            request.timestamp += seconds;
            network.core.build(&request, &|| false).unwrap()
        })
        .collect();
    assert_eq!(network.core.executed_count(), 9);
    for block in &blocks[1..] {
        assert_eq!(network.core.check(block), Ok(()));
    }
    assert_eq!(network.core.executed_count(), 9);
    assert_eq!(network.core.check(&blocks[0]), Ok(()));
    assert_eq!(network.core.executed_count(), 10);
}
