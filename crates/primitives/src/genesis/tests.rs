//! Genesis files of all shapes: vectors, what is taken, what is refused and by which name.

use super::*;
use crate::spec::{ClientRules, ConsensusParams, ForkStart, QuorumRule};
use crate::{Fork, HeaderFormat};
use alloy_primitives::{address, hex};
use serde_json::{Value, json};

mod besu;
mod goquorum;
mod own;
mod vectors;

/// Reads a file that must be good.
fn read(file: &Value) -> Genesis {
    Genesis::from_json(&file.to_string()).unwrap_or_else(|error| panic!("{error}\n{file:#}"))
}

/// The path of the field for which a file is refused.
fn refused(file: &Value) -> String {
    match Genesis::from_json(&file.to_string()) {
        Ok(_) => panic!("taken: {file:#}"),
        Err(error) => error.field,
    }
}

/// `file` with the value at `pointer` (as in RFC 6901) set; objects on the way are made.
fn with(mut file: Value, pointer: &str, value: Value) -> Value {
    let mut at = &mut file;
    for name in pointer.split('/').skip(1) {
        at = match at {
            Value::Array(items) => &mut items[name.parse::<usize>().unwrap()],
            _ => &mut at[name],
        };
    }
    *at = value;
    file
}

/// `file` without the value at `pointer`.
fn without(mut file: Value, pointer: &str) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = if parent.is_empty() { &mut file } else { file.pointer_mut(parent).unwrap() };
    parent.as_object_mut().unwrap().remove(name).expect("the field is there");
    file
}

fn params(genesis: &Genesis, height: u64) -> &ConsensusParams {
    genesis.spec.consensus_at(height)
}

/// extraData with four validators.
fn extra(format: HeaderFormat) -> String {
    let validators = (1..=4).map(Address::repeat_byte).collect();
    let extra = crate::ExtraData { vanity: vec![0; 32].into(), validators, ..Default::default() };
    hex::encode_prefixed(extra.encode(format))
}

/// A foreign file with these fields in `config`.
fn foreign(format: HeaderFormat, config: Value) -> Value {
    json!({
        "config": config,
        "nonce": "0x0",
        "timestamp": "0x10",
        "gasLimit": "0x2faf0800",
        "difficulty": "0x1",
        "mixHash": crate::header::ISTANBUL_MIX_HASH.to_string(),
        "coinbase": "0x0000000000000000000000000000000000000000",
        "extraData": extra(format),
        "alloc": { "0x00000000000000000000000000000000000000aa": { "balance": "1000" } }
    })
}

#[test]
fn what_is_no_object_is_refused() {
    for text in ["", "[]", "1", "null", "{\"a\":}", "{\"lonja\": 1.5}", "{\"lonja\": -1}", "\"lonja\""] {
        assert!(Genesis::from_json(text).is_err(), "{text}");
    }
    assert_eq!(refused(&json!({})), "difficulty");
}

#[test]
fn the_shape_follows_from_the_content() {
    let rules = |config| params(&read(&foreign(HeaderFormat::Qbft, config)), 1).rules;
    assert_eq!(rules(json!({"chainId": 5, "qbft": {}})), ClientRules::Besu);
    assert_eq!(rules(json!({"chainId": 5, "qbft": {}, "transitions": {}})), ClientRules::Besu);
    assert_eq!(rules(json!({"chainId": 5, "qbft": {}, "transitions": []})), ClientRules::GoQuorum);
    assert_eq!(rules(json!({"chainId": 5, "qbft": {}, "txnsizelimit": 64})), ClientRules::GoQuorum);
    assert_eq!(rules(json!({"chainId": 5, "qbft": {}, "isQuorum": true})), ClientRules::GoQuorum);
}

#[test]
fn block_zero_of_a_foreign_file_is_checked() {
    let good = foreign(HeaderFormat::Qbft, json!({"chainId": 5, "qbft": {}}));
    assert!(read(&good).warnings.is_empty());
    let with_extra = |change: &dyn Fn(&mut crate::ExtraData)| {
        let mut extra =
            crate::ExtraData::decode(&hex::decode(extra(HeaderFormat::Qbft)).unwrap(), HeaderFormat::Qbft)
                .unwrap();
        change(&mut extra);
        with(good.clone(), "/extraData", json!(hex::encode_prefixed(extra.encode(HeaderFormat::Qbft))))
    };
    let bad: [&dyn Fn(&mut crate::ExtraData); 6] = [
        &|extra| extra.seals = vec![crate::Signature([1; 65])],
        &|extra| extra.round = 1,
        &|extra| extra.validators.clear(),
        &|extra| extra.validators[1] = extra.validators[0],
        &|extra| extra.validators[1] = Address::ZERO,
        &|extra| {
            extra.vote = Some(crate::Vote { recipient: Address::repeat_byte(9), kind: crate::VoteKind::Add });
        },
    ];
    for (index, change) in bad.iter().enumerate() {
        assert_eq!(refused(&with_extra(*change)), "extraData", "change {index}");
    }
    let few = read(&with_extra(&|extra| extra.validators.truncate(3)));
    assert_eq!(few.warnings.len(), 1, "{:?}", few.warnings);
    assert_eq!(refused(&with(good.clone(), "/extraData", json!(extra(HeaderFormat::Ibft1)))), "extraData");
    assert_eq!(refused(&with(good.clone(), "/number", json!("0x1"))), "number");
    assert_eq!(refused(&with(good.clone(), "/mixHash", json!("0x12"))), "mixHash");
    assert_eq!(refused(&with(good.clone(), "/gasLimit", json!("0x1ffffffffffffffff"))), "gasLimit");
    assert_eq!(refused(&with(good.clone(), "/gasLimit", json!("0x8000000000000000"))), "gasLimit");
    assert_eq!(refused(&with(good.clone(), "/timestamp", json!(1_767_225_600_000_u64))), "timestamp");
    for name in ["gasLimit", "difficulty", "alloc", "extraData", "config"] {
        assert_eq!(refused(&without(good.clone(), &format!("/{name}"))), name);
    }
    assert_eq!(refused(&with(good, "/surprise", json!(1))), "surprise");
}

#[test]
fn accounts_are_read_with_all_they_have() {
    let file = with(
        foreign(HeaderFormat::Qbft, json!({"chainId": 5, "qbft": {}})),
        "/alloc",
        json!({
            "00000000000000000000000000000000000000Aa": {
                "balance": "0x10", "nonce": "7", "code": "0x6001", "comment": "a contract",
                "storage": { "0x1": "0x02", "ff": "00", "0x2": "03" }
            },
            "0x00000000000000000000000000000000000000bb": { "balance": "0" }
        }),
    );
    let genesis = read(&file);
    let contract = address!("00000000000000000000000000000000000000aa");
    let account = &genesis.alloc[&contract];
    assert_eq!((account.balance, account.nonce), (U256::from(16), 7));
    assert_eq!(
        account.storage,
        BTreeMap::from([(U256::from(1), U256::from(2)), (U256::from(2), U256::from(3))])
    );
    let changes = genesis.state_changes();
    assert_eq!(changes.codes.values().next().unwrap().as_ref(), hex!("6001"));
    assert_eq!(changes.accounts.len(), 2, "an empty account is kept, as the foreign clients keep it");
    assert_eq!(changes.accounts[&contract].storage, account.storage);
    assert_ne!(
        genesis.state_root(),
        read(&with(file.clone(), "/alloc/0x00000000000000000000000000000000000000bb/balance", json!("1")))
            .state_root()
    );

    let refuse = |pointer: &str, value| refused(&with(file.clone(), pointer, value));
    let account = "alloc.00000000000000000000000000000000000000Aa";
    let at = "/alloc/00000000000000000000000000000000000000Aa";
    assert_eq!(refuse(&format!("{at}/balance"), json!("1 ether")), format!("{account}.balance"));
    assert_eq!(refuse(&format!("{at}/code"), json!("6001")), format!("{account}.code"));
    assert_eq!(refuse(&format!("{at}/storage/zz"), json!("0x1")), format!("{account}.storage.zz"));
    assert_eq!(refuse(&format!("{at}/storage/0x01"), json!("0x1")), format!("{account}.storage.0x1"));
    assert_eq!(refuse(&format!("{at}/color"), json!("red")), format!("{account}.color"));
    assert_eq!(refuse("/alloc/0x12", json!({})), "alloc.0x12");
    let twice = "0x00000000000000000000000000000000000000AA";
    assert!(refuse(&format!("/alloc/{twice}"), json!({"balance": "1"})).starts_with("alloc."));
}

/// The example of each shape in the folder `genesis/` is read without a warning, and is one network's worth
/// of rules.
#[test]
fn the_examples_are_good() {
    let lonja = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../genesis/example-lonja.json"));
    let goquorum = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../genesis/example-goquorum.json"));
    let besu = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../genesis/example-besu.json"));
    for (text, rules) in
        [(lonja, ClientRules::Besu), (goquorum, ClientRules::GoQuorum), (besu, ClientRules::Besu)]
    {
        let genesis = Genesis::from_json(text).unwrap();
        assert!(genesis.warnings.is_empty(), "{:?}", genesis.warnings);
        assert_eq!(params(&genesis, 0).rules, rules);
        assert!(params(&genesis, 100_000).block_period_ms < params(&genesis, 99_999).block_period_ms);
        assert_eq!((genesis.spec.chain_id, genesis.alloc.len()), (1337, 1));
    }
}
