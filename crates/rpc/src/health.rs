//! Metrics and health: for Prometheus, for supervisors (is it alive?) and for load balancers (is it ready?).

use crate::control::{Health, HealthCheck};
use crate::transport::tcp::next_socket;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jsonrpsee::server::serve_with_graceful_shutdown;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::util::MapResponseLayer;

/// What the answers are made from.
#[derive(Clone)]
pub(crate) struct Probes {
    pub(crate) health: Arc<dyn Fn() -> Health + Send + Sync>,
    pub(crate) metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// Content type of the Prometheus text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Most clients at the same time. Supervisors, load balancers and Prometheus come one by one, for a moment.
const CONNECTIONS_MAX: u32 = 64;

/// How long a client has for its question and the answer. Each connection serves one, so that none need be kept
/// open: supervisors and Prometheus wait 10 s for an answer by default.
const CONNECTION_TIME: Duration = Duration::from_secs(30);

/// Serves until stopped.
pub(crate) async fn serve(listener: TcpListener, probes: Probes, stop: CancellationToken) {
    serve_within(CONNECTION_TIME, listener, probes, stop).await;
}

async fn serve_within(time: Duration, listener: TcpListener, probes: Probes, stop: CancellationToken) {
    let routes = Router::new()
        .route("/metrics", get(metrics))
        // Where GoQuorum and geth have them.
        .route("/debug/metrics/prometheus", get(metrics))
        .route("/liveness", get(liveness))
        .route("/readiness", get(readiness))
        .with_state(probes)
        .layer(MapResponseLayer::new(last_answer));
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    while let Some(socket) = next_socket(&listener, &stop).await {
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            metrics::counter!("lonja_rpc_connections_refused_total").increment(1);
            continue;
        };
        let served = serve_with_graceful_shutdown(socket, routes.clone(), stop.clone().cancelled_owned());
        tokio::spawn(async move {
            match tokio::time::timeout(time, served).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a connection for health ended badly"),
                Err(_) => tracing::debug!("a connection for health took too long and is closed"),
            }
            drop(permit);
        });
    }
    drop(listener);
    // All places are free when the last connection has ended.
    let _ended = connections.acquire_many(CONNECTIONS_MAX).await;
}

fn last_answer(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn metrics(State(probes): State<Probes>) -> Response {
    ([(header::CONTENT_TYPE, PROMETHEUS)], (probes.metrics)()).into_response()
}

async fn liveness(State(probes): State<Probes>) -> Response {
    verdict(&(probes.health)().liveness)
}

async fn readiness(State(probes): State<Probes>) -> Response {
    verdict(&(probes.health)().readiness)
}

/// 200 when everything holds, otherwise 503; all reasons either way.
fn verdict(checks: &[HealthCheck]) -> Response {
    let ok = checks.iter().all(|check| check.ok);
    let code = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let status = if ok { "UP" } else { "DOWN" };
    (code, Json(json!({ "status": status, "checks": checks }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::NodeControl;
    use crate::testing::TestNode;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_client_that_does_not_finish_its_question_is_closed_and_the_number_is_bounded() {
        let node = TestNode::new();
        let control = node.control.clone();
        let health = Arc::new(move || control.health());
        let probes = Probes { health, metrics: Arc::clone(&node.node.metrics) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve_within(Duration::from_secs(2), listener, probes, stop.clone()));
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(b"GET /live").await.unwrap();
            silent.push(socket);
        }
        // One more is closed at once, and the others when their time is up.
        let mut late = TcpStream::connect(address).await.unwrap();
        assert_eq!(late.read(&mut [0; 1]).await.unwrap_or(0), 0);
        for socket in &mut silent {
            let mut answer = Vec::new();
            let _ = socket.read_to_end(&mut answer).await;
            assert!(!answer.starts_with(b"HTTP/1.1 200"));
        }
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(b"GET /liveness HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("UP"), "{answer}");
        stop.cancel();
        serving.await.unwrap();
    }
}
