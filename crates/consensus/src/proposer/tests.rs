use super::*;
use crate::testing::{address, addresses, cases, number, params, spec, text, vectors};
use lonja_primitives::Header;
use serde_json::Value;

fn params_of(case: &Value) -> ConsensusParams {
    ConsensusParams {
        format: if case["order"] == "string" { HeaderFormat::Ibft1 } else { HeaderFormat::Qbft },
        proposer_policy: match text(&case["policy"]) {
            "roundrobin" => ProposerPolicy::RoundRobin,
            "sticky" => ProposerPolicy::Sticky,
            other => panic!("{other}"),
        },
        rules: match text(&case["rules"]) {
            "goquorum" => ClientRules::GoQuorum,
            "besu" => ClientRules::Besu,
            other => panic!("{other}"),
        },
        ..params()
    }
}

#[test]
fn proposer_vectors() {
    let file = vectors!("proposer");
    for case in cases(&file) {
        let validators = ValidatorSet::new(addresses(&case["validators"])).unwrap();
        if case["id"] == "sort-orders-six" {
            let ibft1 = ConsensusParams { format: HeaderFormat::Ibft1, ..params() };
            assert_eq!(turn_order(&params(), &validators), addresses(&case["expect_byte_order"]));
            assert_eq!(turn_order(&ibft1, &validators), addresses(&case["expect_string_order"]));
            continue;
        }
        let last = (!case["last_proposer"].is_null()).then(|| address(&case["last_proposer"]));
        let turn = proposer(&params_of(case), &validators, last, number(&case["round"]) as u32);
        assert_eq!(turn, address(&case["expect"]), "{case}");
    }
}

#[test]
fn every_validator_has_its_turn_within_as_many_rounds() {
    let validators = ValidatorSet::new((1..=7).map(Address::with_last_byte).collect()).unwrap();
    for rules in [ClientRules::GoQuorum, ClientRules::Besu] {
        for last in [None, Some(Address::with_last_byte(4)), Some(Address::with_last_byte(9))] {
            for first in [0, u32::MAX - 7] {
                let params = ConsensusParams { rules, ..params() };
                let mut turns: Vec<_> =
                    (first..first + 7).map(|r| proposer(&params, &validators, last, r)).collect();
                turns.sort();
                assert_eq!(turns, validators.as_slice());
            }
        }
    }
}

#[test]
fn turns_start_after_the_coinbase_under_besu_and_after_the_author_under_goquorum() {
    let coinbase = Address::with_last_byte(5);
    let head = |number| {
        let header = Header { number, beneficiary: coinbase, ..Header::default() };
        SealedHeader::new_unchecked(header, Default::default())
    };
    let goquorum = spec(params());
    let besu = spec(ConsensusParams { rules: ClientRules::Besu, ..params() });
    assert_eq!(last_author(&goquorum, &head(0)), Ok(None));
    assert_eq!(last_author(&goquorum, &head(1)), Ok(Some(coinbase)));
    assert_eq!(last_author(&besu, &head(0)), Ok(Some(coinbase)));
    let migrated =
        spec(ConsensusParams { rules: ClientRules::Besu, format: HeaderFormat::Ibft1, ..params() });
    assert_eq!(last_author(&migrated, &head(7)), Ok(Some(coinbase)));
    let ibft1 = spec(ConsensusParams { format: HeaderFormat::Ibft1, ..params() });
    assert!(last_author(&ibft1, &head(7)).is_err());
}

fn set(numbers: std::ops::RangeInclusive<u8>) -> ValidatorSet {
    ValidatorSet::new(numbers.map(Address::with_last_byte).collect()).unwrap()
}

const NOBODY: [u8; 0] = [];

fn skipped_numbers(params: &ConsensusParams, last: Option<u8>, author: u8) -> Vec<u8> {
    let last = last.map(Address::with_last_byte);
    let skipped = skipped(params, &set(1..=4), last, Address::with_last_byte(author));
    skipped.iter().map(|address| address[19]).collect()
}

#[test]
fn who_let_a_turn_pass_is_told_in_order() {
    let of = |last, author| skipped_numbers(&params(), last, author);
    assert_eq!(of(None, 1), NOBODY, "nobody, after genesis");
    assert_eq!(of(None, 3), [1, 2]);
    assert_eq!(of(Some(1), 2), NOBODY);
    assert_eq!(of(Some(1), 4), [2, 3]);
    assert_eq!(of(Some(3), 2), [4, 1], "across the end of the order");
    assert_eq!(of(Some(2), 2), [3, 4, 1], "all others at most");
    assert_eq!(of(Some(2), 9), NOBODY, "nobody waited for a stranger");
    let sticky = ConsensusParams { proposer_policy: ProposerPolicy::Sticky, ..params() };
    let of = |last, author| skipped_numbers(&sticky, last, author);
    assert_eq!(of(Some(2), 2), NOBODY, "it goes on");
    assert_eq!(of(Some(2), 3), [2]);
    assert_eq!(of(Some(2), 1), [2, 3, 4]);
    // The last author has left: GoQuorum goes on at index 1, Besu with the next higher address.
    let besu = ConsensusParams { rules: ClientRules::Besu, ..params() };
    assert_eq!(skipped_numbers(&params(), Some(9), 3), [2]);
    assert_eq!(skipped_numbers(&besu, Some(9), 3), [1, 2]);
}

/// Whatever the policy and the rules: those skipped are the proposers of the rounds before the author's first one.
#[test]
fn the_skipped_are_the_proposers_of_the_rounds_before() {
    for count in [1_u8, 2, 4, 7] {
        let validators = set(1..=count);
        for rules in [ClientRules::GoQuorum, ClientRules::Besu] {
            for proposer_policy in [ProposerPolicy::RoundRobin, ProposerPolicy::Sticky] {
                for format in [HeaderFormat::Qbft, HeaderFormat::Ibft1] {
                    let params = ConsensusParams { rules, proposer_policy, format, ..params() };
                    for last in [None, Some(1), Some(count), Some(3), Some(200)] {
                        let last = last.map(Address::with_last_byte);
                        for round in 0..u32::from(count) {
                            let author = proposer(&params, &validators, last, round);
                            let before: Vec<_> =
                                (0..round).map(|round| proposer(&params, &validators, last, round)).collect();
                            assert_eq!(skipped(&params, &validators, last, author), before);
                        }
                    }
                }
            }
        }
    }
}
