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
