use super::*;
use crate::testing::{
    addresses, bytes, cases, header as header_of, key, malleated, number, params, spec, text, vectors,
};
use alloy_primitives::{Bytes, U256};
use lonja_primitives::header::{ISTANBUL_DIFFICULTY, ISTANBUL_MIX_HASH};
use lonja_primitives::spec::ForkStart;
use lonja_primitives::{Fork, Signer, Vote, VoteKind};
use serde_json::Value;

mod chain;

fn format_of(case: &Value) -> HeaderFormat {
    match text(&case["format"]) {
        "qbft" => HeaderFormat::Qbft,
        "ibft1" => HeaderFormat::Ibft1,
        other => panic!("{other}"),
    }
}

fn check_case(case: &Value) -> Result<(), HeaderError> {
    let format = format_of(case);
    let period = number(&case["block_period_seconds"]) * 1000;
    let spec = spec(ConsensusParams { format, block_period_ms: period, ..params() });
    let height = number(&case["height"]);
    let parent_format =
        if format == HeaderFormat::Qbft && height <= 101 { HeaderFormat::Ibft1 } else { format };
    let parent = SealedHeader::seal(header_of(&case["parent_header_rlp"]), parent_format).unwrap();
    let validators = ValidatorSet::new(addresses(&case["validators"])).unwrap();
    let header = alloy_rlp::decode_exact(bytes(&case["header_rlp"])).unwrap();
    check_header(&spec, &header, &parent, &validators, Seals::Required, None)
}

/// For which reason each refused case must be refused.
fn is_the_reason(id: &str, error: &HeaderError) -> bool {
    use HeaderError::*;
    match id {
        "qbft-difficulty-2" | "ibft1-difficulty-0" => matches!(error, Difficulty),
        "qbft-mixhash" => matches!(error, MixHash(_)),
        "qbft-timestamp-equals-parent" | "ibft1-timestamp-too-close" => matches!(error, TooEarly { .. }),
        "qbft-coinbase-not-validator" => matches!(error, Author(_)),
        "qbft-nonce-nonzero" => matches!(error, Nonce(_)),
        "qbft-no-seals" | "ibft1-no-committed-seals" => matches!(error, SealCount { got: 0, .. }),
        "qbft-three-of-five-seals" => matches!(error, SealCount { got: 3, least: 4, most: 5 }),
        "qbft-one-of-five-seals" | "ibft1-one-seal" => matches!(error, SealCount { got: 1, .. }),
        "qbft-foreign-seal" => matches!(error, ForeignSeal { .. }),
        "qbft-unsorted-validators" | "ibft1-validators-unsorted" => matches!(error, Validators),
        "qbft-vote-type-7f" | "qbft-seal-64-bytes" | "qbft-garbage-extra" => matches!(error, Extra(_)),
        "qbft-parent-mismatch" => matches!(error, Parent { .. }),
        "ibft1-duplicate-seal" => matches!(error, RepeatedSeal { .. }),
        "ibft1-zero-seal-among-good" => matches!(error, BadSeal { .. }),
        _ => false,
    }
}

/// Where the vectors leave the verdict open (a QBFT nonce that is not zero, a seal of zeros) ours is to refuse.
#[test]
fn header_validation_vectors() {
    let file = vectors!("header_validation");
    for case in cases(&file) {
        let id = text(&case["id"]);
        match (text(&case["expect"]["strict"]), check_case(case)) {
            ("accept", Ok(())) => {}
            ("reject" | "policy", Err(error)) if is_the_reason(id, &error) => {}
            (expect, got) => panic!("{id}: expected {expect}, got {got:?}"),
        }
    }
}

/// A parent and four validators (keys 1 to 4) under QBFT with base fees.
struct World {
    spec: ChainSpec,
    parent: SealedHeader,
    validators: ValidatorSet,
}

fn world() -> World {
    let mut spec = spec(params());
    spec.forks.push((Fork::Shanghai, ForkStart::Block(0)));
    spec.limits[0].1.gas_limit = Some(30_000_000);
    let validators = ValidatorSet::new((1..=4).map(|n| key(n).address()).collect()).unwrap();
    let header = Header { number: 6, timestamp: 1000, ..Header::default() };
    World { spec, parent: SealedHeader::new_unchecked(header, B256::repeat_byte(6)), validators }
}

impl World {
    fn extra(&self) -> ExtraData {
        ExtraData { validators: self.validators.as_slice().to_vec(), ..ExtraData::default() }
    }

    fn header(&self) -> Header {
        Header {
            parent_hash: self.parent.hash(),
            ommers_hash: rules::NO_OMMERS,
            beneficiary: key(1).address(),
            transactions_root: Block::transactions_root(&[]),
            difficulty: ISTANBUL_DIFFICULTY,
            number: 7,
            gas_limit: 30_000_000,
            timestamp: 1001,
            extra_data: self.extra().encode(HeaderFormat::Qbft),
            mix_hash: ISTANBUL_MIX_HASH,
            base_fee_per_gas: Some(0),
            ..Header::default()
        }
    }

    fn proposed(&self, header: &Header) -> Result<(), HeaderError> {
        check_header(&self.spec, header, &self.parent, &self.validators, Seals::NotYet, None)
    }

    fn refuse(&self, change: impl FnOnce(&mut Header)) -> HeaderError {
        let mut header = self.header();
        change(&mut header);
        self.proposed(&header).unwrap_err()
    }

    fn sealed(&self, header: &Header, keys: &[u8]) -> Header {
        let digest = commit_digest(header, HeaderFormat::Qbft).unwrap();
        let seals: Vec<_> = keys.iter().map(|n| key(*n).sign(digest)).collect();
        let round = extra::qbft_round(header).unwrap();
        extra::with_round_and_seals(header, round, &seals).unwrap()
    }
}

#[test]
fn a_proposed_header_keeps_every_rule() {
    let world = world();
    world.proposed(&world.header()).unwrap();
    use HeaderError::*;
    assert!(matches!(world.refuse(|h| h.number = 8), Number { parent: 6, got: 8 }));
    assert!(matches!(world.refuse(|h| h.parent_hash = B256::ZERO), Parent { .. }));
    assert!(matches!(world.refuse(|h| h.mix_hash = B256::ZERO), MixHash(_)));
    assert!(matches!(world.refuse(|h| h.difficulty = U256::from(2)), Difficulty));
    assert!(matches!(world.refuse(|h| h.ommers_hash = B256::ZERO), Ommers(_)));
    assert!(matches!(world.refuse(|h| h.nonce = rules::ADD_NONCE), Nonce(_)));
    assert!(matches!(world.refuse(|h| h.timestamp = 1000), TooEarly { got: 1000, least: 1001 }));
    assert!(matches!(world.refuse(|h| h.gas_limit += 1), GasLimit { .. }));
    assert!(matches!(world.refuse(|h| h.gas_used = 30_000_001), GasUsed { .. }));
    assert!(matches!(world.refuse(|h| h.base_fee_per_gas = None), BaseFee { want: Some(0), got: None }));
    assert!(matches!(world.refuse(|h| h.base_fee_per_gas = Some(7)), BaseFee { .. }));
    assert!(matches!(world.refuse(|h| h.beneficiary = key(9).address()), Author(_)));
    let long = Bytes::from(vec![0; MAX_EXTRA_DATA_BYTES + 1]);
    assert_eq!(world.refuse(|h| h.extra_data = long), ExtraTooLong(MAX_EXTRA_DATA_BYTES + 1));
}

#[test]
fn fields_of_later_forks_are_refused() {
    let world = world();
    let unknown = |change: fn(&mut Header)| matches!(world.refuse(change), HeaderError::UnknownField(_));
    assert!(unknown(|h| h.withdrawals_root = Some(B256::ZERO)));
    assert!(unknown(|h| h.blob_gas_used = Some(0)));
    assert!(unknown(|h| h.excess_blob_gas = Some(0)));
    assert!(unknown(|h| h.parent_beacon_block_root = Some(B256::ZERO)));
    assert!(unknown(|h| h.requests_hash = Some(B256::ZERO)));
    assert!(unknown(|h| h.block_access_list_hash = Some(B256::ZERO)));
    assert!(unknown(|h| h.slot_number = Some(0)));
}

#[test]
fn a_base_fee_before_london_is_refused() {
    let mut world = world();
    world.spec.forks.pop();
    assert_eq!(world.proposed(&world.header()), Err(HeaderError::BaseFee { want: None, got: Some(0) }));
    let header = Header { base_fee_per_gas: None, ..world.header() };
    world.proposed(&header).unwrap();
}

#[test]
fn lists_and_votes_in_extra_data() {
    let world = world();
    let with = |extra: ExtraData| {
        world.proposed(&Header { extra_data: extra.encode(HeaderFormat::Qbft), ..world.header() })
    };
    let vote = |recipient, kind| Some(Vote { recipient, kind });
    let add = vote(key(9).address(), VoteKind::Add);
    assert_eq!(with(ExtraData { vote: add, ..world.extra() }), Ok(()));
    let zero = vote(Address::ZERO, VoteKind::Add);
    assert_eq!(with(ExtraData { vote: zero, ..world.extra() }), Err(HeaderError::Vote));
    let short = world.validators.as_slice()[1..].to_vec();
    assert_eq!(with(ExtraData { validators: short, ..world.extra() }), Err(HeaderError::Validators));
    assert_eq!(with(ExtraData { validators: vec![], ..world.extra() }), Err(HeaderError::Validators));
    let sealed = world.sealed(&world.header(), &[1, 2, 3]);
    assert!(matches!(world.proposed(&sealed), Err(HeaderError::SealCount { got: 3, most: 0, .. })));
}

#[test]
fn a_header_ahead_of_the_clock_waits() {
    let world = world();
    let at = |now| {
        let header = world.header();
        check_header(&world.spec, &header, &world.parent, &world.validators, Seals::NotYet, Some(now))
    };
    assert_eq!(at(1_001_000), Ok(()));
    assert_eq!(at(1_000_000), Ok(()));
    let due_unix_ms = 1_000_000;
    assert_eq!(at(999_999), Err(HeaderError::FromFuture { timestamp: 1001, due_unix_ms }));
}

#[test]
fn below_one_second_timestamps_only_must_not_decrease() {
    let mut world = world();
    world.spec.consensus[0].1.block_period_ms = 250;
    world.proposed(&Header { timestamp: 1000, ..world.header() }).unwrap();
    let refused = world.refuse(|h| h.timestamp = 999);
    assert_eq!(refused, HeaderError::TooEarly { got: 999, least: 1000 });
    world.spec.consensus[0].1.block_period_ms = 2500;
    let refused = world.refuse(|h| h.timestamp = 1001);
    assert_eq!(refused, HeaderError::TooEarly { got: 1001, least: 1002 });
}

#[test]
fn seals_are_a_quorum_of_distinct_validators_over_the_round_of_the_header() {
    let world = world();
    let check = |header: &Header| {
        check_header(&world.spec, header, &world.parent, &world.validators, Seals::Required, None)
    };
    let header = extra::with_round(&world.header(), 3).unwrap();
    check(&world.sealed(&header, &[4, 1, 2])).unwrap();
    check(&world.sealed(&header, &[1, 2, 3, 4])).unwrap();
    use HeaderError::*;
    assert!(matches!(check(&world.sealed(&header, &[1, 2])), Err(SealCount { got: 2, .. })));
    let five = world.sealed(&header, &[1, 2, 3, 4, 1]);
    assert!(matches!(check(&five), Err(SealCount { got: 5, least: 3, most: 4 })));
    assert!(matches!(check(&world.sealed(&header, &[1, 2, 3, 9])), Err(ForeignSeal { index: 3, .. })));
    assert!(matches!(check(&world.sealed(&header, &[1, 2, 3, 1])), Err(RepeatedSeal { index: 3, .. })));
    let sealed = world.sealed(&header, &[1, 2, 3]);
    let seals = ExtraData::decode(&sealed.extra_data, HeaderFormat::Qbft).unwrap().seals;
    let moved = extra::with_round_and_seals(&header, 2, &seals).unwrap();
    assert!(matches!(check(&moved), Err(ForeignSeal { index: 0, .. })));
    let zeros = [seals[0], seals[1], seals[2], Signature([0; 65])];
    let zeros = extra::with_round_and_seals(&header, 3, &zeros).unwrap();
    assert!(matches!(check(&zeros), Err(BadSeal { index: 3, .. })));
    let high = [malleated(seals[0]), seals[1], seals[2]];
    check(&extra::with_round_and_seals(&header, 3, &high).unwrap()).unwrap();
}

#[test]
fn the_body_is_the_one_of_the_header_and_not_too_long() {
    let mut world = world();
    let transactions = vec![Bytes::from_static(&[0xc3, 1, 2, 3])];
    let transactions_root = Block::transactions_root(&transactions);
    let header = Header { transactions_root, ..world.header() };
    let proposed = Block { header: header.clone(), transactions };
    let late = extra::with_round(&header, 100_000).unwrap();
    let sealed = Block { header: world.sealed(&late, &[1, 2, 3, 4]), ..proposed.clone() };
    let length = proposed.size();
    assert!(sealed.size() > length);
    world.spec.limits[0].1.block_size = length;
    let certify_in =
        |world: &World, block: &Block| certify(&world.spec, block.clone(), &world.parent, &world.validators);
    let certified = certify_in(&world, &sealed).unwrap();
    assert_eq!(certified.hash(), extra::block_hash(&header, HeaderFormat::Qbft).unwrap());
    assert_eq!(certified.block(), &sealed);
    assert_eq!(unsealed_size(&sealed, HeaderFormat::Qbft), Ok(length));
    world.spec.limits[0].1.block_size = length - 1;
    let too_long = HeaderError::BlockSize { got: length, limit: length - 1 };
    assert_eq!(certify_in(&world, &sealed), Err(too_long.clone()));
    assert_eq!(check_body(&world.spec, &proposed), Err(too_long));
    world.spec.limits[0].1.block_size = length;
    let empty = Block { transactions: vec![], ..sealed };
    assert!(matches!(certify_in(&world, &empty), Err(HeaderError::TransactionsRoot { .. })));
    assert!(matches!(certify_in(&world, &proposed), Err(HeaderError::SealCount { got: 0, .. })));
}

#[test]
fn ibft2_headers_are_sealed_over_the_round_in_their_own_layout() {
    let mut world = world();
    world.spec.consensus[0].1.format = HeaderFormat::Ibft2;
    let mut extra = ExtraData { vanity: Bytes::from(vec![0; 32]), round: 1, ..world.extra() };
    let mut header = Header { extra_data: extra.encode(HeaderFormat::Ibft2), ..world.header() };
    world.proposed(&header).unwrap();
    let digest = commit_digest(&header, HeaderFormat::Ibft2).unwrap();
    extra.seals = [1, 2, 4].map(|n| key(n).sign(digest)).to_vec();
    header.extra_data = extra.encode(HeaderFormat::Ibft2);
    let check = |header: &Header| {
        check_header(&world.spec, header, &world.parent, &world.validators, Seals::Required, None)
    };
    check(&header).unwrap();
    assert_eq!(committers(&header, HeaderFormat::Ibft2).unwrap(), [1, 2, 4].map(|n| key(n).address()));
    extra.round = 2;
    header.extra_data = extra.encode(HeaderFormat::Ibft2);
    assert!(matches!(check(&header), Err(HeaderError::ForeignSeal { .. })));
    let qbft = Header { extra_data: world.extra().encode(HeaderFormat::Qbft), ..header };
    assert!(matches!(check(&qbft), Err(HeaderError::Extra(_))));
}

#[test]
fn where_a_contract_chooses_a_header_commits_and_does_not_vote() {
    let mut world = world();
    world.spec.consensus[0].1.validator_contract = Some(Address::repeat_byte(0xc0));
    let check = |world: &World, extra: ExtraData| {
        let header = Header { extra_data: extra.encode(HeaderFormat::Qbft), ..world.header() };
        check_header(&world.spec, &header, &world.parent, &world.validators, Seals::NotYet, None)
    };
    let vote = Some(Vote { recipient: Address::repeat_byte(9), kind: VoteKind::Add });
    let committing = ExtraData { vanity: vec![5; 32].into(), ..world.extra() };
    assert_eq!(check(&world, committing.clone()), Ok(()));
    assert_eq!(check(&world, ExtraData { vote, ..committing.clone() }), Err(HeaderError::VoteByContract));
    assert_eq!(check(&world, world.extra()), Err(HeaderError::NoCommitment(0)));

    // The last height of the contract: still no votes, but nothing to commit to.
    let mut last = world.spec.consensus[0].1.clone();
    last.validator_contract = None;
    world.spec.consensus.push((8, last));
    assert_eq!(check(&world, world.extra()), Ok(()));
    assert_eq!(check(&world, ExtraData { vote, ..world.extra() }), Err(HeaderError::VoteByContract));
    // The first height before it: votes, and a commitment.
    world.spec.consensus.reverse();
    world.spec.consensus[0].0 = 0;
    world.spec.consensus[1].0 = 8;
    assert_eq!(check(&world, ExtraData { vote, ..committing }), Ok(()));
    assert_eq!(check(&world, ExtraData { vote, ..world.extra() }), Err(HeaderError::NoCommitment(0)));
}
