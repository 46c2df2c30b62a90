//! A JSON-RPC client: one connection a call, nothing shared, so that a test sees what any client would see.

use super::namespace::Namespace;
use alloy_primitives::{B256, hex};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A node on this machine answers within a fraction of this, unless it is frozen.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Requests in one batch, well below what a node takes.
const BATCH: usize = 100;

/// Where a node's JSON-RPC, or its health page, is served.
#[derive(Clone, Copy, Debug)]
pub struct Rpc {
    /// Of the loopback address.
    pub port: u16,
    /// Where the node is, if not where the test is.
    pub namespace: Option<Namespace>,
}

impl Rpc {
    /// At a port of this machine.
    pub fn at(port: u16) -> Self {
        Self { port, namespace: None }
    }

    /// Calls a method; `Err` for a refusal by the node as for a node that does not answer.
    pub fn call(&self, method: &str, params: Value) -> Result<Value, String> {
        let request = json!({ "jsonrpc": "2.0", "id": 0, "method": method, "params": params });
        result(self.post(&request)?)
    }

    /// Calls a method that must succeed.
    #[track_caller]
    pub fn get(&self, method: &str, params: Value) -> Value {
        let answer = self.call(method, params);
        answer.unwrap_or_else(|error| panic!("{method} at port {}: {error}", self.port))
    }

    /// Calls one method for many parameters, in batches. `Err` when there is no complete answer.
    pub fn batch(&self, method: &str, params: &[Value]) -> Result<Vec<Result<Value, String>>, String> {
        let mut results = Vec::new();
        for chunk in params.chunks(BATCH) {
            let one =
                |(id, params)| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
            let request: Vec<Value> = chunk.iter().enumerate().map(one).collect();
            let Value::Array(mut answers) = self.post(&Value::Array(request))? else {
                return Err("a batch was not answered with a list".into());
            };
            answers.sort_by_key(|answer| answer["id"].as_u64());
            if answers.len() != chunk.len() {
                return Err(format!("{} of {} requests were answered", answers.len(), chunk.len()));
            }
            results.extend(answers.into_iter().map(result));
        }
        Ok(results)
    }

    /// Height of the newest block; `None` while the node does not answer.
    pub fn head(&self) -> Option<u64> {
        number(&self.call("eth_blockNumber", json!([])).ok()?)
    }

    /// Number and hash of the newest block; `None` while the node does not answer.
    pub fn newest(&self) -> Option<(u64, B256)> {
        let block = self.call("eth_getBlockByNumber", json!(["latest", false])).ok()?;
        Some((number(&block["number"])?, hash(&block["hash"])?))
    }

    /// Hashes of the blocks from `first` to `last`; `None` where there is no such block.
    #[track_caller]
    pub fn hashes(&self, first: u64, last: u64) -> Vec<Option<B256>> {
        let params: Vec<Value> = (first..=last).map(|n| json!([format!("{n:#x}"), false])).collect();
        let blocks = self.batch("eth_getBlockByNumber", &params).expect("the node answers");
        blocks.into_iter().map(|block| hash(&block.expect("a read is answered")["hash"])).collect()
    }

    /// Fetches a page, as a load balancer or Prometheus does: status code and body.
    pub fn page(&self, path: &str) -> Result<(u16, String), String> {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"))
    }

    fn post(&self, body: &Value) -> Result<Value, String> {
        let body = body.to_string();
        let head = format!(
            "POST / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        let (status, answer) = self.exchange(&(head + &body))?;
        if status != 200 {
            return Err(format!("status {status}: {answer}"));
        }
        serde_json::from_str(&answer).map_err(|error| format!("{error} in {answer:?}"))
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let connect = || TcpStream::connect_timeout(&address, TIMEOUT);
        self.namespace.map_or_else(connect, |namespace| namespace.within(connect)?)
    }

    fn exchange(&self, request: &str) -> Result<(u16, String), String> {
        let talk = || -> std::io::Result<String> {
            let mut stream = self.connect()?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.write_all(request.as_bytes())?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        parse(&talk().map_err(|error| error.to_string())?).ok_or_else(|| "not an HTTP answer".into())
    }
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Some((status, if chunked { join_chunks(body)? } else { body.to_string() }))
}

fn join_chunks(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (length, after) = rest.split_once("\r\n")?;
        let length = usize::from_str_radix(length.trim(), 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.push_str(after.get(..length)?);
        rest = after.get(length..)?.strip_prefix("\r\n")?;
    }
}

fn result(answer: Value) -> Result<Value, String> {
    match answer.get("error") {
        Some(error) => {
            let message = error["message"].as_str().unwrap_or("an error without a message");
            Err(format!("{message} (code {})", error["code"]))
        }
        None => Ok(answer["result"].clone()),
    }
}

fn number(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

fn hash(value: &Value) -> Option<B256> {
    Some(B256::from(hex::decode_to_array(value.as_str()?).ok()?))
}
