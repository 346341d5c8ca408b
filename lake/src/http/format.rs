//! The format of an answer, by the request's `Accept` (RFC 9110, section 12.5.1).

use super::error::ApiError;
use axum::http::{HeaderMap, header};

/// A format of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One object with columns and rows.
    Json,
    /// An object a row, a row a line.
    Ndjson,
    /// RFC 4180, with a header line.
    Csv,
    /// Arrow's IPC stream.
    Arrow,
    /// A ladder.
    Text,
}

impl Format {
    /// The formats of rows; the first is given where any will do.
    pub(super) const OF_ROWS: [Self; 4] = [Self::Json, Self::Ndjson, Self::Csv, Self::Arrow];

    /// The formats of a call.
    pub(super) const OF_A_CALL: [Self; 5] =
        [Self::Json, Self::Ndjson, Self::Csv, Self::Arrow, Self::Text];

    /// The `Content-Type`.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Text => "text/plain; charset=utf-8",
        }
    }

    fn media_type(self) -> &'static str {
        let content_type = self.content_type();
        content_type
            .split_once(';')
            .map_or(content_type, |(media_type, _)| media_type)
    }

    /// The format that is preferred among those offered.
    ///
    /// # Errors
    /// None of them is acceptable.
    pub(super) fn accepted(headers: &HeaderMap, offered: &[Self]) -> Result<Self, ApiError> {
        let accept: Vec<&str> = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        let preferred = offered.iter().copied().rev().max_by(|a, b| {
            let quality = |format: &Self| format.quality(&accept);
            quality(a).total_cmp(&quality(b))
        });
        match preferred {
            Some(format) if format.quality(&accept) > 0.0 => Ok(format),
            _ => {
                let offered: Vec<_> = offered.iter().map(|format| format.media_type()).collect();
                Err(ApiError::not_acceptable(&offered.join(", ")))
            }
        }
    }

    /// How much the format is wanted, from 0 to 1: by the most specific range that has it.
    fn quality(self, accept: &[&str]) -> f32 {
        if accept.is_empty() {
            return 1.0;
        }
        let media_type = self.media_type();
        let (kind, _) = media_type.split_once('/').unwrap_or_default();
        let ranges = accept.iter().filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next()?.to_ascii_lowercase();
            let specific = match name.as_str() {
                "*/*" => 0,
                name if name.strip_suffix("/*") == Some(kind) => 1,
                name if name == media_type => 2,
                _ => return None,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            let quality = quality.map_or(Some(1.0), |quality| quality.parse().ok())?;
            Some((specific, quality))
        });
        ranges
            .max_by_key(|(specific, _)| *specific)
            .map_or(0.0, |(_, quality)| quality)
    }
}
