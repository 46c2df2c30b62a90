//! `lonja devnet`: what a developer runs first.

use alloy_primitives::{Address, B256};
use lonja_tests::harness::{
    Process, Rpc, Wallet, assert_calm, is_free, lonja, offset_for, run, turn, wait_for, wait_until,
};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use tempfile::TempDir;

/// JSON-RPC port of the regular node, before the offset.
const RPC: u16 = 8545;
/// Every port of four validators and a regular node, before the offset.
const PORTS: &[u16] = &[
    8545, 8546, 9545, 9546, 9547, 9548, 9549, 21001, 21002, 21003, 21004, 30303, 30304, 30305, 30306, 30307,
];
const NODES: &[&str] = &["validator-1", "validator-2", "validator-3", "validator-4", "node"];

struct Devnet {
    process: Process,
    folder: TempDir,
    offset: u16,
}

impl Devnet {
    /// Starts it in a folder and waits until it says that it is ready.
    fn start(folder: TempDir, offset: u16) -> Self {
        let log = folder.path().join("devnet.log");
        let before = times_ready(&log);
        let network = folder.path().join("network").display().to_string();
        let offset_text = offset.to_string();
        let process = Process::start(
            lonja([
                "devnet",
                "--validators",
                "4",
                "--block-period-ms",
                "200",
                "--dir",
                &network,
                "--port-offset",
                &offset_text,
                "--",
                "--cache-mib",
                "16",
            ]),
            &log,
        );
        let mut devnet = Self { process, folder, offset };
        wait_until("the devnet is ready", || {
            let ended = devnet.process.ended();
            assert!(ended.is_none(), "{ended:?}: {}", fs::read_to_string(&log).unwrap_or_default());
            times_ready(&log) > before
        });
        devnet
    }

    /// All that it printed so far.
    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("devnet.log")).unwrap_or_default()
    }

    fn rpc(&self) -> Rpc {
        Rpc::at(RPC + self.offset)
    }
}

fn times_ready(log: &Path) -> usize {
    fs::read_to_string(log).unwrap_or_default().matches("ready in").count()
}

/// Processes, beside this one, that have a path in their arguments.
fn processes_of(folder: &Path) -> Vec<String> {
    let wanted = folder.display().to_string();
    let arguments = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("cmdline")).ok();
    let all = fs::read_dir("/proc").expect("there is /proc").filter_map(Result::ok).filter_map(arguments);
    all.filter(|text| text.contains(&wanted)).map(|text| text.replace('\0', " ")).collect()
}

fn receipt(rpc: Rpc, hash: B256) -> Value {
    wait_for("the transfer is mined", || {
        Some(rpc.get("eth_getTransactionReceipt", json!([hash]))).filter(Value::is_object)
    })
}

fn balance(rpc: Rpc, account: Address) -> u128 {
    let text = rpc.get("eth_getBalance", json!([account, "latest"]));
    let digits = text.as_str().and_then(|text| text.strip_prefix("0x")).expect("a quantity");
    u128::from_str_radix(digits, 16).expect("a quantity")
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let folder = tempfile::tempdir().expect("temporary folders can be made");
    let (genesis, dir) = (folder.path().join("genesis.json"), folder.path().display().to_string());
    run(["genesis", "new", "--make-validators", "1", "--out", &genesis.display().to_string()]).success();
    for further in [&[][..], &["--reset"]] {
        let said = run(["devnet", "--dir", &dir].iter().chain(further)).failure();
        assert!(said.contains("left alone") && said.contains(&dir), "{said}");
    }
    assert!(genesis.exists() && folder.path().join("validator-1/node.key").exists());
}

#[test]
fn one_command_runs_a_network_that_mines_and_stops() {
    let _turn = turn();
    let folder = tempfile::tempdir().expect("temporary folders can be made");
    let path = folder.path().to_path_buf();
    let offset = offset_for(PORTS);
    let devnet = Devnet::start(folder, offset);
    let rpc = devnet.rpc();
    let head = rpc.head().expect("it answers when it says that it is ready");
    wait_until("blocks come", || rpc.head() > Some(head + 3));
    nobody_else_may_use_the_folder(&devnet);
    assert_eq!(devnet.said().matches("status --rpc").count(), 1);
    let status = run(["status", "--rpc", &format!("http://127.0.0.1:{}", RPC + offset)]).success();
    assert!(status.contains("regular node; there are 4 validators"), "{status}");
    send_from_an_empty_and_a_rich_account(rpc);

    // Ctrl-C. What the terminal sends to the whole group, the nodes in groups of their own do not see.
    devnet.process.signal("INT");
    let Devnet { process, folder, .. } = devnet;
    assert_eq!(process.wait().code(), Some(0));
    assert_eq!(processes_of(&path), Vec::<String>::new(), "orphans");
    PORTS.iter().for_each(|port| assert!(is_free(port + offset), "port {port} is still taken"));
    NODES.iter().for_each(|name| assert_calm(&path.join("network").join(format!("{name}.log"))));

    what_does_not_fit_changes_nothing(&path.join("network"), offset);
    an_earlier_network_goes_on_and_dies_with_its_parent(folder, offset, head);
}

fn nobody_else_may_use_the_folder(devnet: &Devnet) {
    let network = devnet.folder.path().join("network");
    let dir = network.display().to_string();
    let log = network.join("node.log");
    let before = fs::read_to_string(&log).expect("nodes have logs");
    // Other ports, so that only the folder is in the way.
    let other = (devnet.offset + 20).to_string();
    for further in [&[][..], &["--reset"], &["--validators", "2"]] {
        let call = ["devnet", "--dir", &dir, "--port-offset", &other];
        let said = run(call.iter().chain(further)).failure();
        assert!(said.contains("runs in") && said.contains(&dir), "{said}");
    }
    let after = fs::read_to_string(&log).expect("nodes have logs");
    assert!(after.starts_with(&before), "a log was cut off");
}

fn what_does_not_fit_changes_nothing(network: &Path, offset: u16) {
    let dir = network.display().to_string();
    let offset_text = offset.to_string();
    let devnet = ["devnet", "--dir", &dir, "--port-offset", &offset_text];
    for further in [["--validators", "2"], ["--validators", "7"], ["--block-period-ms", "300"]] {
        let said = run(devnet.iter().chain(&further)).failure();
        assert!(said.contains("4 validators at 200 ms") && said.contains("--reset"), "{further:?}: {said}");
    }
    let taken = TcpListener::bind(("127.0.0.1", RPC + offset)).expect("the devnet has stopped");
    let said = run(devnet.iter().chain(&["--reset"])).failure();
    assert!(said.contains(&format!("port {} ", RPC + offset)), "{said}");
    drop(taken);
    assert!(network.join("validator-4/db").exists(), "data was removed though a port is taken");
}

fn send_from_an_empty_and_a_rich_account(rpc: Rpc) {
    let (mut empty, mut rich, receiver) = (Wallet::empty(), Wallet::funded(), Wallet::empty().address());
    let before = balance(rpc, rich.address());
    let free = empty.transfer(receiver, 0);
    let paid = rich.transfer(receiver, 12_345);
    for signed in [&free, &paid] {
        assert_eq!(rpc.get("eth_sendRawTransaction", json!([signed.text()])), json!(signed.hash));
    }
    for signed in [&free, &paid] {
        let receipt = receipt(rpc, signed.hash);
        assert_eq!((&receipt["status"], &receipt["effectiveGasPrice"]), (&json!("0x1"), &json!("0x0")));
    }
    assert_eq!(balance(rpc, receiver), 12_345);
    assert_eq!(balance(rpc, rich.address()), before - 12_345, "gas is free");
    let beyond = empty.transfer(receiver, 1);
    let refusal = rpc.call("eth_sendRawTransaction", json!([beyond.text()])).expect_err("it has no money");
    assert!(refusal.contains("insufficient funds"), "{refusal}");
}

fn an_earlier_network_goes_on_and_dies_with_its_parent(folder: TempDir, offset: u16, head: u64) {
    let path = folder.path().to_path_buf();
    let log = path.join("network/node.log");
    let before = fs::read_to_string(&log).expect("the first run left logs");
    let devnet = Devnet::start(folder, offset);
    assert!(devnet.rpc().head() > Some(head), "the chain of the first run is gone");
    assert!(fs::read_to_string(&log).expect("logs stay").starts_with(&before), "old logs are gone");
    let Devnet { process, folder: _folder, .. } = devnet;
    process.kill9();
    wait_until("no node outlives a killed devnet", || processes_of(&path).is_empty());
}
