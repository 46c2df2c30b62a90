//! Durability beside the writer: the disk syncs one block while the writer already works on the next.

use super::{ChainWriter, horizon_after};
use crate::reader::Head;
use crate::state::Progress;
use crate::{Kv, StoreError};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Makes commits durable and shows them to the readers, from a thread of its own. Clones act on one store.
#[derive(Clone)]
pub struct Publisher {
    kv: Arc<dyn Kv>,
    progress: Arc<Progress>,
}

impl ChainWriter {
    /// A handle that does what [`ChainWriter::sync_and_publish`] does while this writer goes on.
    pub fn publisher(&self) -> Publisher {
        Publisher { kv: self.kv.clone(), progress: self.progress.clone() }
    }
}

impl Publisher {
    /// Makes everything written before this call durable, and then shows `written`, a block that was
    /// committed before the call. A head that is published already is never replaced by a lower one. After an
    /// error nothing is known about what is durable: neither this nor the writer does anything more.
    pub fn sync_and_publish(&self, written: Head) -> Result<Head, StoreError> {
        self.progress.refuse_if_broken()?;
        let stored_trie = self.progress.stored_trie.load(Ordering::SeqCst);
        self.kv.sync().inspect_err(|_| self.progress.broken.store(true, Ordering::SeqCst))?;
        let now = self.progress.horizon.load(Ordering::SeqCst);
        let horizon = horizon_after(written.number, self.kv.tuning().history, now);
        self.progress.horizon.fetch_max(horizon, Ordering::SeqCst);
        let newer = |head: &Arc<Head>| match head.number < written.number {
            true => Arc::new(written),
            false => head.clone(),
        };
        self.progress.head.rcu(newer);
        // Only now: the horizon that readers and the next start go by is durable, and so are the trie nodes
        // that would be worked out again from the history.
        self.kv.forget_history(horizon.min(stored_trie));
        Ok(**self.progress.head.load())
    }
}
