//! `extraData` cut into its elements, checked but not copied: hashing needs no more than that.

use super::{
    CommitSeal, ExtraData, ExtraError, HeaderFormat, VANITY_BYTES, Vote, VoteKind, encode_seals, whole_list,
};
use alloy_primitives::{Address, Bytes};
use alloy_rlp::{BufMut, Decodable, EMPTY_LIST_CODE, EMPTY_STRING_CODE, Encodable, Header as RlpHeader};

/// Length of a list element that holds an address: one byte of RLP before the 20.
const ADDRESS_ITEM_BYTES: usize = 21;
/// Length of a list element that holds a seal: two bytes of RLP before the 65.
const SEAL_ITEM_BYTES: usize = 67;

/// The elements of one `extraData`. Everything in it has been checked.
pub(super) struct Parts<'a> {
    vanity: &'a [u8],
    /// What stands before the round (QBFT, IBFT 2.0) or before the proposer seal (IBFT 1.0) inside the list,
    /// in RLP.
    front: &'a [u8],
    /// Payload of the list of validators.
    validators: &'a [u8],
    vote: Option<Vote>,
    pub(super) round: u32,
    proposer_seal: &'a [u8],
    /// Payload of the list of seals.
    seals: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Cuts and checks.
    pub(super) fn split(bytes: &'a [u8], format: HeaderFormat) -> Result<Self, ExtraError> {
        let parts = match format {
            HeaderFormat::Ibft1 => Self::split_ibft1(bytes),
            HeaderFormat::Ibft2 | HeaderFormat::Qbft => Self::split_list(bytes, format),
        };
        parts.map_err(|reason| ExtraError::Malformed { format, reason })
    }

    fn split_ibft1(bytes: &'a [u8]) -> Result<Self, String> {
        let Some((vanity, mut rest)) = bytes.split_at_checked(VANITY_BYTES) else {
            return Err(format!("it has {} bytes, 32 bytes of vanity are expected first", bytes.len()));
        };
        let mut list = take(&mut rest, true, "the list behind the vanity")?;
        nothing_behind(rest, "the list behind the vanity")?;
        let start = list;
        let validators = validators(&mut list)?;
        let front = before(start, list);
        let proposer_seal = take(&mut list, false, "the proposer seal")?;
        if !matches!(proposer_seal.len(), 0 | 65) {
            return Err(format!("the proposer seal has {} bytes, 0 or 65 are expected", proposer_seal.len()));
        }
        let seals = seals(&mut list)?;
        nothing_behind(list, "the commit seals")?;
        Ok(Self { vanity, front, validators, vote: None, round: 0, proposer_seal, seals })
    }

    fn split_list(bytes: &'a [u8], format: HeaderFormat) -> Result<Self, String> {
        let mut rest = bytes;
        let mut list = take(&mut rest, true, "the whole")?;
        nothing_behind(rest, "the list")?;
        let start = list;
        let vanity = take(&mut list, false, "the vanity")?;
        if vanity.len() > VANITY_BYTES || (format == HeaderFormat::Ibft2 && vanity.len() != VANITY_BYTES) {
            return Err(format!("the vanity has {} bytes", vanity.len()));
        }
        let validators = validators(&mut list)?;
        let vote = match format {
            HeaderFormat::Ibft2 => ibft2_vote(&mut list)?,
            _ => qbft_vote(&mut list)?,
        };
        let front = before(start, list);
        let round = match format {
            HeaderFormat::Ibft2 => u32::from_be_bytes(decode(&mut list, "the round")?),
            _ => decode(&mut list, "the round")?,
        };
        let seals = seals(&mut list)?;
        nothing_behind(list, "the commit seals")?;
        Ok(Self { vanity, front, validators, vote, round, proposer_seal: &[], seals })
    }

    /// Copies into the decoded form.
    pub(super) fn to_extra_data(&self) -> ExtraData {
        let address = |item: &[u8]| Address::from_slice(&item[1..]);
        let seal = |item: &[u8]| {
            let mut bytes = [0; 65];
            bytes.copy_from_slice(&item[2..]);
            super::Signature(bytes)
        };
        ExtraData {
            vanity: Bytes::copy_from_slice(self.vanity),
            validators: self.validators.chunks_exact(ADDRESS_ITEM_BYTES).map(address).collect(),
            vote: self.vote,
            round: self.round,
            proposer_seal: Bytes::copy_from_slice(self.proposer_seal),
            seals: self.seals.chunks_exact(SEAL_ITEM_BYTES).map(seal).collect(),
        }
    }

    /// QBFT with this round and these seals.
    pub(super) fn qbft_with(&self, round: u32, seals: &[CommitSeal]) -> Bytes {
        let mut elements = Vec::with_capacity(self.front.len() + 16 + SEAL_ITEM_BYTES * seals.len());
        elements.extend_from_slice(self.front);
        round.encode(&mut elements);
        encode_seals(seals, &mut elements);
        whole_list(&elements)
    }

    /// IBFT 2.0 cut to the first three elements, or with the round to four.
    pub(super) fn ibft2_cut(&self, keep_round: bool) -> Bytes {
        let mut elements = self.front.to_vec();
        if keep_round {
            self.round.to_be_bytes().encode(&mut elements);
        }
        whole_list(&elements)
    }

    /// IBFT 1.0 without commit seals, and without the proposer seal where asked.
    pub(super) fn ibft1_without(&self, proposer_seal: bool) -> Bytes {
        let mut elements = self.front.to_vec();
        if proposer_seal {
            elements.put_u8(EMPTY_STRING_CODE);
        } else {
            self.proposer_seal.encode(&mut elements);
        }
        elements.put_u8(EMPTY_LIST_CODE);
        let mut out = self.vanity.to_vec();
        super::encode_list(&elements, &mut out);
        out.into()
    }
}

fn take<'a>(from: &mut &'a [u8], list: bool, what: &str) -> Result<&'a [u8], String> {
    RlpHeader::decode_bytes(from, list).map_err(|error| format!("{what}: {error}"))
}

fn decode<T: Decodable>(from: &mut &[u8], what: &str) -> Result<T, String> {
    T::decode(from).map_err(|error| format!("{what}: {error}"))
}

/// The bytes of `start` that stand before `rest`, its own tail.
fn before<'a>(start: &'a [u8], rest: &[u8]) -> &'a [u8] {
    &start[..start.len() - rest.len()]
}

fn nothing_behind(rest: &[u8], what: &str) -> Result<(), String> {
    if rest.is_empty() { Ok(()) } else { Err(format!("{} bytes follow {what}", rest.len())) }
}

fn validators<'a>(from: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let payload = take(from, true, "the validators")?;
    items_of(payload, 20, "a validator")
}

fn seals<'a>(from: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let payload = take(from, true, "the commit seals")?;
    items_of(payload, 65, "a commit seal")
}

/// Checks that a list holds only strings of this length, and gives its payload back.
fn items_of<'a>(payload: &'a [u8], length: usize, what: &str) -> Result<&'a [u8], String> {
    let mut rest = payload;
    while !rest.is_empty() {
        let item = take(&mut rest, false, what)?;
        if item.len() != length {
            return Err(format!("{what} has {} bytes, {length} are expected", item.len()));
        }
    }
    Ok(payload)
}

fn qbft_vote(from: &mut &[u8]) -> Result<Option<Vote>, String> {
    let mut payload = take(from, true, "the vote")?;
    if payload.is_empty() {
        return Ok(None);
    }
    let recipient = decode(&mut payload, "the vote's recipient")?;
    vote(recipient, payload, &[EMPTY_STRING_CODE]).map(Some)
}

fn ibft2_vote(from: &mut &[u8]) -> Result<Option<Vote>, String> {
    if let Some((&EMPTY_STRING_CODE, rest)) = from.split_first() {
        *from = rest;
        return Ok(None);
    }
    let mut payload = take(from, true, "the vote")?;
    let recipient = decode(&mut payload, "the vote's recipient")?;
    vote(recipient, payload, &[0x00]).map(Some)
}

/// `kind` is the RLP of the vote's type and all that follows it; `drop` what the format writes for a drop
/// vote.
fn vote(recipient: Address, kind: &[u8], drop: &[u8]) -> Result<Vote, String> {
    match kind {
        [0x81, 0xff] => Ok(Vote { recipient, kind: VoteKind::Add }),
        other if other == drop => Ok(Vote { recipient, kind: VoteKind::Drop }),
        _ => Err("the vote's type is neither add nor drop, or something follows it".into()),
    }
}
