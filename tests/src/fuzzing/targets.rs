//! Everything that reads bytes: what reads is written the same again, and what does not is refused in a few words.

use alloy_primitives::Bytes;
use alloy_rlp::{Decodable, Encodable};
use lonja_chain::private::marker as marker_payload;
use lonja_p2p::wire as session;
use lonja_primitives::{PayloadHash, RecoveredTransaction};
use lonja_ptm::key_file::PrivateKeyFile;
use lonja_ptm::path::{hash_from_path, hash_to_path};
use lonja_ptm::wire::{Answer, Request};
use lonja_ptm::{
    Binding, Codec, EncodedPayload, Erasure, PartyInfo, PeerUrl, PrivacyGroup, PublicKey, Reading,
};
use std::fmt::{Debug, Display};

/// The chain for which transactions are read.
const CHAIN_ID: u64 = 1_337;
/// A refusal stands in answers and logs: nobody may fill these by what is refused.
const REFUSAL_BYTES_MOST: usize = 2_048;

/// What was read, or `None` after a look at the words of the refusal.
fn read<T, E: Display>(result: Result<T, E>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            let text = error.to_string();
            assert!(
                !text.is_empty() && text.len() <= REFUSAL_BYTES_MOST,
                "a refusal of {} bytes",
                text.len()
            );
            None
        }
    }
}

fn envelope(codec: Codec, bytes: &[u8]) {
    let Some(envelope) = read(EncodedPayload::decode(codec, &Bytes::copy_from_slice(bytes))) else { return };
    let written = Bytes::from(envelope.encode(codec));
    assert_eq!(
        EncodedPayload::decode(codec, &written),
        Ok(envelope.clone()),
        "it is not read as it was written"
    );
    for key in envelope.recipients.iter().take(3) {
        if let Ok(copy) = envelope.strip_for(key) {
            assert!(copy.boxes.len() <= 1, "a copy has more than one box");
        }
    }
}

pub(super) fn envelope_cbor(bytes: &[u8]) {
    envelope(Codec::Cbor, bytes);
}

pub(super) fn envelope_legacy(bytes: &[u8]) {
    envelope(Codec::Legacy, bytes);
}

pub(super) fn party_info(bytes: &[u8]) {
    if let Some(info) = read(PartyInfo::decode(&Bytes::copy_from_slice(bytes))) {
        let again = read(PartyInfo::decode(&info.encode().into())).expect("it was written here");
        assert_eq!(again.encode(), info.encode());
    }
}

pub(super) fn privacy_group(bytes: &[u8]) {
    if let Some(group) = read(PrivacyGroup::decode(&Bytes::copy_from_slice(bytes))) {
        let again = read(PrivacyGroup::decode(&group.encode().into())).expect("it was written here");
        assert_eq!((again.id(), again.encode()), (group.id(), group.encode()));
    }
}

pub(super) fn key_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match PrivateKeyFile::parse(text) {
        Ok(file) => {
            // Opening costs memory and time that the file names; only an open key is taken further.
            let _ = file.needs_password();
        }
        Err(error) => {
            let words = error.to_string();
            // Keys are long words without spaces; refusals have none of their own.
            let secret = |part: &str| part.len() >= 40 && !part.contains(' ') && words.contains(part);
            assert!(!text.split(['"', '\\']).any(secret), "a refusal repeats what stands in a key file");
            let _ = read::<(), _>(Err(error));
        }
    }
}

pub(super) fn texts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(hash) = read(hash_from_path(text)) {
        assert_eq!(hash_from_path(&hash_to_path(&hash)), Ok(hash));
    }
    if let Some(hash) = read(text.parse::<PayloadHash>()) {
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }
    if let Some(key) = read(text.parse::<PublicKey>()) {
        assert_eq!(key.to_string(), text, "a key is written in one way only");
    }
    if let Some(url) = read(text.parse::<PeerUrl>()) {
        assert_eq!(url.to_string().parse(), Ok(url), "a URL is written as it reads");
    }
}

pub(super) fn manager_wire(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    if let Some(request) = read(Request::decode(&bytes)) {
        assert_eq!(request.encode(), bytes, "a request has one encoding");
    }
    if let Some(answer) = read(Answer::decode(&bytes)) {
        assert_eq!(answer.encode(), bytes, "an answer has one encoding");
    }
}

fn record<T: Decodable + Encodable + PartialEq + Debug>(bytes: &[u8]) {
    if let Some(record) = read(alloy_rlp::decode_exact::<T>(bytes)) {
        assert_eq!(alloy_rlp::encode(&record), bytes, "a record has one encoding");
    }
}

pub(super) fn records(bytes: &[u8]) {
    record::<Binding>(bytes);
    record::<Erasure>(bytes);
    record::<Reading>(bytes);
    if let Ok(binding) = alloy_rlp::decode_exact::<Binding>(bytes) {
        let _ = binding.is_signed();
    }
}

pub(super) fn session_wire(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    if let Some(message) = read(session::decode(&bytes)) {
        let written = session::encode(&message).expect("what is read can be written");
        assert_eq!(session::decode(&written), Ok(message), "it is not read as it was written");
    }
    let _ = read(session::decode_status(&bytes));
    let _ = read(session::decode_goodbye(&bytes));
}

pub(super) fn transaction(bytes: &[u8]) {
    let raw = Bytes::copy_from_slice(bytes);
    let Some(tx) = read(RecoveredTransaction::recover(raw.clone(), CHAIN_ID)) else { return };
    assert_eq!(*tx.raw(), raw, "a transaction has one encoding");
    assert_eq!(tx.payload_hash().is_some(), tx.is_private(), "who is private names a payload, nobody else");
    if tx.is_private()
        && let Some(payload) = marker_payload::encode(tx.tx())
    {
        let inside = marker_payload::decode(&payload, CHAIN_ID);
        // A marker carries no value.
        assert!(inside.is_err() || inside.is_ok_and(|inside| inside.raw() == tx.raw()));
    }
}

pub(super) fn marker(bytes: &[u8]) {
    if let Some(tx) = read(marker_payload::decode(bytes, CHAIN_ID)) {
        let payload = marker_payload::encode(tx.tx()).expect("it is private");
        assert_eq!(payload.len() % 1_024, 0, "lengths tell payloads apart");
        assert_eq!(marker_payload::decode(&payload, CHAIN_ID).map(|again| again.hash()), Ok(tx.hash()));
    }
}
