//! What a parser said of an input, and how it differs from what it was to say.

use super::{Expected, Sample, value};
use crate::{Batch, Cell, Description, Parsed, Verdict};
use serde_json::{Map, Value};
use std::fmt;

/// What a parser said of an input.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// `parsed`, `not_mine`, or one of the description's verdicts.
    pub verdict: String,
    /// Its rows, with those fields that are not null.
    pub rows: Vec<Map<String, Value>>,
}

/// What a parser said of each item of a batch.
#[must_use]
pub fn answers(description: &Description, batch: &Batch<'_>, parsed: &Parsed) -> Vec<Answer> {
    let mut answers: Vec<Answer> = parsed
        .verdicts
        .iter()
        .map(|code| Answer {
            verdict: verdict_name(description, *code),
            rows: Vec::new(),
        })
        .collect();
    let rows = parsed.cells.chunks_exact(description.fields.len().max(1));
    for (cells, item) in rows.zip(&parsed.items) {
        let Some(answer) = answers.get_mut(*item as usize) else {
            continue;
        };
        let fields = description.fields.iter().zip(cells);
        let values = fields.filter_map(|(field, cell)| {
            let value = value::of_cell(field.kind, Cell(*cell), &batch.bytes, &parsed.scratch);
            (!value.is_null()).then(|| (field.name.clone(), value))
        });
        answer.rows.push(values.collect());
    }
    answers
}

fn verdict_name(description: &Description, code: u32) -> String {
    match code {
        _ if code == Verdict::PARSED.code() => "parsed".into(),
        _ if code == Verdict::NOT_MINE.code() => "not_mine".into(),
        _ => {
            let named = description.verdicts.get(code as usize - 2);
            named.map_or_else(
                || format!("{code} (not described)"),
                |verdict| verdict.name.clone(),
            )
        }
    }
}

/// How an answer differs from a sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// Another verdict.
    Verdict {
        /// What was expected.
        expected: String,
        /// What was said.
        found: String,
    },
    /// Another number of rows.
    RowCount {
        /// What was expected.
        expected: usize,
        /// What was said.
        found: usize,
    },
    /// Another value.
    Field {
        /// The row, from 1 on.
        row: usize,
        /// The field.
        field: String,
        /// What was expected.
        expected: Value,
        /// What was said.
        found: Value,
    },
    /// The sample expects what cannot be.
    Sample {
        /// The row, from 1 on.
        row: usize,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verdict { expected, found } => {
                write!(f, "expected {expected}, but it was {found}")
            }
            Self::RowCount { expected, found } => {
                write!(f, "expected {expected} rows, but there are {found}")
            }
            Self::Field {
                row,
                field,
                expected,
                found,
            } => write!(
                f,
                "row {row}, field `{field}`: expected {expected}, but it is {found}"
            ),
            Self::Sample { row, reason } => {
                write!(f, "row {row} of the sample cannot be: {reason}")
            }
        }
    }
}

impl Answer {
    /// How it differs from what the sample expects; empty if it does not.
    #[must_use]
    pub fn differences(&self, sample: &Sample, description: &Description) -> Vec<Difference> {
        let expected = match &sample.expected {
            Expected::Verdict(verdict) if *verdict == self.verdict => return Vec::new(),
            Expected::Verdict(verdict) => {
                return vec![Difference::Verdict {
                    expected: verdict.clone(),
                    found: self.verdict.clone(),
                }];
            }
            Expected::Rows(rows) => rows,
        };
        let mut differences = Vec::new();
        if self.rows.is_empty() {
            return vec![Difference::Verdict {
                expected: format!("{} rows", expected.len()),
                found: self.verdict.clone(),
            }];
        }
        if self.rows.len() != expected.len() {
            differences.push(Difference::RowCount {
                expected: expected.len(),
                found: self.rows.len(),
            });
        }
        for (number, (expected, found)) in expected.iter().zip(&self.rows).enumerate() {
            let row = number + 1;
            let names = expected.keys();
            let unknown = names.filter(|name| {
                let known = description.fields.iter().any(|field| field.name == **name);
                !known
            });
            differences.extend(unknown.map(|name| Difference::Sample {
                row,
                reason: format!("there is no field `{name}`"),
            }));
            for field in &description.fields {
                let null = Value::Null;
                let expected = expected.get(&field.name).unwrap_or(&null);
                let found = found.get(&field.name).unwrap_or(&null);
                match value::canonical(field.kind, expected) {
                    Ok(expected) if expected == *found => {}
                    Ok(expected) => differences.push(Difference::Field {
                        row,
                        field: field.name.clone(),
                        expected,
                        found: found.clone(),
                    }),
                    Err(reason) => differences.push(Difference::Sample {
                        row,
                        reason: format!("field `{}`: {reason}", field.name),
                    }),
                }
            }
        }
        differences
    }
}
