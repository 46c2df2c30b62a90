use super::seal::Drawn;
use super::*;
use crate::crypto::{KeyPair, SealingKey};
use crate::testing::{array, bytes, envelope, key, keys, pair, text, vectors};
use proptest::prelude::*;
use serde_json::Value;

mod rules;

pub(super) fn keyring(pairs: Vec<KeyPair>) -> Keyring {
    Keyring::new(pairs).expect("a keyring")
}

/// The published pairs, and those that vectors bring along.
fn pairs() -> Vec<KeyPair> {
    vectors!("keys.json").iter().map(|vector| pair(vector, "privateKey")).collect()
}

fn ring_of(public: &PublicKey) -> Option<Keyring> {
    pairs().into_iter().find(|pair| pair.public() == *public).map(|pair| keyring(vec![pair]))
}

fn affected(vector: &Value) -> Vec<AffectedTransaction> {
    let Some(master_keys) = vector["affectedMasterKeysHex"].as_object() else { return Vec::new() };
    let open = |(hash, master_key): (&String, &Value)| {
        let master_key = alloy_primitives::hex::decode_to_array(master_key.as_str().unwrap()).unwrap();
        let cipher_text = bytes(&vector["affectedCipherTexts"], hash);
        let opened = AffectedTransaction::of(cipher_text, SealingKey::from_bytes(&master_key));
        assert_eq!(opened.hash.to_string(), *hash);
        opened
    };
    master_keys.iter().map(open).collect()
}

#[test]
fn envelopes_are_sealed_as_tessera_does() {
    for vector in vectors!("encoded_payload.json") {
        let (id, inputs) = (text(&vector, "id"), &vector["inputs"]);
        let expected = envelope(&vector["payload"]);
        let ring = keyring(vec![pair(inputs, "senderPrivateKey")]);
        let sender = key(inputs, "senderPublicKey");
        let drawn = Drawn {
            master_key: SealingKey::from_bytes(&array(inputs, "masterKeyHex")),
            cipher_text_nonce: array(inputs, "cipherTextNonceHex"),
            recipient_nonce: array(inputs, "recipientNonceHex"),
        };
        let (recipients, metadata) = (keys(inputs, "recipientsInOrder"), expected.metadata());
        let affected = affected(&vector);
        let addressing = Addressing { recipients: &recipients, metadata: &metadata, affected: &affected };
        let payload = bytes(inputs, "plaintextHex");
        let sealed = EncodedPayload::encrypt_with(&ring, sender, &payload, &addressing, &drawn);
        assert_eq!(sealed.as_ref(), Ok(&expected), "{id}");
        assert_eq!(expected.hash().to_string(), text(&vector, "hashBase64"), "{id}");
        assert_eq!(expected.unproven(&affected), [], "{id}");
    }
}

#[test]
fn copies_are_stripped_and_opened() {
    let (mut copies, mut opened) = (0, 0);
    for vector in vectors!("encoded_payload.json") {
        let whole = envelope(&vector["payload"]);
        let payload = bytes(&vector["inputs"], "plaintextHex");
        let sender_ring = keyring(vec![pair(&vector["inputs"], "senderPrivateKey")]);
        assert_eq!(whole.decrypt(&sender_ring), Ok((whole.sender, payload.clone())));
        for wire in vector["onWirePerRecipient"].as_array().unwrap() {
            let recipient = key(wire, "recipient");
            let copy = whole.strip_for(&recipient).unwrap();
            assert_eq!(copy, envelope(&wire["payload"]), "{}", text(&vector, "id"));
            copies += 1;
            if let Some(ring) = ring_of(&recipient) {
                assert_eq!(copy.decrypt_with(&ring, &recipient), Ok(payload.clone()));
                assert_eq!(copy.decrypt(&ring), Ok((recipient, payload.clone())));
                opened += 1;
            }
        }
    }
    assert!(copies > 10 && opened > 8, "{copies} and {opened}");
}

#[test]
fn stored_payloads_keep_their_name_when_sent() {
    for vector in vectors!("raw_transaction.json") {
        let (inputs, stored, sent) = (&vector["inputs"], &vector["stored"], &vector["afterSendSigned"]);
        let ring = keyring(vec![pair(inputs, "fromPrivateKey")]);
        let sender = key(inputs, "from");
        let payload = bytes(inputs, "payloadHex");
        let master_key = SealingKey::from_bytes(&array(inputs, "masterKeyHex"));
        let raw =
            RawTransaction::encrypt_with(&ring, sender, &payload, &master_key, array(inputs, "nonceHex"));
        let raw = raw.unwrap();
        assert_eq!(raw.cipher_text, bytes(stored, "encryptedPayload"));
        assert_eq!(raw.sealed_key, array::<48>(stored, "encryptedKey"));
        assert_eq!((raw.nonce, raw.sender), (array(stored, "nonce"), key(stored, "sender")));
        assert_eq!(raw.hash().to_string(), text(stored, "hash"));
        let clear = raw.decrypt(&ring).unwrap();
        assert_eq!((&clear.payload, clear.sender), (&payload, sender));

        let recipients = recipients_of_signed(&keys(sent, "to"), sender, &[]);
        let metadata = Metadata::default();
        let addressing = Addressing { recipients: &recipients, metadata: &metadata, affected: &[] };
        let wrapped = raw.wrap_with(&ring, &addressing, array(sent, "recipientNonceHex")).unwrap();
        assert_eq!(wrapped, envelope(&sent["payload"]));
        assert_eq!(wrapped.encode(Codec::Legacy), bytes(sent, "legacyHex"));
        assert_eq!(wrapped.hash(), raw.hash());
        assert_eq!(wrapped.decrypt(&ring), Ok((sender, payload)));
    }
}

#[test]
fn a_stored_payload_opens_for_its_sender_only() {
    let [own, other] = [1, 2].map(|seed| KeyPair::from_secret(&[seed; 32]));
    let (own_key, other_key) = (own.public(), other.public());
    let (ring, strangers) = (keyring(vec![own]), keyring(vec![other]));
    let mut raw = RawTransaction::encrypt(&ring, own_key, b"payload").unwrap();
    assert_eq!(&raw.decrypt(&ring).unwrap().payload[..], b"payload");
    let foreign = EnvelopeError::Keyring(KeyringError::NotManaged(own_key));
    assert_eq!(raw.decrypt(&strangers), Err(foreign));
    let refused = RawTransaction::encrypt(&ring, other_key, b"payload").err();
    assert_eq!(refused, Some(EnvelopeError::Keyring(KeyringError::NotManaged(other_key))));
    let metadata = Metadata::default();
    let addressing = Addressing { recipients: &[own_key], metadata: &metadata, affected: &[] };
    assert!(raw.wrap(&ring, &addressing).is_ok());
    raw.sealed_key[0] ^= 1;
    let broken = Err(EnvelopeError::DoesNotOpen(raw.hash()));
    assert_eq!(raw.decrypt(&ring), broken);
    assert_eq!(raw.wrap(&ring, &addressing).err(), broken.err());
}

proptest! {
    #[test]
    fn everybody_named_opens_it_and_nobody_else(
        secrets in proptest::collection::btree_set(1..u8::MAX, 2..6),
        payload in proptest::collection::vec(any::<u8>(), 0..200),
        flag in 0..4u64,
    ) {
        let pairs: Vec<_> = secrets.iter().map(|seed| KeyPair::from_secret(&[*seed; 32])).collect();
        let parties: Vec<_> = pairs.iter().map(KeyPair::public).collect();
        let stranger = keyring(vec![KeyPair::from_secret(&[255; 32])]);
        let (sender, to) = parties.split_first().unwrap();
        let recipients = recipients_of_send(to, *sender, &[]);
        let mode = PrivacyMode::from_flag(flag).unwrap();
        let exec_hash = if flag == 3 { Bytes::from_static(b"root") } else { Bytes::new() };
        let mandatory = if flag == 2 { vec![*sender] } else { vec![] };
        let metadata = Metadata { mode, exec_hash, mandatory, ..Metadata::default() };
        let addressing = Addressing { recipients: &recipients, metadata: &metadata, affected: &[] };
        let rings: Vec<_> = pairs.into_iter().map(|pair| keyring(vec![pair])).collect();
        let whole = EncodedPayload::encrypt(&rings[0], *sender, &payload, &addressing).unwrap();
        prop_assert_eq!(whole.decrypt(&stranger), Err(EnvelopeError::DoesNotOpen(whole.hash())));
        for (ring, party) in rings.iter().zip(&parties) {
            let expected = Ok((*party, payload.clone().into()));
            prop_assert_eq!(&whole.decrypt(ring), &expected);
            let copy = whole.strip_for(party).unwrap();
            prop_assert_eq!(copy.boxes.len(), 1);
            prop_assert_eq!(copy.recipients.len(), if flag == 3 { parties.len() } else { 1 });
            prop_assert_eq!(copy.hash(), whole.hash());
            prop_assert_eq!(&copy.decrypt(ring), &expected);
        }
    }
}
