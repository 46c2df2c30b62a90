//! The building blocks of Tessera's own encoding: every length and count is a Java `long`, 8 bytes big-endian.

use super::CodecError;
use alloy_primitives::Bytes;

/// Bytes that every list entry and every field has at least: its length.
const LENGTH_BYTES: usize = 8;

/// Reads fields one after the other. What it returns shares the memory of the bytes.
pub(crate) struct Reader<'a> {
    bytes: &'a Bytes,
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts in front.
    pub(crate) fn new(bytes: &'a Bytes) -> Self {
        Self { bytes, position: 0 }
    }

    /// How many bytes are left.
    fn rest(&self) -> usize {
        self.bytes.len().saturating_sub(self.position)
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest() == 0
    }

    fn take(&mut self, length: usize, what: &'static str) -> Result<Bytes, CodecError> {
        let end = self.position.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(CodecError::Truncated { what })?;
        let taken = self.bytes.slice(self.position..end);
        self.position = end;
        Ok(taken)
    }

    fn long(&mut self, what: &'static str) -> Result<u64, CodecError> {
        let bytes = self.take(LENGTH_BYTES, what)?;
        let bytes: [u8; LENGTH_BYTES] =
            bytes.as_ref().try_into().map_err(|_| CodecError::Truncated { what })?;
        Ok(u64::from_be_bytes(bytes))
    }

    /// A length and that many bytes, at most `limit`.
    pub(crate) fn field(&mut self, limit: usize, what: &'static str) -> Result<Bytes, CodecError> {
        let size = self.long(what)?;
        let length = usize::try_from(size).ok().filter(|length| *length <= limit);
        self.take(length.ok_or(CodecError::TooLarge { what, size, limit })?, what)
    }

    /// A count of entries, at most `limit`, and no more than the rest of the bytes can hold.
    pub(crate) fn count(&mut self, limit: usize, what: &'static str) -> Result<usize, CodecError> {
        let size = self.long(what)?;
        let count = usize::try_from(size).ok().filter(|count| *count <= limit);
        let count = count.ok_or(CodecError::TooLarge { what, size, limit })?;
        if count > self.rest() / LENGTH_BYTES {
            return Err(CodecError::Truncated { what });
        }
        Ok(count)
    }

    /// A count and that many fields.
    pub(crate) fn array(
        &mut self,
        count_limit: usize,
        field_limit: usize,
        what: &'static str,
    ) -> Result<Vec<Bytes>, CodecError> {
        let count = self.count(count_limit, what)?;
        (0..count).map(|_| self.field(field_limit, what)).collect()
    }

    /// A field of text.
    pub(crate) fn text(&mut self, limit: usize, what: &'static str) -> Result<String, CodecError> {
        let field = self.field(limit, what)?;
        let text =
            std::str::from_utf8(&field).map_err(|_| CodecError::WrongType { what, want: "UTF-8 text" })?;
        Ok(text.to_string())
    }
}

/// Writes a count.
pub(crate) fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u64).to_be_bytes());
}

/// Writes a length and the bytes.
pub(crate) fn put_field(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Writes a count and as many fields.
pub(crate) fn put_array<B: AsRef<[u8]>>(out: &mut Vec<u8>, fields: &[B]) {
    put_count(out, fields.len());
    for field in fields {
        put_field(out, field.as_ref());
    }
}
