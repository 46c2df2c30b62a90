//! Private transactions: GoQuorum's methods for them, and what the parties of private contracts see by the ordinary ones.

use alloy_primitives::B256;
use futures::future::BoxFuture;
use lonja_chain::private::{PrivateStatus, Simulation, SimulationError};
use lonja_evm::PrivateMessage;
use lonja_ptm::PrivateTransactionManager;
use lonja_storage::PrivateReader;
use std::sync::Arc;
use tokio::sync::watch;

/// Says what a transaction with validation of the private state (privacy flag 3) would do now, and the root over the
/// contracts that it comes to. Asked of the thread that owns the private state.
pub type SimulateRoot =
    dyn Fn(PrivateMessage) -> BoxFuture<'static, Result<(Simulation, B256), SimulationError>> + Send + Sync;

/// What a node with a private-transaction manager hands to the RPC.
pub struct RpcPrivacy {
    /// Has the payloads and hands them out.
    pub manager: Arc<dyn PrivateTransactionManager>,
    /// What private transactions did here.
    pub reader: PrivateReader,
    /// Where the second pass stands; changes with every step of it.
    pub status: watch::Receiver<PrivateStatus>,
    /// Whether private transactions that this node signs go into markers, on networks that have them.
    pub markers: bool,
    /// See [`SimulateRoot`].
    pub simulate_root: Arc<SimulateRoot>,
}
