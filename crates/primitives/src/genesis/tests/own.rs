use super::*;
use crate::genesis::own::{DEFAULT_BLOCK_SIZE_BYTES, DEFAULT_GAS_LIMIT};
use crate::spec::{DigestRule, ProposerPolicy};

fn validators() -> Value {
    json!((1..=4).map(Address::repeat_byte).collect::<Vec<_>>())
}

fn own() -> Value {
    json!({"lonja": 1, "chainId": 1337, "consensus": {"validators": validators()}})
}

#[test]
fn a_short_file_takes_the_defaults() {
    let genesis = read(&own());
    assert!(genesis.warnings.is_empty(), "{:?}", genesis.warnings);
    let spec = &genesis.spec;
    assert_eq!((spec.chain_id, spec.free_gas), (1337, true));
    assert_eq!(spec.fork_at(0, 0), Fork::Osaka);
    assert_eq!(spec.forks.len(), Fork::ALL.len());
    let params = params(&genesis, 0);
    assert_eq!(
        (params.format, params.digest, params.rules),
        (HeaderFormat::Qbft, DigestRule::Eea, ClientRules::Besu)
    );
    assert_eq!((params.block_period_ms, params.empty_block_period_ms), (1_000, 1_000));
    assert_eq!((params.request_timeout_ms, params.max_request_timeout_ms), (3_000, 60_000));
    let limits = spec.limits_at(0);
    assert_eq!((limits.code_size, limits.init_code_size), (24_576, 49_152));
    assert_eq!((limits.block_size, limits.gas_limit), (DEFAULT_BLOCK_SIZE_BYTES, Some(DEFAULT_GAS_LIMIT)));
}

#[test]
fn block_zero_is_an_istanbul_block() {
    let genesis = read(&own());
    let header = genesis.header.header();
    assert_eq!((header.number, header.timestamp, header.gas_limit), (0, 0, DEFAULT_GAS_LIMIT));
    assert_eq!((header.base_fee_per_gas, header.difficulty), (Some(0), U256::from(1)));
    assert_eq!(header.mix_hash, crate::header::ISTANBUL_MIX_HASH);
    assert_eq!(header.state_root, alloy_trie::EMPTY_ROOT_HASH);
    assert_eq!((header.withdrawals_root, header.blob_gas_used, header.requests_hash), (None, None, None));
    let extra = crate::ExtraData::decode(&header.extra_data, HeaderFormat::Qbft).unwrap();
    assert_eq!((extra.vanity.len(), extra.validators.len()), (32, 4));
    let reversed: Vec<_> = (1..=4).rev().map(Address::repeat_byte).collect();
    let other = read(&with(own(), "/consensus/validators", json!(reversed)));
    assert_eq!(other.hash(), genesis.hash(), "the order of the validators in the file does not matter");
    let berlin = read(&with(own(), "/fork", json!("berlin")));
    assert_eq!((berlin.header.base_fee_per_gas, berlin.spec.fork_at(99, 99)), (None, Fork::Berlin));
}

#[test]
fn every_field_is_heard() {
    let genesis = read(&json!({
        "lonja": 1, "chainId": "0x10", "freeGas": false, "timestamp": 99,
        "forks": {"berlin": 0, "osaka": 5},
        "consensus": {
            "validators": validators(), "blockPeriodSeconds": 2, "emptyBlockPeriodSeconds": 10, "requestTimeoutMs": 1500,
            "maxRequestTimeoutSeconds": 20, "epochLength": 7, "proposerPolicy": "sticky", "quorum": "2f+1",
            "digest": "goquorum", "rules": "goquorum", "blockReward": "0x9", "beneficiary": Address::repeat_byte(5)
        },
        "limits": {
            "codeSizeBytes": 100000, "initCodeSizeBytes": 150000, "transactionSizeBytes": 200000,
            "blockSizeBytes": 1000000, "gasLimit": 5000000
        },
        "alloc": {(Address::repeat_byte(1).to_string()): {"balance": "1", "nonce": 2, "code": "0x00"}}
    }));
    let params = params(&genesis, 0);
    assert_eq!((params.block_period_ms, params.empty_block_period_ms), (2_000, 10_000));
    assert_eq!((params.request_timeout_ms, params.max_request_timeout_ms), (1_500, 20_000));
    assert_eq!((params.epoch_length, params.proposer_policy), (7, ProposerPolicy::Sticky));
    assert_eq!((params.quorum, params.digest), (QuorumRule::TwoFPlusOne, DigestRule::GoQuorum));
    assert_eq!((params.rules, params.block_reward), (ClientRules::GoQuorum, U256::from(9)));
    assert_eq!(params.beneficiary, Some(Address::repeat_byte(5)));
    let spec = &genesis.spec;
    assert_eq!((spec.chain_id, spec.free_gas, genesis.header.timestamp), (16, false, 99));
    assert_eq!((spec.fork_at(4, 0), spec.fork_at(5, 0)), (Fork::Berlin, Fork::Osaka));
    assert!(spec.forks.contains(&(Fork::Homestead, ForkStart::Block(0))));
    assert!(spec.forks.contains(&(Fork::London, ForkStart::Block(5))));
    let limits = spec.limits_at(0);
    assert_eq!(
        (limits.code_size, limits.init_code_size, limits.transaction_size),
        (100_000, 150_000, 200_000)
    );
    assert_eq!((limits.block_size, limits.gas_limit), (1_000_000, Some(5_000_000)));
    assert_eq!(genesis.header.gas_limit, 5_000_000);
    assert!(genesis.warnings.iter().any(|warning| warning.contains("2f+1")));
}

#[test]
fn transitions_change_what_they_name_and_keep_the_rest() {
    let file = with(
        own(),
        "/transitions",
        json!([
            {"block": 10, "consensus": {"blockPeriodMs": 250}, "limits": {"gasLimit": 9000000}},
            {"block": 20, "consensus": {"validators": [Address::repeat_byte(9)], "emptyBlockPeriodMs": 5000}},
            {"block": 30, "limits": {"codeSizeBytes": 30000}},
            {"block": 40, "consensus": {"blockPeriodMs": 300}}
        ]),
    );
    let genesis = read(&file);
    let at = |height| params(&genesis, height);
    assert_eq!((at(9).block_period_ms, at(10).block_period_ms), (1_000, 250));
    assert_eq!(at(10).empty_block_period_ms, 250, "it follows the block period while it equals it");
    assert_eq!((at(20).empty_block_period_ms, at(40).empty_block_period_ms), (5_000, 5_000));
    assert_eq!(at(20).validators, Some(vec![Address::repeat_byte(9)]));
    assert_eq!((&at(0).validators, &at(40).validators), (&None, &None));
    let limits = |height| genesis.spec.limits_at(height);
    assert_eq!((limits(10).gas_limit, limits(30).gas_limit), (Some(9_000_000), Some(9_000_000)));
    assert_eq!(
        (limits(29).code_size, limits(30).code_size, limits(30).init_code_size),
        (24_576, 30_000, 60_000)
    );
    assert_eq!(genesis.spec.rules_at(30, 0).limits.code_size, 30_000);
}

#[test]
fn mistakes_are_named() {
    let one = json!([Address::repeat_byte(1), Address::repeat_byte(1)]);
    let table = [
        ("/lonja", json!(2), "lonja"),
        ("/chainId", json!(0), "chainId"),
        ("/chainid", json!(1), "chainid"),
        ("/fork", json!("paris"), "fork"),
        ("/forks", json!({}), "forks"),
        ("/forks", json!({"berlin": 1}), "forks.berlin"),
        ("/forks", json!({"berlin": 0, "paris": 1}), "forks.paris"),
        ("/forks", json!({"berlin": 0, "london": 9, "osaka": 8}), "forks.osaka"),
        ("/config", json!({}), "config"),
        ("/freeGas", json!("yes"), "freeGas"),
        ("/consensus/surprise", json!(1), "consensus.surprise"),
        ("/consensus/validators", json!([]), "consensus.validators"),
        ("/consensus/validators", one, "consensus.validators"),
        ("/consensus/validators", json!(["0x12"]), "consensus.validators[0]"),
        ("/consensus/blockPeriodMs", json!(0), "consensus.blockPeriodMs"),
        ("/consensus/blockPeriodMs", json!(86_400_001), "consensus.blockPeriodMs"),
        ("/consensus/blockPeriodSeconds", json!("0xffffffffffffffff"), "consensus.blockPeriodSeconds"),
        ("/consensus/blockPeriodMs", json!(null), "consensus.blockPeriodMs"),
        ("/consensus/emptyBlockPeriodMs", json!(999), "consensus.emptyBlockPeriodMs"),
        ("/consensus/maxRequestTimeoutMs", json!(2999), "consensus.maxRequestTimeoutMs"),
        ("/consensus/epochLength", json!(0), "consensus.epochLength"),
        ("/consensus/quorum", json!("all"), "consensus.quorum"),
        ("/consensus/digest", json!("EEA"), "consensus.digest"),
        ("/limits", json!({"codeSizeBytes": 0}), "limits.codeSizeBytes"),
        ("/limits", json!({"initCodeSizeBytes": 24575}), "limits.initCodeSizeBytes"),
        ("/limits", json!({"blockSizeBytes": 10_000_000}), "limits.blockSizeBytes"),
        ("/limits", json!({"transactionSizeBytes": 8_388_608}), "limits.transactionSizeBytes"),
        ("/limits", json!({"gasLimit": 9_007_199_254_740_992_u64}), "limits.gasLimit"),
        ("/limits", json!({"gasLimit": 21000}), "limits.gasLimit"),
        (
            "/alloc",
            json!({(Address::ZERO.to_string()): {}}),
            "alloc.0x0000000000000000000000000000000000000000",
        ),
        ("/transitions", json!([{"consensus": {}}]), "transitions[0].block"),
        ("/transitions", json!([{"block": 0, "limits": {}}]), "transitions[0].block"),
        ("/transitions", json!([{"block": 5}]), "transitions[0].block"),
        ("/consensus/validatorContract", json!(null), "consensus.validatorContract"),
        ("/consensus/validatorContract", json!(Address::ZERO), "consensus.validatorContract"),
        ("/consensus/validatorContract", json!("0x12"), "consensus.validatorContract"),
        ("/permissions", json!([]), "permissions"),
        ("/permissions", json!({"node": Address::repeat_byte(1)}), "permissions.node"),
        ("/permissions", json!({"accounts": null}), "permissions.accounts"),
        ("/permissions", json!({"nodes": Address::ZERO}), "permissions.nodes"),
        ("/permissions", json!({"nodes": true}), "permissions.nodes"),
        ("/permissions", json!({"nodes": {"interface": 1}}), "permissions.nodes.contract"),
        (
            "/permissions",
            json!({"nodes": {"contract": Address::repeat_byte(1), "interface": 3}}),
            "permissions.nodes.interface",
        ),
        (
            "/permissions",
            json!({"nodes": {"contract": Address::repeat_byte(1), "version": 1}}),
            "permissions.nodes.version",
        ),
        (
            "/transitions",
            json!([{"block": 5, "permissions": {"quota": null}}]),
            "transitions[0].permissions.quota",
        ),
        (
            "/transitions",
            json!([{"block": 5, "permissions": {}}, {"block": 4, "limits": {}}]),
            "transitions[1].block",
        ),
        (
            "/transitions",
            json!([{"block": 5, "limits": {}}, {"block": 5, "consensus": {}}]),
            "transitions[1].block",
        ),
        ("/transitions", json!([{"block": 5, "limits": {}, "fork": "osaka"}]), "transitions[0].fork"),
        (
            "/transitions",
            json!([{"block": 5, "consensus": {"blockPeriodMs": 1, "blockPeriodSeconds": 1}}]),
            "transitions[0].consensus.blockPeriodSeconds",
        ),
    ];
    for (pointer, value, field) in table {
        assert_eq!(refused(&with(own(), pointer, value.clone())), field, "{pointer} {value}");
    }
    assert_eq!(refused(&without(own(), "/consensus")), "consensus");
    assert_eq!(refused(&without(own(), "/consensus/validators")), "consensus.validators");
    assert_eq!(refused(&without(own(), "/chainId")), "chainId");
    let both = with(with(own(), "/fork", json!("osaka")), "/forks", json!({"osaka": 0}));
    assert_eq!(refused(&both), "forks");
    let fits = with(own(), "/limits", json!({"blockSizeBytes": 1_000_000, "transactionSizeBytes": 900_000}));
    let too_small = with(fits, "/transitions", json!([{"block": 5, "limits": {"blockSizeBytes": 500_000}}]));
    assert_eq!(refused(&too_small), "transitions[0].limits.blockSizeBytes");
}

#[test]
fn a_name_written_twice_is_refused() {
    let text = own().to_string().replace("\"chainId\":1337", "\"chainId\":1337,\"chainId\":1337");
    assert_eq!(Genesis::from_json(&text).unwrap_err().field, "chainId");
    let text =
        own().to_string().replace("{\"validators\"", "{\"epochLength\":3,\"epochLength\":4,\"validators\"");
    assert_eq!(Genesis::from_json(&text).unwrap_err().field, "consensus.epochLength");
}

fn new_network() -> NewNetwork {
    let account = GenesisAccount {
        balance: U256::MAX,
        nonce: 1,
        code: hex!("60016002").into(),
        storage: BTreeMap::from([(U256::from(1), U256::MAX)]),
    };
    NewNetwork {
        chain_id: 1337,
        validators: (1..=4).map(Address::repeat_byte).collect(),
        alloc: BTreeMap::from([(Address::repeat_byte(0xaa), account)]),
        timestamp: 1_767_225_600,
        ..NewNetwork::default()
    }
}

#[test]
fn a_written_file_reads_back() {
    let short = new_network();
    let genesis = Genesis::from_json(&short.to_json()).unwrap();
    assert_eq!(genesis.alloc, short.alloc);
    assert_eq!(genesis.header.timestamp, short.timestamp);
    assert!(genesis.warnings.is_empty());
    let long = NewNetwork {
        free_gas: Some(false),
        fork: Some(Fork::Shanghai),
        block_period_ms: Some(200),
        empty_block_period_ms: Some(400),
        request_timeout_ms: Some(600),
        max_request_timeout_ms: Some(800),
        epoch_length: Some(10),
        gas_limit: Some(20_000_000),
        code_size_bytes: Some(40_000),
        transaction_size_bytes: Some(50_000),
        validator_contract: Some(Address::repeat_byte(0xaa)),
        permissions: Permissions {
            nodes: Some(NodeRule { contract: Address::repeat_byte(0xaa), form: ConnectionForm::Words }),
            accounts: Some(Address::repeat_byte(0xaa)),
            system: Some(Address::repeat_byte(0xcc)),
            quotas: None,
        },
        balances: BTreeMap::from([(Address::repeat_byte(0xbb), U256::from(5))]),
        ..short
    };
    let genesis = Genesis::from_json(&long.to_json()).unwrap();
    assert_eq!(genesis.alloc[&Address::repeat_byte(0xbb)].balance, U256::from(5));
    let params = params(&genesis, 0);
    assert_eq!((params.block_period_ms, params.empty_block_period_ms), (200, 400));
    assert_eq!(
        (params.request_timeout_ms, params.max_request_timeout_ms, params.epoch_length),
        (600, 800, 10)
    );
    assert_eq!(params.validator_contract, long.validator_contract);
    assert_eq!(genesis.spec.permissions, [(0, long.permissions)]);
    assert_eq!(
        genesis.warnings,
        [format!("permissions.system: the contract {} has no code in block 0", Address::repeat_byte(0xcc))]
    );
    let limits = genesis.spec.limits_at(0);
    assert_eq!(
        (limits.gas_limit, limits.code_size, limits.transaction_size),
        (Some(20_000_000), 40_000, 50_000)
    );
    assert_eq!((genesis.spec.fork_at(0, 0), genesis.spec.free_gas), (Fork::Shanghai, false));
}

#[test]
fn the_rules_are_told_with_their_blocks() {
    let list = json!([{"block": 10, "consensus": {"blockPeriodMs": 250}, "limits": {"gasLimit": 9000000}}]);
    let genesis = read(&with(own(), "/transitions", list));
    let text = genesis.explain();
    let hash = genesis.hash().to_string();
    for part in [
        hash.as_str(),
        "1337",
        "Consensus from block 10\n",
        "250 ms",
        "Limits from block 10\n",
        "9000000",
        "osaka",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let later = text.split("Consensus from block 10").nth(1).unwrap();
    assert!(!later.contains("epoch"), "what did not change is not repeated:\n{later}");
}

#[test]
fn contracts_come_and_go_with_transitions() {
    let [first, second] = [0xc1, 0xc2].map(Address::repeat_byte);
    let file = with(own(), "/consensus/validatorContract", json!(first));
    let file = with(file, "/permissions", json!({"nodes": first, "accounts": first, "system": second}));
    let genesis = read(&with(
        file,
        "/transitions",
        json!([
            {"block": 10, "consensus": {"blockPeriodMs": 250}},
            {"block": 20, "consensus": {"validators": validators()}, "permissions": {"accounts": null}},
            {"block": 30, "consensus": {"validatorContract": null}, "permissions": {"quotas": second}},
            {"block": 40, "consensus": {"validatorContract": second}}
        ]),
    ));
    let at = |number| params(&genesis, number).validator_contract;
    assert_eq!([0, 10, 20, 29].map(at), [Some(first); 4]);
    assert_eq!([30, 39, 40].map(at), [None, None, Some(second)]);
    assert_eq!(params(&genesis, 0).validators, None, "they are in the header");
    let nodes = NodeRule { contract: first, form: ConnectionForm::Strings };
    let begun = Permissions { nodes: Some(nodes), accounts: Some(first), system: Some(second), quotas: None };
    let without = Permissions { accounts: None, ..begun };
    let metered = Permissions { quotas: Some(second), ..without };
    assert_eq!(genesis.spec.permissions, [(0, begun), (20, without), (30, metered)]);
    let silent: Vec<_> = (0..45).filter(|number| !genesis.spec.commits_to_validators(*number)).collect();
    assert_eq!(silent, [0, 19, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38]);
    let text = genesis.explain();
    for part in [
        "Permissions from block 0\n",
        "Permissions from block 20\n  transactions permitted by  nobody: all are\n",
        "Permissions from block 30\n",
        &format!("validators by  the contract {second}"),
        &format!("what {first} allows, asked with strings"),
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}
