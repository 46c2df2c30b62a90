//! Short proofs between managers: that a payload could be opened, and that a key is held. Each is a hash behind a text of
//! its own, so that no answer to one question serves for another, or gives away what was opened.

use crate::crypto::SealingKey;
use crate::{PayloadHash, PublicKey};
use alloy_primitives::B256;
use lonja_primitives::NodeId;
use sha3::{Digest, Sha3_256};

/// Shows that its author could open the payload's envelope.
pub(crate) fn stored(hash: &PayloadHash, master_key: &SealingKey) -> B256 {
    let hasher = Sha3_256::new().chain_update(b"lonja ptm stored 1");
    let hasher = hasher.chain_update(hash.as_slice()).chain_update(master_key.as_bytes());
    B256::from_slice(&hasher.finalize())
}

/// Who asked whom for which key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyQuestion {
    pub(crate) genesis: B256,
    pub(crate) asker: NodeId,
    pub(crate) holder: NodeId,
    pub(crate) key: PublicKey,
}

impl KeyQuestion {
    /// Shows that the holder could open what was sealed for the key. The holder's name is in it: who passes the question on
    /// to the one who has the key gets an answer that is worth nothing to it.
    pub(crate) fn proof(&self, secret: &SealingKey) -> B256 {
        let hasher = Sha3_256::new().chain_update(b"lonja ptm key 1").chain_update(self.genesis);
        let hasher = hasher.chain_update(self.asker.0).chain_update(self.holder.0);
        let hasher = hasher.chain_update(self.key.0).chain_update(secret.as_bytes());
        B256::from_slice(&hasher.finalize())
    }
}
