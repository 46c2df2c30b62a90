//! The scenarios of IBFT 1.0, run on the machine that lonja has.
//!
//! lonja verifies the headers of IBFT 1.0 and does not vote in it. What such a scenario does is translated:
//! PREPREPARE is PROPOSAL, what is locked there is held as prepared here. Where QBFT goes another way, the
//! scenario is run up to there and then goes on as QBFT does, with the reason.

use super::*;
use serde_json::json;

/// Up to where a scenario holds here, and how it goes on instead.
struct Translation {
    id: &'static str,
    /// So many steps are run as they stand.
    same: usize,
    /// Steps that stand in place of the others.
    then: Value,
    /// Why.
    why: &'static str,
}

fn whole(id: &'static str) -> Translation {
    Translation { id, same: usize::MAX, then: json!([]), why: "" }
}

fn until(id: &'static str, same: usize, why: &'static str, then: Value) -> Translation {
    Translation { id, same, then, why }
}

/// The certificate of block A in round 0 in a network where P1 and P2 prepared it with L.
fn certificate() -> Value {
    json!([["L", 0, "A"], ["P1", 0, "A"], ["P2", 0, "A"]])
}

fn translations() -> Vec<Translation> {
    let request = |round| json!({"t": "RC", "h": 1, "r": round});
    let prepared_request = json!({"t": "RC", "h": 1, "r": 1, "b": "A", "pr": 0, "prep": certificate()});
    let one = |kind: &str, round: u32, block: &str| json!({"t": kind, "h": 1, "r": round, "b": block});
    vec![
        whole("ibft1-normal"),
        whole("ibft1-proposal-wrong-sender"),
        whole("ibft1-rc-catch-up"),
        until(
            "ibft1-prepare-commit-union",
            5,
            "a certificate must show a quorum of PREPAREs, so a COMMIT does not count as one",
            json!([
                ["sent", []],
                ["state", "preprepared", null],
                ["recv", "P3", one("PREPARE", 0, "A")],
                ["sent", [one("COMMIT", 0, "A")]],
                ["state", "prepared", "A"],
                ["recv", "P2", one("COMMIT", 0, "A")],
                ["chain", 1]
            ]),
        ),
        until(
            "ibft1-invalid-proposal",
            1,
            "a bad proposal gets no vote; the round ends by its timer, not sooner",
            json!([
                ["sent", []],
                ["round", 0],
                ["timer", "round", 1, 0],
                ["sent", [request(1)]],
                ["round", 1]
            ]),
        ),
        until(
            "ibft1-locked-same-block",
            5,
            "there is no lock: the request shows the certificate, and every round has all its votes",
            json!([
                ["sent", [prepared_request]],
                ["recv", "P1", request(1)],
                ["recv", "P2", request(1)],
                ["sent", []],
                ["state", "accept_request", "A"],
                ["round", 1],
                [
                    "recv",
                    "P2",
                    {
                        "t": "PROPOSAL", "h": 1, "r": 1, "b": "A", "prep": certificate(),
                        "rc": [["L", 0, "A"], ["P1", null, null], ["P2", null, null]]
                    }
                ],
                ["sent", [one("PREPARE", 1, "A")]],
                ["state", "preprepared", "A"]
            ]),
        ),
        until(
            "ibft1-locked-proposer",
            5,
            "the prepared block is proposed again, with its certificate, and is prepared again",
            json!([
                ["sent", [prepared_request]],
                ["recv", "P1", request(1)],
                ["sent", []],
                ["recv", "P2", request(1)],
                ["sent", [one("PROPOSAL", 1, "A"), one("PREPARE", 1, "A")]]
            ]),
        ),
        until(
            "ibft1-insert-fails-unlocks",
            5,
            "what a quorum committed is final; a node that cannot store it stops, and nobody votes again",
            json!([
                ["recv", "P2", one("COMMIT", 0, "A")],
                ["chain", 1],
                ["sent", []],
                ["timer", "round", 1, 0],
                ["sent", []],
                ["round", 0]
            ]),
        ),
        until(
            "ibft1-single-validator-stuck",
            0,
            "marked as a flaw: a lone validator that lost round 0 begins round 1, and decides there",
            json!([
                ["timer", "block", 1, 0],
                ["sent", []],
                ["builds", true],
                ["timer", "round", 1, 0],
                [
                    "sent",
                    [
                        request(1),
                        one("PROPOSAL", 1, "NEW"),
                        one("PREPARE", 1, "NEW"),
                        one("COMMIT", 1, "NEW")
                    ]
                ],
                ["round", 1],
                ["chain", 1]
            ]),
        ),
    ]
}

/// Nobody hands the machine of the vectors a block to propose, so none is built here either.
#[test]
fn ibft1_scenarios() {
    let file = vectors!("scenarios");
    let translations = translations();
    let all: Vec<&Value> = cases(&file).iter().filter(|case| text(&case["rules"]) == "ibft1").collect();
    assert_eq!(all.len(), translations.len());
    for case in all {
        let id = text(&case["id"]);
        let found = translations.iter().find(|translation| translation.id == id);
        let Translation { same, then, why, .. } = found.unwrap_or_else(|| panic!("{id} is not known"));
        assert!(case["flaw"] != true || *same == 0, "{id}: a flaw is not to be reproduced");
        let given = case["steps"].as_array().unwrap();
        let steps: Vec<Value> = given.iter().take(*same).chain(then.as_array().unwrap()).cloned().collect();
        let mut scenario = Scenario::new(case, &steps);
        scenario.bench.builds = false;
        scenario.run(&format!("{id} ({why})"), &steps);
    }
}
