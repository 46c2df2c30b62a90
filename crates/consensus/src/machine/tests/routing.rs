//! Which messages are taken, by the state of the round: the admission tables of the vectors.
//!
//! The tables are GoQuorum's, for QBFT and for IBFT 1.0. Where the outcome is that client's own way, ours is
//! noted here:
//! * `future` for a PREPARE or COMMIT of this round before its proposal, or of a later round, means a backlog
//!   there. Here it is kept with the votes.
//! * `future` for a PROPOSAL of a later round means the backlog too. Here its justification is enough to enter
//!   the round.
//! * `invalid` (IBFT 1.0: `process`) for a second PROPOSAL, and for votes after the decision, is an error
//!   there. Here they are only ignored.
//! * A ROUND-CHANGE after the decision is processed there. Here nothing is done for a height any more once it
//!   is decided.
//! * A node of IBFT 1.0 that asked for a round waits for a quorum of requests, and keeps what belongs to the
//!   round in the backlog (`future`). Here the round has begun with the request, and a PROPOSAL that shows the
//!   quorum, or a vote, is taken at once.

use super::cast::Cast;
use crate::machine::harness::Bench;
use crate::message::VerifiedMessage;
use crate::testing::{number, text, vectors};
use lonja_primitives::Signer;
use serde_json::Value;

/// The bench is the validator that leads round 3, so that it leads none of the rounds in the test.
const OWN: usize = 3;

/// In round 1 and so far; `timed_out` is in round 2 after that, unless it has decided.
fn in_state(cast: &Cast, state: &str, timed_out: bool) -> Bench {
    let mut bench = cast.bench(OWN);
    let others = [0, 1, 2];
    for index in others {
        cast.say(&mut bench, index, cast.round_change(index, 1));
    }
    let block = cast.block(1, 5);
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
    if timed_out {
        bench.time_out(1);
        assert_eq!(bench.machine.status().round, if state == "Committed" { 1 } else { 2 });
    }
    bench
}

/// The code of QBFT: IBFT 1.0 counts from 0 in the same order.
fn code_of(row: &Value) -> &'static str {
    let codes = ["0x12", "0x13", "0x14", "0x15"];
    match row["code"].as_u64() {
        Some(index) => codes[index as usize],
        None => codes.into_iter().find(|code| row["code"] == *code).unwrap(),
    }
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
    let timed_out = row["waiting_for_round_change"] == true;
    let mut bench = in_state(&cast, text(&row["state"]), timed_out);
    let code = code_of(row);
    let relation = text(&row["relation"]);
    let current = bench.machine.status().round;
    // Votes of this round are for another value where the same one has been counted already.
    let message = match relation {
        "past_sequence" => message(&before, code, 1, 5),
        "past_round" => message(&cast, code, 0, 5),
        "current" if code == "0x15" => cast.round_change(0, current),
        "current" => message(&cast, code, current, 6),
        "future_round" => message(&cast, code, 4, 5),
        "future_sequence" => {
            let mut later = Cast { spec: cast.spec.clone(), keys: cast.keys.clone(), position };
            let head = later.next_height(0);
            let message = message(&later, code, if code == "0x15" { 1 } else { 0 }, 5);
            let taken = offer_later(&mut bench, &later, message, head);
            return (taken, bench);
        }
        other => panic!("unknown relation {other}"),
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

fn check(row: &Value) {
    let (state, relation, expect) = (text(&row["state"]), text(&row["relation"]), text(&row["expect"]));
    let (code, timed_out) = (code_of(row), row["waiting_for_round_change"] == true);
    assert!(["AcceptRequest", "Preprepared", "Prepared", "Committed"].contains(&state), "{row}");
    let (taken, bench) = offer(row);
    let want = match (expect, relation) {
        ("old" | "invalid", _) => Taken::No,
        (_, "future_sequence") => Taken::Later,
        _ if state == "Committed" => Taken::No,
        // The one ROUND-CHANGE to the current round is here already, and so is a proposal.
        ("process", "current") if matches!(code, "0x12" | "0x15") && !timed_out => Taken::No,
        ("process" | "future", "current" | "future_round") => Taken::Yes,
        _ => panic!("{row}: unknown outcome"),
    };
    assert_eq!(taken, want, "{row}");
    let entered = code == "0x12" && relation == "future_round" && state != "Committed";
    let round = match relation {
        "future_sequence" => 0,
        _ if entered => 4,
        _ if timed_out && state != "Committed" => 2,
        _ => 1,
    };
    assert_eq!(bench.machine.status().round, round, "{row}");
}

#[test]
fn admission_tables() {
    let file = vectors!("routing");
    for (protocol, count) in [("qbft", 54), ("ibft1", 107)] {
        let rows = file[protocol]["rows"].as_array().unwrap();
        assert_eq!(rows.len(), count, "{protocol}");
        rows.iter().for_each(check);
    }
    let known = ["description", "ibft1", "qbft", "backlog_order", "future_buffer"];
    assert!(file.as_object().unwrap().keys().all(|name| known.contains(&name.as_str())));
}

/// One of the messages of the backlog vector, for the height after the next: sequence 7 there, 2 here. Proposals
/// are their leaders'; one author of all would pass what is kept of one.
fn early(later: &Cast, item: &Value) -> VerifiedMessage {
    let round = number(&item["round"]) as u32;
    let block = later.block(round, 5);
    match text(&item["type"]) {
        "proposal" => later.proposal(&block, round),
        "prepare" => later.prepare(2, &block, round),
        "commit" => later.commit(2, &block, round),
        "round_change" => later.round_change(2, round),
        other => panic!("unknown type {other}"),
    }
}

/// GoQuorum sorts what came early by height, round and kind before it handles it. Here only heights are told
/// apart, and the rest is handled in the order of arrival: votes wait by round, so the outcome is the same.
#[test]
fn in_whatever_order_early_messages_arrive_the_outcome_is_the_same() {
    let file = vectors!("routing");
    let (input, order) = (&file["backlog_order"]["input"], &file["backlog_order"]["expect_order"]);
    let sorted = order.as_array().unwrap().iter().map(|index| number(index) as usize).collect::<Vec<_>>();
    let arrival: Vec<usize> = (0..input.as_array().unwrap().len()).collect();
    let of_height = |sequence: u64| move |index: &usize| number(&input[*index]["sequence"]) == sequence;
    assert!(sorted.iter().rev().skip_while(|index| of_height(8)(index)).all(of_height(7)));
    let mut outcomes = Vec::new();
    for order in [arrival.clone(), sorted, arrival.into_iter().rev().collect()] {
        let mut later = Cast::new(4);
        let mut bench = later.bench(OWN);
        let head = later.next_height(3);
        let messages: Vec<_> = order
            .into_iter()
            .filter(of_height(7))
            .map(|index| (index, early(&later, &input[index])))
            .collect();
        for (_, message) in &messages {
            let author = later.keys.iter().find(|key| key.address() == message.author()).unwrap();
            bench.receive(author, message.clone());
        }
        assert!(messages.iter().all(|(_, message)| !bench.counts(message)), "not before their height");
        bench.head(head);
        let mut counted: Vec<_> =
            messages.iter().filter(|(_, message)| bench.counts(message)).map(|(index, _)| *index).collect();
        counted.sort_unstable();
        let status = bench.machine.status();
        outcomes.push((status.height, status.round, status.phase, counted));
    }
    assert_eq!(outcomes[0].1, 1);
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{outcomes:?}");
}
