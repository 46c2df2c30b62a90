//! The blocks before a fetched state, written afterwards, from the newest down.

use super::import::ImportedBlock;
use crate::state::Progress;
use crate::tables::META_FLOOR;
use crate::writer::write_rows;
use crate::{Batch, Kv, StoreError, Table};
use alloy_primitives::{Address, B256};
use lonja_primitives::{Block, Receipt};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A block with everything that is stored of it.
#[derive(Clone, Debug)]
pub struct BackfillBlock {
    /// The block, seals included.
    pub block: Block,
    /// Its hash.
    pub hash: B256,
    /// The hashes of its transactions, in order.
    pub transaction_hashes: Vec<B256>,
    /// Their senders, in order.
    pub senders: Vec<Address>,
    /// Their receipts, in order.
    pub receipts: Vec<Receipt>,
}

/// Writes blocks below the oldest one there is. There is one per store; it touches no row that the chain's writer
/// touches.
pub struct BackfillWriter {
    kv: Arc<dyn Kv>,
    progress: Arc<Progress>,
}

impl BackfillWriter {
    pub(crate) fn new(kv: Arc<dyn Kv>, progress: Arc<Progress>) -> Self {
        Self { kv, progress }
    }

    /// The number and the hash of the newest block that is missing; `None` when none is.
    pub fn wanted(&self) -> Result<Option<(u64, B256)>, StoreError> {
        let floor = self.progress.floor.load(Ordering::SeqCst);
        if floor <= 1 {
            return Ok(None);
        }
        let oldest = crate::open::header_at(&*self.kv, floor)?;
        Ok(Some((floor - 1, oldest.parent_hash)))
    }

    /// Writes blocks that end with the wanted one, ascending. They are seen from then on. Errors: they do not link to
    /// what is there, or the store failed.
    pub fn put(&mut self, blocks: &[BackfillBlock]) -> Result<(), StoreError> {
        let Some((mut number, mut hash)) = self.wanted()? else { return Ok(()) };
        let mut batch = Batch::default();
        let mut floor = number.saturating_add(1);
        for block in blocks.iter().rev() {
            let header = &block.block.header;
            if (header.number, block.hash) != (number, hash) || number == 0 {
                return Err(StoreError::OutOfOrder(format!(
                    "block {} {} below block {floor}, whose parent is {hash}",
                    header.number, block.hash
                )));
            }
            write_rows(&row(block), &mut batch);
            floor = number;
            (number, hash) = (number.saturating_sub(1), header.parent_hash);
        }
        match floor {
            0 | 1 => batch.delete(Table::Meta, META_FLOOR),
            _ => batch.put(Table::Meta, META_FLOOR, floor.to_be_bytes()),
        }
        self.kv.write(batch)?;
        self.progress.floor.store(if floor <= 1 { 0 } else { floor }, Ordering::SeqCst);
        Ok(())
    }
}

fn row(block: &BackfillBlock) -> ImportedBlock<'_> {
    ImportedBlock {
        block: &block.block,
        hash: block.hash,
        transaction_hashes: &block.transaction_hashes,
        senders: &block.senders,
        receipts: &block.receipts,
    }
}
