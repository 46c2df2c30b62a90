//! Starting and stopping everything that listens.

use crate::config::{Access, Namespace, RpcConfig};
use crate::context::{Context, RpcContext};
use crate::control::Health;
use crate::error::StartError;
use crate::methods::quorum_extension::ExtensionSender;
use crate::transport::front::FrontLayer;
use crate::transport::gate::GateLayer;
use crate::transport::ipc::{self, IpcListener};
use crate::transport::tcp::{Protocols, TcpServer, cors};
use crate::{feed, health, methods, privacy};
use jsonrpsee::server::{ServerHandle, StopHandle, stop_channel};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long stopping waits for running requests.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// The running servers. Dropping it stops them without waiting.
#[derive(Debug)]
pub struct RpcHandle {
    /// Where HTTP and WebSocket are served.
    pub http: Option<SocketAddr>,
    /// Where WebSocket is served beside it.
    pub ws: Option<SocketAddr>,
    /// The local socket.
    pub ipc: Option<PathBuf>,
    /// Where metrics and health are served.
    pub health: Option<SocketAddr>,
    /// For the node's service that goes on with extensions of private contracts.
    pub extensions: ExtensionSender,
    stop: CancellationToken,
    sockets: ServerHandle,
    tasks: JoinSet<()>,
}

/// Opens every configured listener and serves. Must be called within a tokio runtime.
///
/// # Errors
/// An address that cannot be listened on, by name; nothing is left open then.
pub async fn start(config: RpcConfig, node: RpcContext) -> Result<RpcHandle, StartError> {
    config.check().map_err(StartError::Config)?;
    let mut context = Context::new(node, config.limits.clone())?;
    context.unlocking_refused = config.unlocking_refused();
    if let Some(reason) = &context.unlocking_refused
        && !context.node.accounts.unlocked().is_empty()
    {
        return Err(StartError::Config(reason.clone()));
    }
    let context = Arc::new(context);
    let (stop_handle, sockets) = stop_channel();
    let (stop, tasks) = (CancellationToken::new(), JoinSet::new());
    let extensions = ExtensionSender(Arc::clone(&context));
    let mut handle =
        RpcHandle { http: None, ws: None, ipc: None, health: None, extensions, stop, sockets, tasks };
    let listeners = Listeners {
        config: &config,
        context: &context,
        bytes_in_flight: Arc::new(AtomicUsize::new(0)),
        stop_handle,
    };
    listeners.open(&mut handle).await?;
    handle.tasks.spawn(methods::personal::forget_expired(Arc::clone(&context), handle.stop.clone()));
    handle.tasks.spawn(privacy::feed::run(Arc::clone(&context), handle.stop.clone()));
    handle.tasks.spawn(feed::run(context, handle.stop.clone()));
    Ok(handle)
}

/// Metrics and health alone, of a node that is not ready for anything else.
#[derive(Debug)]
pub struct HealthHandle {
    stop: CancellationToken,
    serving: Option<tokio::task::JoinHandle<()>>,
}

/// Serves metrics and health on this address, where there is one, until the handle is stopped or dropped.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve_health(
    address: Option<SocketAddr>,
    health: Arc<dyn Fn() -> Health + Send + Sync>,
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
) -> Result<HealthHandle, StartError> {
    let stop = CancellationToken::new();
    let serving = match address {
        Some(address) => {
            let listener = bind(address, "metrics and health").await?;
            let probes = health::Probes { health, metrics };
            Some(tokio::spawn(health::serve(listener, probes, stop.clone())))
        }
        None => None,
    };
    Ok(HealthHandle { stop, serving })
}

impl HealthHandle {
    /// Lets the address go.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(serving) = self.serving.take() {
            let _ = tokio::time::timeout(STOP_PATIENCE, serving).await;
        }
    }
}

impl Drop for HealthHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl RpcHandle {
    /// Accepts nothing more, lets running requests finish for a few seconds, and removes the socket file.
    pub async fn stop(mut self) {
        self.halt();
        let finished = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_PATIENCE, finished).await.is_err() {
            tracing::warn!("an RPC server did not stop in time and is cut off");
            self.tasks.abort_all();
        }
    }

    fn halt(&self) {
        self.stop.cancel();
        // Fails only when it is stopped already.
        let _ = self.sockets.stop();
    }
}

impl Drop for RpcHandle {
    fn drop(&mut self) {
        self.halt();
    }
}

struct Listeners<'a> {
    config: &'a RpcConfig,
    context: &'a Arc<Context>,
    bytes_in_flight: Arc<AtomicUsize>,
    stop_handle: StopHandle,
}

impl Listeners<'_> {
    async fn open(&self, handle: &mut RpcHandle) -> Result<(), StartError> {
        if let Some(http) = &self.config.http {
            let listener = bind(http.address, "HTTP and WebSocket").await?;
            handle.http = listener.local_addr().ok();
            self.serve_tcp(handle, listener, Protocols::HttpAndWs, &http.access)?;
        }
        let shared = self.config.http.as_ref().map(|http| http.address);
        // The same port for both means that the first listener serves it already; port 0 is never the same.
        if let Some(ws) =
            self.config.ws.as_ref().filter(|ws| Some(ws.address) != shared || ws.address.port() == 0)
        {
            let listener = bind(ws.address, "WebSocket").await?;
            handle.ws = listener.local_addr().ok();
            self.serve_tcp(handle, listener, Protocols::WsOnly, &ws.access)?;
        } else {
            handle.ws = self.config.ws.as_ref().and(handle.http);
        }
        if let Some(address) = self.config.health {
            let listener = bind(address, "metrics and health").await?;
            handle.health = listener.local_addr().ok();
            let node = &self.context.node;
            let (control, metrics) = (Arc::clone(&node.control), Arc::clone(&node.metrics));
            let probes = health::Probes { health: Arc::new(move || control.health()), metrics };
            handle.tasks.spawn(health::serve(listener, probes, handle.stop.clone()));
        }
        self.open_ipc(handle)
    }

    fn open_ipc(&self, handle: &mut RpcHandle) -> Result<(), StartError> {
        let Some(config) = &self.config.ipc else { return Ok(()) };
        let socket = IpcListener::bind(&config.path)?;
        let offered = methods::table(Arc::clone(self.context), config.access.clone());
        let front = self.front(&offered);
        let (limits, stop) = (self.config.limits.clone(), handle.stop.clone());
        handle.tasks.spawn(ipc::serve(socket, offered, front, limits, stop));
        handle.ipc = Some(config.path.clone());
        Ok(())
    }

    fn serve_tcp(
        &self,
        handle: &mut RpcHandle,
        listener: TcpListener,
        protocols: Protocols,
        access: &Access,
    ) -> Result<(), StartError> {
        let offered = methods::table(Arc::clone(self.context), access.clone());
        let (hosts, origins) = (&self.config.allowed_hosts, &self.config.cors_origins);
        let gate = match protocols {
            Protocols::HttpAndWs => {
                let takes = access.namespaces.contains(&Namespace::Eth);
                let submitter = takes.then(|| self.context.submitter.clone());
                GateLayer::new(hosts, origins, &self.config.limits, submitter)
            }
            Protocols::WsOnly => GateLayer::sockets_only(origins, handle.http),
        };
        let server = TcpServer {
            listener,
            protocols,
            front: self.front(&offered),
            offered,
            gate,
            cors: cors(self.config)?,
            compression: self.config.compression,
            limits: self.config.limits.clone(),
        };
        handle.tasks.spawn(server.serve(handle.stop.clone(), self.stop_handle.clone()));
        Ok(())
    }

    fn front(&self, offered: &crate::register::Offered) -> FrontLayer {
        let bytes = Arc::clone(&self.bytes_in_flight);
        FrontLayer::new(offered.clone(), bytes, self.config.limits.response_bytes)
    }
}

async fn bind(address: SocketAddr, what: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Bind { address: format!("{address} ({what})"), source })
}

#[cfg(test)]
mod tests;
