//! Proofs of everything that was looked at in a state, so that somebody without it can look at the same.
//!
//! [`Recorder`] notes what is read, [`Reader::witness`] collects the trie nodes that prove all of it against the state
//! root, and [`WitnessState`] is the state as far as they tell. Nothing else can be read from that: where a node is
//! missing it says so, and where a key is absent the nodes prove that too.

use crate::StoreError;
use crate::proof::ProofLimits;
use crate::reader::Reader;
use crate::tables::{account_key, slot_hash};
use alloy_primitives::map::{B256Map, HashSet};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use alloy_rlp::Decodable;
use alloy_trie::nodes::{RlpNode, TrieNode};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount};
use lonja_primitives::{Account, StateError, StateView};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};

/// What was read of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Accounts, with the slots of each.
    pub accounts: BTreeMap<Address, BTreeSet<U256>>,
    /// Codes, by hash.
    pub codes: BTreeMap<B256, Bytes>,
    /// Whether the hash of an earlier block was asked for: no state root proves that.
    pub block_hash: bool,
}

/// A state that notes what is read from it.
pub struct Recorder<'a> {
    state: &'a dyn StateView,
    looked: Mutex<Looked>,
}

impl<'a> Recorder<'a> {
    /// Reads from this state.
    pub fn new(state: &'a dyn StateView) -> Self {
        Self { state, looked: Mutex::new(Looked::default()) }
    }

    /// What was read.
    pub fn looked(self) -> Looked {
        self.looked.into_inner()
    }

    fn note(&self, address: &Address) {
        self.looked.lock().accounts.entry(*address).or_default();
    }
}

impl StateView for Recorder<'_> {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        self.note(address);
        self.state.account(address)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        self.looked.lock().accounts.entry(*address).or_default().insert(*slot);
        self.state.storage(address, slot)
    }

    fn has_storage(&self, address: &Address) -> Result<bool, StateError> {
        self.note(address);
        self.state.has_storage(address)
    }

    fn account_and_storage(&self, address: &Address) -> Result<Option<(Account, bool)>, StateError> {
        self.note(address);
        self.state.account_and_storage(address)
    }

    fn code(&self, code_hash: &B256) -> Result<Bytes, StateError> {
        let code = self.state.code(code_hash)?;
        if *code_hash != KECCAK256_EMPTY {
            self.looked.lock().codes.insert(*code_hash, code.clone());
        }
        Ok(code)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.looked.lock().block_hash = true;
        self.state.block_hash(number)
    }
}

impl Reader {
    /// The trie nodes that prove these accounts and slots against the state root of a block, each once. Errors as those of
    /// [`Reader::proof`].
    pub fn witness(
        &self,
        number: u64,
        accounts: &BTreeMap<Address, BTreeSet<U256>>,
        limits: &ProofLimits,
    ) -> Result<Vec<Bytes>, StoreError> {
        let (mut nodes, mut seen) = (Vec::new(), HashSet::<Bytes>::default());
        for (address, slots) in accounts {
            let slots: Vec<U256> = slots.iter().copied().collect();
            let proof = self.proof(number, address, &slots, limits)?;
            let of_slots = proof.storage.into_iter().flat_map(|slot| slot.proof);
            let new = proof.proof.into_iter().chain(of_slots).filter(|node| seen.insert(node.clone()));
            nodes.extend(new);
        }
        Ok(nodes)
    }
}

/// A state of which only what a witness proves is known.
#[derive(Clone, Debug)]
pub struct WitnessState {
    root: B256,
    nodes: B256Map<Bytes>,
    codes: B256Map<Bytes>,
}

impl WitnessState {
    /// The state with this root, as far as these trie nodes and codes tell. Whatever does not belong to it is never found.
    pub fn new(root: B256, nodes: Vec<Bytes>, codes: Vec<Bytes>) -> Self {
        let by_hash = |all: Vec<Bytes>| all.into_iter().map(|one| (keccak256(&one), one)).collect();
        Self { root, nodes: by_hash(nodes), codes: by_hash(codes) }
    }

    fn trie_account(&self, address: &Address) -> Result<Option<TrieAccount>, StateError> {
        let leaf = self.find(self.root, &account_key(address));
        let leaf = leaf.map_err(|what| lacking(format!("account {address}: {what}")))?;
        let decode = |leaf: Vec<u8>| exact::<TrieAccount>(&leaf);
        leaf.map(decode).transpose().map_err(|what| lacking(format!("account {address}: {what}")))
    }

    /// The leaf under a key of a trie; `None` where the nodes show that there is none.
    fn find(&self, root: B256, key: &B256) -> Result<Option<Vec<u8>>, String> {
        if root == EMPTY_ROOT_HASH {
            return Ok(None);
        }
        let mut rest = Nibbles::unpack_array(&key.0);
        let mut next = RlpNode::word_rlp(&root);
        loop {
            match self.node(&next)? {
                TrieNode::EmptyRoot => return Ok(None),
                TrieNode::Leaf(leaf) => return Ok((leaf.key == rest).then_some(leaf.value)),
                TrieNode::Extension(extension) => {
                    if extension.key.is_empty() || !rest.starts_with(&extension.key) {
                        return Ok(None);
                    }
                    rest = rest.slice(extension.key.len()..);
                    next = extension.child;
                }
                TrieNode::Branch(branch) => {
                    let Some(nibble) = rest.first() else { return Ok(None) };
                    let branch = branch.as_ref();
                    let child = branch.children().find(|(at, _)| *at == nibble).and_then(|(_, child)| child);
                    let Some(child) = child.cloned() else { return Ok(None) };
                    rest = rest.slice(1..);
                    next = child;
                }
            }
        }
    }

    /// A node by what its parent says of it: its hash, or the node itself where it is short.
    fn node(&self, named: &RlpNode) -> Result<TrieNode, String> {
        match named.as_hash() {
            None => exact(named),
            Some(hash) => exact(self.nodes.get(&hash).ok_or_else(|| format!("node {hash} is missing"))?),
        }
    }
}

impl StateView for WitnessState {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        Ok(self.account_and_storage(address)?.map(|(account, _)| account))
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        let Some(account) = self.trie_account(address)? else { return Ok(U256::ZERO) };
        let found = self.find(account.storage_root, &slot_hash(slot));
        let value = found.and_then(|leaf| leaf.map_or(Ok(U256::ZERO), |leaf| exact(&leaf)));
        value.map_err(|what| lacking(format!("slot {slot:#x} of {address}: {what}")))
    }

    fn has_storage(&self, address: &Address) -> Result<bool, StateError> {
        Ok(self.account_and_storage(address)?.is_some_and(|(_, has_storage)| has_storage))
    }

    fn account_and_storage(&self, address: &Address) -> Result<Option<(Account, bool)>, StateError> {
        Ok(self.trie_account(address)?.map(|found| {
            let TrieAccount { nonce, balance, storage_root, code_hash } = found;
            (Account { nonce, balance, code_hash }, storage_root != EMPTY_ROOT_HASH)
        }))
    }

    fn code(&self, code_hash: &B256) -> Result<Bytes, StateError> {
        if *code_hash == KECCAK256_EMPTY {
            return Ok(Bytes::new());
        }
        self.codes.get(code_hash).cloned().ok_or_else(|| lacking(format!("code {code_hash}")))
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        Err(lacking(format!("the hash of block {number}")))
    }
}

fn lacking(what: String) -> StateError {
    StateError::Store(format!("the proof lacks something: {what}"))
}

fn exact<T: Decodable>(mut bytes: &[u8]) -> Result<T, String> {
    let value = T::decode(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.is_empty() { Ok(value) } else { Err("bytes behind the end".to_owned()) }
}
