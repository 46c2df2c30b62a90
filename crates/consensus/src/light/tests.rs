use super::*;
use crate::machine::{ChainPosition, harness};
use crate::testing;
use lonja_primitives::ExtraData;
use lonja_primitives::spec::ConsensusParams;
use lonja_primitives::{HeaderFormat, NodeKey, Signer, Vote, VoteKind};

/// Headers of a chain on which the validators change by votes, and the position behind each.
struct Chain {
    spec: Arc<ChainSpec>,
    keys: Vec<NodeKey>,
    positions: Vec<Arc<ChainPosition>>,
}

impl Chain {
    fn new(validators: usize, epoch_length: u64) -> Self {
        let keys = harness::keys(10);
        let spec = harness::spec(ConsensusParams { epoch_length, ..testing::params() });
        let genesis = harness::genesis(&spec, harness::addresses(&keys[..validators]));
        Self { spec, keys, positions: vec![genesis] }
    }

    /// A chain whose validators a contract chooses: these of the keys after block 1, 2, …
    fn by_contract(sets: &[&[usize]]) -> Self {
        let mut chain = Self::new(4, 30_000);
        chain.spec = harness::spec(harness::by_contract());
        for chosen in sets {
            let next: Vec<Address> = chosen.iter().map(|key| chain.keys[*key].address()).collect();
            let block = harness::committing(&chain.spec, chain.next(None, &[], 0), &next);
            let block = harness::seal(&block, 1, &chain.sealers());
            let position = harness::after_execution(&chain.spec, chain.last(), &block, &next);
            chain.positions.push(position);
        }
        chain
    }

    fn last(&self) -> &ChainPosition {
        self.positions.last().unwrap()
    }

    fn sealers(&self) -> Vec<NodeKey> {
        let members = self.last().votes.validators();
        self.keys.iter().filter(|key| members.contains(&key.address())).cloned().collect()
    }

    fn next(&self, vote: Option<Vote>, sealers: &[NodeKey], label: u64) -> lonja_primitives::Block {
        let position = self.last();
        let all = self.sealers();
        let builder = all[position.head.number as usize % all.len()].address();
        let mut block = harness::block_on(position, builder, 0, label);
        let validators = position.votes.validators().as_slice().to_vec();
        let extra = ExtraData { validators, vote, ..ExtraData::default() };
        block.header.extra_data = extra.encode(HeaderFormat::Qbft);
        harness::seal(&block, 1, sealers)
    }

    fn extend(&mut self, vote: Option<Vote>) {
        let block = self.next(vote, &self.sealers(), 0);
        let next = harness::after(&self.spec, self.last(), &block);
        self.positions.push(next);
    }

    /// Everybody votes until the change has come.
    fn vote(&mut self, key: usize, kind: VoteKind) {
        let recipient = self.keys[key].address();
        let before = self.last().votes.validators().len();
        while self.last().votes.validators().len() == before {
            self.extend(Some(Vote { recipient, kind }));
        }
    }

    fn header(&self, number: u64) -> Header {
        self.positions[number as usize].head.header().clone()
    }

    fn path(&self, target: u64) -> TrustPath {
        TrustPath::from_genesis(self.spec.clone(), &self.header(0), target).unwrap()
    }

    /// Goes the way, and says which headers it took.
    fn walk(&self, mut path: TrustPath) -> (SealedHeader, Vec<u64>) {
        let mut asked = Vec::new();
        loop {
            let wanted = path.wanted();
            asked.push(wanted);
            if let Step::Trusted(header) = path.take(self.header(wanted)).unwrap() {
                return (header, asked);
            }
        }
    }
}

#[test]
fn one_header_is_enough_while_the_validators_are_the_same() {
    let mut chain = Chain::new(4, 30_000);
    (0..50).for_each(|_| chain.extend(None));
    let (header, asked) = chain.walk(chain.path(50));
    assert_eq!(asked, [50]);
    assert_eq!(header.hash(), chain.last().head.hash());
    assert_eq!(chain.walk(chain.path(1)).1, [1]);
}

#[test]
fn a_set_that_changed_altogether_is_reached_in_halves() {
    let mut chain = Chain::new(4, 30_000);
    for key in 4..8 {
        chain.vote(key, VoteKind::Add);
        (0..7).for_each(|_| chain.extend(None));
    }
    for key in 0..4 {
        chain.vote(key, VoteKind::Drop);
        (0..7).for_each(|_| chain.extend(None));
    }
    let head = chain.last().head.number;
    let (header, asked) = chain.walk(chain.path(head));
    assert_eq!(header.hash(), chain.last().head.hash());
    assert!(asked.len() > 1 && asked.len() < 20, "{asked:?}");
    assert_eq!(asked[0], head);
    assert_eq!(asked[1], head / 2);

    // From a checkpoint among the new validators the way is short; a wrong one is refused.
    let middle = head - 3;
    let hash = chain.positions[middle as usize].head.hash();
    let from = |hash| {
        TrustPath::from_checkpoint(chain.spec.clone(), &chain.header(0), (middle, hash), head).unwrap()
    };
    assert_eq!(chain.walk(from(hash)).1, [middle, head]);
    let wrong = from(B256::repeat_byte(1)).take(chain.header(middle));
    assert!(matches!(wrong, Err(Untrusted::Checkpoint { .. })), "{wrong:?}");
}

#[test]
fn smallest_sets_change_one_at_a_time_too() {
    for (validators, steps) in [
        (1, vec![(1, VoteKind::Add), (0, VoteKind::Drop)]),
        (2, vec![(0, VoteKind::Drop)]),
        (3, vec![(3, VoteKind::Add), (0, VoteKind::Drop), (1, VoteKind::Drop)]),
    ] {
        let mut chain = Chain::new(validators, 30_000);
        for (key, kind) in steps {
            chain.vote(key, kind);
        }
        chain.extend(None);
        for target in 1..=chain.last().head.number {
            let (header, _) = chain.walk(chain.path(target));
            assert_eq!(header.hash(), chain.positions[target as usize].head.hash());
        }
    }
}

#[test]
fn strangers_and_too_few_seals_are_refused() {
    let mut chain = Chain::new(4, 30_000);
    (0..9).for_each(|_| chain.extend(None));

    // A chain of other validators from the same first block: the lie is found at its first header.
    let mut other = Chain::new(4, 30_000);
    let strangers = harness::addresses(&other.keys[5..9]);
    other.positions = vec![harness::genesis(&other.spec, strangers)];
    (0..9).for_each(|_| other.extend(None));
    let mut path = chain.path(9);
    let refused = loop {
        let wanted = path.wanted();
        match path.take(other.header(wanted)) {
            Ok(step) => assert!(matches!(step, Step::Want(_)), "{step:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, Untrusted::Stranger(1));

    // Two of four trusted ones are enough to believe it, if a quorum of the named sealed it; one is not.
    let few = chain.next(None, &chain.sealers()[..2], 0).header;
    let error = chain.path(10).take(few).unwrap_err();
    assert!(matches!(error, Untrusted::Header(10, HeaderError::SealCount { got: 2, .. })), "{error}");
    let mut mixed = chain.path(9);
    let members = [0, 5, 6, 7].map(|key| chain.keys[key].address());
    let mut header = chain.header(9);
    header.extra_data =
        ExtraData { validators: sorted(&members), ..ExtraData::default() }.encode(HeaderFormat::Qbft);
    let block = lonja_primitives::Block { header, transactions: Vec::new() };
    let keys: Vec<NodeKey> = [0, 5, 6, 7].map(|key| chain.keys[key].clone()).to_vec();
    let step = mixed.take(harness::seal(&block, 1, &keys).header);
    assert_eq!(step, Ok(Step::Want(4)), "one old friend among the sealers is not enough");

    let wrong = chain.path(9).take(chain.header(8));
    assert_eq!(wrong, Err(Untrusted::Number { want: 9, got: 8 }));
    let mut tampered = chain.header(9);
    tampered.state_root = B256::repeat_byte(3);
    assert!(matches!(chain.path(9).take(tampered), Err(Untrusted::Header(9, _))));
}

fn sorted(addresses: &[Address]) -> Vec<Address> {
    let mut sorted = addresses.to_vec();
    sorted.sort_unstable();
    sorted
}

#[test]
fn a_list_in_the_chain_spec_is_trusted_from_its_height_on() {
    let mut chain = Chain::new(4, 30_000);
    let listed = harness::addresses(&chain.keys[5..9]);
    let mut spec = (*chain.spec).clone();
    spec.consensus.push((6, ConsensusParams { validators: Some(listed), ..testing::params() }));
    chain.spec = Arc::new(spec);
    let genesis = harness::genesis(&chain.spec, harness::addresses(&chain.keys[..4]));
    chain.positions = vec![genesis];
    (0..12).for_each(|_| chain.extend(None));
    assert_eq!(chain.walk(chain.path(12)).1, [12]);
    assert_eq!(chain.walk(chain.path(5)).1, [5]);
}

#[test]
fn the_votes_after_an_epoch_block_are_in_its_header() {
    let mut chain = Chain::new(4, 8);
    let recipient = chain.keys[5].address();
    for number in 1..=16u64 {
        // One vote waits when the epoch ends, and one is cast in the epoch block.
        let vote = matches!(number, 7..=9).then_some(Vote { recipient, kind: VoteKind::Add });
        chain.extend(vote);
    }
    for number in [0u64, 8, 16] {
        let state = VoteState::after_epoch_block(&chain.spec, &chain.header(number)).unwrap();
        assert_eq!(state, chain.positions[number as usize].votes, "block {number}");
    }
    let error = VoteState::after_epoch_block(&chain.spec, &chain.header(9));
    assert_eq!(error, Err(HeaderError::NoEpochBlock(9)));
}

/// Sets that have nothing in common, one after the other.
const ROTA: [&[usize]; 24] = [
    &[0, 1, 2, 3],
    &[0, 1, 2, 3],
    &[4],
    &[4],
    &[4],
    &[5, 6, 7, 8],
    &[5, 6, 7, 8],
    &[5, 6, 7, 8],
    &[0],
    &[9],
    &[1],
    &[2],
    &[3, 4, 5, 6, 7, 8, 9],
    &[0, 1],
    &[0, 1],
    &[0, 1],
    &[0, 1],
    &[0, 1],
    &[0, 1],
    &[7, 8, 9],
    &[7, 8, 9],
    &[7, 8, 9],
    &[7, 8, 9],
    &[7, 8, 9],
];

#[test]
fn sets_of_a_contract_are_reached_however_they_change() {
    let chain = Chain::by_contract(&ROTA);
    for target in 1..=24 {
        let (header, asked) = chain.walk(chain.path(target));
        assert_eq!(header.hash(), chain.positions[target as usize].head.hash());
        assert!(asked.len() <= 40, "{asked:?}");
    }
    let hash = chain.positions[20].head.hash();
    let path = TrustPath::from_checkpoint(chain.spec.clone(), &chain.header(0), (20, hash), 24).unwrap();
    assert_eq!(chain.walk(path).1, [20, 24], "the checkpoint commits to those of block 21");
}

/// A list in the chain spec ends the trust in whoever a header before it commits to.
#[test]
fn a_list_takes_the_place_of_a_commitment() {
    let sets: [&[usize]; 6] = [&[5, 6, 7], &[5, 6, 7], &[5, 6, 7], &[0], &[5, 6, 7], &[5, 6, 7]];
    let unlisted = Chain::by_contract(&sets);
    let mut spec = (*unlisted.spec).clone();
    let listed = vec![unlisted.keys[0].address()];
    spec.consensus.push((4, ConsensusParams { validators: Some(listed), ..harness::by_contract() }));
    let spec = Arc::new(spec);
    let from_second = |spec: &Arc<ChainSpec>, target| {
        let hash = unlisted.positions[1].head.hash();
        let genesis = unlisted.header(0);
        let mut path = TrustPath::from_checkpoint(spec.clone(), &genesis, (1, hash), target).unwrap();
        path.take(unlisted.header(1)).unwrap();
        path
    };
    // Block 1 commits to the three who sealed block 6 too. That is enough, unless a list stands between.
    let far = unlisted.header(6);
    assert!(matches!(from_second(&unlisted.spec, 6).take(far.clone()), Ok(Step::Trusted(_))));
    assert_eq!(from_second(&spec, 6).take(far), Ok(Step::Want(3)));
}

/// Only whom the trusted header commits to may seal the next one, however many of its own validators do.
#[test]
fn a_set_that_nobody_committed_to_is_refused() {
    let chain = Chain::by_contract(&ROTA[..1]);
    // Block 1 commits to the four of block 1 again. Three of them and a stranger are more than may be faulty, but not
    // that set.
    let names = [0, 1, 2, 5].map(|key| chain.keys[key].address());
    let mut other = chain.next(None, &[], 0);
    let extra = ExtraData { validators: sorted(&names), vanity: vec![1; 32].into(), ..ExtraData::default() };
    other.header.extra_data = extra.encode(HeaderFormat::Qbft);
    let keys: Vec<NodeKey> = [0, 1, 2, 5].map(|key| chain.keys[key].clone()).to_vec();
    let lie = harness::seal(&other, 1, &keys).header;
    let mut path = TrustPath::from_checkpoint(
        chain.spec.clone(),
        &chain.header(0),
        (1, chain.positions[1].head.hash()),
        2,
    )
    .unwrap();
    assert_eq!(path.take(chain.header(1)), Ok(Step::Want(2)));
    assert_eq!(path.take(lie), Err(Untrusted::Stranger(2)));

    // A header whose commitment is not the sealed one, or is none.
    let good = chain.header(1);
    let extra = ExtraData::decode(&good.extra_data, HeaderFormat::Qbft).unwrap();
    for vanity in [vec![3; 32], vec![3; 8]] {
        let extra = ExtraData { vanity: vanity.clone().into(), ..extra.clone() };
        let bent = Header { extra_data: extra.encode(HeaderFormat::Qbft), ..good.clone() };
        let refused = chain.path(1).take(bent);
        assert!(matches!(refused, Err(Untrusted::Header(1, _))), "{refused:?}");
    }

    // A chain of strangers that commits to itself is found out at its first header.
    let mut strangers = Chain::new(4, 30_000);
    strangers.spec = chain.spec.clone();
    strangers.keys.rotate_left(5);
    strangers.keys[..5].sort_by_key(Signer::address);
    strangers.positions = vec![harness::genesis(&strangers.spec, harness::addresses(&strangers.keys[..4]))];
    for _ in 0..6 {
        let next = harness::addresses(&strangers.keys[..4]);
        let block = harness::committing(&strangers.spec, strangers.next(None, &[], 0), &next);
        let block = harness::seal(&block, 1, &strangers.sealers());
        let position = harness::after_execution(&strangers.spec, strangers.last(), &block, &next);
        strangers.positions.push(position);
    }
    let mut path = chain.path(6);
    let refused = loop {
        let wanted = path.wanted();
        match path.take(strangers.header(wanted)) {
            Ok(step) => assert!(matches!(step, Step::Want(_)), "{step:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, Untrusted::Stranger(1));
}
