//! Samples: what a parser is to say of an input, as JSON.
//!
//! ```json
//! [
//!   {"name": "one reading", "text": "roof temperature 21.5\n",
//!    "expect": [{"station": "roof", "sensor": "temperature", "value": 21.5}]},
//!   {"name": "a cut line", "hex": "726f6f66", "expect": "not_a_reading"}
//! ]
//! ```
//!
//! The input is `text`, `hex` or `base64`. `expect` has an object for each row, by field; a
//! field that is not named must be null. Or it is the verdict: `not_mine`, or one of the
//! description's. `context` gives the context fields that a parser asks for, `received` the
//! time of arrival in µs since 1970.
//!
//! A text is a string, and octets that are no UTF-8 are `{"hex": "…"}` or `{"base64": "…"}`.
//! An address is a string such as `"192.0.2.1"`; in `context`, `{"address": "192.0.2.1"}`. A
//! number in `context` that is negative is a signed one; one that is not is `{"signed": 5}`.
//!
//! The same samples are run natively by a crate's own tests ([`check`]) and in the sandbox by
//! `heplake component test`. This module is for both: it does no IO, and is not built into
//! components.

mod answer;
mod value;

pub use answer::{Answer, Difference, answers};

use crate::{Batch, Cell, Description, Parser};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::fmt;

/// When an input arrived of which a sample does not say it, µs since 1970: 2026-01-01.
pub const RECEIVED: u64 = 1_767_225_600_000_000;

/// A sample that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleError(String);

impl SampleError {
    fn of(sample: &str, reason: impl fmt::Display) -> Self {
        Self(format!("sample \"{sample}\": {reason}"))
    }
}

impl fmt::Display for SampleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SampleError {}

/// An input, and what is to be said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What it shows.
    pub name: String,
    /// The packet.
    pub input: Vec<u8>,
    /// When it arrived, µs since 1970.
    pub received: u64,
    /// Context fields, by name.
    pub context: Map<String, Value>,
    /// What a parser is to say of it.
    pub expected: Expected,
}

/// What a parser is to say of an input.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// These rows, by field.
    Rows(Vec<Map<String, Value>>),
    /// No row, and this verdict.
    Verdict(String),
}

/// A sample as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    text: Option<String>,
    hex: Option<String>,
    base64: Option<String>,
    received: Option<u64>,
    #[serde(default)]
    context: Map<String, Value>,
    expect: Value,
}

impl Written {
    fn sample(self) -> Result<Sample, SampleError> {
        let failed = |reason: String| SampleError::of(&self.name, reason);
        let input = match (&self.text, &self.hex, &self.base64) {
            (Some(text), None, None) => text.clone().into_bytes(),
            (None, Some(hex), None) => value::from_hex(hex).map_err(failed)?,
            (None, None, Some(base64)) => value::from_base64(base64).map_err(failed)?,
            _ => return Err(failed("give one of `text`, `hex` and `base64`".into())),
        };
        let expected = match self.expect {
            Value::String(verdict) => Expected::Verdict(verdict),
            Value::Array(rows) if !rows.is_empty() => {
                let rows = rows.into_iter().map(|row| match row {
                    Value::Object(row) => Ok(row),
                    other => Err(SampleError::of(
                        &self.name,
                        format!("a row is an object by field name, not {other}"),
                    )),
                });
                Expected::Rows(rows.collect::<Result<_, _>>()?)
            }
            _ => {
                return Err(SampleError::of(
                    &self.name,
                    "`expect` is a list of rows that is not empty, or the name of a verdict",
                ));
            }
        };
        Ok(Sample {
            input,
            expected,
            name: self.name,
            received: self.received.unwrap_or(RECEIVED),
            context: self.context,
        })
    }
}

/// Reads samples: the text of a JSON file.
///
/// # Errors
/// Says where it is wrong.
pub fn read(text: &str) -> Result<Vec<Sample>, SampleError> {
    let written: Vec<Written> =
        serde_json::from_str(text).map_err(|error| SampleError(error.to_string()))?;
    written.into_iter().map(Written::sample).collect()
}

/// A batch of these samples, for a parser that describes itself so.
///
/// # Errors
/// Names the sample and the context field that is wrong.
pub fn batch(samples: &[&Sample], asked: &Description) -> Result<Batch<'static>, SampleError> {
    let inputs: Vec<&[u8]> = samples.iter().map(|sample| &*sample.input).collect();
    let mut batch = Batch::of(&inputs, RECEIVED);
    batch.received = samples.iter().map(|sample| sample.received).collect();
    let mut bytes = Vec::new();
    let mut cells = Vec::with_capacity(samples.len() * asked.context.len());
    for sample in samples {
        if let Some(name) = sample
            .context
            .keys()
            .find(|name| !asked.context.contains(name))
        {
            let reason = match asked.context.as_slice() {
                [] => format!("there is no context field `{name}`: this parser asks for none"),
                asked => format!(
                    "there is no context field `{name}`: this parser asks for {}",
                    asked.join(", ")
                ),
            };
            return Err(SampleError::of(&sample.name, reason));
        }
        for name in &asked.context {
            let value = sample.context.get(name).unwrap_or(&Value::Null);
            let cell = value::context_cell(value, &mut bytes)
                .map_err(|reason| SampleError::of(&sample.name, format!("`{name}`: {reason}")))?;
            cells.push(cell.0);
        }
    }
    batch.context = cells.into();
    batch.context_bytes = bytes.into();
    Ok(batch)
}

/// Runs samples, the text of a JSON file, through a parser natively.
///
/// # Errors
/// Every difference, a line each; or what is wrong with a sample.
pub fn check<P: Parser>(parser: &mut P, text: &str) -> Result<usize, String> {
    let samples = read(text).map_err(|error| error.to_string())?;
    let description = parser.describe();
    let all: Vec<&Sample> = samples.iter().collect();
    let batch = batch(&all, &description).map_err(|error| error.to_string())?;
    let parsed = crate::run(parser, &batch);
    let answers = answers(&description, &batch, &parsed);
    let mut report = String::new();
    for (sample, answer) in samples.iter().zip(&answers) {
        for difference in answer.differences(sample, &description) {
            report.push_str(&format!("\"{}\": {difference}\n", sample.name));
        }
    }
    match report.as_str() {
        "" => Ok(samples.len()),
        _ => Err(report),
    }
}

/// The value of a cell that names `length` octets behind what is in `bytes`.
fn span_behind(bytes: &mut Vec<u8>, octets: &[u8]) -> Cell {
    let cell = Cell::span(bytes.len() as u32, octets.len() as u32);
    bytes.extend_from_slice(octets);
    cell
}

#[cfg(test)]
mod tests;
