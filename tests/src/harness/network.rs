//! A network of processes on this machine.

use super::cable::Cable;
use super::namespace::Switch;
use super::process::tail;
use super::{Process, Rpc, Wallet, free_port, lonja, run, turn, wait_for, wait_until};
use alloy_primitives::{Address, B256, U256};
use lonja_primitives::genesis::NewNetwork;
use lonja_primitives::{NodeKey, Signer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Lines of each node's log that a failed scenario shows.
const LOG_LINES: usize = 40;
/// Memory of each cache: five nodes share one machine with the rest of the tests.
const CACHE_MIB: &str = "16";
/// Receipts that are asked for at a time.
const RECEIPTS: usize = 500;
/// How long a node may take to stop: Docker kills what takes longer.
const STOP_MOST: Duration = Duration::from_secs(10);

/// What a network is made of.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Validators, from number 0 on.
    pub validators: usize,
    /// Regular nodes.
    pub regular: usize,
    /// Time between blocks.
    pub block_period_ms: u64,
    /// Timeout of round 0.
    pub request_timeout_ms: u64,
}

impl Plan {
    /// Blocks come fast, and a missing proposer costs a second.
    pub fn new(validators: usize, regular: usize) -> Self {
        Self { validators, regular, block_period_ms: 200, request_timeout_ms: 1_000 }
    }
}

/// One node: what belongs to it whether it runs or not.
pub struct Member {
    /// As it stands in logs and messages.
    pub name: String,
    /// What is in its `node.key`.
    pub key: NodeKey,
    /// Its data directory.
    pub folder: PathBuf,
    /// The genesis file it is started with.
    pub genesis: PathBuf,
    /// Where the others reach it.
    pub host: Ipv4Addr,
    /// The same.
    pub p2p_port: u16,
    /// Its JSON-RPC.
    pub rpc: Rpc,
    /// Metrics and health.
    pub health: Rpc,
    /// Whether the others have it among their peers. If not, it alone dials.
    pub listed: bool,
    /// Further flags, taken over at the next start.
    pub flags: Vec<String>,
    process: Option<Process>,
}

/// Nodes in one temporary folder. Validators come first, then regular nodes, then those that joined.
pub struct Network {
    members: Vec<Member>,
    /// From whom, to whom. Without any, nodes dial each other directly.
    cables: BTreeMap<(usize, usize), Cable>,
    switch: Option<Switch>,
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Member {
    fn new(name: String, folder: &Path, genesis: &Path) -> Self {
        let own = folder.join(&name);
        fs::create_dir_all(&own).expect("folders can be made");
        let file = own.join("node.key").display().to_string();
        run(["key", "new", &file]).success();
        let text = fs::read_to_string(&file).expect("a key file");
        let key = NodeKey::from_hex(&text).expect("a key");
        Self {
            name,
            key,
            folder: own,
            genesis: genesis.into(),
            host: Ipv4Addr::LOCALHOST,
            p2p_port: free_port(),
            rpc: Rpc::at(free_port()),
            health: Rpc::at(free_port()),
            listed: true,
            flags: Vec::new(),
            process: None,
        }
    }

    /// What it votes with.
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// How it is reached at a port: its own, or that of a cable that leads there.
    fn enode(&self, port: u16) -> String {
        format!("enode://{}@{}:{port}", self.key.node_id(), self.host)
    }

    /// Where its output goes.
    pub fn log_path(&self) -> PathBuf {
        self.folder.with_extension("log")
    }

    /// All that it ever logged, over all its starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Waits for a line with all of these texts.
    #[track_caller]
    pub fn wait_for_log(&self, texts: &[&str]) -> String {
        let fits = |line: &&str| texts.iter().all(|text| line.contains(text));
        wait_for(&format!("{} logs {texts:?}", self.name), || {
            self.log().lines().find(fits).map(str::to_string)
        })
    }

    /// The arguments of `lonja node` for it.
    pub fn arguments(&self, peers: &[String]) -> Vec<String> {
        let pairs = [
            ("--data-dir", self.folder.display().to_string()),
            ("--genesis", self.genesis.display().to_string()),
            ("--identity", self.name.clone()),
            ("--p2p-addr", self.host.to_string()),
            ("--p2p-port", self.p2p_port.to_string()),
            ("--http-port", self.rpc.port.to_string()),
            ("--ws-port", "0".into()),
            ("--metrics-port", self.health.port.to_string()),
            ("--cache-mib", CACHE_MIB.into()),
        ];
        let mut all: Vec<String> = vec!["node".into(), "--exit-with-stdin".into()];
        all.extend(pairs.into_iter().flat_map(|(name, value)| [name.into(), value]));
        all.extend(peers.iter().flat_map(|peer| ["--peer".into(), peer.clone()]));
        all.extend(self.flags.iter().cloned());
        all
    }

    /// Calls a command of the program on this node's data directory, over its socket.
    #[track_caller]
    pub fn command(&self, words: &[&str]) -> String {
        let folder = self.folder.display().to_string();
        run(words.iter().copied().chain(["--data-dir", &folder])).success()
    }
}

impl Network {
    /// Makes the files of a network; nothing runs yet.
    pub fn prepare(plan: Plan) -> Self {
        let turn = turn();
        let folder = tempfile::tempdir().expect("temporary folders can be made");
        let genesis = folder.path().join("genesis.json");
        let member = |n: usize| {
            let name = if n < plan.validators { format!("validator-{n}") } else { format!("regular-{n}") };
            Member::new(name, folder.path(), &genesis)
        };
        let members: Vec<Member> = (0..plan.validators + plan.regular).map(member).collect();
        let validators = members.iter().take(plan.validators).map(Member::address).collect();
        fs::write(&genesis, genesis_text(plan, validators)).expect("the genesis can be written");
        Self { members, cables: BTreeMap::new(), switch: None, folder, _turn: turn }
    }

    /// Makes a network, starts all of it, and waits for its first block.
    #[track_caller]
    pub fn start(plan: Plan) -> Self {
        let mut network = Self::prepare(plan);
        network.start_whole();
        network
    }

    /// Starts all nodes and waits for the first block.
    #[track_caller]
    pub fn start_whole(&mut self) {
        let all = self.all();
        self.start_all(&all);
        all.iter().for_each(|n| self.wait_for_block(*n, 1));
    }

    /// Lays lines that can be cut between all members: a network namespace for each where this machine can do that,
    /// else cables. To be called before the first start.
    pub fn lay_lines(&mut self) {
        match Switch::install(self.members.len()) {
            Ok(switch) => self.move_into(switch),
            Err(reason) => {
                // Not by a macro: the test runner would keep it to itself when the scenario goes well.
                let _ = writeln!(
                    std::io::stderr(),
                    "no network namespaces, TCP cables are cut instead: {reason}"
                );
                self.lay_cables();
            }
        }
    }

    fn move_into(&mut self, switch: Switch) {
        for (n, member) in self.members.iter_mut().enumerate() {
            member.host = switch.address(n);
            member.rpc.namespace = Some(switch.namespace(n));
            member.health.namespace = Some(switch.namespace(n));
        }
        self.switch = Some(switch);
    }

    /// Lays cables between all members. To be called before the first start.
    pub fn lay_cables(&mut self) {
        let pairs = self.all().into_iter().flat_map(|from| self.all().into_iter().map(move |to| (from, to)));
        let lay = |(from, to): (usize, usize)| ((from, to), Cable::lay(self.members[to].p2p_port));
        self.cables = pairs.filter(|(from, to)| from != to).map(lay).collect();
        // A cable carries TCP.
        self.members.iter_mut().for_each(|member| member.flags = vec!["--p2p-quic".into(), "false".into()]);
    }

    /// Cuts every line between some members and the others.
    pub fn cut(&self, some: &[usize]) {
        if let Some(switch) = &self.switch {
            self.all().into_iter().for_each(|n| switch.set_apart(n, some.contains(&n)));
        }
        for ((from, to), cable) in &self.cables {
            cable.set_cut(some.contains(from) != some.contains(to));
        }
    }

    /// Parts the network in two halves that are no quorum, for as long as `outage`, and joins them again. Answers with
    /// how long the next block then took.
    #[track_caller]
    pub fn part_in_halves(&self, outage: Duration) -> Duration {
        self.cut(&[0, 1]);
        thread::sleep(Duration::from_secs(1));
        let stood = self.all().iter().filter_map(|n| self.head(*n)).max().expect("somebody answers");
        thread::sleep(outage);
        let heads = self.all().into_iter().filter_map(|n| self.head(n));
        assert!(heads.max() == Some(stood), "two of four are no quorum");

        let mended = Instant::now();
        self.mend();
        self.wait_for_block(2, stood + 1);
        let first_block = mended.elapsed();
        println!("cut in halves for {outage:?}: first block after {first_block:?}");
        first_block
    }

    /// Mends every line.
    pub fn mend(&self) {
        self.cut(&[]);
    }

    /// Pulls the plug of one member.
    pub fn unplug(&self, n: usize) {
        match &self.switch {
            Some(switch) => switch.set_plugged(n, false),
            None => self.cut(&[n]),
        }
    }

    /// Puts it in again.
    pub fn plug_in(&self, n: usize) {
        match &self.switch {
            Some(switch) => switch.set_plugged(n, true),
            None => self.mend(),
        }
    }

    /// The numbers of all members.
    pub fn all(&self) -> Vec<usize> {
        (0..self.members.len()).collect()
    }

    /// One of them.
    pub fn member(&self, n: usize) -> &Member {
        &self.members[n]
    }

    /// One of them, to be changed before its next start.
    pub fn member_mut(&mut self, n: usize) -> &mut Member {
        &mut self.members[n]
    }

    /// The folder with everything.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A further node with an empty data directory, of this network or of another. It does not run yet.
    pub fn add(&mut self, name: &str, genesis: Option<&Path>) -> usize {
        let own = self.folder.path().join("genesis.json");
        self.members.push(Member::new(name.into(), self.folder.path(), genesis.unwrap_or(&own)));
        self.members.len() - 1
    }

    /// Starts one node, with all others as its peers. It may take a moment until it answers.
    pub fn launch(&mut self, n: usize) {
        let enode = |(other, member): (usize, &Member)| {
            let port = self.cables.get(&(n, other)).map_or(member.p2p_port, |cable| cable.port);
            (other != n && member.listed).then(|| member.enode(port))
        };
        let peers: Vec<String> = self.members.iter().enumerate().filter_map(enode).collect();
        let member = &mut self.members[n];
        assert!(member.process.is_none(), "{} runs already", member.name);
        let (log, arguments) = (member.log_path(), member.arguments(&peers));
        let start = || Process::start(lonja(arguments), &log);
        member.process = Some(match member.rpc.namespace {
            Some(namespace) => namespace.within(start).expect("the namespace is there"),
            None => start(),
        });
    }

    /// Starts some nodes at once; how long the slowest took until it answered.
    #[track_caller]
    pub fn start_all(&mut self, numbers: &[usize]) -> Duration {
        let started = Instant::now();
        numbers.iter().for_each(|n| self.launch(*n));
        self.await_answers(numbers);
        started.elapsed()
    }

    /// Waits until some running nodes answer; fails when one of them ends.
    #[track_caller]
    pub fn await_answers(&mut self, numbers: &[usize]) {
        for n in numbers {
            wait_for(&format!("{} answers", self.members[*n].name), || {
                self.assert_running(&[*n]);
                self.head(*n)
            });
        }
    }

    /// None of these may have ended by itself.
    #[track_caller]
    pub fn assert_running(&mut self, numbers: &[usize]) {
        for n in numbers {
            let member = &mut self.members[*n];
            let ended = member.process.as_mut().and_then(Process::ended);
            assert!(ended.is_none(), "{} ended: {ended:?}", member.name);
        }
    }

    /// Kills some nodes at the same instant, as far as there is one.
    pub fn kill9(&mut self, numbers: &[usize]) {
        let take = |n: &usize| self.members[*n].process.take();
        let doomed: Vec<Process> = numbers.iter().filter_map(take).collect();
        let killers: Vec<_> = doomed.into_iter().map(|process| thread::spawn(|| process.kill9())).collect();
        killers.into_iter().for_each(|killer| killer.join().expect("a child can be killed"));
    }

    /// Stops one node as a supervisor would; it must end well.
    #[track_caller]
    pub fn stop(&mut self, n: usize) {
        self.end(n, "TERM");
    }

    /// Stops one node as Ctrl-C would; it must end well.
    #[track_caller]
    pub fn interrupt(&mut self, n: usize) {
        self.end(n, "INT");
    }

    #[track_caller]
    fn end(&mut self, n: usize, signal: &str) {
        let process = self.members[n].process.take().expect("it runs");
        let asked = Instant::now();
        process.signal(signal);
        let status = process.wait();
        let (name, took) = (&self.members[n].name, asked.elapsed());
        assert_eq!(status.code(), Some(0), "{name} ended with {status}");
        assert!(took < STOP_MOST, "{name} took {took:?} to stop");
    }

    /// Cuts one node off: it holds still, and so do its sockets.
    pub fn freeze(&self, n: usize) {
        self.members[n].process.as_ref().expect("it runs").signal("STOP");
    }

    /// Lets a frozen node go on.
    pub fn thaw(&self, n: usize) {
        self.members[n].process.as_ref().expect("it runs").signal("CONT");
    }

    /// Height of a node's newest block; `None` while it does not answer.
    pub fn head(&self, n: usize) -> Option<u64> {
        self.members[n].rpc.head()
    }

    /// Author, and committers, of a block, as a node knows them.
    #[track_caller]
    pub fn signers(&self, n: usize, number: u64) -> Value {
        self.members[n].rpc.get("istanbul_getSignersFromBlock", json!([format!("{number:#x}")]))
    }

    /// Waits until a node has a block.
    #[track_caller]
    pub fn wait_for_block(&self, n: usize, number: u64) {
        wait_until(&format!("{} has block {number}", self.members[n].name), || {
            self.head(n).is_some_and(|head| head >= number)
        });
    }

    /// Waits until a node has so many more blocks than now.
    #[track_caller]
    pub fn wait_for_more(&self, n: usize, blocks: u64) {
        let head = self.head(n).expect("it answers");
        self.wait_for_block(n, head + blocks);
    }

    /// Waits until some nodes are as far as the first of them is now, and compares every block.
    #[track_caller]
    pub fn assert_same_chain(&self, numbers: &[usize]) {
        let first = numbers.first().expect("at least one node");
        let head = self.head(*first).expect("it answers");
        numbers.iter().for_each(|n| self.wait_for_block(*n, head));
        let chain = self.members[*first].rpc.hashes(0, head);
        assert!(chain.iter().all(Option::is_some), "{} has gaps", self.members[*first].name);
        for n in numbers {
            let name = &self.members[*n].name;
            let other = self.members[*n].rpc.hashes(0, head);
            let fork = (0..=head).zip(chain.iter().zip(&other)).find(|(_, (one, other))| one != other);
            assert_eq!(fork, None, "{name} has another chain");
        }
    }

    /// Waits until a node has all of these transactions in blocks.
    #[track_caller]
    pub fn assert_mined(&self, n: usize, hashes: &[B256]) {
        let rpc = self.members[n].rpc;
        let mined = |chunk: &[B256]| {
            let params: Vec<Value> = chunk.iter().map(|hash| json!([hash])).collect();
            let receipts = rpc.batch("eth_getTransactionReceipt", &params).expect("it answers");
            receipts.iter().all(|receipt| receipt.as_ref().is_ok_and(Value::is_object))
        };
        for chunk in hashes.chunks(RECEIPTS) {
            wait_until(&format!("{} has every transaction in a block", self.members[n].name), || {
                mined(chunk)
            });
        }
    }

    /// No node may have logged an error, or the end of a thread.
    #[track_caller]
    pub fn assert_calm(&self, numbers: &[usize]) {
        for n in numbers {
            assert_calm(&self.members[*n].log_path());
        }
    }
}

/// A log without errors.
#[track_caller]
pub fn assert_calm(log: &Path) {
    let text = fs::read_to_string(log).expect("there is a log");
    let bad = text.lines().find(|line| line.contains(" ERROR ") || line.contains("panicked"));
    assert_eq!(bad, None, "in {}", log.display());
}

impl Drop for Network {
    fn drop(&mut self) {
        let all = self.all();
        self.kill9(&all);
        if thread::panicking() {
            for member in &self.members {
                eprintln!("==== {}\n{}", member.name, tail(&member.log_path(), LOG_LINES));
            }
        }
    }
}

fn genesis_text(plan: Plan, validators: Vec<Address>) -> String {
    let million_ether = U256::from(10).pow(U256::from(24));
    let network = NewNetwork {
        validators,
        balances: [(Wallet::funded().address(), million_ether)].into(),
        block_period_ms: Some(plan.block_period_ms),
        request_timeout_ms: Some(plan.request_timeout_ms),
        ..NewNetwork::default()
    };
    network.to_json()
}
