use super::*;
use crate::testing::{CONTRACT, dynamic, key, write_word};
use alloy_primitives::TxKind;

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_batches() {
    let mut node = TestNode::new();
    let rpc = serve(&node, config()).await;
    let http = rpc.http.unwrap();
    let answer = post(http, &request(7, "eth_chainId", json!([]))).await;
    assert_eq!(answer, json!({ "jsonrpc": "2.0", "id": 7, "result": "0x539" }));
    let batch: Vec<Value> = (0..40)
        .map(|nonce| {
            let raw = dynamic(&key(2), nonce, TxKind::Call(CONTRACT), &write_word(1));
            request(nonce, "eth_sendRawTransaction", json!([raw]))
        })
        .collect();
    let answers = post(http, &json!(batch)).await;
    for (id, answer) in answers.as_array().unwrap().iter().enumerate() {
        assert_eq!((&answer["id"], answer["result"].is_string()), (&json!(id), true), "{answer}");
    }
    node.mine();
    let mixed = json!([
        request(1, "eth_getBlockTransactionCountByNumber", json!(["latest"])),
        { "jsonrpc": "2.0", "method": "eth_chainId" },
        { "hello": 1 },
        request(2, "no_such", json!([])),
    ]);
    let answers = post(http, &mixed).await;
    assert_eq!(answers[0]["result"], "0x28");
    assert_eq!(
        (&answers[1]["error"]["code"], &answers[2]["error"]["code"]),
        (&json!(-32600), &json!(-32601))
    );
    assert_eq!(answers.as_array().unwrap().len(), 3);
    rpc.stop().await;
    assert!(TcpStream::connect(http).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_cannot_change_anything() {
    let node = TestNode::new();
    let rpc = serve(&node, config()).await;
    let http = rpc.http.unwrap();
    for (method, text) in [
        ("istanbul_propose", "offered on IPC"),
        ("istanbul_discard", "offered on IPC"),
        ("qbft_proposeValidatorVote", "offered on IPC"),
        ("qbft_discardValidatorVote", "offered on IPC"),
        ("admin_addPeer", "offered on IPC"),
        ("admin_removePeer", "offered on IPC"),
        ("admin_peers", "offered on IPC"),
        ("admin_nodeInfo", "offered on IPC"),
        ("personal_unlockAccount", "does not exist"),
    ] {
        let error = post(http, &request(1, method, json!([CONTRACT, true]))).await["error"].clone();
        assert_eq!(error["code"], -32601, "{method}");
        assert!(error["message"].as_str().unwrap().contains(text), "{method}: {error}");
    }
    assert!(node.control.candidates.lock().is_empty());
    let modules = post(http, &request(1, "rpc_modules", json!([]))).await["result"].clone();
    assert_eq!((&modules["eth"], modules.get("admin")), (&json!("1.0"), None));
    let error = post(http, &request(1, "eth_subscribe", json!(["newHeads"]))).await["error"].clone();
    assert_eq!(error["code"], -32601);
    assert!(error["message"].as_str().unwrap().starts_with("notifications not supported"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_body_and_batch() {
    let node = TestNode::new();
    let limits =
        RpcLimits { request_bytes: 2_000, response_bytes: 20_000, batch_length: 3, ..RpcLimits::default() };
    let rpc = serve(&node, RpcConfig { limits, ..config() }).await;
    let http = rpc.http.unwrap();
    let call = request(1, "eth_chainId", json!([]));
    let too_many = post(http, &json!([call, call, call, call])).await;
    assert_eq!(too_many["error"]["code"], -32010);
    let long = request(1, "web3_sha3", json!([format!("0x{}", "00".repeat(1_500))])).to_string();
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json";
    let sized = exchange(http, head, &long).await;
    assert_eq!(sized.status, 413);
    let chunked = format!("{head}\r\ntransfer-encoding: chunked\r\nconnection: close");
    let answer = exchange_raw(http, &chunked, &format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len())).await;
    assert_eq!((answer.status, &answer.body), (413, &sized.body));
    assert!(answer.body.contains("-32007"), "{}", answer.body);
    let call_text = call.to_string();
    let short = format!("{:x}\r\n{call_text}\r\n0\r\n\r\n", call_text.len());
    assert!(exchange_raw(http, &chunked, &short).await.body.contains("0x539"));
    assert!(exchange(http, head, "{").await.body.contains("-32700"));
    let text = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain";
    assert_eq!(exchange(http, text, &call.to_string()).await.status, 415);
    let small = RpcLimits { response_bytes: 100, ..RpcLimits::default() };
    let rpc = serve(&node, RpcConfig { limits: small, ..config() }).await;
    let answer = post(rpc.http.unwrap(), &request(1, "eth_getBlockByNumber", json!(["0x0", true]))).await;
    assert_eq!(answer["error"]["code"], -32008);
}

#[tokio::test(flavor = "multi_thread")]
async fn corner_cases_of_json_rpc() {
    let node = TestNode::new();
    let rpc = serve(&node, config()).await;
    let http = rpc.http.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json";
    let with_id = |id: &str| format!(r#"{{"jsonrpc":"2.0","method":"eth_chainId","id":{id}}}"#);
    for text in [with_id("1.5"), with_id("{}"), with_id("1e23"), with_id(r#"1,"id":1"#), "{}".to_owned()] {
        let answer = exchange(http, head, &text).await;
        let json: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!((&json["error"]["code"], &json["id"]), (&json!(-32600), &json!(null)), "{text}");
        let batch = exchange(http, head, &format!("[{text},{}]", with_id("7"))).await.body;
        let json: Value = serde_json::from_str(&batch).unwrap();
        assert_eq!(
            (&json[0]["error"]["code"], &json[1]["result"]),
            (&json!(-32600), &json!("0x539")),
            "{batch}"
        );
    }
    let note = r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#;
    for text in [note.to_owned(), format!("[{note},{note}]")] {
        let answer = exchange(http, head, &text).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{text}");
    }
    assert!(exchange(http, head, "{}x").await.body.contains("-32700"));
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_kept_at_arms_length() {
    let node = TestNode::new();
    let closed = serve(&node, config()).await;
    let call = request(1, "eth_chainId", json!([])).to_string();
    let from = |host: &str, extra: &str| {
        format!("POST / HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json{extra}")
    };
    let http = closed.http.unwrap();
    assert_eq!(exchange(http, &from("evil.example:8545", ""), &call).await.status, 403);
    assert_eq!(exchange(http, &from("127.0.0.1:8545", ""), &call).await.status, 200);
    let origin = "\r\norigin: https://dapp.example";
    let answer = exchange(http, &from("localhost", origin), &call).await;
    assert!(
        answer.status == 200 && !answer.headers.contains("access-control-allow-origin"),
        "{}",
        answer.headers
    );
    assert_eq!(exchange(http, "GET / HTTP/1.1\r\nhost: localhost", "").await.status, 200);

    let open = RpcConfig { cors_origins: vec!["https://dapp.example".to_owned()], ..config() };
    let open = serve(&node, open).await;
    let answer = exchange(open.http.unwrap(), &from("localhost", origin), &call).await;
    assert!(
        answer.headers.contains("access-control-allow-origin: https://dapp.example"),
        "{}",
        answer.headers
    );
    let preflight = "OPTIONS / HTTP/1.1\r\nhost: localhost\r\norigin: https://dapp.example\r\n\
                     access-control-request-method: POST\r\naccess-control-request-headers: content-type";
    let answer = exchange(open.http.unwrap(), preflight, "").await;
    assert!(
        answer.status == 200 && answer.headers.contains("access-control-allow-methods"),
        "{}",
        answer.headers
    );
    let other = "\r\norigin: https://evil.example";
    let answer = exchange(open.http.unwrap(), &from("localhost", other), &call).await;
    assert!(!answer.headers.contains("access-control-allow-origin"), "{}", answer.headers);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics() {
    let node = TestNode::new();
    let rpc = serve(&node, config()).await;
    let health = rpc.health.unwrap();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost");
    for path in ["/metrics", "/debug/metrics/prometheus"] {
        let answer = exchange(health, &get(path), "").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "lonja_test 1\n"));
        assert!(answer.headers.contains("text/plain; version=0.0.4"), "{}", answer.headers);
    }
    assert_eq!(exchange(health, &get("/liveness"), "").await.status, 200);
    assert_eq!(exchange(health, &get("/readiness"), "").await.status, 200);
    *node.control.ready.lock() = false;
    let answer = exchange(health, &get("/readiness"), "").await;
    assert_eq!(answer.status, 503);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["checks"][0], json!({ "name": "peers", "ok": false, "reason": "peers is false" }));
    assert_eq!(exchange(health, &get("/liveness"), "").await.status, 200);
    assert_eq!(exchange(health, &get("/other"), "").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_named() {
    let node = TestNode::new();
    let first = serve(&node, config()).await;
    let taken = first.http.unwrap();
    let again = RpcConfig { http: Some(HttpConfig { address: taken, access: Access::public() }), ..config() };
    let error = start(again, node.node.clone()).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot listen on {taken} (HTTP and WebSocket)")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_compressed_for_those_who_ask() {
    let node = TestNode::new();
    let rpc = serve(&node, config()).await;
    let head =
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept-encoding: gzip";
    let long = request(1, "eth_getBlockByNumber", json!(["0x0", true])).to_string();
    assert!(exchange(rpc.http.unwrap(), head, &long).await.headers.contains("content-encoding: gzip"));
    let short = request(1, "eth_chainId", json!([])).to_string();
    assert!(!exchange(rpc.http.unwrap(), head, &short).await.headers.contains("content-encoding"));
}
