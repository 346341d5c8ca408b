//! What a query found: whole, or part by part to whoever takes it.

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use std::time::{Duration, Instant};

/// What a query found.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Names and Arrow types of the columns.
    pub schema: SchemaRef,
    /// DuckDB's names of the columns' types, in the same order.
    pub types: Vec<String>,
    /// The rows.
    pub batches: Vec<RecordBatch>,
    /// Whether there were more rows than the limits let through.
    pub truncated: bool,
    /// How long it took.
    pub elapsed: Duration,
}

impl Answer {
    /// Number of rows.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// The columns of an answer.
#[derive(Clone, Debug)]
pub struct Columns {
    /// Their names and Arrow types.
    pub schema: SchemaRef,
    /// DuckDB's names of their types, in the same order.
    pub types: Vec<String>,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// The limit that cut it, if one did.
    pub cut: Option<Cut>,
    /// How long it took.
    pub elapsed: Duration,
}

/// A limit that cut an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// There were more rows than were asked for, or than an answer may have.
    Rows,
    /// There were more bytes than an answer may have.
    Bytes,
}

/// Whether an answer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// More is taken.
    More,
    /// As many bytes were taken as an answer may have.
    Full,
    /// More was not taken before the deadline.
    Late,
    /// Nobody waits for the answer any more.
    Gone,
}

/// Takes an answer part by part, as DuckDB makes it, so that nobody holds all of it. It may block until
/// there is room, but not beyond the deadline.
pub trait Receiver: Send {
    /// Takes the columns, before any row. The whole answer must be taken before `deadline`.
    fn columns(&mut self, columns: &Columns, deadline: Instant) -> Flow;
    /// Takes some rows.
    fn rows(&mut self, batch: &RecordBatch) -> Flow;
}

/// Holds an answer, within the limits of one.
#[derive(Default)]
pub(crate) struct Held {
    columns: Option<Columns>,
    batches: Vec<RecordBatch>,
}

impl Receiver for Held {
    fn columns(&mut self, columns: &Columns, _: Instant) -> Flow {
        self.columns = Some(columns.clone());
        Flow::More
    }

    fn rows(&mut self, batch: &RecordBatch) -> Flow {
        self.batches.push(batch.clone());
        Flow::More
    }
}

impl Held {
    /// The answer that was taken.
    pub(crate) fn answer(self, end: End) -> Answer {
        let columns = self.columns.unwrap_or_else(|| Columns {
            schema: arrow::datatypes::Schema::empty().into(),
            types: Vec::new(),
        });
        Answer {
            schema: columns.schema,
            types: columns.types,
            batches: self.batches,
            truncated: end.cut.is_some(),
            elapsed: end.elapsed,
        }
    }
}
