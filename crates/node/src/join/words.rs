//! Questions about the past of the chain and their answers: what travels inside [`lonja_p2p::wire::Message::Question`]
//! and `Answer`.
//!
//! | question | answer | limit |
//! |---|---|---|
//! | 0 `Snapshots` | numbers of the blocks whose states are held still for asking | 8 |
//! | 1 `Headers` from, count | consecutive headers in RLP, as many as fit | 512 |
//! | 2 `Part` of a held state | the part ([`lonja_storage::snapshot::Part`]) | some thousand accounts |
//! | 3 `Codes` by hash | the codes, in the order asked, as many as fit | 128 |
//! | 4 `Chapters` from, count | consecutive blocks with their receipts, as many as fit | 64 |
//! | 5 `Witness` of both ends | a block, and the trie nodes and codes by which its state permits the peer | 2 MiB |
//!
//! Receipts travel as they are stored ([`lonja_storage::codec`]). An empty answer says that the peer does not have it.

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use lonja_primitives::{Block, Header, Receipt};
use lonja_storage::codec::{decode_receipts, encode_receipts};
use lonja_storage::snapshot::{Part, PartId};
use std::net::IpAddr;

/// Most numbers in an answer to `Snapshots`.
pub const SNAPSHOTS_MAX: usize = 8;
/// Most headers asked for at once.
pub const HEADERS_MAX: u64 = 512;
/// Most codes asked for at once.
pub const CODES_MAX: usize = 128;
/// Most blocks with receipts asked for at once.
pub const CHAPTERS_MAX: u64 = 64;
/// An answer is not made longer than this, unless its first item is.
pub const ANSWER_BYTES: usize = 2 << 20;
/// Longest host in a question: a DNS name.
pub const HOST_BYTES_MAX: usize = 253;
/// Accounts that a witness may be about. The contracts in use look at fewer than ten.
pub const WITNESS_ACCOUNTS_MAX: usize = 64;
/// Slots that a witness may be about: as many as the gas of a question lets a contract read, about.
pub const WITNESS_SLOTS_MAX: usize = 4_096;
/// Trie nodes in a witness: four to each slot, as in a trie of millions, because the upper ones are shared.
pub const WITNESS_NODES_MAX: usize = 4 * WITNESS_SLOTS_MAX;

/// What a node asks that joins by a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whose states are held.
    Snapshots,
    /// Consecutive headers.
    Headers {
        /// First height.
        from: u64,
        /// How many at most.
        count: u64,
    },
    /// A part of a held state.
    Part {
        /// The block it is the state after.
        number: u64,
        /// Which part.
        id: PartId,
    },
    /// Codes by their hashes.
    Codes(Vec<B256>),
    /// Consecutive blocks with their receipts.
    Chapters {
        /// First height.
        from: u64,
        /// How many at most.
        count: u64,
    },
    /// Proof that the peer may connect.
    Witness(Ends),
}

/// A connection as the node sees it that asks: the contracts may look at any of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Where it reaches the peer: text of an IP address, or a name.
    pub host: String,
    /// The port there.
    pub port: u16,
    /// Its own address, as far as it knows it.
    pub own_ip: Option<IpAddr>,
    /// The port it listens on.
    pub own_port: u16,
}

/// Everything by which somebody can find out what the contracts say, who has but the header of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq, RlpEncodable)]
pub struct Witness {
    /// The block.
    pub number: u64,
    /// Nodes of the tries of accounts and storage, from the roots on.
    pub nodes: Vec<Bytes>,
    /// Codes.
    pub codes: Vec<Bytes>,
}

/// A block with its receipts.
pub type Chapter = (Block, Vec<Receipt>);

#[derive(RlpEncodable, RlpDecodable)]
struct Range {
    from: u64,
    count: u64,
}

#[derive(RlpEncodable, RlpDecodable)]
struct PartBody {
    number: u64,
    id: PartId,
}

#[derive(RlpEncodable, RlpDecodable)]
struct ChapterBody {
    block: Block,
    receipts: Bytes,
}

#[derive(RlpEncodable, RlpDecodable)]
struct EndsBody {
    host: Bytes,
    port: u16,
    own_ip: Bytes,
    own_port: u16,
}

impl From<&Ends> for EndsBody {
    fn from(ends: &Ends) -> Self {
        let own_ip = match ends.own_ip {
            None => Bytes::new(),
            Some(IpAddr::V4(ip)) => ip.octets().into(),
            Some(IpAddr::V6(ip)) => ip.octets().into(),
        };
        let host = Bytes::copy_from_slice(ends.host.as_bytes());
        Self { host, port: ends.port, own_ip, own_port: ends.own_port }
    }
}

impl TryFrom<EndsBody> for Ends {
    type Error = String;

    fn try_from(body: EndsBody) -> Result<Self, String> {
        let host = std::str::from_utf8(&body.host).ok().filter(|host| host.len() <= HOST_BYTES_MAX);
        let own_ip = match body.own_ip.len() {
            0 => None,
            4 => <[u8; 4]>::try_from(body.own_ip.as_ref()).ok().map(IpAddr::from),
            16 => <[u8; 16]>::try_from(body.own_ip.as_ref()).ok().map(IpAddr::from),
            length => return Err(format!("an IP address of {length} bytes")),
        };
        let host = host.ok_or("a host that is none")?.to_owned();
        Ok(Self { host, port: body.port, own_ip, own_port: body.own_port })
    }
}

impl Question {
    /// As it travels: a kind byte and the body in RLP.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        match self {
            Self::Snapshots => out.push(0),
            Self::Headers { from, count } => {
                out.push(1);
                Range { from: *from, count: *count }.encode(&mut out);
            }
            Self::Part { number, id } => {
                out.push(2);
                PartBody { number: *number, id: *id }.encode(&mut out);
            }
            Self::Codes(hashes) => {
                out.push(3);
                hashes.encode(&mut out);
            }
            Self::Chapters { from, count } => {
                out.push(4);
                Range { from: *from, count: *count }.encode(&mut out);
            }
            Self::Witness(ends) => {
                out.push(5);
                EndsBody::from(ends).encode(&mut out);
            }
        }
        out.into()
    }

    /// Reads what came. The error is for the peer it came from.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let (kind, body) = bytes.split_first().ok_or("an empty question")?;
        let range = |most: u64| -> Result<Range, String> {
            let range: Range = exact(body)?;
            match range.count {
                count if (1..=most).contains(&count) => Ok(range),
                count => Err(format!("a question for {count} items, 1 to {most} are allowed")),
            }
        };
        match kind {
            0 if body.is_empty() => Ok(Self::Snapshots),
            1 => range(HEADERS_MAX).map(|range| Self::Headers { from: range.from, count: range.count }),
            2 => exact(body).map(|PartBody { number, id }| Self::Part { number, id }),
            3 => match exact::<Vec<B256>>(body)? {
                hashes if hashes.len() <= CODES_MAX => Ok(Self::Codes(hashes)),
                hashes => Err(format!("a question for {} codes, {CODES_MAX} are the most", hashes.len())),
            },
            4 => range(CHAPTERS_MAX).map(|range| Self::Chapters { from: range.from, count: range.count }),
            5 => exact::<EndsBody>(body)?.try_into().map(Self::Witness),
            kind => Err(format!("there is no question of kind {kind} and this length")),
        }
    }
}

fn exact<T: Decodable>(mut bytes: &[u8]) -> Result<T, String> {
    let value = T::decode(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.is_empty() { Ok(value) } else { Err("bytes behind the end".to_owned()) }
}

/// An answer to `Snapshots`.
pub fn encode_snapshots(numbers: &[u64]) -> Bytes {
    alloy_rlp::encode(numbers.to_vec()).into()
}

/// Reads an answer to `Snapshots`.
pub fn decode_snapshots(bytes: &[u8]) -> Result<Vec<u64>, String> {
    let mut numbers: Vec<u64> = exact(bytes)?;
    numbers.truncate(SNAPSHOTS_MAX);
    Ok(numbers)
}

/// An answer to `Headers`: as many as fit.
pub fn encode_headers(headers: impl Iterator<Item = Header>) -> Bytes {
    fitting(headers.map(|header| alloy_rlp::encode(&header)))
}

/// Reads an answer to `Headers`: consecutive from the asked height on, no more than asked.
pub fn decode_headers(bytes: &[u8], from: u64, count: u64) -> Result<Vec<Header>, String> {
    let headers: Vec<Header> = exact(bytes)?;
    check_numbers(headers.iter().map(|header| header.number), from, count)?;
    Ok(headers)
}

/// An answer to `Part`.
pub fn encode_part(part: &Part) -> Bytes {
    alloy_rlp::encode(part).into()
}

/// Reads an answer to `Part`. Nothing in it is proved yet.
pub fn decode_part(bytes: &[u8]) -> Result<Part, String> {
    exact(bytes)
}

/// An answer to `Codes`: as many as fit, up to the first that is not there.
pub fn encode_codes(codes: impl Iterator<Item = Bytes>) -> Bytes {
    fitting(codes.map(|code| alloy_rlp::encode(&code)))
}

/// Reads an answer to `Codes`: those asked for, from the first on, each with the hash it has.
pub fn decode_codes(bytes: &[u8], asked: &[B256]) -> Result<Vec<(B256, Bytes)>, String> {
    let codes: Vec<Bytes> = exact(bytes)?;
    if codes.len() > asked.len() {
        return Err(format!("{} codes where {} were asked for", codes.len(), asked.len()));
    }
    let pairs: Vec<(B256, Bytes)> = asked.iter().copied().zip(codes).collect();
    match pairs.iter().find(|(hash, code)| keccak256(code) != *hash) {
        Some((hash, _)) => Err(format!("a code that does not hash to {hash}")),
        None => Ok(pairs),
    }
}

/// An answer to `Chapters`: as many as fit.
pub fn encode_chapters(chapters: impl Iterator<Item = Chapter>) -> Bytes {
    fitting(chapters.map(|(block, receipts)| {
        alloy_rlp::encode(ChapterBody { block, receipts: encode_receipts(&receipts).into() })
    }))
}

/// Reads an answer to `Chapters`: consecutive from the asked height on, no more than asked.
pub fn decode_chapters(bytes: &[u8], from: u64, count: u64) -> Result<Vec<Chapter>, String> {
    let bodies: Vec<ChapterBody> = exact(bytes)?;
    check_numbers(bodies.iter().map(|body| body.block.header.number), from, count)?;
    let chapter = |body: ChapterBody| match decode_receipts(&body.receipts) {
        Ok(receipts) => Ok((body.block, receipts)),
        Err(_) => Err("receipts that do not decode".to_owned()),
    };
    bodies.into_iter().map(chapter).collect()
}

/// An answer to `Witness`; empty where it is longer than an answer may be.
pub fn encode_witness(witness: &Witness) -> Bytes {
    match witness.length() {
        length if length <= ANSWER_BYTES => alloy_rlp::encode(witness).into(),
        _ => Bytes::new(),
    }
}

/// Reads an answer to `Witness`. Nothing in it is proved yet.
pub fn decode_witness(bytes: &[u8]) -> Result<Witness, String> {
    if bytes.len() > ANSWER_BYTES {
        return Err(format!("a witness of {} bytes, {ANSWER_BYTES} are the most", bytes.len()));
    }
    let mut rest = bytes;
    let mut body = alloy_rlp::Header::decode_bytes(&mut rest, true).map_err(|error| error.to_string())?;
    let number = u64::decode(&mut body).map_err(|error| error.to_string())?;
    let nodes = texts(&mut body, WITNESS_NODES_MAX)?;
    let codes = texts(&mut body, WITNESS_ACCOUNTS_MAX)?;
    if rest.is_empty() && body.is_empty() {
        Ok(Witness { number, nodes, codes })
    } else {
        Err("bytes behind the end".to_owned())
    }
}

/// A list of so many texts at most; more are not even made.
fn texts(from: &mut &[u8], most: usize) -> Result<Vec<Bytes>, String> {
    let mut list = alloy_rlp::Header::decode_bytes(from, true).map_err(|error| error.to_string())?;
    let mut texts = Vec::new();
    while !list.is_empty() {
        if texts.len() == most {
            return Err(format!("more than {most} items in a list"));
        }
        texts.push(Bytes::decode(&mut list).map_err(|error| error.to_string())?);
    }
    Ok(texts)
}

fn check_numbers(numbers: impl Iterator<Item = u64>, from: u64, count: u64) -> Result<(), String> {
    let mut wanted = from..from.saturating_add(count);
    for number in numbers {
        match wanted.next() {
            Some(want) if want == number => {}
            want => return Err(format!("block {number} where {want:?} was asked for")),
        }
    }
    Ok(())
}

/// An RLP list of items that are encoded already, as many as fit; one always does. Without any it is an empty answer.
fn fitting(items: impl Iterator<Item = Vec<u8>>) -> Bytes {
    let mut payload = Vec::new();
    for item in items {
        if !payload.is_empty() && payload.len() + item.len() > ANSWER_BYTES {
            break;
        }
        payload.extend_from_slice(&item);
    }
    if payload.is_empty() {
        return Bytes::new();
    }
    let mut out = Vec::with_capacity(payload.len() + 9);
    alloy_rlp::Header { list: true, payload_length: payload.len() }.encode(&mut out);
    out.extend_from_slice(&payload);
    out.into()
}

#[cfg(test)]
mod tests;
