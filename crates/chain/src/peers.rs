//! Who may connect, by the permission contracts at the newest block.

use crate::shared::{Shared, judge_after, next_block};
use lonja_permissioning::registry::reader::Reader as Registry;
use lonja_permissioning::{ConnectionQuestion, ConnectionVerdict, ExecuteError, OwnEnd};
use lonja_primitives::{ChainSpec, NodeId, SealedHeader, StateView};
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

    /// The newest block written.
    pub fn head(&self) -> SealedHeader {
        self.shared.head.load().header.clone()
    }

    /// Reads lonja's registry at the newest block written; `None` where the genesis file names none.
    pub fn registry<T>(&self, read: impl FnOnce(&mut Registry<'_>) -> T) -> Option<T> {
        let (view, spec) = (self.shared.head.load_full(), &self.shared.spec);
        let (rules, env) = next_block(spec, &view.header, 0);
        spec.permissions_at(env.number).system?;
        Some(read(&mut Registry::new(&rules, &env, &view.state)))
    }

    /// Whether this node may connect.
    ///
    /// # Errors
    /// Our own state cannot be read.
    pub fn judge(&self, node: NodeId, at: Option<(&str, u16)>) -> Result<ConnectionVerdict, ExecuteError> {
        loop {
            let view = self.shared.head.load_full();
            let mut judge = view.judge_of_next(&self.shared.spec, 0);
            let verdict = judge.connection(&ConnectionQuestion { node, at }, &self.own)?;
            // Else a block came meanwhile, which may have changed the answer before anybody knew that it was asked for:
            // nobody would be told to ask again.
            if view.memos.connections.is_at(view.header.number) {
                return Ok(verdict);
            }
            std::thread::yield_now();
        }
    }
}

/// Whether a node may connect by the state after this block, asked as a [`PeerJudge`] whose newest block it is asks.
///
/// # Errors
/// `state` cannot be read.
pub fn judge_connection(
    spec: &ChainSpec,
    block: &SealedHeader,
    state: &dyn StateView,
    question: &ConnectionQuestion<'_>,
    own: &OwnEnd,
) -> Result<ConnectionVerdict, ExecuteError> {
    judge_after(spec, block, 0, state).connection(question, own)
}
