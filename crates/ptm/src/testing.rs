//! What the tests of this crate share: reading the vectors, and drawing envelopes.

use crate::codec::WireEnvelope;
use crate::crypto::KeyPair;
use crate::envelope::each_once;
use crate::{EncodedPayload, Nonce, PayloadHash, PrivacyMode, PublicKey, RecipientBox, SecurityHash, base64};
use alloy_primitives::{B512, Bytes, hex};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

/// The vectors of one file in `tests/vectors/ptm`.
macro_rules! vectors {
    ($file:literal) => {
        crate::testing::parse(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/vectors/ptm/",
            $file
        )))
    };
}
pub(crate) use vectors;

pub(crate) fn parse(file: &str) -> Vec<Value> {
    let mut file: Value = serde_json::from_str(file).expect("a file of vectors");
    let Value::Array(vectors) = file["vectors"].take() else { panic!("no vectors") };
    assert!(!vectors.is_empty());
    vectors
}

pub(crate) fn text<'a>(vector: &'a Value, field: &str) -> &'a str {
    vector[field].as_str().unwrap_or_else(|| panic!("{field} of {vector}"))
}

/// A field's bytes: hex where its name says so, base64 otherwise.
pub(crate) fn bytes(vector: &Value, field: &str) -> Bytes {
    let text = text(vector, field);
    if field.ends_with("Hex") {
        return hex::decode(text).expect("hex").into();
    }
    base64_bytes(text)
}

pub(crate) fn base64_bytes(text: &str) -> Bytes {
    base64::decode(text).expect("base64").into()
}

pub(crate) fn array<const N: usize>(vector: &Value, field: &str) -> [u8; N] {
    bytes(vector, field).as_ref().try_into().unwrap_or_else(|_| panic!("{field} has not {N} bytes"))
}

pub(crate) fn key(vector: &Value, field: &str) -> PublicKey {
    text(vector, field).parse().expect("a public key")
}

pub(crate) fn keys(vector: &Value, field: &str) -> Vec<PublicKey> {
    let list = vector[field].as_array().unwrap_or_else(|| panic!("{field} of {vector}"));
    list.iter().map(|key| key.as_str().expect("text").parse().expect("a public key")).collect()
}

pub(crate) fn pair(vector: &Value, field: &str) -> KeyPair {
    KeyPair::from_secret(&array(vector, field))
}

/// The fields of a vector's `payload`, whatever their lengths.
pub(crate) fn wire(payload: &Value) -> WireEnvelope {
    let field = |value: &Value| base64_bytes(value.as_str().expect("base64"));
    let list = |name: &str| payload[name].as_array().expect("a list").iter().map(field).collect();
    let affected = payload["affectedContractTransactions"].as_array().expect("a list");
    WireEnvelope {
        sender: bytes(payload, "sender"),
        cipher_text: bytes(payload, "cipherText"),
        cipher_text_nonce: bytes(payload, "cipherTextNonce"),
        boxes: list("recipientBoxes"),
        recipient_nonce: bytes(payload, "recipientNonce"),
        recipients: list("recipientKeys"),
        mode: payload["privacyFlag"].as_u64().and_then(PrivacyMode::from_flag).expect("a flag"),
        affected: affected.iter().map(|pair| (field(&pair[0]), field(&pair[1]))).collect(),
        exec_hash: bytes(payload, "execHash"),
        mandatory: list("mandatoryRecipients"),
        group: bytes(payload, "privacyGroupId"),
    }
}

/// A vector's `payload`.
pub(crate) fn envelope(payload: &Value) -> EncodedPayload {
    EncodedPayload::try_from(wire(payload)).expect("an envelope")
}

fn a_key() -> impl Strategy<Value = PublicKey> {
    any::<[u8; 32]>().prop_map(PublicKey)
}

fn some_bytes(size: std::ops::Range<usize>) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), size).prop_map(Bytes::from)
}

fn an_affected_transaction() -> impl Strategy<Value = (PayloadHash, SecurityHash)> {
    let half = || any::<[u8; 32]>();
    (half(), half()).prop_map(|(hash, security_hash)| {
        (PayloadHash::from_data(&hash), SecurityHash(B512::left_padding_from(&security_hash)))
    })
}

/// Envelopes that are right in form, and sealed by nobody.
pub(crate) fn any_envelope() -> impl Strategy<Value = EncodedPayload> {
    let sealed = (a_key(), some_bytes(0..400), any::<Nonce>(), any::<Nonce>());
    let parties = vec((a_key(), any::<[u8; 32]>()), 0..5);
    let rest = (0..4u64, vec(an_affected_transaction(), 0..4), some_bytes(1..60), vec(a_key(), 1..4));
    (sealed, parties, rest, some_bytes(0..40)).prop_map(|(sealed, parties, rest, group)| {
        let (sender, cipher_text, cipher_text_nonce, recipient_nonce) = sealed;
        let (flag, affected, exec_hash, mandatory) = rest;
        let mode = PrivacyMode::from_flag(flag).expect("a flag");
        let with_root = mode == PrivacyMode::StateValidation;
        let with_mandatory = mode == PrivacyMode::MandatoryRecipients;
        let sealed_box = |(key, sealed): &(PublicKey, [u8; 32])| -> RecipientBox {
            std::array::from_fn(|at| sealed[at % 32] ^ key.0[at % 32])
        };
        EncodedPayload {
            sender,
            cipher_text,
            cipher_text_nonce,
            boxes: parties.iter().map(sealed_box).collect(),
            recipient_nonce,
            recipients: parties.iter().map(|(key, _)| *key).collect(),
            mode,
            affected,
            exec_hash: if with_root { exec_hash } else { Bytes::new() },
            mandatory: if with_mandatory { each_once(mandatory) } else { Vec::new() },
            group: Some(group).filter(|group| !group.is_empty()),
        }
    })
}

/// The pair with 32 times this byte as its secret.
pub(crate) fn key_pair(seed: u8) -> KeyPair {
    KeyPair::from_secret(&[seed; 32])
}

/// A payload from one key to others and to itself.
pub(crate) fn envelope_between(from: u8, to: &[u8], payload: &[u8]) -> EncodedPayload {
    let ring = crate::Keyring::new(vec![key_pair(from)]).expect("a keyring");
    let to: Vec<_> = to.iter().map(|seed| key_pair(*seed).public()).collect();
    let sender = key_pair(from).public();
    let recipients = crate::recipients_of_send(&to, sender, &[]);
    let metadata = crate::Metadata::default();
    let addressing = crate::Addressing { recipients: &recipients, metadata: &metadata, affected: &[] };
    EncodedPayload::encrypt(&ring, sender, payload, &addressing).expect("an envelope")
}
