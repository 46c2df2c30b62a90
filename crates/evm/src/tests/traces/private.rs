//! Private transactions: at strangers and at parties.

use super::*;
use crate::{DualView, PrivateMessage, execute_private, trace_private};
use alloy_eips::Encodable2718;
use lonja_primitives::spec::Privacy;
use lonja_primitives::transaction::sign_private;

fn with_privacy() -> BlockRules {
    let privacy = Privacy { transactions: true, ..Privacy::default() };
    BlockRules { privacy, ..rules(Fork::Osaka) }
}

fn private_tx(tx: TxLegacy) -> RecoveredTransaction {
    let tx = TxLegacy { chain_id: None, input: Bytes::from(vec![7; 64]), ..tx };
    RecoveredTransaction::recover(sign_private(tx, &key(1)).encoded_2718().into(), CHAIN).unwrap()
}

#[test]
fn of_a_private_transaction_strangers_hear_what_they_see() {
    let world = World::default().with_code(CONTRACT, loops()).with_balance(key(1).address(), 9);
    let shell = |to: TxKind, options: Value| {
        let tx = private_tx(TxLegacy { to, ..legacy(0) });
        trace(&world, with_privacy(), &[tx], &tracing(options)).unwrap()
    };
    let to = TxKind::Call(CONTRACT);
    let empty = json!({ "gas": 0, "failed": false, "returnValue": "0x", "structLogs": [] });
    assert_eq!(shell(to, json!({})), empty);
    let root = json!({
        "type": "CALL", "from": key(1).address(), "to": CONTRACT, "gas": "0xf4240", "gasUsed": "0x0",
        "input": hex::encode_prefixed([7; 64]), "value": "0x0",
    });
    assert_eq!(shell(to, calls()), root);
    let creation = shell(TxKind::Create, calls());
    assert_eq!((&creation["type"], &creation["to"]), (&json!("CREATE"), &json!(key(1).address().create(0))));
    assert_eq!(shell(to, json!({ "tracer": "4byteTracer" })), json!({}));
    assert_eq!(shell(to, json!({ "tracer": "noopTracer" })), json!({}));
    let mux = json!({ "callTracer": null, "4byteTracer": null });
    assert_eq!(
        shell(to, json!({ "tracer": "muxTracer", "tracerConfig": mux })),
        json!({ "callTracer": root, "4byteTracer": {} })
    );
    let config = json!({ "diffMode": true });
    let differs = shell(to, json!({ "tracer": "prestateTracer", "tracerConfig": config }));
    let sender = format!("{:#x}", key(1).address());
    assert_eq!(
        differs,
        json!({ "pre": { sender.clone(): { "balance": "0x9" } }, "post": { sender: { "nonce": 1 } } })
    );
}

#[test]
fn of_a_private_transaction_parties_hear_what_ran() {
    let writes = [args(&[1, 7]), vec![SSTORE]].concat();
    let calls_public = [call_of(CALL, OTHER, 90_000, 0), push(1), vec![ADD], push(0), vec![SSTORE]].concat();
    let private = World::default().with_code(CONTRACT, calls_public);
    let mut public = World::default().with_code(OTHER, writes).with_balance(key(1).address(), 5);
    public.accounts.get_mut(&key(1).address()).unwrap().nonce = 1;
    let state = DualView { private: &private, public: &public };
    let message = PrivateMessage {
        sender: key(1).address(),
        nonce: 0,
        kind: TxKind::Call(CONTRACT),
        payload: Bytes::from(vec![1, 2, 3, 4, 5]),
        gas_limit: 1_000_000,
        shell_gas: 23_560,
    };
    let (rules, block) = (with_privacy(), env(Fork::Osaka));
    let run = |tracing: Option<&Tracing>| {
        trace_private(&rules, &block, &state, &message, &|| Duration::MAX, tracing).unwrap()
    };
    let expected = execute_private(&rules, &block, &state, &message).unwrap();
    let (outcome, nothing) = run(None);
    assert!(outcome == expected && nothing.is_none());
    let told = |options: Value| -> Value {
        let (outcome, told) = run(Some(&tracing(options)));
        assert_eq!(outcome, expected, "looking changes nothing");
        serde_json::from_str(told.unwrap().get()).unwrap()
    };
    let tree = told(calls());
    assert_eq!((&tree["to"], &tree["input"]), (&json!(CONTRACT), &json!("0x0102030405")));
    assert_eq!(tree["gasUsed"], format!("{:#x}", expected.gas_used));
    assert_eq!(
        (&tree["calls"][0]["to"], &tree["calls"][0]["error"]),
        (&json!(OTHER), &json!("write protection"))
    );
    let steps = told(json!({}));
    let steps = steps["structLogs"].as_array().unwrap();
    let failed = steps.iter().find(|step| step["depth"] == 2 && step["op"] == "SSTORE").unwrap();
    assert_eq!(failed["error"], "write protection");
    assert_eq!(told(json!({ "tracer": "4byteTracer" })), json!({ "0x01020304-1": 1 }));
    let config = json!({ "diffMode": true });
    let differs = told(json!({ "tracer": "prestateTracer", "tracerConfig": config }));
    assert_eq!(differs["post"].as_object().unwrap().keys().collect::<Vec<_>>(), [&format!("{CONTRACT:#x}")]);
    let before = told(json!({ "tracer": "prestateTracer" }));
    assert_eq!(before.as_object().unwrap().len(), 3, "{before}");
    let late = trace_private(&rules, &block, &state, &message, &|| Duration::ZERO, None);
    assert_eq!(late.unwrap_err(), TraceError::Stopped);
}
