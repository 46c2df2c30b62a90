//! What becomes of a genesis file that is edited after its chain has begun, through the command line.

use serde_json::Value;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// No step takes longer than this, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn lonja(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lonja"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// A network of one validator in a folder.
struct World(TempDir);

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        let genesis = world.path("genesis.json");
        world.run(&[
            "genesis",
            "new",
            "--make-validators",
            "1",
            "--block-period-ms",
            "50",
            "--out",
            &genesis,
        ]);
        world.run(&["init", "--genesis", &genesis, "--data-dir", &world.path("data")]);
        world
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = lonja(arguments).output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    }

    fn start(&self, further: &[&str]) -> Child {
        let log = File::create(self.file("log")).unwrap();
        let (key, data) = (self.path("validator-1/node.key"), self.path("data"));
        let mut command = lonja(&["node", "--exit-with-stdin", "--data-dir", &data, "--node-key", &key]);
        command.args([
            "--http",
            "false",
            "--metrics-port",
            "0",
            "--p2p-addr",
            "127.0.0.1",
            "--p2p-port",
            "0",
        ]);
        command.args(["--p2p-quic", "false", "--min-free-disk-mib", "1"]).args(further);
        command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap()
    }

    /// Runs the node until its chain has this block, and stops it.
    fn run_to(&self, block: u64, further: &[&str]) {
        let mut node = self.start(further);
        let begun = Instant::now();
        while self.head().is_none_or(|head| head < block) {
            assert!(node.try_wait().unwrap().is_none(), "it ended: {}", self.log());
            assert!(begun.elapsed() < PATIENCE, "no block {block}: {}", self.log());
            sleep(Duration::from_millis(50));
        }
        drop(node.stdin.take());
        assert!(node.wait().unwrap().success(), "{}", self.log());
    }

    fn head(&self) -> Option<u64> {
        let asked = lonja(&["status", "--json", "--data-dir", &self.path("data")]).output().unwrap();
        let status: Value = serde_json::from_slice(&asked.stdout).ok()?;
        status["head"]["number"].as_u64()
    }

    /// Starts the node, which refuses; answers with what it says.
    fn refused(&self, further: &[&str]) -> String {
        let mut node = self.start(further);
        assert!(!node.wait().unwrap().success(), "{}", self.log());
        self.log()
    }

    /// The genesis file with another block period and a change with a later block.
    fn edited(&self, period_ms: u64, transition: u64) -> String {
        let text = fs::read_to_string(self.file("genesis.json")).unwrap();
        let mut genesis: Value = serde_json::from_str(&text).unwrap();
        genesis["consensus"]["blockPeriodMs"] = period_ms.into();
        genesis["transitions"] =
            serde_json::json!([{ "block": transition, "consensus": { "blockPeriodMs": 70 } }]);
        genesis.to_string()
    }
}

#[test]
fn rules_change_for_blocks_to_come_only() {
    let world = World::new();
    world.run_to(3, &[]);
    let first = fs::read_to_string(world.file("genesis.json")).unwrap();

    fs::write(world.file("data/genesis.json"), world.edited(60, 1_000_000)).unwrap();
    let said = world.refused(&[]);
    assert!(said.contains("from block 0 on, block period: 60 ms instead of 50 ms"), "{said}");
    assert!(said.contains("genesis.accepted.json"), "{said}");
    fs::copy(world.file("data/genesis.accepted.json"), world.file("data/genesis.json")).unwrap();

    fs::write(world.file("late.json"), world.edited(50, 2)).unwrap();
    let said = world.refused(&["--genesis", &world.path("late.json")]);
    assert!(said.contains("from block 2 on, block period: 70 ms instead of 50 ms"), "{said}");
    let installed = || fs::read_to_string(world.file("data/genesis.json")).unwrap();
    assert_eq!(installed(), first, "a refused file is not installed");

    fs::write(world.file("planned.json"), world.edited(50, 1_000_000)).unwrap();
    world.run_to(6, &["--genesis", &world.path("planned.json")]);
    let said = world.log();
    assert!(said.contains("INFO") && said.contains("from block 1000000 on, block period: 70 ms"), "{said}");
    assert_eq!(installed(), world.edited(50, 1_000_000));
    world.run_to(9, &[]);
    assert!(!world.log().contains("new rule"), "it is told once: {}", world.log());

    let said =
        world.run(&["init", "--genesis", &world.path("genesis.json"), "--data-dir", &world.path("data")]);
    assert!(said.contains("from block 1000000 on, block period: 50 ms instead of 70 ms"), "{said}");
    world.run_to(12, &[]);
}

#[test]
fn what_is_odd_about_a_genesis_file_is_said_where_it_is_new() {
    let world = World::new();
    let odd = "1 validator: the network stands still";
    let (genesis, data) = (world.path("genesis.json"), world.path("data-2"));
    for command in [
        &["genesis", "new", "--make-validators", "1", "--out", &world.path("two.json")][..],
        &["genesis", "check", &genesis],
        &["genesis", "explain", &genesis],
        &["init", "--genesis", &genesis, "--data-dir", &data],
    ] {
        let said = world.run(command);
        assert_eq!(said.matches(odd).count(), 1, "{command:?}: {said}");
    }
    world.run_to(1, &[]);
    assert!(!world.log().contains(odd), "init has said it: {}", world.log());
    assert!(!world.log().contains("local_peer_id"), "{}", world.log());
    assert!(world.log().contains("peer_id=\"16Uiu2HA") || world.log().contains("peer_id=16Uiu2HA"));
}
