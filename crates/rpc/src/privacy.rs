//! Private transactions: GoQuorum's methods for them, and what the parties of private contracts see by the ordinary ones.

mod covers;
pub(crate) mod drafts;
pub(crate) mod feed;
mod inspect;
mod keeping;
pub(crate) mod logs;
mod marked;
mod metadata;
mod payloads;
pub(crate) mod results;
pub(crate) mod sending;
mod shared;
mod signed;
pub(crate) mod states;
mod supervised;
mod terms;
pub(crate) mod traces;

use crate::context::Context;
use crate::error::RpcError;
use crate::register::Table;
use alloy_primitives::B256;
use futures::future::BoxFuture;
use lonja_chain::private::{PrivateStatus, Simulation, SimulationError};
use lonja_evm::PrivateMessage;
use lonja_ptm::{EmbeddedManager, NetworkRules, PrivateTransactionManager};
use lonja_storage::PrivateReader;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::watch;

pub(crate) use shared::Shared;

/// Says what a transaction with validation of the private state (privacy flag 3) would do now, and the root over the
/// contracts that it comes to. Asked of the thread that owns the private state.
pub type SimulateRoot =
    dyn Fn(PrivateMessage) -> BoxFuture<'static, Result<(Simulation, B256), SimulationError>> + Send + Sync;

/// What a node with a private-transaction manager hands to the RPC.
pub struct RpcPrivacy {
    /// Has the payloads and hands them out.
    pub manager: Arc<dyn PrivateTransactionManager>,
    /// The same manager, where it is part of the node and looks after its payloads itself.
    pub embedded: Option<EmbeddedManager>,
    /// What private transactions did here.
    pub reader: PrivateReader,
    /// Where the second pass stands; changes with every step of it.
    pub status: watch::Receiver<PrivateStatus>,
    /// Whether private transactions that this node signs go into markers, on networks that have them.
    pub markers: bool,
    /// Who has to be a party of what an account sends, on networks whose rules name somebody.
    pub rules: Option<Arc<dyn NetworkRules>>,
    /// Whether these are added to the recipients. Otherwise a send without them is refused.
    pub add_required: bool,
    /// See [`SimulateRoot`].
    pub simulate_root: Arc<SimulateRoot>,
}

pub(crate) fn register(table: &mut Table) {
    sending::register(table);
    signed::register(table);
    payloads::register(table);
    inspect::register(table);
    marked::register(table);
    keeping::register(table);
}

/// What a node without a manager answers to whoever wants to share something.
pub(crate) fn parties(context: &Context) -> Result<&Arc<RpcPrivacy>, RpcError> {
    let none = || RpcError::Refused("private transaction manager is not in use".to_owned());
    context.node.privacy.as_ref().ok_or_else(none)
}

/// What a node without a manager answers to whoever wants to see something.
fn payloads_of(context: &Context) -> Result<&Arc<RpcPrivacy>, RpcError> {
    let none = || RpcError::Refused("PrivateTransactionManager is not enabled".to_owned());
    context.node.privacy.as_ref().ok_or_else(none)
}

impl RpcPrivacy {
    /// Where the second pass stands, for operators; numbers are JSON numbers.
    pub(crate) fn standing(&self) -> Value {
        let PrivateStatus { head, waiting } = self.status.borrow().clone();
        let waiting = waiting.map(|wait| {
            json!({
                "number": wait.number,
                "payload": wait.payload,
                "reason": wait.reason,
                "seconds": wait.since.elapsed().unwrap_or_default().as_secs(),
            })
        });
        json!({ "head": { "number": head.number, "hash": head.hash }, "waiting": waiting })
    }
}

#[cfg(test)]
mod tests;
