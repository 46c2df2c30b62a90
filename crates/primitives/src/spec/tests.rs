use super::*;
use crate::Genesis;
use crate::genesis::NewNetwork;
use alloy_primitives::{B256, b256};
use std::collections::BTreeSet;

fn spec() -> ChainSpec {
    let network =
        NewNetwork { chain_id: 7, validators: vec![Address::repeat_byte(1)], ..NewNetwork::default() };
    Genesis::from_json(&network.to_json()).unwrap().spec
}

#[test]
fn forks_have_distinct_names_in_order() {
    for fork in Fork::ALL {
        assert_eq!(Fork::from_name(fork.name()), Some(fork));
    }
    assert!(Fork::ALL.is_sorted());
    assert_eq!(Fork::ALL.last(), Some(&Fork::LATEST));
    assert_eq!(Fork::from_name("paris"), None);
}

#[test]
fn rules_hold_from_their_height_and_time() {
    let mut spec = spec();
    spec.forks = vec![
        (Fork::Berlin, ForkStart::Block(0)),
        (Fork::London, ForkStart::Block(10)),
        (Fork::Shanghai, ForkStart::Time(500)),
    ];
    let mut later = spec.consensus[0].1.clone();
    later.block_reward = U256::from(3);
    spec.consensus.push((20, later));
    let mut limits = spec.limits[0].1;
    limits.code_size = 1;
    spec.limits.push((30, limits));
    assert_eq!(spec.fork_at(9, 0), Fork::Berlin);
    assert_eq!(spec.fork_at(10, 499), Fork::London);
    assert_eq!(spec.fork_at(10, 500), Fork::Shanghai);
    assert_eq!(spec.rules_at(19, 0).block_reward, U256::ZERO);
    assert_eq!(spec.rules_at(20, 0).block_reward, U256::from(3));
    assert_ne!(spec.rules_at(29, 0).limits.code_size, 1);
    assert_eq!(spec.rules_at(u64::MAX, 0).limits.code_size, 1);
}

const CONTRACT: Address = Address::repeat_byte(0xcc);

/// Changes of a spec, each of which makes another network of it.
#[test]
fn every_rule_moves_the_identity() {
    type Change = fn(&mut ChainSpec);
    let changes: [Change; 40] = [
        |spec| spec.chain_id += 1,
        |spec| spec.free_gas = !spec.free_gas,
        |spec| spec.forks.truncate(3),
        |spec| spec.forks.last_mut().unwrap().1 = ForkStart::Block(1),
        |spec| spec.consensus[0].1.format = HeaderFormat::Ibft2,
        |spec| spec.consensus[0].1.block_period_ms += 1,
        |spec| spec.consensus[0].1.empty_block_period_ms += 1,
        |spec| spec.consensus[0].1.request_timeout_ms += 1,
        |spec| spec.consensus[0].1.max_request_timeout_ms += 1,
        |spec| spec.consensus[0].1.epoch_length += 1,
        |spec| spec.consensus[0].1.proposer_policy = ProposerPolicy::Sticky,
        |spec| spec.consensus[0].1.quorum = QuorumRule::TwoFPlusOne,
        |spec| spec.consensus[0].1.digest = DigestRule::GoQuorum,
        |spec| spec.consensus[0].1.rules = ClientRules::GoQuorum,
        |spec| spec.consensus[0].1.validators = Some(vec![]),
        |spec| spec.consensus[0].1.validators = Some(vec![Address::ZERO]),
        |spec| spec.consensus[0].1.beneficiary = Some(Address::ZERO),
        |spec| spec.consensus[0].1.block_reward = U256::from(1),
        |spec| spec.consensus.push((9, later_params(spec))),
        |spec| spec.forks.push((Fork::Osaka, ForkStart::Time(7))),
        |spec| spec.limits[0].1.code_size += 1,
        |spec| spec.limits[0].1.init_code_size += 1,
        |spec| spec.limits[0].1.transaction_size += 1,
        |spec| spec.limits[0].1.block_size += 1,
        |spec| spec.limits[0].1.gas_limit = None,
        |spec| spec.consensus[0].1.validator_contract = Some(CONTRACT),
        |spec| {
            spec.permissions[0].1.nodes = Some(NodeRule { contract: CONTRACT, form: ConnectionForm::Strings })
        },
        |spec| {
            spec.permissions[0].1.nodes = Some(NodeRule { contract: CONTRACT, form: ConnectionForm::Words })
        },
        |spec| spec.permissions[0].1.accounts = Some(CONTRACT),
        |spec| spec.permissions[0].1.system = Some(CONTRACT),
        |spec| spec.permissions[0].1.quotas = Some(CONTRACT),
        |spec| spec.permissions[0].1.quotas = Some(Address::ZERO),
        |spec| spec.permissions.push((9, Permissions { accounts: Some(CONTRACT), ..Permissions::default() })),
        |spec| spec.privacy[0].1.transactions = true,
        |spec| spec.privacy[0].1.enhancements = true,
        |spec| spec.privacy[0].1.markers = Some(MarkerRule::SameSigner),
        |spec| spec.privacy[0].1.markers = Some(MarkerRule::AnySigner),
        |spec| spec.privacy[0].1.parties = Some(CONTRACT),
        |spec| spec.privacy[0].1.parties = Some(Address::ZERO),
        |spec| spec.privacy.push((9, Privacy { transactions: true, ..Privacy::default() })),
    ];
    let hash = B256::repeat_byte(1);
    let mut seen = BTreeSet::from([last_id(&spec(), hash), last_id(&spec(), B256::ZERO)]);
    assert_eq!(seen.len(), 2);
    for (index, change) in changes.iter().enumerate() {
        let mut other = spec();
        change(&mut other);
        assert!(seen.insert(last_id(&other, hash)), "change {index} does not move the identity");
        assert!(!spec().changes(&other).is_empty(), "change {index} is not named");
    }
}

fn last_id(spec: &ChainSpec, hash: B256) -> B256 {
    spec.rule_ids(hash).last()
}

fn later_params(spec: &ChainSpec) -> ConsensusParams {
    let params = spec.consensus[0].1.clone();
    ConsensusParams { block_period_ms: params.block_period_ms + 500, ..params }
}

/// With another block period from this block on.
fn with_change(from: u64) -> ChainSpec {
    let mut spec = spec();
    spec.consensus.push((from, later_params(&spec)));
    spec
}

#[test]
fn an_entry_that_changes_nothing_is_no_difference() {
    let hash = B256::repeat_byte(1);
    let mut same = spec();
    same.consensus.push((9, spec().consensus[0].1.clone()));
    same.forks.retain(|(fork, _)| *fork == Fork::LATEST);
    assert_eq!(same.rule_ids(hash), spec().rule_ids(hash));
    assert_eq!(spec().changes(&same), []);
    // A list of validators is an event, also where it is the same as an earlier one.
    let listed = ConsensusParams { validators: Some(vec![Address::ZERO]), ..same.consensus[0].1.clone() };
    let mut once = same.clone();
    once.consensus.push((12, listed.clone()));
    let mut twice = once.clone();
    twice.consensus.push((15, listed));
    assert_ne!(once.rule_ids(hash), twice.rule_ids(hash));
    assert_eq!(once.changes(&twice)[0].from, ForkStart::Block(15));
}

#[test]
fn the_identity_follows_the_head() {
    let hash = B256::repeat_byte(1);
    let (plain, changed) = (spec().rule_ids(hash), with_change(10).rule_ids(hash));
    assert_eq!(plain.at(u64::MAX), RulesNow { id: plain.last(), next_change: None });
    assert_eq!(changed.at(9), RulesNow { id: plain.last(), next_change: Some(10) });
    assert_eq!(changed.at(10), RulesNow { id: changed.last(), next_change: None });
    assert_ne!(plain.last(), changed.last());
}

#[test]
fn nodes_meet_while_their_rules_agree_on_the_blocks_that_exist() {
    let hash = B256::repeat_byte(1);
    let ids = |from: u64| with_change(from).rule_ids(hash);
    let (plain, ten, twelve) = (spec().rule_ids(hash), ids(10), ids(12));
    // Ours, our head, theirs, their head, and what comes of it.
    let table = [
        (&ten, 5, &ten, 5, Ok(None)),
        (&ten, 5, &ten, 50, Ok(None)),
        (&ten, 50, &ten, 5, Ok(None)),
        (&ten, 5, &plain, 5, Ok(Some(10))),
        (&plain, 5, &ten, 9, Ok(Some(10))),
        (&ten, 9, &twelve, 9, Ok(Some(10))),
        (&ten, 10, &plain, 9, Err(RulesDiffer::From(10))),
        (&ten, 9, &plain, 10, Err(RulesDiffer::From(10))),
        (&plain, 10, &ten, 9, Err(RulesDiffer::From(10))),
        (&plain, 9, &ten, 10, Err(RulesDiffer::Unknown { ours: plain.last(), theirs: ten.last() })),
        (&twelve, 11, &ten, 9, Err(RulesDiffer::From(10))),
    ];
    for (index, (ours, head, theirs, their_head, outcome)) in table.into_iter().enumerate() {
        assert_eq!(ours.compare(head, theirs.at(their_head), their_head), outcome, "row {index}");
        let seen_by_them = theirs.compare(their_head, ours.at(head), head);
        assert_eq!(seen_by_them.is_ok(), outcome.is_ok(), "row {index}, the other way round");
    }
    let elsewhere = spec().rule_ids(B256::ZERO).at(0);
    assert!(matches!(plain.compare(0, elsewhere, 0), Err(RulesDiffer::Unknown { .. })));
}

#[test]
fn changes_are_named_once_and_where_they_begin() {
    let mut after = with_change(10);
    after.limits.push((20, Limits { code_size: 5, ..after.limits[0].1 }));
    after.forks.retain(|(fork, _)| *fork != Fork::Osaka);
    after.forks.push((Fork::Osaka, ForkStart::Time(700)));
    let named: Vec<String> = spec().changes(&after).iter().map(ToString::to_string).collect();
    assert_eq!(
        named,
        [
            "from block 0 on, fork: prague instead of osaka",
            "from block 10 on, block period: 1500 ms instead of 1 s",
            "from block 20 on, contract code: 5 bytes instead of 24576 bytes",
            "from time 700 on, fork by time: osaka instead of none",
        ]
    );
}

#[test]
fn a_change_is_past_when_the_chain_has_blocks_for_it() {
    let change = |from| RuleChange { from, rule: "x", before: String::new(), after: String::new() };
    let by_block = change(ForkStart::Block(10));
    assert!(by_block.is_past(10, 0) && by_block.is_past(11, 0) && !by_block.is_past(9, u64::MAX));
    let by_time = change(ForkStart::Time(700));
    assert!(by_time.is_past(1, 700) && !by_time.is_past(u64::MAX, 699));
    let first = change(ForkStart::Block(0));
    assert!(first.is_past(1, 0) && !first.is_past(0, 0), "block 0 is in its own hash");
}

/// The identity of a network without contracts is what it was before there were such rules.
#[test]
fn networks_without_contracts_keep_their_identity() {
    let file = r#"{"lonja":1,"chainId":7,"consensus":{"validators":["0x0101010101010101010101010101010101010101"]},
        "transitions":[{"block":10,"consensus":{"blockPeriodMs":500}},
            {"block":20,"consensus":{"validators":["0x0202020202020202020202020202020202020202"]},
             "limits":{"gasLimit":9000000}}]}"#;
    let genesis = Genesis::from_json(file).unwrap();
    let known = b256!("1232280690ab9cc9ceb944279f11f0c9b77a505a90c9b1051dcf1f9e78c8e542");
    let ids = genesis.spec.rule_ids(genesis.hash());
    assert_eq!(ids.last(), known);
    assert_eq!((ids.at(0).next_change, ids.at(10).next_change), (Some(10), Some(20)));
}

/// Of GoQuorum's and Besu's files too: what they were before there were private transactions, unless a rule of these
/// is switched on, as GoQuorum's files do it by being GoQuorum's.
#[test]
fn only_rules_of_private_transactions_move_the_identity_of_foreign_networks() {
    let [besu, goquorum, switched_off] = FOREIGN.map(|config| {
        let file = format!(
            r#"{{"config":{config},"nonce":"0x0","timestamp":"0x0","gasLimit":"0x2faf0800","difficulty":"0x1",
            "mixHash":"0x63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365","alloc":{{}},
            "extraData":"0xf83aa00000000000000000000000000000000000000000000000000000000000000000d5940101010101010101010101010101010101010101c080c0"}}"#
        );
        let genesis = Genesis::from_json(&file).unwrap();
        genesis.spec.rule_ids(genesis.hash()).last()
    });
    assert_eq!(besu, BESU_ID);
    assert_eq!(switched_off, GOQUORUM_ID);
    assert_ne!(goquorum, GOQUORUM_ID);
}

const BESU_ID: B256 = b256!("00f94d1e0e431c99cfab0b250a055fb66a2c66bb56f053b159722d394daa18d0");
const GOQUORUM_ID: B256 = b256!("da3ffb293b31b9f0e357068100b2b927d0516bfba64b07790c7bc29e8a602d9c");
const FOREIGN: [&str; 3] = [
    r#"{"chainId":7,"qbft":{"blockperiodseconds":2}}"#,
    r#"{"chainId":7,"isQuorum":true,"qbft":{"blockperiodseconds":2}}"#,
    r#"{"chainId":7,"isQuorum":true,"qbft":{"blockperiodseconds":2},"privacy":{"transactions":false}}"#,
];

#[test]
fn markers_have_names() {
    for rule in MarkerRule::ALL {
        assert_eq!(MarkerRule::from_name(rule.name()), Some(rule));
    }
    assert_eq!(MarkerRule::from_name("AnySigner"), None);
}

#[test]
fn private_transactions_begin_with_a_block() {
    let mut after = spec();
    after.privacy.push((10, Privacy::OF_NEW_NETWORKS));
    assert_eq!(after.rules_at(9, 0).privacy, Privacy::default());
    assert_eq!(after.rules_at(10, 0).privacy, Privacy::OF_NEW_NETWORKS);
    let hash = B256::repeat_byte(1);
    assert_eq!(after.rule_ids(hash).at(9), RulesNow { id: last_id(&spec(), hash), next_change: Some(10) });
    let named: Vec<String> = spec().changes(&after).iter().map(ToString::to_string).collect();
    assert_eq!(
        named,
        [
            "from block 10 on, privacy markers: sent to 0x000000000000000000000000000000000000007a by anybody instead of not allowed",
            "from block 10 on, private transactions: allowed instead of not allowed",
            "from block 10 on, protected private contracts: allowed instead of not allowed",
        ]
    );
}

/// By votes, then by contract from block 10 on, a list at 20, by votes again from 30 on.
fn by_contract() -> ChainSpec {
    let mut spec = spec();
    let votes = spec.consensus[0].1.clone();
    let contract = ConsensusParams { validator_contract: Some(CONTRACT), ..votes.clone() };
    let listed = ConsensusParams { validators: Some(vec![Address::repeat_byte(1)]), ..contract.clone() };
    spec.consensus.extend([(10, contract), (20, listed), (30, votes)]);
    spec
}

#[test]
fn headers_commit_where_a_contract_chooses_the_next_validators() {
    let spec = by_contract();
    let commits: Vec<_> = (0..40).filter(|number| spec.commits_to_validators(*number)).collect();
    assert_eq!(commits, (9..=28).filter(|number| *number != 19).collect::<Vec<_>>());
    assert!(!spec.commits_to_validators(u64::MAX));
    let mut always = by_contract();
    always.consensus = vec![always.consensus[1].clone()];
    always.consensus[0].0 = 0;
    assert_eq!(
        (0..4).map(|number| always.commits_to_validators(number)).collect::<Vec<_>>(),
        [false, true, true, true]
    );
    let hash = B256::repeat_byte(1);
    assert_eq!(always.rule_ids(hash).at(0).next_change, None, "one rule from the beginning");
    assert_eq!(spec.validators_listed_at(20).map(<[_]>::len), Some(1));
    assert_eq!((spec.validators_listed_at(19), spec.validators_listed_at(21)), (None, None));
}

/// What a header commits to is a rule of that header: a contract that begins with block 10 is one block late when
/// block 9 is there.
#[test]
fn a_contract_is_a_change_of_the_block_before_it_too() {
    let (plain, contract) = (spec(), by_contract());
    let hash = B256::repeat_byte(1);
    assert_eq!(plain.changes(&contract)[0].from, ForkStart::Block(9));
    assert!(plain.changes(&contract)[0].is_past(9, 0) && !plain.changes(&contract)[0].is_past(8, 0));
    let named: Vec<String> = plain.changes(&contract).iter().map(ToString::to_string).collect();
    assert_eq!(
        named[..2],
        [
            "from block 9 on, headers commit to: the validators of the next block instead of no validators"
                .to_owned(),
            format!("from block 10 on, validators by: the contract {CONTRACT} instead of votes"),
        ]
    );
    let ids = contract.rule_ids(hash);
    let mut at = 0;
    let mut changes = Vec::new();
    while let Some(next) = ids.at(at).next_change {
        changes.push(next);
        at = next;
    }
    // At 29 headers commit no more, at 30 votes begin; 19 and 20 stand around the list, 21 goes on after it.
    assert_eq!(changes, [9, 10, 19, 20, 29, 30]);
    let theirs = plain.rule_ids(hash);
    assert!(theirs.compare(8, ids.at(8), 8).is_ok());
    assert_eq!(theirs.compare(9, ids.at(8), 8), Err(RulesDiffer::From(9)));
}
