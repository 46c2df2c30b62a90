//! What the chain's thread tells the doors.

use crate::clock::Clock;
use arc_swap::ArcSwap;
use lonja_primitives::{ChainSpec, SealedHeader};
use lonja_storage::StateAt;
use std::sync::Arc;

/// The newest block written: what a new transaction is judged by.
pub(crate) struct HeadView {
    /// Its header.
    pub(crate) header: SealedHeader,
    /// The state after it.
    pub(crate) state: StateAt,
}

impl HeadView {
    /// Gas limit of the next block.
    pub(crate) fn next_gas_limit(&self, spec: &ChainSpec) -> u64 {
        next_gas_limit(spec, &self.header)
    }
}

/// The gas limit of the block after `parent`: the network's, or where it fixes none, the parent's.
pub(crate) fn next_gas_limit(spec: &ChainSpec, parent: &SealedHeader) -> u64 {
    let limits = spec.limits_at(parent.number.saturating_add(1));
    limits.gas_limit.unwrap_or(parent.gas_limit)
}

/// Shared between the chain and its doors.
pub(crate) struct Shared {
    pub(crate) spec: Arc<ChainSpec>,
    /// Replaced after each commit, before the pool learns of the block.
    pub(crate) head: ArcSwap<HeadView>,
    pub(crate) clock: Clock,
}
