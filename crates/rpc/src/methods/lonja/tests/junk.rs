use super::*;
use proptest::prelude::*;

/// JSON that a confused or hostile client may send.
fn value() -> impl Strategy<Value = Value> {
    let id = key(1).node_id();
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-zA-Z0-9]{0,32}".prop_map(Value::from),
        prop::sample::select(vec!["latest", "earliest", "open", "active", "validator", "0x", "0x0", "0x1"])
            .prop_map(Value::from),
        "0x[0-9a-f]{0,130}".prop_map(Value::from),
        any::<[u8; 20]>().prop_map(|bytes| json!(Address::from(bytes))),
        any::<[u8; 32]>().prop_map(|bytes| json!(B256::from(bytes))),
        Just(json!(uno())),
        Just(json!(node_key(1))),
        Just(json!(key(21).address())),
        Just(json!(format!("enode://{id}@10.0.0.1:30303"))),
    ];
    let name = prop::sample::select(vec![
        "from",
        "to",
        "gas",
        "value",
        "data",
        "proof",
        "member",
        "role",
        "status",
        "state",
        "offset",
        "limit",
        "blockNumber",
        "blockHash",
        "n",
        "nMin",
        "capSector",
        "epochLength",
    ]);
    leaf.prop_recursive(2, 12, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..4).prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

/// Whatever the methods about permissions are given, they answer, and nothing is our own fault.
#[test]
fn junk_is_answered_and_never_our_fault() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let mut node = node();
    suspend_tres(&mut node);
    let client = node.client();
    let ours =
        |name: &&str| ["lonja_", "quorumPermission_", "perm_"].iter().any(|start| name.starts_with(start));
    let names: Vec<&str> = client.methods().into_iter().filter(ours).collect();
    assert!(names.len() > 45, "{names:?}");
    let params = prop::collection::vec(value(), 0..4).prop_map(Value::from);
    let config = ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(method in prop::sample::select(names), params in params)| {
        let answer = runtime.block_on(client.raw(method, &params.to_string()));
        prop_assert_ne!(answer["error"]["code"].as_i64(), Some(-32603), "{} {}: {}", method, params, answer);
    });
}
