//! `extraData` of Istanbul headers, and the hashes that depend on it.
//!
//! Decoding is strict: what decodes has exactly one encoding, so that a header cannot be changed without its
//! hash noticing.

use crate::{Header, Signature};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_rlp::{BufMut, EMPTY_LIST_CODE, EMPTY_STRING_CODE, Encodable, Header as RlpHeader};
use parts::Parts;
use thiserror::Error;

mod parts;
#[cfg(test)]
mod tests;

/// Length of the vanity in IBFT 1.0 and IBFT 2.0, and the most QBFT takes, in bytes.
pub const VANITY_BYTES: usize = 32;

/// What a validator appends to the block hash before it signs an IBFT 1.0 commit seal: the code of COMMIT.
const IBFT1_COMMIT_CODE: u8 = 2;

/// Which layout a header has. It follows from the height and the chain spec, never from the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeaderFormat {
    /// IBFT 1.0 (GoQuorum).
    Ibft1,
    /// IBFT 2.0 (Besu).
    Ibft2,
    /// QBFT.
    Qbft,
}

/// Whether a vote adds or removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteKind {
    /// Add the recipient to the validators.
    Add,
    /// Drop it.
    Drop,
}

/// A proposer's vote on one validator, carried in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// On whom.
    pub recipient: Address,
    /// Add or drop.
    pub kind: VoteKind,
}

/// A signature over the commit digest, in a header.
pub type CommitSeal = Signature;

/// The decoded `extraData`, for all formats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtraData {
    /// Free bytes, at most 32.
    pub vanity: Bytes,
    /// Validators of this height in the order written.
    pub validators: Vec<Address>,
    /// The vote, for QBFT and IBFT 2.0 (IBFT 1.0 votes by coinbase and nonce).
    pub vote: Option<Vote>,
    /// Round in which the block was committed; 0 for IBFT 1.0.
    pub round: u32,
    /// IBFT 1.0's proposer seal: empty or 65 bytes; empty in the other formats.
    pub proposer_seal: Bytes,
    /// Commit seals in the order written.
    pub seals: Vec<CommitSeal>,
}

/// Why `extraData` is not what its format asks for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExtraError {
    /// Not the layout of the format.
    #[error("extraData does not decode as {format:?}: {reason}")]
    Malformed {
        /// The format of the height.
        format: HeaderFormat,
        /// What is wrong.
        reason: String,
    },
}

impl ExtraData {
    /// Decodes strictly: exactly the elements of the format, canonical integers, 65-byte seals, nothing
    /// behind.
    pub fn decode(bytes: &[u8], format: HeaderFormat) -> Result<Self, ExtraError> {
        Ok(Parts::split(bytes, format)?.to_extra_data())
    }

    /// Encodes for a header. IBFT 1.0 and IBFT 2.0 have room for exactly 32 bytes of vanity: a shorter one is
    /// filled with zeros behind, a longer one cut.
    pub fn encode(&self, format: HeaderFormat) -> Bytes {
        match format {
            HeaderFormat::Ibft1 => self.encode_ibft1(),
            HeaderFormat::Ibft2 => self.encode_ibft2(),
            HeaderFormat::Qbft => self.encode_qbft(),
        }
    }

    fn encode_ibft1(&self) -> Bytes {
        let mut elements = Vec::new();
        self.validators.encode(&mut elements);
        self.proposer_seal.encode(&mut elements);
        encode_seals(&self.seals, &mut elements);
        let mut out = self.full_vanity().to_vec();
        encode_list(&elements, &mut out);
        out.into()
    }

    fn encode_ibft2(&self) -> Bytes {
        let mut elements = Vec::new();
        self.full_vanity().encode(&mut elements);
        self.validators.encode(&mut elements);
        match self.vote {
            None => elements.put_u8(EMPTY_STRING_CODE),
            Some(vote) => encode_vote(vote, &[0x00], &mut elements),
        }
        self.round.to_be_bytes().encode(&mut elements);
        encode_seals(&self.seals, &mut elements);
        whole_list(&elements)
    }

    fn encode_qbft(&self) -> Bytes {
        let mut elements = Vec::new();
        self.vanity.encode(&mut elements);
        self.validators.encode(&mut elements);
        match self.vote {
            None => elements.put_u8(EMPTY_LIST_CODE),
            Some(vote) => encode_vote(vote, &[EMPTY_STRING_CODE], &mut elements),
        }
        self.round.encode(&mut elements);
        encode_seals(&self.seals, &mut elements);
        whole_list(&elements)
    }

    fn full_vanity(&self) -> B256 {
        let mut full = B256::ZERO;
        for (to, from) in full.iter_mut().zip(&self.vanity) {
            *to = *from;
        }
        full
    }
}

/// `drop` is what the format writes for a drop vote; an add vote is the byte ff in both.
fn encode_vote(vote: Vote, drop: &[u8], out: &mut Vec<u8>) {
    let mut elements = Vec::new();
    vote.recipient.encode(&mut elements);
    match vote.kind {
        VoteKind::Add => 0xff_u8.encode(&mut elements),
        VoteKind::Drop => elements.put_slice(drop),
    }
    encode_list(&elements, out);
}

fn encode_seals(seals: &[CommitSeal], out: &mut Vec<u8>) {
    let payload_length = seals.iter().map(|seal| seal.0.length()).sum();
    RlpHeader { list: true, payload_length }.encode(out);
    for seal in seals {
        seal.0.encode(out);
    }
}

fn encode_list(elements: &[u8], out: &mut Vec<u8>) {
    RlpHeader { list: true, payload_length: elements.len() }.encode(out);
    out.extend_from_slice(elements);
}

fn whole_list(elements: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(elements.len() + 9);
    encode_list(elements, &mut out);
    out.into()
}

/// The block hash of a header in this format: without commit seals, and without the round (QBFT: with round
/// 0). Block 0 of an IBFT 2.0 chain is hashed as it stands, as Besu does.
///
/// A header whose `extraData` is not of its format has no hash.
pub fn block_hash(header: &Header, format: HeaderFormat) -> Result<B256, ExtraError> {
    let parts = Parts::split(&header.extra_data, format)?;
    Ok(match format {
        HeaderFormat::Ibft1 => hash_with_extra(header, parts.ibft1_without(false)),
        HeaderFormat::Ibft2 if header.number == 0 => header.hash_slow(),
        HeaderFormat::Ibft2 => hash_with_extra(header, parts.ibft2_cut(false)),
        HeaderFormat::Qbft => hash_with_extra(header, parts.qbft_with(0, &[])),
    })
}

/// What a commit seal of this header signs, directly and without further hashing. QBFT: the header with its
/// round and without seals; IBFT 2.0: the same; IBFT 1.0: `keccak(blockHash || 0x02)`, whatever the round.
pub fn commit_digest(header: &Header, format: HeaderFormat) -> Result<B256, ExtraError> {
    let parts = Parts::split(&header.extra_data, format)?;
    Ok(match format {
        HeaderFormat::Ibft1 => ibft1_commit_digest(hash_with_extra(header, parts.ibft1_without(false))),
        HeaderFormat::Ibft2 => hash_with_extra(header, parts.ibft2_cut(true)),
        HeaderFormat::Qbft => hash_with_extra(header, parts.qbft_with(parts.round, &[])),
    })
}

/// What an IBFT 1.0 commit seal signs, for a block hash that is known.
pub fn ibft1_commit_digest(block_hash: B256) -> B256 {
    let mut bytes = [IBFT1_COMMIT_CODE; 33];
    bytes[..32].copy_from_slice(block_hash.as_slice());
    keccak256(bytes)
}

/// Hash of an IBFT 1.0 header without proposer seal and without commit seals. The proposer signs not this but
/// [`ibft1_proposer_digest`].
pub fn ibft1_seal_hash(header: &Header) -> Result<B256, ExtraError> {
    let parts = Parts::split(&header.extra_data, HeaderFormat::Ibft1)?;
    Ok(hash_with_extra(header, parts.ibft1_without(true)))
}

/// What the proposer seal of an IBFT 1.0 header signs: the seal hash, hashed once more.
pub fn ibft1_proposer_digest(header: &Header) -> Result<B256, ExtraError> {
    ibft1_seal_hash(header).map(keccak256)
}

/// Hash of a QBFT header as if it had this round and no seals: the commit digest in that round, and for round
/// 0 the block hash.
pub fn qbft_digest(header: &Header, round: u32) -> Result<B256, ExtraError> {
    let parts = Parts::split(&header.extra_data, HeaderFormat::Qbft)?;
    Ok(hash_with_extra(header, parts.qbft_with(round, &[])))
}

/// The QBFT header with this round and these seals in place of its own. Its block hash stays.
pub fn with_round_and_seals(header: &Header, round: u32, seals: &[CommitSeal]) -> Result<Header, ExtraError> {
    let parts = Parts::split(&header.extra_data, HeaderFormat::Qbft)?;
    let extra_data = parts.qbft_with(round, seals);
    Ok(with_extra(header, extra_data))
}

/// The QBFT header with this round and no seals: the form in which it is proposed.
pub fn with_round(header: &Header, round: u32) -> Result<Header, ExtraError> {
    with_round_and_seals(header, round, &[])
}

/// `extraData` of this format with this vanity in place of its own, and everything else as it was: how a block under
/// construction comes to commit to the validators that its execution brought
/// ([`ChainSpec::commits_to_validators`](crate::ChainSpec::commits_to_validators)).
pub fn with_vanity(extra_data: &[u8], format: HeaderFormat, vanity: B256) -> Result<Bytes, ExtraError> {
    let mut extra = ExtraData::decode(extra_data, format)?;
    extra.vanity = Bytes::copy_from_slice(vanity.as_slice());
    Ok(extra.encode(format))
}

/// The round in which a QBFT header was committed (or proposed), without decoding the rest into vectors.
pub fn qbft_round(header: &Header) -> Result<u32, ExtraError> {
    Ok(Parts::split(&header.extra_data, HeaderFormat::Qbft)?.round)
}

fn with_extra(header: &Header, extra_data: Bytes) -> Header {
    Header { extra_data, ..header.clone() }
}

fn hash_with_extra(header: &Header, extra_data: Bytes) -> B256 {
    with_extra(header, extra_data).hash_slow()
}
