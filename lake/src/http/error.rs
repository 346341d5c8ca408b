//! Errors as clients see them: one table from what went wrong to a status and a code.

use crate::QueryError;
use axum::http::StatusCode;
pub(super) use heplake_host::http::ApiError;

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let (status, code) = match &error {
            QueryError::Refused(_) => (StatusCode::BAD_REQUEST, "statement_refused"),
            QueryError::Statement(_) => (StatusCode::BAD_REQUEST, "statement_invalid"),
            QueryError::Deadline(_) => (StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded"),
            QueryError::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            QueryError::OutOfMemory(_) => (StatusCode::INSUFFICIENT_STORAGE, "out_of_memory"),
            // Nobody reads it.
            QueryError::Abandoned => (StatusCode::SERVICE_UNAVAILABLE, "abandoned"),
            QueryError::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Self::new(status, code, error.to_string())
    }
}

/// No message is of this call.
pub(super) fn no_such_call(session_id: &str) -> ApiError {
    let message = format!(
        "no message has the Call-ID or correlation id {session_id}; what was received within the last flush interval is not registered yet"
    );
    ApiError::new(StatusCode::NOT_FOUND, "no_such_call", message)
}
