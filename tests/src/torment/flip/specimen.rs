//! The data directory that bytes are flipped in, and what its node answers.

use crate::harness::{Network, Plan, Rpc, Signed, Wallet, run, wait_until};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use lonja_storage::Table;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Stores the second word of its input in the slot that the first one names, and logs the first as a topic.
const CONTRACT: &[u8] = &hex!("6f6020356000355560003560206000a10060005260106010f3");
/// Blocks with transactions before the tables are rewritten, and after: the latter stand in the write-ahead log.
const BLOCKS: [usize; 2] = [70, 10];
/// Transactions in each.
const TRANSACTIONS: u64 = 4;
/// Tells what the node votes for.
const VOTES: &str = "istanbul_candidates";
/// Time between blocks: short, for there must be enough of them that trie nodes are written.
const PERIOD_MS: u64 = 50;
/// Slots that are written again and again, so that there is history.
const SLOTS: u64 = 6;

/// An answer, or why there is none.
pub type Answer = Result<Value, String>;

/// A data directory, and the answers of its node.
pub struct Specimen {
    folder: TempDir,
    questions: Vec<(&'static str, Value)>,
    answers: Vec<Answer>,
}

/// What the specimen is made with.
struct Maker {
    network: Network,
    wallets: [Wallet; 2],
    contract: Address,
    sent: Vec<B256>,
}

impl Specimen {
    /// Makes one with a network of a single validator.
    #[track_caller]
    pub fn make() -> Self {
        let wallets = [Wallet::funded(), Wallet::empty()];
        let contract = wallets[0].next_contract();
        let network = Network::start(Plan { block_period_ms: PERIOD_MS, ..Plan::new(1, 0) });
        let mut maker = Maker { network, wallets, contract, sent: Vec::new() };
        let create = maker.wallets[0].call(TxKind::Create, Bytes::from_static(CONTRACT));
        maker.mine(vec![create]);
        maker.fill(BLOCKS[0]);
        maker.network.stop(0);
        maker.network.member(0).command(&["db", "compact"]);
        maker.network.start_all(&[0]);
        maker.fill(BLOCKS[1]);
        let waiting = maker.leave_waiting();
        let wish = Address::repeat_byte(0x77).to_string();
        maker.network.member(0).command(&["validator", "propose", &wish, "--remove"]);
        let head = maker.network.head(0).expect("it answers");
        let questions = questions(&maker, head, waiting);
        let rpc = maker.network.member(0).rpc;
        let answers = ask(&rpc, &questions);
        let bad = questions.iter().zip(&answers).find(|(_, answer)| answer.is_err());
        assert!(bad.is_none(), "{bad:?}");
        maker.network.kill9(&[0]);
        let folder = tempfile::tempdir().expect("temporary folders can be made");
        copy(&maker.network.member(0).folder, folder.path());
        Self { folder, questions, answers }
    }

    /// A copy of it.
    pub fn copy(&self) -> TempDir {
        let folder = tempfile::tempdir().expect("temporary folders can be made");
        copy(self.folder.path(), folder.path());
        folder
    }

    /// Asks a node the same questions.
    pub fn ask(&self, rpc: &Rpc) -> Vec<Answer> {
        ask(rpc, &self.questions)
    }

    /// Whether these answers tell of fewer votes than the right ones.
    pub fn is_behind_with_votes(&self, answers: &[Answer]) -> bool {
        let votes = |(question, _): &(&(&str, Value), &Answer)| question.0 == VOTES;
        let right = self.answers().zip(answers).find(|(right, _)| votes(right));
        right.is_some_and(|((_, right), answer)| answer.is_ok() && answer != right)
    }

    /// Questions with the right answers.
    pub fn answers(&self) -> impl Iterator<Item = (&(&'static str, Value), &Answer)> {
        self.questions.iter().zip(&self.answers)
    }

    /// The files by kind, with their places in the data directory. Empty files cannot be damaged.
    pub fn kinds(&self) -> Vec<(String, Vec<PathBuf>)> {
        let mut kinds: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for folder in [PathBuf::new(), "db".into()] {
            let path = self.folder.path().join(&folder);
            for entry in fs::read_dir(path).expect("it can be listed").map(|entry| entry.expect("an entry")) {
                let metadata = entry.metadata().expect("it can be looked at");
                if metadata.is_file() && metadata.len() > 0 {
                    let place = folder.join(entry.file_name());
                    kinds.entry(kind(&entry.path(), &place)).or_default().push(place);
                }
            }
        }
        kinds.values_mut().for_each(|files| files.sort());
        kinds.into_iter().collect()
    }
}

impl Maker {
    /// Sends transactions and waits until they are in blocks.
    #[track_caller]
    fn mine(&mut self, transactions: Vec<Signed>) {
        let rpc = self.network.member(0).rpc;
        for signed in &transactions {
            rpc.get("eth_sendRawTransaction", json!([signed.text()]));
        }
        let last = transactions.last().expect("there are some").hash;
        wait_until("they are mined", || rpc.get("eth_getTransactionReceipt", json!([last])).is_object());
        self.sent.extend(transactions.iter().map(|signed| signed.hash));
    }

    fn fill(&mut self, blocks: usize) {
        for block in 0..blocks as u64 {
            let mut transactions = Vec::new();
            for n in 0..TRANSACTIONS {
                let words = [U256::from((block + n) % SLOTS), U256::from(block * TRANSACTIONS + n + 1)];
                let input: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes::<32>()).collect();
                transactions.push(self.wallets[1].call(TxKind::Call(self.contract), input.into()));
            }
            let receiver = Address::repeat_byte(block as u8);
            transactions.push(self.wallets[0].transfer(receiver, 1_000 + block));
            self.mine(transactions);
        }
    }

    /// Transactions that no block can hold yet: they stand in the journal only.
    fn leave_waiting(&mut self) -> Vec<B256> {
        self.wallets[1].skip();
        let mut waiting = Vec::new();
        for _ in 0..3 {
            let signed = self.wallets[1].transfer(Address::repeat_byte(9), 0);
            self.network.member(0).rpc.get("eth_sendRawTransaction", json!([signed.text()]));
            waiting.push(signed.hash);
        }
        waiting
    }
}

/// What every client and every neighbour of the node may want to know, of all blocks up to `head`.
fn questions(maker: &Maker, head: u64, waiting: Vec<B256>) -> Vec<(&'static str, Value)> {
    let rpc = maker.network.member(0).rpc;
    let mut questions = vec![
        ("eth_chainId", json!([])),
        ("eth_getLogs", json!([{ "fromBlock": "0x0", "toBlock": format!("{head:#x}") }])),
        ("istanbul_nodeAddress", json!([])),
        (VOTES, json!([])),
    ];
    for (number, hash) in (0..=head).zip(rpc.hashes(0, head)) {
        let number = format!("{number:#x}");
        questions.push(("eth_getBlockByNumber", json!([number, true])));
        questions.push(("eth_getBlockByHash", json!([hash.expect("it has its blocks"), false])));
        questions.push(("eth_getBlockReceipts", json!([number])));
        questions.push(("istanbul_getValidators", json!([number])));
    }
    for hash in &maker.sent {
        questions.push(("eth_getTransactionByHash", json!([hash])));
        questions.push(("eth_getTransactionReceipt", json!([hash])));
    }
    questions.extend(waiting.into_iter().map(|hash| ("eth_getTransactionByHash", json!([hash]))));
    let accounts = maker.wallets.iter().map(Wallet::address).chain([maker.contract]);
    let accounts: Vec<Address> = accounts.chain((0..4).map(Address::repeat_byte)).collect();
    let slots: Vec<String> = (0..SLOTS).map(|slot| format!("0x{slot:064x}")).collect();
    for number in (1..=head).step_by(7).chain([head]).map(|number| format!("{number:#x}")) {
        for account in &accounts {
            questions.push(("eth_getBalance", json!([account, number])));
            questions.push(("eth_getTransactionCount", json!([account, number])));
            questions.push(("eth_getProof", json!([account, slots, number])));
        }
        questions.push(("eth_getCode", json!([maker.contract, number])));
        let slot = |slot: &String| ("eth_getStorageAt", json!([maker.contract, slot, number]));
        questions.extend(slots.iter().map(slot));
    }
    questions
}

/// The answers, in the order of the questions.
fn ask(rpc: &Rpc, questions: &[(&'static str, Value)]) -> Vec<Answer> {
    let mut by_method: BTreeMap<&str, Vec<(usize, Value)>> = BTreeMap::new();
    for (index, (method, params)) in questions.iter().enumerate() {
        by_method.entry(method).or_default().push((index, params.clone()));
    }
    let mut answers = vec![Err(String::new()); questions.len()];
    for (method, asked) in by_method {
        let (places, params): (Vec<usize>, Vec<Value>) = asked.into_iter().unzip();
        match rpc.batch(method, &params) {
            Ok(found) => places.into_iter().zip(found).for_each(|(place, answer)| answers[place] = answer),
            Err(error) => places.into_iter().for_each(|place| answers[place] = Err(error.clone())),
        }
    }
    answers
}

/// `table accounts` for a file of rows of that table, else the name without numbers.
fn kind(path: &Path, place: &Path) -> String {
    let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if name.ends_with(".sst") {
        let bytes = fs::read(path).unwrap_or_default();
        // Its properties stand at the end of the file, where the name of the table follows the word.
        let holds = |table: &&Table| {
            let wanted = [b"name".as_slice(), table.name().as_bytes()].concat();
            bytes.windows(wanted.len()).any(|window| window == wanted)
        };
        // `accounts` begins no other name; `meta` and the like do.
        let table = Table::ALL.iter().filter(holds).max_by_key(|table| table.name().len());
        return format!("table {}", table.map_or("?", |table| table.name()));
    }
    if name.ends_with(".log") && place.starts_with("db") {
        return "write-ahead log".into();
    }
    name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-').to_string()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folders can be made");
    for entry in fs::read_dir(from).expect("it can be listed").map(|entry| entry.expect("an entry")) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().expect("it has a type");
        if kind.is_dir() {
            copy(&path, &target);
        } else if kind.is_file() {
            fs::copy(&path, &target).expect("files can be copied");
        }
    }
}

/// Looks at a database; its exit code and what it said.
pub fn verify(folder: &Path) -> (Option<i32>, String) {
    let finished = run(["db", "verify", "--data-dir", &folder.display().to_string()]);
    (finished.code, finished.stdout + &finished.stderr)
}
