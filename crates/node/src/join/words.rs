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
//!
//! Receipts travel as they are stored ([`lonja_storage::codec`]). An empty answer says that the peer does not have it.

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use lonja_primitives::{Block, Header, Receipt};
use lonja_storage::codec::{decode_receipts, encode_receipts};
use lonja_storage::snapshot::{Part, PartId};

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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nibbles(path: &[u8]) -> PartId {
        let step = |id: PartId, nibble: &u8| id.split().unwrap()[usize::from(*nibble)];
        path.iter().fold(PartId::whole(None), step)
    }

    #[test]
    fn questions_round_trip_and_have_bounds() {
        let hashes = |count| Question::Codes(vec![B256::repeat_byte(1); count]);
        for question in [
            Question::Snapshots,
            Question::Headers { from: 7, count: HEADERS_MAX },
            Question::Part { number: 9, id: nibbles(&[1, 15, 0]) },
            Question::Part { number: 9, id: PartId { owner: Some(B256::repeat_byte(2)), ..nibbles(&[]) } },
            hashes(CODES_MAX),
            Question::Chapters { from: 1, count: CHAPTERS_MAX },
        ] {
            let bytes = question.encode();
            assert_eq!(Question::decode(&bytes), Ok(question));
            assert!(Question::decode(&[&bytes[..], &[0]].concat()).is_err(), "a byte too many");
        }
        for bad in [
            Question::Headers { from: 7, count: HEADERS_MAX + 1 },
            Question::Headers { from: 7, count: 0 },
            Question::Chapters { from: 1, count: CHAPTERS_MAX + 1 },
            hashes(CODES_MAX + 1),
        ] {
            assert!(Question::decode(&bad.encode()).is_err(), "{bad:?}");
        }
        assert!(Question::decode(&[]).is_err() && Question::decode(&[9]).is_err());
    }

    #[test]
    fn answers_hold_what_was_asked_for_and_fit() {
        let header = |number| Header { number, ..Header::default() };
        let answer = encode_headers((5..8).map(header));
        assert_eq!(decode_headers(&answer, 5, 3).unwrap().len(), 3);
        assert!(decode_headers(&answer, 4, 3).is_err(), "from another height");
        assert!(decode_headers(&answer, 5, 2).is_err(), "more than asked");
        let codes = [Bytes::from_static(&[1]), Bytes::from_static(&[2])];
        let asked: Vec<B256> = codes.iter().map(keccak256).collect();
        let answer = encode_codes(codes.into_iter());
        assert_eq!(decode_codes(&answer, &asked).unwrap().len(), 2);
        assert!(decode_codes(&answer, &asked[..1]).is_err());
        assert!(decode_codes(&answer, &[asked[1], asked[0]]).is_err());
        let large = (0..100).map(|_| Bytes::from(vec![0; 100_000]));
        assert!(encode_codes(large).len() <= ANSWER_BYTES + 16);
        assert!(encode_codes(std::iter::empty()).is_empty(), "nothing is no list");
        assert_eq!(decode_snapshots(&encode_snapshots(&[3, 9])), Ok(vec![3, 9]));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Question::decode(&bytes);
            let _ = decode_snapshots(&bytes);
            let _ = decode_headers(&bytes, 0, 9);
            let _ = decode_part(&bytes);
            let _ = decode_codes(&bytes, &[B256::ZERO]);
            let _ = decode_chapters(&bytes, 0, 9);
        }
    }
}
