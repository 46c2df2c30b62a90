//! Transactions at the door: decoding and recovery, and the pool.

mod world;

use alloy_primitives::{Address, B256, U256};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use lonja_primitives::{RecoveredTransaction, transaction::recover_all};
use lonja_txpool::{Origin, PoolConfig, SenderState, TxPool};
use std::hint::black_box;

/// Transactions of a well filled block.
const BLOCK: u64 = 1_000;

fn recovery(c: &mut Criterion) {
    let raws = world::transfers(BLOCK, 0);
    c.bench_function("transaction::recover/count=1", |b| {
        b.iter(|| RecoveredTransaction::recover(black_box(raws[0].clone()), world::CHAIN_ID));
    });
    let mut group = c.benchmark_group("transaction::recover_all");
    group.throughput(Throughput::Elements(BLOCK));
    group.bench_function(format!("count={BLOCK}"), |b| {
        b.iter_batched(|| raws.clone(), |raws| recover_all(raws, world::CHAIN_ID), BatchSize::LargeInput);
    });
    group.finish();
}

/// A pool that holds the transactions with nonces 0 to `depth - 1` of a thousand senders.
fn filled(depth: u64) -> TxPool {
    let mut pool = TxPool::new(PoolConfig::default());
    for nonce in 0..depth {
        put(&mut pool, world::recovered(&world::transfers(BLOCK, nonce)), 0);
    }
    pool
}

fn put(pool: &mut TxPool, transactions: Vec<RecoveredTransaction>, nonce: u64) {
    let state = SenderState { nonce, balance: U256::MAX };
    for tx in transactions {
        pool.insert(tx, state, Origin::Gossip, 0).expect("room for a valid transaction");
    }
}

fn pool(c: &mut Criterion) {
    let first = world::recovered(&world::transfers(BLOCK, 0));
    let empty = || TxPool::new(PoolConfig::default());
    let mut group = c.benchmark_group("txpool::insert");
    group.throughput(Throughput::Elements(BLOCK)).bench_function(format!("count={BLOCK}"), |b| {
        let inputs = || (empty(), first.clone());
        let insert = |(mut pool, transactions): (TxPool, Vec<RecoveredTransaction>)| {
            put(&mut pool, transactions, 0);
            pool
        };
        b.iter_batched(inputs, insert, BatchSize::LargeInput);
    });
    group.finish();
    let full = filled(10);
    let mut group = c.benchmark_group("txpool::ready");
    group.throughput(Throughput::Elements(BLOCK));
    group.bench_function(format!("count={BLOCK},waiting=10000"), |b| {
        b.iter(|| full.ready(black_box(21_000 * BLOCK), usize::MAX));
    });
    group.finish();
    let included: Vec<B256> = first.iter().map(RecoveredTransaction::hash).collect();
    let after = SenderState { nonce: 1, balance: U256::MAX };
    let touched: Vec<(Address, SenderState)> = first.iter().map(|tx| (tx.sender(), after)).collect();
    let mut group = c.benchmark_group("txpool::on_block");
    group.throughput(Throughput::Elements(BLOCK)).bench_function(format!("count={BLOCK}"), |b| {
        let pool = || {
            let mut pool = empty();
            put(&mut pool, first.clone(), 0);
            pool
        };
        let on_block = |mut pool: TxPool| {
            pool.on_block(&included, &touched, 0);
            pool
        };
        b.iter_batched(pool, on_block, BatchSize::LargeInput);
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = recovery, pool
}
criterion_main!(benches);
