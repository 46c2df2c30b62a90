//! Checks of a running node's own work: its clock, its head, whether it follows, whether the network agrees.

use super::{Check, duration};
use crate::client::Endpoint;
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime};

/// How often a new block is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Longest time that a new block is waited for.
const WAIT_MAX: Duration = Duration::from_secs(8);
/// A clock that is so far from the others' makes blocks that they wait for, or refuse.
const SKEW_MAX_S: f64 = 3.0;
/// A head older than this many block periods, and this many seconds, stands still.
const STILL_PERIODS: u64 = 10;
const STILL_S: u64 = 15;

/// All of them.
pub async fn checks(endpoint: &Endpoint, status: &Value) -> Vec<Check> {
    let mut checks = vec![own_work(status)];
    checks.extend(sync(status));
    let age = age(&status["head"], now_s());
    match is_still(status, age) {
        true => checks.push(standing_still(status, age)),
        false => {
            checks.push(Check::ok(
                "agreement",
                format!("block {} came {} ago", status["head"]["number"], duration(age)),
            ));
            checks.extend(skew(next_block(endpoint, status).await));
        }
    }
    checks
}

/// The node's own signs of life that have no check of their own here.
fn own_work(status: &Value) -> Check {
    let told_elsewhere = ["peers", "head", "sync"];
    let failed: Vec<String> = status["checks"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|check| check["ok"] != true && !told_elsewhere.iter().any(|name| check["name"] == *name))
        .map(|check| format!("{}: {}", text(&check["name"]), text(&check["reason"])))
        .collect();
    match failed.is_empty() {
        true => Check::ok("work", "the node's own checks hold"),
        false => Check::fail("work", failed.join("; ")),
    }
}

fn sync(status: &Value) -> Option<Check> {
    let sync = &status["sync"];
    if sync.is_object() {
        let (head, highest) = (status["head"]["number"].as_u64()?, sync["highest"].as_u64()?);
        let behind = highest.saturating_sub(head);
        return Some(Check::warn(
            "sync",
            format!("at block {head}, {behind} behind the highest peer: wait until it is there"),
        ));
    }
    if is_alone(status) {
        return None;
    }
    Some(Check::ok("sync", "at the head, as far as the peers say"))
}

/// No peers, though there are others: whatever the node says of the network, it has it from nobody.
fn is_alone(status: &Value) -> bool {
    let consensus = &status["consensus"];
    let only_one = consensus["isValidator"] == true
        && consensus["validators"].as_array().is_some_and(|all| all.len() == 1);
    status["peers"] == 0 && !only_one
}

fn age(head: &Value, now: u64) -> u64 {
    now.saturating_sub(head["timestamp"].as_u64().unwrap_or(now))
}

fn is_still(status: &Value, age: u64) -> bool {
    let period_s = status["blockPeriodMs"].as_u64().unwrap_or(1_000).div_ceil(1_000);
    age > period_s.saturating_mul(STILL_PERIODS).max(STILL_S) && !status["sync"].is_object()
}

/// No block for long: whether there can be one at all, and what to look at.
fn standing_still(status: &Value, age: u64) -> Check {
    let consensus = &status["consensus"];
    let validators = consensus["validators"].as_array().map_or(0, Vec::len);
    let quorum = validators.saturating_mul(2).div_ceil(3);
    let here = status["validatorsConnected"]
        .as_u64()
        .map_or(0, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let number = &status["head"]["number"];
    let stands = match number.as_u64() {
        Some(0) => "there is block 0 only".to_owned(),
        _ => format!("block {number} is {} old", duration(age)),
    };
    if is_alone(status) {
        return Check::fail(
            "agreement",
            format!("{stands}, and there are no peers to get newer ones from: see the lines below"),
        );
    }
    let round = format!("round {} of block {}", consensus["round"], consensus["height"]);
    match here < quorum {
        true => Check::fail(
            "agreement",
            format!(
                "{stands}; {here} of {validators} validators are this node or its peers, {quorum} are needed for a block: \
                 bring the others back, or this node to them"
            ),
        ),
        false => Check::fail(
            "agreement",
            format!(
                "{stands}, {round}, though {here} of {validators} validators are connected ({quorum} are needed): look into \
                 their logs, and at their clocks and disks"
            ),
        ),
    }
}

/// How many seconds the next block's time was behind our clock when it came; `None` if none came in time.
async fn next_block(endpoint: &Endpoint, status: &Value) -> Option<f64> {
    let head = status["head"]["number"].as_u64()?;
    let period = Duration::from_millis(status["blockPeriodMs"].as_u64()?);
    let (began, time) = (Instant::now(), (period * 2 + Duration::from_secs(1)).min(WAIT_MAX));
    while began.elapsed() < time {
        let block = endpoint
            .call("eth_getBlockByNumber", json!([format!("{:#x}", head.checked_add(1)?), false]))
            .await
            .ok()?;
        if let Some(stamp) = block["timestamp"].as_str().and_then(|text| text.strip_prefix("0x")) {
            let stamp = u64::from_str_radix(stamp, 16).ok()?;
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
            return Some(now.as_secs_f64() - stamp as f64);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    None
}

/// A block has the time at which it was begun, in whole seconds: it is always a little behind.
fn skew(behind: Option<f64>) -> Option<Check> {
    let behind = behind?;
    Some(match behind {
        _ if behind < -1.0 => Check::fail(
            "clock",
            format!(
                "this machine's clock is {:.0} s behind the validators': set it, and keep it right by NTP",
                -behind
            ),
        ),
        _ if behind > SKEW_MAX_S + 1.0 => Check::warn(
            "clock",
            format!(
                "new blocks come with a time {behind:.0} s ago: this machine's clock is ahead of the validators' (keep it right \
                 by NTP), or blocks take long to come here"
            ),
        ),
        _ => Check::ok("clock", "agrees with the time of the newest block"),
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("?").to_owned()
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn status() -> Value {
        json!({
            "head": { "number": 7, "timestamp": 1_000 }, "blockPeriodMs": 1_000, "sync": false, "validatorsConnected": 2,
            "consensus": { "validators": ["0x1", "0x2", "0x3", "0x4"], "round": 5, "height": 8 },
            "checks": [
                { "name": "peers", "ok": false, "reason": "0 peers connected" },
                { "name": "loop", "ok": true, "reason": "fine" },
            ],
        })
    }

    #[test]
    fn a_network_without_a_quorum_is_told_by_its_numbers() {
        assert!(!is_still(&status(), 15) && is_still(&status(), 16));
        let check = standing_still(&status(), 300);
        assert_eq!(check.level, Level::Fail);
        assert!(check.text.contains("block 7 is 5 min old; 2 of 4 validators"), "{}", check.text);
        assert!(check.text.contains("3 are needed"), "{}", check.text);
        let mut enough = status();
        enough["validatorsConnected"] = json!(3);
        assert!(standing_still(&enough, 300).text.contains("round 5 of block 8"));
        let mut alone = status();
        (alone["peers"], alone["head"]["number"]) = (json!(0), json!(0));
        assert!(standing_still(&alone, 300).text.contains("block 0 only, and there are no peers"));
        assert_eq!(sync(&alone), None);
        let mut slow = status();
        slow["blockPeriodMs"] = json!(60_000);
        assert!(!is_still(&slow, 300), "blocks are that far apart here");
        let mut behind = status();
        behind["sync"] = json!({ "start": 0, "highest": 90 });
        assert!(!is_still(&behind, 300), "that is told by the check of the sync");
        assert_eq!(sync(&behind).unwrap().level, Level::Warn);
    }

    #[test]
    fn a_clock_is_compared_with_new_blocks() {
        let level = |behind| skew(Some(behind)).unwrap().level;
        assert_eq!([level(0.4), level(-0.5), level(3.0)], [Level::Ok; 3]);
        assert_eq!([level(-5.0), level(60.0)], [Level::Fail, Level::Warn]);
        assert_eq!(skew(None), None);
    }

    #[test]
    fn what_the_node_says_of_itself_counts() {
        assert_eq!(own_work(&status()).level, Level::Ok, "peers have a check of their own");
        let mut broken = status();
        broken["checks"][1]["ok"] = json!(false);
        assert!(own_work(&broken).text.contains("loop: fine"));
        assert_eq!(age(&status()["head"], 1_100), 100);
        assert_eq!(age(&json!({}), 1_100), 0);
    }
}
