//! A JSON-RPC client over HTTP or WebSocket, as small as the work allows.

use super::websocket::WebSocket;
use alloy_primitives::{B256, U64};
use bytes::Bytes;
use eyre::{Context, Result, bail, eyre};
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A request that takes longer is counted as failed.
const TIMEOUT: Duration = Duration::from_secs(30);

/// One node. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Endpoint {
    url: String,
    door: Door,
}

#[derive(Clone, Debug)]
enum Door {
    Http(reqwest::Client),
    WebSocket(Rc<WebSocket>),
}

/// The error object of an answer.
#[derive(Clone, Debug, Deserialize)]
pub struct RpcError {
    /// Its code.
    pub code: i64,
    /// Its text.
    pub message: String,
}

/// One answer of a batch. The result itself, a hash, is of no interest: it was computed when the transaction was signed.
#[derive(Debug, Deserialize)]
pub struct Answer {
    /// The request's id: a transaction's index.
    pub id: Option<u64>,
    /// Why it was refused; nothing when it was accepted.
    pub error: Option<RpcError>,
}

/// A block as `eth_getBlockByNumber` shows it, without what is not needed.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockView {
    /// Gas used.
    pub gas_used: U64,
    /// Encoded size in bytes, where the node tells it.
    #[serde(default)]
    pub size: U64,
    /// Hashes of its transactions.
    pub transactions: Vec<B256>,
}

#[derive(Deserialize)]
struct Envelope<T> {
    result: Option<T>,
    error: Option<RpcError>,
}

impl Endpoint {
    /// A node at this URL: `http://`, `ws://`, or a host and port for HTTP.
    pub fn new(url: &str) -> Result<Self> {
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let door = match url.split_once("://") {
            Some(("ws", rest)) => Door::WebSocket(Rc::new(WebSocket::new(rest)?)),
            Some(("http", _)) => {
                let client = reqwest::Client::builder().timeout(TIMEOUT).tcp_nodelay(true).no_proxy();
                Door::Http(client.build()?)
            }
            _ => bail!("{url}: only http:// and ws:// are spoken"),
        };
        Ok(Self { url, door })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends an encoded request and gives the encoded answer, and when it began to arrive (over WebSocket: had arrived).
    pub async fn post(&self, body: Bytes) -> Result<(Bytes, Instant)> {
        match &self.door {
            Door::Http(client) => self.post_http(client, body).await,
            Door::WebSocket(door) => {
                let answer = tokio::time::timeout(TIMEOUT, door.exchange(&body)).await;
                answer.map_err(|_| eyre!("timed out"))?
            }
        }
    }

    async fn post_http(&self, client: &reqwest::Client, body: Bytes) -> Result<(Bytes, Instant)> {
        let request = client.post(&self.url).header(CONTENT_TYPE, "application/json").body(body);
        let response = request.send().await.map_err(plain)?;
        let arrived = Instant::now();
        let status = response.status();
        let bytes = response.bytes().await.map_err(plain)?;
        if !status.is_success() {
            let text = String::from_utf8_lossy(&bytes);
            bail!("HTTP {status}: {}", text.trim().chars().take(200).collect::<String>());
        }
        Ok((bytes, arrived))
    }

    /// Calls a method; `None` is a `null` result.
    pub async fn call<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<Option<T>> {
        Ok(self.timed_call(method, params).await?.0)
    }

    /// As [`Endpoint::call`], with the time at which the answer began to arrive.
    pub async fn timed_call<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<(Option<T>, Instant)> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let (bytes, arrived) = self.post(body.to_string().into()).await?;
        let envelope: Envelope<T> =
            serde_json::from_slice(&bytes).wrap_err_with(|| format!("{method} at {}", self.url))?;
        match envelope.error {
            Some(error) => Err(eyre!("{method} at {}: {} ({})", self.url, error.message, error.code)),
            None => Ok((envelope.result, arrived)),
        }
    }

    /// Calls a method that answers with a number.
    pub async fn number(&self, method: &str, params: Value) -> Result<u64> {
        let number: Option<U64> = self.call(method, params).await?;
        number.map(|number| number.to()).ok_or_else(|| eyre!("{method} at {} answered null", self.url))
    }
}

/// The innermost reason: the outer ones say only that a request failed.
fn plain(error: reqwest::Error) -> eyre::Report {
    if error.is_timeout() {
        return eyre!("timed out");
    }
    let mut reason: &dyn std::error::Error = &error;
    while let Some(inner) = reason.source() {
        reason = inner;
    }
    eyre!("{reason}")
}

/// Answers to a batch, or to the only request of one.
pub fn answers<T: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<T>> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<T> {
        Many(Vec<T>),
        One(T),
    }
    Ok(match serde_json::from_slice(bytes).wrap_err("an answer that is not JSON-RPC")? {
        Either::Many(answers) => answers,
        Either::One(answer) => vec![answer],
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn single_answers_and_batches_are_read() {
        let one = r#"{"jsonrpc":"2.0","id":7,"result":"0xab"}"#;
        let two = r#"{"jsonrpc":"2.0","id":8,"error":{"code":-32000,"message":"nonce too low","data":{}}}"#;
        let answers = |text: &str| super::answers::<super::Answer>(text.as_bytes()).unwrap();
        assert_eq!(answers(one)[0].id, Some(7));
        let both = answers(&format!("[{one},{two}]"));
        assert!(both[0].error.is_none());
        assert_eq!(both[1].error.as_ref().unwrap().code, -32000);
        assert!(super::answers::<super::Answer>(b"<html>").is_err());
    }

    #[test]
    fn only_http_and_web_sockets_are_spoken() {
        let url = |url: &str| super::Endpoint::new(url).map(|endpoint| endpoint.url().to_owned());
        assert_eq!(url("node:8545").unwrap(), "http://node:8545");
        assert_eq!(url("ws://node:8546").unwrap(), "ws://node:8546");
        assert!(url("wss://node").is_err() && url("https://node").is_err());
    }
}
