//! Puts together the manager of a node, its servers, and the second pass behind the chain.

use crate::follower::{self, Following, Worker};
use crate::halt::Halt;
use crate::node::NodeError;
use crate::parties::Parties;
use crate::supervision::Supervision;
use lonja_chain::private::{PrivateFollower, PrivateStatus};
use lonja_primitives::{ChainSpec, NodeKey};
use lonja_ptm::tessera::{Cors, Groups, Listen, PeerOptions, Peers, RemoteManager, RemoteOptions, Server};
use lonja_ptm::tessera::{serve_managers, serve_nodes, serve_third_parties};
use lonja_ptm::{AcceptErase, EmbeddedManager, Keyring, PrivateTransactionManager, PublicKey};
use lonja_rpc::{HealthCheck, RpcPrivacy};
use lonja_storage::{Head, History, Reader, StoreOptions, open_payloads, open_private, open_rocks};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Which manager of payloads a node has.
#[derive(Debug, Default)]
pub enum ManagerConfig {
    /// None: the node is no party to anything.
    #[default]
    Off,
    /// One of its own.
    Embedded(Box<EmbeddedConfig>),
    /// A Tessera, or another lonja's.
    Remote(Box<RemoteOptions>),
}

/// A manager that is part of the node.
pub struct EmbeddedConfig {
    /// Its keys.
    pub keyring: Keyring,
    /// Who gets everything that is sent from here.
    pub always_send_to: Vec<PublicKey>,
    /// Whether a send succeeds where a recipient cannot be reached, and it gets the payload later.
    pub outbox: bool,
    /// Whose orders to erase a payload are carried out.
    pub accept_erase: AcceptErase,
    /// Where clients are served by Tessera's API for third parties, and which web pages may call.
    pub clients: Option<(Listen, Option<Cors>)>,
    /// Where nodes are served by Tessera's API for them.
    pub nodes: Option<Listen>,
    /// Where Tesseras are served, and what is said about them.
    pub managers: Option<(Listen, PeerOptions)>,
}

/// What all of it stands on.
pub(crate) struct Ground<'a> {
    pub data_dir: &'a Path,
    pub history: History,
    pub genesis: alloy_primitives::B256,
    pub spec: Arc<ChainSpec>,
    pub public: Reader,
    pub key: NodeKey,
    pub parties: Parties,
    pub heads: watch::Receiver<Head>,
    pub halt: Halt,
    pub stopping: Arc<AtomicBool>,
    /// Whether parties that the network requires are added to the recipients.
    pub add_required: bool,
}

/// A manager at work, and the second pass.
pub(crate) struct Started {
    /// For the RPC.
    pub privacy: Arc<RpcPrivacy>,
    /// How it is, for health checks.
    pub standing: Standing,
    /// Its work, for a thread.
    pub worker: Worker,
    /// Those who answer clients, nodes and other managers.
    pub servers: Vec<Server>,
    /// Ends the talks with other managers.
    pub talks: CancellationToken,
}

/// How it is with the manager and the second pass.
#[derive(Clone)]
pub(crate) struct Standing {
    /// Where the second pass stands.
    pub status: watch::Receiver<PrivateStatus>,
    /// The manager of this node, if it has one.
    embedded: Option<EmbeddedManager>,
}

/// The manager, and what only one that is part of the node can tell.
struct Manager {
    manager: Arc<dyn PrivateTransactionManager>,
    embedded: Option<EmbeddedManager>,
    servers: Vec<Server>,
    talks: CancellationToken,
}

impl fmt::Debug for EmbeddedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keyring, always_send_to, outbox, accept_erase, clients, nodes, managers } = self;
        f.debug_struct("EmbeddedConfig")
            .field("keys", &keyring.keys())
            .field("always_send_to", always_send_to)
            .field("outbox", outbox)
            .field("accept_erase", accept_erase)
            .field("clients", clients)
            .field("nodes", nodes)
            .field("managers", managers)
            .finish()
    }
}

/// Starts what is configured. `markers`: whether transactions that the node signs go into markers.
pub(crate) async fn start(
    config: ManagerConfig,
    markers: bool,
    ground: Ground<'_>,
) -> Result<Option<Started>, NodeError> {
    let rules = Supervision::new(ground.spec.clone(), ground.public.clone(), ground.key.node_id());
    let Manager { manager, embedded, servers, talks } = match config {
        ManagerConfig::Off => return Ok(None),
        ManagerConfig::Embedded(config) => embed(*config, &ground, rules.clone()).await?,
        ManagerConfig::Remote(options) => remote(&options)?,
    };
    let options = StoreOptions { history: ground.history, ..StoreOptions::private() };
    let kv = open_rocks(&ground.data_dir.join("private"), &options)?;
    let store = open_private(kv, ground.genesis)?;
    let reader = store.reader.clone();
    let mut follower = PrivateFollower::open(store, ground.public.clone(), ground.spec.clone())?;
    let oldest = ground.public.oldest_state();
    let nothing = embedded.as_ref().is_some_and(has_nothing);
    if follower.head().number < oldest && nothing {
        let head = follower.begin_at(oldest)?;
        tracing::info!(block = head.number, "no payload is here yet: the second pass begins at this block");
    }
    tracing::info!(block = follower.head().number, "the second pass stands here");
    if nothing && reader.has_receipts()? {
        tracing::warn!(
            "private transactions were executed here, and the payload store is empty: lonja private recover gets \
             the payloads back from the other parties"
        );
    }
    let (following, worker) = follower::prepare(follower::Parts {
        follower,
        public: ground.public,
        spec: ground.spec,
        manager: manager.clone(),
        arrivals: embedded.as_ref().map(EmbeddedManager::arrivals),
        ask_ahead: embedded.is_none(),
        heads: ground.heads,
        runtime: Handle::current(),
        halt: ground.halt,
        stopping: ground.stopping,
    });
    let standing = Standing { status: following.status(), embedded: embedded.clone() };
    let privacy = RpcPrivacy {
        manager,
        embedded,
        reader,
        status: following.status(),
        markers,
        rules: rules.map(|rules| rules as _),
        add_required: ground.add_required,
        simulate_root: Arc::new(move |message| {
            let following: Following = following.clone();
            Box::pin(async move { following.simulate_root(message).await })
        }),
    };
    Ok(Some(Started { privacy: Arc::new(privacy), standing, worker, servers, talks }))
}

impl Standing {
    /// Whether what concerns parties can be relied on now, and if not, why.
    pub fn check(&self, public_head: u64) -> HealthCheck {
        match self.embedded.as_ref().and_then(EmbeddedManager::halted) {
            Some(reason) => HealthCheck {
                name: follower::CHECK,
                ok: false,
                reason: format!(
                    "payloads cannot be kept any more: {reason}. Look at the disk and start the node again"
                ),
            },
            None => follower::check(&self.status.borrow(), public_head),
        }
    }
}

async fn embed(
    config: EmbeddedConfig,
    ground: &Ground<'_>,
    rules: Option<Arc<Supervision>>,
) -> Result<Manager, NodeError> {
    let EmbeddedConfig { keyring, always_send_to, outbox, accept_erase, clients, nodes, managers } = config;
    let folder = ground.data_dir.join("ptm");
    std::fs::create_dir_all(&folder).map_err(|error| NodeError::DataDir(folder.clone(), error))?;
    let keys: Vec<String> = keyring.keys().iter().map(ToString::to_string).collect();
    let parts = lonja_ptm::Parts {
        store: open_payloads(&folder.join("db"), &StoreOptions::payloads())?,
        keyring,
        node: ground.key.node_id(),
        signer: Arc::new(ground.key.clone()),
        courier: Arc::new(ground.parties.clone()),
        runtime: Handle::current(),
    };
    let settings = lonja_ptm::Settings {
        genesis: ground.genesis,
        enhancements: ground.spec.privacy.iter().any(|(_, privacy)| privacy.enhancements),
        always_send_to,
        outbox,
        accept_erase,
        add_required: ground.add_required,
        ..lonja_ptm::Settings::default()
    };
    let embedded = EmbeddedManager::start(parts, settings)?;
    if let Some(rules) = rules {
        rules.warn_of_strangers(embedded.keyring().keys());
        embedded.set_network_rules(rules);
    }
    tracing::info!(keys = keys.join(","), outbox, "the manager of this node, and its parties");
    let mut manager = Manager {
        manager: Arc::new(embedded.clone()),
        embedded: Some(embedded.clone()),
        servers: Vec::new(),
        talks: CancellationToken::new(),
    };
    manager.serve(&embedded, clients, nodes, managers).await?;
    ground.parties.serve(Arc::new(embedded));
    Ok(manager)
}

impl Manager {
    async fn serve(
        &mut self,
        embedded: &EmbeddedManager,
        clients: Option<(Listen, Option<Cors>)>,
        nodes: Option<Listen>,
        managers: Option<(Listen, PeerOptions)>,
    ) -> Result<(), NodeError> {
        let mut courier = None;
        if let Some((listen, options)) = managers {
            let peers = Peers::new(embedded.clone(), options)?;
            courier = Some(peers.group_courier());
            let server = serve_managers(&listen, peers.clone(), None).await?;
            tracing::info!(address = %server.address(), "the manager serves Tesseras");
            self.servers.push(server);
            let talks = self.talks.clone();
            tokio::spawn(async move { peers.run(talks).await });
        }
        if let Some((listen, cors)) = clients {
            let known = embedded.clone();
            let known = Arc::new(move || known.known_keys());
            let server = serve_third_parties(&listen, self.manager.clone(), Some(known), cors).await?;
            tracing::info!(address = %server.address(), "the manager serves clients");
            self.servers.push(server);
        }
        if let Some(listen) = nodes {
            let groups = Groups { manager: embedded.clone(), courier };
            let server = serve_nodes(&listen, self.manager.clone(), Some(groups)).await?;
            tracing::info!(address = %server.address(), "the manager serves nodes");
            self.servers.push(server);
        }
        Ok(())
    }
}

fn remote(options: &RemoteOptions) -> Result<Manager, NodeError> {
    let manager = Arc::new(RemoteManager::new(options)?);
    tracing::info!(address = %options.address, "the manager is elsewhere");
    let asked = manager.clone();
    // For the operator who looks at the first lines of the log: nobody waits for it.
    tokio::spawn(async move {
        match asked.features().await {
            Ok(_) => tracing::info!("the manager answers"),
            Err(error) => {
                tracing::warn!(%error, "the manager does not answer; it is asked again when it is needed")
            }
        }
    });
    let (servers, talks) = (Vec::new(), CancellationToken::new());
    Ok(Manager { manager, embedded: None, servers, talks })
}

/// Whether no payload was ever sent or received here: nothing on the chain so far concerns this node.
fn has_nothing(manager: &EmbeddedManager) -> bool {
    let keys = manager.keyring().keys();
    keys.iter().all(|key| manager.concerning(key, 0, 1).is_ok_and(|(envelopes, _)| envelopes.is_empty()))
}

#[cfg(test)]
mod tests;
