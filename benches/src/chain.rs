//! Makes a chain in a file, with its genesis file, for measuring imports and stores: always the same chain for the same
//! options. Unlike the rest of this tool it is made with lonja's own parts.

use crate::load::contracts;
use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, SignableTransaction, TxLegacy};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use clap::{Args, ValueEnum};
use eyre::{Result, WrapErr, ensure, eyre};
use lonja_evm::{BlockEnv, BlockExecutor};
use lonja_primitives::extra::{block_hash, commit_digest, with_round_and_seals};
use lonja_primitives::genesis::NewNetwork;
use lonja_primitives::header::ISTANBUL_MIX_HASH;
use lonja_primitives::transaction::recover_all;
use lonja_primitives::{
    Block, ExtraData, Genesis, Header, HeaderFormat, NodeKey, RecoveredTransaction, Signer,
};
use lonja_storage::{BlockCommit, ChainWriter, History, StoreOptions};
use rayon::prelude::*;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Chain id of the network that is made.
const CHAIN_ID: u64 = 1337;
/// Keys of validators stand behind those of accounts.
const FIRST_VALIDATOR: u64 = 1 << 40;
/// Gas limit of a block: enough for every block that is asked for.
const GAS_LIMIT: u64 = 2_000_000_000;
/// Accounts that get tokens by one call.
const GIVEN_AT_ONCE: usize = 200;

/// What the transactions do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// One wei from one account to another, both by chance
    Transfers,
    /// One token from one account to another, both by chance
    Erc20,
}

/// Options of `lonja-benches chain`.
#[derive(Args, Debug)]
pub struct ChainCommand {
    /// Folder for genesis.json and blocks.rlp
    #[arg(long)]
    out: PathBuf,
    /// What the transactions do
    #[arg(long, value_enum, default_value_t = Kind::Transfers)]
    kind: Kind,
    /// Transactions in all
    #[arg(long, default_value_t = 1_000_000)]
    transactions: u64,
    /// Accounts that send and receive
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(2..))]
    accounts: u64,
    /// Transactions in a block
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=50_000))]
    block: u64,
    /// Validators that seal
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=100))]
    validators: u64,
}

impl ChainCommand {
    /// Makes block after block; each is executed to learn its roots.
    pub fn run(self) -> Result<()> {
        fs::create_dir_all(&self.out).wrap_err_with(|| format!("cannot make {}", self.out.display()))?;
        let folder = tempfile::tempdir()?;
        let mut chain = Chain::new(&self, folder.path())?;
        let path = self.out.join("blocks.rlp");
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        let mut chance = Chance(1);
        if self.kind == Kind::Erc20 {
            let (token, supply) = (chain.token_address(), U256::from(1u64) << 64);
            let create = chain.order(0, TxKind::Create, contracts::token(supply), contracts::CREATE_GAS);
            chain.add(vec![create], &mut file)?;
            let everybody: Vec<Address> = (0..self.accounts).map(|number| key(number).address()).collect();
            for some in everybody.chunks(GIVEN_AT_ONCE) {
                let (input, gas) = contracts::give(some, U256::from(1_000_000));
                let give = chain.order(0, TxKind::Call(token), input, gas);
                chain.add(vec![give], &mut file)?;
            }
        }
        let mut left = self.transactions;
        while left > 0 {
            let count = left.min(self.block);
            let orders = (0..count).map(|_| chain.by_chance(self.kind, &mut chance)).collect();
            chain.add(orders, &mut file)?;
            left -= count;
        }
        file.flush()?;
        let head = chain.parent;
        println!("{}: {} blocks, {} transactions", path.display(), head.number, self.transactions);
        Ok(())
    }
}

/// A transaction to be signed.
struct Order {
    from: u64,
    nonce: u64,
    kind: TxKind,
    value: U256,
    input: Bytes,
    gas: u64,
}

struct Chain {
    genesis: Genesis,
    validators: Vec<NodeKey>,
    writer: ChainWriter,
    parent: Header,
    nonces: Vec<u64>,
    addresses: Vec<Address>,
}

impl Chain {
    fn new(command: &ChainCommand, folder: &Path) -> Result<Self> {
        let mut validators: Vec<NodeKey> =
            (0..command.validators).map(|number| key(FIRST_VALIDATOR + number)).collect();
        validators.sort_by_key(Signer::address);
        let addresses: Vec<Address> =
            (0..command.accounts).into_par_iter().map(|number| key(number).address()).collect();
        let balance = U256::from(1_000_000_000_000_000_000u64);
        let network = NewNetwork {
            chain_id: CHAIN_ID,
            validators: validators.iter().map(Signer::address).collect(),
            balances: addresses.iter().map(|address| (*address, balance)).collect(),
            gas_limit: Some(GAS_LIMIT),
            ..NewNetwork::default()
        };
        let text = network.to_json();
        fs::write(command.out.join("genesis.json"), &text)?;
        let genesis = Genesis::from_json(&text).map_err(|error| eyre!("{error}"))?;
        let options = StoreOptions { history: History::Last(128), ..StoreOptions::default() };
        let kv = lonja_storage::open_rocks(folder, &options)?;
        let writer = lonja_storage::open(kv, &genesis)?.writer;
        let parent = genesis.header.header().clone();
        Ok(Self { genesis, validators, writer, parent, nonces: vec![0; addresses.len()], addresses })
    }

    fn token_address(&self) -> Address {
        key(0).address().create(0)
    }

    /// The next transaction of an account.
    fn order(&mut self, from: u64, kind: TxKind, input: Bytes, gas: u64) -> Order {
        let next = &mut self.nonces[from as usize];
        *next += 1;
        Order { from, nonce: *next - 1, kind, value: U256::ZERO, input, gas }
    }

    fn by_chance(&mut self, kind: Kind, chance: &mut Chance) -> Order {
        let accounts = self.nonces.len() as u64;
        let from = chance.below(accounts);
        let other = (from + 1 + chance.below(accounts - 1)) % accounts;
        let to = self.addresses[other as usize];
        match kind {
            Kind::Transfers => {
                let order = self.order(from, TxKind::Call(to), Bytes::new(), 21_000);
                Order { value: U256::ONE, ..order }
            }
            Kind::Erc20 => {
                let input = contracts::transfer(to, U256::ONE);
                let token = self.token_address();
                self.order(from, TxKind::Call(token), input, contracts::TOKEN_TRANSFER_GAS)
            }
        }
    }

    /// Signs, executes, seals and writes a block.
    fn add(&mut self, orders: Vec<Order>, file: &mut impl Write) -> Result<()> {
        let raws: Vec<Bytes> = orders.par_iter().map(sign).collect();
        let recovered: Result<Vec<RecoveredTransaction>, _> =
            recover_all(raws.clone(), CHAIN_ID).into_iter().collect();
        let recovered = recovered?;
        let mut header = self.next_header(&raws)?;
        let state = self.writer.head_state();
        let rules = self.genesis.spec.rules_at(header.number, header.timestamp);
        let mut executor = BlockExecutor::new(rules, BlockEnv::from_header(&header), &state);
        for tx in &recovered {
            executor.execute(tx).map_err(|error| eyre!("block {}: {error}", header.number))?;
        }
        let output = executor.finish().map_err(|error| eyre!("{error}"))?;
        ensure!(output.receipts.iter().all(|receipt| receipt.success), "a transaction failed");
        let prepared = self.writer.prepare(&output.changes)?;
        header.state_root = prepared.root;
        header.receipts_root = output.receipts_root;
        header.logs_bloom = output.logs_bloom;
        header.gas_used = output.gas_used;
        let header = self.seal(&header)?;
        let block = Block { header, transactions: raws };
        file.write_all(&alloy_rlp::encode(&block))?;
        let hashes: Vec<B256> = recovered.iter().map(RecoveredTransaction::hash).collect();
        let senders: Vec<Address> = recovered.iter().map(RecoveredTransaction::sender).collect();
        self.writer.commit(&BlockCommit {
            hash: block_hash(&block.header, HeaderFormat::Qbft)?,
            block: &block,
            transaction_hashes: &hashes,
            senders: &senders,
            receipts: &output.receipts,
            changes: &output.changes,
            prepared: &prepared,
            votes: &[],
        })?;
        self.parent = block.header;
        Ok(())
    }

    /// Everything that is known before execution.
    fn next_header(&self, raws: &[Bytes]) -> Result<Header> {
        let number = self.parent.number + 1;
        let turn = number as usize % self.validators.len();
        let extra = ExtraData {
            vanity: B256::ZERO.to_vec().into(),
            validators: self.validators.iter().map(Signer::address).collect(),
            ..ExtraData::default()
        };
        Ok(Header {
            parent_hash: self.writer.written().hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: self.validators[turn].address(),
            transactions_root: Block::transactions_root(raws),
            difficulty: U256::ONE,
            number,
            gas_limit: self.parent.gas_limit,
            timestamp: self.parent.timestamp + 1,
            extra_data: extra.encode(HeaderFormat::Qbft),
            mix_hash: ISTANBUL_MIX_HASH,
            base_fee_per_gas: self.parent.base_fee_per_gas,
            ..Header::default()
        })
    }

    fn seal(&self, header: &Header) -> Result<Header> {
        let digest = commit_digest(header, HeaderFormat::Qbft)?;
        let seals: Vec<_> = self.validators.iter().map(|validator| validator.sign(digest)).collect();
        Ok(with_round_and_seals(header, 0, &seals)?)
    }
}

/// The key with this number, from 0.
fn key(number: u64) -> NodeKey {
    let bytes = B256::from(U256::from(number) + U256::ONE);
    NodeKey::from_bytes(&bytes.0).expect("a small number other than 0 is a key")
}

fn sign(order: &Order) -> Bytes {
    let tx = TxLegacy {
        chain_id: Some(CHAIN_ID),
        nonce: order.nonce,
        gas_price: 0,
        gas_limit: order.gas,
        to: order.kind,
        value: order.value,
        input: order.input.clone(),
    };
    let signature = key(order.from).sign(tx.signature_hash()).0;
    let (r, s) = (U256::from_be_slice(&signature[..32]), U256::from_be_slice(&signature[32..64]));
    let signed = tx.into_signed(Signature::new(r, s, signature[64] == 1));
    let mut out = Vec::with_capacity(200);
    signed.rlp_encode(&mut out);
    out.into()
}

/// Numbers that look like chance and are always the same (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
