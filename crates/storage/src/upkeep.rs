//! What is done beside the chain's work, a little at a time: giving back the room of history that was dropped, and
//! comparing the newest state with its root.

use crate::audit::{Position, Slice, StateLook};
use crate::open::{header_at, read_number};
use crate::reader::Reader;
use crate::tables::META_RECLAIMED;
use crate::{Batch, StoreError, Table};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

/// Looks after an open store, from a thread of its own. It waits for nobody, and nobody for it.
pub struct Upkeep {
    reader: Reader,
}

impl Upkeep {
    /// Of the store that is read so.
    pub fn new(reader: Reader) -> Self {
        Self { reader }
    }

    /// The newest block whose history was dropped.
    fn dropped(&self) -> u64 {
        let progress = &self.reader.progress;
        progress.horizon.load(Ordering::SeqCst).min(progress.stored_trie.load(Ordering::SeqCst))
    }

    /// Whether the history of more blocks was dropped, and may still take room, than is kept: after less is to be kept
    /// than before, and now and then while blocks come. Rewriting what is kept pays only then.
    pub fn has_room_to_give(&self) -> Result<bool, StoreError> {
        let reclaimed = read_number(&*self.reader.kv, META_RECLAIMED)?;
        let kept = self.reader.head().number.saturating_sub(self.reader.oldest_state());
        Ok(self.dropped().saturating_sub(reclaimed) > kept)
    }

    /// Gives the room of dropped history back to the disk, share by share; `report` hears how many of how many shares
    /// are done, and `Break` stops. Begins anew when it was stopped.
    pub fn give_room(&self, report: &mut dyn FnMut(u32, u32) -> ControlFlow<()>) -> Result<(), StoreError> {
        let dropped = self.dropped();
        let shares = self.reader.kv.reclaim_shares();
        for share in 0..shares {
            if report(share, shares).is_break() {
                return Ok(());
            }
            self.reader.kv.reclaim(share, shares)?;
        }
        let mut batch = Batch::default();
        batch.put(Table::Meta, META_RECLAIMED, dropped.to_be_bytes());
        self.reader.kv.write(batch)
    }

    /// Compares some of the newest state with the root in its block's header: accounts, slots and codes from `from` on,
    /// about `rows` of them. Answers the block and what was compared. Each call looks at one instant, the newest block
    /// then. Errors: `Damaged` names what differs; `TooMuchChanged` when blocks are written without a pause: try
    /// again.
    pub fn compare(&self, from: &Position, rows: u64) -> Result<(u64, Slice), StoreError> {
        let (block, tries) = self.reader.trie_snapshot(self.reader.head().number)?;
        let root = header_at(tries.kv(), block)?.state_root;
        let look = StateLook { kv: tries.kv(), tries: &tries };
        look.check_root(block, root)?;
        Ok((block, look.slice(from, None, rows)?))
    }
}
