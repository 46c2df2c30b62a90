//! Metrics: one recorder for the process, rendered on demand.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::{Arc, OnceLock};

/// Gives the metrics in the Prometheus text format.
pub type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// Upper bounds of the histogram buckets for durations, seconds: 50 µs to 10 s.
const SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0,
];

static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Installs the recorder, once for the process, and gives the way to read it.
pub fn install() -> Render {
    let handle = HANDLE.get_or_init(|| {
        let matcher = metrics_exporter_prometheus::Matcher::Suffix("_seconds".into());
        let builder = PrometheusBuilder::new().set_buckets_for_metric(matcher, SECONDS);
        builder.ok()?.install_recorder().ok()
    });
    let handle = handle.clone();
    Arc::new(move || {
        handle.as_ref().map_or_else(String::new, |handle| {
            handle.run_upkeep();
            handle.render()
        })
    })
}
