use super::*;
use crate::testing::{CONTRACT, key, legacy, write_word};
use alloy_primitives::TxKind;

/// Just enough of a WebSocket client.
struct Socket(TcpStream);

impl Socket {
    /// The status of the handshake, and the socket when it is 101.
    async fn open(address: SocketAddr, extra: &str) -> (u16, Self) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extra}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let status = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap().parse().unwrap();
        (status, Self(stream))
    }

    async fn send(&mut self, message: &Value) {
        let text = message.to_string().into_bytes();
        // A final text frame, masked with zeros.
        let mut frame = vec![0x81, 0xfe];
        frame.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(text);
        self.0.write_all(&frame).await.unwrap();
    }

    async fn message(&mut self) -> Value {
        loop {
            let kind = self.0.read_u8().await.unwrap();
            let length = match self.0.read_u8().await.unwrap() {
                126 => u64::from(self.0.read_u16().await.unwrap()),
                127 => self.0.read_u64().await.unwrap(),
                short => u64::from(short),
            };
            let mut payload = vec![0; length as usize];
            self.0.read_exact(&mut payload).await.unwrap();
            if kind & 0x0f == 1 {
                return serde_json::from_slice(&payload).unwrap();
            }
        }
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(&request(1, method, params)).await;
        self.message().await["result"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ports_serve_calls_and_news() {
    let mut node = TestNode::new();
    let rpc = serve(&node, config()).await;
    for (nonce, address) in [rpc.http.unwrap(), rpc.ws.unwrap()].into_iter().enumerate() {
        let (status, mut socket) = Socket::open(address, "").await;
        assert_eq!(status, 101);
        assert_eq!(socket.call("eth_chainId", json!([])).await, "0x539");
        let heads = socket.call("eth_subscribe", json!(["newHeads"])).await;
        let number = node.mine();
        let message = socket.message().await;
        assert_eq!(message["params"]["subscription"], heads);
        assert_eq!(message["params"]["result"]["number"], format!("{number:#x}"));
        assert_eq!(socket.call("eth_unsubscribe", json!([heads])).await, json!(true));
        assert_eq!(socket.call("eth_unsubscribe", json!([{}])).await, json!(false));
        // A notification gets no answer, the request after it does.
        socket.send(&json!({ "jsonrpc": "2.0", "method": "eth_blockNumber" })).await;
        assert_eq!(socket.call("eth_chainId", json!([])).await, "0x539");
        socket.call("eth_subscribe", json!(["logs", { "address": CONTRACT }])).await;
        node.submit(legacy(&key(2), nonce as u64, TxKind::Call(CONTRACT), 0, &write_word(7)));
        node.mine();
        assert_eq!(socket.message().await["params"]["result"]["logIndex"], "0x0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_port_takes_sockets_only() {
    let node = TestNode::new();
    let rpc = serve(&node, config()).await;
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json";
    let call = request(1, "eth_chainId", json!([])).to_string();
    let answer = exchange(rpc.ws.unwrap(), head, &call).await;
    let text = format!("WebSocket only; HTTP is on port {}\n", rpc.http.unwrap().port());
    assert_eq!((answer.status, answer.body), (403, text));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_from_elsewhere_open_no_socket() {
    let node = TestNode::new();
    let rpc = serve(&node, config()).await;
    let (status, _) = Socket::open(rpc.ws.unwrap(), "origin: https://evil.example\r\n").await;
    assert_eq!(status, 403);
    let (status, _) = Socket::open(rpc.ws.unwrap(), "origin: http://localhost:3000\r\n").await;
    assert_eq!(status, 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_counted() {
    let node = TestNode::new();
    let limits = RpcLimits { connections: 1, ..RpcLimits::default() };
    let rpc = serve(&node, RpcConfig { limits, ..config() }).await;
    let (_, mut socket) = Socket::open(rpc.http.unwrap(), "").await;
    let mut second = TcpStream::connect(rpc.http.unwrap()).await.unwrap();
    assert_eq!(second.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert_eq!(socket.call("eth_chainId", json!([])).await, "0x539");
}
