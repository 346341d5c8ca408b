//! What a query found.

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, IntervalUnit, SchemaRef, TimeUnit},
};
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

/// DuckDB's name of the type that it gives out as this field.
pub(crate) fn duckdb_type(field: &Field) -> String {
    if field.extension_type_name() == Some("arrow.json") {
        return "JSON".into();
    }
    if field.extension_type_name() == Some("arrow.uuid") {
        return "UUID".into();
    }
    match field.data_type() {
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INTEGER".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::UInt8 => "UTINYINT".into(),
        DataType::UInt16 => "USMALLINT".into(),
        DataType::UInt32 => "UINTEGER".into(),
        DataType::UInt64 => "UBIGINT".into(),
        DataType::Float32 => "FLOAT".into(),
        DataType::Float64 => "DOUBLE".into(),
        // DuckDB hands a HUGEINT, as sums of integers are, out as a decimal without scale.
        DataType::Decimal128(38, 0) => "HUGEINT".into(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision},{scale})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BLOB".into(),
        DataType::Date32 => "DATE".into(),
        DataType::Time32(_) | DataType::Time64(_) => "TIME".into(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE".into(),
        DataType::Timestamp(TimeUnit::Second, None) => "TIMESTAMP_S".into(),
        DataType::Timestamp(TimeUnit::Millisecond, None) => "TIMESTAMP_MS".into(),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "TIMESTAMP".into(),
        DataType::Timestamp(TimeUnit::Nanosecond, None) => "TIMESTAMP_NS".into(),
        DataType::Interval(IntervalUnit::MonthDayNano) => "INTERVAL".into(),
        DataType::Null => "\"NULL\"".into(),
        DataType::Dictionary(..) => "ENUM".into(),
        DataType::List(of) | DataType::LargeList(of) => format!("{}[]", duckdb_type(of)),
        DataType::FixedSizeList(of, length) => format!("{}[{length}]", duckdb_type(of)),
        DataType::Struct(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|field| format!("\"{}\" {}", field.name(), duckdb_type(field)));
            format!("STRUCT({})", fields.collect::<Vec<_>>().join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) => {
                let pair = pair.iter().map(|field| duckdb_type(field));
                format!("MAP({})", pair.collect::<Vec<_>>().join(", "))
            }
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}
