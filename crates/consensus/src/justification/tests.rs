use super::*;
use crate::message::{
    ConsensusMessage, MessageError, MessageLimits, PROPOSAL_CODE, Proposal, ROUND_CHANGE_CODE,
    VerifiedMessage,
};
use crate::testing::{addresses, bytes, cases, key, malleated, params, text, vectors};
use lonja_primitives::{Signature, Signer};
use serde_json::Value;

/// Four validators, keys 4, 2, 3 and 1 in ascending order of their addresses, at height 1.
struct World {
    validators: ValidatorSet,
    params: ConsensusParams,
    block: Block,
}

const LIMITS: MessageLimits = MessageLimits { validators: 4, block_bytes: 1 << 20 };

fn verify(case: &Value) -> Result<VerifiedMessage, MessageError> {
    let code = if case["type"] == "proposal" { PROPOSAL_CODE } else { ROUND_CHANGE_CODE };
    let wire = [&[code], &bytes(&case["rlp"])[..]].concat();
    ConsensusMessage::decode(&wire, &LIMITS)?.verify()
}

fn world(digest: DigestRule) -> World {
    let file = vectors!("qbft_justification");
    let first = cases(&file).iter().find(|case| case["id"] == "p-round0").unwrap();
    let VerifiedMessage::Proposal(first) = verify(first).unwrap() else { panic!("not a proposal") };
    World {
        validators: ValidatorSet::new(addresses(&file["context"]["validators_sorted"])).unwrap(),
        params: ConsensusParams { digest, ..params() },
        block: first.proposal.into_payload().block,
    }
}

impl World {
    fn height(&self) -> Height<'_> {
        Height { number: 1, validators: &self.validators, params: &self.params, last_author: None }
    }

    /// The key of the proposer of `round`.
    fn turn(&self, round: u32) -> u8 {
        [4, 2, 3, 1][round as usize % 4]
    }

    /// A fresh block for `round`, built by whoever's turn it is.
    fn fresh(&self, round: u32) -> Block {
        let mut block = self.block.clone();
        block.header.beneficiary = key(self.turn(round)).address();
        self.height().proposable(block, round).unwrap()
    }

    /// The block of round 0 as it is proposed in `round`.
    fn again(&self, round: u32) -> Block {
        self.height().proposable(self.block.clone(), round).unwrap()
    }

    fn prepares(&self, keys: &[u8], round: u32, digest: B256) -> Vec<Verified<Prepare>> {
        keys.iter().map(|n| Verified::sign(Prepare { sequence: 1, round, digest }, &key(*n))).collect()
    }

    fn changes(
        &self,
        keys: &[u8],
        round: u32,
        prepared: Option<PreparedClaim>,
    ) -> Vec<Verified<RoundChange>> {
        let change = RoundChange { sequence: 1, round, prepared };
        keys.iter().map(|n| Verified::sign(change, &key(*n))).collect()
    }

    fn judge(
        &self,
        block: Block,
        round: u32,
        changes: Vec<Verified<RoundChange>>,
        prepares: Vec<Verified<Prepare>>,
    ) -> Check {
        let proposal = Proposal { sequence: 1, round, block };
        let signed = VerifiedProposal::sign(proposal, changes, prepares, &key(self.turn(round)));
        justified(&self.height(), &signed)
    }
}

/// For which reason each refused case must be refused; signatures fall before the predicates.
fn is_the_reason(id: &str, error: &Unjustified) -> bool {
    use Unjustified::*;
    match id {
        "p-round0-with-round-changes" => matches!(error, NeedlessJustification),
        "p-wrong-proposer" | "p-stranger" => matches!(error, NotTheProposer { .. }),
        "p-height-2" | "rc-wrong-height" => matches!(error, Height { want: 1, got: 2 }),
        "p-round0-coinbase-other" => matches!(error, Builder { .. }),
        "p-round1-duplicate-author" => matches!(error, Repeated { what: "round changes", .. }),
        "p-round1-rc-for-round2" => matches!(error, Round { want: 1, got: 2 }),
        "p-round1-nil-with-prepares" | "rc-prepares-without-metadata" => matches!(error, NothingClaimed),
        "p-round1-fresh-block-round-field-0" => matches!(error, RoundField { want: 1, got: 0 }),
        "g-round1-eea-block-rejected" => matches!(error, RoundField { want: 0, got: 1 }),
        "p-round1-reproposal-two-prepares" | "rc-two-prepares" => {
            matches!(error, NoQuorum { what: "prepares", got: 2, quorum: 3 })
        }
        "p-round1-reproposal-no-prepares" => matches!(error, NoQuorum { got: 0, .. }),
        "p-round1-reproposal-stranger-prepare" | "rc-stranger-prepare" => matches!(error, Stranger(_)),
        "p-round1-forged-prepares" => matches!(error, Stranger(_)),
        "p-round1-reproposal-prepares-round1" => matches!(error, Round { want: 0, got: 1 }),
        "rc-prepare-wrong-round" => matches!(error, Round { want: 0, got: 2 }),
        "p-round1-reproposal-prepares-digest" | "rc-digest-mismatch" => matches!(error, Digest { .. }),
        "p-round3-ignores-prepared" => matches!(error, NotThePreparedBlock(_)),
        "p-round1-extra-bad-rc" => matches!(error, Height { .. } | Round { .. } | Stranger(_)),
        "rc-metadata-without-block" => matches!(error, NoBlock),
        "rc-target-round-0" => matches!(error, RoundZero),
        _ => false,
    }
}

fn check_case(case: &Value) {
    let id = text(&case["id"]);
    let digest = match text(&case["digest_mode"]) {
        "eea" => DigestRule::Eea,
        "goquorum" => DigestRule::GoQuorum,
        other => panic!("{other}"),
    };
    let world = world(digest);
    let verdict = match verify(case) {
        Ok(VerifiedMessage::Proposal(message)) => justified(&world.height(), &message),
        Ok(VerifiedMessage::RoundChange(message)) => valid_round_change(&world.height(), &message),
        Err(MessageError::Signature { .. })
            if ["p-round1-high-s", "p-round1-forged-prepares"].contains(&id) =>
        {
            return;
        }
        other => panic!("{id}: {other:?}"),
    };
    match (text(&case["expect"]), verdict) {
        ("accept", Ok(())) => {}
        ("reject" | "policy", Err(error)) if is_the_reason(id, &error) => {}
        (expect, got) => panic!("{id}: expected {expect}, got {got:?}"),
    }
}

/// Where the vectors leave the verdict open (prepares without a claim) ours is to refuse.
#[test]
fn justification_vectors() {
    for case in cases(&vectors!("qbft_justification")) {
        check_case(case);
    }
}

#[test]
fn prepares_are_of_members_for_one_view_and_digest() {
    let world = world(DigestRule::Eea);
    let height = world.height();
    let digest = B256::repeat_byte(5);
    let signed = |n, sequence, round, digest| Verified::sign(Prepare { sequence, round, digest }, &key(n));
    let judge = |prepare| valid_prepare(&height, &prepare, 2, digest);
    assert_eq!(judge(signed(1, 1, 2, digest)), Ok(()));
    assert_eq!(judge(signed(9, 1, 2, digest)), Err(Unjustified::Stranger(key(9).address())));
    assert_eq!(judge(signed(1, 2, 2, digest)), Err(Unjustified::Height { want: 1, got: 2 }));
    assert_eq!(judge(signed(1, 1, 1, digest)), Err(Unjustified::Round { want: 2, got: 1 }));
    let other = Unjustified::Digest { want: digest, got: B256::ZERO };
    assert_eq!(judge(signed(1, 1, 2, B256::ZERO)), Err(other));
}

#[test]
fn a_certificate_counts_authors_and_takes_no_bad_prepare() {
    let world = world(DigestRule::Eea);
    let digest = B256::repeat_byte(5);
    let judge =
        |prepares: &[Verified<Prepare>]| valid_prepared_certificate(&world.height(), 1, digest, prepares);
    assert_eq!(judge(&world.prepares(&[1, 2, 3], 1, digest)), Ok(()));
    assert_eq!(judge(&world.prepares(&[1, 2, 3, 4], 1, digest)), Ok(()));
    let short = Unjustified::NoQuorum { what: "prepares", got: 2, quorum: 3 };
    assert_eq!(judge(&world.prepares(&[1, 2], 1, digest)), Err(short));
    let repeated = Unjustified::Repeated { what: "prepares", author: key(2).address() };
    assert_eq!(judge(&world.prepares(&[1, 2, 2], 1, digest)), Err(repeated.clone()));
    assert_eq!(judge(&world.prepares(&[1, 2, 3, 2], 1, digest)), Err(repeated));
    let mut mixed = world.prepares(&[1, 2, 3], 1, digest);
    mixed.extend(world.prepares(&[4], 0, digest));
    assert_eq!(judge(&mixed), Err(Unjustified::Round { want: 1, got: 0 }));
}

fn commit(world: &World, author: u8, sealer: u8, round: u32, sealed: u32) -> Verified<Commit> {
    let height = world.height();
    let digest = height.digest(&world.block.header, round).unwrap();
    let seal = key(sealer).sign(height.commit_digest(&world.block.header, sealed).unwrap());
    Verified::sign(Commit { sequence: 1, round, digest, seal }, &key(author))
}

#[test]
fn a_commit_carries_a_seal_of_its_author_over_its_round() {
    for rule in [DigestRule::Eea, DigestRule::GoQuorum] {
        let world = world(rule);
        let height = world.height();
        let judge =
            |commit: &Verified<Commit>, round| valid_commit(&height, commit, round, &world.block.header);
        assert_eq!(judge(&commit(&world, 1, 1, 2, 2), 2), Ok(()));
        assert_eq!(judge(&commit(&world, 1, 1, 0, 0), 0), Ok(()));
        assert!(matches!(judge(&commit(&world, 1, 1, 2, 1), 2), Err(Unjustified::SealOfAnother { .. })));
        assert!(matches!(judge(&commit(&world, 1, 2, 2, 2), 2), Err(Unjustified::SealOfAnother { .. })));
        assert!(matches!(judge(&commit(&world, 1, 1, 1, 1), 2), Err(Unjustified::Round { .. })));
        assert!(matches!(judge(&commit(&world, 9, 9, 2, 2), 2), Err(Unjustified::Stranger(_))));
        let good = commit(&world, 1, 1, 2, 2).into_payload();
        let other = world.fresh(1).header;
        let signed = Verified::sign(good, &key(1));
        assert!(matches!(valid_commit(&height, &signed, 2, &other), Err(Unjustified::Digest { .. })));
        for seal in [malleated(good.seal), Signature([0; 65])] {
            let bad = Verified::sign(Commit { seal, ..good }, &key(1));
            assert!(matches!(judge(&bad, 2), Err(Unjustified::BadSeal(_))));
        }
        let elsewhere = Verified::sign(Commit { sequence: 2, ..good }, &key(1));
        assert!(matches!(judge(&elsewhere, 2), Err(Unjustified::Height { .. })));
    }
}

/// The seal a commit carries is what the header needs, under both digest rules and in any round.
#[test]
fn seals_from_commits_certify_the_block() {
    for rule in [DigestRule::Eea, DigestRule::GoQuorum] {
        let world = world(rule);
        let seals: Vec<_> = [1, 2, 3].map(|n| commit(&world, n, n, 5, 5).seal).to_vec();
        let header = extra::with_round_and_seals(&world.block.header, 5, &seals).unwrap();
        let committers = crate::header::committers(&header, HeaderFormat::Qbft).unwrap();
        assert_eq!(committers, [1, 2, 3].map(|n| key(n).address()));
    }
}

#[test]
fn round_change_payloads() {
    let world = world(DigestRule::Eea);
    let judge = |n, round, target, prepared: Option<u32>| {
        let prepared = prepared.map(|round| PreparedClaim { round, digest: B256::ZERO });
        let change = world.changes(&[n], round, prepared).remove(0);
        valid_round_change_payload(&world.height(), &change, target)
    };
    assert_eq!(judge(1, 3, 3, None), Ok(()));
    assert_eq!(judge(1, 3, 3, Some(2)), Ok(()));
    let late = |prepared| Err(Unjustified::PreparedTooLate { prepared, target: 3 });
    assert_eq!(judge(1, 3, 3, Some(3)), late(3));
    assert_eq!(judge(1, 3, 3, Some(9)), late(9));
    assert_eq!(judge(1, 0, 0, None), Err(Unjustified::RoundZero));
    assert_eq!(judge(1, 2, 3, None), Err(Unjustified::Round { want: 3, got: 2 }));
    assert_eq!(judge(9, 3, 3, None), Err(Unjustified::Stranger(key(9).address())));
}

/// Round changes with proof, as a validator prepared in round 1 sends them.
#[test]
fn round_changes_prove_their_claim_under_both_digest_rules() {
    for rule in [DigestRule::Eea, DigestRule::GoQuorum] {
        let world = world(rule);
        let height = world.height();
        let block = world.fresh(1);
        let digest = height.digest(&block.header, 1).unwrap();
        let judge = |block: Option<Block>, digest: B256, prepares: Vec<Verified<Prepare>>| {
            let prepared = Some(PreparedClaim { round: 1, digest });
            let change = RoundChange { sequence: 1, round: 2, prepared };
            valid_round_change(&height, &VerifiedRoundChange::sign(change, block, prepares, &key(3)))
        };
        let proof = || world.prepares(&[1, 2, 3], 1, digest);
        assert_eq!(judge(Some(block.clone()), digest, proof()), Ok(()));
        assert_eq!(judge(None, digest, proof()), Err(Unjustified::NoBlock));
        let other = world.fresh(2);
        let other = height.proposable(other, 1).unwrap();
        assert!(matches!(judge(Some(other), digest, proof()), Err(Unjustified::Digest { .. })));
        let elsewhere = Block { header: Header { number: 2, ..block.header.clone() }, ..block.clone() };
        assert!(matches!(judge(Some(elsewhere), digest, proof()), Err(Unjustified::BlockNumber { .. })));
        let header = extra::with_round(&block.header, 7).unwrap();
        let moved = Block { header, ..block.clone() };
        assert!(matches!(judge(Some(moved), digest, proof()), Err(Unjustified::RoundField { .. })));
        let round = extra::qbft_round(&block.header).unwrap();
        let header = extra::with_round_and_seals(&block.header, round, &[Signature([1; 65])]).unwrap();
        let sealed = Block { header, ..block.clone() };
        assert_eq!(judge(Some(sealed), digest, proof()), Err(Unjustified::SealedAlready));
    }
}

#[test]
fn an_unprepared_round_change_carries_nothing() {
    let world = world(DigestRule::Eea);
    let judge = |block, prepares| {
        let change = RoundChange { sequence: 1, round: 1, prepared: None };
        let message = VerifiedRoundChange::sign(change, block, prepares, &key(3));
        valid_round_change(&world.height(), &message)
    };
    assert_eq!(judge(None, vec![]), Ok(()));
    assert_eq!(judge(Some(world.fresh(0)), vec![]), Err(Unjustified::NothingClaimed));
    let prepares = world.prepares(&[1], 0, B256::ZERO);
    assert_eq!(judge(None, prepares), Err(Unjustified::NothingClaimed));
}

#[test]
fn fresh_proposals_need_a_quorum_that_asked_for_their_round() {
    for rule in [DigestRule::Eea, DigestRule::GoQuorum] {
        let world = world(rule);
        let judge =
            |keys: &[u8], asked| world.judge(world.fresh(2), 2, world.changes(keys, asked, None), vec![]);
        assert_eq!(judge(&[1, 2, 4], 2), Ok(()));
        assert!(matches!(judge(&[1, 2], 2), Err(Unjustified::NoQuorum { got: 2, .. })));
        assert!(matches!(judge(&[1, 2, 2], 2), Err(Unjustified::Repeated { .. })));
        assert!(matches!(judge(&[1, 2, 9], 2), Err(Unjustified::Stranger(_))));
        assert!(matches!(judge(&[1, 2, 4], 3), Err(Unjustified::Round { .. })));
        let not_mine = world.again(2);
        let asked = world.changes(&[1, 2, 4], 2, None);
        assert!(matches!(world.judge(not_mine, 2, asked, vec![]), Err(Unjustified::Builder { .. })));
    }
}

/// The block prepared in round 0, and a later one prepared in round 1: only the later one may be proposed in
/// round 3, and only with the proof of round 1.
#[test]
fn the_highest_prepared_block_must_be_proposed_again() {
    for rule in [DigestRule::Eea, DigestRule::GoQuorum] {
        let world = world(rule);
        let height = world.height();
        let (first, second) = (world.fresh(0), world.fresh(1));
        let digests =
            [(&first, 0), (&second, 1)].map(|(block, round)| height.digest(&block.header, round).unwrap());
        let claim = |round: u32| Some(PreparedClaim { round, digest: digests[round as usize] });
        let mut changes = world.changes(&[1], 3, claim(0));
        changes.extend(world.changes(&[2], 3, claim(1)));
        changes.extend(world.changes(&[3], 3, None));
        let proof = |round: u32| world.prepares(&[1, 2, 3], round, digests[round as usize]);
        let judge = |block: &Block, prepares| {
            let block = height.proposable(block.clone(), 3).unwrap();
            world.judge(block, 3, changes.clone(), prepares)
        };
        assert_eq!(judge(&second, proof(1)), Ok(()));
        assert_eq!(judge(&first, proof(0)), Err(Unjustified::NotThePreparedBlock(1)));
        assert_eq!(judge(&world.fresh(3), vec![]), Err(Unjustified::NotThePreparedBlock(1)));
        assert!(matches!(judge(&second, proof(0)), Err(Unjustified::Round { want: 1, got: 0 })));
        assert!(matches!(judge(&second, vec![]), Err(Unjustified::NoQuorum { .. })));
        assert_eq!(highest_claim(&changes), Some(1));
    }
}

/// Only the round field may differ between the block that was prepared and the one proposed again.
#[test]
fn a_block_proposed_again_with_another_builder_or_time_is_refused() {
    let world = world(DigestRule::Eea);
    let digest = world.height().digest(&world.block.header, 0).unwrap();
    let changes = world.changes(&[1, 2, 3], 1, Some(PreparedClaim { round: 0, digest }));
    let judge = |block| world.judge(block, 1, changes.clone(), world.prepares(&[1, 2, 3], 0, digest));
    assert_eq!(judge(world.again(1)), Ok(()));
    let mut other = world.again(1);
    other.header.beneficiary = key(2).address();
    assert_eq!(judge(other), Err(Unjustified::NotThePreparedBlock(0)));
    let mut later = world.again(1);
    later.header.timestamp += 1;
    assert_eq!(judge(later), Err(Unjustified::NotThePreparedBlock(0)));
    assert_eq!(judge(world.again(0)), Err(Unjustified::RoundField { want: 1, got: 0 }));
}

#[test]
fn proposals_are_for_the_height_of_their_block_and_unsealed() {
    let world = world(DigestRule::Eea);
    let mut elsewhere = world.fresh(0);
    elsewhere.header.number = 2;
    assert_eq!(world.judge(elsewhere, 0, vec![], vec![]), Err(Unjustified::BlockNumber { want: 1, got: 2 }));
    let mut sealed = world.fresh(0);
    sealed.header = extra::with_round_and_seals(&sealed.header, 0, &[Signature([1; 65])]).unwrap();
    assert_eq!(world.judge(sealed, 0, vec![], vec![]), Err(Unjustified::SealedAlready));
    let prepares = world.prepares(&[1, 2, 3], 0, B256::ZERO);
    assert_eq!(world.judge(world.fresh(0), 0, vec![], prepares), Err(Unjustified::NeedlessJustification));
    let mut broken = world.fresh(0);
    broken.header.extra_data = Default::default();
    assert!(matches!(world.judge(broken, 0, vec![], vec![]), Err(Unjustified::Extra(_))));
}
