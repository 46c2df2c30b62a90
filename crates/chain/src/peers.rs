//! Who may connect, by the permission contracts at the newest block.

use crate::shared::Shared;
use lonja_permissioning::{ConnectionQuestion, ConnectionVerdict, ExecuteError, OwnEnd};
use lonja_primitives::NodeId;
use std::sync::Arc;

/// Judges nodes at the newest block written. Clones are the same judge; any thread may ask.
#[derive(Clone)]
pub struct PeerJudge {
    shared: Arc<Shared>,
    own: Arc<OwnEnd>,
}

impl std::fmt::Debug for PeerJudge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerJudge").field("number", &self.shared.head.load().header.number).finish()
    }
}

impl PeerJudge {
    pub(crate) fn new(shared: Arc<Shared>, own: OwnEnd) -> Self {
        Self { shared, own: Arc::new(own) }
    }

    /// Whether a contract decides about connections in the next block.
    pub fn is_asked(&self) -> bool {
        let next = self.shared.head.load().header.number.saturating_add(1);
        self.shared.spec.permissions_at(next).nodes.is_some()
    }

    /// Whether this node may connect.
    ///
    /// # Errors
    /// Our own state cannot be read.
    pub fn judge(&self, node: NodeId, at: Option<(&str, u16)>) -> Result<ConnectionVerdict, ExecuteError> {
        let view = self.shared.head.load_full();
        let mut judge = view.judge_of_next(&self.shared.spec, 0);
        judge.connection(&ConnectionQuestion { node, at }, &self.own)
    }
}
