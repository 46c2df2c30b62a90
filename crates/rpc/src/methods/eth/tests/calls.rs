use super::*;
use crate::testing::{revert_data, revert_with_reason};
use crate::{Access, RpcLimits};
use alloy_primitives::hex::encode_prefixed as hex;
use lonja_primitives::Signer;
use std::time::Duration;

#[tokio::test]
async fn calls_see_the_state_of_their_block() {
    let (_node, client, _) = chain();
    let read = json!({ "to": CONTRACT, "data": "0x00" });
    assert_eq!(client.call("eth_call", json!([read])).await, word(7));
    assert_eq!(client.call("eth_call", json!([read, "0x0"])).await, word(0));
    assert_eq!(client.call("eth_call", json!([{ "to": CONTRACT, "input": "0x04" }, "0x1"])).await, word(1));
    let refused = client.refused("eth_call", json!([read, "0x9"])).await;
    assert_eq!((refused.code, refused.message.as_str()), (-32000, "header not found"));
}

#[tokio::test]
async fn a_revert_has_code_3_reason_and_data() {
    let (_node, client, _) = chain();
    for method in ["eth_call", "eth_estimateGas"] {
        let refused =
            client.refused(method, json!([{ "to": CONTRACT, "data": hex(revert_with_reason()) }])).await;
        assert_eq!((refused.code, refused.message.as_str()), (3, "execution reverted: no"), "{method}");
        assert_eq!(refused.data, Some(json!(hex(revert_data()))), "{method}");
        let refused = client.refused(method, json!([{ "to": CONTRACT, "data": "0x02aabbccdd" }])).await;
        assert_eq!((refused.code, refused.message.as_str()), (3, "execution reverted"), "{method}");
        assert_eq!(refused.data, Some(json!("0xaabbccdd")), "{method}");
    }
}

#[tokio::test]
async fn other_failures_are_server_errors() {
    let (_node, client, _) = chain();
    let invalid = client.refused("eth_call", json!([{ "to": CONTRACT, "data": "0x05" }])).await;
    assert!(invalid.code == -32000 && invalid.message.starts_with("invalid opcode"), "{invalid:?}");
    let endless =
        client.refused("eth_call", json!([{ "to": CONTRACT, "data": "0x03", "gas": "0x186a0" }])).await;
    assert!(endless.code == -32000 && endless.message.contains("out of gas"), "{endless:?}");
    let poor = json!({ "from": key(2).address(), "to": CONTRACT, "data": "0x00", "value": "0x1" });
    let poor = client.refused("eth_call", json!([poor])).await;
    assert!(poor.code == -32000 && poor.message.contains("insufficient funds"), "{poor:?}");
    let both = client
        .refused("eth_call", json!([{ "to": CONTRACT, "gasPrice": "0x1", "maxFeePerGas": "0x1" }]))
        .await;
    assert_eq!(both.code, -32602);
    // Where gas is free, prices are neither paid nor a reason to refuse.
    let priced =
        json!({ "from": key(2).address(), "to": CONTRACT, "data": "0x00", "gasPrice": "0x77359400" });
    assert_eq!(client.call("eth_call", json!([priced])).await, word(7));
}

#[tokio::test]
async fn a_call_ends_when_its_time_is_up() {
    let (node, ..) = chain();
    let limits =
        RpcLimits { call_time: Duration::ZERO, call_gas: Some(u64::MAX / 4), ..RpcLimits::default() };
    let client = node.client_with(Access::public(), limits);
    let refused = client.refused("eth_call", json!([{ "to": CONTRACT, "data": "0x03" }])).await;
    assert!(
        refused.code == -32000 && refused.message.starts_with("execution aborted (timeout"),
        "{refused:?}"
    );
    let refused = client.refused("eth_getLogs", json!([{ "fromBlock": "0x0" }])).await;
    assert!(refused.code == -32005 && refused.message.contains("timed out"), "{refused:?}");
}

#[tokio::test]
async fn a_precompile_that_would_outlast_the_time_is_refused_at_once() {
    let (node, ..) = chain();
    let limits = RpcLimits {
        call_time: Duration::from_millis(50),
        call_gas: Some(u64::MAX / 4),
        ..RpcLimits::default()
    };
    let client = node.client_with(Access::public(), limits);
    // EIP-152: the first four bytes are the rounds, each costs 1 gas.
    let compress = |rounds: &str| {
        json!([{
            "to": "0x0000000000000000000000000000000000000009",
            "data": format!("0x{rounds}{}", "00".repeat(209)),
        }])
    };
    for method in ["eth_call", "eth_estimateGas", "eth_createAccessList"] {
        let refused = client.refused(method, compress("10000000")).await;
        assert_eq!(refused.code, -32000, "{refused:?}");
        assert!(refused.message.contains("precompiled contract would not end"), "{refused:?}");
    }
    assert!(client.call("eth_call", compress("0000000c")).await.as_str().unwrap().len() == 130);
}

#[tokio::test]
async fn the_gas_cap_holds() {
    let (node, ..) = chain();
    let client =
        node.client_with(Access::public(), RpcLimits { call_gas: Some(100_000), ..RpcLimits::default() });
    let endless = json!([{ "to": CONTRACT, "data": "0x03", "gas": "0xffffffffff" }]);
    assert!(client.refused("eth_call", endless).await.message.contains("out of gas"));
}

#[tokio::test]
async fn state_and_block_can_be_overridden() {
    let (_node, client, _) = chain();
    let read = json!({ "to": CONTRACT, "data": "0x00" });
    let diff = json!({ CONTRACT.to_string(): { "stateDiff": { word(0).as_str().unwrap(): word(9) } } });
    assert_eq!(client.call("eth_call", json!([read, "latest", diff])).await, word(9));
    let empty = json!({ CONTRACT.to_string(): { "state": {} } });
    assert_eq!(client.call("eth_call", json!([read, "latest", empty])).await, word(0));
    let number = json!({ "to": CONTRACT, "data": "0x04" });
    let block = json!({ "number": "0x63", "time": "0x5" });
    assert_eq!(client.call("eth_call", json!([number, "latest", null, block])).await, word(0x63));
    let code =
        json!({ key(3).address().to_string(): { "code": "0x602a60005260206000f3", "balance": "0x1" } });
    let answer = client.call("eth_call", json!([{ "to": key(3).address() }, "latest", code])).await;
    assert_eq!(answer, word(42));
    let misspelt = json!({ CONTRACT.to_string(): { "blance": "0x1" } });
    let moved = json!({ CONTRACT.to_string(): { "movePrecompileToAddress": CONTRACT } });
    for (params, name) in [
        (json!([read, "latest", misspelt]), "unknown field `blance`"),
        (json!([read, "latest", moved]), "unknown field `movePrecompileToAddress`"),
        (json!([read, "latest", null, { "numbr": "0x1" }]), "unknown field `numbr`"),
        (json!([read, "latest", { CONTRACT.to_string(): 7 }]), "expected an object of overrides"),
        (json!([read, "latest", null, 7]), "expected an object of block overrides"),
        (json!(["0x"]), "expected a transaction object"),
        (json!([{ "to": "0x12" }]), r#""0x12": hex of another length"#),
        (json!([{ "data": "0x123" }]), r#""0x123": hex with two digits"#),
        (json!([{ "accessList": [7] }]), "expected an object"),
    ] {
        for method in ["eth_call", "eth_estimateGas"] {
            let refused = client.refused(method, params.clone()).await;
            assert_eq!(refused.code, -32602, "{refused:?}");
            assert!(refused.message.contains(name), "{refused:?}");
            assert!(!refused.message.contains("struct") && !refused.message.contains("Args"), "{refused:?}");
        }
    }
    let both = json!({ CONTRACT.to_string(): { "state": {}, "stateDiff": {} } });
    assert_eq!(client.refused("eth_call", json!([read, "latest", both])).await.code, -32602);
}

#[tokio::test]
async fn estimates() {
    let (_node, client, _) = chain();
    let transfer = json!({ "from": key(9).address(), "to": key(3).address(), "value": "0x1" });
    assert_eq!(client.call("eth_estimateGas", json!([transfer])).await, "0x5208");
    let write = json!({ "to": CONTRACT, "data": hex(write_word(8)) });
    let estimate = client.call("eth_estimateGas", json!([write, "latest"])).await;
    let gas = u64::from_str_radix(estimate.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    assert!((25_000..60_000).contains(&gas), "{gas}");
    let enough = json!({ "to": CONTRACT, "data": hex(write_word(8)), "gas": estimate });
    assert_eq!(client.call("eth_call", json!([enough])).await, "0x");
    let poor = json!({ "from": key(2).address(), "to": key(3).address(), "value": "0x1" });
    assert_eq!(client.refused("eth_estimateGas", json!([poor])).await.code, -32000);
}

#[tokio::test]
async fn access_lists() {
    let (_node, client, _) = chain();
    let answer =
        client.call("eth_createAccessList", json!([{ "to": CONTRACT, "data": "0x00" }, "latest"])).await;
    assert_eq!(keys(&answer), ["accessList", "gasUsed"]);
    assert_eq!(answer["accessList"][0]["storageKeys"], json!([word(0)]));
    let failing = json!({ "to": CONTRACT, "data": hex(revert_with_reason()) });
    let answer = client.call("eth_createAccessList", json!([failing])).await;
    assert_eq!(answer["error"], "execution reverted: no");
}
