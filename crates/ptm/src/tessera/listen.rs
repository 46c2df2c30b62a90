//! Listening: connections, their limits, and requests with their bodies. What is asked is not looked at here.

use super::address::{Address, AddressError};
use super::pipe::Pipe;
use super::reply::{Call, Reply};
use super::tls::{TlsError, TlsServer, TlsServerOptions};
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::fs::{Mode, fchmod};
use std::collections::HashMap;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::net::{TcpListener, UnixListener, UnixSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Connections of one server. Nodes keep a few, and each peer one or two; whoever comes when all are taken waits to be accepted.
const MAX_CONNECTIONS: usize = 512;

/// Connections of one host that is not this one: nobody takes all places.
const MAX_CONNECTIONS_PER_HOST: usize = 64;

/// Requests that are worked on at the same time. Further ones wait: each may hold a payload a few times over.
const CALLS_AT_ONCE: usize = 64;

/// Until the head of the next request is here. Also for how long an idle connection is kept: longer than clients keep theirs, so
/// that it is they who close.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// Until the body of a request is here. Enough for the largest one on a slow line.
const BODY_TIME: Duration = Duration::from_secs(60);

/// Until TLS stands.
const TLS_TIME: Duration = Duration::from_secs(10);

/// Bytes of a request's head. Recipients may stand in a header, 45 bytes each.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// KiB of bodies that are in memory at the same time, questions and answers. A few of the largest, thousands of usual ones.
const MAX_BODIES_KIB: usize = 128 * 1024;

/// Until a server that is told to stop leaves those alone whose requests it still works on.
const STOP_TIME: Duration = Duration::from_secs(5);

/// A pause after a failure to accept: where files have run out, asking again at once would only take the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 128;

/// What one server gives to its clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) connections: usize,
    pub(super) connections_per_host: usize,
    pub(super) calls: usize,
    pub(super) head_time: Duration,
    pub(super) body_time: Duration,
    pub(super) bodies_kib: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: MAX_CONNECTIONS,
            connections_per_host: MAX_CONNECTIONS_PER_HOST,
            calls: CALLS_AT_ONCE,
            head_time: HEAD_TIME,
            body_time: BODY_TIME,
            bodies_kib: MAX_BODIES_KIB,
        }
    }
}

/// Whoever answers.
pub(super) trait Api: Send + Sync {
    /// Answers a request whose body is here.
    fn answer(&self, call: Call) -> BoxFuture<'_, Reply>;

    /// How large the body of a request to this path may be.
    fn body_limit(&self, path: &str) -> usize;

    /// Whether a host may ask anything at all.
    fn admits(&self, host: Option<IpAddr>) -> bool;
}

/// Where and how a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Where. A local socket is made with mode 0600.
    pub address: Address,
    /// Certificate and key, where the address begins with `https`.
    pub tls: Option<TlsServerOptions>,
}

/// Why a server cannot start.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The system refuses the address.
    #[error("cannot listen on {address}: {reason}")]
    Bind {
        /// Which.
        address: Address,
        /// What the system says.
        reason: io::Error,
    },
    /// The address is none to listen on.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Address and options contradict each other.
    #[error("{0}: an https address needs a certificate and a key, and only an https address takes them")]
    TlsMismatch(Address),
}

/// A server that runs. It ends when this is dropped; [`stop`](Self::stop) lets it finish what it is at.
pub struct Server {
    address: Address,
    stop: CancellationToken,
    task: JoinHandle<()>,
    socket: Option<SocketFile>,
}

/// The file of a local socket; it goes with the server.
struct SocketFile(PathBuf);

enum Door {
    Tcp(TcpListener, Option<TlsServer>),
    Unix(UnixListener),
}

/// What all connections of a server have in common.
struct Common {
    api: Arc<dyn Api>,
    calls: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
    hosts: Mutex<HashMap<IpAddr, usize>>,
    stop: CancellationToken,
    limits: Limits,
}

/// A host's place among its connections, given back when dropped.
struct HostPlace(Arc<Common>, IpAddr);

impl Server {
    /// Listens and answers. The port may be 0: [`address`](Self::address) says which one it became.
    pub(super) async fn start(listen: &Listen, api: Arc<dyn Api>) -> Result<Self, ListenError> {
        Self::start_within(listen, api, Limits::default()).await
    }

    pub(super) async fn start_within(
        listen: &Listen,
        api: Arc<dyn Api>,
        limits: Limits,
    ) -> Result<Self, ListenError> {
        let (door, address) = Door::open(listen).await?;
        let stop = CancellationToken::new();
        let common = Arc::new(Common {
            api,
            calls: Arc::new(Semaphore::new(limits.calls)),
            bodies: Arc::new(Semaphore::new(limits.bodies_kib)),
            hosts: Mutex::default(),
            stop: stop.clone(),
            limits,
        });
        let socket = address.socket().map(|path| SocketFile(path.into()));
        let task = tokio::spawn(accept(door, common));
        Ok(Self { address, stop, task, socket })
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Takes no more connections and waits a few seconds for the requests that are being worked on.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if timeout(STOP_TIME.saturating_mul(2), &mut self.task).await.is_err() {
            self.task.abort();
        }
        drop(self.socket.take());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "the socket file was gone already");
        }
    }
}

impl Door {
    async fn open(listen: &Listen) -> Result<(Self, Address), ListenError> {
        let failed = |reason| ListenError::Bind { address: listen.address.clone(), reason };
        if listen.address.is_tls() != listen.tls.is_some() {
            return Err(ListenError::TlsMismatch(listen.address.clone()));
        }
        let url = match &listen.address {
            Address::Unix(path) => {
                return Ok((Self::Unix(bind_socket(path).map_err(failed)?), listen.address.clone()));
            }
            Address::Url(url) => url,
        };
        let tls = listen.tls.as_ref().map(TlsServerOptions::load).transpose()?;
        let (host, port) = Address::host_and_port(url)?;
        let listener = TcpListener::bind((host.as_str(), port)).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let address = format!("{scheme}://{local}").parse()?;
        Ok((Self::Tcp(listener, tls), address))
    }
}

/// Makes the file of a local socket that only its owner may use: the mode is set before there is a file. One that a dead process
/// left behind is replaced, one that answers is not.
fn bind_socket(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            let text = "the path exists and is no socket; move it away or name another one";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process answers there"));
        }
        Ok(_) => fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let socket = UnixSocket::new_stream()?;
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    socket.bind(path)?;
    socket.listen(BACKLOG)
}

/// Takes connections until told to stop, and then waits for them.
async fn accept(door: Door, common: Arc<Common>) {
    let places = Arc::new(Semaphore::new(common.limits.connections));
    let mut connections = JoinSet::new();
    let stop = common.stop.clone();
    loop {
        while connections.try_join_next().is_some() {}
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            let place = place.expect("nobody closes this semaphore");
            (place, door.next(&common).await)
        };
        let (place, connection) = tokio::select! {
            () = stop.cancelled() => break,
            next = next => next,
        };
        match connection {
            Ok(Some(connection)) => {
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(door);
    let _ = timeout(STOP_TIME, connections.join_all()).await;
}

impl Door {
    /// The next connection, as a task that serves it; `None` where its host has too many, or may not come in.
    async fn next(&self, common: &Arc<Common>) -> io::Result<Option<BoxFuture<'static, ()>>> {
        let common = Arc::clone(common);
        match self {
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Some(Box::pin(serve(Pipe::unix(stream), None, common))))
            }
            Self::Tcp(listener, tls) => {
                let (stream, remote) = listener.accept().await?;
                let host = remote.ip().to_canonical();
                let Some(place) = HostPlace::take(&common, host) else {
                    metrics::counter!("lonja_ptm_http_connections_refused_total").increment(1);
                    return Ok(None);
                };
                let tls = tls.clone();
                Ok(Some(Box::pin(async move {
                    match Pipe::accepted(stream, TLS_TIME, tls.as_ref()).await {
                        Ok(pipe) => serve(pipe, Some(host), common).await,
                        Err(error) => tracing::debug!(%host, %error, "a connection came to nothing"),
                    }
                    drop(place);
                })))
            }
        }
    }
}

impl HostPlace {
    fn take(common: &Arc<Common>, host: IpAddr) -> Option<Option<Self>> {
        if host.is_loopback() {
            return Some(None);
        }
        let mut hosts = common.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = hosts.entry(host).or_default();
        if *count >= common.limits.connections_per_host {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Some(Self(Arc::clone(common), host)))
    }
}

impl Drop for HostPlace {
    fn drop(&mut self) {
        let mut hosts = self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = hosts.get_mut(&self.1) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                hosts.remove(&self.1);
            }
        }
    }
}

/// Serves one connection.
async fn serve(pipe: Pipe, host: Option<IpAddr>, common: Arc<Common>) {
    let (stop, head_time) = (common.stop.clone(), common.limits.head_time);
    let service = service_fn(move |request| {
        let common = Arc::clone(&common);
        async move { Ok::<_, Infallible>(respond(request, host, &common).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_time)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(pipe), service);
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(?host, %error, "a connection ended before its time");
    }
}

/// Answers one request.
async fn respond(request: Request<Incoming>, host: Option<IpAddr>, common: &Common) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let only_head = head.method == Method::HEAD;
    if !common.api.admits(host) {
        return early(Reply::status(401));
    }
    let (body, room) = match common.collect(body, head.uri.path()).await {
        Ok(collected) => collected,
        Err(reply) => return early(reply),
    };
    let Ok(place) = Arc::clone(&common.calls).acquire_owned().await else {
        return early(Reply::text(503, "this server stops"));
    };
    let api = Arc::clone(&common.api);
    let call = Call::new(head, body);
    // On its own, since a client that leaves must not stop a send halfway.
    let task = tokio::spawn(async move {
        let reply = api.answer(call).await;
        drop((place, room));
        reply
    });
    let reply = task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request failed by a fault of this program");
        Reply::text(500, "internal error")
    });
    let class = match reply.status {
        200..400 => "taken",
        400..500 => "refused",
        _ => "failed",
    };
    metrics::counter!("lonja_ptm_http_answers_total", "result" => class).increment(1);
    if only_head {
        return reply.into_response();
    }
    common.hold(reply).await.into_response()
}

/// An answer before the body was read: what comes next on this connection is not a request.
fn early(reply: Reply) -> Response<Full<Bytes>> {
    reply.with(CONNECTION, HeaderValue::from_static("close")).into_response()
}

impl Common {
    /// Reads a body, within limits of size and time, while there is room for it.
    async fn collect(&self, body: Incoming, path: &str) -> Result<(Bytes, OwnedSemaphorePermit), Reply> {
        let limit = self.api.body_limit(path);
        if body.size_hint().lower() > limit as u64 {
            return Err(too_large(limit));
        }
        let read = timeout(self.limits.body_time, self.read(body, limit)).await;
        read.map_err(|_| Reply::text(408, "the request did not come in time"))?
    }

    async fn read(&self, mut body: Incoming, limit: usize) -> Result<(Bytes, OwnedSemaphorePermit), Reply> {
        let mut taken = BytesMut::new();
        let mut room = self.room(1)?;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Reply::text(400, "the request broke off"))?;
            let Ok(data) = frame.into_data() else { continue };
            if taken.len().saturating_add(data.len()) > limit {
                return Err(too_large(limit));
            }
            taken.extend_from_slice(&data);
            let missing = Self::kib(taken.len()).saturating_sub(room.num_permits());
            if missing > 0 {
                room.merge(self.room(missing)?);
            }
        }
        Ok((taken.freeze(), room))
    }

    fn room(&self, kib: usize) -> Result<OwnedSemaphorePermit, Reply> {
        Arc::clone(&self.bodies).try_acquire_many_owned(u32::try_from(kib).unwrap_or(u32::MAX)).map_err(
            |_| {
                metrics::counter!("lonja_ptm_http_bodies_refused_total").increment(1);
                Reply::text(503, "too many large requests at a time")
            },
        )
    }

    /// What a body counts among those in memory.
    fn kib(bytes: usize) -> usize {
        bytes.div_ceil(1024).max(1)
    }

    /// Counts the answer's body among those in memory until it is sent.
    async fn hold(&self, mut reply: Reply) -> Reply {
        struct Held(Bytes, #[allow(dead_code)] OwnedSemaphorePermit);
        impl AsRef<[u8]> for Held {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        // One that is larger than all of it waits until it is alone.
        let kib = Self::kib(reply.body.len()).min(self.limits.bodies_kib);
        let kib = u32::try_from(kib).unwrap_or(u32::MAX);
        let room = timeout(self.limits.body_time, Arc::clone(&self.bodies).acquire_many_owned(kib)).await;
        let Ok(Ok(room)) = room else {
            return Reply::text(503, "too many large answers at a time");
        };
        reply.body = Bytes::from_owner(Held(std::mem::take(&mut reply.body), room));
        reply
    }
}

fn too_large(limit: usize) -> Reply {
    Reply::text(413, &format!("the request has more than {limit} bytes"))
}
