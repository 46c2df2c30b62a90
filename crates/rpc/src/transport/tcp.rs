//! HTTP and WebSocket listeners.

use super::connection::HexIds;
use super::front::FrontLayer;
use super::gate::GateLayer;
use super::ipc::MESSAGES_WAITING;
use crate::config::{RpcConfig, RpcLimits};
use crate::error::StartError;
use crate::register::Offered;
use axum::http::{HeaderValue, Method};
use jsonrpsee::core::middleware::RpcServiceBuilder;
use jsonrpsee::server::{
    BatchRequestConfig, PingConfig, Server, ServerConfig, StopHandle, serve_with_graceful_shutdown,
};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

/// Answers below this are sent as they are: they fit a network packet anyway.
const COMPRESS_ABOVE_BYTES: u64 = 1_400;

/// How long a browser may remember what the node said about origins.
const CORS_MAX_AGE: Duration = Duration::from_secs(600);

/// Pause after a failed accept (out of file descriptors), so that a full machine is not kept busy with failing.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Which requests a listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocols {
    HttpAndWs,
    WsOnly,
}

/// A listener before it serves.
pub(crate) struct TcpServer {
    pub(crate) listener: TcpListener,
    pub(crate) protocols: Protocols,
    pub(crate) offered: Offered,
    pub(crate) front: FrontLayer,
    pub(crate) gate: GateLayer,
    pub(crate) cors: Option<CorsLayer>,
    pub(crate) compression: bool,
    pub(crate) limits: RpcLimits,
}

impl TcpServer {
    /// Serves until stopped. Running requests are finished, WebSockets are closed.
    pub(crate) async fn serve(self, stop: CancellationToken, stop_handle: StopHandle) {
        let http = ServiceBuilder::new()
            .option_layer(self.cors)
            .layer(compression(self.compression))
            .layer(self.gate);
        let builder = Server::builder()
            .set_config(server_config(&self.limits, self.protocols))
            .set_http_middleware(http)
            .set_rpc_middleware(RpcServiceBuilder::new().layer(self.front))
            .to_service_builder();
        let connections = Arc::new(Semaphore::new(self.limits.connections as usize));
        while let Some(socket) = next_socket(&self.listener, &stop).await {
            let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
                metrics::counter!("lonja_rpc_connections_refused_total").increment(1);
                continue;
            };
            let mut service = builder.clone().build(self.offered.methods.clone(), stop_handle.clone());
            // A WebSocket outlives the HTTP connection it began as; its place is taken until it ends.
            let closed = service.on_session_closed();
            let stopped = stop.clone().cancelled_owned();
            tokio::spawn(async move {
                if let Err(error) = serve_with_graceful_shutdown(socket, service, stopped).await {
                    tracing::debug!(%error, "a client connection ended badly");
                }
                closed.await;
                drop(permit);
            });
        }
        drop(self.listener);
        // All places are free when the last connection has ended.
        let _ended = connections.acquire_many(self.limits.connections).await;
    }
}

/// The next client; `None` when stopped.
pub(crate) async fn next_socket(listener: &TcpListener, stop: &CancellationToken) -> Option<TcpStream> {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted.and_then(|(socket, _)| socket.set_nodelay(true).map(|()| socket)) {
            Ok(socket) => return Some(socket),
            Err(error) => accept_failed("TCP", &error).await,
        }
    }
}

/// Says so, and waits a moment.
pub(crate) async fn accept_failed(what: &str, error: &io::Error) {
    tracing::warn!(what, %error, "a client connection could not be accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

fn server_config(limits: &RpcLimits, protocols: Protocols) -> ServerConfig {
    let config = ServerConfig::builder()
        .max_request_body_size(limits.request_bytes)
        .max_response_body_size(limits.response_bytes)
        .max_connections(limits.connections)
        .max_subscriptions_per_connection(limits.subscriptions_per_connection)
        .set_batch_request_config(BatchRequestConfig::Limit(limits.batch_length))
        .set_message_buffer_capacity(MESSAGES_WAITING as u32)
        .enable_ws_ping(PingConfig::new())
        .set_id_provider(HexIds);
    match protocols {
        Protocols::HttpAndWs => config.build(),
        Protocols::WsOnly => config.ws_only().build(),
    }
}

fn compression(enabled: bool) -> CompressionLayer<SizeAbove> {
    CompressionLayer::new().gzip(enabled).compress_when(SizeAbove::new(COMPRESS_ABOVE_BYTES))
}

/// What browsers are told; nothing when no origin is allowed.
pub(crate) fn cors(config: &RpcConfig) -> Result<Option<CorsLayer>, StartError> {
    if config.cors_origins.is_empty() {
        return Ok(None);
    }
    let origin = if config.cors_origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        let parse = |origin: &String| {
            origin.parse::<HeaderValue>().map_err(|_| {
                StartError::Config(format!("the CORS origin {origin:?} cannot stand in a header"))
            })
        };
        AllowOrigin::list(config.cors_origins.iter().map(parse).collect::<Result<Vec<_>, _>>()?)
    };
    let methods = [Method::POST, Method::GET];
    let layer = CorsLayer::new().allow_origin(origin).allow_methods(methods);
    Ok(Some(layer.allow_headers(Any).max_age(CORS_MAX_AGE)))
}
