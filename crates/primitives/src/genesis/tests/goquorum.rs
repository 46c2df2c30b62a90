use super::*;

fn quorum(format: HeaderFormat, config: Value) -> Value {
    let mut file = foreign(format, json!({"chainId": 10, "isQuorum": true}));
    for (name, value) in config.as_object().unwrap() {
        file["config"][name] = value.clone();
    }
    file
}

fn qbft(config: Value) -> Value {
    quorum(HeaderFormat::Qbft, config)
}

#[test]
fn defaults_are_goquorums() {
    let genesis = read(&qbft(json!({"qbft": {}})));
    let params = params(&genesis, 7);
    assert_eq!((params.block_period_ms, params.empty_block_period_ms), (5_000, 5_000));
    assert_eq!((params.request_timeout_ms, params.max_request_timeout_ms), (10_000, 600_000));
    assert_eq!((params.epoch_length, params.quorum), (30_000, QuorumRule::CeilTwoThirds));
    assert_eq!((params.block_reward, params.beneficiary, &params.validators), (U256::ZERO, None, &None));
    assert!(genesis.spec.free_gas);
    let limits = genesis.spec.limits_at(0);
    assert_eq!((limits.code_size, limits.init_code_size), (24_576, usize::MAX));
    assert_eq!((limits.transaction_size, limits.gas_limit), (64 * 1024, None));
    assert_eq!(
        read(&with(qbft(json!({"qbft": {}})), "/gasLimit", json!("0x0"))).header.gas_limit,
        800_000_000
    );
}

#[test]
fn names_are_taken_in_any_case_and_zero_is_the_default() {
    let genesis = read(&qbft(json!({
        "QBFT": {"EpochLength": 0, "BLOCKPERIODSECONDS": 2, "emptyBlockPeriodSeconds": 9, "Policy": 1},
        "TXNSIZELIMIT": 100
    })));
    let params = params(&genesis, 0);
    assert_eq!((params.epoch_length, params.block_period_ms), (30_000, 2_000));
    assert_eq!(params.empty_block_period_ms, 9_000);
    assert_eq!(params.proposer_policy, crate::spec::ProposerPolicy::Sticky);
    assert_eq!(genesis.spec.limits_at(0).transaction_size, 100 * 1024);
}

/// In the objects and in transitions, with the defaults where one of the two is not given.
#[test]
fn a_bound_below_the_timeout_of_round_zero_is_refused() {
    let object = |max: u64| qbft(json!({"qbft": {"maxRequestTimeoutSeconds": max}}));
    assert_eq!(refused(&object(1)), "config.qbft.maxRequestTimeoutSeconds");
    assert_eq!(refused(&object(9)), "config.qbft.maxRequestTimeoutSeconds");
    assert_eq!(params(&read(&object(10)), 0).max_request_timeout_ms, 10_000);
    assert_eq!(params(&read(&object(0)), 0).max_request_timeout_ms, 600_000, "0 is absent");
    let later = |entries: Value| {
        let engine = json!({"requesttimeoutseconds": 4, "maxRequestTimeoutSeconds": 8});
        qbft(json!({"qbft": engine, "transitions": entries}))
    };
    let entry = json!([{"block": 5, "maxRequestTimeoutSeconds": 3}]);
    assert_eq!(refused(&later(entry)), "config.transitions[0].maxRequestTimeoutSeconds");
    let entry = json!([{"block": 5, "blockperiodseconds": 1}, {"block": 6, "requesttimeoutseconds": 9}]);
    assert_eq!(refused(&later(entry)), "config.transitions[1].requesttimeoutseconds");
    let together =
        json!([{"block": 5, "requesttimeoutseconds": 9}, {"block": 5, "maxRequestTimeoutSeconds": 20}]);
    assert_eq!(params(&read(&later(together)), 5).max_request_timeout_ms, 20_000);
}

#[test]
fn transitions_add_up_in_their_order() {
    let who = "0x00000000000000000000000000000000000000ab";
    let genesis = read(&qbft(json!({
        "qbft": {"blockReward": "5", "requesttimeoutseconds": 4},
        "transitions": [
            {"block": 10, "blockperiodseconds": 1, "contractsizelimit": 32, "transactionSizeLimit": 128},
            {"block": 20, "2FPlus1Enabled": true, "blockReward": "0x7", "miningBeneficiary": who},
            {"block": 20, "emptyblockperiodseconds": 30, "maxRequestTimeoutSeconds": 60},
            {"block": 30, "2FPlus1Enabled": false, "emptyblockperiodseconds": 0, "beneficiaryMode": "validators"}
        ]
    })));
    let heights: Vec<_> = genesis.spec.consensus.iter().map(|(from, _)| *from).collect();
    assert_eq!(heights, [0, 10, 20, 30]);
    let at = |height| params(&genesis, height);
    assert_eq!((at(9).block_period_ms, at(10).block_period_ms), (5_000, 1_000));
    assert_eq!((at(19).quorum, at(20).quorum), (QuorumRule::CeilTwoThirds, QuorumRule::TwoFPlusOne));
    assert_eq!((at(20).block_reward, at(30).block_reward), (U256::from(7), U256::from(7)));
    assert_eq!((at(20).beneficiary, at(30).beneficiary), (Some(who.parse().unwrap()), None));
    assert_eq!((at(29).empty_block_period_ms, at(30).empty_block_period_ms), (30_000, 1_000));
    assert_eq!((at(19).max_request_timeout_ms, at(20).max_request_timeout_ms), (600_000, 60_000));
    let size = |height| genesis.spec.limits_at(height).transaction_size / 1024;
    assert_eq!((size(9), size(10), size(20)), (64, 128, 64), "a later entry without the field resets it");
    assert_eq!(genesis.spec.limits_at(1000).code_size, 32 * 1024);
}

#[test]
fn an_old_network_moves_to_qbft() {
    let list = json!([
        Address::repeat_byte(7),
        Address::repeat_byte(8),
        Address::repeat_byte(9),
        Address::repeat_byte(6)
    ]);
    let genesis = read(&quorum(
        HeaderFormat::Ibft1,
        json!({
            "istanbul": {"epoch": 100, "policy": 0},
            "transitions": [
                {"block": 50, "algorithm": "QBFT", "epochlength": 200, "validators": list},
                {"block": 60, "blockperiodseconds": 2}
            ]
        }),
    ));
    let at = |height| params(&genesis, height);
    assert_eq!((at(49).format, at(50).format), (HeaderFormat::Ibft1, HeaderFormat::Qbft));
    assert_eq!((at(49).block_period_ms, at(50).block_period_ms, at(60).block_period_ms), (1000, 5000, 2000));
    assert_eq!(at(50).validators.as_ref().map(Vec::len), Some(4));
    assert_eq!((&at(49).validators, &at(60).validators), (&None, &None), "a list replaces the set once");
    assert!(genesis.warnings.iter().any(|warning| warning.contains("transitions[0].validators")));
}

#[test]
fn the_engine_may_come_with_a_transition_at_block_zero() {
    let entry = json!({"block": 0, "algorithm": "qbft", "blockperiodseconds": 3});
    let genesis = read(&qbft(json!({"transitions": [entry]})));
    let params = params(&genesis, 0);
    assert_eq!((params.format, params.block_period_ms), (HeaderFormat::Qbft, 3_000));
    assert_eq!(params.quorum, QuorumRule::CeilTwoThirds);
    assert_eq!(refused(&qbft(json!({"transitions": [{"block": 1, "algorithm": "qbft"}]}))), "config.qbft");
}

#[test]
fn the_quorum_switches_with_its_block() {
    let genesis = read(&quorum(HeaderFormat::Ibft1, json!({"ibft": {"ceil2Nby3Block": 9}})));
    assert_eq!(params(&genesis, 8).quorum, QuorumRule::TwoFPlusOne);
    assert_eq!(params(&genesis, 9).quorum, QuorumRule::CeilTwoThirds);
    let absent = read(&quorum(HeaderFormat::Ibft1, json!({"ibft": {}})));
    assert_eq!(params(&absent, 0).quorum, QuorumRule::CeilTwoThirds);
    let old = read(&quorum(HeaderFormat::Ibft1, json!({"istanbul": {"ceil2Nby3Block": 9}})));
    assert_eq!(params(&old, 8).quorum, QuorumRule::TwoFPlusOne);
    assert_eq!(params(&old, 9).quorum, QuorumRule::CeilTwoThirds);
}

#[test]
fn code_sizes_hold_from_their_blocks_and_never_below_the_standard() {
    let sizes = json!([{"block": 0, "size": 24}, {"block": 5, "size": 64}]);
    let genesis = read(&qbft(json!({"qbft": {}, "maxCodeSizeConfig": sizes})));
    assert_eq!(genesis.spec.limits_at(4).code_size, 24_576);
    assert_eq!(genesis.spec.limits_at(5).code_size, 65_536);
    assert_eq!(read(&qbft(json!({"qbft": {}, "maxCodeSize": 0}))).spec.limits_at(0).code_size, 24_576);
}

#[test]
fn validators_of_the_config_stand_in_for_an_empty_header_list() {
    let list = json!([
        Address::repeat_byte(1),
        Address::repeat_byte(2),
        Address::repeat_byte(3),
        Address::repeat_byte(4)
    ]);
    let empty =
        crate::ExtraData { vanity: vec![0; 32].into(), ..Default::default() }.encode(HeaderFormat::Qbft);
    let file = qbft(json!({"qbft": {"validators": list}}));
    let genesis = read(&with(file.clone(), "/extraData", json!(hex::encode_prefixed(&empty))));
    assert_eq!(params(&genesis, 0).validators.as_ref().map(Vec::len), Some(4));
    assert_eq!(params(&read(&file), 0).validators, None);
    let other = json!([Address::repeat_byte(1), Address::repeat_byte(2)]);
    assert_eq!(refused(&qbft(json!({"qbft": {"validators": other}}))), "config.qbft.validators");
}

#[test]
fn paid_gas_begins_with_block_zero_or_never() {
    let free = |config| read(&qbft(config)).spec.free_gas;
    assert!(!free(json!({"qbft": {}, "enableGasPriceBlock": 0})));
    assert!(!free(json!({"qbft": {}, "transitions": [{"block": 0, "gasPriceEnabled": true}]})));
    assert!(free(json!({"qbft": {}, "transitions": [{"block": 9, "gasPriceEnabled": false}]})));
    assert_eq!(refused(&qbft(json!({"qbft": {}, "enableGasPriceBlock": 1}))), "config.enableGasPriceBlock");
    let later = json!({"qbft": {}, "transitions": [{"block": 9, "gasPriceEnabled": true}]});
    assert_eq!(refused(&qbft(later)), "config.transitions[0].gasPriceEnabled");
    let kept = json!({"qbft": {}, "enableGasPriceBlock": 0, "transitions": [{"block": 9, "gasPriceEnabled": false}]});
    assert!(!free(kept), "no transition switches off what the genesis switched on");
}

#[test]
fn what_has_no_effect_is_told() {
    let genesis = read(&qbft(json!({
        "qbft": {"allowedFutureBlockTime": 5},
        "qip714Block": 0, "isMPS": false, "londonBlock": 0, "muirGlacierBlock": 0,
        "transitions": [{"block": 5, "miner.gaslimit": 700000000, "enhancedPermissioningEnabled": true}]
    })));
    let told = ["qip714Block", "londonBlock", "allowedFutureBlockTime", "miner.gaslimit"];
    for name in told {
        assert!(
            genesis.warnings.iter().any(|warning| warning.contains(name)),
            "{name}: {:?}",
            genesis.warnings
        );
    }
    assert!(
        !genesis.warnings.iter().any(|warning| warning.contains("isMPS") || warning.contains("muirGlacier"))
    );
}

#[test]
fn mistakes_are_named() {
    let entry = |entry: Value| json!({"qbft": {}, "transitions": [entry]});
    let table = [
        (json!({}), "config.qbft"),
        (json!({"qbft": {}, "clique": {}}), "config.clique"),
        (json!({"qbft": {}, "chainId": 1}), "config.chainId"),
        (json!({"qbft": {}, "chainId": "many"}), "config.chainId"),
        (json!({"qbft": {}, "isQuorum": false}), "config.isQuorum"),
        (json!({"qbft": {}, "surprise": 1}), "config.surprise"),
        (json!({"qbft": {"surprise": 1}}), "config.qbft.surprise"),
        (json!({"qbft": []}), "config.qbft"),
        (json!({"qbft": {"policy": 2}}), "config.qbft.policy"),
        (json!({"qbft": {"blockperiodseconds": 100000}}), "config.qbft.blockperiodseconds"),
        (json!({"qbft": {"beneficiaryMode": "list"}}), "config.qbft.beneficiaryMode"),
        (json!({"qbft": {"beneficiaryMode": "fixed"}}), "config.qbft.miningBeneficiary"),
        (json!({"qbft": {"validatorselectionmode": "contract"}}), "config.qbft.validatorcontractaddress"),
        (json!({"qbft": {"validatorselectionmode": "vote"}}), "config.qbft.validatorselectionmode"),
        (
            json!({"ibft": {
                "validatorselectionmode": "contract", "validatorcontractaddress": Address::repeat_byte(1)
            }}),
            "config.ibft.validatorcontractaddress",
        ),
        (json!({"qbft": {}, "permissions": {"accounts": null}}), "config.permissions.accounts"),
        (json!({"qbft": {}, "permissions": []}), "config.permissions"),
        (
            entry(json!({"block": 1, "validatorselectionmode": "contract"})),
            "config.transitions[0].validatorcontractaddress",
        ),
        (
            entry(json!({"block": 1, "permissions": {"nodes": {"interface": 2}}})),
            "config.transitions[0].permissions.nodes.contract",
        ),
        (json!({"qbft": {"startBlock": 5}}), "config.qbft.startBlock"),
        (json!({"qbft": {}, "ibft": {}}), "config.qbft"),
        (json!({"qbft": {}, "istanbul": {}}), "config.qbft"),
        (json!({"ibft": {}, "istanbul": {}}), "config.istanbul"),
        (json!({"qbft": {}, "txnSizeLimit": 129}), "config.txnSizeLimit"),
        (json!({"qbft": {}, "maxCodeSize": 32}), "config.maxCodeSize"),
        (
            json!({"qbft": {}, "maxCodeSizeConfig": [{"block": 0, "size": 23}]}),
            "config.maxCodeSizeConfig[0].size",
        ),
        (
            json!({"qbft": {}, "maxCodeSizeConfig": [{"block": 1, "size": 32}, {"block": 1, "size": 64}]}),
            "config.maxCodeSizeConfig[1].block",
        ),
        (
            json!({
                "qbft": {}, "maxCodeSizeConfig": [{"block": 1, "size": 32}],
                "transitions": [{"block": 5, "contractsizelimit": 32}]
            }),
            "config.transitions[0].contractsizelimit",
        ),
        (
            json!({"istanbul": {"testQBFTBlock": 5}, "transitions": [{"block": 7, "algorithm": "qbft"}]}),
            "config.transitions[0].algorithm",
        ),
        (json!({"qbft": {}, "byzantiumBlock": 0}), "config.byzantiumBlock"),
        (json!({"qbft": {}, "homesteadBlock": 5, "eip150Block": 4}), "config.eip150Block"),
        (json!({"qbft": {}, "ewasmBlock": 4}), "config.ewasmBlock"),
        (entry(json!({})), "config.transitions[0].block"),
        (entry(json!({"block": 1, "algorithm": "ibft"})), "config.transitions[0].algorithm"),
        (
            entry(json!({"block": 1, "transactionSizeLimit": 31})),
            "config.transitions[0].transactionSizeLimit",
        ),
        (entry(json!({"block": 1, "beneficiaryMode": "Fixed"})), "config.transitions[0].beneficiaryMode"),
        (entry(json!({"block": 1, "validators": []})), "config.transitions[0].validators"),
        (entry(json!({"block": 1, "surprise": 1})), "config.transitions[0].surprise"),
    ];
    for (config, field) in table {
        assert_eq!(refused(&qbft(config.clone())), field, "{config}");
    }
}

#[test]
fn contracts_choose_validators_where_the_mode_says_so() {
    let [first, second] = [0xc1, 0xc2].map(Address::repeat_byte);
    let idle = read(&qbft(json!({"qbft": {"validatorcontractaddress": first}})));
    assert_eq!(params(&idle, 5).validator_contract, None, "GoQuorum too looks at the mode");
    assert!(idle.warnings.iter().any(|warning| warning.contains("has no effect")));
    let genesis = read(&qbft(json!({
        "qbft": {"validatorcontractaddress": first},
        "transitions": [
            {"block": 4, "validatorselectionmode": "Contract"},
            {"block": 6, "validatorselectionmode": "contract", "validatorcontractaddress": second},
            {"block": 8, "validatorselectionmode": "blockheader"},
            {"block": 9, "validatorselectionmode": "contract"}
        ]
    })));
    let at = |number| params(&genesis, number).validator_contract;
    assert_eq!([3, 4, 5].map(at), [None, Some(first), Some(first)]);
    assert_eq!([6, 7, 8, 9].map(at), [Some(second), Some(second), None, Some(second)]);
    assert!(genesis.warnings.iter().any(|warning| warning.contains("do not commit")));

    let moving = json!({
        "ibft": {}, "transitions": [
            {"block": 4, "validatorselectionmode": "contract", "validatorcontractaddress": first},
            {"block": 9, "algorithm": "qbft"}
        ]
    });
    let mut file = foreign(HeaderFormat::Ibft1, json!({"chainId": 10}));
    for (name, value) in moving.as_object().unwrap() {
        file["config"][name] = value.clone();
    }
    assert_eq!(refused(&file), "config.transitions[0].validatorcontractaddress", "not with ibft");

    let empty = crate::ExtraData { vanity: vec![0; 32].into(), ..Default::default() };
    let empty = json!(hex::encode_prefixed(empty.encode(HeaderFormat::Qbft)));
    let engine = json!({"validatorselectionmode": "contract", "validatorcontractaddress": first});
    let open = with(qbft(json!({"isQuorum": true, "qbft": engine})), "/extraData", empty);
    assert!(read(&open).needs_first_validators());
    let list = json!([Address::repeat_byte(1)]);
    assert!(!read(&with(open, "/config/qbft/validators", list)).needs_first_validators());
}

#[test]
fn permissions_hold_from_the_block_that_goquorum_names() {
    let nodes = Address::repeat_byte(1);
    let held = |config: Value| {
        let genesis = read(&qbft(config));
        let heights = [0, 4, 5, 8, 9].into_iter();
        heights.map(|number| genesis.spec.permissions_at(number).nodes.is_some()).collect::<Vec<_>>()
    };
    let permissions = json!({"nodes": nodes});
    let always = json!({"isQuorum": true, "qbft": {}, "permissions": permissions});
    assert_eq!(held(always.clone()), [true; 5]);
    let later = json!({"qbft": {}, "qip714Block": 5, "permissions": permissions});
    assert_eq!(held(later.clone()), [false, false, true, true, true]);
    let switch = |on: bool| json!([{"block": 9, "enhancedPermissioningEnabled": on}]);
    let mut by_transition = always.clone();
    by_transition["transitions"] = switch(true);
    assert_eq!(held(by_transition), [false, false, false, false, true]);
    let mut ended = later;
    ended["transitions"] = switch(false);
    assert_eq!(held(ended), [false, false, true, true, false]);
    let mut changed = always;
    changed["transitions"] = json!([
        {"block": 4, "permissions": {"nodes": null, "system": Address::repeat_byte(2)}},
        {"block": 8, "permissions": {"nodes": {"contract": nodes, "interface": 2}}}
    ]);
    assert_eq!(held(changed.clone()), [true, false, false, true, true]);
    let system = read(&qbft(changed)).spec.permissions_at(99).system;
    assert_eq!(system, Some(Address::repeat_byte(2)));
}
