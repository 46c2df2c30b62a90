//! Where the scenarios play, and the messages in them.

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use alloy_sol_types::{SolCall, sol};
use lonja_tests::harness::party::{self, Party, init_code};
use lonja_tests::harness::{Network, Plan, Rpc, Wallet, wait_for, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const CODE: &str = include_str!("../../../contracts/Dealer.hex");
/// Gas limit of what makes a contract.
const CREATION_GAS: u64 = 3_000_000;

sol! {
    function word() external view returns (uint256);
    function seen() external view returns (uint256);
    function made() external view returns (address);
    function first() external view returns (uint256);
    function write(uint256 value) external returns (bool);
    function writeBoth(address other, uint256 value) external;
    function copy(address other) external;
    function attempt(address to, bytes message) external;
    function pass(address to, bytes message) external returns (bytes);
    function borrow(address code, bytes message) external;
    function make(uint256 value) external;
}

/// Two that deal with each other, a third, the validators, and somebody who deals in public.
pub struct World {
    pub network: Network,
    pub a: Party,
    pub b: Party,
    pub c: Party,
}

pub fn write(value: u64) -> writeCall {
    writeCall { value: U256::from(value) }
}

pub fn write_both(other: Address, value: u64) -> writeBothCall {
    writeBothCall { other, value: U256::from(value) }
}

pub fn attempt(to: Address, message: &impl SolCall) -> attemptCall {
    attemptCall { to, message: message.abi_encode().into() }
}

pub fn pass(to: Address, message: &impl SolCall) -> passCall {
    passCall { to, message: message.abi_encode().into() }
}

pub fn borrow(code: Address, message: &impl SolCall) -> borrowCall {
    borrowCall { code, message: message.abi_encode().into() }
}

/// The words of a transaction with a privacy flag.
pub fn terms(flag: u64, b: &Party) -> Value {
    match flag {
        2 => json!({ "privacyFlag": 2, "mandatoryFor": [b.key()] }),
        _ => json!({ "privacyFlag": flag }),
    }
}

pub fn number(value: &Value) -> u64 {
    let text = value.as_str().and_then(|text| text.strip_prefix("0x"));
    text.and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or_else(|| panic!("no number: {value}"))
}

/// What a contract answers at a block; `None` where there is none.
#[track_caller]
pub fn ask(rpc: Rpc, contract: Address, question: &impl SolCall, block: &str) -> Option<U256> {
    let call = json!({ "to": contract, "data": Bytes::from(question.abi_encode()) });
    let answer: Bytes = serde_json::from_value(rpc.get("eth_call", json!([call, block]))).expect("bytes");
    (!answer.is_empty()).then(|| U256::from_be_slice(&answer))
}

/// What the logs of a receipt say that was written, and which contract says so.
pub fn written(receipt: &Value) -> Vec<(Address, U256)> {
    let one = |log: &Value| {
        let word: B256 = serde_json::from_value(log["data"].clone()).expect("one word");
        (serde_json::from_value(log["address"].clone()).expect("an address"), word.into())
    };
    receipt["logs"].as_array().expect("logs").iter().map(one).collect()
}

impl World {
    pub fn start() -> Self {
        let (network, parties) = party::start(Plan::new(4, 3));
        let [a, b, c] = parties.try_into().expect("three parties");
        Self { network, a, b, c }
    }

    /// A contract of the two.
    #[track_caller]
    pub fn dealer(&self, flag: u64) -> Address {
        self.dealer_of(&self.a, &[&self.b], terms(flag, &self.b))
    }

    #[track_caller]
    pub fn dealer_of(&self, maker: &Party, with: &[&Party], mut terms: Value) -> Address {
        terms["gas"] = json!(format!("{CREATION_GAS:#x}"));
        let code = hex::decode(CODE.trim()).expect("the file holds hex");
        let contract = maker.create(&init_code(&code), with, terms);
        let first = with.first().expect("it is made with somebody");
        wait_until("the other has it too", || {
            first.rpc.get("eth_getCode", json!([contract, "latest"])) != "0x"
        });
        contract
    }

    /// The same contract in public.
    #[track_caller]
    pub fn public_dealer(&self, wallet: &mut Wallet) -> Address {
        let code = hex::decode(CODE.trim()).expect("the file holds hex");
        let contract = wallet.next_contract();
        let signed = wallet.call_with(TxKind::Create, init_code(&code).into(), CREATION_GAS);
        assert_eq!(self.publish(signed.text())["status"], "0x1");
        contract
    }

    /// Sends a public transaction to a validator; its receipt, once all nodes have it, which must be the same.
    #[track_caller]
    pub fn publish(&self, raw: String) -> Value {
        let hash = self.network.member(0).rpc.get("eth_sendRawTransaction", json!([raw]));
        let receipts: Vec<Value> =
            self.network.all().into_iter().map(|n| self.public_receipt(n, &hash)).collect();
        assert!(receipts.iter().all(|receipt| *receipt == receipts[0]), "{receipts:#?}");
        receipts.into_iter().next().expect("there are nodes")
    }

    #[track_caller]
    pub fn public_receipt(&self, n: usize, hash: &Value) -> Value {
        wait_for("the transaction is in a block", || {
            let receipt = self.network.member(n).rpc.get("eth_getTransactionReceipt", json!([hash]));
            (!receipt.is_null()).then_some(receipt)
        })
    }

    /// Sends a message from one of the two to a contract of both; the receipt, which is the same at both.
    #[track_caller]
    pub fn tell(&self, from: &Party, contract: Address, message: &impl SolCall, terms: &Value) -> Value {
        let other = if from.number == self.a.number { &self.b } else { &self.a };
        let hash = from.send(Some(contract), &message.abi_encode(), &[other], terms.clone());
        self.came_of(hash)
    }

    /// What the two say of a transaction of theirs, which must be the same.
    #[track_caller]
    pub fn came_of(&self, hash: B256) -> Value {
        let (one, other) = (self.a.receipt(hash), self.b.receipt(hash));
        assert_eq!(one, other);
        one
    }

    /// What a contract answers both, which must be the same.
    #[track_caller]
    pub fn ask(&self, contract: Address, question: &impl SolCall) -> Option<u64> {
        let answer = |party: &Party| ask(party.rpc, contract, question, "latest");
        let (one, other) = (answer(&self.a), answer(&self.b));
        assert_eq!(one, other, "the two parties differ");
        one.map(|word| word.to())
    }

    /// Waits until all nodes have what one of the two has.
    #[track_caller]
    fn wait_for_all(&self) {
        let head = self.a.rpc.head().expect("it answers");
        self.network.all().into_iter().for_each(|n| self.network.wait_for_block(n, head));
    }

    /// What a public contract says at every node.
    #[track_caller]
    pub fn public_word(&self, contract: Address) -> U256 {
        self.wait_for_all();
        let at = |n: usize| {
            ask(self.network.member(n).rpc, contract, &wordCall {}, "latest").expect("it is there")
        };
        let words: BTreeSet<U256> = self.network.all().into_iter().map(at).collect();
        assert_eq!(words.len(), 1, "{words:?}");
        words.into_iter().next().expect("one")
    }

    /// Nobody but the two has anything of a contract.
    #[track_caller]
    pub fn assert_unseen(&self, contract: Address) {
        self.wait_for_all();
        let logs = json!([{ "fromBlock": "0x0", "toBlock": "latest", "address": contract }]);
        for n in [0, 1, 2, 3, self.c.number] {
            let rpc = self.network.member(n).rpc;
            assert_eq!(rpc.get("eth_getCode", json!([contract, "latest"])), "0x");
            assert_eq!(rpc.get("eth_getStorageAt", json!([contract, "0x0", "latest"])), json!(B256::ZERO));
            assert_eq!(rpc.get("eth_getLogs", logs.clone()), json!([]));
            assert_eq!(ask(rpc, contract, &wordCall {}, "latest"), None);
        }
    }

    /// The two have had the same private state after every block.
    #[track_caller]
    pub fn assert_same_private_past(&self) {
        let head = self.private_head(&self.a);
        wait_until("the other is as far", || self.private_head(&self.b) >= head);
        let params: Vec<Value> = (0..=head).map(|n| json!([format!("{n:#x}")])).collect();
        let roots = |party: &Party| party.rpc.batch("debug_privateStateRoot", &params).expect("it answers");
        let (one, other) = (roots(&self.a), roots(&self.b));
        assert!(one.iter().all(Result::is_ok), "{one:?}");
        assert_eq!(one, other);
    }

    pub fn private_head(&self, party: &Party) -> u64 {
        let status = party.rpc.get("lonja_status", json!([]));
        status["private"]["head"]["number"].as_u64().unwrap_or_else(|| panic!("no private head: {status}"))
    }

    #[track_caller]
    pub fn assert_well(&mut self) {
        let all = self.network.all();
        self.network.assert_running(&all);
        self.network.assert_same_chain(&all);
        self.network.assert_calm(&all);
    }
}
