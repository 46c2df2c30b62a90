//! What peers say to each other, as bytes.
//!
//! A message is one kind byte followed by its body: RLP, except for consensus messages, whose bytes are opaque
//! here. On a stream a message travels in a frame: its length as four bytes (big endian), then the message.
//! Every kind has its own size limit, known from the kind byte alone, so that a reader can refuse a frame
//! before it takes a single byte of the body. A frame of length zero holds no message; it only says that its
//! sender is there.
//!
//! | kind | stream | size limit | further limits |
//! |---|---|---|---|
//! | 0 `Status` | consensus, first | 512 B | client at most 128 printable ASCII characters |
//! | 1 `Goodbye` | consensus, last | 512 B | text at most 256 bytes |
//! | 2 `Consensus` | consensus | 10 MiB | not empty |
//! | 3 `Transactions` | data | 1 MiB | 1 to 4096 transactions, none empty |
//! | 4 `NewHead` | data | 64 B | |
//! | 5 `GetBlocks` | data | 64 B | `count` 1 to 128 |
//! | 6 `Blocks` | data | 10 MiB | at most 128 blocks, none empty |
//! | 7 `Relay` | consensus | 10 MiB + 8 KiB | 1 to 256 receivers, message not empty |
//! | 8 `TransactionHashes` | data | 160 KiB | 1 to 4096 hashes |
//! | 9 `GetTransactions` | data | 160 KiB | 1 to 4096 hashes |
//! | 10 `Question` | data | 16 KiB | content opaque here, not empty |
//! | 11 `Answer` | data | 10 MiB | content opaque here |
//! | 12 `PartyRequest` | data, version 2 | 12 MiB | body opaque here, not empty |
//! | 13 `PartyAnswer` | data, version 2 | 12 MiB | body opaque here |
//!
//! The data stream has two versions, told apart by its protocol name. Who opens it offers the newest first; kinds of
//! version 2 are not sent on a stream of version 1, for their receiver would take them for a breach.
//!
//! Decoding is strict: canonical RLP, nothing missing, nothing behind the end. Everything here is a pure
//! function of its input and never panics, whatever the input.

mod kind;
mod session;

pub use kind::{Kind, Lane, StreamVersion};
pub use session::{
    Goodbye, GoodbyeReason, Status, decode_goodbye, decode_status, encode_goodbye_frame, encode_status_frame,
};

use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::{Decodable, Encodable, Header, RlpDecodable, RlpEncodable};
use bytes::{BufMut, BytesMut};
use thiserror::Error;

/// Version of the protocol spoken after libp2p's own handshakes. Peers of another version are refused.
pub const PROTOCOL_VERSION: u64 = 1;
/// Largest consensus message. A proposal holds a whole block and possibly another one as justification; blocks
/// of a permissioned chain stay far below, and ten of them in memory per peer would still be affordable.
pub const MAX_CONSENSUS_BYTES: usize = 10 << 20;
/// Largest batch of transactions: enough for thousands of ordinary ones, small enough to decode at once.
pub const MAX_TRANSACTIONS_BYTES: usize = 1 << 20;
/// Most transactions in a batch, so that decoding work is bounded by count too.
pub const MAX_TRANSACTIONS: usize = 4096;
/// Most blocks that may be asked for, and answered, at a time.
pub const MAX_BLOCKS: usize = 128;
/// Largest answer with blocks. Must hold the largest single block of the chain.
pub const MAX_BLOCKS_BYTES: usize = 10 << 20;
/// Most receivers a relayed message may name: more validators than any network of this kind has.
pub const MAX_RELAY_RECEIVERS: usize = 256;
/// Largest relayed message: the largest consensus message, and room for the receivers.
pub const MAX_RELAY_BYTES: usize = MAX_CONSENSUS_BYTES + (8 << 10);
/// Most hashes in an announcement of transactions, or a request for them.
pub const MAX_HASHES: usize = 4096;
/// Largest list of hashes: 33 bytes each, and room for the list's head.
pub const MAX_HASHES_BYTES: usize = 160 << 10;
/// Largest question about the past of the chain: some hundred hashes.
pub const MAX_QUESTION_BYTES: usize = 16 << 10;
/// Largest answer to it. Must hold the receipts of the largest block.
pub const MAX_ANSWER_BYTES: usize = 10 << 20;
/// Largest message between the managers of two parties: the largest payload that managers take (10 MiB), encrypted, with
/// the keys, hashes and parties that go with it.
pub const MAX_PARTY_BYTES: usize = 12 << 20;
/// Largest fixed-size message (`NewHead`, `GetBlocks`).
pub const MAX_SMALL_BYTES: usize = 64;
/// Largest `Status` or `Goodbye`.
pub const MAX_SESSION_BYTES: usize = 512;
/// Longest client name in a `Status`.
pub const MAX_CLIENT_BYTES: usize = 128;
/// Longest explanation in a `Goodbye`.
pub const MAX_GOODBYE_BYTES: usize = 256;
/// Most bytes in front of the body of a `PartyRequest`: two list heads and a number.
const PARTY_HEAD_BYTES: usize = 32;
/// Bytes of the length in front of a message on a stream.
pub const FRAME_LENGTH_BYTES: usize = 4;

/// A message between peers after the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// An encoded message of the consensus protocol. Travels on the consensus stream.
    Consensus(Bytes),
    /// A batch of transactions, each in its EIP-2718 form.
    Transactions(Vec<Bytes>),
    /// The sender's head moved here.
    NewHead {
        /// Block number.
        number: u64,
        /// Istanbul block hash.
        hash: B256,
    },
    /// Asks for `count` consecutive blocks beginning with number `from`.
    GetBlocks {
        /// Chosen by the asker, given back in the answer.
        request: u64,
        /// First block number.
        from: u64,
        /// How many blocks, 1 to [`MAX_BLOCKS`].
        count: u64,
    },
    /// The answer to `GetBlocks`: a run of blocks from the asked number on, possibly shorter, possibly empty.
    Blocks {
        /// The asker's number.
        request: u64,
        /// RLP of each block, ascending.
        blocks: Vec<Bytes>,
    },
    /// An encoded consensus message that the sender asks to be passed on, once, to validators it has no link
    /// with.
    Relay {
        /// Addresses of those validators.
        to: Vec<Address>,
        /// The message.
        message: Bytes,
    },
    /// The sender has these transactions; whoever lacks one may ask for it.
    TransactionHashes(Vec<B256>),
    /// Asks for transactions by hash; answered by `Transactions` with those that are there.
    GetTransactions(Vec<B256>),
    /// Asks for a part of a state, for headers, code or receipts: what a node needs that joins by a state.
    Question {
        /// Chosen by the asker, given back in the answer.
        request: u64,
        /// What is asked, opaque here.
        content: Bytes,
    },
    /// The answer to a `Question`.
    Answer {
        /// The asker's number.
        request: u64,
        /// What is answered, opaque here; empty where the peer does not have it.
        content: Bytes,
    },
    /// What the manager of one party asks of another's.
    PartyRequest {
        /// Chosen by the asker, given back in the answer.
        request: u64,
        /// What is asked, opaque here.
        body: Bytes,
    },
    /// The answer to a `PartyRequest`.
    PartyAnswer {
        /// The asker's number.
        request: u64,
        /// What is answered, opaque here; empty where nobody at the peer deals with it.
        body: Bytes,
    },
}

/// Why bytes are not a message, or a message cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// No kind byte.
    #[error("the message is empty")]
    Empty,
    /// No message has this kind byte.
    #[error("there is no message of kind {0}")]
    UnknownKind(u8),
    /// Longer than its kind may be.
    #[error("{kind:?} of {length} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Kind of the message.
        kind: Kind,
        /// Its length with the kind byte.
        length: usize,
        /// What would be allowed.
        limit: usize,
    },
    /// A count is outside its bounds.
    #[error("{kind:?} with a count of {count}, allowed are {least} to {most}")]
    BadCount {
        /// Kind of the message.
        kind: Kind,
        /// The count found.
        count: u64,
        /// Smallest count allowed.
        least: u64,
        /// Largest count allowed.
        most: u64,
    },
    /// The body is not what the kind asks for.
    #[error("malformed {kind:?}: {what}")]
    Malformed {
        /// Kind of the message.
        kind: Kind,
        /// What is wrong.
        what: String,
    },
    /// The kind belongs to the other stream, or to the handshake only.
    #[error("{0:?} does not belong here")]
    Misplaced(Kind),
}

impl Message {
    /// The kind byte this message has.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Consensus(_) => Kind::Consensus,
            Self::Transactions(_) => Kind::Transactions,
            Self::NewHead { .. } => Kind::NewHead,
            Self::GetBlocks { .. } => Kind::GetBlocks,
            Self::Blocks { .. } => Kind::Blocks,
            Self::Relay { .. } => Kind::Relay,
            Self::TransactionHashes(_) => Kind::TransactionHashes,
            Self::GetTransactions(_) => Kind::GetTransactions,
            Self::Question { .. } => Kind::Question,
            Self::Answer { .. } => Kind::Answer,
            Self::PartyRequest { .. } => Kind::PartyRequest,
            Self::PartyAnswer { .. } => Kind::PartyAnswer,
        }
    }
}

#[derive(RlpEncodable, RlpDecodable)]
struct NewHeadBody {
    number: u64,
    hash: B256,
}

#[derive(RlpEncodable, RlpDecodable)]
struct GetBlocksBody {
    request: u64,
    from: u64,
    count: u64,
}

#[derive(RlpEncodable, RlpDecodable)]
struct QuestionBody {
    request: u64,
    content: Bytes,
}

#[derive(RlpEncodable, RlpDecodable)]
struct RelayBody {
    to: Vec<Address>,
    message: Bytes,
}

/// The bytes of a message: kind byte and body. Fails where [`decode`] would refuse the result.
pub fn encode(message: &Message) -> Result<Bytes, WireError> {
    let mut out = BytesMut::new();
    put_message(message, &mut out)?;
    Ok(Bytes::from(out.freeze()))
}

/// A message as it travels: length, kind byte and body in one piece.
pub fn encode_frame(message: &Message) -> Result<Bytes, WireError> {
    frame(message.kind(), |out| put_message(message, out))
}

/// Reads a message: kind byte and body, without the length of the frame. The handshake's kinds are refused.
pub fn decode(bytes: &Bytes) -> Result<Message, WireError> {
    let (kind, body) = split(bytes)?;
    match kind {
        Kind::Status | Kind::Goodbye => Err(WireError::Misplaced(kind)),
        Kind::Consensus if body.is_empty() => Err(malformed(kind, "no content")),
        Kind::Consensus => Ok(Message::Consensus(Bytes::from(bytes.0.slice(1..)))),
        Kind::Transactions => Ok(Message::Transactions(decode_transactions(body)?)),
        Kind::NewHead => {
            exact::<NewHeadBody>(kind, body).map(|b| Message::NewHead { number: b.number, hash: b.hash })
        }
        Kind::GetBlocks => {
            let b = exact::<GetBlocksBody>(kind, body)?;
            check_count(kind, b.count, 1, MAX_BLOCKS)?;
            Ok(Message::GetBlocks { request: b.request, from: b.from, count: b.count })
        }
        Kind::Blocks => decode_blocks(bytes, body),
        Kind::Relay => decode_relay(body),
        Kind::TransactionHashes => Ok(Message::TransactionHashes(decode_hashes(kind, body)?)),
        Kind::GetTransactions => Ok(Message::GetTransactions(decode_hashes(kind, body)?)),
        Kind::Question => {
            let QuestionBody { request, content } = exact(kind, body)?;
            match content.is_empty() {
                true => Err(malformed(kind, "no content")),
                false => Ok(Message::Question { request, content }),
            }
        }
        Kind::Answer => exact::<QuestionBody>(kind, body)
            .map(|b| Message::Answer { request: b.request, content: b.content }),
        Kind::PartyRequest => match decode_party(kind, bytes, body)? {
            (_, body) if body.is_empty() => Err(malformed(kind, "no content")),
            (request, body) => Ok(Message::PartyRequest { request, body }),
        },
        Kind::PartyAnswer => {
            decode_party(kind, bytes, body).map(|(request, body)| Message::PartyAnswer { request, body })
        }
    }
}

fn put_message(message: &Message, out: &mut BytesMut) -> Result<(), WireError> {
    let kind = message.kind();
    let start = out.len();
    out.put_u8(kind as u8);
    match message {
        Message::Consensus(bytes) if bytes.is_empty() => return Err(malformed(kind, "no content")),
        Message::Consensus(bytes) => {
            kind.check_length(bytes.len().saturating_add(1))?;
            out.extend_from_slice(bytes);
        }
        Message::Transactions(items) => {
            check_count(kind, items.len() as u64, 1, MAX_TRANSACTIONS)?;
            put_items(kind, items, out)?;
        }
        Message::NewHead { number, hash } => NewHeadBody { number: *number, hash: *hash }.encode(out),
        Message::GetBlocks { request, from, count } => {
            check_count(kind, *count, 1, MAX_BLOCKS)?;
            GetBlocksBody { request: *request, from: *from, count: *count }.encode(out);
        }
        Message::Blocks { request, blocks } => {
            check_count(kind, blocks.len() as u64, 0, MAX_BLOCKS)?;
            let payload_length = request.length() + items_length(kind, blocks)?;
            Header { list: true, payload_length }.encode(out);
            request.encode(out);
            put_items(kind, blocks, out)?;
        }
        Message::Relay { message, .. } if message.is_empty() => return Err(malformed(kind, "no content")),
        Message::Relay { to, message } => {
            check_count(kind, to.len() as u64, 1, MAX_RELAY_RECEIVERS)?;
            Kind::Consensus.check_length(message.len().saturating_add(1))?;
            RelayBody { to: to.clone(), message: message.clone() }.encode(out);
        }
        Message::Question { content, .. } if content.is_empty() => return Err(malformed(kind, "no content")),
        Message::Question { request, content } | Message::Answer { request, content } => {
            kind.check_length(content.len())?;
            QuestionBody { request: *request, content: content.clone() }.encode(out);
        }
        Message::PartyRequest { body, .. } if body.is_empty() => return Err(malformed(kind, "no content")),
        Message::PartyRequest { request, body } | Message::PartyAnswer { request, body } => {
            kind.check_length(body.len())?;
            out.reserve(body.len().saturating_add(PARTY_HEAD_BYTES));
            Header { list: true, payload_length: request.length() + body.length() }.encode(out);
            request.encode(out);
            body.encode(out);
        }
        Message::TransactionHashes(hashes) | Message::GetTransactions(hashes) => {
            check_count(kind, hashes.len() as u64, 1, MAX_HASHES)?;
            hashes.encode(out);
        }
    }
    kind.check_length(out.len() - start)
}

/// Length of a list of byte strings; refuses empty ones and what is certainly too long.
fn items_length(kind: Kind, items: &[Bytes]) -> Result<usize, WireError> {
    if items.iter().any(|item| item.is_empty()) {
        return Err(malformed(kind, "an item is empty"));
    }
    let payload = items.iter().fold(0usize, |sum, item| sum.saturating_add(item.length()));
    kind.check_length(payload)?;
    Ok(Header { list: true, payload_length: payload }.length_with_payload())
}

fn put_items(kind: Kind, items: &[Bytes], out: &mut BytesMut) -> Result<(), WireError> {
    out.reserve(items_length(kind, items)?);
    let payload_length = items.iter().map(Encodable::length).sum();
    Header { list: true, payload_length }.encode(out);
    items.iter().for_each(|item| item.encode(out));
    Ok(())
}

fn frame(kind: Kind, put: impl FnOnce(&mut BytesMut) -> Result<(), WireError>) -> Result<Bytes, WireError> {
    let mut out = BytesMut::zeroed(FRAME_LENGTH_BYTES);
    put(&mut out)?;
    let length = out.len() - FRAME_LENGTH_BYTES;
    let prefix =
        u32::try_from(length).map_err(|_| WireError::TooLarge { kind, length, limit: kind.max_bytes() })?;
    out[..FRAME_LENGTH_BYTES].copy_from_slice(&prefix.to_be_bytes());
    Ok(Bytes::from(out.freeze()))
}

fn split(bytes: &Bytes) -> Result<(Kind, &[u8]), WireError> {
    let (first, body) = bytes.split_first().ok_or(WireError::Empty)?;
    let kind = Kind::from_byte(*first)?;
    kind.check_length(bytes.len())?;
    Ok((kind, body))
}

fn exact<T: Decodable>(kind: Kind, mut body: &[u8]) -> Result<T, WireError> {
    let value = T::decode(&mut body).map_err(|e| malformed(kind, e))?;
    if body.is_empty() { Ok(value) } else { Err(malformed(kind, "bytes behind the end")) }
}

/// Transactions are copied out of the frame: one of them kept in the pool must not keep the whole batch in
/// memory.
fn decode_transactions(mut body: &[u8]) -> Result<Vec<Bytes>, WireError> {
    let kind = Kind::Transactions;
    let list = Header::decode_bytes(&mut body, true).map_err(|e| malformed(kind, e))?;
    if !body.is_empty() {
        return Err(malformed(kind, "bytes behind the end"));
    }
    let items = decode_items(kind, list, MAX_TRANSACTIONS, Bytes::copy_from_slice)?;
    check_count(kind, items.len() as u64, 1, MAX_TRANSACTIONS)?;
    Ok(items)
}

/// Blocks stay slices of the frame: they are decoded at once and then dropped.
fn decode_blocks(bytes: &Bytes, mut body: &[u8]) -> Result<Message, WireError> {
    let kind = Kind::Blocks;
    let mut list = Header::decode_bytes(&mut body, true).map_err(|e| malformed(kind, e))?;
    let request = u64::decode(&mut list).map_err(|e| malformed(kind, e))?;
    let items = Header::decode_bytes(&mut list, true).map_err(|e| malformed(kind, e))?;
    if !body.is_empty() || !list.is_empty() {
        return Err(malformed(kind, "bytes behind the end"));
    }
    let blocks = decode_items(kind, items, MAX_BLOCKS, |item| Bytes::from(bytes.0.slice_ref(item)))?;
    Ok(Message::Blocks { request, blocks })
}

/// The number and the body, which is a slice of the frame: it is the larger part of it, and may be many megabytes.
fn decode_party(kind: Kind, bytes: &Bytes, mut body: &[u8]) -> Result<(u64, Bytes), WireError> {
    let mut list = Header::decode_bytes(&mut body, true).map_err(|e| malformed(kind, e))?;
    let request = u64::decode(&mut list).map_err(|e| malformed(kind, e))?;
    let content = Header::decode_bytes(&mut list, false).map_err(|e| malformed(kind, e))?;
    match body.is_empty() && list.is_empty() {
        true => Ok((request, Bytes::from(bytes.0.slice_ref(content)))),
        false => Err(malformed(kind, "bytes behind the end")),
    }
}

fn decode_relay(body: &[u8]) -> Result<Message, WireError> {
    let kind = Kind::Relay;
    let RelayBody { to, message } = exact(kind, body)?;
    check_count(kind, to.len() as u64, 1, MAX_RELAY_RECEIVERS)?;
    if message.is_empty() {
        return Err(malformed(kind, "no content"));
    }
    Kind::Consensus.check_length(message.len().saturating_add(1))?;
    Ok(Message::Relay { to, message })
}

fn decode_hashes(kind: Kind, body: &[u8]) -> Result<Vec<B256>, WireError> {
    let hashes: Vec<B256> = exact(kind, body)?;
    check_count(kind, hashes.len() as u64, 1, MAX_HASHES)?;
    Ok(hashes)
}

fn decode_items(
    kind: Kind,
    mut list: &[u8],
    most: usize,
    take: impl Fn(&[u8]) -> Bytes,
) -> Result<Vec<Bytes>, WireError> {
    let mut items = Vec::new();
    while !list.is_empty() {
        let item = Header::decode_bytes(&mut list, false).map_err(|e| malformed(kind, e))?;
        if item.is_empty() {
            return Err(malformed(kind, "an item is empty"));
        }
        if items.len() == most {
            return check_count(kind, most as u64 + 1, 0, most).map(|()| items);
        }
        items.push(take(item));
    }
    Ok(items)
}

fn check_count(kind: Kind, count: u64, least: u64, most: usize) -> Result<(), WireError> {
    let most = most as u64;
    if (least..=most).contains(&count) {
        Ok(())
    } else {
        Err(WireError::BadCount { kind, count, least, most })
    }
}

fn malformed(kind: Kind, what: impl ToString) -> WireError {
    WireError::Malformed { kind, what: what.to_string() }
}

#[cfg(test)]
mod tests;
