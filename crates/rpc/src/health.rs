//! Metrics and health: for Prometheus, for supervisors (is it alive?) and for load balancers (is it ready?).

use crate::control::{HealthCheck, NodeControl};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the answers are made from.
#[derive(Clone)]
pub(crate) struct Probes {
    pub(crate) control: Arc<dyn NodeControl>,
    pub(crate) metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// Content type of the Prometheus text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves until stopped.
pub(crate) async fn serve(listener: TcpListener, probes: Probes, stop: CancellationToken) {
    let routes = Router::new()
        .route("/metrics", get(metrics))
        // Where GoQuorum and geth have them.
        .route("/debug/metrics/prometheus", get(metrics))
        .route("/liveness", get(liveness))
        .route("/readiness", get(readiness))
        .with_state(probes);
    let served = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the health server failed");
    }
}

async fn metrics(State(probes): State<Probes>) -> Response {
    ([(header::CONTENT_TYPE, PROMETHEUS)], (probes.metrics)()).into_response()
}

async fn liveness(State(probes): State<Probes>) -> Response {
    verdict(&probes.control.health().liveness)
}

async fn readiness(State(probes): State<Probes>) -> Response {
    verdict(&probes.control.health().readiness)
}

/// 200 when everything holds, otherwise 503; all reasons either way.
fn verdict(checks: &[HealthCheck]) -> Response {
    let ok = checks.iter().all(|check| check.ok);
    let code = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let status = if ok { "UP" } else { "DOWN" };
    (code, Json(json!({ "status": status, "checks": checks }))).into_response()
}
