//! Footers of data files: what the catalog has to know of a file, read from its end.
//!
//! ```text
//!  … row groups … │ metadata (Thrift) │ length u32 LE │ "PAR1" │
//! ```
//!
//! Source: the Apache Parquet format, "File format" and `parquet.thrift`.

use heplake_format::{Column, ColumnType, PartitionDate, Table};
use parquet::{
    basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as PhysicalType},
    file::{
        metadata::{ParquetMetaData, ParquetMetaDataReader},
        statistics::Statistics,
    },
    schema::types::ColumnDescriptor,
};
use std::collections::BTreeSet;

/// Length of a file's last words: four bytes of length, four of magic.
pub(crate) const FOOTER_END_BYTES: u64 = 8;
/// Largest footer that is read. Ours have some kilobytes; what is larger is not ours.
const FOOTER_BYTES_MAX: u64 = 16 << 20;
/// Microseconds that DuckDB's TIMESTAMP can hold and print. Beyond it are its infinities
/// and what it refuses.
pub(crate) const TIMESTAMP_US: std::ops::RangeInclusive<i64> =
    -9_223_372_022_400_000_000..=9_223_372_036_854_775_806;
/// Most rows of a file: sums over all files of a table then stay far from overflow.
const RECORDS_MAX: u64 = 1 << 32;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Why a file cannot be a data file of its table.
#[derive(Debug, thiserror::Error)]
pub enum FooterError {
    /// Its last bytes are not Parquet's.
    #[error("it is no Parquet file: it does not end in PAR1")]
    Magic,
    /// Its footer cannot be that long.
    #[error("its footer claims {footer_bytes} of the file's {file_size_bytes} bytes")]
    Length {
        /// As claimed.
        footer_bytes: u64,
        /// As it is.
        file_size_bytes: u64,
    },
    /// The footer is damaged.
    #[error("its footer cannot be read: {0}")]
    Malformed(#[from] parquet::errors::ParquetError),
    /// It holds a column that its commit does not describe, or twice.
    #[error("it holds a column `{0}`, which the commit does not describe, or holds it twice")]
    Column(String),
    /// It holds the partition column, whose value stands in the path.
    #[error("it holds the column `{0}`, which must stand in its path only")]
    PartitionColumn(String),
    /// A column is of another type than described.
    #[error("its column `{column}` is {found}, not {expected}")]
    Type {
        /// The column.
        column: String,
        /// What the file says.
        found: String,
        /// What the commit says.
        expected: &'static str,
    },
    /// It cannot hold so many rows, or fewer than none.
    #[error("its footer claims {0} rows, not 0 to {RECORDS_MAX}")]
    Rows(i64),
}

impl FooterError {
    /// Whether the file may be sound, and belongs to a table with other columns.
    pub(crate) fn is_of_the_table(&self) -> bool {
        matches!(
            self,
            Self::Column(_) | Self::PartitionColumn(_) | Self::Type { .. }
        )
    }
}

/// What the catalog has to know of a file.
#[derive(Debug)]
pub(crate) struct Footer {
    pub(crate) record_count: u64,
    /// The columns of the file in their order, then the partition column.
    pub(crate) columns: Vec<ColumnFooter>,
}

/// What the catalog has to know of a column of a file.
#[derive(Debug)]
pub(crate) struct ColumnFooter {
    pub(crate) name: String,
    /// Compressed; 0 of the partition column.
    pub(crate) size_bytes: i64,
    /// Unknown if the writer kept no statistics.
    pub(crate) null_count: Option<i64>,
    /// Least and greatest value, of dates and timestamps.
    pub(crate) bounds: Bounds,
}

/// What is known of the least and the greatest value of a column, in microseconds since
/// 1970, both of them included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bounds {
    /// Nothing.
    Unknown,
    /// There is no value.
    Empty,
    /// All values lie between these.
    Between(i64, i64),
}

impl Bounds {
    /// What is known of both together.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Empty, known) | (known, Self::Empty) => known,
            (Self::Between(a, b), Self::Between(c, d)) => Self::Between(a.min(c), b.max(d)),
        }
    }
}

/// Whether the catalog keeps bounds of columns of this type, which is what files are pruned
/// by. Only of time: a file of an edge holds some seconds, while any other column spans its
/// whole range in nearly every file. What prunes nothing is not free: DuckLake reads the
/// statistics of every file of the lake for every filtered column (10 000 files: 223 ms a
/// query with 30 columns of them, 56 ms with 3).
pub(crate) fn keeps_bounds(column_type: ColumnType) -> bool {
    matches!(column_type, ColumnType::Date | ColumnType::Timestamp)
}

/// Length of the metadata, from the end of a file.
///
/// # Errors
/// When it is not the end of a Parquet file.
pub(crate) fn footer_length(tail: &[u8], file_size_bytes: u64) -> Result<u64, FooterError> {
    let Some((rest, b"PAR1")) = tail.split_last_chunk() else {
        return Err(FooterError::Magic);
    };
    let (_, length) = rest.split_last_chunk().ok_or(FooterError::Magic)?;
    let footer_bytes = u64::from(u32::from_le_bytes(*length));
    if footer_bytes > FOOTER_BYTES_MAX || footer_bytes + FOOTER_END_BYTES > file_size_bytes {
        return Err(FooterError::Length {
            footer_bytes,
            file_size_bytes,
        });
    }
    Ok(footer_bytes)
}

impl Footer {
    /// Reads the end of a file of `table` and `date`, and holds it to the table's columns.
    /// Columns may be missing: they read as null.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(crate) fn read(
        tail: &[u8],
        footer_bytes: u64,
        table: &Table,
        date: PartitionDate,
    ) -> Result<Self, FooterError> {
        let end = tail.len().saturating_sub(FOOTER_END_BYTES as usize);
        let start = end.saturating_sub(footer_bytes as usize);
        let metadata =
            ParquetMetaDataReader::decode_metadata(tail.get(start..end).unwrap_or(tail))?;
        let rows = metadata.file_metadata().num_rows();
        let record_count = u64::try_from(rows).ok().filter(|rows| *rows <= RECORDS_MAX);
        let record_count = record_count.ok_or(FooterError::Rows(rows))?;
        let schema = metadata.file_metadata().schema_descr();
        let mut names = BTreeSet::new();
        let mut columns = Vec::with_capacity(schema.num_columns() + 1);
        for (index, descriptor) in schema.columns().iter().enumerate() {
            // The path of a nested value names more than a column.
            let name = descriptor.path().string();
            let described = table.columns.iter().find(|c| c.name.as_str() == name);
            let Some(column) = described.filter(|_| names.insert(name.clone())) else {
                return Err(FooterError::Column(name));
            };
            if column.column_type == ColumnType::Date {
                return Err(FooterError::PartitionColumn(name));
            }
            if !is_of(column.column_type, descriptor) {
                return Err(FooterError::Type {
                    column: name,
                    found: describe(descriptor),
                    expected: column.column_type.sql(),
                });
            }
            columns.push(ColumnFooter::summed(&metadata, index, column));
        }
        let date_us = i64::from(date.days()) * MICROS_PER_DAY;
        let partition = |column: &&Column| column.column_type == ColumnType::Date;
        columns.extend(
            table
                .columns
                .iter()
                .filter(partition)
                .map(|column| ColumnFooter {
                    name: column.name.to_string(),
                    size_bytes: 0,
                    null_count: Some(0),
                    bounds: Bounds::Between(date_us, date_us),
                }),
        );
        Ok(Self {
            record_count,
            columns,
        })
    }
}

impl ColumnFooter {
    /// A column over all row groups.
    fn summed(metadata: &ParquetMetaData, index: usize, column: &Column) -> Self {
        let mut sum = Self {
            name: column.name.to_string(),
            size_bytes: 0,
            null_count: Some(0),
            bounds: Bounds::Empty,
        };
        for group in metadata.row_groups() {
            let Some(chunk) = group.columns().get(index) else {
                (sum.null_count, sum.bounds) = (None, Bounds::Unknown);
                continue;
            };
            let nulls = chunk.statistics().and_then(Statistics::null_count_opt);
            let nulls = nulls.and_then(|nulls| i64::try_from(nulls).ok());
            let is_empty = nulls.is_some_and(|nulls| nulls == group.num_rows());
            sum.size_bytes = sum
                .size_bytes
                .saturating_add(chunk.compressed_size().max(0));
            sum.null_count = sum.null_count.zip(nulls).map(|(a, b)| a.saturating_add(b));
            sum.bounds = sum.bounds.and(match chunk.statistics() {
                _ if is_empty => Bounds::Empty,
                Some(Statistics::Int64(values)) if keeps_bounds(column.column_type) => {
                    match (values.min_opt(), values.max_opt()) {
                        (Some(min), Some(max))
                            if TIMESTAMP_US.contains(min) && TIMESTAMP_US.contains(max) =>
                        {
                            Bounds::Between(*min, *max)
                        }
                        _ => Bounds::Unknown,
                    }
                }
                _ => Bounds::Unknown,
            });
        }
        sum
    }
}

/// Whether a column of a file holds values of a type.
fn is_of(column_type: ColumnType, found: &ColumnDescriptor) -> bool {
    let primitive = found.self_type();
    let flat = primitive.get_basic_info().has_repetition()
        && primitive.get_basic_info().repetition() != Repetition::REPEATED;
    let logical = found.logical_type_ref();
    let converted = found.converted_type();
    flat && match (column_type, found.physical_type()) {
        (ColumnType::Varchar, PhysicalType::BYTE_ARRAY) => {
            matches!(logical, Some(LogicalType::String))
                || (logical.is_none() && converted == ConvertedType::UTF8)
        }
        (ColumnType::Json, PhysicalType::BYTE_ARRAY) => {
            matches!(logical, Some(LogicalType::Json))
                || (logical.is_none() && converted == ConvertedType::JSON)
        }
        (ColumnType::Blob, PhysicalType::BYTE_ARRAY) => {
            logical.is_none() && converted == ConvertedType::NONE
        }
        (ColumnType::Timestamp, PhysicalType::INT64) => matches!(
            logical,
            Some(LogicalType::Timestamp {
                is_adjusted_to_u_t_c: false,
                unit: TimeUnit::MICROS,
            })
        ),
        (ColumnType::UInteger, PhysicalType::INT32) => converted == ConvertedType::UINT_32,
        (ColumnType::UBigInt, PhysicalType::INT64) => converted == ConvertedType::UINT_64,
        (ColumnType::BigInt, PhysicalType::INT64) => match logical {
            None => matches!(converted, ConvertedType::NONE | ConvertedType::INT_64),
            Some(LogicalType::Integer {
                bit_width: 64,
                is_signed: true,
            }) => true,
            _ => false,
        },
        (ColumnType::Double, PhysicalType::DOUBLE) => true,
        _ => false,
    }
}

fn describe(column: &ColumnDescriptor) -> String {
    let physical = column.physical_type();
    match (column.logical_type_ref(), column.converted_type()) {
        (Some(logical), _) => format!("{physical} ({logical:?})"),
        (None, ConvertedType::NONE) => physical.to_string(),
        (None, converted) => format!("{physical} ({converted})"),
    }
}
