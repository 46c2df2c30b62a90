use super::*;
use crate::testing::{CONTRACT, legacy};
use alloy_consensus::TxLegacy;
use alloy_primitives::{TxKind, U256};
use lonja_chain::private::marker;
use lonja_primitives::spec::MARKER_PRECOMPILE;
use lonja_primitives::transaction::sign_private;
use lonja_ptm::Lookup;

fn calls() -> Value {
    json!({ "tracer": "callTracer" })
}

async fn traced(client: &Client, hash: &Value) -> Value {
    client.call("debug_traceTransaction", json!([hash, calls()])).await
}

async fn sent(client: &Client, to: Option<Address>, data: &[u8]) -> Value {
    client.call("eth_sendTransaction", json!([message(to, data)])).await
}

#[tokio::test]
async fn a_party_sees_what_ran_on_the_private_state_before_it() {
    let (mut node, client) = party();
    let contract = contract(&mut node, &client, 0).await;
    let write = sent(&client, Some(contract), &write_word(7)).await;
    let fails = with(message(Some(contract), &[5]), json!({ "gas": "0xf4240" }));
    let fails = client.call("eth_sendTransaction", json!([fails])).await;
    let read = sent(&client, Some(contract), &[0]).await;
    let public = json!(node.submit(legacy(&key(9), 0, TxKind::Call(CONTRACT), 0, &write_word(3))));
    let number = node.mine_and_follow();
    let told = traced(&client, &write).await;
    assert_eq!(
        (&told["to"], &told["input"]),
        (&json!(contract), &json!(hex::encode_prefixed(write_word(7))))
    );
    assert_ne!(told["gasUsed"], "0x0");
    assert_eq!(traced(&client, &fails).await["error"], "invalid opcode: INVALID");
    assert_eq!(traced(&client, &read).await["output"], word(7), "after those before it");
    let all = client.call("debug_traceBlockByNumber", json!([format!("{number:#x}"), calls()])).await;
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 4);
    for hash in [&write, &fails, &read, &public] {
        let one = all.iter().find(|one| one["txHash"] == *hash).unwrap();
        assert_eq!(one["result"], traced(&client, hash).await);
    }
    let steps = client.call("debug_traceTransaction", json!([read])).await;
    assert_eq!((&steps["returnValue"], &steps["failed"]), (&word(7), &json!(false)));
    let options = json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } });
    let differs = client.call("debug_traceTransaction", json!([write, options])).await;
    let changed = differs["post"].as_object().unwrap();
    assert_eq!(changed.keys().collect::<Vec<_>>(), [&format!("{contract:#x}")], "{differs}");
}

#[tokio::test]
async fn messages_are_looked_at_on_the_private_state() {
    let (mut node, client) = party();
    let contract = contract(&mut node, &client, 0).await;
    sent(&client, Some(contract), &write_word(7)).await;
    node.mine_and_follow();
    let read = json!({ "to": contract, "data": "0x00" });
    let told = client.call("debug_traceCall", json!([read, "latest", calls()])).await;
    assert_eq!(told["output"], word(7));
    let told = client.call("debug_traceCall", json!([read, "0x1", calls()])).await;
    assert_eq!(told["output"], word(0));
}

#[tokio::test]
async fn others_see_the_shell() {
    let (mut node, client) = party();
    let creation = sent(&client, None, &init_code()).await;
    let secret = sent(&client, Some(CONTRACT), b"planted secret").await;
    let bodies = node.node.pool.lock().all_raw();
    node.mine_and_follow();
    // The same chain at a node without a manager, and at one that is no party.
    for mut stranger in
        [TestNode::with_rules(privacy_rules(None)), TestNode::with_parties(privacy_rules(None))]
    {
        for raw in &bodies {
            stranger.submit(raw.clone());
        }
        stranger.mine();
        if stranger.node.privacy.is_some() {
            let behind = stranger.client().refused("debug_traceTransaction", json!([secret, calls()])).await;
            assert_eq!(behind.code, -32005, "it might be ours: {behind:?}");
            stranger.follow();
        }
        let client = stranger.client();
        let told = traced(&client, &secret).await;
        assert_eq!((&told["gasUsed"], &told["to"]), (&json!("0x0"), &json!(CONTRACT)));
        assert_eq!(told["input"], transaction(&client, &secret).await["input"]);
        assert!(told.get("calls").is_none() && told.get("output").is_none(), "{told}");
        assert_eq!(traced(&client, &creation).await["type"], "CREATE");
        for tracer in ["", "callTracer", "prestateTracer", "4byteTracer", "noopTracer"] {
            let options = json!({ "tracer": tracer, "enableMemory": true });
            let all = client.call("debug_traceBlockByNumber", json!(["0x1", options])).await.to_string();
            assert!(!all.contains(&hex::encode(b"planted secret")), "{all}");
            assert!(!all.contains(&hex::encode(init_code())), "{all}");
        }
    }
}

#[tokio::test]
async fn of_a_marker_a_party_sees_what_it_carries() {
    let mut node = TestNode::with_markers(privacy_rules(Some("anySigner")));
    let client = node.client();
    let creation = sent(&client, None, &init_code()).await;
    node.mine_and_follow();
    let receipt = client.call("eth_getPrivateTransactionReceipt", json!([creation])).await;
    let contract: Address = serde_json::from_value(receipt["contractAddress"].clone()).unwrap();
    let told = traced(&client, &creation).await;
    assert_eq!((&told["type"], &told["to"]), (&json!("CREATE"), &json!(contract)));
    assert_eq!(told["input"], json!(hex::encode_prefixed(init_code())));
    let write = sent(&client, Some(contract), &write_word(4)).await;
    let read = sent(&client, Some(contract), &[0]).await;
    node.mine_and_follow();
    assert_eq!(traced(&client, &write).await["to"], json!(contract));
    assert_eq!(traced(&client, &read).await["output"], word(4));
    let marker = transaction(&client, &read).await;
    let mut stranger = TestNode::with_rules(privacy_rules(Some("anySigner")));
    let raw = client.call("eth_getRawTransactionByHash", json!([creation])).await;
    stranger.submit(serde_json::from_value(raw).unwrap());
    stranger.mine();
    let told = traced(&stranger.client(), &creation).await;
    assert_eq!((&told["type"], &told["to"]), (&json!("CALL"), &marker["to"]));
    assert!(told.get("calls").is_none());
}

#[tokio::test]
async fn a_payload_that_is_gone_or_cannot_be_had_is_said() {
    let (mut node, client) = party();
    let contract = contract(&mut node, &client, 0).await;
    let write = sent(&client, Some(contract), &write_word(7)).await;
    let read = sent(&client, Some(contract), &[0]).await;
    let public = json!(node.submit(legacy(&key(9), 0, TxKind::Call(CONTRACT), 0, &write_word(3))));
    node.mine_and_follow();
    let hash = hash_in(&transaction(&client, &write).await);
    node.manager().answer(hash, Lookup::Unavailable("manager down".to_owned()));
    for looked_at in [&write, &read] {
        let refused = client.refused("debug_traceTransaction", json!([looked_at, calls()])).await;
        assert_eq!((refused.code, refused.message.as_str()), (-32005, "manager down"));
    }
    traced(&client, &public).await;
    node.manager().answer(hash, Lookup::Erased);
    let refused = client.refused("debug_traceTransaction", json!([write, calls()])).await;
    assert_eq!(refused.code, -32000);
    assert!(refused.message.contains("is not here any more"), "{refused:?}");
}

#[tokio::test]
async fn what_was_not_executed_is_said_of_it_alone() {
    let mut node = TestNode::with_markers(privacy_rules(Some("anySigner")));
    let client = node.client();
    let [carried, inside] = [7, 8].map(|n| PayloadHash::from_data(&[n; 64]));
    // Less gas than it takes to be in a block, which nobody looks at before.
    let inner = TxLegacy {
        chain_id: None,
        nonce: 0,
        gas_price: 0,
        gas_limit: 21_000,
        to: TxKind::Create,
        value: U256::ZERO,
        input: Bytes::copy_from_slice(inside.as_slice()),
    };
    let inner = marker::encode(&sign_private(inner, &key(5))).unwrap();
    node.manager().keep(carried, inner);
    node.manager().keep(inside, init_code().into());
    let to = TxKind::Call(MARKER_PRECOMPILE);
    let hash = json!(node.submit(legacy(&key(5), 0, to, 0, carried.as_slice())));
    let other = json!(node.submit(legacy(&key(5), 1, TxKind::Call(CONTRACT), 0, &write_word(3))));
    node.mine_and_follow();
    let refused = client.refused("debug_traceTransaction", json!([hash, calls()])).await;
    assert_eq!(refused.code, -32000);
    assert!(
        refused.message.starts_with("the private transaction was not executed: intrinsic gas"),
        "{refused:?}"
    );
    let all = client.call("debug_traceBlockByNumber", json!(["0x1", calls()])).await;
    assert_eq!(all[0], json!({ "txHash": hash, "error": refused.message }));
    assert_eq!((&all[1]["txHash"], &all[1]["result"]["to"]), (&other, &json!(CONTRACT)));
}
