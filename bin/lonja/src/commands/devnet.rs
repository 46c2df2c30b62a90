//! `lonja devnet`: a whole network on this machine, as real processes.

mod accounts;
mod folder;
mod members;
mod registry;

use crate::client::Endpoint;
use crate::files;
use accounts::ACCOUNTS;
use alloy_primitives::U256;
use clap::Args;
use eyre::{Context, Result, bail, eyre};
use folder::{Folder, Shape};
use lonja_primitives::NodeId;
use lonja_primitives::genesis::NewNetwork;
use lonja_primitives::spec::Privacy;
use lonja_storage::RocksKv;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// First RPC port of the validators.
const VALIDATOR_RPC: u16 = 21001;
/// First p2p port.
const P2P: u16 = 30303;
/// First metrics port.
const METRICS: u16 = 9545;
/// Validators, unless something else is said.
const VALIDATORS: u16 = 4;
/// Milliseconds between blocks, unless something else is said.
const BLOCK_PERIOD_MS: u64 = 1000;
/// How long the network may take until its first block, beside the block period, before we say that something is wrong.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a node may take to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// As much of a log's end as a message about a node that died looks at.
const LOG_END_BYTES: u64 = 8 << 10;

/// Options of `lonja devnet`.
#[derive(Args, Debug)]
pub struct DevnetCommand {
    /// How many validators [default: 4, or those of the devnet in the folder]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=40))]
    validators: Option<u16>,
    /// Time between blocks, milliseconds [default: 1000, or that of the devnet in the folder]
    #[arg(long, value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    block_period_ms: Option<u64>,
    /// Time after which an empty block is made, milliseconds [default: the block period]
    #[arg(long)]
    empty_block_period_ms: Option<u64>,
    /// Folder for data, keys and logs; a devnet that is there goes on
    #[arg(long, default_value = "devnet")]
    dir: PathBuf,
    /// Throw an earlier devnet in that folder away and begin at block 0
    #[arg(long)]
    reset: bool,
    /// Let the network govern itself: four organisations with a validator each, whose votes decide who connects, transacts
    /// and validates; and a fifth to be admitted
    #[arg(long, conflicts_with = "validators")]
    registry: bool,
    /// Regular nodes that take part in private transactions, with keys and unlocked accounts that the scripts of Quorum's
    /// quickstart know [default: 0, or those of the devnet in the folder]
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=i64::from(members::MOST)))]
    members: Option<u16>,
    /// Added to every port, so that several devnets can run on one machine
    #[arg(long, default_value_t = 0)]
    port_offset: u16,
    /// JSON-RPC port of the regular node
    #[arg(long, default_value_t = 8545)]
    rpc_port: u16,
    /// Further arguments for every node, after `--`
    #[arg(last = true)]
    node_args: Vec<String>,
}

/// A node's place: its name and where it is found.
struct Seat {
    name: String,
    folder: PathBuf,
    p2p_port: u16,
    rpc_port: u16,
    metrics_port: u16,
    /// Where a member's manager serves clients.
    clients_port: Option<u16>,
    role: Role,
}

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Validator,
    /// Of those who take part in private transactions, counted from 1.
    Member(u16),
    /// For everybody's questions.
    Regular,
}

impl Role {
    fn validates(self) -> bool {
        self == Self::Validator
    }

    /// Which of the members.
    fn member(self) -> Option<u16> {
        match self {
            Self::Member(number) => Some(number),
            _ => None,
        }
    }
}

/// One node of the devnet.
struct DevNode {
    seat: Seat,
    id: NodeId,
}

/// What tells a block of this run from those of earlier ones.
struct Before {
    /// The newest block that was there.
    number: u64,
    /// When this run began, seconds since 1970: a node may have missed blocks of earlier runs.
    timestamp: u64,
}

impl DevnetCommand {
    /// Prepares the folder, starts the nodes, waits for Ctrl-C, stops them.
    pub async fn run(self) -> Result<()> {
        let started = Instant::now();
        let folder = Folder::take(&self.dir)?;
        let shape = self.shape(&folder)?;
        let seats = self.seats(&shape)?;
        check_ports(&seats)?;
        // Nothing stands in the way any more: only now something is removed.
        if self.reset {
            folder.clear()?;
        }
        folder.mark(&shape)?;
        let nodes = seats.into_iter().map(DevNode::with_key).collect::<Result<Vec<_>>>()?;
        self.write_genesis(&nodes, &shape)?;
        if shape.registry {
            registry::prepare(&self.dir, &nodes, self.outsider_ports(&shape)?)?;
        }
        let before = Before::now(&self.dir, &nodes);
        let mut children = Vec::new();
        for node in &nodes {
            children.push(self.start(node, &nodes, &shape, &folder)?);
        }
        let patience = START_TIMEOUT + Duration::from_millis(shape.empty_block_period_ms);
        let ready = async {
            while !before.is_over(&nodes).await {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let ready = tokio::time::timeout(patience, ready);
        let welcome = || self.print_welcome(&nodes, &shape, started.elapsed());
        let result = watch(&nodes, &mut children, &folder, ready, welcome).await;
        println!("stopping {} nodes …", children.len());
        stop(&mut children).await;
        result
    }

    /// What the devnet is made with: what was asked for, which must fit what is there.
    fn shape(&self, folder: &Folder) -> Result<Shape> {
        let present = if self.reset { None } else { folder.shape()? };
        let period = self.block_period_ms.or(present.map(|shape| shape.block_period_ms));
        let period = period.unwrap_or(BLOCK_PERIOD_MS);
        let empty = self.empty_block_period_ms.or(present.map(|shape| shape.empty_block_period_ms));
        let organisations = self.registry.then_some(registry::ORGANISATIONS);
        let validators = self.validators.or(organisations).or(present.map(|shape| shape.validators));
        let members = self.members.or(present.map(|shape| shape.members));
        let wanted = Shape {
            validators: validators.unwrap_or(VALIDATORS),
            members: members.unwrap_or(0),
            registry: self.registry || present.is_some_and(|shape| shape.registry),
            block_period_ms: period,
            empty_block_period_ms: empty.unwrap_or(period),
        };
        match present {
            Some(present) if present != wanted => bail!(
                "{} holds a devnet of {present}; leave the options away to go on with it, use --reset to throw it \
                 away, or choose another --dir",
                self.dir.display()
            ),
            _ if wanted.empty_block_period_ms < period => {
                bail!("--empty-block-period-ms cannot be below the block period, {period} ms")
            }
            _ => Ok(wanted),
        }
    }

    fn port(&self, first: u16, n: u16) -> Result<u16> {
        let port = first.checked_add(self.port_offset).and_then(|port| port.checked_add(n));
        port.ok_or_else(|| eyre!("--port-offset {} leads past port 65535", self.port_offset))
    }

    /// The ports after those of the devnet's own nodes.
    fn outsider_ports(&self, shape: &Shape) -> Result<registry::OutsiderPorts> {
        let next = shape.validators.saturating_add(shape.members).saturating_add(1);
        Ok(registry::OutsiderPorts {
            p2p: self.port(P2P, next)?,
            rpc: self.port(VALIDATOR_RPC, shape.validators)?,
            metrics: self.port(METRICS, next)?,
        })
    }

    fn seats(&self, shape: &Shape) -> Result<Vec<Seat>> {
        let validators = (0..shape.validators).map(|_| Role::Validator);
        let members = (1..=shape.members).map(Role::Member);
        // The regular node comes last: with the first block there the whole network works.
        let roles = validators.chain(members).chain([Role::Regular]);
        (0..).zip(roles).map(|(n, role)| self.seat(n, role)).collect()
    }

    /// The place of the node with this number, from 0.
    fn seat(&self, n: u16, role: Role) -> Result<Seat> {
        let name = match role {
            Role::Validator => format!("{}{}", folder::VALIDATOR, n + 1),
            Role::Member(number) => format!("{}{number}", folder::MEMBER),
            Role::Regular => folder::REGULAR.into(),
        };
        let rpc_port = match role {
            Role::Validator => self.port(VALIDATOR_RPC, n)?,
            Role::Member(number) => self.port(members::RPC, number.saturating_sub(1).saturating_mul(2))?,
            Role::Regular => self.port(self.rpc_port, 0)?,
        };
        let clients = |number: u16| self.port(members::CLIENTS, number.saturating_sub(1));
        Ok(Seat {
            folder: self.dir.join(&name),
            name,
            p2p_port: self.port(P2P, n)?,
            rpc_port,
            metrics_port: self.port(METRICS, if role == Role::Regular { 0 } else { n.saturating_add(1) })?,
            clients_port: role.member().map(clients).transpose()?,
            role,
        })
    }

    fn write_genesis(&self, nodes: &[DevNode], shape: &Shape) -> Result<()> {
        let path = self.dir.join(files::GENESIS);
        if path.exists() {
            return Ok(());
        }
        let million_ether = U256::from(10u64).pow(U256::from(24u64));
        let validators = nodes.iter().filter(|node| node.seat.role.validates());
        let accounts = ACCOUNTS.iter().map(|(account, _)| *account).chain(members::accounts(shape.members));
        let mut network = NewNetwork {
            validators: validators.map(|node| node.id.address()).collect(),
            balances: accounts.map(|account| (account, million_ether)).collect(),
            block_period_ms: Some(shape.block_period_ms),
            empty_block_period_ms: Some(shape.empty_block_period_ms)
                .filter(|empty| *empty != shape.block_period_ms),
            privacy: Privacy::OF_NEW_NETWORKS,
            ..NewNetwork::default()
        };
        if shape.registry {
            registry::add(&mut network, &self.dir, nodes)?;
        }
        lonja_node::rules::write_file(&path, &network.to_json()).map_err(|error| eyre!("{error}"))
    }

    fn start(&self, node: &DevNode, all: &[DevNode], shape: &Shape, folder: &Folder) -> Result<Child> {
        let seat = &node.seat;
        let log = folder.log(&seat.name)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["node", "--exit-with-stdin", "--p2p-addr", "127.0.0.1", "--identity", &seat.name]);
        command.arg("--data-dir").arg(&seat.folder);
        command.arg("--genesis").arg(self.dir.join(files::GENESIS));
        command.args(["--p2p-port", &seat.p2p_port.to_string()]);
        command.args(["--http-port", &seat.rpc_port.to_string()]);
        command.args(["--metrics-port", &seat.metrics_port.to_string()]);
        if seat.role.validates() {
            command.args(["--ws-port", "0"]);
        } else {
            command.args(["--validator", "false"]);
            command.args(["--ws-port", &seat.rpc_port.saturating_add(1).to_string()]);
        }
        if let Some((number, clients)) = seat.role.member().zip(seat.clients_port) {
            command.args(members::arguments(number, &seat.folder, clients)?);
            // The scripts look for the receipt of a private transaction under the hash that they were given.
            command.env("LONJA_PTM_MARKERS", "false");
        }
        for peer in all.iter().filter(|peer| peer.id != node.id) {
            command.args(["--peer", &format!("enode://{}@127.0.0.1:{}", peer.id, peer.seat.p2p_port)]);
            // Where there is a registry, it says who may connect.
            if !shape.registry {
                command.args(["--allow-node", &peer.id.to_string()]);
            }
        }
        command.args(&self.node_args);
        // A node whose devnet is gone, however it went, sees its standard input close and stops.
        command
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true);
        command.spawn().wrap_err_with(|| format!("cannot start {}", seat.name))
    }

    fn print_welcome(&self, nodes: &[DevNode], shape: &Shape, took: Duration) {
        let Some(node) = nodes.last().map(|node| &node.seat) else { return };
        let rpc = node.rpc_port;
        println!(
            "lonja devnet: {} validators{} and a regular node, ready in {:.1} s\n",
            shape.validators,
            if shape.members > 0 { format!(", {} members", shape.members) } else { String::new() },
            took.as_secs_f32()
        );
        let ws = rpc.saturating_add(1);
        println!("  JSON-RPC   http://127.0.0.1:{rpc}   ws://127.0.0.1:{rpc} or {ws}");
        println!("  chain id   1337, gas is free: an account needs no balance to send transactions");
        println!("  metrics    http://127.0.0.1:{}/metrics   health /readiness", node.metrics_port);
        for seat in nodes.iter().map(|node| &node.seat).filter(|seat| seat.role.validates()) {
            println!("  {:<12} http://127.0.0.1:{}", seat.name, seat.rpc_port);
        }
        println!("\n  accounts (public test keys, phrase \"test test … junk\"), a million ether each:");
        match shape.registry {
            true => registry::print_organisations(&self.dir, nodes),
            false => ACCOUNTS.iter().for_each(|(account, key)| println!("  {account}  0x{key}")),
        }
        members::print(nodes);
        println!("\n  data, keys and logs: {}", self.dir.display());
        println!("\ntry:  curl -s -H 'content-type: application/json' \\");
        println!(
            "        -d '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_blockNumber\",\"params\":[]}}' http://127.0.0.1:{rpc}"
        );
        println!("      {} status --rpc http://127.0.0.1:{rpc}", own_command());
        members::print_hint(nodes);
        if shape.registry {
            registry::print_hints(&self.dir, rpc);
        }
        println!("\nCtrl-C stops all of it; `--reset` begins anew.");
    }
}

impl DevNode {
    fn with_key(seat: Seat) -> Result<Self> {
        let (key, _) = files::read_or_make_key(&seat.folder.join(files::NODE_KEY))?;
        if let Some(number) = seat.role.member() {
            members::prepare(number, &seat.folder)?;
        }
        Ok(Self { seat, id: key.node_id() })
    }
}

impl Before {
    fn now(dir: &Path, nodes: &[DevNode]) -> Self {
        let number = nodes.last().and_then(|node| stored_head(dir, &node.seat).ok()).unwrap_or(0);
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { number, timestamp: since_1970.as_secs() }
    }

    /// Whether the regular node has a block that this run made.
    async fn is_over(&self, nodes: &[DevNode]) -> bool {
        let Some(node) = nodes.last() else { return false };
        let endpoint = Endpoint::Http(format!("http://127.0.0.1:{}", node.seat.rpc_port));
        let newest = endpoint.call("eth_getBlockByNumber", json!(["latest", false])).await;
        newest.is_ok_and(|block| {
            quantity(&block["number"]) > Some(self.number)
                && quantity(&block["timestamp"]) >= Some(self.timestamp)
        })
    }
}

/// The newest block in the store of a node that does not run.
fn stored_head(dir: &Path, seat: &Seat) -> Result<u64> {
    let (_, genesis) = files::read_genesis(&dir.join(files::GENESIS))?;
    let kv = RocksKv::open_read_only(&seat.folder.join("db"), &super::db::options())?;
    Ok(lonja_storage::open(Arc::new(kv), &genesis)?.reader.head().number)
}

fn quantity(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

/// How this program was called: what works once works again.
fn own_command() -> String {
    std::env::args_os().next().map_or_else(|| "lonja".into(), |name| name.to_string_lossy().into_owned())
}

fn check_ports(seats: &[Seat]) -> Result<()> {
    for seat in seats {
        let mut ports = vec![seat.p2p_port, seat.rpc_port, seat.metrics_port];
        // Regular nodes serve WebSocket on a second port.
        ports.extend((!seat.role.validates()).then(|| seat.rpc_port.saturating_add(1)));
        ports.extend(seat.clients_port);
        for port in ports {
            TcpListener::bind(("127.0.0.1", port)).map_err(|error| {
                eyre!(
                    "port {port} (for {}) cannot be used: {error}. Is another devnet or node running? \
                     --port-offset moves all ports",
                    seat.name
                )
            })?;
        }
    }
    Ok(())
}

/// Returns when we are told to stop, with an error when a node ended or no block came. `ready` resolves with the first
/// block, or that it did not come in time.
async fn watch(
    nodes: &[DevNode],
    children: &mut [Child],
    folder: &Folder,
    ready: impl Future<Output = Result<(), tokio::time::error::Elapsed>>,
    welcome: impl Fn(),
) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut look = tokio::time::interval(Duration::from_millis(200));
    let mut ready = std::pin::pin!(ready);
    let mut waiting = true;
    loop {
        tokio::select! {
            _ = interrupt.recv() => { println!(); return Ok(()); }
            _ = terminate.recv() => return Ok(()),
            came = &mut ready, if waiting => {
                came.map_err(|_| eyre!("no new block came in time; the logs are {}", folder.log_path("*").display()))?;
                waiting = false;
                welcome();
            }
            _ = look.tick() => {}
        }
        for (node, child) in nodes.iter().zip(children.iter_mut()) {
            if let Some(status) = child.try_wait()? {
                let name = &node.seat.name;
                bail!("{name} ended with {status}:\n{}", tail(&folder.log_path(name)));
            }
        }
    }
}

/// The end of a log, for a message about a node that died.
fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_END_BYTES)))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        Ok(end)
    };
    let end = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&end);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

async fn stop(children: &mut [Child]) {
    // Closing its standard input asks a node to stop.
    children.iter_mut().for_each(|child| drop(child.stdin.take()));
    for child in children {
        if tokio::time::timeout(STOP_TIMEOUT, child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
    }
}
