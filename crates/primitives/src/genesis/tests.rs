//! Genesis files of all shapes: vectors, what is taken, what is refused and by which name.

use super::*;
use crate::spec::{
    ClientRules, ConnectionForm, ConsensusParams, ForkStart, NodeRule, Permissions, QuorumRule,
};
use crate::{Fork, HeaderFormat};
use alloy_primitives::{address, hex};
use serde_json::{Value, json};

mod besu;
mod goquorum;
mod own;
mod privacy;
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
    for text in ["", "[]", "1", "null", "{\"a\":}", "\"lonja\""] {
        assert_eq!(Genesis::from_json(text).unwrap_err().field, "file", "{text}");
    }
}

/// What a file is refused for, in words.
fn reason(file: &Value) -> String {
    Genesis::from_json(&file.to_string()).unwrap_err().to_string()
}

#[test]
fn an_error_says_which_shape_was_assumed() {
    assert_eq!(refused(&json!({})), "config");
    assert!(reason(&json!({})).contains("lonja's own shape has the field lonja"));
    let nearly_own = json!({"chainId": 5, "consensus": {}});
    assert_eq!(refused(&nearly_own), "lonja");
    assert!(reason(&nearly_own).contains("\"lonja\": 1, beside chainId"), "{}", reason(&nearly_own));
    let besu = json!({"chainId": 5, "qbft": {"surprise": 1}, "transitions": {"qbft": []}});
    let text = reason(&foreign(HeaderFormat::Qbft, besu.clone()));
    assert!(text.contains("config.qbft.surprise: ") && text.contains("read as Besu's"), "{text}");
    for (mark, value) in [("isQuorum", json!(true)), ("txnSizeLimit", json!(64))] {
        let text = reason(&foreign(HeaderFormat::Qbft, with(besu.clone(), &format!("/{mark}"), value)));
        assert!(text.contains(&format!("read as GoQuorum's because of config.{mark}")), "{text}");
    }
    let list = foreign(HeaderFormat::Qbft, json!({"chainId": 5, "qbft": {"x": 1}, "transitions": []}));
    assert!(reason(&list).contains("because of the list config.transitions"), "{}", reason(&list));
}

#[test]
fn numbers_that_are_none_are_named() {
    let own = json!({"lonja": 1, "chainId": 5, "consensus": {"validators": [], "epochLength": 7}});
    let quorum = json!({"chainId": 5, "isQuorum": true, "qbft": {"epochLength": 7}});
    let besu = json!({"chainId": 5, "qbft": {"epochLength": 7}});
    let shapes = [
        (own, "consensus.epochLength"),
        (foreign(HeaderFormat::Qbft, quorum), "config.qbft.epochlength"),
        (foreign(HeaderFormat::Qbft, besu), "config.qbft.epochlength"),
    ];
    let numbers = [
        ("-7", "negative"),
        ("-7.5", "negative"),
        ("7.5", "whole"),
        ("7e0", "whole"),
        ("18446744073709551616", "64 bits"),
        ("\"18446744073709551616\"", "64 bits"),
        ("-99999999999999999999", "negative"),
        ("\"-7\"", "digits"),
    ];
    for (file, path) in shapes {
        for (number, part) in numbers {
            let text = file.to_string().replace("\"epochLength\":7", &format!("\"epochLength\":{number}"));
            let error = Genesis::from_json(&text).unwrap_err();
            assert_eq!(error.field, path, "{number}");
            assert!(error.reason.contains(part), "{number}: {error}");
        }
    }
    let file = foreign(HeaderFormat::Qbft, json!({"chainId": 5, "qbft": {}})).to_string();
    let balance = |digits: &str| file.replace("\"1000\"", digits);
    let error = Genesis::from_json(&balance("1000000000000000000000")).unwrap_err();
    assert_eq!(error.field, "alloc.0x00000000000000000000000000000000000000aa.balance");
    Genesis::from_json(&balance("\"1000000000000000000000\"")).unwrap();
}

#[test]
fn a_name_written_twice_in_a_foreign_file_must_say_the_same() {
    for marks in [json!({}), json!({"isQuorum": true})] {
        let mut config = json!({"chainId": 5, "qbft": {"epochLength": 5}});
        config.as_object_mut().unwrap().extend(marks.as_object().unwrap().clone());
        let text = foreign(HeaderFormat::Qbft, config).to_string();
        let read = |entries: &str| Genesis::from_json(&text.replace("\"epochLength\":5", entries));
        for other in ["epochLength", "epochlength", "EPOCHLENGTH"] {
            let error = read(&format!("\"epochLength\":5,\"{other}\":30000")).unwrap_err();
            assert_eq!(error.field, format!("config.qbft.{other}"));
            assert!(error.reason.contains("written twice, as epochLength"), "{error}");
            let same = read(&format!("\"epochLength\":5,\"{other}\":5")).unwrap();
            assert!(same.warnings.iter().any(|warning| warning.contains("written twice")), "{other}");
            for entries in
                [format!("\"epochLength\":5,\"{other}\":null"), format!("\"{other}\":null,\"epochLength\":5")]
            {
                assert_eq!(params(&read(&entries).unwrap(), 1).epoch_length, 5, "{entries}");
            }
        }
        let object = "\"epochLength\":5},\"QBFT\":{\"epochLength\":6";
        assert_eq!(read(object).unwrap_err().field, "config.QBFT");
        let twice = text.replace("\"gasLimit\"", "\"gaslimit\":\"0x1\",\"gasLimit\"");
        assert_eq!(Genesis::from_json(&twice).unwrap_err().field, "gasLimit");
        let in_account = text.replace("\"balance\":\"1000\"", "\"balance\":\"1000\",\"Balance\":\"1001\"");
        let account = "alloc.0x00000000000000000000000000000000000000aa";
        assert_eq!(Genesis::from_json(&in_account).unwrap_err().field, format!("{account}.Balance"));
    }
}

/// Blocks of forks, whether or not lonja has a use for them, stand in their order.
#[test]
fn fork_blocks_out_of_order_contradict_each_other() {
    let all = |marks: Value, changes: Value| {
        let mut config = json!({
            "chainId": 5, "qbft": {}, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0,
            "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0,
            "muirGlacierBlock": 0, "berlinBlock": 0
        });
        for more in [marks, changes] {
            config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        }
        foreign(HeaderFormat::Qbft, config)
    };
    let quorum = || json!({"isQuorum": true});
    let besu = || json!({"londonBlock": 0, "zeroBaseFee": true});
    for (name, next) in [
        ("homesteadBlock", "eip150Block"),
        ("daoForkBlock", "eip150Block"),
        ("eip150Block", "eip155Block"),
        ("eip155Block", "eip158Block"),
        ("petersburgBlock", "istanbulBlock"),
        ("istanbulBlock", "muirGlacierBlock"),
        ("muirGlacierBlock", "berlinBlock"),
    ] {
        for marks in [quorum(), besu()] {
            let file = all(marks, json!({name: 5}));
            assert_eq!(refused(&file), format!("config.{next}"), "{name}");
            assert!(reason(&file).contains(name), "{}", reason(&file));
        }
    }
    assert_eq!(refused(&all(besu(), json!({"berlinBlock": 5}))), "config.londonBlock");
    assert_eq!(
        refused(&all(besu(), json!({"londonBlock": 5, "arrowGlacierBlock": 4}))),
        "config.arrowGlacierBlock"
    );
    assert_eq!(refused(&all(besu(), json!({"constantinopleFixBlock": 0}))), "config.constantinopleFixBlock");
    let older = |block: u64| all(besu(), json!({"petersburgBlock": null, "constantinopleFixBlock": block}));
    assert!(read(&older(0)).spec.forks.contains(&(Fork::Petersburg, ForkStart::Block(0))));
    assert_eq!(refused(&older(3)), "config.istanbulBlock");
    // GoQuorum knows no London, and files for both clients have it where Besu's would be.
    read(&all(quorum(), json!({"berlinBlock": 5, "londonBlock": 0, "arrowGlacierBlock": 0})));
}

/// It changes no verdict on a block that exists, so it is told and not obeyed.
#[test]
fn a_later_begin_of_replay_protection_is_told() {
    for mark in [json!({}), json!({"isQuorum": true})] {
        let file = |eip155: u64| {
            let mut config = json!({
                "chainId": 5, "qbft": {}, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": eip155,
                "eip158Block": 30
            });
            config.as_object_mut().unwrap().extend(mark.as_object().unwrap().clone());
            foreign(HeaderFormat::Qbft, config)
        };
        let told = |eip155| read(&file(eip155)).warnings.iter().any(|w| w.contains("config.eip155Block"));
        assert!(told(25) && told(30) && !told(0));
        assert_eq!(refused(&file(31)), "config.eip158Block");
    }
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
