//! What the tests stand on: a state in memory, keys, signed transactions, rules, and a small assembler.

use crate::{BlockEnv, BlockExecutor, ExecuteError, ExecutionOutput, TxInvalid};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::Encodable2718;
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount, root::state_root_unhashed, root::storage_root_unhashed};
use lonja_primitives::spec::{Limits, Privacy};
use lonja_primitives::{
    Account, BlockRules, Fork, NodeKey, RecoveredTransaction, Signer, StateChanges, StateError, StateView,
    Transaction,
};
use revm::bytecode::opcode::{MSTORE, PUSH1, RETURN};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

pub const CHAIN: u64 = 1337;
pub const PROPOSER: Address = Address::repeat_byte(0xcb);
pub const PLENTY: u64 = 1_000_000;

/// A state in memory that counts what is read from it.
#[derive(Default)]
pub struct World {
    pub accounts: BTreeMap<Address, Account>,
    pub storage: BTreeMap<(Address, U256), U256>,
    pub codes: BTreeMap<B256, Bytes>,
    pub hashes: BTreeMap<u64, B256>,
    pub broken: Option<Address>,
    pub reads: AtomicUsize,
}

impl StateView for World {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.broken == Some(*address) {
            return Err(StateError::Store("broken on purpose".into()));
        }
        Ok(self.accounts.get(address).copied())
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.broken == Some(Address::from_word(B256::from(*slot))) {
            return Err(StateError::Store("broken on purpose".into()));
        }
        Ok(self.storage.get(&(*address, *slot)).copied().unwrap_or_default())
    }

    fn has_storage(&self, address: &Address) -> Result<bool, StateError> {
        Ok(self.storage.keys().any(|(owner, _)| owner == address))
    }

    fn code(&self, code_hash: &B256) -> Result<Bytes, StateError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        Ok(self.codes.get(code_hash).cloned().unwrap_or_default())
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        Ok(self.hashes.get(&number).copied().unwrap_or_default())
    }
}

impl World {
    pub fn with_balance(mut self, address: Address, balance: u64) -> Self {
        self.accounts.entry(address).or_default().balance = U256::from(balance);
        self
    }

    pub fn with_code(mut self, address: Address, code: Vec<u8>) -> Self {
        let account = self.accounts.entry(address).or_default();
        account.nonce = 1;
        account.code_hash = keccak256(&code);
        self.codes.insert(account.code_hash, code.into());
        self
    }

    pub fn with_slot(mut self, address: Address, slot: u64, value: u64) -> Self {
        self.storage.insert((address, U256::from(slot)), U256::from(value));
        self
    }

    pub fn balance(&self, address: Address) -> U256 {
        self.accounts.get(&address).map_or(U256::ZERO, |account| account.balance)
    }

    pub fn nonce(&self, address: Address) -> u64 {
        self.accounts.get(&address).map_or(0, |account| account.nonce)
    }

    pub fn slot(&self, address: Address, slot: u64) -> U256 {
        self.storage.get(&(address, U256::from(slot))).copied().unwrap_or_default()
    }

    pub fn code_of(&self, address: Address) -> Bytes {
        let hash = self.accounts.get(&address).map_or(KECCAK256_EMPTY, |account| account.code_hash);
        self.codes.get(&hash).cloned().unwrap_or_default()
    }

    pub fn apply(&mut self, changes: &StateChanges) {
        for (address, change) in &changes.accounts {
            match change.account {
                Some(account) => self.accounts.insert(*address, account),
                None => self.accounts.remove(address),
            };
            if change.storage_wiped {
                self.storage.retain(|(owner, _), _| owner != address);
            }
            for (slot, value) in &change.storage {
                if value.is_zero() {
                    self.storage.remove(&(*address, *slot));
                } else {
                    self.storage.insert((*address, *slot), *value);
                }
            }
        }
        self.codes.extend(changes.codes.clone());
    }

    /// The state root, computed by alloy-trie from nothing.
    pub fn root(&self) -> B256 {
        state_root_unhashed(self.accounts.iter().map(|(address, account)| {
            let slots: Vec<_> = self
                .storage
                .range((*address, U256::ZERO)..=(*address, U256::MAX))
                .map(|((_, slot), value)| (B256::from(*slot), *value))
                .collect();
            let storage_root = if slots.is_empty() { EMPTY_ROOT_HASH } else { storage_root_unhashed(slots) };
            let account = TrieAccount {
                nonce: account.nonce,
                balance: account.balance,
                storage_root,
                code_hash: account.code_hash,
            };
            (*address, account)
        }))
    }

    /// Executes a block of these transactions, all of which must be valid, and moves to the state after it.
    pub fn block(&mut self, rules: BlockRules, txs: &[RecoveredTransaction]) -> ExecutionOutput {
        self.block_in(rules, env(rules.fork), txs)
    }

    pub fn block_in(
        &mut self,
        rules: BlockRules,
        env: BlockEnv,
        txs: &[RecoveredTransaction],
    ) -> ExecutionOutput {
        let mut executor = BlockExecutor::new(rules, env, self);
        for tx in txs {
            executor.execute(tx).unwrap();
        }
        let output = executor.finish().unwrap();
        self.apply(&output.changes);
        output
    }

    /// Executes one transaction that must be refused, and checks that nothing came of it.
    pub fn refusal(&self, rules: BlockRules, tx: &RecoveredTransaction) -> TxInvalid {
        let mut executor = BlockExecutor::new(rules, env(rules.fork), self);
        let error = executor.execute(tx).unwrap_err();
        let output = executor.finish().unwrap();
        assert!(output.changes.is_empty() && output.receipts.is_empty() && output.gas_used == 0);
        match error {
            ExecuteError::Invalid(invalid) => invalid,
            other => panic!("refused for another reason: {other}"),
        }
    }
}

pub fn rules(fork: Fork) -> BlockRules {
    BlockRules {
        chain_id: CHAIN,
        fork,
        free_gas: true,
        limits: Limits {
            code_size: 24_576,
            init_code_size: 49_152,
            transaction_size: 131_072,
            block_size: 8_000_000,
            gas_limit: None,
        },
        block_reward: U256::ZERO,
        beneficiary: None,
        privacy: Privacy::default(),
    }
}

pub fn paid(fork: Fork) -> BlockRules {
    BlockRules { free_gas: false, ..rules(fork) }
}

pub fn env(fork: Fork) -> BlockEnv {
    BlockEnv {
        number: 300,
        timestamp: 1_700_000_000,
        beneficiary: PROPOSER,
        gas_limit: 30_000_000,
        base_fee: (fork >= Fork::London).then_some(0),
        prevrandao: B256::repeat_byte(0x77),
        difficulty: U256::ONE,
    }
}

pub fn key(n: u8) -> NodeKey {
    let mut bytes = [0u8; 32];
    bytes[31] = n;
    NodeKey::from_bytes(&bytes).unwrap()
}

pub fn signed<T>(key: &NodeKey, tx: T) -> RecoveredTransaction
where
    T: SignableTransaction<alloy_primitives::Signature>,
    Transaction: From<alloy_consensus::Signed<T>>,
{
    let signature = signature(key, tx.signature_hash());
    let envelope = Transaction::from(tx.into_signed(signature));
    let recovered = RecoveredTransaction::recover(envelope.encoded_2718().into(), CHAIN).unwrap();
    assert_eq!(recovered.sender(), key.address());
    recovered
}

fn signature(key: &NodeKey, digest: B256) -> alloy_primitives::Signature {
    let bytes = key.sign(digest).0;
    let part = |range: std::ops::Range<usize>| U256::from_be_slice(&bytes[range]);
    alloy_primitives::Signature::new(part(0..32), part(32..64), bytes[64] == 1)
}

pub fn authorize(key: &NodeKey, target: Address, nonce: u64) -> SignedAuthorization {
    let authorization = Authorization { chain_id: U256::from(CHAIN), address: target, nonce };
    let signature = signature(key, authorization.signature_hash());
    authorization.into_signed(signature)
}

pub fn legacy(nonce: u64) -> TxLegacy {
    TxLegacy { chain_id: Some(CHAIN), nonce, gas_limit: PLENTY, ..TxLegacy::default() }
}

pub fn eip2930(nonce: u64) -> TxEip2930 {
    TxEip2930 { chain_id: CHAIN, nonce, gas_limit: PLENTY, ..TxEip2930::default() }
}

pub fn eip1559(nonce: u64) -> TxEip1559 {
    TxEip1559 { chain_id: CHAIN, nonce, gas_limit: PLENTY, ..TxEip1559::default() }
}

pub fn eip7702(nonce: u64) -> TxEip7702 {
    TxEip7702 { chain_id: CHAIN, nonce, gas_limit: PLENTY, ..TxEip7702::default() }
}

pub fn transfer(nonce: u64, to: Address, value: u64) -> TxLegacy {
    TxLegacy { to: to.into(), value: U256::from(value), gas_limit: 21_000, ..legacy(nonce) }
}

pub fn create(nonce: u64, init_code: Vec<u8>) -> TxLegacy {
    TxLegacy { input: init_code.into(), ..legacy(nonce) }
}

pub fn send(nonce: u64, to: Address) -> TxLegacy {
    TxLegacy { to: to.into(), ..legacy(nonce) }
}

/// The shortest push of a number.
pub fn push(value: u64) -> Vec<u8> {
    let bytes = U256::from(value).to_be_bytes_trimmed_vec();
    let bytes = if bytes.is_empty() { vec![0] } else { bytes };
    [vec![PUSH1 + bytes.len() as u8 - 1], bytes].concat()
}

pub fn push_address(address: Address) -> Vec<u8> {
    [vec![PUSH1 + 19], address.to_vec()].concat()
}

/// Pushes these numbers so that the first ends on top.
pub fn args(values: &[u64]) -> Vec<u8> {
    values.iter().rev().flat_map(|value| push(*value)).collect()
}

/// Returns the word on top of the stack.
pub fn return_word() -> Vec<u8> {
    [push(0), vec![MSTORE], args(&[0, 32]), vec![RETURN]].concat()
}

/// Code that calls an address with everything else 0, and leaves whether it succeeded on the stack.
pub fn call_of(opcode: u8, target: Address, gas: u64, value: u64) -> Vec<u8> {
    use revm::bytecode::opcode::{CALL, CALLCODE};
    let values = if matches!(opcode, CALL | CALLCODE) { vec![value, 0, 0, 0, 0] } else { vec![0; 4] };
    [args(&values), push_address(target), push(gas), vec![opcode]].concat()
}

/// Init code that deploys this code.
pub fn deploys(code: &[u8]) -> Vec<u8> {
    use revm::bytecode::opcode::CODECOPY;
    let head = |length: usize| {
        [
            args(&[0, length as u64, code.len() as u64]),
            vec![CODECOPY],
            args(&[0, code.len() as u64]),
            vec![RETURN],
        ]
        .concat()
    };
    let length = head(head(0).len()).len();
    [head(length), code.to_vec()].concat()
}
