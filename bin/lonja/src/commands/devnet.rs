//! `lonja devnet`: a whole network on this machine, as real processes.

use crate::client::Endpoint;
use crate::files;
use alloy_primitives::{Address, U256, address};
use clap::Args;
use eyre::{Context, Result, bail, eyre};
use lonja_primitives::NodeId;
use lonja_primitives::genesis::NewNetwork;
use serde_json::json;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// The accounts of the phrase "test test test test test test test test test test test junk", which every
/// developer tool knows. Their keys are public: worth nothing outside a devnet.
const ACCOUNTS: [(Address, &str); 10] = [
    (
        address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
        "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    ),
    (
        address!("70997970C51812dc3A010C7d01b50e0d17dc79C8"),
        "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    ),
    (
        address!("3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
        "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    ),
    (
        address!("90F79bf6EB2c4f870365E785982E1f101E93b906"),
        "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    ),
    (
        address!("15d34AAf54267DB7D7c367839AAf71A00a2C6A65"),
        "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    ),
    (
        address!("9965507D1a55bcC2695C58ba16FB37d819B0A4dc"),
        "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
    ),
    (
        address!("976EA74026E726554dB657fA54763abd0C3a0aa9"),
        "92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
    ),
    (
        address!("14dC79964da2C08b23698B3D3cc7Ca32193d9955"),
        "4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
    ),
    (
        address!("23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f"),
        "dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97",
    ),
    (
        address!("a0Ee7A142d267C1f36714E4a8F75612F20a79720"),
        "2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6",
    ),
];

/// First RPC port of the validators.
const VALIDATOR_RPC: u16 = 21001;
/// First p2p port.
const P2P: u16 = 30303;
/// First metrics port.
const METRICS: u16 = 9545;
/// How long the network may take until its first block before we say that something is wrong.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a node may take to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// Options of `lonja devnet`.
#[derive(Args, Debug)]
pub struct DevnetCommand {
    /// How many validators
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=40))]
    validators: u16,
    /// Time between blocks, milliseconds
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    block_period_ms: u64,
    /// Time after which an empty block is made, milliseconds (default: the block period)
    #[arg(long)]
    empty_block_period_ms: Option<u64>,
    /// Folder for data, keys and logs
    #[arg(long, default_value = "devnet")]
    dir: PathBuf,
    /// Throw an earlier devnet in that folder away and begin at block 0
    #[arg(long)]
    reset: bool,
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

/// One node of the devnet.
struct Member {
    name: String,
    folder: PathBuf,
    id: NodeId,
    p2p_port: u16,
    rpc_port: u16,
    metrics_port: u16,
    validates: bool,
}

impl DevnetCommand {
    /// Prepares the folder, starts the nodes, waits for Ctrl-C, stops them.
    pub async fn run(self) -> Result<()> {
        let started = Instant::now();
        if self.reset && self.dir.exists() {
            remove_old(&self.dir)?;
        }
        let members = self.members()?;
        self.write_genesis(&members)?;
        check_ports(&members)?;
        let mut children = Vec::new();
        for member in &members {
            children.push(self.start(member, &members)?);
        }
        let result = self.watch(&members, &mut children, started).await;
        println!("stopping {} nodes …", children.len());
        stop(&mut children).await;
        result
    }

    fn members(&self) -> Result<Vec<Member>> {
        let offset = |port: u16, n: u16| {
            port.checked_add(self.port_offset)
                .and_then(|port| port.checked_add(n))
                .ok_or_else(|| eyre!("--port-offset {} leads past port 65535", self.port_offset))
        };
        let mut members = Vec::new();
        for n in 0..=self.validators {
            let validates = n < self.validators;
            let name = if validates { format!("validator-{}", n + 1) } else { "node".into() };
            let folder = self.dir.join(&name);
            let key = files::read_or_make_key(&folder.join(files::NODE_KEY))?;
            let rpc_port = if validates { offset(VALIDATOR_RPC, n)? } else { offset(self.rpc_port, 0)? };
            members.push(Member {
                name,
                folder,
                id: key.node_id(),
                p2p_port: offset(P2P, n)?,
                rpc_port,
                metrics_port: if validates { offset(METRICS, n + 1)? } else { offset(METRICS, 0)? },
                validates,
            });
        }
        Ok(members)
    }

    fn write_genesis(&self, members: &[Member]) -> Result<()> {
        let path = self.dir.join(files::GENESIS);
        if path.exists() {
            return Ok(());
        }
        let million_ether = U256::from(10u64).pow(U256::from(24u64));
        let network = NewNetwork {
            validators: members.iter().filter(|m| m.validates).map(|m| m.id.address()).collect(),
            balances: ACCOUNTS.iter().map(|(account, _)| (*account, million_ether)).collect(),
            block_period_ms: Some(self.block_period_ms),
            empty_block_period_ms: self.empty_block_period_ms,
            ..NewNetwork::default()
        };
        fs::write(&path, network.to_json()).wrap_err_with(|| format!("cannot write {}", path.display()))
    }

    fn start(&self, member: &Member, all: &[Member]) -> Result<Child> {
        let log = File::create(self.log_path(member))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["node", "--exit-with-stdin", "--p2p-addr", "127.0.0.1", "--identity", &member.name]);
        command.arg("--data-dir").arg(&member.folder);
        command.arg("--genesis").arg(self.dir.join(files::GENESIS));
        command.args(["--p2p-port", &member.p2p_port.to_string()]);
        command.args(["--http-port", &member.rpc_port.to_string()]);
        command.args(["--metrics-port", &member.metrics_port.to_string()]);
        if member.validates {
            command.args(["--ws-port", "0"]);
        } else {
            command.args(["--validator", "false"]);
            command.args(["--ws-port", &(member.rpc_port + 1).to_string()]);
        }
        for peer in all.iter().filter(|peer| peer.id != member.id) {
            command.args(["--peer", &format!("enode://{}@127.0.0.1:{}", peer.id, peer.p2p_port)]);
            command.args(["--allow-node", &peer.id.to_string()]);
        }
        command.args(&self.node_args);
        // A node whose devnet is gone, however it went, sees its standard input close and stops.
        command
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true);
        command.spawn().wrap_err_with(|| format!("cannot start {}", member.name))
    }

    fn log_path(&self, member: &Member) -> PathBuf {
        self.dir.join(format!("{}.log", member.name))
    }

    async fn watch(&self, members: &[Member], children: &mut [Child], started: Instant) -> Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut ready = false;
        let mut look = tokio::time::interval(Duration::from_millis(200));
        loop {
            tokio::select! {
                _ = interrupt.recv() => { println!(); return Ok(()); }
                _ = terminate.recv() => return Ok(()),
                _ = look.tick() => {}
            }
            for (member, child) in members.iter().zip(children.iter_mut()) {
                if let Some(status) = child.try_wait()? {
                    bail!("{} ended with {status}:\n{}", member.name, tail(&self.log_path(member)));
                }
            }
            if !ready {
                ready = regular_has_block(members).await;
                if ready {
                    self.print_welcome(members, started.elapsed());
                } else if started.elapsed() > START_TIMEOUT {
                    bail!(
                        "no block after {} s; the logs are in {}",
                        START_TIMEOUT.as_secs(),
                        self.dir.display()
                    );
                }
            }
        }
    }

    fn print_welcome(&self, members: &[Member], took: Duration) {
        let Some(node) = members.last() else { return };
        let rpc = node.rpc_port;
        println!(
            "lonja devnet: {} validators and a regular node, ready in {:.1} s\n",
            members.len() - 1,
            took.as_secs_f32()
        );
        println!("  JSON-RPC   http://127.0.0.1:{rpc}   ws://127.0.0.1:{rpc} or {}", rpc + 1);
        println!("  chain id   1337, gas is free: an account needs no balance to send transactions");
        println!("  metrics    http://127.0.0.1:{}/metrics   health /readiness", node.metrics_port);
        for member in members.iter().filter(|member| member.validates) {
            println!("  {:<12} http://127.0.0.1:{}", member.name, member.rpc_port);
        }
        println!("\n  accounts (public test keys, phrase \"test test … junk\"), a million ether each:");
        for (account, key) in ACCOUNTS {
            println!("  {account}  0x{key}");
        }
        println!("\n  data, keys and logs: {}", self.dir.display());
        println!("\ntry:  curl -s -H 'content-type: application/json' \\");
        println!(
            "        -d '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_blockNumber\",\"params\":[]}}' http://127.0.0.1:{rpc}"
        );
        println!("      lonja status --rpc http://127.0.0.1:{rpc}");
        println!("\nCtrl-C stops all of it; `--reset` begins anew.");
    }
}

/// Only a folder that a devnet made is removed.
fn remove_old(dir: &Path) -> Result<()> {
    let known = dir.join(files::GENESIS).exists() || fs::read_dir(dir)?.next().is_none();
    if !known && !dir.join("validator-1").exists() {
        bail!("{} does not look like a devnet's folder; it is left alone", dir.display());
    }
    fs::remove_dir_all(dir).wrap_err_with(|| format!("cannot remove {}", dir.display()))
}

fn check_ports(members: &[Member]) -> Result<()> {
    for member in members {
        let mut ports = vec![member.p2p_port, member.rpc_port, member.metrics_port];
        // The regular node serves WebSocket on a second port.
        ports.extend((!member.validates).then(|| member.rpc_port.saturating_add(1)));
        for port in ports {
            TcpListener::bind(("127.0.0.1", port)).map_err(|error| {
                eyre!(
                    "port {port} (for {}) cannot be used: {error}. Is another devnet or node running? \
                     --port-offset moves all ports",
                    member.name
                )
            })?;
        }
    }
    Ok(())
}

async fn regular_has_block(members: &[Member]) -> bool {
    let Some(node) = members.last() else { return false };
    let endpoint = Endpoint::Http(format!("http://127.0.0.1:{}", node.rpc_port));
    matches!(endpoint.call("eth_blockNumber", json!([])).await, Ok(number) if number != json!("0x0"))
}

/// The end of a log, for a message about a node that died.
fn tail(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use super::*;
    use lonja_primitives::{NodeKey, Signer};

    #[test]
    fn the_printed_keys_belong_to_the_accounts() {
        for (account, key) in ACCOUNTS {
            assert_eq!(NodeKey::from_hex(key).unwrap().address(), account);
        }
    }
}
