//! Which messages are taken, by the state of the round: the admission table of the vectors.
//!
//! The table is GoQuorum's. Where its outcome is that client's own way, ours is noted here:
//! * `future` for a PREPARE or COMMIT of this round before its proposal, or of a later round, means a backlog
//!   there. Here it is kept with the votes.
//! * `future` for a PROPOSAL of a later round means the backlog too. Here its justification is enough to enter
//!   the round.
//! * `invalid` for a second PROPOSAL, and for votes after the decision, is an error there. Here they are only
//!   ignored.
//! * A ROUND-CHANGE after the decision is processed there. Here nothing is done for a height any more once it
//!   is decided.

use super::cast::Cast;
use crate::machine::harness::Bench;
use crate::message::VerifiedMessage;
use crate::testing::{text, vectors};
use serde_json::Value;

/// The bench is the validator that leads round 3, so that it leads none of the rounds in the test.
const OWN: usize = 2;

fn in_state(cast: &Cast, state: &str) -> Bench {
    let mut bench = cast.bench(OWN);
    for index in [0, 1, 3] {
        cast.say(&mut bench, index, cast.round_change(index, 1));
    }
    let block = cast.block(1, 5);
    let others = [0, 1, 3];
    if state != "AcceptRequest" {
        cast.say(&mut bench, 1, cast.proposal(&block, 1));
    }
    if matches!(state, "Prepared" | "Committed") {
        others.iter().for_each(|index| cast.say(&mut bench, *index, cast.prepare(*index, &block, 1)));
    }
    if state == "Committed" {
        others.iter().for_each(|index| cast.say(&mut bench, *index, cast.commit(*index, &block, 1)));
        assert_eq!(bench.decided.len(), 1);
    }
    assert_eq!(bench.machine.status().round, 1);
    bench
}

fn message(cast: &Cast, code: &str, round: u32, label: u64) -> VerifiedMessage {
    let block = cast.block(round, label);
    match code {
        "0x12" => cast.proposal(&block, round),
        "0x13" => cast.prepare(0, &block, round),
        "0x14" => cast.commit(0, &block, round),
        _ => cast.round_change(0, round),
    }
}

#[derive(Debug, PartialEq)]
enum Taken {
    No,
    Later,
    Yes,
}

fn offer(row: &Value) -> (Taken, Bench) {
    let mut before = Cast::new(4);
    let mut cast = Cast::new(4);
    let position = cast.next_height(3);
    before.position = Cast::new(4).position;
    let mut bench = in_state(&cast, text(&row["state"]));
    let code = text(&row["code"]);
    let relation = text(&row["relation"]);
    // Votes of this round are for another value where the same one has been counted already.
    let message = match relation {
        "past_sequence" => message(&before, code, 1, 5),
        "past_round" => message(&cast, code, 0, 5),
        "current" if code == "0x15" => cast.round_change(0, 1),
        "current" => message(&cast, code, 1, 6),
        "future_round" => message(&cast, code, 4, 5),
        _ => {
            let mut later = Cast { spec: cast.spec.clone(), keys: cast.keys.clone(), position };
            let head = later.next_height(0);
            let message = message(&later, code, if code == "0x15" { 1 } else { 0 }, 5);
            let taken = offer_later(&mut bench, &later, message, head);
            return (taken, bench);
        }
    };
    let before = bench.counts(&message);
    bench.receive(&cast.keys[0], message.clone());
    let taken = if bench.counts(&message) && !before { Taken::Yes } else { Taken::No };
    (taken, bench)
}

fn offer_later(
    bench: &mut Bench,
    later: &Cast,
    message: VerifiedMessage,
    head: std::sync::Arc<crate::machine::ChainPosition>,
) -> Taken {
    bench.receive(&later.keys[0], message.clone());
    assert!(!bench.counts(&message), "not before its height has begun");
    bench.head(head);
    if bench.counts(&message) { Taken::Later } else { Taken::No }
}

#[test]
fn admission_table() {
    let file = vectors!("routing");
    let rows = file["qbft"]["rows"].as_array().unwrap();
    assert!(rows.len() > 50);
    for row in rows {
        let (state, relation) = (text(&row["state"]), text(&row["relation"]));
        let (code, expect) = (text(&row["code"]), text(&row["expect"]));
        let (taken, bench) = offer(row);
        let want = match (expect, relation) {
            ("old" | "invalid", _) => Taken::No,
            (_, "future_sequence") => Taken::Later,
            _ if state == "Committed" => Taken::No,
            // The one ROUND-CHANGE to the current round is here already.
            ("process", "current") if code == "0x15" => Taken::No,
            _ => Taken::Yes,
        };
        assert_eq!(taken, want, "{row}");
        let entered = code == "0x12" && relation == "future_round" && state != "Committed";
        let round = match relation {
            "future_sequence" => 0,
            _ => {
                if entered {
                    4
                } else {
                    1
                }
            }
        };
        assert_eq!(bench.machine.status().round, round, "{row}");
    }
}
