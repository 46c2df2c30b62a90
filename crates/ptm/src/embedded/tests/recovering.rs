//! Getting back what was lost.

use super::world::{Fault, Net, key, node, request, settings};
use crate::wire::{Answer, Refusal, Request};
use crate::*;
use alloy_primitives::Bytes;
use lonja_storage::{MemoryKv, Table};
use std::sync::Arc;

pub(super) fn lose(net: &Arc<Net>, name: u8) {
    net.kill(name);
    net.change(name, |member| member.kv = MemoryKv::new());
    net.start(name);
    net.connect();
}

fn clear(net: &Net, name: u8, hash: PayloadHash) -> PrivatePayload {
    match net.lookup(name, hash) {
        Lookup::Found(payload) => payload,
        other => panic!("{other:?}"),
    }
}

fn recover(net: &Net, name: u8, wanted: &[PayloadHash]) -> RecoveryOutcome {
    net.wait(net.manager(name).recover(false, wanted)).unwrap()
}

fn protected(flag: u64, affected: &[PayloadHash]) -> Metadata {
    let exec_hash = if flag == 3 { Bytes::from_static(b"root") } else { Bytes::new() };
    let mode = PrivacyMode::from_flag(flag).unwrap();
    Metadata { mode, affected: affected.to_vec(), exec_hash, ..Metadata::default() }
}

#[test]
fn everything_comes_back_from_those_who_have_it() {
    let net = Net::of(&[1, 2, 3]);
    let with = |from: u8, to: &[u8], text: &str, metadata: Metadata| {
        net.send(SendRequest { metadata, ..request(from, to, text.as_bytes()) }).unwrap().hash
    };
    let received = with(2, &[1], "to 1", Metadata::default());
    let sent = with(1, &[2, 3], "from 1", Metadata::default());
    let creation = with(3, &[1], "a contract", protected(1, &[]));
    let call = with(1, &[3], "a call", protected(1, &[creation]));
    let validated = with(1, &[2, 3], "validated", protected(3, &[]));
    let foreign = with(2, &[3], "none of 1's business", Metadata::default());
    let alone = with(1, &[], "for 1 alone", Metadata::default());
    let before: Vec<_> = [received, sent, creation, call, validated].map(|hash| clear(&net, 1, hash)).into();

    lose(&net, 1);
    assert_eq!(net.lookup(1, sent), Lookup::NotOurs);
    let outcome = recover(&net, 1, &[received, alone]);
    assert_eq!((outcome.recovered, outcome.refused, outcome.unproven), (5, 0, 0), "{outcome:?}");
    assert!(outcome.is_complete());
    assert_eq!(outcome.missing, [alone], "nobody else had it");
    assert_eq!(net.lookup(1, foreign), Lookup::NotOurs);
    for (hash, before) in [received, sent, creation, call, validated].into_iter().zip(before) {
        assert!(clear(&net, 1, hash) == before, "{hash}");
        assert!(net.is_durable(1, &hash));
    }
    let parties = net.wait(net.manager(1).participants(sent)).unwrap();
    assert_eq!(parties.len(), 3, "all who gave their copies are known again");
    // What comes later comes with the next one, and nothing twice.
    let again = recover(&net, 1, &[]);
    assert_eq!((again.recovered, again.known), (0, 0));
    let afresh = net.wait(net.manager(1).recover(true, &[])).unwrap();
    assert_eq!((afresh.recovered, afresh.known), (0, 7));
}

#[test]
fn it_goes_on_where_it_stopped() {
    let net = Net::of(&[1, 2]);
    let hashes: Vec<_> =
        (0..600u32).map(|number| net.send(request(2, &[1], &number.to_be_bytes())).unwrap().hash).collect();
    lose(&net, 1);
    // The second page does not come: a challenge of the other side stands before the first.
    net.plan([Fault::None, Fault::None, Fault::LoseAnswer]);
    let first = recover(&net, 1, &[]);
    assert!(!first.is_complete() && first.recovered > 0 && first.recovered < 600, "{first:?}");
    let second = recover(&net, 1, &hashes);
    assert!(second.is_complete() && second.missing.is_empty(), "{second:?}");
    assert_eq!(first.recovered + second.recovered, 600);
    assert_eq!(second.known, 0, "no page came twice");
    // Who gives may have lost its store too: its numbers begin anew.
    lose(&net, 2);
    assert_eq!(recover(&net, 2, &[]).recovered, 600);
    let hash = net.send(request(2, &[1], b"new")).unwrap().hash;
    net.wait(net.manager(1).erase(hash)).unwrap();
    assert!(recover(&net, 1, &[]).is_complete());
    assert_eq!(net.lookup(1, hash), Lookup::Erased, "what was erased does not come back");
}

#[test]
fn contracts_come_before_their_calls_whoever_gives_them() {
    let net = Net::of(&[1, 2, 3]);
    // 1 has a contract from 3, and 2 calls it, being asked first.
    let (asked_first, asked_last) = if node(2) < node(3) { (2, 3) } else { (3, 2) };
    let created = SendRequest { metadata: protected(1, &[]), ..request(asked_last, &[1, asked_first], b"x") };
    let created = net.send(created).unwrap().hash;
    let calls: Vec<_> = (0..3u8)
        .map(|number| {
            let call = protected(1, &[created]);
            let call = SendRequest { metadata: call, ..request(asked_first, &[1, asked_last], &[number]) };
            net.send(call).unwrap().hash
        })
        .collect();
    lose(&net, 1);
    let outcome = recover(&net, 1, &[]);
    assert_eq!((outcome.recovered, outcome.unproven), (4, 0), "{outcome:?}");
    for call in &calls {
        assert_eq!(clear(&net, 1, *call).metadata.affected, [created]);
    }
    let aside = net.change(1, |member| member.kv.len(Table::PtmMeta));
    // Where nobody has the contract, its calls come without it.
    lose(&net, 1);
    net.kill(asked_last);
    let outcome = recover(&net, 1, &[created]);
    assert_eq!((outcome.recovered, outcome.unproven, outcome.missing), (3, 3, vec![created]), "{aside}");
    assert!(calls.iter().all(|call| clear(&net, 1, *call).metadata.affected.is_empty()));
    assert!(!outcome.incomplete.is_empty());
}

#[test]
fn nothing_is_given_to_those_who_do_not_hold_the_key() {
    let net = Net::of(&[1, 2, 3]);
    net.send(request(1, &[2], b"payload")).unwrap();
    let resend = |key: PublicKey| Request::Resend { key, cursor: 0, limit: 10 }.encode();
    let ask = |peer: u8, of: PublicKey| {
        Answer::decode(&net.wait(net.manager(1).handle(node(peer), resend(of)))).unwrap()
    };
    assert!(matches!(ask(3, key(2)), Answer::Refused(Refusal::NotHeld, _)));
    assert!(matches!(ask(3, key(1)), Answer::Refused(Refusal::NotHeld, _)));
    let Answer::Batch { envelopes, more, .. } = ask(2, key(2)) else { panic!() };
    assert_eq!((envelopes.len(), more), (1, false));
    let copy = EncodedPayload::decode(Codec::Cbor, &envelopes[0]).unwrap();
    assert_eq!((copy.recipients, copy.boxes.len()), (vec![key(2)], 1), "its own copy and no more");
    let Answer::Batch { envelopes, .. } = ask(3, key(3)) else { panic!() };
    assert!(envelopes.is_empty());
    // Whoever asks for much is put off, and others are not.
    let large = Request::Resend { key: key(3), cursor: 0, limit: 1_024 }.encode();
    let answers: Vec<_> = (0..8).map(|_| net.wait(net.manager(1).handle(node(3), large.clone()))).collect();
    let busy = |answer: &Bytes| matches!(Answer::decode(answer), Ok(Answer::Refused(Refusal::Busy, _)));
    assert!(answers.iter().any(busy) && !answers.iter().all(busy));
    assert!(matches!(ask(2, key(2)), Answer::Batch { .. }));
}

#[test]
fn pages_are_bounded_in_bytes() {
    let net = Net::of(&[1, 2]);
    for number in 0..5u8 {
        net.send(request(1, &[2], &vec![number; 2 << 20])).unwrap();
    }
    let (mut cursor, mut pages, mut found) = (0, 0, 0);
    loop {
        let request = Request::Resend { key: key(2), cursor, limit: 100 }.encode();
        let answer = net.wait(net.manager(1).handle(node(2), request));
        let Ok(Answer::Batch { envelopes, next, more }) = Answer::decode(&answer) else { panic!() };
        assert!(answer.len() < 5 << 20);
        (cursor, pages, found) = (next, pages + 1, found + envelopes.len());
        if !more {
            break;
        }
    }
    assert!(pages >= 5 && found == 5, "{pages} {found}");
    let (mut cursor, mut pages, mut found) = (Some(0), 0, 0);
    while let Some(after) = cursor {
        let (page, next) = net.manager(1).concerning(&key(2), after, 100).unwrap();
        assert!(page.len() <= 2, "{}", page.len());
        (cursor, pages, found) = (next, pages + 1, found + page.len());
    }
    assert!(pages >= 3 && found == 5, "{pages} {found}");
    net.change(2, |member| member.settings = settings());
    lose(&net, 2);
    assert_eq!(recover(&net, 2, &[]).recovered, 5);
}

#[test]
fn a_recovery_in_the_background_says_how_it_gets_on() {
    let net = Net::of(&[1, 2, 3]);
    assert_eq!(net.manager(1).recovery_status(), RecoveryStatus::default());
    let hash = net.send(request(2, &[1], b"payload")).unwrap().hash;
    let gone = net.send(request(1, &[], b"for 1 alone")).unwrap().hash;
    lose(&net, 1);
    net.kill(3);
    net.manager(1).start_recovery(false, vec![hash, gone]).unwrap();
    net.wait_until("it is done", || !net.manager(1).recovery_status().running);
    let status = net.manager(1).recovery_status();
    assert_eq!((status.nodes, status.asked, status.failed), (2, 2, None));
    assert_eq!((status.outcome.recovered, status.outcome.missing), (1, vec![gone]));
    assert_eq!(status.outcome.incomplete.len(), 1, "one node is away");
    assert!(matches!(net.lookup(1, hash), Lookup::Found(_)));
    // Where two begin at once, one does it all.
    net.start(3);
    net.connect();
    let manager = net.manager(1);
    let first = manager.core.recovering.try_lock().unwrap();
    let second = manager.start_recovery(true, vec![]);
    assert!(matches!(second, Err(PtmError::Unavailable(ref why)) if why.contains("under way")), "{second:?}");
    drop(first);
    manager.start_recovery(true, vec![]).unwrap();
    net.wait_until("it is done", || !net.manager(1).recovery_status().running);
    assert!(net.manager(1).recovery_status().outcome.is_complete());
}

#[test]
fn what_affects_too_much_at_once_is_refused() {
    let net = Net::of(&[1]);
    let affected: Vec<_> = (0..7u8)
        .map(|number| {
            let created =
                SendRequest { metadata: protected(1, &[]), ..request(1, &[], &vec![number; 10 << 20]) };
            net.send(created).unwrap().hash
        })
        .collect();
    let call = |affected: &[PayloadHash]| {
        net.send(SendRequest { metadata: protected(1, affected), ..request(1, &[], b"a call") })
    };
    assert!(call(&affected[..6]).is_ok());
    assert!(matches!(
        call(&affected),
        Err(PtmError::TooLarge { what: "bytes of affected transactions", .. })
    ));
}
