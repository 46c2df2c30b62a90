//! CBOR items, as many kinds as an envelope has (RFC 8949 §3): integers, byte strings, text, arrays and maps, the last two
//! also of indefinite length.

use crate::codec::CodecError;
use alloy_primitives::Bytes;

/// Major type of integers from 0 up.
pub(super) const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
/// Major type of arrays.
pub(super) const ARRAY: u8 = 4;
/// Major type of maps.
pub(super) const MAP: u8 = 5;

/// Ends an array or a map of indefinite length.
const BREAK: u8 = 0xff;
/// The additional information that says so.
const INDEFINITE: u8 = 31;

/// How many entries of an array or a map are left: known, or until the break.
pub(super) struct Length(Option<u64>);

/// Reads items one after the other. What it returns shares the memory of the bytes.
pub(super) struct Items<'a> {
    bytes: &'a Bytes,
    position: usize,
}

impl<'a> Items<'a> {
    /// Starts in front.
    pub(super) fn new(bytes: &'a Bytes) -> Self {
        Self { bytes, position: 0 }
    }

    fn take(&mut self, length: usize, what: &'static str) -> Result<Bytes, CodecError> {
        let end = self.position.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(CodecError::Truncated { what })?;
        let taken = self.bytes.slice(self.position..end);
        self.position = end;
        Ok(taken)
    }

    fn peek(&self, what: &'static str) -> Result<u8, CodecError> {
        self.bytes.get(self.position).copied().ok_or(CodecError::Truncated { what })
    }

    /// Major type and argument; the argument is `None` where the length is indefinite.
    fn head(&mut self, what: &'static str) -> Result<(u8, Option<u64>), CodecError> {
        let first = self.peek(what)?;
        self.position = self.position.saturating_add(1);
        let (major, information) = (first >> 5, first & 31);
        let argument = match information {
            0..=23 => Some(information.into()),
            24..=27 => {
                let bytes = self.take(1 << (information - 24), what)?;
                Some(bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
            }
            INDEFINITE => None,
            _ => return Err(CodecError::WrongType { what, want: "CBOR" }),
        };
        Ok((major, argument))
    }

    /// An integer; `None` for one below zero.
    pub(super) fn integer(&mut self, what: &'static str) -> Result<Option<u64>, CodecError> {
        match self.head(what)? {
            (UNSIGNED, Some(value)) => Ok(Some(value)),
            (NEGATIVE, Some(_)) => Ok(None),
            _ => Err(CodecError::WrongType { what, want: "an integer" }),
        }
    }

    fn string(
        &mut self,
        want: u8,
        limit: usize,
        what: &'static str,
        name: &'static str,
    ) -> Result<Bytes, CodecError> {
        let (major, Some(size)) = self.head(what)? else {
            return Err(CodecError::WrongType { what, want: name });
        };
        if major != want {
            return Err(CodecError::WrongType { what, want: name });
        }
        let length = usize::try_from(size).ok().filter(|length| *length <= limit);
        self.take(length.ok_or(CodecError::TooLarge { what, size, limit })?, what)
    }

    /// A byte string of known length, at most `limit`.
    pub(super) fn bytes(&mut self, limit: usize, what: &'static str) -> Result<Bytes, CodecError> {
        self.string(BYTES, limit, what, "a byte string of known length")
    }

    /// A text of known length, at most `limit` bytes. Whether it is UTF-8 is not looked at.
    pub(super) fn text(&mut self, limit: usize, what: &'static str) -> Result<Bytes, CodecError> {
        self.string(TEXT, limit, what, "a text of known length")
    }

    /// The beginning of an array.
    pub(super) fn array(&mut self, what: &'static str) -> Result<Length, CodecError> {
        match self.head(what)? {
            (ARRAY, length) => Ok(Length(length)),
            _ => Err(CodecError::WrongType { what, want: "an array" }),
        }
    }

    /// The beginning of a map. Its length counts pairs.
    pub(super) fn map(&mut self, what: &'static str) -> Result<Length, CodecError> {
        match self.head(what)? {
            (MAP, length) => Ok(Length(length)),
            _ => Err(CodecError::WrongType { what, want: "a map" }),
        }
    }

    /// Whether another entry follows, which is then to be read.
    pub(super) fn another(&mut self, left: &mut Length, what: &'static str) -> Result<bool, CodecError> {
        match &mut left.0 {
            Some(0) => Ok(false),
            Some(left) => {
                *left = left.saturating_sub(1);
                Ok(true)
            }
            None if self.peek(what)? == BREAK => {
                self.position = self.position.saturating_add(1);
                Ok(false)
            }
            None => Ok(true),
        }
    }
}

/// Writes a major type with its argument, as short as it goes.
pub(super) fn put_head(out: &mut Vec<u8>, major: u8, argument: usize) {
    let major = major << 5;
    let bytes = (argument as u64).to_be_bytes();
    match argument {
        0..=23 => out.push(major | argument as u8),
        24..=0xff => out.extend_from_slice(&[major | 24, argument as u8]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend_from_slice(&bytes[6..]);
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend_from_slice(&bytes[4..]);
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&bytes);
        }
    }
}

/// Writes a byte string.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_head(out, BYTES, bytes.len());
    out.extend_from_slice(bytes);
}

/// Writes a text.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_head(out, TEXT, text.len());
    out.extend_from_slice(text.as_bytes());
}
