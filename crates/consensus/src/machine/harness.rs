//! What the tests of the machines share: chains of empty blocks that pass every header rule, and one validator
//! on a bench. The network of several is `tests/world.rs`.

use super::{BuildRequest, ChainPosition, Input, Istanbul, Output, Verdict};
use crate::message::{ConsensusMessage, MessageLimits, VerifiedMessage};
use crate::{Now, VoteState, proposer, testing, votes};
use alloy_primitives::{Address, B256, Bytes, U256, b256};
use lonja_primitives::header::ISTANBUL_MIX_HASH;
use lonja_primitives::spec::ConsensusParams;
use lonja_primitives::{
    Block, CertifiedBlock, ChainSpec, ExtraData, Header, HeaderFormat, NodeId, NodeKey, SealedHeader, Signer,
    extra,
};
use std::sync::Arc;

pub(crate) const GENESIS_TIME_S: u64 = 1_000_000;
const NO_OMMERS: B256 = b256!("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347");
pub(crate) const LIMITS: MessageLimits = MessageLimits { validators: 16, block_bytes: 1 << 20 };

/// `count` keys in ascending order of their addresses.
pub(crate) fn keys(count: u8) -> Vec<NodeKey> {
    let mut keys: Vec<NodeKey> = (1..=count).map(testing::key).collect();
    keys.sort_by_key(Signer::address);
    keys
}

pub(crate) fn addresses(keys: &[NodeKey]) -> Vec<Address> {
    keys.iter().map(Signer::address).collect()
}

pub(crate) fn spec(params: ConsensusParams) -> Arc<ChainSpec> {
    Arc::new(testing::spec(params))
}

/// The state of the voting at genesis with these validators.
pub(crate) fn votes_of(validators: Vec<Address>) -> VoteState {
    let header = Header { extra_data: extra_data(validators, 0), ..Header::default() };
    VoteState::genesis(&testing::spec(testing::params()), &header).unwrap()
}

pub(crate) fn extra_data(mut validators: Vec<Address>, round: u32) -> Bytes {
    validators.sort();
    ExtraData { validators, round, ..ExtraData::default() }.encode(HeaderFormat::Qbft)
}

/// The position at genesis.
pub(crate) fn genesis(spec: &ChainSpec, validators: Vec<Address>) -> Arc<ChainPosition> {
    let header = Header {
        extra_data: extra_data(validators, 0),
        mix_hash: ISTANBUL_MIX_HASH,
        difficulty: U256::from(1),
        timestamp: GENESIS_TIME_S,
        gas_limit: 30_000_000,
        ..Header::default()
    };
    let votes = VoteState::genesis(spec, &header).unwrap();
    let head = SealedHeader::seal(header, HeaderFormat::Qbft).unwrap();
    Arc::new(ChainPosition { author: proposer::last_author(spec, &head).unwrap(), head, votes })
}

/// An empty block as a request asks for it. `label` makes blocks of one request differ.
pub(crate) fn build(request: &BuildRequest, label: u64) -> Block {
    let header = Header {
        parent_hash: request.parent,
        number: request.height,
        timestamp: request.timestamp,
        beneficiary: request.beneficiary,
        extra_data: request.extra_data.clone(),
        state_root: B256::from(U256::from(label)),
        transactions_root: Block::transactions_root(&[]),
        ommers_hash: NO_OMMERS,
        mix_hash: ISTANBUL_MIX_HASH,
        difficulty: U256::from(1),
        gas_limit: 30_000_000,
        ..Header::default()
    };
    Block { header, transactions: Vec::new() }
}

/// A block on `position` by `builder`, proposed in `round`, one second after its parent.
pub(crate) fn block_on(position: &ChainPosition, builder: Address, round: u32, label: u64) -> Block {
    let request = BuildRequest {
        height: position.head.number + 1,
        round,
        parent: position.head.hash(),
        timestamp: position.head.timestamp + 1,
        beneficiary: builder,
        extra_data: extra_data(position.votes.validators().as_slice().to_vec(), round),
        deadline_ms: 0,
    };
    build(&request, label)
}

/// The position after a block.
pub(crate) fn after(spec: &ChainSpec, position: &ChainPosition, block: &Block) -> Arc<ChainPosition> {
    let head = SealedHeader::seal(block.header.clone(), HeaderFormat::Qbft).unwrap();
    let mut votes = position.votes.clone();
    votes.apply(spec, &head, head.beneficiary).unwrap();
    Arc::new(ChainPosition { author: proposer::last_author(spec, &head).unwrap(), head, votes })
}

/// The contract of networks whose validators one chooses; what it answers, the tests say.
pub(crate) const CONTRACT: Address = Address::repeat_byte(0xc0);

/// Parameters under which the contract chooses the validators.
pub(crate) fn by_contract() -> ConsensusParams {
    ConsensusParams { validator_contract: Some(CONTRACT), ..testing::params() }
}

/// What the chain does with a block that it has executed: the header commits to the next validators, where it has to.
pub(crate) fn committing(spec: &ChainSpec, block: Block, next: &[Address]) -> Block {
    if !votes::commits(spec, block.header.number) {
        return block;
    }
    let format = spec.format_at(block.header.number);
    let vanity = votes::commitment(next);
    let extra_data = extra::with_vanity(&block.header.extra_data, format, vanity).unwrap();
    Block { header: Header { extra_data, ..block.header }, ..block }
}

/// The position after a block by whose state these validate next.
pub(crate) fn after_execution(
    spec: &ChainSpec,
    position: &ChainPosition,
    block: &Block,
    next: &[Address],
) -> Arc<ChainPosition> {
    let mut position = (*after(spec, position, block)).clone();
    if position.votes.pending().is_some() {
        position.votes.resolve(next.to_vec()).unwrap();
    }
    Arc::new(position)
}

/// Puts commit seals of these keys into a block, as committed in `round`.
pub(crate) fn seal(block: &Block, round: u32, keys: &[NodeKey]) -> Block {
    let digest = extra::qbft_digest(&block.header, round).unwrap();
    let seals: Vec<_> = keys.iter().map(|key| key.sign(digest)).collect();
    let header = extra::with_round_and_seals(&block.header, round, &seals).unwrap();
    Block { header, transactions: block.transactions.clone() }
}

pub(crate) fn decode(bytes: &[u8]) -> VerifiedMessage {
    ConsensusMessage::decode(bytes, &LIMITS).unwrap().verify().unwrap()
}

/// One validator on a bench: its log, its clock, and everything it put out. Building and checking answer at
/// once; nothing else happens by itself.
pub(crate) struct Bench {
    pub spec: Arc<ChainSpec>,
    pub key: NodeKey,
    pub position: Arc<ChainPosition>,
    pub machine: Istanbul,
    pub now: Now,
    pub log: Vec<Vec<u8>>,
    pub sent: Vec<VerifiedMessage>,
    pub sent_bytes: Vec<Bytes>,
    pub blamed: Vec<(Address, Option<NodeId>, String)>,
    pub decided: Vec<CertifiedBlock>,
    pub built: Vec<Block>,
    pub asked: Vec<B256>,
    pub persists: usize,
    /// How blocks are judged.
    pub verdict: Option<Verdict>,
    /// Whether blocks asked for are built.
    pub builds: bool,
}

impl Bench {
    pub fn new(spec: Arc<ChainSpec>, key: NodeKey, position: Arc<ChainPosition>) -> Self {
        let machine = start(&spec, &key, &position, &[]);
        let head_time_ms = position.head.timestamp * 1000;
        Self {
            spec,
            key,
            position,
            machine,
            now: Now { unix_ms: head_time_ms, mono_ms: 5_000 },
            log: Vec::new(),
            sent: Vec::new(),
            sent_bytes: Vec::new(),
            blamed: Vec::new(),
            decided: Vec::new(),
            built: Vec::new(),
            asked: Vec::new(),
            persists: 0,
            verdict: Some(Verdict::Valid),
            builds: true,
        }
    }

    pub fn tick(&mut self) {
        self.input(Input::Tick);
    }

    pub fn pass(&mut self, milliseconds: u64) {
        self.now.unix_ms += milliseconds;
        self.now.mono_ms += milliseconds;
    }

    /// Moves on to a monotonic time and ticks.
    pub fn tick_at(&mut self, mono_ms: u64) {
        self.pass(mono_ms.saturating_sub(self.now.mono_ms));
        self.tick();
    }

    /// Ticks at every deadline until the round is not `round` any more.
    pub fn time_out(&mut self, round: u32) {
        for _ in 0..200 {
            let Some(due) = self.machine.deadline() else { return };
            if self.machine.status().round != round {
                return;
            }
            self.tick_at(due);
        }
    }

    pub fn receive(&mut self, from: &NodeKey, message: VerifiedMessage) {
        self.input(Input::Message { from: Some(from.node_id()), message });
    }

    /// Whether a message of the current height is counted: as a vote, a request, or the proposal of its round.
    pub fn counts(&self, message: &VerifiedMessage) -> bool {
        let (run, author, view) = (&self.machine.run, message.author(), message.view());
        let round = view.round;
        let by_author = |voter: Address| voter == author;
        run.number == view.sequence
            && match message {
                VerifiedMessage::Proposal(proposal) => {
                    let header = &proposal.proposal.block.header;
                    let digest = self.machine.rules().digest(header, round).unwrap();
                    run.round == round && run.proposed.digest() == Some(digest)
                }
                VerifiedMessage::Prepare(prepare) => {
                    let votes = run.ballots.prepares(round, prepare.digest);
                    votes.into_iter().any(|vote| by_author(vote.author()))
                }
                VerifiedMessage::Commit(commit) => {
                    let votes = run.ballots.commits(round, commit.digest);
                    votes.into_iter().any(|vote| by_author(vote.author()))
                }
                VerifiedMessage::RoundChange(_) => {
                    run.requests.at(round).into_iter().any(|kept| by_author(kept.round_change.author()))
                }
            }
    }

    pub fn input(&mut self, input: Input) {
        let outputs = self.machine.step(self.now, input);
        for output in outputs {
            self.carry_out(output);
        }
    }

    pub fn carry_out(&mut self, output: Output) {
        match output {
            Output::Persist(record) => {
                self.persists += 1;
                self.log.push(record.to_vec());
            }
            Output::Forget { below_height } => {
                self.log.retain(|record| super::record_height(record).unwrap() >= below_height);
            }
            Output::Send(bytes) => {
                self.sent.push(decode(&bytes));
                self.sent_bytes.push(bytes);
            }
            Output::BuildBlock(request) => self.build(&request),
            Output::CheckBlock { height, digest, .. } => {
                self.asked.push(digest);
                if let Some(verdict) = self.verdict.clone() {
                    self.input(Input::Checked { height, digest, verdict });
                }
            }
            Output::Decide(block) => self.decided.push(block),
            Output::Blame { validator, from, reason } => self.blamed.push((validator, from, reason)),
        }
    }

    fn build(&mut self, request: &BuildRequest) {
        if self.builds {
            let block = build(request, 1_000 + self.built.len() as u64);
            self.built.push(block.clone());
            self.input(Input::Built { height: request.height, round: request.round, block });
        }
    }

    /// A block became durable, not before its own time.
    pub fn head(&mut self, position: Arc<ChainPosition>) {
        self.pass((position.head.timestamp * 1000).saturating_sub(self.now.unix_ms));
        if position.head.number > self.position.head.number {
            self.position = position.clone();
        }
        self.input(Input::NewHead(position));
    }

    /// The process is killed and started again with what is durable.
    pub fn restart(&mut self) {
        self.machine = start(&self.spec, &self.key, &self.position, &self.log);
        self.tick();
    }
}

pub(crate) fn start(
    spec: &Arc<ChainSpec>,
    key: &NodeKey,
    position: &Arc<ChainPosition>,
    log: &[Vec<u8>],
) -> Istanbul {
    Istanbul::new(spec.clone(), Some(Arc::new(key.clone())), position.clone(), log).unwrap()
}
