//! Data files: the one home of parquet in the host.
//!
//! One writer for each table and date. Rows are encoded as they come, so what waits in
//! memory is compressed; sealing a writer gives the bytes of a Parquet file.

use crate::{
    configuration::Compression as Codec,
    rows::{TablePlan, arrow_type},
};
use arrow::{array::RecordBatch, datatypes::Schema};
use heplake_format::{Column, ColumnType, ComponentDigest, EdgeName, Sequence, Table};
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{Compression, ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical},
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::{ColumnPath, SchemaDescriptor, Type},
};
use std::sync::Arc;

/// Rows of a row group, as the storage layout says.
const ROW_GROUP_ROWS_MAX: usize = 100_000;
/// Bytes of a row group: what a reader has to hold of it.
const ROW_GROUP_BYTES_MAX: usize = 128 << 20;
/// Bytes after which a file is full: the storage layout aims at 128 to 256 MiB.
pub const FILE_BYTES_MAX: usize = 256 << 20;
/// Longest text kept as the minimum or maximum of a column, in bytes: enough to tell
/// Call-IDs apart, and the rest would be written again in every catalog.
const STATISTICS_BYTES_MAX: usize = 64;
/// Columns that are asked for by equality: a bloom filter tells that a row group has none.
const BLOOM_FILTERED: [&str; 4] = ["session_id", "cid", "caller", "callee"];
/// One in a hundred row groups is read for nothing; halving that doubles the filter.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;
/// Columns whose values hardly repeat: a dictionary would be built for nothing.
const WITHOUT_DICTIONARY: [&str; 5] = ["uuid", "timestamp", "payload", "data_extra", "session_id"];

/// Why rows could not be written: only a fault of this program, or no memory.
#[derive(Debug, thiserror::Error)]
#[error("rows of {table} could not be encoded: {source}")]
pub struct DataFileError {
    table: String,
    source: ParquetError,
}

/// Rows of one table and date on their way to a file.
pub struct DataFileWriter {
    table: Table,
    writer: ArrowWriter<Vec<u8>>,
    record_count: u64,
}

/// A whole Parquet file in memory.
#[derive(Debug)]
pub struct SealedFile {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its rows.
    pub record_count: u64,
}

impl DataFileWriter {
    /// Starts a file for rows of a plan.
    ///
    /// # Errors
    /// Only if the plan makes no schema, which a plan always does.
    pub fn new(plan: &TablePlan, codec: Codec) -> Result<Self, DataFileError> {
        Self::of_table(plan.table(), codec)
    }

    /// Starts a file for rows of a table.
    ///
    /// # Errors
    /// Only if the table makes no schema, which a table always does.
    pub fn of_table(table: &Table, codec: Codec) -> Result<Self, DataFileError> {
        let failed = |source| DataFileError {
            table: table.name.to_string(),
            source,
        };
        let columns: Vec<&Column> = table
            .columns
            .iter()
            .filter(|c| c.column_type != ColumnType::Date)
            .collect();
        let fields = columns.iter().map(|column| {
            let data_type = arrow_type(column.column_type);
            arrow::datatypes::Field::new(column.name.as_str(), data_type, true)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let options = ArrowWriterOptions::new()
            .with_properties(properties(&columns, codec))
            .with_parquet_schema(parquet_schema(&columns).map_err(failed)?)
            // Readers go by Parquet's own types; Arrow's would say that text is bytes.
            .with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), schema, options);
        Ok(Self {
            table: table.clone(),
            writer: writer.map_err(failed)?,
            record_count: 0,
        })
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Rows so far.
    #[must_use]
    pub fn record_count(&self) -> u64 {
        self.record_count
    }

    /// Whether the file has the size that it should have.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.writer.bytes_written() + self.writer.in_progress_size() >= FILE_BYTES_MAX
    }

    /// Encodes rows.
    ///
    /// # Errors
    /// Only a fault of this program: the rows are of the table's types.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<(), DataFileError> {
        self.writer
            .write(rows)
            .map_err(|source| self.failed(source))?;
        self.record_count += rows.num_rows() as u64;
        Ok(())
    }

    /// Ends the file, and says in it who made it.
    ///
    /// # Errors
    /// Only a fault of this program.
    pub fn seal(
        mut self,
        edge: &EdgeName,
        sequence: Sequence,
        components: &[ComponentDigest],
    ) -> Result<SealedFile, DataFileError> {
        let made_by: Vec<String> = components
            .iter()
            .map(|c| format!("{}@{} sha256:{}", c.name, c.version, c.digest))
            .collect();
        for (key, value) in [
            ("heplake.edge", edge.to_string()),
            ("heplake.sequence", sequence.0.to_string()),
            ("heplake.components", made_by.join("\n")),
        ] {
            self.writer
                .append_key_value_metadata(KeyValue::new(key.into(), value));
        }
        let Self {
            table,
            writer,
            record_count,
        } = self;
        let bytes = writer.into_inner().map_err(|source| DataFileError {
            table: table.name.to_string(),
            source,
        })?;
        Ok(SealedFile {
            bytes,
            record_count,
        })
    }

    fn failed(&self, source: ParquetError) -> DataFileError {
        DataFileError {
            table: self.table.name.to_string(),
            source,
        }
    }
}

fn properties(columns: &[&Column], codec: Codec) -> WriterProperties {
    let compression = match codec {
        Codec::Snappy => Compression::SNAPPY,
        Codec::Zstd => Compression::ZSTD(parquet::basic::ZstdLevel::default()),
    };
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("heplake ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(compression)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES_MAX))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_statistics_truncate_length(Some(STATISTICS_BYTES_MAX))
        .set_offset_index_disabled(true);
    for column in columns {
        let name = column.name.as_str();
        let path = ColumnPath::from(name);
        if WITHOUT_DICTIONARY.contains(&name) || column.column_type == ColumnType::Blob {
            properties = properties.set_column_dictionary_enabled(path.clone(), false);
        }
        if BLOOM_FILTERED.contains(&name) {
            properties = properties
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_fpp(path.clone(), BLOOM_FALSE_POSITIVES)
                // The most there can be: the filter is folded to what there was.
                .set_column_bloom_filter_ndv(path, ROW_GROUP_ROWS_MAX as u64);
        }
    }
    properties.build()
}

/// The Parquet types of the storage layout: what `ducklake_add_data_files` takes for the
/// columns of its tables.
fn parquet_schema(columns: &[&Column]) -> Result<SchemaDescriptor, ParquetError> {
    let fields = columns.iter().map(|column| {
        let (physical, logical, converted) = match column.column_type {
            ColumnType::Varchar => (
                Physical::BYTE_ARRAY,
                Some(LogicalType::String),
                ConvertedType::UTF8,
            ),
            ColumnType::Json => (
                Physical::BYTE_ARRAY,
                Some(LogicalType::Json),
                ConvertedType::JSON,
            ),
            ColumnType::Blob => (Physical::BYTE_ARRAY, None, ConvertedType::NONE),
            ColumnType::UInteger => (Physical::INT32, Some(unsigned(32)), ConvertedType::UINT_32),
            ColumnType::UBigInt => (Physical::INT64, Some(unsigned(64)), ConvertedType::UINT_64),
            ColumnType::Double => (Physical::DOUBLE, None, ConvertedType::NONE),
            ColumnType::Date => (
                Physical::INT32,
                Some(LogicalType::Date),
                ConvertedType::DATE,
            ),
            ColumnType::Timestamp => {
                let logical = LogicalType::Timestamp {
                    is_adjusted_to_u_t_c: false,
                    unit: TimeUnit::MICROS,
                };
                // The converted type would say UTC, which is another type to DuckDB.
                (Physical::INT64, Some(logical), ConvertedType::NONE)
            }
        };
        Type::primitive_type_builder(column.name.as_str(), physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_converted_type(converted)
            .with_logical_type(logical)
            .build()
            .map(Arc::new)
    });
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    let root = Type::group_type_builder("schema")
        .with_fields(fields)
        .build()?;
    Ok(SchemaDescriptor::new(Arc::new(root)))
}

fn unsigned(bit_width: i8) -> LogicalType {
    LogicalType::Integer {
        bit_width,
        is_signed: false,
    }
}
