//! A real IBFT 1.0 chain that a GoQuorum network exported, in and out again.

use super::*;
use lonja_chain::ChainCore;
use lonja_primitives::{Block, Genesis};
use lonja_storage::MemoryKv;
use lonja_txpool::{PoolConfig, TxPool};
use parking_lot::Mutex;
use serde_json::Value;
use std::ops::ControlFlow;
use std::sync::Arc;

fn vector(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn genesis() -> Genesis {
    let cases = vector(include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/vectors/istanbul/genesis.json"
    )));
    let case = &cases["cases"][0];
    assert_eq!(case["id"], "ibft1-migration");
    Genesis::from_json(&case["genesis"].to_string()).unwrap()
}

/// Blocks 0 to 66.
fn file() -> Vec<u8> {
    let chain = vector(include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/vectors/istanbul/ibft1_chain.json"
    )));
    let blocks = chain["blocks"].as_array().unwrap().iter();
    blocks.flat_map(|block| alloy_primitives::hex::decode(block["rlp"].as_str().unwrap()).unwrap()).collect()
}

fn chain() -> (ChainCore, Genesis) {
    let genesis = genesis();
    let opened = lonja_storage::open(Arc::new(MemoryKv::new()), &genesis).unwrap();
    let pool = Arc::new(Mutex::new(TxPool::new(PoolConfig::default())));
    (ChainCore::open(opened, Arc::new(genesis.spec.clone()), pool).unwrap(), genesis)
}

fn run(core: &mut ChainCore, genesis: &Genesis, file: &[u8]) -> Result<ImportProgress, ImportError> {
    import(core, &genesis.spec, BlockReader::new(file), &mut |_| ControlFlow::Continue(()))
}

fn blocks(file: &[u8]) -> Vec<Block> {
    BlockReader::new(file).map(Result::unwrap).collect()
}

fn written(blocks: &[Block]) -> Vec<u8> {
    blocks.iter().flat_map(alloy_rlp::encode).collect()
}

#[test]
fn a_chain_goes_in_and_comes_out_the_same() {
    let (mut core, genesis) = chain();
    let file = file();
    let progress = run(&mut core, &genesis, &file).unwrap();
    assert_eq!(progress, ImportProgress { blocks: 66, transactions: 0, known: 1, head: 66 });
    let reader = core.reader();
    let out = (0..=66).flat_map(|number| export_block(&reader, number).unwrap().unwrap());
    assert_eq!(out.collect::<Vec<u8>>(), file);
    assert_eq!(export_block(&reader, 67).unwrap(), None);
    let again = run(&mut core, &genesis, &file).unwrap();
    assert_eq!(again, ImportProgress { blocks: 0, transactions: 0, known: 67, head: 66 });
}

#[test]
fn an_import_goes_on_after_a_file_that_was_cut_off() {
    let (mut core, genesis) = chain();
    let file = file();
    let cut = file.len() / 2;
    let error = run(&mut core, &genesis, &file[..cut]).unwrap_err();
    assert!(error.to_string().contains("ends within a block"), "{error}");
    let head = core.position().head.number;
    assert!((10..60).contains(&head));
    assert_eq!(core.reader().head().number, head, "what was imported is durable");
    assert_eq!(run(&mut core, &genesis, &file).unwrap().head, 66);
}

#[test]
fn what_is_wrong_is_named_with_its_block() {
    let sound = blocks(&file());
    let wrong = |change: fn(&mut Vec<Block>)| {
        let (mut core, genesis) = chain();
        let mut blocks = sound.clone();
        change(&mut blocks);
        let error = run(&mut core, &genesis, &written(&blocks)).unwrap_err().to_string();
        (core.position().head.number, error)
    };
    let (head, error) = wrong(|blocks| blocks[40].header.state_root.0[0] ^= 1);
    assert!(head == 39 && error.contains("block 40"), "{head} {error}");
    let (head, error) = wrong(|blocks| drop(blocks.remove(30)));
    assert!(
        head == 29 && error.contains("goes on with block 31, but block 30 is the next"),
        "{head} {error}"
    );
    let (head, error) = wrong(|blocks| blocks[50].header.timestamp += 1);
    assert!(head == 49 && error.contains("block 50"), "{head} {error}");
    let (head, error) = wrong(|blocks| blocks[5].transactions.push(vec![0xc0].into()));
    assert!(head == 4 && error.contains("block 5"), "{head} {error}");
    let (head, error) = wrong(|blocks| blocks[0].header.timestamp += 1);
    assert!(head == 0 && error.contains("of another chain"), "{head} {error}");
}

#[test]
fn bytes_that_are_no_blocks_are_refused_where_they_stand() {
    let read = |bytes: &[u8]| {
        let mut reader = BlockReader::new(bytes);
        let mut last = reader.by_ref().last().unwrap();
        assert!(reader.next().is_none(), "nothing after an error");
        std::mem::replace(&mut last, Err(FileError::CutOff { blocks: 0 })).unwrap_err().to_string()
    };
    assert!(read(b"hello").contains("byte 0x68 begins no RLP list"));
    assert!(read(&[0xc1, 0x80]).contains("at byte 0"));
    assert!(read(&[0xff; 9]).contains("none is longer"), "a length beyond all memory");
    assert!(read(&[0xf9, 0x01]).contains("cut off"));
    let mut file = file();
    let end = file.len();
    file.extend_from_slice(b"x");
    assert!(read(&file).contains(&format!("after 67 blocks, at byte {end}")));
    assert_eq!(BlockReader::new(&[][..]).count(), 0);
}

#[test]
fn an_import_stops_when_it_is_told_to() {
    let (mut core, genesis) = chain();
    let many = file();
    let stopped =
        import(&mut core, &genesis.spec, BlockReader::new(many.as_slice()), &mut |_| ControlFlow::Break(()));
    assert_eq!(stopped.unwrap().head, core.reader().head().number);
}
