//! What the service says of itself: log lines on standard error, and metrics.

mod declared;
mod own_process;

use crate::{
    configuration::{Configuration, ConfigurationError, LogFormat, settings},
    health::{Code, Half, Health},
};
use declared::{Kind, METRICS};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::{
    fmt,
    io::IsTerminal,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::task::JoinHandle;
use tracing_subscriber::{fmt::layer, layer::SubscriberExt, registry, util::SubscriberInitExt};

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
    let filter = configuration.get(&settings::LOG_LEVEL)?;
    let lines = layer()
        .with_writer(std::io::stderr)
        // It would say on standard error that a line could not be written there, and panic when
        // that fails too, as it does once the terminal is closed.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    match configuration.get(&settings::LOG_FORMAT)? {
        LogFormat::Text => registry().with(filter).with(lines).try_init()?,
        LogFormat::Json => registry()
            .with(filter)
            .with(lines.json().flatten_event(true))
            .try_init()?,
    }
    let links = configuration.service_links();
    if !links.is_empty() {
        let variables = links.join(" ");
        tracing::info!(
            variables,
            "ignored, since they tell of a service (Kubernetes, docker --link) and set nothing"
        );
    }
    Ok(())
}

/// All metrics of this process, as Prometheus reads them.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    measured: Arc<Mutex<Vec<Measure>>>,
}

/// Publishes figures that are looked at when somebody asks.
type Measure = Box<dyn Fn() + Send + Sync>;

impl Metrics {
    /// Installs the recorder that all `metrics` macros of this process write to, and keeps
    /// it tidy as long as the runtime runs. Once a process, which runs this half or both.
    ///
    /// # Errors
    /// Another recorder is installed.
    pub fn install(half: Half) -> Result<Self, TelemetryError> {
        let metrics = Self::of(builder()?.install_recorder()?);
        begin(half);
        metrics.measure(own_process::measure);
        let _upkeep: JoinHandle<()> = tokio::spawn(metrics.clone().upkeep());
        Ok(metrics)
    }

    fn of(handle: PrometheusHandle) -> Self {
        Self {
            handle,
            measured: Arc::default(),
        }
    }

    async fn upkeep(self) {
        let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            interval.tick().await;
            self.handle.run_upkeep();
        }
    }

    /// Has `measure` publish figures whenever the metrics are asked for. It must not block.
    pub fn measure(&self, measure: impl Fn() + Send + Sync + 'static) {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        measured.push(Box::new(measure));
    }

    /// Publishes how a service is.
    pub fn measure_health(&self, health: Arc<Health>) {
        self.measure(move || {
            let report = health.report();
            metrics::gauge!("heplake_health_status").set(report.status.number());
            for code in Code::ALL {
                let is_given = f64::from(u8::from(report.has(*code)));
                metrics::gauge!("heplake_health_reason", "code" => code.name()).set(is_given);
            }
        });
    }

    /// The text that `GET /metrics` answers.
    #[must_use]
    pub fn render(&self) -> String {
        let measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        for measure in &*measured {
            measure();
        }
        drop(measured);
        self.handle.render()
    }
}

/// A recorder with the buckets of each histogram.
fn builder() -> Result<PrometheusBuilder, BuildError> {
    METRICS
        .iter()
        .try_fold(PrometheusBuilder::new(), |builder, metric| {
            match metric.kind {
                Kind::Histogram(buckets) => {
                    builder.set_buckets_for_metric(Matcher::Full(metric.name.into()), buckets)
                }
                Kind::Counter | Kind::Gauge => Ok(builder),
            }
        })
}

/// Describes the metrics of a half, or of both, and makes the series that are known beforehand.
fn begin(half: Half) {
    for metric in METRICS.iter().filter(|metric| metric.is_of(half)) {
        metric.describe();
        metric.begin();
    }
    metrics::gauge!("heplake_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    own_process::begin();
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests;
