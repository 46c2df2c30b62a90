use super::*;
use crate::testing::{cases, number, params, text, vectors};
use serde_json::Value;

fn input(case: &Value, field: &str) -> u64 {
    number(&case["input"][field])
}

fn round_timeout(case: &Value, format: HeaderFormat) -> u64 {
    let max = case["input"]["max_ms"].as_u64().unwrap_or(u64::MAX);
    let params = ConsensusParams {
        format,
        request_timeout_ms: input(case, "base_ms"),
        max_request_timeout_ms: max,
        ..params()
    };
    round_timeout_ms(&params, input(case, "round") as u32)
}

fn with_period(period_s: u64) -> ConsensusParams {
    ConsensusParams { block_period_ms: period_s * 1000, empty_block_period_ms: period_s * 1000, ..params() }
}

#[test]
fn timer_vectors() {
    for case in cases(&vectors!("timers")) {
        let got = match text(&case["kind"]) {
            "qbft_round_timeout" => round_timeout(case, HeaderFormat::Qbft),
            "ibft1_round_timeout" => round_timeout(case, HeaderFormat::Ibft1),
            "block_timer_delay" => {
                let period = input(case, "period_s");
                let next = case["input"]["period_at_next_timestamp_s"].as_u64().unwrap_or(period);
                let (now, parent) = (input(case, "now_ms"), input(case, "parent_timestamp_s"));
                next_block_unix_ms(&with_period(period), &with_period(next), parent, 0).saturating_sub(now)
            }
            "empty_block_retry_delay" => {
                let mut params = with_period(input(case, "period_s"));
                params.empty_block_period_ms = input(case, "empty_period_s") * 1000;
                let (now, parent) = (input(case, "now_ms"), input(case, "parent_timestamp_s"));
                let due = empty_block_unix_ms(&params, &params, parent, 0);
                empty_block_retry_unix_ms(&params, due, now) - now
            }
            other => panic!("{other}"),
        };
        assert_eq!(got, number(&case["expect_ms"]), "{case}");
    }
}

#[test]
fn timeouts_stop_at_the_cap_and_never_overflow() {
    let timeout = |base, max, round| {
        let params = ConsensusParams { request_timeout_ms: base, max_request_timeout_ms: max, ..params() };
        round_timeout_ms(&params, round)
    };
    for round in [9, 63, 64, 65, u32::MAX] {
        assert_eq!(timeout(2000, 60_000, round), 60_000);
        assert_eq!(timeout(2000, 0, round), DEFAULT_MAX_REQUEST_TIMEOUT_MS);
        assert_eq!(timeout(u64::MAX, 60_000, round), u64::MAX);
    }
    assert_eq!(timeout(2000, 1000, 0), 2000);
    assert_eq!(timeout(2000, 1000, 5), 2000);
}

#[test]
fn a_period_below_one_second_counts_from_within_the_parents_second() {
    let fast = ConsensusParams { block_period_ms: 200, empty_block_period_ms: 5000, ..params() };
    assert_eq!(next_block_unix_ms(&fast, &fast, 10, 10_450), 10_650);
    assert_eq!(next_block_unix_ms(&fast, &fast, 10, 9_000), 10_200);
    assert_eq!(next_block_unix_ms(&fast, &fast, 10, 90_000), 11_199);
    assert_eq!(empty_block_unix_ms(&fast, &fast, 10, 10_450), 15_000);
    assert_eq!(block_timestamp_s(&fast, 10, 10_650), 10);
    assert_eq!(block_timestamp_s(&fast, 10, 8_000), 10);
    assert_eq!(least_timestamp_step_s(&fast), 0);
}

#[test]
fn timestamps_follow_the_clock_and_the_period() {
    let params = with_period(5);
    assert_eq!(block_timestamp_s(&params, 100, 103_000), 105);
    assert_eq!(block_timestamp_s(&params, 100, 107_999), 107);
    assert_eq!(block_timestamp_s(&params, u64::MAX, 0), u64::MAX);
    assert_eq!(next_block_unix_ms(&params, &params, u64::MAX, 0), u64::MAX);
}
