//! Blocks made by other clients give the roots that their headers name.
//!
//! `LONJA_BLOCK_VECTORS` names another file of the same shape to run instead.

use super::world::World;
use crate::{BlockEnv, BlockExecutor};
use alloy_primitives::{Address, B256, Bloom, Bytes, KECCAK256_EMPTY, U256, address, keccak256};
use lonja_primitives::spec::{Limits, Privacy};
use lonja_primitives::{Account, BlockRules, Fork, RecoveredTransaction};
use serde::Deserialize;
use std::collections::BTreeMap;

const VECTORS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/evm/blocks.json"));

#[derive(Deserialize)]
struct Case {
    name: String,
    fork: String,
    genesis_hash: B256,
    genesis_state_root: B256,
    pre: BTreeMap<Address, PreAccount>,
    blocks: Vec<Block>,
}

#[derive(Deserialize)]
struct PreAccount {
    balance: U256,
    nonce: U256,
    code: Bytes,
    storage: BTreeMap<U256, U256>,
}

#[derive(Deserialize)]
struct Block {
    number: U256,
    timestamp: U256,
    beneficiary: Address,
    gas_limit: U256,
    base_fee: Option<U256>,
    mix_hash: B256,
    difficulty: U256,
    hash: B256,
    transactions: Vec<Bytes>,
    state_root: B256,
    receipts_root: B256,
    gas_used: U256,
    #[serde(default)]
    logs_bloom: Bloom,
    parent_beacon_root: Option<B256>,
}

/// The contract of EIP-4788. Our chains have no beacon roots; here its writes are done by hand before a block.
const BEACON_ROOTS: Address = address!("000f3df6d732807ef1319fb7b8bb8522d0beac02");

fn store_beacon_root(world: &mut World, block: &Block) {
    let Some(root) = block.parent_beacon_root.filter(|_| world.accounts.contains_key(&BEACON_ROOTS)) else {
        return;
    };
    let ring = U256::from(8_191);
    let slot = block.timestamp % ring;
    for (slot, value) in [(slot, block.timestamp), (slot + ring, root.into())] {
        world.storage.insert((BEACON_ROOTS, slot), value);
    }
    world.storage.retain(|_, value| !value.is_zero());
}

/// The fork, and the reward of a block without uncles in thousandths of an ether.
fn fork(name: &str) -> (Fork, u64) {
    match name {
        "Frontier" => (Fork::Frontier, 5_000),
        "Homestead" => (Fork::Homestead, 5_000),
        "EIP150" => (Fork::TangerineWhistle, 5_000),
        "EIP158" => (Fork::SpuriousDragon, 5_000),
        "Byzantium" => (Fork::Byzantium, 3_000),
        "ConstantinopleFix" => (Fork::Petersburg, 2_000),
        "Istanbul" => (Fork::Istanbul, 2_000),
        "Berlin" => (Fork::Berlin, 2_000),
        "London" => (Fork::London, 2_000),
        "Shanghai" => (Fork::Shanghai, 0),
        "Cancun" => (Fork::Cancun, 0),
        other => panic!("unknown fork {other}"),
    }
}

fn rules(name: &str) -> BlockRules {
    let (fork, reward) = fork(name);
    BlockRules {
        chain_id: 1,
        fork,
        free_gas: false,
        limits: Limits {
            code_size: 24_576,
            init_code_size: 49_152,
            transaction_size: usize::MAX,
            block_size: usize::MAX,
            gas_limit: None,
        },
        block_reward: U256::from(reward) * U256::from(10).pow(U256::from(15)),
        beneficiary: None,
        privacy: Privacy::default(),
    }
}

fn world(case: &Case) -> World {
    let mut world = World::default();
    for (address, pre) in &case.pre {
        let code_hash = if pre.code.is_empty() { KECCAK256_EMPTY } else { keccak256(&pre.code) };
        let account = Account { nonce: pre.nonce.to(), balance: pre.balance, code_hash };
        world.accounts.insert(*address, account);
        world.codes.insert(code_hash, pre.code.clone());
        let slots = pre.storage.iter().filter(|(_, value)| !value.is_zero());
        world.storage.extend(slots.map(|(slot, value)| ((*address, *slot), *value)));
    }
    world.hashes.insert(0, case.genesis_hash);
    world
}

fn check(case: &Case) -> Result<(), String> {
    let rules = rules(&case.fork);
    let mut world = world(case);
    let same = |what: &str, got: String, want: String| {
        if got == want { Ok(()) } else { Err(format!("{}: {what} {got}, expected {want}", case.name)) }
    };
    same("genesis state root", world.root().to_string(), case.genesis_state_root.to_string())?;
    for block in &case.blocks {
        store_beacon_root(&mut world, block);
        let env = BlockEnv {
            number: block.number.to(),
            timestamp: block.timestamp.to(),
            beneficiary: block.beneficiary,
            gas_limit: block.gas_limit.to(),
            base_fee: block.base_fee.map(|fee| fee.to()),
            prevrandao: block.mix_hash,
            difficulty: block.difficulty,
        };
        let mut executor = BlockExecutor::new(rules, env, &world);
        for raw in &block.transactions {
            let tx =
                RecoveredTransaction::recover(raw.clone(), 1).map_err(|e| format!("{}: {e}", case.name))?;
            executor.execute(&tx).map_err(|error| format!("{}: {error}", case.name))?;
        }
        let output = executor.finish().map_err(|error| error.to_string())?;
        world.apply(&output.changes);
        world.hashes.insert(block.number.to(), block.hash);
        same("gas used", output.gas_used.to_string(), block.gas_used.to_string())?;
        same("state root", world.root().to_string(), block.state_root.to_string())?;
        same("bloom", output.logs_bloom.to_string(), block.logs_bloom.to_string())?;
        // Before Byzantium receipts named a state root each, which ours do not.
        if rules.fork >= Fork::Byzantium {
            same("receipts root", output.receipts_root.to_string(), block.receipts_root.to_string())?;
        }
    }
    Ok(())
}

#[test]
fn blocks_of_other_clients_give_the_roots_in_their_headers() {
    let other = std::env::var("LONJA_BLOCK_VECTORS").ok();
    let text = other.map(|path| std::fs::read_to_string(path).unwrap());
    let cases: Vec<Case> = serde_json::from_str(text.as_deref().unwrap_or(VECTORS)).unwrap();
    assert!(cases.len() > 100);
    let failures: Vec<String> = cases.iter().filter_map(|case| check(case).err()).collect();
    assert!(failures.is_empty(), "{} of {} fail:\n{}", failures.len(), cases.len(), failures.join("\n"));
}
