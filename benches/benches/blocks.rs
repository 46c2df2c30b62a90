//! Blocks: decoding, execution, root, commit.

mod world;

use alloy_primitives::{Address, B256};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lonja_evm::{BlockEnv, BlockExecutor, ExecutionOutput};
use lonja_primitives::{Block, Genesis, RecoveredTransaction};
use lonja_storage::{BlockCommit, ChainWriter, Opened, StoreOptions, open, open_rocks};
use std::hint::black_box;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Transactions of a well filled block.
const BLOCK: u64 = 1_000;
/// Accounts in the state.
const ACCOUNTS: u64 = 20_000;

fn codec(c: &mut Criterion) {
    let genesis = world::genesis(&[world::key(0)], 1);
    let block = world::block(genesis.header.header(), genesis.header.hash(), world::transfers(BLOCK, 0));
    let bytes = alloy_rlp::encode(&block);
    let mut group = c.benchmark_group("block::decode");
    group.throughput(Throughput::Elements(BLOCK)).bench_function(format!("transactions={BLOCK}"), |b| {
        b.iter(|| alloy_rlp::decode_exact::<Block>(black_box(&bytes)));
    });
    group.finish();
    let mut group = c.benchmark_group("block::transactions_root");
    group.throughput(Throughput::Elements(BLOCK)).bench_function(format!("transactions={BLOCK}"), |b| {
        b.iter(|| Block::transactions_root(black_box(&block.transactions)));
    });
    group.finish();
}

/// A chain on disk to which blocks of transfers are added.
struct Chain {
    genesis: Genesis,
    writer: ChainWriter,
    nonce: u64,
    _dir: TempDir,
}

/// Time taken by the steps of one block.
#[derive(Default)]
struct Took {
    execute: Duration,
    prepare: Duration,
    commit: Duration,
    sync: Duration,
}

impl Chain {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let genesis = world::genesis(&[world::key(0)], ACCOUNTS);
        let kv = open_rocks(dir.path(), &StoreOptions::default()).expect("a new database");
        let Opened { writer, .. } = open(kv, &genesis).expect("block 0");
        Self { genesis, writer, nonce: 0, _dir: dir }
    }

    fn execute(&self, block: &Block, transactions: &[RecoveredTransaction]) -> ExecutionOutput {
        let header = &block.header;
        let rules = self.genesis.spec.rules_at(header.number, header.timestamp);
        let state = self.writer.head_state();
        let mut executor = BlockExecutor::new(rules, BlockEnv::from_header(header), &state);
        for tx in transactions {
            executor.execute(tx).expect("a transfer that is paid for");
        }
        executor.finish().expect("a state that can be read")
    }

    fn add_block(&mut self) -> Took {
        let raws = world::transfers(BLOCK, self.nonce);
        let transactions = world::recovered(&raws);
        self.nonce += 1;
        let written = self.writer.written();
        let mut parent = self.genesis.header.header().clone();
        parent.number = written.number;
        let mut block = world::block(&parent, written.hash, raws);

        let mut took = Took::default();
        let output = timed(&mut took.execute, || self.execute(&block, &transactions));
        let prepare = || self.writer.prepare(&output.changes).expect("a root");
        let prepared = timed(&mut took.prepare, prepare);
        block.header.state_root = prepared.root;
        let hashes: Vec<B256> = transactions.iter().map(RecoveredTransaction::hash).collect();
        let senders: Vec<Address> = transactions.iter().map(RecoveredTransaction::sender).collect();
        let commit = BlockCommit {
            hash: block.header.hash_slow(),
            block: &block,
            transaction_hashes: &hashes,
            senders: &senders,
            receipts: &output.receipts,
            changes: &output.changes,
            prepared: &prepared,
            votes: &[],
        };
        timed(&mut took.commit, || self.writer.commit(&commit).expect("a block that follows"));
        timed(&mut took.sync, || self.writer.sync_and_publish().expect("a disk"));
        took
    }
}

fn timed<T>(time: &mut Duration, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let done = work();
    *time = started.elapsed();
    done
}

fn chain(c: &mut Criterion) {
    let mut chain = Chain::new();
    let steps: [(&str, fn(&Took) -> Duration); 4] = [
        ("evm::execute", |took| took.execute),
        ("storage::prepare", |took| took.prepare),
        ("storage::commit", |took| took.commit),
        ("storage::sync", |took| took.sync),
    ];
    for (name, step) in steps {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(BLOCK)).sample_size(10);
        group.bench_function(format!("transfers={BLOCK},accounts={ACCOUNTS}"), |b| {
            b.iter_custom(|blocks| (0..blocks).map(|_| step(&chain.add_block())).sum());
        });
        group.finish();
    }
}

criterion_group!(benches, codec, chain);
criterion_main!(benches);
