//! What is told of executions.

mod bounds;
mod private;

use super::world::*;
use crate::{BlockReplay, CallContext, CallRequest, Overrides, TraceError, Tracing, trace_call};
use alloy_consensus::TxLegacy;
use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use lonja_primitives::{BlockRules, Fork, RecoveredTransaction, Signer};
use revm::bytecode::opcode::*;
use serde_json::{Value, json};
use std::time::Duration;

const CONTRACT: Address = Address::repeat_byte(0xc0);
const OTHER: Address = Address::repeat_byte(0xd0);
const THIRD: Address = Address::repeat_byte(0xe0);
const IDENTITY: Address = Address::with_last_byte(4);
const BYTES_MAX: usize = 1 << 20;

fn tracing(options: Value) -> Tracing {
    Tracing::new(options.as_object().unwrap(), BYTES_MAX).unwrap()
}

fn calls() -> Value {
    json!({ "tracer": "callTracer" })
}

/// What is told of the last of these transactions.
fn told(world: &World, txs: &[RecoveredTransaction], options: Value) -> Value {
    trace(world, rules(Fork::Osaka), txs, &tracing(options)).unwrap()
}

fn trace(
    world: &World,
    rules: BlockRules,
    txs: &[RecoveredTransaction],
    tracing: &Tracing,
) -> Result<Value, TraceError> {
    let mut replay = BlockReplay::new(rules, env(rules.fork), world, &|| Duration::MAX);
    let (last, before) = txs.split_last().unwrap();
    before.iter().for_each(|tx| replay.pass(tx).unwrap());
    let told = replay.trace(last, tracing)?;
    Ok(serde_json::from_str(told.get()).unwrap())
}

fn sent(to: Address) -> [RecoveredTransaction; 1] {
    [signed(&key(1), send(0, to))]
}

fn word(n: u64) -> String {
    format!("0x{n:064x}")
}

#[test]
fn every_step_with_its_stack_and_slots() {
    let code = [push(2), push(3), vec![ADD], push(0), vec![SSTORE, STOP]].concat();
    let world = World::default().with_code(CONTRACT, code);
    let step = |pc: u64, op: &str, gas: u64, cost: u64, stack: &[&str]| json!({ "pc": pc, "op": op, "gas": gas, "gasCost": cost, "depth": 1, "stack": stack });
    let mut stores = step(7, "SSTORE", 978_988, 22_100, &["0x5", "0x0"]);
    stores["storage"] = json!({ word(0): word(5) });
    let expected = json!({
        "gas": 43_112, "failed": false, "returnValue": "0x",
        "structLogs": [
            step(0, "PUSH1", 979_000, 3, &[]),
            step(2, "PUSH1", 978_997, 3, &["0x2"]),
            step(4, "ADD", 978_994, 3, &["0x2", "0x3"]),
            step(5, "PUSH1", 978_991, 3, &["0x5"]),
            stores,
            step(8, "STOP", 956_888, 0, &[]),
        ],
    });
    assert_eq!(told(&world, &sent(CONTRACT), json!({})), expected);
    assert_eq!(told(&world, &sent(CONTRACT), json!({ "tracer": "" })), expected);
}

#[test]
fn steps_without_what_is_not_wanted_and_with_what_is() {
    // Hands 32 bytes to the contract that gives them back.
    let call =
        [args(&[0, 32, 0, 0]), push_address(IDENTITY), push(9_000), vec![STATICCALL, POP, RETURNDATASIZE]];
    let call = call.concat();
    let code = [push(9), push(0), vec![MSTORE], call, push(1), vec![SLOAD]].concat();
    let world = World::default().with_code(CONTRACT, code).with_slot(CONTRACT, 1, 8);
    let steps =
        |options: Value| told(&world, &sent(CONTRACT), options)["structLogs"].as_array().unwrap().clone();
    let plain = steps(json!({}));
    assert!(plain.iter().all(|step| step.get("memory").is_none() && step.get("returnData").is_none()));
    let load = |steps: &[Value]| steps.iter().find(|step| step["op"] == "SLOAD").unwrap().clone();
    assert_eq!(load(&plain)["storage"], json!({ word(1): word(8) }));
    let bare = steps(json!({ "disableStack": true, "disableStorage": true }));
    assert!(bare.iter().all(|step| step.get("stack").is_none() && step.get("storage").is_none()));
    let more = steps(json!({ "enableMemory": true, "enableReturnData": true }));
    assert!(more[..3].iter().all(|step| step.get("memory").is_none()), "there is none yet");
    assert_eq!(more[3]["memory"], json!([word(9)]));
    let size = more.iter().position(|step| step["op"] == "RETURNDATASIZE").unwrap();
    assert_eq!(more[size]["returnData"], word(9));
    assert!(more[3].get("returnData").is_none());
    assert_eq!(steps(json!({ "limit": 2 })), plain[..2]);
    assert_eq!(steps(json!({ "limit": 0 })), plain);
}

#[test]
fn steps_of_calls_refunds_and_errors() {
    let child = [args(&[0, 0]), vec![SSTORE, STOP]].concat();
    let code = [
        args(&[1, 0]),
        vec![SSTORE],
        call_of(CALL, OTHER, 50_000, 0),
        call_of(CALL, THIRD, 50_000, 0),
        vec![0xfe],
    ]
    .concat();
    let world = World::default()
        .with_code(CONTRACT, code)
        .with_slot(CONTRACT, 1, 1)
        .with_code(OTHER, child)
        .with_slot(OTHER, 0, 1)
        .with_code(THIRD, vec![0x0c]);
    let told = told(&world, &sent(CONTRACT), json!({}));
    assert_eq!((&told["failed"], &told["gas"]), (&json!(true), &json!(PLENTY)));
    let steps = told["structLogs"].as_array().unwrap();
    let of = |op: &str| steps.iter().filter(|step| step["op"] == op).collect::<Vec<_>>();
    let (stores, called) = (of("SSTORE"), of("CALL"));
    assert_eq!((&stores[0]["depth"], &stores[0]["refund"]), (&json!(1), &json!(4_800)), "counted at once");
    assert_eq!((&called[0]["depth"], &called[0]["refund"]), (&json!(1), &json!(4_800)));
    assert_eq!(steps.iter().position(|step| step.get("refund").is_some()), Some(2));
    assert_eq!((&stores[1]["depth"], &stores[1]["refund"]), (&json!(2), &json!(9_600)));
    assert_eq!(stores[1]["storage"], json!({ word(0): word(0) }), "each contract has its own");
    assert_eq!(of("STOP")[0]["refund"], 9_600);
    assert_eq!(called[1]["refund"], 9_600);
    let unknown = of("opcode 0xc not defined");
    assert_eq!((&unknown[0]["depth"], &unknown[0]["error"]), (&json!(2), &json!("invalid opcode")));
    assert_eq!(of("INVALID")[0]["error"], "invalid opcode: INVALID");
}

#[test]
fn a_step_that_fails_tells_what_it_would_have_written() {
    let world = World::default().with_code(CONTRACT, [args(&[1, 9]), vec![SSTORE]].concat());
    let tx = [signed(&key(1), TxLegacy { gas_limit: 24_000, ..send(0, CONTRACT) })];
    let told = told(&world, &tx, json!({}));
    let last = told["structLogs"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["error"], &last["storage"]), (&json!("out of gas"), &json!({ word(1): word(9) })));
}

/// Reverts as Solidity's `revert("no")`.
fn reverts_with_reason() -> Vec<u8> {
    let reason = hex!(
        "08c379a0000000000000000000000000000000000000000000000000000000000000002000000000000000000000000000000000000000000000000000000000000000026e6f"
    );
    let mut code = Vec::new();
    for (at, chunk) in reason.chunks(32).enumerate() {
        let mut word = chunk.to_vec();
        word.resize(32, 0);
        code.extend([[PUSH32].as_slice(), &word, &push(32 * at as u64), &[MSTORE]].concat());
    }
    [code, args(&[0, 100]), vec![REVERT]].concat()
}

#[test]
fn the_tree_of_calls() {
    let logs = [args(&[0, 0, 5]), vec![LOG1]].concat();
    let code = [
        logs.clone(),
        call_of(CALL, OTHER, 50_000, 3),
        call_of(DELEGATECALL, THIRD, 50_000, 0),
        call_of(STATICCALL, IDENTITY, 5_000, 0),
        args(&[0, 0, 0]),
        vec![CREATE],
        return_word(),
    ]
    .concat();
    let world = World::default()
        .with_balance(key(1).address(), 100)
        .with_code(CONTRACT, code)
        .with_code(OTHER, reverts_with_reason())
        .with_code(THIRD, [logs, vec![0xfe]].concat());
    let tx = TxLegacy { value: U256::from(10), ..send(0, CONTRACT) };
    let txs = [signed(&key(1), tx)];
    let tree = told(&world, &txs, calls());
    let created = CONTRACT.create(1);
    assert_eq!(
        (&tree["type"], &tree["from"], &tree["to"], &tree["value"], &tree["gas"], &tree["input"]),
        (
            &json!("CALL"),
            &json!(key(1).address()),
            &json!(CONTRACT),
            &json!("0xa"),
            &json!("0xf4240"),
            &json!("0x")
        )
    );
    assert_eq!(tree["output"], json!(created.into_word()));
    assert!(tree.get("error").is_none() && tree.get("logs").is_none());
    let inner = tree["calls"].as_array().unwrap();
    assert_eq!(inner.len(), 4);
    let [reverted, delegated, precompiled, creation] = [&inner[0], &inner[1], &inner[2], &inner[3]];
    assert_eq!((&reverted["error"], &reverted["revertReason"]), (&json!("execution reverted"), &json!("no")));
    assert_eq!((&reverted["value"], &reverted["to"]), (&json!("0x3"), &json!(OTHER)));
    assert_eq!(
        (&delegated["type"], &delegated["from"], &delegated["to"], &delegated["value"]),
        (&json!("DELEGATECALL"), &json!(CONTRACT), &json!(THIRD), &json!("0xa"))
    );
    assert_eq!(
        (&delegated["error"], &delegated["gasUsed"]),
        (&json!("invalid opcode: INVALID"), &json!("0xc350"))
    );
    assert_eq!((&precompiled["type"], &precompiled["to"]), (&json!("STATICCALL"), &json!(IDENTITY)));
    assert!(precompiled.get("value").is_none());
    assert_eq!((&creation["type"], &creation["to"]), (&json!("CREATE"), &json!(created)));
    let mut executed =
        World { accounts: world.accounts.clone(), codes: world.codes.clone(), ..World::default() };
    let output = executed.block(rules(Fork::Osaka), &txs);
    assert_eq!(tree["gasUsed"], format!("{:#x}", output.gas_used));

    let with_logs =
        told(&world, &txs, json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } }));
    let log = &with_logs["logs"][0];
    assert_eq!((&log["address"], &log["topics"]), (&json!(CONTRACT), &json!([word(5)])));
    assert_eq!((&log["position"], &log["data"]), (&json!("0x0"), &json!("0x")));
    assert!(with_logs["calls"][1].get("logs").is_none(), "it failed");
    let config = json!({ "onlyTopCall": true, "withLog": true });
    let top = told(&world, &txs, json!({ "tracer": "callTracer", "tracerConfig": config }));
    assert!(top.get("calls").is_none());
    assert_eq!((&top["logs"], &top["gasUsed"]), (&with_logs["logs"], &tree["gasUsed"]));
}

#[test]
fn a_failed_creation_and_a_plain_transfer() {
    let world = World::default().with_balance(key(1).address(), 10);
    let tree = told(&world, &[signed(&key(1), create(0, vec![0xfe]))], calls());
    assert_eq!((&tree["type"], &tree["error"]), (&json!("CREATE"), &json!("invalid opcode: INVALID")));
    assert!(tree.get("to").is_none() && tree.get("output").is_none(), "{tree}");
    let transfer = [signed(&key(1), transfer(0, OTHER, 7))];
    let tree = told(&world, &transfer, calls());
    assert_eq!((&tree["gasUsed"], &tree["value"]), (&json!("0x5208"), &json!("0x7")));
    let steps = told(&world, &transfer, json!({}));
    assert_eq!(steps, json!({ "gas": 21_000, "failed": false, "returnValue": "0x", "structLogs": [] }));
    let reverted = World::default().with_code(CONTRACT, reverts_with_reason());
    let steps = told(&reverted, &sent(CONTRACT), json!({}));
    assert!(steps["returnValue"].as_str().unwrap().starts_with("0x08c379a0"), "{steps}");
}

#[test]
fn accounts_before_and_what_differs() {
    let code = [args(&[1, 7]), vec![SSTORE], push(2), vec![SLOAD, POP], call_of(CALL, OTHER, 0, 3)].concat();
    let world = World::default()
        .with_balance(key(1).address(), 100)
        .with_code(CONTRACT, code.clone())
        .with_balance(CONTRACT, 5)
        .with_slot(CONTRACT, 1, 6)
        .with_slot(CONTRACT, 2, 9)
        .with_balance(PROPOSER, 1);
    let txs = sent(CONTRACT);
    let before = told(&world, &txs, json!({ "tracer": "prestateTracer" }));
    let accounts = before.as_object().unwrap();
    assert_eq!(accounts.len(), 3, "{before}");
    let of = |state: &Value, address: Address| state[format!("{address:#x}")].clone();
    assert_eq!(of(&before, key(1).address()), json!({ "balance": "0x64" }));
    assert_eq!(of(&before, PROPOSER), json!({ "balance": "0x1" }));
    let contract = json!({
        "balance": "0x5", "nonce": 1, "code": hex::encode_prefixed(&code),
        "storage": { word(1): word(6), word(2): word(9) },
    });
    assert_eq!(of(&before, CONTRACT), contract);
    let config = json!({ "disableCode": true, "disableStorage": true });
    let less = told(&world, &txs, json!({ "tracer": "prestateTracer", "tracerConfig": config }));
    assert_eq!(of(&less, CONTRACT), json!({ "balance": "0x5", "nonce": 1 }));

    let config = json!({ "diffMode": true });
    let differs = told(&world, &txs, json!({ "tracer": "prestateTracer", "tracerConfig": config }));
    let (pre, post) = (&differs["pre"], &differs["post"]);
    assert_eq!(of(pre, CONTRACT)["storage"], json!({ word(1): word(6) }));
    assert_eq!(of(post, CONTRACT), json!({ "balance": "0x2", "storage": { word(1): word(7) } }));
    assert_eq!((of(pre, OTHER), of(post, OTHER)), (json!({ "balance": "0x0" }), json!({ "balance": "0x3" })));
    assert_eq!(of(post, key(1).address()), json!({ "nonce": 1 }));
    assert!(post.get(format!("{PROPOSER:#x}")).is_none() && pre.get(format!("{PROPOSER:#x}")).is_none());
    let creation = [signed(&key(1), create(0, deploys(&code)))];
    let created =
        told(&world, &creation, json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } }));
    let contract = of(&created["post"], key(1).address().create(0));
    assert_eq!((&contract["code"], &contract["nonce"]), (&json!(hex::encode_prefixed(&code)), &json!(1)));
}

#[test]
fn selectors_and_several_at_once() {
    let input = [hex!("01020304").as_slice(), &[0; 32]].concat();
    let code = [
        [PUSH4].as_slice(),
        &hex!("aabbccdd"),
        &push(0xe0),
        &[SHL],
        &push(0),
        &[MSTORE],
        // Value, and where the input and the output are.
        &[args(&[0, 0, 5, 0, 0]), push_address(OTHER), push(9_000), vec![CALL]].concat(),
        &[args(&[0, 0, 5, 0, 0]), push_address(IDENTITY), push(9_000), vec![CALL]].concat(),
    ]
    .concat();
    let world = World::default().with_code(CONTRACT, code);
    let txs = [signed(&key(1), TxLegacy { input: input.into(), ..send(0, CONTRACT) })];
    let selectors = told(&world, &txs, json!({ "tracer": "4byteTracer" }));
    assert_eq!(selectors, json!({ "0x01020304-32": 1, "0xaabbccdd-1": 1 }), "without precompiled contracts");
    assert_eq!(told(&world, &txs, json!({ "tracer": "noopTracer" })), json!({}));
    let config = json!({ "4byteTracer": null, "callTracer": {}, "prestateTracer": null, "noopTracer": null });
    let all = told(&world, &txs, json!({ "tracer": "muxTracer", "tracerConfig": config }));
    assert_eq!(all["4byteTracer"], selectors);
    assert_eq!(all["callTracer"], told(&world, &txs, calls()));
    assert_eq!(all["prestateTracer"], told(&world, &txs, json!({ "tracer": "prestateTracer" })));
    assert_eq!((&all["noopTracer"], all.as_object().unwrap().len()), (&json!({}), 4));
}

#[test]
fn what_is_not_known_is_refused_with_what_is() {
    let refused = |options: Value| Tracing::new(options.as_object().unwrap(), 1).unwrap_err();
    for name in
        ["structTracer", "{data: [], fault: function() {}, step: function() {}, result: function() {}}"]
    {
        let said = refused(json!({ "tracer": name }));
        assert!(said.contains("callTracer, prestateTracer, 4byteTracer, noopTracer and muxTracer"), "{said}");
        assert!(said.contains("JavaScript") && said.len() < 400, "{said}");
    }
    let mux = |config: Value| refused(json!({ "tracer": "muxTracer", "tracerConfig": config }));
    assert!(mux(json!({ "muxTracer": {} })).starts_with("unknown tracer"));
    assert!(mux(json!([])).starts_with("muxTracer: "));
    let said = refused(json!({ "tracer": "callTracer", "tracerConfig": { "withLog": 1 } }));
    assert!(said.starts_with("callTracer: "), "{said}");
    assert!(refused(json!({ "disableStack": "yes" })).starts_with("options: "));
    assert!(refused(json!({ "tracer": 1 })).contains("name of a tracer"));
}

fn loops() -> Vec<u8> {
    vec![JUMPDEST, PUSH1, 0, JUMP]
}

#[test]
fn a_transaction_is_looked_at_on_the_state_that_those_before_it_left() {
    let adds =
        [push(0), vec![SLOAD], push(1), vec![ADD, DUP1], push(0), vec![SSTORE], return_word()].concat();
    let mut world = World::default().with_code(CONTRACT, adds);
    let txs: Vec<_> = (0..3).map(|nonce| signed(&key(1), send(nonce, CONTRACT))).collect();
    for count in 1..=3 {
        let tree = told(&world, &txs[..count], calls());
        assert_eq!(tree["output"], word(count as u64));
    }
    let mut replay = BlockReplay::new(rules(Fork::Osaka), env(Fork::Osaka), &world, &|| Duration::MAX);
    for tx in &txs {
        replay.trace(tx, &tracing(calls())).unwrap();
    }
    let changes = replay.changes().clone();
    let output = world.block(rules(Fork::Osaka), &txs);
    assert_eq!(changes.accounts[&CONTRACT], output.changes.accounts[&CONTRACT]);
    let broken = signed(&key(1), send(9, CONTRACT));
    let mut replay = BlockReplay::new(rules(Fork::Osaka), env(Fork::Osaka), &world, &|| Duration::MAX);
    assert!(matches!(replay.trace(&broken, &tracing(calls())), Err(TraceError::Execute(_))));
}

#[test]
fn looking_changes_nothing() {
    let code =
        [call_of(CALL, OTHER, 90_000, 0), push(1), vec![SSTORE], args(&[0, 0, 5]), vec![LOG1]].concat();
    let world = World::default().with_code(CONTRACT, code).with_code(OTHER, reverts_with_reason());
    let txs: Vec<_> = (0..2).map(|nonce| signed(&key(1), send(nonce, CONTRACT))).collect();
    let replay = || BlockReplay::new(rules(Fork::Osaka), env(Fork::Osaka), &world, &|| Duration::MAX);
    let mut passed = replay();
    txs.iter().for_each(|tx| passed.pass(tx).unwrap());
    for options in [json!({ "enableMemory": true }), calls(), json!({ "tracer": "prestateTracer" })] {
        let mut seen = replay();
        txs.iter().for_each(|tx| drop(seen.trace(tx, &tracing(options.clone())).unwrap()));
        assert_eq!(seen.changes(), passed.changes(), "{options}");
    }
}

#[test]
fn the_deepest_tree_is_told() {
    let deep = [args(&[0, 0, 0, 0, 0]), vec![ADDRESS, GAS, CALL]].concat();
    let world = World::default().with_code(CONTRACT, deep);
    let block = env(Fork::Prague);
    let context = CallContext {
        rules: rules(Fork::Prague),
        env: &block,
        state: &world,
        private: None,
        gas_cap: 1 << 50,
        time_left: &|| Duration::MAX,
    };
    let request = CallRequest { to: Some(CONTRACT), ..CallRequest::default() };
    let told = trace_call(&context, &request, &Overrides::default(), &tracing(calls())).unwrap();
    assert_eq!(told.get().matches("\"type\":\"CALL\"").count(), 1_026);
    assert!(told.get().contains("max call depth exceeded"));
}

#[test]
fn messages_that_nobody_signed() {
    let world = World::default().with_code(CONTRACT, reverts_with_reason());
    let block = env(Fork::Osaka);
    let context = CallContext {
        rules: rules(Fork::Osaka),
        env: &block,
        state: &world,
        private: None,
        gas_cap: 100_000,
        time_left: &|| Duration::MAX,
    };
    let request = CallRequest { to: Some(CONTRACT), from: Some(OTHER), ..CallRequest::default() };
    let call = |context: &CallContext<'_>, request: &CallRequest, tracing: &Tracing| {
        let told = trace_call(context, request, &Overrides::default(), tracing)?;
        Ok::<Value, TraceError>(serde_json::from_str(told.get()).unwrap())
    };
    let tree = call(&context, &request, &tracing(calls())).unwrap();
    assert_eq!((&tree["from"], &tree["revertReason"]), (&json!(OTHER), &json!("no")));
    assert_eq!(tree["gas"], "0x186a0");
    let before = call(&context, &request, &tracing(json!({ "tracer": "prestateTracer" }))).unwrap();
    assert!(before.get(format!("{CONTRACT:#x}")).is_some(), "{before}");
    let poor = CallRequest { value: U256::from(1), ..request.clone() };
    assert!(matches!(call(&context, &poor, &tracing(calls())), Err(TraceError::Call(_))));
    let long = call(&context, &request, &tracing(json!({})).within(300));
    assert_eq!(long, Err(TraceError::TooLong { bytes_max: 300 }));
    let late = CallContext { time_left: &|| Duration::ZERO, ..context };
    assert!(matches!(call(&late, &request, &tracing(calls())), Err(TraceError::Call(_))));
}
