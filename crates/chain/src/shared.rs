//! What the chain's thread tells the doors.

use crate::clock::Clock;
use arc_swap::ArcSwap;
use lonja_evm::BlockEnv;
use lonja_permissioning::{Judge, Memos};
use lonja_primitives::{BlockRules, ChainSpec, SealedHeader, StateView};
use lonja_storage::StateAt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The newest block written: what a new transaction is judged by.
pub(crate) struct HeadView {
    /// Its header.
    pub(crate) header: SealedHeader,
    /// The state after it.
    pub(crate) state: StateAt,
    /// What the permission contracts said at this state.
    pub(crate) memos: Memos,
}

impl HeadView {
    /// Gas limit of the next block.
    pub(crate) fn next_gas_limit(&self, spec: &ChainSpec) -> u64 {
        next_gas_limit(spec, &self.header)
    }

    /// Answers for the next block, as far as it is known: who will build it is not.
    pub(crate) fn judge_of_next(&self, spec: &ChainSpec, now_s: u64) -> Judge<'_> {
        judge_after(spec, &self.header, now_s, &self.state).with_memos(&self.memos, self.header.number)
    }
}

/// The rules of the block after this one, if it comes at once. A fork that begins at a time may begin with it.
pub(crate) fn rules_after(spec: &ChainSpec, header: &SealedHeader) -> BlockRules {
    spec.rules_at(header.number.saturating_add(1), header.timestamp)
}

/// Answers for the block after this one at the state after this one. Every node asks alike, so that what one is told can be
/// proved to another.
pub(crate) fn judge_after<'a>(
    spec: &ChainSpec,
    header: &SealedHeader,
    now_s: u64,
    state: &'a dyn StateView,
) -> Judge<'a> {
    let (rules, env) = next_block(spec, header, now_s);
    Judge::new(*spec.permissions_at(env.number), rules, env, state)
}

/// The rules of the block after this one, and the block as its code would see it.
pub(crate) fn next_block(spec: &ChainSpec, header: &SealedHeader, now_s: u64) -> (BlockRules, BlockEnv) {
    let number = header.number.saturating_add(1);
    let timestamp = header.timestamp.max(now_s);
    let env = BlockEnv {
        number,
        timestamp,
        gas_limit: next_gas_limit(spec, header),
        base_fee: header.base_fee_per_gas,
        prevrandao: header.mix_hash,
        difficulty: header.difficulty,
        ..BlockEnv::default()
    };
    (spec.rules_at(number, timestamp), env)
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
    pub(crate) backlog: Backlog,
}

/// So many transactions may wait in any case.
const WAITING_LEAST: usize = 10_000;
/// Beyond that, as many as so many of the largest blocks lately took.
const WAITING_BLOCKS: usize = 2;
/// With each block the memory of a larger one fades by this part.
const FADING: usize = 16;

/// How much may wait before clients are slowed down.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// Transactions in the largest of the last blocks, about.
    largest_block: AtomicUsize,
}

impl Backlog {
    /// Remembers how much a block took.
    pub(crate) fn block_took(&self, transactions: usize) {
        let largest = self.largest_block.load(Ordering::Relaxed);
        let faded = largest - largest.div_ceil(FADING).min(largest);
        self.largest_block.store(transactions.max(faded), Ordering::Relaxed);
    }

    /// Whether so many waiting transactions are more than the next blocks take.
    pub(crate) fn is_too_much(&self, waiting: usize) -> bool {
        let blocks = self.largest_block.load(Ordering::Relaxed).saturating_mul(WAITING_BLOCKS);
        waiting > blocks.max(WAITING_LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_wait_follows_what_blocks_take() {
        let backlog = Backlog::default();
        assert!(!backlog.is_too_much(10_000) && backlog.is_too_much(10_001));
        backlog.block_took(8_000);
        assert!(!backlog.is_too_much(16_000) && backlog.is_too_much(16_001));
        backlog.block_took(0);
        assert!(!backlog.is_too_much(15_000) && backlog.is_too_much(15_001), "it fades");
        (0..200).for_each(|_| backlog.block_took(0));
        assert!(backlog.is_too_much(10_001), "down to what may always wait");
    }
}
