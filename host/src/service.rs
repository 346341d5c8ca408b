//! An edge as a service: from its configuration to the signal that ends it.

use crate::{
    Committed, Edge,
    configuration::{Configuration, ControlSettings, EdgeSettings, http_address, settings},
    disk::watch_disk,
    health::{Code, Half},
    http::{self, EdgeState},
    process::{EdgeArguments, Failure, StopSignals},
    telemetry::{self, Metrics},
};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Runs an edge until it is told to stop, and writes what it received.
///
/// # Errors
/// Says what is wrong with the configuration, what could not start, or what could not be
/// written at the end.
pub async fn run_edge(
    configuration: &Configuration,
    arguments: &EdgeArguments,
) -> Result<(), Failure> {
    let settings = arguments.apply(EdgeSettings::resolve(configuration)?);
    let http = http_address(configuration)?;
    let control = ControlSettings::resolve(configuration)?;
    let drain_timeout = configuration.get(&settings::DRAIN_TIMEOUT)?;
    let metrics = start_telemetry(configuration, Half::Edge)?;
    apply_permissions(configuration)?;
    let mut signals = catch_signals()?;

    let listener = http::bind(http, "http").await?;
    let (stop, stop_http) = (CancellationToken::new(), CancellationToken::new());
    let (edge, state) = start_edge(settings, control, metrics, &stop).await?;
    let server = http::spawn(
        listener,
        http::edge_routes(state),
        "health and metrics",
        &stop_http,
    );

    let reason = until_stopped(&mut signals, Some(&edge)).await;
    tracing::info!(reason, "stopping: writing what was received");
    stop.cancel();
    edge.health().raise(Code::Draining, reason);
    let monitor = edge.monitor().clone();
    let unwritten = || Some(monitor.unwritten());
    let drained = signals.drain(drain_edge(edge), drain_timeout, unwritten);
    let drained = drained.await;
    // Until here it could be asked how that goes.
    stop_http.cancel();
    drop(server);
    drained??;
    tracing::info!("stopped");
    Ok(())
}

/// Starts logging, and the metrics of a half or of both.
///
/// # Errors
/// They were started before, or the settings cannot be read.
pub fn start_telemetry(configuration: &Configuration, half: Half) -> Result<Metrics, Failure> {
    telemetry::start_log(configuration)
        .and_then(|()| Metrics::install(half))
        .map_err(|error| Failure::of("telemetry cannot start", &error))
}

/// Has all files of the lake get the rights that the configuration says.
///
/// # Errors
/// The settings cannot be read.
pub fn apply_permissions(configuration: &Configuration) -> Result<(), Failure> {
    let permissions = configuration.get(&settings::DATA_PERMISSIONS)?;
    permissions.apply();
    permissions.check(&configuration.absolute_path(&settings::DATA_DIR)?);
    Ok(())
}

/// Catches the signals that end a service, before it has anything to lose.
///
/// # Errors
/// The handlers cannot be installed.
pub fn catch_signals() -> Result<StopSignals, Failure> {
    StopSignals::catch().map_err(|error| Failure::of("signals cannot be caught", &error))
}

/// Starts an edge and says what it bound. Its components are controlled until `stop`.
///
/// # Errors
/// Says what could not start.
pub async fn start_edge(
    settings: EdgeSettings,
    control: Option<ControlSettings>,
    metrics: Metrics,
    stop: &CancellationToken,
) -> Result<(Edge, EdgeState), Failure> {
    let address = control.as_ref().map(|control| control.address);
    let listener = http::bind(address, "control").await?;
    let (name, data_path) = (settings.name.clone(), settings.data_path.clone());
    let edge = Edge::start(settings)
        .await
        .map_err(|error| Failure::of("the edge cannot start", &error))?;
    metrics.measure_health(edge.health().clone());
    metrics.measure(edge.queues());
    watch_disk("ducklake.data_path", data_path.clone(), edge.health());
    let controlled = listener.as_ref().and_then(|l| l.local_addr().ok());
    if let Some(control) = control {
        let routes = http::control_routes(edge.control().clone(), &control)?;
        // It ends with `stop`.
        let _server = http::spawn(listener, routes, "control of components", stop);
    }
    let state = EdgeState {
        name,
        control: controlled,
        health: edge.health().clone(),
        udp: edge.udp_address(),
        tcp: edge.tcp_address(),
        started: Instant::now(),
        metrics,
    };
    for (transport, address) in [("udp", state.udp), ("tcp", state.tcp)] {
        if let Some(address) = address {
            tracing::info!(transport, %address, edge = %state.name, "receiving HEP");
        }
    }
    tracing::info!(data_path = %data_path.display(), "writing data files and commits");
    Ok((edge, state))
}

/// Waits for what ends a service, and names it: a signal, or an edge that has lost a worker
/// and with it what comes for that. Then it ends with a failure, so that whoever looks after
/// it starts another.
pub async fn until_stopped(signals: &mut StopSignals, edge: Option<&Edge>) -> &'static str {
    let worker_stopped = async {
        match edge {
            Some(edge) => edge.worker_stopped().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        signal = signals.next() => signal,
        () = worker_stopped => "a worker stopped",
    }
}

/// Stops listening, writes what was received, and says how much.
///
/// # Errors
/// Not everything could be written.
pub async fn drain_edge(edge: Edge) -> Result<(), Failure> {
    let drained = edge
        .drain()
        .await
        .map_err(|error| Failure::of("what was received could not all be written", &error))?;
    let Committed {
        packets,
        rows,
        files,
    } = drained;
    tracing::info!(packets, rows, files, "edge drained");
    Ok(())
}
