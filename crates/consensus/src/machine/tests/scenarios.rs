//! The single-node scenarios of the vectors, with real keys, blocks and signatures.
//!
//! Names become keys so that the sorted addresses take turns as the scenario says. A block letter becomes a
//! block built by the proposer of the lowest round it appears in. What the scenarios of IBFT 1.0
//! mean here is said one by one in `scenarios/ibft1.rs`; those of gossip are a matter of the node.

use crate::machine::harness::{self, Bench, LIMITS};
use crate::machine::{Phase, Verdict};
use crate::message::{
    Commit, ConsensusMessage, Prepare, PreparedClaim, Proposal, RoundChange, Verified, VerifiedMessage,
    VerifiedProposal, VerifiedRoundChange,
};
use crate::testing::{self, bytes, cases, number, text, vectors};
use alloy_primitives::{Address, B256, hex};
use lonja_primitives::{Block, NodeKey, Signer, extra};
use serde_json::Value;
use std::collections::BTreeMap;

mod ibft1;

struct Scenario {
    bench: Bench,
    keys: BTreeMap<String, NodeKey>,
    /// Lowest round in which a letter appears, by height and letter.
    origins: BTreeMap<(u64, String), u32>,
    proposers: Vec<String>,
    chain: u64,
    seen: usize,
    may: Vec<String>,
}

fn round(value: &Value) -> u32 {
    number(value) as u32
}

impl Scenario {
    /// At the beginning of `case`, of whose steps `steps` are going to be run.
    fn new(case: &Value, steps: &[Value]) -> Self {
        let proposers: Vec<String> =
            case["proposers"]["1"].as_array().unwrap().iter().map(|name| text(name).to_owned()).collect();
        let keys = harness::keys(proposers.len() as u8);
        let spec = harness::spec(testing::params());
        let genesis = harness::genesis(&spec, harness::addresses(&keys));
        let mut named: BTreeMap<String, NodeKey> = proposers.iter().cloned().zip(keys).collect();
        named.insert("X".into(), testing::key(99));
        let mut origins = BTreeMap::new();
        for step in steps {
            step.as_array().unwrap().iter().for_each(|part| note_origins(part, &mut origins));
        }
        let bench = Bench::new(spec, named["L"].clone(), genesis);
        Self { bench, keys: named, origins, proposers, chain: 0, seen: 0, may: Vec::new() }
    }

    fn block(&self, height: u64, letter: &str) -> Block {
        if letter == "NEW" {
            return self.bench.built.last().unwrap().clone();
        }
        let origin = self.origins[&(height, letter.to_owned())];
        let turn = (origin as usize) % self.proposers.len();
        let label = u64::from(letter.as_bytes()[0]);
        let mut position = self.bench.position.clone();
        if height == 2 && position.head.number == 0 {
            position = self.position_after_first("A");
        }
        harness::block_on(&position, self.keys[&self.proposers[turn]].address(), origin, label)
    }

    /// Block 1 by the last in turn, so that the first is the next.
    fn position_after_first(&self, letter: &str) -> std::sync::Arc<crate::machine::ChainPosition> {
        let last = self.keys[self.proposers.last().unwrap()].address();
        let position = &self.bench.position;
        assert_eq!(position.head.number, 0);
        let block = harness::block_on(position, last, 0, u64::from(letter.as_bytes()[0]));
        harness::after(&self.bench.spec, position, &block)
    }

    fn digest(&self, height: u64, letter: &str, round: u32) -> B256 {
        extra::qbft_digest(&self.block(height, letter).header, round).unwrap()
    }

    fn prepares(&self, height: u64, list: &Value) -> Vec<Verified<Prepare>> {
        let prepare = |entry: &Value| {
            let round = round(&entry[1]);
            let digest = self.digest(height, text(&entry[2]), round);
            Verified::sign(Prepare { sequence: height, round, digest }, &self.keys[text(&entry[0])])
        };
        list.as_array().map(|list| list.iter().map(prepare).collect()).unwrap_or_default()
    }

    fn round_changes(&self, sequence: u64, target: u32, list: &Value) -> Vec<Verified<RoundChange>> {
        let change = |entry: &Value| {
            let prepared = entry[1].as_u64().map(|at| PreparedClaim {
                round: at as u32,
                digest: self.digest(sequence, text(&entry[2]), at as u32),
            });
            let payload = RoundChange { sequence, round: target, prepared };
            Verified::sign(payload, &self.keys[text(&entry[0])])
        };
        list.as_array().map(|list| list.iter().map(change).collect()).unwrap_or_default()
    }

    fn message(&self, author: &str, m: &Value) -> VerifiedMessage {
        let key = &self.keys[author];
        let (sequence, at) = (number(&m["h"]), round(&m["r"]));
        match text(&m["t"]) {
            "PREPARE" => {
                let digest = self.digest(sequence, text(&m["b"]), at);
                VerifiedMessage::Prepare(Verified::sign(Prepare { sequence, round: at, digest }, key))
            }
            "COMMIT" => {
                let digest = self.digest(sequence, text(&m["b"]), at);
                let seal = key.sign(digest);
                VerifiedMessage::Commit(Verified::sign(Commit { sequence, round: at, digest, seal }, key))
            }
            "PROPOSAL" | "PREPREPARE" => {
                let block = self.block(sequence, text(&m["b"]));
                let header = extra::with_round(&block.header, at).unwrap();
                let proposal = Proposal { sequence, round: at, block: Block { header, ..block } };
                let changes = self.round_changes(sequence, at, &m["rc"]);
                let prepares = self.prepares(sequence, &m["prep"]);
                VerifiedMessage::Proposal(Box::new(VerifiedProposal::sign(proposal, changes, prepares, key)))
            }
            _ => self.round_change(key, sequence, at, m),
        }
    }

    fn round_change(&self, key: &NodeKey, sequence: u64, target: u32, m: &Value) -> VerifiedMessage {
        let claim = m["pr"].as_u64().map(|at| at as u32);
        let prepared =
            claim.map(|at| PreparedClaim { round: at, digest: self.digest(sequence, text(&m["b"]), at) });
        let block = claim.map(|at| {
            let block = self.block(sequence, text(&m["b"]));
            Block { header: extra::with_round(&block.header, at).unwrap(), ..block }
        });
        let payload = RoundChange { sequence, round: target, prepared };
        let prepares = self.prepares(sequence, &m["prep"]);
        VerifiedMessage::RoundChange(Box::new(VerifiedRoundChange::sign(payload, block, prepares, key)))
    }

    fn run(&mut self, id: &str, steps: &[Value]) {
        self.bench.tick();
        for (index, step) in steps.iter().enumerate() {
            self.step(step, &format!("{id}, step {index}: {step}"));
        }
    }

    fn step(&mut self, step: &Value, place: &str) {
        match text(&step[0]) {
            "timer" if text(&step[1]) == "block" => {
                let due = 5_000 + testing::params().block_period_ms;
                self.bench.tick_at(due);
            }
            "timer" => self.bench.time_out(round(&step[3])),
            "recv" => {
                let author = text(&step[1]);
                if step[2]["invalid"] == true {
                    self.bench.verdict = Some(Verdict::Invalid("so the scenario has it".into()));
                }
                let message = self.message(author, &step[2]);
                let peer = self.keys[author].clone();
                self.bench.receive(&peer, message);
            }
            "recv_raw" => {
                let mut raw = hex::decode(text(&step[2]["code"])).unwrap();
                raw.extend(bytes(&step[2]["payload"]));
                assert!(ConsensusMessage::decode(&raw, &LIMITS).is_err(), "{place}");
            }
            "head" if number(&step[1]) == 0 => {
                let genesis = self.bench.position.clone();
                self.bench.head(genesis);
            }
            "head" => {
                let position = self.position_after_first(text(&step[2]));
                self.chain = self.chain.max(1);
                self.bench.head(position);
            }
            "restart" => self.bench.restart(),
            "may" => self.may = self.expected(&step[1]),
            "sent" => self.check_sent(step, place),
            "chain" => {
                let decided = self.bench.decided.iter().map(|block| block.number()).max();
                assert_eq!(self.chain.max(decided.unwrap_or(0)), number(&step[1]), "{place}");
            }
            "round" => assert_eq!(self.bench.machine.status().round, round(&step[1]), "{place}"),
            "state" => self.check_state(step, place),
            // Not in the vectors: whether blocks asked for are built from now on.
            "builds" => self.bench.builds = step[1] == true,
            other => panic!("{place}: unknown step {other}"),
        }
    }

    /// A state of IBFT 1.0 and its locked block; what is locked there is held as prepared here.
    fn check_state(&self, step: &Value, place: &str) {
        let status = self.bench.machine.status();
        let phases = match text(&step[1]) {
            "accept_request" => [Phase::WaitingForBlockTime, Phase::WaitingForProposal],
            "preprepared" => [Phase::Preparing; 2],
            "prepared" => [Phase::Committing; 2],
            other => panic!("{place}: unknown state {other}"),
        };
        assert!(phases.contains(&status.phase), "{place}: {:?}", status.phase);
        assert_eq!(status.prepared_round.is_some(), step[2].is_string(), "{place}");
    }

    fn expected(&self, list: &Value) -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        let mut names: Vec<String> = list.map(|m| summary(&self.message("L", m))).collect();
        names.sort();
        names
    }

    /// What a restarted node repeats word for word is no second message.
    fn check_sent(&mut self, step: &Value, place: &str) {
        let sent = self.bench.sent.iter().enumerate().skip(self.seen);
        let first = |(index, _): &(usize, &VerifiedMessage)| {
            !self.bench.sent_bytes[..*index].contains(&self.bench.sent_bytes[*index])
        };
        let mut got: Vec<String> = sent.filter(first).map(|(_, message)| summary(message)).collect();
        let expected = self.expected(&step[1]);
        got.retain(|message| expected.contains(message) || !self.may.contains(message));
        got.sort();
        assert_eq!(got, expected, "{place}");
        self.seen = self.bench.sent.len();
        self.may.clear();
    }
}

/// What a message says, without its signature.
fn summary(message: &VerifiedMessage) -> String {
    match message {
        VerifiedMessage::Prepare(prepare) => format!("PREPARE {:?}", **prepare),
        VerifiedMessage::Commit(commit) => format!("COMMIT {:?} {}", commit.view(), commit.digest),
        VerifiedMessage::Proposal(message) => {
            let Proposal { round, block, .. } = &*message.proposal;
            format!("PROPOSAL {} {}", round, extra::qbft_digest(&block.header, *round).unwrap())
        }
        VerifiedMessage::RoundChange(message) => {
            let mut authors: Vec<Address> = message.prepares.iter().map(Verified::author).collect();
            authors.sort();
            format!("RC {:?} {:?}", *message.round_change, authors)
        }
    }
}

fn note_origins(part: &Value, origins: &mut BTreeMap<(u64, String), u32>) {
    let mut note = |height: u64, letter: &Value, round: &Value| {
        if let (Some(letter), Some(round)) = (letter.as_str(), round.as_u64()) {
            let known = origins.entry((height, letter.to_owned())).or_insert(round as u32);
            *known = (*known).min(round as u32);
        }
    };
    let messages: Vec<&Value> = match part {
        Value::Array(list) => list.iter().filter(|m| m.is_object()).collect(),
        Value::Object(_) => vec![part],
        _ => Vec::new(),
    };
    for m in messages.into_iter().filter(|m| m["h"].is_u64()) {
        let height = number(&m["h"]);
        let at = if m["pr"].is_u64() { &m["pr"] } else { &m["r"] };
        note(height, &m["b"], at);
        let entries = |name: &str| m[name].as_array().cloned().unwrap_or_default();
        entries("prep").iter().for_each(|entry| note(height, &entry[2], &entry[1]));
        entries("rc").iter().for_each(|entry| note(height, &entry[2], &entry[1]));
    }
}

#[test]
fn qbft_scenarios() {
    let file = vectors!("scenarios");
    let all: Vec<&Value> = cases(&file).iter().filter(|case| text(&case["rules"]) != "ibft1").collect();
    assert_eq!(all.len(), 31);
    assert!(all.iter().all(|case| text(&case["rules"]) == "qbft"));
    for case in all {
        let steps = case["steps"].as_array().unwrap();
        Scenario::new(case, steps).run(text(&case["id"]), steps);
    }
}
