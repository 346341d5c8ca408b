//! An answer as bytes, in each format, row by row.

use super::{format::Format, value::value};
use crate::{
    Columns, Coverage, Cut, End,
    ladder::{self, Step},
};
use arrow::{array::RecordBatch, error::ArrowError, ipc::writer::StreamWriter};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Bytes of rows that are written as one Arrow batch.
const ARROW_BATCH_BYTES: usize = 1 << 20;

/// Writes the parts of an answer one after the other.
pub(super) enum Writer {
    /// `{"columns": [{"name", "type"}], "rows": [[…]], "truncated", "elapsed_ms"}`.
    Json {
        is_first: bool,
        coverage: Option<Coverage>,
    },
    /// An object a row, a row a line, with these keys.
    Ndjson { keys: Vec<String> },
    /// RFC 4180: a header line, CRLF; null is nothing, the empty text is `""`.
    Csv,
    /// Arrow's IPC stream, with DuckDB's types as Arrow has them.
    Arrow(Option<Box<StreamWriter<Vec<u8>>>>),
    /// A ladder, which can only be drawn at the end.
    Text { width: usize, steps: Vec<Step> },
}

impl Writer {
    /// Of a format. A search in JSON says what it covers; `width` is a ladder's.
    pub(super) fn new(format: Format, width: usize, coverage: Option<Coverage>) -> Self {
        match format {
            Format::Json => Self::Json {
                is_first: true,
                coverage,
            },
            Format::Ndjson => Self::Ndjson { keys: Vec::new() },
            Format::Csv => Self::Csv,
            Format::Arrow => Self::Arrow(None),
            Format::Text => Self::Text {
                width,
                steps: Vec::new(),
            },
        }
    }

    /// Writes what stands before the rows.
    pub(super) fn begin(&mut self, columns: &Columns, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let names = || columns.schema.fields().iter().map(|field| field.name());
        match self {
            Self::Json { .. } => {
                let columns = names().zip(&columns.types);
                let columns = columns.map(|(name, kind)| json!({ "name": name, "type": kind }));
                let columns = Value::Array(columns.collect());
                out.extend(format!("{{\"columns\":{columns},\"rows\":[").into_bytes());
            }
            Self::Ndjson { keys } => *keys = self::keys(names()),
            Self::Csv => line(out, names().map(|name| Value::String(name.clone()))),
            Self::Arrow(writer) => {
                let stream = StreamWriter::try_new(Vec::new(), &columns.schema)?;
                *writer = Some(Box::new(stream));
            }
            Self::Text { .. } => {}
        }
        Ok(())
    }

    /// Cuts a batch into the parts that are written at once.
    pub(super) fn parts(&self, batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> + use<> {
        let rows = batch.num_rows();
        let size = match self {
            Self::Arrow(_) => {
                let bytes = batch.get_array_memory_size().max(1);
                (rows.saturating_mul(ARROW_BATCH_BYTES) / bytes).clamp(1, rows.max(1))
            }
            Self::Text { .. } => rows.max(1),
            _ => 1,
        };
        let batch = batch.clone();
        let parts = (0..rows).step_by(size);
        parts.map(move |from| batch.slice(from, size.min(rows - from)))
    }

    /// Writes the rows of a part.
    pub(super) fn rows(&mut self, part: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        match self {
            Self::Arrow(Some(writer)) => {
                writer.write(part)?;
                out.append(writer.get_mut());
            }
            Self::Arrow(None) => {}
            Self::Text { steps, .. } => steps.extend(Step::of_batch(part)),
            Self::Json { is_first, .. } => {
                for row in 0..part.num_rows() {
                    let separator = if *is_first { "" } else { "," };
                    *is_first = false;
                    let row = Value::Array(cells(part, row).collect());
                    out.extend(format!("{separator}{row}").into_bytes());
                }
            }
            Self::Ndjson { keys } => {
                for row in 0..part.num_rows() {
                    object(out, keys, cells(part, row));
                }
            }
            Self::Csv => (0..part.num_rows()).for_each(|row| line(out, cells(part, row))),
        }
        Ok(())
    }

    /// Writes what stands after the rows. Whether the answer is cut is part of JSON only.
    pub(super) fn end(&mut self, end: &End, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        match self {
            Self::Json { coverage, .. } => {
                let elapsed_ms = (end.elapsed.as_secs_f64() * 1e6).round() / 1e3;
                let truncated = end.cut.is_some();
                let by = match end.cut {
                    Some(Cut::Rows) => ",\"truncated_by\":\"rows\"",
                    Some(Cut::Bytes) => ",\"truncated_by\":\"bytes\"",
                    None => "",
                };
                let covers = coverage.as_ref().map_or_else(String::new, |coverage| {
                    let (searched, left_out) = (json!(coverage.searched), json!(coverage.left_out));
                    format!(",\"tables_searched\":{searched},\"tables_not_searched\":{left_out}")
                });
                let text = format!(
                    "],\"truncated\":{truncated}{by},\"elapsed_ms\":{elapsed_ms}{covers}}}"
                );
                out.extend(text.into_bytes());
            }
            Self::Arrow(writer) => {
                if let Some(mut writer) = writer.take() {
                    writer.finish()?;
                    out.append(writer.get_mut());
                }
            }
            Self::Text { width, steps } => {
                out.extend(ladder::draw(std::mem::take(steps), *width).into_bytes());
            }
            Self::Ndjson { .. } | Self::Csv => {}
        }
        Ok(())
    }

    /// Writes that the answer ends here by an error, where the format has a place for that.
    pub(super) fn fail(&mut self, code: &str, message: &str, out: &mut Vec<u8>) {
        let error = json!({ "code": code, "message": message });
        match self {
            Self::Json { .. } => {
                out.extend(format!("],\"truncated\":true,\"error\":{error}}}").into_bytes());
            }
            Self::Ndjson { .. } => out.extend(format!("{{\"error\":{error}}}\n").into_bytes()),
            Self::Csv | Self::Arrow(_) | Self::Text { .. } => {}
        }
    }
}

/// Keys for columns of these names. A name that was there before gets a number, as DuckDB gives it
/// where it has to.
fn keys<'n>(names: impl Iterator<Item = &'n String> + Clone) -> Vec<String> {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let all: BTreeSet<&String> = names.clone().collect();
    let unique = |name: &String| {
        let mut key = name.clone();
        let mut number = 0;
        while taken.contains(&key) || (number > 0 && all.contains(&key)) {
            number += 1;
            key = format!("{name}_{number}");
        }
        taken.insert(key.clone());
        key
    };
    names.map(unique).collect()
}

fn object(out: &mut Vec<u8>, keys: &[String], cells: impl Iterator<Item = Value>) {
    for (place, (key, cell)) in keys.iter().zip(cells).enumerate() {
        let separator = if place == 0 { "{" } else { "," };
        let key = Value::String(key.clone());
        out.extend(format!("{separator}{key}:{cell}").into_bytes());
    }
    if keys.is_empty() {
        out.push(b'{');
    }
    out.extend(b"}\n");
}

fn cells(batch: &RecordBatch, row: usize) -> impl Iterator<Item = Value> {
    batch.columns().iter().map(move |column| value(column, row))
}

fn line(out: &mut Vec<u8>, cells: impl Iterator<Item = Value>) {
    for (place, cell) in cells.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        match cell {
            Value::Null => {}
            Value::String(cell) => quote(out, &cell),
            cell => quote(out, &cell.to_string()),
        }
    }
    out.extend(b"\r\n");
}

fn quote(out: &mut Vec<u8>, cell: &str) {
    if cell.is_empty() || cell.contains([',', '"', '\r', '\n']) {
        out.push(b'"');
        out.extend(cell.replace('"', "\"\"").into_bytes());
        out.push(b'"');
    } else {
        out.extend(cell.as_bytes());
    }
}
