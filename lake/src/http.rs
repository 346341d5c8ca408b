//! HTTP of the lake: queries in, answers out, as JSON, CSV, NDJSON, Arrow or text.
//!
//! ```text
//!  request ─▶ parameters, checked ─▶ Lake (blocking, bounded) ─▶ rows ─▶ body by Accept, in chunks
//!                 └─▶ error ◀──────────────┘   one table from errors to status codes
//! ```

mod body;
mod error;
mod format;
mod guard;
mod parameters;
mod render;
mod repair;
#[cfg(test)]
mod tests;
mod value;

use crate::{Lake, Question, watcher::Watcher};
use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, Uri},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
pub use repair::RepairGuard;

use body::About;
use error::{ApiError, no_such_call};
use format::Format;
use heplake_host::{
    health::Health,
    http::{BodyLimits, EdgeState, HostGuard, answer_health, render as render_metrics},
    telemetry::Metrics,
};
use parameters::{CallParameters, Parameters, SqlRequest, check_session_id};
use serde_json::{Value, json};
use std::{sync::Arc, time::Instant};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};

/// Largest body of a request: the longest SQL statement, each byte of which JSON may write as six, and
/// the JSON around it.
const BODY_BYTES_MAX: usize = 512 << 10;

/// Requests that use the lake at a time, running or waiting for their turn: each may hold a
/// thread until the deadline. Further ones are told to come back.
const REQUESTS_AT_ONCE: usize = 64;

/// Width of a ladder when nobody says: two lanes or three, in a terminal of customary size.
const LADDER_COLUMNS: usize = 120;

/// The routes, as an error lists them.
const ROUTES: &str = "GET /health, GET /metrics, GET /api/v1/tables, POST /api/v1/sql, \
     GET /api/v1/search, GET /api/v1/calls/{session_id}, GET /api/v1/repair, POST /api/v1/repair";

/// What the routes need.
#[derive(Clone)]
pub struct Api {
    lake: Arc<Lake>,
    watcher: Arc<Watcher>,
    edge: Option<EdgeState>,
    health: Arc<Health>,
    metrics: Metrics,
    started: Instant,
    free: Arc<Semaphore>,
    repairs: RepairGuard,
}

impl Api {
    /// Of a lake, and of the edge in the same process, if there is one.
    #[must_use]
    pub fn new(
        lake: Arc<Lake>,
        watcher: Arc<Watcher>,
        edge: Option<EdgeState>,
        health: Arc<Health>,
        metrics: Metrics,
    ) -> Self {
        Self {
            lake,
            watcher,
            edge,
            health,
            metrics,
            started: Instant::now(),
            free: Arc::new(Semaphore::new(REQUESTS_AT_ONCE)),
            repairs: RepairGuard::Nobody("this service takes no decisions"),
        }
    }

    /// Lets those decide whom the guard admits.
    #[must_use]
    pub fn with_repairs(self, repairs: RepairGuard) -> Self {
        Self { repairs, ..self }
    }

    /// Does what blocks, if a place is free. When the client goes away the work goes on to
    /// its deadline, and keeps its place that long.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Lake) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let place = self.place()?;
        let lake = Arc::clone(&self.lake);
        let done = spawn_blocking(move || {
            let _place = place;
            work(&lake)
        });
        done.await
            .unwrap_or_else(|panic| Err(ApiError::ended_abnormally(&panic)))
    }

    /// Answers a question while it is asked, if a place is free. When the client goes away the query
    /// is stopped.
    async fn answer(
        &self,
        question: Question,
        format: Format,
        width: usize,
    ) -> Result<Response, ApiError> {
        let place = self.place()?;
        let coverage = match &question {
            Question::Search(search) => {
                let search = search.clone();
                Some(self.ask(move |lake| Ok(lake.coverage(&search)?)).await?)
            }
            _ => None,
        };
        let (mut sink, pending) = body::channel(About {
            format,
            width,
            row_limit: self.lake.row_limit(&question),
            bytes_max: self.lake.bytes_max(),
            coverage,
        });
        let lake = Arc::clone(&self.lake);
        spawn_blocking(move || {
            let _place = place;
            let cancellation = sink.cancellation();
            let ended = lake.ask(&question, &cancellation, &mut sink);
            let ended = match (&question, ended) {
                (Question::Call(session_id), Ok(_)) if sink.row_count() == 0 => {
                    Err(no_such_call(session_id))
                }
                (_, ended) => ended.map_err(ApiError::from),
            };
            sink.end(ended);
        });
        pending.response().await
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.free).try_acquire_owned().map_err(|_| {
            ApiError::busy(&format!(
                "{REQUESTS_AT_ONCE} requests are running or waiting"
            ))
        })
    }
}

/// The routes of a lake, guarded as `guard` says.
pub fn routes(api: Api, guard: HostGuard) -> Router {
    let guarded = Router::new()
        .route("/api/v1/tables", get(tables))
        .route("/api/v1/sql", post(sql))
        .route("/api/v1/search", get(search))
        .route("/api/v1/calls/{*session_id}", get(call))
        .route("/api/v1/repair", get(repair::condition))
        .route("/api/v1/repair", post(repair::repair))
        .layer(middleware::from_fn(guard::check_host))
        .layer(Extension(guard));
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .merge(guarded)
        .fallback(|uri: Uri| async move { ApiError::no_such_route(uri.path(), ROUTES) })
        .method_not_allowed_fallback(|uri: Uri| async move {
            ApiError::wrong_method(uri.path(), ROUTES)
        })
        .with_state(api)
}

async fn health(State(api): State<Api>) -> Response {
    let edge = api.edge.as_ref().map_or(Value::Null, EdgeState::to_json);
    let lake = json!(api.watcher.status());
    answer_health(&api.health, api.started, edge, lake)
}

async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    render_metrics(&api.metrics)
}

async fn tables(State(api): State<Api>, uri: Uri) -> Result<Response, ApiError> {
    Parameters::of(&uri)?.finish()?;
    let tables = api.ask(|lake| Ok(lake.tables()?)).await?;
    Ok(Json(json!({ "tables": tables })).into_response())
}

async fn sql(State(api): State<Api>, headers: HeaderMap, body: Body) -> Result<Response, ApiError> {
    let format = Format::accepted(&headers, &Format::OF_ROWS)?;
    guard::check_content_type(&headers)?;
    let body = BodyLimits::new(BODY_BYTES_MAX).read(body).await?;
    let SqlRequest { sql, limit } = SqlRequest::parse(&body)?;
    api.answer(Question::Sql { sql, limit }, format, LADDER_COLUMNS)
        .await
}

async fn search(
    State(api): State<Api>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    let format = Format::accepted(&headers, &Format::OF_ROWS)?;
    let search = Parameters::of(&uri)?.search()?;
    api.answer(Question::Search(search), format, LADDER_COLUMNS)
        .await
}

async fn call(
    State(api): State<Api>,
    headers: HeaderMap,
    uri: Uri,
    session_id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(session_id) = session_id?;
    check_session_id(&session_id)?;
    let format = Format::accepted(&headers, &Format::OF_A_CALL)?;
    let CallParameters { width } = Parameters::of(&uri)?.call()?;
    let width = width.unwrap_or(LADDER_COLUMNS);
    api.answer(Question::Call(session_id), format, width).await
}
