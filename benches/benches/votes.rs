//! Agreement: what a message costs at the door, and what a height costs all validators together, without network
//! and disk.

mod world;

use alloy_primitives::{B256, Bytes};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lonja_consensus::machine::{BuildRequest, ChainPosition, Input, Istanbul, Output, Verdict};
use lonja_consensus::{ConsensusMessage, MessageLimits, Now, Prepare, Verified, VerifiedMessage, VoteState};
use lonja_consensus::{certify, proposer};
use lonja_primitives::{Block, CertifiedBlock, Genesis, NodeKey, SealedHeader};
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Transactions of a well filled block.
const BLOCK: u64 = 1_000;
const VALIDATORS: u64 = 4;
const LIMITS: MessageLimits = MessageLimits { validators: 16, block_bytes: 8 << 20 };

/// Validators that hear each other at once. Blocks are built of the same transactions always and executed by nobody.
struct Network {
    genesis: Genesis,
    machines: Vec<Istanbul>,
    position: Arc<ChainPosition>,
    now: Now,
    body: Vec<Bytes>,
    /// What waits to be handled: by whom, and what.
    inputs: VecDeque<(usize, Input)>,
    /// Every message sent, when they are wanted.
    sent: Vec<Bytes>,
    decided: Option<CertifiedBlock>,
    /// Inputs that are timed, if any: how many came, and how long their steps took.
    timed: Option<fn(&Input) -> bool>,
    steps: u64,
    took: Duration,
}

impl Network {
    fn new(transactions: u64) -> Self {
        let keys: Vec<NodeKey> = (0..VALIDATORS).map(world::key).collect();
        let genesis = world::genesis(&keys, 1);
        let spec = Arc::new(genesis.spec.clone());
        let votes = VoteState::genesis(&spec, &genesis.header).expect("validators");
        let author = proposer::last_author(&spec, &genesis.header).expect("a genesis header");
        let position = Arc::new(ChainPosition { head: genesis.header.clone(), author, votes });
        let machine = |key: &NodeKey| {
            let signer = Some(Arc::new(key.clone()) as Arc<_>);
            Istanbul::new(spec.clone(), signer, position.clone(), &[]).expect("an empty log")
        };
        Self {
            machines: keys.iter().map(machine).collect(),
            position,
            genesis,
            now: Now { unix_ms: 1_000_000_000_000, mono_ms: 0 },
            body: world::transfers(transactions.max(1), 0).into_iter().take(transactions as usize).collect(),
            inputs: VecDeque::new(),
            sent: Vec::new(),
            decided: None,
            timed: None,
            steps: 0,
            took: Duration::ZERO,
        }
    }

    /// One block, from its time until all have moved on.
    fn height(&mut self) {
        self.now.unix_ms += 1_000;
        self.now.mono_ms += 1_000;
        self.everybody(&Input::Tick);
        while let Some((node, input)) = self.inputs.pop_front() {
            let is_timed = self.timed.is_some_and(|wanted| wanted(&input));
            let started = Instant::now();
            let outputs = self.machines[node].step(self.now, input);
            if is_timed {
                self.took += started.elapsed();
                self.steps += 1;
            }
            outputs.into_iter().for_each(|output| self.carry_out(node, output));
        }
        let block = self.decided.take().expect("a happy round decides");
        let head = SealedHeader::new_unchecked(block.block().header.clone(), block.hash());
        let mut votes = self.position.votes.clone();
        votes.apply(&self.genesis.spec, &head, head.beneficiary).expect("a header of our own");
        let author = proposer::last_author(&self.genesis.spec, &head).expect("a header of our own");
        self.position = Arc::new(ChainPosition { head, author, votes });
        self.everybody(&Input::NewHead(self.position.clone()));
    }

    fn everybody(&mut self, input: &Input) {
        self.inputs.extend((0..self.machines.len()).map(|node| (node, input.clone())));
    }

    fn carry_out(&mut self, node: usize, output: Output) {
        match output {
            Output::Send(bytes) => {
                for other in (0..self.machines.len()).filter(|other| *other != node) {
                    let message = decode(&bytes);
                    self.inputs.push_back((other, Input::Message { from: None, message }));
                }
                self.sent.push(bytes);
            }
            Output::BuildBlock(request) => {
                let block = self.build(&request);
                let (height, round) = (request.height, request.round);
                self.inputs.push_back((node, Input::Built { height, round, block }));
            }
            Output::CheckBlock { height, digest, .. } => {
                let verdict = Verdict::Valid;
                self.inputs.push_back((node, Input::Checked { height, digest, verdict }));
            }
            Output::Decide(block) => self.decided = Some(block),
            Output::Blame { reason, .. } => panic!("a happy round blames nobody: {reason}"),
            Output::Persist(_) | Output::Forget { .. } => {}
        }
    }

    fn build(&self, request: &BuildRequest) -> Block {
        let mut block = world::block(self.position.head.header(), request.parent, self.body.clone());
        block.header.timestamp = request.timestamp;
        block.header.beneficiary = request.beneficiary;
        block.header.extra_data = request.extra_data.clone();
        block
    }
}

fn decode(bytes: &[u8]) -> VerifiedMessage {
    let message = ConsensusMessage::decode(bytes, &LIMITS).expect("a message of our own");
    message.verify().expect("signatures of our own")
}

fn messages(c: &mut Criterion) {
    let prepare = Prepare { sequence: 7, round: 0, digest: B256::repeat_byte(7) };
    let prepare = VerifiedMessage::Prepare(Verified::sign(prepare, &world::key(0))).encode();
    c.bench_function("consensus::verify/message=prepare", |b| b.iter(|| decode(black_box(&prepare))));
    let mut network = Network::new(BLOCK);
    network.height();
    let proposal = network.sent.iter().max_by_key(|bytes| bytes.len()).expect("a proposal").clone();
    c.bench_function(&format!("consensus::verify/message=proposal,transactions={BLOCK}"), |b| {
        b.iter(|| decode(black_box(&proposal)));
    });
}

/// One step of one machine, by what it is told, on average over whole heights.
fn steps(c: &mut Criterion) {
    let kinds: [(&str, fn(&Input) -> bool); 3] = [
        ("prepare", |input| matches!(input, Input::Message { message: VerifiedMessage::Prepare(_), .. })),
        ("commit", |input| matches!(input, Input::Message { message: VerifiedMessage::Commit(_), .. })),
        ("proposal", |input| matches!(input, Input::Message { message: VerifiedMessage::Proposal(_), .. })),
    ];
    for (name, wanted) in kinds {
        let mut network = Network::new(BLOCK);
        network.timed = Some(wanted);
        let name = format!("consensus::step/input={name},validators={VALIDATORS},transactions={BLOCK}");
        c.bench_function(&name, |b| {
            b.iter_custom(|steps| {
                (network.steps, network.took) = (0, Duration::ZERO);
                while network.steps < steps {
                    network.sent.clear();
                    network.height();
                }
                network.took.mul_f64(steps as f64 / network.steps as f64)
            });
        });
    }
}

fn heights(c: &mut Criterion) {
    for transactions in [0, BLOCK] {
        let mut network = Network::new(transactions);
        let mut group = c.benchmark_group("consensus::height");
        group.throughput(Throughput::Elements(1)).sample_size(20);
        group.bench_function(format!("validators={VALIDATORS},transactions={transactions}"), |b| {
            b.iter(|| {
                network.sent.clear();
                network.height();
            });
        });
        group.finish();
    }
}

fn certificates(c: &mut Criterion) {
    let mut network = Network::new(BLOCK);
    let parent = network.position.clone();
    network.height();
    let block = Block { header: network.position.head.header().clone(), transactions: network.body.clone() };
    let (spec, validators) = (&network.genesis.spec, parent.votes.validators());
    c.bench_function(&format!("consensus::certify/validators={VALIDATORS},transactions={BLOCK}"), |b| {
        b.iter(|| certify(spec, block.clone(), &parent.head, validators).expect("a sealed block"));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = messages, steps, heights, certificates
}
criterion_main!(benches);
