use super::*;
use crate::PtmError;

const KEY: &str = "/+UuD63zItL1EbjxkKUljMgG8Z1w0AJ8pNOR4iq2yQc=";

#[test]
fn a_public_key_is_base64_of_32_bytes() {
    let key: PublicKey = KEY.parse().unwrap();
    assert_eq!(key.to_string(), KEY);
    assert_eq!(serde_json::to_string(&key).unwrap(), format!("\"{KEY}\""));
    assert_eq!(serde_json::from_str::<PublicKey>(&format!("\"{KEY}\"")).unwrap(), key);
    assert_eq!(PublicKey::try_from(key.0.as_slice()), Ok(key));
    let unpadded = KEY.trim_end_matches('=');
    let url_alphabet = KEY.replace('/', "_");
    for bad in ["", "AAAA", unpadded, &url_alphabet, " ", &format!("{KEY}\n")] {
        assert_eq!(bad.parse::<PublicKey>(), Err(PublicKeyError), "{bad}");
        assert!(serde_json::from_str::<PublicKey>(&serde_json::to_string(bad).unwrap()).is_err());
    }
    assert!(serde_json::from_str::<PublicKey>("7").is_err());
    assert_eq!(PublicKey::try_from([1; 31].as_slice()), Err(PublicKeyError));
}

#[test]
fn flags_are_values() {
    for flag in 0..4 {
        assert_eq!(PrivacyMode::from_flag(flag).map(|mode| u64::from(mode.flag())), Some(flag));
    }
    for flag in [4, 5, 255, 256, u64::MAX] {
        assert_eq!(PrivacyMode::from_flag(flag), None, "{flag}");
    }
}

#[test]
fn debug_output_has_no_payload() {
    let payload = Bytes::from_static(b"very secret");
    let sender: PublicKey = KEY.parse().unwrap();
    let metadata = Metadata::default();
    let request =
        SendRequest { payload: payload.clone(), from: None, to: vec![sender], metadata: metadata.clone() };
    let found = PrivatePayload { payload: payload.clone(), metadata, managed_parties: vec![], sender };
    let raw = RawPayload { payload: payload.clone(), sender };
    for text in [format!("{request:?}"), format!("{:?}", Lookup::Found(found)), format!("{raw:?}")] {
        assert!(text.contains("payload_bytes: 11"), "{text}");
        for leak in [format!("{payload:?}"), payload.to_string(), "secret".into(), base64::encode(&payload)] {
            assert!(!text.contains(leak.trim_start_matches("0x")), "{text}");
        }
    }
}

#[test]
fn errors_know_their_status() {
    let recipient: PublicKey = KEY.parse().unwrap();
    let hash = PayloadHash::from_data(&[1]);
    let text = || "why".to_string();
    let expected = [
        (PtmError::BadRequest(text()), 400),
        (PtmError::Violation(text()), 403),
        (PtmError::NotFound(text()), 404),
        (PtmError::UnknownRecipient(recipient), 404),
        (PtmError::UnknownSender(recipient), 404),
        (PtmError::Unreachable { recipient, reason: text() }, 410),
        (PtmError::TooLarge { what: "payload bytes", size: 2, limit: 1 }, 413),
        (PtmError::Refused { recipient, reason: text() }, 500),
        (PtmError::NotARecipient(recipient), 500),
        (PtmError::NoKey(hash), 500),
        (PtmError::Store(text()), 500),
        (PtmError::Unavailable(text()), 503),
        (PtmError::Remote { status: 418, body: text() }, 418),
    ];
    for (error, status) in expected {
        assert_eq!(error.status(), status, "{error}");
    }
}
