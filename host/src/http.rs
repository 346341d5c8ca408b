//! HTTP of a service: a bounded number of connections, `GET /health`, `GET /metrics`.
//!
//! The lake puts its own routes in place of the edge's; how they are served is the same.

mod control;
mod guard;

pub use control::{SIGNATURE_HEADER, WASM, control_routes, read_token};
pub use guard::{HostGuard, has_content_type};

use crate::{process::Failure, telemetry::Metrics};
use axum::{
    Json, Router,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
    serve::Listener,
};
use heplake_format::EdgeName;
use serde_json::json;
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Connections at a time. Further ones wait in the kernel's queue; without a bound, whoever
/// opens connections could use up the file descriptors that the data files need.
const CONNECTIONS_MAX: usize = 256;

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
}

impl EdgeState {
    /// What `/health` says of an edge.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
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
        Json(json!({
            "status": "ok",
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_s": state.started.elapsed().as_secs(),
            "edge": state.to_json(),
        }))
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
    let bounded = BoundedListener {
        listener,
        free: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
    };
    let server =
        axum::serve(bounded, routes).with_graceful_shutdown(stop.clone().cancelled_owned());
    Some(tokio::spawn(server.into_future()))
}

/// Accepts a connection when one of [`CONNECTIONS_MAX`] places is free.
struct BoundedListener {
    listener: TcpListener,
    free: Arc<Semaphore>,
}

impl Listener for BoundedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // The semaphore is never closed: without a place there is none yet.
        let place = Arc::clone(&self.free).acquire_owned().await.ok();
        // axum's own implementation waits and tries again where accepting fails.
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        (
            Connection {
                stream,
                _place: place,
            },
            peer,
        )
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that gives its place back when it is closed.
struct Connection {
    stream: TcpStream,
    _place: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
