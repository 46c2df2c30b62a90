//! Over a real small chain.

use crate::testing::{CONTRACT, Client, TestNode, key, legacy, revert_with_reason, write_word};
use crate::{Access, RpcLimits};
use alloy_primitives::{B256, TxKind, hex};
use lonja_primitives::Signer;
use serde_json::{Value, json};
use std::time::Duration;

fn calls() -> Value {
    json!({ "tracer": "callTracer" })
}

/// Three transactions in block 1: a write, a revert, a read. Their hashes, in order.
fn chain() -> (TestNode, Client, Vec<B256>) {
    let mut node = TestNode::new();
    let inputs = [write_word(7), revert_with_reason(), vec![0]];
    let send = |(nonce, input): (u64, &Vec<u8>)| {
        node.submit(legacy(&key(2), nonce, TxKind::Call(CONTRACT), 0, input))
    };
    let hashes = (0..).zip(&inputs).map(send).collect();
    node.mine();
    let client = node.client();
    (node, client, hashes)
}

async fn traced(client: &Client, hash: &B256, options: Value) -> Value {
    client.call("debug_traceTransaction", json!([hash, options])).await
}

#[tokio::test]
async fn transactions_of_a_block_one_by_one_and_together() {
    let (_node, client, hashes) = chain();
    let write = traced(&client, &hashes[0], calls()).await;
    assert_eq!((&write["from"], &write["to"]), (&json!(key(2).address()), &json!(CONTRACT)));
    let receipt = client.call("eth_getTransactionReceipt", json!([hashes[0]])).await;
    assert_eq!(write["gasUsed"], receipt["gasUsed"]);
    let revert = traced(&client, &hashes[1], calls()).await;
    assert_eq!((&revert["error"], &revert["revertReason"]), (&json!("execution reverted"), &json!("no")));
    let read = traced(&client, &hashes[2], calls()).await;
    assert_eq!(read["output"], json!(B256::with_last_byte(7)), "after those before it");
    let of = |hash: &B256, result: &Value| json!({ "txHash": hash, "result": result });
    let all = json!([of(&hashes[0], &write), of(&hashes[1], &revert), of(&hashes[2], &read)]);
    assert_eq!(client.call("debug_traceBlockByNumber", json!(["0x1", calls()])).await, all);
    assert_eq!(client.call("debug_traceBlockByNumber", json!(["latest", calls()])).await, all);
    let block = client.call("eth_getBlockByNumber", json!(["0x1", false])).await;
    assert_eq!(client.call("debug_traceBlockByHash", json!([block["hash"], calls()])).await, all);
    let steps = client.call("debug_traceTransaction", json!([hashes[2]])).await;
    assert_eq!((&steps["failed"], &steps["returnValue"]), (&json!(false), &json!(B256::with_last_byte(7))));
    let load = steps["structLogs"].as_array().unwrap().iter().find(|step| step["op"] == "SLOAD").unwrap();
    assert_eq!(load["storage"], json!({ B256::ZERO.to_string(): B256::with_last_byte(7) }));
}

#[tokio::test]
async fn messages_on_any_state_with_what_shall_be_different() {
    let (_node, client, _) = chain();
    let read = json!({ "to": CONTRACT, "data": "0x00" });
    let output = async |params: Value| client.call("debug_traceCall", params).await["output"].clone();
    assert_eq!(output(json!([read, "latest", calls()])).await, json!(B256::with_last_byte(7)));
    assert_eq!(output(json!([read, "0x0", calls()])).await, json!(B256::ZERO));
    let slot =
        json!({ CONTRACT.to_string(): { "stateDiff": { B256::ZERO.to_string(): B256::with_last_byte(9) } } });
    let options = json!({ "tracer": "callTracer", "stateOverrides": slot });
    assert_eq!(output(json!([read, "latest", options])).await, json!(B256::with_last_byte(9)));
    let number = json!({ "to": CONTRACT, "data": "0x04" });
    let options = json!({ "tracer": "callTracer", "blockOverrides": { "number": "0x63" } });
    assert_eq!(output(json!([number, "latest", options])).await, json!(B256::with_last_byte(0x63)));
    let fails = json!({ "to": CONTRACT, "data": hex::encode_prefixed(revert_with_reason()) });
    let steps = client.call("debug_traceCall", json!([fails, "latest"])).await;
    assert_eq!(steps["failed"], true, "told, not refused");
}

#[tokio::test]
async fn what_cannot_be_told_is_refused_in_words() {
    let (_node, client, hashes) = chain();
    let hash = hashes[0];
    let cases = [
        ("debug_traceTransaction", json!([B256::ZERO]), -32000, "transaction not found"),
        ("debug_traceTransaction", json!([hash, { "tracer": "jsTracer" }]), -32602, "JavaScript"),
        (
            "debug_traceTransaction",
            json!([hash, { "tracer": "callTracer", "tracerConfig": 1 }]),
            -32602,
            "callTracer",
        ),
        ("debug_traceTransaction", json!([hash, { "timeout": "soon" }]), -32602, "timeout"),
        (
            "debug_traceTransaction",
            json!([hash, { "timeout": "0s" }]),
            -32000,
            "execution aborted (timeout = 0s)",
        ),
        ("debug_traceTransaction", json!([]), -32602, "hash"),
        ("debug_traceBlockByNumber", json!(["0x0"]), -32000, "genesis is not traceable"),
        ("debug_traceBlockByNumber", json!(["0x9"]), -32000, "header not found"),
        ("debug_traceBlockByHash", json!(["0x1"]), -32602, "hash"),
        ("debug_traceBlockByHash", json!([B256::ZERO]), -32000, "not found"),
        ("debug_traceCall", json!([{}, "latest", { "txIndex": "0x0" }]), -32602, "txIndex"),
        (
            "debug_traceCall",
            json!([{}, "latest", { "stateOverrides": { "x": {} } }]),
            -32602,
            "stateOverrides",
        ),
        ("debug_traceCall", json!([{ "value": "0x1" }, "latest"]), -32000, "insufficient funds"),
    ];
    for (method, params, code, text) in cases {
        let refused = client.refused(method, params.clone()).await;
        assert_eq!(refused.code, code, "{method} {params}: {refused:?}");
        assert!(refused.message.contains(text), "{method} {params}: {refused:?}");
    }
}

#[tokio::test]
async fn answers_and_time_are_bounded() {
    let (node, _, hashes) = chain();
    let limits =
        RpcLimits { response_bytes: 3_000, call_time: Duration::from_millis(50), ..RpcLimits::default() };
    let client = node.client_with(Access::full(), limits);
    let refused = client.refused("debug_traceTransaction", json!([hashes[0]])).await;
    assert_eq!(refused.code, -32005, "{refused:?}");
    assert!(refused.message.contains("limit, disableStack"), "{refused:?}");
    traced(&client, &hashes[0], json!({ "limit": 5 })).await;
    traced(&client, &hashes[0], calls()).await;
    // Each would fit, together they do not.
    let few = json!({ "limit": 10 });
    traced(&client, &hashes[1], few.clone()).await;
    let refused = client.refused("debug_traceBlockByNumber", json!(["0x1", few])).await;
    assert_eq!(refused.code, -32005, "{refused:?}");
    let forever = json!({ "to": CONTRACT, "data": "0x03", "gas": "0xffffffffff" });
    let limits =
        RpcLimits { call_time: Duration::from_millis(50), call_gas: Some(1 << 50), ..RpcLimits::default() };
    let client = node.client_with(Access::full(), limits);
    let options = json!({ "tracer": "callTracer", "timeout": "1h" });
    let refused = client.refused("debug_traceCall", json!([forever, "latest", options])).await;
    assert_eq!(refused.message, "execution aborted (timeout = 0.05s)");
}

#[tokio::test]
async fn strangers_have_no_traces() {
    let (node, _, hashes) = chain();
    let client = node.client_with(Access::public(), RpcLimits::default());
    for (method, params) in [
        ("debug_traceTransaction", json!([hashes[0]])),
        ("debug_traceCall", json!([{}, "latest"])),
        ("debug_traceBlockByNumber", json!(["0x1"])),
        ("debug_traceBlockByHash", json!([B256::ZERO])),
    ] {
        let refused = client.refused(method, params).await;
        assert_eq!(refused.code, -32601);
        assert!(refused.message.contains("IPC"), "{refused:?}");
    }
}
