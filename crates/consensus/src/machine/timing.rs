//! The clocks of one height.
//!
//! Two of them decide when something happens without a message.
//!
//! **The block clock** says when round 0 begins: at the parent's time plus the block period when there is
//! something to include, else at the parent's time plus the empty-block period. Proposer and followers keep it
//! alike, so that nobody asks for a round change while the proposer rightly waits. It is set on the monotonic
//! clock once, when the height begins, and never waits longer than the period and the tolerated difference
//! between two clocks: a wall clock that jumps back can therefore delay one block by little, and stop nothing.
//!
//! **The round clock** says when a validator gives its round up. In round 0 it begins with the round. In later
//! rounds it begins when a quorum of validators, this one included, has asked for the round (or for a later
//! one). Before that the round cannot succeed, and leaving it would only carry the validator away from the
//! others. This is what makes recovery independent of the length of an outage:
//!
//! * Whoever is in a later round either has its clock running or repeats its request for the round.
//! * Without a quorum nobody moves. Two validators of four whose peers are gone both ask for round 1 and wait
//!   there, sending their request again every half timeout. An hour later they still are in round 1.
//! * When a quorum is back, those behind hear more than F requests for a higher round and jump there. Among a
//!   quorum of correct validators the one with the lowest round always sees a quorum at or above its own
//!   round, so its clock runs; it moves up until it has caught up with the next. So all meet, whatever they
//!   start from, and no round is left without its time having run while a quorum was there.
//! * The timeout of round r is the request timeout doubled r-1 times (round 1 is the first to begin with a
//!   quorum), never above the cap. It grows only with rounds that failed although a quorum was there, so
//!   it finds any message delay below the cap, and says nothing about outages. Whoever has waited longer than
//!   the cap for a quorum counts from its round again.
//!
//! A round whose proposer has not asked for it is given a quarter of its time: only who is in a round can
//! propose in it. A proposer that is down costs little, and one that is slow gets the full time as soon as its
//! request comes. A constant factor does not change what the doubling finds.
//!
//! So a quorum that is back after any outage decides within two request timeouts: half of one until the next
//! repetition of a request, the rest for a quarter (and the doubled quarter) of one per proposer that is down.

use crate::Now;
use crate::header::MAX_CLOCK_DIFFERENCE_MS;
use crate::timers::{
    DEFAULT_MAX_REQUEST_TIMEOUT_MS, empty_block_unix_ms, next_block_unix_ms, round_timeout_ms,
};
use lonja_primitives::spec::ConsensusParams;

/// A round whose proposer is silent has this fraction of its timeout.
const SILENT_PROPOSER_DIVISOR: u64 = 4;
/// A request for a round is repeated this often per request timeout.
const REPEATS_PER_TIMEOUT: u64 = 2;
/// Requests are not repeated faster than this, milliseconds, however short the timeout.
const LEAST_REPEAT_MS: u64 = 20;

/// All times are milliseconds of the monotonic clock.
#[derive(Clone, Debug, Default)]
pub(super) struct Clocks {
    /// Round 0 may begin when there is something to include.
    pub block_due_ms: u64,
    /// Round 0 begins in any case.
    pub empty_due_ms: u64,
    /// When the block of this height was due, or came earlier: the next period is counted from here.
    pub slot_ms: u64,
    /// When the current round was entered.
    pub entered_ms: u64,
    /// When its clock began to run.
    pub running_since_ms: Option<u64>,
    /// When the request for the current round is repeated.
    pub repeat_ms: Option<u64>,
    /// The round that has the undoubled timeout.
    first_round: u32,
}

impl Clocks {
    /// Begins a height. `parent_slot_ms` is the parent's slot when this node took part in it.
    pub(super) fn begin(
        now: Now,
        before: &ConsensusParams,
        params: &ConsensusParams,
        parent_timestamp_s: u64,
        parent_slot_ms: Option<u64>,
    ) -> Self {
        let since_parent = now.mono_ms.saturating_sub(parent_slot_ms.unwrap_or(now.mono_ms));
        let parent_unix_ms = now.unix_ms.saturating_sub(since_parent);
        let period = before.block_period_ms.max(params.block_period_ms);
        let block = next_block_unix_ms(before, params, parent_timestamp_s, parent_unix_ms);
        let empty = empty_block_unix_ms(before, params, parent_timestamp_s, parent_unix_ms);
        let empty_period = period.max(params.empty_block_period_ms);
        let block_due_ms = to_monotonic(now, block, period);
        Self {
            block_due_ms,
            empty_due_ms: to_monotonic(now, empty, empty_period).max(block_due_ms),
            slot_ms: block_due_ms,
            entered_ms: now.mono_ms,
            running_since_ms: None,
            repeat_ms: None,
            first_round: 1,
        }
    }

    /// Enters a round: its clock does not run yet.
    pub(super) fn enter(&mut self, now: Now) {
        self.entered_ms = now.mono_ms;
        self.running_since_ms = None;
        self.repeat_ms = None;
    }

    /// Starts the clock of the current round, unless it runs.
    pub(super) fn run(&mut self, now: Now, params: &ConsensusParams, round: u32) {
        if self.running_since_ms.is_some() {
            return;
        }
        let cap = match params.max_request_timeout_ms {
            0 => DEFAULT_MAX_REQUEST_TIMEOUT_MS,
            max => max,
        };
        if round > 0 && now.mono_ms.saturating_sub(self.entered_ms) > cap {
            self.first_round = round;
        }
        self.running_since_ms = Some(now.mono_ms);
    }

    /// Starts a running clock anew.
    pub(super) fn restart(&mut self, now: Now) {
        self.running_since_ms = self.running_since_ms.map(|_| now.mono_ms);
    }

    /// When the current round is given up, while its clock runs.
    pub(super) fn round_deadline_ms(
        &self,
        params: &ConsensusParams,
        round: u32,
        proposer_heard: bool,
    ) -> Option<u64> {
        let full = round_timeout_ms(params, round.saturating_sub(self.first_round));
        let timeout = if proposer_heard { full } else { (full / SILENT_PROPOSER_DIVISOR).max(1) };
        self.running_since_ms.map(|since| since.saturating_add(timeout))
    }

    /// Sets the next repetition of the request for the current round.
    pub(super) fn repeat_later(&mut self, now: Now, params: &ConsensusParams) {
        let pause = (params.request_timeout_ms / REPEATS_PER_TIMEOUT).max(LEAST_REPEAT_MS);
        self.repeat_ms = Some(now.mono_ms.saturating_add(pause));
    }
}

/// The monotonic time of a wall-clock time, at most a period and the tolerated clock difference ahead.
fn to_monotonic(now: Now, unix_ms: u64, period_ms: u64) -> u64 {
    let longest = period_ms.saturating_add(MAX_CLOCK_DIFFERENCE_MS);
    now.mono_ms.saturating_add(unix_ms.saturating_sub(now.unix_ms).min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::params;

    fn at(unix_ms: u64) -> Now {
        Now { unix_ms, mono_ms: 7_000 }
    }

    fn begin(now: Now, params: &ConsensusParams, slot_ms: Option<u64>) -> Clocks {
        Clocks::begin(now, params, params, 100, slot_ms)
    }

    #[test]
    fn a_block_is_due_one_period_after_its_parent() {
        let params = ConsensusParams { block_period_ms: 5_000, empty_block_period_ms: 60_000, ..params() };
        let clocks = begin(at(102_000), &params, None);
        assert_eq!((clocks.block_due_ms, clocks.empty_due_ms), (10_000, 65_000));
        let late = begin(at(900_000), &params, None);
        assert_eq!((late.block_due_ms, late.empty_due_ms), (7_000, 7_000));
    }

    #[test]
    fn a_wall_clock_far_behind_waits_a_period_and_the_tolerance() {
        let params = ConsensusParams { block_period_ms: 5_000, empty_block_period_ms: 5_000, ..params() };
        assert_eq!(begin(at(1), &params, None).block_due_ms, 7_000 + 5_000 + MAX_CLOCK_DIFFERENCE_MS);
    }

    #[test]
    fn short_periods_are_counted_from_the_slot_of_the_parent() {
        let params = ConsensusParams { block_period_ms: 300, empty_block_period_ms: 300, ..params() };
        // The parent was due at 6,900; the block is due 300 ms later, whatever time its votes took.
        assert_eq!(begin(at(100_950), &params, Some(6_900)).block_due_ms, 7_200);
        // More than a period late: at once, and the next one is counted from now.
        let late = begin(at(100_950), &params, Some(6_100));
        assert_eq!((late.block_due_ms, late.slot_ms), (7_000, 7_000));
    }

    #[test]
    fn timeouts_double_from_round_two_on_and_a_silent_proposer_gets_a_quarter() {
        let params = params();
        let mut clocks = begin(at(102_000), &params, None);
        assert_eq!(clocks.round_deadline_ms(&params, 1, true), None);
        clocks.run(at(0), &params, 1);
        let timeout = |round, heard| clocks.round_deadline_ms(&params, round, heard).unwrap() - 7_000;
        assert_eq!([0, 1, 2, 3, 9].map(|round| timeout(round, true)), [2_000, 2_000, 4_000, 8_000, 60_000]);
        assert_eq!([1, 2, 9].map(|round| timeout(round, false)), [500, 1_000, 15_000]);
    }

    #[test]
    fn a_wait_longer_than_the_cap_starts_the_doubling_anew() {
        let params = params();
        let mut clocks = begin(at(102_000), &params, None);
        let now = |mono_ms| Now { unix_ms: 0, mono_ms };
        clocks.enter(now(10_000));
        clocks.run(now(70_000), &params, 9);
        assert_eq!(clocks.round_deadline_ms(&params, 9, true), Some(130_000));
        clocks.enter(now(200_000));
        clocks.run(now(260_001), &params, 10);
        assert_eq!(clocks.round_deadline_ms(&params, 10, true), Some(262_001));
        assert_eq!(clocks.round_deadline_ms(&params, 11, true), Some(264_001));
    }
}
