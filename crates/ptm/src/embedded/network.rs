//! What the network knows of keys: who has to be a party, and which nodes hold a key.
//!
//! Where the network says which nodes hold a key, nobody else is believed, whatever it announces or shows. Where it does
//! not, nodes speak for themselves ([`crate::directory`]). An answer that cannot be had closes: nothing is sent then.

use super::{Core, EmbeddedManager};
use crate::directory::{Route, Standing};
use crate::{PtmError, PublicKey};
use alloy_primitives::Address;
use lonja_primitives::NodeId;
use std::cmp::Reverse;
use std::sync::Arc;

/// What the network says of keys at this moment. An error closes what was asked for.
pub trait NetworkRules: Send + Sync {
    /// Who has to be a party of what is sent from here, by this account where it is known.
    fn required(&self, account: Option<Address>) -> Result<Vec<PublicKey>, String>;

    /// Whether the key is one that has to be a party of anything.
    fn is_supervisor(&self, key: &PublicKey) -> Result<bool, String>;

    /// The nodes that hold this key; `None` where the network does not know.
    fn holders(&self, key: &PublicKey) -> Result<Option<Vec<NodeId>>, String>;
}

impl EmbeddedManager {
    /// Whether the network says which nodes hold this key: managers at URLs are none of them, whatever they show.
    pub(crate) fn is_bound(&self, key: &PublicKey) -> Result<bool, PtmError> {
        Ok(self.core.bound_to(key)?.is_some())
    }
}

impl Core {
    pub(super) fn set_network_rules(&self, rules: Arc<dyn NetworkRules>) {
        let _ = self.rules.set(rules);
    }

    /// The nodes that the network says hold this key, if it says so.
    fn bound_to(&self, key: &PublicKey) -> Result<Option<Vec<NodeId>>, PtmError> {
        let Some(rules) = self.rules.get() else { return Ok(None) };
        let closed = |reason| PtmError::Violation(format!("where {key} is cannot be found out: {reason}"));
        rules.holders(key).map_err(closed)
    }

    /// Whether a node may hold this key, as far as the network knows.
    pub(super) fn may_hold(&self, key: &PublicKey, node: &NodeId) -> Result<bool, PtmError> {
        Ok(self.bound_to(key)?.is_none_or(|nodes| nodes.contains(node)))
    }

    /// Whom to ask for a key, in this order. Empty where nobody is known.
    pub(super) fn routes(&self, key: &PublicKey) -> Result<Vec<(Route, Standing)>, PtmError> {
        let Some(nodes) = self.bound_to(key)? else { return Ok(self.directory.lock().routes(key)) };
        let directory = self.directory.lock();
        let others = nodes.into_iter().filter(|node| *node != self.node);
        let standing = |node: &NodeId| directory.standing(key, node).unwrap_or(Standing::Heard);
        let mut routes: Vec<_> = others.map(|node| (Route::Node(node), standing(&node))).collect();
        routes.retain(|(_, standing)| *standing > Standing::Refuted);
        routes.sort_by_key(|(_, standing)| Reverse(*standing));
        Ok(routes)
    }
}
