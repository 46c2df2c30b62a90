//! Real sockets: HTTP, WebSocket, the local socket, health.

mod http;
mod ipc;
mod websocket;

use crate::testing::TestNode;
use crate::{Access, HttpConfig, IpcConfig, RpcConfig, RpcHandle, RpcLimits, start};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Everything on free ports.
fn config() -> RpcConfig {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    RpcConfig {
        http: Some(HttpConfig { address: any, access: Access::public() }),
        ws: Some(HttpConfig { address: any, access: Access::public() }),
        ipc: None,
        health: Some(any),
        ..RpcConfig::default()
    }
}

async fn serve(node: &TestNode, config: RpcConfig) -> RpcHandle {
    start(config, node.node.clone()).await.unwrap()
}

/// Status, header lines and body of an HTTP exchange.
struct Answer {
    status: u16,
    headers: String,
    body: String,
}

async fn exchange(address: SocketAddr, head: &str, body: &str) -> Answer {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    exchange_raw(address, &format!("{head}\r\n{length}connection: close"), body).await
}

/// As [`exchange`], with nothing added to the head.
async fn exchange_raw(address: SocketAddr, head: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{head}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (headers, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, headers: headers.to_ascii_lowercase(), body: body.to_owned() }
}

async fn post(address: SocketAddr, body: &Value) -> Value {
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json";
    let answer = exchange(address, head, &body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

fn request(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}
