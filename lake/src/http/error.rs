//! Errors as clients see them: one table from what went wrong to a status and a code.

use crate::QueryError;
use axum::{
    Json,
    extract::rejection::BytesRejection,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio::task::JoinError;

/// Seconds after which a client that was turned away should come back.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("2");

/// An answer that is an error: `{"error": {"code", "message"}}`.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let (status, code) = match &error {
            QueryError::Refused(_) => (StatusCode::BAD_REQUEST, "statement_refused"),
            QueryError::Statement(_) => (StatusCode::BAD_REQUEST, "statement_invalid"),
            QueryError::Deadline(_) => (StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded"),
            QueryError::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            QueryError::OutOfMemory(_) => (StatusCode::INSUFFICIENT_STORAGE, "out_of_memory"),
            QueryError::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: String) -> Self {
        Self {
            status,
            code,
            message,
        }
    }

    /// The client asked for something that cannot be.
    pub(super) fn bad_request(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(super) fn no_such_route(path: &str) -> Self {
        let message = format!("there is no {path}; there are {}", super::ROUTES);
        Self::new(StatusCode::NOT_FOUND, "no_such_route", message)
    }

    pub(super) fn wrong_method(path: &str) -> Self {
        let message = format!("{path} has another method; there are {}", super::ROUTES);
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message)
    }

    pub(super) fn no_such_call(session_id: &str) -> Self {
        let message = format!(
            "no message has the Call-ID or correlation id {session_id}; what was received within the last flush interval is not registered yet"
        );
        Self::new(StatusCode::NOT_FOUND, "no_such_call", message)
    }

    pub(super) fn not_acceptable(offered: &str) -> Self {
        let message = format!("Accept names nothing that can be given; there are {offered}");
        Self::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", message)
    }

    pub(super) fn wrong_content_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "wrong_content_type",
            "send a JSON object as content-type: application/json".into(),
        )
    }

    pub(super) fn wrong_host(host: &str) -> Self {
        let message = format!(
            "this address serves this machine only, as localhost or by IP address, not as {host:?}: a web page could reach it under a name of its own. Have a proxy send `Host: localhost`, or let http.host name another address"
        );
        Self::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", message)
    }

    pub(super) fn body(refused: &BytesRejection, bytes_max: usize) -> Self {
        match refused.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                format!("the body has more than {bytes_max} bytes"),
            ),
            status => Self::new(status, "bad_request", refused.body_text()),
        }
    }

    pub(super) fn too_many_requests(at_once: usize) -> Self {
        let message = format!("{at_once} requests are running or waiting; try again");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
    }

    pub(super) fn ended_abnormally(panic: &JoinError) -> Self {
        tracing::error!(%panic, "a request ended abnormally");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the request ended abnormally; the log says how".into(),
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self {
            status,
            code,
            message,
        } = self;
        if status.is_server_error() {
            tracing::warn!(%status, code, message, "a request failed");
        }
        metrics::counter!("heplake_http_errors_total", "code" => code).increment(1);
        let body = json!({ "error": { "code": code, "message": message } });
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, RETRY_AFTER_S);
        }
        response
    }
}
