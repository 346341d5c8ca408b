//! What a query found.

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use std::time::Duration;

/// What a query found.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Names and Arrow types of the columns.
    pub schema: SchemaRef,
    /// DuckDB's names of the columns' types, in the same order.
    pub types: Vec<String>,
    /// The rows.
    pub batches: Vec<RecordBatch>,
    /// Whether there were more rows than the limit let through.
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
