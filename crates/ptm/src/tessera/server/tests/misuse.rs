//! Clients that make mistakes, and those that mean harm.

use super::*;
use crate::tessera::address::Address;
use crate::tessera::listen::{Api, Limits, Listen, ListenError};
use crate::tessera::reply::Call;
use crate::tessera::server::q2t::Q2t;
use crate::tessera::server::{MAX_REQUEST_BYTES, serve_nodes};
use crate::tessera::testing::remote;
use proptest::prelude::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn within(limits: Limits) -> (Arc<MemoryManager>, Server) {
    let manager = MemoryManager::new();
    let api = Arc::new(Q2t { manager: manager.clone(), groups: None });
    (manager, Server::start_within(&anywhere(), api, limits).await.unwrap())
}

fn host(server: &Server) -> String {
    let Address::Url(url) = server.address() else { panic!("on TCP") };
    url.authority().to_string()
}

/// Writes this and reads to the end of the connection.
async fn all_said(server: &Server, text: &str) -> String {
    let mut stream = TcpStream::connect(host(server)).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

#[tokio::test]
async fn mistakes_have_the_statuses_of_tessera() {
    let (manager, _server, asker) = q2t().await;
    let own = manager.own(0).to_string();
    let good = json!({"payload": "YQ=="}).to_string();
    // Media types and methods: 500 for both.
    for (method, path, media, body) in [
        ("POST", "/send", "text/plain", &*good),
        ("POST", "/send", "", &*good),
        ("POST", "/send", OCTETS, &*good),
        ("POST", "/sendraw", JSON, "a"),
        ("POST", "/storeraw", V40, &*good),
        ("POST", "/sendsignedtx", "text/plain", "a"),
        ("POST", "/encodedpayload/create", V30, &*good),
        ("POST", "/delete", V21, "{}"),
    ] {
        let answer = asker.ask(method, path, &[("content-type", media)], body.to_string()).await;
        assert_eq!(
            (answer.status, answer.body_text()),
            (500, "HTTP 415 Unsupported Media Type"),
            "{path} {media}"
        );
    }
    let hash = hash_to_path(&PayloadHash::from_data(b"x"));
    for (method, path) in [
        ("GET", "/send".to_string()),
        ("PUT", format!("/transaction/{hash}")),
        ("DELETE", format!("/transaction/{hash}/isSender")),
        ("POST", "/upcheck".into()),
        ("DELETE", "/groups/resident".into()),
    ] {
        let answer = asker.ask(method, &path, &[], "").await;
        assert_eq!((answer.status, answer.body_text()), (500, "HTTP 405 Method Not Allowed"), "{path}");
    }
    for path in [
        "/nothing",
        "/transaction",
        "/send/",
        "/transaction/a/b",
        "//send",
        "/receive",
        "/push",
        "/partyinfo",
    ] {
        assert_eq!(asker.get(path).await.status, 404, "{path}");
    }
    // Bodies.
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("[]", 400),
        (r#"{"payload":7}"#, 400),
        ("{}", 400),
        (r#"{"payload":""}"#, 400),
        (r#"{"payload":"YQ==","privacyFlag":"x"}"#, 400),
        (r#"{"payload":"YQ==","privacyFlag":3}"#, 400),
        (r#"{"payload":"%"}"#, 500),
        (r#"{"payload":"YQ"}"#, 500),
        (r#"{"payload":"YQ==","from":"%"}"#, 500),
        (r#"{"payload":"YQ==","to":["%"]}"#, 500),
        (r#"{"payload":"YQ==","affectedContractTransactions":["%"]}"#, 500),
        (r#"{"payload":"YQ==","affectedContractTransactions":["YQ=="]}"#, 400),
        (r#"{"payload":"YQ==","from":"YQ=="}"#, 404),
        (r#"{"payload":"YQ==","to":["YQ=="]}"#, 404),
        (r#"{"payload":"YQ==","from":"CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg="}"#, 404),
        (r#"{"payload":"YQ==","to":["CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg="]}"#, 404),
        // What nobody knows is skipped, and a flag that nobody knows is 0.
        (r#"{"payload":"YQ==","privacyFlag":9,"more":{"a":[1]},"to":null}"#, 201),
    ] {
        assert_eq!(asker.post("/send", V21, body).await.status, status, "{body}");
    }
    // Hashes and headers.
    assert_eq!(asker.get("/transaction/nonsense").await.status, 400);
    assert_eq!(asker.get(&format!("/transaction/{hash}?to=%25")).await.status, 400);
    assert_eq!(asker.get("/receiveraw").await.status, 400);
    assert_eq!(asker.ask("GET", "/receiveraw", &[("c11n-key", "%")], "").await.status, 400);
    let raw = |from: &'static str, to: String| {
        let asker = &asker;
        async move {
            let headers = [("content-type", OCTETS), ("c11n-from", from), ("c11n-to", &to)];
            asker.ask("POST", "/sendraw", &headers, "a").await.status
        }
    };
    assert_eq!(raw("%", own.clone()).await, 400);
    assert_eq!(raw("", format!("{own}, {own}")).await, 500);
    assert_eq!(raw("", format!("{own},{own}")).await, 200);
    assert_eq!(asker.ask("POST", "/sendraw", &[("content-type", OCTETS)], "").await.status, 400);
    assert_eq!(asker.ask("POST", "/sendsignedtx", &[("content-type", OCTETS)], "short").await.status, 404);
    let unknown = json!({"hash": PayloadHash::from_data(b"x").to_string()}).to_string();
    let unknown = asker.post("/sendsignedtx", JSON, unknown).await;
    assert!(unknown.status == 404 && unknown.body_text().starts_with("Raw Transaction with hash "));
    assert_eq!(asker.post("/sendsignedtx", JSON, "{}").await.status, 400);
}

proptest! {
    /// Whatever comes, there is an answer, and nothing of what is secret in it.
    #[test]
    fn no_request_is_a_trap(
        method in "GET|POST|DELETE|PUT",
        path in "/(send|sendraw|storeraw|sendsignedtx|receiveraw|delete|keys|api|transaction/[A-Za-z0-9%+=]{0,90}(/isSender)?|\
                 encodedpayload/(create|decrypt)|createPrivacyGroup|groups/[a-z]{0,8}|[ -~&&[^ ]]{0,20})",
        query in proptest::option::of("[a-zA-Z=&%]{0,30}|to=[!-~]{0,50}&isRaw=true"),
        media in proptest::sample::select(vec![JSON, V21, V30, V40, OCTETS, "nonsense"]),
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            "\\{\"(payload|hash|key|from|to|senderKey|cipherText|privacyFlag)\":(\"[A-Za-z0-9+/=]{0,90}\"|-?[0-9]{1,20}|null|\\[\"a\"\\])\\}"
                .prop_map(String::into_bytes),
        ],
    ) {
        let (manager, runtime) = (MemoryManager::new(), tokio::runtime::Builder::new_current_thread().build().unwrap());
        let headers = [("content-type", media), ("c11n-key", "x"), ("c11n-to", "%,")];
        let headers = headers.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let (method, headers) = (method.parse().unwrap(), headers.collect());
        let call = Call { method, path, query, headers, body: body.into() };
        let reply = runtime.block_on(Q2t { manager, groups: None }.answer(call));
        prop_assert!((200..600).contains(&reply.status));
    }
}

#[tokio::test]
async fn a_payload_never_comes_back_in_an_error() {
    let (_, _server, asker) = q2t().await;
    for body in [r#"{"payload":["SECRET"]}"#, r#"{"payload":"SECRET%"}"#, r#"{"payload":"SECRET" x"#] {
        let answer = asker.post("/send", V21, body).await;
        assert!(answer.status >= 400 && !answer.body_text().contains("SECRET"), "{}", answer.body_text());
    }
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    let (_, server) = within(Limits { bodies_kib: 8, ..Limits::default() }).await;
    let more = MAX_REQUEST_BYTES + 1;
    let head = "POST /send HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let answer = all_said(&server, &format!("{head}content-length: {more}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("connection: close"), "{answer}");
    // More than the memory that is given to all bodies together.
    let large = format!("{head}content-length: 20000\r\n\r\n{}", "a".repeat(20_000));
    assert!(all_said(&server, &large).await.starts_with("HTTP/1.1 503 "));
    let chunks =
        format!("{head}transfer-encoding: chunked\r\n\r\n4e20\r\n{}\r\n0\r\n\r\n", "a".repeat(20_000));
    assert!(all_said(&server, &chunks).await.starts_with("HTTP/1.1 503 "));
    assert!(all_said(&server, &format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(1 << 20))).await.len() < 1_000);
    assert_eq!(Asker::of(&server).get("/upcheck").await.status, 200);
}

#[tokio::test]
async fn the_slow_are_left_behind() {
    let short = Duration::from_millis(50);
    let (_, server) = within(Limits { head_time: short, body_time: short, ..Limits::default() }).await;
    let ended = all_said(&server, "POST /send HTTP/1.1\r\nhost: a\r\n").await;
    assert!(!ended.contains("200"), "{ended}");
    let head =
        "POST /send HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    assert!(all_said(&server, head).await.starts_with("HTTP/1.1 408 "));
    assert_eq!(all_said(&server, "").await, "");
}

#[tokio::test]
async fn connections_are_counted() {
    let (_, server) = within(Limits { connections: 2, ..Limits::default() }).await;
    let first = TcpStream::connect(host(&server)).await.unwrap();
    let mut second = TcpStream::connect(host(&server)).await.unwrap();
    let request = b"GET /upcheck HTTP/1.1\r\nhost: a\r\n\r\n";
    second.write_all(request).await.unwrap();
    assert!(second.read(&mut [0; 512]).await.unwrap() > 0);
    let mut third = TcpStream::connect(host(&server)).await.unwrap();
    third.write_all(request).await.unwrap();
    // Its turn comes when another one goes.
    drop(first);
    assert!(third.read(&mut [0; 512]).await.unwrap() > 0);
}

#[tokio::test]
async fn many_at_a_time_are_all_answered() {
    let (manager, server) = within(Limits { calls: 1, bodies_kib: 64, ..Limits::default() }).await;
    let remote = Arc::new(remote(server.address()));
    let hash = a_payload(&manager).await;
    let lookups = (0..100).map(|_| {
        let remote = remote.clone();
        tokio::spawn(async move { remote.lookup(hash).await })
    });
    for lookup in futures::future::join_all(lookups).await {
        assert!(matches!(lookup.unwrap(), crate::Lookup::Found(_)));
    }
}

#[tokio::test]
async fn a_send_goes_on_when_its_client_leaves() {
    let (manager, _server, asker) = q2t().await;
    drop(asker);
    let body = r#"{"payload":"YQ=="}"#;
    let length = body.len();
    let mut stream = TcpStream::connect(host(&_server)).await.unwrap();
    let head = format!(
        "POST /send HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    drop(stream);
    while manager.rows.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_socket_is_for_its_owner_and_for_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tm.ipc");
    let listen = Listen { address: Address::Unix(path.clone()), tls: None };
    // What a dead process left behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let server = serve_nodes(&listen, MemoryManager::new(), None).await.unwrap();
    let metadata = std::fs::metadata(&path).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let inode = metadata.ino();
    let second = serve_nodes(&listen, MemoryManager::new(), None).await;
    assert!(matches!(second.err(), Some(ListenError::Bind { .. })));
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode);
    assert_eq!(remote(&listen.address).features().await.unwrap().api, (5, 0));
    server.stop().await;
    assert!(!path.exists());
    std::fs::write(&path, "a file").unwrap();
    assert!(serve_nodes(&listen, MemoryManager::new(), None).await.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file");
}
