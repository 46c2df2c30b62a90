//! What the tests share: a network of validators with known keys, and transactions by numbered senders.

use crate::{ChainCore, ChainError, Committed};
use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, TxEip4844, TxLegacy};
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, hex};
use lonja_consensus::machine::BuildRequest;
use lonja_primitives::genesis::{GenesisAccount, NewNetwork};
use lonja_primitives::transaction::sign_private;
use lonja_primitives::{
    Block, CertifiedBlock, ChainSpec, ExtraData, Genesis, HeaderFormat, NodeKey, RecoveredTransaction,
    Signer, StateView, Vote, commit_digest,
};
use lonja_storage::MemoryKv;
use lonja_txpool::{PoolConfig, TxPool};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Adds one to its slot 0 and logs the new value with the caller as topic.
pub(crate) const COUNTER: Address = address!("c000000000000000000000000000000000000001");
pub(crate) const COUNTER_CODE: [u8; 20] = hex!("600054600101806000556000523360206000a100");
/// Reverts whatever it is asked.
pub(crate) const REFUSER: Address = address!("c000000000000000000000000000000000000002");
/// What every numbered sender has at block 0.
pub(crate) const START_BALANCE: u64 = 1_000_000;

const SENDERS: u8 = 40;

/// A chain, and the keys of everybody on it.
pub(crate) struct Network {
    pub(crate) genesis: Genesis,
    pub(crate) spec: Arc<ChainSpec>,
    pub(crate) kv: MemoryKv,
    pub(crate) pool: Arc<Mutex<TxPool>>,
    pub(crate) core: ChainCore,
}

pub(crate) fn key(number: u8) -> NodeKey {
    NodeKey::from_bytes(B256::with_last_byte(number).as_ref()).unwrap()
}

/// The validator with this number; 1 is the first one of every network.
pub(crate) fn validator(number: u8) -> NodeKey {
    key(200 + number)
}

pub(crate) fn validator_address(number: u8) -> Address {
    validator(number).address()
}

pub(crate) fn sender(number: u8) -> Address {
    key(number).address()
}

/// A transaction to be signed: a call of [`COUNTER`] with ample gas until something else is said.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) key: u8,
    pub(crate) tx: TxLegacy,
    pub(crate) private: bool,
}

pub(crate) fn draft(key: u8, nonce: u64) -> Draft {
    let tx = TxLegacy {
        chain_id: Some(1337),
        nonce,
        gas_price: 0,
        gas_limit: 100_000,
        to: TxKind::Call(COUNTER),
        value: U256::ZERO,
        input: Bytes::new(),
    };
    Draft { key, tx, private: false }
}

pub(crate) fn transfer(key: u8, nonce: u64, to: Address, value: u64) -> Draft {
    draft(key, nonce).with(|tx| {
        tx.to = TxKind::Call(to);
        tx.value = U256::from(value);
        tx.gas_limit = 21_000;
    })
}

/// Creates another counter.
pub(crate) fn creation(key: u8, nonce: u64) -> Draft {
    let head = [0x60, COUNTER_CODE.len() as u8, 0x80, 0x60, 0x0b, 0x60, 0x00, 0x39, 0x60, 0x00, 0xf3];
    draft(key, nonce).with(|tx| {
        tx.to = TxKind::Create;
        tx.input = [head.as_slice(), &COUNTER_CODE].concat().into();
    })
}

impl Draft {
    pub(crate) fn with(mut self, change: impl FnOnce(&mut TxLegacy)) -> Self {
        change(&mut self.tx);
        self
    }

    pub(crate) fn raw(&self) -> Bytes {
        if self.private {
            return sign_private(self.tx.clone(), &key(self.key)).encoded_2718().into();
        }
        let signature = key(self.key).sign(self.tx.signature_hash()).0;
        let signature =
            alloy_primitives::Signature::from_bytes_and_parity(&signature[..64], signature[64] == 1);
        EthereumTxEnvelope::<TxEip4844>::Legacy(self.tx.clone().into_signed(signature)).encoded_2718().into()
    }

    pub(crate) fn recovered(&self) -> RecoveredTransaction {
        RecoveredTransaction::recover(self.raw(), 1337).unwrap()
    }
}

fn alloc() -> BTreeMap<Address, GenesisAccount> {
    let code = |code: &[u8]| GenesisAccount { code: Bytes::copy_from_slice(code), ..Default::default() };
    let funded = GenesisAccount { balance: U256::from(START_BALANCE), ..Default::default() };
    let mut alloc: BTreeMap<_, _> = (1..=SENDERS).map(|number| (sender(number), funded.clone())).collect();
    alloc.insert(COUNTER, code(&COUNTER_CODE));
    alloc.insert(REFUSER, code(&hex!("60006000fd")));
    alloc
}

impl Network {
    /// One validator, free gas.
    pub(crate) fn new() -> Self {
        Self::of(NewNetwork::default(), |_| {})
    }

    /// With other settings.
    pub(crate) fn of(network: NewNetwork, change: impl FnOnce(&mut ChainSpec)) -> Self {
        let mut accounts = alloc();
        accounts.extend(network.alloc.clone());
        let network = NewNetwork { validators: vec![validator_address(1)], alloc: accounts, ..network };
        let mut genesis = Genesis::from_json(&network.to_json()).unwrap();
        change(&mut genesis.spec);
        Self::open(genesis, MemoryKv::new()).unwrap()
    }

    pub(crate) fn open(genesis: Genesis, kv: MemoryKv) -> Result<Self, ChainError> {
        let spec = Arc::new(genesis.spec.clone());
        let pool = Arc::new(Mutex::new(TxPool::new(PoolConfig::default())));
        let opened = lonja_storage::open(Arc::new(kv.clone()), &genesis).unwrap();
        let core = ChainCore::open(opened, spec.clone(), pool.clone())?;
        core.set_clock(Box::new(|| 0));
        Ok(Self { genesis, spec, kv, pool, core })
    }

    /// Another node of the same network, with nothing but block 0.
    pub(crate) fn other_node(&self) -> Self {
        Self::open(self.genesis.clone(), MemoryKv::new()).unwrap()
    }

    /// The same node after a stop.
    pub(crate) fn reopen(&self) -> Self {
        Self::open(self.genesis.clone(), self.kv.clone()).unwrap()
    }

    pub(crate) fn request(&self, vote: Option<Vote>) -> BuildRequest {
        let position = self.core.position();
        let extra = ExtraData {
            vanity: vec![0; 32].into(),
            validators: position.votes.validators().as_slice().to_vec(),
            vote,
            ..ExtraData::default()
        };
        BuildRequest {
            height: position.head.number + 1,
            round: 0,
            parent: position.head.hash(),
            timestamp: position.head.timestamp + 1,
            beneficiary: validator_address(1),
            extra_data: extra.encode(HeaderFormat::Qbft),
            deadline_ms: 1_000,
        }
    }

    pub(crate) fn build(&mut self) -> Block {
        let request = self.request(None);
        self.core.build(&request, &|| false).unwrap()
    }

    /// Seals a block on our head as decided in `round`, by the validators with these numbers.
    pub(crate) fn seal(&self, mut block: Block, round: u32, by: &[u8]) -> CertifiedBlock {
        let mut extra = ExtraData::decode(&block.header.extra_data, HeaderFormat::Qbft).unwrap();
        extra.round = round;
        block.header.extra_data = extra.encode(HeaderFormat::Qbft);
        let digest = commit_digest(&block.header, HeaderFormat::Qbft).unwrap();
        extra.seals = by.iter().map(|number| validator(*number).sign(digest)).collect();
        block.header.extra_data = extra.encode(HeaderFormat::Qbft);
        let position = self.core.position();
        lonja_consensus::certify(&self.spec, block, &position.head, position.votes.validators()).unwrap()
    }

    pub(crate) fn commit(&mut self, block: Block) -> Committed {
        let sealed = self.seal(block, 0, &[1]);
        self.core.commit(&sealed).unwrap().unwrap()
    }

    /// Builds, seals, commits and publishes the next block.
    pub(crate) fn next_block(&mut self) -> Committed {
        let block = self.build();
        let committed = self.commit(block);
        self.core.sync_and_publish().unwrap();
        committed
    }

    /// Brings transactions to the door; all of them must be taken.
    pub(crate) fn submit(&self, drafts: &[Draft]) -> Vec<B256> {
        let raws = drafts.iter().map(Draft::raw).collect();
        let answers = self.core.door().submit(raws, lonja_txpool::Origin::Local);
        answers.into_iter().map(Result::unwrap).collect()
    }

    pub(crate) fn counter_at(&self, number: u64, address: Address) -> U256 {
        self.core.reader().state_at(number).unwrap().storage(&address, &U256::ZERO).unwrap()
    }

    pub(crate) fn balance_at(&self, number: u64, address: Address) -> U256 {
        let account = self.core.reader().state_at(number).unwrap().account(&address).unwrap();
        account.unwrap_or_default().balance
    }
}
