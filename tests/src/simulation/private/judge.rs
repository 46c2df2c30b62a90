//! The judge of private matters: it knows every secret that was planted, and for whom.
//!
//! Each payload has 16 bytes in it that stand nowhere else. The judge looks for them in every message that leaves and, in
//! the end, in every store; and it opens, with everybody's keys, every envelope on its way.

use super::deals::Deal;
use crate::simulation::report::{Outcome, Violation};
use crate::simulation::world::World;
use alloy_primitives::Bytes;
use lonja_p2p::wire::{Message, encode};
use lonja_ptm::wire::{Answer, Request};
use lonja_ptm::{Codec, EncodedPayload, KeyPair, Keyring, PayloadHash};
use lonja_storage::{KvRead, MemoryKv, Table};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a secret.
pub const SECRET_BYTES: usize = 16;

/// What stands in a payload and nowhere else.
pub type Secret = [u8; SECRET_BYTES];

/// What the judge knows.
#[derive(Default)]
pub struct Judge {
    /// Everybody's keys.
    ring: Option<Keyring>,
    /// Who may have what.
    secrets: BTreeMap<Secret, BTreeSet<usize>>,
    /// Whose payload an envelope has, as far as one was seen.
    known: BTreeMap<PayloadHash, BTreeSet<usize>>,
    /// Envelopes that were seen on their way.
    pub envelopes: u64,
}

/// Every secret begins with this, so that looking for hundreds of them costs no more than looking for this.
const MARK: [u8; 2] = [0xa7, 0x5e];

/// Makes bytes a secret.
pub(super) fn marked(mut bytes: Secret) -> Secret {
    [bytes[0], bytes[1]] = MARK;
    bytes
}

/// Whether bytes stand in others.
fn stands_in(needle: &[u8], bytes: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

impl Judge {
    /// For these parties' keys.
    pub(super) fn new(secrets: impl Iterator<Item = [u8; 32]>) -> Self {
        let pairs: Vec<KeyPair> = secrets.map(|secret| KeyPair::from_secret(&secret)).collect();
        Self { ring: Keyring::new(pairs).ok(), ..Self::default() }
    }

    /// A secret is planted, for these nodes alone.
    pub(super) fn plant(&mut self, secret: Secret, parties: BTreeSet<usize>) {
        self.secrets.insert(secret, parties);
    }

    /// The planted secrets that stand in these bytes.
    fn found_in(&self, bytes: &[u8]) -> BTreeSet<Secret> {
        let windows = bytes.windows(SECRET_BYTES).filter(|window| window.starts_with(&MARK));
        let secrets = windows.filter_map(|window| Secret::try_from(window).ok());
        secrets.filter(|secret| self.secrets.contains_key(secret)).collect()
    }

    /// A secret that stands in a text: in hex, or as a list of numbers.
    pub fn found_in_text(&self, text: &str) -> Option<Secret> {
        let list = |secret: &Secret| {
            let numbers = format!("{secret:?}");
            numbers.trim_matches(['[', ']']).to_owned()
        };
        let stands = |secret: &&Secret| {
            text.contains(&alloy_primitives::hex::encode(secret)) || text.contains(&list(secret))
        };
        self.secrets.keys().find(stands).copied()
    }

    /// A payload of this name was sent, for these nodes alone.
    pub(super) fn know(&mut self, hash: PayloadHash, parties: &BTreeSet<usize>) {
        self.known.insert(hash, parties.clone());
    }

    /// A message leaves for a node.
    pub(super) fn look(&mut self, from: usize, to: usize, message: &Message) -> Outcome {
        let bytes = encode(message).map_err(|error| Violation::new(error.to_string()))?;
        if let Some(secret) = self.found_in(&bytes).first() {
            return Err(Violation(format!(
                "secrecy: node {from} sends {secret:02x?} in clear to node {to}: {}",
                message.kind().label()
            )));
        }
        match message {
            Message::PartyRequest { body, .. } => self.look_into(from, to, carried_by_request(body)),
            Message::PartyAnswer { body, .. } => self.look_into(from, to, carried_by_answer(body)),
            _ => Ok(()),
        }
    }

    fn look_into(&mut self, from: usize, to: usize, envelopes: Vec<Bytes>) -> Outcome {
        for bytes in envelopes {
            let Ok(envelope) = EncodedPayload::decode(Codec::Cbor, &bytes) else { continue };
            self.envelopes += 1;
            let parties = self.parties_of(&envelope)?;
            for node in [from, to] {
                if !parties.contains(&node) {
                    return Err(Violation(format!(
                        "secrecy: node {from} hands an envelope to node {to}, and node {node} is no party to it"
                    )));
                }
            }
        }
        Ok(())
    }

    fn parties_of(&mut self, envelope: &EncodedPayload) -> Outcome<BTreeSet<usize>> {
        let hash = envelope.hash();
        if let Some(parties) = self.known.get(&hash) {
            return Ok(parties.clone());
        }
        let ring = self.ring.as_ref().ok_or_else(|| Violation::new("the judge has no keys"))?;
        let (_, payload) = envelope
            .decrypt(ring)
            .map_err(|error| Violation(format!("an envelope that nobody's key opens: {error}")))?;
        let found = self.found_in(&payload).first().and_then(|secret| self.secrets.get(secret));
        // A marker's payload has the name of the one that it marks.
        let marked = || {
            let named = |hash: &&PayloadHash| {
                let name = alloy_primitives::hex::encode(hash.as_slice());
                stands_in(name.as_bytes(), &payload)
            };
            self.known.keys().find(named).and_then(|hash| self.known.get(hash))
        };
        let parties = found.or_else(marked).cloned();
        let parties = parties.ok_or_else(|| Violation::new("an envelope with a payload of nobody"))?;
        self.known.insert(hash, parties.clone());
        Ok(parties)
    }
}

fn carried_by_request(body: &Bytes) -> Vec<Bytes> {
    match Request::decode(body) {
        Ok(Request::Push { envelope, .. }) => vec![envelope],
        _ => Vec::new(),
    }
}

fn carried_by_answer(body: &Bytes) -> Vec<Bytes> {
    match Answer::decode(body) {
        Ok(Answer::Batch { envelopes, .. }) => envelopes,
        _ => Vec::new(),
    }
}

/// All that stands in a store, each row behind a gap that no secret spans.
fn contents(kv: &MemoryKv) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    for table in Table::ALL {
        let mut add = |key: &[u8], value: &[u8]| {
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(&[0; 2]);
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(&[0; 2]);
            true
        };
        kv.scan(table, &[], &mut add).map_err(|error| Violation::new(error.to_string()))?;
    }
    Ok(bytes)
}

impl World {
    /// A message leaves, in a world with secrets.
    pub(in crate::simulation) fn look_at(&mut self, from: usize, to: usize, message: &Message) -> Outcome {
        match self.plan.dealings.is_some() {
            true => self.deals.judge.look(from, to, message),
            false => Ok(()),
        }
    }

    /// Nobody who is no party has a byte of what was said, and parties have it in their private states alone.
    pub(super) fn expect_secrecy(&mut self) -> Outcome {
        let mut found = 0;
        for node in 0..self.nodes.len() {
            let disk = &self.nodes[node].disk;
            let mut open = contents(&disk.chain)?;
            open.extend(contents(&disk.payloads)?);
            open.extend_from_slice(disk.log.bytes());
            let private = contents(&disk.private)?;
            let judge = &self.deals.judge;
            if let Some(secret) = judge.found_in(&open).first() {
                return self.violation(format!("secrecy: node {node} stores {secret:02x?} in clear"));
            }
            let known = judge.found_in(&private);
            found += known.len() as u64;
            let foreign =
                known.iter().find(|secret| judge.secrets.get(*secret).is_some_and(|of| !of.contains(&node)));
            if let Some(secret) = foreign {
                return self.violation(format!("secrecy: node {node}, no party, has {secret:02x?}"));
            }
            for deal in self.deals.done.iter().filter(|deal| !deal.parties.contains(&node)) {
                self.expect_nothing(node, deal)?;
            }
        }
        self.stats.secrets_found += found;
        self.stats.envelopes += self.deals.judge.envelopes;
        Ok(())
    }

    fn expect_nothing(&self, node: usize, deal: &Deal) -> Outcome {
        for hash in deal.hashes() {
            let row = self.nodes[node].disk.payloads.get(Table::Envelopes, hash.as_slice());
            if row.map_err(|error| Violation::new(error.to_string()))?.is_some() {
                return self.violation(format!("secrecy: node {node} has the envelope {hash}"));
            }
        }
        Ok(())
    }

    /// A send has just succeeded: every recipient would have it after a power cut, or it waits in the sender's store.
    pub(super) fn expect_durable(&self, deal: &Deal, hash: PayloadHash) -> Outcome {
        let kept = |node: usize| {
            let kv = self.nodes[node].disk.payloads.fork();
            kv.crash();
            let row = kv.get(Table::Envelopes, hash.as_slice());
            (row.is_ok_and(|row| row.is_some()), kv.len(Table::Outbox))
        };
        let (own, waiting) = kept(deal.by);
        let missing: Vec<usize> = deal.parties.iter().copied().filter(|node| !kept(*node).0).collect();
        if !own || missing.len() > waiting {
            return self.violation(format!(
                "delivery: {hash} was sent by node {}, and is not durable at nodes {missing:?}",
                deal.by
            ));
        }
        Ok(())
    }
}
