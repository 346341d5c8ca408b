//! `heplake serve` and `heplake lake`: the lake as a service, with or without an edge.

use heplake_host::{
    EdgeMonitor,
    configuration::{Configuration, ControlSettings, EdgeSettings, http_address, settings},
    disk::watch_disk,
    health::{Code, Half, Health},
    http::{self, HostGuard},
    process::{EdgeArguments, Failure},
    service::{
        apply_permissions, catch_signals, drain_edge, start_edge, start_telemetry, until_stopped,
    },
};
use heplake_lake::{
    DatabaseError, Lake, LakeSettings, OpenError,
    http::{Api, RepairGuard, routes},
    watcher::Watcher,
};
use std::{path::Path, sync::Arc};
use tokio_util::sync::CancellationToken;

/// Which halves of Heplake run in this process.
#[derive(Clone, Debug)]
pub(crate) enum Halves {
    Both(EdgeArguments),
    Lake,
}

pub(crate) async fn run(configuration: &Configuration, halves: Halves) -> Result<(), Failure> {
    let edge_settings = match &halves {
        Halves::Both(arguments) => Some((
            arguments.apply(EdgeSettings::resolve(configuration)?),
            ControlSettings::resolve(configuration)?,
        )),
        Halves::Lake => None,
    };
    let settings = LakeSettings::resolve(configuration)?;
    let http = http_address(configuration)?;
    let control = ControlSettings::resolve(configuration)?;
    let repairs = http.map(|address| RepairGuard::of(address, control.as_ref()));
    let repairs = repairs.transpose()?;
    let half = match halves {
        Halves::Both(_) => Half::Both,
        Halves::Lake => Half::Lake,
    };
    let drain_timeout = configuration.get(&settings::DRAIN_TIMEOUT)?;
    let metrics = start_telemetry(configuration, half)?;
    apply_permissions(configuration)?;
    let mut signals = catch_signals()?;

    let listener = http::bind(http, "http").await?;
    let (stop_control, stop_http) = (CancellationToken::new(), CancellationToken::new());
    let lake = open(settings.clone()).await?;
    let (edge, edge_state) = match edge_settings {
        Some((settings, control)) => {
            let started = start_edge(settings, control, metrics.clone(), &stop_control).await;
            let (edge, state) = started?;
            (Some(edge), Some(state))
        }
        None => (None, None),
    };
    let stop_watching = CancellationToken::new();
    let health = match &edge {
        Some(edge) => Arc::clone(edge.health()),
        None => {
            let health = Health::new();
            metrics.measure_health(Arc::clone(&health));
            health
        }
    };
    let catalog_directory = settings.catalog_path.parent().unwrap_or(Path::new("/"));
    watch_disk("ducklake.catalog_path", catalog_directory.into(), &health);
    watch_disk("ducklake.data_path", settings.data_path.clone(), &health);
    let watcher = Watcher::new(Arc::clone(&health));
    let watching = tokio::spawn(Arc::clone(&watcher).run(
        Arc::clone(&lake),
        settings.register_interval,
        stop_watching.clone(),
    ));
    let server = http.and_then(|address| {
        let mut api = Api::new(lake, watcher, edge_state, Arc::clone(&health), metrics);
        if let Some(repairs) = repairs {
            api = api.with_repairs(repairs);
        }
        let routes = routes(api, HostGuard::of(address));
        http::spawn(listener, routes, "queries", &stop_http)
    });

    let reason = until_stopped(&mut signals, edge.as_ref()).await;
    tracing::info!(
        reason,
        "stopping: writing and registering what was received"
    );
    stop_control.cancel();
    health.raise(Code::Draining, reason);
    let monitor = edge.as_ref().map(|edge| edge.monitor().clone());
    let unwritten = || monitor.as_ref().map(EdgeMonitor::unwritten);
    let work = async {
        let drained = match edge {
            Some(edge) => drain_edge(edge).await,
            None => Ok(()),
        };
        // What the edge has just committed is registered before the end.
        stop_watching.cancel();
        let watched = watching.await;
        drained.and(watched.map_err(|error| {
            Failure::of(
                "what was written could not be registered; the next start does",
                &error,
            )
        }))
    };
    let drained = signals.drain(work, drain_timeout, unwritten).await;
    // Until here it could be asked how that goes.
    stop_http.cancel();
    drop(server);
    drained??;
    tracing::info!("stopped");
    Ok(())
}

async fn open(settings: LakeSettings) -> Result<Arc<Lake>, Failure> {
    let (catalog, data) = (settings.catalog_path.clone(), settings.data_path.clone());
    let opened = tokio::task::spawn_blocking(move || Lake::open(&settings)).await;
    let lake = opened
        .map_err(|error| Failure::of("the lake cannot be opened", &error))?
        .map_err(|error| {
            let what = match &error {
                OpenError::Database(DatabaseError::Extension { .. }) => {
                    "the lake cannot be opened".into()
                }
                _ => format!(
                    "the lake cannot be opened (data_dir, or ducklake.catalog_path and ducklake.data_path, say where it is: now {} and {})",
                    catalog.display(),
                    data.display()
                ),
            };
            Failure::of(&what, &error)
        })?;
    tracing::info!(catalog_path = %catalog.display(), data_path = %data.display(), "lake opened");
    Ok(Arc::new(lake))
}
