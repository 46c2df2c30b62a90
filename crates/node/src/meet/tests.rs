//! A node whose newest block is an old one meets peers, of which some lie, fall silent or have nothing to show.

use super::machine::{Input, Known, Meeting, Output};
use super::witness;
use crate::addresses::tests as addresses;
use crate::join::giver::Desk;
use crate::join::tests::{core, key, next_block};
use crate::join::words::{Ends, Question, Witness, decode_witness, encode_witness};
use alloy_primitives::{Address, B256, Bytes, U256, address, hex, keccak256};
use lonja_chain::ChainCore;
use lonja_primitives::genesis::{GenesisAccount, NewNetwork};
use lonja_primitives::spec::{ConnectionForm, NodeRule, Permissions};
use lonja_primitives::{Genesis, NodeId, SealedHeader, Signer};
use lonja_storage::{MemoryKv, Reader};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Rules with Besu's interface: plain lists by key, host and port.
const NODES: Address = address!("0000000000000000000000000000000000009999");
const LISTS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/contracts/Lists.hex"));
const HEIGHT: u64 = 12;

pub(crate) fn peer(number: u8) -> NodeId {
    key(100 + number).node_id()
}

/// Where a peer is reached.
pub(crate) fn host(number: u8) -> String {
    format!("10.0.0.{number}")
}

fn ends(number: u8) -> Ends {
    Ends { host: host(number), port: 30303, own_ip: None, own_port: 30303 }
}

/// The slot in which the contract keeps that a node may connect: keccak of the ABI's encoding of `(text, text, port)`.
fn slot(node: &NodeId, host: &str, port: u16) -> U256 {
    let padded = |text: &str| {
        let mut bytes = U256::from(text.len()).to_be_bytes::<32>().to_vec();
        bytes.extend_from_slice(text.as_bytes());
        bytes.resize(bytes.len().div_ceil(32) * 32, 0);
        bytes
    };
    let (enode, host) = (padded(&hex::encode(node.0)), padded(host));
    let word = |number: usize| U256::from(number).to_be_bytes::<32>();
    let head = [word(96), word(96 + enode.len()), word(usize::from(port))].concat();
    let entry = keccak256([head, enode, host].concat());
    U256::from_be_bytes(keccak256([entry.0, word(0)].concat()).0)
}

/// Four validators, and a contract that permits these peers from the beginning.
pub(crate) fn genesis(listed: &[u8]) -> Genesis {
    let mut alloc = BTreeMap::new();
    for number in 1..500u64 {
        let account = GenesisAccount { balance: U256::from(number), ..Default::default() };
        alloc.insert(Address::left_padding_from(&number.to_be_bytes()), account);
    }
    let storage = listed.iter().map(|n| (slot(&peer(*n), &host(*n), 30303), U256::from(1))).collect();
    let code = Bytes::from(hex::decode(LISTS.trim()).unwrap());
    alloc.insert(NODES, GenesisAccount { code, storage, ..GenesisAccount::default() });
    let rule = NodeRule { contract: NODES, form: ConnectionForm::Strings };
    let network = NewNetwork {
        validators: (1..=4).map(|number| key(number).address()).collect(),
        alloc,
        permissions: Permissions { nodes: Some(rule), ..Permissions::default() },
        ..NewNetwork::default()
    };
    Genesis::from_json(&network.to_json()).unwrap()
}

fn chain(listed: &[u8], height: u64) -> (ChainCore, Genesis) {
    let genesis = genesis(listed);
    let mut core = core(Arc::new(MemoryKv::new()), &genesis);
    (0..height).for_each(|_| next_block(&mut core, &genesis, None));
    (core, genesis)
}

fn known(genesis: &Genesis, head: SealedHeader) -> Known {
    Known {
        spec: Arc::new(genesis.spec.clone()),
        genesis: genesis.header.clone(),
        head,
        checkpoint: None,
        own: key(99).node_id(),
    }
}

/// What a peer makes of an honest answer; `None` for silence.
type Habit = fn(&Question, Bytes) -> Option<Bytes>;

fn honest(_: &Question, answer: Bytes) -> Option<Bytes> {
    Some(answer)
}

/// What came of a meeting.
#[derive(Debug, Default)]
struct Met {
    vouched: Vec<(NodeId, u64)>,
    blamed: BTreeMap<NodeId, String>,
    troubles: BTreeMap<NodeId, Option<String>>,
    witnesses: usize,
    headers: usize,
}

/// Meets these peers for half a minute, or until one is vouched for.
fn meet(reader: &Reader, spec: &lonja_primitives::ChainSpec, known: Known, habits: &[(u8, Habit)]) -> Met {
    let asker = known.own;
    let mut desks: BTreeMap<NodeId, (Desk<'_>, Habit)> =
        habits.iter().map(|(n, habit)| (peer(*n), (Desk::new(reader, spec, peer(*n)), *habit))).collect();
    let mut machine = Meeting::new(known, habits.iter().map(|(n, _)| (peer(*n), ends(*n))));
    let (mut met, mut now_ms, mut on_the_way) = (Met::default(), 0, VecDeque::new());
    let mut inputs: VecDeque<Input> = habits.iter().map(|(n, _)| Input::PeerUp(peer(*n))).collect();
    while now_ms < 30_000 && met.vouched.is_empty() {
        let input = match (inputs.pop_front(), on_the_way.pop_front()) {
            (Some(input), asked) => {
                on_the_way.extend(asked);
                input
            }
            (None, Some((node, request, question))) => {
                let (desk, habit) = desks.get_mut(&node).unwrap();
                let travelled = Question::decode(&Question::encode(&question)).unwrap();
                match habit(&question, desk.answer(&asker, &travelled).unwrap()) {
                    Some(content) => Input::Answer { peer: node, request, content },
                    None => continue,
                }
            }
            (None, None) => {
                now_ms = now_ms.max(machine.deadline().unwrap_or(30_000));
                Input::Tick
            }
        };
        for output in machine.step(now_ms, input) {
            match output {
                Output::Ask { peer, request, question } => {
                    assert!(!met.blamed.contains_key(&peer), "asked although it lied");
                    met.witnesses += usize::from(matches!(question, Question::Witness(_)));
                    met.headers += usize::from(matches!(question, Question::Headers { .. }));
                    on_the_way.push_back((peer, request, question));
                }
                Output::Blame { peer, reason } => assert!(met.blamed.insert(peer, reason).is_none()),
                Output::Vouched { peer, number } => met.vouched.push((peer, number)),
            }
        }
    }
    met.troubles = machine.troubles().map(|(node, _, why)| (*node, why.map(str::to_owned))).collect();
    met
}

#[test]
fn a_permitted_peer_is_vouched_for_at_its_newest_block() {
    let (chain, genesis) = chain(&[1], HEIGHT);
    let reader = chain.reader();
    let met = meet(&reader, &genesis.spec, known(&genesis, genesis.header.clone()), &[(1, honest)]);
    assert_eq!(met.vouched, [(peer(1), HEIGHT)]);
    assert!(met.blamed.is_empty() && met.troubles[&peer(1)].is_none(), "{met:?}");
    // The same from a later block of our own, and from one that the operator vouches for.
    let header = |number| reader.header(number).unwrap().unwrap();
    let later = known(&genesis, header(5));
    assert_eq!(meet(&reader, &genesis.spec, later, &[(1, honest)]).vouched, [(peer(1), HEIGHT)]);
    let at = |number: u64, hash| Known { checkpoint: Some((number, hash)), ..known(&genesis, header(2)) };
    let met = meet(&reader, &genesis.spec, at(7, header(7).hash()), &[(1, honest)]);
    assert_eq!(met.vouched, [(peer(1), HEIGHT)]);
    let met = meet(&reader, &genesis.spec, at(7, B256::repeat_byte(7)), &[(1, honest)]);
    assert!(met.vouched.is_empty() && met.blamed.is_empty(), "the operator may be wrong as well: {met:?}");
    assert!(met.troubles[&peer(1)].as_ref().unwrap().contains("the checkpoint says"), "{met:?}");
    let met = meet(&reader, &genesis.spec, at(HEIGHT + 1, B256::ZERO), &[(1, honest)]);
    assert!(met.troubles[&peer(1)].as_ref().unwrap().contains("below --checkpoint"), "{met:?}");
}

#[test]
fn who_is_not_permitted_or_no_further_has_nothing_to_show_and_is_asked_again() {
    let (chain, genesis) = chain(&[1], HEIGHT);
    let (reader, head) = (chain.reader(), chain.position().head.clone());
    let old = known(&genesis, genesis.header.clone());
    let met = meet(&reader, &genesis.spec, old.clone(), &[(2, honest)]);
    assert!(met.vouched.is_empty() && met.blamed.is_empty(), "{met:?}");
    assert!(met.troubles[&peer(2)].as_ref().unwrap().contains("no proof"), "{met:?}");
    assert!(met.witnesses > 5 && met.headers == 0, "it may be admitted any moment: {met:?}");
    let met = meet(&reader, &genesis.spec, known(&genesis, head), &[(1, honest)]);
    assert!(met.vouched.is_empty() && met.blamed.is_empty(), "{met:?}");
    assert!(met.troubles[&peer(1)].as_ref().unwrap().contains("not beyond"), "{met:?}");
    let silent: Habit = |_, _| None;
    let met = meet(&reader, &genesis.spec, old.clone(), &[(1, silent), (2, silent)]);
    assert!(met.troubles.values().all(|why| why.as_deref() == Some("it does not answer")), "{met:?}");
    let no_headers: Habit = |question, answer| {
        Some(if matches!(question, Question::Headers { .. }) { Bytes::new() } else { answer })
    };
    let met = meet(&reader, &genesis.spec, old, &[(1, no_headers)]);
    assert!(met.troubles[&peer(1)].as_ref().unwrap().contains("does not have the header"), "{met:?}");
}

fn tampered(answer: &Bytes, change: impl Fn(&mut Witness)) -> Bytes {
    let mut witness = decode_witness(answer).unwrap();
    change(&mut witness);
    encode_witness(&witness)
}

/// Each way to lie.
const LIES: [(&str, Habit); 9] = [
    ("another header", |question, answer| {
        let Question::Headers { .. } = question else { return Some(answer) };
        let mut bytes = answer.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        Some(bytes.into())
    }),
    ("the header of another block", |question, answer| {
        let Question::Witness(_) = question else { return Some(answer) };
        Some(tampered(&answer, |witness| witness.number -= 1))
    }),
    ("a block that does not exist", |question, answer| {
        let Question::Witness(_) = question else { return Some(answer) };
        Some(tampered(&answer, |witness| witness.number = 1))
    }),
    ("a node less", |question, answer| {
        let Question::Witness(_) = question else { return Some(answer) };
        Some(tampered(&answer, |witness| drop(witness.nodes.pop())))
    }),
    ("a node changed", |question, answer| {
        let Question::Witness(_) = question else { return Some(answer) };
        Some(tampered(&answer, |witness| {
            let mut bytes = witness.nodes.pop().unwrap().to_vec();
            *bytes.last_mut().unwrap() ^= 2;
            witness.nodes.push(bytes.into());
        }))
    }),
    ("another code", |question, answer| {
        let Question::Witness(_) = question else { return Some(answer) };
        // Returns 1 whatever is asked.
        let yes = Bytes::from_static(&hex!("600160005260206000f3"));
        Some(tampered(&answer, |witness| witness.codes = vec![yes.clone()]))
    }),
    ("no code", |question, answer| {
        let Question::Witness(_) = question else { return Some(answer) };
        Some(tampered(&answer, |witness| witness.codes.clear()))
    }),
    ("nothing in it", |question, answer| {
        let Question::Witness(_) = question else { return Some(answer) };
        Some(tampered(&answer, |witness| witness.nodes.clear()))
    }),
    ("no witness at all", |question, answer| {
        let Question::Witness(_) = question else { return Some(answer) };
        Some(answer.slice(1..))
    }),
];

#[test]
fn whoever_tampers_is_blamed_and_an_honest_peer_is_met() {
    // Blocks differ in their state root only where it matters here.
    let (chain, genesis) = chain(&[1, 2], HEIGHT);
    let reader = chain.reader();
    for (what, lie) in LIES {
        let met = meet(&reader, &genesis.spec, known(&genesis, genesis.header.clone()), &[(1, lie)]);
        if ["the header of another block", "a block that does not exist"].contains(&what) {
            // The state is the same after all of these blocks, and so the proof holds of them too.
            assert!(met.vouched.iter().all(|(node, number)| *node == peer(1) && *number < HEIGHT), "{met:?}");
            continue;
        }
        assert!(met.vouched.is_empty() && met.blamed.len() == 1, "{what}: {met:?}");
        let met =
            meet(&reader, &genesis.spec, known(&genesis, genesis.header.clone()), &[(1, lie), (2, honest)]);
        assert_eq!(met.vouched, [(peer(2), HEIGHT)], "{what}");
    }
}

#[test]
fn a_proof_is_of_one_peer_at_one_place_and_one_state() {
    let (chain, genesis) = chain(&[1], HEIGHT);
    let (reader, spec, asker) = (chain.reader(), &genesis.spec, key(99).node_id());
    let block = chain.position().head.clone();
    let made = || witness::make(&reader, spec, peer(1), asker, &ends(1)).unwrap().unwrap();
    assert_eq!(witness::judge(spec, &block, made(), peer(1), asker, &ends(1)), Ok(()));
    assert!(witness::judge(spec, &block, made(), peer(2), asker, &ends(1)).is_err(), "another key");
    assert!(witness::judge(spec, &block, made(), peer(1), asker, &ends(2)).is_err(), "another address");
    assert!(
        witness::judge(spec, &genesis.header, made(), peer(1), asker, &ends(1)).is_err(),
        "another block"
    );
    let mut header = block.header().clone();
    header.state_root = B256::repeat_byte(1);
    let other = SealedHeader::new_unchecked(header, block.hash());
    assert!(witness::judge(spec, &other, made(), peer(1), asker, &ends(1)).is_err(), "another state");
    assert_eq!(witness::make(&reader, spec, peer(2), asker, &ends(2)), Ok(None), "not permitted");
    assert_eq!(witness::make(&reader, spec, peer(1), asker, &ends(2)), Ok(None), "not there");
}

#[test]
fn a_peer_that_leaves_and_comes_back_is_asked_anew() {
    let (_, genesis) = chain(&[1], 0);
    let mut machine = Meeting::new(known(&genesis, genesis.header.clone()), [(peer(1), ends(1))].into_iter());
    let asked = |outputs: Vec<Output>| match outputs.as_slice() {
        [Output::Ask { request, .. }] => Some(*request),
        _ => None,
    };
    assert!(machine.troubles().all(|(.., trouble)| trouble.is_none()));
    assert_eq!(asked(machine.step(0, Input::PeerUp(peer(9)))), None, "a stranger");
    let first = asked(machine.step(0, Input::PeerUp(peer(1)))).unwrap();
    assert!(machine.step(1, Input::PeerDown(peer(1), "gone".into())).is_empty());
    assert!(machine.troubles().all(|(.., trouble)| trouble.unwrap().contains("gone")));
    assert_eq!(machine.deadline(), None);
    let second = asked(machine.step(2, Input::PeerUp(peer(1)))).unwrap();
    let late = Input::Answer { peer: peer(1), request: first, content: Bytes::new() };
    assert!(machine.step(3, late).is_empty());
    let answer = Input::Answer { peer: peer(1), request: second, content: Bytes::new() };
    assert!(machine.step(4, answer).is_empty(), "asked again after a while");
    assert!(asked(machine.step(10_000, Input::Tick)).is_some());
}

#[test]
fn the_registry_of_a_large_network_can_be_proved() {
    let genesis = addresses::genesis(&(1..=500).map(addresses::plain).collect::<Vec<_>>());
    let chain = addresses::chain(&genesis);
    let (reader, block) = (chain.reader(), chain.position().head.clone());
    let (asker, ends) = (addresses::node(1), ends(1));
    let made = witness::make(&reader, &genesis.spec, addresses::node(400), asker, &ends).unwrap().unwrap();
    assert!(encode_witness(&made).len() < 128 << 10, "{} bytes", encode_witness(&made).len());
    let judge = |peer| witness::judge(&genesis.spec, &block, made.clone(), peer, asker, &ends);
    assert_eq!(judge(addresses::node(400)), Ok(()));
    assert!(judge(addresses::node(401)).is_err() && judge(key(5).node_id()).is_err());
    assert_eq!(
        witness::make(&reader, &genesis.spec, key(5).node_id(), asker, &ends),
        Ok(None),
        "not registered"
    );
}
