//! The Parquet schema of a table.

use heplake_format::{Column, ColumnType};
use parquet::{
    basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical},
    errors::ParquetError,
    schema::types::{SchemaDescriptor, Type},
};
use std::sync::Arc;

/// The Parquet types of the storage layout: what `ducklake_add_data_files` takes for the
/// columns of its tables.
pub(super) fn of(columns: &[&Column]) -> Result<SchemaDescriptor, ParquetError> {
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
            // As it is, an INT64 is signed.
            ColumnType::BigInt => (Physical::INT64, None, ConvertedType::NONE),
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
