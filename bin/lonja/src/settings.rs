//! Configuration: text, then checked, then used. Every option exists three times under one name: in
//! `lonja.toml` (`p2p-port = 30303`), as a variable (`LONJA_P2P_PORT`), and as a flag (`--p2p-port`), in rising
//! order. An unknown key is an error in each of them.

mod kept;
pub mod ptm;

pub use kept::Kept;

use crate::checkpoint::{Checkpoint, Sync};
use crate::files;
use clap::{Args, Command};
use eyre::{Context, Result, bail, eyre};
use ptm::{PtmArgs, PtmSettings};
use serde::{Deserialize, Serialize};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// What was typed: everything optional. The fields are the flags, the keys and the variables.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NodeArgs {
    /// Data directory [default: ~/.lonja]
    #[arg(long, env = "LONJA_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Genesis file; installed into the data directory when that has none [default: DATA_DIR/genesis.json]
    #[arg(long, env = "LONJA_GENESIS", value_name = "FILE")]
    pub genesis: Option<PathBuf>,
    /// Node key file; only the default one is made when missing [default: DATA_DIR/node.key]
    #[arg(long, env = "LONJA_NODE_KEY", value_name = "FILE")]
    pub node_key: Option<PathBuf>,
    /// Vote and propose while this node's address is among the validators; `false` makes a regular node of any
    /// key [default: true]
    #[arg(long, env = "LONJA_VALIDATOR", value_name = "BOOL")]
    pub validator: Option<bool>,
    /// Name of this node, shown to peers and in the client version
    #[arg(long, env = "LONJA_IDENTITY", value_name = "NAME")]
    pub identity: Option<String>,

    /// Address that the peer-to-peer port listens on [default: 0.0.0.0]
    #[arg(long, env = "LONJA_P2P_ADDR", value_name = "IP", help_heading = "Peers")]
    pub p2p_addr: Option<IpAddr>,
    /// Peer-to-peer port, TCP and QUIC [default: 30303]
    #[arg(long, env = "LONJA_P2P_PORT", value_name = "PORT", help_heading = "Peers")]
    pub p2p_port: Option<u16>,
    /// Speak QUIC (UDP) beside TCP [default: true]
    #[arg(long, env = "LONJA_P2P_QUIC", value_name = "BOOL", help_heading = "Peers")]
    pub p2p_quic: Option<bool>,
    /// Dial the permitted nodes whose addresses the registry on chain names [default: true]
    #[arg(long, env = "LONJA_P2P_REGISTRY_ADDRESSES", value_name = "BOOL", help_heading = "Peers")]
    pub p2p_registry_addresses: Option<bool>,
    /// A peer to stay connected to: enode://ID@HOST:PORT or a multiaddr with /p2p/; may be repeated
    #[arg(
        long = "peer",
        env = "LONJA_PEERS",
        value_delimiter = ',',
        value_name = "ADDRESS",
        help_heading = "Peers"
    )]
    pub peers: Option<Vec<String>>,
    /// Node id (128 hex digits) that may connect; may be repeated. Without any, every node of this network may. Permission
    /// contracts decide before it: nobody whom they refuse is let in
    #[arg(
        long = "allow-node",
        env = "LONJA_ALLOW_NODES",
        value_delimiter = ',',
        value_name = "ID",
        help_heading = "Peers"
    )]
    pub allow_nodes: Option<Vec<String>>,
    /// Most peers at a time [default: 100]
    #[arg(long, env = "LONJA_MAX_PEERS", value_name = "N", help_heading = "Peers")]
    pub max_peers: Option<usize>,

    /// How an empty node comes to the newest state: `full` executes every block, `snapshot` fetches a recent state from
    /// its peers, proved by the validators' seals, and executes from there [default: full]
    #[arg(long, env = "LONJA_SYNC", value_name = "HOW", help_heading = "Joining")]
    pub sync: Option<Sync>,
    /// With --sync snapshot: a block known from elsewhere, as HEIGHT:HASH. Validators are then verified from there
    /// on, instead of from the genesis file
    #[arg(long, env = "LONJA_CHECKPOINT", value_name = "HEIGHT:HASH", help_heading = "Joining")]
    pub checkpoint: Option<Checkpoint>,
    /// After --sync snapshot: fetch the blocks before it too, in the background [default: true]
    #[arg(long, env = "LONJA_BACKFILL", value_name = "BOOL", help_heading = "Joining")]
    pub backfill: Option<bool>,

    /// Address that JSON-RPC listens on [default: 127.0.0.1]
    #[arg(long, env = "LONJA_HTTP_ADDR", value_name = "IP", help_heading = "JSON-RPC")]
    pub http_addr: Option<IpAddr>,
    /// Port for JSON-RPC over HTTP and WebSocket [default: 8545]
    #[arg(long, env = "LONJA_HTTP_PORT", value_name = "PORT", help_heading = "JSON-RPC")]
    pub http_port: Option<u16>,
    /// Second port for WebSocket; 0 for none [default: 8546]
    #[arg(long, env = "LONJA_WS_PORT", value_name = "PORT", help_heading = "JSON-RPC")]
    pub ws_port: Option<u16>,
    /// Serve JSON-RPC on HTTP and WebSocket at all (IPC is always served) [default: true]
    #[arg(long, env = "LONJA_HTTP", value_name = "BOOL", help_heading = "JSON-RPC")]
    pub http: Option<bool>,
    /// Namespaces on HTTP and WebSocket [default: eth,net,web3,txpool,istanbul,qbft,lonja]
    #[arg(
        long,
        env = "LONJA_HTTP_API",
        value_delimiter = ',',
        value_name = "NAMES",
        help_heading = "JSON-RPC"
    )]
    pub http_api: Option<Vec<String>>,
    /// Offer methods that change the node (votes, peers) on HTTP and WebSocket too, not on IPC only [default: false]
    #[arg(long, env = "LONJA_HTTP_DANGEROUS", value_name = "BOOL", help_heading = "JSON-RPC")]
    pub http_dangerous: Option<bool>,
    /// Web origins that browsers may call from; `*` for any [default: none]
    #[arg(
        long,
        env = "LONJA_HTTP_CORS",
        value_delimiter = ',',
        value_name = "ORIGINS",
        help_heading = "JSON-RPC"
    )]
    pub http_cors: Option<Vec<String>>,
    /// Host names under which HTTP may be called; `*` for any, IP addresses always work [default: localhost]
    #[arg(
        long,
        env = "LONJA_HTTP_HOSTS",
        value_delimiter = ',',
        value_name = "NAMES",
        help_heading = "JSON-RPC"
    )]
    pub http_hosts: Option<Vec<String>>,
    /// Most gas that one eth_call or eth_estimateGas may use; 0 for the block gas limit [default: 0]
    #[arg(long, env = "LONJA_RPC_GAS_CAP", value_name = "GAS", help_heading = "JSON-RPC")]
    pub rpc_gas_cap: Option<u64>,
    /// Longest time for one call, milliseconds [default: 5000]
    #[arg(long, env = "LONJA_RPC_TIMEOUT_MS", value_name = "MS", help_heading = "JSON-RPC")]
    pub rpc_timeout_ms: Option<u64>,
    /// Most requests in one batch [default: 1000]
    #[arg(long, env = "LONJA_RPC_BATCH", value_name = "N", help_heading = "JSON-RPC")]
    pub rpc_batch: Option<u32>,
    /// Longest request body, bytes [default: 5242880]
    #[arg(long, env = "LONJA_RPC_BODY_BYTES", value_name = "BYTES", help_heading = "JSON-RPC")]
    pub rpc_body_bytes: Option<u32>,
    /// Most blocks that one eth_getLogs may look at [default: 10000]
    #[arg(long, env = "LONJA_RPC_LOG_RANGE", value_name = "BLOCKS", help_heading = "JSON-RPC")]
    pub rpc_log_range: Option<u64>,
    /// Most accounts and slots that may have changed since the block of an eth_getProof [default: 100000]
    #[arg(long, env = "LONJA_RPC_PROOF_CHANGES", value_name = "COUNT", help_heading = "JSON-RPC")]
    pub rpc_proof_changes: Option<usize>,

    /// Account that this node signs for without a password, from the start on: its address, or its number in
    /// `lonja account list`; may be repeated. Whoever may call JSON-RPC can send as it
    #[arg(
        long,
        env = "LONJA_UNLOCK",
        value_delimiter = ',',
        value_name = "ACCOUNT",
        help_heading = "Accounts"
    )]
    pub unlock: Option<Vec<String>>,
    /// Passwords of the accounts to unlock, a line for each in their order; the last line is for all further ones. Without it
    /// they are asked for on the terminal
    #[arg(long, env = "LONJA_PASSWORD_FILE", value_name = "FILE", help_heading = "Accounts")]
    pub password_file: Option<PathBuf>,
    /// Unlock accounts although others than programs of this machine may call JSON-RPC, and can then send as them [default:
    /// false]
    #[arg(
        long,
        env = "LONJA_ALLOW_INSECURE_UNLOCK",
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL",
        help_heading = "Accounts"
    )]
    pub allow_insecure_unlock: Option<bool>,

    /// Address that metrics and health listen on [default: 127.0.0.1]
    #[arg(long, env = "LONJA_METRICS_ADDR", value_name = "IP", help_heading = "Metrics and health")]
    pub metrics_addr: Option<IpAddr>,
    /// Port for /metrics, /liveness and /readiness; 0 for none [default: 9545]
    #[arg(long, env = "LONJA_METRICS_PORT", value_name = "PORT", help_heading = "Metrics and health")]
    pub metrics_port: Option<u16>,

    /// Memory for waiting transactions, MiB [default: 256]
    #[arg(long, env = "LONJA_TXPOOL_MIB", value_name = "MIB", help_heading = "Resources")]
    pub txpool_mib: Option<usize>,
    /// Memory for RocksDB's block cache, MiB [default: 256]
    #[arg(long, env = "LONJA_CACHE_MIB", value_name = "MIB", help_heading = "Resources")]
    pub cache_mib: Option<usize>,
    /// States of past blocks that can be read: `archive` for all, or the number of blocks before the newest, 128 at
    /// least; less than before drops the others, more keeps from now on [default: archive]
    #[arg(long, env = "LONJA_HISTORY", value_name = "BLOCKS", help_heading = "Resources")]
    pub history: Option<Kept>,
    /// Hours between two comparisons of the whole state with its root, done in the background; 0 for none [default: 24]
    #[arg(long, env = "LONJA_AUDIT_HOURS", value_name = "HOURS", help_heading = "Resources")]
    pub audit_hours: Option<u64>,
    /// Free disk space below which a validator stops voting, MiB; a quarter of it stops writing [default: 1024]
    #[arg(long, env = "LONJA_MIN_FREE_DISK_MIB", value_name = "MIB", help_heading = "Resources")]
    pub min_free_disk_mib: Option<u64>,

    /// What to log: error, warn, info, debug, trace, or a filter such as `info,lonja_p2p=debug` [default: info]
    #[arg(long, env = "LONJA_LOG", value_name = "FILTER", help_heading = "Logs")]
    pub log: Option<String>,
    /// Form of the log: text or json [default: text]
    #[arg(long, env = "LONJA_LOG_FORMAT", value_name = "FORMAT", help_heading = "Logs")]
    pub log_format: Option<LogFormat>,

    #[command(flatten)]
    pub ptm: PtmArgs,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people; colour on a terminal only.
    Text,
    /// A JSON object a line.
    Json,
}

/// What the node uses: everything decided. Printed by `lonja config show` under the same names.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub struct Settings {
    pub data_dir: PathBuf,
    pub genesis: PathBuf,
    pub node_key: PathBuf,
    pub validator: bool,
    pub identity: String,
    pub p2p_addr: IpAddr,
    pub p2p_port: u16,
    pub p2p_quic: bool,
    pub p2p_registry_addresses: bool,
    pub peers: Vec<String>,
    pub allow_nodes: Vec<String>,
    pub max_peers: usize,
    pub sync: Sync,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    pub backfill: bool,
    pub http: bool,
    pub http_addr: IpAddr,
    pub http_port: u16,
    pub ws_port: u16,
    pub http_api: Vec<String>,
    pub http_dangerous: bool,
    pub http_cors: Vec<String>,
    pub http_hosts: Vec<String>,
    pub rpc_gas_cap: u64,
    pub rpc_timeout_ms: u64,
    pub rpc_batch: u32,
    pub rpc_body_bytes: u32,
    pub rpc_log_range: u64,
    pub rpc_proof_changes: usize,
    pub unlock: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    pub allow_insecure_unlock: bool,
    pub metrics_addr: IpAddr,
    pub metrics_port: u16,
    pub txpool_mib: usize,
    pub cache_mib: usize,
    pub history: Kept,
    pub audit_hours: u64,
    pub min_free_disk_mib: u64,
    pub log: String,
    pub log_format: LogFormat,
    pub ptm: PtmSettings,
}

/// Takes each field from the first of the two that has it.
macro_rules! merge {
    ($over:expr, $under:expr; $($field:ident)*) => {
        NodeArgs { $($field: $over.$field.or($under.$field)),*, ptm: $over.ptm.over($under.ptm) }
    };
}

impl NodeArgs {
    fn over(self, under: NodeArgs) -> NodeArgs {
        merge!(self, under;
            data_dir genesis node_key validator identity
            p2p_addr p2p_port p2p_quic p2p_registry_addresses peers allow_nodes max_peers
            sync checkpoint backfill
            http_addr http_port ws_port http http_api http_dangerous http_cors http_hosts
            rpc_gas_cap rpc_timeout_ms rpc_batch rpc_body_bytes rpc_log_range rpc_proof_changes
            unlock password_file allow_insecure_unlock
            metrics_addr metrics_port txpool_mib cache_mib history audit_hours min_free_disk_mib log log_format)
    }

    /// Reads the configuration file, puts the flags and variables over it, and fills in the defaults.
    /// `config` is the file asked for; without it `lonja.toml` in the data directory is taken if it exists.
    pub fn resolve(self, config: Option<&Path>) -> Result<Settings> {
        let home = self.data_dir.clone().unwrap_or_else(files::default_data_dir);
        let file = match config {
            Some(path) => read_file(path)?,
            None if home.join(files::CONFIG).exists() => read_file(&home.join(files::CONFIG))?,
            None => NodeArgs::default(),
        };
        let mut merged = self.over(file);
        let private_config = std::env::var_os("PRIVATE_CONFIG").map(PathBuf::from);
        merged.ptm = merged.ptm.or_private_config(private_config.as_deref())?;
        // Looked at alone: the defaults contradict nothing.
        merged.ptm.clone().settle()?;
        let settings = merged.with_defaults();
        if settings.checkpoint.is_some() && settings.sync == Sync::Full {
            bail!(
                "--checkpoint is for --sync snapshot: with --sync full every block is verified from the first on"
            );
        }
        Ok(settings)
    }

    fn with_defaults(self) -> Settings {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let limits = lonja_rpc::RpcLimits::default();
        let data_dir = self.data_dir.unwrap_or_else(files::default_data_dir);
        let public = lonja_rpc::Access::public();
        Settings {
            genesis: self.genesis.unwrap_or_else(|| data_dir.join(files::GENESIS)),
            node_key: self.node_key.unwrap_or_else(|| data_dir.join(files::NODE_KEY)),
            data_dir,
            validator: self.validator.unwrap_or(true),
            identity: self.identity.unwrap_or_default(),
            p2p_addr: self.p2p_addr.unwrap_or(IpAddr::from([0, 0, 0, 0])),
            p2p_port: self.p2p_port.unwrap_or(30303),
            p2p_quic: self.p2p_quic.unwrap_or(true),
            p2p_registry_addresses: self.p2p_registry_addresses.unwrap_or(true),
            peers: self.peers.unwrap_or_default(),
            allow_nodes: self.allow_nodes.unwrap_or_default(),
            max_peers: self.max_peers.unwrap_or(100),
            sync: self.sync.unwrap_or_default(),
            checkpoint: self.checkpoint,
            backfill: self.backfill.unwrap_or(true),
            http: self.http.unwrap_or(true),
            http_addr: self.http_addr.unwrap_or(loopback),
            http_port: self.http_port.unwrap_or(8545),
            ws_port: self.ws_port.unwrap_or(8546),
            http_api: self
                .http_api
                .unwrap_or_else(|| public.namespaces.iter().map(ToString::to_string).collect()),
            http_dangerous: self.http_dangerous.unwrap_or(false),
            http_cors: self.http_cors.unwrap_or_default(),
            http_hosts: self.http_hosts.unwrap_or_else(|| vec!["localhost".into()]),
            rpc_gas_cap: self.rpc_gas_cap.unwrap_or(0),
            rpc_timeout_ms: self.rpc_timeout_ms.unwrap_or(limits.call_time.as_millis() as u64),
            rpc_batch: self.rpc_batch.unwrap_or(limits.batch_length),
            rpc_body_bytes: self.rpc_body_bytes.unwrap_or(limits.request_bytes),
            rpc_log_range: self.rpc_log_range.unwrap_or(limits.log_blocks),
            rpc_proof_changes: self.rpc_proof_changes.unwrap_or(limits.proof_changes),
            unlock: self.unlock.unwrap_or_default(),
            password_file: self.password_file,
            allow_insecure_unlock: self.allow_insecure_unlock.unwrap_or(false),
            metrics_addr: self.metrics_addr.unwrap_or(loopback),
            metrics_port: self.metrics_port.unwrap_or(9545),
            txpool_mib: self.txpool_mib.unwrap_or(256),
            cache_mib: self.cache_mib.unwrap_or(256),
            history: self.history.unwrap_or_default(),
            audit_hours: self.audit_hours.unwrap_or(24),
            min_free_disk_mib: self.min_free_disk_mib.unwrap_or(1024),
            log: self.log.unwrap_or_else(|| "info".into()),
            log_format: self.log_format.unwrap_or(LogFormat::Text),
            ptm: self.ptm.with_defaults(),
        }
    }
}

fn read_file(path: &Path) -> Result<NodeArgs> {
    let text = fs::read_to_string(path)
        .wrap_err_with(|| format!("cannot read the configuration file {}", path.display()))?;
    toml::from_str(&text).map_err(|error| eyre!("{}: {error}", path.display()))
}

/// Refuses variables that begin with `LONJA_` and mean nothing: a typing mistake must not be ignored.
pub fn refuse_unknown_variables(command: &Command) -> Result<()> {
    let mut known = Vec::new();
    collect_variables(command, &mut known);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("LONJA_") && !known.iter().any(|k| *k == *name) {
            bail!("the environment variable {name} is not known; `lonja node --help` lists those that are");
        }
    }
    Ok(())
}

fn collect_variables(command: &Command, known: &mut Vec<String>) {
    let own = command.get_arguments().filter_map(|arg| arg.get_env());
    known.extend(own.map(|name| name.to_string_lossy().into_owned()));
    command.get_subcommands().for_each(|sub| collect_variables(sub, known));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_stand_over_the_file_and_the_file_over_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lonja.toml");
        fs::write(&path, "p2p-port = 1\nhttp-port = 2\npeers = [\"a\"]\n").unwrap();
        let flags = NodeArgs { http_port: Some(3), ..NodeArgs::default() };
        let settings = flags.resolve(Some(&path)).unwrap();
        assert_eq!((settings.p2p_port, settings.http_port, settings.ws_port), (1, 3, 8546));
        assert_eq!(settings.peers, ["a"]);
    }

    #[test]
    fn the_data_directory_s_own_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("lonja.toml"), "identity = \"me\"\n").unwrap();
        let flags = NodeArgs { data_dir: Some(folder.path().into()), ..NodeArgs::default() };
        assert_eq!(flags.resolve(None).unwrap().identity, "me");
    }

    #[test]
    fn an_unknown_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lonja.toml");
        fs::write(&path, "p2p-prot = 1\n").unwrap();
        let error = NodeArgs::default().resolve(Some(&path)).unwrap_err().to_string();
        assert!(error.contains("p2p-prot"), "{error}");
    }

    /// Help says `[default: …]` of every option that has one value as its default, and says it right.
    #[test]
    fn help_tells_the_defaults() {
        let settings = toml::Table::try_from(NodeArgs::default().with_defaults()).unwrap();
        let command = NodeArgs::augment_args(Command::new("node"));
        for arg in command.get_arguments() {
            let key = arg.get_id().as_str().replace('_', "-");
            let help = arg.get_help().unwrap().to_string();
            let told = help.rsplit_once("[default: ").map(|(_, told)| told.trim_end_matches(']'));
            let value = match key.strip_prefix("ptm-") {
                Some(key) => settings["ptm"].get(key),
                None => settings.get(&key),
            };
            let value = match value {
                Some(toml::Value::String(text)) => text.clone(),
                Some(toml::Value::Array(items)) => {
                    items.iter().filter_map(toml::Value::as_str).collect::<Vec<_>>().join(",")
                }
                Some(other) => other.to_string(),
                // Nothing, unless it is given.
                None => String::new(),
            };
            match key.as_str() {
                "data-dir" | "genesis" | "node-key" | "ptm-keys" | "ptm-p2p-url" => {
                    assert!(told.is_some(), "{key}")
                }
                _ if value.is_empty() => assert!(told.is_none_or(|told| told == "none"), "{key}: {told:?}"),
                _ => assert_eq!(told, Some(value.as_str()), "{key}"),
            }
        }
    }

    /// What `config show` prints can be used as a configuration file again.
    #[test]
    fn settings_are_a_configuration_file() {
        let settings = NodeArgs::default().with_defaults();
        let text = toml::to_string(&settings).unwrap();
        let again: NodeArgs = toml::from_str(&text).unwrap();
        assert_eq!(again.with_defaults(), settings);
    }
}
