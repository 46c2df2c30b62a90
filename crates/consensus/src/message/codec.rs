//! The RLP layouts. Each value has exactly one encoding, and nothing else decodes to it.

use super::{
    COMMIT_CODE, Commit, ConsensusMessage, MAX_ROUND, MAX_TRANSACTIONS, MessageError, MessageLimits,
    PREPARE_CODE, PROPOSAL_CODE, Prepare, PreparedClaim, Proposal, ProposalMessage, ROUND_CHANGE_CODE,
    RoundChange, RoundChangeMessage, Signed,
};
use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::{
    BufMut, Decodable, EMPTY_LIST_CODE, Encodable, Error as RlpError, Header as RlpHeader,
    Result as RlpResult,
};
use lonja_primitives::{Block, Signature};

/// A payload that is signed together with the code of its message.
pub trait Payload: Encodable + Decodable {
    /// The code of the message whose signed part it is.
    const CODE: u8;
    /// How errors name it.
    const NAME: &'static str;

    /// What its signature signs: the hash of `[code, payload]`.
    fn signing_digest(&self) -> B256 {
        let payload_length = Self::CODE.length().saturating_add(self.length());
        let mut preimage = Vec::with_capacity(payload_length.saturating_add(9));
        RlpHeader { list: true, payload_length }.encode(&mut preimage);
        Self::CODE.encode(&mut preimage);
        self.encode(&mut preimage);
        keccak256(preimage)
    }
}

impl Payload for Proposal {
    const CODE: u8 = PROPOSAL_CODE;
    const NAME: &'static str = "PROPOSAL";
}

impl Payload for Prepare {
    const CODE: u8 = PREPARE_CODE;
    const NAME: &'static str = "PREPARE";
}

impl Payload for Commit {
    const CODE: u8 = COMMIT_CODE;
    const NAME: &'static str = "COMMIT";
}

impl Payload for RoundChange {
    const CODE: u8 = ROUND_CHANGE_CODE;
    const NAME: &'static str = "ROUND-CHANGE";
}

/// Length of a list of these elements, with its own header.
fn list_length(elements: &[&dyn Encodable]) -> usize {
    RlpHeader { list: true, payload_length: payload_length(elements) }.length_with_payload()
}

fn payload_length(elements: &[&dyn Encodable]) -> usize {
    elements.iter().map(|element| element.length()).sum()
}

fn encode_list(elements: &[&dyn Encodable], out: &mut dyn BufMut) {
    RlpHeader { list: true, payload_length: payload_length(elements) }.encode(out);
    for element in elements {
        element.encode(out);
    }
}

/// Enters a list, reads it with `read`, and refuses what `read` leaves over.
fn decode_list<T>(buf: &mut &[u8], read: impl FnOnce(&mut &[u8]) -> RlpResult<T>) -> RlpResult<T> {
    let mut payload = RlpHeader::decode_bytes(buf, true)?;
    let value = read(&mut payload)?;
    if payload.is_empty() { Ok(value) } else { Err(RlpError::UnexpectedLength) }
}

fn decode_round(buf: &mut &[u8]) -> RlpResult<u32> {
    match u32::decode(buf)? {
        round if round <= MAX_ROUND => Ok(round),
        _ => Err(RlpError::Custom("a round number above 2^31-1")),
    }
}

fn decode_signature(buf: &mut &[u8]) -> RlpResult<Signature> {
    <[u8; 65]>::decode(buf).map(Signature)
}

/// Encodes as a list of what `elements` names, and decodes by `read`.
macro_rules! list_codec {
    ($type:ty, |$value:ident| $elements:expr, |$buf:ident| $read:expr) => {
        impl Encodable for $type {
            fn encode(&self, out: &mut dyn BufMut) {
                let $value = self;
                encode_list(&$elements, out);
            }

            fn length(&self) -> usize {
                let $value = self;
                list_length(&$elements)
            }
        }

        impl Decodable for $type {
            fn decode(buf: &mut &[u8]) -> RlpResult<Self> {
                decode_list(buf, |$buf| $read)
            }
        }
    };
}

list_codec!(Prepare, |prepare| [&prepare.sequence, &prepare.round, &prepare.digest], |buf| Ok(Self {
    sequence: u64::decode(buf)?,
    round: decode_round(buf)?,
    digest: B256::decode(buf)?,
}));

list_codec!(Commit, |commit| [&commit.sequence, &commit.round, &commit.digest, &commit.seal.0], |buf| Ok(
    Self {
        sequence: u64::decode(buf)?,
        round: decode_round(buf)?,
        digest: B256::decode(buf)?,
        seal: decode_signature(buf)?,
    }
));

list_codec!(PreparedClaim, |claim| [&claim.round, &claim.digest], |buf| Ok(Self {
    round: decode_round(buf)?,
    digest: B256::decode(buf)?,
}));

list_codec!(RoundChange, |change| [&change.sequence, &change.round, &OrEmptyList(&change.prepared)], |buf| {
    Ok(Self {
        sequence: u64::decode(buf)?,
        round: decode_round(buf)?,
        prepared: decode_or_empty_list(buf, PreparedClaim::decode)?,
    })
});

list_codec!(Proposal, |proposal| [&proposal.sequence, &proposal.round, &proposal.block], |buf| Ok(Self {
    sequence: u64::decode(buf)?,
    round: decode_round(buf)?,
    block: decode_block(buf)?,
}));

impl<T: Payload> Encodable for Signed<T> {
    fn encode(&self, out: &mut dyn BufMut) {
        encode_list(&[&self.payload, &self.signature.0], out);
    }

    fn length(&self) -> usize {
        list_length(&[&self.payload, &self.signature.0])
    }
}

impl<T: Payload> Decodable for Signed<T> {
    fn decode(buf: &mut &[u8]) -> RlpResult<Self> {
        decode_list(buf, |buf| Ok(Self { payload: T::decode(buf)?, signature: decode_signature(buf)? }))
    }
}

/// A list, or an empty list where there is nothing.
struct OrEmptyList<'a, T>(&'a Option<T>);

impl<T: Encodable> Encodable for OrEmptyList<'_, T> {
    fn encode(&self, out: &mut dyn BufMut) {
        match self.0 {
            Some(value) => value.encode(out),
            None => out.put_u8(EMPTY_LIST_CODE),
        }
    }

    fn length(&self) -> usize {
        self.0.as_ref().map_or(1, Encodable::length)
    }
}

fn decode_or_empty_list<T>(
    buf: &mut &[u8],
    decode: impl FnOnce(&mut &[u8]) -> RlpResult<T>,
) -> RlpResult<Option<T>> {
    match buf.split_first() {
        Some((&EMPTY_LIST_CODE, rest)) => {
            *buf = rest;
            Ok(None)
        }
        _ => decode(buf).map(Some),
    }
}

/// Counts the transactions before the block is decoded.
fn decode_block(buf: &mut &[u8]) -> RlpResult<Block> {
    let mut ahead = *buf;
    let mut payload = RlpHeader::decode_bytes(&mut ahead, true)?;
    RlpHeader::decode_bytes(&mut payload, true)?;
    let mut body = RlpHeader::decode_bytes(&mut payload, true)?;
    if count_items(&mut body)? > MAX_TRANSACTIONS {
        return Err(RlpError::Custom("more transactions than signed ones could fit"));
    }
    Block::decode(buf)
}

fn count_items(list: &mut &[u8]) -> RlpResult<usize> {
    let mut count = 0_usize;
    while !list.is_empty() {
        let payload_length = RlpHeader::decode(list)?.payload_length;
        *list = list.get(payload_length..).ok_or(RlpError::InputTooShort)?;
        count = count.saturating_add(1);
    }
    Ok(count)
}

/// A list of signed payloads, counted before any of them is decoded.
fn decode_signed_list<T: Payload>(
    buf: &mut &[u8],
    limits: &MessageLimits,
    what: &'static str,
) -> Result<Vec<Signed<T>>, MessageError> {
    let mut payload = RlpHeader::decode_bytes(buf, true)?;
    let got = count_items(&mut &*payload)?;
    if got > limits.validators {
        return Err(MessageError::TooMany { what, got, limit: limits.validators });
    }
    let mut list = Vec::with_capacity(got);
    while !payload.is_empty() {
        list.push(Signed::decode(&mut payload)?);
    }
    Ok(list)
}

/// As [`decode_list`], where elements are refused for more than their shape.
fn decode_message_list<T>(
    buf: &mut &[u8],
    read: impl FnOnce(&mut &[u8]) -> Result<T, MessageError>,
) -> Result<T, MessageError> {
    let mut payload = RlpHeader::decode_bytes(buf, true)?;
    let value = read(&mut payload)?;
    if payload.is_empty() { Ok(value) } else { Err(RlpError::UnexpectedLength.into()) }
}

impl ProposalMessage {
    fn decode(buf: &mut &[u8], limits: &MessageLimits) -> Result<Self, MessageError> {
        decode_message_list(buf, |buf| {
            let proposal = Signed::decode(buf)?;
            decode_message_list(buf, |buf| {
                let round_changes = decode_signed_list(buf, limits, "round changes")?;
                let prepares = decode_signed_list(buf, limits, "prepares")?;
                Ok(Self { proposal, round_changes, prepares })
            })
        })
    }

    fn encode(&self, out: &mut dyn BufMut) {
        encode_list(&[&self.proposal, &Justification(&self.round_changes, &self.prepares)], out);
    }
}

/// The second element of a PROPOSAL.
struct Justification<'a>(&'a Vec<Signed<RoundChange>>, &'a Vec<Signed<Prepare>>);

impl Encodable for Justification<'_> {
    fn encode(&self, out: &mut dyn BufMut) {
        encode_list(&[self.0, self.1], out);
    }

    fn length(&self) -> usize {
        list_length(&[self.0, self.1])
    }
}

impl RoundChangeMessage {
    fn decode(buf: &mut &[u8], limits: &MessageLimits) -> Result<Self, MessageError> {
        decode_message_list(buf, |buf| {
            let round_change = Signed::decode(buf)?;
            let block = decode_or_empty_list(buf, decode_block)?;
            let prepares = decode_signed_list(buf, limits, "prepares")?;
            Ok(Self { round_change, block, prepares })
        })
    }

    fn encode(&self, out: &mut dyn BufMut) {
        encode_list(&[&self.round_change, &OrEmptyList(&self.block), &self.prepares], out);
    }
}

impl ConsensusMessage {
    /// Decodes the wire form: code byte, then RLP. Refuses what is too long for its kind, what lists more
    /// entries than there are validators, what is not in its canonical form, and anything behind it. No
    /// signature is looked at.
    pub fn decode(bytes: &[u8], limits: &MessageLimits) -> Result<Self, MessageError> {
        let (&code, mut rest) = bytes.split_first().ok_or(MessageError::Empty)?;
        let limit = limits.message_bytes(code)?;
        if bytes.len() > limit {
            return Err(MessageError::TooLong { bytes: bytes.len(), limit });
        }
        let buf = &mut rest;
        let message = match code {
            PROPOSAL_CODE => Self::Proposal(Box::new(ProposalMessage::decode(buf, limits)?)),
            PREPARE_CODE => Self::Prepare(Signed::decode(buf)?),
            COMMIT_CODE => Self::Commit(Signed::decode(buf)?),
            ROUND_CHANGE_CODE => Self::RoundChange(Box::new(RoundChangeMessage::decode(buf, limits)?)),
            other => return Err(MessageError::UnknownCode(other)),
        };
        if rest.is_empty() { Ok(message) } else { Err(RlpError::UnexpectedLength.into()) }
    }

    /// The wire form.
    pub fn encode(&self) -> Bytes {
        let mut out = vec![self.code()];
        match self {
            Self::Proposal(message) => message.encode(&mut out),
            Self::Prepare(signed) => signed.encode(&mut out),
            Self::Commit(signed) => signed.encode(&mut out),
            Self::RoundChange(message) => message.encode(&mut out),
        }
        out.into()
    }
}
