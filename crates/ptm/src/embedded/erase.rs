//! Erasing payloads for good.

use super::Core;
use crate::records::{Author, Erasure, ErasureKind};
use crate::store::now_ms;
use crate::{PayloadHash, PtmError};
use alloy_primitives::B256;

impl Core {
    pub(super) fn author(&self) -> Author<'_> {
        Author { node: self.node, signer: &*self.signer, genesis: self.settings.genesis }
    }

    /// Erases a payload here, and leaves a tombstone.
    pub(super) async fn erase(&self, hash: PayloadHash) -> Result<(), PtmError> {
        if !self.store.has(&hash)? && self.store.raw(&hash)?.is_none() {
            return Err(PtmError::NotFound(format!("Message with hash {hash} was not found")));
        }
        let tombstone = Erasure::sign(self.author(), ErasureKind::Done, hash, B256::ZERO, now_ms());
        let waiting = self.outbox.remove_payload(&hash);
        self.store.erase(hash, alloy_rlp::encode(&tombstone), waiting).await?;
        self.cache.forget(&hash);
        Ok(())
    }
}
