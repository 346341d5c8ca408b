//! HTTP of a service: a bounded number of connections, `GET /health`, `GET /metrics`.
//!
//! The lake puts its own routes in place of the edge's; how they are served is the same.

mod body;
mod connection;
mod control;
mod error;
mod guard;
#[cfg(test)]
mod tests;

pub use body::BodyLimits;
pub use control::{SIGNATURE_HEADER, WASM, control_routes, read_token};
pub use error::ApiError;
pub use guard::{HostGuard, has_content_type};

use crate::{
    health::{Health, Status},
    process::Failure,
    telemetry::Metrics,
};
use axum::{
    Json, Router,
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use connection::{Activity, BoundedListener, ConnectionLimits, Requests};
use heplake_format::EdgeName;
use serde_json::{Value, json};
use std::{io, net::SocketAddr, sync::Arc, time::Instant};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Content type of Prometheus' text format.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the edge's routes tell.
#[derive(Clone, Debug)]
pub struct EdgeState {
    /// Its name.
    pub name: EdgeName,
    /// Where it receives over UDP.
    pub udp: Option<SocketAddr>,
    /// Where it receives over TCP.
    pub tcp: Option<SocketAddr>,
    /// Where its components are controlled.
    pub control: Option<SocketAddr>,
    /// When the process started.
    pub started: Instant,
    /// Its metrics.
    pub metrics: Metrics,
    /// How it is.
    pub health: Arc<Health>,
}

impl EdgeState {
    /// What `/health` says of an edge.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name.as_str(),
            "udp": self.udp,
            "tcp": self.tcp,
            "control": self.control,
        })
    }
}

/// The routes of an edge by itself.
pub fn edge_routes(state: EdgeState) -> Router {
    let metrics = state.metrics.clone();
    let health = move || async move {
        answer_health(&state.health, state.started, state.to_json(), Value::Null)
    };
    let not_found = || async {
        let text = "no such page; there are GET /health and GET /metrics\n";
        (StatusCode::NOT_FOUND, text)
    };
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(move || async move { render(&metrics) }))
        .fallback(not_found)
}

/// The answer of `GET /health`, of one half or of both; a half that is not in this process is null.
pub fn answer_health(health: &Health, started: Instant, edge: Value, lake: Value) -> Response {
    let report = health.report();
    let status = match report.status {
        Status::Ok | Status::Degraded => StatusCode::OK,
        Status::Failing => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = json!({
        "status": report.status,
        "reasons": report.reasons,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": started.elapsed().as_secs(),
        "edge": edge,
        "lake": lake,
    });
    (status, Json(body)).into_response()
}

/// The answer of `GET /metrics`.
pub fn render(metrics: &Metrics) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, PROMETHEUS_TEXT)], metrics.render())
}

/// Binds the address, if there is one: before anything is received that could be lost if
/// it is taken. `section` of the configuration sets it.
///
/// # Errors
/// Says which address cannot be bound, and what sets it.
pub async fn bind(
    address: Option<SocketAddr>,
    section: &str,
) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = address else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let what =
            format!("cannot serve HTTP on {address} ({section}.host and {section}.port set it)");
        Failure::of(&what, &error)
    })?;
    Ok(Some(listener))
}

/// Serves until `stop`, then finishes the answers that were begun.
pub fn spawn(
    listener: Option<TcpListener>,
    routes: Router,
    what: &str,
    stop: &CancellationToken,
) -> Option<JoinHandle<io::Result<()>>> {
    let listener = listener?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, what, "serving HTTP");
    }
    let limits = ConnectionLimits::default();
    Some(tokio::spawn(serve(listener, routes, limits, stop.clone())))
}

async fn serve(
    listener: TcpListener,
    routes: Router,
    limits: ConnectionLimits,
    stop: CancellationToken,
) -> io::Result<()> {
    let hold = middleware::from_fn_with_state(Requests::new(limits), connection::hold);
    let routes = routes.layer(hold);
    axum::serve(
        BoundedListener::new(listener, limits),
        routes.into_make_service_with_connect_info::<Activity>(),
    )
    .with_graceful_shutdown(stop.cancelled_owned())
    .await
}
