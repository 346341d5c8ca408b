//! Keeps web pages out, as [`HostGuard`] says: SQL must come as `application/json`.

use super::error::ApiError;
use axum::{Extension, extract::Request, http::HeaderMap, middleware::Next, response::Response};
use heplake_host::http::{HostGuard, has_content_type};

pub(super) async fn check_host(
    Extension(guard): Extension<HostGuard>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    match guard.check(request.headers()) {
        Ok(()) => Ok(next.run(request).await),
        Err(host) => Err(ApiError::wrong_host(&host, "http")),
    }
}

pub(super) fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    const JSON: &str = "application/json";
    match has_content_type(headers, JSON) {
        true => Ok(()),
        false => Err(ApiError::wrong_content_type(JSON)),
    }
}
