//! What waits for a person, and what somebody decides of it.
//!
//! Reading it is a query like others. A decision changes the lake: it needs the token of
//! `control.token_file` if there is one, and there must be one if others reach this address.

use super::{Api, error::ApiError, guard};
use crate::{Given, RepairError};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use heplake_host::{
    configuration::ControlSettings,
    http::{BodyLimits, read_token},
    process::Failure,
};
use std::{net::SocketAddr, sync::Arc};

/// Largest body of a decision, in bytes: a thousand columns with long names.
const BODY_BYTES_MAX: usize = 256 << 10;

/// Who may decide over HTTP.
#[derive(Clone, Debug)]
pub enum RepairGuard {
    /// Nobody, for this reason.
    Nobody(&'static str),
    /// Everybody who reaches the address: programs of this machine.
    Local,
    /// Who sends this token.
    Token(Arc<str>),
}

impl RepairGuard {
    /// The guard of an address, as the settings of `control` have it.
    ///
    /// # Errors
    /// The token cannot be read, or others can read it.
    pub fn of(address: SocketAddr, control: Option<&ControlSettings>) -> Result<Self, Failure> {
        let Some(control) = control else {
            return Ok(Self::Nobody(
                "control.enable is false: stop the service and run `heplake repair` where the catalog is",
            ));
        };
        Ok(match &control.token_file {
            Some(path) => Self::Token(read_token(path)?.into()),
            None if address.ip().is_loopback() => Self::Local,
            None => Self::Nobody(
                "others reach this address: set control.token_file, or run `heplake repair` where the catalog is while the service is stopped",
            ),
        })
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let token = match self {
            Self::Local => return check_local(headers),
            Self::Nobody(reason) => {
                return Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", *reason));
            }
            Self::Token(token) => token,
        };
        let given = headers.get(header::AUTHORIZATION);
        let given = given.and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer "));
        if given.is_some_and(|given| is_same(given.trim(), token)) {
            return Ok(());
        }
        let message = "send the token of control.token_file as `Authorization: Bearer …`";
        Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            message,
        ))
    }
}

/// Headers that a proxy or a page of a browser adds to a request: it then comes from somebody who is
/// not on this machine.
const OF_OTHERS: [&str; 5] = ["origin", "forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Refuses what others have this machine ask for.
fn check_local(headers: &HeaderMap) -> Result<(), ApiError> {
    let site = headers.get("sec-fetch-site");
    let is_page = site.is_some_and(|site| site != "none");
    if is_page || OF_OTHERS.iter().any(|name| headers.contains_key(*name)) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "a page or a proxy asks for a repair: set control.token_file, and send the token",
        ));
    }
    Ok(())
}

/// Compares in a time that does not tell how much of it is right.
fn is_same(given: &str, token: &str) -> bool {
    let differing = given
        .bytes()
        .zip(token.bytes())
        .fold(0, |d, (a, b)| d | (a ^ b));
    given.len() == token.len() && differing == 0
}

pub(super) async fn condition(State(api): State<Api>, uri: Uri) -> Result<Response, ApiError> {
    super::Parameters::of(&uri)?.finish()?;
    let condition = api
        .ask(|lake| lake.condition().map_err(|error| failed(&error)))
        .await?;
    Ok(Json(condition).into_response())
}

pub(super) async fn repair(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    guard::check_content_type(&headers)?;
    api.repairs.check(&headers)?;
    let body = BodyLimits::new(BODY_BYTES_MAX).read(body).await?;
    let given: Given = serde_json::from_slice(&body).map_err(|error| {
        ApiError::bad_request(format!(
            "the body must be a decision such as {{\"action\": \"retry\"}}, as docs/repair.md has them: {error}"
        ))
    })?;
    let repaired = api.ask(move |lake| Ok(lake.repair(&given)?)).await?;
    Ok(Json(repaired).into_response())
}

fn failed(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        error.to_string(),
    )
}

impl From<RepairError> for ApiError {
    fn from(error: RepairError) -> Self {
        let (status, code) = match &error {
            RepairError::Unconfirmed(_) => (StatusCode::CONFLICT, "unconfirmed"),
            RepairError::NothingThere(_) => (StatusCode::NOT_FOUND, "nothing_there"),
            RepairError::NoSuchColumn(_)
            | RepairError::Column(..)
            | RepairError::NothingToCastTo(_)
            | RepairError::Doubled(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            RepairError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            RepairError::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Self::new(status, code, error.to_string())
    }
}
