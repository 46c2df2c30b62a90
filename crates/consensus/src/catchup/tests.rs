//! A catching-up node among peers that serve, lie, sleep and disappear.

use super::*;
use crate::machine::harness;
use crate::testing;
use lonja_primitives::spec::ConsensusParams;
use lonja_primitives::{ExtraData, HeaderFormat, NodeKey, Signer, Vote, VoteKind};

mod contract;

/// A sealed chain on four validators.
struct Chain {
    spec: Arc<ChainSpec>,
    keys: Vec<NodeKey>,
    positions: Vec<Arc<ChainPosition>>,
    blocks: Vec<Block>,
}

impl Chain {
    fn new(length: u64) -> Self {
        Self::with(testing::params(), length)
    }

    fn with(params: ConsensusParams, length: u64) -> Self {
        let keys = harness::keys(5);
        let spec = harness::spec(params);
        let genesis = harness::genesis(&spec, harness::addresses(&keys[..4]));
        let mut chain = Self { spec, keys, positions: vec![genesis], blocks: Vec::new() };
        (0..length).for_each(|_| chain.extend(0, None));
        chain
    }

    fn extend(&mut self, label: u64, vote: Option<Vote>) {
        let block = self.next(label, vote);
        let next = harness::after(&self.spec, self.positions.last().unwrap(), &block);
        self.positions.push(next);
        self.blocks.push(block);
    }

    /// A block by whose state a contract chooses these of the keys.
    fn extend_choosing(&mut self, chosen: &[usize]) {
        let next: Vec<Address> = chosen.iter().map(|key| self.keys[*key].address()).collect();
        let block = self.next_choosing(&next, 0);
        let position = self.positions.last().unwrap();
        self.positions.push(harness::after_execution(&self.spec, position, &block, &next));
        self.blocks.push(block);
    }

    fn next_choosing(&self, next: &[Address], label: u64) -> Block {
        let block = harness::committing(&self.spec, self.next(label, None), next);
        harness::seal(&block, 1, &self.sealers())
    }

    fn sealers(&self) -> Vec<NodeKey> {
        let members = self.positions.last().unwrap().votes.validators();
        self.keys.iter().filter(|key| members.contains(&key.address())).cloned().collect()
    }

    /// Sets of a contract that have little or nothing in common.
    fn by_contract() -> Self {
        let mut chain = Self::with(harness::by_contract(), 0);
        let sets: [&[usize]; 8] =
            [&[0, 1, 2, 3], &[4], &[4], &[0, 1, 2], &[3, 4], &[0, 1, 2, 3, 4], &[1], &[2, 3, 4]];
        for chosen in sets.iter().chain(&sets) {
            chain.extend_choosing(chosen);
        }
        chain
    }

    /// A sealed block on the last one. Sealed by all validators of its height, so by different sets over time.
    fn next(&self, label: u64, vote: Option<Vote>) -> Block {
        let position = self.positions.last().unwrap();
        let (members, sealers) = (position.votes.validators(), self.sealers());
        let builder = sealers[position.head.number as usize % sealers.len()].address();
        let mut block = harness::block_on(position, builder, 0, label);
        let validators = members.as_slice().to_vec();
        let extra = ExtraData { validators, vote, ..ExtraData::default() };
        block.header.extra_data = extra.encode(HeaderFormat::Qbft);
        harness::seal(&block, 1, &sealers)
    }

    fn head(&self) -> (u64, B256) {
        let head = &self.positions.last().unwrap().head;
        (head.number, head.hash())
    }

    fn range(&self, from: u64, count: u64) -> Vec<Block> {
        self.blocks.iter().skip(from as usize - 1).take(count as usize).cloned().collect()
    }
}

/// The node under test: records what it asks for and imports.
struct Node {
    machine: CatchUp,
    now: Now,
    asked: Vec<(NodeId, u64, u64, u64)>,
    imported: Vec<CertifiedBlock>,
    blamed: Vec<(NodeId, String)>,
    halted: Vec<String>,
}

impl Node {
    fn new(chain: &Chain) -> Self {
        Self {
            machine: CatchUp::new(chain.spec.clone(), chain.positions[0].clone()),
            now: Now::default(),
            asked: Vec::new(),
            imported: Vec::new(),
            blamed: Vec::new(),
            halted: Vec::new(),
        }
    }

    fn input(&mut self, input: CatchUpInput) {
        for output in self.machine.step(self.now, input) {
            match output {
                CatchUpOutput::Request { peer, request, from, count } => {
                    self.asked.push((peer, request, from, count));
                }
                CatchUpOutput::Import(block) => self.imported.push(block),
                CatchUpOutput::Blame { peer, reason } => self.blamed.push((peer, reason)),
                CatchUpOutput::Halt { reason } => self.halted.push(reason),
            }
        }
    }

    fn peer(&mut self, n: u8, chain: &Chain) {
        let (number, hash) = chain.head();
        self.input(CatchUpInput::PeerHead { peer: id(n), number, hash });
    }

    fn answer(&mut self, (peer, request, ..): (NodeId, u64, u64, u64), blocks: Vec<Block>) {
        self.input(CatchUpInput::Blocks { peer, request, blocks });
    }

    /// Answers what was asked from this chain, and confirms imports, until nothing more is asked.
    fn serve(&mut self, chain: &Chain) {
        let mut confirmed = 0;
        while !self.asked.is_empty() || confirmed < self.imported.len() {
            for asked in std::mem::take(&mut self.asked) {
                self.answer(asked, chain.range(asked.2, asked.3));
            }
            while confirmed < self.imported.len() {
                let number = self.imported[confirmed].number() as usize;
                confirmed += 1;
                self.input(CatchUpInput::NewHead(chain.positions[number].clone()));
            }
        }
    }

    fn tick_at(&mut self, mono_ms: u64) {
        self.now.mono_ms = mono_ms;
        self.input(CatchUpInput::Tick);
    }
}

fn id(n: u8) -> NodeId {
    testing::key(n).node_id()
}

fn numbers(imported: &[CertifiedBlock]) -> Vec<u64> {
    imported.iter().map(CertifiedBlock::number).collect()
}

#[test]
fn ranges_are_spread_over_peers_and_imported_in_order() {
    let chain = Chain::new(300);
    let mut node = Node::new(&chain);
    assert_eq!(node.machine.target(), None);
    (1..=3).for_each(|n| node.peer(n, &chain));
    assert_eq!(node.machine.target(), Some(300));
    let ranges: Vec<(u64, u64)> = node.asked.iter().map(|asked| (asked.2, asked.3)).collect();
    assert_eq!(ranges, [(1, 128), (129, 128), (257, 44)]);
    assert_eq!(node.asked.iter().map(|asked| asked.0).collect::<BTreeSet<_>>().len(), 3);
    let asked = std::mem::take(&mut node.asked);
    node.answer(asked[2], chain.range(257, 44));
    node.answer(asked[1], chain.range(129, 128));
    assert!(node.imported.is_empty(), "the first range is not here yet");
    node.answer(asked[0], chain.range(1, 128));
    assert_eq!(numbers(&node.imported), (1..=UNIMPORTED_BLOCKS as u64).collect::<Vec<_>>());
    node.input(CatchUpInput::NewHead(chain.positions[1].clone()));
    assert_eq!(node.imported.len(), UNIMPORTED_BLOCKS + 1, "one confirmed, one more");
    node.serve(&chain);
    assert_eq!(numbers(&node.imported), (1..=300).collect::<Vec<_>>());
    assert_eq!(node.machine.target(), None);
    assert_eq!(node.machine.deadline(), None);
    assert!(node.blamed.is_empty() && node.halted.is_empty());
}

#[test]
fn a_short_answer_is_taken_and_the_rest_asked_for_again() {
    let chain = Chain::new(10);
    let mut node = Node::new(&chain);
    node.peer(1, &chain);
    let asked = node.asked.remove(0);
    node.answer(asked, chain.range(1, 4));
    assert_eq!(numbers(&node.imported), [1, 2, 3, 4]);
    assert_eq!((node.asked[0].2, node.asked[0].3), (5, 6));
    node.serve(&chain);
    assert_eq!(node.imported.len(), 10);
}

#[test]
fn the_validators_change_on_the_way() {
    let mut chain = Chain::new(2);
    let recipient = chain.keys[4].address();
    for _ in 0..4 {
        chain.extend(0, Some(Vote { recipient, kind: VoteKind::Add }));
    }
    (0..6).for_each(|_| chain.extend(0, None));
    assert_eq!(chain.positions.last().unwrap().votes.validators().len(), 5);
    let mut node = Node::new(&chain);
    node.peer(1, &chain);
    node.serve(&chain);
    assert_eq!(node.imported.len(), 12);
}

type Fault<'a> = &'a dyn Fn(&mut Vec<Block>);

#[test]
fn faulty_answers_convict_and_others_deliver() {
    let chain = Chain::new(20);
    let break_seal = |blocks: &mut Vec<Block>| {
        let block = &chain.blocks[7];
        blocks[7] = harness::seal(block, 1, &chain.keys[..2]);
    };
    let faults: [Fault; 6] = [
        &break_seal,
        &|blocks| blocks[7] = harness::seal(&chain.blocks[7], 1, &chain.keys[2..]),
        &|blocks| blocks[7].header.state_root = B256::repeat_byte(1),
        &|blocks| blocks[7].transactions.push(alloy_primitives::Bytes::from_static(&[0xc0])),
        &|blocks| drop(blocks.remove(7)),
        &|blocks| blocks.push(chain.blocks[0].clone()),
    ];
    for (index, fault) in faults.into_iter().enumerate() {
        let mut node = Node::new(&chain);
        node.peer(1, &chain);
        let mut blocks = chain.range(1, 20);
        fault(&mut blocks);
        let asked = node.asked.remove(0);
        node.answer(asked, blocks);
        assert_eq!(node.blamed.len(), 1, "{index}");
        assert_eq!(node.blamed[0].0, id(1));
        assert_eq!(node.machine.target(), None, "{index}: nobody else to believe");
        node.peer(1, &chain);
        assert!(node.asked.is_empty(), "{index}: not asked again while connected");
        node.peer(2, &chain);
        node.serve(&chain);
        assert_eq!(node.imported.len(), 20, "{index}");
        assert!(node.halted.is_empty());
    }
}

#[test]
fn unrequested_blocks_convict_and_late_ones_do_not() {
    let chain = Chain::new(5);
    let mut node = Node::new(&chain);
    node.peer(1, &chain);
    node.peer(2, &chain);
    let first = node.asked.remove(0);
    let other = if first.0 == id(1) { id(2) } else { id(1) };
    node.answer((other, first.1, 1, 5), chain.range(1, 5));
    assert_eq!(node.blamed.len(), 1, "asked of somebody else");
    assert_eq!(node.blamed[0].0, other);
    node.tick_at(REQUEST_TIMEOUT_MS);
    node.answer(first, chain.range(1, 5));
    assert_eq!(node.blamed.len(), 1, "late is no fault");
    node.answer((first.0, 999, 1, 5), chain.range(1, 5));
    assert_eq!(node.blamed.len(), 2);
}

#[test]
fn a_silent_peer_is_replaced_and_not_believed_for_long() {
    let chain = Chain::new(5);
    let mut node = Node::new(&chain);
    let claim = CatchUpInput::PeerHead { peer: id(1), number: 1_000_000, hash: B256::ZERO };
    node.input(claim.clone());
    assert_eq!(node.machine.target(), Some(1_000_000));
    for _ in 0..30 {
        let Some(due) = node.machine.deadline() else { break };
        node.tick_at(due.max(node.now.mono_ms + 1));
    }
    assert_eq!(node.asked.len(), 3);
    assert_eq!((node.machine.target(), node.machine.deadline()), (None, None), "dropped");
    node.asked.clear();
    node.peer(2, &chain);
    node.serve(&chain);
    assert_eq!(node.imported.len(), 5);
    node.input(claim);
    node.tick_at(node.now.mono_ms + 60_000);
    assert_eq!(node.asked.len(), 1, "a new claim gets a new chance");
    let (peer, request, ..) = node.asked[0];
    node.input(CatchUpInput::RequestFailed { peer, request });
    assert_eq!(node.machine.target(), None, "but only one");
    assert!(node.blamed.is_empty());
}

#[test]
fn a_range_goes_to_another_peer_when_its_peer_leaves_or_is_slow() {
    let chain = Chain::new(5);
    for gone in [true, false] {
        let mut node = Node::new(&chain);
        node.peer(1, &chain);
        node.peer(2, &chain);
        assert_eq!(node.asked.len(), 1);
        let first = node.asked.remove(0).0;
        if gone {
            node.input(CatchUpInput::PeerGone(first));
        } else {
            node.tick_at(REQUEST_TIMEOUT_MS);
        }
        assert_ne!(node.asked[0].0, first);
        node.serve(&chain);
        assert_eq!(node.imported.len(), 5);
    }
}

#[test]
fn blocks_the_validators_decided_are_not_fetched() {
    let chain = Chain::new(20);
    let mut node = Node::new(&chain);
    node.peer(1, &chain);
    let asked = node.asked.remove(0);
    node.input(CatchUpInput::NewHead(chain.positions[12].clone()));
    node.answer(asked, chain.range(1, 20));
    assert_eq!(numbers(&node.imported), (13..=20).collect::<Vec<_>>());
    node.input(CatchUpInput::NewHead(chain.positions[3].clone()));
    assert_eq!(node.machine.target(), Some(20), "an old head changes nothing");
}

#[test]
fn a_validator_one_block_behind_waits_a_moment() {
    let chain = Chain::new(1);
    for validator in [true, false] {
        let mut node = Node::new(&chain);
        node.machine.set_validator(Some(chain.keys[if validator { 0 } else { 4 }].address()));
        node.tick_at(1_000);
        node.peer(1, &chain);
        assert_eq!(node.asked.is_empty(), validator);
        if validator {
            assert_eq!(node.machine.deadline(), Some(1_000 + GRACE_MS));
            node.tick_at(1_000 + GRACE_MS);
            assert_eq!(node.asked.len(), 1);
        }
    }
    let longer = Chain::new(2);
    let mut node = Node::new(&longer);
    node.machine.set_validator(Some(longer.keys[0].address()));
    node.peer(1, &longer);
    assert_eq!(node.asked.len(), 1, "two blocks behind: at once");
}

/// Two sealed blocks at one height, each known to another part of the network.
#[test]
fn a_split_chain_stops_the_node_with_the_evidence() {
    let (mut ours, mut theirs) = (Chain::new(4), Chain::new(4));
    ours.extend(1, None);
    (2..5).for_each(|label| theirs.extend(label, None));
    let mut node = Node::new(&ours);
    node.peer(1, &ours);
    node.serve(&ours);
    assert_eq!(node.imported.len(), 5);
    node.peer(2, &theirs);
    node.serve_forked(&theirs);
    assert_eq!(node.halted.len(), 1, "{:?}", node.blamed);
    let other = theirs.positions[5].head.hash().to_string();
    assert!(node.halted[0].contains(&ours.head().1.to_string()) && node.halted[0].contains(&other));
    assert!(node.halted[0].contains("height 5"));
    node.peer(3, &ours);
    assert!(node.asked.is_empty() && node.machine.deadline().is_none(), "nothing after a halt");
}

impl Node {
    /// Answers from another chain without confirming anything.
    fn serve_forked(&mut self, chain: &Chain) {
        while let Some(asked) = self.asked.pop() {
            self.answer(asked, chain.range(asked.2, asked.3));
        }
    }
}

/// The same split, met by a head of equal height.
#[test]
fn another_hash_at_a_known_height_is_looked_into() {
    let (mut ours, mut theirs) = (Chain::new(2), Chain::new(2));
    ours.extend(1, None);
    theirs.extend(2, None);
    let mut node = Node::new(&ours);
    node.peer(1, &ours);
    node.serve(&ours);
    node.input(CatchUpInput::PeerHead { peer: id(2), number: 3, hash: B256::repeat_byte(9) });
    let asked = node.asked.remove(0);
    assert_eq!((asked.0, asked.2, asked.3), (id(2), 3, 1));
    node.answer(asked, ours.range(3, 1));
    assert_eq!(node.blamed.len(), 1, "it has our block and claimed another");
    node.peer(3, &theirs);
    node.serve_forked(&theirs);
    assert_eq!(node.halted.len(), 1);
}

/// A block on top that does not link, without another sealed block below it, is only a lie.
#[test]
fn an_unlinked_block_is_blamed_when_nothing_below_it_differs() {
    let chain = Chain::new(4);
    let mut node = Node::new(&chain);
    node.peer(1, &chain);
    node.serve(&chain);
    node.input(CatchUpInput::PeerHead { peer: id(2), number: 5, hash: B256::ZERO });
    let mut lie = chain.next(3, None);
    lie.header.parent_hash = B256::repeat_byte(4);
    let asked = node.asked.remove(0);
    node.answer(asked, vec![lie]);
    let asked = node.asked.remove(0);
    assert_eq!((asked.2, asked.3), (4, 1), "its block 4 is asked for");
    node.answer(asked, chain.range(4, 1));
    assert_eq!(node.blamed.len(), 1);
    assert!(node.halted.is_empty());
}

#[test]
fn a_head_other_than_the_imported_block_stops_the_node() {
    let (mut ours, mut theirs) = (Chain::new(2), Chain::new(2));
    ours.extend(1, None);
    theirs.extend(2, None);
    let mut node = Node::new(&ours);
    node.peer(1, &ours);
    let asked = node.asked.remove(0);
    node.answer(asked, ours.range(1, 3));
    node.input(CatchUpInput::NewHead(theirs.positions[3].clone()));
    assert_eq!(node.halted.len(), 1);
}
