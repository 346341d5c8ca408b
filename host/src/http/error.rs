//! An answer that is an error, as every client of a service sees it.

use axum::{
    Json,
    extract::rejection::{PathRejection, QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::task::JoinError;

/// Seconds after which a client that was turned away should come back.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("2");

/// The code of an answer to a client that was turned away.
const BUSY: &str = "busy";

/// An answer that is an error: `{"error": {"code", "message"}}`, and what else belongs to it.
/// It is counted and logged when it is answered.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    member: Option<(&'static str, Value)>,
}

impl ApiError {
    /// Of a status, a code that clients can compare, and a message for people.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            member: None,
        }
    }

    /// Counts it, and logs it if it is the service's fault. An error that becomes a response is recorded
    /// then; one that ends an answer which was begun has no response of its own.
    pub fn record(&self) {
        let Self {
            status,
            code,
            message,
            ..
        } = self;
        // Busy is no failure, and as frequent as clients like: it is counted.
        if status.is_server_error() && *code != BUSY {
            tracing::warn!(%status, code, message, "a request failed");
        }
        metrics::counter!("heplake_http_errors_total", "code" => *code).increment(1);
    }

    /// The code that clients can compare.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The message for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// With a member of the answer beside `error`.
    #[must_use]
    pub fn with(self, key: &'static str, value: Value) -> Self {
        Self {
            member: Some((key, value)),
            ..self
        }
    }

    /// The client asked for something that cannot be.
    #[must_use]
    pub fn bad_request(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// There is no such page; `routes` lists those there are.
    #[must_use]
    pub fn no_such_route(path: &str, routes: &str) -> Self {
        let message = format!("there is no {path}; there are {routes}");
        Self::new(StatusCode::NOT_FOUND, "no_such_route", message)
    }

    /// The page has another method; `routes` lists them.
    #[must_use]
    pub fn wrong_method(path: &str, routes: &str) -> Self {
        let message = format!("{path} has another method; there are {routes}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message)
    }

    /// None of the media types `offered` is acceptable.
    #[must_use]
    pub fn not_acceptable(offered: &str) -> Self {
        let message = format!("Accept names nothing that can be given; there are {offered}");
        Self::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", message)
    }

    /// The body is to be of another media type.
    #[must_use]
    pub fn wrong_content_type(expected: &str) -> Self {
        let message = format!("send the body as content-type: {expected}");
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "wrong_content_type",
            message,
        )
    }

    /// The request names a host that [`super::HostGuard`] refuses; `section` of the
    /// configuration says where it is served.
    #[must_use]
    pub fn wrong_host(host: &str, section: &str) -> Self {
        let message = format!(
            "this address serves this machine only, as localhost or by IP address, not as {host:?}: a web page could reach it under a name of its own. Have a proxy send `Host: localhost`, or let {section}.host name another address"
        );
        Self::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", message)
    }

    /// All places are taken: `what` says of what.
    #[must_use]
    pub fn busy(what: &str) -> Self {
        let message = format!("{what}; try again");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, BUSY, message)
    }

    /// What was done for the request panicked.
    #[must_use]
    pub fn ended_abnormally(panic: &JoinError) -> Self {
        tracing::error!(%panic, "a request ended abnormally");
        let message = "the request ended abnormally; the log says how";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }
}

impl From<QueryRejection> for ApiError {
    fn from(refused: QueryRejection) -> Self {
        Self::bad_request(refused.body_text())
    }
}

impl From<PathRejection> for ApiError {
    fn from(refused: PathRejection) -> Self {
        Self::bad_request(refused.body_text())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.record();
        let Self {
            status,
            code,
            message,
            member,
        } = self;
        let mut body = json!({ "error": { "code": code, "message": message } });
        if let Some((key, value)) = member {
            body[key] = value;
        }
        let headers = [
            // A message may name a call, which is nobody else's to keep.
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        let mut response = (status, headers, Json(body)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, RETRY_AFTER_S);
        }
        response
    }
}
