//! What the managers of nodes say to each other.
//!
//! A message is a version byte, a kind byte and a body: for `Push` the number of the attempt (8 bytes) and the envelope in
//! CBOR as it is, for all others an RLP list.
//! Every request has one answer; `Refused` answers any of them.
//!
//! | kind | request | answer |
//! |---|---|---|
//! | 1 | `Push`: keep this copy of an envelope | 65 `Stored`: it is durable, and here is the proof that it was opened |
//! | 2 | `Withdraw`: the send failed elsewhere, forget it | 66 `Noted` |
//! | 3 | `Announce`: who holds which keys | 66 `Noted` |
//! | 4 | `Challenge`: show that you hold this key | 67 `Proof` |
//! | 5 | `Resend`: what you have of this key, a page | 68 `Batch` |
//! | 6 | `Erase`: a signed order | 69 `Erased`: the tombstone |
//! | | | 64 `Refused`: why |
//!
//! Decoding is strict: canonical RLP, nothing missing, nothing behind the end, every list and text within its bound.

use crate::codec::within;
use crate::records::{Binding, Erasure};
use crate::{CodecError, Nonce, PayloadHash, PublicKey, RecipientBox};
use alloy_primitives::{B256, B512, Bytes, FixedBytes};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};

/// Bytes of the largest message: what the sessions between nodes carry.
pub const MAX_MESSAGE_BYTES: usize = 12 << 20;

/// Bytes of the head of a message.
const HEAD_BYTES: usize = 2;

/// Bytes of the number of an attempt.
const ATTEMPT_BYTES: usize = 8;

/// Bytes of the largest envelope that can be pushed.
pub const MAX_PUSHED_BYTES: usize = MAX_MESSAGE_BYTES - HEAD_BYTES - ATTEMPT_BYTES;

/// The version of all this.
const VERSION: u8 = 1;

/// Bindings in one `Announce`: each costs its receiver a signature recovery, so these are some ten milliseconds.
pub const MAX_BINDINGS: usize = 256;

/// Envelopes in one `Batch`.
pub const MAX_BATCH: usize = 1_024;

/// Bytes of envelopes in one `Batch`. A page that one envelope fills alone may be larger.
pub const MAX_BATCH_BYTES: usize = 4 << 20;

/// Bytes of the words of a refusal.
pub const MAX_TEXT_BYTES: usize = 512;

/// What one manager asks of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Keep this copy of an envelope.
    Push {
        /// By this number it may be withdrawn for a while; later attempts have higher ones. 0: it is for good.
        attempt: u64,
        /// The copy, in CBOR.
        envelope: Bytes,
    },
    /// The send failed: forget what was pushed.
    Withdraw {
        /// The payload.
        hash: PayloadHash,
        /// What was pushed in this attempt, and not what was pushed in a later one.
        attempt: u64,
    },
    /// These nodes hold these keys.
    Announce(Vec<Binding>),
    /// Show that you hold a key.
    Challenge(Challenge),
    /// Send what you have of a key.
    Resend {
        /// Whose.
        key: PublicKey,
        /// Where the last page ended; 0 at first. Beyond everything there is, it counts as 0: the other side may have a new
        /// store.
        cursor: u64,
        /// Envelopes wanted, at most.
        limit: u32,
    },
    /// Erase a payload: an order.
    Erase(Erasure),
}

/// 32 random bytes, sealed for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The key that is to be shown.
    pub key: PublicKey,
    /// The key by which it was sealed.
    pub from: PublicKey,
    /// The nonce.
    pub nonce: Nonce,
    /// The sealed bytes.
    pub sealed: RecipientBox,
}

/// Why a request is refused, for the asker's program.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A rule, or a mistake of the asker. It is the same the next time.
    Rule = 0,
    /// Not now: too much to do, or a fault here that may pass.
    Busy = 1,
    /// The key is not held here.
    NotHeld = 2,
    /// The payload was erased here for good.
    Erased = 3,
    /// The message cannot be read, or is of a kind or version that is not known here.
    Unreadable = 4,
}

/// What the other one answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// No, and why.
    Refused(Refusal, String),
    /// The envelope is durable.
    Stored {
        /// Its name.
        hash: PayloadHash,
        /// Shows that it was opened.
        proof: B256,
    },
    /// Done, or not needed.
    Noted,
    /// Shows that the key is held.
    Proof(B256),
    /// A page of envelopes in CBOR.
    Batch {
        /// The envelopes.
        envelopes: Vec<Bytes>,
        /// Where the next page begins.
        next: u64,
        /// Whether there is one.
        more: bool,
    },
    /// The payload is erased, or was: the tombstone.
    Erased(Erasure),
}

#[derive(RlpEncodable, RlpDecodable)]
struct WithdrawBody {
    hash: B512,
    attempt: u64,
}

#[derive(RlpEncodable, RlpDecodable)]
struct ChallengeBody {
    key: B256,
    from: B256,
    nonce: FixedBytes<24>,
    sealed: FixedBytes<48>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct ResendBody {
    key: B256,
    cursor: u64,
    limit: u32,
}

#[derive(RlpEncodable, RlpDecodable)]
struct RefusedBody {
    refusal: u8,
    text: String,
}

#[derive(RlpEncodable, RlpDecodable)]
struct StoredBody {
    hash: B512,
    proof: B256,
}

#[derive(RlpEncodable, RlpDecodable)]
struct ProofBody {
    proof: B256,
}

#[derive(RlpEncodable, RlpDecodable)]
struct BatchBody {
    envelopes: Vec<Bytes>,
    next: u64,
    more: bool,
}

#[derive(RlpEncodable, RlpDecodable)]
struct NotedBody {}

const PUSH: u8 = 1;
const WITHDRAW: u8 = 2;
const ANNOUNCE: u8 = 3;
const CHALLENGE: u8 = 4;
const RESEND: u8 = 5;
const ERASE: u8 = 6;
const REFUSED: u8 = 64;
const STORED: u8 = 65;
const NOTED: u8 = 66;
const PROOF: u8 = 67;
const BATCH: u8 = 68;
const ERASED: u8 = 69;

fn message(kind: u8, body: &impl Encodable) -> Bytes {
    let mut out = Vec::with_capacity(body.length().saturating_add(HEAD_BYTES));
    out.extend_from_slice(&[VERSION, kind]);
    body.encode(&mut out);
    out.into()
}

fn unreadable(what: &'static str) -> CodecError {
    CodecError::WrongType { what, want: "what this version of the protocol has" }
}

/// The kind and the body.
fn open(bytes: &Bytes) -> Result<(u8, Bytes), CodecError> {
    within(bytes.len(), MAX_MESSAGE_BYTES, "the message")?;
    match bytes.first_chunk::<HEAD_BYTES>() {
        None => Err(CodecError::Truncated { what: "the head of the message" }),
        Some([VERSION, kind]) => Ok((*kind, bytes.slice(HEAD_BYTES..))),
        Some(_) => Err(unreadable("the version")),
    }
}

fn exact<T: Decodable>(body: &Bytes, what: &'static str) -> Result<T, CodecError> {
    alloy_rlp::decode_exact(body).map_err(|_| unreadable(what))
}

/// Counts the items of a list before memory is given to them.
fn counted(body: &Bytes, limit: usize, what: &'static str) -> Result<(), CodecError> {
    let mut rest = body.as_ref();
    let mut list = alloy_rlp::Header::decode_bytes(&mut rest, true).map_err(|_| unreadable(what))?;
    let mut count = 0usize;
    while !list.is_empty() {
        let header = alloy_rlp::Header::decode(&mut list).map_err(|_| unreadable(what))?;
        list = list.get(header.payload_length..).ok_or(CodecError::Truncated { what })?;
        count = count.saturating_add(1);
        within(count, limit, what)?;
    }
    Ok(())
}

impl Request {
    /// Writes it.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Push { attempt, envelope } => Self::push(*attempt, envelope),
            Self::Withdraw { hash, attempt } => {
                message(WITHDRAW, &WithdrawBody { hash: hash.0, attempt: *attempt })
            }
            Self::Announce(bindings) => message(ANNOUNCE, bindings),
            Self::Challenge(Challenge { key, from, nonce, sealed }) => {
                let (key, from) = (B256::from(key.0), B256::from(from.0));
                let (nonce, sealed) = (FixedBytes(*nonce), FixedBytes(*sealed));
                message(CHALLENGE, &ChallengeBody { key, from, nonce, sealed })
            }
            Self::Resend { key, cursor, limit } => {
                message(RESEND, &ResendBody { key: B256::from(key.0), cursor: *cursor, limit: *limit })
            }
            Self::Erase(order) => message(ERASE, order),
        }
    }

    /// A `Push` of an envelope in CBOR.
    pub fn push(attempt: u64, envelope: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(envelope.len().saturating_add(HEAD_BYTES + ATTEMPT_BYTES));
        out.extend_from_slice(&[VERSION, PUSH]);
        out.extend_from_slice(&attempt.to_be_bytes());
        out.extend_from_slice(envelope);
        out.into()
    }

    /// Reads it.
    pub fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let (kind, body) = open(bytes)?;
        match kind {
            PUSH => {
                let attempt = body.first_chunk::<ATTEMPT_BYTES>();
                let attempt = attempt.ok_or(CodecError::Truncated { what: "the number of the attempt" })?;
                let attempt = u64::from_be_bytes(*attempt);
                Ok(Self::Push { attempt, envelope: body.slice(ATTEMPT_BYTES..) })
            }
            WITHDRAW => exact(&body, "Withdraw")
                .map(|WithdrawBody { hash, attempt }| Self::Withdraw { hash: PayloadHash(hash), attempt }),
            ANNOUNCE => {
                counted(&body, MAX_BINDINGS, "the bindings")?;
                exact(&body, "Announce").map(Self::Announce)
            }
            CHALLENGE => exact(&body, "Challenge").map(|body: ChallengeBody| {
                let (key, from) = (PublicKey(body.key.0), PublicKey(body.from.0));
                Self::Challenge(Challenge { key, from, nonce: body.nonce.0, sealed: body.sealed.0 })
            }),
            RESEND => exact(&body, "Resend").map(|ResendBody { key, cursor, limit }| Self::Resend {
                key: PublicKey(key.0),
                cursor,
                limit,
            }),
            ERASE => exact(&body, "Erase").map(Self::Erase),
            _ => Err(unreadable("the kind of the request")),
        }
    }
}

impl Refusal {
    fn from_code(code: u8) -> Option<Self> {
        [Self::Rule, Self::Busy, Self::NotHeld, Self::Erased, Self::Unreadable]
            .into_iter()
            .find(|refusal| *refusal as u8 == code)
    }
}

impl Answer {
    /// A refusal, with its words cut to what a message holds.
    pub fn refused(refusal: Refusal, text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
        Self::Refused(refusal, text)
    }

    /// Writes it.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Refused(refusal, text) => {
                message(REFUSED, &RefusedBody { refusal: *refusal as u8, text: text.clone() })
            }
            Self::Stored { hash, proof } => message(STORED, &StoredBody { hash: hash.0, proof: *proof }),
            Self::Noted => message(NOTED, &NotedBody {}),
            Self::Proof(proof) => message(PROOF, &ProofBody { proof: *proof }),
            Self::Batch { envelopes, next, more } => {
                message(BATCH, &BatchBody { envelopes: envelopes.clone(), next: *next, more: *more })
            }
            Self::Erased(tombstone) => message(ERASED, tombstone),
        }
    }

    /// Reads it.
    pub fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let (kind, body) = open(bytes)?;
        match kind {
            REFUSED => {
                let RefusedBody { refusal, text } = exact(&body, "Refused")?;
                within(text.len(), MAX_TEXT_BYTES, "the words of the refusal")?;
                let refusal = Refusal::from_code(refusal).ok_or(unreadable("the kind of the refusal"))?;
                Ok(Self::Refused(refusal, text))
            }
            STORED => exact(&body, "Stored")
                .map(|StoredBody { hash, proof }| Self::Stored { hash: PayloadHash(hash), proof }),
            NOTED => exact(&body, "Noted").map(|NotedBody {}| Self::Noted),
            PROOF => exact(&body, "Proof").map(|ProofBody { proof }| Self::Proof(proof)),
            BATCH => decode_batch(&body),
            ERASED => exact(&body, "Erased").map(Self::Erased),
            _ => Err(unreadable("the kind of the answer")),
        }
    }
}

fn decode_batch(body: &Bytes) -> Result<Answer, CodecError> {
    let what = "Batch";
    let mut rest = body.as_ref();
    let list = alloy_rlp::Header::decode_bytes(&mut rest, true).map_err(|_| unreadable(what))?;
    counted(&Bytes(body.0.slice_ref(list)), MAX_BATCH, "the envelopes")?;
    exact(body, what).map(|BatchBody { envelopes, next, more }| Answer::Batch { envelopes, next, more })
}

#[cfg(test)]
mod tests;
