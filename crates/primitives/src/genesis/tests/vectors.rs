use super::*;
use alloy_rlp::Decodable;

const GENESIS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/istanbul/genesis.json"));
const TRANSITIONS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/istanbul/transitions.json"));

fn cases(text: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).unwrap();
    file["cases"].as_array().unwrap().clone()
}

fn case(id: &str) -> Genesis {
    let case = cases(GENESIS).into_iter().find(|case| case["id"] == id).unwrap();
    read(&case["genesis"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[test]
fn known_files_give_the_known_hashes() {
    let cases = cases(GENESIS);
    assert_eq!(cases.len(), 3);
    for case in cases {
        let (genesis, expect) = (read(&case["genesis"]), &case["expect"]);
        let id = &case["id"];
        assert_eq!(genesis.state_root().to_string(), text(&expect["state_root"]), "{id}");
        assert_eq!(genesis.hash().to_string(), text(&expect["block_hash"]), "{id}");
        let rlp = alloy_rlp::encode(genesis.header.header());
        assert_eq!(hex::encode_prefixed(&rlp), text(&expect["header_rlp"]), "{id}");
        assert_eq!(&crate::Header::decode(&mut rlp.as_slice()).unwrap(), genesis.header.header(), "{id}");
        let format = genesis.spec.format_at(0);
        assert_eq!(format!("{format:?}").to_lowercase(), text(&case["format"]), "{id}");
        let extra = crate::ExtraData::decode(&genesis.header.extra_data, format).unwrap();
        let validators: Vec<_> = extra.validators.iter().map(hex::encode_prefixed).collect();
        assert_eq!(json!(validators), expect["validators_in_file_order"], "{id}");
    }
}

#[test]
fn a_migrated_network_changes_its_format_at_the_start_block() {
    let genesis = case("ibft1-migration");
    let (before, after) = (params(&genesis, 100), params(&genesis, 101));
    assert_eq!((before.format, after.format), (HeaderFormat::Ibft1, HeaderFormat::Qbft));
    assert_eq!((before.block_period_ms, after.block_period_ms), (5000, 1000));
    assert_eq!((before.epoch_length, after.epoch_length), (100, 30_000));
    assert_eq!((before.quorum, after.quorum), (QuorumRule::CeilTwoThirds, QuorumRule::CeilTwoThirds));
    assert_eq!(genesis.spec.limits_at(0).code_size, 64 * 1024);
    assert_eq!(genesis.spec.limits_at(0).gas_limit, None);
    for (block, fork) in
        [(0, Fork::Frontier), (10, Fork::Homestead), (49, Fork::SpuriousDragon), (80, Fork::Istanbul)]
    {
        assert_eq!(genesis.spec.fork_at(block, 0), fork);
    }
}

#[test]
fn red_t_has_the_old_quorum_and_byzantium() {
    let genesis = case("red-t");
    assert_eq!(genesis.spec.chain_id, 83_584_648_538);
    let last = params(&genesis, u64::MAX);
    assert_eq!((last.format, last.quorum), (HeaderFormat::Ibft1, QuorumRule::TwoFPlusOne));
    assert_eq!((last.rules, last.block_period_ms), (ClientRules::GoQuorum, 1000));
    assert_eq!(genesis.spec.fork_at(8_000_000, u64::MAX), Fork::Byzantium);
    assert!(genesis.spec.free_gas);
}

#[test]
fn the_quickstart_file_has_no_base_fee_although_it_names_london() {
    let genesis = case("quickstart-goquorum-qbft");
    assert_eq!(genesis.header.base_fee_per_gas, None);
    assert_eq!(genesis.spec.fork_at(9_999_999, u64::MAX), Fork::Istanbul);
    assert_eq!(genesis.spec.fork_at(10_000_000, u64::MAX), Fork::Berlin);
    assert!(genesis.warnings.iter().any(|warning| warning.contains("config.londonBlock")));
    let limits = genesis.spec.limits_at(1);
    assert_eq!((limits.code_size, limits.transaction_size), (64 * 1024, 64 * 1024));
    assert_eq!(params(&genesis, 1).block_period_ms, 5000);
}

/// Every case of the table is a question to the resolved spec.
#[test]
fn transitions() {
    let mut asked = 0;
    for case in cases(TRANSITIONS) {
        let id = text(&case["id"]);
        match text(&case["kind"]).as_str() {
            "is_qbft_at" => is_qbft_at(&id, &case),
            "config_at" => config_at(&id, &case),
            "check_transitions" => check_transitions(&id, &case),
            "quorum_at" => quorum_at(&id, &case),
            "validators_after_block" => validators_after_block(&id, &case),
            "validator_contract_at" => validator_contract_at(&id, &case),
            "validator_source" => validator_source(&id, &case["schedule"]),
            other => panic!("{id}: unknown kind {other}"),
        }
        asked += 1;
    }
    assert_eq!(asked, 24);
}

/// A file of a chain that begins with `istanbul`, whose extraData fits its format at block 0.
fn istanbul(config: &Value, transitions: &Value) -> Value {
    let mut object =
        json!({"ceil2Nby3Block": config["ceil2Nby3Block"], "testQBFTBlock": config["testQBFTBlock"]});
    object.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let qbft =
        config["testQBFTBlock"] == json!(0) || transitions[0] == json!({"block": 0, "algorithm": "qbft"});
    let format = if qbft { HeaderFormat::Qbft } else { HeaderFormat::Ibft1 };
    foreign(format, json!({"chainId": 10, "istanbul": object, "transitions": transitions}))
}

fn is_qbft_at(id: &str, case: &Value) {
    let genesis = read(&istanbul(&case["config"], &case["config"]["transitions"]));
    let format = genesis.spec.format_at(case["block"].as_u64().unwrap());
    assert_eq!(json!(format == HeaderFormat::Qbft), case["expect"], "{id}");
}

fn config_at(id: &str, case: &Value) {
    let base = &case["base"];
    let genesis = read(&foreign(
        HeaderFormat::Qbft,
        json!({
            "chainId": 10,
            "qbft": {
                "epochlength": base["epoch"],
                "blockperiodseconds": base["blockPeriod"],
                "requesttimeoutseconds": base["requestTimeoutMs"].as_u64().unwrap() / 1000
            },
            "transitions": case["transitions"]
        }),
    ));
    for (block, expect) in case["expect"].as_object().unwrap() {
        let params = params(&genesis, block.parse().unwrap());
        let have = json!({
            "epoch": params.epoch_length,
            "blockPeriod": params.block_period_ms / 1000,
            "requestTimeoutMs": params.request_timeout_ms
        });
        assert_eq!(&have, expect, "{id} at {block}");
    }
}

fn check_transitions(id: &str, case: &Value) {
    let file = istanbul(&json!({}), &case["transitions"]);
    if case["expect"] == "ok" {
        read(&file);
    } else {
        assert!(refused(&file).starts_with("config.transitions["), "{id}: {}", refused(&file));
    }
}

fn quorum_at(id: &str, case: &Value) {
    let genesis = read(&istanbul(&case["config"], &case["config"]["transitions"]));
    let validators = case["n"].as_u64().unwrap();
    for (block, expect) in case["expect"].as_object().unwrap() {
        let quorum = match params(&genesis, block.parse().unwrap()).quorum {
            QuorumRule::CeilTwoThirds => (2 * validators).div_ceil(3),
            QuorumRule::TwoFPlusOne => 2 * ((validators - 1) / 3) + 1,
        };
        assert_eq!(json!(quorum), *expect, "{id} at {block}");
    }
}

/// The set after block 2 is the one that decides block 3.
fn validators_after_block(id: &str, case: &Value) {
    let overrides = case["overrides"].as_object().unwrap();
    let list: Vec<_> = overrides
        .iter()
        .map(|(block, validators)| json!({"block": block.parse::<u64>().unwrap(), "validators": validators}))
        .collect();
    let genesis =
        read(&foreign(HeaderFormat::Qbft, json!({"chainId": 10, "qbft": {}, "transitions": {"qbft": list}})));
    let after = case["query_after_block"].as_u64().unwrap();
    let set = params(&genesis, after + 1).validators.clone().unwrap();
    let set: Vec<_> = set.iter().map(hex::encode_prefixed).collect();
    assert_eq!(json!(set), case["expect"], "{id}");
    assert_eq!(params(&genesis, after).validators, None, "{id}");
}

/// GoQuorum asks its table without the mode, which it checks elsewhere; a file needs it in every entry.
fn validator_contract_at(id: &str, case: &Value) {
    let mut transitions = case["transitions"].clone();
    let bare = foreign(HeaderFormat::Qbft, json!({"chainId": 10, "qbft": {}, "transitions": transitions}));
    assert_eq!(refused(&bare), "config.transitions[0].validatorselectionmode", "{id}");
    for entry in transitions.as_array_mut().unwrap() {
        entry["validatorselectionmode"] = json!("contract");
    }
    let block = case["block"].as_u64().unwrap();
    for transitions in [transitions.clone(), json!({ "qbft": transitions })] {
        let config = json!({"chainId": 10, "qbft": {}, "transitions": transitions});
        let genesis = read(&foreign(HeaderFormat::Qbft, config));
        assert_eq!(json!(params(&genesis, block).validator_contract), case["expect"], "{id}");
    }
}

/// Besu's schedules by block. lonja's block 0 commits to nothing, so that the header lists who validates block 1 also
/// where the contract begins there.
fn validator_source(id: &str, schedule: &Value) {
    let contract = Address::repeat_byte(0xc1);
    let mut qbft = json!({});
    let mut transitions = Vec::new();
    let mut modes = Vec::new();
    for entry in schedule.as_array().unwrap() {
        let (block, by_contract) = (entry["block"].as_u64().unwrap(), entry["mode"] == "contract");
        modes.push((block, by_contract.then_some(contract)));
        if block == 0 && by_contract {
            qbft["validatorcontractaddress"] = json!(contract);
        } else if by_contract {
            transitions.push(json!({
                "block": block, "validatorselectionmode": "contract", "validatorcontractaddress": contract
            }));
        } else if block > 0 {
            assert!(entry["validators"].is_array(), "{id}");
            let bare = json!({"block": block, "validatorselectionmode": "blockheader"});
            let config = json!({"chainId": 10, "qbft": qbft, "transitions": {"qbft": [bare]}});
            assert_eq!(
                refused(&foreign(HeaderFormat::Qbft, config)),
                "config.transitions.qbft[0].validators"
            );
            let list = [Address::repeat_byte(9)];
            transitions
                .push(json!({"block": block, "validatorselectionmode": "blockheader", "validators": list}));
        }
    }
    let config = json!({"chainId": 10, "qbft": qbft, "transitions": {"qbft": transitions}});
    let genesis = read(&foreign(HeaderFormat::Qbft, config));
    for (block, expect) in modes {
        assert_eq!(params(&genesis, block).validator_contract, expect, "{id} at {block}");
    }
}
