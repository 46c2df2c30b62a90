//! What a node's service needs to go on with extensions that its accounts began.

use super::super::accounts::request::SendRequest;
use crate::context::Context;
use alloy_primitives::{B256, Bytes};
use lonja_chain::private::extension::contract::parties;
use lonja_chain::private::extension::index::{Extension, ExtensionIndex};
use lonja_ptm::{Lookup, PrivateTransactionManager, PtmError, PublicKey};
use parking_lot::Mutex;
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// The parties of an extension: those that its beginning names, and those that the manager knows of it.
///
/// # Errors
/// The manager cannot say.
pub async fn parties_of(
    manager: &dyn PrivateTransactionManager,
    extension: &Extension,
) -> Result<Vec<PublicKey>, PtmError> {
    let mut keys: BTreeSet<PublicKey> = manager.participants(extension.creation).await?.into_iter().collect();
    match manager.lookup(extension.creation).await {
        Lookup::Found(payload) => {
            keys.insert(payload.sender);
            keys.extend(parties(&payload.payload));
        }
        Lookup::Unavailable(reason) => return Err(PtmError::Unavailable(reason)),
        Lookup::NotOurs | Lookup::Erased => {}
    }
    Ok(keys.into_iter().collect())
}

/// Sends transactions of the node's own accounts to management contracts, in turn with what clients send by these accounts.
#[derive(Clone)]
pub struct ExtensionSender(pub(crate) Arc<Context>);

impl fmt::Debug for ExtensionSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExtensionSender")
    }
}

impl ExtensionSender {
    /// The index of extensions that are not finished, which clients ask too: blocks are looked through once.
    pub fn index(&self) -> Arc<Mutex<ExtensionIndex>> {
        Arc::clone(&self.0.extensions)
    }

    /// Sends a call of the creator's to the management contract, for all parties of the extension. The transaction's hash,
    /// once the pool has taken it.
    ///
    /// # Errors
    /// Why it was not sent, in words: the account is locked, or does not exist here; a party cannot be reached.
    pub async fn send(&self, extension: &Extension, call: Bytes) -> Result<B256, String> {
        let request = json!({ "from": extension.state.creator, "privateFor": [] });
        let request: SendRequest = serde_json::from_value(request).map_err(|error| error.to_string())?;
        let sent = super::manage(Arc::clone(&self.0), request, extension.clone(), None, call).await;
        sent.map_err(|error| error.to_string())
    }
}
