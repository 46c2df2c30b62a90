//! What nodes and third parties see, byte by byte.

mod misuse;

use super::{Cors, serve_nodes, serve_third_parties};
use crate::limits::MAX_PAYLOAD_BYTES;
use crate::path::hash_to_path;
use crate::tessera::listen::Server;
use crate::tessera::testing::{Asker, MemoryManager, anywhere};
use crate::testing::{text, vectors};
use crate::{Metadata, PayloadHash, PrivacyMode, PrivateTransactionManager, PtmError, SendRequest, base64};
use serde_json::{Value, json};
use std::sync::Arc;

const JSON: &str = "application/json";
const V21: &str = "application/vnd.tessera-2.1+json";
const V30: &str = "application/vnd.tessera-3.0+json";
const V40: &str = "application/vnd.tessera-4.0+json";
const OCTETS: &str = "application/octet-stream";

async fn q2t() -> (Arc<MemoryManager>, Server, Asker) {
    let manager = MemoryManager::new();
    let server = serve_nodes(&anywhere(), manager.clone(), None).await.unwrap();
    let asker = Asker::of(&server);
    (manager, server, asker)
}

fn request(payload: &'static [u8], metadata: Metadata) -> SendRequest {
    SendRequest { payload: payload.into(), from: None, to: Vec::new(), metadata }
}

async fn a_payload(manager: &MemoryManager) -> PayloadHash {
    manager.send(request(b"call", Metadata::default())).await.unwrap().hash
}

fn keys_of(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn what_goquorum_asks_at_its_start() {
    let (_, _server, asker) = q2t().await;
    for (path, media, body) in [
        ("/upcheck", "text/plain", "I'm up!"),
        ("/version", "text/plain", env!("CARGO_PKG_VERSION")),
        ("/version/distribution", "text/plain", env!("CARGO_PKG_VERSION")),
        ("/version/api", JSON, r#"["1.0","2.0","2.1","3.0","4.0","5.0"]"#),
    ] {
        let answer = asker.get(path).await;
        assert_eq!(
            (answer.status, answer.header("content-type"), answer.body_text()),
            (200, media, body),
            "{path}"
        );
    }
    assert_eq!(asker.get("/").await.status, 200);
    assert!(asker.get("/api").await.body_json()["paths"]["/send"].is_object());
    assert_eq!(asker.get("/groups/resident").await.status, 503);
    let head = asker.ask("HEAD", "/upcheck", &[], "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn the_media_type_of_a_send_decides_about_its_answer() {
    let (manager, _server, asker) = q2t().await;
    let other = manager.own(1).to_string();
    let body = json!({"payload": base64::encode(b"call"), "to": [other], "privacyFlag": 0, "execHash": null})
        .to_string();
    for media in [JSON, V21, V30, V40] {
        let answer = asker.post("/send", media, body.clone()).await;
        assert_eq!((answer.status, answer.header("content-type")), (201, media));
        let sent = answer.body_json();
        let hash: PayloadHash = text(&sent, "key").parse().unwrap();
        let location = answer.header("location");
        assert_eq!(location, format!("/transaction/{}", hash_to_path(&hash)));
        if media == JSON {
            assert_eq!(keys_of(&sent), ["key"]);
        } else {
            assert_eq!(sent["senderKey"], manager.own(0).to_string());
            assert_eq!(sent["managedParties"], json!([other, manager.own(0).to_string()]));
        }
        let found = manager.lookup(hash).await;
        assert!(matches!(found, crate::Lookup::Found(found) if found.payload == b"call"[..]));
    }
}

#[tokio::test]
async fn a_read_is_answered_in_the_type_that_is_accepted() {
    let (manager, _server, asker) = q2t().await;
    let metadata =
        Metadata { mode: PrivacyMode::StateValidation, exec_hash: "AAAA".into(), ..Metadata::default() };
    let hash = manager.send(request(b"call", metadata)).await.unwrap().hash;
    let path = format!("/transaction/{}", hash_to_path(&hash));
    let plain = ["affectedContractTransactions", "execHash", "payload", "privacyFlag"];
    for accept in ["", JSON, "*/*"] {
        let answer = asker.ask("GET", &path, &[("accept", accept)], "").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, JSON));
        assert_eq!(keys_of(&answer.body_json()), plain);
    }
    for accept in [V21, V30] {
        let answer = asker.ask("GET", &path, &[("accept", accept)], "").await;
        let found = answer.body_json();
        assert_eq!(answer.header("content-type"), accept);
        assert_eq!((text(&found, "payload"), &found["privacyFlag"]), (&*base64::encode(b"call"), &json!(3)));
        assert_eq!(
            (&found["execHash"], &found["affectedContractTransactions"]),
            (&json!("AAAA"), &json!([]))
        );
        assert_eq!(found["managedParties"], json!([manager.own(0).to_string()]));
        assert_eq!(found["senderKey"], manager.own(0).to_string());
    }
    let refused = asker.ask("GET", &path, &[("accept", V40)], "").await;
    assert_eq!((refused.status, refused.body_text()), (500, "HTTP 406 Not Acceptable"));
}

#[tokio::test]
async fn hashes_are_found_however_clients_escape_them() {
    let (manager, _server, asker) = q2t().await;
    for vector in vectors!("path_escape.json") {
        let hash: PayloadHash = text(&vector, "hashBase64").parse().unwrap();
        let mut envelope = manager.encrypt(request(b"x", Metadata::default())).await.unwrap();
        envelope.group = Some(hash.as_slice().to_vec().into());
        manager.rows.lock().unwrap().insert(hash, envelope);
        let goquorum = text(&vector, "pathAsSentByGoQuorum").to_string();
        let escaped = format!("/{}", text(&vector, "locationHeaderSuffix"));
        for path in [goquorum.clone(), format!("{goquorum}?isRaw=false"), escaped] {
            let answer = asker.get(&path).await;
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(text(&answer.body_json(), "privacyGroupId"), text(&vector, "hashBase64"));
        }
        assert_eq!(asker.get(&format!("{goquorum}/isSender")).await.body_text(), "true");
    }
}

#[tokio::test]
async fn raw_ways_to_send_and_read() {
    let (manager, _server, asker) = q2t().await;
    let (first, second) = (manager.own(0).to_string(), manager.own(1).to_string());
    let to = format!("{first},{second}");
    let headers = [("content-type", OCTETS), ("c11n-from", &*second), ("c11n-to", &*to)];
    let sent = asker.ask("POST", "/sendraw", &headers, &b"raw"[..]).await;
    assert_eq!((sent.status, sent.header("content-type")), (200, "text/plain"));
    let hash = sent.body_text().to_string();
    assert!(sent.header("location").contains("/transaction/"));
    let found = asker.ask("GET", "/receiveraw", &[("c11n-key", &*hash), ("c11n-to", &*first)], "").await;
    assert_eq!((found.status, found.header("content-type"), &found.body[..]), (200, OCTETS, &b"raw"[..]));

    let stored = asker.post("/storeraw", JSON, json!({"payload": "cmF3", "from": second}).to_string()).await;
    let key = stored.body_json()["key"].as_str().unwrap().to_string();
    assert_eq!((stored.status, keys_of(&stored.body_json())), (200, vec!["key"]));
    let path = format!("/transaction/{}?isRaw=true", hash_to_path(&key.parse().unwrap()));
    let raw = asker.ask("GET", &path, &[("accept", V21)], "").await.body_json();
    assert_eq!(
        (text(&raw, "payload"), text(&raw, "senderKey"), &raw["privacyFlag"]),
        ("cmF3", &*second, &json!(0))
    );
    assert_eq!(raw["managedParties"], json!([second]));
    assert_eq!(asker.get(&path.replace("true", "false")).await.status, 404);

    let bytes = key.parse::<PayloadHash>().unwrap().as_slice().to_vec();
    let signed =
        asker.ask("POST", "/sendsignedtx", &[("content-type", OCTETS), ("c11n-to", &*first)], bytes).await;
    assert_eq!((signed.status, signed.body_text()), (200, &*key));
    let signed = asker.post("/sendsignedtx", V21, json!({"hash": key, "to": [first]}).to_string()).await;
    assert_eq!((signed.status, text(&signed.body_json(), "senderKey")), (201, &*second));
    assert!(signed.header("location").contains("/transaction/"));
}

#[tokio::test]
async fn what_is_told_about_a_payload() {
    let (manager, _server, asker) = q2t().await;
    let metadata = Metadata {
        mode: PrivacyMode::MandatoryRecipients,
        mandatory: vec![manager.own(1), manager.own(0)],
        ..Metadata::default()
    };
    let send = SendRequest { to: vec![manager.own(1)], ..request(b"call", metadata) };
    let hash = hash_to_path(&manager.send(send).await.unwrap().hash);
    let both = format!("{},{}", manager.own(1), manager.own(0));
    let about = async |what: &str| asker.get(&format!("/transaction/{hash}/{what}")).await;
    assert_eq!(about("isSender").await.body_text(), "true");
    assert_eq!(about("participants").await.body_text(), both);
    assert_eq!(about("mandatory").await.body_text(), both);
    let other = hash_to_path(&a_payload(&manager).await);
    assert_eq!(asker.get(&format!("/transaction/{other}/mandatory")).await.status, 400);
}

#[tokio::test]
async fn mandatory_recipients_are_read_in_version_4_only() {
    let (manager, _server, asker) = q2t().await;
    let body =
        json!({"payload": "YQ==", "privacyFlag": 2, "mandatoryRecipients": [manager.own(0).to_string()]});
    assert_eq!(asker.post("/send", V40, body.to_string()).await.status, 201);
    for media in [JSON, V21, V30] {
        assert_eq!(asker.post("/send", media, body.to_string()).await.status, 500, "{media}");
    }
    assert_eq!(asker.post("/encodedpayload/create", V21, body.to_string()).await.status, 500);
}

#[tokio::test]
async fn envelopes_are_made_and_opened_without_being_kept() {
    let (manager, _server, asker) = q2t().await;
    let body = json!({"payload": base64::encode(b"call"), "to": [manager.own(1).to_string()]}).to_string();
    let made = asker.post("/encodedpayload/create", JSON, body).await;
    assert_eq!(made.status, 200);
    let envelope = made.body_json();
    assert_eq!(envelope["recipientKeys"], json!([manager.own(1).to_string(), manager.own(0).to_string()]));
    assert_eq!((&envelope["execHash"], &envelope["privacyMode"]), (&json!(""), &json!(0)));
    assert!(manager.rows.lock().unwrap().is_empty());
    let opened = asker.post("/encodedpayload/decrypt", V21, envelope.to_string()).await.body_json();
    assert_eq!(
        (text(&opened, "payload"), text(&opened, "senderKey")),
        (&*base64::encode(b"call"), &*manager.own(0).to_string())
    );
    // GoQuorum leaves these out.
    let mut short = envelope.clone();
    for field in ["privacyMode", "affectedContractTransactions", "execHash"] {
        short.as_object_mut().unwrap().remove(field);
    }
    assert_eq!(asker.post("/encodedpayload/decrypt", JSON, short.to_string()).await.status, 200);
    short["cipherText"] = json!(base64::encode(&[0; 40]));
    let error = asker.post("/encodedpayload/decrypt", JSON, short.to_string()).await;
    assert_eq!(error.status, 500);
    assert!(error.body_text().starts_with("No suitable recipient keys found to decrypt payload for : "));
}

#[tokio::test]
async fn a_payload_is_deleted_once() {
    let (manager, _server, asker) = q2t().await;
    let hash = a_payload(&manager).await;
    let path = format!("/transaction/{}", hash_to_path(&hash));
    let deleted = asker.ask("DELETE", &path, &[], "").await;
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    assert_eq!(asker.ask("DELETE", &path, &[], "").await.status, 404);
    let gone = asker.get(&path).await;
    assert_eq!((gone.status, gone.header("lonja-erased")), (404, "true"));
    let hash = a_payload(&manager).await;
    let body = json!({"key": hash.to_string()}).to_string();
    let deleted = asker.post("/delete", JSON, body.clone()).await;
    assert_eq!((deleted.status, deleted.body_text()), (200, "Delete successful"));
    assert_eq!(asker.post("/delete", JSON, body).await.status, 404);
}

#[tokio::test]
async fn refusals_have_tessera_s_statuses() {
    let (manager, _server, asker) = q2t().await;
    let key = manager.own(1);
    let send = json!({"payload": "YQ=="}).to_string();
    let cases = [
        (PtmError::UnknownRecipient(key), 404, format!("Recipient not found for key: {key}")),
        (
            PtmError::Violation("Enhanced Privacy is not enabled".into()),
            403,
            "Enhanced Privacy is not enabled".into(),
        ),
        (PtmError::Store("full".into()), 500, "the payload store: full".into()),
        (PtmError::Unavailable("away".into()), 503, "away".into()),
        (PtmError::Remote { status: 418, body: "teapot".into() }, 418, "418 status: teapot".into()),
    ];
    for (fault, status, text) in cases {
        manager.fail(fault);
        let answer = asker.post("/send", JSON, send.clone()).await;
        assert_eq!(
            (answer.status, answer.body_text(), answer.header("content-type")),
            (status, &*text, "text/plain")
        );
    }
    // The reason stands beside the status, and nothing in the body.
    manager.fail(PtmError::Unreachable { recipient: key, reason: "no answer\r\nX-Evil: 1".into() });
    let answer = asker.post("/send", JSON, send).await;
    assert_eq!((answer.status, answer.body.len(), answer.header("x-evil")), (410, 0, ""));
    assert_eq!(answer.text(), format!("recipient {key} cannot be reached: no answerX-Evil: 1"));
}

#[tokio::test]
async fn not_to_know_is_never_not_to_be_a_party() {
    let (manager, _server, asker) = q2t().await;
    let hash = a_payload(&manager).await;
    let path = format!("/transaction/{}", hash_to_path(&hash));
    let unknown = asker.get(&format!("/transaction/{}", hash_to_path(&PayloadHash::from_data(b"x")))).await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.body_text().starts_with("Message with hash "));
    let other = crate::PublicKey([9; 32]).to_string().replace('+', "%2B").replace('/', "%2F");
    let stranger = asker.get(&format!("{path}?to={other}")).await;
    assert_eq!(stranger.status, 500);
    assert!(stranger.body_text().starts_with("recipient not found in listed keys"));
    let own = manager.own(0).to_string();
    assert_eq!(asker.get(&format!("{path}?isRaw=FALSE&to={own}")).await.status, 200);
    // A row that none of our keys opens.
    manager.rows.lock().unwrap().get_mut(&hash).unwrap().boxes[0][20] ^= 1;
    let locked = asker.get(&path).await;
    assert_eq!(
        (locked.status, locked.body_text()),
        (500, &*format!("No suitable recipient keys found to decrypt payload for : {hash}"))
    );
    manager.fail(PtmError::Store("damaged".into()));
    assert_eq!(asker.get(&path).await.status, 500);
}

#[tokio::test]
async fn five_megabytes_and_the_largest_payload() {
    let (manager, _server, asker) = q2t().await;
    for size in [5 << 20, MAX_PAYLOAD_BYTES] {
        let payload = vec![7; size];
        let body = json!({"payload": base64::encode(&payload)}).to_string();
        let sent = asker.post("/send", V21, body).await;
        assert_eq!(sent.status, 201);
        let hash: PayloadHash = text(&sent.body_json(), "key").parse().unwrap();
        let found = asker.get(&format!("/transaction/{}", hash_to_path(&hash))).await.body_json();
        assert!(text(&found, "payload") == base64::encode(&payload));
        manager.rows.lock().unwrap().clear();
    }
    let body = json!({"payload": base64::encode(&vec![7; MAX_PAYLOAD_BYTES + 1])}).to_string();
    assert_eq!(asker.post("/send", V21, body).await.status, 413);
}

#[tokio::test]
async fn third_parties_store_payloads_and_see_keys() {
    let manager = MemoryManager::new();
    let stranger = crate::PublicKey([8; 32]);
    let known: super::KnownKeys = Arc::new(move || vec![stranger]);
    let cors = Cors { origins: vec!["https://*.example".into()], headers: Vec::new(), credentials: true };
    let server = serve_third_parties(&anywhere(), manager.clone(), Some(known), Some(cors)).await.unwrap();
    let asker = Asker::of(&server);
    let own = json!({"keys": [{"key": manager.own(0).to_string()}, {"key": manager.own(1).to_string()}]});
    assert_eq!(asker.get("/keys").await.body_json(), own);
    assert_eq!(
        asker.get("/partyinfo/keys").await.body_json(),
        json!({"keys": [{"key": stranger.to_string()}]})
    );
    assert_eq!(asker.post("/storeraw", V21, r#"{"payload":"YQ=="}"#).await.status, 200);
    assert_eq!(manager.raw.lock().unwrap().len(), 1);
    assert_eq!(asker.post("/send", V21, r#"{"payload":"YQ=="}"#).await.status, 404);
    assert_eq!(asker.get("/upcheck").await.status, 200);

    let origin = ("origin", "https://app.example");
    let allowed = asker.ask("GET", "/keys", &[origin], "").await;
    assert_eq!(allowed.header("access-control-allow-origin"), "https://app.example");
    assert_eq!(allowed.header("access-control-allow-credentials"), "true");
    let asked =
        [origin, ("access-control-request-method", "POST"), ("access-control-request-headers", "x-a")];
    let preflight = asker.ask("OPTIONS", "/storeraw", &asked, "").await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-headers")), (200, "x-a"));
    for stranger in [("origin", "https://evil"), ("x-none", "")] {
        let answer = asker.ask("GET", "/keys", &[stranger], "").await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, ""));
    }
}
