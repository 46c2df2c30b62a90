//! The manager that is part of a node.
//!
//! A send seals the payload, makes the envelope durable here and pushes every recipient's copy to its node, all at once;
//! it succeeds when every recipient has its copy durably and has shown that it could open it. Where one cannot be reached or
//! refuses, everything is taken back and the error names it, or, with an outbox, the copy waits until it can be delivered.

mod address;
mod deliver;
mod erase;
mod handle;
mod lookup;
mod meter;
mod network;
mod outbox;
mod parties;
mod receive;
mod recent;
mod recover;
mod resend;
mod send;
mod state;
mod supervise;
#[cfg(test)]
mod tests;

use crate::arrivals::Arrivals;
use crate::courier::{Courier, UrlCourier};
use crate::directory::Directory;
use crate::records::{Author, Binding, Erasure};
use crate::store::{MAX_GROUPS, PayloadStore};
use crate::surroundings::{Machine, Surroundings};
use crate::wire;
use crate::{EncodedPayload, Keyring, Lookup, PayloadHash, PeerUrl, PrivacyGroup, PrivatePayload};
use crate::{
    PrivateTransactionManager, PtmError, PublicKey, RawPayload, SendRequest, SendSigned, Sent, Statement,
};
use alloy_primitives::{B256, Bytes};
pub use erase::ErasureAnswer;
use futures::future::BoxFuture;
use lonja_primitives::{NodeId, Signer};
use lonja_storage::{Kv, Table};
use lookup::PayloadCache;
use meter::Meters;
pub use network::NetworkRules;
use outbox::Outbox;
pub use outbox::{OutboxRecipient, OutboxStatus};
use parking_lot::Mutex;
use parties::Peers;
use recent::Recent;
pub use recover::{RecoveryOutcome, RecoveryStatus};
use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use supervise::Quiet;
pub use supervise::Reading;

/// Bytes of the largest payload that is sent or taken between nodes. The largest call data that fits into a block is
/// smaller; and envelopes of it fit into one message.
pub const MAX_SENT_BYTES: usize = 10 << 20;

/// Recipients of one payload. Each is asked, and has to answer.
pub const MAX_SENT_RECIPIENTS: usize = 256;

/// Pages of envelopes that are read for others: more are read in several.
pub const MAX_PAGE: usize = 10_000;

/// What a manager is made of.
pub struct Parts {
    /// The store ([`lonja_storage::open_payloads`]).
    pub store: Arc<dyn Kv>,
    /// The keys of its parties.
    pub keyring: Keyring,
    /// The node's name.
    pub node: NodeId,
    /// The node's key. It signs who holds which key, erasures and readings.
    pub signer: Arc<dyn Signer>,
    /// The way to the managers of other nodes.
    pub courier: Arc<dyn Courier>,
    /// Where work goes on that nobody waits for. It ends when the manager is dropped.
    pub runtime: tokio::runtime::Handle,
}

/// Whose orders to erase a payload are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AcceptErase {
    /// Nobody's.
    Never,
    /// Those of the party that sent it.
    #[default]
    FromSender,
    /// Those of each of its parties.
    FromAnyParty,
}

/// What the operator or the network says about a manager.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Hash of block 0: a store and a message of another network are refused. Zero for a manager that stands alone.
    pub genesis: B256,
    /// Whether payloads with privacy flags above 0 are sent and taken.
    pub enhancements: bool,
    /// Who gets everything that is sent from here.
    pub always_send_to: Vec<PublicKey>,
    /// Whether a recipient that cannot be reached gets a payload later, and the send succeeds. Otherwise it fails.
    pub outbox: bool,
    /// Whose orders to erase are carried out.
    pub accept_erase: AcceptErase,
    /// Whether parties that the network requires are added to the recipients. Otherwise a send without them fails.
    pub add_required: bool,
    /// How long another node may take for an answer to a small message. A large one gets more time.
    pub answer_time: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            genesis: B256::ZERO,
            enhancements: false,
            always_send_to: Vec::new(),
            outbox: false,
            accept_erase: AcceptErase::default(),
            add_required: true,
            answer_time: Duration::from_secs(10),
        }
    }
}

/// A private-transaction manager in this process. Clones are the same manager.
#[derive(Clone)]
pub struct EmbeddedManager {
    core: Arc<Core>,
}

/// What all clones share.
struct Core {
    settings: Settings,
    keyring: Arc<Keyring>,
    node: NodeId,
    signer: Arc<dyn Signer>,
    courier: Arc<dyn Courier>,
    urls: OnceLock<Arc<dyn UrlCourier>>,
    runtime: tokio::runtime::Handle,
    surroundings: Arc<dyn Surroundings>,
    store: Arc<PayloadStore>,
    directory: Mutex<Directory>,
    /// What we say of ourselves, signed once.
    bindings: Vec<Binding>,
    peers: Mutex<Peers>,
    meters: Mutex<Meters>,
    cache: PayloadCache,
    recent: Mutex<Recent>,
    /// Payloads that are being sent under a name that somebody chose before.
    sending: Mutex<HashSet<PayloadHash>>,
    outbox: Outbox,
    /// Held while a recovery is under way, and while files are written anew.
    recovering: tokio::sync::Mutex<()>,
    recovery: Mutex<RecoveryStatus>,
    scrubbing: tokio::sync::Mutex<()>,
    /// Whether a task waits to write files anew.
    scrub_waits: AtomicBool,
    rules: OnceLock<Arc<dyn NetworkRules>>,
    quiet: Quiet,
}

impl EmbeddedManager {
    /// Opens the store and starts. Every settled payload is there at once; other nodes are told of our keys as they
    /// connect.
    ///
    /// # Errors
    /// [`PtmError::Store`] where the store is of another network or format, or is damaged.
    pub fn start(parts: Parts, settings: Settings) -> Result<Self, PtmError> {
        Self::start_in(Arc::new(Machine), parts, settings)
    }

    /// As [`start`](Self::start), with other clocks and random numbers than this machine's.
    pub fn start_in(
        surroundings: Arc<dyn Surroundings>,
        parts: Parts,
        settings: Settings,
    ) -> Result<Self, PtmError> {
        let Parts { store, keyring, node, signer, courier, runtime } = parts;
        let store = Arc::new(PayloadStore::open(store, settings.genesis)?);
        let author = Author { node, signer: &*signer, genesis: settings.genesis };
        let now = surroundings.unix_ms();
        let bindings = keyring.keys().iter().map(|key| Binding::sign(author, *key, now)).collect();
        let directory = parties::restore(&store, node, settings.genesis)?;
        let outbox = Outbox::open(&store)?;
        let core = Arc::new(Core {
            settings,
            keyring: Arc::new(keyring),
            node,
            signer,
            courier,
            urls: OnceLock::new(),
            runtime,
            surroundings,
            store,
            directory: Mutex::new(directory),
            bindings,
            peers: Mutex::default(),
            meters: Mutex::default(),
            cache: PayloadCache::new(),
            recent: Mutex::default(),
            sending: Mutex::default(),
            outbox,
            recovering: tokio::sync::Mutex::default(),
            recovery: Mutex::default(),
            scrubbing: tokio::sync::Mutex::default(),
            scrub_waits: AtomicBool::new(false),
            rules: OnceLock::new(),
            quiet: Quiet::default(),
        });
        core.resume_scrubbing()?;
        outbox::start(&core);
        Ok(Self { core })
    }

    /// From now on there are also recipients at URLs. The first courier stays.
    pub fn set_url_courier(&self, courier: Arc<dyn UrlCourier>) {
        let _ = self.core.urls.set(courier);
    }

    /// From now on this says who has to be a party of what is sent, and which nodes hold keys. The first one stays.
    pub fn set_network_rules(&self, rules: Arc<dyn NetworkRules>) {
        self.core.set_network_rules(rules);
    }

    /// The keys of its parties.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.core.keyring
    }

    /// Comes when everything that was handed to the store so far is durable.
    pub async fn settled(&self) -> Result<(), PtmError> {
        self.core.store.write(Vec::new()).await
    }

    /// Why nothing is kept any more, where the store has failed. Only a restart helps.
    pub fn halted(&self) -> Option<String> {
        self.core.store.halted().map(str::to_owned)
    }

    /// Answers the manager of another node. `peer` is who asks, proven by the session. Whatever the request is, there is an
    /// answer.
    pub async fn handle(&self, peer: NodeId, request: Bytes) -> Bytes {
        self.core.handle(peer, request).await.encode()
    }

    /// There is a way to this node now. Returns at once; what is to be told or delivered goes on its own.
    pub fn connected(&self, peer: NodeId) {
        self.core.connected(peer);
    }

    /// Takes in an envelope from another manager, by whatever way it came: checks, then stores durably. `Ok` also where the
    /// rules say that it is dropped without a word.
    pub async fn receive(&self, envelope: EncodedPayload) -> Result<PayloadHash, PtmError> {
        Ok(self.core.receive(envelope, receive::Origin::Manager).await?.hash)
    }

    /// Asks every node that is known for what it has of our keys, and takes it in: after the store was lost. It goes on where
    /// the last one stopped, or begins afresh. `wanted`: payloads that stand on the chain and may be ours.
    ///
    /// # Errors
    /// Those of our own store. What others do not give stands in the outcome.
    pub async fn recover(&self, afresh: bool, wanted: &[PayloadHash]) -> Result<RecoveryOutcome, PtmError> {
        self.core.recover(afresh, wanted).await
    }

    /// As [`recover`](Self::recover), in the background: [`recovery_status`](Self::recovery_status) says how it gets on.
    ///
    /// # Errors
    /// [`PtmError::Unavailable`] where one is under way.
    pub fn start_recovery(&self, afresh: bool, wanted: Vec<PayloadHash>) -> Result<(), PtmError> {
        self.core.start_recovery(afresh, wanted)
    }

    /// How the newest recovery since the start is getting on.
    pub fn recovery_status(&self) -> RecoveryStatus {
        self.core.recovery.lock().clone()
    }

    /// Whether there is an envelope of this name.
    pub fn has(&self, hash: &PayloadHash) -> Result<bool, PtmError> {
        self.core.store.has(hash)
    }

    /// Whether there is a payload of this name that was stored to be sent.
    pub fn has_raw(&self, hash: &PayloadHash) -> Result<bool, PtmError> {
        Ok(self.core.store.raw(hash)?.is_some())
    }

    /// What this node states about a payload: for others, who check it with [`Statement::check`]. `disclose`: whether the key
    /// that opens the payload goes with it. A supervisor's disclosure is a reading, and leaves a record.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn statement(&self, hash: PayloadHash, disclose: bool) -> Result<Statement, PtmError> {
        self.core.statement(hash, disclose).await
    }

    /// Erases a payload here, by an order whose hash the tombstone carries. [`scrub`](Self::scrub) follows on its own, soon.
    ///
    /// # Errors
    /// [`PtmError::NotFound`] where there is none.
    pub async fn erase_by_order(&self, hash: PayloadHash, order: B256) -> Result<Erasure, PtmError> {
        self.core.erase(hash, order).await
    }

    /// As [`erase_by_order`](Self::erase_by_order), also where the payload is not here: it is never taken any more.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn erase_wherever(&self, hash: PayloadHash, order: B256) -> Result<Erasure, PtmError> {
        self.core.erase_wherever(hash, order).await
    }

    /// Whether bytes of something that was erased may still stand in the files of the store.
    pub fn is_scrubbed(&self) -> Result<bool, PtmError> {
        self.core.is_scrubbed()
    }

    /// Whether the reader of [`arrivals`](Self::arrivals) has dealt with everything that came and went so far.
    pub fn is_followed(&self) -> Result<bool, PtmError> {
        self.core.is_followed()
    }

    /// The record that a payload was erased here.
    pub fn tombstone(&self, hash: &PayloadHash) -> Result<Option<Erasure>, PtmError> {
        self.core.tombstone(hash)
    }

    /// Orders the other parties that are known here to erase a payload, and says what each answers. To be done before it is
    /// erased here: nobody knows the parties afterwards. Asked again, those are asked that have not done it yet.
    ///
    /// # Errors
    /// [`PtmError::NotFound`] where the payload is not here.
    pub async fn ask_parties(&self, hash: PayloadHash, order: B256) -> Result<Vec<ErasureAnswer>, PtmError> {
        self.core.ask_parties(hash, order).await
    }

    /// Removes the bytes of what was erased from the files, where this was not done yet. Takes as long as copying the store.
    pub async fn scrub(&self) -> Result<(), PtmError> {
        self.core.scrub().await
    }

    /// Records of readings by supervisors from this number on, `limit` at most, in order.
    pub fn readings(&self, since: u64, limit: usize) -> Result<Vec<Reading>, PtmError> {
        self.core.readings(since, limit.min(MAX_PAGE))
    }

    /// What was stored and erased, from where the reader stopped the last time. There is one reader: the private follower.
    pub fn arrivals(&self) -> Arrivals {
        Arrivals::new(self.core.store.clone())
    }

    /// What waits for recipients.
    pub fn outbox_status(&self) -> OutboxStatus {
        self.core.outbox.status()
    }

    /// The keys that are at this URL; those known before at it are forgotten. Our own are passed over.
    pub fn learn_url(&self, url: &PeerUrl, keys: &[PublicKey]) {
        let others = keys.iter().filter(|key| !self.core.keyring.manages(key)).copied();
        self.core.directory.lock().learn_url(url, others);
    }

    /// Nothing is at this URL any more.
    pub fn forget_url(&self, url: &PeerUrl) {
        self.core.directory.lock().forget_url(url);
    }

    /// Every key of the network that is known here, our own first.
    pub fn known_keys(&self) -> Vec<PublicKey> {
        let others = self.core.directory.lock().keys();
        let own = self.core.keyring.keys();
        let others = others.into_iter().filter(|key| !self.core.keyring.manages(key));
        own.iter().copied().chain(others).collect()
    }

    /// An envelope as it is stored.
    pub fn envelope(&self, hash: &PayloadHash) -> Result<Option<EncodedPayload>, PtmError> {
        Ok(self.core.store.envelope(hash)?.map(|row| row.envelope))
    }

    /// Envelopes that this key sent or received, in the order they were stored: `limit` at most, and no more than are read at
    /// once, after `cursor` (0 at first), and the cursor for the next page where there is more.
    pub fn concerning(
        &self,
        key: &PublicKey,
        cursor: u64,
        limit: usize,
    ) -> Result<(Vec<EncodedPayload>, Option<u64>), PtmError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let index = self.core.store.index(key, cursor, limit)?;
        let (mut found, mut bytes) = (Vec::new(), 0usize);
        for (read, (sequence, hash)) in index.iter().enumerate() {
            let Some(row) = self.core.store.envelope(hash)? else { continue };
            bytes = bytes.saturating_add(row.envelope.cipher_text.len());
            found.push(row.envelope);
            let more = read.saturating_add(1) < index.len() || index.len() >= limit;
            if bytes >= wire::MAX_BATCH_BYTES && more {
                return Ok((found, Some(*sequence)));
            }
        }
        let next = index.last().filter(|_| index.len() >= limit).map(|(sequence, _)| *sequence);
        Ok((found, next))
    }

    /// Stores a privacy group, or what changed about it.
    ///
    /// # Errors
    /// [`PtmError::BadRequest`] where it is beyond the limits, or there are [too many](MAX_GROUPS).
    pub async fn put_group(&self, group: PrivacyGroup) -> Result<(), PtmError> {
        group.check()?;
        let store = &self.core.store;
        if store.group(&group.id())?.is_none() && store.count(Table::Groups, &[], MAX_GROUPS)? >= MAX_GROUPS {
            return Err(PtmError::BadRequest(format!("there are {MAX_GROUPS} privacy groups already")));
        }
        store.keep_group(&group).await
    }

    /// A privacy group by its id, also a deleted one.
    pub fn group(&self, id: &[u8]) -> Result<Option<PrivacyGroup>, PtmError> {
        self.core.store.group(id)
    }

    /// All privacy groups, the deleted ones too.
    pub fn groups(&self) -> Result<Vec<PrivacyGroup>, PtmError> {
        self.core.store.groups()
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

impl PrivateTransactionManager for EmbeddedManager {
    fn send(&self, request: SendRequest) -> BoxFuture<'_, Result<Sent, PtmError>> {
        Box::pin(send::to_the_end(&self.core, self.core.clone().send(request)))
    }

    fn store_raw(
        &self,
        payload: Bytes,
        from: Option<PublicKey>,
    ) -> BoxFuture<'_, Result<PayloadHash, PtmError>> {
        Box::pin(self.core.store_raw(payload, from))
    }

    fn send_signed(&self, request: SendSigned) -> BoxFuture<'_, Result<Sent, PtmError>> {
        Box::pin(send::to_the_end(&self.core, self.core.clone().send_signed(request)))
    }

    fn lookup(&self, hash: PayloadHash) -> BoxFuture<'_, Lookup> {
        Box::pin(self.core.lookup_recorded(hash))
    }

    fn raw_payload(&self, hash: PayloadHash) -> BoxFuture<'_, Result<RawPayload, PtmError>> {
        Box::pin(async move { self.core.raw_payload(hash) })
    }

    fn is_sender(&self, hash: PayloadHash) -> BoxFuture<'_, Result<bool, PtmError>> {
        let sent = move || Ok(self.core.keyring.manages(&self.core.stored(&hash)?.sender));
        Box::pin(async move { sent() })
    }

    fn participants(&self, hash: PayloadHash) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>> {
        Box::pin(async move { Ok(self.core.stored(&hash)?.recipients) })
    }

    fn mandatory(&self, hash: PayloadHash) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>> {
        Box::pin(async move { self.core.mandatory(&hash) })
    }

    fn keys(&self) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>> {
        Box::pin(async { Ok(self.core.keyring.keys().to_vec()) })
    }

    fn erase(&self, hash: PayloadHash) -> BoxFuture<'_, Result<(), PtmError>> {
        Box::pin(async move { self.core.erase(hash, B256::ZERO).await.map(|_| ()) })
    }

    fn encrypt(&self, request: SendRequest) -> BoxFuture<'_, Result<EncodedPayload, PtmError>> {
        Box::pin(async move { self.core.encrypt(&request) })
    }

    fn decrypt(&self, envelope: EncodedPayload) -> BoxFuture<'_, Result<PrivatePayload, PtmError>> {
        Box::pin(async move { self.core.recorded(envelope.hash(), self.core.decrypt(&envelope)?).await })
    }
}
