//! The rules one by one.

use super::*;
use crate::machine::harness;
use crate::machine::{ChainPosition, height_rules};
use crate::message::Signed;
use crate::testing;
use lonja_primitives::{ChainSpec, NodeKey};
use proptest::prelude::*;

struct Fixture {
    spec: Arc<ChainSpec>,
    keys: Vec<NodeKey>,
    position: Arc<ChainPosition>,
}

impl Fixture {
    fn new() -> Self {
        let keys = harness::keys(4);
        let spec = harness::spec(testing::params());
        let position = harness::genesis(&spec, harness::addresses(&keys));
        Self { spec, keys, position }
    }

    fn voter(&self, records: &[Vec<u8>]) -> Voter {
        let mut voter = Voter::restore(Arc::new(self.keys[0].clone()), 0, records).unwrap();
        voter.begin(1);
        voter
    }

    fn rules(&self) -> Height<'_> {
        height_rules(&self.spec, &self.position)
    }

    /// A block with this label, prepared in `round` by a quorum.
    fn prepared(&self, round: u32, label: u64) -> Prepared {
        let block = harness::block_on(&self.position, self.keys[0].address(), round, label);
        let digest = self.rules().digest(&block.header, round).unwrap();
        let sign = |key: &NodeKey| Verified::sign(Prepare { sequence: 1, round, digest }, key);
        Prepared { round, digest, block, prepares: self.keys[1..].iter().map(sign).collect() }
    }

    fn proposal(&self, round: u32, label: u64) -> (B256, Proposal) {
        let prepared = self.prepared(round, label);
        (prepared.digest, Proposal { sequence: 1, round, block: prepared.block })
    }
}

fn digest(value: u8) -> B256 {
    B256::repeat_byte(value)
}

#[test]
fn one_prepare_per_round_and_the_same_again() {
    let fixture = Fixture::new();
    let mut voter = fixture.voter(&[]);
    let first = voter.prepare(3, digest(1)).unwrap();
    assert_eq!(first.entry, Some(Entry::Prepare { round: 3, digest: digest(1) }));
    let again = voter.prepare(3, digest(1)).unwrap();
    assert_eq!((again.entry, &again.message), (None, &first.message));
    assert!(voter.prepare(3, digest(2)).is_none());
    assert!(voter.prepare(2, digest(1)).is_none());
    assert!(voter.prepare(4, digest(2)).is_some());
}

#[test]
fn one_proposal_per_round() {
    let fixture = Fixture::new();
    let mut voter = fixture.voter(&[]);
    let propose = |voter: &mut Voter, round, label| {
        let (digest, proposal) = fixture.proposal(round, label);
        voter.propose(digest, proposal, vec![], vec![]).is_some()
    };
    assert!(voter.may_propose(2));
    assert!(propose(&mut voter, 2, 1));
    assert!(!voter.may_propose(2));
    assert!(propose(&mut voter, 2, 1));
    assert!(!propose(&mut voter, 2, 7));
    assert!(!propose(&mut voter, 1, 1));
    let (digest, mut proposal) = fixture.proposal(3, 1);
    proposal.sequence = 2;
    assert!(voter.propose(digest, proposal, vec![], vec![]).is_none(), "another height");
}

#[test]
fn a_commit_needs_a_certificate_for_just_this() {
    let fixture = Fixture::new();
    let mut voter = fixture.voter(&[]);
    let good = fixture.prepared(1, 1);
    let edit = |edit: &dyn Fn(&mut Prepared)| {
        let mut prepared = good.clone();
        edit(&mut prepared);
        prepared
    };
    let other = fixture.prepared(2, 1);
    let bad = [
        edit(&|p| p.prepares.truncate(2)),
        edit(&|p| p.prepares[2] = p.prepares[1].clone()),
        edit(&|p| p.prepares[2] = other.prepares[2].clone()),
        edit(&|p| p.digest = other.digest),
        edit(&|p| p.round = 2),
        edit(&|p| p.block = fixture.prepared(1, 2).block),
    ];
    for (index, prepared) in bad.into_iter().enumerate() {
        assert!(voter.commit(&fixture.rules(), prepared).is_none(), "{index}");
    }
    assert!(voter.prepared().is_none());
    let ballot = voter.commit(&fixture.rules(), good.clone()).unwrap();
    assert_eq!(ballot.message.seal.recover(good.digest), Ok(fixture.keys[0].address()));
    assert!(voter.commit(&fixture.rules(), fixture.prepared(1, 2)).is_none(), "another value");
    assert!(voter.commit(&fixture.rules(), fixture.prepared(0, 2)).is_none(), "an earlier round");
    assert_eq!(voter.prepared(), Some(&good));
}

#[test]
fn a_round_change_shows_the_highest_certificate_and_bars_the_way_back() {
    let fixture = Fixture::new();
    let mut voter = fixture.voter(&[]);
    assert!(voter.round_change(0).is_none());
    assert_eq!(voter.round_change(1).unwrap().message.round_change.prepared, None);
    assert!(voter.prepare(0, digest(1)).is_none());
    assert!(voter.commit(&fixture.rules(), fixture.prepared(0, 1)).is_none());
    let prepared = fixture.prepared(1, 1);
    voter.commit(&fixture.rules(), prepared.clone()).unwrap();
    assert!(voter.round_change(1).is_none(), "it would hide what was prepared in this round");
    let change = voter.round_change(5).unwrap().message;
    assert_eq!(change.round_change.prepared, Some(PreparedClaim { round: 1, digest: prepared.digest }));
    assert_eq!((change.block, change.prepares), (Some(prepared.block), prepared.prepares));
    assert!(voter.round_change(4).is_none());
    assert!(voter.round_change(5).unwrap().entry.is_none());
}

/// The memory read back from the log is the memory that wrote it.
#[test]
fn the_log_restores_the_memory() {
    let fixture = Fixture::new();
    let mut voter = fixture.voter(&[]);
    let mut log = Vec::new();
    let mut keep = |entry: Option<Entry>| log.push(record::encode(1, &[entry.unwrap()]).to_vec());
    keep(voter.prepare(0, digest(9)).unwrap().entry);
    keep(voter.round_change(1).unwrap().entry);
    let prepared = fixture.prepared(1, 1);
    keep(voter.prepare(1, prepared.digest).unwrap().entry);
    keep(voter.commit(&fixture.rules(), prepared.clone()).unwrap().entry);
    keep(voter.round_change(2).unwrap().entry);
    let mut restored = fixture.voter(&log);
    assert_eq!(restored.prepared(), Some(&prepared));
    assert_eq!(restored.floor(), 2);
    assert_eq!(restored.prepare_in(1), Some(prepared.digest));
    assert!(!restored.may_prepare(1, prepared.digest));
    assert_eq!(restored.round_change(2).unwrap().message, voter.round_change(2).unwrap().message);
    assert!(Voter::restore(Arc::new(fixture.keys[0].clone()), 1, &log).unwrap().restored.is_empty());
}

/// One wish of a machine that may ask for anything.
#[derive(Clone, Debug)]
enum Wish {
    Propose(u32, u64),
    Prepare(u32, u8),
    Commit(u32, u64),
    Change(u32),
    Restart,
}

fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    let wish = prop_oneof![
        (0_u32..5, 1_u64..3).prop_map(|(round, label)| Wish::Propose(round, label)),
        (0_u32..5, 1_u8..4).prop_map(|(round, value)| Wish::Prepare(round, value)),
        (0_u32..5, 1_u64..3).prop_map(|(round, label)| Wish::Commit(round, label)),
        (0_u32..5).prop_map(Wish::Change),
        Just(Wish::Restart),
    ];
    proptest::collection::vec(wish, 0..40)
}

/// What was signed: kind, round, value, and for a round change the claim.
#[derive(Default)]
struct Oracle {
    votes: BTreeMap<(u8, u32), B256>,
    highest_round: u32,
    highest_commit: Option<u32>,
}

impl Oracle {
    fn vote(&mut self, kind: u8, round: u32, value: B256) {
        assert!(round >= self.highest_round, "back to round {round}");
        self.highest_round = round;
        assert_eq!(*self.votes.entry((kind, round)).or_insert(value), value, "two values");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is asked for, in whatever order, with restarts in between: no rule is broken.
    #[test]
    fn no_sequence_of_wishes_breaks_a_rule(wishes in wishes()) {
        let fixture = Fixture::new();
        let mut voter = fixture.voter(&[]);
        let mut log: Vec<Vec<u8>> = Vec::new();
        let mut oracle = Oracle::default();
        for wish in wishes {
            let entry = grant(&fixture, &mut voter, &mut oracle, &log, wish);
            log.extend(entry.map(|entry| record::encode(1, &[entry]).to_vec()));
        }
    }
}

fn grant(
    fixture: &Fixture,
    voter: &mut Voter,
    oracle: &mut Oracle,
    log: &[Vec<u8>],
    wish: Wish,
) -> Option<Entry> {
    match wish {
        Wish::Propose(round, label) => {
            let (digest, proposal) = fixture.proposal(round, label);
            let ballot = voter.propose(digest, proposal, vec![], vec![])?;
            oracle.vote(0, round, digest);
            ballot.entry
        }
        Wish::Prepare(round, value) => {
            let ballot = voter.prepare(round, digest(value))?;
            oracle.vote(1, round, digest(value));
            ballot.entry
        }
        Wish::Commit(round, label) => {
            let prepared = fixture.prepared(round, label);
            let digest = prepared.digest;
            let ballot = voter.commit(&fixture.rules(), prepared)?;
            oracle.vote(2, round, digest);
            oracle.highest_commit = oracle.highest_commit.max(Some(round));
            ballot.entry
        }
        Wish::Change(round) => {
            let ballot = voter.round_change(round)?;
            let Signed { payload, .. } = ballot.message.round_change.signed().clone();
            oracle.vote(3, round, payload.prepared.map_or(B256::ZERO, |claim| claim.digest));
            assert_eq!(payload.prepared.map(|claim| claim.round), oracle.highest_commit);
            ballot.entry
        }
        Wish::Restart => {
            *voter = fixture.voter(log);
            None
        }
    }
}
