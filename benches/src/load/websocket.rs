//! JSON-RPC over WebSocket.
//!
//! A connection carries one request at a time, so that the next message on it is the answer, whatever ids the node
//! puts into the answer to a batch that it could not read.

use bytes::Bytes;
use eyre::{Context, Result, bail, eyre};
use soketto::connection::{Receiver, Sender};
use soketto::handshake::{Client, ServerResponse};
use std::cell::RefCell;
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

/// Connections to one node. Nodes commonly allow a hundred; a request beyond waits, and the wait counts as latency.
const CONNECTIONS_MAX: usize = 32;
/// Port of `ws://` URLs that name none.
const DEFAULT_PORT: &str = "80";

/// One node's WebSocket door.
#[derive(Debug)]
pub struct WebSocket {
    /// Name and port.
    host: String,
    path: String,
    idle: RefCell<Vec<Connection>>,
    places: Semaphore,
}

#[derive(Debug)]
struct Connection {
    sender: Sender<Compat<TcpStream>>,
    receiver: Receiver<Compat<TcpStream>>,
}

impl WebSocket {
    /// At a URL without its `ws://`.
    pub fn new(url: &str) -> Result<Self> {
        let (host, path) = match url.find('/') {
            Some(at) => url.split_at(at),
            None => (url, "/"),
        };
        if host.is_empty() || host.contains('@') {
            bail!("ws://{url} is not ws://HOST:PORT/PATH");
        }
        let has_port = host.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok());
        let host = if has_port { host.to_owned() } else { format!("{host}:{DEFAULT_PORT}") };
        let places = Semaphore::new(CONNECTIONS_MAX);
        Ok(Self { host, path: path.to_owned(), idle: RefCell::default(), places })
    }

    /// Sends an encoded request and gives the encoded answer, and when it had arrived.
    pub async fn exchange(&self, body: &[u8]) -> Result<(Bytes, Instant)> {
        let _place = self.places.acquire().await?;
        let text = std::str::from_utf8(body).wrap_err("a request that is no text")?;
        let idle = self.idle.borrow_mut().pop();
        if let Some(connection) = idle {
            // The node may have closed it meanwhile. Sending twice does no harm: the second time it is known already.
            if let Ok(answer) = self.exchange_on(connection, text).await {
                return Ok(answer);
            }
        }
        self.exchange_on(self.connect().await?, text).await
    }

    async fn exchange_on(&self, mut connection: Connection, text: &str) -> Result<(Bytes, Instant)> {
        connection.sender.send_text(text).await?;
        connection.sender.flush().await?;
        let mut answer = Vec::new();
        connection.receiver.receive_data(&mut answer).await?;
        let arrived = Instant::now();
        self.idle.borrow_mut().push(connection);
        Ok((answer.into(), arrived))
    }

    async fn connect(&self) -> Result<Connection> {
        let socket = TcpStream::connect(&self.host).await?;
        socket.set_nodelay(true)?;
        let mut client = Client::new(socket.compat(), &self.host, &self.path);
        match client.handshake().await? {
            ServerResponse::Accepted { .. } => {}
            ServerResponse::Rejected { status_code } => {
                return Err(eyre!("WebSocket refused: {status_code}"));
            }
            ServerResponse::Redirect { location, .. } => return Err(eyre!("WebSocket moved to {location}")),
        }
        let (sender, receiver) = client.into_builder().finish();
        Ok(Connection { sender, receiver })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use soketto::handshake::Server;
    use soketto::handshake::server::Response;
    use tokio::net::TcpListener;

    #[test]
    fn urls_are_taken_apart() {
        let parts = |url| WebSocket::new(url).map(|door| (door.host, door.path)).unwrap();
        assert_eq!(parts("node:8546/ws?a=b"), ("node:8546".into(), "/ws?a=b".into()));
        assert_eq!(parts("127.0.0.1:8546"), ("127.0.0.1:8546".into(), "/".into()));
        assert_eq!(parts("node"), ("node:80".into(), "/".into()));
        assert_eq!(parts("[::1]:8546/"), ("[::1]:8546".into(), "/".into()));
        assert!(WebSocket::new("/path").is_err());
    }

    /// Answers what it is asked, `times` times per connection, and closes it.
    async fn echo(listener: TcpListener, times: usize) {
        while let Ok((socket, _)) = listener.accept().await {
            let mut server = Server::new(socket.compat());
            let key = server.receive_request().await.unwrap().key();
            server.send_response(&Response::Accept { key, protocol: None }).await.unwrap();
            let (mut sender, mut receiver) = server.into_builder().finish();
            for _ in 0..times {
                let mut asked = Vec::new();
                receiver.receive_data(&mut asked).await.unwrap();
                sender.send_text(std::str::from_utf8(&asked).unwrap()).await.unwrap();
                sender.flush().await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_connection_is_used_again_and_replaced_when_it_was_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = WebSocket::new(&listener.local_addr().unwrap().to_string()).unwrap();
        let server = tokio::spawn(echo(listener, 2));
        for request in ["[1]", "[2]", "[3]"] {
            assert_eq!(door.exchange(request.as_bytes()).await.unwrap().0, request);
            assert_eq!(door.idle.borrow().len(), 1);
        }
        server.abort();
        let _ = server.await;
        assert!(door.exchange(b"[4]").await.is_err(), "nobody is there");
    }
}
