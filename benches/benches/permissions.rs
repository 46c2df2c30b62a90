//! What it costs to ask the registry of a large network: 1,000 members with 3,000 nodes.

mod world;

use alloy_primitives::{Address, hex};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lonja_evm::BlockEnv;
use lonja_permissioning::registry::genesis::seed;
use lonja_permissioning::registry::plan::Plan;
use lonja_permissioning::{ConnectionQuestion, Judge, Memos, OwnEnd, TransactionQuestion};
use lonja_primitives::genesis::NewNetwork;
use lonja_primitives::{Genesis, NodeId, RecoveredTransaction, Signer, StateView};
use lonja_storage::{StoreOptions, open, open_rocks};
use serde_json::{Value, json};
use std::hint::black_box;
use std::sync::Arc;

/// Members of the network, each with one account.
const MEMBERS: u64 = 1_000;
/// Nodes, three of each member.
const NODES: u64 = 3 * MEMBERS;
/// The first key of a node: accounts have the ones below.
const FIRST_NODE: u64 = 10_000;

fn node(number: u64) -> NodeId {
    world::key(FIRST_NODE + number).node_id()
}

fn member(number: u64) -> Value {
    let nodes: Vec<Value> = (0..3)
        .map(|place| {
            let id = 3 * number + place;
            let validates = id < 4;
            let roles = if validates { json!(["regular", "validator"]) } else { json!(["regular"]) };
            json!({ "key": hex::encode(node(id).0), "roles": roles, "validates": validates })
        })
        .collect();
    let account = world::key(number).address();
    json!({
        "taxId": format!("ESB{number:08}"), "name": format!("Member {number}"), "group": format!("Group {}", number / 2),
        "admins": [account], "nodes": nodes, "accounts": [{ "address": account }],
    })
}

/// The genesis of the network.
fn genesis() -> Genesis {
    let members: Vec<Value> = (0..MEMBERS).map(member).collect();
    let policy =
        json!({ "selection": { "n": 4, "capGroup": 4, "capSector": 4, "capRegion": 4, "capHost": 4 } });
    let plan = Plan::from_json(&json!({ "members": members, "policy": policy }).to_string()).expect("a plan");
    let seeded = seed(&plan, world::CHAIN_ID, 1_000).expect("the contracts take the plan");
    let network = NewNetwork {
        chain_id: world::CHAIN_ID,
        validators: seeded.validators,
        alloc: seeded.alloc,
        permissions: seeded.permissions,
        validator_contract: Some(seeded.validator_contract),
        ..NewNetwork::default()
    };
    Genesis::from_json(&network.to_json()).expect("a genesis file of our own")
}

fn judge<'a>(genesis: &Genesis, state: &'a dyn StateView) -> Judge<'a> {
    let env = BlockEnv { number: 1, gas_limit: 300_000_000, base_fee: Some(0), ..BlockEnv::default() };
    Judge::new(*genesis.spec.permissions_at(1), genesis.spec.rules_at(1, 0), env, state)
}

fn permissions(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let genesis = genesis();
    let kv = open_rocks(dir.path(), &StoreOptions::default()).expect("a new database");
    let opened = open(kv, &genesis).expect("block 0");
    let state = opened.writer.head_state();
    connections(c, &genesis, &state);
    transactions(c, &genesis, &state);
}

fn connections(c: &mut Criterion, genesis: &Genesis, state: &dyn StateView) {
    let own = OwnEnd { node: node(0), ip: None, port: 0 };
    let mut group = c.benchmark_group(format!("permissions::connection/nodes={NODES}"));
    let mut next = 0;
    let mut ask = |judge: &mut Judge<'_>| {
        next = (next + 1) % NODES;
        judge.connection(&ConnectionQuestion { node: node(next), at: None }, &own).expect("a state")
    };
    group.bench_function("asked anew", |b| b.iter(|| ask(&mut judge(genesis, state))));
    let memos = Memos::new(0, genesis.spec.rules_at(1, 0));
    group.bench_function("known", |b| b.iter(|| ask(&mut judge(genesis, state).with_memos(&memos, 0))));
    group.finish();
}

fn transactions(c: &mut Criterion, genesis: &Genesis, state: &dyn StateView) {
    let raws = world::transfers(MEMBERS, 0);
    let signed: Vec<RecoveredTransaction> = world::recovered(&raws);
    let to: Arc<[Address]> = signed.iter().map(RecoveredTransaction::sender).collect();
    assert_eq!(to.len() as u64, MEMBERS);
    let mut group = c.benchmark_group(format!("permissions::transaction/members={MEMBERS}"));
    group.throughput(Throughput::Elements(MEMBERS));
    let block = |mut judge: Judge<'_>| {
        for tx in &signed {
            let verdict = judge.transaction(&TransactionQuestion::of(black_box(tx))).expect("a state");
            assert!(verdict.is_ok(), "{verdict:?}");
        }
    };
    group.bench_function("asked anew", |b| b.iter(|| block(judge(genesis, state))));
    let memos = Memos::new(0, genesis.spec.rules_at(1, 0));
    group.bench_function("known", |b| b.iter(|| block(judge(genesis, state).with_memos(&memos, 0))));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = permissions
}
criterion_main!(benches);
