use super::*;
use crate::testing::key_pair;
use crate::{Addressing, recipients_of_send};
use alloy_primitives::Bytes;
use proptest::prelude::*;

fn key(seed: u8) -> PublicKey {
    key_pair(seed).public()
}

fn keys(seeds: &[u8]) -> Vec<PublicKey> {
    seeds.iter().map(|seed| key(*seed)).collect()
}

fn ring(seed: u8) -> Keyring {
    Keyring::new(vec![key_pair(seed)]).unwrap()
}

/// Metadata of a mode with everything it needs.
fn metadata(flag: u64, mandatory: &[u8], affected: &[&EncodedPayload]) -> Metadata {
    let mode = PrivacyMode::from_flag(flag).unwrap();
    let exec_hash = if flag == 3 { Bytes::from_static(b"root") } else { Bytes::new() };
    let affected = affected.iter().map(|envelope| envelope.hash()).collect();
    Metadata { mode, affected, exec_hash, mandatory: keys(mandatory), group: None }
}

fn seal(from: u8, to: &[u8], metadata: &Metadata, affected: &[&EncodedPayload]) -> EncodedPayload {
    let recipients = recipients_of_send(&keys(to), key(from), &[]);
    let open = |envelope: &&EncodedPayload| AffectedTransaction::open(&ring(from), envelope).unwrap();
    let affected: Vec<_> = affected.iter().map(open).collect();
    let addressing = Addressing { recipients: &recipients, metadata, affected: &affected };
    EncodedPayload::encrypt(&ring(from), key(from), b"payload", &addressing).unwrap()
}

/// The creation of a contract, from 1 to `to`.
fn creation(flag: u64, to: &[u8], mandatory: &[u8]) -> EncodedPayload {
    seal(1, to, &metadata(flag, mandatory, &[]), &[])
}

fn known(envelopes: &[&EncodedPayload]) -> Vec<Known> {
    envelopes.iter().map(|envelope| (envelope.hash(), (*envelope).clone())).collect()
}

fn send(flag: u64, to: &[u8], mandatory: &[u8], affected: &[&EncodedPayload]) -> Result<(), String> {
    let metadata = metadata(flag, mandatory, affected);
    check_send(true, &keys(to), &metadata, &known(affected)).map_err(|error| {
        assert_eq!(error.status(), 403);
        error.to_string()
    })
}

/// What key 2 does with a copy.
fn receive(envelope: &EncodedPayload, here: &[&EncodedPayload]) -> Result<Received, String> {
    let copy = envelope.strip_for(&key(2)).unwrap();
    let stored: Vec<_> =
        here.iter().map(|envelope| (envelope.hash(), envelope.strip_for(&key(2)).unwrap())).collect();
    check_receive(true, &ring(2), copy, &stored).map_err(|error| error.to_string())
}

fn dropped(received: Result<Received, String>) -> Dropped {
    match received {
        Ok(Received::Dropped(dropped)) => dropped,
        other => panic!("{other:?}"),
    }
}

fn kept(received: Result<Received, String>) -> EncodedPayload {
    match received {
        Ok(Received::Keep(envelope)) => envelope,
        other => panic!("{other:?}"),
    }
}

#[test]
fn modes_need_to_be_switched_on() {
    for flag in 0..4 {
        let mandatory: &[u8] = if flag == 2 { &[2] } else { &[] };
        let metadata = metadata(flag, mandatory, &[]);
        assert_eq!(check_send(true, &keys(&[1, 2]), &metadata, &[]), Ok(()));
        let sent = check_send(false, &keys(&[1, 2]), &metadata, &[]);
        let copy = creation(flag, &[2], mandatory).strip_for(&key(2)).unwrap();
        assert!(check_receive(true, &ring(2), copy.clone(), &[]).is_ok());
        let received = check_receive(false, &ring(2), copy, &[]);
        let refused = Err(PtmError::Violation("Enhanced Privacy is not enabled".into()));
        assert_eq!(sent, if flag == 0 { Ok(()) } else { refused.clone() });
        assert_eq!(received.map(|_| ()), if flag == 0 { Ok(()) } else { refused });
    }
}

#[test]
fn affected_transactions_have_to_be_here_to_send() {
    let created = creation(1, &[2], &[]);
    assert_eq!(send(1, &[1, 2], &[], &[&created]), Ok(()));
    let missing = check_send(true, &keys(&[1, 2]), &metadata(1, &[], &[&created]), &[]);
    let text = format!("Unable to find affectedContractTransaction {}", created.hash());
    assert_eq!(missing, Err(PtmError::Violation(text)));
}

#[test]
fn modes_are_not_mixed() {
    for (flag, other) in [(0, 1), (1, 0), (1, 2), (2, 1), (1, 3), (3, 1)] {
        let mandatory = |flag: u64| -> &[u8] { if flag == 2 { &[2] } else { &[] } };
        let created = creation(other, &[2], mandatory(other));
        let sent = send(flag, &[1, 2], mandatory(flag), &[&created]);
        assert_eq!(
            sent.unwrap_err(),
            format!("Privacy metadata mismatched with Affected Txn {}", created.hash())
        );
        let payload = seal(1, &[2], &metadata(flag, mandatory(flag), &[]), &[&created]);
        assert_eq!(dropped(receive(&payload, &[&created])), Dropped::OtherMode(created.hash()));
    }
}

#[test]
fn mandatory_recipients_take_part_for_ever() {
    let created = creation(2, &[2, 3], &[3]);
    assert_eq!(send(2, &[1, 2, 3], &[3], &[&created]), Ok(()));
    assert_eq!(send(2, &[1, 2, 3], &[2, 3], &[&created]), Ok(()), "more may be named");
    assert!(send(2, &[1, 2], &[3], &[&created]).unwrap_err().starts_with("One or more mandatory"));
    assert!(send(2, &[1, 2, 3], &[2], &[&created]).unwrap_err().starts_with("Privacy metadata mismatched"));

    let right = seal(1, &[2, 3], &metadata(2, &[2, 3], &[]), &[&created]);
    assert_eq!(kept(receive(&right, &[&created])).affected, right.affected);
    let wrong = seal(1, &[2, 3], &metadata(2, &[2], &[]), &[&created]);
    assert_eq!(dropped(receive(&wrong, &[&created])), Dropped::MandatoryMissing(created.hash()));
}

#[test]
fn where_states_are_validated_everybody_takes_part() {
    let created = creation(3, &[2, 3], &[]);
    assert_eq!(send(3, &[3, 2, 1], &[], &[&created]), Ok(()), "in any order");
    for others in [&[1, 2][..], &[1, 2, 3, 4]] {
        let text = format!("Recipients mismatched for Affected Txn {}", created.hash());
        assert_eq!(send(3, others, &[], &[&created]), Err(text));
    }
    let right = seal(1, &[3, 2], &metadata(3, &[], &[]), &[&created]);
    assert_eq!(kept(receive(&right, &[&created])).affected.len(), 1);
    assert_eq!(dropped(receive(&right, &[])), Dropped::NotHere(created.hash()));

    for others in [&[2][..], &[2, 3, 4]] {
        let wrong = seal(1, others, &metadata(3, &[], &[]), &[&created]);
        let text = format!("Recipients mismatched for Affected Txn {}", created.hash());
        assert_eq!(receive(&wrong, &[&created]).unwrap_err(), text);
    }
    // Somebody who is no party, and got hold of the creation.
    let mut stranger = seal(4, &[1, 2, 3], &metadata(3, &[], &[]), &[]);
    stranger.affected = right.affected.clone();
    assert_eq!(dropped(receive(&stranger, &[&created])), Dropped::SenderNoParty(created.hash()));
}

#[test]
fn a_sender_shows_that_it_has_what_it_affects() {
    let (first, second) = (creation(1, &[2], &[]), creation(1, &[2], &[]));
    let payload = seal(1, &[2], &metadata(1, &[], &[]), &[&first, &second]);
    assert_eq!(kept(receive(&payload, &[&first, &second])).affected, payload.affected);
    // What is not here cannot be vouched for.
    assert_eq!(kept(receive(&payload, &[&second])).affected, payload.affected[1..]);
    assert_eq!(kept(receive(&payload, &[])).affected, []);
    let mut forged = payload.clone();
    forged.affected[1].1.0.0[0] ^= 1;
    assert_eq!(kept(receive(&forged, &[&first, &second])).affected, payload.affected[..1]);

    let created = creation(3, &[2], &[]);
    let mut validated = seal(1, &[2], &metadata(3, &[], &[]), &[&created]);
    assert!(receive(&validated, &[&created]).is_ok());
    validated.affected[0].1.0.0[0] ^= 1;
    assert!(receive(&validated, &[&created]).unwrap_err().starts_with("Invalid security hashes"));
    // Opened by nobody here: shown to nobody.
    let copy = payload.strip_for(&key(2)).unwrap();
    let stored = vec![(first.hash(), first.strip_for(&key(2)).unwrap())];
    let received = check_receive(true, &ring(5), copy, &stored).unwrap();
    assert!(matches!(received, Received::Keep(envelope) if envelope.affected.is_empty()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What an honest sender may send, a recipient that has what is affected takes in whole.
    #[test]
    fn what_may_be_sent_is_taken(
        flag in 0..4u64,
        others in proptest::collection::btree_set(2..6u8, 1..4),
        contracts in 0..3usize,
    ) {
        let to: Vec<u8> = others.into_iter().chain([2]).collect();
        let mandatory: &[u8] = if flag == 2 { &[2] } else { &[] };
        let created: Vec<_> = (0..contracts).map(|_| creation(flag, &to, mandatory)).collect();
        let created: Vec<_> = created.iter().collect();
        let all: Vec<u8> = to.iter().copied().chain([1]).collect();
        prop_assert_eq!(send(flag, &all, mandatory, &created), Ok(()));
        let payload = seal(1, &to, &metadata(flag, mandatory, &[]), &created);
        prop_assert_eq!(kept(receive(&payload, &created)).affected, payload.affected);
    }
}
