//! A node joins a network of givers of which some lie, fall silent or let go.

use super::giver::Desk;
use super::machine::{Input, Join, Joined, Output};
use super::state::Write;
use super::words::Question;
use alloy_primitives::{Address, B256, Bytes, U256};
use lonja_chain::ChainCore;
use lonja_consensus::certify;
use lonja_consensus::machine::BuildRequest;
use lonja_primitives::genesis::{GenesisAccount, NewNetwork};
use lonja_primitives::{
    ExtraData, Genesis, HeaderFormat, NodeId, NodeKey, Signer, Vote, VoteKind, commit_digest,
};
use lonja_storage::snapshot::{ImportedBlock, StateImport};
use lonja_storage::{Kv, KvRead, MemoryKv, Reader, Table};
use lonja_txpool::{PoolConfig, TxPool};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// An epoch ends at block 400, and so do the votes before it.
const EPOCH: u64 = 50;
const HEIGHT: u64 = 330;

pub(crate) fn key(number: u8) -> NodeKey {
    NodeKey::from_bytes(B256::with_last_byte(number).as_ref()).unwrap()
}

fn peer(number: u8) -> NodeId {
    key(100 + number).node_id()
}

/// Four validators; some thousand accounts, a contract with as many slots, and a small one.
fn genesis() -> Genesis {
    let mut alloc = BTreeMap::new();
    for number in 1..5_000u64 {
        let balance = U256::from(number);
        alloc.insert(
            Address::left_padding_from(&number.to_be_bytes()),
            GenesisAccount { balance, ..Default::default() },
        );
    }
    for (number, slots) in [(1u8, 5_000u64), (2, 70), (3, 5)] {
        let storage = (1..=slots).map(|slot| (U256::from(slot), U256::from(slot))).collect();
        let code = Bytes::from(vec![number; 40]);
        alloc.insert(Address::repeat_byte(number), GenesisAccount { code, storage, ..Default::default() });
    }
    let network = NewNetwork {
        validators: (1..=4).map(|number| key(number).address()).collect(),
        alloc,
        epoch_length: Some(EPOCH),
        ..NewNetwork::default()
    };
    Genesis::from_json(&network.to_json()).unwrap()
}

pub(crate) fn core(kv: Arc<dyn Kv>, genesis: &Genesis) -> ChainCore {
    let pool = Arc::new(Mutex::new(TxPool::new(PoolConfig::default())));
    ChainCore::open(lonja_storage::open(kv, genesis).unwrap(), Arc::new(genesis.spec.clone()), pool).unwrap()
}

/// Builds, seals and commits the next block.
pub(crate) fn next_block(core: &mut ChainCore, genesis: &Genesis, vote: Option<Vote>) {
    let position = core.position();
    let extra = ExtraData {
        vanity: vec![0; 32].into(),
        validators: position.votes.validators().as_slice().to_vec(),
        vote,
        ..ExtraData::default()
    };
    let height = position.head.number + 1;
    let request = BuildRequest {
        height,
        round: 0,
        parent: position.head.hash(),
        timestamp: position.head.timestamp + 1,
        beneficiary: key(1 + (height % 4) as u8).address(),
        extra_data: extra.encode(HeaderFormat::Qbft),
        deadline_ms: 1_000,
    };
    let mut block = core.build(&request, &|| false).unwrap();
    let mut extra = ExtraData::decode(&block.header.extra_data, HeaderFormat::Qbft).unwrap();
    let digest = commit_digest(&block.header, HeaderFormat::Qbft).unwrap();
    extra.seals = (1..=3).map(|number| key(number).sign(digest)).collect();
    block.header.extra_data = extra.encode(HeaderFormat::Qbft);
    let sealed = certify(&genesis.spec, block, &position.head, position.votes.validators()).unwrap();
    core.commit(&sealed).unwrap().unwrap();
    core.sync_and_publish().unwrap();
}

fn chain(height: u64) -> (ChainCore, Genesis) {
    let genesis = genesis();
    let mut core = core(Arc::new(MemoryKv::new()), &genesis);
    for number in 1..=height {
        // One vote that its epoch forgets, one that waits at the end.
        let vote = [240, HEIGHT - 10].contains(&number);
        let vote = vote.then_some(Vote { recipient: key(9).address(), kind: VoteKind::Add });
        next_block(&mut core, &genesis, vote);
    }
    (core, genesis)
}

/// What a peer makes of an honest answer; `None` for silence.
type Habit = fn(&Question, Bytes) -> Option<Bytes>;

fn honest(_: &Question, answer: Bytes) -> Option<Bytes> {
    Some(answer)
}

struct World<'a> {
    genesis: &'a Genesis,
    givers: BTreeMap<NodeId, (Desk<'a>, Habit)>,
    machine: Join,
    kv: Arc<MemoryKv>,
    import: Option<StateImport>,
    now_ms: u64,
    on_the_way: VecDeque<(NodeId, u64, Question)>,
    asked: BTreeMap<NodeId, usize>,
    blamed: BTreeMap<NodeId, String>,
    doubted: usize,
    restarts: usize,
}

enum End {
    Joined,
    NotWorth,
    Stuck,
}

impl<'a> World<'a> {
    fn new(
        reader: &'a Reader,
        genesis: &'a Genesis,
        habits: &[Habit],
        checkpoint: Option<(u64, B256)>,
    ) -> Self {
        let spec = Arc::new(genesis.spec.clone());
        let desk = |n| Desk::new(reader, &genesis.spec, peer(n));
        let givers = (0u8..).zip(habits).map(|(n, habit)| (peer(n), (desk(n), *habit))).collect();
        Self {
            genesis,
            givers,
            machine: Join::new(spec, genesis.header.clone(), checkpoint),
            kv: Arc::new(MemoryKv::new()),
            import: None,
            now_ms: 0,
            on_the_way: VecDeque::new(),
            asked: BTreeMap::new(),
            blamed: BTreeMap::new(),
            doubted: 0,
            restarts: 0,
        }
    }

    fn run(&mut self) -> End {
        let peers: Vec<NodeId> = self.givers.keys().copied().collect();
        for peer in peers {
            if let Some(end) = self.step(Input::PeerUp(peer)) {
                return end;
            }
        }
        let mut idle = 0;
        for _ in 0..20_000 {
            let input = match self.on_the_way.pop_front() {
                Some((peer, request, question)) => self.answer(peer, request, &question),
                None => {
                    let due = self.machine.deadline().unwrap_or(self.now_ms + 1_000);
                    idle = if due > self.now_ms { 0 } else { idle + 1 };
                    assert!(idle < 3, "it would spin");
                    self.now_ms = self.now_ms.max(due);
                    if self.now_ms > 600_000 {
                        return End::Stuck;
                    }
                    Some(Input::Tick)
                }
            };
            if let Some(end) = input.and_then(|input| self.step(input)) {
                return end;
            }
        }
        End::Stuck
    }

    fn answer(&mut self, peer: NodeId, request: u64, question: &Question) -> Option<Input> {
        let travelled = Question::decode(&question.encode()).unwrap();
        assert_eq!(travelled, *question);
        *self.asked.entry(peer).or_default() += 1;
        let (desk, habit) = self.givers.get_mut(&peer).unwrap();
        let content = habit(question, desk.answer(&key(99).node_id(), question).unwrap())?;
        Some(Input::Answer { peer, request, content })
    }

    fn step(&mut self, input: Input) -> Option<End> {
        for output in self.machine.step(self.now_ms, input) {
            match output {
                Output::Ask { peer, request, question } => {
                    assert!(!self.blamed.contains_key(&peer), "asked although it lied");
                    self.on_the_way.push_back((peer, request, question));
                }
                Output::Blame { peer, reason } => {
                    assert!(self.blamed.insert(peer, reason).is_none());
                    // The session ends with it.
                    self.on_the_way.retain(|(asked, ..)| *asked != peer);
                }
                Output::Doubt { .. } => self.doubted += 1,
                Output::Begin(_) => {
                    self.kv = Arc::new(MemoryKv::new());
                    self.import = Some(StateImport::begin(self.kv.clone(), &self.genesis.header).unwrap());
                }
                Output::Write(write) => self.write(write),
                Output::Restart => {
                    self.import = None;
                    self.restarts += 1;
                }
                Output::Joined(joined) => {
                    self.finish(*joined);
                    return Some(End::Joined);
                }
                Output::NotWorth { .. } => return Some(End::NotWorth),
            }
        }
        None
    }

    fn write(&mut self, write: Write) {
        let import = self.import.as_ref().expect("nothing is written before the beginning");
        match write {
            Write::Headers(headers) => import.put_headers(&headers),
            Write::Accounts(accounts) => import.put_accounts(&accounts),
            Write::Slots(owner, slots, branches) => import.put_slots(&owner, &slots, branches.as_deref()),
            Write::StorageComplete(owner, root) => import.finish_storage(&owner, &root),
            Write::Codes(codes) => import.put_codes(&codes),
        }
        .unwrap();
    }

    fn finish(&mut self, joined: Joined) {
        let Joined { block, hash, receipts, votes } = joined;
        let block =
            ImportedBlock { block: &block, hash, transaction_hashes: &[], senders: &[], receipts: &receipts };
        self.import.take().unwrap().finish(&block, &votes.encode()).unwrap();
    }

    /// The joined node stands where the others stand, and goes on as they do.
    fn check(&self, chain: &ChainCore) {
        let mut joined = core(self.kv.clone(), self.genesis);
        let (ours, theirs) = (joined.position(), chain.position());
        assert_eq!((ours.head.hash(), &ours.votes), (theirs.head.hash(), &theirs.votes));
        assert_eq!(ours.author, theirs.author);
        assert!(!ours.votes.votes().is_empty(), "a vote waits");
        assert_eq!(self.kv.len(Table::Accounts), 5_002);
        assert_eq!(self.kv.len(Table::Slots), 5_075);
        assert_eq!(self.kv.len(Table::Codes), 3);
        assert!(self.kv.get(Table::Headers, &(HEIGHT - 256).to_be_bytes()).unwrap().is_some());
        next_block(&mut joined, self.genesis, None);
    }
}

#[test]
fn a_node_joins_by_a_state_and_goes_on() {
    let (chain, genesis) = chain(HEIGHT);
    let reader = chain.reader();
    let mut world = World::new(&reader, &genesis, &[honest, honest], None);
    assert!(matches!(world.run(), End::Joined));
    world.check(&chain);
    assert!(world.blamed.is_empty() && world.restarts == 0);
    assert!(world.asked.values().all(|count| *count > 10), "both gave: {:?}", world.asked);
}

fn flipped(answer: &Bytes) -> Bytes {
    let mut bytes = answer.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    bytes.into()
}

const LIES: [Habit; 4] = [
    |question, answer| {
        Some(if matches!(question, Question::Headers { .. }) { flipped(&answer) } else { answer })
    },
    |question, answer| {
        Some(if matches!(question, Question::Part { .. }) { flipped(&answer) } else { answer })
    },
    |question, answer| Some(if matches!(question, Question::Codes(_)) { flipped(&answer) } else { answer }),
    |question, answer| {
        Some(if matches!(question, Question::Chapters { .. }) { flipped(&answer) } else { answer })
    },
];

#[test]
fn whoever_tampers_is_blamed_and_the_state_comes_from_others() {
    let (chain, genesis) = chain(HEIGHT);
    let reader = chain.reader();
    let mut caught = BTreeSet::new();
    for (kind, lie) in LIES.into_iter().enumerate() {
        // The liar is first in line, and then last.
        for habits in [[lie, honest, honest], [honest, honest, lie], [honest, lie, lie]] {
            let mut world = World::new(&reader, &genesis, &habits, None);
            assert!(matches!(world.run(), End::Joined), "lie {kind}");
            world.check(&chain);
            let liars: BTreeSet<NodeId> = (0u8..)
                .zip(habits)
                .filter(|(_, habit)| !std::ptr::fn_addr_eq(*habit, honest as Habit))
                .map(|(n, _)| peer(n))
                .collect();
            assert!(
                world.blamed.keys().all(|blamed| liars.contains(blamed)),
                "lie {kind}: {:?}",
                world.blamed
            );
            if !world.blamed.is_empty() {
                caught.insert(kind);
            }
        }
    }
    assert_eq!(caught.len(), LIES.len(), "each lie met somebody who looked");
}

#[test]
fn one_who_calls_everything_too_large_is_found_out() {
    let (chain, genesis) = chain(HEIGHT);
    let reader = chain.reader();
    let splits: Habit = |question, answer| {
        let split = Bytes::from(alloy_rlp::encode(lonja_storage::snapshot::Part::Split));
        Some(if matches!(question, Question::Part { .. }) { split } else { answer })
    };
    let mut world = World::new(&reader, &genesis, &[splits, honest], None);
    assert!(matches!(world.run(), End::Joined));
    world.check(&chain);
    assert_eq!(world.blamed.len(), 1);
    assert!(world.blamed.values().all(|reason| reason.contains("too large")), "{:?}", world.blamed);
}

#[test]
fn the_silent_are_not_waited_for_and_those_who_let_go_neither() {
    let (chain, genesis) = chain(HEIGHT);
    let reader = chain.reader();
    let silent: Habit = |question, answer| matches!(question, Question::Snapshots).then_some(answer);
    let gone: Habit = |question, answer| {
        Some(if matches!(question, Question::Part { .. }) { Bytes::new() } else { answer })
    };
    for habits in [[silent, honest], [gone, honest]] {
        let mut world = World::new(&reader, &genesis, &habits, None);
        let joined = matches!(world.run(), End::Joined);
        assert!(joined, "{} {:?} {} {}", world.machine.progress(), world.asked, world.now_ms, world.restarts);
        world.check(&chain);
        assert!(world.blamed.is_empty(), "{:?}", world.blamed);
    }
    let mut world = World::new(&reader, &genesis, &[gone], None);
    assert!(matches!(world.run(), End::Stuck));
    assert!(world.restarts > 3, "it looks again and again");
}

#[test]
fn a_checkpoint_is_held_against_everybody() {
    let (chain, genesis) = chain(HEIGHT);
    let reader = chain.reader();
    let hash = |number| reader.header(number).unwrap().unwrap().hash();
    for (number, is_right) in [(200, true), (HEIGHT, true), (200, false), (HEIGHT + 1, false)] {
        let hash = if is_right { hash(number) } else { B256::repeat_byte(7) };
        let mut world = World::new(&reader, &genesis, &[honest, honest], Some((number, hash)));
        let joined = matches!(world.run(), End::Joined);
        assert_eq!(joined, is_right, "{number}");
        assert!(world.blamed.is_empty(), "the operator may be wrong as well");
        assert_eq!(world.doubted > 0, number == 200 && !is_right);
    }
}

#[test]
fn a_short_chain_is_executed() {
    let (chain, genesis) = chain(20);
    let reader = chain.reader();
    assert!(matches!(World::new(&reader, &genesis, &[honest], None).run(), End::NotWorth));
}
