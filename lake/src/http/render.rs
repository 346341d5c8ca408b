//! An answer as bytes, in each format.

use super::value::value;
use crate::Answer;
use arrow::{array::RecordBatch, error::ArrowError, ipc::writer::StreamWriter};
use serde::{Serialize, Serializer, ser::SerializeSeq};
use serde_json::{Value, json};

/// `{"columns": [{"name", "type"}], "rows": [[…]], "truncated", "elapsed_ms"}`.
pub(super) fn json(answer: &Answer) -> Vec<u8> {
    #[derive(Serialize)]
    struct Document<'a> {
        columns: Vec<Value>,
        rows: Rows<'a>,
        truncated: bool,
        elapsed_ms: f64,
    }
    let fields = answer.schema.fields().iter().zip(&answer.types);
    let document = Document {
        columns: fields
            .map(|(field, name)| json!({ "name": field.name(), "type": name }))
            .collect(),
        rows: Rows(answer),
        truncated: answer.truncated,
        elapsed_ms: (answer.elapsed.as_secs_f64() * 1e6).round() / 1e3,
    };
    // Keys are text and numbers are finite: writing to memory cannot fail.
    serde_json::to_vec(&document).unwrap_or_default()
}

/// An object a row, a row a line. Columns of one name keep the last.
pub(super) fn ndjson(answer: &Answer) -> Vec<u8> {
    let mut text = Vec::new();
    each_row(answer, |batch, row| {
        let fields = batch.schema_ref().fields().iter();
        let cells = fields.zip(cells(batch, row));
        let object: serde_json::Map<_, _> = cells
            .map(|(field, cell)| (field.name().clone(), cell))
            .collect();
        text.extend(Value::Object(object).to_string().into_bytes());
        text.push(b'\n');
    });
    text
}

/// RFC 4180: a header line, CRLF; null is nothing, the empty text is `""`.
pub(super) fn csv(answer: &Answer) -> Vec<u8> {
    let mut text = String::new();
    let names = answer.schema.fields().iter().map(|field| field.name());
    line(&mut text, names.map(|name| Value::String(name.clone())));
    each_row(answer, |batch, row| line(&mut text, cells(batch, row)));
    text.into_bytes()
}

/// Arrow's IPC stream, with DuckDB's types as Arrow has them.
pub(super) fn arrow_stream(answer: &Answer) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &answer.schema)?;
    for batch in &answer.batches {
        writer.write(batch)?;
    }
    writer.into_inner()
}

/// The rows as arrays, written one by one rather than built all at once.
struct Rows<'a>(&'a Answer);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.0.row_count()))?;
        for batch in &self.0.batches {
            for row in 0..batch.num_rows() {
                rows.serialize_element(&cells(batch, row).collect::<Vec<_>>())?;
            }
        }
        rows.end()
    }
}

fn each_row(answer: &Answer, mut show: impl FnMut(&RecordBatch, usize)) {
    for batch in &answer.batches {
        for row in 0..batch.num_rows() {
            show(batch, row);
        }
    }
}

fn cells(batch: &RecordBatch, row: usize) -> impl Iterator<Item = Value> {
    batch.columns().iter().map(move |column| value(column, row))
}

fn line(text: &mut String, cells: impl Iterator<Item = Value>) {
    for (place, cell) in cells.enumerate() {
        if place > 0 {
            text.push(',');
        }
        match cell {
            Value::Null => {}
            Value::String(cell) => quote(text, &cell),
            cell => quote(text, &cell.to_string()),
        }
    }
    text.push_str("\r\n");
}

fn quote(text: &mut String, cell: &str) {
    if cell.is_empty() || cell.contains([',', '"', '\r', '\n']) {
        text.push('"');
        text.push_str(&cell.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(cell);
    }
}
