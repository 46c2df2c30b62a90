//! The manager that is part of a node.

use crate::arrivals::Arrivals;
use crate::courier::{Courier, UrlCourier};
use crate::{EncodedPayload, Keyring, Lookup, PayloadHash, PeerUrl, PrivacyGroup, PrivatePayload};
use crate::{PrivateTransactionManager, PtmError, PublicKey, RawPayload, SendRequest, SendSigned, Sent};
use alloy_primitives::{B256, Bytes};
use futures::future::BoxFuture;
use lonja_primitives::{NodeId, Signer};
use lonja_storage::Kv;
use std::sync::Arc;
use tokio::sync::watch;

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
#[derive(Clone, Debug, Default)]
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
}

/// What waits for recipients that could not be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxStatus {
    /// Payloads, one counted for each recipient.
    pub waiting: usize,
    /// Recipients, those with the oldest payload first.
    pub recipients: Vec<OutboxRecipient>,
}

/// What waits for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRecipient {
    /// Who.
    pub recipient: PublicKey,
    /// Payloads that it has not got.
    pub waiting: usize,
    /// When the oldest of these was sent, in milliseconds since 1970.
    pub since_ms: u64,
    /// What came of the last attempt; `None` before the first.
    pub last_error: Option<String>,
}

/// A private-transaction manager in this process. Clones are the same manager.
#[derive(Clone)]
pub struct EmbeddedManager {
    core: Arc<Core>,
}

struct Core {
    keyring: Arc<Keyring>,
    newest: watch::Sender<u64>,
}

impl EmbeddedManager {
    /// Opens the store and starts. Every settled payload is there at once; other nodes are told of our keys as they
    /// connect.
    ///
    /// # Errors
    /// [`PtmError::Store`] where the store is of another network or format, or is damaged.
    pub fn start(parts: Parts, settings: Settings) -> Result<Self, PtmError> {
        let _ = (settings, parts.node);
        let core = Core { keyring: Arc::new(parts.keyring), newest: watch::Sender::new(0) };
        Ok(Self { core: Arc::new(core) })
    }

    /// From now on there are also recipients at URLs.
    pub fn set_url_courier(&self, _courier: Arc<dyn UrlCourier>) {}

    /// The keys of its parties.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.core.keyring
    }

    /// Answers the manager of another node. `peer` is who asks, proven by the session. Whatever the request is, there is an
    /// answer.
    pub async fn handle(&self, _peer: NodeId, _request: Bytes) -> Bytes {
        Bytes::new()
    }

    /// There is a way to this node now. Returns at once; what is to be told or delivered goes on its own.
    pub fn connected(&self, _peer: NodeId) {}

    /// Takes in an envelope from another manager, by whatever way it came: checks, then stores durably. `Ok` also where the
    /// rules say that it is dropped without a word.
    pub async fn receive(&self, _envelope: EncodedPayload) -> Result<PayloadHash, PtmError> {
        Err(not_ready())
    }

    /// What was stored and erased, from where the reader stopped the last time. There is one reader: the private follower.
    pub fn arrivals(&self) -> Arrivals {
        Arrivals::new(self.core.newest.subscribe())
    }

    /// What waits for recipients.
    pub fn outbox_status(&self) -> OutboxStatus {
        OutboxStatus::default()
    }

    /// The keys that are at this URL; those known before at it are forgotten.
    pub fn learn_url(&self, _url: &PeerUrl, _keys: &[PublicKey]) {}

    /// Nothing is at this URL any more.
    pub fn forget_url(&self, _url: &PeerUrl) {}

    /// Every key of the network that is known here, our own first.
    pub fn known_keys(&self) -> Vec<PublicKey> {
        self.core.keyring.keys().to_vec()
    }

    /// An envelope as it is stored.
    pub fn envelope(&self, _hash: &PayloadHash) -> Result<Option<EncodedPayload>, PtmError> {
        Ok(None)
    }

    /// Envelopes that this key sent or received, in the order they were stored: `limit` at most, after `cursor` (0 at
    /// first), and the cursor for the next page where there is more.
    pub fn concerning(
        &self,
        _key: &PublicKey,
        _cursor: u64,
        _limit: usize,
    ) -> Result<(Vec<EncodedPayload>, Option<u64>), PtmError> {
        Ok((Vec::new(), None))
    }

    /// Stores a privacy group, or what changed about it.
    pub async fn put_group(&self, _group: PrivacyGroup) -> Result<(), PtmError> {
        Err(not_ready())
    }

    /// A privacy group by its id, also a deleted one.
    pub fn group(&self, _id: &[u8]) -> Result<Option<PrivacyGroup>, PtmError> {
        Ok(None)
    }

    /// All privacy groups, the deleted ones too.
    pub fn groups(&self) -> Result<Vec<PrivacyGroup>, PtmError> {
        Ok(Vec::new())
    }
}

fn not_ready() -> PtmError {
    PtmError::Unavailable("the manager is not ready".into())
}

impl PrivateTransactionManager for EmbeddedManager {
    fn send(&self, _request: SendRequest) -> BoxFuture<'_, Result<Sent, PtmError>> {
        Box::pin(async { Err(not_ready()) })
    }

    fn store_raw(&self, _: Bytes, _: Option<PublicKey>) -> BoxFuture<'_, Result<PayloadHash, PtmError>> {
        Box::pin(async { Err(not_ready()) })
    }

    fn send_signed(&self, _request: SendSigned) -> BoxFuture<'_, Result<Sent, PtmError>> {
        Box::pin(async { Err(not_ready()) })
    }

    fn lookup(&self, _hash: PayloadHash) -> BoxFuture<'_, Lookup> {
        Box::pin(async { Lookup::Unavailable("the manager is not ready".into()) })
    }

    fn raw_payload(&self, _hash: PayloadHash) -> BoxFuture<'_, Result<RawPayload, PtmError>> {
        Box::pin(async { Err(not_ready()) })
    }

    fn is_sender(&self, _hash: PayloadHash) -> BoxFuture<'_, Result<bool, PtmError>> {
        Box::pin(async { Err(not_ready()) })
    }

    fn participants(&self, _hash: PayloadHash) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>> {
        Box::pin(async { Err(not_ready()) })
    }

    fn mandatory(&self, _hash: PayloadHash) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>> {
        Box::pin(async { Err(not_ready()) })
    }

    fn keys(&self) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>> {
        Box::pin(async { Ok(self.core.keyring.keys().to_vec()) })
    }

    fn erase(&self, _hash: PayloadHash) -> BoxFuture<'_, Result<(), PtmError>> {
        Box::pin(async { Err(not_ready()) })
    }

    fn encrypt(&self, _request: SendRequest) -> BoxFuture<'_, Result<EncodedPayload, PtmError>> {
        Box::pin(async { Err(not_ready()) })
    }

    fn decrypt(&self, _envelope: EncodedPayload) -> BoxFuture<'_, Result<PrivatePayload, PtmError>> {
        Box::pin(async { Err(not_ready()) })
    }
}
