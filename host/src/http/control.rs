//! Components over HTTP: list, stage, report, activate, roll back, remove, history.
//!
//! On a listener of its own: who may ask the lake may not change how packets are read. What
//! blocks runs on threads for that. An error is `{"error": {"code", "message"}}`, with the
//! report where there is one.

use super::{
    ApiError,
    body::{BodyLimits, Upload, Uploads},
    guard::{HostGuard, has_content_type},
};
use crate::{
    components::{
        Activate, Activated, ComponentStoreError, Control, ControlError, Entry, Remove, Report,
        Slot, Stage,
    },
    configuration::ControlSettings,
    process::Failure,
    sandbox::hexadecimal,
    signature::Signature,
};
use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{FromRequestParts, Path, Query, Request, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, Uri, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path as FilePath, sync::Arc,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};

/// Largest upload: as large as a component may be.
const UPLOAD_BYTES_MAX: usize = 64 << 20;
/// Largest body of other requests: a few digests.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Uploads at a time: one is tried, and one received meanwhile. Each may hold as much memory
/// as a component has bytes.
const UPLOADS_AT_ONCE: usize = 2;
/// Activations at a time: one is done, and one waits. A canary may be watched for an hour.
const ACTIVATIONS_AT_ONCE: usize = 2;
/// Other requests at a time, each of which holds a thread. Uploads and activations have places
/// of their own, so that a rollback waits for none.
const REQUESTS_AT_ONCE: usize = 8;
/// Largest token file, in bytes, and the shortest token that takes long to guess.
const TOKEN_BYTES_MAX: u64 = 4096;
const TOKEN_BYTES_MIN: usize = 16;

/// Header with the base64 of a signature over the exact bytes of the upload.
pub const SIGNATURE_HEADER: &str = "x-heplake-signature";
/// Content type of an upload.
pub const WASM: &str = "application/wasm";

/// Who did it, where nobody says.
const BY: &str = "http";

const ROUTES: &str = "GET and POST /api/v1/components, GET /api/v1/components/history, \
     GET and DELETE /api/v1/components/{digest}, GET /api/v1/components/{digest}/component.wasm, \
     POST /api/v1/components/{digest}/activate, POST /api/v1/components/{name}/rollback";

/// What requests must carry.
#[derive(Clone)]
struct Admission {
    host: HostGuard,
    /// SHA-256 of the token, so that comparing takes the same time for every wrong one.
    token: Option<Arc<str>>,
}

#[derive(Clone)]
struct Api {
    control: Arc<Control>,
    uploads: Uploads,
    activations: Arc<Semaphore>,
    free: Arc<Semaphore>,
}

/// The routes, for those whom `settings` admit.
///
/// # Errors
/// The token cannot be read, or others can read it.
pub fn control_routes(
    control: Arc<Control>,
    settings: &ControlSettings,
) -> Result<Router, Failure> {
    let token = settings.token_file.as_deref().map(read_token).transpose()?;
    let admission = Admission {
        host: HostGuard::of(settings.address),
        token: token.map(|token| digest(&token).into()),
    };
    let api = Api {
        control,
        uploads: Uploads::new(UPLOADS_AT_ONCE, BodyLimits::new(UPLOAD_BYTES_MAX)),
        activations: Arc::new(Semaphore::new(ACTIVATIONS_AT_ONCE)),
        free: Arc::new(Semaphore::new(REQUESTS_AT_ONCE)),
    };
    Ok(Router::new()
        .route("/api/v1/components", get(list).post(stage))
        .route("/api/v1/components/history", get(history))
        .route("/api/v1/components/{key}", get(report).delete(remove))
        .route("/api/v1/components/{key}/component.wasm", get(bytes))
        .route("/api/v1/components/{key}/activate", post(activate))
        .route("/api/v1/components/{key}/rollback", post(roll_back))
        .fallback(|uri: Uri| async move { ApiError::no_such_route(uri.path(), ROUTES) })
        .method_not_allowed_fallback(|uri: Uri| async move {
            ApiError::wrong_method(uri.path(), ROUTES)
        })
        .layer(middleware::from_fn(admit))
        .layer(Extension(admission))
        .with_state(api))
}

/// A token: the first line of a file that only its owner can read.
///
/// # Errors
/// Says what is wrong with the file, never what stands in it.
pub fn read_token(path: &FilePath) -> Result<String, Failure> {
    let shown = path.display();
    let failed = |error| {
        Failure::of(
            &format!("control.token_file {shown} cannot be read"),
            &error,
        )
    };
    let metadata = fs::metadata(path).map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Failure::Usage(format!(
            "control.token_file {shown} can be read by others (mode {mode:o}): chmod 600 {shown}"
        )));
    }
    if metadata.len() > TOKEN_BYTES_MAX {
        return Err(Failure::Usage(format!(
            "control.token_file {shown} has {} bytes, more than {TOKEN_BYTES_MAX}: is it the right file?",
            metadata.len()
        )));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let token = text.lines().next().unwrap_or_default().trim();
    if token.len() < TOKEN_BYTES_MIN {
        return Err(Failure::Usage(format!(
            "the token in control.token_file {shown} has {} characters, and needs {TOKEN_BYTES_MIN}: head -c 24 /dev/urandom | base64 makes one",
            token.len()
        )));
    }
    Ok(token.into())
}

async fn admit(
    Extension(admission): Extension<Admission>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if let Err(host) = admission.host.check(request.headers()) {
        return Err(ApiError::wrong_host(&host, "control"));
    }
    if let Some(token) = &admission.token {
        let given = request.headers().get(header::AUTHORIZATION);
        let given = given.and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer "));
        if given.is_none_or(|given| digest(given) != **token) {
            let message = "send the token of control.token_file as `Authorization: Bearer …`";
            return Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                message,
            ));
        }
    }
    Ok(next.run(request).await)
}

fn digest(token: &str) -> String {
    hexadecimal(&Sha256::digest(token.trim()))
}

/// A digest or name in the path of a request.
struct Key(String);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(key) = Path::from_request_parts(parts, state).await?;
        Ok(Self(key))
    }
}

/// What is there of a name.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    slot: Slot,
    /// Whether the active one was cut off.
    tripped: bool,
}

async fn list(State(api): State<Api>) -> Result<Response, ApiError> {
    api.ask(|control| {
        let (slots, entries) = control.list();
        let listed = |(name, slot): (String, Slot)| {
            let tripped = slot.active.as_ref().is_some_and(|d| control.is_tripped(d));
            (name, Listed { slot, tripped })
        };
        let slots: BTreeMap<String, Listed> = slots.into_iter().map(listed).collect();
        let entries: Vec<Value> = entries.iter().map(summary).collect();
        Ok(Json(json!({ "active": slots, "components": entries })).into_response())
    })
    .await
}

/// An entry without what is long.
fn summary(entry: &Entry) -> Value {
    json!({
        "name": entry.name,
        "version": entry.version,
        "digest": entry.digest,
        "world": entry.world,
        "size_bytes": entry.size_bytes,
        "staged_us": entry.staged_us,
        "staged_by": entry.staged_by,
        "signed_by": entry.signed_by,
        "accepted": entry.report.as_ref().map(Report::is_accepted),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StageParameters {
    name: Option<String>,
    by: Option<String>,
}

async fn stage(
    State(api): State<Api>,
    headers: HeaderMap,
    parameters: Result<Query<StageParameters>, QueryRejection>,
    body: Body,
) -> Result<Response, ApiError> {
    let Query(parameters) = parameters?;
    if !has_content_type(&headers, WASM) {
        return Err(ApiError::wrong_content_type(WASM));
    }
    let signature = headers.get(SIGNATURE_HEADER).map(|value| {
        let text = value.to_str().unwrap_or_default();
        text.parse::<Signature>().map_err(ControlError::from)
    });
    let signature = signature.transpose()?;
    let Upload { bytes, place } = api.uploads.receive(body).await?;
    let stage = Stage {
        bytes,
        name: parameters.name,
        by: parameters.by.unwrap_or_else(|| BY.into()),
        signature,
    };
    api.ask_from(place, move |control| {
        let entry = control.stage(stage)?;
        Ok((StatusCode::CREATED, Json(entry)).into_response())
    })
    .await
}

async fn history(State(api): State<Api>) -> Result<Response, ApiError> {
    api.ask(|control| Ok(Json(json!({ "events": control.history() })).into_response()))
        .await
}

async fn report(State(api): State<Api>, Key(digest): Key) -> Result<Response, ApiError> {
    api.ask(move |control| Ok(Json(control.entry(&digest)?).into_response()))
        .await
}

async fn bytes(State(api): State<Api>, Key(digest): Key) -> Result<Response, ApiError> {
    api.ask(move |control| {
        let bytes = control.bytes(&digest)?;
        Ok(([(header::CONTENT_TYPE, WASM)], bytes).into_response())
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RemoveParameters {
    #[serde(default)]
    force: bool,
    by: Option<String>,
}

/// Without a body: a page of a stranger cannot send this method, as browsers ask before.
async fn remove(
    State(api): State<Api>,
    Key(key): Key,
    parameters: Result<Query<RemoveParameters>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(RemoveParameters { force, by }) = parameters?;
    let by = by.unwrap_or_else(|| BY.into());
    let remove = Remove { key, force, by };
    api.ask(move |control| Ok(Json(control.remove(&remove)?).into_response()))
        .await
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ActivateRequest {
    /// Digests that are activated with it.
    with: Vec<String>,
    force: bool,
    by: Option<String>,
}

async fn activate(
    State(api): State<Api>,
    headers: HeaderMap,
    Key(digest): Key,
    body: Body,
) -> Result<Response, ApiError> {
    let request: ActivateRequest = json_body(&headers, body).await?;
    let mut digests = vec![digest];
    digests.extend(request.with);
    let activate = Activate {
        digests,
        force: request.force,
        by: request.by.unwrap_or_else(|| BY.into()),
    };
    let place = place(
        &api.activations,
        "another is being activated, and one waits for it",
    )?;
    api.ask_from(place, move |control| {
        Ok(answer(control.activate(&activate)?))
    })
    .await
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RollBackRequest {
    /// The digest that is to go, or its start.
    from: Option<String>,
    by: Option<String>,
}

async fn roll_back(
    State(api): State<Api>,
    headers: HeaderMap,
    Key(name): Key,
    body: Body,
) -> Result<Response, ApiError> {
    let request: RollBackRequest = json_body(&headers, body).await?;
    let by = request.by.unwrap_or_else(|| BY.into());
    let from = request.from;
    api.ask(move |control| {
        Ok(answer(control.roll_back_from(
            &name,
            from.as_deref(),
            &by,
        )?))
    })
    .await
}

fn answer(activated: Activated) -> Response {
    Json(activated).into_response()
}

/// A JSON object; none at all stands for an empty one.
async fn json_body<T: Default + for<'de> Deserialize<'de>>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, ApiError> {
    const JSON: &str = "application/json";
    if !has_content_type(headers, JSON) {
        return Err(ApiError::wrong_content_type(JSON));
    }
    let body = BodyLimits::new(BODY_BYTES_MAX).read(body).await?;
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(&body).map_err(|error| {
        ApiError::bad_request(format!(
            "the body is not the JSON object that belongs here: {error}"
        ))
    })
}

impl Api {
    /// Does what blocks. When the client goes away it is done nevertheless.
    async fn ask(
        &self,
        work: impl FnOnce(&Control) -> Result<Response, ApiError> + Send + 'static,
    ) -> Result<Response, ApiError> {
        let place = place(
            &self.free,
            &format!("{REQUESTS_AT_ONCE} requests are running"),
        )?;
        self.ask_from(place, work).await
    }

    /// The same from a place that was taken already, and is free once it is done.
    async fn ask_from(
        &self,
        place: OwnedSemaphorePermit,
        work: impl FnOnce(&Control) -> Result<Response, ApiError> + Send + 'static,
    ) -> Result<Response, ApiError> {
        let control = Arc::clone(&self.control);
        let done = spawn_blocking(move || {
            let _place = place;
            work(&control)
        });
        done.await
            .unwrap_or_else(|panic| Err(ApiError::ended_abnormally(&panic)))
    }
}

fn place(of: &Arc<Semaphore>, busy: &str) -> Result<OwnedSemaphorePermit, ApiError> {
    let place = Arc::clone(of).try_acquire_owned();
    place.map_err(|_| ApiError::busy(busy))
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let message = error.to_string();
        let (status, code) = match &error {
            ControlError::Store(ComponentStoreError::TooManyNames { .. }) => {
                (StatusCode::CONFLICT, "too_many_names")
            }
            ControlError::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "store"),
            ControlError::Components(_) => (StatusCode::CONFLICT, "does_not_fit"),
            ControlError::Refused(_) | ControlError::World { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "refused")
            }
            ControlError::Signature(_)
            | ControlError::Unsigned
            | ControlError::Untrusted { .. } => (StatusCode::FORBIDDEN, "untrusted"),
            ControlError::Unknown(_) => (StatusCode::NOT_FOUND, "unknown"),
            ControlError::Ambiguous(_) | ControlError::Twice(_) => {
                (StatusCode::BAD_REQUEST, "ambiguous")
            }
            ControlError::Impeded(_) => (StatusCode::CONFLICT, "impeded"),
            ControlError::Objected(_) => (StatusCode::CONFLICT, "objected"),
            ControlError::CanaryFailed { .. } => (StatusCode::CONFLICT, "canary_failed"),
            ControlError::Interrupted => (StatusCode::CONFLICT, "interrupted"),
            ControlError::Changed => (StatusCode::CONFLICT, "changed"),
            ControlError::NotActive { .. } => (StatusCode::CONFLICT, "not_active"),
            ControlError::NothingBefore(_) => (StatusCode::CONFLICT, "nothing_before"),
            ControlError::Kept(_) => (StatusCode::CONFLICT, "kept"),
            ControlError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            ControlError::WorkerStuck(_) => (StatusCode::SERVICE_UNAVAILABLE, "worker_stuck"),
            ControlError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        };
        let answer = Self::new(status, code, message);
        match error {
            ControlError::Impeded(report) | ControlError::Objected(report) => {
                answer.with("report", json!(report))
            }
            _ => answer,
        }
    }
}
