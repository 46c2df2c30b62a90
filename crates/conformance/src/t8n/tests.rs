mod vectors;

use super::{Transition, TransitionError, TransitionInput, TransitionTransactions, transition};
use serde_json::{Value, json};

const KEY: &str = "0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8";
const SENDER: &str = "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b";
const OTHER: &str = "0x00000000000000000000000000000000000000aa";
const COINBASE: &str = "0x2adc25665018aa1fe0e6bc666dac8fc2697ff9ba";

fn env() -> Value {
    json!({
        "currentCoinbase": COINBASE,
        "currentDifficulty": "0x20000",
        "currentGasLimit": 10_000_000,
        "currentNumber": "1",
        "currentTimestamp": "0x3e8",
        "currentBaseFee": "0x7",
    })
}

/// `env` with fields added or replaced; `null` takes one away.
fn env_with(fields: Value) -> Value {
    let mut env = env();
    for (name, value) in fields.as_object().unwrap() {
        match value {
            Value::Null => drop(env.as_object_mut().unwrap().remove(name)),
            value => env[name] = value.clone(),
        }
    }
    env
}

/// `env` from the merge on.
fn merged(fields: Value) -> Value {
    let mut all = json!({ "currentDifficulty": null, "currentRandom": "0x1", "withdrawals": [] });
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    env_with(all)
}

fn input(fork: &str, env: Value, txs: Value) -> TransitionInput {
    TransitionInput {
        alloc: json!({ SENDER: { "balance": "0xde0b6b3a7640000" } }),
        env,
        transactions: TransitionTransactions::Json(txs),
        fork: fork.to_owned(),
        chain_id: 1,
        reward: None,
    }
}

fn transfer(nonce: u64) -> Value {
    json!({ "nonce": nonce, "gas": "0x5208", "gasPrice": "0xa", "to": OTHER, "value": "0x1", "input": "0x", "secretKey": KEY })
}

fn run(fork: &str, env: Value, txs: Value) -> Transition {
    transition(&input(fork, env, txs)).unwrap()
}

fn refused(fork: &str, env: Value) -> (u8, String) {
    let error = transition(&input(fork, env, json!([]))).unwrap_err();
    (error.exit_code(), error.to_string())
}

#[test]
fn a_rejected_transaction_does_not_stop_the_others() {
    let mut other_chain = transfer(1);
    other_chain["type"] = json!("0x1");
    other_chain["chainId"] = json!("0x2");
    let mut forged = transfer(1);
    forged["v"] = json!("0x1b");
    forged["r"] = json!("0x0");
    forged["s"] = json!("0x1");
    let blob = json!({ "type": "0x3", "nonce": "0x1", "gas": "0x5208", "secretKey": KEY });
    let txs = json!([transfer(0), transfer(5), other_chain, forged, blob, transfer(1)]);
    let done = run("London", env(), txs);
    let rejected = done.result["rejected"].as_array().unwrap();
    let indexes: Vec<u64> = rejected.iter().map(|one| one["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, [1, 2, 3, 4]);
    for (one, reason) in rejected.iter().zip(["nonce too high", "chain id 2", "signature", "blob"]) {
        assert!(one["error"].as_str().unwrap().contains(reason), "{one}");
    }
    assert_eq!(done.result["gasUsed"], "0xa410");
    assert_eq!(done.result["receipts"].as_array().unwrap().len(), 2);
    assert_eq!(done.result["receipts"][1]["transactionIndex"], "0x1");
    assert_eq!(done.result["receipts"][1]["gasUsed"], "0x5208");
    assert_eq!((&done.alloc[SENDER]["nonce"], &done.alloc[OTHER]["balance"]), (&json!("0x2"), &json!("0x2")));
    let body = TransitionTransactions::Rlp(done.body.clone());
    let again =
        transition(&TransitionInput { transactions: body, ..input("London", env(), json!([])) }).unwrap();
    assert_eq!((&again.alloc, &again.body), (&done.alloc, &done.body));
    assert_eq!(again.result.get("rejected"), None);
    assert_eq!(again.result["txRoot"], done.result["txRoot"]);
    let wrapped = TransitionTransactions::Rlp(alloy_rlp::encode(vec![done.body.clone()]).into());
    let wrapped = TransitionInput { transactions: wrapped, ..input("London", env(), json!([])) };
    let reason = transition(&wrapped).unwrap().result["rejected"][0]["error"].clone();
    assert!(reason.as_str().unwrap().contains("stands in a list"), "{reason}");
}

#[test]
fn the_base_fee_is_nobodys_from_london_on() {
    let berlin = run("Berlin", env(), json!([transfer(0)]));
    let london = run("London", env(), json!([transfer(0)]));
    assert_eq!(berlin.alloc[COINBASE]["balance"], "0x33450", "21000 times 10");
    assert_eq!(london.alloc[COINBASE]["balance"], "0xf618", "21000 times 3");
    assert_eq!(berlin.alloc[SENDER], london.alloc[SENDER]);
    assert_eq!(berlin.result.get("currentBaseFee"), None);
    assert_eq!(london.result["currentBaseFee"], "0x7");
    assert_eq!(london.result["currentDifficulty"], "0x20000");
    let dear = run("London", env_with(json!({ "currentBaseFee": "0xb" })), json!([transfer(0)]));
    let reason = dear.result["rejected"][0]["error"].as_str().unwrap();
    assert!(reason.contains("less than block base fee"), "{reason}");
}

#[test]
fn a_contract_is_made_with_what_it_stores() {
    // Logs nothing, stores 2 at 1, returns the code STOP.
    let mut create = transfer(0);
    create["to"] = Value::Null;
    create["gas"] = json!("0x186a0");
    create["input"] = json!("0x60006000a0600260015560016000f3");
    let done =
        run("Cancun", merged(json!({ "parentBeaconBlockRoot": format!("0x{:064x}", 0) })), json!([create]));
    let receipt = &done.result["receipts"][0];
    assert_eq!((&receipt["status"], &receipt["logs"][0]["logIndex"]), (&json!("0x1"), &json!("0x0")));
    let made = &done.alloc[receipt["contractAddress"].as_str().unwrap()];
    let word = |number: u8| format!("0x{number:064x}");
    assert_eq!(
        *made,
        json!({ "balance": "0x1", "nonce": "0x1", "code": "0x00", "storage": { word(1): word(2) } })
    );
    assert_ne!(done.result["logsHash"], run("London", env(), json!([])).result["logsHash"]);
    assert_eq!(done.result["blobGasUsed"], "0x0");
    assert_eq!(done.result["currentDifficulty"], Value::Null);
    // The state after is a state to go on from, and storage that is set to nothing is gone.
    let clearing = json!({ "code": "0x6000600155", "storage": { "0x01": "0x02" }, "balance": "0x0" });
    let mut next = input("London", env(), json!([transfer(0)]));
    next.alloc[OTHER] = clearing;
    let TransitionTransactions::Json(txs) = &mut next.transactions else { unreachable!() };
    txs[0]["gas"] = json!("0x186a0");
    assert_eq!(transition(&next).unwrap().alloc[OTHER], json!({ "balance": "0x1", "code": "0x6000600155" }));
}

#[test]
fn every_type_is_signed() {
    let typed = |tx_type: u64, more: Value| {
        let mut tx = transfer(tx_type.min(3));
        tx["gas"] = json!("0x186a0");
        tx["type"] = json!(format!("{tx_type:#x}"));
        tx.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        tx
    };
    let fees = json!({ "gasPrice": null, "maxFeePerGas": "0xa", "maxPriorityFeePerGas": "0x1" });
    let list = json!({ "accessList": [{ "address": OTHER, "storageKeys": [] }] });
    let mut set_code = typed(4, fees.clone());
    // A signature of nobody in particular: what counts is that there is a list.
    set_code["authorizationList"] = json!([{
        "chainId": "0x1", "address": OTHER, "nonce": "0x0", "yParity": "0x0", "r": "0x1", "s": "0x1",
    }]);
    let txs = json!([transfer(0), typed(1, list), typed(2, fees), set_code]);
    let hash = format!("0x{:064x}", 9);
    let env = merged(json!({ "parentBeaconBlockRoot": hash, "blockHashes": { "0x0": hash } }));
    let done = run("Prague", env, txs);
    let types: Vec<&Value> =
        done.result["receipts"].as_array().unwrap().iter().map(|receipt| &receipt["type"]).collect();
    assert_eq!(types, ["0x0", "0x1", "0x2", "0x4"], "{}", done.result["rejected"]);
    let senders = &done.alloc[SENDER]["nonce"];
    assert_eq!((senders, &done.alloc[OTHER]["balance"]), (&json!("0x4"), &json!("0x4")));
    assert_eq!(done.result["requests"], json!([]));
}

#[test]
fn a_legacy_transaction_names_the_chain_where_forks_know_of_it() {
    let mut input = input("EIP158", env(), json!([transfer(0)]));
    input.chain_id = 1_337;
    let protected = transition(&input).unwrap();
    input.fork = "EIP150".to_owned();
    let plain = transition(&input).unwrap();
    assert_ne!(protected.body, plain.body);
    assert_eq!(plain.alloc[SENDER]["nonce"], "0x1");
    input.transactions = TransitionTransactions::Rlp(protected.body);
    let rejected = transition(&input).unwrap().result["rejected"][0]["error"].clone();
    assert_eq!(rejected, "invalid chain id for signer");
}

#[test]
fn rewards_and_withdrawals_arrive() {
    let mut with_ommer =
        input("Istanbul", env_with(json!({ "ommers": [{ "delta": 1, "address": OTHER }] })), json!([]));
    with_ommer.reward = Some(3_200);
    let done = transition(&with_ommer).unwrap();
    assert_eq!(done.alloc[COINBASE]["balance"], "0xce4", "3300");
    assert_eq!(done.alloc[OTHER]["balance"], "0xaf0", "seven eighths");
    let one = json!([{ "index": "0x0", "validatorIndex": "0x0", "address": OTHER, "amount": "0x2" }]);
    let done = run("Shanghai", merged(json!({ "withdrawals": one })), json!([]));
    assert_eq!(done.alloc[OTHER]["balance"], "0x77359400", "two gwei");
    assert_ne!(
        done.result["withdrawalsRoot"],
        run("Shanghai", merged(json!({})), json!([])).result["withdrawalsRoot"]
    );
    // A reward of nothing touches the author: before EIP-161 that makes an account.
    let mut nothing = input("Homestead", env(), json!([]));
    assert_eq!(transition(&nothing).unwrap().alloc.get(COINBASE), None);
    nothing.reward = Some(0);
    assert_eq!(transition(&nothing).unwrap().alloc[COINBASE], json!({ "balance": "0x0" }));
}

#[test]
fn what_the_parent_tells_is_computed() {
    let parent = json!({
        "currentBaseFee": null, "parentBaseFee": "0x3b9aca00", "parentGasUsed": "0x0", "parentGasLimit": "0x989680",
    });
    assert_eq!(run("London", env_with(parent), json!([])).result["currentBaseFee"], "0x342770c0");
    let time =
        json!({ "currentDifficulty": null, "parentDifficulty": "0x2000000", "parentTimestamp": "0x3e7" });
    assert_eq!(run("Berlin", env_with(time), json!([])).result["currentDifficulty"], "0x2004000");
    let (code, reason) = refused("London", env_with(json!({ "currentBaseFee": null })));
    assert!(code == 3 && reason.contains("parentBaseFee"), "{reason}");
    let (code, reason) = refused("Berlin", env_with(json!({ "currentDifficulty": null })));
    assert!(code == 3 && reason.contains("parentDifficulty"), "{reason}");
}

#[test]
fn what_is_missing_or_not_supported_is_named() {
    let root = format!("0x{:064x}", 0);
    let cancun = |fields: Value| {
        let mut env = merged(fields);
        env["parentBeaconBlockRoot"] = json!(root);
        env
    };
    for (fork, env, code, name) in [
        ("Atlantis", env(), 3, "Atlantis"),
        ("Constantinople", env(), 3, "EIP-1283"),
        ("Paris", env_with(json!({ "currentDifficulty": null })), 3, "currentRandom"),
        ("Paris", env_with(json!({ "currentRandom": "0x0" })), 3, "currentDifficulty"),
        ("Shanghai", merged(json!({ "withdrawals": null })), 3, "withdrawals"),
        ("Cancun", merged(json!({})), 3, "parentBeaconBlockRoot"),
        ("Cancun", cancun(json!({ "currentExcessBlobGas": "0x10000000" })), 3, "blob"),
        ("London", env_with(json!({ "slotNumber": "0x1" })), 3, "env.slotNumber"),
        ("London", env_with(json!({ "ommers": [{ "delta": 8, "address": OTHER }] })), 3, "ommers"),
        ("London", env_with(json!({ "currentNumber": null })), 10, "currentNumber"),
        ("London", env_with(json!({ "currentNumber": "0x10000000000000000" })), 10, "too long"),
    ] {
        let (got, reason) = refused(fork, env);
        assert!(got == code && reason.contains(name), "{fork}: {got} {reason}");
    }
    let broken =
        |txs| transition(&TransitionInput { transactions: txs, ..input("London", env(), json!([])) });
    let rlp = broken(TransitionTransactions::Rlp(vec![0xc3, 0x01].into())).unwrap_err();
    assert!(matches!(rlp, TransitionError::Rlp(_)), "{rlp}");
    let json = broken(TransitionTransactions::Json(json!([{ "nonce": "0x0" }]))).unwrap_err();
    assert!(matches!(json, TransitionError::Json(_)), "{json}");
}

#[test]
fn an_earlier_hash_that_is_asked_for_must_be_given() {
    // Stores the hash of block 0 at 0.
    let mut asking = input("London", env(), json!([transfer(0)]));
    asking.alloc[OTHER] = json!({ "balance": "0x0", "code": "0x600040600055" });
    let TransitionTransactions::Json(txs) = &mut asking.transactions else { unreachable!() };
    txs[0]["gas"] = json!("0x186a0");
    let error = transition(&asking).unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().contains("block 0"), "{error}");
    let hash = format!("0x{:064x}", 77);
    asking.env["blockHashes"] = json!({ "0": hash });
    let zero = format!("0x{:064x}", 0);
    assert_eq!(transition(&asking).unwrap().alloc[OTHER]["storage"][&zero], json!(hash));
}

#[test]
fn requests_to_the_beacon_chain_end_the_run() {
    let queue = "0x00000961ef480eb55e80d19ad83579a64c007002";
    let deposits = "0x00000000219ab540356cbb839cbe05303d7705fa";
    let root = json!({ "parentBeaconBlockRoot": format!("0x{:064x}", 0) });
    let mut asks = input("Prague", merged(root), json!([transfer(0)]));
    assert!(transition(&asks).is_ok());
    // Answers with one byte.
    asks.alloc[queue] = json!({ "balance": "0x0", "code": "0x60016000f3" });
    let mut deposit = asks.clone();
    deposit.alloc[queue] = json!({ "balance": "0x0", "code": "0x00" });
    assert!(transition(&deposit).is_ok());
    // Logs nothing in particular.
    deposit.alloc[deposits] = json!({ "balance": "0x0", "code": "0x60006000a0" });
    let TransitionTransactions::Json(txs) = &mut deposit.transactions else { unreachable!() };
    (txs[0]["to"], txs[0]["gas"]) = (json!(deposits), json!("0x186a0"));
    for (input, before) in [(&mut asks, "Cancun"), (&mut deposit, "Cancun")] {
        let error = transition(input).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("EIP-7685"), "{error}");
        input.fork = before.to_owned();
        assert!(transition(input).is_ok());
    }
}

#[test]
fn the_dao_is_emptied_in_its_block() {
    let emptied = crate::mainnet::dao_accounts().next().unwrap().to_string().to_lowercase();
    let refund = crate::mainnet::DAO_REFUND.to_string().to_lowercase();
    let mut fork =
        input("HomesteadToDaoAt5", env_with(json!({ "currentNumber": "0x5" })), json!([transfer(0)]));
    fork.alloc[&emptied] = json!({ "balance": "0x7" });
    let done = transition(&fork).unwrap();
    assert_eq!(
        (&done.alloc[&emptied]["balance"], &done.alloc[&refund]["balance"]),
        (&json!("0x0"), &json!("0x7"))
    );
    fork.env["currentNumber"] = json!("0x6");
    assert_eq!(transition(&fork).unwrap().alloc[&emptied]["balance"], "0x7");
}
