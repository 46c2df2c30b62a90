//! Supervision: parties that have to take part, and the record that reading leaves.
//!
//! The network may require that a supervisor's key is a party of what a member sends: that is looked up before each send
//! ([`NetworkRules`](super::NetworkRules)).
//! A manager that holds a supervisor's key records each reading of a payload in which it takes part as a supervisor only:
//! the record is durable before the payload is given out, signed, and chained to the one before, so that none can be left
//! out or changed afterwards without notice.

use super::Core;
use crate::store::{Row, damaged, now_ms};
use crate::{Lookup, Metadata, PayloadHash, PrivatePayload, PtmError, PublicKey};
use alloy_primitives::{B256, B512, FixedBytes, keccak256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use lonja_primitives::{NodeId, Signature};
use lonja_storage::Table;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Readings of one payload within this time leave one record: an execution that waits asks again and again.
const QUIET: Duration = Duration::from_secs(60);

/// Payloads whose last reading is remembered for that.
const MAX_QUIET: usize = 4_096;

/// Number (8 bytes) and hash of the newest record, in the table of facts.
const NEWEST: &[u8] = b"readings";

/// One reading of a payload by a supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Counts from 1 without gaps.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// The payload.
    pub hash: PayloadHash,
    /// The supervisor's key.
    pub key: PublicKey,
    /// Hash of the record before; zero for the first.
    pub previous: B256,
    /// The node that read.
    pub node: NodeId,
    /// Its signature.
    pub signature: Signature,
}

#[derive(RlpEncodable, RlpDecodable)]
struct ReadingRow {
    number: u64,
    time_ms: u64,
    hash: B512,
    key: B256,
    previous: B256,
    node: B512,
    signature: FixedBytes<65>,
}

#[derive(RlpEncodable)]
struct ReadingClaim<'a> {
    domain: &'a [u8],
    genesis: B256,
    number: u64,
    time_ms: u64,
    hash: B512,
    key: B256,
    previous: B256,
    node: B512,
}

/// Payloads whose readings were recorded a moment ago.
#[derive(Default)]
pub(super) struct Quiet(Mutex<HashMap<PayloadHash, Instant>>);

impl Reading {
    fn digest(&self, genesis: B256) -> B256 {
        let Self { number, time_ms, hash, key, previous, node, .. } = self;
        keccak256(alloy_rlp::encode(ReadingClaim {
            domain: b"lonja ptm reading 1",
            genesis,
            number: *number,
            time_ms: *time_ms,
            hash: hash.0,
            key: B256::from(key.0),
            previous: *previous,
            node: node.0,
        }))
    }

    /// What the next record says of this one.
    pub fn record_hash(&self) -> B256 {
        keccak256(alloy_rlp::encode(self))
    }

    /// Whether its node signed it, in this network.
    pub fn is_signed(&self, genesis: B256) -> bool {
        self.signature.recover(self.digest(genesis)).is_ok_and(|signer| signer == self.node.address())
    }

    /// Whether it is the record right after another one.
    pub fn follows(&self, previous: &Self) -> bool {
        previous.number.checked_add(1) == Some(self.number) && self.previous == previous.record_hash()
    }
}

impl Encodable for Reading {
    fn encode(&self, out: &mut dyn alloy_rlp::BufMut) {
        ReadingRow::from(self).encode(out);
    }

    fn length(&self) -> usize {
        ReadingRow::from(self).length()
    }
}

impl From<&Reading> for ReadingRow {
    fn from(reading: &Reading) -> Self {
        Self {
            number: reading.number,
            time_ms: reading.time_ms,
            hash: reading.hash.0,
            key: B256::from(reading.key.0),
            previous: reading.previous,
            node: reading.node.0,
            signature: FixedBytes(reading.signature.0),
        }
    }
}

impl Decodable for Reading {
    fn decode(bytes: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let row = ReadingRow::decode(bytes)?;
        Ok(Self {
            number: row.number,
            time_ms: row.time_ms,
            hash: PayloadHash(row.hash),
            key: PublicKey(row.key.0),
            previous: row.previous,
            node: NodeId(row.node),
            signature: Signature(row.signature.0),
        })
    }
}

impl Quiet {
    /// Whether a reading of this payload is to be recorded now.
    fn is_due(&self, hash: &PayloadHash, now: Instant) -> bool {
        let recorded = self.0.lock().get(hash).copied();
        recorded.is_none_or(|at| now.saturating_duration_since(at) > QUIET)
    }

    fn note(&self, hash: PayloadHash, now: Instant) {
        let mut recorded = self.0.lock();
        if recorded.len() >= MAX_QUIET {
            recorded.retain(|_, at| now.saturating_duration_since(*at) <= QUIET);
        }
        if recorded.len() < MAX_QUIET {
            recorded.insert(hash, now);
        }
    }
}

/// The newest record's number and hash, as they stand in the table of facts.
fn newest(row: Option<Vec<u8>>) -> Result<(u64, B256), PtmError> {
    let Some(row) = row else { return Ok((0, B256::ZERO)) };
    let wrong = || damaged("the number of the newest reading");
    let (number, hash) = row.split_first_chunk::<8>().ok_or_else(wrong)?;
    Ok((u64::from_be_bytes(*number), B256::try_from(hash).map_err(|_| wrong())?))
}

impl Core {
    /// Adds those who have to be parties to the recipients, or says why nothing may be sent.
    pub(super) fn with_required(
        &self,
        sender: &PublicKey,
        mut recipients: Vec<PublicKey>,
        metadata: &Metadata,
    ) -> Result<Vec<PublicKey>, PtmError> {
        let Some(rules) = self.rules.get() else { return Ok(recipients) };
        let closed =
            |reason| PtmError::Violation(format!("who supervises {sender} cannot be found out: {reason}"));
        // Which account signs is not known here: who knows has asked before.
        for key in rules.required(None).map_err(closed)? {
            if recipients.contains(&key) {
                continue;
            }
            let in_group = metadata.group.as_ref().is_some_and(|group| !group.is_empty());
            if in_group || !self.settings.add_required {
                let why =
                    if in_group { "is not in the privacy group" } else { "is not among the recipients" };
                return Err(PtmError::Violation(format!(
                    "the network requires that {key} is a party of what {sender} sends, and it {why}"
                )));
            }
            tracing::debug!(%key, %sender, "a party that the network requires was added");
            recipients.push(key);
        }
        Ok(recipients)
    }

    /// The supervisor's key, where all of our parties in this payload are supervisors.
    fn supervisor(&self, payload: &PrivatePayload) -> Option<PublicKey> {
        let rules = self.rules.get()?;
        // A record too many does no harm.
        let supervises = |key: &PublicKey| rules.is_supervisor(key).unwrap_or(true);
        let only = !self.keyring.manages(&payload.sender) && payload.managed_parties.iter().all(supervises);
        payload.managed_parties.first().filter(|_| only).copied()
    }

    /// Records a reading, where one is to be recorded.
    pub(super) async fn recorded(
        &self,
        hash: PayloadHash,
        payload: PrivatePayload,
    ) -> Result<PrivatePayload, PtmError> {
        let now = Instant::now();
        if let Some(key) = self.supervisor(&payload).filter(|_| self.quiet.is_due(&hash, now)) {
            self.append(hash, key).await?;
            self.quiet.note(hash, now);
        }
        Ok(payload)
    }

    pub(super) async fn lookup_recorded(&self, hash: PayloadHash) -> Lookup {
        match self.lookup(hash) {
            Lookup::Found(payload) => match self.recorded(hash, payload).await {
                Ok(payload) => Lookup::Found(payload),
                Err(error) => Lookup::Unavailable(format!("the reading could not be recorded: {error}")),
            },
            lookup => lookup,
        }
    }

    async fn append(&self, hash: PayloadHash, key: PublicKey) -> Result<(), PtmError> {
        let (node, signer, genesis) = (self.node, self.signer.clone(), self.settings.genesis);
        let append = self.store.change(move |pending| {
            let (number, previous) = newest(pending.get(Table::PtmMeta, NEWEST)?)?;
            let (number, time_ms, signature) = (number.saturating_add(1), now_ms(), Signature([0; 65]));
            let mut reading = Reading { number, time_ms, hash, key, previous, node, signature };
            reading.signature = signer.sign(reading.digest(genesis));
            let fact = [&number.to_be_bytes()[..], reading.record_hash().as_slice()].concat();
            let rows: Vec<Row> = vec![
                (Table::Readings, number.to_be_bytes().to_vec(), Some(alloy_rlp::encode(&reading))),
                (Table::PtmMeta, NEWEST.to_vec(), Some(fact)),
            ];
            Ok((rows, ()))
        });
        append.await
    }

    pub(super) fn readings(&self, since: u64, limit: usize) -> Result<Vec<Reading>, PtmError> {
        let rows = self.store.rows(Table::Readings, &[], &since.to_be_bytes(), limit)?;
        let read = |(_, row): (Vec<u8>, Vec<u8>)| {
            alloy_rlp::decode_exact(row).map_err(|_| damaged("a record of a reading does not read"))
        };
        rows.into_iter().map(read).collect()
    }
}
