//! Bodies of requests: of a bounded size, there within a bounded time, and of a bounded number
//! where they are large.

use super::ApiError;
use axum::{
    body::{Body, HttpBody},
    http::StatusCode,
};
use std::{future::poll_fn, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// How long a body may take: the largest upload at 9 Mbit/s. A slower sender holds a place
/// that another could use.
const TIME_MAX: Duration = Duration::from_secs(60);

/// What a body may take.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    bytes_max: usize,
    time_max: Duration,
}

impl BodyLimits {
    /// For bodies of at most so many bytes, in the time that any may take.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            time_max: TIME_MAX,
        }
    }

    /// Reads a body to its end.
    ///
    /// # Errors
    /// It is larger, takes longer, or ends before its end.
    pub async fn read(self, body: Body) -> Result<Vec<u8>, ApiError> {
        let Self {
            bytes_max,
            time_max,
        } = self;
        let read = timeout(time_max, read(body, bytes_max)).await;
        read.unwrap_or_else(|_| {
            let message = format!("the body was not there within {} s", time_max.as_secs());
            Err(ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                "body_too_slow",
                message,
            ))
        })
    }
}

/// Frame by frame into the place where it stays: no copy of the whole is made.
async fn read(mut body: Body, bytes_max: usize) -> Result<Vec<u8>, ApiError> {
    let too_large = || {
        let message = format!("the body has more than {bytes_max} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    };
    let said = body.size_hint().lower();
    let size = usize::try_from(said).ok().filter(|size| *size <= bytes_max);
    let mut bytes = Vec::with_capacity(size.ok_or_else(too_large)?);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| {
            ApiError::bad_request(format!("the body could not be read to its end: {error}"))
        })?;
        // Trailers say nothing here.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > bytes_max {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// Places for large bodies, which are taken before any of one is read: who waits sends nothing
/// that would have to be kept.
#[derive(Clone, Debug)]
pub(super) struct Uploads {
    places: Arc<Semaphore>,
    at_once: usize,
    limits: BodyLimits,
}

/// A body, and the place that is free once this is dropped.
pub(super) struct Upload {
    pub(super) bytes: Vec<u8>,
    pub(super) place: OwnedSemaphorePermit,
}

impl Uploads {
    pub(super) fn new(at_once: usize, limits: BodyLimits) -> Self {
        Self {
            places: Arc::new(Semaphore::new(at_once)),
            at_once,
            limits,
        }
    }

    /// Takes a place and reads the body.
    pub(super) async fn receive(&self, body: Body) -> Result<Upload, ApiError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            ApiError::busy(&format!(
                "{} uploads are being received or tried",
                self.at_once
            ))
        })?;
        let bytes = self.limits.read(body).await?;
        Ok(Upload { bytes, place })
    }
}

#[cfg(test)]
impl BodyLimits {
    /// For bodies in less time than any may take.
    pub(super) fn within(self, time_max: Duration) -> Self {
        Self { time_max, ..self }
    }
}
