use super::*;
use crate::testing::privacy_rules;
use crate::{Access, RpcLimits};
use proptest::prelude::*;

/// JSON that a confused or hostile client may send: half right, so that it comes further than the first check.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z0-9]{0,8}".prop_map(Value::from),
        prop::sample::select(vec!["latest", "pending", "earliest", "logs", "newHeads", "0x", "0x0", "0x1"])
            .prop_map(Value::from),
        "0x[0-9a-f]{0,66}".prop_map(Value::from),
        Just(json!(CONTRACT)),
        Just(word(1)),
        any::<u64>().prop_map(|number| json!(format!("{number:#x}"))),
        prop::collection::vec(any::<u8>(), 0..40)
            .prop_map(|bytes| json!(alloy_primitives::Bytes::from(bytes))),
    ];
    let name = prop::sample::select(vec![
        "from",
        "to",
        "gas",
        "gasPrice",
        "maxFeePerGas",
        "value",
        "data",
        "input",
        "nonce",
        "accessList",
        "authorizationList",
        "fromBlock",
        "toBlock",
        "blockHash",
        "blockNumber",
        "address",
        "topics",
        "state",
        "stateDiff",
        "balance",
        "code",
        "number",
        "time",
        "baseFeePerGas",
        "privateFor",
        "privateFrom",
        "privacyFlag",
        "mandatoryFor",
        "0x00000000000000000000000000000000c0de0001",
    ]);
    leaf.prop_recursive(3, 24, 6, move |inner| {
        let object = prop::collection::btree_map(name.clone(), inner.clone(), 0..5);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            object.prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

/// Every method, whatever it is given, answers: with a result, or with an error that is the client's own fault.
#[test]
fn junk_is_answered_and_never_our_fault() {
    let (node, ..) = chain();
    answers_junk(&node, 4_000);
}

/// The same at a party to private transactions.
#[test]
fn junk_is_answered_where_there_is_more_to_say() {
    let mut node = TestNode::with_markers(privacy_rules(Some("anySigner")));
    node.submit(dynamic(&key(2), 0, TxKind::Call(CONTRACT), &write_word(7)));
    node.mine_and_follow();
    answers_junk(&node, 2_000);
}

fn answers_junk(node: &TestNode, cases: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _inside = runtime.enter();
    // Some junk is a call of the contract's endless loop.
    let limits = RpcLimits { call_gas: Some(1_000_000), ..RpcLimits::default() };
    let client = node.client_with(Access::full(), limits);
    let names = client.methods();
    assert!(names.len() > 90, "{names:?}");
    let params = prop_oneof![prop::collection::vec(value(), 0..5).prop_map(Value::from), value()];
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(method in prop::sample::select(names), params in params)| {
        let answer = runtime.block_on(client.raw(method, &params.to_string()));
        let code = answer["error"]["code"].as_i64();
        prop_assert_ne!(code, Some(-32603), "{} {}: {}", method, params, answer);
        if method == "eth_subscribe" {
            // Room for the next answer, and no subscription left behind.
            runtime.block_on(client.message());
            runtime.block_on(client.raw("eth_unsubscribe", &json!([answer["result"]]).to_string()));
        }
    });
}
