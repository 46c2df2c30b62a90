//! The local socket: for the operator's own tools, so it offers everything and only the node's user may connect.

use super::connection::Connection;
use super::framing::JsonFrames;
use super::front::{Front, FrontLayer, Lasting};
use super::shape::{self, Shape};
use crate::config::RpcLimits;
use crate::error::StartError;
use crate::register::Offered;
use futures::StreamExt;
use jsonrpsee::core::middleware::{Batch, BatchEntry, BatchEntryErr, RpcServiceT};
use jsonrpsee::server::MethodResponse;
use jsonrpsee::types::error::reject_too_big_batch_request;
use jsonrpsee::types::{ErrorCode, ErrorObject, Id};
use serde_json::value::RawValue;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::codec::FramedRead;
use tokio_util::sync::CancellationToken;
use tower::Layer;

/// Answers and news that wait for a client that does not read; beyond it, its requests and subscriptions wait.
pub(crate) const MESSAGES_WAITING: usize = 64;

/// Requests of one connection that are worked on at the same time; the next ones are not read before.
const REQUESTS_AT_ONCE: u32 = 64;

/// Access to the socket for the node's user only.
const SOCKET_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// The open socket; the file goes with it.
#[derive(Debug)]
pub(crate) struct IpcListener {
    listener: UnixListener,
    path: PathBuf,
}

impl IpcListener {
    /// Makes the socket file. One that a dead process left behind is replaced, one that answers is not.
    pub(crate) fn bind(path: &Path) -> Result<Self, StartError> {
        let failed = |source| StartError::Ipc { path: path.to_owned(), source };
        remove_stale(path)?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let listener = bind_private(path).map_err(failed)?;
        Ok(Self { listener, path: path.to_owned() })
    }
}

impl Drop for IpcListener {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "the IPC socket file was gone already");
        }
    }
}

fn remove_stale(path: &Path) -> Result<(), StartError> {
    let failed = |source| StartError::Ipc { path: path.to_owned(), source };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !metadata.file_type().is_socket() {
        let text = "the path exists and is no socket; move it away or name another path";
        return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, text)));
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(StartError::IpcInUse(path.to_owned()));
    }
    fs::remove_file(path).map_err(failed)
}

/// Makes the socket in a folder that nobody else may enter and moves it to its place when its mode is set, so
/// that at no moment a stranger can connect.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let mut folder = path.as_os_str().to_owned();
    folder.push(".d");
    let folder = PathBuf::from(folder);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    DirBuilder::new().mode(FOLDER_MODE).create(&folder)?;
    let inside = folder.join("s");
    let bound = UnixListener::bind(&inside).and_then(|listener| {
        fs::set_permissions(&inside, Permissions::from_mode(SOCKET_MODE))?;
        fs::rename(&inside, path)?;
        Ok(listener)
    });
    fs::remove_dir_all(&folder)?;
    bound
}

/// Serves the socket until stopped; open connections end with it.
pub(crate) async fn serve(
    socket: IpcListener,
    offered: Offered,
    front: FrontLayer,
    limits: RpcLimits,
    stop: CancellationToken,
) {
    let connections = Arc::new(Semaphore::new(limits.connections as usize));
    let mut id = 0_usize;
    while let Some(stream) = next_client(&socket.listener, &stop).await {
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            metrics::counter!("lonja_rpc_connections_refused_total").increment(1);
            continue;
        };
        id = id.wrapping_add(1);
        let (outbox, messages) = mpsc::channel(MESSAGES_WAITING);
        let service = front.layer(Connection::new(id, offered.clone(), outbox.clone(), &limits));
        let (limits, stop) = (limits.clone(), stop.child_token());
        tokio::spawn(async move {
            converse(stream, service, outbox, messages, &limits, stop).await;
            drop(permit);
        });
    }
    drop(socket);
    // All places are free when the last connection has ended.
    let _ended = connections.acquire_many(limits.connections).await;
}

/// The next client; `None` when stopped.
async fn next_client(listener: &UnixListener, stop: &CancellationToken) -> Option<UnixStream> {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => return Some(stream),
            Err(error) => super::tcp::accept_failed("IPC", &error).await,
        }
    }
}

/// One connection from its first byte to its last.
async fn converse(
    stream: UnixStream,
    service: Front<Connection>,
    outbox: mpsc::Sender<Box<RawValue>>,
    messages: mpsc::Receiver<Box<RawValue>>,
    limits: &RpcLimits,
    stop: CancellationToken,
) {
    let (reader, writer) = stream.into_split();
    let finished = CancellationToken::new();
    let writing = tokio::spawn(write(writer, messages, finished.clone()));
    tokio::select! {
        () = stop.cancelled() => {}
        () = read(reader, &service, &outbox, limits) => {}
    }
    finished.cancel();
    if let Err(error) = writing.await {
        tracing::debug!(%error, "an IPC connection ended badly");
    }
}

/// Reads requests and starts working on them; returns when the client says no more and all answers are on their
/// way, or cannot be answered any more.
async fn read(
    reader: OwnedReadHalf,
    service: &Front<Connection>,
    outbox: &mpsc::Sender<Box<RawValue>>,
    limits: &RpcLimits,
) {
    let mut requests = FramedRead::new(reader, JsonFrames::new(limits.request_bytes));
    let at_once = Arc::new(Semaphore::new(REQUESTS_AT_ONCE as usize));
    let batch_max = limits.batch_length as usize;
    while let Ok(permit) = Arc::clone(&at_once).acquire_owned().await {
        let request = tokio::select! {
            () = outbox.closed() => return,
            request = requests.next() => request,
        };
        match request {
            None => {
                drop(permit);
                break;
            }
            Some(Err(error)) => {
                // Where the next message begins is not known, so this is the last answer.
                let error = ErrorObject::owned(ErrorCode::ParseError.code(), error.to_string(), None::<()>);
                let _ = outbox.send(MethodResponse::error(Id::Null, error).into_json()).await;
                break;
            }
            Some(Ok(message)) => {
                let (service, outbox) = (service.clone(), outbox.clone());
                tokio::spawn(async move {
                    if let Some(answer) = handle(&message, &service, batch_max).await {
                        let _ = outbox.send(answer).await;
                    }
                    drop(permit);
                });
            }
        }
    }
    let _all = at_once.acquire_many(REQUESTS_AT_ONCE).await;
}

/// Writes messages, a line each, until the client is gone or the conversation is finished and nothing waits.
async fn write(
    mut writer: OwnedWriteHalf,
    mut messages: mpsc::Receiver<Box<RawValue>>,
    finished: CancellationToken,
) {
    loop {
        let message = tokio::select! {
            biased;
            message = messages.recv() => message,
            () = finished.cancelled() => return,
        };
        let Some(message) = message else { return };
        let mut line = String::from(Box::<str>::from(message));
        line.push('\n');
        if writer.write_all(line.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The answer to one message; `None` where none is due.
async fn handle(message: &[u8], service: &Front<Connection>, batch_max: usize) -> Option<Box<RawValue>> {
    let response = match message.first() {
        Some(b'[') => batch(message, service, batch_max).await,
        _ => single(message, service).await,
    };
    // A subscription has been answered by the time its call returns.
    (response.is_method_call() || response.is_batch()).then(|| response.into_json())
}

async fn single(message: &[u8], service: &Front<Connection>) -> MethodResponse {
    match shape::single(message) {
        Shape::Request(mut request) => {
            request.extensions_mut().insert(Lasting);
            service.call(request).await
        }
        Shape::Notification(notification) => service.notification(notification).await,
        Shape::Invalid(id, code) => MethodResponse::error(id, ErrorObject::from(code)),
    }
}

async fn batch(message: &[u8], service: &Front<Connection>, batch_max: usize) -> MethodResponse {
    let Ok(entries) = serde_json::from_slice::<Vec<&RawValue>>(message) else {
        return MethodResponse::error(Id::Null, ErrorCode::ParseError);
    };
    if entries.len() > batch_max {
        return MethodResponse::error(Id::Null, reject_too_big_batch_request(batch_max));
    }
    service.batch(Batch::from(entries.into_iter().map(entry).collect())).await
}

fn entry(raw: &RawValue) -> Result<BatchEntry<'_>, BatchEntryErr<'_>> {
    match shape::entry(raw) {
        Shape::Request(mut request) => {
            request.extensions_mut().insert(Lasting);
            Ok(BatchEntry::Call(request))
        }
        Shape::Notification(notification) => Ok(BatchEntry::Notification(notification)),
        Shape::Invalid(id, code) => Err(BatchEntryErr::new(id, ErrorObject::from(code))),
    }
}
