//! Several managers on one machine that speak HTTP with each other, for tests.

use super::listen::{Listen, Server};
use super::peers::{PeerOptions, Peers};
use super::recovery::Recovery;
use super::server::{Groups, serve_managers, serve_nodes};
use super::testing::{Asker, anywhere};
use super::tls::TlsServerOptions;
use crate::{
    EmbeddedManager, KeyPair, Keyring, Lookup, Metadata, NetworkRules, NoCourier, Parts, PayloadHash,
    PeerUrl, PrivacyMode, PrivateTransactionManager, PtmError, PublicKey, SendRequest, Sent, Settings,
};
use lonja_primitives::{NodeId, NodeKey};
use lonja_storage::{Kv, MemoryKv};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

/// What a member is made with.
pub(crate) struct Plan {
    pub(crate) secrets: Vec<[u8; 32]>,
    pub(crate) settings: Settings,
    pub(crate) options: PeerOptions,
    pub(crate) tls: Option<TlsServerOptions>,
    pub(crate) store: Arc<dyn Kv>,
    pub(crate) recovery: bool,
}

/// A manager with its servers. It talks to others when it is told to.
pub(crate) struct Member {
    pub(crate) manager: EmbeddedManager,
    pub(crate) peers: Peers,
    pub(crate) p2p: Server,
    pub(crate) q2t: Server,
    pub(crate) recovery: Option<Arc<Recovery>>,
}

/// A URL at which nothing listens.
pub(crate) fn free_url(scheme: &str) -> PeerUrl {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("{scheme}://127.0.0.1:{port}").parse().unwrap()
}

impl Plan {
    pub(crate) fn new(secret: u8, peers: &[&Member]) -> Self {
        let peers = peers.iter().map(|peer| peer.url()).collect();
        // Nobody waits for a round in these tests; the interval is the time limit of its calls.
        let interval = Duration::from_secs(60);
        Self {
            secrets: vec![[secret; 32]],
            settings: Settings { enhancements: true, ..Settings::default() },
            options: PeerOptions { peers, interval, ..PeerOptions::new(free_url("http")) },
            tls: None,
            store: Arc::new(MemoryKv::new()),
            recovery: false,
        }
    }

    pub(crate) async fn start(self) -> Member {
        let pairs = self.secrets.iter().map(KeyPair::from_secret).collect();
        let key = NodeKey::generate();
        let parts = Parts {
            store: self.store,
            keyring: Keyring::new(pairs).unwrap(),
            node: key.node_id(),
            signer: Arc::new(key),
            courier: Arc::new(NoCourier),
            runtime: tokio::runtime::Handle::current(),
        };
        let manager = EmbeddedManager::start(parts, self.settings).unwrap();
        let listen = Listen { address: self.options.url.as_str().parse().unwrap(), tls: self.tls };
        let peers = Peers::new(manager.clone(), self.options).unwrap();
        let recovery = self.recovery.then(|| Arc::new(Recovery::new(peers.clone())));
        let groups = Groups { manager: manager.clone(), courier: Some(peers.group_courier()) };
        Member {
            q2t: serve_nodes(&anywhere(), Arc::new(manager.clone()), Some(groups)).await.unwrap(),
            p2p: serve_managers(&listen, peers.clone(), recovery.clone()).await.unwrap(),
            manager,
            peers,
            recovery,
        }
    }
}

impl Member {
    pub(crate) fn url(&self) -> PeerUrl {
        self.peers.lines.options.url.clone()
    }

    pub(crate) fn key(&self) -> PublicKey {
        self.manager.keyring().default_key()
    }

    pub(crate) fn ask(&self) -> Asker {
        Asker::of(&self.p2p)
    }

    pub(crate) async fn send(
        &self,
        payload: &[u8],
        to: &[&Self],
        metadata: Metadata,
    ) -> Result<Sent, PtmError> {
        let payload = payload.to_vec().into();
        let to = to.iter().map(|member| member.key()).collect();
        self.manager.send(SendRequest { payload, from: None, to, metadata }).await
    }

    pub(crate) async fn has(&self, hash: PayloadHash, payload: &[u8]) -> bool {
        matches!(self.manager.lookup(hash).await, Lookup::Found(found) if found.payload == *payload)
    }
}

/// All of them tell each other who is there.
pub(crate) async fn meet(members: &[&Member]) {
    // The second time, also those hear of each other who did not know of each other before.
    for _ in 0..2 {
        for member in members {
            member.peers.round().await;
        }
    }
}

/// Two that know each other.
pub(crate) async fn two() -> (Member, Member) {
    let first = Plan::new(1, &[]).start().await;
    let second = Plan::new(2, &[&first]).start().await;
    meet(&[&second, &first]).await;
    (first, second)
}

/// A network that says of one key that nodes hold it, and which are none of those here.
pub(crate) struct Bound(pub(crate) PublicKey);

impl NetworkRules for Bound {
    fn required(&self, _: Option<alloy_primitives::Address>) -> Result<Vec<PublicKey>, String> {
        Ok(Vec::new())
    }

    fn is_supervisor(&self, _: &PublicKey) -> Result<bool, String> {
        Ok(false)
    }

    fn holders(&self, key: &PublicKey) -> Result<Option<Vec<NodeId>>, String> {
        Ok((*key == self.0).then(Vec::new))
    }
}

/// Metadata of each mode, for a payload to these.
pub(crate) fn of_mode(mode: PrivacyMode, mandatory: &[PublicKey]) -> Metadata {
    let exec_hash = if mode == PrivacyMode::StateValidation { "cm9vdA==" } else { "" };
    let mandatory = if mode == PrivacyMode::MandatoryRecipients { mandatory.to_vec() } else { Vec::new() };
    Metadata { mode, mandatory, exec_hash: exec_hash.into(), ..Metadata::default() }
}

pub(crate) const MODES: [PrivacyMode; 4] = [
    PrivacyMode::Standard,
    PrivacyMode::PartyProtection,
    PrivacyMode::MandatoryRecipients,
    PrivacyMode::StateValidation,
];
