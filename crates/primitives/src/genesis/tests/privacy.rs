use super::*;
use crate::spec::{MarkerRule, Privacy};

const ALL: Privacy = Privacy::OF_NEW_NETWORKS;
const NONE: Privacy = Privacy { transactions: false, enhancements: false, markers: None, parties: None };
/// A contract that names parties.
const PARTIES: Address = Address::repeat_byte(8);
/// What a file of GoQuorum's begins with.
const PLAIN: Privacy = Privacy { transactions: true, ..NONE };

fn own(fields: Value) -> Value {
    let mut file =
        json!({"lonja": 1, "chainId": 1337, "consensus": {"validators": [Address::repeat_byte(1)]}});
    file.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    file
}

fn goquorum(fields: Value) -> Value {
    let mut file = foreign(HeaderFormat::Qbft, json!({"chainId": 10, "isQuorum": true, "qbft": {}}));
    file["config"].as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    file
}

fn besu(fields: Value) -> Value {
    let mut file = foreign(HeaderFormat::Qbft, json!({"chainId": 10, "qbft": {}}));
    file["config"].as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    file
}

fn rules(file: &Value) -> Vec<(u64, Privacy)> {
    read(file).spec.privacy
}

#[test]
fn own_files_have_none_unless_they_say_so() {
    assert_eq!(rules(&own(json!({}))), [(0, NONE)]);
    assert_eq!(rules(&own(json!({"privacy": {}}))), [(0, NONE)]);
    let all = json!({"transactions": true, "enhancements": true, "markers": "anySigner"});
    assert_eq!(rules(&own(json!({ "privacy": all }))), [(0, ALL)]);
    let plain = json!({"transactions": true, "enhancements": false, "markers": null});
    assert_eq!(rules(&own(json!({ "privacy": plain }))), [(0, PLAIN)]);
    let same = json!({"transactions": true, "markers": "sameSigner"});
    let with_same = Privacy { markers: Some(MarkerRule::SameSigner), ..PLAIN };
    assert_eq!(rules(&own(json!({ "privacy": same }))), [(0, with_same)]);
    let named = json!({"transactions": true, "parties": PARTIES});
    assert_eq!(rules(&own(json!({ "privacy": named }))), [(0, Privacy { parties: Some(PARTIES), ..PLAIN })]);
}

#[test]
fn transitions_change_what_they_name_and_keep_the_rest() {
    let file = own(json!({"transitions": [
        {"block": 10, "privacy": {"transactions": true}},
        {"block": 20, "privacy": {"markers": "anySigner"}},
        {"block": 30, "limits": {"gasLimit": 9_000_000}},
        {"block": 40, "privacy": {"enhancements": true}},
        {"block": 50, "privacy": {"markers": null}},
        {"block": 60, "privacy": {"parties": PARTIES}},
        {"block": 70, "privacy": {"parties": null}}
    ]}));
    let markers = Privacy { markers: Some(MarkerRule::AnySigner), ..PLAIN };
    let without = Privacy { markers: None, ..ALL };
    let named = Privacy { parties: Some(PARTIES), ..without };
    let all = [(0, NONE), (10, PLAIN), (20, markers), (40, ALL), (50, without), (60, named), (70, without)];
    assert_eq!(rules(&file), all);
    let genesis = read(&file);
    assert_eq!(genesis.spec.rules_at(39, 0).privacy, markers);
    let text = genesis.explain();
    for part in [
        "Private transactions from block 0\n",
        "Private transactions from block 10\n  private transactions  allowed\n",
        "Private transactions from block 50\n  privacy markers  not allowed\n",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn mistakes_in_own_files_are_named() {
    let table = [
        (json!({"privacy": true}), "privacy"),
        (json!({"privacy": {"transactions": 1}}), "privacy.transactions"),
        (json!({"privacy": {"transactions": null}}), "privacy.transactions"),
        (json!({"privacy": {"Transactions": true}}), "privacy.Transactions"),
        (json!({"privacy": {"transactions": true, "markers": "anysigner"}}), "privacy.markers"),
        (json!({"privacy": {"transactions": true, "markers": true}}), "privacy.markers"),
        (json!({"privacy": {"enhancements": true}}), "privacy.enhancements"),
        (json!({"privacy": {"markers": "anySigner"}}), "privacy.markers"),
        (json!({"privacy": {"parties": PARTIES}}), "privacy.parties"),
        (json!({"privacy": {"transactions": true, "parties": null}}), "privacy.parties"),
        (json!({"privacy": {"transactions": true, "parties": Address::ZERO}}), "privacy.parties"),
        (json!({"chainId": 1, "privacy": {"transactions": true}}), "privacy.transactions"),
        (
            json!({"chainId": 1, "transitions": [{"block": 5, "privacy": {"transactions": true}}]}),
            "privacy.transactions",
        ),
        (
            json!({"transitions": [{"block": 5, "privacy": {"markers": "none"}}]}),
            "transitions[0].privacy.markers",
        ),
        (json!({"transitions": [{"block": 5, "privacy": {"markers": "sameSigner"}}]}), "privacy.markers"),
        (
            json!({"transitions": [{"block": 5, "privacy": {}}, {"block": 5, "limits": {}}]}),
            "transitions[1].block",
        ),
        (
            json!({
                "privacy": {"transactions": true, "enhancements": true},
                "transitions": [{"block": 5, "privacy": {"transactions": false}}]
            }),
            "privacy.enhancements",
        ),
    ];
    for (fields, field) in table {
        assert_eq!(refused(&own(fields.clone())), field, "{fields}");
    }
    let allowed = json!({"chainId": 1, "privacy": {"transactions": false}});
    assert_eq!(rules(&own(allowed)), [(0, NONE)]);
    let error = reason(&own(json!({"chainId": 1, "privacy": {"transactions": true}})));
    assert!(error.contains("id 1") && error.contains("37"), "{error}");
    let error = reason(&json!({"privacy": {}}));
    assert!(error.contains("lonja"), "{error}");
}

#[test]
fn a_new_network_reads_back() {
    let network =
        |privacy| NewNetwork { validators: vec![Address::repeat_byte(1)], privacy, ..NewNetwork::default() };
    let read_back = |privacy| Genesis::from_json(&network(privacy).to_json()).unwrap();
    for privacy in [
        NONE,
        PLAIN,
        ALL,
        Privacy { parties: Some(PARTIES), ..ALL },
        Privacy { markers: Some(MarkerRule::SameSigner), ..ALL },
    ] {
        assert_eq!(read_back(privacy).spec.privacy, [(0, privacy)]);
    }
    assert!(!network(NONE).to_json().contains("privacy"));
    let hash = |privacy| read_back(privacy).hash();
    assert_eq!(hash(NONE), hash(ALL), "block 0 is the same");
}

#[test]
fn goquorums_networks_have_private_transactions_from_the_beginning() {
    assert_eq!(rules(&goquorum(json!({}))), [(0, PLAIN)]);
    let mut unsaid = goquorum(json!({"txnSizeLimit": 64}));
    unsaid["config"].as_object_mut().unwrap().remove("isQuorum");
    assert_eq!(rules(&unsaid), [(0, PLAIN)], "isQuorum need not be there");
    let genesis = read(&goquorum(json!({"isMPS": true})));
    assert!(genesis.warnings.iter().any(|warning| warning.contains("isMPS")));
}

#[test]
fn goquorums_switches_hold_from_their_blocks() {
    let enhanced = Privacy { enhancements: true, ..PLAIN };
    let marked = Privacy { markers: Some(MarkerRule::SameSigner), ..PLAIN };
    let both = Privacy { enhancements: true, ..marked };
    let by_block = goquorum(json!({"privacyEnhancementsBlock": 5, "privacyPrecompileBlock": "0x9"}));
    assert_eq!(rules(&by_block), [(0, PLAIN), (5, enhanced), (9, both)]);
    let from_the_beginning = goquorum(json!({"PrivacyPrecompileBlock": 0}));
    assert_eq!(rules(&from_the_beginning), [(0, marked)]);
    let by_transition = goquorum(json!({"transitions": [
        {"block": 4, "privacyEnhancementsEnabled": true},
        {"block": 6, "privacyPrecompileEnabled": true},
        {"block": 7, "blockperiodseconds": 2},
        {"block": 8, "privacyEnhancementsEnabled": false}
    ]}));
    assert_eq!(rules(&by_transition), [(0, PLAIN), (4, enhanced), (6, both), (8, marked)]);
}

/// Both ways of switching on are asked; a transition only undoes what a transition did.
#[test]
fn no_transition_of_goquorum_switches_off_what_the_config_switched_on() {
    let enhanced = Privacy { enhancements: true, ..PLAIN };
    let file =
        |transitions: Value| goquorum(json!({"privacyEnhancementsBlock": 5, "transitions": transitions}));
    let off = json!([{"block": 8, "privacyEnhancementsEnabled": false}]);
    assert_eq!(rules(&file(off)), [(0, PLAIN), (5, enhanced)]);
    let early = json!([
        {"block": 2, "privacyEnhancementsEnabled": true}, {"block": 3, "privacyEnhancementsEnabled": false}
    ]);
    assert_eq!(rules(&file(early)), [(0, PLAIN), (2, enhanced), (3, PLAIN), (5, enhanced)]);
}

#[test]
fn our_object_is_laid_over_goquorums_switches() {
    let off = goquorum(json!({"privacy": {"transactions": false}}));
    assert_eq!(rules(&off), [(0, NONE)]);
    let later = goquorum(json!({"privacyPrecompileBlock": 0, "privacyEnhancementsBlock": 3, "transitions": [
        {"block": 5, "privacy": {"markers": "anySigner"}},
        {"block": 9, "privacy": {"transactions": false, "enhancements": false, "markers": null}}
    ]}));
    let marked = Privacy { markers: Some(MarkerRule::SameSigner), ..PLAIN };
    let both = Privacy { enhancements: true, ..marked };
    assert_eq!(rules(&later), [(0, marked), (3, both), (5, ALL), (9, NONE)]);
    let table = [
        (json!({"privacyEnhancementsBlock": true}), "config.privacyEnhancementsBlock"),
        (
            json!({"transitions": [{"block": 1, "privacyPrecompileEnabled": 1}]}),
            "config.transitions[0].privacyPrecompileEnabled",
        ),
        (json!({"privacy": {"marker": null}}), "config.privacy.marker"),
        (json!({"privacyPrecompileBlock": 7, "privacy": {"transactions": false}}), "privacy.markers"),
        (json!({"chainId": 1}), "config.chainId"),
    ];
    for (fields, field) in table {
        assert_eq!(refused(&goquorum(fields.clone())), field, "{fields}");
    }
}

#[test]
fn besus_networks_have_none_unless_they_say_so() {
    assert_eq!(rules(&besu(json!({}))), [(0, NONE)]);
    let all = json!({"transactions": true, "enhancements": true, "markers": "anySigner"});
    assert_eq!(rules(&besu(json!({ "privacy": all }))), [(0, ALL)]);
    let later = besu(json!({"transitions": {"qbft": [
        {"block": 7, "privacy": {"transactions": true}}, {"block": 9, "blockperiodseconds": 3}
    ]}}));
    assert_eq!(rules(&later), [(0, NONE), (7, PLAIN)]);
    assert_eq!(refused(&besu(json!({"privacy": {"markers": "anySigner"}}))), "privacy.markers");
    assert_eq!(
        refused(&besu(json!({"chainId": 1, "privacy": {"transactions": true}}))),
        "privacy.transactions"
    );
    assert_eq!(rules(&besu(json!({"chainId": 1}))), [(0, NONE)]);
}
