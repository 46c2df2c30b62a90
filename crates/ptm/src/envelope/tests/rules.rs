//! Rules without vectors: recipient lists, which box opens, copies that meet, and what is refused.

use super::*;
use crate::limits::{MAX_EXEC_HASH_BYTES, MAX_PAYLOAD_BYTES, MAX_RECIPIENTS};

fn seeded(seed: u8) -> KeyPair {
    KeyPair::from_secret(&[seed; 32])
}

fn public(seed: u8) -> PublicKey {
    seeded(seed).public()
}

fn ring(seeds: &[u8]) -> Keyring {
    keyring(seeds.iter().map(|seed| seeded(*seed)).collect())
}

fn with_root() -> Metadata {
    let exec_hash = Bytes::from_static(b"KqH0B1GbgRQJSKQ5hIgcgAyXffzeewpRQH6UC8zmUWg=");
    Metadata { mode: PrivacyMode::StateValidation, exec_hash, ..Metadata::default() }
}

const PAYLOAD: &[u8] = b"the payload";

/// From 1 to these, with the sender last.
fn sealed(to: &[u8], metadata: &Metadata) -> EncodedPayload {
    let to: Vec<_> = to.iter().map(|seed| public(*seed)).collect();
    let recipients = recipients_of_send(&to, public(1), &[]);
    let addressing = Addressing { recipients: &recipients, metadata, affected: &[] };
    EncodedPayload::encrypt(&ring(&[1]), public(1), PAYLOAD, &addressing).unwrap()
}

fn standard(to: &[u8]) -> EncodedPayload {
    sealed(to, &Metadata::default())
}

fn opens(envelope: &EncodedPayload, seeds: &[u8], as_seed: u8) {
    let opened = envelope.decrypt_with(&ring(seeds), &public(as_seed));
    assert_eq!(opened.as_deref().map(AsRef::as_ref), Ok(PAYLOAD), "{as_seed}");
}

#[test]
fn the_sender_stands_last_and_nobody_twice() {
    let [a, b, c, s] = [2, 3, 4, 1].map(public);
    assert_eq!(recipients_of_send(&[a, b, a], s, &[c, b]), [a, b, s, c]);
    assert_eq!(recipients_of_signed(&[a, b, a], s, &[c, b]), [a, b, c, s]);
    assert_eq!(recipients_of_send(&[s, a], s, &[]), [s, a]);
    assert_eq!(recipients_of_signed(&[s, a], s, &[s]), [s, a]);
    assert_eq!(recipients_of_send(&[], s, &[]), [s]);
}

#[test]
fn each_recipient_opens_its_own_box() {
    for envelope in [standard(&[2, 3]), sealed(&[2, 3], &with_root())] {
        for seed in [1, 2, 3] {
            opens(&envelope, &[seed], seed);
            opens(&envelope, &[9, seed], seed);
        }
        assert_eq!(
            envelope.decrypt_with(&ring(&[9]), &public(9)),
            Err(EnvelopeError::NotARecipient(public(9)))
        );
        let other = envelope.decrypt_with(&ring(&[2]), &public(3));
        assert_eq!(other, Err(EnvelopeError::Keyring(KeyringError::NotManaged(public(3)))));
        assert_eq!(envelope.decrypt(&ring(&[9])), Err(EnvelopeError::DoesNotOpen(envelope.hash())));
    }
}

#[test]
fn a_copy_with_all_names_has_one_box() {
    let copy = sealed(&[2, 3], &with_root()).strip_for(&public(3)).unwrap();
    assert_eq!(copy.recipients, [3, 2, 1].map(public));
    opens(&copy, &[3], 3);
    assert_eq!(copy.decrypt_with(&ring(&[2]), &public(2)), Err(EnvelopeError::NoBox(public(2))));
    assert_eq!(copy.strip_for(&public(2)), Err(EnvelopeError::NoBox(public(2))));
    assert_eq!(copy.strip_for(&public(9)), Err(EnvelopeError::NotARecipient(public(9))));
    let (opened_with, payload) = copy.decrypt(&ring(&[2, 3])).unwrap();
    assert_eq!((opened_with, payload.as_ref()), (public(3), PAYLOAD));
}

#[test]
fn very_old_envelopes_open() {
    let mut nameless = standard(&[2]).strip_for(&public(2)).unwrap();
    nameless.recipients.clear();
    opens(&nameless, &[2], 2);
    let (opened_with, _) = nameless.decrypt(&ring(&[8, 9, 2])).unwrap();
    assert_eq!(opened_with, public(2));
    assert!(nameless.decrypt(&ring(&[8, 9])).is_err());

    // The sender kept its own copy without counting itself among the recipients.
    let mut kept = standard(&[2, 3]);
    kept.recipients.pop();
    kept.boxes.pop();
    opens(&kept, &[1], 1);
    opens(&kept, &[1, 3], 3);
    assert_eq!(kept.decrypt(&ring(&[1])).unwrap().0, public(1));
    assert_eq!(kept.decrypt_with(&ring(&[1, 9]), &public(9)), Err(EnvelopeError::NotARecipient(public(9))));

    let mut root = sealed(&[2], &with_root());
    root.recipients.clear();
    assert_eq!(root.decrypt_with(&ring(&[2]), &public(2)), Err(EnvelopeError::NotARecipient(public(2))));
    nameless.boxes.clear();
    assert_eq!(nameless.decrypt_with(&ring(&[2]), &public(2)), Err(EnvelopeError::NoBox(public(2))));
}

#[test]
fn damage_shows() {
    let good = standard(&[2]);
    let mut bad = [good.clone(), good.clone(), good.clone(), good.clone()];
    bad[0].boxes[0][3] ^= 1;
    bad[1].recipient_nonce[0] ^= 1;
    bad[2].cipher_text_nonce[0] ^= 1;
    let mut cipher_text = good.cipher_text.to_vec();
    cipher_text[20] ^= 1;
    bad[3].cipher_text = cipher_text.into();
    for envelope in bad {
        let error = Err(EnvelopeError::DoesNotOpen(envelope.hash()));
        assert_eq!(envelope.decrypt_with(&ring(&[2]), &public(2)), error);
        assert_eq!(envelope.decrypt(&ring(&[2])).err(), error.err());
    }
}

#[test]
fn a_sender_gets_its_own_copy_back_from_a_recipients() {
    let whole = standard(&[2, 3]);
    let mut rebuilt = whole.strip_for(&public(3)).unwrap();
    rebuilt.add_recipient(&ring(&[1]), public(1)).unwrap();
    assert_eq!(rebuilt.recipients, [3, 1].map(public));
    opens(&rebuilt, &[1], 1);
    rebuilt.merge(&whole.strip_for(&public(2)).unwrap()).unwrap();
    assert_eq!(rebuilt.recipients, [2, 3, 1].map(public));
    assert_eq!(rebuilt.boxes, whole.boxes);
    let same = rebuilt.clone();
    rebuilt.add_recipient(&ring(&[1]), public(2)).unwrap();
    rebuilt.merge(&whole).unwrap();
    assert_eq!(rebuilt, same);
}

#[test]
fn boxes_for_all_where_states_are_validated() {
    let whole = sealed(&[2, 3], &with_root());
    let mut rebuilt = whole.strip_for(&public(3)).unwrap();
    for seed in [1, 2] {
        rebuilt.add_recipient(&ring(&[1]), public(seed)).unwrap();
    }
    assert_eq!(rebuilt.recipients, [3, 1, 2].map(public));
    for seed in [1, 2, 3] {
        opens(&rebuilt, &[seed], seed);
    }
    let mut received = whole.strip_for(&public(2)).unwrap();
    received.merge(&whole.strip_for(&public(3)).unwrap()).unwrap();
    assert_eq!(received.recipients, [3, 2, 1].map(public));
    opens(&received, &[2, 3], 2);
    opens(&received, &[2, 3], 3);
    assert_eq!(received.boxed().map(|(key, _)| key).collect::<Vec<_>>(), [3, 2].map(public));
}

#[test]
fn recipients_are_added_by_the_sender_or_by_themselves() {
    let mut copy = standard(&[2]).strip_for(&public(2)).unwrap();
    copy.add_recipient(&ring(&[2, 4]), public(4)).unwrap();
    opens(&copy, &[4], 4);
    let before = copy.clone();
    assert!(copy.add_recipient(&ring(&[2]), public(5)).is_err());
    assert!(copy.add_recipient(&ring(&[1]), PublicKey([0; 32])).is_err());
    assert!(copy.add_recipient(&ring(&[7, 5]), public(5)).is_err());
    assert_eq!(copy, before);
    copy.recipients.clear();
    assert!(matches!(copy.add_recipient(&ring(&[1]), public(5)), Err(EnvelopeError::Rule(_))));
    assert_eq!(copy.clone().merge(&copy), Err(EnvelopeError::Different));
}

#[test]
fn copies_of_different_envelopes_do_not_merge() {
    let whole = standard(&[2, 3]);
    let copy = whole.strip_for(&public(2)).unwrap();
    let hashes = (PayloadHash::from_data(&[1]), SecurityHash(B512::ZERO));
    let changes: [fn(&mut EncodedPayload); 6] = [
        |e| e.sender = PublicKey([1; 32]),
        |e| e.cipher_text = Bytes::from_static(&[1; 27]),
        |e| e.cipher_text_nonce[0] ^= 1,
        |e| e.recipient_nonce[0] ^= 1,
        |e| e.mode = PrivacyMode::PartyProtection,
        |e| e.exec_hash = Bytes::from_static(b"root"),
    ];
    for change in changes {
        let mut other = whole.strip_for(&public(3)).unwrap();
        change(&mut other);
        assert_eq!(copy.clone().merge(&other), Err(EnvelopeError::Different));
    }
    let mut other = whole.strip_for(&public(3)).unwrap();
    other.affected.push(hashes);
    assert_eq!(copy.clone().merge(&other), Err(EnvelopeError::Different));
}

#[test]
fn who_sends_shows_that_it_has_the_affected_transactions() {
    let (sender, receiver) = (ring(&[1]), ring(&[2]));
    let created = standard(&[2]);
    let received = created.strip_for(&public(2)).unwrap();
    let metadata = Metadata { mode: PrivacyMode::PartyProtection, ..Metadata::default() };
    let known = [AffectedTransaction::open(&sender, &created).unwrap()];
    let recipients = [public(2), public(1)];
    let addressing = Addressing { recipients: &recipients, metadata: &metadata, affected: &known };
    let called = EncodedPayload::encrypt(&sender, public(1), PAYLOAD, &addressing).unwrap();
    assert_eq!(called.metadata().affected, [created.hash()]);

    let theirs = [AffectedTransaction::open(&receiver, &received).unwrap()];
    assert_eq!(called.unproven(&theirs), []);
    assert_eq!(called.unproven(&[]), [created.hash()]);
    let mut forged = called.clone();
    forged.affected[0].1 = SecurityHash(B512::repeat_byte(7));
    assert_eq!(forged.unproven(&theirs), [created.hash()]);
    assert!(AffectedTransaction::open(&ring(&[9]), &received).is_err());
    // Whoever received it with two keys has a box of its own in front, whichever came last.
    let both = standard(&[2, 3]);
    let mut merged = both.strip_for(&public(2)).unwrap();
    merged.merge(&both.strip_for(&public(3)).unwrap()).unwrap();
    assert!(AffectedTransaction::open(&ring(&[2, 3]), &merged).is_ok());
}

fn refused(recipients: &[PublicKey], metadata: &Metadata, payload: &[u8]) -> EnvelopeError {
    let addressing = Addressing { recipients, metadata, affected: &[] };
    EncodedPayload::encrypt(&ring(&[1]), public(1), payload, &addressing).unwrap_err()
}

#[test]
fn what_contradicts_itself_is_not_sealed() {
    let flag = |flag: u64| Metadata { mode: PrivacyMode::from_flag(flag).unwrap(), ..Metadata::default() };
    let cases = [
        flag(2),
        flag(3),
        Metadata { mandatory: vec![public(1)], ..flag(1) },
        Metadata { mandatory: vec![public(1)], ..with_root() },
        Metadata { exec_hash: Bytes::from_static(b"root"), ..flag(0) },
        Metadata { exec_hash: Bytes::from_static(b"root"), mandatory: vec![public(1)], ..flag(2) },
    ];
    for metadata in cases {
        let error = refused(&[public(1)], &metadata, PAYLOAD);
        assert!(matches!(error, EnvelopeError::Rule(_)), "{metadata:?}");
        assert_eq!(PtmError::from(error).status(), 400);
    }
}

#[test]
fn what_is_too_large_is_not_sealed() {
    let plain = Metadata::default();
    let status = |error: EnvelopeError| {
        assert!(matches!(error, EnvelopeError::TooLarge { .. }), "{error}");
        PtmError::from(error).status()
    };
    assert_eq!(status(refused(&[public(1)], &plain, &vec![0; MAX_PAYLOAD_BYTES + 1])), 413);
    assert_eq!(status(refused(&vec![public(1); MAX_RECIPIENTS + 1], &plain, PAYLOAD)), 413);
    let exec_hash = vec![b'a'; MAX_EXEC_HASH_BYTES + 1].into();
    assert_eq!(status(refused(&[public(1)], &Metadata { exec_hash, ..with_root() }, PAYLOAD)), 413);
    let group = Some(vec![0; crate::limits::MAX_GROUP_TEXT_BYTES + 1].into());
    assert_eq!(status(refused(&[public(1)], &Metadata { group, ..plain }, PAYLOAD)), 413);
}

#[test]
fn nothing_is_sealed_for_a_key_that_everybody_knows() {
    let weak = PublicKey([0; 32]);
    let error = refused(&[public(2), weak], &Metadata::default(), PAYLOAD);
    assert_eq!(error, CryptoError::WeakKey(weak).into());
    assert_eq!(PtmError::from(error).status(), 400);
}

#[test]
fn refusals_have_tesseras_status() {
    let key = public(1);
    let hash = PayloadHash::from_data(&[1]);
    let cases = [
        (EnvelopeError::NotARecipient(key), PtmError::NotARecipient(key), 500),
        (EnvelopeError::NoBox(key), PtmError::NotARecipient(key), 500),
        (EnvelopeError::DoesNotOpen(hash), PtmError::NoKey(hash), 500),
        (KeyringError::NotManaged(key).into(), PtmError::UnknownSender(key), 404),
        (EnvelopeError::Different, PtmError::Store("Invalid existing transaction".into()), 500),
    ];
    for (error, expected, status) in cases {
        let error = PtmError::from(error);
        assert_eq!((&error, error.status()), (&expected, status));
    }
    assert_eq!(PtmError::from(EnvelopeError::from(CryptoError::NoRandomness)).status(), 503);
}

#[test]
fn the_largest_payload_fits_an_encoded_envelope() {
    let payload = vec![7; MAX_PAYLOAD_BYTES];
    let addressing = Addressing { recipients: &[public(1)], metadata: &Metadata::default(), affected: &[] };
    let envelope = EncodedPayload::encrypt(&ring(&[1]), public(1), &payload, &addressing).unwrap();
    for codec in [Codec::Legacy, Codec::Cbor] {
        let encoded = envelope.encode(codec).into();
        assert_eq!(EncodedPayload::decode(codec, &encoded).as_ref(), Ok(&envelope));
    }
    assert_eq!(envelope.decrypt(&ring(&[1])).unwrap().1, payload);
    let debug = format!("{envelope:?}");
    assert!(debug.len() < 1_000 && debug.contains("cipher_text_bytes: 16777232"), "{debug}");
}
