//! What tables there are, and how much is in them.

use crate::{
    database::metadata_schema,
    query::{QueryError, Readers},
};
use heplake_format::PartitionDate;
use serde::{Deserialize, Serialize};

/// A table of the lake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSummary {
    /// Its name.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<ColumnSummary>,
    /// Its rows.
    pub record_count: u64,
    /// Its data files.
    pub file_count: u64,
    /// Size of its data files.
    pub file_size_bytes: u64,
    /// Its oldest partition; none if it is empty or partitioned otherwise.
    pub date_min: Option<PartitionDate>,
    /// Its newest partition.
    pub date_max: Option<PartitionDate>,
}

/// A column of a table of the lake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnSummary {
    /// Its name.
    pub name: String,
    /// Its type, as DuckDB calls it.
    #[serde(rename = "type")]
    pub column_type: String,
}

/// Reads the catalog only, no data file.
pub(crate) fn summaries(
    readers: &Readers,
    lake_name: &str,
) -> Result<Vec<TableSummary>, QueryError> {
    let metadata = metadata_schema(lake_name);
    readers.rows(&format!(
        "WITH columns AS (
            SELECT table_name, list({{'name': column_name, 'type': data_type}} ORDER BY column_index)
                AS columns
            FROM duckdb_columns()
            WHERE database_name = '{lake_name}' AND schema_name = 'main'
            GROUP BY table_name
        ), files AS (
            SELECT f.table_id, sum(f.record_count)::UBIGINT AS record_count,
                count(*)::UBIGINT AS file_count,
                sum(f.file_size_bytes)::UBIGINT AS file_size_bytes,
                min(p.date) AS date_min,
                max(p.date) AS date_max
            FROM {metadata}.ducklake_data_file f
            LEFT JOIN (
                SELECT data_file_id, TRY_CAST(partition_value AS DATE) AS date
                FROM {metadata}.ducklake_file_partition_value
            ) p ON p.data_file_id = f.data_file_id
                AND p.date BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'
            WHERE f.end_snapshot IS NULL
            GROUP BY f.table_id
        )
        SELECT t.table_name AS name, c.columns, coalesce(f.record_count, 0) AS record_count,
            coalesce(f.file_count, 0) AS file_count,
            coalesce(f.file_size_bytes, 0) AS file_size_bytes, f.date_min, f.date_max
        FROM {metadata}.ducklake_table t
        JOIN {metadata}.ducklake_schema s USING (schema_id)
        JOIN columns c USING (table_name)
        LEFT JOIN files f USING (table_id)
        WHERE t.end_snapshot IS NULL AND s.end_snapshot IS NULL AND s.schema_name = 'main'
        ORDER BY t.table_name"
    ))
}
