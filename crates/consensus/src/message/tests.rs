use super::*;
use crate::testing::{address, addresses, bytes, cases, hash, key, malleated, number, params, text, vectors};
use crate::{Height, ValidatorSet};
use alloy_primitives::{Bytes, keccak256};
use alloy_rlp::Decodable;
use lonja_primitives::{Header, HeaderFormat, block_hash, extra};
use proptest::prelude::*;
use serde_json::Value;

mod ibft1;

const LIMITS: MessageLimits = MessageLimits { validators: 4, block_bytes: 1 << 20 };

fn decode(bytes: &[u8]) -> Result<ConsensusMessage, MessageError> {
    ConsensusMessage::decode(bytes, &LIMITS)
}

/// Code byte and RLP of a case.
fn wire(case: &Value) -> Vec<u8> {
    let code = u8::from_str_radix(&text(&case["code"])[2..4], 16).unwrap();
    [&[code], &bytes(&case["rlp"])[..]].concat()
}

fn case(id: &str) -> Value {
    let file = vectors!("qbft_messages");
    cases(&file).iter().find(|case| case["id"] == id).unwrap().clone()
}

fn signature(value: &Value) -> Signature {
    Signature::from_slice(&bytes(value)).unwrap()
}

/// The view and the fields that the vectors spell out.
fn check_fields(case: &Value, message: &ConsensusMessage) {
    let parsed = &case["parsed"];
    if parsed["sequence"].is_u64() {
        let view = View { sequence: number(&parsed["sequence"]), round: number(&parsed["round"]) as u32 };
        assert_eq!(message.view(), view, "{case}");
    }
    match message {
        ConsensusMessage::Prepare(signed) if parsed["digest"].is_string() => {
            assert_eq!(signed.payload.digest, hash(&parsed["digest"]));
            assert_eq!(signed.signature, signature(&parsed["signature"]));
        }
        ConsensusMessage::Commit(signed) => {
            assert_eq!(signed.payload.digest, hash(&parsed["digest"]));
            assert_eq!(signed.payload.seal, signature(&parsed["commit_seal"]));
            assert_eq!(signed.signature, signature(&parsed["signature"]));
        }
        ConsensusMessage::Proposal(message) if parsed["block_hash"].is_string() => {
            let hash_of = block_hash(&message.proposal.payload.block.header, HeaderFormat::Qbft);
            assert_eq!(hash_of.unwrap(), hash(&parsed["block_hash"]));
            assert_eq!(message.round_changes.len() as u64, number(&parsed["round_changes"]));
            assert_eq!(message.prepares.len() as u64, number(&parsed["prepares"]));
        }
        _ => {}
    }
}

/// What is signed: digest of the preimage the vector states, and who signed it.
fn check_signer(case: &Value, message: ConsensusMessage) {
    let digest = match &message {
        ConsensusMessage::Proposal(message) => message.proposal.payload.signing_digest(),
        ConsensusMessage::Prepare(signed) => signed.payload.signing_digest(),
        ConsensusMessage::Commit(signed) => signed.payload.signing_digest(),
        ConsensusMessage::RoundChange(message) => message.round_change.payload.signing_digest(),
    };
    assert_eq!(digest, keccak256(bytes(&case["signed_preimage"])), "{case}");
    let encoded = message.encode();
    let verified = message.verify().unwrap();
    assert_eq!(verified.author(), address(&case["author"]), "{case}");
    assert_eq!(verified.encode(), encoded);
    if let VerifiedMessage::RoundChange(message) = verified {
        let authors: Vec<_> = message.prepares.iter().map(Verified::author).collect();
        assert_eq!(authors, addresses(&case["parsed"]["prepare_authors"]));
    }
}

#[test]
fn message_vectors() {
    let file = vectors!("qbft_messages");
    let mut accepted = 0;
    for case in cases(&file) {
        let id = text(&case["id"]);
        if id == "real-signed-round-change-prepared" {
            continue;
        }
        let wire = wire(case);
        // The longer form of later Besu versions is another protocol.
        if case["expect"] == "reject" || id == "besu-26-1-proposal-with-null-bal" {
            assert!(decode(&wire).is_err(), "{id}");
            continue;
        }
        let message = decode(&wire).unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(message.encode()[..], wire[..], "{id}");
        check_fields(case, &message);
        if case["author"].is_string() {
            check_signer(case, message);
        }
        accepted += 1;
    }
    assert_eq!(accepted, 10);
}

#[test]
fn a_round_change_from_a_production_log() {
    let case = case("real-signed-round-change-prepared");
    let signed = Signed::<RoundChange>::decode(&mut &bytes(&case["rlp"])[..]).unwrap();
    assert_eq!(alloy_rlp::encode(&signed), bytes(&case["rlp"]));
    assert_eq!(signed.payload.signing_digest(), keccak256(bytes(&case["signed_preimage"])));
    let parsed = &case["parsed"];
    let digest = hash(&parsed["prepared_digest"]);
    let prepared = Some(PreparedClaim { round: number(&parsed["prepared_round"]) as u32, digest });
    let sequence = number(&parsed["sequence"]);
    assert_eq!(signed.payload, RoundChange { sequence, round: 1, prepared });
    assert_eq!(signed.verify().unwrap().author(), address(&case["author"]));
}

fn block() -> Block {
    proposed(&bytes(&case("derived-proposal-round0")["rlp"]))
}

/// The block of the justification vectors with this commit digest in round 1.
fn block_sealed_in_round_1(digest: B256) -> Block {
    let file = vectors!("qbft_justification");
    let proposals = cases(&file).iter().filter(|case| case["type"] == "proposal");
    let is_it = |block: &Block| extra::qbft_digest(&block.header, 1) == Ok(digest);
    proposals.map(|case| proposed(&bytes(&case["rlp"]))).find(is_it).unwrap()
}

fn proposed(rlp: &[u8]) -> Block {
    match decode(&[&[PROPOSAL_CODE], rlp].concat()).unwrap() {
        ConsensusMessage::Proposal(message) => message.proposal.payload.block,
        other => panic!("{other:?}"),
    }
}

/// Signatures are deterministic: our constructors give back the vectors byte by byte.
#[test]
fn signing_gives_the_bytes_of_the_vectors() {
    let block = block();
    let validators = ValidatorSet::new((1..=4).map(key_address).collect()).unwrap();
    let params = params();
    let height = Height { number: 1, validators: &validators, params: &params, last_author: None };
    let digest = height.digest(&block.header, 0).unwrap();
    let prepare = |n| Verified::sign(Prepare { sequence: 1, round: 0, digest }, &key(n));
    let expect = |id: &str, message: VerifiedMessage| {
        assert_eq!(message.encode()[..], wire(&case(id))[..], "{id}");
    };
    expect("derived-prepare", VerifiedMessage::Prepare(prepare(3)));

    let commit = |n, round, block: &Block| {
        let digest = height.digest(&block.header, round).unwrap();
        let sealed = height.commit_digest(&block.header, round).unwrap();
        let seal = lonja_primitives::Signer::sign(&key(n), sealed);
        VerifiedMessage::Commit(Verified::sign(Commit { sequence: 1, round, digest, seal }, &key(n)))
    };
    expect("derived-commit-round0", commit(1, 0, &block));
    let later = block_sealed_in_round_1(hash(&case("derived-commit-round1-eea")["parsed"]["digest"]));
    expect("derived-commit-round1-eea", commit(4, 1, &later));

    let proposal = Proposal { sequence: 1, round: 0, block: block.clone() };
    let proposal = VerifiedProposal::sign(proposal, vec![], vec![], &key(4));
    expect("derived-proposal-round0", VerifiedMessage::Proposal(Box::new(proposal)));

    let prepared = Some(PreparedClaim { round: 0, digest });
    let change = RoundChange { sequence: 1, round: 2, prepared };
    let prepares = [4, 2, 3].map(prepare).to_vec();
    let change = VerifiedRoundChange::sign(change, Some(block.clone()), prepares, &key(2));
    expect("derived-round-change-prepared", VerifiedMessage::RoundChange(Box::new(change)));
}

fn key_address(n: u8) -> Address {
    lonja_primitives::Signer::address(&key(n))
}

fn prepare(n: u8, round: u32) -> Verified<Prepare> {
    Verified::sign(Prepare { sequence: 1, round, digest: B256::repeat_byte(7) }, &key(n))
}

fn round_change(n: u8) -> Verified<RoundChange> {
    Verified::sign(RoundChange { sequence: 1, round: 1, prepared: None }, &key(n))
}

/// A PROPOSAL with that many round changes and prepares.
fn proposal_with(round_changes: u8, prepares: u8) -> ConsensusMessage {
    let message = VerifiedProposal::sign(
        Proposal { sequence: 1, round: 1, block: block() },
        (1..=round_changes).map(round_change).collect(),
        (1..=prepares).map(|n| prepare(n, 0)).collect(),
        &key(1),
    );
    VerifiedMessage::Proposal(Box::new(message)).to_message()
}

#[test]
fn lists_longer_than_the_validator_set_are_refused_before_any_signature() {
    decode(&proposal_with(4, 4).encode()).unwrap();
    let too_many = |what| Err(MessageError::TooMany { what, got: 5, limit: 4 });
    assert_eq!(decode(&proposal_with(5, 0).encode()), too_many("round changes"));
    assert_eq!(decode(&proposal_with(0, 5).encode()), too_many("prepares"));
    let change = VerifiedRoundChange {
        round_change: round_change(1),
        block: None,
        prepares: (1..=5).map(|n| prepare(n, 0)).collect(),
    };
    let encoded = VerifiedMessage::RoundChange(Box::new(change)).encode();
    assert_eq!(decode(&encoded), too_many("prepares"));
}

#[test]
fn messages_too_long_for_their_kind_are_refused_unread() {
    let padded = |code, length: usize| {
        let mut bytes = vec![0xff; length];
        bytes[0] = code;
        decode(&bytes)
    };
    let vote = MAX_VOTE_MESSAGE_BYTES;
    for code in [PREPARE_CODE, COMMIT_CODE] {
        assert_eq!(padded(code, vote + 1), Err(MessageError::TooLong { bytes: vote + 1, limit: vote }));
        assert!(matches!(padded(code, vote), Err(MessageError::Malformed(_))));
    }
    let block = LIMITS.block_bytes + JUSTIFICATION_BYTES;
    for code in [PROPOSAL_CODE, ROUND_CHANGE_CODE] {
        assert_eq!(padded(code, block + 1), Err(MessageError::TooLong { bytes: block + 1, limit: block }));
        assert!(matches!(padded(code, block), Err(MessageError::Malformed(_))));
    }
    let wide = MessageLimits { block_bytes: usize::MAX, ..LIMITS };
    assert_eq!(wide.message_bytes(PROPOSAL_CODE), Ok(MAX_MESSAGE_BYTES));
    assert_eq!(decode(&[]), Err(MessageError::Empty));
    for code in [0, 0x11, 0x16, 0xff] {
        assert_eq!(decode(&[code, 0xc0]), Err(MessageError::UnknownCode(code)));
    }
}

#[test]
fn a_block_of_countless_tiny_transactions_is_refused() {
    let with = |count| {
        let block = Block { transactions: vec![Bytes::from_static(&[1]); count], ..block() };
        let proposal = Verified::sign(Proposal { sequence: 1, round: 0, block }, &key(1));
        let message = VerifiedProposal { proposal, round_changes: vec![], prepares: vec![] };
        let encoded = VerifiedMessage::Proposal(Box::new(message)).encode();
        ConsensusMessage::decode(&encoded, &LIMITS)
    };
    assert!(with(MAX_TRANSACTIONS).is_ok());
    assert!(matches!(with(MAX_TRANSACTIONS + 1), Err(MessageError::Malformed(_))));
}

#[test]
fn rounds_beyond_31_bits_are_refused() {
    let encoded = |round| VerifiedMessage::Prepare(prepare(1, round)).encode();
    assert!(decode(&encoded(MAX_ROUND)).is_ok());
    assert!(decode(&encoded(MAX_ROUND + 1)).is_err());
    let digest = B256::ZERO;
    let change = |round, prepared: u32| {
        let prepared = Some(PreparedClaim { round: prepared, digest });
        let change = Verified::sign(RoundChange { sequence: 1, round, prepared }, &key(1));
        alloy_rlp::encode(change.signed())
    };
    let read = |bytes: Vec<u8>| Signed::<RoundChange>::decode(&mut &bytes[..]);
    assert!(read(change(MAX_ROUND, MAX_ROUND)).is_ok());
    assert!(read(change(MAX_ROUND + 1, 0)).is_err());
    assert!(read(change(1, MAX_ROUND + 1)).is_err());
}

#[test]
fn a_malleated_signature_is_refused_anywhere_in_a_message() {
    let refused = |message: ConsensusMessage| {
        assert!(matches!(
            message.verify(),
            Err(MessageError::Signature { error: SignatureError::HighS, .. })
        ));
    };
    let whole = |change: fn(&mut ProposalMessage)| match proposal_with(3, 3) {
        ConsensusMessage::Proposal(mut message) => {
            change(&mut message);
            ConsensusMessage::Proposal(message)
        }
        other => other,
    };
    assert!(whole(|_| {}).verify().is_ok());
    refused(whole(|m| m.proposal.signature = malleated(m.proposal.signature)));
    refused(whole(|m| m.round_changes[2].signature = malleated(m.round_changes[2].signature)));
    refused(whole(|m| m.prepares[2].signature = malleated(m.prepares[2].signature)));
    let mut vote = prepare(1, 0).into_signed();
    vote.signature.0[64] += 27;
    let error = SignatureError::BadRecoveryId(vote.signature.0[64]);
    let what = "PREPARE";
    assert_eq!(ConsensusMessage::Prepare(vote).verify(), Err(MessageError::Signature { what, error }));
}

/// A stranger costs one recovery: the broken prepare behind the sender is never looked at.
#[test]
fn a_sender_that_is_not_admitted_costs_one_recovery() {
    let mut change = RoundChangeMessage {
        round_change: round_change(9).into_signed(),
        block: None,
        prepares: vec![prepare(1, 0).into_signed()],
    };
    change.prepares[0].signature = Signature([0; 65]);
    let message = ConsensusMessage::RoundChange(Box::new(change));
    let stranger = key_address(9);
    let refused = message.clone().verify_admitted(|author| *author != stranger);
    assert_eq!(refused, Err(MessageError::NotAdmitted(stranger)));
    assert!(matches!(message.verify(), Err(MessageError::Signature { what: "PREPARE", .. })));
}

/// A signature for one kind of message is none for another, though the payloads have the same shape.
#[test]
fn the_code_is_part_of_what_is_signed() {
    let vote = prepare(1, 0);
    let digest = vote.signing_digest();
    let claim = RoundChange { sequence: vote.sequence, round: vote.round, prepared: None };
    assert_ne!(digest, claim.signing_digest());
    let commit = Commit { sequence: 1, round: 0, digest: vote.digest, seal: Signature([1; 65]) };
    let forged = Signed { payload: commit, signature: vote.signed().signature };
    assert_ne!(forged.verify().map(|verified| verified.author()), Ok(vote.author()));
}

/// The messages of the vectors, as seeds for mutation.
fn seeds() -> Vec<Vec<u8>> {
    let file = vectors!("qbft_messages");
    let mut seeds: Vec<_> = cases(&file).iter().map(wire).collect();
    let justification = vectors!("qbft_justification");
    seeds.extend(cases(&justification).iter().map(|case| {
        let code = if case["type"] == "proposal" { PROPOSAL_CODE } else { ROUND_CHANGE_CODE };
        [&[code], &bytes(&case["rlp"])[..]].concat()
    }));
    seeds
}

#[test]
fn a_message_cut_anywhere_is_refused() {
    for seed in seeds().iter().filter(|seed| decode(seed).is_ok()) {
        for end in 0..seed.len() {
            assert!(decode(&seed[..end]).is_err());
        }
        assert!(decode(&[&seed[..], &[0x80]].concat()).is_err());
    }
}

fn check_canonical(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(message) = decode(bytes) {
        prop_assert_eq!(&message.encode()[..], bytes);
        if let Ok(verified) = message.verify() {
            prop_assert_eq!(&verified.encode()[..], bytes);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_refused_or_canonical(
        code in 0x10..0x18_u8,
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        check_canonical(&[&[code], &rest[..]].concat())?;
    }

    #[test]
    fn changed_messages_are_refused_or_canonical(
        seed in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let seeds = seeds();
        let mut bytes = seeds[seed.index(seeds.len())].clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        check_canonical(&bytes)?;
    }

    #[test]
    fn messages_of_any_values_come_back(
        (sequence, round, digest) in (any::<u64>(), 0..=MAX_ROUND, any::<[u8; 32]>()),
        claim in prop::option::of((0..=MAX_ROUND, any::<[u8; 32]>())),
    ) {
        let digest = B256::from(digest);
        let seal = Signature([3; 65]);
        let prepared = claim.map(|(round, digest)| PreparedClaim { round, digest: digest.into() });
        let header = Header { number: sequence, ..block().header };
        let block = Block { header, transactions: vec![Bytes::from_static(&[2, 9])] };
        let change = RoundChange { sequence, round, prepared };
        let change = VerifiedRoundChange::sign(change, Some(block.clone()), vec![prepare(1, round)], &key(3));
        let proposal = Proposal { sequence, round, block };
        let proposal = VerifiedProposal::sign(proposal, vec![round_change(2)], vec![prepare(2, 0)], &key(3));
        for message in [
            VerifiedMessage::Prepare(Verified::sign(Prepare { sequence, round, digest }, &key(3))),
            VerifiedMessage::Commit(Verified::sign(Commit { sequence, round, digest, seal }, &key(3))),
            VerifiedMessage::RoundChange(Box::new(change)),
            VerifiedMessage::Proposal(Box::new(proposal)),
        ] {
            let view = View { sequence, round };
            prop_assert_eq!((message.view(), message.author()), (view, key_address(3)));
            prop_assert_eq!(decode(&message.encode()).unwrap().verify().unwrap(), message);
        }
    }
}
