use super::*;

fn besu(config: Value) -> Value {
    let mut file = foreign(HeaderFormat::Qbft, json!({"chainId": 10, "berlinBlock": 0}));
    for (name, value) in config.as_object().unwrap() {
        file["config"][name] = value.clone();
    }
    file
}

#[test]
fn defaults_are_besus() {
    let genesis = read(&besu(json!({"qbft": {}})));
    let params = params(&genesis, 7);
    assert_eq!((params.block_period_ms, params.empty_block_period_ms), (1_000, 1_000));
    assert_eq!((params.request_timeout_ms, params.epoch_length), (1_000, 30_000));
    assert_eq!((params.rules, params.quorum), (ClientRules::Besu, QuorumRule::CeilTwoThirds));
    assert!(!genesis.spec.free_gas);
    assert_eq!((genesis.spec.fork_at(0, 0), genesis.header.base_fee_per_gas), (Fork::Berlin, None));
    let limits = genesis.spec.limits_at(0);
    assert_eq!((limits.code_size, limits.gas_limit), (24_576, None));
}

#[test]
fn settings_and_transitions_are_read() {
    let who = "0x00000000000000000000000000000000000000ab";
    let set = json!([
        Address::repeat_byte(7),
        Address::repeat_byte(8),
        Address::repeat_byte(9),
        Address::repeat_byte(6)
    ]);
    let genesis = read(&besu(json!({
        "contractSizeLimit": 65536,
        "qbft": {
            "epochLength": 50, "blockPeriodSeconds": 4, "requestTimeoutSeconds": 8, "xemptyblockperiodseconds": 60,
            "messageQueueLimit": 1000, "blockReward": "0x10", "miningBeneficiary": who
        },
        "transitions": {"qbft": [
            {"block": 10, "xblockperiodmilliseconds": 250, "xemptyblockperiodseconds": 0},
            {"block": 20, "validatorselectionmode": "blockheader", "validators": set, "miningbeneficiary": ""},
            {"block": 30, "blockreward": "17"}
        ]}
    })));
    let at = |height| params(&genesis, height);
    assert_eq!((at(9).block_period_ms, at(10).block_period_ms), (4_000, 250));
    assert_eq!((at(9).empty_block_period_ms, at(10).empty_block_period_ms), (60_000, 250));
    assert_eq!((at(9).epoch_length, at(9).request_timeout_ms), (50, 8_000));
    assert_eq!((at(19).beneficiary, at(20).beneficiary), (Some(who.parse().unwrap()), None));
    assert_eq!(at(20).validators.as_ref().map(Vec::len), Some(4));
    assert_eq!((&at(19).validators, &at(30).validators), (&None, &None));
    assert_eq!((at(29).block_reward, at(30).block_reward), (U256::from(16), U256::from(17)));
    assert_eq!(genesis.spec.limits_at(0).code_size, 65_536);
    assert!(genesis.warnings.iter().any(|warning| warning.contains("messagequeuelimit")));
}

#[test]
fn a_constant_base_fee_of_zero_is_supported() {
    let file = besu(json!({"qbft": {}, "londonBlock": 0, "zeroBaseFee": true}));
    let genesis = read(&file);
    assert_eq!(genesis.spec.fork_at(0, 16), Fork::London);
    assert_eq!(genesis.header.base_fee_per_gas, Some(1_000_000_000), "block 0 has the usual first base fee");
    let stated = read(&with(file, "/baseFeePerGas", json!("0x0")));
    assert_eq!(stated.header.base_fee_per_gas, Some(0));
    assert_ne!(genesis.hash(), stated.hash());
    let later = read(&besu(json!({"qbft": {}, "londonBlock": 9, "zeroBaseFee": true, "shanghaiTime": 100})));
    assert_eq!(later.header.base_fee_per_gas, None);
    assert_eq!(later.spec.fork_at(9, 99), Fork::London);
    assert_eq!(later.spec.fork_at(10, 100), Fork::Shanghai);
    assert!(later.spec.forks.contains(&(Fork::Shanghai, ForkStart::Time(100))));
}

#[test]
fn ibft2_is_read_alone_and_before_qbft() {
    let file = foreign(
        HeaderFormat::Ibft2,
        json!({"chainId": 10, "berlinBlock": 0, "ibft2": {"blockperiodseconds": 2}}),
    );
    let genesis = read(&file);
    assert_eq!(params(&genesis, 1).format, HeaderFormat::Ibft2);
    assert_eq!(genesis.hash(), genesis.header.hash_slow(), "block 0 is hashed as it stands");
    let moved = with(file, "/config/qbft", json!({"startBlock": 7}));
    let moved =
        read(&with(moved, "/config/transitions", json!({"ibft2": [{"block": 3, "blockperiodseconds": 5}]})));
    let at = |height| params(&moved, height);
    assert_eq!((at(6).format, at(7).format), (HeaderFormat::Ibft2, HeaderFormat::Qbft));
    assert_eq!((at(2).block_period_ms, at(3).block_period_ms, at(7).block_period_ms), (2_000, 5_000, 1_000));
}

#[test]
fn mistakes_are_named() {
    let entry = |entry: Value| json!({"qbft": {}, "transitions": {"qbft": [entry]}});
    let table = [
        (json!({}), "config.qbft"),
        (json!({"qbft": {}, "ethash": {}}), "config.ethash"),
        (json!({"qbft": {}, "londonBlock": 0}), "config.londonBlock"),
        (json!({"qbft": {}, "londonBlock": 0, "zeroBaseFee": false}), "config.londonBlock"),
        (
            json!({"qbft": {}, "londonBlock": 0, "zeroBaseFee": true, "shanghaiTime": 0}),
            "config.shanghaiTime",
        ),
        (json!({"qbft": {}, "shanghaiTime": 100}), "config.shanghaiTime"),
        (json!({"qbft": {}, "cancunTime": 100}), "config.cancunTime"),
        (json!({"qbft": {}, "fixedBaseFee": true}), "config.fixedBaseFee"),
        (json!({"qbft": {}, "surprise": 0}), "config.surprise"),
        (json!({"qbft": {}, "ibft2": {}}), "config.qbft"),
        (json!({"qbft": {"startBlock": 3}}), "config.qbft"),
        (json!({"qbft": {"epochlength": 0}}), "config.qbft.epochlength"),
        (json!({"qbft": {"surprise": 0}}), "config.qbft.surprise"),
        (json!({"qbft": {"validatorselectionmode": "contract"}}), "config.qbft.validatorcontractaddress"),
        (
            json!({"qbft": {
                "validatorselectionmode": "blockheader", "validatorcontractaddress": Address::repeat_byte(1)
            }}),
            "config.qbft.validatorselectionmode",
        ),
        (
            json!({"ibft2": {"validatorcontractaddress": Address::repeat_byte(1)}}),
            "config.ibft2.validatorcontractaddress",
        ),
        (json!({"qbft": {}, "permissions": {"nodes": null}}), "config.permissions.nodes"),
        (json!({"qbft": {}, "permissions": {"Nodes": Address::repeat_byte(1)}}), "config.permissions.Nodes"),
        (
            entry(json!({"block": 1, "validatorcontractaddress": Address::repeat_byte(1)})),
            "config.transitions.qbft[0].validatorselectionmode",
        ),
        (
            entry(json!({"block": 1, "validatorselectionmode": "contract"})),
            "config.transitions.qbft[0].validatorcontractaddress",
        ),
        (
            entry(json!({"block": 1, "permissions": {"accounts": "0x1"}})),
            "config.transitions.qbft[0].permissions.accounts",
        ),
        (json!({"qbft": {}, "transitions": {"clique": []}}), "config.transitions.clique"),
        (entry(json!({"blockperiodseconds": 1})), "config.transitions.qbft[0].block"),
        (entry(json!({"block": 1, "surprise": 1})), "config.transitions.qbft[0].surprise"),
        (
            entry(json!({"block": 1, "validatorselectionmode": "blockheader"})),
            "config.transitions.qbft[0].validators",
        ),
        (
            entry(json!({"block": 1, "validatorselectionmode": "any"})),
            "config.transitions.qbft[0].validatorselectionmode",
        ),
    ];
    for (config, field) in table {
        assert_eq!(refused(&besu(config.clone())), field, "{config}");
    }
    let twice = json!({"qbft": {}, "transitions": {"qbft": [{"block": 2}, {"block": 2}]}});
    assert_eq!(refused(&besu(twice)), "config.transitions.qbft[1].block");
}

/// A file in contract mode, as Besu takes it: its extraData lists nobody.
fn by_contract() -> Value {
    let empty = crate::ExtraData { vanity: vec![0; 32].into(), ..Default::default() };
    let file = besu(json!({"qbft": {"validatorcontractaddress": Address::repeat_byte(0xc1)}}));
    with(file, "/extraData", json!(hex::encode_prefixed(empty.encode(HeaderFormat::Qbft))))
}

#[test]
fn a_contract_may_name_the_first_validators() {
    let mut genesis = read(&by_contract());
    assert!(genesis.needs_first_validators());
    assert_eq!(params(&genesis, 1).validator_contract, Some(Address::repeat_byte(0xc1)));
    assert!(
        genesis.warnings.iter().any(|warning| warning.contains("do not commit")),
        "{:?}",
        genesis.warnings
    );
    assert!(genesis.warnings.iter().any(|warning| warning.contains("has no code")), "{:?}", genesis.warnings);
    assert!(genesis.explain().contains("what the contract answers on the state of block 0"));
    let (hash, rules) = (genesis.hash(), genesis.spec.rule_ids(genesis.hash()));
    for wrong in [vec![], vec![Address::ZERO], vec![Address::repeat_byte(1); 2]] {
        assert!(genesis.set_first_validators(wrong).is_err());
        assert!(genesis.needs_first_validators(), "nothing has changed");
    }
    let list: Vec<_> = [3, 1, 2].map(Address::repeat_byte).to_vec();
    genesis.set_first_validators(list.clone()).unwrap();
    assert!(!genesis.needs_first_validators());
    let sorted: Vec<_> = [1, 2, 3].map(Address::repeat_byte).to_vec();
    assert_eq!(params(&genesis, 0).validators, Some(sorted));
    assert_eq!(genesis.hash(), hash, "the header stays");
    assert_ne!(genesis.spec.rule_ids(hash), rules);
    assert!(genesis.explain().contains(&list[0].to_string()));
    assert!(genesis.warnings.iter().any(|warning| warning.starts_with("3 validators")));
    assert!(genesis.set_first_validators(list).is_err(), "once");

    // A header that lists them is enough, and without a contract nobody else could.
    let listed = with(by_contract(), "/extraData", json!(extra(HeaderFormat::Qbft)));
    assert!(!read(&listed).needs_first_validators());
    assert!(read(&listed).set_first_validators(vec![Address::repeat_byte(1)]).is_err());
    assert_eq!(refused(&without(by_contract(), "/config/qbft/validatorcontractaddress")), "extraData");
}

#[test]
fn permissions_stand_in_config_and_change_with_blocks() {
    let [nodes, accounts, other] = [1, 2, 3].map(Address::repeat_byte);
    let genesis = read(&besu(json!({
        "qbft": {},
        "permissions": {"nodes": {"contract": nodes, "interface": 1}, "accounts": accounts},
        "transitions": {"qbft": [
            {"block": 7, "permissions": {"nodes": other}},
            {"block": 9, "blockperiodseconds": 3},
            {"block": 11, "permissions": {"accounts": null}}
        ]}
    })));
    let at = |number| *genesis.spec.permissions_at(number);
    let first = NodeRule { contract: nodes, form: ConnectionForm::Words };
    assert_eq!((at(0).nodes, at(6).accounts), (Some(first), Some(accounts)));
    let second = NodeRule { contract: other, form: ConnectionForm::Strings };
    assert_eq!((at(7).nodes, at(10).accounts), (Some(second), Some(accounts)));
    assert_eq!((at(11).nodes, at(11).accounts), (Some(second), None));
    assert_eq!(genesis.spec.permissions.len(), 3);
    assert_eq!(read(&besu(json!({"qbft": {}}))).spec.permissions, [(0, Permissions::default())]);
}

#[test]
fn a_contract_is_left_for_a_list() {
    let list = json!([Address::repeat_byte(8), Address::repeat_byte(9)]);
    let genesis = read(&with(
        by_contract(),
        "/config/transitions",
        json!({"qbft": [
            {"block": 5, "validatorselectionmode": "contract", "validatorcontractaddress": Address::repeat_byte(0xc2)},
            {"block": 8, "validatorselectionmode": "blockheader", "validators": list},
            {"block": 9, "blockperiodseconds": 2}
        ]}),
    ));
    let at = |number| params(&genesis, number).validator_contract;
    assert_eq!([4, 5, 7].map(at), [0xc1, 0xc2, 0xc2].map(|byte| Some(Address::repeat_byte(byte))));
    assert_eq!([8, 9].map(at), [None, None]);
    let commits: Vec<_> = (0..10).filter(|number| genesis.spec.commits_to_validators(*number)).collect();
    assert_eq!(commits, [1, 2, 3, 4, 5, 6]);
}
