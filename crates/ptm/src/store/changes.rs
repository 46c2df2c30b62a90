//! What is changed in the store, each change whole or not at all.

use super::rows::{self, EnvelopeRow};
use super::writer::{Durable, Pending, Row};
use super::{META_ARRIVALS, PayloadStore, now_ms};
use crate::{Codec, EncodedPayload, PayloadHash, PrivacyGroup, PtmError, RawTransaction};
use lonja_storage::Table;

/// An envelope to keep.
pub(crate) struct Keep {
    /// Its name.
    pub(crate) hash: PayloadHash,
    pub(crate) envelope: EncodedPayload,
    /// Whether it is sent from here.
    pub(crate) sent_here: bool,
    /// What happens where another envelope of its name is here.
    pub(crate) other: Other,
}

/// What happens where another envelope of the same name is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Other {
    /// The new one is refused.
    Refuse,
    /// The new one takes its place.
    Replace,
    /// Where they differ in the affected transactions alone, all of these stand on the envelope from then on.
    Unite,
}

/// What became of an envelope that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It was not here before.
    New,
    /// A copy was here, and has more boxes now.
    Merged,
    /// All of it was here.
    Same,
    /// Another envelope of this name was here, and is not any more.
    Replaced,
}

/// Memory that a small change takes.
const SMALL_BYTES: usize = 512;

impl PayloadStore {
    /// Keeps an envelope. Where a copy of it is here, the boxes come together.
    ///
    /// # Errors
    /// [`PtmError::Erased`] where it was erased here; [`PtmError::Store`] where another envelope of this name is here.
    pub(crate) fn keep(&self, keep: Keep) -> Durable<Kept> {
        let cbor = keep.envelope.encode(Codec::Cbor);
        let bytes = cbor.len().saturating_mul(2).saturating_add(SMALL_BYTES);
        self.writer.submit(bytes, move |pending| keep.apply(cbor, pending))
    }

    /// Keeps a payload that is not sent yet.
    pub(crate) fn keep_raw(&self, hash: PayloadHash, raw: &RawTransaction) -> Durable<()> {
        self.put(Table::RawPayloads, hash.as_slice(), rows::encode_raw(raw, now_ms()))
    }

    /// Removes an envelope as if it had never been here. `false` where it was not. A payload that is not sent yet stays.
    pub(crate) fn delete(&self, hash: PayloadHash) -> Durable<bool> {
        self.writer.submit(SMALL_BYTES, move |pending| {
            let rows = envelope_rows(&hash, pending)?;
            let found = !rows.is_empty();
            Ok((rows, found))
        })
    }

    /// Removes an envelope, a payload of that name that is not sent yet, and `others`, and leaves a tombstone. `false`
    /// where neither was here; the tombstone stands all the same. An older tombstone stays.
    pub(crate) fn erase(&self, hash: PayloadHash, tombstone: Vec<u8>, others: Vec<Row>) -> Durable<bool> {
        self.writer.submit(SMALL_BYTES, move |pending| {
            let mut rows = envelope_rows(&hash, pending)?;
            if pending.get(Table::RawPayloads, hash.as_slice())?.is_some() {
                rows.push((Table::RawPayloads, hash.as_slice().to_vec(), None));
            }
            let found = !rows.is_empty();
            rows.extend(others);
            if pending.get(Table::Tombstones, hash.as_slice())?.is_none() {
                rows.push((Table::Tombstones, hash.as_slice().to_vec(), Some(tombstone)));
                let place = rows::index_key(&rows::EVERYBODY, pending.next_sequence());
                rows.push((Table::EnvelopesByKey, place.to_vec(), Some(rows::erased_value(&hash))));
            }
            Ok((rows, found))
        })
    }

    /// Keeps a privacy group.
    pub(crate) fn keep_group(&self, group: &PrivacyGroup) -> Durable<()> {
        self.put(Table::Groups, &group.id(), group.encode())
    }

    /// Sets one row.
    pub(crate) fn put(&self, table: Table, key: &[u8], value: impl Into<Vec<u8>>) -> Durable<()> {
        self.write(vec![(table, key.to_vec(), Some(value.into()))])
    }

    /// Writes rows together.
    pub(crate) fn write(&self, rows: Vec<Row>) -> Durable<()> {
        let value_bytes = |row: &Row| row.2.as_ref().map_or(0, Vec::len).saturating_add(SMALL_BYTES);
        let bytes = rows.iter().map(value_bytes).fold(0, usize::saturating_add);
        self.writer.submit(bytes, move |_| Ok((rows, ())))
    }

    /// Writes rows that depend on what is there.
    pub(crate) fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Pending<'_>) -> Result<(Vec<Row>, T), PtmError> + Send + 'static,
    ) -> Durable<T> {
        self.writer.submit(SMALL_BYTES, change)
    }

    /// Arrivals were dealt with up to here. Goes on its own.
    pub(crate) fn set_arrivals_done(&self, sequence: u64) {
        drop(self.put(Table::PtmMeta, META_ARRIVALS, sequence.to_be_bytes()));
    }
}

impl Keep {
    fn apply(self, cbor: Vec<u8>, pending: &mut Pending<'_>) -> Result<(Vec<Row>, Kept), PtmError> {
        let hash = self.hash;
        let Some(old) = pending.get(Table::Envelopes, hash.as_slice())? else {
            // A payload that is here was not erased: one batch does both.
            if pending.get(Table::Tombstones, hash.as_slice())?.is_some() {
                return Err(PtmError::Erased(hash));
            }
            let Self { envelope, sent_here, .. } = self;
            let row =
                EnvelopeRow { sequence: pending.next_sequence(), stored_ms: now_ms(), sent_here, envelope };
            return Ok((written(&hash, &row, &cbor), Kept::New));
        };
        let old = EnvelopeRow::decode(&hash, old)?;
        let mut envelope = old.envelope.clone();
        let together = match self.other {
            Other::Unite => envelope.unite(&self.envelope),
            Other::Refuse | Other::Replace => envelope.merge(&self.envelope),
        };
        match (together, self.other) {
            (Ok(()), _) => {}
            (Err(_), Other::Replace) => return Ok((self.instead_of(&old, &cbor, pending), Kept::Replaced)),
            (Err(different), _) => return Err(different.into()),
        }
        let sent_here = old.sent_here || self.sent_here;
        if envelope == old.envelope && sent_here == old.sent_here {
            return Ok((Vec::new(), Kept::Same));
        }
        // A new number: whoever read the index up to the old one meets the new box.
        let mut rows = removed(&old);
        let (sequence, stored_ms) = (pending.next_sequence(), old.stored_ms);
        let row = EnvelopeRow { sequence, stored_ms, sent_here, envelope };
        rows.extend(written(&hash, &row, &row.envelope.encode(Codec::Cbor)));
        Ok((rows, Kept::Merged))
    }
}

impl Keep {
    fn instead_of(self, old: &EnvelopeRow, cbor: &[u8], pending: &mut Pending<'_>) -> Vec<Row> {
        let mut rows = removed(old);
        let (sequence, stored_ms) = (pending.next_sequence(), now_ms());
        let Self { hash, envelope, sent_here, .. } = self;
        rows.extend(written(&hash, &EnvelopeRow { sequence, stored_ms, sent_here, envelope }, cbor));
        rows
    }
}

fn written(hash: &PayloadHash, row: &EnvelopeRow, cbor: &[u8]) -> Vec<Row> {
    let name = hash.as_slice().to_vec();
    let index = row.index_keys().into_iter();
    let mut rows: Vec<Row> =
        index.map(|key| (Table::EnvelopesByKey, key.to_vec(), Some(name.clone()))).collect();
    rows.push((Table::Envelopes, name, Some(row.encode(cbor))));
    rows
}

fn removed(row: &EnvelopeRow) -> Vec<Row> {
    row.index_keys().into_iter().map(|key| (Table::EnvelopesByKey, key.to_vec(), None)).collect()
}

/// What is to be removed with an envelope; empty where it is not here. One that does not read is removed without its
/// places in the index, which are passed over.
fn envelope_rows(hash: &PayloadHash, pending: &Pending<'_>) -> Result<Vec<Row>, PtmError> {
    let Some(row) = pending.get(Table::Envelopes, hash.as_slice())? else { return Ok(Vec::new()) };
    let mut rows = EnvelopeRow::decode(hash, row).map(|row| removed(&row)).unwrap_or_default();
    rows.push((Table::Envelopes, hash.as_slice().to_vec(), None));
    Ok(rows)
}
