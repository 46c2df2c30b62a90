//! When things are due, in milliseconds. Pure arithmetic that saturates instead of overflowing.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use lonja_primitives::HeaderFormat;
use lonja_primitives::spec::ConsensusParams;

#[cfg(test)]
mod tests;

/// Cap of the round timeout where the parameters set none: ten minutes. Without a cap the doubling reached
/// hours after some rounds without quorum, and a network stood still long after its validators were back.
pub const DEFAULT_MAX_REQUEST_TIMEOUT_MS: u64 = 600_000;

/// How long a validator stays in `round` before it asks for the next one.
///
/// QBFT and IBFT 2.0: the request timeout doubled with every round; IBFT 1.0: the request timeout plus
/// `2^round` seconds from round 1 on. Never above `max_request_timeout_ms` (0 stands for
/// [`DEFAULT_MAX_REQUEST_TIMEOUT_MS`]), and never below the request timeout of round 0.
pub fn round_timeout_ms(params: &ConsensusParams, round: u32) -> u64 {
    let base = params.request_timeout_ms;
    let cap = match params.max_request_timeout_ms {
        0 => DEFAULT_MAX_REQUEST_TIMEOUT_MS,
        max => max,
    };
    let factor = 1_u64.checked_shl(round).unwrap_or(u64::MAX);
    let timeout = match params.format {
        HeaderFormat::Qbft | HeaderFormat::Ibft2 => base.saturating_mul(factor),
        HeaderFormat::Ibft1 if round == 0 => base,
        HeaderFormat::Ibft1 => base.saturating_add(factor.saturating_mul(1000)),
    };
    timeout.min(cap.max(base))
}

/// Seconds by which timestamps of neighbouring blocks differ at least: the whole seconds of the block period,
/// so that timestamps below one second per block only must not decrease.
pub fn least_timestamp_step_s(params: &ConsensusParams) -> u64 {
    params.block_period_ms / 1000
}

/// Earliest wall-clock time (milliseconds) of the block that follows `parent`.
///
/// `before` are the parameters at the parent's height, `params` those of the new height; at a transition the
/// longer of the two periods counts. Timestamps are whole seconds, so `parent_unix_ms` says where within the
/// parent's second it came: the time at which its own block timer fired or it was first seen. What lies outside
/// that second is cut to it, and periods of whole seconds ignore it.
pub fn next_block_unix_ms(
    before: &ConsensusParams,
    params: &ConsensusParams,
    parent_timestamp_s: u64,
    parent_unix_ms: u64,
) -> u64 {
    after_parent(before.block_period_ms.max(params.block_period_ms), parent_timestamp_s, parent_unix_ms)
}

/// Earliest wall-clock time (milliseconds) of an empty block: as [`next_block_unix_ms`] with the empty-block
/// period, where that is longer.
pub fn empty_block_unix_ms(
    before: &ConsensusParams,
    params: &ConsensusParams,
    parent_timestamp_s: u64,
    parent_unix_ms: u64,
) -> u64 {
    let empty = after_parent(params.empty_block_period_ms, parent_timestamp_s, parent_unix_ms);
    empty.max(next_block_unix_ms(before, params, parent_timestamp_s, parent_unix_ms))
}

/// When to look again for something to put in a block, while only an empty one could be made at `now_unix_ms`:
/// one block period later, but not after `empty_unix_ms`, the time from which the empty block is due.
pub fn empty_block_retry_unix_ms(params: &ConsensusParams, empty_unix_ms: u64, now_unix_ms: u64) -> u64 {
    now_unix_ms.saturating_add(params.block_period_ms.max(1)).min(empty_unix_ms)
}

/// Timestamp (seconds) of a fresh block built at `now_unix_ms`: now, but not before the rules allow.
pub fn block_timestamp_s(params: &ConsensusParams, parent_timestamp_s: u64, now_unix_ms: u64) -> u64 {
    (now_unix_ms / 1000).max(parent_timestamp_s.saturating_add(least_timestamp_step_s(params)))
}

fn after_parent(period_ms: u64, parent_timestamp_s: u64, parent_unix_ms: u64) -> u64 {
    let second = parent_timestamp_s.saturating_mul(1000);
    let parent = if period_ms.is_multiple_of(1000) {
        second
    } else {
        parent_unix_ms.clamp(second, second.saturating_add(999))
    };
    parent.saturating_add(period_ms)
}
