//! Blocks: decoding, execution, root, commit.

mod world;

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lonja_evm::{BlockEnv, BlockExecutor, ExecutionOutput};
use lonja_primitives::Signer;
use lonja_primitives::{Block, Genesis, RecoveredTransaction};
use lonja_storage::{BlockCommit, ChainWriter, Opened, StoreOptions, open, open_rocks};
use std::hint::black_box;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use world::contracts;

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
        Self { genesis, writer, _dir: dir }
    }

    fn execute(&self, block: &Block, transactions: &[RecoveredTransaction]) -> ExecutionOutput {
        let header = &block.header;
        let rules = self.genesis.spec.rules_at(header.number, header.timestamp);
        let state = self.writer.head_state();
        let mut executor = BlockExecutor::new(rules, BlockEnv::from_header(header), &state);
        for tx in transactions {
            executor.execute(tx).expect("a transaction that is paid for");
        }
        executor.finish().expect("a state that can be read")
    }

    fn add_block(&mut self, raws: Vec<Bytes>) -> Took {
        let transactions = world::recovered(&raws);
        let written = self.writer.written();
        let mut parent = self.genesis.header.header().clone();
        parent.number = written.number;
        let mut block = world::block(&parent, written.hash, raws);

        let mut took = Took::default();
        let output = timed(&mut took.execute, || self.execute(&block, &transactions));
        assert!(output.receipts.iter().all(|receipt| receipt.success), "nothing is reverted");
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

const STEPS: [(&str, fn(&Took) -> Duration); 4] = [
    ("evm::execute", |took| took.execute),
    ("storage::root", |took| took.prepare),
    ("storage::commit", |took| took.commit),
    ("storage::sync", |took| took.sync),
];

/// The steps of a block, on one growing chain. `transactions` gives those of one block by the nonce of their accounts.
fn steps(c: &mut Criterion, chain: &mut Chain, what: &str, transactions: impl Fn(u64) -> Vec<Bytes>) {
    let mut nonces = 0..;
    for (name, step) in STEPS {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(BLOCK)).sample_size(10);
        group.bench_function(format!("{what}={BLOCK},accounts={ACCOUNTS}"), |b| {
            b.iter_custom(|blocks| {
                let nonces = nonces.by_ref().take(blocks as usize);
                nonces.map(|nonce| step(&chain.add_block(transactions(nonce)))).sum()
            });
        });
        group.finish();
    }
}

fn transfers(c: &mut Criterion) {
    steps(c, &mut Chain::new(), "transfers", |nonce| world::transfers(BLOCK, nonce));
}

fn tokens(c: &mut Criterion) {
    let (mut chain, each) = (Chain::new(), U256::from(1_000_000));
    let owner = ACCOUNTS - 1;
    let token = world::key(owner).address().create(0);
    let code = contracts::token(each * U256::from(BLOCK));
    let create = world::transaction(owner, 0, contracts::CREATE_GAS, TxKind::Create, U256::ZERO, code);
    chain.add_block(vec![create]);
    let accounts: Vec<Address> = (0..BLOCK).map(|number| world::key(number).address()).collect();
    for (accounts, nonce) in accounts.chunks(100).zip(1..) {
        let (call, gas) = contracts::give(accounts, each);
        let to = TxKind::Call(token);
        chain.add_block(vec![world::transaction(owner, nonce, gas, to, U256::ZERO, call)]);
    }
    steps(c, &mut chain, "erc20_transfers", |nonce| world::token_transfers(token, BLOCK, nonce));
}

criterion_group!(benches, codec, transfers, tokens);
criterion_main!(benches);
