//! The door for messages of peers: bytes become events here, outside the loop, with every signature checked.

use crate::event::Event;
use crate::join::words::Question;
use alloy_primitives::{Address, B256, Bytes, keccak256};
use lonja_consensus::message::{ConsensusMessage, MessageError, MessageLimits};
use lonja_p2p::wire::{MAX_RELAY_RECEIVERS, Message};
use lonja_primitives::{Block, ChainSpec, NodeId};
use std::collections::HashSet;

/// A copy of a consensus message is recognised for one to three of these, milliseconds. Copies arrive within a round trip.
const SEEN_FOR_MS: u64 = 500;

/// Where the request timeout is short, its fraction. A ROUND-CHANGE is sent again, word for word, every half request
/// timeout, for whoever could not use it the first time: by then it is long forgotten, whatever the network's delays.
const SEEN_TIMEOUT_DIVISOR: u64 = 8;

/// Messages remembered per generation. More than a busy network of a hundred validators sends in that time.
const SEEN_MAX: usize = 8_192;

/// Entries in a justification beyond the validators known here, before a message is left alone: a set grows by one with
/// each height, and messages are taken up to ten heights ahead.
const MORE_VALIDATORS: usize = 10;

/// What became of a message.
#[derive(Debug)]
pub enum Ingested {
    /// For the loop.
    Event(Event),
    /// The peer asks for blocks.
    BlocksWanted {
        /// Number to answer under.
        request: u64,
        /// First height.
        from: u64,
        /// How many at most.
        count: u64,
    },
    /// The peer asks about the past.
    Question {
        /// Number to answer under.
        request: u64,
        /// What.
        question: Question,
    },
    /// The peer answers about the past.
    Answer {
        /// Our number.
        request: u64,
        /// What, not read yet.
        content: Bytes,
    },
    /// The manager of a peer asks ours.
    PartyRequest {
        /// Number to answer under.
        request: u64,
        /// What, not read yet.
        body: Bytes,
    },
    /// The manager of a peer answers ours.
    PartyAnswer {
        /// Our number.
        request: u64,
        /// What, not read yet.
        body: Bytes,
    },
    /// Transactions for the pool's door.
    Transactions(Vec<Bytes>),
    /// A peer has these transactions.
    Announced(Vec<B256>),
    /// A peer asks for these transactions.
    Wanted(Vec<B256>),
    /// A copy of what was handled a moment ago.
    Duplicate,
    /// A consensus message of somebody, or with more parts of anybody, than takes part as far as is known here. That is
    /// no fault: sender and receiver may stand at different heights.
    Stranger,
    /// No honest peer sends this.
    Abuse(String),
}

/// Decodes and verifies. Holds nothing but a short memory of copies.
pub struct Ingest {
    limits: MessageLimits,
    seen_for_ms: u64,
    /// Two generations of complete bytes' hashes; the older is dropped when the younger is old or full. Keyed
    /// on complete bytes, so that a copy with a broken signature cannot hide the good one.
    young: HashSet<B256>,
    old: HashSet<B256>,
    turned_at_ms: u64,
}

impl Ingest {
    /// For a network with these rules.
    pub fn new(spec: &ChainSpec) -> Self {
        let block_bytes = spec.limits.iter().map(|(_, limits)| limits.block_size).max().unwrap_or(0);
        let limits = MessageLimits { validators: MAX_RELAY_RECEIVERS, block_bytes };
        let timeout_ms =
            spec.consensus.iter().map(|(_, params)| params.request_timeout_ms).min().unwrap_or(0);
        let seen_for_ms = (timeout_ms / SEEN_TIMEOUT_DIVISOR).clamp(1, SEEN_FOR_MS);
        Self { limits, seen_for_ms, young: HashSet::new(), old: HashSet::new(), turned_at_ms: 0 }
    }

    /// Handles one message of a peer. `validators` are those of the next height, ascending: only they are worth the
    /// signatures in a justification.
    pub fn take(&mut self, mono_ms: u64, peer: NodeId, message: Message, validators: &[Address]) -> Ingested {
        match message {
            Message::Consensus(bytes) => self.consensus(mono_ms, peer, bytes, Vec::new(), validators),
            Message::Relay { to, message } => self.consensus(mono_ms, peer, message, to, validators),
            Message::NewHead { number, hash } => Ingested::Event(Event::PeerHead { peer, number, hash }),
            Message::GetBlocks { request, from, count } => Ingested::BlocksWanted { request, from, count },
            Message::Blocks { request, blocks } => decode_blocks(peer, request, &blocks),
            Message::Question { request, content } => match Question::decode(&content) {
                Ok(question) => Ingested::Question { request, question },
                Err(reason) => Ingested::Abuse(format!("a question that is none: {reason}")),
            },
            Message::Answer { request, content } => Ingested::Answer { request, content },
            Message::PartyRequest { request, body } => Ingested::PartyRequest { request, body },
            Message::PartyAnswer { request, body } => Ingested::PartyAnswer { request, body },
            Message::Transactions(raws) => Ingested::Transactions(raws),
            Message::TransactionHashes(hashes) => Ingested::Announced(hashes),
            Message::GetTransactions(hashes) => Ingested::Wanted(hashes),
        }
    }

    fn consensus(
        &mut self,
        mono_ms: u64,
        from: NodeId,
        bytes: Bytes,
        relay_to: Vec<Address>,
        validators: &[Address],
    ) -> Ingested {
        if !self.first_time(mono_ms, keccak256(&bytes)) && relay_to.is_empty() {
            return Ingested::Duplicate;
        }
        let message = match ConsensusMessage::decode(&bytes, &self.limits) {
            Ok(message) => message,
            Err(error) => return Ingested::Abuse(format!("malformed consensus message: {error}")),
        };
        if justification_length(&message) > validators.len().saturating_add(MORE_VALIDATORS) {
            return Ingested::Stranger;
        }
        match message.verify_admitted(|author| validators.binary_search(author).is_ok()) {
            Ok(message) => {
                Ingested::Event(Event::Consensus { from, message: Box::new(message), bytes, relay_to })
            }
            Err(MessageError::NotAdmitted(_)) => Ingested::Stranger,
            Err(error) => Ingested::Abuse(format!("consensus message with a bad signature: {error}")),
        }
    }

    fn first_time(&mut self, mono_ms: u64, hash: B256) -> bool {
        let age_ms = mono_ms.saturating_sub(self.turned_at_ms);
        if age_ms >= self.seen_for_ms || self.young.len() >= SEEN_MAX {
            self.old = std::mem::take(&mut self.young);
            self.turned_at_ms = mono_ms;
        }
        // Nothing came meanwhile, and the clock of the generations stood still.
        if age_ms >= self.seen_for_ms.saturating_mul(2) {
            self.old.clear();
        }
        !self.old.contains(&hash) && self.young.insert(hash)
    }
}

/// Entries of its longest list of signed parts.
fn justification_length(message: &ConsensusMessage) -> usize {
    match message {
        ConsensusMessage::Proposal(message) => message.round_changes.len().max(message.prepares.len()),
        ConsensusMessage::RoundChange(message) => message.prepares.len(),
        ConsensusMessage::Prepare(_) | ConsensusMessage::Commit(_) => 0,
    }
}

fn decode_blocks(peer: NodeId, request: u64, raws: &[Bytes]) -> Ingested {
    let decoded: Result<Vec<Block>, _> = raws.iter().map(alloy_rlp::decode_exact).collect();
    match decoded {
        Ok(blocks) => Ingested::Event(Event::Blocks { peer, request, blocks }),
        Err(error) => Ingested::Abuse(format!("a block that does not decode: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lonja_consensus::message::{Prepare, RoundChange, Verified, VerifiedMessage, VerifiedRoundChange};
    use lonja_primitives::genesis::NewNetwork;
    use lonja_primitives::{Genesis, NodeKey, Signer};

    fn key(n: u8) -> NodeKey {
        let mut bytes = [0u8; 32];
        bytes[31] = n;
        NodeKey::from_bytes(&bytes).unwrap()
    }

    fn ingest() -> Ingest {
        ingest_with(3_000)
    }

    /// Takes a message in where key 1 is the only validator.
    fn take(ingest: &mut Ingest, mono_ms: u64, message: Message) -> Ingested {
        ingest.take(mono_ms, key(2).node_id(), message, &[key(1).address()])
    }

    fn prepare() -> Bytes {
        let payload = Prepare { sequence: 1, round: 0, digest: B256::repeat_byte(7) };
        VerifiedMessage::Prepare(Verified::sign(payload, &key(1))).encode()
    }

    fn ingest_with(request_timeout_ms: u64) -> Ingest {
        let network = NewNetwork {
            validators: vec![key(1).address()],
            request_timeout_ms: Some(request_timeout_ms),
            ..NewNetwork::default()
        };
        Ingest::new(&Genesis::from_json(&network.to_json()).unwrap().spec)
    }

    fn round_change(author: u8, prepares: Vec<Verified<Prepare>>) -> Message {
        let payload = RoundChange { sequence: 1, round: 1, prepared: None };
        let message = VerifiedRoundChange::sign(payload, None, prepares, &key(author));
        Message::Consensus(VerifiedMessage::RoundChange(Box::new(message)).encode())
    }

    #[test]
    fn only_validators_are_worth_the_parts_of_a_message() {
        let mut ingest = ingest();
        let payload = Prepare { sequence: 1, round: 0, digest: B256::repeat_byte(7) };
        let parts = |count: usize| vec![Verified::sign(payload, &key(3)); count];
        let most = 1 + MORE_VALIDATORS;
        assert!(matches!(take(&mut ingest, 0, round_change(1, parts(most))), Ingested::Event(_)));
        assert!(matches!(take(&mut ingest, 0, round_change(1, parts(most + 1))), Ingested::Stranger));
        assert!(matches!(take(&mut ingest, 0, round_change(3, parts(1))), Ingested::Stranger));
        let many = round_change(1, parts(MAX_RELAY_RECEIVERS + 1));
        assert!(matches!(take(&mut ingest, 0, many), Ingested::Abuse(_)));
    }

    /// Whatever else comes between the two, and whenever.
    #[test]
    fn a_copy_is_recognised_and_a_resend_after_half_a_timeout_is_not_lost() {
        let other = |round| {
            let payload = Prepare { sequence: 1, round, digest: B256::repeat_byte(7) };
            Message::Consensus(VerifiedMessage::Prepare(Verified::sign(payload, &key(1))).encode())
        };
        for timeout_ms in [40, 500, 1_000, 3_000, 60_000] {
            for between in (0..20).map(|part| timeout_ms * part / 40) {
                let mut ingest = ingest_with(timeout_ms);
                take(&mut ingest, 1_000, other(1));
                let vote = || Message::Consensus(prepare());
                assert!(matches!(take(&mut ingest, 1_001, vote()), Ingested::Event(_)));
                assert!(matches!(take(&mut ingest, 1_002, vote()), Ingested::Duplicate));
                take(&mut ingest, 1_002 + between, other(2));
                let again = take(&mut ingest, 1_001 + timeout_ms / 2, vote());
                assert!(matches!(again, Ingested::Event(_)), "{timeout_ms} ms, another after {between} ms");
            }
        }
    }

    #[test]
    fn a_broken_copy_does_not_hide_the_good_message() {
        let mut ingest = ingest();
        let good = prepare();
        let mut broken = good.to_vec();
        *broken.last_mut().unwrap() = 9;
        assert!(matches!(take(&mut ingest, 0, Message::Consensus(broken.into())), Ingested::Abuse(_)));
        assert!(matches!(take(&mut ingest, 0, Message::Consensus(good)), Ingested::Event(_)));
    }

    #[test]
    fn a_request_to_relay_is_handled_though_the_message_is_known() {
        let mut ingest = ingest();
        assert!(matches!(take(&mut ingest, 0, Message::Consensus(prepare())), Ingested::Event(_)));
        let relay = Message::Relay { to: vec![key(3).address()], message: prepare() };
        let Ingested::Event(Event::Consensus { relay_to, .. }) = take(&mut ingest, 1, relay) else {
            panic!()
        };
        assert_eq!(relay_to, [key(3).address()]);
    }

    #[test]
    fn nonsense_is_abuse() {
        let mut ingest = ingest();
        for bytes in [vec![0x13], vec![0xff, 1, 2], vec![0x12, 0xc0]] {
            assert!(matches!(take(&mut ingest, 0, Message::Consensus(bytes.into())), Ingested::Abuse(_)));
        }
        let blocks = Message::Blocks { request: 1, blocks: vec![Bytes::from_static(&[0xc1, 0x80])] };
        assert!(matches!(take(&mut ingest, 0, blocks), Ingested::Abuse(_)));
    }
}
