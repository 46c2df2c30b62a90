//! Managers of private transactions that are processes of their own, and a node that has its manager elsewhere.

use alloy_primitives::{Address, B256, TxKind, U256};
use lonja_primitives::spec::MARKER_PRECOMPILE;
use lonja_tests::harness::party::{self, Party};
use lonja_tests::harness::{
    Load, Network, PATIENCE, Plan, Process, Wallet, free_port, lonja, run, turn, wait_for, wait_until,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use tempfile::TempDir;

const JSON: &str = "application/vnd.tessera-2.1+json";

/// A manager, running or not.
struct Manager {
    folder: PathBuf,
    nodes: u16,
    others: u16,
    /// What it is started with besides its data directory.
    flags: Vec<String>,
    process: Option<Process>,
}

impl Manager {
    fn new(home: &TempDir, name: &str) -> Self {
        let (folder, nodes, others) = (home.path().join(name), free_port(), free_port());
        fs::create_dir_all(&folder).expect("a folder can be made");
        Self { folder, nodes, others, flags: Vec::new(), process: None }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.others)
    }

    fn text(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn command(&self) -> Vec<String> {
        let start = ["ptm", "serve", "--data-dir", &self.text("data")].map(String::from);
        start.into_iter().chain(self.flags.iter().cloned()).collect()
    }

    fn start(&mut self) {
        self.process = Some(Process::start(lonja(self.command()), &self.folder.join("log")));
        wait_until("the manager is up", || self.get("/upcheck").is_some_and(|(status, _)| status == 200));
    }

    fn kill9(&mut self) {
        self.process.take().expect("it runs").kill9();
    }

    /// Holds it still, or lets it go on.
    fn set_frozen(&self, frozen: bool) {
        self.process.as_ref().expect("it runs").signal(if frozen { "STOP" } else { "CONT" });
    }

    /// What a node is started with that asks this one.
    fn of_node(&self) -> [String; 2] {
        ["--ptm-url".into(), format!("http://127.0.0.1:{}", self.nodes)]
    }

    fn key(&self) -> String {
        let keys: Value = serde_json::from_str(&self.get("/keys").expect("it answers").1).expect("JSON");
        keys["keys"][0]["key"].as_str().expect("a key").into()
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
        ask(self.nodes, &format!("GET {path} HTTP/1.1\r\nAccept: {JSON}\r\n"), "")
    }

    /// Sends bytes, which are given in base64; the status, and the hash where there is one.
    fn send(&self, payload: &str, to: &str) -> (u16, String) {
        let body = json!({ "payload": payload, "to": [to] }).to_string();
        let (status, answer) =
            ask(self.nodes, &format!("POST /send HTTP/1.1\r\nContent-Type: {JSON}\r\n"), &body)
                .expect("it answers");
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        (status, answer["key"].as_str().unwrap_or_default().into())
    }

    fn payload(&self, hash: &str) -> Option<String> {
        let (status, body) = self.get(&format!("/transaction/{}", hash.replace('/', "%2F")))?;
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        (status == 200).then(|| body["payload"].as_str().unwrap_or_default().into())
    }

    fn knows(&self, key: &str) -> bool {
        ask(self.others, "GET /partyinfo HTTP/1.1\r\n", "").is_some_and(|(_, body)| body.contains(key))
    }
}

/// One request on a connection of its own; `None` where nobody answers.
fn ask(port: u16, head: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let length = body.len();
    let text =
        format!("{head}Host: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.into()))
}

/// Two that know each other: one is told by a Tessera's configuration, the other, with a locked key, by flags.
fn two(home: &TempDir) -> (Manager, Manager) {
    let (mut first, mut second) = (Manager::new(home, "first"), Manager::new(home, "second"));
    run(["ptm", "keygen", &first.text("tm")]).success();
    let tessera = json!({
        "mode": "tessera",
        "jdbc": { "url": "jdbc:h2:/data/db" },
        "serverConfigs": [
            { "app": "Q2T", "communicationType": "REST", "serverAddress": format!("http://127.0.0.1:{}", first.nodes) },
            { "app": "P2P", "serverAddress": first.url(), "properties": { "partyInfoInterval": "200" } },
        ],
        "peer": [{ "url": second.url() }],
        "keys": { "keyData": [{ "privateKeyPath": first.text("tm.key"), "publicKeyPath": first.text("tm.pub") }] },
        "features": { "enableRemoteKeyValidation": true, "enablePrivacyEnhancements": true },
    });
    fs::write(first.text("tessera.json"), tessera.to_string()).expect("it can be written");
    first.flags = vec!["--tessera-config".into(), first.text("tessera.json")];

    fs::write(second.text("password"), "not a secret\n").expect("it can be written");
    run(["ptm", "keygen", &second.text("tm"), "--locked", "--password-file", &second.text("password")])
        .success();
    let nodes = format!("127.0.0.1:{}", second.nodes);
    let flags =
        ["--keys", &second.text("tm.key"), "--password-file", &second.text("password"), "--q2t", &nodes];
    let more = ["--p2p", &second.url(), "--peer", &first.url(), "--round-ms", "200"];
    second.flags = flags.into_iter().chain(more).map(String::from).collect();
    first.start();
    second.start();
    meet(&first, &second);
    (first, second)
}

fn meet(first: &Manager, second: &Manager) {
    let (one, other) = (first.key(), second.key());
    wait_until("they know each other", || first.knows(&other) && second.knows(&one));
}

#[test]
fn what_a_manager_says_that_all_have_all_have_after_a_kill() {
    let _turn = turn();
    let home = tempfile::tempdir().expect("a folder");
    let (mut first, mut second) = two(&home);
    let (one, other) = (first.key(), second.key());
    let mut said = BTreeMap::new();
    let mut number = 10_000_000;
    let mut send = |from: &Manager, to: &str, said: &mut BTreeMap<String, String>| {
        number += 1;
        let payload = number.to_string();
        let (status, hash) = from.send(&payload, to);
        if status == 201 {
            said.insert(hash, payload);
        }
        status
    };
    for _ in 0..20 {
        assert_eq!(send(&first, &other, &mut said), 201);
        assert_eq!(send(&second, &one, &mut said), 201);
    }
    second.kill9();
    assert_eq!(send(&first, &other, &mut said), 410);
    assert_eq!(send(&first, &one, &mut said), 201, "to oneself, whoever is away");
    second.start();
    wait_until("sends go through again", || send(&first, &other, &mut said) == 201);
    meet(&first, &second);
    assert_eq!(send(&second, &one, &mut said), 201);
    first.kill9();
    second.kill9();
    first.start();
    second.start();
    let mut own = 0;
    for (hash, payload) in &said {
        assert_eq!(first.payload(hash).as_ref(), Some(payload));
        match second.payload(hash) {
            Some(found) => assert_eq!(&found, payload),
            None => own += 1,
        }
    }
    assert_eq!((said.len(), own), (43, 1), "only what was for the first alone is not at the second");

    // Nobody else takes the store, and it ends when told to.
    let (data, port) = (first.text("data"), free_port());
    let nodes = format!("127.0.0.1:{port}");
    let refused =
        run(["ptm", "serve", "--data-dir", &data, "--keys", &first.text("tm.key"), "--q2t", &nodes]);
    assert!(refused.failure().contains("in use by another process"));
    let shown = run(["ptm", "keys", "--url", &format!("http://127.0.0.1:{}", first.nodes)]).success();
    assert_eq!(shown.trim(), one);
    let process = first.process.take().expect("it runs");
    process.signal("TERM");
    assert!(process.wait().success());
}

#[test]
fn what_cannot_work_is_refused_at_the_start() {
    let home = tempfile::tempdir().expect("a folder");
    let manager = Manager::new(&home, "manager");
    let [one, other] = ["one", "other"].map(|name| manager.text(name));
    for name in [&one, &other] {
        run(["ptm", "keygen", name]).success();
    }
    assert!(run(["ptm", "keygen", &one]).failure().contains("never overwritten"));
    let refused = |flags: &[&str]| {
        let data = manager.text("data");
        let command = ["ptm", "serve", "--data-dir", &data].into_iter().chain(flags.iter().copied());
        run(command).failure()
    };
    fs::copy(format!("{other}.pub"), format!("{one}.pub")).expect("it can be copied");
    let said = refused(&["--keys", &format!("{one}.key")]);
    assert!(said.contains("one.key") && said.contains("public key file says"), "{said}");
    let said = refused(&["--keys", &format!("{other}.key,{other}.key")]);
    assert!(said.contains("twice"), "{said}");
    fs::write(format!("{one}.key"), "{\"type\":\"unlocked\",\"data\":{\"bytes\":\"SECRET\"}}")
        .expect("it can be written");
    let said = refused(&["--keys", &format!("{one}.key")]);
    assert!(said.contains("one.key") && !said.contains("SECRET"), "{said}");
    assert!(refused(&["--peer", "http://tm:9001"]).contains("--p2p"));
    let said = run(["ptm", "recover", "--data-dir", &manager.text("data")]).failure();
    assert!(said.contains("--p2p"), "{said}");
}

/// Gives a party a manager that is a process of its own and runs, and which exchanges payloads with another party's node.
fn elsewhere(network: &mut Network, home: &TempDir, at_home: &Party, away: &Party) -> Manager {
    let mut manager = Manager::new(home, "manager");
    let (nodes, inner) =
        (format!("127.0.0.1:{}", manager.nodes), format!("http://127.0.0.1:{}", free_port()));
    let flags = ["--q2t", &nodes, "--p2p", &manager.url(), "--peer", &inner, "--round-ms", "200"];
    manager.flags = flags.map(String::from).into();
    manager.start();

    let listen = ["--ptm-p2p-listen", &inner, "--ptm-peer", &manager.url()].map(String::from);
    network.member_mut(at_home.number).flags.extend(listen);
    let flags = &mut network.member_mut(away.number).flags;
    let unwanted =
        flags.iter().position(|flag| flag == "--ptm-client-listen").expect("a party serves clients");
    flags.drain(unwanted..unwanted + 2);
    flags.extend(manager.of_node());
    // Where the other one looks for its key.
    fs::create_dir_all(away.folder.join("ptm")).expect("a folder can be made");
    fs::write(away.folder.join("ptm/key.pub"), manager.key()).expect("it can be written");
    manager
}

/// A vault of two parties, as soon as they can reach each other.
fn shared_vault(one: &Party, other: &Party) -> Address {
    wait_for("a vault of both", || {
        let sent = one.try_send(None, &party::vault_code(), &[other], json!({})).ok()?;
        one.receipt(sent)["contractAddress"].as_str().and_then(|address| address.parse().ok())
    })
}

/// One party's node has its manager in it, the other's asks `lonja ptm serve`, as a GoQuorum asks a Tessera.
#[test]
fn a_node_with_its_manager_elsewhere_deals_with_one_that_has_its_own() {
    let home = tempfile::tempdir().expect("a folder");
    let (mut network, parties) = party::prepare(Plan::new(1, 2));
    let (at_home, away) = (&parties[0], &parties[1]);
    let mut manager = elsewhere(&mut network, &home, at_home, away);
    network.start_whole();
    wait_until("the managers know each other", || manager.knows(&at_home.key()));
    let vault = shared_vault(at_home, away);
    let words = [at_home, away].map(|party| alloy_primitives::keccak256(party.account));
    for (party, other, word) in [(at_home, away, words[0]), (away, at_home, words[1])] {
        let sent = party.send(Some(vault), word.as_slice(), &[other], json!({}));
        let receipts: Vec<Value> = [party, other].iter().map(|party| party.receipt(sent)).collect();
        assert_eq!(receipts[0]["logs"], receipts[1]["logs"]);
        let word = U256::from_be_bytes::<32>(B256::from(word).0);
        assert_eq!((at_home.look(vault), away.look(vault)), (Some(word), Some(word)));
    }
    // The manager goes away: the public chain goes on, the private state waits, and goes on with it.
    manager.kill9();
    let sent = at_home.try_send(Some(vault), words[0].as_slice(), &[away], json!({}));
    assert!(
        sent.is_err_and(|said| said.contains("cannot be reached") || said.contains("Recipient not found"))
    );
    let own = at_home.send(None, &party::vault_code(), &[], json!({}));
    at_home.receipt(own);
    network.wait_for_more(away.number, 2);
    manager.start();
    wait_until("the private state has caught up", || {
        away.rpc.call("eth_getTransactionReceipt", json!([own])).is_ok_and(|receipt| receipt.is_object())
    });
    assert_eq!(away.look(vault), Some(U256::from_be_bytes::<32>(words[1].0)));
}

/// Blocks that pass while a manager is away.
const OUTAGE_BLOCKS: u64 = 100;

/// Four members of a network whose only validator asks the same manager as one of them.
struct Outage {
    network: Network,
    /// Has its manager in it, and deals with the next.
    at_home: Party,
    /// Has its manager elsewhere.
    away: Party,
    /// Two that deal with each other, and have nothing to do with the outage.
    others: [Party; 2],
    manager: Manager,
    vault: Address,
    /// Of the others.
    others_vault: Address,
    _home: TempDir,
}

#[test]
fn a_manager_that_is_away_for_a_hundred_blocks_holds_up_one_private_state_and_nothing_else() {
    let mut outage = Outage::prepare();
    outage.pass("frozen", |manager| manager.set_frozen(true), |manager| manager.set_frozen(false));
    outage.pass("killed", Manager::kill9, Manager::start);
    outage.deal_again();
}

impl Outage {
    fn prepare() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let plan = Plan { block_period_ms: 100, ..Plan::new(1, 4) };
        let (mut network, parties) = party::prepare(plan);
        let [at_home, away, third, fourth] = parties.try_into().expect("four parties");
        let manager = elsewhere(&mut network, &home, &at_home, &away);
        let flags = &mut network.member_mut(0).flags;
        flags.extend(manager.of_node());
        flags.extend(["--http-api", "eth,net,web3,lonja,debug"].map(String::from));
        network.start_whole();
        party::meet(&[at_home.clone(), third.clone(), fourth.clone()]);
        let vault = shared_vault(&at_home, &away);
        let others_vault = third.vault(&[&fourth], json!({}));
        let others = [third, fourth];
        Self { network, at_home, away, others, manager, vault, others_vault, _home: home }
    }

    /// Has the manager stop, looks at everybody for a hundred blocks, and has it go on.
    fn pass(&mut self, name: &str, stop: fn(&mut Manager), go_on: fn(&mut Manager)) {
        let words = [1, 2].map(|n| alloy_primitives::keccak256(format!("{name} {n}")));
        // What is sent meanwhile has arrived before: its marker is all that is missing.
        let data: Vec<_> = (0..)
            .zip(&words)
            .map(|(nonce, word)| self.at_home.distribute(self.vault, word.as_slice(), &[&self.away], nonce))
            .collect();
        let before = self.away.look(self.vault);
        stop(&mut self.manager);
        let start = self.network.head(self.away.number).expect("it answers");
        let mut wallet = Wallet::empty();
        let load = Load::start(self.network.member(0).rpc);
        for (part, data) in (1..).zip(data) {
            let marker = wallet.call(TxKind::Call(MARKER_PRECOMPILE), data);
            self.network.member(0).rpc.get("eth_sendRawTransaction", json!([marker.text()]));
            assert_eq!(self.at_home.receipt(marker.hash)["status"], "0x1");
            self.the_others_go_on(&format!("{name} {part}"));
            self.network.wait_for_block(self.away.number, start + part * OUTAGE_BLOCKS / 2);
        }
        self.assert_waits(start, before);
        let sent = load.finish();
        self.network.assert_mined(self.away.number, &sent);
        go_on(&mut self.manager);
        self.assert_caught_up(words[1]);
    }

    fn the_others_go_on(&self, word: &str) {
        let [third, fourth] = &self.others;
        let word = alloy_primitives::keccak256(word);
        let sent = third.send(Some(self.others_vault), word.as_slice(), &[fourth], json!({}));
        assert_eq!(third.receipt(sent), fourth.receipt(sent));
        assert_eq!(fourth.look(self.others_vault), Some(U256::from_be_bytes(word.0)));
    }

    /// The private state of those who ask the manager stands still, and says why; the public one does not.
    fn assert_waits(&self, start: u64, before: Option<U256>) {
        for n in [0, self.away.number] {
            let member = self.network.member(n);
            let private = member.rpc.get("lonja_syncing", json!([]))["private"].clone();
            let (head, waiting) = (private["head"]["number"].as_u64(), &private["waiting"]);
            assert!(head.is_some_and(|head| head < start + OUTAGE_BLOCKS / 2), "{private}");
            assert_eq!(waiting["number"].as_u64(), head.map(|head| head + 1));
            assert!(waiting["reason"].as_str().is_some_and(|reason| reason.contains("manager")), "{private}");
            let status = member.rpc.get("lonja_status", json!([]))["private"].clone();
            assert_eq!(
                (&status["head"], &status["waiting"]["payload"]),
                (&private["head"], &waiting["payload"])
            );
            let page = wait_for("the node is not ready", || {
                let (code, page) = member.health.page("/readiness").ok()?;
                (code == 503).then_some(page)
            });
            assert!(page.contains("waiting for the payload"), "{page}");
            let (_, metrics) = member.health.page("/metrics").expect("it answers");
            assert!(metrics.contains("\nlonja_private_waiting 1\n"), "{metrics}");
            assert_eq!(member.health.page("/liveness").expect("it answers").0, 200);
        }
        assert_eq!(self.away.look(self.vault), before);
        let later = json!([{ "to": self.vault }, format!("{:#x}", start + OUTAGE_BLOCKS)]);
        let refused = self.away.rpc.call("eth_call", later).expect_err("that is not known");
        assert!(refused.contains("is not known yet") && refused.contains("-32005"), "{refused}");
        let data = [7; 32];
        let sent = self.away.try_send(Some(self.vault), &data, &[&self.at_home], json!({}));
        assert!(sent.is_err(), "{sent:?}");
        let sent = self.at_home.try_send(Some(self.vault), &data, &[&self.away], json!({}));
        assert!(sent.is_err(), "{sent:?}");
    }

    /// Whoever asks the manager has the same private state as the other party, after each block.
    fn assert_caught_up(&mut self, word: B256) {
        let Self { network, at_home, away, .. } = self;
        let expected = Some(U256::from_be_bytes(word.0));
        wait_until("the private state has caught up", || away.look(self.vault) == expected);
        assert_eq!(at_home.look(self.vault), expected);
        for n in [0, away.number] {
            let member = network.member(n);
            wait_until("the node is ready", || {
                member.health.page("/readiness").is_ok_and(|(code, _)| code == 200)
            });
            let (_, metrics) = member.health.page("/metrics").expect("it answers");
            assert!(metrics.contains("\nlonja_private_waiting 0\n"), "{metrics}");
        }
        let newest = at_home.rpc.get("lonja_status", json!([]))["private"]["head"]["number"].as_u64();
        let params: Vec<Value> = (0..=newest.expect("a head")).map(|n| json!([format!("{n:#x}")])).collect();
        let roots =
            |n: usize| network.member(n).rpc.batch("debug_privateStateRoot", &params).expect("it answers");
        let theirs = roots(at_home.number);
        assert!(theirs.iter().all(Result::is_ok));
        for n in [0, away.number] {
            wait_until("its roots are the other party's", || roots(n) == theirs);
        }
        let all = network.all();
        network.assert_running(&all);
        network.assert_same_chain(&all);
        network.assert_calm(&all);
    }

    /// As soon as the managers know each other again.
    fn deal_again(&self) {
        let data = alloy_primitives::keccak256("again");
        let sent = wait_for("they deal again", || {
            self.at_home.try_send(Some(self.vault), data.as_slice(), &[&self.away], json!({})).ok()
        });
        assert_eq!(self.at_home.receipt(sent)["logs"], self.away.receipt(sent)["logs"]);
    }
}
