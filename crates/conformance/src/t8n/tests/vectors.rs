//! The public tests, put as transitions.

use super::super::{TransitionInput, TransitionTransactions, transition};
use crate::block_test;
use crate::files::find;
use crate::mainnet::block_reward;
use crate::network::Network;
use crate::state_test;
use crate::t8n::env::is_merged;
use crate::tests::vectors;
use crate::verdict::Verdict;
use alloy_primitives::{Bytes, hex, keccak256};
use lonja_primitives::Fork;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

type Tests = BTreeMap<String, Value>;

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn rlp_list(raw: &[u8]) -> Bytes {
    let item = if raw[0] >= 0xc0 { raw.to_vec() } else { alloy_rlp::encode(raw) };
    let mut out = Vec::new();
    alloy_rlp::Header { list: true, payload_length: item.len() }.encode(&mut out);
    out.extend(item);
    out.into()
}

/// What a state test leaves to the tool that runs it.
fn state_env(test: &Value, network: &Network, fork: Fork) -> Value {
    let mut env = test["env"].clone();
    let fields = env.as_object_mut().unwrap();
    let number = u64::from_str_radix(text(&fields["currentNumber"]).trim_start_matches("0x"), 16).unwrap();
    let hashes =
        (number.saturating_sub(256)..number).map(|n| (n.to_string(), json!(keccak256(n.to_string()))));
    fields.insert("blockHashes".into(), Value::Object(hashes.collect()));
    fields.entry("currentBaseFee").or_insert(json!("0xa"));
    if is_merged(network) {
        fields.remove("currentDifficulty");
        fields.entry("currentRandom").or_insert(json!("0x0"));
    }
    if fork >= Fork::Shanghai {
        fields.insert("withdrawals".into(), json!([]));
    }
    if fork >= Fork::Cancun {
        fields.insert("parentBeaconBlockRoot".into(), json!(format!("0x{:064x}", 0)));
    }
    env
}

fn state_transactions(test: &Value, post: &Value) -> TransitionTransactions {
    if let Some(raw) = post["txbytes"].as_str() {
        return TransitionTransactions::Rlp(rlp_list(&hex::decode(raw).unwrap()));
    }
    let (parts, indexes) = (&test["transaction"], &post["indexes"]);
    let part = |name: &str, index: &str| parts[name][indexes[index].as_u64().unwrap() as usize].clone();
    TransitionTransactions::Json(json!([{
        "nonce": parts["nonce"],
        "gasPrice": parts["gasPrice"],
        "gas": part("gasLimit", "gas"),
        "to": parts["to"],
        "value": part("value", "value"),
        "input": part("data", "data"),
        "secretKey": parts["secretKey"],
        "protected": false,
    }]))
}

#[test]
fn state_tests_come_out_as_with_statetest() {
    let (mut same, mut forks) = (0, BTreeSet::new());
    for file in find(&[vectors("state")]).unwrap() {
        let raw = std::fs::read(&file).unwrap();
        let tests: Tests = serde_json::from_slice(&raw).unwrap();
        for outcome in state_test::run_file(&raw).unwrap() {
            if outcome.verdict != Verdict::Passed {
                continue;
            }
            let (test, fork) = (&tests[&outcome.name], &outcome.fork);
            let post = &test["post"][fork][outcome.index];
            let network = Network::named(fork).unwrap();
            let rules = network.rules_at(1, 1_000);
            let touched = test.get("config").is_none() || post.get("expectException").is_none();
            let input = TransitionInput {
                alloc: test["pre"].clone(),
                env: state_env(test, &network, rules.fork),
                transactions: state_transactions(test, post),
                fork: fork.clone(),
                chain_id: 1,
                reward: touched.then_some(0),
            };
            let what = format!("{} {} {fork} {}", file.display(), outcome.name, outcome.index);
            let done = transition(&input).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(done.result["stateRoot"], post["hash"], "{what}: {}", done.result);
            assert_eq!(done.result["logsHash"], post["logs"], "{what}");
            let expects = post.get("expectException").is_some();
            assert!(!expects || done.result.get("rejected").is_some(), "{what}");
            // The accounts that are given out make the same root.
            let rest = json!([]);
            let again = TransitionInput {
                alloc: done.alloc.clone(),
                transactions: TransitionTransactions::Json(rest),
                reward: None,
                ..input
            };
            assert_eq!(transition(&again).unwrap().result["stateRoot"], post["hash"], "{what}: alloc");
            same += 1;
            forks.insert(rules.fork);
        }
    }
    assert!(same > 150, "{same}");
    assert!(forks.contains(&Fork::Frontier) && forks.contains(&Fork::Berlin) && forks.contains(&Fork::Osaka));
}

/// The first block of a block test as an `env`; what follows from the parent is left to be computed.
fn block_env(genesis: &Value, block: &Value) -> Value {
    let header = &block["blockHeader"];
    let mut env = json!({
        "currentCoinbase": header["coinbase"],
        "currentGasLimit": header["gasLimit"],
        "currentNumber": header["number"],
        "currentTimestamp": header["timestamp"],
        "currentRandom": header["mixHash"],
        "parentDifficulty": genesis["difficulty"],
        "parentTimestamp": genesis["timestamp"],
        "parentGasUsed": genesis["gasUsed"],
        "parentGasLimit": genesis["gasLimit"],
        "parentUncleHash": genesis["uncleHash"],
        "blockHashes": { "0": genesis["hash"] },
    });
    let from = [
        (&genesis["baseFeePerGas"], "parentBaseFee"),
        (&genesis["excessBlobGas"], "parentExcessBlobGas"),
        (&genesis["blobGasUsed"], "parentBlobGasUsed"),
        (&header["parentBeaconBlockRoot"], "parentBeaconBlockRoot"),
        (&block["withdrawals"], "withdrawals"),
    ];
    for (value, name) in from {
        if !value.is_null() {
            env[name] = value.clone();
        }
    }
    env
}

#[test]
fn first_blocks_come_out_as_their_headers_say() {
    let (mut same, mut forks) = (0, BTreeSet::new());
    for file in find(&[vectors("block")]).unwrap() {
        let raw = std::fs::read(&file).unwrap();
        let tests: Tests = serde_json::from_slice(&raw).unwrap();
        for outcome in block_test::run_file(&raw).unwrap() {
            let test = &tests[&outcome.name];
            let block = &test["blocks"][0];
            let header = &block["blockHeader"];
            let Some(header) = header.as_object().filter(|_| outcome.verdict == Verdict::Passed) else {
                continue;
            };
            let network = Network::named(&outcome.fork).unwrap();
            // Which block the work ends with is not for the env to say.
            if network.terminal_difficulty.is_some() && !is_merged(&network) {
                continue;
            }
            let rules = network.rules_at(1, quantity(&header["timestamp"]));
            let reward = (!is_merged(&network)).then(|| block_reward(rules.fork).to());
            let input = TransitionInput {
                alloc: test["pre"].clone(),
                env: block_env(&test["genesisBlockHeader"], block),
                transactions: TransitionTransactions::Json(block["transactions"].clone()),
                fork: outcome.fork.clone(),
                chain_id: 1,
                reward,
            };
            let what = format!("{} {}", file.display(), outcome.name);
            let done = transition(&input).unwrap_or_else(|error| panic!("{what}: {error}"));
            compare(&done.result, header, &what);
            same += 1;
            forks.insert(rules.fork);
        }
    }
    assert!(same > 20, "{same}");
    assert!(forks.contains(&Fork::Frontier) && forks.contains(&Fork::Shanghai), "{forks:?}");
}

fn quantity(value: &Value) -> u64 {
    u64::from_str_radix(text(value).trim_start_matches("0x"), 16).unwrap()
}

fn compare(result: &Value, header: &Map<String, Value>, what: &str) {
    assert_eq!(result.get("rejected"), None, "{what}");
    let same = [
        ("stateRoot", "stateRoot"),
        ("txRoot", "transactionsTrie"),
        ("receiptsRoot", "receiptTrie"),
        ("logsBloom", "bloom"),
    ];
    for (ours, theirs) in same {
        assert_eq!(result[ours], header[theirs], "{what}: {ours}");
    }
    if let Some(root) = header.get("withdrawalsRoot") {
        assert_eq!(result["withdrawalsRoot"], *root, "{what}");
    }
    assert_eq!(quantity(&result["gasUsed"]), quantity(&header["gasUsed"]), "{what}");
    if let Some(fee) = header.get("baseFeePerGas") {
        assert_eq!(quantity(&result["currentBaseFee"]), quantity(fee), "{what}: base fee");
    }
    if !result["currentDifficulty"].is_null() {
        assert_eq!(
            quantity(&result["currentDifficulty"]),
            quantity(&header["difficulty"]),
            "{what}: difficulty"
        );
    }
}
