//! `lonja node`: run a node until it is told to stop.

use crate::checkpoint::Sync;
use crate::commands::account;
use crate::files::{self, Installed};
use crate::settings::{NodeArgs, Settings};
use crate::{logging, manager};
use clap::Args;
use eyre::{Result, bail, eyre};
use lonja_node::{Config, DiskLimits, Node};
use lonja_p2p::PeerAddress;
use lonja_primitives::{Genesis, NodeId, NodeKey, Signer};
use lonja_rpc::{Access, HttpConfig, IpcConfig, Namespace, RpcConfig, RpcLimits};
use std::collections::BTreeSet;
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

const MIB: u64 = 1 << 20;

/// Options of `lonja node`.
#[derive(Args, Debug)]
pub struct NodeCommand {
    /// Configuration file [default: lonja.toml in the data directory, if there]
    #[arg(long, env = "LONJA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
    /// Stop when standard input closes; a parent process that dies takes the node with it
    #[arg(long, hide = true)]
    exit_with_stdin: bool,
}

impl NodeCommand {
    /// Starts the node and waits for SIGTERM, Ctrl-C, or a reason of its own to stop.
    pub fn run(self) -> Result<()> {
        let settings = self.node.resolve(self.config.as_deref())?;
        logging::start(&settings.log, settings.log_format)?;
        let config = node_config(&settings)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("io").build()?;
        let result = runtime.block_on(run_until_stopped(config, self.exit_with_stdin));
        runtime.shutdown_timeout(Duration::from_secs(5));
        result
    }
}

async fn run_until_stopped(config: Config, exit_with_stdin: bool) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let standard_input = standard_input_closed();
    tokio::pin!(standard_input);
    if config.join_by_state {
        let joined = tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = &mut standard_input, if exit_with_stdin => return Ok(()),
            joined = lonja_node::join(&config) => joined,
        };
        joined.map_err(|error| eyre!("{error}"))?;
    }
    let node = Node::start(config).await.map_err(|error| eyre!("{error}"))?;
    let halted = tokio::select! {
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
        _ = &mut standard_input, if exit_with_stdin => None,
        reason = node.halted() => Some(reason),
    };
    tracing::info!("stopping");
    node.stop().await;
    match halted {
        Some(reason) => bail!("the node halted: {reason}"),
        None => Ok(()),
    }
}

/// Resolves when standard input ends. The reading thread is left behind: it holds nothing.
async fn standard_input_closed() {
    let (ended, wait) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut buffer = [0u8; 64];
        while matches!(input.read(&mut buffer), Ok(n) if n > 0) {}
        drop(ended);
    });
    let _ = wait.await;
}

/// From settings to what the node takes: reads the files and parses the texts.
fn node_config(settings: &Settings) -> Result<Config> {
    let (genesis_text, genesis) = read_network(settings)?;
    let key = own_key(settings)?;
    let peers: Result<Vec<PeerAddress>, _> =
        settings.peers.iter().map(|peer| peer.parse().map_err(|e| eyre!("--peer {peer}: {e}"))).collect();
    let allowed: Result<Vec<NodeId>, _> = settings
        .allow_nodes
        .iter()
        .map(|id| NodeId::from_hex(id).map_err(|e| eyre!("--allow-node {id}: {e}")))
        .collect();
    let rpc = rpc_config(settings)?;
    let manager = manager::config(settings, &genesis.spec)?;
    Ok(Config {
        accounts: Arc::new(account::unlocked(settings, &rpc)?),
        data_dir: settings.data_dir.clone(),
        genesis,
        genesis_text,
        key,
        validate: settings.validator,
        identity: settings.identity.clone(),
        p2p_listen: SocketAddr::new(settings.p2p_addr, settings.p2p_port),
        p2p_quic: settings.p2p_quic,
        peers: peers?,
        allowed: allowed?,
        max_peers: settings.max_peers,
        registry_addresses: settings.p2p_registry_addresses,
        manager,
        markers: settings.ptm.markers,
        add_supervisors: settings.ptm.add_supervisors,
        rpc,
        pool_bytes: settings.txpool_mib.saturating_mul(MIB as usize),
        cache_bytes: settings.cache_mib.saturating_mul(MIB as usize),
        history: settings.history.0,
        audit_every: (settings.audit_hours != 0)
            .then(|| Duration::from_secs(settings.audit_hours.saturating_mul(3_600))),
        join_by_state: settings.sync == Sync::Snapshot,
        checkpoint: settings.checkpoint.map(|checkpoint| (checkpoint.number, checkpoint.hash)),
        backfill: settings.backfill,
        disk: DiskLimits {
            voting_bytes: settings.min_free_disk_mib.saturating_mul(MIB),
            writing_bytes: settings.min_free_disk_mib.saturating_mul(MIB) / 4,
        },
    })
}

/// The node's key. Only the data directory's own is made when missing: another place that was named is a typing
/// mistake, and a new identity no answer to it.
fn own_key(settings: &Settings) -> Result<NodeKey> {
    let own = settings.data_dir.join(files::NODE_KEY);
    if settings.node_key != own {
        return files::read_key(&settings.node_key);
    }
    let (key, made) = files::read_or_make_key(&own)?;
    if made {
        tracing::info!(file = %own.display(), address = %key.address(), "there was no node key; a new one was made");
    }
    Ok(key)
}

/// The genesis file. The node itself puts it into the data directory, once it has found that its chain allows the rules.
fn read_network(settings: &Settings) -> Result<(String, Genesis)> {
    if !settings.genesis.exists() {
        let place = settings.genesis.display();
        bail!(
            "no genesis file at {place}: give one with --genesis FILE, or run `lonja init`; to try lonja out run `lonja devnet`"
        );
    }
    let (text, genesis) = files::read_genesis(&settings.genesis)?;
    if !matches!(files::installed_genesis(&settings.data_dir, &text, &genesis)?, Installed::Same) {
        files::print_warnings(&genesis);
    }
    Ok((text, genesis))
}

fn rpc_config(settings: &Settings) -> Result<RpcConfig> {
    let namespaces: Result<BTreeSet<Namespace>, String> =
        settings.http_api.iter().map(|n| n.parse()).collect();
    let access = Access {
        namespaces: namespaces.map_err(|error| eyre!("--http-api: {error}"))?,
        dangerous: settings.http_dangerous,
    };
    let listener =
        |port: u16| HttpConfig { address: SocketAddr::new(settings.http_addr, port), access: access.clone() };
    let health = SocketAddr::new(settings.metrics_addr, settings.metrics_port);
    let config = RpcConfig {
        http: settings.http.then(|| listener(settings.http_port)),
        ws: (settings.http && settings.ws_port != 0).then(|| listener(settings.ws_port)),
        ipc: Some(IpcConfig { path: settings.data_dir.join("lonja.ipc"), access: Access::full() }),
        health: (settings.metrics_port != 0).then_some(health),
        cors_origins: settings.http_cors.clone(),
        allowed_hosts: settings.http_hosts.clone(),
        compression: true,
        allow_insecure_unlock: settings.allow_insecure_unlock,
        limits: RpcLimits {
            call_gas: (settings.rpc_gas_cap != 0).then_some(settings.rpc_gas_cap),
            call_time: Duration::from_millis(settings.rpc_timeout_ms),
            batch_length: settings.rpc_batch,
            request_bytes: settings.rpc_body_bytes,
            log_blocks: settings.rpc_log_range,
            proof_changes: settings.rpc_proof_changes,
            ..RpcLimits::default()
        },
    };
    config.check().map_err(|error| eyre!("--http-api: {error}"))?;
    Ok(config)
}
