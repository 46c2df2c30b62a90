//! One request and its answer.

use super::json::JsonError;
use super::media::Media;
use crate::PtmError;
use bytes::Bytes;
use http_body_util::Full;
use hyper::ext::ReasonPhrase;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request;
use hyper::{HeaderMap, Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of a reason phrase: it stands in the head, where clients have little room.
const MAX_REASON_BYTES: usize = 512;

/// A request, with its body.
pub(super) struct Call {
    pub(super) method: Method,
    /// As it came, escapes and all.
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) media: Option<Media>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
    pub(super) reason: Option<String>,
}

/// The outcome of an endpoint: where something is wrong, the answer that says so.
pub(super) type Outcome = Result<Reply, Reply>;

impl Call {
    pub(super) fn new(head: request::Parts, body: Bytes) -> Self {
        // Whoever asks for the head alone is answered as for the whole; the body is left out further below.
        let method = if head.method == Method::HEAD { Method::GET } else { head.method };
        Self {
            method,
            path: head.uri.path().to_string(),
            query: head.uri.query().map(str::to_string),
            headers: head.headers,
            body,
        }
    }

    /// The parts of the path, as they came.
    pub(super) fn segments(&self) -> Vec<&str> {
        self.path.strip_prefix('/').unwrap_or(&self.path).split('/').collect()
    }

    /// The header's text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The value of a parameter behind the `?`, without escapes. A `+` stays one: base64 has no spaces.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.as_deref()?.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = { pairs }.find(|(key, _)| *key == name)?;
        Some(crate::path::unescape(value).unwrap_or_else(|| value.to_string()))
    }

    /// What the body is, if it is one of these.
    pub(super) fn media(&self, taken: &[Media]) -> Result<Media, Reply> {
        let media = Media::of_body(&self.headers).filter(|media| taken.contains(media));
        media.ok_or_else(|| Reply::text(500, "HTTP 415 Unsupported Media Type"))
    }

    /// What the client takes, of what is offered.
    pub(super) fn accepted(&self, offered: &[Media]) -> Result<Media, Reply> {
        Media::accepted(&self.headers, offered).ok_or_else(|| Reply::text(500, "HTTP 406 Not Acceptable"))
    }

    /// The body's JSON. Where it cannot be read, its text is not repeated: it may hold a payload.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Reply> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Reply::text(400, &format!("the JSON cannot be read: line {line}, column {column}"))
        })
    }
}

impl Reply {
    /// A status and nothing else.
    pub(super) fn status(status: u16) -> Self {
        Self { status, media: None, headers: Vec::new(), body: Bytes::new(), reason: None }
    }

    /// Text.
    pub(super) fn text(status: u16, text: &str) -> Self {
        Self {
            media: Some(Media::Text),
            body: Bytes::copy_from_slice(text.as_bytes()),
            ..Self::status(status)
        }
    }

    /// JSON of this kind.
    pub(super) fn json(status: u16, media: Media, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("text and numbers are always JSON");
        Self { media: Some(media), body: body.into(), ..Self::status(status) }
    }

    /// Bytes.
    pub(super) fn octets(status: u16, bytes: impl Into<Bytes>) -> Self {
        Self { media: Some(Media::Octets), body: bytes.into(), ..Self::status(status) }
    }

    /// Nobody knows this path.
    pub(super) fn unknown_path() -> Self {
        Self::text(404, "HTTP 404 Not Found")
    }

    /// The path is known, and not with this method.
    pub(super) fn wrong_method() -> Self {
        Self::text(500, "HTTP 405 Method Not Allowed")
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// As HTTP has it.
    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Some(media) = self.media {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media.name()));
        }
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        if let Some(reason) = self.reason.and_then(|reason| ReasonPhrase::try_from(reason.into_bytes()).ok())
        {
            response.extensions_mut().insert(reason);
        }
        response
    }
}

/// A text that can stand beside a status.
fn reason_phrase(text: &str) -> String {
    text.chars().filter(|letter| (' '..='~').contains(letter)).take(MAX_REASON_BYTES).collect()
}

impl From<PtmError> for Reply {
    fn from(error: PtmError) -> Self {
        let text = error.to_string();
        match error {
            PtmError::Unreachable { .. } => Self { reason: Some(reason_phrase(&text)), ..Self::status(410) },
            error => Self::text(error.status(), &text),
        }
    }
}

impl From<JsonError> for Reply {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::NotBase64(_) => Self::text(500, &error.to_string()),
            JsonError::NotAKey(key) => Self::text(404, &format!("Recipient not found for key: {key}")),
            JsonError::Missing(_) | JsonError::Length(_) => Self::text(400, &error.to_string()),
        }
    }
}
