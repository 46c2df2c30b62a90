use super::*;
use crate::testing::{cases, number, params, spec, text, vectors};
use alloy_primitives::Bytes;
use proptest::prelude::*;
use serde_json::Value;

mod contract;

/// Letters and digits stand for validators in ascending order.
fn named(name: &str) -> Address {
    Address::with_last_byte(name.as_bytes()[0])
}

fn names(state: &VoteState) -> String {
    state.validators().iter().map(|address| address[19] as char).collect()
}

fn network(rules: ClientRules, epoch_length: u64) -> ChainSpec {
    spec(ConsensusParams { rules, epoch_length, ..params() })
}

fn header_with(extra: ExtraData, number: u64) -> Header {
    Header { number, extra_data: extra.encode(HeaderFormat::Qbft), ..Header::default() }
}

fn start(spec: &ChainSpec, validators: &[Address]) -> VoteState {
    let extra = ExtraData { validators: validators.to_vec(), ..ExtraData::default() };
    VoteState::genesis(spec, &header_with(extra, 0)).unwrap()
}

fn initial(case: &Value) -> Vec<Address> {
    case["initial_validators"].as_array().unwrap().iter().map(|name| named(text(name))).collect()
}

fn vote_on(recipient: Address, authorize: &Value) -> Option<Vote> {
    let kind = if authorize.as_bool().unwrap() { VoteKind::Add } else { VoteKind::Drop };
    Some(Vote { recipient, kind })
}

fn step(
    state: &mut VoteState,
    spec: &ChainSpec,
    author: Address,
    vote: Option<Vote>,
) -> Result<(), HeaderError> {
    let extra = ExtraData { vote, ..ExtraData::default() };
    let header = header_with(extra, state.number() + 1);
    state.apply(spec, &header, author)
}

fn run_blocks(case: &Value, rules: ClientRules) -> VoteState {
    let spec = network(rules, number(&case["epoch"]));
    let mut state = start(&spec, &initial(case));
    for row in case["blocks"].as_array().unwrap() {
        let vote = match &row["vote"] {
            Value::Null => None,
            vote => vote_on(named(text(&vote["candidate"])), &vote["authorize"]),
        };
        step(&mut state, &spec, named(text(&row["author"])), vote).unwrap();
        assert_eq!(state.number(), number(&row["block"]));
        if rules == ClientRules::GoQuorum && row["validators_after"].is_string() {
            check_row(case, row, &state);
        }
    }
    state
}

fn check_row(case: &Value, row: &Value, state: &VoteState) {
    // The only validator voting itself out ends the chain in GoQuorum; here it stays.
    if row["validators_after"] == "" {
        assert_eq!(names(state), "A");
        return;
    }
    assert_eq!(names(state), text(&row["validators_after"]), "{case}");
    let pending: Vec<Value> = state
        .votes()
        .iter()
        .map(|vote| {
            let name = |address: Address| (address[19] as char).to_string();
            let add = vote.kind == VoteKind::Add;
            serde_json::json!([name(vote.validator), vote.block, name(vote.candidate), add])
        })
        .collect();
    assert_eq!(&Value::from(pending), &row["votes_pending"], "{case}");
}

fn expected(list: &Value) -> String {
    let names: String = list.as_array().unwrap().iter().map(text).collect();
    if names.is_empty() { "A".into() } else { names }
}

fn run_besu_votes(case: &Value) {
    let spec = network(ClientRules::Besu, 1000);
    let mut state = start(&spec, &initial(case));
    for row in case["votes"].as_array().unwrap() {
        if row == "reset" {
            state.number = 999;
            let any = state.validators.as_slice()[0];
            step(&mut state, &spec, any, None).unwrap();
            assert!(state.votes().is_empty());
            continue;
        }
        let vote = vote_on(named(text(&row["subject"])), &row["authorize"]);
        step(&mut state, &spec, named(text(&row["voter"])), vote).unwrap();
        assert_eq!(names(&state), text(&row["validators_after"]), "{case}");
    }
    assert_eq!(names(&state), expected(&case["expect_validators"]), "{case}");
}

#[test]
fn vote_vectors() {
    for case in cases(&vectors!("votes")) {
        match text(&case["rules"]) {
            "goquorum" => {
                let state = run_blocks(case, ClientRules::GoQuorum);
                assert_eq!(names(&state), expected(&case["expect_validators"]), "{case}");
                let besu = text(&case["besu_rules_result"]);
                let besu = if besu.is_empty() { "A" } else { besu };
                assert_eq!(names(&run_blocks(case, ClientRules::Besu)), besu, "{case}");
            }
            "besu" => run_besu_votes(case),
            _ => {
                let goquorum = run_blocks(case, ClientRules::GoQuorum);
                assert_eq!(names(&goquorum), expected(&case["expect_goquorum"]));
                let besu = run_blocks(case, ClientRules::Besu);
                assert_eq!(names(&besu), expected(&case["expect_besu"]));
            }
        }
    }
}

#[test]
fn headers_out_of_order_and_foreign_authors_change_nothing() {
    let spec = network(ClientRules::GoQuorum, 100);
    let mut state = start(&spec, &[named("A"), named("B")]);
    let before = state.clone();
    assert_eq!(step(&mut state, &spec, named("C"), None), Err(HeaderError::Author(named("C"))));
    let late = header_with(ExtraData::default(), 2);
    let refused = state.apply(&spec, &late, named("A"));
    assert_eq!(refused, Err(HeaderError::Number { parent: 0, got: 2 }));
    let broken = Header { number: 1, extra_data: Bytes::from_static(b"no list"), ..Header::default() };
    assert!(matches!(state.apply(&spec, &broken, named("A")), Err(HeaderError::Extra(_))));
    assert_eq!(state, before);
}

#[test]
fn the_tally_counts_what_has_meaning() {
    let spec = network(ClientRules::Besu, 100);
    let mut state = start(&spec, &["A", "B", "C", "D", "E"].map(named));
    let add = |name| Some(Vote { recipient: named(name), kind: VoteKind::Add });
    step(&mut state, &spec, named("A"), add("F")).unwrap();
    step(&mut state, &spec, named("B"), add("F")).unwrap();
    step(&mut state, &spec, named("C"), add("B")).unwrap();
    assert_eq!(state.votes().len(), 3);
    let tally = Tally { kind: VoteKind::Add, votes: 2 };
    assert_eq!(state.tally(), BTreeMap::from([(named("F"), tally)]));
}

#[test]
fn a_list_in_the_spec_replaces_the_set_for_its_height() {
    let mut spec = network(ClientRules::GoQuorum, 100);
    let list = vec![named("Y"), named("X")];
    spec.consensus.push((3, ConsensusParams { validators: Some(list), ..params() }));
    spec.consensus.push((4, params()));
    let mut state = start(&spec, &["A", "B", "C"].map(named));
    let add = Some(Vote { recipient: named("D"), kind: VoteKind::Add });
    step(&mut state, &spec, named("A"), add).unwrap();
    assert_eq!((names(&state).as_str(), state.votes().len()), ("ABC", 1));
    step(&mut state, &spec, named("B"), None).unwrap();
    assert_eq!((names(&state).as_str(), state.votes().len()), ("XY", 0));
    step(&mut state, &spec, named("X"), None).unwrap();
    assert_eq!(names(&state), "XY");

    spec.consensus = vec![(0, params()), (1, ConsensusParams { validators: Some(vec![]), ..params() })];
    let genesis = header_with(ExtraData { validators: vec![named("A")], ..ExtraData::default() }, 0);
    assert!(matches!(VoteState::genesis(&spec, &genesis), Err(HeaderError::ValidatorSet(_))));
}

/// The node was down while the rules of the next block changed.
#[test]
fn a_list_for_the_next_height_may_come_and_go_until_it_is_made() {
    let plain = network(ClientRules::GoQuorum, 100);
    let mut listed = plain.clone();
    let list = vec![named("X"), named("Y")];
    listed.consensus.push((2, ConsensusParams { validators: Some(list), ..params() }));
    let add = Some(Vote { recipient: named("D"), kind: VoteKind::Add });
    let mut without = start(&plain, &["A", "B", "C"].map(named));
    step(&mut without, &plain, named("A"), add).unwrap();
    let mut with = start(&listed, &["A", "B", "C"].map(named));
    step(&mut with, &listed, named("A"), add).unwrap();
    assert_eq!((names(&with).as_str(), with.votes().len()), ("XY", 0));
    for stored in [without.encode(), with.encode()] {
        assert_eq!(VoteState::decode(&stored, &plain).unwrap(), without);
        assert_eq!(VoteState::decode(&stored, &listed).unwrap(), with);
    }
}

#[test]
fn the_genesis_list_may_stand_in_any_order_and_in_either_place() {
    let spec = network(ClientRules::GoQuorum, 100);
    assert_eq!(names(&start(&spec, &["C", "A", "B"].map(named))), "ABC");
    let mut listed = spec.clone();
    listed.consensus[0].1.validators = Some(vec![named("Z")]);
    assert_eq!(names(&start(&listed, &["C", "A", "B"].map(named))), "Z");
    let twice = ExtraData { validators: vec![named("A"), named("A")], ..ExtraData::default() };
    assert!(VoteState::genesis(&spec, &header_with(twice, 0)).is_err());
}

/// A chain that changed from IBFT 1.0 to QBFT at height 5.
fn migrated(rules: ClientRules) -> ChainSpec {
    let qbft = ConsensusParams { rules, epoch_length: 10, ..params() };
    let ibft1 = ConsensusParams { format: HeaderFormat::Ibft1, ..qbft.clone() };
    let mut spec = spec(ibft1);
    spec.consensus.push((5, qbft.clone()));
    spec.consensus.push((7, ConsensusParams { block_period_ms: 2000, ..qbft }));
    spec
}

#[test]
fn epochs_after_a_change_of_format() {
    let epochs = |spec: &ChainSpec| (1..40).filter(|n| is_epoch_block(spec, *n)).collect::<Vec<_>>();
    assert_eq!(epochs(&migrated(ClientRules::GoQuorum)), [10, 20, 30]);
    assert_eq!(epochs(&migrated(ClientRules::Besu)), [14, 24, 34]);
    assert_eq!(epochs(&network(ClientRules::Besu, 16)), [16, 32]);
    assert_eq!(epochs(&network(ClientRules::GoQuorum, 0)), Vec::<u64>::new());
}

#[test]
fn ibft1_votes_by_coinbase_and_nonce_survive_the_change_under_goquorum_only() {
    for (rules, waiting) in [(ClientRules::GoQuorum, 1), (ClientRules::Besu, 0)] {
        let spec = migrated(rules);
        let validators = ValidatorSet::new(["A", "B", "C"].map(named).to_vec()).unwrap();
        let mut state = VoteState { number: 3, validators, votes: vec![], pending: None, replaced: None };
        let header = Header {
            number: 4,
            beneficiary: named("D"),
            nonce: ADD_NONCE,
            extra_data: ExtraData::default().encode(HeaderFormat::Ibft1),
            ..Header::default()
        };
        state.apply(&spec, &header, named("A")).unwrap();
        assert_eq!(state.votes().len(), waiting);
    }
}

#[test]
fn what_ibft1_nonces_mean() {
    let vote = |coinbase, nonce| {
        let header = Header { beneficiary: coinbase, nonce, ..Header::default() };
        header_vote(&header, &ExtraData::default(), HeaderFormat::Ibft1)
    };
    let on_d = |kind| Ok(Some(Vote { recipient: named("D"), kind }));
    assert_eq!(vote(named("D"), ADD_NONCE), on_d(VoteKind::Add));
    assert_eq!(vote(named("D"), B64::ZERO), on_d(VoteKind::Drop));
    assert_eq!(vote(Address::ZERO, B64::ZERO), Ok(None));
    let odd = B64::with_last_byte(1);
    assert_eq!(vote(named("D"), odd), Err(HeaderError::Nonce(odd)));
}

#[test]
fn the_zero_address_never_becomes_a_validator() {
    for rules in [ClientRules::GoQuorum, ClientRules::Besu] {
        let spec = network(rules, 100);
        let mut state = start(&spec, &[named("A")]);
        for kind in [VoteKind::Add, VoteKind::Drop] {
            step(&mut state, &spec, named("A"), Some(Vote { recipient: Address::ZERO, kind })).unwrap();
            assert_eq!(names(&state), "A");
        }
    }
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let spec = network(ClientRules::GoQuorum, 100);
    let state = start(&spec, &["A", "B"].map(named));
    let bytes = state.encode();
    assert_eq!(VoteState::decode(&bytes, &spec).unwrap(), state);
    assert!(matches!(VoteState::decode(&[], &spec), Err(VoteStateError::Version(None))));
    let newer = [&[3], &bytes[1..]].concat();
    assert!(matches!(VoteState::decode(&newer, &spec), Err(VoteStateError::Version(Some(3)))));
    let pending = [&[2], &bytes[1..]].concat();
    assert!(matches!(VoteState::decode(&pending, &spec), Err(VoteStateError::Malformed(_))), "nothing pends");
    let longer = [&bytes[..], &[0x80]].concat();
    assert!(matches!(VoteState::decode(&longer, &spec), Err(VoteStateError::Malformed(_))));
    assert!(matches!(VoteState::decode(&bytes[..bytes.len() - 1], &spec), Err(VoteStateError::Malformed(_))));
    let mut swapped = bytes.to_vec();
    let a = swapped.iter().position(|byte| *byte == b'A').unwrap();
    swapped[a] = b'C';
    assert_eq!(VoteState::decode(&swapped, &spec), Err(VoteStateError::Order));
    swapped[a] = b'B';
    assert!(matches!(VoteState::decode(&swapped, &spec), Err(VoteStateError::Validators(_))));
}

/// Any author and any vote, with the author taken from the validators of the moment.
fn any_votes() -> impl Strategy<Value = Vec<(usize, Option<(u8, bool)>)>> {
    prop::collection::vec((0..50_usize, prop::option::of((b'A'..b'J', any::<bool>()))), 0..120)
}

proptest! {
    /// Whatever is voted: the set stays a set, waiting votes are by validators and one per pair, a change is
    /// one member at a time and only on the candidate of the block, and the stored form gives the same back.
    #[test]
    fn any_voting_keeps_the_state_whole(votes in any_votes(), besu in any::<bool>()) {
        let rules = if besu { ClientRules::Besu } else { ClientRules::GoQuorum };
        let spec = network(rules, 16);
        let mut state = start(&spec, &["A", "B", "C", "D"].map(named));
        for (author, vote) in votes {
            let before = state.validators().as_slice().to_vec();
            let author = before[author % before.len()];
            let vote = vote.map(|(name, add)| Vote {
                recipient: Address::with_last_byte(name),
                kind: if add { VoteKind::Add } else { VoteKind::Drop },
            });
            step(&mut state, &spec, author, vote).unwrap();
            let after = state.validators();
            prop_assert_eq!(&ValidatorSet::new(after.as_slice().to_vec()).unwrap(), after);
            let all = before.iter().chain(after).collect::<std::collections::BTreeSet<_>>();
            let changed: Vec<_> = all
                .into_iter()
                .filter(|address| before.contains(address) != after.contains(address))
                .collect();
            prop_assert!(changed.is_empty() || changed == [&vote.unwrap().recipient]);
            let pairs: std::collections::BTreeSet<_> =
                state.votes().iter().map(|vote| (vote.validator, vote.candidate)).collect();
            prop_assert_eq!(pairs.len(), state.votes().len());
            prop_assert!(state.votes().iter().all(|vote| after.contains(&vote.validator)));
            prop_assert_eq!(&VoteState::decode(&state.encode(), &spec).unwrap(), &state);
        }
    }

    #[test]
    fn decoding_any_bytes_is_safe_and_exact(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(first) = bytes.first_mut() { *first = 1; }
        let spec = network(ClientRules::GoQuorum, 16);
        if let Ok(state) = VoteState::decode(&bytes, &spec) {
            prop_assert_eq!(&state.encode()[..], &bytes[..]);
        }
    }
}
