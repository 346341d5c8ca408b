//! The steps of a call, from rows.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{TimestampMicrosecondType, UInt32Type},
};
use serde::Deserialize;

/// Characters of a payload that a note shows, when nothing else is known of it.
const NOTE_CHARACTERS_MAX: usize = 200;

/// One row of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When, in µs since 1970, UTC.
    pub time_us: i64,
    /// From whom.
    pub source: Endpoint,
    /// To whom.
    pub destination: Endpoint,
    /// Number of CSeq.
    pub cseq_number: Option<u64>,
    /// Method of CSeq.
    pub cseq_method: Option<String>,
    /// What it is.
    pub content: Content,
}

/// Who sends or receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address, as the row has it; empty if it has none.
    pub ip: String,
    /// The port, if the row has one.
    pub port: Option<u32>,
}

/// What a step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A SIP request.
    Request {
        /// Its method.
        method: String,
        /// Whether it carries a session description.
        has_sdp: bool,
    },
    /// A SIP response.
    Response {
        /// Its code.
        code: String,
        /// Its reason phrase.
        reason: String,
        /// Whether it carries a session description.
        has_sdp: bool,
    },
    /// Something else of the call: a report, a log line.
    Note(String),
}

/// What of `data_extra` a ladder shows.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Extra {
    cseq: Option<String>,
    response_reason: Option<String>,
    content_type: Option<String>,
}

impl Step {
    /// The steps of the rows of a batch, by the names of its columns; what a column would
    /// say that is missing is not known.
    #[must_use]
    pub fn of_batch(batch: &RecordBatch) -> Vec<Self> {
        (0..batch.num_rows())
            .map(|row| Self::of_row(batch, row))
            .collect()
    }

    fn of_row(batch: &RecordBatch, row: usize) -> Self {
        let extra: Extra = text(batch, "data_extra", row)
            .and_then(|json| serde_json::from_str(&json).ok())
            .unwrap_or_default();
        let (number, method) = extra
            .cseq
            .as_deref()
            .and_then(|cseq| cseq.trim().split_once(char::is_whitespace))
            .unzip();
        Self {
            time_us: time(batch, row),
            source: endpoint(batch, "src_ip", "src_port", row),
            destination: endpoint(batch, "dst_ip", "dst_port", row),
            cseq_number: number.and_then(|number| number.parse().ok()),
            cseq_method: method
                .map(|method| method.trim().into())
                .or_else(|| text(batch, "cseq_method", row)),
            content: content(batch, row, &extra),
        }
    }

    pub(super) fn is_note(&self) -> bool {
        matches!(self.content, Content::Note(_))
    }
}

impl Endpoint {
    /// `10.0.0.1:5060`, `[::1]:5060`, or what is known of it.
    pub(super) fn name(&self) -> String {
        let ip = match self.ip.as_str() {
            "" => "?".into(),
            ip => super::printable(ip),
        };
        match self.port {
            None => ip,
            Some(port) if ip.contains(':') => format!("[{ip}]:{port}"),
            Some(port) => format!("{ip}:{port}"),
        }
    }
}

fn content(batch: &RecordBatch, row: usize, extra: &Extra) -> Content {
    let has_sdp = extra.content_type.as_deref().is_some_and(|content_type| {
        content_type
            .to_ascii_lowercase()
            .contains("application/sdp")
    });
    if let Some(code) = text(batch, "response_code", row) {
        return Content::Response {
            code,
            reason: extra.response_reason.clone().unwrap_or_default(),
            has_sdp,
        };
    }
    if let Some(method) = text(batch, "method", row) {
        return Content::Request { method, has_sdp };
    }
    let payload = text(batch, "payload", row).unwrap_or_default();
    let payload: String = payload.trim().chars().take(NOTE_CHARACTERS_MAX).collect();
    let kind = text(batch, "table", row);
    Content::Note(match kind.as_deref().map(kind_of_table) {
        Some(kind) => format!("{kind} {payload}"),
        None => payload,
    })
}

/// What the rows of a table are, in a word.
fn kind_of_table(table: &str) -> &str {
    match table {
        "hep_proto_5_default" => "RTCP",
        "hep_proto_34_default" => "RTP report",
        "hep_proto_35_default" => "RTCP-XR",
        "hep_proto_53_default" => "DNS",
        "hep_proto_100_default" => "log",
        other => other,
    }
}

fn endpoint(batch: &RecordBatch, ip: &str, port: &str, row: usize) -> Endpoint {
    Endpoint {
        ip: text(batch, ip, row).unwrap_or_default(),
        port: number(batch, port, row),
    }
}

fn text(batch: &RecordBatch, name: &str, row: usize) -> Option<String> {
    let column = batch.column_by_name(name)?;
    let column = column
        .as_string_opt::<i32>()
        .filter(|column| column.is_valid(row))?;
    Some(column.value(row).into())
}

fn number(batch: &RecordBatch, name: &str, row: usize) -> Option<u32> {
    let column = batch
        .column_by_name(name)?
        .as_primitive_opt::<UInt32Type>()
        .filter(|column| column.is_valid(row))?;
    Some(column.value(row))
}

fn time(batch: &RecordBatch, row: usize) -> i64 {
    let column = batch
        .column_by_name("timestamp")
        .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    column
        .filter(|column| column.is_valid(row))
        .map_or(0, |column| column.value(row))
}
