//! The door for messages of peers: bytes become events here, outside the loop, with every signature checked.

use crate::event::Event;
use alloy_primitives::{Address, B256, Bytes, keccak256};
use lonja_consensus::message::{ConsensusMessage, MessageLimits, VerifiedMessage};
use lonja_p2p::wire::{MAX_RELAY_RECEIVERS, Message};
use lonja_primitives::{Block, ChainSpec, NodeId};
use std::collections::HashSet;

/// How long a copy of a consensus message is recognised, milliseconds. Copies arrive within a round trip; an
/// honest re-send (after a restart, or because an answer never came) is always later than this.
const SEEN_FOR_MS: u64 = 500;

/// Messages remembered per generation. More than a busy network of a hundred validators sends in that time.
const SEEN_MAX: usize = 8_192;

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
    /// Transactions for the pool's door.
    Transactions(Vec<Bytes>),
    /// A peer has these transactions.
    Announced(Vec<B256>),
    /// A peer asks for these transactions.
    Wanted(Vec<B256>),
    /// A copy of what was handled a moment ago.
    Duplicate,
    /// No honest peer sends this.
    Abuse(String),
}

/// Decodes and verifies. Holds nothing but a short memory of copies.
pub struct Ingest {
    limits: MessageLimits,
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
        Self { limits, young: HashSet::new(), old: HashSet::new(), turned_at_ms: 0 }
    }

    /// Handles one message of a peer.
    pub fn take(&mut self, mono_ms: u64, peer: NodeId, message: Message) -> Ingested {
        match message {
            Message::Consensus(bytes) => self.consensus(mono_ms, peer, bytes, Vec::new()),
            Message::Relay { to, message } => self.consensus(mono_ms, peer, message, to),
            Message::NewHead { number, hash } => Ingested::Event(Event::PeerHead { peer, number, hash }),
            Message::GetBlocks { request, from, count } => Ingested::BlocksWanted { request, from, count },
            Message::Blocks { request, blocks } => decode_blocks(peer, request, &blocks),
            Message::Transactions(raws) => Ingested::Transactions(raws),
            Message::TransactionHashes(hashes) => Ingested::Announced(hashes),
            Message::GetTransactions(hashes) => Ingested::Wanted(hashes),
        }
    }

    fn consensus(&mut self, mono_ms: u64, from: NodeId, bytes: Bytes, relay_to: Vec<Address>) -> Ingested {
        if !self.first_time(mono_ms, keccak256(&bytes)) && relay_to.is_empty() {
            return Ingested::Duplicate;
        }
        match verify(&bytes, &self.limits) {
            Ok(message) => {
                Ingested::Event(Event::Consensus { from, message: Box::new(message), bytes, relay_to })
            }
            Err(reason) => Ingested::Abuse(reason),
        }
    }

    fn first_time(&mut self, mono_ms: u64, hash: B256) -> bool {
        if mono_ms.saturating_sub(self.turned_at_ms) >= SEEN_FOR_MS || self.young.len() >= SEEN_MAX {
            self.old = std::mem::take(&mut self.young);
            self.turned_at_ms = mono_ms;
        }
        !self.old.contains(&hash) && self.young.insert(hash)
    }
}

fn verify(bytes: &[u8], limits: &MessageLimits) -> Result<VerifiedMessage, String> {
    let message =
        ConsensusMessage::decode(bytes, limits).map_err(|e| format!("malformed consensus message: {e}"))?;
    message.verify().map_err(|e| format!("consensus message with a bad signature: {e}"))
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
    use lonja_consensus::message::{Prepare, Verified};
    use lonja_primitives::genesis::NewNetwork;
    use lonja_primitives::{Genesis, NodeKey, Signer};

    fn key(n: u8) -> NodeKey {
        let mut bytes = [0u8; 32];
        bytes[31] = n;
        NodeKey::from_bytes(&bytes).unwrap()
    }

    fn ingest() -> Ingest {
        let network = NewNetwork { validators: vec![key(1).address()], ..NewNetwork::default() };
        Ingest::new(&Genesis::from_json(&network.to_json()).unwrap().spec)
    }

    fn prepare() -> Bytes {
        let payload = Prepare { sequence: 1, round: 0, digest: B256::repeat_byte(7) };
        VerifiedMessage::Prepare(Verified::sign(payload, &key(1))).encode()
    }

    #[test]
    fn a_copy_is_recognised_for_a_while_and_a_resend_is_not_lost() {
        let mut ingest = ingest();
        let mut take = |at| ingest.take(at, key(2).node_id(), Message::Consensus(prepare()));
        assert!(matches!(take(0), Ingested::Event(Event::Consensus { .. })));
        assert!(matches!(take(10), Ingested::Duplicate));
        assert!(matches!(take(2 * SEEN_FOR_MS + 10), Ingested::Event(_) | Ingested::Duplicate));
        assert!(matches!(take(4 * SEEN_FOR_MS), Ingested::Event(Event::Consensus { .. })));
    }

    #[test]
    fn a_broken_copy_does_not_hide_the_good_message() {
        let mut ingest = ingest();
        let good = prepare();
        let mut broken = good.to_vec();
        *broken.last_mut().unwrap() = 9;
        let peer = key(2).node_id();
        assert!(matches!(ingest.take(0, peer, Message::Consensus(broken.into())), Ingested::Abuse(_)));
        assert!(matches!(ingest.take(0, peer, Message::Consensus(good)), Ingested::Event(_)));
    }

    #[test]
    fn a_request_to_relay_is_handled_though_the_message_is_known() {
        let mut ingest = ingest();
        let peer = key(2).node_id();
        assert!(matches!(ingest.take(0, peer, Message::Consensus(prepare())), Ingested::Event(_)));
        let relay = Message::Relay { to: vec![key(3).address()], message: prepare() };
        let Ingested::Event(Event::Consensus { relay_to, .. }) = ingest.take(1, peer, relay) else {
            panic!()
        };
        assert_eq!(relay_to, [key(3).address()]);
    }

    #[test]
    fn nonsense_is_abuse() {
        let mut ingest = ingest();
        let peer = key(2).node_id();
        for bytes in [vec![0x13], vec![0xff, 1, 2], vec![0x12, 0xc0]] {
            assert!(matches!(ingest.take(0, peer, Message::Consensus(bytes.into())), Ingested::Abuse(_)));
        }
        let blocks = Message::Blocks { request: 1, blocks: vec![Bytes::from_static(&[0xc1, 0x80])] };
        assert!(matches!(ingest.take(0, peer, blocks), Ingested::Abuse(_)));
    }
}
