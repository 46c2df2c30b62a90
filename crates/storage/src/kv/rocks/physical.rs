//! The form of RocksDB's logs (write-ahead log and manifest): pieces of 32 KiB with records or parts of records, each
//! `masked crc32c (4) | length (2) | type (1) | payload`, numbers little-endian. A record that does not fit into the
//! rest of a piece is cut; what is too short for a head at the end of a piece is left empty.

use crate::record::crc32c;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

const PIECE_BYTES: usize = 32 << 10;
const HEAD_BYTES: usize = 7;

/// Types of records and their parts.
const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;
/// Types of files that are used again, which ours are not; from 9 on, facts about the file itself.
const RECYCLABLE: [u8; 6] = [5, 6, 7, 8, 11, 131];

/// What a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// How far whole records reach, bytes.
    pub whole: u64,
    /// Length of the file, bytes.
    pub length: u64,
    /// Whether something readable stands behind what is not.
    pub resumes: bool,
    /// Whether all that is wrong is that the file ends too early.
    pub cut_short: bool,
}

impl Extent {
    /// Whether all of it can be read.
    pub fn is_whole(&self) -> bool {
        self.whole == self.length
    }
}

/// Reads a file, and hands each whole record and its place to `visit`, up to the first bytes that are none.
pub fn read(path: &Path, visit: &mut dyn FnMut(u64, &[u8])) -> io::Result<Extent> {
    let mut reader = Reader::default();
    let mut file = File::open(path)?;
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    loop {
        piece.clear();
        (&mut file).take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
        reader.piece(&piece, visit);
        reader.extent.length += piece.len() as u64;
        if piece.len() < PIECE_BYTES || reader.extent.resumes {
            break;
        }
    }
    if reader.broken {
        reader.extent.length = file.metadata()?.len();
    } else if !reader.parts.is_empty() {
        reader.extent.cut_short = true;
    } else {
        // What follows the last record is the empty end of a piece.
        reader.extent.whole = reader.extent.length;
    }
    Ok(reader.extent)
}

#[derive(Default)]
struct Reader {
    extent: Extent,
    broken: bool,
    /// The beginning of a record that goes on in the next piece.
    parts: Vec<u8>,
}

/// A record, or a part of one.
struct Part<'a> {
    kind: u8,
    payload: &'a [u8],
}

impl Reader {
    fn piece(&mut self, piece: &[u8], visit: &mut dyn FnMut(u64, &[u8])) {
        let start = self.extent.length;
        if self.broken {
            self.extent.resumes |= part(piece).is_some();
            return;
        }
        let mut place = 0;
        while let Some(rest) = piece.get(place..) {
            if rest.is_empty() || (rest.len() < HEAD_BYTES && place + rest.len() == PIECE_BYTES) {
                return;
            }
            let Some(part) = part(rest).filter(|part| self.fits(part.kind)) else {
                self.broken = true;
                self.extent.cut_short = is_cut_short(rest, piece.len());
                let later = 1..rest.len();
                self.extent.resumes = later.into_iter().any(|place| {
                    rest.get(place..).and_then(part_of_a_record).is_some_and(|part| !part.payload.is_empty())
                });
                return;
            };
            place += HEAD_BYTES + part.payload.len();
            self.take(part, start + place as u64, visit);
        }
    }

    fn fits(&self, kind: u8) -> bool {
        match kind {
            MIDDLE | LAST => !self.parts.is_empty(),
            _ => self.parts.is_empty(),
        }
    }

    fn take(&mut self, part: Part<'_>, end: u64, visit: &mut dyn FnMut(u64, &[u8])) {
        match part.kind {
            FULL => visit(self.extent.whole, part.payload),
            FIRST | MIDDLE => return self.parts.extend_from_slice(part.payload),
            LAST => {
                self.parts.extend_from_slice(part.payload);
                visit(self.extent.whole, &self.parts);
                self.parts.clear();
            }
            _ => {}
        }
        self.extent.whole = end;
    }
}

fn part(bytes: &[u8]) -> Option<Part<'_>> {
    let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let [a, b, c, d, low, high, kind] = *head;
    let length = usize::from(u16::from_le_bytes([low, high]));
    let payload = rest.get(..length)?;
    if kind == 0 || RECYCLABLE.contains(&kind) {
        return None;
    }
    let summed = bytes.get(HEAD_BYTES - 1..HEAD_BYTES + length)?;
    (masked(crc32c(summed)) == u32::from_le_bytes([a, b, c, d])).then_some(Part { kind, payload })
}

fn part_of_a_record(bytes: &[u8]) -> Option<Part<'_>> {
    // The sum is worked out only where the rest looks like a record: this is asked at every byte.
    bytes.get(HEAD_BYTES - 1).filter(|kind| (FULL..=LAST).contains(kind)).and_then(|_| part(bytes))
}

/// Whether the file ends within this part of a record.
fn is_cut_short(rest: &[u8], piece: usize) -> bool {
    let length = match rest.first_chunk::<HEAD_BYTES>() {
        Some([_, _, _, _, low, high, _]) => usize::from(u16::from_le_bytes([*low, *high])),
        None => return true,
    };
    piece < PIECE_BYTES && HEAD_BYTES + length > rest.len()
}

/// Sums are stored like this, so that a sum over bytes with sums in them stays a good one.
fn masked(sum: u32) -> u32 {
    sum.rotate_right(15).wrapping_add(0xa282_ead8)
}
