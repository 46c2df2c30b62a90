//! Who holds which key, and who only says so.

use super::world::{NETWORK, Net, key, node, node_key, request, settings};
use crate::directory::Standing;
use crate::records::{Author, Binding};
use crate::testing::key_pair;
use crate::wire::{Answer, Challenge, Refusal, Request};
use crate::*;
use alloy_primitives::B256;
use lonja_storage::Table;

fn ask(net: &Net, of: u8, peer: u8, request: &Request) -> Answer {
    Answer::decode(&net.wait(net.manager(of).handle(node(peer), request.encode()))).unwrap()
}

fn binding(of_key: u8, by: u8, sequence_ms: u64, genesis: B256) -> Binding {
    let signer = node_key(by);
    Binding::sign(Author { node: node(by), signer: &signer, genesis }, key(of_key), sequence_ms)
}

fn standing(net: &Net, at: u8, of_key: u8, of_node: u8) -> Option<Standing> {
    net.manager(at).core.directory.lock().standing(&key(of_key), &node(of_node))
}

#[test]
fn keys_are_proven_as_nodes_meet_and_known_after_a_restart() {
    let net = Net::of(&[1, 2]);
    net.wait_until("proven", || standing(&net, 1, 2, 2) == Some(Standing::Proven));
    net.wait_until("durably", || net.change(1, |member| member.kv.len(Table::Bindings)) == 1);
    net.kill(1);
    net.start(1);
    assert_eq!(standing(&net, 1, 2, 2), Some(Standing::Proven));
    assert_eq!(net.manager(1).known_keys(), [key(1), key(2)]);
    // Nobody has connected yet, and a send goes through.
    net.send(request(1, &[2], b"payload")).unwrap();
}

#[test]
fn words_are_passed_on_to_those_who_were_not_there() {
    let net = Net::empty();
    for name in [1, 2, 3] {
        net.add(name, &[name], settings());
    }
    // 2 knows both; 1 and 3 never meet.
    for (own, other) in [(1, 2), (2, 1), (3, 2), (2, 3)] {
        net.manager(own).connected(node(other));
    }
    net.wait_until("1 heard of 3", || standing(&net, 1, 3, 3).is_some());
    net.wait_until("3 heard of 1", || standing(&net, 3, 1, 1).is_some());
    assert_eq!(standing(&net, 1, 3, 3), Some(Standing::Heard));
    net.send(request(1, &[3], b"payload")).unwrap();
    assert_eq!(standing(&net, 1, 3, 3), Some(Standing::Proven), "proven before anything was sent");
}

#[test]
fn forged_and_foreign_words_are_not_believed() {
    let net = Net::of(&[1, 2]);
    let mut forged = binding(2, 3, 5, NETWORK);
    forged.sequence_ms = 6;
    let words =
        vec![forged, binding(2, 4, 5, B256::ZERO), binding(2, 1, 5, NETWORK), binding(9, 5, 5, NETWORK)];
    assert_eq!(ask(&net, 1, 2, &Request::Announce(words)), Answer::Noted);
    assert_eq!([3, 4, 1].map(|name| standing(&net, 1, 2, name)), [None; 3]);
    assert_eq!(standing(&net, 1, 9, 5), Some(Standing::Heard), "the right one among them");
}

#[test]
fn who_only_claims_a_key_gets_nothing() {
    let net = Net::of(&[1, 2, 3]);
    // 3 claims the key of 2 with the newest word there is, and 2 has never been heard of.
    net.manager(1).core.directory.lock().settle(&key(2), &node(2), false);
    let claim = Request::Announce(vec![binding(2, 3, u64::MAX, NETWORK)]);
    assert_eq!(ask(&net, 1, 3, &claim), Answer::Noted);
    net.wait_until("asked", || standing(&net, 1, 2, 3) == Some(Standing::Refuted));
    let failed = net.send(request(1, &[2], b"payload"));
    assert_eq!(failed, Err(PtmError::UnknownRecipient(key(2))));
    let word = Request::Announce(vec![binding(2, 2, u64::MAX, NETWORK)]);
    assert_eq!(ask(&net, 1, 3, &word), Answer::Noted);
    let sent = net.send(request(1, &[2], b"payload")).unwrap();
    assert!(net.is_durable(2, &sent.hash) && !net.has(3, &sent.hash));
    let pushed =
        net.asked.lock().iter().any(|(to, request)| *to == 3 && matches!(request, Request::Push { .. }));
    assert!(!pushed);
}

#[test]
fn a_key_that_moved_is_found_at_its_new_node() {
    let net = Net::of(&[1, 2, 3]);
    net.send(request(1, &[2], b"first")).unwrap();
    for (name, seeds) in [(2, vec![22]), (3, vec![3, 2])] {
        net.kill(name);
        net.change(name, |member| member.seeds = seeds);
        net.start(name);
    }
    net.connect();
    net.wait_until("heard", || standing(&net, 1, 2, 3).is_some());
    let sent = net.send(request(1, &[2], b"payload")).unwrap();
    assert!(net.is_durable(3, &sent.hash));
    // It is nowhere any more; who had it says so.
    net.kill(3);
    net.change(3, |member| member.seeds = vec![3]);
    net.start(3);
    net.connect();
    let Err(PtmError::Unreachable { recipient, reason }) = net.send(request(1, &[2], b"payload")) else {
        panic!()
    };
    assert_eq!((recipient, reason.as_str()), (key(2), "no node that claims this key has it"));
    assert_eq!([2, 3].map(|name| standing(&net, 1, 2, name)), [Some(Standing::Refuted); 2]);
    net.wait_until("forgotten", || {
        let rows = net.change(1, |member| member.kv.len(Table::Bindings));
        let proven = [(3, 3), (22, 2)].iter();
        rows == proven.filter(|(key, name)| standing(&net, 1, *key, *name) == Some(Standing::Proven)).count()
    });
}

fn challenge(for_key: u8, from: u8, secret: u8) -> Challenge {
    let nonce = [secret; 24];
    let sealed = key_pair(from).shared_key(&key(for_key)).unwrap();
    let sealed = sealed.seal_key(&nonce, &SealingKey::from_bytes(&[secret; 32]));
    Challenge { key: key(for_key), from: key(from), nonce, sealed }
}

#[test]
fn answers_to_challenges_are_worth_nothing_to_others() {
    let net = Net::of(&[1, 2]);
    let Answer::Proof(proof) = ask(&net, 2, 1, &Request::Challenge(challenge(2, 9, 5))) else { panic!() };
    // Passed on by 3, which claims the key: another answer.
    let Answer::Proof(other) = ask(&net, 2, 3, &Request::Challenge(challenge(2, 9, 5))) else { panic!() };
    assert_ne!(proof, other);
    assert_ne!(proof, B256::repeat_byte(5), "what was sealed is not given away");
    // The box of an envelope as a challenge: its master key does not come out, nor what shows that it was opened.
    let sent = net.send(request(1, &[2], b"payload")).unwrap();
    let copy = net.manager(2).envelope(&sent.hash).unwrap().unwrap();
    let stolen = Challenge { key: key(2), from: key(1), nonce: copy.recipient_nonce, sealed: copy.boxes[0] };
    let Answer::Proof(answer) = ask(&net, 2, 3, &Request::Challenge(stolen)) else { panic!() };
    let master_key = copy.first_master_key(&Keyring::new(vec![key_pair(2)]).unwrap()).unwrap();
    assert_ne!(answer.0, *master_key.as_bytes());
    assert_ne!(answer, crate::proof::stored(&sent.hash, &master_key));

    let refused = |request: Challenge| match ask(&net, 2, 1, &Request::Challenge(request)) {
        Answer::Refused(refusal, _) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(challenge(1, 9, 5)), Refusal::NotHeld);
    assert_eq!(refused(Challenge { nonce: [6; 24], ..challenge(2, 9, 5) }), Refusal::Rule);
    assert_eq!(refused(Challenge { from: PublicKey([0; 32]), ..challenge(2, 9, 5) }), Refusal::Rule);
}

#[test]
fn only_the_proven_sender_withdraws() {
    let net = Net::of(&[1, 2, 3]);
    let envelope = testing::envelope_between(1, &[2], b"payload");
    let hash = envelope.hash();
    let push = Request::Push {
        attempt: 5,
        envelope: envelope.strip_for(&key(2)).unwrap().encode(Codec::Cbor).into(),
    };
    let withdraw = |attempt| Request::Withdraw { hash, attempt };
    // 3 got hold of the copy, and pushes it: it is kept, and 3 may not take it back, as it does not have the key.
    assert!(matches!(ask(&net, 2, 3, &push), Answer::Stored { .. }));
    assert!(matches!(ask(&net, 2, 3, &withdraw(5)), Answer::Refused(Refusal::Rule, _)));
    assert_eq!(ask(&net, 2, 1, &withdraw(5)), Answer::Noted, "it did not push it");
    assert!(net.has(2, &hash));
    net.kill(2);
    net.start(2);
    assert_eq!(ask(&net, 2, 3, &withdraw(5)), Answer::Noted, "nothing is withdrawn after a restart");
    assert!(net.has(2, &hash));

    let other = testing::envelope_between(1, &[2], b"another");
    let hash = other.hash();
    let copy = other.strip_for(&key(2)).unwrap().encode(Codec::Cbor);
    let push = |attempt| Request::Push { attempt, envelope: copy.clone().into() };
    let withdraw = |attempt| Request::Withdraw { hash, attempt };
    assert!(matches!(ask(&net, 2, 1, &push(5)), Answer::Stored { .. }));
    assert!(matches!(ask(&net, 2, 1, &push(6)), Answer::Stored { .. }));
    assert!(matches!(ask(&net, 2, 1, &push(5)), Answer::Stored { .. }), "late and twice");
    assert_eq!(ask(&net, 2, 1, &withdraw(5)), Answer::Noted);
    assert!(net.has(2, &hash), "a later attempt stands");
    assert_eq!(ask(&net, 2, 1, &withdraw(6)), Answer::Noted);
    assert!(!net.has(2, &hash));
    assert!(matches!(ask(&net, 2, 1, &push(7)), Answer::Stored { .. }));
    assert!(net.has(2, &hash));
}

#[test]
fn a_later_attempt_replaces_what_an_earlier_one_left() {
    let net = Net::of(&[1, 2, 3]);
    let first = testing::envelope_between(1, &[2], b"payload");
    let mut second = first.clone();
    (second.mode, second.exec_hash) = (PrivacyMode::StateValidation, b"root".into());
    let hash = first.hash();
    let push = |envelope: &EncodedPayload, attempt| {
        let copy = envelope.strip_for(&key(2)).unwrap().encode(Codec::Cbor);
        Request::Push { attempt, envelope: copy.into() }
    };
    assert!(matches!(ask(&net, 2, 1, &push(&first, 5)), Answer::Stored { .. }));
    assert!(matches!(ask(&net, 2, 3, &push(&second, 6)), Answer::Refused(Refusal::Rule, _)), "somebody else");
    assert!(
        matches!(ask(&net, 2, 1, &push(&second, 4)), Answer::Refused(Refusal::Rule, _)),
        "an earlier one"
    );
    assert!(matches!(ask(&net, 2, 1, &push(&second, 6)), Answer::Stored { .. }));
    assert_eq!(net.manager(2).envelope(&hash).unwrap().unwrap().mode, PrivacyMode::StateValidation);
    assert!(matches!(net.lookup(2, hash), Lookup::Found(_)));
    assert!(
        matches!(ask(&net, 2, 1, &push(&first, 7)), Answer::Refused(Refusal::Rule, _)),
        "it was looked at"
    );
}

#[test]
fn peers_that_ask_too_much_are_put_off() {
    let net = Net::of(&[1, 2]);
    let request = Request::Challenge(challenge(2, 9, 5));
    let answers: Vec<Answer> = (0..3_000).map(|_| ask(&net, 2, 3, &request)).collect();
    let busy = answers.iter().filter(|answer| matches!(answer, Answer::Refused(Refusal::Busy, _))).count();
    assert!(busy > 500, "{busy}");
    assert!(matches!(ask(&net, 2, 1, &request), Answer::Proof(_)), "others are not");
    let bytes = net.wait(net.manager(2).handle(node(1), b"\x09nonsense".into()));
    assert!(matches!(Answer::decode(&bytes), Ok(Answer::Refused(Refusal::Unreadable, _))));
}
