//! A network of machines in one thread under a seeded scheduler: messages are delayed, reordered and lost, links
//! cut, processes killed between any two outputs and started again from their log. After every send the oracle
//! looks whether anybody contradicts itself, and after every decision whether all agree.

use crate::header::certify;
use crate::machine::harness;
use crate::machine::{ChainPosition, Input, Istanbul, Output, Verdict, record_height};
use crate::message::VerifiedMessage;
use crate::{Now, ValidatorSet, votes};
use alloy_primitives::{Address, B256, Bytes};
use lonja_primitives::spec::ConsensusParams;
use lonja_primitives::{Block, CertifiedBlock, ChainSpec, NodeId, NodeKey, Signer, extra};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Time between a request to the chain and its answer, milliseconds.
const CHAIN_MS: u64 = 3;
/// Time until the others fetch a block that somebody announces.
const FETCH_MS: u64 = 20;

pub struct World {
    pub spec: Arc<ChainSpec>,
    pub nodes: Vec<Node>,
    pub now_ms: u64,
    pub delay_ms: (u64, u64),
    /// Messages lost, in percent.
    pub loss: u64,
    /// Pairs that cannot reach each other.
    pub cut: BTreeSet<(usize, usize)>,
    /// Sends one block to even and another to odd receivers.
    pub equivocator: Option<usize>,
    /// Commits to itself alone as the next validators.
    pub usurper: Option<usize>,
    /// Kills this process when so many of its outputs are carried out.
    pub crash: Option<(usize, u64)>,
    pub blamed: Vec<Address>,
    /// What the contract that chooses validators answers on the state after a block: which nodes validate next.
    pub contract: fn(u64) -> Vec<usize>,
    queue: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    seed: u64,
    signed: BTreeMap<(Address, u8, u64, u32), B256>,
    agreed: BTreeMap<u64, B256>,
}

pub struct Node {
    pub key: NodeKey,
    id: NodeId,
    address: Address,
    /// `None` while the process is down.
    pub machine: Option<Istanbul>,
    pub log: Vec<Vec<u8>>,
    pub chain: Vec<Arc<ChainPosition>>,
    pub blocks: Vec<Block>,
    /// Counts lives: answers to an earlier one are lost.
    life: u64,
    outputs: u64,
    pub persists: u64,
    /// A request is repeated often; it is decoded once.
    last_sent: Option<(Bytes, Arc<VerifiedMessage>)>,
}

enum Event {
    Message { to: usize, from: usize, message: Arc<VerifiedMessage> },
    Answer { to: usize, life: u64, input: Input },
    Decided { to: usize, life: u64, block: CertifiedBlock },
    Fetch { to: usize, from: usize },
    Start(usize),
}

impl World {
    /// `validators` of the `count` nodes validate at genesis.
    pub fn new(count: u8, validators: usize, seed: u64, params: ConsensusParams) -> Self {
        let keys = harness::keys(count);
        let spec = harness::spec(params);
        let genesis = harness::genesis(&spec, harness::addresses(&keys[..validators]));
        let node = |key: NodeKey| Node {
            machine: Some(harness::start(&spec, &key, &genesis, &[])),
            id: key.node_id(),
            address: key.address(),
            key,
            log: Vec::new(),
            chain: vec![genesis.clone()],
            blocks: Vec::new(),
            life: 0,
            outputs: 0,
            persists: 0,
            last_sent: None,
        };
        Self {
            nodes: keys.into_iter().map(node).collect(),
            spec,
            now_ms: 0,
            delay_ms: (1, 10),
            loss: 0,
            cut: BTreeSet::new(),
            equivocator: None,
            usurper: None,
            crash: None,
            blamed: Vec::new(),
            contract: |_| Vec::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            seed,
            signed: BTreeMap::new(),
            agreed: BTreeMap::new(),
        }
    }

    /// Other rules, before anything has happened. Block 0 is the same under them.
    pub fn set_spec(&mut self, spec: ChainSpec) {
        self.spec = Arc::new(spec);
        for node in &mut self.nodes {
            node.machine = Some(harness::start(&self.spec, &node.key, &node.chain[0], &[]));
        }
    }

    pub fn height(&self, node: usize) -> u64 {
        self.nodes[node].chain.last().unwrap().head.number
    }

    /// The highest block of the running nodes.
    pub fn highest(&self) -> u64 {
        (0..self.nodes.len()).map(|node| self.height(node)).max().unwrap()
    }

    /// The validators after a block, as its execution brings them.
    fn chosen(&self, number: u64) -> Vec<Address> {
        (self.contract)(number).into_iter().map(|node| self.nodes[node].address).collect()
    }

    /// Runs until `done` or until `limit_ms` have passed; tells how long it took, if it was done.
    pub fn run(&mut self, limit_ms: u64, done: impl Fn(&Self) -> bool) -> Option<u64> {
        let begin = self.now_ms;
        while !done(self) {
            let due = |node: &Node| node.machine.as_ref().and_then(Istanbul::deadline);
            let timer = (0..self.nodes.len()).filter_map(|i| due(&self.nodes[i]).map(|at| (at, i))).min();
            let event = self.queue.first_key_value().map(|((at, _), _)| *at);
            let next = [timer.map(|(at, _)| at), event].into_iter().flatten().min()?;
            if next > begin + limit_ms {
                self.now_ms = begin + limit_ms;
                return None;
            }
            self.now_ms = self.now_ms.max(next);
            match self.queue.pop_first() {
                Some(((at, _), event)) if at <= self.now_ms => self.happen(event),
                Some((key, event)) => {
                    self.queue.insert(key, event);
                    self.step(timer.unwrap().1, Input::Tick);
                }
                None => self.step(timer.unwrap().1, Input::Tick),
            }
        }
        Some(self.now_ms - begin)
    }

    pub fn step(&mut self, node: usize, input: Input) {
        let now = Now { unix_ms: harness::GENESIS_TIME_S * 1000 + self.now_ms, mono_ms: self.now_ms };
        let Some(machine) = &mut self.nodes[node].machine else { return };
        let outputs = machine.step(now, input);
        assert!(outputs.iter().filter(|output| matches!(output, Output::Persist(_))).count() <= 1);
        for output in outputs {
            self.nodes[node].outputs += 1;
            if self.crash == Some((node, self.nodes[node].outputs)) {
                self.crash = None;
                self.stop(node);
                return self.later(50, Event::Start(node));
            }
            self.carry_out(node, output);
        }
    }

    pub fn stop(&mut self, node: usize) {
        self.nodes[node].machine = None;
        self.nodes[node].life += 1;
    }

    pub fn start(&mut self, node: usize) {
        let Node { key, chain, log, .. } = &self.nodes[node];
        let machine = harness::start(&self.spec, key, chain.last().unwrap(), log);
        self.nodes[node].machine = Some(machine);
        self.announce_all(node);
    }

    /// Cuts or mends all links between two groups.
    pub fn split(&mut self, one: &[usize], other: &[usize], cut: bool) {
        for pair in one.iter().flat_map(|a| other.iter().flat_map(move |b| [(*a, *b), (*b, *a)])) {
            if cut {
                self.cut.insert(pair)
            } else {
                self.cut.remove(&pair)
            };
        }
        if !cut {
            (0..self.nodes.len()).for_each(|node| self.announce_all(node));
        }
    }

    /// What a handshake does: both sides tell their heads.
    fn announce_all(&mut self, node: usize) {
        for other in 0..self.nodes.len() {
            self.later(FETCH_MS, Event::Fetch { to: node, from: other });
            self.later(FETCH_MS, Event::Fetch { to: other, from: node });
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Message { to, from, message } => {
                let from = Some(self.nodes[from].id);
                self.step(to, Input::Message { from, message: message.as_ref().clone() });
            }
            Event::Answer { to, life, input } if self.nodes[to].life == life => self.step(to, input),
            Event::Decided { to, life, block } if self.nodes[to].life == life => {
                self.import(to, block.into_block())
            }
            Event::Fetch { to, from } => self.fetch(to, from),
            Event::Start(node) => self.start(node),
            Event::Answer { .. } | Event::Decided { .. } => {}
        }
    }

    fn carry_out(&mut self, node: usize, output: Output) {
        let life = self.nodes[node].life;
        match output {
            Output::Persist(record) => {
                self.nodes[node].log.push(record.to_vec());
                self.nodes[node].persists += 1;
            }
            Output::Forget { below_height } => {
                self.nodes[node].log.retain(|record| record_height(record).unwrap() >= below_height);
            }
            Output::Send(bytes) => self.send(node, &bytes),
            Output::BuildBlock(request) => {
                let block = harness::build(&request, self.random() >> 32);
                let next = match self.usurper == Some(node) {
                    true => vec![self.nodes[node].address],
                    false => self.chosen(request.height),
                };
                let block = harness::committing(&self.spec, block, &next);
                let input = Input::Built { height: request.height, round: request.round, block };
                self.later(CHAIN_MS, Event::Answer { to: node, life, input });
            }
            Output::CheckBlock { height, digest, block } => {
                let verdict = self.execute(&block);
                let input = Input::Checked { height, digest, verdict };
                self.later(CHAIN_MS, Event::Answer { to: node, life, input });
            }
            Output::Decide(block) => self.later(CHAIN_MS, Event::Decided { to: node, life, block }),
            Output::Blame { validator, .. } => self.blamed.push(validator),
        }
    }

    /// All that can be wrong with an empty block: whom it commits to.
    fn execute(&self, block: &Block) -> Verdict {
        if !votes::commits(&self.spec, block.header.number) {
            return Verdict::Valid;
        }
        let next = ValidatorSet::new(self.chosen(block.header.number)).unwrap();
        match votes::check_commitment(&self.spec, &block.header, &next) {
            Ok(()) => Verdict::Valid,
            Err(error) => Verdict::Invalid(error.to_string()),
        }
    }

    fn send(&mut self, node: usize, bytes: &Bytes) {
        let message = match &self.nodes[node].last_sent {
            Some((last, message)) if last == bytes => message.clone(),
            _ => Arc::new(harness::decode(bytes)),
        };
        self.nodes[node].last_sent = Some((bytes.clone(), message.clone()));
        self.note(node, &message);
        let twin = self.twin(node, &message);
        for to in (0..self.nodes.len()).filter(|to| *to != node) {
            let message = twin.as_ref().filter(|_| to % 2 == 1).unwrap_or(&message).clone();
            if self.random() % 100 >= self.loss && !self.cut.contains(&(node, to)) {
                let span = self.delay_ms.1 - self.delay_ms.0 + 1;
                let delay = self.delay_ms.0 + self.random() % span;
                self.later(delay, Event::Message { to, from: node, message });
            }
        }
    }

    /// The other block of an equivocating proposer.
    fn twin(&self, node: usize, message: &VerifiedMessage) -> Option<Arc<VerifiedMessage>> {
        let VerifiedMessage::Proposal(proposal) = message else { return None };
        (self.equivocator == Some(node) && proposal.prepares.is_empty()).then(|| {
            let mut twin = proposal.as_ref().clone();
            let mut payload = twin.proposal.into_payload();
            payload.block.header.state_root = B256::repeat_byte(0xee);
            twin.proposal = crate::message::Verified::sign(payload, &self.nodes[node].key);
            Arc::new(VerifiedMessage::Proposal(Box::new(twin)))
        })
    }

    /// The oracle: one value per kind, height and round, for the whole life of a key.
    fn note(&mut self, node: usize, message: &VerifiedMessage) {
        let view = message.view();
        let (kind, value) = match message {
            VerifiedMessage::Proposal(message) => {
                let header = &message.proposal.block.header;
                (0, extra::qbft_digest(header, view.round).unwrap())
            }
            VerifiedMessage::Prepare(prepare) => (1, prepare.digest),
            VerifiedMessage::Commit(commit) => (2, commit.digest),
            VerifiedMessage::RoundChange(message) => {
                (3, message.round_change.prepared.map_or(B256::ZERO, |claim| claim.digest))
            }
        };
        let key = (self.nodes[node].address, kind, view.sequence, view.round);
        let known = *self.signed.entry(key).or_insert(value);
        assert_eq!(known, value, "validator {node} signed twice: {key:?}");
        assert!(view.sequence > self.height(node), "a message for a height that is stored");
    }

    fn import(&mut self, node: usize, block: Block) {
        let position = self.nodes[node].chain.last().unwrap().clone();
        if block.header.number != position.head.number + 1 {
            return;
        }
        let validators = position.votes.validators_for(&self.spec, &block.header).unwrap();
        let certified = certify(&self.spec, block.clone(), &position.head, &validators).unwrap();
        let agreed = *self.agreed.entry(certified.number()).or_insert(certified.hash());
        assert_eq!(agreed, certified.hash(), "two blocks at height {}", certified.number());
        let chosen = self.chosen(block.header.number);
        let next = harness::after_execution(&self.spec, &position, &block, &chosen);
        self.nodes[node].chain.push(next.clone());
        self.nodes[node].blocks.push(block);
        self.step(node, Input::NewHead(next));
        for to in 0..self.nodes.len() {
            self.later(FETCH_MS, Event::Fetch { to, from: node });
        }
    }

    /// What catch-up does, without its requests.
    fn fetch(&mut self, to: usize, from: usize) {
        let up = |node: usize| self.nodes[node].machine.is_some();
        if !up(to) || !up(from) || self.cut.contains(&(from, to)) {
            return;
        }
        while let Some(block) = self.nodes[from].blocks.get(self.nodes[to].blocks.len()).cloned() {
            self.import(to, block);
        }
    }

    fn later(&mut self, delay_ms: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.now_ms + delay_ms, self.sequence), event);
    }

    /// SplitMix64.
    pub fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
