//! Recipients that cannot be reached.

use super::world::{Fault, Net, key, request, settings};
use crate::*;
use lonja_storage::Table;

fn with_outbox() -> std::sync::Arc<Net> {
    let net = Net::empty();
    net.add(1, &[1], Settings { outbox: true, ..settings() });
    net.add(2, &[2], settings());
    net.add(3, &[3], settings());
    net.connect();
    net.send(request(1, &[2, 3], b"so that the keys are proven")).unwrap();
    net
}

#[test]
fn without_an_outbox_the_send_fails_and_names_who_is_missing() {
    let net = Net::of(&[1, 2, 3]);
    net.send(request(1, &[2, 3], b"first")).unwrap();
    net.kill(3);
    let Err(PtmError::Unreachable { recipient, reason }) = net.send(request(1, &[2, 3], b"payload")) else {
        panic!()
    };
    assert_eq!((recipient, reason.as_str()), (key(3), "the node is not connected"));
    net.wait_until("2 has let go of it", || net.change(2, |member| member.kv.len(Table::Envelopes)) == 1);
    assert_eq!(net.change(1, |member| member.kv.len(Table::Envelopes)), 1);
    net.start(3);
    net.connect();
    net.send(request(1, &[2, 3], b"payload")).unwrap();
}

#[test]
fn what_waits_is_delivered_when_the_recipient_comes_back() {
    let net = with_outbox();
    net.kill(3);
    let sent: Vec<_> =
        (0..3u8).map(|number| net.send(request(1, &[2, 3], &[number])).unwrap().hash).collect();
    assert!(sent.iter().all(|hash| net.is_durable(2, hash)), "who is there has it at once");
    let status = net.manager(1).outbox_status();
    assert_eq!((status.waiting, status.recipients.len()), (3, 1));
    assert_eq!((status.recipients[0].recipient, status.recipients[0].waiting), (key(3), 3));
    net.wait_until("an attempt failed", || net.manager(1).outbox_status().recipients[0].last_error.is_some());
    // The sender goes away in between.
    net.kill(1);
    net.start(1);
    assert_eq!(net.manager(1).outbox_status().waiting, 3);
    net.start(3);
    net.connect();
    net.wait_until("everything arrived", || sent.iter().all(|hash| net.is_durable(3, hash)));
    net.wait_until("nothing waits", || net.manager(1).outbox_status() == OutboxStatus::default());
    net.wait_until("durably", || net.change(1, |member| member.kv.len(Table::Outbox)) == 0);
    let arrived = net.manager(3).arrivals().take(9).unwrap();
    let in_order: Vec<_> = sent.iter().map(|hash| Arrival::Stored(*hash)).collect();
    assert_eq!(arrived[1..], in_order, "in the order they were sent");
}

#[test]
fn what_was_erased_meanwhile_is_not_delivered() {
    let net = with_outbox();
    net.kill(3);
    let sent = net.send(request(1, &[2, 3], b"payload")).unwrap().hash;
    net.wait(net.manager(1).erase(sent)).unwrap();
    assert_eq!(net.manager(1).outbox_status().waiting, 0);
    assert_eq!(net.change(1, |member| member.kv.len(Table::Outbox)), 0);
    net.start(3);
    net.connect();
    let later = net.send(request(1, &[3], b"later")).unwrap().hash;
    assert!(net.has(3, &later) && !net.has(3, &sent));
}

#[test]
fn refusals_and_unknown_keys_fail_with_an_outbox_too() {
    let net = with_outbox();
    assert_eq!(net.send(request(1, &[9], b"x")), Err(PtmError::UnknownRecipient(key(9))));
    net.change(2, |member| member.settings.enhancements = false);
    net.kill(2);
    net.start(2);
    net.connect();
    let metadata = Metadata { mode: PrivacyMode::PartyProtection, ..Metadata::default() };
    let Err(PtmError::Refused { recipient, reason }) =
        net.send(SendRequest { metadata, ..request(1, &[2, 3], b"payload") })
    else {
        panic!()
    };
    assert_eq!((recipient, reason.as_str()), (key(2), "Enhanced Privacy is not enabled"));
    assert_eq!(net.manager(1).outbox_status().waiting, 0);
    net.wait_until("3 has let go of it", || net.change(3, |member| member.kv.len(Table::Envelopes)) == 1);
}

#[test]
fn a_withdrawn_payload_is_gone_and_one_that_was_looked_at_stays() {
    let net = Net::of(&[1, 2, 3]);
    net.send(request(1, &[2, 3], b"first")).unwrap();
    // The answer of 3 is lost: it has the copy, and gives it back.
    net.plan([Fault::None, Fault::LoseAnswer]);
    let hash = net.wait(net.manager(1).store_raw(b"payload".into(), None)).unwrap();
    let signed = || SendSigned { hash, to: vec![key(2), key(3)], metadata: Metadata::default() };
    let failed = net.wait(net.manager(1).send_signed(signed()));
    assert!(matches!(failed, Err(PtmError::Unreachable { .. })), "{failed:?}");
    net.wait_until("both let go", || !net.has(2, &hash) && !net.has(3, &hash));
    assert!(!net.has(1, &hash));
    // This time somebody looks before the withdrawal comes.
    net.plan([Fault::None, Fault::LoseRequest, Fault::Delay(100)]);
    assert!(net.wait(net.manager(1).send_signed(signed())).is_err());
    let there = if net.has(2, &hash) { 2 } else { 3 };
    assert!(matches!(net.lookup(there, hash), Lookup::Found(_)));
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(net.has(there, &hash));
    assert!(net.wait(net.manager(1).send_signed(signed())).is_ok());
    assert!([1, 2, 3].iter().all(|name| net.is_durable(*name, &hash)));
}

/// A party that has the creation of a protected contract could call it before another one has it, who would never take the
/// call for good.
#[test]
fn what_concerns_protected_contracts_does_not_wait() {
    let net = with_outbox();
    net.kill(3);
    for flag in [1, 2, 3] {
        let mode = PrivacyMode::from_flag(flag).unwrap();
        let exec_hash = if flag == 3 { "root".into() } else { Default::default() };
        let mandatory = if flag == 2 { vec![key(2)] } else { Vec::new() };
        let metadata = Metadata { mode, exec_hash, mandatory, ..Metadata::default() };
        let sent = net.send(SendRequest { metadata, ..request(1, &[2, 3], b"payload") });
        assert!(matches!(sent, Err(PtmError::Unreachable { .. })), "{sent:?}");
    }
    assert_eq!(net.manager(1).outbox_status().waiting, 0);
    net.send(request(1, &[2, 3], b"payload")).unwrap();
    assert_eq!(net.manager(1).outbox_status().waiting, 1);
}
