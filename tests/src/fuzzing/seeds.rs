//! Good bytes to begin with: whatever stands in the vectors of private transactions, and a few messages made here.

use super::manager::{a_push, our_key};
use alloy_consensus::TxLegacy;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B256, Bytes, TxKind, hex};
use lonja_chain::private::marker;
use lonja_p2p::wire::{Message, encode};
use lonja_primitives::transaction::sign_private;
use lonja_primitives::{NodeKey, PayloadHash, Signer};
use lonja_ptm::wire::{Answer, Challenge, Refusal, Request};
use lonja_ptm::{Binding, Erasure};
use serde_json::Value;

/// Files of vectors.
const VECTORS: [(&str, &str); 10] = [
    ("cbor_decode", include_str!("../../vectors/ptm/cbor_decode.json")),
    ("encoded_payload", include_str!("../../vectors/ptm/encoded_payload.json")),
    ("keys", include_str!("../../vectors/ptm/keys.json")),
    ("legacy_decode", include_str!("../../vectors/ptm/legacy_decode.json")),
    ("locked_keys", include_str!("../../vectors/ptm/locked_keys.json")),
    ("party_info", include_str!("../../vectors/ptm/party_info.json")),
    ("path_escape", include_str!("../../vectors/ptm/path_escape.json")),
    ("privacy_group_encoding", include_str!("../../vectors/ptm/privacy_group_encoding.json")),
    ("raw_transaction", include_str!("../../vectors/ptm/raw_transaction.json")),
    ("url_normalise", include_str!("../../vectors/ptm/url_normalise.json")),
];

/// What is made here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    Push,
    Request,
    Answer,
    Session,
    Transaction,
    Marker,
    Record,
}

/// Longer texts of the vectors are left out: mutating them costs time, and shows nothing that short ones do not.
const BYTES_MOST: usize = 16 << 10;

/// Good bytes for a target, with a few that are good for nothing there.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    use Made::{Answer, Marker, Push, Record, Request, Session, Transaction};
    let (files, made): (&[&str], &[Made]) = match target {
        "envelope_cbor" | "envelope_legacy" => {
            (&["cbor_decode", "encoded_payload", "legacy_decode"], &[Push])
        }
        "party_info" => (&["party_info"], &[]),
        "privacy_group" => (&["privacy_group_encoding"], &[]),
        "key_file" => (&["keys", "locked_keys"], &[]),
        "texts" => (&["path_escape", "url_normalise", "keys"], &[]),
        "records" => (&[], &[Record]),
        "session_wire" => (&[], &[Session]),
        "transaction" => (&[], &[Transaction]),
        "marker" => (&["raw_transaction"], &[Marker]),
        "manager_pushes" => (&[], &[Push, Request]),
        _ => (&["cbor_decode"], &[Request, Answer]),
    };
    let mut seeds = vec![Vec::new()];
    for (_, vectors) in VECTORS.iter().filter(|(name, _)| files.contains(name)) {
        let vectors: Value = serde_json::from_str(vectors).expect("a file of vectors");
        gather(&vectors, &mut seeds);
    }
    let made_here = made_here().into_iter().filter(|(kind, _)| made.contains(kind));
    seeds.extend(made_here.map(|(_, bytes)| bytes));
    let textual = matches!(target, "key_file" | "texts" | "marker");
    seeds.retain(|seed| seed.len() <= BYTES_MOST && (!textual || std::str::from_utf8(seed).is_ok()));
    seeds.sort();
    seeds.dedup();
    seeds
}

/// Every text, as it is and as the bytes that it may stand for; and every object, as text.
fn gather(value: &Value, seeds: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) => {
            seeds.push(text.clone().into_bytes());
            seeds.extend(hex::decode(text).ok());
            seeds.extend(from_base64(text));
        }
        Value::Array(list) => list.iter().for_each(|value| gather(value, seeds)),
        Value::Object(fields) => {
            if fields.contains_key("data") || fields.contains_key("type") {
                seeds.push(value.to_string().into_bytes());
            }
            fields.values().for_each(|value| gather(value, seeds));
        }
        _ => {}
    }
}

/// Standard base64, as the vectors have it.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=').bytes();
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0u32, 0u32);
    for letter in digits {
        let digit = LETTERS.iter().position(|other| *other == letter)? as u32;
        (held, bits) = (held << 6 | digit, bits + 6);
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    (!bytes.is_empty()).then_some(bytes)
}

fn made_here() -> Vec<(Made, Vec<u8>)> {
    let key = NodeKey::from_bytes(&[7; 32]).expect("a key");
    let hash = PayloadHash::from_data(b"a payload");
    let challenge = Challenge { key: our_key(), from: our_key(), nonce: [3; 24], sealed: [5; 48] };
    let binding = Binding {
        key: our_key(),
        node: key.node_id(),
        sequence_ms: 5,
        genesis: B256::ZERO,
        signature: key.sign(B256::ZERO),
    };
    let erasure =
        Erasure { hash, order: B256::ZERO, time_ms: 5, node: key.node_id(), signature: key.sign(B256::ZERO) };
    let requests = [
        Request::Push { attempt: 5, envelope: a_push() },
        Request::Withdraw { hash, attempt: 5 },
        Request::Announce(vec![binding.clone()]),
        Request::Challenge(challenge),
        Request::Resend { key: our_key(), cursor: 0, limit: 5 },
        Request::Erase(erasure.clone()),
    ];
    let answers = [
        Answer::refused(Refusal::Busy, "later"),
        Answer::Stored { hash, proof: B256::ZERO },
        Answer::Noted,
        Answer::Proof(B256::ZERO),
        Answer::Batch { envelopes: vec![a_push()], next: 5, more: true },
        Answer::Erased(erasure.clone()),
    ];
    let requests: Vec<Bytes> = requests.iter().map(Request::encode).collect();
    let answers: Vec<Bytes> = answers.iter().map(Answer::encode).collect();
    let asked = requests.iter().cloned().map(|body| Message::PartyRequest { request: 5, body });
    let answered = answers.iter().cloned().map(|body| Message::PartyAnswer { request: 5, body });
    let messages = asked.chain(answered).chain([
        Message::NewHead { number: 5, hash: B256::ZERO },
        Message::GetBlocks { request: 5, from: 1, count: 2 },
        Message::Transactions(vec![a_transaction(&key, hash).encoded_2718().into()]),
    ]);
    let messages: Vec<Bytes> = messages.filter_map(|message| encode(&message).ok()).collect();
    let transaction = a_transaction(&key, hash);
    let marked = marker::encode(&transaction).unwrap_or_default();
    let records = [alloy_rlp::encode(&binding), alloy_rlp::encode(&erasure)];
    let of = |kind: Made, bytes: Vec<Bytes>| bytes.into_iter().map(move |bytes| (kind, Vec::from(bytes)));
    let mut made: Vec<(Made, Vec<u8>)> = of(Made::Request, requests).collect();
    made.extend(of(Made::Answer, answers).chain(of(Made::Session, messages)));
    // A parser's own words would repeat all of this.
    let talkative = format!(r#"{{"nonce":"{}"}}"#, "a secret ".repeat(300)).into_bytes().into();
    made.extend(of(Made::Marker, vec![marked, talkative]).chain(of(Made::Push, vec![a_push()])));
    made.extend(records.map(|record| (Made::Record, record)));
    made.push((Made::Transaction, transaction.encoded_2718()));
    made
}

fn a_transaction(key: &NodeKey, hash: PayloadHash) -> lonja_primitives::Transaction {
    let tx = TxLegacy {
        nonce: 5,
        gas_limit: 100_000,
        to: TxKind::Create,
        input: Bytes::copy_from_slice(hash.as_slice()),
        ..TxLegacy::default()
    };
    sign_private(tx, key)
}
