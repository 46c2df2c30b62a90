//! Validators chosen by a contract.

use super::*;
use lonja_primitives::extra::with_vanity;

const CONTRACT: Address = Address::repeat_byte(0xc0);

fn contract_params() -> ConsensusParams {
    ConsensusParams { validator_contract: Some(CONTRACT), epoch_length: 100, ..params() }
}

/// The contract from block 0 on.
fn by_contract() -> ChainSpec {
    spec(contract_params())
}

fn members(text: &str) -> Vec<Address> {
    text.bytes().map(Address::with_last_byte).collect()
}

/// A header that lists the first and commits to the second.
fn header(number: u64, listed: &str, next: &str) -> Header {
    let vanity = commitment(&members(next)).to_vec().into();
    header_with(ExtraData { vanity, validators: members(listed), ..ExtraData::default() }, number)
}

/// Takes in a header by the first validator that it lists.
fn take(state: &mut VoteState, spec: &ChainSpec, listed: &str, next: &str) -> Result<(), HeaderError> {
    state.apply(spec, &header(state.number() + 1, listed, next), named(listed))
}

#[test]
fn a_commitment_is_the_hash_of_the_sorted_list() {
    let list = members("BAC");
    let mut rlp = vec![0xc0 + 3 * 21];
    for member in members("ABC") {
        rlp.push(0x94);
        rlp.extend_from_slice(member.as_slice());
    }
    rlp[0] = 0xf8;
    rlp.insert(1, 63);
    assert_eq!(commitment(&list), alloy_primitives::keccak256(&rlp));
    assert_eq!(commitment(&members("CBA")), commitment(&list));
    assert_ne!(commitment(&members("AB")), commitment(&list));
    assert_eq!(commitment(&[]), alloy_primitives::keccak256([0xc0]));
}

#[test]
fn what_a_contract_answers_is_a_set_or_changes_nothing() {
    let current = ValidatorSet::new(members("AB")).unwrap();
    let next = |answer| set_by_contract(answer, &current);
    assert_eq!(next(Some(members("DC"))).as_slice(), members("CD"));
    let many =
        |count: usize| (1..=count).map(|n| Address::left_padding_from(&n.to_be_bytes())).collect::<Vec<_>>();
    assert_eq!(next(Some(many(MAX_CONTRACT_VALIDATORS))).len(), MAX_CONTRACT_VALIDATORS);
    let zero = vec![Address::ZERO, named("A")];
    for wrong in
        [None, Some(vec![]), Some(members("CC")), Some(zero), Some(many(MAX_CONTRACT_VALIDATORS + 1))]
    {
        assert_eq!(next(wrong), current);
    }
}

#[test]
fn a_set_committed_to_is_told_by_who_executed_or_by_the_next_header() {
    let spec = by_contract();
    let mut state = start(&spec, &members("ABC"));
    assert_eq!(state.pending(), None, "block 0 commits to nothing");
    take(&mut state, &spec, "ABC", "ABC").unwrap();
    assert_eq!((names(&state).as_str(), state.pending()), ("ABC", None), "to the same");
    take(&mut state, &spec, "ABC", "BDE").unwrap();
    assert_eq!((names(&state).as_str(), state.pending()), ("ABC", Some(commitment(&members("BDE")))));

    // By whoever executed it, in any order.
    let mut told = state.clone();
    for wrong in ["ABC", "BD", "BDEF", "", "BDD"] {
        assert!(told.resolve(members(wrong)).is_err(), "{wrong}");
        assert_eq!(told, state);
    }
    told.resolve(members("EDB")).unwrap();
    assert_eq!((names(&told).as_str(), told.pending()), ("BDE", None));
    told.resolve(members("EBD")).unwrap();
    assert_eq!(told.resolve(members("ABC")), Err(HeaderError::Validators), "only those known");

    // By the next header.
    let next = header(3, "BDE", "BDE");
    assert_eq!(state.validators_for(&spec, &next).unwrap(), *told.validators());
    assert_eq!(told.validators_for(&spec, &next).unwrap(), *told.validators());
    for lie in ["ABC", "BD", "EDB", "BDDE", ""] {
        let lie = header(3, lie, "BDE");
        let refused = state.validators_for(&spec, &lie);
        assert!(
            matches!(refused, Err(HeaderError::Validators | HeaderError::ValidatorSet(_))),
            "{refused:?}"
        );
        let before = state.clone();
        assert!(state.apply(&spec, &lie, named("A")).is_err());
        assert_eq!(state, before);
    }
    let gap = header(4, "BDE", "BDE");
    assert_eq!(state.validators_for(&spec, &gap), Err(HeaderError::Number { parent: 2, got: 4 }));
    assert_eq!(told.validators_for(&spec, &gap), Err(HeaderError::Number { parent: 2, got: 4 }));
    assert_eq!(state.apply(&spec, &next, named("A")), Err(HeaderError::Author(named("A"))), "it has left");
    take(&mut state, &spec, "BDE", "A").unwrap();
    take(&mut told, &spec, "BDE", "A").unwrap();
    assert_eq!(state, told);
    take(&mut state, &spec, "A", "ABCDEF").unwrap();
    take(&mut state, &spec, "ABCDEF", "ABCDEF").unwrap();
    assert_eq!(names(&state), "ABCDEF");
}

#[test]
fn a_header_commits_by_exactly_32_bytes_and_votes_on_nobody() {
    let spec = by_contract();
    let mut state = start(&spec, &members("AB"));
    for length in [0, 31] {
        let extra = ExtraData { vanity: vec![7; length].into(), ..ExtraData::default() };
        let refused = state.apply(&spec, &header_with(extra, 1), named("A"));
        assert_eq!(refused, Err(HeaderError::NoCommitment(length)));
    }
    let vote = Some(Vote { recipient: named("C"), kind: VoteKind::Add });
    let vanity = commitment(&members("AB")).to_vec().into();
    let voting = header_with(ExtraData { vanity, vote, ..ExtraData::default() }, 1);
    assert_eq!(state.apply(&spec, &voting, named("A")), Err(HeaderError::VoteByContract));
    assert_eq!(state, start(&spec, &members("AB")));

    let next = ValidatorSet::new(members("AC")).unwrap();
    assert_eq!(check_commitment(&spec, &header(1, "AB", "AC"), &next), Ok(()));
    let (want, got) = (commitment(&members("AC")), commitment(&members("AB")));
    let error = check_commitment(&spec, &header(1, "AB", "AB"), &next);
    assert_eq!(error, Err(HeaderError::NextValidators { want, got }));
    let short = header_with(ExtraData::default(), 1);
    assert_eq!(check_commitment(&spec, &short, &next), Err(HeaderError::NoCommitment(0)));
    let plain = network(ClientRules::Besu, 100);
    assert_eq!(check_commitment(&plain, &short, &next), Ok(()), "it does not have to");
    assert_eq!(
        (committed(&plain, &short), committed(&spec, &header_with(ExtraData::default(), 0))),
        (Ok(None), Ok(None))
    );
}

/// Votes up to block 3, the contract from 4 on, a list at 7, votes again from 9 on.
fn mixed() -> ChainSpec {
    let mut spec = network(ClientRules::Besu, 100);
    let votes = spec.consensus[0].1.clone();
    let listed = ConsensusParams { validators: Some(members("XY")), ..contract_params() };
    spec.consensus.extend([(4, contract_params()), (7, listed), (8, contract_params()), (9, votes)]);
    spec
}

#[test]
fn votes_a_contract_and_a_list_follow_each_other() {
    let spec = mixed();
    let commits: Vec<_> = (0..12).filter(|number| commits(&spec, *number)).collect();
    assert_eq!(commits, [3, 4, 5, 7]);
    let add = |name: &str| Some(Vote { recipient: named(name), kind: VoteKind::Add });
    let mut state = start(&spec, &members("ABC"));
    step(&mut state, &spec, named("A"), add("D")).unwrap();
    step(&mut state, &spec, named("A"), add("E")).unwrap();
    assert_eq!(state.votes().len(), 2);
    // A vote in the last header before the contract may pass, but the header commits to what the contract says.
    let mut last = header(3, "ABC", "MN");
    last.extra_data =
        ExtraData { vote: add("D"), ..ExtraData::decode(&last.extra_data, HeaderFormat::Qbft).unwrap() }
            .encode(HeaderFormat::Qbft);
    state.apply(&spec, &last, named("B")).unwrap();
    assert_eq!((state.votes(), state.pending().is_some()), (&[][..], true));
    assert_eq!(names(&state), "ABCD", "what the vote made, until the contract's set is told");
    take(&mut state, &spec, "MN", "OP").unwrap();
    take(&mut state, &spec, "OP", "OP").unwrap();
    take(&mut state, &spec, "OP", "A").unwrap();
    assert_eq!((names(&state).as_str(), state.pending()), ("XY", None), "the list, whatever the vanity says");
    take(&mut state, &spec, "XY", "Q").unwrap();
    assert!(state.pending().is_some());
    take(&mut state, &spec, "Q", "A").unwrap();
    assert_eq!((names(&state).as_str(), state.pending()), ("Q", None), "those of block 8 go on by votes");
    step(&mut state, &spec, named("Q"), add("R")).unwrap();
    assert_eq!(names(&state), "QR");
}

#[test]
fn a_stored_state_keeps_what_is_pending() {
    let spec = mixed();
    let mut state = start(&spec, &members("ABC"));
    (0..2).for_each(|_| step(&mut state, &spec, named("A"), None).unwrap());
    let before = state.encode();
    assert_eq!(before[0], 1, "the old form where nothing is pending");
    take(&mut state, &spec, "ABC", "MN").unwrap();
    let stored = state.encode();
    assert_eq!(stored[0], 2);
    let mut restored = VoteState::decode(&stored, &spec).unwrap();
    assert_eq!(restored, state);
    restored.resolve(members("MN")).unwrap();
    assert_eq!(restored.encode()[0], 1);
    assert_eq!(VoteState::decode(&restored.encode(), &spec).unwrap(), restored);
    for cut in [1, 33] {
        let cut = &stored[..stored.len() - cut];
        assert!(matches!(VoteState::decode(cut, &spec), Err(VoteStateError::Malformed(_))));
    }
    let old = [&[1], &stored[1..]].concat();
    assert!(matches!(VoteState::decode(&old, &spec), Err(VoteStateError::Malformed(_))));
}

/// Votes that waited when the contract began are kept in the stored form with the set that was told.
#[test]
fn a_stored_state_keeps_the_set_that_was_told_although_votes_are_put_aside() {
    let spec = mixed();
    let mut state = start(&spec, &members("ABC"));
    let add = Some(Vote { recipient: named("D"), kind: VoteKind::Add });
    step(&mut state, &spec, named("A"), add).unwrap();
    step(&mut state, &spec, named("A"), None).unwrap();
    take(&mut state, &spec, "ABC", "MN").unwrap();
    assert_eq!(VoteState::decode(&state.encode(), &spec).unwrap(), state);
    state.resolve(members("MN")).unwrap();
    assert_eq!(VoteState::decode(&state.encode(), &spec).unwrap(), state);
}

#[test]
fn any_header_says_all_where_a_contract_chooses() {
    let spec = by_contract();
    let mut state = start(&spec, &members("ABC"));
    let sets = ["ABC", "ABC", "DE", "DE", "F", "ABCDEF"];
    for (listed, next) in sets.iter().zip(&sets[1..]) {
        take(&mut state, &spec, listed, next).unwrap();
        let header = header(state.number(), listed, next);
        let header = Header { beneficiary: named(listed), ..header };
        assert_eq!(VoteState::after_epoch_block(&spec, &header).unwrap(), state, "block {}", state.number());
    }
    let mixed = mixed();
    let by_votes = VoteState::after_epoch_block(&mixed, &header_with(ExtraData::default(), 3));
    assert_eq!(by_votes, Err(HeaderError::NoEpochBlock(3)));
}

#[test]
fn a_migrated_chain_commits_in_its_old_format_too() {
    let ibft2 = ConsensusParams { format: HeaderFormat::Ibft2, rules: ClientRules::Besu, ..params() };
    let mut spec = spec(ibft2);
    spec.consensus.push((2, ConsensusParams { rules: ClientRules::Besu, ..contract_params() }));
    let extra = |validators| ExtraData { vanity: vec![0; 32].into(), validators, ..ExtraData::default() };
    let genesis = extra(members("AB")).encode(HeaderFormat::Ibft2);
    let mut state = VoteState::genesis(&spec, &Header { extra_data: genesis, ..Header::default() }).unwrap();
    let raw = extra(members("AB")).encode(HeaderFormat::Ibft2);
    let extra_data = with_vanity(&raw, HeaderFormat::Ibft2, commitment(&members("CD"))).unwrap();
    let header = Header { number: 1, extra_data, ..Header::default() };
    state.apply(&spec, &header, named("A")).unwrap();
    assert_eq!(state.pending(), Some(commitment(&members("CD"))));
    take(&mut state, &spec, "CD", "CD").unwrap();
    assert_eq!(names(&state), "CD");
}

proptest! {
    /// Whoever executes and whoever has only headers agree on every set, and the stored form gives both back.
    #[test]
    fn headers_tell_what_execution_tells(sets in prop::collection::vec(1_u16..1 << 10, 1..40)) {
        let letters = |bits: u16| (b'A'..b'K').filter(move |letter| bits >> (letter - b'A') & 1 == 1);
        let text = |bits: u16| letters(bits).map(char::from).collect::<String>();
        let spec = by_contract();
        let mut executing = start(&spec, &members("ABC"));
        let mut reading = executing.clone();
        let mut listed = "ABC".to_owned();
        for bits in sets {
            let next = text(bits);
            let header = header(executing.number() + 1, &listed, &next);
            let read = reading.validators_for(&spec, &header).unwrap();
            prop_assert_eq!(&read, executing.validators());
            executing.apply(&spec, &header, named(&listed)).unwrap();
            reading.apply(&spec, &header, named(&listed)).unwrap();
            prop_assert_eq!(&executing, &reading);
            prop_assert_eq!(executing.pending().is_some(), next != listed);
            prop_assert_eq!(&VoteState::decode(&reading.encode(), &spec).unwrap(), &reading);
            executing.resolve(members(&next)).unwrap();
            prop_assert_eq!(&VoteState::decode(&executing.encode(), &spec).unwrap(), &executing);
            prop_assert_eq!(names(&executing), next.clone());
            listed = next;
        }
    }
}
