//! A devnet of `lonja` for the time of a measurement.

use super::process::{self, Watched};
use super::rpc::Endpoint;
use eyre::{Context, Result, bail, eyre};
use serde_json::json;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// The first account that every devnet funds; its key is public (phrase "test test … junk").
pub const FUNDED_KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
/// The regular node's JSON-RPC port.
const RPC_PORT: u16 = 8545;
/// How long the first block may take.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the network may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a starting network is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What kind of network.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Validators.
    pub validators: u16,
    /// Block period, milliseconds.
    pub block_period_ms: u64,
    /// Added to all ports.
    pub port_offset: u16,
    /// Whether it is spoken to over WebSocket.
    pub websocket: bool,
    /// Whether a registry says who may connect and transact.
    pub registry: bool,
}

/// A running network.
pub struct Devnet {
    child: Child,
    dir: PathBuf,
    keep: bool,
    /// The regular node.
    pub rpc: Endpoint,
    /// Its processes.
    pub processes: Vec<Watched>,
}

impl Devnet {
    /// Starts `lonja devnet` in `dir` and waits for its first block. The folder is removed at the end unless it is to be
    /// kept.
    pub async fn start(lonja: &Path, shape: Shape, dir: PathBuf, keep: bool) -> Result<Self> {
        fs::create_dir_all(&dir).wrap_err_with(|| format!("cannot make {}", dir.display()))?;
        let port =
            RPC_PORT.checked_add(shape.port_offset).ok_or_else(|| eyre!("--port-offset is too large"))?;
        let scheme = if shape.websocket { "ws" } else { "http" };
        let rpc = Endpoint::new(&format!("{scheme}://127.0.0.1:{port}"))?;
        let network = dir.join("network");
        let output = File::create(dir.join("devnet.log"))?;
        let mut command = Command::new(lonja);
        command.arg("devnet").arg("--dir").arg(&network).arg("--reset");
        command.args(["--port-offset", &shape.port_offset.to_string()]);
        // A registry's organisations are as many as the validators.
        match shape.registry {
            true => command.arg("--registry"),
            false => command.args(["--validators", &shape.validators.to_string()]),
        };
        command.args(["--block-period-ms", &shape.block_period_ms.to_string()]);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).kill_on_drop(true);
        let child = command.spawn().wrap_err_with(|| format!("cannot start {}", lonja.display()))?;
        let mut devnet = Self { child, dir, keep, rpc, processes: Vec::new() };
        devnet.wait_for_block().await?;
        devnet.processes = devnet.find_processes();
        Ok(devnet)
    }

    async fn wait_for_block(&mut self) -> Result<()> {
        let started = Instant::now();
        loop {
            tokio::time::sleep(LOOK).await;
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(self.dir.join("devnet.log")).unwrap_or_default();
                bail!("the devnet ended with {status}:\n{log}");
            }
            if self.rpc.number("eth_blockNumber", json!([])).await.is_ok_and(|number| number > 0) {
                return Ok(());
            }
            if started.elapsed() > START_TIMEOUT {
                self.keep = true;
                bail!("no block after {} s; see {}", START_TIMEOUT.as_secs(), self.dir.display());
            }
        }
    }

    /// The nodes are children of the devnet's process, named by their `--identity`.
    fn find_processes(&self) -> Vec<Watched> {
        let named = |(pid, line): (u32, Vec<String>)| {
            let at = line.iter().position(|word| word == "--identity")?;
            let name = line.get(at + 1)?.clone();
            let data = Some(self.dir.join("network").join(&name));
            Some(Watched { name, pid, data })
        };
        self.child.id().map(process::children).unwrap_or_default().into_iter().filter_map(named).collect()
    }

    /// Stops it and clears up.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(pid) = self.child.id() {
            Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
        }
        if tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        if self.keep {
            println!("data and logs are in {}", self.dir.display());
        }
        Ok(())
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}
