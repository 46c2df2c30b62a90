//! A small JSON-RPC client for the commands that talk to a running node: over its IPC socket, or HTTP.

use alloy_primitives::Bytes;
use eyre::{Context, Result, bail, eyre};
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// A node on this machine answers within a fraction of this.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Where the node asks many others, each of which may take its time.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a node answered instead of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// JSON-RPC error code.
    pub code: i64,
    /// In words.
    pub message: String,
    /// What a contract reverted with.
    pub data: Option<Bytes>,
}

/// Where the node listens.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// The IPC socket in its data directory.
    Ipc(PathBuf),
    /// An HTTP URL.
    Http(String),
}

impl Endpoint {
    /// `--rpc URL` when given, else the socket in the data directory.
    pub fn choose(rpc: Option<String>, data_dir: &Path) -> Self {
        match rpc {
            Some(url) if url.starts_with("http") => Self::Http(url),
            Some(path) => Self::Ipc(path.into()),
            None => Self::Ipc(data_dir.join("lonja.ipc")),
        }
    }

    /// Calls a method and returns its result.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value> {
        self.call_within(TIMEOUT, method, params).await
    }

    /// As [`Endpoint::call`], for methods by which the node waits for others.
    pub async fn call_patiently(&self, method: &str, params: Value) -> Result<Value> {
        self.call_within(PATIENCE, method, params).await
    }

    async fn call_within(&self, time: Duration, method: &str, params: Value) -> Result<Value> {
        match self.ask_within(time, method, params).await? {
            Ok(result) => Ok(result),
            Err(refused) => bail!("{method}: {} (code {})", refused.message, refused.code),
        }
    }

    /// As [`Endpoint::call`], where what the node refuses is an answer too.
    pub async fn ask(&self, method: &str, params: Value) -> Result<Result<Value, Refused>> {
        self.ask_within(TIMEOUT, method, params).await
    }

    async fn ask_within(
        &self,
        time: Duration,
        method: &str,
        params: Value,
    ) -> Result<Result<Value, Refused>> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = tokio::time::timeout(time, self.exchange(&request))
            .await
            .map_err(|_| eyre!("{self} did not answer within {} s", time.as_secs()))??;
        if let Some(error) = answer.get("error") {
            return Ok(Err(Refused {
                code: error["code"].as_i64().unwrap_or(0),
                message: error["message"].as_str().unwrap_or("no message").to_owned(),
                data: error["data"].as_str().and_then(|data| data.parse().ok()),
            }));
        }
        let result = answer.get("result").cloned();
        result.map(Ok).ok_or_else(|| eyre!("{self} sent an answer without a result"))
    }

    async fn exchange(&self, request: &Value) -> Result<Value> {
        match self {
            Self::Ipc(path) => over_ipc(path, request).await,
            Self::Http(url) => over_http(url, request).await,
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ipc(path) => write!(f, "the node at {}", path.display()),
            Self::Http(url) => write!(f, "the node at {url}"),
        }
    }
}

async fn over_ipc(path: &Path, request: &Value) -> Result<Value> {
    let stream = UnixStream::connect(path).await.map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => eyre!(
            "{} is for the user that the node runs as: call this as that user, or use --rpc URL ({error})",
            path.display()
        ),
        _ => eyre!(
            "no node answers at {}: is it running with this data directory? (--data-dir DIR, or --rpc URL): {error}",
            path.display()
        ),
    })?;
    let (read, mut write) = stream.into_split();
    write.write_all(format!("{request}\n").as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(read).read_line(&mut line).await?;
    serde_json::from_str(&line).wrap_err("the answer is not JSON")
}

async fn over_http(url: &str, request: &Value) -> Result<Value> {
    let answer = reqwest::Client::new()
        .post(url)
        .json(request)
        .send()
        .await
        .wrap_err_with(|| format!("no node answers at {url}"))?;
    answer.json().await.wrap_err("the answer is not JSON")
}
