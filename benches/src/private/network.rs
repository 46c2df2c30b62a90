//! Four validators and two members that share private transactions, each a process on this machine.

use crate::load::process::Watched;
use crate::load::rpc::Endpoint;
use alloy_primitives::{Address, hex};
use eyre::{Context, Result, bail, eyre};
use lonja_accounts::{Accounts, Password, Strength};
use lonja_primitives::genesis::NewNetwork;
use lonja_primitives::spec::Privacy;
use lonja_primitives::{NodeKey, Signer};
use serde_json::json;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// As many as stand one that fails.
const VALIDATORS: usize = 4;
/// Ports of a node: peers, JSON-RPC, metrics, and the manager's clients.
const PORTS: usize = 4;
/// How long it may take until the members know each other.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a node may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// How often a starting network is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Opens the members' accounts.
const PASSWORD: &str = "not a secret";

/// What kind of network.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Milliseconds between blocks.
    pub block_period_ms: u64,
    /// Accounts that each member signs for.
    pub accounts: usize,
}

/// A node that takes part in private transactions.
pub struct Member {
    /// As it stands in reports.
    pub name: String,
    /// Its JSON-RPC.
    pub rpc: Endpoint,
    /// Where its manager stores payloads for clients.
    pub store: Endpoint,
    /// Its key, base64.
    pub key: String,
    /// The accounts that it signs for.
    pub accounts: Vec<Address>,
    keys_url: String,
}

/// A running network.
pub struct Network {
    /// A node that is no party to anything.
    pub validator: Endpoint,
    /// The first puts what it signs into the chain as it is, the second in markers.
    pub members: [Member; 2],
    /// All processes.
    pub watched: Vec<Watched>,
    children: Vec<Child>,
    dir: PathBuf,
    keep: bool,
}

/// A node that does not run yet.
struct Seat {
    name: String,
    folder: PathBuf,
    key: NodeKey,
    ports: [u16; PORTS],
    accounts: Vec<Address>,
}

impl Network {
    /// Starts a network with its data in `dir`, and waits until the members know each other. The folder is removed at the
    /// end unless it is to be kept.
    pub async fn start(lonja: &Path, shape: Shape, dir: PathBuf, keep: bool) -> Result<Self> {
        fs::create_dir_all(&dir).wrap_err_with(|| format!("cannot make {}", dir.display()))?;
        let names = (1..=VALIDATORS).map(|n| format!("validator-{n}"));
        let names: Vec<String> = names.chain((1..=2).map(|n| format!("member-{n}"))).collect();
        let ports = free_ports(names.len() * PORTS)?;
        let mut seats = Vec::new();
        for (name, ports) in names.into_iter().zip(ports.chunks_exact(PORTS)) {
            seats.push(Seat::make(&dir, name, ports.try_into()?, shape)?);
        }
        write_genesis(&dir, shape, &seats)?;
        let mut children = Vec::new();
        let mut watched = Vec::new();
        for seat in &seats {
            let child = seat.start(lonja, &dir, &seats)?;
            let pid = child.id().ok_or_else(|| eyre!("{} ended at once", seat.name))?;
            watched.push(Watched { name: seat.name.clone(), pid, data: Some(seat.folder.clone()) });
            children.push(child);
        }
        let members: Vec<&Seat> = seats.iter().skip(VALIDATORS).collect();
        let [first, second] = members[..] else { bail!("a network without members") };
        let mut network = Self {
            validator: seats[0].rpc()?,
            members: [first.member()?, second.member()?],
            watched,
            children,
            dir,
            keep,
        };
        network.meet(&seats).await?;
        Ok(network)
    }

    /// Waits for the first block, and until each member knows both keys.
    async fn meet(&mut self, seats: &[Seat]) -> Result<()> {
        let started = Instant::now();
        while !self.know_each_other(seats).await {
            for (seat, child) in seats.iter().zip(&mut self.children) {
                if let Some(status) = child.try_wait()? {
                    let log = fs::read_to_string(seat.folder.with_extension("log")).unwrap_or_default();
                    bail!("{} ended with {status}:\n{log}", seat.name);
                }
            }
            if started.elapsed() > START_TIMEOUT {
                self.keep = true;
                bail!("nothing works after {} s; see {}", START_TIMEOUT.as_secs(), self.dir.display());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    async fn know_each_other(&mut self, seats: &[Seat]) -> bool {
        for (member, seat) in self.members.iter_mut().zip(&seats[VALIDATORS..]) {
            let key = fs::read_to_string(seat.folder.join("ptm/key.pub")).unwrap_or_default();
            member.key = key.trim().to_owned();
        }
        for member in &self.members {
            let block = member.rpc.number("eth_blockNumber", json!([])).await;
            let known = get(&member.keys_url).await.unwrap_or_default();
            let knows = |other: &Member| !other.key.is_empty() && known.contains(&other.key);
            if block.unwrap_or(0) == 0 || !self.members.iter().all(knows) {
                return false;
            }
        }
        true
    }

    /// Stops it and clears up.
    pub async fn stop(mut self) -> Result<()> {
        // Closing its standard input asks a node to stop.
        self.children.iter_mut().for_each(|child| drop(child.stdin.take()));
        for child in &mut self.children {
            if tokio::time::timeout(STOP_TIMEOUT, child.wait()).await.is_err() {
                child.kill().await?;
            }
        }
        if self.keep {
            println!("data and logs are in {}", self.dir.display());
        }
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

impl Seat {
    fn make(dir: &Path, name: String, ports: [u16; PORTS], shape: Shape) -> Result<Self> {
        let folder = dir.join(&name);
        fs::create_dir_all(&folder)?;
        let key = NodeKey::generate();
        fs::write(folder.join("node.key"), hex::encode(key.to_bytes()))?;
        fs::write(folder.join("password"), PASSWORD)?;
        let keystore = Accounts::new(folder.join("keystore"), Strength::LIGHT);
        let count = if name.starts_with("member") { shape.accounts } else { 0 };
        let make = |_| Ok(keystore.create(&Password::from(PASSWORD))?.address);
        let accounts = (0..count).map(make).collect::<Result<_>>()?;
        Ok(Self { name, folder, key, ports, accounts })
    }

    fn rpc(&self) -> Result<Endpoint> {
        Endpoint::new(&format!("http://127.0.0.1:{}", self.ports[1]))
    }

    fn member(&self) -> Result<Member> {
        let manager = format!("http://127.0.0.1:{}", self.ports[3]);
        Ok(Member {
            name: self.name.clone(),
            rpc: self.rpc()?,
            store: Endpoint::new(&format!("{manager}/storeraw"))?,
            key: String::new(),
            accounts: self.accounts.clone(),
            keys_url: format!("{manager}/partyinfo/keys"),
        })
    }

    fn start(&self, lonja: &Path, dir: &Path, all: &[Seat]) -> Result<Child> {
        let [peers, rpc, metrics, clients] = self.ports.map(|port| port.to_string());
        let log = File::create(self.folder.with_extension("log"))?;
        let mut command = Command::new(lonja);
        command.args(["node", "--exit-with-stdin", "--identity", &self.name]);
        command.arg("--data-dir").arg(&self.folder).arg("--genesis").arg(dir.join("genesis.json"));
        command.args(["--p2p-addr", "127.0.0.1", "--p2p-port", &peers, "--http-port", &rpc]);
        command.args(["--ws-port", "0", "--metrics-port", &metrics]);
        for other in all.iter().filter(|other| other.name != self.name) {
            let peer = format!("enode://{}@127.0.0.1:{}", other.key.node_id(), other.ports[0]);
            command.args(["--peer", &peer]);
        }
        if !self.accounts.is_empty() {
            let numbers: Vec<String> = (0..self.accounts.len()).map(|number| number.to_string()).collect();
            command.args(["--validator", "false", "--unlock", &numbers.join(",")]);
            command.arg("--password-file").arg(self.folder.join("password"));
            command.args(["--ptm-client-listen", &format!("127.0.0.1:{clients}")]);
            command.args(["--ptm-markers", if self.name == "member-1" { "false" } else { "true" }]);
        }
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        command.spawn().wrap_err_with(|| format!("cannot start {}", lonja.display()))
    }
}

fn write_genesis(dir: &Path, shape: Shape, seats: &[Seat]) -> Result<()> {
    let network = NewNetwork {
        validators: seats.iter().take(VALIDATORS).map(|seat| seat.key.address()).collect(),
        block_period_ms: Some(shape.block_period_ms),
        privacy: Privacy::OF_NEW_NETWORKS,
        ..NewNetwork::default()
    };
    Ok(fs::write(dir.join("genesis.json"), network.to_json())?)
}

/// Ports that nobody uses. All are taken at once, so that none comes twice.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<Result<_, _>>()?;
    Ok(listeners
        .iter()
        .map(|listener| listener.local_addr().map(|address| address.port()))
        .collect::<Result<_, _>>()?)
}

async fn get(url: &str) -> Result<String> {
    let client = reqwest::Client::builder().no_proxy().timeout(START_TIMEOUT).build()?;
    Ok(client.get(url).send().await?.text().await?)
}
