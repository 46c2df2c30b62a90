use super::*;
use crate::limits::{MAX_AFFECTED, MAX_RECIPIENTS};
use crate::testing::{any_envelope, bytes, envelope, text, vectors, wire};
use crate::{PeerVersions, PrivacyMode, PublicKey};
use alloy_primitives::hex;
use proptest::prelude::*;
use serde_json::Value;

/// Maps and sets have no order on the wire.
fn sorted(mut wire: WireEnvelope) -> WireEnvelope {
    wire.affected.sort();
    wire.mandatory.sort();
    wire
}

type Decode = fn(&Bytes) -> Result<WireEnvelope, CodecError>;
type Encode = fn(&WireEnvelope) -> Vec<u8>;

fn check_decoding(vectors: Vec<Value>, decode: Decode, encode: Encode) {
    let (mut read, mut refused) = (0, 0);
    for vector in vectors {
        let id = text(&vector, "id");
        let decoded = decode(&bytes(&vector, "bytesHex"));
        if text(&vector, "expect") == "error" {
            assert!(decoded.is_err(), "{id}");
            refused += 1;
            continue;
        }
        let decoded = decoded.unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(sorted(decoded.clone()), sorted(wire(&vector["payload"])), "{id}");
        assert_eq!(decode(&encode(&decoded).into()), Ok(decoded), "{id}");
        read += 1;
    }
    assert!(read > 4 && refused > 1, "{read} and {refused}");
}

#[test]
fn every_legacy_version_is_read() {
    check_decoding(vectors!("legacy_decode.json"), legacy::decode, legacy::encode);
}

#[test]
fn cbor_is_read_as_tessera_reads_it() {
    check_decoding(vectors!("cbor_decode.json"), cbor::decode, cbor::encode);
}

#[test]
fn what_is_written_in_order_is_written_as_tessera_does() {
    let mut same = 0;
    for vector in vectors!("cbor_decode.json") {
        let id = text(&vector, "id");
        let free = ["cbor-shuffled-order", "cbor-missing-optional", "cbor-indefinite-map"].contains(&id);
        if text(&vector, "expect") == "ok" && !free {
            let written = cbor::encode(&wire(&vector["payload"]));
            assert_eq!(hex::encode(written), text(&vector, "bytesHex"), "{id}");
            same += 1;
        }
    }
    assert_eq!(same, 4);
}

#[test]
fn envelopes_in_both_encodings() {
    let mut all = vectors!("encoded_payload.json");
    for vector in &mut all {
        let mut copies = vec![vector.clone()];
        copies.append(vector["onWirePerRecipient"].as_array_mut().unwrap());
        for copy in copies {
            let envelope = envelope(&copy["payload"]);
            for (codec, field) in [(Codec::Legacy, "legacyHex"), (Codec::Cbor, "cborHex")] {
                let encoded = bytes(&copy, field);
                assert_eq!(hex::encode(envelope.encode(codec)), hex::encode(&encoded), "{field}");
                assert_eq!(EncodedPayload::decode(codec, &encoded).as_ref(), Ok(&envelope), "{field}");
            }
        }
    }
}

#[test]
fn fields_of_the_wrong_length_are_read_but_make_no_envelope() {
    let mut refused = Vec::new();
    let all = vectors!("legacy_decode.json").into_iter().map(|vector| (Codec::Legacy, vector));
    for (codec, vector) in
        all.chain(vectors!("cbor_decode.json").into_iter().map(|vector| (Codec::Cbor, vector)))
    {
        if text(&vector, "expect") == "ok"
            && let Err(error) = codec.decode(&bytes(&vector, "bytesHex"))
        {
            refused.push(format!("{}: {error}", text(&vector, "id")));
        }
    }
    let short_sender = "the sender's key has 6 bytes, 32 are expected";
    assert_eq!(
        refused,
        [
            "v2-pp-recipients-affected: the hash of an affected transaction has 4 bytes, 64 are expected"
                .to_string(),
            format!("cbor-fixture-std: {short_sender}"),
            format!("cbor-fixture-pp: {short_sender}"),
            format!("cbor-fixture-mr-group: {short_sender}"),
        ]
    );
}

#[test]
fn the_ciphertext_is_not_copied() {
    let vector = &vectors!("encoded_payload.json")[0];
    for (codec, field) in [(Codec::Legacy, "legacyHex"), (Codec::Cbor, "cborHex")] {
        let encoded = bytes(vector, field);
        let envelope = codec.decode(&encoded).unwrap();
        assert!(encoded.as_ptr_range().contains(&envelope.cipher_text.as_ptr()));
    }
}

/// The bytes in front of the recipients' boxes.
fn legacy_front() -> Vec<u8> {
    let mut out = Vec::new();
    put_field(&mut out, &[1; 32]);
    put_field(&mut out, &[2; 17]);
    put_field(&mut out, &[3; 24]);
    out
}

#[test]
fn counts_are_held_against_what_is_there() {
    let with_count = |count: u64| {
        let mut out = legacy_front();
        out.extend_from_slice(&count.to_be_bytes());
        legacy::decode(&out.into()).unwrap_err()
    };
    let what = "the recipients' boxes";
    for size in [u64::MAX, i64::MAX as u64, MAX_RECIPIENTS as u64 + 1] {
        assert_eq!(with_count(size), CodecError::TooLarge { what, size, limit: MAX_RECIPIENTS });
    }
    for count in [1, MAX_RECIPIENTS as u64] {
        assert_eq!(with_count(count), CodecError::Truncated { what });
    }
    let mut flag = legacy_front();
    put_array(&mut flag, &[[4; 48]]);
    put_field(&mut flag, &[5; 24]);
    put_array(&mut flag, &[[6; 32]]);
    let mut affected = flag.clone();
    put_field(&mut flag, &[0, 0]);
    let what = "the privacy flag";
    assert_eq!(legacy::decode(&flag.into()), Err(CodecError::WrongLength { what, got: 2, want: 1 }));
    put_field(&mut affected, &[0]);
    put_count(&mut affected, MAX_AFFECTED + 1);
    assert!(
        legacy::decode(&affected.into()).unwrap_err().to_string().starts_with("the affected transactions: ")
    );
}

#[test]
fn bytes_of_later_versions_are_left_alone() {
    let vector = &vectors!("encoded_payload.json")[7];
    let envelope = envelope(&vector["payload"]);
    assert!(envelope.group.is_some());
    let mut encoded = bytes(vector, "legacyHex").to_vec();
    encoded.extend_from_slice(&[0xff; 5]);
    assert_eq!(Codec::Legacy.decode(&encoded.into()), Ok(envelope));
}

/// CBOR from hex, where `'text'` stands for a short text.
fn cbor(notation: &str) -> Result<WireEnvelope, CodecError> {
    let mut out = Vec::new();
    for (place, part) in notation.split('\'').enumerate() {
        if place % 2 == 1 {
            out.push(0x60 | part.len() as u8);
            out.extend_from_slice(part.as_bytes());
        } else {
            out.extend(hex::decode(part.replace(' ', "")).unwrap());
        }
    }
    cbor::decode(&out.into())
}

#[test]
fn cbor_in_all_its_shapes() {
    let sender = |notation: &str| cbor(notation).unwrap().sender;
    assert_eq!(sender("a1 'sender' 4101"), Bytes::from_static(&[1]));
    // Lengths longer than needed, arrays of no known length, and an unknown key that ends the map.
    assert_eq!(sender("b80000a1"), Bytes::new());
    assert_eq!(sender("ba00000001 'sender' 590001 07"), Bytes::from_static(&[7]));
    assert_eq!(sender("a3 'sender' 4101 'other' f6 'sender' 4102"), Bytes::from_static(&[1]));
    let boxes = cbor("bf 'recipientBoxes' 9f 4101 4102 ff ff").unwrap().boxes;
    assert_eq!(boxes, [Bytes::from_static(&[1]), Bytes::from_static(&[2])]);
    let flag = |value: &str| cbor(&format!("a2 'privacyFlag' {value} 'sender' 4101")).map(|wire| wire.mode);
    assert_eq!(flag("01"), Ok(PrivacyMode::PartyProtection));
    assert_eq!(flag("1b0000000000000001"), Ok(PrivacyMode::PartyProtection));
    for unknown in ["04", "18ff", "20", "3bffffffffffffffff", "1bffffffffffffffff"] {
        assert_eq!(flag(unknown), Ok(PrivacyMode::Standard), "{unknown}");
    }
    for mode_without_its_field in ["02", "03"] {
        assert!(matches!(flag(mode_without_its_field), Err(CodecError::Rule(_))));
    }
}

#[test]
fn cbor_that_is_none_is_refused() {
    let sender = "sender";
    let string = "a byte string of known length";
    let wrong = |what, want| CodecError::WrongType { what, want };
    let cases = [
        ("", CodecError::Truncated { what: "the envelope" }),
        ("a1", CodecError::Truncated { what: "the envelope" }),
        ("a1 'sender'", CodecError::Truncated { what: sender }),
        ("a1 'sender' 4401", CodecError::Truncated { what: sender }),
        ("a1 'sender' 58", CodecError::Truncated { what: sender }),
        ("a1 'sender' 5f4101ff", wrong(sender, string)),
        ("a1 'sender' 6101", wrong(sender, string)),
        ("a1 'sender' f6", wrong(sender, string)),
        ("a1 'sender' c24101", wrong(sender, string)),
        ("a1 'sender' 5c00", wrong(sender, "CBOR")),
        ("a1 4101 4101", wrong("the envelope", "a text of known length")),
        ("a2 'sender' 4101 'sender' 4101", CodecError::Twice { what: sender }),
        ("bf 'sender' 4101", CodecError::Truncated { what: "the envelope" }),
        ("a1 'recipients' 8201", wrong("recipients", string)),
        ("a1 'recipients' a0", wrong("recipients", "an array")),
        ("a1 'affected' 80", wrong("affected", "a map")),
        ("a1 'affected' a1 '!!!!' 41", wrong("affected", "a map with keys in base64")),
        ("a1 'privacyFlag' '0'", wrong("privacyFlag", "an integer")),
        ("a1 'privacyFlag' 1f", wrong("privacyFlag", "an integer")),
        ("a1 'execHash' 4101", CodecError::Rule("an execution hash goes with privacy flag 3 only")),
        ("a1 'mandatoryFor' 814101", CodecError::Rule("mandatory recipients go with privacy flag 2 only")),
    ];
    for (notation, error) in cases {
        assert_eq!(cbor(notation), Err(error), "{notation}");
    }
    let huge = cbor("a1 'sender' 5bffffffffffffffff").unwrap_err();
    assert!(matches!(huge, CodecError::TooLarge { what: "sender", size: u64::MAX, .. }));
}

#[test]
fn cbor_lists_end_at_their_limit() {
    let entry = |count: usize, name: &str, major: &str, each: &str| {
        cbor(&format!("a1 '{name}' {major}{count:08x} {}", each.repeat(count))).err()
    };
    let refused = |limit: usize| move |error: CodecError| matches!(error, CodecError::TooLarge { limit: at, .. } if at == limit);
    assert_eq!(entry(MAX_RECIPIENTS, "recipients", "9a", "40"), None);
    assert!(entry(MAX_RECIPIENTS + 1, "recipients", "9a", "40").is_some_and(refused(MAX_RECIPIENTS)));
    assert_eq!(entry(MAX_AFFECTED, "affected", "ba", "60 40"), None);
    assert!(entry(MAX_AFFECTED + 1, "affected", "ba", "60 40").is_some_and(refused(MAX_AFFECTED)));
}

#[test]
fn an_envelope_names_each_affected_transaction_once() {
    let vector = vectors!("encoded_payload.json").swap_remove(4);
    let mut wire = wire(&vector["payload"]);
    let first = wire.affected[0].clone();
    wire.affected.push(first);
    let what = "an affected transaction";
    for (codec, bytes) in [(Codec::Legacy, legacy::encode(&wire)), (Codec::Cbor, cbor::encode(&wire))] {
        assert_eq!(codec.decode(&bytes.into()), Err(CodecError::Twice { what }));
    }
}

#[test]
fn the_header_says_which_encoding() {
    for vector in vectors!("codec_negotiation.json") {
        let versions = PeerVersions::from_header(vector["tesseraSupportedApiVersions"].as_str());
        let expected = if text(&vector, "codec") == "CBOR" { Codec::Cbor } else { Codec::Legacy };
        assert_eq!(versions.codec(), expected, "{}", text(&vector, "id"));
    }
    let long = format!("5.0,{}", ",".repeat(2_000));
    for legacy in [" 5.0", "v1, 5.0", "5.0 ", "v5.0", "5", "", negotiation::VERSIONS_WITHOUT_CBOR, &long] {
        assert_eq!(PeerVersions::from_header(Some(legacy)).codec(), Codec::Legacy, "{legacy}");
    }
    assert_eq!(PeerVersions::from_header(Some(negotiation::VERSIONS)).codec(), Codec::Cbor);
}

#[test]
fn what_a_peer_would_not_understand_is_not_sent() {
    let recipient = PublicKey([1; 32]);
    let refused = |header: &str, flag: u64, group: bool| {
        let mode = PrivacyMode::from_flag(flag).unwrap();
        let checked = PeerVersions::from_header(Some(header)).check(&recipient, mode, group);
        checked.err().map(|error| {
            assert_eq!(error.status(), 403);
            error.to_string()
        })
    };
    for flag in 0..4 {
        assert_eq!(refused(negotiation::VERSIONS, flag, true), None);
        assert_eq!(refused("", flag, false).is_some(), flag != 0);
        assert_eq!(refused("v2", flag, false).is_some(), flag == 2);
        assert_eq!(refused("v2,4.0", flag, false), None);
    }
    assert!(
        refused("4.0", 2, false).unwrap().starts_with("Transactions with enhanced privacy is not currently")
    );
    let text = format!(
        "Transactions with mandatory recipients are not currently supported on recipient {recipient}"
    );
    assert_eq!(refused("v2", 2, false), Some(text));
    assert!(refused("v2,4.0", 0, true).is_some());
    assert_eq!(refused("3.0", 0, true), None);
}

/// Neither decoder panics, and what it takes it writes and reads again.
fn throw_at_decoders(bytes: Vec<u8>) {
    let bytes = Bytes::from(bytes);
    for (codec, decode) in [(Codec::Legacy, legacy::decode as Decode), (Codec::Cbor, cbor::decode)] {
        let _ = decode(&bytes);
        if let Ok(envelope) = codec.decode(&bytes) {
            assert_eq!(codec.decode(&envelope.encode(codec).into()), Ok(envelope));
        }
    }
}

proptest! {
    #[test]
    fn envelopes_come_back(envelope in any_envelope()) {
        for codec in [Codec::Legacy, Codec::Cbor] {
            let encoded = envelope.encode(codec);
            let decoded = codec.decode(&encoded.into());
            prop_assert_eq!(decoded.as_ref(), Ok(&envelope));
        }
    }

    #[test]
    fn no_bytes_are_a_trap(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        throw_at_decoders(bytes);
    }

    #[test]
    fn no_damage_is_a_trap(
        envelope in any_envelope(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<prop::sample::Index>(),
    ) {
        for codec in [Codec::Legacy, Codec::Cbor] {
            let mut bytes = envelope.encode(codec);
            throw_at_decoders(bytes[..end.index(bytes.len())].to_vec());
            for (at, with) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *with;
            }
            throw_at_decoders(bytes);
        }
    }

    #[test]
    fn no_cbor_is_a_trap(
        parts in proptest::collection::vec(
            prop_oneof![
                Just(vec![0xbf]), Just(vec![0xff]), Just(vec![0x9f]), Just(vec![0xa2]), Just(vec![0x82]),
                Just(vec![0x5b, 0xff]), Just(vec![0x1b]), Just(b"\x66sender".to_vec()), Just(b"\x68affected".to_vec()),
                Just(b"\x6arecipients".to_vec()), Just(b"\x6bprivacyFlag".to_vec()), Just(b"\x44AAAA".to_vec()),
                Just(b"\x64AAAA".to_vec()), any::<u8>().prop_map(|byte| vec![byte]),
            ],
            0..40,
        ),
    ) {
        throw_at_decoders(parts.concat());
    }
}
