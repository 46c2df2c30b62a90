//! A chain with private transactions, and parties that have the payloads they are given.

use crate::private::{Advance, PrivateFollower};
use crate::tests::network::{Draft, Network, draft, key};
use alloy_primitives::{Address, B256, B512, Bytes};
use lonja_primitives::genesis::NewNetwork;
use lonja_primitives::spec::{MarkerRule, Privacy};
use lonja_primitives::transaction::decode_transaction;
use lonja_primitives::transaction::sign_private;
use lonja_primitives::{PayloadHash, Transaction};
use lonja_ptm::{Lookup, Metadata, PrivatePayload, PublicKey};
use lonja_storage::private::{PrivateReader, PrivateStore, open_private};
use lonja_storage::{History, MemoryKv, StateAt, Tuning};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) type Named = (PayloadHash, Lookup);

pub(super) fn chain() -> Network {
    chain_with(MarkerRule::AnySigner)
}

pub(super) fn chain_with(rule: MarkerRule) -> Network {
    let privacy = Privacy { transactions: true, enhancements: true, markers: Some(rule), parties: None };
    Network::of(NewNetwork::default(), |spec| spec.privacy = vec![(0, privacy)])
}

/// One whose nodes keep the public states of so many blocks.
pub(super) fn chain_keeping(states: u64) -> Network {
    let tuning = Tuning { history: History::Last(states), ..Tuning::default() };
    Network::open(chain().genesis, MemoryKv::with_tuning(tuning)).unwrap()
}

/// A payload of our own making; its name is not a hash of anything, which nobody here looks at.
pub(super) fn payload(number: u8, bytes: Bytes) -> Named {
    with_metadata(number, bytes, Metadata::default())
}

pub(super) fn with_metadata(number: u8, bytes: Bytes, metadata: Metadata) -> Named {
    let hash = PayloadHash(B512::repeat_byte(number.wrapping_add(1)));
    let sender = PublicKey([1; 32]);
    (hash, Lookup::Found(PrivatePayload { payload: bytes, metadata, managed_parties: vec![sender], sender }))
}

/// A private transaction that names it.
pub(super) fn private(key: u8, nonce: u64, to: Option<Address>, named: &Named) -> PrivateDraft {
    let input = Bytes::copy_from_slice(named.0.as_slice());
    let to = to.map_or(alloy_primitives::TxKind::Create, alloy_primitives::TxKind::Call);
    draft(key, nonce).with(|tx| (tx.to, tx.input) = (to, input)).private()
}

pub(super) type PrivateDraft = Draft;

/// A node as far as the second pass is concerned.
pub(super) struct Party {
    pub(super) follower: PrivateFollower,
    kv: MemoryKv,
    genesis: B256,
    payloads: BTreeMap<PayloadHash, Lookup>,
}

impl Party {
    pub(super) fn new(chain: &Network) -> Self {
        Self::open(chain, MemoryKv::new(), BTreeMap::new())
    }

    fn open(chain: &Network, kv: MemoryKv, payloads: BTreeMap<PayloadHash, Lookup>) -> Self {
        let genesis = chain.genesis.header.hash();
        let store = open_private(Arc::new(kv.clone()), genesis).unwrap();
        let follower = PrivateFollower::open(store, chain.core.reader(), chain.spec.clone()).unwrap();
        Self { follower, kv, genesis, payloads }
    }

    pub(super) fn reopen(&self, chain: &Network) -> Self {
        Self::open(chain, self.kv.clone(), self.payloads.clone())
    }

    pub(super) fn store(&self) -> PrivateStore {
        open_private(Arc::new(self.kv.clone()), self.genesis).unwrap()
    }

    pub(super) fn has(&mut self, named: &Named) {
        self.payloads.insert(named.0, named.1.clone());
    }

    pub(super) fn forgets(&mut self, hash: &PayloadHash) {
        self.payloads.remove(hash);
    }

    pub(super) fn erased(&mut self, named: &Named) {
        self.payloads.insert(named.0, Lookup::Erased);
    }

    pub(super) fn unavailable(&mut self, named: &Named, reason: &str) {
        self.payloads.insert(named.0, Lookup::Unavailable(reason.to_owned()));
    }

    pub(super) fn look_up(&self, hash: &PayloadHash) -> Lookup {
        self.payloads.get(hash).cloned().unwrap_or(Lookup::NotOurs)
    }

    pub(super) fn advance(&mut self) -> Advance {
        let payloads = &self.payloads;
        let mut ask = |hashes: &[PayloadHash]| {
            hashes.iter().map(|hash| payloads.get(hash).cloned().unwrap_or(Lookup::NotOurs)).collect()
        };
        self.follower.advance(&mut ask).unwrap()
    }

    pub(super) fn catch_up(&mut self) {
        while self.advance() != Advance::UpToDate {}
    }

    pub(super) fn reader(&self) -> PrivateReader {
        self.follower.reader()
    }

    pub(super) fn root(&self) -> B256 {
        self.reader().root_at(self.follower.head().number).unwrap()
    }

    pub(super) fn state(&self) -> StateAt {
        self.reader().state_at(self.follower.head().number).unwrap()
    }
}

impl Draft {
    /// Signed as a private transaction.
    pub(super) fn private(mut self) -> Self {
        self.tx.chain_id = None;
        self.private = true;
        self
    }

    /// Signed.
    pub(super) fn transaction(&self) -> Transaction {
        match self.private {
            true => sign_private(self.tx.clone(), &key(self.key)),
            false => decode_transaction(&self.raw()).unwrap(),
        }
    }
}
