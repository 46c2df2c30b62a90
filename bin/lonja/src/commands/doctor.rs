//! `lonja doctor`: what may be wrong with a node, one check a line, each with what to do about it.

mod local;
mod parties;
mod peers;
mod running;
mod standing;

use super::status::Target;
use crate::client::Endpoint;
use crate::files;
use clap::Args;
use eyre::{Result, bail};
use lonja_p2p::PeerAddress;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Options of `lonja doctor`.
#[derive(Args, Debug)]
#[command(after_help = "\
A node that stands still, has no peers, or does not start is looked at from outside: its data directory, key, genesis file,
disk, ports, clock; and where it answers, its place in the network. Ends with an error if any check fails.

Examples:
  lonja doctor
  lonja doctor --data-dir /var/lib/lonja --genesis network.json
  lonja doctor --rpc http://10.0.0.7:8545 --json")]
pub struct DoctorCommand {
    #[command(flatten)]
    target: Target,
    /// Genesis file that the node should have
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Not as it should be, or not known; the node can do its work.
    Warn,
    /// Keeps the node from its work.
    Fail,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    name: &'static str,
    level: Level,
    /// How it is, and what to do.
    text: String,
}

impl Check {
    fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, level: Level::Ok, text: text.into() }
    }

    fn warn(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, level: Level::Warn, text: text.into() }
    }

    fn fail(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, level: Level::Fail, text: text.into() }
    }
}

impl DoctorCommand {
    /// Looks, prints, and fails if any check does.
    pub async fn run(self) -> Result<()> {
        let checks = self.checks().await;
        match self.json {
            true => println!("{:#}", json!(checks)),
            false => print!("{}", lines(&checks)),
        }
        let failed = checks.iter().filter(|check| check.level == Level::Fail).count();
        match failed {
            0 => Ok(()),
            1 => bail!("one check failed"),
            many => bail!("{many} checks failed"),
        }
    }

    async fn checks(&self) -> Vec<Check> {
        let endpoint = self.target.endpoint();
        let status = endpoint.call("lonja_status", json!([])).await;
        // A node that is reached by a URL may be on another machine: nothing here is its own.
        let is_here = matches!(endpoint, Endpoint::Ipc(_));
        let mut checks = Vec::new();
        if is_here {
            checks.extend(local::checks(&self.folder(&endpoint), status.as_ref().ok().map(port)).await);
        }
        checks.push(reached(&endpoint, &status));
        let given = self.genesis.as_ref().map(|file| files::read_genesis(file));
        let installed =
            is_here.then(|| self.folder(&endpoint).join(files::GENESIS)).filter(|file| file.exists());
        let installed = installed.map(|file| files::read_genesis(&file));
        checks.extend(standing::genesis(given, installed, status.as_ref().ok()));
        if let Ok(status) = status {
            checks.extend(running::checks(&endpoint, &status).await);
            checks.extend(peers::checks(&endpoint, &status, is_here).await);
            checks.extend(standing::checks(&endpoint, &status).await);
        }
        checks
    }

    /// The data directory: of a socket that was named, the folder it is in.
    fn folder(&self, endpoint: &Endpoint) -> PathBuf {
        match (endpoint, &self.target.rpc) {
            (Endpoint::Ipc(socket), Some(_)) => socket.parent().map(Into::into).unwrap_or_default(),
            _ => self.target.data_dir.clone(),
        }
    }
}

fn reached(endpoint: &Endpoint, status: &Result<Value>) -> Check {
    match status {
        Ok(status) => {
            let client = status["client"].as_str().unwrap_or("a node");
            Check::ok("node", format!("{client} answers at {endpoint}"))
        }
        Err(error) => Check::fail("node", format!("{error:#}; start it: lonja node --data-dir DIR")),
    }
}

/// Where a node takes peers; 0 if it does not.
fn port(status: &Value) -> u16 {
    let enode = status["enode"].as_str().unwrap_or_default();
    enode.parse::<PeerAddress>().map_or(0, |address| address.port())
}

fn lines(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let line = |check: &Check| {
        let level = match check.level {
            Level::Ok => "OK  ",
            Level::Warn => "WARN",
            Level::Fail => "FAIL",
        };
        format!("{level}  {:<width$}  {}\n", check.name, check.text)
    };
    checks.iter().map(line).collect()
}

/// `12 s`, `3 min`, `5 h`, `2 days`.
fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        doctor: DoctorCommand,
    }

    #[test]
    fn lines_are_aligned_and_machines_read_levels() {
        let checks = [Check::ok("key", "fine"), Check::fail("data directory", "gone")];
        assert_eq!(lines(&checks), "OK    key             fine\nFAIL  data directory  gone\n");
        assert_eq!(json!(checks)[1], json!({ "name": "data directory", "level": "FAIL", "text": "gone" }));
    }

    /// A folder that is no data directory, and nobody there: told check by check, and an error at the end.
    #[tokio::test]
    async fn a_node_that_is_not_there_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let doctor = Cli::try_parse_from(["test", "--data-dir", path]).unwrap().doctor;
        let checks = doctor.checks().await;
        let level = |name: &str| checks.iter().find(|check| check.name == name).map(|check| check.level);
        assert_eq!(level("node"), Some(Level::Fail), "{checks:?}");
        assert_eq!(level("key"), Some(Level::Warn));
        assert_eq!(level("genesis"), Some(Level::Fail));
        assert!(doctor.run().await.unwrap_err().to_string().contains("failed"));
    }
}
