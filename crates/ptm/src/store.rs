//! What a manager keeps: envelopes, payloads not yet sent, what was erased, and who is where.
//!
//! Reads go to the store at once, beside writes, without a lock. Writes go through one thread, which takes all that wait,
//! makes them durable together and then answers each: whatever was acknowledged survives a power cut, and many senders
//! share one sync of the disk.

mod changes;
mod rows;
#[cfg(test)]
mod tests;
mod writer;

use crate::surroundings::{Machine, Surroundings};
use crate::{EncodedPayload, PayloadHash, PrivacyGroup, PtmError, PublicKey, RawTransaction};
use alloy_primitives::{B256, Bytes};
pub(crate) use changes::{Keep, Kept, Other};
use lonja_storage::{Batch, Kv, StoreError, Table};
pub(crate) use rows::EnvelopeRow;
use std::sync::Arc;
use tokio::sync::watch;
pub(crate) use writer::Row;
use writer::{Writer, WriterParts};

/// Version of the rows; stored under [`META_FORMAT`] and checked when a store is opened.
const FORMAT_VERSION: u32 = 1;

/// Names of facts about the store.
const META_FORMAT: &[u8] = b"format";
const META_GENESIS: &[u8] = b"genesis";
const META_SEQUENCE: &[u8] = b"sequence";
const META_ARRIVALS: &[u8] = b"arrivals";

/// Groups that one manager keeps: they are listed whole.
pub(crate) const MAX_GROUPS: usize = 10_000;

/// The store of payloads of one manager.
pub(crate) struct PayloadStore {
    kv: Arc<dyn Kv>,
    writer: Writer,
    newest: watch::Sender<u64>,
}

/// Bytes of envelopes that are held at once to be compared: contracts that one transaction calls have a few kilobytes each.
const MAX_TOGETHER_BYTES: usize = 64 << 20;

/// Milliseconds since 1970, by the clock of this machine.
pub(crate) fn now_ms() -> u64 {
    Machine.unix_ms()
}

/// A store that cannot be used now, and one that cannot be right, in the words of the manager.
pub(crate) fn store_error(error: StoreError) -> PtmError {
    match error {
        StoreError::Damaged(what) => PtmError::Store(format!("the data is damaged: {what}")),
        other => PtmError::Unavailable(format!("the payload store: {other}")),
    }
}

pub(crate) fn damaged(what: impl std::fmt::Display) -> PtmError {
    PtmError::Store(format!("the data is damaged: {what}"))
}

impl PayloadStore {
    /// Takes over a store, which is empty or of this network and format.
    pub(crate) fn open(kv: Arc<dyn Kv>, genesis: B256) -> Result<Self, PtmError> {
        identify(&*kv, genesis)?;
        let sequence = number(&*kv, META_SEQUENCE)?;
        let newest = watch::Sender::new(sequence);
        let writer = Writer::start(WriterParts { kv: kv.clone(), sequence, newest: newest.clone() });
        Ok(Self { kv, writer, newest })
    }

    /// Why nothing is written any more, where that is so.
    pub(crate) fn halted(&self) -> Option<&str> {
        self.writer.halted()
    }

    /// Told of the newest sequence number as it becomes durable.
    pub(crate) fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, PtmError> {
        if let Some(reason) = self.halted() {
            // What was written and not made durable might be gone after a restart: nobody may build upon it.
            return Err(PtmError::Unavailable(reason.to_owned()));
        }
        self.kv.get(table, key).map_err(store_error)
    }

    /// An envelope with what is known of it.
    pub(crate) fn envelope(&self, hash: &PayloadHash) -> Result<Option<EnvelopeRow>, PtmError> {
        let row = self.get(Table::Envelopes, hash.as_slice())?;
        row.map(|row| EnvelopeRow::decode(hash, row)).transpose()
    }

    /// Whether there is an envelope.
    pub(crate) fn has(&self, hash: &PayloadHash) -> Result<bool, PtmError> {
        Ok(self.get(Table::Envelopes, hash.as_slice())?.is_some())
    }

    /// A payload that was stored before it is sent.
    pub(crate) fn raw(&self, hash: &PayloadHash) -> Result<Option<RawTransaction>, PtmError> {
        let row = self.get(Table::RawPayloads, hash.as_slice())?;
        row.map(|row| rows::decode_raw(hash, row)).transpose()
    }

    /// The record that a payload was erased, as it was stored.
    pub(crate) fn tombstone(&self, hash: &PayloadHash) -> Result<Option<Bytes>, PtmError> {
        Ok(self.get(Table::Tombstones, hash.as_slice())?.map(Bytes::from))
    }

    /// A fact about the store.
    pub(crate) fn meta(&self, name: &[u8]) -> Result<Option<Vec<u8>>, PtmError> {
        self.get(Table::PtmMeta, name)
    }

    /// Every row of a table whose key begins with `prefix`, `limit` at most, from `from` on.
    pub(crate) fn rows(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, PtmError> {
        if let Some(reason) = self.halted() {
            return Err(PtmError::Unavailable(reason.to_owned()));
        }
        let mut found = Vec::new();
        let mut visit = |key: &[u8], value: &[u8]| {
            let wanted = key.starts_with(prefix) && found.len() < limit;
            if wanted {
                found.push((key.to_vec(), value.to_vec()));
            }
            wanted
        };
        self.kv.scan(table, from, &mut visit).map_err(store_error)?;
        Ok(found)
    }

    /// Names of envelopes that a key sent or received, after a sequence number, with their own, in order.
    pub(crate) fn index(
        &self,
        key: &PublicKey,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, PayloadHash)>, PtmError> {
        let Some(from) = after.checked_add(1) else { return Ok(Vec::new()) };
        let rows = self.rows(Table::EnvelopesByKey, &key.0, &rows::index_key(key, from), limit)?;
        rows.iter().map(|(key, value)| rows::decode_index(key, value)).collect()
    }

    /// What arrived or was erased after a sequence number, in order.
    pub(crate) fn arrived_after(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, crate::Arrival)>, PtmError> {
        let Some(from) = after.checked_add(1) else { return Ok(Vec::new()) };
        let nobody = rows::EVERYBODY;
        let rows = self.rows(Table::EnvelopesByKey, &nobody.0, &rows::index_key(&nobody, from), limit)?;
        rows.iter().map(|(key, value)| rows::decode_arrival(key, value)).collect()
    }

    /// Up to where arrivals were dealt with.
    pub(crate) fn arrivals_done(&self) -> Result<u64, PtmError> {
        self.get(Table::PtmMeta, META_ARRIVALS).and_then(as_number)
    }

    /// A privacy group.
    pub(crate) fn group(&self, id: &[u8]) -> Result<Option<PrivacyGroup>, PtmError> {
        self.get(Table::Groups, id)?.map(decode_group).transpose()
    }

    /// All privacy groups.
    pub(crate) fn groups(&self) -> Result<Vec<PrivacyGroup>, PtmError> {
        let rows = self.rows(Table::Groups, &[], &[], MAX_GROUPS)?;
        rows.into_iter().map(|(_, row)| decode_group(row)).collect()
    }

    /// Removes the bytes of what was deleted from the files. Takes as long as copying the store.
    pub(crate) fn scrub(&self) -> Result<(), PtmError> {
        self.kv.scrub().map_err(store_error)
    }

    /// How many rows of a table begin with a prefix; `limit` at most.
    pub(crate) fn count(&self, table: Table, prefix: &[u8], limit: usize) -> Result<usize, PtmError> {
        if let Some(reason) = self.halted() {
            return Err(PtmError::Unavailable(reason.to_owned()));
        }
        let mut count = 0usize;
        let mut visit = |key: &[u8], _: &[u8]| {
            let counted = key.starts_with(prefix) && count < limit;
            count = count.saturating_add(usize::from(counted));
            counted
        };
        self.kv.scan(table, prefix, &mut visit).map_err(store_error)?;
        Ok(count)
    }

    /// Those envelopes of these names that are stored.
    ///
    /// # Errors
    /// [`PtmError::TooLarge`] where they are [too much](MAX_TOGETHER_BYTES) to be looked at together.
    pub(crate) fn envelopes<'a>(
        &self,
        hashes: impl IntoIterator<Item = &'a PayloadHash>,
    ) -> Result<Vec<(PayloadHash, EncodedPayload)>, PtmError> {
        let (mut found, mut size) = (Vec::new(), 0usize);
        for hash in hashes {
            if let Some(row) = self.envelope(hash)? {
                size = size.saturating_add(row.envelope.cipher_text.len());
                if size > MAX_TOGETHER_BYTES {
                    let (what, limit) = ("bytes of affected transactions", MAX_TOGETHER_BYTES);
                    return Err(PtmError::TooLarge { what, size, limit });
                }
                found.push((*hash, row.envelope));
            }
        }
        Ok(found)
    }
}

fn decode_group(row: Vec<u8>) -> Result<PrivacyGroup, PtmError> {
    PrivacyGroup::decode(&row.into()).map_err(|error| damaged(format!("a privacy group: {error}")))
}

fn as_number(row: Option<Vec<u8>>) -> Result<u64, PtmError> {
    let Some(row) = row else { return Ok(0) };
    let bytes = row.as_slice().try_into().map_err(|_| damaged("a number has not 8 bytes"))?;
    Ok(u64::from_be_bytes(bytes))
}

fn number(kv: &dyn Kv, name: &[u8]) -> Result<u64, PtmError> {
    as_number(kv.get(Table::PtmMeta, name).map_err(store_error)?)
}

/// Refuses a store of another network or format, and says in an empty one what it is of.
fn identify(kv: &dyn Kv, genesis: B256) -> Result<(), PtmError> {
    let read = |name: &[u8]| kv.get(Table::PtmMeta, name).map_err(store_error);
    match read(META_FORMAT)? {
        None => {
            let mut batch = Batch::default();
            batch.put(Table::PtmMeta, META_FORMAT, FORMAT_VERSION.to_be_bytes());
            batch.put(Table::PtmMeta, META_GENESIS, genesis.as_slice());
            kv.write(batch).and_then(|()| kv.sync()).map_err(store_error)
        }
        Some(version) if version != FORMAT_VERSION.to_be_bytes() => {
            let version = alloy_primitives::hex::encode_prefixed(version);
            Err(PtmError::Store(format!(
                "it has format {version}, this program reads {FORMAT_VERSION}. Use the program version that wrote it"
            )))
        }
        Some(_) => match read(META_GENESIS)? {
            Some(found) if found == genesis.as_slice() => Ok(()),
            found => {
                let found = alloy_primitives::hex::encode_prefixed(found.unwrap_or_default());
                Err(PtmError::Store(format!(
                    "it holds the payloads of the network of genesis {found}, and this is {genesis}. Use another data directory"
                )))
            }
        },
    }
}
