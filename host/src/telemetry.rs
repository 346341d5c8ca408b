//! What the service says of itself: log lines on standard error, and metrics.

use crate::configuration::{Configuration, ConfigurationError, LogFormat, settings};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use std::{fmt, io::IsTerminal, time::Duration};
use tokio::task::JoinHandle;
use tracing_subscriber::{
    filter::Targets, fmt::layer, layer::SubscriberExt, registry, util::SubscriberInitExt,
};

/// Buckets of all durations, in seconds: from a batch in a sandbox to a query's deadline.
const DURATION_BUCKETS_S: [f64; 14] = [
    0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 30.0,
];

/// How often what histograms collected is folded into their buckets: else a service that
/// nobody scrapes would grow.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Why telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The settings cannot be read.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// Something in this process logs or measures already.
    #[error("logging is set up already: {0}")]
    Log(#[from] tracing_subscriber::util::TryInitError),
    /// Something in this process measures already.
    #[error("metrics are set up already: {0}")]
    Metrics(#[from] BuildError),
}

/// Starts logging as configured.
///
/// # Errors
/// The settings cannot be read, or logging was started before.
pub fn start_log(configuration: &Configuration) -> Result<(), TelemetryError> {
    // The setting was read as a filter when it was checked.
    let filter: Targets = configuration
        .get(&settings::LOG_LEVEL)?
        .parse()
        .unwrap_or_default();
    let lines = layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match configuration.get(&settings::LOG_FORMAT)? {
        LogFormat::Text => registry().with(filter).with(lines).try_init()?,
        LogFormat::Json => registry()
            .with(filter)
            .with(lines.json().flatten_event(true))
            .try_init()?,
    }
    Ok(())
}

/// All metrics of this process, as Prometheus reads them.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Installs the recorder that all `metrics` macros of this process write to, and keeps
    /// it tidy as long as the runtime runs. Once a process.
    ///
    /// # Errors
    /// Another recorder is installed.
    pub fn install() -> Result<Self, TelemetryError> {
        let handle = PrometheusBuilder::new()
            .set_buckets(&DURATION_BUCKETS_S)?
            .install_recorder()?;
        let metrics = Self { handle };
        let _upkeep: JoinHandle<()> = tokio::spawn(metrics.clone().upkeep());
        Ok(metrics)
    }

    async fn upkeep(self) {
        let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            interval.tick().await;
            self.handle.run_upkeep();
        }
    }

    /// The text that `GET /metrics` answers.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}
