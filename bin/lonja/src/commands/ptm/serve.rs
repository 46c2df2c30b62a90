//! `lonja ptm serve`: a manager as a process of its own.

use super::options::{PtmOptions, PtmSettings};
use super::secrets;
use crate::manager::{FOLDER, own_key, warn_of_open_doors};
use crate::{files, logging};
use clap::Args;
use eyre::{Context, Result, bail, eyre};
use lonja_ptm::tessera::{Groups, Peers, Server, serve_managers, serve_nodes, serve_third_parties};
use lonja_ptm::{EmbeddedManager, NoCourier, Parts, PrivateTransactionManager, Settings};
use lonja_storage::{StoreOptions, open_payloads};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Threads for requests. Opening and sealing takes microseconds; the rest is waiting.
const WORKERS: usize = 2;

/// How often it is looked at whether the store still takes anything.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Options of `lonja ptm serve`.
#[derive(Args, Debug)]
pub struct ServeArgs {
    #[command(flatten)]
    options: PtmOptions,
}

/// A manager that runs.
struct Running {
    servers: Vec<Server>,
    peers: Option<CancellationToken>,
    manager: EmbeddedManager,
}

/// A runtime for a manager.
pub fn runtime() -> Result<Runtime> {
    Ok(Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?)
}

impl ServeArgs {
    pub(super) fn run(self) -> Result<()> {
        let settings = self.options.resolve()?;
        logging::start(&settings.log, settings.log_format)?;
        runtime()?.block_on(serve(settings))
    }
}

async fn serve(settings: PtmSettings) -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let running = start(settings).await?;
    tracing::info!("ready");
    let halted = tokio::select! {
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
        reason = halted(&running.manager) => Some(reason),
    };
    tracing::info!("stopping");
    if let Some(peers) = &running.peers {
        peers.cancel();
    }
    let mut stopping: JoinSet<()> = running.servers.into_iter().map(Server::stop).collect();
    while stopping.join_next().await.is_some() {}
    match halted {
        Some(reason) => bail!("the manager halted: {reason}"),
        None => Ok(()),
    }
}

/// Resolves when nothing can be kept any more.
async fn halted(manager: &EmbeddedManager) -> String {
    loop {
        if let Some(reason) = manager.halted() {
            return reason;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn start(settings: PtmSettings) -> Result<Running> {
    let help = "--tls-client-ca or --only-peer-hosts keep strangers out";
    warn_of_open_doors(&settings.nodes, settings.managers.as_ref(), help);
    let PtmSettings { nodes, clients, managers, .. } = &settings;
    let (nodes, clients, managers) = (nodes.clone(), clients.clone(), managers.clone());
    let embedded = open(settings)?;
    let manager: Arc<dyn PrivateTransactionManager> = Arc::new(embedded.clone());
    let mut servers = Vec::new();
    let (mut courier, mut stop) = (None, None);
    if let Some((listen, options)) = managers {
        let url = options.url.clone();
        let peers = Peers::new(embedded.clone(), options)?;
        courier = Some(peers.group_courier());
        let server = serve_managers(&listen, peers.clone(), None).await?;
        tracing::info!(address = %server.address(), %url, "serving other managers");
        servers.push(server);
        let token = CancellationToken::new();
        stop = Some(token.clone());
        tokio::spawn(async move { peers.run(token).await });
    }
    for listen in nodes {
        let groups = Groups { manager: embedded.clone(), courier: courier.clone() };
        let server = serve_nodes(&listen, manager.clone(), Some(groups)).await?;
        tracing::info!(address = %server.address(), "serving nodes");
        servers.push(server);
    }
    if let Some((listen, cors)) = clients {
        let known = embedded.clone();
        let server =
            serve_third_parties(&listen, manager, Some(Arc::new(move || known.known_keys())), cors).await?;
        tracing::info!(address = %server.address(), "serving clients");
        servers.push(server);
    }
    Ok(Running { servers, peers: stop, manager: embedded })
}

/// Opens store and keys.
pub fn open(settings: PtmSettings) -> Result<EmbeddedManager> {
    let folder = settings.data_dir.join(FOLDER);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.wrap_err_with(|| format!("cannot make {}", folder.display()))?;
    let sources = match settings.keys {
        keys if keys.is_empty() => vec![own_key(&folder)?],
        keys => keys,
    };
    let keyring = secrets::open(sources, settings.password_file.as_deref())?;
    for key in keyring.keys() {
        tracing::info!(%key, "a key of this manager");
    }
    let (node_key, _) = files::read_or_make_key(&settings.data_dir.join(files::NODE_KEY))?;
    // The store of a node belongs to the node's network.
    let genesis = settings.data_dir.join(files::GENESIS);
    let genesis = match genesis.exists() {
        true => files::read_genesis(&genesis)?.1.header.hash(),
        false => alloy_primitives::B256::ZERO,
    };
    let store = open_payloads(&folder.join("db"), &StoreOptions::payloads());
    let store = store.map_err(|error| eyre!("{}: {error}", folder.join("db").display()))?;
    let parts = Parts {
        store,
        keyring,
        node: node_key.node_id(),
        signer: Arc::new(node_key),
        courier: Arc::new(NoCourier),
        runtime: tokio::runtime::Handle::current(),
    };
    let manager = Settings {
        genesis,
        enhancements: settings.enhancements,
        always_send_to: settings.always_send_to,
        outbox: settings.outbox,
        accept_erase: settings.accept_erase.into(),
        ..Settings::default()
    };
    Ok(EmbeddedManager::start(parts, manager)?)
}
