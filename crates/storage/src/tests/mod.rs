//! The store as its users see it: chains of blocks on both kinds of store, against a plain model.

mod chain;
mod concurrent;
mod crash;
mod snapshot;
pub(crate) mod states;
mod upkeep;
mod witness;

use crate::open::open_chain;
use crate::{BlockCommit, ChainWriter, Head, Kv, Opened, Reader, StoreError};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::TrieAccount;
use lonja_primitives::{
    Account, AccountChange, Block, Header, Receipt, SealedHeader, StateChanges, StateView,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A state as plain maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model(pub(crate) BTreeMap<Address, (Account, BTreeMap<U256, U256>)>);

impl Model {
    pub(crate) fn apply(&mut self, changes: &StateChanges) {
        for (address, change) in &changes.accounts {
            let Some(account) = change.account else {
                self.0.remove(address);
                continue;
            };
            let entry = self.0.entry(*address).or_default();
            entry.0 = account;
            if change.storage_wiped {
                entry.1.clear();
            }
            entry.1.extend(&change.storage);
            entry.1.retain(|_, value| !value.is_zero());
        }
    }

    fn storage_root(&self, address: &Address) -> B256 {
        let slots = self.0.get(address).map(|(_, slots)| slots.clone()).unwrap_or_default();
        alloy_trie::root::storage_root_unhashed(slots.into_iter().map(|(slot, value)| (slot.into(), value)))
    }

    fn trie_account(&self, address: &Address) -> Option<TrieAccount> {
        let account = self.0.get(address)?.0;
        Some(TrieAccount {
            nonce: account.nonce,
            balance: account.balance,
            storage_root: self.storage_root(address),
            code_hash: account.code_hash,
        })
    }

    pub(crate) fn root(&self) -> B256 {
        let accounts = self.0.keys().map(|address| (*address, self.trie_account(address).unwrap()));
        alloy_trie::root::state_root_unhashed(accounts)
    }

    /// Compares a state with the model for every address and slot given.
    pub(crate) fn check(&self, state: &dyn StateView, addresses: &[Address], slots: &[U256]) {
        for address in addresses {
            let held = self.0.get(address);
            assert_eq!(state.account(address).unwrap(), held.map(|(account, _)| *account), "{address}");
            for slot in slots {
                let value = held.and_then(|(_, slots)| slots.get(slot).copied()).unwrap_or_default();
                assert_eq!(state.storage(address, slot).unwrap(), value, "{address} {slot}");
            }
        }
    }
}

pub(crate) fn address(number: u64) -> Address {
    Address::from_word(B256::from(U256::from(number + 1)))
}

fn account(nonce: u64, balance: u64) -> Account {
    Account { nonce, balance: U256::from(balance), ..Account::default() }
}

/// Sets an account, and slots of it.
pub(crate) fn change(number: u64, nonce: u64, slots: &[(u64, u64)]) -> StateChanges {
    let storage = slots.iter().map(|(slot, value)| (U256::from(*slot), U256::from(*value))).collect();
    let change = AccountChange { account: Some(account(nonce, nonce * 10)), storage_wiped: false, storage };
    StateChanges { accounts: BTreeMap::from([(address(number), change)]), codes: BTreeMap::new() }
}

/// A chain under test: an open store and what it should hold.
struct Chain {
    kv: Arc<dyn Kv>,
    genesis: SealedHeader,
    genesis_state: StateChanges,
    writer: ChainWriter,
    reader: Reader,
    model: Model,
    /// The states after blocks 0, 1, ….
    past: Vec<Model>,
    blocks: Vec<Block>,
}

impl Chain {
    fn new(kv: Arc<dyn Kv>) -> Self {
        Self::with_genesis(kv, change(0, 1, &[(1, 1)]))
    }

    fn with_genesis(kv: Arc<dyn Kv>, genesis_state: StateChanges) -> Self {
        let mut model = Model::default();
        model.apply(&genesis_state);
        let header = Header { state_root: model.root(), difficulty: U256::from(1), ..Header::default() };
        let hash = header.hash_slow();
        let genesis = SealedHeader::new_unchecked(header.clone(), hash);
        let Opened { writer, reader, .. } = open_chain(kv.clone(), &genesis, &genesis_state).unwrap();
        let blocks = vec![Block { header, transactions: vec![] }];
        Self { kv, genesis, genesis_state, writer, reader, past: vec![model.clone()], model, blocks }
    }

    /// A block on the head with one transaction, whose state root comes from the model.
    fn next_block(&self, changes: &StateChanges) -> Block {
        let mut model = self.model.clone();
        model.apply(changes);
        let Head { number, hash } = self.writer.written();
        let header = Header {
            parent_hash: hash,
            number: number + 1,
            state_root: model.root(),
            base_fee_per_gas: Some(0),
            ..Header::default()
        };
        Block { header, transactions: vec![transaction(number + 1)] }
    }

    fn commit(&mut self, changes: &StateChanges) {
        let block = self.next_block(changes);
        self.try_commit(&block, changes, b"votes").unwrap();
        self.model.apply(changes);
        self.past.push(self.model.clone());
        self.blocks.push(block);
    }

    fn commit_and_publish(&mut self, changes: &StateChanges) {
        self.commit(changes);
        self.writer.sync_and_publish().unwrap();
    }

    fn try_commit(&mut self, block: &Block, changes: &StateChanges, votes: &[u8]) -> Result<(), StoreError> {
        let prepared = self.writer.prepare(changes)?;
        assert_eq!(prepared.root, block.header.state_root, "root of block {}", block.header.number);
        let number = block.header.number;
        self.writer.commit(&BlockCommit {
            block,
            hash: block.header.hash_slow(),
            transaction_hashes: &[keccak256(transaction(number))],
            senders: &[address(number)],
            receipts: &[receipt(number)],
            changes,
            prepared: &prepared,
            votes,
        })
    }

    /// Opens the store again, as a new process does, and takes what it finds as the chain.
    fn reopen(&mut self) {
        let Opened { writer, reader, .. } =
            open_chain(self.kv.clone(), &self.genesis, &self.genesis_state).unwrap();
        let kept = usize::try_from(writer.written().number).unwrap() + 1;
        self.past.truncate(kept);
        self.blocks.truncate(kept);
        self.model = self.past.last().unwrap().clone();
        self.writer = writer;
        self.reader = reader;
    }

    /// Compares everything the reader shows with what was committed and published.
    fn check_blocks(&self) {
        let head = self.reader.head();
        for (number, block) in (0..).zip(&self.blocks) {
            let visible = number <= head.number;
            let hash = block.header.hash_slow();
            let with_transaction = visible && number > 0;
            assert_eq!(self.reader.block(number).unwrap(), visible.then(|| block.clone()));
            assert_eq!(
                self.reader.header(number).unwrap().map(|header| header.hash()),
                visible.then_some(hash)
            );
            assert_eq!(self.reader.number_of(&hash).unwrap(), visible.then_some(number));
            let senders = if number > 0 { vec![address(number)] } else { vec![] };
            assert_eq!(self.reader.senders(number).unwrap(), visible.then_some(senders));
            let receipts = if number > 0 { vec![receipt(number)] } else { vec![] };
            assert_eq!(self.reader.receipts(number).unwrap(), visible.then_some(receipts));
            let place = self.reader.transaction_location(&keccak256(transaction(number))).unwrap();
            assert_eq!(place, with_transaction.then_some((number, 0)));
        }
    }
}

fn transaction(number: u64) -> Bytes {
    Bytes::from(format!("\u{2}transaction of block {number}").into_bytes())
}

fn receipt(number: u64) -> Receipt {
    Receipt {
        tx_type: 2,
        success: number.is_multiple_of(2),
        cumulative_gas_used: 21_000 + number,
        logs: vec![],
    }
}
