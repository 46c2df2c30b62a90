//! Members of a network that take part in private transactions.

use super::{Network, Plan, Rpc, free_port, run, wait_for};
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Stores the word it is called with, and logs it as a topic; answers with what it stores when called with nothing.
const VAULT: [u8; 30] = hex!("36156012576000358060005560006000a1005b60005460005260206000f3");
/// Gas limit of what is sent.
const GAS: u64 = 1_000_000;

/// A node with an account of its own and a key for private transactions.
#[derive(Clone, Debug)]
pub struct Party {
    /// Its number in the network.
    pub number: usize,
    /// Its JSON-RPC.
    pub rpc: Rpc,
    /// The account it signs for.
    pub account: Address,
    /// The API of its manager for clients.
    pub client_port: u16,
    /// Its data directory.
    pub folder: PathBuf,
}

/// A network with validators and parties behind them; nothing runs yet.
pub fn prepare(plan: Plan) -> (Network, Vec<Party>) {
    let mut network = Network::prepare(plan);
    allow_private(&network, json!({}));
    let parties = (plan.validators..plan.validators + plan.regular).map(|n| Party::equip(&mut network, n));
    let parties = parties.collect();
    (network, parties)
}

/// Writes into the genesis file of a prepared network that there are private transactions; `more` are further fields.
pub fn allow_private(network: &Network, more: Value) {
    let genesis = network.path().join("genesis.json");
    let text = fs::read_to_string(&genesis).expect("there is a genesis file");
    let mut fields: Value = serde_json::from_str(&text).expect("it is JSON");
    let mut privacy = json!({ "transactions": true, "enhancements": true, "markers": "anySigner" });
    let all = privacy.as_object_mut().expect("an object");
    all.extend(more.as_object().cloned().unwrap_or_default());
    fields["privacy"] = privacy;
    fs::write(&genesis, fields.to_string()).expect("it can be written");
}

/// As [`prepare`], and starts all of it.
pub fn start(plan: Plan) -> (Network, Vec<Party>) {
    let (mut network, parties) = prepare(plan);
    network.start_whole();
    meet(&parties);
    (network, parties)
}

/// Waits until each knows the others' keys.
pub fn meet(parties: &[Party]) {
    for party in parties {
        let keys: Vec<String> = parties.iter().map(Party::key).collect();
        wait_for(&format!("party {} knows the others", party.number), || {
            let known = party.client("/partyinfo/keys")?;
            keys.iter().all(|key| known.contains(key.as_str())).then_some(())
        });
    }
}

impl Party {
    fn equip(network: &mut Network, n: usize) -> Self {
        let folder = network.member(n).folder.clone();
        let password = folder.join("password").display().to_string();
        fs::write(&password, "not a secret\n").expect("it can be written");
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).expect("it is ours");
        let data = folder.display().to_string();
        run(["account", "new", "--light-kdf", "--data-dir", &data, "--password-file", &password]).success();
        let listed = run(["account", "list", "--json", "--data-dir", &data]).success();
        let listed: Value = serde_json::from_str(&listed).expect("it is JSON");
        let account = listed[0]["address"].as_str().and_then(|text| text.parse().ok()).expect("an address");
        let client_port = free_port();
        let flags = [
            "--unlock",
            "0",
            "--password-file",
            &password,
            "--ptm-client-listen",
            &format!("127.0.0.1:{client_port}"),
            "--http-api",
            "eth,net,web3,lonja,debug,quorumExtension",
        ];
        network.member_mut(n).flags = flags.map(String::from).into();
        Self { number: n, rpc: network.member(n).rpc, account, client_port, folder }
    }

    /// Its public key for private transactions.
    pub fn key(&self) -> String {
        let text =
            fs::read_to_string(self.folder.join("ptm/key.pub")).expect("a node makes its key at its start");
        text.trim().to_owned()
    }

    /// What its manager answers clients; `None` while it does not.
    pub fn client(&self, path: &str) -> Option<String> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.client_port)).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    }

    /// A request to send by the node's own account; `more` are further fields.
    fn request(&self, to: Option<Address>, data: &[u8], with: &[&Party], more: Value) -> Value {
        let keys: Vec<String> = with.iter().map(|party| party.key()).collect();
        let mut request = json!({
            "from": self.account,
            "to": to,
            "data": Bytes::copy_from_slice(data),
            "gas": format!("{GAS:#x}"),
            "privateFor": keys,
        });
        let fields = request.as_object_mut().expect("an object");
        fields.extend(more.as_object().cloned().unwrap_or_default());
        if to.is_none() {
            fields.remove("to");
        }
        request
    }

    /// Sends by the node's own account; `more` are further fields.
    pub fn try_send(
        &self,
        to: Option<Address>,
        data: &[u8],
        with: &[&Party],
        more: Value,
    ) -> Result<B256, String> {
        let hash = self.rpc.call("eth_sendTransaction", json!([self.request(to, data, with, more)]))?;
        serde_json::from_value(hash).map_err(|error| error.to_string())
    }

    /// Gives a transaction to its parties without sending it: the data of a marker that carries it, for anybody to sign.
    #[track_caller]
    pub fn distribute(&self, to: Address, data: &[u8], with: &[&Party], nonce: u64) -> Bytes {
        let more = json!({ "nonce": format!("{nonce:#x}"), "gasPrice": "0x0" });
        let mut request = self.request(Some(to), data, with, more);
        let filled = self.rpc.get("eth_fillTransaction", json!([request]));
        request["data"] = filled["tx"]["input"].clone();
        let signed = self.rpc.get("eth_signTransaction", json!([request]));
        let terms = json!({ "privateFor": request["privateFor"] });
        let data = self.rpc.get("eth_distributePrivateTransaction", json!([signed["raw"], terms]));
        serde_json::from_value(data).expect("bytes")
    }

    /// As [`Party::try_send`], and it must succeed.
    #[track_caller]
    pub fn send(&self, to: Option<Address>, data: &[u8], with: &[&Party], more: Value) -> B256 {
        self.try_send(to, data, with, more).unwrap_or_else(|error| panic!("party {}: {error}", self.number))
    }

    /// What came of a private transaction here, whether it travelled in a marker or not.
    #[track_caller]
    pub fn receipt(&self, hash: B256) -> Value {
        wait_for(&format!("party {} has the receipt of {hash}", self.number), || {
            let receipt = self.rpc.get("eth_getTransactionReceipt", json!([hash]));
            if receipt.is_null() {
                return None;
            }
            match receipt["isPrivacyMarkerTransaction"] == true {
                true => self.rpc.call("eth_getPrivateTransactionReceipt", json!([hash])).ok(),
                false => Some(receipt),
            }
        })
    }

    /// Makes a vault with others; it stores nothing yet.
    #[track_caller]
    pub fn vault(&self, with: &[&Party], more: Value) -> Address {
        self.create(&vault_code(), with, more)
    }

    /// Makes a contract with others.
    #[track_caller]
    pub fn create(&self, init_code: &[u8], with: &[&Party], more: Value) -> Address {
        let receipt = self.receipt(self.send(None, init_code, with, more));
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        receipt["contractAddress"].as_str().and_then(|text| text.parse().ok()).expect("an address")
    }

    /// What a vault stores, as this party sees it.
    #[track_caller]
    pub fn look(&self, vault: Address) -> Option<U256> {
        let answer = self.rpc.call("eth_call", json!([{ "to": vault }, "latest"]));
        // A payload that came late leads the private state back for a moment.
        let answer =
            answer.or_else(|error| if error.contains("try again") { Ok(json!("0x")) } else { Err(error) });
        let bytes: Bytes = serde_json::from_value(answer.expect("it can be called")).expect("bytes");
        (!bytes.is_empty()).then(|| U256::from_be_slice(&bytes))
    }

    /// Root of its private state after a block.
    #[track_caller]
    pub fn root(&self, number: u64) -> Value {
        self.rpc.get("debug_privateStateRoot", json!([format!("{number:#x}")]))
    }
}

/// Init code of a vault.
pub fn vault_code() -> Vec<u8> {
    init_code(&VAULT)
}

/// Init code that makes a contract with this code.
pub fn init_code(code: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(code.len()).expect("code is short").to_be_bytes();
    [&[0x61, high, low, 0x80, 0x60, 0x0c, 0x60, 0x00, 0x39, 0x60, 0x00, 0xf3][..], code].concat()
}

/// Files under a folder whose bytes contain these.
pub fn files_with(folder: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if fs::read(&path).is_ok_and(|text| text.windows(bytes.len()).any(|window| window == bytes)) {
            found.push(path);
        }
    }
    found
}
