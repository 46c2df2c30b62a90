//! The records of the consensus log: what this validator has signed, written down before it is sent.
//!
//! A record is a version byte, the height in eight bytes, and an RLP list of entries. All that one step signs
//! goes into one record, so that one sync covers it.

use super::RestoreError;
use super::safety::Prepared;
use crate::message::{Prepare, Signed};
use alloy_primitives::{B256, Bytes};
use alloy_rlp::{BufMut, Decodable, Encodable, Header as RlpHeader};
use lonja_primitives::Block;

/// First byte of every record. Another value is a log of another program version, which must not be guessed at.
const VERSION: u8 = 1;
/// Version and height.
const HEAD_BYTES: usize = 9;

const PROPOSAL: u8 = 1;
const PREPARE: u8 = 2;
const COMMIT: u8 = 3;
const ROUND_CHANGE: u8 = 4;

/// One thing signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A proposal of this block in this round.
    Proposal { round: u32, digest: B256 },
    /// A PREPARE.
    Prepare { round: u32, digest: B256 },
    /// A COMMIT, with what allows it and must be shown in every later round change.
    Commit(Box<Prepared>),
    /// A ROUND-CHANGE to this round. What it claims follows from the entries before it.
    RoundChange { round: u32 },
}

/// The height a record of the consensus log belongs to; `None` when it is not a record of this version.
///
/// With it the keeper of the log can drop records below the height named by [`super::Output::Forget`].
pub fn record_height(record: &[u8]) -> Option<u64> {
    match record.split_first() {
        Some((&VERSION, rest)) => rest.first_chunk::<8>().map(|height| u64::from_be_bytes(*height)),
        _ => None,
    }
}

/// Writes the entries of one step.
pub(super) fn encode(height: u64, entries: &[Entry]) -> Bytes {
    let mut out = vec![VERSION];
    out.extend_from_slice(&height.to_be_bytes());
    for entry in entries {
        encode_entry(entry, &mut out);
    }
    out.into()
}

/// Reads a record back; `index` is its place in the log, for the error.
pub(super) fn decode(index: usize, record: &[u8]) -> Result<(u64, Vec<Entry>), RestoreError> {
    let refuse = |reason: String| RestoreError::Record { index, reason };
    let height = record_height(record).ok_or_else(|| refuse("unknown version".into()))?;
    let mut rest = record.get(HEAD_BYTES..).unwrap_or_default();
    let mut entries = Vec::new();
    while !rest.is_empty() {
        entries.push(decode_entry(height, &mut rest).map_err(|error| refuse(error.to_string()))?);
    }
    Ok((height, entries))
}

fn encode_entry(entry: &Entry, out: &mut Vec<u8>) {
    match entry {
        Entry::Proposal { round, digest } => encode_list(&[&PROPOSAL, round, digest], out),
        Entry::Prepare { round, digest } => encode_list(&[&PREPARE, round, digest], out),
        Entry::Commit(prepared) => {
            let prepares: Vec<Signed<Prepare>> =
                prepared.prepares.iter().map(|prepare| prepare.signed().clone()).collect();
            let Prepared { round, digest, block, .. } = prepared.as_ref();
            encode_list(&[&COMMIT, round, digest, block, &prepares], out);
        }
        Entry::RoundChange { round } => encode_list(&[&ROUND_CHANGE, round], out),
    }
}

fn encode_list(elements: &[&dyn Encodable], out: &mut Vec<u8>) {
    let payload_length = elements.iter().map(|element| element.length()).sum();
    RlpHeader { list: true, payload_length }.encode(out as &mut dyn BufMut);
    for element in elements {
        element.encode(out);
    }
}

fn decode_entry(height: u64, rest: &mut &[u8]) -> alloy_rlp::Result<Entry> {
    let mut list = RlpHeader::decode_bytes(rest, true)?;
    let kind = u8::decode(&mut list)?;
    let round = u32::decode(&mut list)?;
    let entry = match kind {
        PROPOSAL => Entry::Proposal { round, digest: B256::decode(&mut list)? },
        PREPARE => Entry::Prepare { round, digest: B256::decode(&mut list)? },
        COMMIT => Entry::Commit(Box::new(decode_prepared(height, round, &mut list)?)),
        ROUND_CHANGE => Entry::RoundChange { round },
        _ => return Err(alloy_rlp::Error::Custom("unknown kind of entry")),
    };
    if list.is_empty() { Ok(entry) } else { Err(alloy_rlp::Error::UnexpectedLength) }
}

fn decode_prepared(height: u64, round: u32, list: &mut &[u8]) -> alloy_rlp::Result<Prepared> {
    let digest = B256::decode(list)?;
    let block = Block::decode(list)?;
    if block.header.number != height {
        return Err(alloy_rlp::Error::Custom("a block of another height"));
    }
    let mut prepares = Vec::new();
    for signed in Vec::<Signed<Prepare>>::decode(list)? {
        let verified = signed.verify();
        prepares.push(verified.map_err(|_| alloy_rlp::Error::Custom("a prepare that nobody signed"))?);
    }
    Ok(Prepared { round, digest, block, prepares })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let digest = B256::repeat_byte(7);
        vec![
            Entry::Proposal { round: 0, digest },
            Entry::Prepare { round: 3, digest },
            Entry::RoundChange { round: 200 },
        ]
    }

    #[test]
    fn a_record_reads_back_and_names_its_height() {
        let record = encode(77, &entries());
        assert_eq!(record_height(&record), Some(77));
        assert_eq!(decode(0, &record).unwrap(), (77, entries()));
    }

    #[test]
    fn a_cut_or_foreign_record_is_refused() {
        let record = encode(77, &entries());
        let whole: Vec<usize> = (0..3).map(|count| encode(77, &entries()[..count]).len()).collect();
        for cut in (0..record.len()).filter(|cut| !whole.contains(cut)) {
            assert!(decode(0, &record[..cut]).is_err(), "cut at {cut}");
        }
        let mut foreign = record.to_vec();
        foreign[0] = 2;
        assert_eq!(record_height(&foreign), None);
        let refused = decode(5, &foreign);
        assert!(matches!(refused, Err(RestoreError::Record { index: 5, .. })));
        let mut longer = record.to_vec();
        longer.push(0x80);
        assert!(decode(0, &longer).is_err());
    }
}
