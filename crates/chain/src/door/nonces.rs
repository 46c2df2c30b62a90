//! Which nonce comes next, for those who sign on this node.

use super::{Door, SubmitError};
use alloy_primitives::Address;
use lonja_primitives::StateView;

impl Door {
    /// The nonce of the sender's next transaction: behind those in the newest block written, which readers may not see yet,
    /// and behind those that wait without a gap.
    ///
    /// # Errors
    /// [`SubmitError::State`]: the sender's account cannot be read.
    pub fn next_nonce(&self, sender: &Address) -> Result<u64, SubmitError> {
        let (view, waiting) = {
            let pool = self.0.pool.lock();
            // A pool that was told of a block was told after the head moved on to it: what it does not hold any more, the
            // state counts.
            (self.0.shared.head.load_full(), pool.pending_nonce(sender))
        };
        let account = view.state.account(sender).map_err(SubmitError::State)?.unwrap_or_default();
        Ok(waiting.unwrap_or(0).max(account.nonce))
    }
}
