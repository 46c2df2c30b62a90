//! Looks at all that is stored, and compares what says the same thing twice: rows with their checksums, blocks
//! with their roots and hashes, tries with the flat state, code with its hash.
//!
//! The work is cut into steps, so that a caller can show how far it got, stop, and go on later.

mod blocks;
mod state;

pub(crate) use state::StateLook;
pub use state::{Position, Slice};

use crate::open::{read_head, read_number, read_trie};
use crate::tables::META_FLOOR;
use crate::trie::TrieStore;
use crate::{Head, Kv, StoreError, Table};
use lonja_primitives::{ChainSpec, SealedHeader};
use rayon::prelude::*;
use std::sync::Arc;

/// Rows of a table read in one step: some tenths of a second.
const ROWS_PER_STEP: usize = 200_000;
/// Blocks in one step, shared among the processors: a second or so where they are full.
const BLOCKS_PER_STEP: u64 = 16;
/// Accounts are looked at by the first byte of their hash.
const PARTS: u16 = 256;
/// Parts in one step, shared among the processors.
const PARTS_PER_STEP: u16 = 8;

/// Compares everything in one store, which nobody writes meanwhile.
pub struct Audit {
    kv: Arc<dyn Kv>,
    tries: TrieStore,
    head: SealedHeader,
    /// The oldest block above block 0 that is stored.
    floor: u64,
    spec: ChainSpec,
}

/// How far an audit got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditProgress {
    /// Tables read to the end, of [`Table::CHAIN`].
    pub tables: usize,
    /// Where the next table goes on.
    pub key: Vec<u8>,
    /// Rows read.
    pub rows: u64,
    /// The next block to look at.
    pub block: u64,
    /// Transactions of the blocks before it.
    pub transactions: u64,
    /// Parts of the state looked at, of 256. They count only as long as the head is the same.
    pub parts: u16,
    /// Accounts in them.
    pub accounts: u64,
    /// Storage slots in them.
    pub slots: u64,
}

/// What an audit does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Every row of every table, against its block's checksum.
    Rows,
    /// Blocks, receipts and the ways to find them.
    Blocks,
    /// Accounts, slots, codes and tries.
    State,
    /// Nothing: all was looked at.
    Done,
}

impl Audit {
    /// Begins on a store that exists. Errors as those of [`crate::open`]; the state root is compared already here.
    pub fn open(kv: Arc<dyn Kv>, spec: ChainSpec) -> Result<Self, StoreError> {
        let tries = TrieStore::new(kv.clone());
        let head = read_head(&*kv)?;
        read_trie(&*kv, &tries, head.number, head.state_root)?;
        let floor = read_number(&*kv, META_FLOOR)?;
        Ok(Self { kv, tries, head, floor, spec })
    }

    /// The newest block.
    pub fn head(&self) -> Head {
        Head { number: self.head.number, hash: self.head.hash() }
    }

    /// What comes next.
    pub fn stage(&self, progress: &AuditProgress) -> Stage {
        match progress {
            _ if progress.tables < Table::CHAIN.len() => Stage::Rows,
            _ if progress.block <= self.head.number => Stage::Blocks,
            _ if progress.parts < PARTS => Stage::State,
            _ => Stage::Done,
        }
    }

    /// Does some of what comes next; a second or so. The error is the first thing found wrong, and names it.
    pub fn step(&self, progress: &mut AuditProgress) -> Result<(), StoreError> {
        match self.stage(progress) {
            Stage::Rows => self.read_rows(progress),
            Stage::Blocks => self.look_at_blocks(progress),
            Stage::State => self.look_at_state(progress),
            Stage::Done => Ok(()),
        }
    }

    fn read_rows(&self, progress: &mut AuditProgress) -> Result<(), StoreError> {
        let Some(table) = Table::CHAIN.get(progress.tables) else { return Ok(()) };
        let mut rows = 0;
        let mut next = None;
        self.kv.scan(*table, &progress.key, &mut |key, _| {
            if rows == ROWS_PER_STEP {
                next = Some(key.to_vec());
                return false;
            }
            rows += 1;
            true
        })?;
        progress.rows += rows as u64;
        progress.tables += usize::from(next.is_none());
        progress.key = next.unwrap_or_default();
        Ok(())
    }

    fn look_at_blocks(&self, progress: &mut AuditProgress) -> Result<(), StoreError> {
        let from = progress.block;
        let until = from.saturating_add(BLOCKS_PER_STEP).min(self.head.number.saturating_add(1));
        let counts: Result<Vec<u64>, StoreError> =
            (from..until).into_par_iter().map(|number| self.look_at_block(number)).collect();
        progress.transactions += counts?.iter().sum::<u64>();
        progress.block = until;
        Ok(())
    }

    fn look_at_state(&self, progress: &mut AuditProgress) -> Result<(), StoreError> {
        let from = progress.parts;
        let until = from.saturating_add(PARTS_PER_STEP).min(PARTS);
        let parts: Vec<u8> = (from..until).filter_map(|part| u8::try_from(part).ok()).collect();
        let found: Result<Vec<_>, StoreError> =
            parts.into_par_iter().map(|part| self.look_at_part(part)).collect();
        for part in found? {
            progress.accounts += part.accounts;
            progress.slots += part.slots;
        }
        progress.parts = until;
        Ok(())
    }
}
