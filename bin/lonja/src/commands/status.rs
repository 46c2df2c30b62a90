//! `lonja status`: one screen about a running node.

use crate::client::Endpoint;
use crate::files;
use clap::Args;
use eyre::Result;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::SystemTime;

/// Which running node a command talks to.
#[derive(Args, Clone, Debug)]
pub struct Target {
    /// Data directory of the node; its IPC socket is used
    #[arg(long, env = "LONJA_DATA_DIR", default_value_os_t = files::default_data_dir())]
    pub data_dir: PathBuf,
    /// URL (http://host:port) or socket path to use instead
    #[arg(long)]
    pub rpc: Option<String>,
}

impl Target {
    /// Where to call.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::choose(self.rpc.clone(), &self.data_dir)
    }
}

/// Options of `lonja status`.
#[derive(Args, Debug)]
pub struct StatusCommand {
    #[command(flatten)]
    target: Target,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl StatusCommand {
    /// Asks the node and prints what it says.
    pub async fn run(self) -> Result<()> {
        let status = self.target.endpoint().call("lonja_status", json!([])).await?;
        if self.json {
            println!("{status:#}");
        } else {
            let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            print!("{}", screen(&status, since_1970.as_secs()));
        }
        Ok(())
    }
}

/// The screen: what an operator looks for first stands first.
fn screen(status: &Value, now: u64) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_string();
    let ready = if status["ready"] == true { "ready" } else { "NOT READY" };
    let gas = if status["freeGas"] == true { "gas is free" } else { "gas is paid" };
    let (head, pool) = (&status["head"], &status["txpool"]);
    let age = now.saturating_sub(head["timestamp"].as_u64().unwrap_or(now));
    let mut lines = vec![
        (String::new(), format!("{}: {ready}", text(&status["client"]))),
        ("network".into(), format!("chain id {}, {gas}, fork {}", status["chainId"], text(&status["fork"]))),
        ("genesis".into(), text(&status["genesisHash"])),
        ("node".into(), format!("{}, {}", text(&status["nodeAddress"]), role(&status["consensus"]))),
        ("enode".into(), text(&status["enode"])),
        (
            "head".into(),
            format!("block {}, made {} ago, {}", head["number"], duration(age), text(&head["hash"])),
        ),
        ("sync".into(), sync(&status["sync"])),
        ("peers".into(), format!("{} connected", status["peers"])),
        ("permission".into(), permission(&status["permission"])),
        ("agreement".into(), agreement(&status["consensus"])),
        (
            "pool".into(),
            format!(
                "{} transactions can go into a block, {} wait for another; {} kB",
                pool["pending"],
                pool["queued"],
                pool["bytes"].as_u64().unwrap_or(0).div_ceil(1000)
            ),
        ),
        (String::new(), String::new()),
    ];
    if !status["private"].is_null() {
        let behind = lines.iter().position(|(name, _)| name == "sync").map_or(0, |place| place + 1);
        lines.insert(behind, ("private".into(), private(&status["private"], head)));
    }
    for check in status["checks"].as_array().into_iter().flatten() {
        let sign = if check["ok"] == true { "ok  " } else { "FAIL" };
        lines.push((text(&check["name"]), format!("{sign} {}", text(&check["reason"]))));
    }
    let line = |(name, value): (String, String)| match name.is_empty() {
        true => value + "\n",
        false => format!("  {name:<10} {value}\n"),
    };
    lines.into_iter().map(line).collect()
}

fn role(consensus: &Value) -> String {
    let validators = consensus["validators"].as_array().map_or(0, Vec::len);
    match consensus["isValidator"] == true {
        true => format!("validator, one of {validators}"),
        false => format!("regular node; there are {validators} validators"),
    }
}

/// What the network's contracts say of this node.
fn permission(permission: &Value) -> String {
    if permission.is_null() {
        return "no contract decides who may connect".into();
    }
    let own = &permission["ownNode"];
    match &own["allowed"] {
        Value::Bool(true) => "the network permits this node".into(),
        Value::Bool(false) => {
            let reason = own["reason"].as_str().unwrap_or("no reason is given");
            format!("NOT permitted: {reason} (lonja permission why)")
        }
        _ => "decided by addresses, as others see them".into(),
    }
}

fn sync(sync: &Value) -> String {
    match sync.is_object() {
        true => format!("fetching blocks, from {} up to {}", sync["start"], sync["highest"]),
        false => "at the head, as far as the peers say".into(),
    }
}

/// Where the node stands with private transactions.
fn private(private: &Value, head: &Value) -> String {
    let at = &private["head"]["number"];
    let wait = &private["waiting"];
    if wait.is_object() {
        let reason = wait["reason"].as_str().unwrap_or("?");
        let seconds = duration(wait["seconds"].as_u64().unwrap_or(0));
        return format!("at block {at}, waiting for block {} since {seconds}: {reason}", wait["number"]);
    }
    match *at == head["number"] {
        true => "at the head".into(),
        false => format!("at block {at}, on its way to block {}", head["number"]),
    }
}

fn agreement(consensus: &Value) -> String {
    let text = |name: &str| consensus[name].as_str().unwrap_or("?").to_string();
    format!(
        "block {}, round {}: {}; {} proposes",
        consensus["height"],
        consensus["round"],
        text("phase"),
        text("proposer")
    )
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

    #[test]
    fn the_screen_says_how_it_is() {
        let status = json!({
            "client": "lonja/v1", "chainId": 1337, "genesisHash": "0x12", "freeGas": true, "fork": "Osaka",
            "nodeAddress": "0xab", "enode": "enode://", "ready": false, "peers": 0,
            "head": { "number": 7, "hash": "0x34", "timestamp": 1_000 },
            "sync": { "start": 7, "highest": 90 },
            "consensus": {
                "height": 8, "round": 2, "phase": "preparing", "proposer": "0xcd", "validators": ["0xab", "0xcd"],
                "isValidator": true,
            },
            "private": {
                "head": { "number": 5 },
                "waiting": { "number": 6, "payload": "AA==", "reason": "the manager is away", "seconds": 130 },
            },
            "permission": { "ownNode": { "allowed": false, "reason": "node unknown" } },
            "txpool": { "pending": 3, "queued": 1, "bytes": 1_200 },
            "checks": [
                { "name": "disk", "ok": true, "reason": "there is room" },
                { "name": "peers", "ok": false, "reason": "0 peers connected" },
            ],
        });
        let lines = screen(&status, 1_300);
        for line in [
            "lonja/v1: NOT READY",
            "  network    chain id 1337, gas is free, fork Osaka",
            "  node       0xab, validator, one of 2",
            "  head       block 7, made 5 min ago, 0x34",
            "  sync       fetching blocks, from 7 up to 90",
            "  private    at block 5, waiting for block 6 since 2 min: the manager is away",
            "  permission NOT permitted: node unknown (lonja permission why)",
            "  agreement  block 8, round 2: preparing; 0xcd proposes",
            "  pool       3 transactions can go into a block, 1 wait for another; 2 kB",
            "  disk       ok   there is room",
            "  peers      FAIL 0 peers connected",
        ] {
            assert!(lines.lines().any(|shown| shown == line), "{line:?} is not in\n{lines}");
        }
        let head = json!({ "number": 7 });
        let standing =
            |number: u64| private(&json!({ "head": { "number": number }, "waiting": null }), &head);
        assert_eq!([standing(7), standing(3)], ["at the head", "at block 3, on its way to block 7"]);
    }
}
