//! The second pass of a test's node, driven by hand, and a manager in memory.

use super::{CONTRACT_CODE, TestNode, key};
use crate::privacy::RpcPrivacy;
use alloy_primitives::{B512, Bytes, hex, keccak256};
use futures::FutureExt;
use futures::future::BoxFuture;
use lonja_chain::private::{Advance, PrivateFollower, PrivateStatus, PrivateWait};
use lonja_primitives::Signer;
use lonja_ptm::{
    EncodedPayload, Lookup, Metadata, PayloadHash, PrivatePayload, PrivateTransactionManager, PtmError,
    PublicKey, RawPayload, SendRequest, SendSigned, Sent,
};
use lonja_storage::MemoryKv;
use lonja_storage::private::open_private;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// The key of the node's own manager, and that of another party.
pub(crate) const OURS: PublicKey = PublicKey([1; 32]);
pub(crate) const THEIRS: PublicKey = PublicKey([2; 32]);
/// Nobody knows where this one is.
pub(crate) const NOBODY: PublicKey = PublicKey([9; 32]);

/// Takes private transactions along.
pub(crate) struct Parties {
    pub(crate) manager: Arc<TestManager>,
    follower: Arc<Mutex<PrivateFollower>>,
    told: watch::Sender<PrivateStatus>,
}

/// A manager that hands everything to nobody, and remembers it.
#[derive(Default)]
pub(crate) struct TestManager(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    payloads: BTreeMap<PayloadHash, Lookup>,
    raws: BTreeMap<PayloadHash, RawPayload>,
    sent: Vec<SendRequest>,
    refusal: Option<PtmError>,
    made: u64,
}

/// Rules of a network with everything private there is, with markers as named.
pub(crate) fn privacy_rules(markers: Option<&str>) -> Value {
    json!({ "privacy": { "transactions": true, "enhancements": true, "markers": markers } })
}

/// Makes a contract with the code of [`super::CONTRACT`].
pub(crate) fn init_code() -> Vec<u8> {
    let code = hex::decode(CONTRACT_CODE).unwrap();
    let [high, low] = u16::try_from(code.len()).unwrap().to_be_bytes();
    let mut init = vec![0x61, high, low, 0x80, 0x60, 0x0c, 0x60, 0, 0x39, 0x60, 0, 0xf3];
    init.extend(code);
    init
}

impl TestNode {
    /// A party to private transactions, with the account of key 2 unlocked. Nothing goes into markers.
    pub(crate) fn with_parties(rules: Value) -> Self {
        Self::with_rules(rules).joined(false)
    }

    /// The same, and everything that the node signs goes into markers where the network has them.
    pub(crate) fn with_markers(rules: Value) -> Self {
        Self::with_rules(rules).joined(true)
    }

    /// Gives the node a manager.
    pub(crate) fn joined(mut self, markers: bool) -> Self {
        let reader = self.core.reader();
        let store = open_private(Arc::new(MemoryKv::new()), reader.genesis_hash()).unwrap();
        let follower = PrivateFollower::open(store, reader.clone(), Arc::clone(&self.node.spec)).unwrap();
        let (told, status) = watch::channel(PrivateStatus::at(follower.head()));
        let (manager, private) = (Arc::new(TestManager::default()), follower.reader());
        let follower = Arc::new(Mutex::new(follower));
        let (asked, spec) = (Arc::clone(&follower), Arc::clone(&self.node.spec));
        self.node.privacy = Some(Arc::new(RpcPrivacy {
            manager: manager.clone(),
            embedded: None,
            reader: private,
            status,
            markers,
            rules: None,
            add_required: true,
            simulate_root: Arc::new(move |message| {
                let result = asked.lock().simulate_root(&spec, &reader, &message);
                async move { result }.boxed()
            }),
        }));
        self.parties = Some(Parties { manager, follower, told });
        let accounts = &self.node.accounts;
        accounts.import(&key(2), &"two".into()).unwrap();
        accounts.unlock(key(2).address(), &"two".into(), None).unwrap();
        self
    }

    pub(crate) fn manager(&self) -> &TestManager {
        &self.parties.as_ref().unwrap().manager
    }

    /// Executes private transactions up to the public head, or as far as there are payloads.
    pub(crate) fn follow(&self) {
        let Parties { manager, follower, told } = self.parties.as_ref().unwrap();
        let mut follower = follower.lock();
        let mut ask = |hashes: &[PayloadHash]| hashes.iter().map(|hash| manager.look(hash)).collect();
        loop {
            match follower.advance(&mut ask).unwrap() {
                Advance::Moved { .. } => {}
                Advance::UpToDate => {
                    told.send_replace(PrivateStatus::at(follower.head()));
                    return;
                }
                Advance::Waiting(waiting) => {
                    let waiting = Some(PrivateWait::since(std::time::SystemTime::now(), waiting));
                    told.send_replace(PrivateStatus { head: follower.head(), waiting });
                    return;
                }
            }
        }
    }

    /// The next block, with what is private in it.
    pub(crate) fn mine_and_follow(&mut self) -> u64 {
        let number = self.mine();
        self.follow();
        number
    }

    /// A payload turns up that a block was executed without.
    pub(crate) fn arrived(&self, hash: &PayloadHash, payload: Bytes) {
        let Parties { manager, follower, told } = self.parties.as_ref().unwrap();
        manager.keep(*hash, payload);
        let mut follower = follower.lock();
        follower.arrived(hash).unwrap();
        told.send_replace(PrivateStatus::at(follower.head()));
        drop(follower);
        self.follow();
    }
}

impl TestManager {
    /// What was sent, in order.
    pub(crate) fn sent(&self) -> Vec<SendRequest> {
        self.0.lock().sent.clone()
    }

    /// From now on refuses to send.
    pub(crate) fn refuse(&self, error: Option<PtmError>) {
        self.0.lock().refusal = error;
    }

    /// Has a payload from elsewhere.
    pub(crate) fn keep(&self, hash: PayloadHash, payload: Bytes) {
        let found = PrivatePayload {
            payload,
            metadata: Metadata::default(),
            managed_parties: vec![OURS],
            sender: THEIRS,
        };
        self.0.lock().payloads.insert(hash, Lookup::Found(found));
    }

    pub(crate) fn answer(&self, hash: PayloadHash, answer: Lookup) {
        self.0.lock().payloads.insert(hash, answer);
    }

    fn look(&self, hash: &PayloadHash) -> Lookup {
        self.0.lock().payloads.get(hash).cloned().unwrap_or(Lookup::NotOurs)
    }

    fn take(&self, request: SendRequest) -> Result<Sent, PtmError> {
        let mut kept = self.0.lock();
        if let Some(error) = &kept.refusal {
            return Err(error.clone());
        }
        let sender = request.from.unwrap_or(OURS);
        if sender != OURS {
            return Err(PtmError::UnknownSender(sender));
        }
        if request.to.contains(&NOBODY) {
            return Err(PtmError::UnknownRecipient(NOBODY));
        }
        let (payload, metadata) = (request.payload.clone(), request.metadata.clone());
        let hash = kept.name();
        let found = PrivatePayload { payload, metadata, managed_parties: vec![OURS], sender };
        kept.payloads.insert(hash, Lookup::Found(found));
        kept.sent.push(request);
        Ok(Sent { hash, managed_parties: vec![OURS], sender })
    }

    fn hand_on(&self, request: SendSigned) -> Result<Sent, PtmError> {
        let stored = self.stored(&request.hash)?;
        let SendSigned { hash, to, metadata } = request;
        let mut kept = self.0.lock();
        if let Some(error) = &kept.refusal {
            return Err(error.clone());
        }
        let found = PrivatePayload {
            payload: stored.payload.clone(),
            metadata: metadata.clone(),
            managed_parties: vec![OURS],
            sender: stored.sender,
        };
        kept.payloads.insert(hash, Lookup::Found(found));
        kept.sent.push(SendRequest { payload: stored.payload, from: Some(stored.sender), to, metadata });
        Ok(Sent { hash, managed_parties: vec![OURS], sender: stored.sender })
    }

    fn stored(&self, hash: &PayloadHash) -> Result<RawPayload, PtmError> {
        let none = || PtmError::NotFound(format!("Raw Message with hash {hash} was not found"));
        self.0.lock().raws.get(hash).cloned().ok_or_else(none)
    }

    /// Stores a payload as a client's own call of the manager does.
    pub(crate) fn store(&self, payload: Bytes) -> PayloadHash {
        let mut kept = self.0.lock();
        let hash = kept.name();
        kept.raws.insert(hash, RawPayload { payload, sender: OURS });
        hash
    }
}

impl Kept {
    /// The name of the next payload.
    fn name(&mut self) -> PayloadHash {
        self.made += 1;
        let half = keccak256(self.made.to_be_bytes());
        let mut name = [0; 64];
        name[..32].copy_from_slice(half.as_slice());
        name[32..].copy_from_slice(keccak256(half).as_slice());
        PayloadHash(B512::from(name))
    }
}

fn ready<T: Send + 'static>(result: T) -> BoxFuture<'static, T> {
    async move { result }.boxed()
}

impl PrivateTransactionManager for TestManager {
    fn send(&self, request: SendRequest) -> BoxFuture<'_, Result<Sent, PtmError>> {
        // Not at once: others go on meanwhile.
        async move {
            tokio::task::yield_now().await;
            self.take(request)
        }
        .boxed()
    }

    fn store_raw(
        &self,
        payload: Bytes,
        from: Option<PublicKey>,
    ) -> BoxFuture<'_, Result<PayloadHash, PtmError>> {
        ready(match from {
            Some(other) if other != OURS => Err(PtmError::UnknownSender(other)),
            _ => Ok(self.store(payload)),
        })
    }

    fn send_signed(&self, request: SendSigned) -> BoxFuture<'_, Result<Sent, PtmError>> {
        ready(self.hand_on(request))
    }

    fn lookup(&self, hash: PayloadHash) -> BoxFuture<'_, Lookup> {
        ready(self.look(&hash))
    }

    fn raw_payload(&self, hash: PayloadHash) -> BoxFuture<'_, Result<RawPayload, PtmError>> {
        ready(self.stored(&hash))
    }

    fn is_sender(&self, hash: PayloadHash) -> BoxFuture<'_, Result<bool, PtmError>> {
        ready(Ok(matches!(self.look(&hash), Lookup::Found(payload) if payload.sender == OURS)))
    }

    fn participants(&self, _hash: PayloadHash) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>> {
        ready(Ok(vec![OURS]))
    }

    fn mandatory(&self, _hash: PayloadHash) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>> {
        ready(Ok(Vec::new()))
    }

    fn keys(&self) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>> {
        ready(Ok(vec![OURS]))
    }

    fn erase(&self, hash: PayloadHash) -> BoxFuture<'_, Result<(), PtmError>> {
        self.0.lock().payloads.insert(hash, Lookup::Erased);
        ready(Ok(()))
    }

    fn encrypt(&self, _request: SendRequest) -> BoxFuture<'_, Result<EncodedPayload, PtmError>> {
        ready(Err(PtmError::BadRequest("not in tests".to_owned())))
    }

    /// Shows that the parcel came whole: its ciphertext is the payload.
    fn decrypt(&self, envelope: EncodedPayload) -> BoxFuture<'_, Result<PrivatePayload, PtmError>> {
        ready(Ok(PrivatePayload {
            payload: envelope.cipher_text,
            metadata: Metadata { mode: envelope.mode, ..Metadata::default() },
            managed_parties: envelope.recipients,
            sender: envelope.sender,
        }))
    }
}
