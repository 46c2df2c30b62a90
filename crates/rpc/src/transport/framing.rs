//! Cuts a byte stream into JSON objects and arrays. Clients of a local socket separate messages by a newline, by
//! nothing, or by any white space; so the end of a message is found by its brackets.

use std::io;
use tokio_util::bytes::{Buf, BytesMut};
use tokio_util::codec::Decoder;

/// Finds message after message.
#[derive(Debug)]
pub(crate) struct JsonFrames {
    message_bytes_max: usize,
    /// How much of the buffer has been looked at.
    seen: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl JsonFrames {
    pub(crate) fn new(message_bytes_max: u32) -> Self {
        let message_bytes_max = message_bytes_max as usize;
        Self { message_bytes_max, seen: 0, depth: 0, in_string: false, escaped: false }
    }

    /// Takes one more byte; true when it ends a message.
    fn step(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

impl Decoder for JsonFrames {
    type Item = BytesMut;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        if self.depth == 0 {
            let blank = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            buffer.advance(blank);
            self.seen = 0;
            match buffer.first() {
                None => return Ok(None),
                Some(b'{' | b'[') => {}
                Some(_) => return Err(invalid("a JSON object or array is expected")),
            }
        }
        while let Some(byte) = buffer.get(self.seen).copied() {
            self.seen = self.seen.saturating_add(1);
            if self.seen > self.message_bytes_max {
                return Err(invalid("the message is too long"));
            }
            if self.step(byte) {
                let length = std::mem::take(&mut self.seen);
                return Ok(Some(buffer.split_to(length)));
            }
        }
        Ok(None)
    }

    /// A client that says nothing more may still wait for answers; half a message is worth nothing.
    fn decode_eof(&mut self, buffer: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        let message = self.decode(buffer)?;
        if message.is_none() {
            buffer.clear();
        }
        Ok(message)
    }
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(pieces: &[&[u8]], most: u32) -> Result<Vec<String>, io::Error> {
        let (mut decoder, mut buffer, mut found) = (JsonFrames::new(most), BytesMut::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Some(message) = decoder.decode(&mut buffer)? {
                found.push(String::from_utf8_lossy(&message).into_owned());
            }
        }
        Ok(found)
    }

    #[test]
    fn messages_end_with_their_brackets() {
        let text = br#" {"a":"}\"]"}[1,[2]]
            {"b":{}} {"half":"#;
        assert_eq!(frames(&[text], 1_000).unwrap(), [r#"{"a":"}\"]"}"#, "[1,[2]]", r#"{"b":{}}"#]);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert!(frames(&[b"hello"], 1_000).is_err());
        assert!(frames(&[b"{} 7"], 1_000).is_err());
        assert!(frames(&[b"]"], 1_000).is_err());
        assert!(frames(&[b"[1234567890]"], 12).is_ok());
        assert!(frames(&[b"[1234567890]"], 11).is_err());
        assert!(frames(&[b"[123456789", b"0"], 10).is_err());
    }

    proptest! {
        /// Where the stream is cut makes no difference.
        #[test]
        fn cuts_do_not_matter(texts in prop::collection::vec(".{0,20}", 1..5), cut in 0..400_usize) {
            let messages: Vec<String> =
                texts.iter().map(|text| serde_json::json!({ "t": text, "l": [text] }).to_string()).collect();
            let stream = messages.join("\n").into_bytes();
            let (head, tail) = stream.split_at(cut.min(stream.len()));
            prop_assert_eq!(frames(&[head, tail], 10_000).unwrap(), messages.clone());
            let single: Vec<&[u8]> = stream.chunks(1).collect();
            prop_assert_eq!(frames(&single, 10_000).unwrap(), messages);
        }

        #[test]
        fn junk_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = frames(&[&bytes], 100);
        }
    }
}
