//! Who may speak to the node through somebody's browser. A page from anywhere can make the browser send requests
//! to this machine; what it cannot do is hide where it comes from.

use super::front::Lasting;
use super::{body, shape};
use crate::config::RpcLimits;
use crate::error::RpcError;
use crate::register::refused;
use crate::submit::Submitter;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use jsonrpsee::core::BoxError;
use jsonrpsee::server::http::{content_type_is_json, response};
use jsonrpsee::server::ws::is_upgrade_request;
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse};
use jsonrpsee::types::ErrorObjectOwned;
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::{Layer, Service};

/// Puts a [`Gate`] before a service.
#[derive(Clone, Debug)]
pub(crate) struct GateLayer(Arc<Rules>);

/// Lets HTTP requests pass that address the node by an allowed name, and WebSockets from allowed pages; reads the
/// bodies of those that pass.
#[derive(Clone, Debug)]
pub(crate) struct Gate<S> {
    inner: S,
    rules: Arc<Rules>,
}

#[derive(Debug)]
struct Rules {
    hosts: Vec<String>,
    origins: Vec<String>,
    request_bytes_max: u32,
    in_hand: body::InHand,
    submitter: Option<Submitter>,
    batch_length: usize,
    /// What requests are told where only WebSockets are served.
    sockets_only: Option<String>,
}

enum Verdict {
    Pass,
    /// A bare GET: load balancers ask that way whether somebody is there.
    Hello,
    Refuse(Cow<'static, str>),
}

impl GateLayer {
    /// A gate to HTTP and WebSockets.
    pub(crate) fn new(
        hosts: &[String],
        origins: &[String],
        limits: &RpcLimits,
        submitter: Option<Submitter>,
    ) -> Self {
        Self(Arc::new(Rules {
            hosts: lower(hosts),
            origins: lower(origins),
            request_bytes_max: limits.request_bytes,
            in_hand: body::InHand::default(),
            submitter,
            batch_length: limits.batch_length as usize,
            sockets_only: None,
        }))
    }

    /// A gate to WebSockets, which tells others where HTTP is served.
    pub(crate) fn sockets_only(origins: &[String], http: Option<SocketAddr>) -> Self {
        let text = match http {
            Some(http) => format!("WebSocket only; HTTP is on port {}\n", http.port()),
            None => "WebSocket only; HTTP is not served\n".to_owned(),
        };
        Self(Arc::new(Rules {
            // Whatever name the request came by, it learns no more than a port.
            hosts: vec!["*".to_owned()],
            origins: lower(origins),
            request_bytes_max: 0,
            in_hand: body::InHand::default(),
            submitter: None,
            batch_length: 0,
            sockets_only: Some(text),
        }))
    }
}

fn lower(list: &[String]) -> Vec<String> {
    list.iter().map(|entry| entry.to_ascii_lowercase()).collect()
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, rules: Arc::clone(&self.0) }
    }
}

impl<S, B> Service<HttpRequest<B>> for Gate<S>
where
    S: Service<HttpRequest, Response = HttpResponse, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: axum::body::HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<HttpResponse, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: HttpRequest<B>) -> Self::Future {
        let answer = match self.rules.judge(&request) {
            Verdict::Pass if is_upgrade_request(&request) => {
                let mut request = request.map(HttpBody::new);
                request.extensions_mut().insert(Lasting);
                return self.inner.call(request).boxed();
            }
            // The answers to what is no JSON-RPC need no body.
            Verdict::Pass if request.method() != Method::POST || !content_type_is_json(&request) => {
                return self.inner.call(request.map(HttpBody::new)).boxed();
            }
            Verdict::Pass => return pass(self.inner.clone(), request, Arc::clone(&self.rules)).boxed(),
            Verdict::Hello => HttpResponse::new(HttpBody::empty()),
            Verdict::Refuse(reason) => {
                metrics::counter!("lonja_rpc_gate_refusals_total").increment(1);
                let mut refusal = HttpResponse::new(HttpBody::from(reason.into_owned()));
                *refusal.status_mut() = StatusCode::FORBIDDEN;
                let text = HeaderValue::from_static("text/plain");
                refusal.headers_mut().insert(header::CONTENT_TYPE, text);
                refusal
            }
        };
        ready(Ok(answer)).boxed()
    }
}

/// Reads the body, and hands it on where it is JSON-RPC that wants an answer.
async fn pass<S, B>(
    mut inner: S,
    request: HttpRequest<B>,
    rules: Arc<Rules>,
) -> Result<HttpResponse, BoxError>
where
    S: Service<HttpRequest, Response = HttpResponse, Error = BoxError>,
    B: axum::body::HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    let read = body::read(body, rules.request_bytes_max, body::BODY_PATIENCE, &rules.in_hand).await;
    let (bytes, _held) = match read {
        Ok(read) => read,
        Err(unread) => return Ok(unread.answer()),
    };
    if let Some(answer) = rules.refused_submissions(&bytes) {
        return Ok(response::ok_response(answer));
    }
    let bytes = match shape::body(&bytes) {
        shape::Body::Pass => bytes,
        shape::Body::Rewritten(bytes) => bytes,
        shape::Body::Silent => return Ok(response::ok_response(HttpBody::empty())),
        shape::Body::Invalid(answer) => return Ok(response::ok_response(answer)),
    };
    inner.call(HttpRequest::from_parts(parts, HttpBody::from(bytes))).await
}

impl Rules {
    /// The answer to a batch of transactions while the queue before the door is full.
    fn refused_submissions(&self, body: &[u8]) -> Option<String> {
        if !self.submitter.as_ref()?.is_full() {
            return None;
        }
        let refusal = ErrorObjectOwned::from(RpcError::busy("transactions"));
        let (answer, count) = shape::refused_submissions(body, self.batch_length, &refusal)?;
        refused(shape::SEND_RAW, count as u64);
        Some(answer)
    }

    fn judge<B>(&self, request: &HttpRequest<B>) -> Verdict {
        let headers = request.headers();
        if is_upgrade_request(request) {
            return match text(headers, header::ORIGIN) {
                Some(origin) if !self.allows_origin(origin) => Verdict::Refuse(
                    "this origin may not open WebSockets here (see the allowed CORS origins)\n".into(),
                ),
                _ => Verdict::Pass,
            };
        }
        if !self.allows_host(request.uri(), headers) {
            return Verdict::Refuse("invalid host specified (see the allowed hosts)\n".into());
        }
        if request.method() == Method::GET && !headers.contains_key(header::CONTENT_LENGTH) {
            return Verdict::Hello;
        }
        if let Some(text) = &self.sockets_only {
            return Verdict::Refuse(text.clone().into());
        }
        Verdict::Pass
    }

    /// No name, an IP address, or a name from the list.
    fn allows_host(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let host = uri.authority().map(|authority| authority.as_str()).or(text(headers, header::HOST));
        let Some(host) = host.map(without_port).filter(|host| !host.is_empty()) else { return true };
        is_ip(host) || self.hosts.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(host))
    }

    /// An origin from the list; without a list, a page served by this machine.
    fn allows_origin(&self, origin: &str) -> bool {
        if !self.origins.is_empty() {
            return self.origins.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin));
        }
        let host = origin.split_once("://").map_or("", |(_, host)| without_port(host));
        let local = |address: IpAddr| address.is_loopback();
        host.eq_ignore_ascii_case("localhost") || host.trim_matches(['[', ']']).parse().is_ok_and(local)
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

/// `host:port` or `[v6]:port` without the port.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.ends_with(':') => {
            if host.contains(':') && !host.ends_with(']') {
                authority
            } else {
                host
            }
        }
        _ => authority,
    }
}

fn is_ip(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(hosts: &[&str], origins: &[&str]) -> Arc<Rules> {
        let owned = |list: &[&str]| -> Vec<String> { list.iter().map(|entry| (*entry).to_owned()).collect() };
        GateLayer::new(&owned(hosts), &owned(origins), &RpcLimits::default(), None).0
    }

    fn host_passes(rules: &Rules, host: &str) -> bool {
        let request = HttpRequest::builder().method("POST").header("host", host).body(()).unwrap();
        matches!(rules.judge(&request), Verdict::Pass)
    }

    fn socket_passes(rules: &Rules, origin: &str) -> bool {
        let request = HttpRequest::builder()
            .header("host", "evil.example")
            .header("origin", origin)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .body(())
            .unwrap();
        matches!(rules.judge(&request), Verdict::Pass)
    }

    #[test]
    fn hosts() {
        let local = rules(&["localhost"], &[]);
        for good in ["localhost", "LOCALHOST:8545", "127.0.0.1:8545", "[::1]:8545", "192.0.2.1", "::1", ""] {
            assert!(host_passes(&local, good), "{good}");
        }
        for bad in ["evil.example", "localhost.evil.example:8545", "localhost:8545x", "127.0.0.1.nip.io"] {
            assert!(!host_passes(&local, bad), "{bad}");
        }
        assert!(host_passes(&rules(&["*"], &[]), "anything:1"));
        assert!(host_passes(&rules(&["Node.example"], &[]), "node.example"));
    }

    #[test]
    fn origins_of_websockets() {
        let local = rules(&[], &[]);
        for good in ["http://localhost:3000", "https://localhost", "http://127.0.0.1:8080", "http://[::1]:1"]
        {
            assert!(socket_passes(&local, good), "{good}");
        }
        for bad in
            ["https://evil.example", "http://localhost.evil.example", "null", "http://192.0.2.1", "\u{e9}"]
        {
            assert!(!socket_passes(&local, bad), "{bad}");
        }
        let listed = rules(&[], &["https://dapp.example"]);
        assert!(socket_passes(&listed, "https://dapp.example"));
        assert!(!socket_passes(&listed, "http://localhost:3000"));
        assert!(socket_passes(&rules(&[], &["*"]), "https://any.example"));
    }

    #[test]
    fn a_bare_get_is_greeted() {
        let get = HttpRequest::builder().uri("/").header("host", "localhost").body(()).unwrap();
        assert!(matches!(rules(&["localhost"], &[]).judge(&get), Verdict::Hello));
    }
}
