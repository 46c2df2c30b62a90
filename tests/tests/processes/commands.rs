//! The small commands, and the pages that supervisors and Prometheus read.

use alloy_primitives::U256;
use lonja_primitives::{Block, Header};
use lonja_tests::harness::{Network, Plan, Wallet, run, wait_until};
use serde_json::{Value, json};
use std::fs;

/// Series that a dashboard needs, from every part of the node.
const SERIES: &[&str] = &[
    "lonja_head_number",
    "lonja_consensus_height",
    "lonja_consensus_round",
    "lonja_consensus_log_seconds",
    "lonja_blocks_executed_total",
    "lonja_gas_executed_total",
    "lonja_transactions_committed_total",
    "lonja_transactions_accepted_total",
    "lonja_recover_seconds",
    "lonja_build_seconds",
    "lonja_check_seconds",
    "lonja_root_seconds",
    "lonja_persist_seconds",
    "lonja_commit_seconds",
    "lonja_txpool_pending",
    "lonja_txpool_bytes",
    "lonja_peers",
    "lonja_p2p_messages_total",
    "lonja_p2p_bytes_total",
    "lonja_disk_free_bytes",
    "lonja_rpc_requests_total",
    "lonja_rpc_request_seconds",
];

#[test]
fn a_running_node_tells_how_it_is() {
    let network = Network::start(Plan::new(2, 0));
    let member = network.member(0);
    let mut wallet = Wallet::empty();
    let signed = wallet.transfer(wallet.address(), 0);
    member.rpc.get("eth_sendRawTransaction", json!([signed.text()]));
    wait_until("the transfer is mined", || {
        member.rpc.get("eth_getTransactionReceipt", json!([signed.hash])).is_object()
    });
    network.wait_for_more(0, 2);

    for path in ["/metrics", "/debug/metrics/prometheus"] {
        let mut missing = Vec::new();
        wait_until("all series are there", || {
            let (code, text) = member.health.page(path).expect("it answers");
            missing = SERIES.iter().filter(|name| !text.contains(**name)).collect();
            if !missing.is_empty() {
                println!("missing: {missing:?}");
            }
            code == 200 && missing.is_empty()
        });
    }
    for path in ["/liveness", "/readiness"] {
        let (code, body) = member.health.page(path).expect("it answers");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((code, &body["status"]), (200, &json!("UP")), "{path}: {body}");
        assert!(body["checks"].as_array().is_some_and(|checks| !checks.is_empty()), "{path}: {body}");
    }
    assert_eq!(member.health.page("/nonsense").expect("it answers").0, 404);

    let screen = member.command(&["status"]);
    for word in
        ["chain id 1337", "validator, one of 2", "head  ", "1 connected", "pool  ", "ok   1 peers connected"]
    {
        assert!(screen.contains(word), "{word} is not in {screen}");
    }
    let status: Value = serde_json::from_str(&member.command(&["status", "--json"])).expect("JSON");
    assert_eq!((&status["ready"], &status["peers"]), (&json!(true), &json!(1)), "{status}");
    let url = format!("http://127.0.0.1:{}", member.rpc.port);
    let over_http: Value =
        serde_json::from_str(&run(["status", "--json", "--rpc", &url]).success()).expect("JSON");
    assert_eq!(over_http["genesisHash"], status["genesisHash"]);
    votes_are_for_the_operator(&network);
    network.assert_calm(&network.all());
}

/// What changes the node is offered on its socket, not on HTTP.
fn votes_are_for_the_operator(network: &Network) {
    let candidate = Wallet::empty().address();
    let refusal = network.member(0).rpc.call("istanbul_propose", json!([candidate, true])).expect_err("HTTP");
    assert!(refusal.contains("istanbul_propose"), "{refusal}");
    let said = network.member(0).command(&["validator", "propose", &candidate.to_string(), "--remove"]);
    assert!(said.contains("has no effect"), "{said}");
    network.member(0).command(&["validator", "propose", &candidate.to_string()]);
    let candidates = || network.member(0).rpc.get("istanbul_candidates", json!([]));
    wait_until("the vote stands", || candidates() == json!({ candidate.to_string().to_lowercase(): true }));
    network.member(0).command(&["validator", "discard", &candidate.to_string()]);
    wait_until("the vote is gone", || candidates() == json!({}));
}

#[test]
fn genesis_files_are_made_explained_and_checked() {
    let folder = tempfile::tempdir().expect("temporary folders can be made");
    let file = folder.path().join("genesis.json").display().to_string();
    let said =
        run(["genesis", "new", "--chain-id", "4711", "--make-validators", "4", "--out", &file]).success();
    let hash = said.split_whitespace().find(|word| word.starts_with("0x")).expect("a hash").to_string();
    let again = run(["genesis", "new", "--make-validators", "1", "--out", &file]).failure();
    assert!(again.contains("not overwritten"), "{again}");

    let words = run(["genesis", "explain", &file]).success();
    assert!(words.contains("4711") && words.contains(&hash), "{words}");
    let fine = run(["genesis", "check", &file, "--hash", &hash]).success();
    assert!(fine.contains("fine") && fine.contains(&hash), "{fine}");
    let wrong = format!("0x{}", "1".repeat(64));
    let said = run(["genesis", "check", &file, "--hash", &wrong]).failure();
    assert!(said.contains(&hash) && said.contains(&wrong), "{said}");

    let text = fs::read_to_string(&file).expect("it was written");
    fs::write(&file, text.replace("\"blockPeriodMs\"", "\"blockPeriodNs\"")).expect("it can be written");
    let said = run(["genesis", "check", &file]).failure();
    assert!(said.contains("blockPeriodNs"), "{said}");
}

#[test]
fn keys_and_the_configuration_are_shown() {
    let folder = tempfile::tempdir().expect("temporary folders can be made");
    let data = folder.path().display().to_string();
    let key = folder.path().join("node.key").display().to_string();
    run(["key", "new", &key]).success();
    let secret = fs::read_to_string(&key).expect("it was written");
    let shown = run(["key", "show", &data, "--host", "node.example.org", "--port", "4000"]).success();
    assert!(shown.contains("@node.example.org:4000") && !shown.contains(secret.trim()), "{shown}");
    let shown: Value = serde_json::from_str(&run(["key", "show", &key, "--json"]).success()).expect("JSON");
    assert_eq!(shown["nodeId"].as_str().map(str::len), Some(128));

    fs::write(folder.path().join("lonja.toml"), "p2p-port = 4001\nhttp-port = 4002\n").expect("a file");
    let shown = run(["config", "show", "--data-dir", &data, "--http-port", "4003"]).success();
    for line in ["p2p-port = 4001", "http-port = 4003", "metrics-port = 9545"] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in {shown}");
    }
    let script = run(["completions", "bash"]).success();
    assert!(script.contains("complete -F _lonja"), "{script}");
    let version = run(["--version"]).success();
    assert!(version.starts_with("lonja "), "{version}");
}

/// A chain of a development tool, whose blocks nobody sealed.
#[test]
fn a_chain_of_another_kind_is_verified() {
    let folder = tempfile::tempdir().expect("temporary folders can be made");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let genesis = json!({ "config": { "chainId": 7 }, "gasLimit": 5_000_000, "difficulty": 1, "alloc": {} });
    fs::write(path("genesis.json"), genesis.to_string()).expect("it can be written");
    let mut header = Header { gas_limit: 5_000_000, difficulty: U256::ONE, ..Header::default() };
    let mut file = Vec::new();
    for number in 1..=3 {
        header = Header { number, parent_hash: header.hash_slow(), timestamp: number, ..header };
        file.extend(alloy_rlp::encode(Block { header: header.clone(), transactions: Vec::new() }));
    }
    fs::write(path("blocks.rlp"), &file).expect("it can be written");
    let verify = |seals| {
        run(["evm", "chain", "--genesis", &path("genesis.json"), "--seals", seals, &path("blocks.rlp")])
    };
    let said = verify("none").success();
    assert!(said.contains("blocks up to 3") && said.contains(&header.hash_slow().to_string()), "{said}");
    let said = verify("clique").failure();
    assert!(said.contains("genesis.json") && said.contains("config.clique"), "{said}");
    header = Header { number: 4, parent_hash: header.hash_slow(), gas_used: 1, ..header };
    file.extend(alloy_rlp::encode(Block { header, transactions: Vec::new() }));
    fs::write(path("blocks.rlp"), &file).expect("it can be written");
    let said = verify("none").failure();
    assert!(said.contains("block 4") && said.contains("gas used"), "{said}");
}
