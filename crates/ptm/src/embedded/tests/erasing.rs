//! Erasing, by word and by order.

use super::world::{NETWORK, Net, key, node, node_key, parts, request, settings};
use crate::records::{Author, Erasure, ErasureKind};
use crate::wire::{Answer, Refusal, Request};
use crate::*;
use alloy_primitives::B256;
use lonja_storage::{StoreOptions, Table, open_payloads};
use std::sync::Arc;

const ORDER: B256 = B256::repeat_byte(9);

fn network(accept_erase: AcceptErase) -> Arc<Net> {
    let net = Net::empty();
    for name in [1, 2, 3] {
        net.add(name, &[name], Settings { accept_erase, ..settings() });
    }
    net.connect();
    net
}

#[test]
fn parties_answer_an_order_with_their_tombstones() {
    let net = network(AcceptErase::FromSender);
    let hash = net.send(request(1, &[2, 3], b"payload")).unwrap().hash;
    let answers = net.wait(net.manager(1).ask_parties(hash, ORDER)).unwrap();
    assert_eq!(answers.iter().map(|answer| answer.party).collect::<Vec<_>>(), [key(2), key(3)]);
    for (answer, name) in answers.into_iter().zip([2, 3]) {
        let tombstone = answer.result.unwrap();
        assert_eq!((tombstone.hash, tombstone.order, tombstone.node), (hash, ORDER, node(name)));
        assert!(tombstone.is_signed(ErasureKind::Done, NETWORK));
        assert_eq!(net.lookup(name, hash), Lookup::Erased);
        assert_eq!(net.manager(name).tombstone(&hash), Ok(Some(tombstone)));
    }
    assert!(matches!(net.lookup(1, hash), Lookup::Found(_)), "here it is another matter");
    // Asked again they answer the same.
    let again = net.wait(net.manager(1).ask_parties(hash, B256::ZERO)).unwrap();
    assert!(again.iter().all(|answer| answer.result.as_ref().is_ok_and(|stone| stone.order == ORDER)));
    let own = net.wait(net.manager(1).erase_by_order(hash, ORDER)).unwrap();
    assert_eq!((own.order, own.node), (ORDER, node(1)));
    // All have done it: there is nobody left to ask. Of what never was here nobody knows the parties.
    assert_eq!(net.wait(net.manager(1).ask_parties(hash, ORDER)), Ok(vec![]));
    let none = net.wait(net.manager(1).ask_parties(PayloadHash::from_data(b"unknown"), ORDER));
    assert!(matches!(none, Err(PtmError::NotFound(_))));
    // Nobody takes it again.
    let resent = net.manager(2).envelope(&hash);
    assert_eq!(resent, Ok(None));
}

#[test]
fn orders_are_carried_out_for_those_whose_orders_are_taken() {
    for (accept, sender, party) in [
        (AcceptErase::Never, false, false),
        (AcceptErase::FromSender, true, false),
        (AcceptErase::FromAnyParty, true, true),
    ] {
        let net = network(accept);
        let metadata =
            Metadata { mode: PrivacyMode::StateValidation, exec_hash: b"root".into(), ..Metadata::default() };
        for (by, taken) in [(1, sender), (2, party)] {
            // With states validated everybody knows all parties.
            let sent = SendRequest { metadata: metadata.clone(), ..request(1, &[2, 3], b"payload") };
            let hash = net.send(sent).unwrap().hash;
            let answers = net.wait(net.manager(by).ask_parties(hash, ORDER)).unwrap();
            assert_eq!(answers.len(), 2);
            for answer in answers {
                assert_eq!(answer.result.is_ok(), taken, "{accept:?} {by} {answer:?}");
            }
            assert_eq!(net.lookup(3, hash) == Lookup::Erased, taken);
        }
    }
}

#[test]
fn forged_and_foreign_orders_are_not_carried_out() {
    let net = network(AcceptErase::FromAnyParty);
    let hash = net.send(request(1, &[2], b"payload")).unwrap().hash;
    let order = |by: u8, kind: ErasureKind, genesis: B256| {
        let signer = node_key(by);
        Erasure::sign(Author { node: node(by), signer: &signer, genesis }, kind, hash, ORDER, 5)
    };
    let ask = |peer: u8, order: Erasure| {
        Answer::decode(&net.wait(net.manager(2).handle(node(peer), Request::Erase(order).encode()))).unwrap()
    };
    let right = order(1, ErasureKind::Order, NETWORK);
    for (peer, wrong) in [
        (3, right.clone()),
        (3, order(3, ErasureKind::Order, NETWORK)),
        (1, order(1, ErasureKind::Done, NETWORK)),
        (1, order(1, ErasureKind::Order, B256::ZERO)),
        (1, Erasure { node: node(3), ..right.clone() }),
        (1, Erasure { time_ms: 6, ..right.clone() }),
    ] {
        let answer = ask(peer, wrong);
        assert!(matches!(answer, Answer::Refused(Refusal::Rule, _)), "{answer:?}");
    }
    assert!(net.has(2, &hash));
    let signer = node_key(1);
    let author = Author { node: node(1), signer: &signer, genesis: NETWORK };
    let unknown = PayloadHash::from_data(b"unknown");
    let answer = ask(1, Erasure::sign(author, ErasureKind::Order, unknown, ORDER, 5));
    assert!(matches!(answer, Answer::Refused(..)));
    assert_eq!(
        net.change(2, |member| member.kv.len(Table::Tombstones)),
        0,
        "no tombstone for what never was"
    );
    assert!(matches!(ask(1, right), Answer::Erased(_)));
}

#[test]
fn bytes_of_what_was_erased_leave_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let start = || {
        let store = open_payloads(directory.path(), &StoreOptions::payloads()).unwrap();
        let parts = parts(1, &[1], store, Arc::new(NoCourier), &runtime);
        EmbeddedManager::start(parts, settings()).unwrap()
    };
    let manager = start();
    let send = |payload: &[u8]| runtime.block_on(manager.send(request(1, &[], payload))).unwrap().hash;
    let (gone, kept) = (send(&[1; 300]), send(&[2; 300]));
    let cipher_text = |hash| manager.envelope(&hash).unwrap().unwrap().cipher_text;
    let (gone_text, kept_text) = (cipher_text(gone), cipher_text(kept));
    runtime.block_on(manager.erase(gone)).unwrap();
    drop(manager);
    assert!(super::secrets::files_with(directory.path(), &gone_text) > 0);
    // What was begun before a restart is finished after it.
    let manager = start();
    runtime.block_on(manager.scrub()).unwrap();
    assert_eq!(super::secrets::files_with(directory.path(), &gone_text), 0);
    assert!(super::secrets::files_with(directory.path(), &kept_text) > 0);
    assert_eq!(runtime.block_on(manager.lookup(gone)), Lookup::Erased);
    assert!(matches!(runtime.block_on(manager.lookup(kept)), Lookup::Found(_)));
    assert_eq!(runtime.block_on(manager.scrub()), Ok(()), "nothing is left to do");
}

#[test]
fn parties_that_have_not_erased_it_are_asked_again_and_the_others_not() {
    let net = network(AcceptErase::FromSender);
    let hash = net.send(request(1, &[2, 3], b"payload")).unwrap().hash;
    net.kill(3);
    let done = |answers: &[ErasureAnswer]| -> Vec<(PublicKey, bool)> {
        answers.iter().map(|answer| (answer.party, answer.result.is_ok())).collect()
    };
    let answers = net.wait(net.manager(1).ask_parties(hash, ORDER)).unwrap();
    assert_eq!(done(&answers), [(key(2), true), (key(3), false)]);
    net.wait(net.manager(1).erase_by_order(hash, ORDER)).unwrap();
    // Though nothing is left here that names the parties, also after a restart.
    net.kill(1);
    net.start(1);
    net.start(3);
    net.connect();
    let answers = net.wait(net.manager(1).ask_parties(hash, ORDER)).unwrap();
    assert_eq!(done(&answers), [(key(3), true)]);
    assert_eq!(net.lookup(3, hash), Lookup::Erased);
    assert_eq!(net.wait(net.manager(1).ask_parties(hash, ORDER)), Ok(vec![]));
}

#[test]
fn what_is_not_here_can_be_forbidden_to_come() {
    let net = network(AcceptErase::default());
    let hash = net.send(request(1, &[2], b"payload")).unwrap().hash;
    super::recovering::lose(&net, 2);
    assert!(matches!(net.wait(net.manager(2).erase_by_order(hash, ORDER)), Err(PtmError::NotFound(_))));
    let manager = net.manager(2);
    assert_eq!(manager.is_scrubbed(), Ok(true));
    assert_eq!(net.wait(manager.erase_wherever(hash, ORDER)).unwrap().order, ORDER);
    assert_eq!(manager.is_scrubbed(), Ok(false));
    assert_eq!(manager.is_followed(), Ok(false));
    let mut arrivals = manager.arrivals();
    assert_eq!(arrivals.take(9), Ok(vec![Arrival::Erased(hash)]));
    arrivals.done();
    net.wait_until("it is followed", || manager.is_followed() == Ok(true));
    net.wait(manager.scrub()).unwrap();
    assert_eq!(manager.is_scrubbed(), Ok(true));
    let outcome = net.wait(manager.recover(true, &[hash])).unwrap();
    assert_eq!((outcome.recovered, outcome.missing), (0, vec![]), "what was erased is not missing");
    assert_eq!(net.lookup(2, hash), Lookup::Erased);
}
