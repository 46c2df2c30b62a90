//! The gossip scenarios of the vectors, through the door and the core of a node.
//!
//! The vectors are Besu's: a node passes every new message on to all other validators. lonja passes a message on
//! where its author asks for it, to those the author names (`docs/protocol.md`). So every message of a scenario
//! comes both ways: with the wish to reach the receivers that the vector names, and without.

use super::*;
use crate::ingest::{Ingest, Ingested};
use lonja_consensus::message::{
    Commit, Prepare, Proposal, RoundChange, Verified, VerifiedProposal, VerifiedRoundChange,
};
use lonja_consensus::{VoteState, proposer};
use lonja_primitives::genesis::NewNetwork;
use lonja_primitives::{Genesis, NodeKey};
use serde_json::Value;

/// What a step of a scenario means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// With the wish, what the vector says; without it, nothing.
    OnTheWish,
    /// Nothing either way, as the vector says.
    Never,
    /// Nothing without the wish, as the vector says. With it the message goes out once more: an author asks
    /// again because a message was lost.
    AgainOnTheWish,
    /// The vector waits for the height and looks then. Here it goes out at once, on the wish: the height is the
    /// receiver's affair, which keeps what comes early.
    AtOnceOnTheWish,
}

/// Every scenario with the meaning of each of its messages.
const SCENARIOS: [(&str, &[Meaning]); 4] = [
    ("gossip-all-types", &[Meaning::OnTheWish; 4]),
    ("gossip-once", &[Meaning::OnTheWish, Meaning::AgainOnTheWish, Meaning::AgainOnTheWish]),
    ("gossip-unknown-author", &[Meaning::Never]),
    ("gossip-future-height-later", &[Meaning::AtOnceOnTheWish]),
];

fn key(name: &str) -> NodeKey {
    let names = ["P1", "P2", "P3", "P4", "L", "X"];
    let mut bytes = [0u8; 32];
    bytes[31] = 1 + names.iter().position(|known| *known == name).unwrap() as u8;
    NodeKey::from_bytes(&bytes).unwrap()
}

/// L with everybody connected.
struct Node {
    core: NodeCore,
    ingest: Ingest,
    block: Block,
    validators: Vec<Address>,
}

impl Node {
    fn new(names: &[String]) -> Self {
        let mut validators: Vec<Address> = names.iter().map(|name| key(name).address()).collect();
        let network = NewNetwork { validators: validators.clone(), ..NewNetwork::default() };
        let genesis = Genesis::from_json(&network.to_json()).unwrap();
        validators.sort_unstable();
        let spec = Arc::new(genesis.spec.clone());
        let position = Arc::new(ChainPosition {
            author: proposer::last_author(&spec, &genesis.header).unwrap(),
            votes: VoteState::genesis(&spec, &genesis.header).unwrap(),
            head: genesis.header.clone(),
        });
        let mut core = NodeCore::new(spec.clone(), Some(Arc::new(key("L"))), position, &[]).unwrap();
        core.start(Now::default());
        for name in names.iter().map(String::as_str).chain(["X"]).filter(|name| *name != "L") {
            let (peer, hash) = (key(name).node_id(), genesis.hash());
            core.handle(Now::default(), Event::PeerUp { peer, number: 0, hash });
        }
        let block = Block { header: genesis.header.header().clone(), transactions: Vec::new() };
        Self { core, ingest: Ingest::new(&spec), block, validators }
    }

    fn message(&self, author: &str, m: &Value) -> Bytes {
        let key = key(author);
        let (sequence, round) = (m["h"].as_u64().unwrap(), m["r"].as_u64().unwrap() as u32);
        let digest = B256::repeat_byte(7);
        let message = match m["t"].as_str().unwrap() {
            "PROPOSAL" => {
                let proposal = Proposal { sequence, round, block: self.block.clone() };
                VerifiedMessage::Proposal(Box::new(VerifiedProposal::sign(proposal, vec![], vec![], &key)))
            }
            "PREPARE" => VerifiedMessage::Prepare(Verified::sign(Prepare { sequence, round, digest }, &key)),
            "COMMIT" => {
                let commit = Commit { sequence, round, digest, seal: key.sign(digest) };
                VerifiedMessage::Commit(Verified::sign(commit, &key))
            }
            "RC" => {
                let change = RoundChange { sequence, round, prepared: None };
                VerifiedMessage::RoundChange(Box::new(VerifiedRoundChange::sign(change, None, vec![], &key)))
            }
            other => panic!("unknown message {other}"),
        };
        message.encode()
    }

    /// To whom a message goes on that came from `peer`.
    fn passed_on(&mut self, peer: &str, message: Message) -> Vec<NodeId> {
        let (Message::Consensus(bytes) | Message::Relay { message: bytes, .. }) = &message else { panic!() };
        let bytes = bytes.clone();
        let event = match self.ingest.take(0, key(peer).node_id(), message, &self.validators) {
            Ingested::Event(event) => event,
            Ingested::Duplicate | Ingested::Stranger => return Vec::new(),
            Ingested::Abuse(reason) => panic!("refused at the door: {reason}"),
            _ => panic!("no consensus message"),
        };
        let mut receivers = Vec::new();
        for command in self.core.handle(Now::default(), event) {
            match command {
                Command::Send { to, message: Message::Consensus(sent) } if sent == bytes => {
                    receivers.extend(to)
                }
                _ => {}
            }
        }
        receivers.sort_unstable();
        receivers
    }
}

fn names(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// Runs one scenario on a node that is asked and on one that is not.
fn run(case: &Value, meanings: &[Meaning]) {
    let validators = names(&case["validators"]);
    let (mut asked, mut unasked) = (Node::new(&validators), Node::new(&validators));
    let steps = case["steps"].as_array().unwrap();
    let others: Vec<String> = ["P2", "P3", "P4"].map(str::to_owned).to_vec();
    let mut meanings = meanings.iter();
    for (index, step) in steps.iter().enumerate().filter(|(_, step)| step[0] == "recv_from") {
        let (peer, author) = (step[1].as_str().unwrap(), step[2].as_str().unwrap());
        let place = format!("{}, step {index}", case["id"]);
        let meaning = *meanings.next().unwrap_or_else(|| panic!("{place}: one more message than is known"));
        let message = asked.message(author, &step[3]);
        let relayed = &steps[index + 1];
        let given = if relayed[0] == "relayed" { names(&relayed[3]) } else { others.clone() };
        assert_eq!(relayed[0] == "relayed", meaning == Meaning::OnTheWish, "{place}");
        let to: Vec<Address> = given.iter().map(|name| key(name).address()).collect();
        let mut all: Vec<NodeId> =
            given.iter().filter(|name| *name != peer).map(|name| key(name).node_id()).collect();
        all.sort_unstable();
        assert_eq!(unasked.passed_on(peer, Message::Consensus(message.clone())), [], "{place}: unasked");
        let wanted = if meaning == Meaning::Never { Vec::new() } else { all };
        assert_eq!(asked.passed_on(peer, Message::Relay { to, message }), wanted, "{place}: {meaning:?}");
    }
    assert_eq!(meanings.next(), None, "{}: one message less than is known", case["id"]);
}

#[test]
fn gossip_scenarios() {
    let text =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/istanbul/scenarios.json"));
    let file: Value = serde_json::from_str(text).unwrap();
    let all = file["gossip"].as_array().unwrap();
    assert_eq!(all.len(), SCENARIOS.len());
    for case in all {
        let found = SCENARIOS.iter().find(|(id, _)| case["id"] == *id);
        let (_, meanings) = found.unwrap_or_else(|| panic!("{} is not known", case["id"]));
        run(case, meanings);
    }
}
