use super::*;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;

fn with_ipc(path: &Path) -> RpcConfig {
    let ipc = Some(IpcConfig { path: path.to_owned(), access: Access::full() });
    RpcConfig { http: None, ws: None, health: None, ipc, ..RpcConfig::default() }
}

/// Sends all at once, closes its side, and reads every line that comes back.
async fn talk(path: &Path, text: &str) -> Vec<Value> {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_may_do_everything() {
    let node = TestNode::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lonja.ipc");
    let rpc = serve(&node, with_ipc(&path)).await;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let candidate = "0xabababababababababababababababababababab";
    let calls = [
        request(1, "istanbul_propose", json!([candidate, true])).to_string(),
        json!([
            request(2, "admin_addPeer", json!(["enode://x"])),
            request(3, "admin_addPeer", json!(["nonsense"])),
        ])
        .to_string(),
    ]
    .concat();
    let mut answers = talk(&path, &calls).await;
    answers.sort_by_key(Value::is_array);
    assert_eq!(answers[0], json!({ "jsonrpc": "2.0", "id": 1, "result": null }));
    assert_eq!((&answers[1][0]["result"], &answers[1][1]["error"]["code"]), (&json!(true), &json!(-32602)));
    let status = talk(&path, &request(1, "lonja_status", json!([])).to_string()).await[0]["result"].clone();
    assert_eq!((&status["role"], &status["head"]["number"]), (&json!("validator"), &json!(0)));
    assert_eq!(
        (&status["peers"], &status["ready"], &status["sync"]),
        (&json!(1), &json!(true), &json!(false))
    );
    let info = talk(&path, &request(1, "admin_nodeInfo", json!([])).to_string()).await[0]["result"].clone();
    assert_eq!(
        (&info["ports"]["listener"], &info["protocols"]["eth"]["network"]),
        (&json!(30303), &json!(1337))
    );
    let peers = talk(&path, &request(1, "admin_peers", json!([])).to_string()).await[0]["result"].clone();
    assert_eq!(peers[0]["network"]["remoteAddress"], "192.0.2.7:30303");
    rpc.stop().await;
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_answered_too() {
    let node = TestNode::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lonja.ipc");
    let limits = RpcLimits { batch_length: 1, ..RpcLimits::default() };
    let _rpc = serve(&node, RpcConfig { limits, ..with_ipc(&path) }).await;
    let code = |answers: Vec<Value>| answers[0]["error"]["code"].as_i64().unwrap();
    assert_eq!(code(talk(&path, "hello").await), -32700);
    assert_eq!(code(talk(&path, r#"{"id":1}"#).await), -32600);
    assert_eq!(code(talk(&path, r#"{"id":1,}"#).await), -32700);
    assert_eq!(code(talk(&path, "[1,2]").await), -32010);
    assert_eq!(code(talk(&path, "[]").await), -32600);
    for text in ["{}", r#"{"jsonrpc":"2.0","method":"eth_chainId","id":1.5}"#] {
        let answers = talk(&path, text).await;
        assert_eq!(answers[0]["id"], Value::Null);
        assert_eq!(code(answers), -32600, "{text}");
    }
    assert!(talk(&path, r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#).await.is_empty());
    assert!(talk(&path, r#"{"jsonrpc":"2.0","id":1,"meth"#).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn news_come_line_by_line() {
    let mut node = TestNode::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lonja.ipc");
    let _rpc = serve(&node, with_ipc(&path)).await;
    let (reader, mut writer) = UnixStream::connect(&path).await.unwrap().into_split();
    let mut lines = BufReader::new(reader).lines();
    let subscribe = request(1, "eth_subscribe", json!(["newHeads"])).to_string();
    writer.write_all(subscribe.as_bytes()).await.unwrap();
    let answer: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    node.mine();
    let message: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(message["params"]["subscription"], answer["result"]);
    assert_eq!(message["params"]["result"]["number"], "0x1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
    let node = TestNode::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lonja.ipc");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let _rpc = serve(&node, with_ipc(&path)).await;
    assert_eq!(talk(&path, &request(1, "eth_chainId", json!([])).to_string()).await.len(), 1);
    let error = start(with_ipc(&path), node.node.clone()).await.unwrap_err().to_string();
    assert!(error.contains("in use by another process"), "{error}");
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "keep me").unwrap();
    assert!(start(with_ipc(&file), node.node.clone()).await.is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "keep me");
}
