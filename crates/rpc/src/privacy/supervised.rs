//! Parties that the network requires of what an account sends.

use super::RpcPrivacy;
use super::terms::Terms;
use crate::context::Context;
use crate::error::RpcError;
use alloy_primitives::Address;
use std::sync::Arc;

impl Terms {
    /// These, with the parties that the network requires of this account's transactions. They are added, or asked for,
    /// as the node is told; whichever manager it has.
    ///
    /// # Errors
    /// One is missing and must be named, or the network's contract gives no answer: nothing is sent then.
    pub(super) async fn supervised(
        mut self,
        context: &Arc<Context>,
        privacy: &RpcPrivacy,
        account: Address,
    ) -> Result<Self, RpcError> {
        let Some(rules) = privacy.rules.clone() else { return Ok(self) };
        let ask = move || {
            let closed =
                |reason| format!("who supervises what {account} sends cannot be found out: {reason}");
            rules.required(Some(account)).map_err(closed).map_err(RpcError::Refused)
        };
        let mut missing = context.workers.reads.run(ask).await?;
        missing.retain(|key| self.from != Some(*key) && !self.to.contains(key));
        if !missing.is_empty() && self.from.is_none() {
            let own = privacy.manager.keys().await?.into_iter().next();
            missing.retain(|key| own != Some(*key));
        }
        if let Some(key) = missing.first().filter(|_| !privacy.add_required) {
            return Err(RpcError::Refused(format!(
                "the network requires that {key} is a party of what {account} sends, and it is not in privateFor"
            )));
        }
        if !missing.is_empty() {
            tracing::debug!(%account, count = missing.len(), "parties that the network requires were added");
        }
        self.to.extend(missing);
        Ok(self)
    }
}
