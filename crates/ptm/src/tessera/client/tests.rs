use super::*;
use crate::Metadata;
use crate::tessera::listen::{Listen, Server};
use crate::tessera::server::{serve_nodes, serve_third_parties};
use crate::tessera::testing::{MemoryManager, anywhere, generous, remote};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn pair() -> (Arc<MemoryManager>, Server, RemoteManager) {
    let manager = MemoryManager::new();
    let server = serve_nodes(&anywhere(), manager.clone(), None).await.unwrap();
    let remote = remote(server.address());
    (manager, server, remote)
}

fn request(metadata: Metadata) -> SendRequest {
    SendRequest { payload: b"call".into(), from: None, to: Vec::new(), metadata }
}

fn metadatas(own: PublicKey) -> [Metadata; 4] {
    let affected = vec![PayloadHash::from_data(b"contract")];
    let group = Some(Bytes::from_static(b"tenant"));
    let of = |mode| Metadata { mode, group: group.clone(), ..Metadata::default() };
    [
        of(PrivacyMode::Standard),
        Metadata { affected: Vec::new(), ..of(PrivacyMode::PartyProtection) },
        Metadata { mandatory: vec![own], ..of(PrivacyMode::MandatoryRecipients) },
        Metadata { exec_hash: "c29tZSByb290".into(), affected, ..of(PrivacyMode::StateValidation) },
    ]
}

/// What goes through HTTP is what goes in and comes out here.
#[tokio::test]
async fn a_manager_elsewhere_is_like_one_here() {
    let (manager, _server, remote) = pair().await;
    let own = manager.own(0);
    for metadata in metadatas(own) {
        let send = SendRequest { to: vec![manager.own(1)], ..request(metadata) };
        let sent = remote.send(send.clone()).await.unwrap();
        assert_eq!(sent.sender, own);
        assert_eq!(sent.managed_parties, [manager.own(1), own]);
        let hash = sent.hash;
        let here = manager.lookup(hash).await;
        assert!(
            matches!(&here, Lookup::Found(found) if found.payload == send.payload && found.metadata.mode == send.metadata.mode)
        );
        assert_eq!(remote.lookup(hash).await, here);
        assert_eq!(remote.is_sender(hash).await, Ok(true));
        assert_eq!(remote.participants(hash).await, manager.participants(hash).await);
        match manager.mandatory(hash).await {
            Ok(keys) => assert_eq!(remote.mandatory(hash).await, Ok(keys)),
            Err(_) => assert!(matches!(remote.mandatory(hash).await, Err(PtmError::BadRequest(_)))),
        }
    }
    assert_eq!(remote.keys().await, manager.keys().await);
}

#[tokio::test]
async fn stored_payloads_are_read_and_sent() {
    let (manager, _server, remote) = pair().await;
    let sender = manager.own(1);
    let hash = remote.store_raw(b"init".into(), Some(sender)).await.unwrap();
    assert_eq!(remote.raw_payload(hash).await, Ok(RawPayload { payload: b"init".into(), sender }));
    assert_eq!(remote.lookup(hash).await, Lookup::NotOurs);
    let signed = SendSigned { hash, to: vec![manager.own(0)], metadata: Metadata::default() };
    let sent = remote.send_signed(signed.clone()).await.unwrap();
    assert_eq!((sent.hash, sent.sender), (hash, sender));
    assert_eq!(remote.lookup(hash).await, manager.lookup(hash).await);
    let other = PayloadHash::from_data(b"x");
    assert!(matches!(remote.raw_payload(other).await, Err(PtmError::NotFound(_))));
    let error = remote.send_signed(SendSigned { hash: other, ..signed }).await.unwrap_err();
    assert!(matches!(error, PtmError::Remote { status: 404, .. }), "{error}");
}

#[tokio::test]
async fn the_four_answers_stay_apart() {
    let (manager, server, remote) = pair().await;
    let hash = remote.send(request(Metadata::default())).await.unwrap().hash;
    assert!(matches!(remote.lookup(hash).await, Lookup::Found(_)));
    assert_eq!(remote.lookup(PayloadHash::from_data(b"x")).await, Lookup::NotOurs);
    assert_eq!(remote.erase(hash).await, Ok(()));
    assert_eq!(remote.lookup(hash).await, Lookup::Erased);
    assert!(matches!(remote.erase(hash).await, Err(PtmError::NotFound(_))));
    assert!(matches!(remote.is_sender(hash).await, Err(PtmError::NotFound(_))));
    manager.fail(PtmError::Store("damaged".into()));
    assert!(matches!(remote.lookup(hash).await, Lookup::Unavailable(reason) if reason.contains("damaged")));
    server.stop().await;
    assert!(matches!(remote.lookup(hash).await, Lookup::Unavailable(_)));
    assert!(matches!(remote.send(request(Metadata::default())).await, Err(PtmError::Unavailable(_))));
}

#[tokio::test]
async fn envelopes_come_and_go_in_json() {
    let (manager, _server, remote) = pair().await;
    for metadata in metadatas(manager.own(0)) {
        let mode = metadata.mode;
        let made = remote.encrypt(request(metadata.clone())).await;
        if mode == PrivacyMode::MandatoryRecipients {
            assert!(matches!(made, Err(PtmError::Remote { status: 500, .. })));
            let envelope = manager.encrypt(request(metadata)).await.unwrap();
            assert_eq!(remote.decrypt(envelope.clone()).await, manager.decrypt(envelope).await);
            continue;
        }
        let envelope = made.unwrap();
        assert_eq!((envelope.mode, &envelope.exec_hash), (mode, &metadata.exec_hash));
        assert_eq!(remote.decrypt(envelope.clone()).await, manager.decrypt(envelope).await);
    }
}

#[tokio::test]
async fn refusals_come_with_status_and_text() {
    let (manager, _server, remote) = pair().await;
    let stranger = PublicKey([9; 32]);
    let error =
        remote.send(SendRequest { to: vec![stranger], ..request(Metadata::default()) }).await.unwrap_err();
    let body = format!("Recipient not found for key: {stranger}");
    assert_eq!(error, PtmError::Remote { status: 404, body });
    // There the text stands beside the status.
    manager.fail(PtmError::Unreachable { recipient: stranger, reason: "down".into() });
    let error = remote.send(request(Metadata::default())).await.unwrap_err();
    let body = format!("recipient {stranger} cannot be reached: down");
    assert_eq!(error, PtmError::Remote { status: 410, body });
}

#[tokio::test]
async fn keys_are_asked_of_the_api_for_third_parties() {
    let manager = MemoryManager::new();
    let third_party = serve_third_parties(&anywhere(), manager.clone(), None, None).await.unwrap();
    let options = RemoteOptions {
        address: "unix:/nowhere/tm.ipc".parse().unwrap(),
        third_party: Some(third_party.address().clone()),
        timeouts: generous(),
        tls: TlsClientOptions::default(),
    };
    let remote = RemoteManager::new(&options).unwrap();
    assert_eq!(remote.keys().await, manager.keys().await);
    assert!(matches!(remote.lookup(PayloadHash::from_data(b"x")).await, Lookup::Unavailable(_)));
}

/// Answers each request with the next of these, whatever it is.
async fn script(answers: Vec<String>) -> (Address, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let task = tokio::spawn(async move {
        let mut heads = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            heads.push(head_of(&mut stream).await);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        heads
    });
    (address, task)
}

async fn head_of(stream: &mut TcpStream) -> String {
    let mut head = String::new();
    while !head.contains("\r\n\r\n") {
        let mut bytes = [0; 512];
        let read = stream.read(&mut bytes).await.unwrap();
        head.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    head
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn greeting(versions: &str) -> Vec<String> {
    vec![answer("200 OK", "I'm up!"), answer("200 OK", "22.1.7"), answer("200 OK", versions)]
}

#[tokio::test]
async fn versions_decide_about_media_types() {
    for (versions, media) in [
        (r#"["1.0","2.0","2.1"]"#, "application/vnd.tessera-2.1+json"),
        (r#"["4.0","3.0"]"#, "application/vnd.tessera-4.0+json"),
    ] {
        let mut answers = greeting(versions);
        answers.push(answer("403 Forbidden", "no"));
        let (address, heads) = script(answers).await;
        let error = remote(&address).send(request(Metadata::default())).await.unwrap_err();
        assert_eq!(error, PtmError::Remote { status: 403, body: "no".into() });
        let heads = heads.await.unwrap();
        let paths: Vec<_> = heads.iter().map(|head| head.lines().next().unwrap()).collect();
        assert_eq!(
            paths,
            [
                "GET /upcheck HTTP/1.1",
                "GET /version HTTP/1.1",
                "GET /version/api HTTP/1.1",
                "POST /send HTTP/1.1"
            ]
        );
        for name in ["content-type", "accept"] {
            assert!(heads[3].contains(&format!("{name}: {media}\r\n")), "{}", heads[3]);
        }
    }
}

#[tokio::test]
async fn who_is_no_manager_or_too_old_is_not_asked() {
    let mandatory = Metadata {
        mode: PrivacyMode::MandatoryRecipients,
        mandatory: vec![PublicKey([1; 32])],
        ..Metadata::default()
    };
    for (answers, word) in [
        (vec![answer("404 Not Found", "")], "/upcheck"),
        (vec![answer("200 OK", ""), answer("404 Not Found", "")], "/version"),
        (greeting(r#"["1.0","2.0"]"#), "2.0"),
        (greeting("<html>"), "cannot be read"),
        (vec![answer("200 OK", ""), answer("200 OK", ""), answer("404 Not Found", "")], "1.0"),
    ] {
        let (address, _heads) = script(answers).await;
        // A 404 of whoever stands there must not mean that we are no party.
        let found = remote(&address).lookup(PayloadHash::from_data(b"x")).await;
        assert!(matches!(&found, Lookup::Unavailable(reason) if reason.contains(word)), "{found:?}");
    }
    let (address, _heads) = script(greeting(r#"["3.0"]"#)).await;
    let error = remote(&address).send(request(mandatory)).await.unwrap_err();
    assert!(matches!(error, PtmError::Violation(_)), "{error}");
}

#[tokio::test]
async fn who_comes_back_is_asked_anew() {
    let mut answers = greeting(r#"["2.1"]"#);
    answers.push("nonsense".into());
    answers.extend(greeting(r#"["4.0"]"#));
    let (address, heads) = script(answers).await;
    let remote = remote(&address);
    assert_eq!(remote.features().await.unwrap().api, (2, 1));
    assert!(matches!(remote.lookup(PayloadHash::from_data(b"x")).await, Lookup::Unavailable(_)));
    assert_eq!(remote.features().await.unwrap().api, (4, 0));
    heads.await.unwrap();
}

#[tokio::test]
async fn nobody_waits_for_others_to_find_out_what_it_can() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let remote = remote(&address);
    // It takes what it is asked, and says nothing.
    let silent = async {
        let mut streams = Vec::new();
        while streams.len() < 3 {
            streams.push(listener.accept().await.unwrap());
        }
    };
    let ask = || remote.features();
    let asked = async { tokio::join!(ask(), ask(), ask()) };
    tokio::select! {
        () = silent => {}
        _ = asked => panic!("nobody answered"),
    }
}

#[tokio::test]
async fn answers_that_are_none_make_nobody_a_stranger() {
    let found =
        r#"{"payload":"YQ==","privacyFlag":0,"senderKey":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}"#;
    for (status, body) in [
        ("200 OK", "{"),
        ("200 OK", "{}"),
        ("200 OK", &*found.replace("YQ==", "SECRET%")),
        ("200 OK", &*found.replace(":0", ":7")),
        ("200 OK", &*found.replace("senderKey", "sender")),
        ("301 Moved", ""),
        ("500 Error", "x"),
        ("503 Away", ""),
    ] {
        let mut answers = greeting(r#"["5.0"]"#);
        answers.push(answer(status, body));
        let (address, _heads) = script(answers).await;
        let found = remote(&address).lookup(PayloadHash::from_data(b"x")).await;
        assert!(matches!(&found, Lookup::Unavailable(reason) if !reason.contains("SECRET")), "{found:?}");
    }
    let mut answers = greeting(r#"["5.0"]"#);
    answers.push(answer("200 OK", found));
    let (address, _heads) = script(answers).await;
    assert!(matches!(remote(&address).lookup(PayloadHash::from_data(b"x")).await, Lookup::Found(_)));
}

#[tokio::test]
async fn answers_are_bounded_in_size_and_time() {
    let mut answers = greeting(r#"["5.0"]"#);
    answers.push("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".into());
    let (address, _heads) = script(answers).await;
    let found = remote(&address).lookup(PayloadHash::from_data(b"x")).await;
    assert!(matches!(&found, Lookup::Unavailable(reason) if reason.contains("more than")), "{found:?}");

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap()).parse().unwrap();
    let options = RemoteOptions {
        address,
        third_party: None,
        timeouts: Timeouts { request: Duration::from_millis(20), ..generous() },
        tls: TlsClientOptions::default(),
    };
    let found = RemoteManager::new(&options).unwrap().lookup(PayloadHash::from_data(b"x")).await;
    assert!(matches!(&found, Lookup::Unavailable(reason) if reason.contains("within 20 ms")), "{found:?}");
}

#[tokio::test]
async fn over_a_local_socket() {
    let folder = tempfile::tempdir().unwrap();
    let address = Address::Unix(folder.path().join("tm.ipc"));
    let manager = MemoryManager::new();
    let listen = Listen { address: address.clone(), tls: None };
    let _server = serve_nodes(&listen, manager.clone(), None).await.unwrap();
    let remote = remote(&address);
    let hash = remote.send(request(Metadata::default())).await.unwrap().hash;
    assert_eq!(remote.lookup(hash).await, manager.lookup(hash).await);
}
