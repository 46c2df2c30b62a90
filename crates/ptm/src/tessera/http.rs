//! Asking over HTTP: connections that are kept, limits on time and size.

use super::pipe::Pipe;
use super::tls::{TlsClient, TlsClientOptions, TlsError};
use crate::PtmError;
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Body as _;
use hyper::ext::ReasonPhrase;
use hyper::{HeaderMap, Request, Uri};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::error::Error as _;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use thiserror::Error;
use tokio::time::timeout;
use tower::Service;

/// Idle connections that are kept to one host. More than this are only ever open under a burst.
const IDLE_CONNECTIONS: usize = 16;

/// Bytes of an answer's head. Only servers that mean harm have more.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// How much of an error's text is kept. It goes into logs and on to clients.
const MAX_ERROR_BYTES: usize = 1_024;

/// How long things may take. GoQuorum's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands.
    pub dial: Duration,
    /// Until the answer is here, all together.
    pub request: Duration,
    /// For which a connection is kept that nobody needs.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { dial: seconds(1), request: seconds(5), idle: seconds(10) }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum HttpError {
    /// No connection.
    #[error("{0}")]
    Dial(String),
    /// No answer in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The answer is larger than it may be.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    /// The connection broke, or what came is not HTTP.
    #[error("{0}")]
    Broken(String),
    /// The request cannot be written.
    #[error("{0}")]
    Request(String),
}

/// An answer, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    reason: Option<String>,
}

/// A client with its connections.
#[derive(Clone)]
pub(crate) struct HttpClient {
    client: Client<Connector, Full<Bytes>>,
    timeouts: Timeouts,
}

#[derive(Clone)]
struct Connector {
    /// Goes before whatever host the request names.
    socket: Option<Arc<PathBuf>>,
    tls: Option<TlsClient>,
    dial: Duration,
}

impl Answer {
    /// Whether Tessera calls this success.
    pub(crate) fn is_success(&self) -> bool {
        matches!(self.status, 200 | 201 | 204)
    }

    /// What the other side says about an error: its text, or where there is none the words beside the status. Control characters
    /// are left out, since it goes into logs.
    pub(crate) fn text(&self) -> String {
        let body = String::from_utf8_lossy(&self.body);
        let text = match (body.trim(), &self.reason) {
            ("", Some(reason)) => reason.as_str(),
            (body, _) => body,
        };
        let mut kept: String =
            text.chars().filter(|letter| !letter.is_control()).take(MAX_ERROR_BYTES).collect();
        while kept.len() > MAX_ERROR_BYTES {
            kept.pop();
        }
        kept
    }

    /// The error that this answer is.
    pub(crate) fn error(&self) -> PtmError {
        PtmError::Remote { status: self.status, body: self.text() }
    }
}

impl HttpClient {
    /// A client for everybody who is on TCP.
    pub(crate) fn new(timeouts: Timeouts, tls: &TlsClientOptions) -> Result<Self, TlsError> {
        Ok(Self::with(timeouts, None, Some(tls.load()?)))
    }

    /// A client that speaks no TLS.
    pub(crate) fn plain(timeouts: Timeouts) -> Self {
        Self::with(timeouts, None, None)
    }

    /// A client for one local socket.
    pub(crate) fn local(timeouts: Timeouts, socket: PathBuf) -> Self {
        Self::with(timeouts, Some(Arc::new(socket)), None)
    }

    fn with(timeouts: Timeouts, socket: Option<Arc<PathBuf>>, tls: Option<TlsClient>) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(timeouts.idle)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .http1_max_buf_size(MAX_HEAD_BYTES)
            .build(Connector { socket, tls, dial: timeouts.dial });
        Self { client, timeouts }
    }

    /// Sends a request and takes the whole answer, of at most `limit` bytes.
    pub(crate) async fn ask(&self, request: Request<Full<Bytes>>, limit: usize) -> Result<Answer, HttpError> {
        self.ask_within(request, limit, self.timeouts.request).await
    }

    /// The same, with a time limit of its own.
    pub(crate) async fn ask_within(
        &self,
        request: Request<Full<Bytes>>,
        limit: usize,
        time: Duration,
    ) -> Result<Answer, HttpError> {
        timeout(time, self.answer(request, limit)).await.map_err(|_| HttpError::Timeout(time))?
    }

    async fn answer(&self, request: Request<Full<Bytes>>, limit: usize) -> Result<Answer, HttpError> {
        let (head, body) = self.client.request(request).await.map_err(|error| broken(&error))?.into_parts();
        let reason = head.extensions.get::<ReasonPhrase>();
        let reason = reason.map(|reason| String::from_utf8_lossy(reason.as_bytes()).into_owned());
        if body.size_hint().lower() > limit as u64 {
            return Err(HttpError::TooLarge(limit));
        }
        let body = Limited::new(body, limit).collect().await.map_err(|error| {
            match error.downcast_ref::<LengthLimitError>() {
                Some(_) => HttpError::TooLarge(limit),
                None => HttpError::Broken(error.to_string()),
            }
        })?;
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes(), reason })
    }
}

/// The innermost reason: the outer ones say only that something went wrong.
fn broken(error: &ClientError) -> HttpError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    if error.is_connect() { HttpError::Dial(text) } else { HttpError::Broken(text) }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Pipe>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<Pipe>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { socket, tls, dial } = self.clone();
        Box::pin(async move {
            if let Some(path) = socket {
                return Ok(TokioIo::new(Pipe::dial_unix(&path, dial).await?));
            }
            let host = uri.host().unwrap_or_default();
            let secure = uri.scheme_str() == Some("https");
            if secure && tls.is_none() {
                return Err(io::Error::other("https is not set up here: no TLS options were given"));
            }
            let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
            Ok(TokioIo::new(Pipe::dial(host, port, dial, tls.as_ref().filter(|_| secure)).await?))
        })
    }
}
