//! Cutting a file into blocks.

use alloy_rlp::Decodable;
use lonja_primitives::Block;
use std::io::{self, Read};
use thiserror::Error;

/// Longest block that is read, bytes: far above every network's limit, and little memory.
const BLOCK_BYTES_MAX: usize = 64 << 20;

/// Why a file cannot be read on.
#[derive(Debug, Error)]
pub enum FileError {
    /// The system or the decompressor.
    #[error("after {blocks} blocks: {error}")]
    Io {
        /// Whole blocks read before it.
        blocks: u64,
        /// What was said.
        error: io::Error,
    },
    /// It ends within a block.
    #[error("the file ends within a block, after {blocks} whole ones: it was cut off")]
    CutOff {
        /// Whole blocks read before it.
        blocks: u64,
    },
    /// What stands there is no block.
    #[error("after {blocks} blocks, at byte {offset}: {reason}")]
    NoBlock {
        /// Whole blocks read before it.
        blocks: u64,
        /// Where it begins, in the uncompressed file.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// The blocks of a file, in order. Ends at the first error.
pub struct BlockReader<R> {
    input: R,
    offset: u64,
    blocks: u64,
    broken: bool,
}

impl<R: Read> BlockReader<R> {
    /// From the beginning of a file, which the caller buffers.
    pub fn new(input: R) -> Self {
        Self { input, offset: 0, blocks: 0, broken: false }
    }

    /// Where the last whole block ends, bytes into the uncompressed file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn read_block(&mut self) -> Result<Option<Block>, FileError> {
        let Some(bytes) = self.read_item()? else { return Ok(None) };
        let mut rest = bytes.as_slice();
        let block = Block::decode(&mut rest).map_err(|error| self.no_block(error.to_string()))?;
        self.offset += bytes.len() as u64;
        self.blocks += 1;
        Ok(Some(block))
    }

    /// The next RLP list, with its head; `None` at the end of the file.
    fn read_item(&mut self) -> Result<Option<Vec<u8>>, FileError> {
        let mut item = vec![0];
        if self.fill(&mut item)? == 0 {
            return Ok(None);
        }
        let length = match item.first().copied().unwrap_or_default() {
            first @ 0xc0..=0xf7 => usize::from(first - 0xc0),
            first @ 0xf8.. => {
                let mut length = vec![0; usize::from(first - 0xf7)];
                self.fill_whole(&mut length)?;
                item.extend_from_slice(&length);
                length
                    .iter()
                    .fold(0usize, |sum, byte| sum.saturating_mul(256).saturating_add(usize::from(*byte)))
            }
            first => {
                return Err(
                    self.no_block(format!("byte 0x{first:02x} begins no RLP list; is it a block file?"))
                );
            }
        };
        if length > BLOCK_BYTES_MAX {
            return Err(
                self.no_block(format!("a block of {length} bytes; none is longer than {BLOCK_BYTES_MAX}"))
            );
        }
        let head = item.len();
        item.resize(head + length, 0);
        let payload = item.get_mut(head..).unwrap_or_default();
        self.fill_whole(payload)?;
        Ok(Some(item))
    }

    fn fill_whole(&mut self, bytes: &mut [u8]) -> Result<(), FileError> {
        match self.fill(bytes)? {
            read if read == bytes.len() => Ok(()),
            _ => Err(FileError::CutOff { blocks: self.blocks }),
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<usize, FileError> {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.input.read(rest) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(FileError::Io { blocks: self.blocks, error }),
            }
        }
        Ok(filled)
    }

    fn no_block(&self, reason: String) -> FileError {
        FileError::NoBlock { blocks: self.blocks, offset: self.offset, reason }
    }
}

impl<R: Read> Iterator for BlockReader<R> {
    type Item = Result<Block, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.broken {
            return None;
        }
        let next = self.read_block().transpose();
        self.broken = matches!(next, Some(Err(_)));
        next
    }
}
