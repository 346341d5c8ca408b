//! Registering files: one transaction that writes what `ducklake_add_data_files` would, and
//! the ledger row of every commit.
//!
//! What differs from the extension, and why, is listed and tested in
//! `tests/differential.rs`.

use super::{AsideState, Catalog, CatalogTable, PARTITION_COLUMN, SetAsideRow, Snapshot};
use crate::{
    database::{DatabaseError, literal},
    footer::{Bounds, Footer, keeps_bounds},
};
use heplake_format::{ColumnType, DataFilePath, EdgeName, Sequence, TableName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A commit to register, its files checked.
pub(crate) struct NewCommit {
    pub(crate) edge: EdgeName,
    pub(crate) sequence: Sequence,
    /// When the edge made it; none if its document is not to be compared again.
    pub(crate) created_us: Option<u64>,
    pub(crate) files: Vec<NewFile>,
    /// Its other files, which nobody can query until somebody decides.
    pub(crate) set_aside: Vec<SetAsideRow>,
    /// Whether the ledger has it among the refused.
    pub(crate) was_refused: bool,
}

/// A file to register, checked: its table is in the lake with all its columns.
pub(crate) struct NewFile {
    pub(crate) path: DataFilePath,
    pub(crate) footer: Footer,
    pub(crate) footer_bytes: u64,
    pub(crate) file_size_bytes: u64,
}

/// Column, its name in the file, whether its value stands in the path: a file's mapping.
type Mapping = BTreeSet<(i64, String, bool)>;

#[derive(Serialize)]
struct DataFileRow {
    data_file_id: i64,
    table_id: i64,
    path: String,
    record_count: u64,
    file_size_bytes: u64,
    footer_size: u64,
    row_id_start: i64,
    partition_id: i64,
    partition_value: String,
    mapping_id: i64,
}

#[derive(Serialize)]
struct FileColumnRow {
    data_file_id: i64,
    table_id: i64,
    column_id: i64,
    column_size_bytes: i64,
    value_count: Option<i64>,
    null_count: Option<i64>,
    is_date: bool,
    min_us: Option<i64>,
    max_us: Option<i64>,
}

#[derive(Serialize)]
struct MappingRow {
    mapping_id: i64,
    table_id: i64,
    column_id: i64,
    source_name: String,
    target_field_id: i64,
    is_partition: u8,
}

#[derive(Default, Serialize, Deserialize)]
struct TableRow {
    table_id: i64,
    record_count: i64,
    next_row_id: i64,
    file_size_bytes: i64,
}

#[derive(Serialize, Deserialize)]
struct TableColumnRow {
    table_id: i64,
    column_id: i64,
    contains_null: Option<bool>,
    #[serde(default)]
    is_date: bool,
    min_us: Option<i64>,
    max_us: Option<i64>,
}

/// A file as the catalog has it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RegisteredFile {
    pub(crate) data_file_id: i64,
    pub(crate) table_id: i64,
    /// Relative to the data path.
    pub(crate) path: String,
    pub(crate) record_count: u64,
    pub(crate) file_size_bytes: u64,
    pub(crate) footer_size: u64,
    /// When it was registered, µs since 1970.
    pub(crate) registered_us: i64,
}

/// All rows of one transaction.
#[derive(Default)]
struct Rows {
    files: Vec<DataFileRow>,
    file_columns: Vec<FileColumnRow>,
    mappings: Vec<MappingRow>,
    tables: BTreeMap<i64, TableRow>,
    table_columns: BTreeMap<(i64, i64), TableColumnRow>,
}

/// Two columns of text made by DuckDB of two of microseconds, so that the catalog holds
/// what its own casts would write.
const BOUNDS: &str = "CASE WHEN r.is_date THEN make_timestamp(r.min_us)::DATE::VARCHAR
        ELSE make_timestamp(r.min_us)::VARCHAR END AS min_value,
    CASE WHEN r.is_date THEN make_timestamp(r.max_us)::DATE::VARCHAR
        ELSE make_timestamp(r.max_us)::VARCHAR END AS max_value";

impl Catalog {
    /// Registers commits: all of them or, on an error, none.
    ///
    /// The tables must be [refreshed](Catalog::refresh); if they changed since, nothing is
    /// done but an error returned.
    pub(crate) fn register(&self, commits: &[NewCommit]) -> Result<(), DatabaseError> {
        let files: Vec<_> = commits.iter().flat_map(|commit| &commit.files).collect();
        self.write_files(&[], &files, |snapshot_id| {
            self.write_commits(commits, snapshot_id)
        })
    }

    /// Registers a file that was set aside, or what was made of it, and notes the decision.
    pub(crate) fn register_set_aside(
        &self,
        row: &SetAsideRow,
        file: &NewFile,
        state: AsideState,
        decision: &str,
    ) -> Result<(), DatabaseError> {
        self.write_files(&[], &[file], |_| {
            self.write_decision(row, state, decision)?;
            self.count_in(row, file.footer.record_count)
        })
    }

    /// Takes a file out of the catalog, and registers another in its place if there is one.
    pub(crate) fn replace(
        &self,
        registered: &RegisteredFile,
        file: Option<&NewFile>,
    ) -> Result<(), DatabaseError> {
        let files: Vec<_> = file.into_iter().collect();
        self.write_files(&[registered], &files, |_| {
            self.delete_changed(&registered.path)
        })
    }

    /// Writes one snapshot, in one transaction with rows of the ledger. There is none if no
    /// file comes or goes.
    fn write_files(
        &self,
        removed: &[&RegisteredFile],
        files: &[&NewFile],
        ledger: impl Fn(i64) -> Result<(), DatabaseError>,
    ) -> Result<(), DatabaseError> {
        self.session.transaction(|| {
            let snapshot = self.snapshot()?;
            if snapshot.schema_version != self.schema_version {
                return Err(DatabaseError::Internal(
                    "someone else changed the tables meanwhile: trying again next time".into(),
                ));
            }
            for file in removed {
                self.remove(file)?;
            }
            // DuckLake keeps statistics by the next id: it has to grow with every change.
            let mut next_file_id = snapshot.next_file_id + i64::from(!removed.is_empty());
            let rows = self.rows(files, &mut next_file_id)?;
            let deletes = removed
                .iter()
                .map(|file| format!("deleted_from_table:{}", file.table_id));
            let inserts = rows
                .tables
                .keys()
                .map(|table_id| format!("inserted_into_table:{table_id}"));
            let changes: Vec<_> = deletes.chain(inserts).collect();
            let snapshot_id = snapshot.snapshot_id + i64::from(!changes.is_empty());
            if !rows.files.is_empty() {
                self.write(&rows, snapshot_id)?;
            }
            if !changes.is_empty() {
                let next = Snapshot {
                    snapshot_id,
                    next_file_id,
                    ..snapshot
                };
                self.write_snapshot(next, &changes)?;
            }
            ledger(snapshot_id)
        })
    }

    /// Deletes all that the catalog has of a file. Earlier snapshots lose it too: whatever
    /// is in its place, it is not what they had.
    fn remove(&self, file: &RegisteredFile) -> Result<(), DatabaseError> {
        let RegisteredFile {
            data_file_id,
            table_id,
            record_count,
            file_size_bytes,
            ..
        } = file;
        let metadata = &self.metadata;
        for table in [
            "ducklake_data_file",
            "ducklake_file_column_stats",
            "ducklake_file_partition_value",
            "ducklake_delete_file",
        ] {
            self.session.execute(&format!(
                "DELETE FROM {metadata}.{table} WHERE data_file_id = {data_file_id}"
            ))?;
        }
        // The statistics of columns may be wider than the rows, and never narrower.
        self.session.execute(&format!(
            "UPDATE {metadata}.ducklake_table_stats
             SET record_count = record_count - {record_count},
                file_size_bytes = file_size_bytes - {file_size_bytes}
             WHERE table_id = {table_id}"
        ))
    }

    /// Files as the catalog has them, in the order of their ids: those behind `after`, or
    /// the one of a path.
    pub(crate) fn registered_files(
        &self,
        after: i64,
        path: Option<&str>,
        limit: usize,
    ) -> Result<Vec<RegisteredFile>, DatabaseError> {
        let path = path.map_or(String::new(), |path| {
            format!("AND path = {}", literal(path))
        });
        self.session.rows(
            &format!(
                "SELECT * FROM (
                    SELECT f.data_file_id, f.table_id, s.path || t.path || f.path AS path,
                        f.record_count, f.file_size_bytes, f.footer_size,
                        coalesce(epoch_us(TRY_CAST(n.snapshot_time AS TIMESTAMPTZ)), 0)
                            AS registered_us
                    FROM {0}.ducklake_data_file f
                    JOIN {0}.ducklake_table t ON t.table_id = f.table_id
                        AND t.end_snapshot IS NULL
                    JOIN {0}.ducklake_schema s ON s.schema_id = t.schema_id
                        AND s.end_snapshot IS NULL
                    LEFT JOIN {0}.ducklake_snapshot n ON n.snapshot_id = f.begin_snapshot
                    WHERE f.end_snapshot IS NULL AND f.data_file_id > {after}
                        AND f.path_is_relative AND t.path_is_relative AND s.path_is_relative
                 ) WHERE true {path} ORDER BY data_file_id LIMIT {limit}",
                self.metadata
            ),
            &[],
        )
    }

    /// Whether a file has other times than it had when it was registered.
    pub(crate) fn bounds_differ(
        &self,
        data_file_id: i64,
        table: &TableName,
        footer: &Footer,
    ) -> Result<bool, DatabaseError> {
        #[derive(Deserialize)]
        struct Row {
            column_id: i64,
            min_us: Option<i64>,
            max_us: Option<i64>,
        }
        let known = self.session.rows::<Row>(
            &format!(
                "SELECT column_id, epoch_us(TRY_CAST(min_value AS TIMESTAMP)) AS min_us,
                    epoch_us(TRY_CAST(max_value AS TIMESTAMP)) AS max_us
                 FROM {}.ducklake_file_column_stats WHERE data_file_id = {data_file_id}",
                self.metadata
            ),
            &[],
        )?;
        let Some(table) = self.tables.get(table) else {
            return Ok(false);
        };
        let differs = |row: &Row| {
            let column = table
                .columns
                .iter()
                .find(|(_, c)| c.column_id == row.column_id);
            let column = column.filter(|(_, c)| c.column_type.is_some_and(keeps_bounds));
            let found = column.and_then(|(name, _)| {
                footer
                    .columns
                    .iter()
                    .find(|found| found.name == name.as_str())
            });
            found.is_some_and(|found| found.bounds.ends() != (row.min_us, row.max_us))
        };
        Ok(known.iter().any(differs))
    }

    /// Works out every row, from what the catalog has now.
    fn rows(&self, files: &[&NewFile], next_file_id: &mut i64) -> Result<Rows, DatabaseError> {
        // DuckLake knows no file without rows.
        let files = files.iter().copied();
        let files: Vec<_> = files.filter(|file| file.footer.record_count > 0).collect();
        let mut tables = BTreeMap::new();
        for file in &files {
            tables.insert(file.path.table.clone(), self.table(file)?);
        }
        let ids: Vec<_> = tables
            .values()
            .map(|(table, _)| table.table_id.to_string())
            .collect();
        let ids = ids.join(", ");
        let mut known = self.mappings(&ids)?;
        let mut rows = Rows {
            tables: self.table_stats(&ids)?,
            table_columns: self.table_column_stats(&ids)?,
            ..Rows::default()
        };
        for file in files {
            let Some((table, partition_id)) = tables.get(&file.path.table) else {
                continue;
            };
            let mapping = mapping(table, file);
            let mapping_id = *known.entry((table.table_id, mapping)).or_insert_with_key(
                |(table_id, mapping)| {
                    // Of the file ids, not of the catalog ids as the specification says:
                    // the extension looks for new mappings by `next_file_id`.
                    let mapping_id = take(next_file_id);
                    rows.mappings
                        .extend(MappingRow::of(mapping_id, *table_id, file, mapping));
                    mapping_id
                },
            );
            rows.add(file, table, *partition_id, mapping_id, take(next_file_id));
        }
        Ok(rows)
    }

    fn table(&self, file: &NewFile) -> Result<(&CatalogTable, i64), DatabaseError> {
        let table = self.tables.get(&file.path.table);
        let found = table.and_then(|table| Some((table, table.partition_id?)));
        found.ok_or_else(|| {
            let name = &file.path.table;
            DatabaseError::Internal(format!("the table `{name}` is gone from the lake"))
        })
    }

    fn mappings(&self, ids: &str) -> Result<BTreeMap<(i64, Mapping), i64>, DatabaseError> {
        #[derive(Deserialize)]
        struct Row {
            mapping_id: i64,
            table_id: i64,
            fields: Vec<Field>,
        }
        #[derive(Deserialize)]
        struct Field {
            id: i64,
            name: String,
            is_partition: bool,
        }
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows = self.session.rows::<Row>(
            &format!(
                "SELECT m.mapping_id, m.table_id, list({{'id': n.target_field_id,
                    'name': n.source_name, 'is_partition': n.is_partition::BOOLEAN}}) AS fields
                 FROM {0}.ducklake_column_mapping m
                 JOIN {0}.ducklake_name_mapping n USING (mapping_id)
                 WHERE m.type = 'map_by_name' AND m.table_id IN ({ids})
                 GROUP BY ALL HAVING count(n.parent_column) = 0",
                self.metadata
            ),
            &[],
        )?;
        let mapping = |row: Row| {
            let fields = row.fields.into_iter();
            let fields = fields.map(|field| (field.id, field.name, field.is_partition));
            ((row.table_id, fields.collect()), row.mapping_id)
        };
        Ok(rows.into_iter().map(mapping).collect())
    }

    fn table_stats(&self, ids: &str) -> Result<BTreeMap<i64, TableRow>, DatabaseError> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let select = format!(
            "SELECT table_id, record_count, next_row_id, file_size_bytes
             FROM {}.ducklake_table_stats WHERE table_id IN ({ids})",
            self.metadata
        );
        let rows = self.session.rows::<TableRow>(&select, &[])?;
        Ok(rows.into_iter().map(|row| (row.table_id, row)).collect())
    }

    fn table_column_stats(
        &self,
        ids: &str,
    ) -> Result<BTreeMap<(i64, i64), TableColumnRow>, DatabaseError> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let select = format!(
            "SELECT table_id, column_id, contains_null::BOOLEAN AS contains_null,
                epoch_us(TRY_CAST(min_value AS TIMESTAMP)) AS min_us,
                epoch_us(TRY_CAST(max_value AS TIMESTAMP)) AS max_us
             FROM {}.ducklake_table_column_stats WHERE table_id IN ({ids})",
            self.metadata
        );
        let rows = self.session.rows::<TableColumnRow>(&select, &[])?;
        let keyed = |row: TableColumnRow| ((row.table_id, row.column_id), row);
        Ok(rows.into_iter().map(keyed).collect())
    }

    fn write(&self, rows: &Rows, snapshot_id: i64) -> Result<(), DatabaseError> {
        let (session, metadata) = (&self.session, &self.metadata);
        session.insert(
            &format!("{metadata}.ducklake_data_file"),
            r#""data_file_id":"BIGINT","table_id":"BIGINT","path":"VARCHAR","record_count":"BIGINT","file_size_bytes":"BIGINT","footer_size":"BIGINT","row_id_start":"BIGINT","partition_id":"BIGINT","mapping_id":"BIGINT""#,
            &format!("r.*, {snapshot_id} AS begin_snapshot, 1 AS path_is_relative, 'parquet' AS file_format"),
            &rows.files,
        )?;
        session.insert(
            &format!("{metadata}.ducklake_file_partition_value"),
            r#""data_file_id":"BIGINT","table_id":"BIGINT","partition_value":"VARCHAR""#,
            "r.*, 0 AS partition_key_index",
            &rows.files,
        )?;
        session.insert(
            &format!("{metadata}.ducklake_file_column_stats"),
            r#""data_file_id":"BIGINT","table_id":"BIGINT","column_id":"BIGINT","column_size_bytes":"BIGINT","value_count":"BIGINT","null_count":"BIGINT","is_date":"BOOLEAN","min_us":"BIGINT","max_us":"BIGINT""#,
            &format!("r.data_file_id, r.table_id, r.column_id, r.column_size_bytes, r.value_count, r.null_count, {BOUNDS}"),
            &rows.file_columns,
        )?;
        let heads: Vec<_> = rows
            .mappings
            .iter()
            .filter(|row| row.column_id == 0)
            .collect();
        session.insert(
            &format!("{metadata}.ducklake_column_mapping"),
            r#""mapping_id":"BIGINT","table_id":"BIGINT""#,
            "r.*, 'map_by_name' AS type",
            &heads,
        )?;
        session.insert(
            &format!("{metadata}.ducklake_name_mapping"),
            r#""mapping_id":"BIGINT","column_id":"BIGINT","source_name":"VARCHAR","target_field_id":"BIGINT","is_partition":"BIGINT""#,
            "r.*",
            &rows.mappings,
        )?;
        let ids: Vec<_> = rows.tables.keys().map(i64::to_string).collect();
        let ids = ids.join(", ");
        session.execute(&format!(
            "DELETE FROM {metadata}.ducklake_table_stats WHERE table_id IN ({ids});
             DELETE FROM {metadata}.ducklake_table_column_stats WHERE table_id IN ({ids})"
        ))?;
        session.insert(
            &format!("{metadata}.ducklake_table_stats"),
            r#""table_id":"BIGINT","record_count":"BIGINT","next_row_id":"BIGINT","file_size_bytes":"BIGINT""#,
            "r.*",
            &rows.tables.values().collect::<Vec<_>>(),
        )?;
        session.insert(
            &format!("{metadata}.ducklake_table_column_stats"),
            r#""table_id":"BIGINT","column_id":"BIGINT","contains_null":"BOOLEAN","is_date":"BOOLEAN","min_us":"BIGINT","max_us":"BIGINT""#,
            &format!("r.table_id, r.column_id, r.contains_null::BIGINT AS contains_null, {BOUNDS}"),
            &rows.table_columns.values().collect::<Vec<_>>(),
        )
    }

    fn write_snapshot(&self, snapshot: Snapshot, changes: &[String]) -> Result<(), DatabaseError> {
        let Snapshot {
            snapshot_id,
            schema_version,
            next_catalog_id,
            next_file_id,
        } = snapshot;
        self.session.execute(&format!(
            "INSERT INTO {0}.ducklake_snapshot
                (snapshot_id, snapshot_time, schema_version, next_catalog_id, next_file_id)
             VALUES ({snapshot_id}, strftime(now() AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S.%f+00'),
                {schema_version}, {next_catalog_id}, {next_file_id});
             INSERT INTO {0}.ducklake_snapshot_changes (snapshot_id, changes_made, author)
             VALUES ({snapshot_id}, '{1}', 'heplake')",
            self.metadata,
            changes.join(",")
        ))
    }
}

impl Rows {
    /// Adds the rows of a file, and widens those of its table.
    fn add(
        &mut self,
        file: &NewFile,
        table: &CatalogTable,
        partition_id: i64,
        mapping_id: i64,
        data_file_id: i64,
    ) {
        let table_id = table.table_id;
        let Footer {
            record_count,
            columns,
        } = &file.footer;
        let records = *record_count as i64;
        let stats = self.tables.entry(table_id).or_default();
        stats.table_id = table_id;
        let had_rows = stats.record_count > 0;
        self.files.push(DataFileRow {
            data_file_id,
            table_id,
            path: file.path.below_table(),
            record_count: *record_count,
            file_size_bytes: file.file_size_bytes,
            footer_size: file.footer_bytes,
            row_id_start: stats.next_row_id,
            partition_id,
            partition_value: file.path.date.to_string(),
            mapping_id,
        });
        stats.record_count += records;
        stats.next_row_id += records;
        stats.file_size_bytes += file.file_size_bytes as i64;
        for (name, column) in &table.columns {
            let column_id = column.column_id;
            let is_date = column.column_type == Some(ColumnType::Date);
            let keeps = column.column_type.is_some_and(keeps_bounds);
            let found = columns.iter().find(|found| found.name == name.as_str());
            // A column that the file does not have reads as null in all its rows.
            let (nulls, bounds) = found.map_or((Some(records), Bounds::Empty), |found| {
                (
                    found.null_count,
                    if keeps { found.bounds } else { Bounds::Unknown },
                )
            });
            if let Some(found) = found.filter(|_| keeps) {
                let (min_us, max_us) = bounds.ends();
                self.file_columns.push(FileColumnRow {
                    data_file_id,
                    table_id,
                    column_id,
                    column_size_bytes: found.size_bytes,
                    value_count: nulls.map(|nulls| records - nulls),
                    null_count: nulls,
                    is_date,
                    min_us,
                    max_us,
                });
            }
            let contains_null = nulls.map(|nulls| nulls > 0);
            let known = self.table_columns.get(&(table_id, column_id));
            let (contains_null, bounds) = match known {
                None if !had_rows => (contains_null, bounds),
                // Rows of which nothing is known, or which do not have the column.
                None => (Some(true), Bounds::Unknown),
                Some(known) => (
                    known.contains_null.zip(contains_null).map(|(a, b)| a || b),
                    known.bounds().and(bounds),
                ),
            };
            let (min_us, max_us) = bounds.ends();
            self.table_columns.insert(
                (table_id, column_id),
                TableColumnRow {
                    table_id,
                    column_id,
                    contains_null,
                    is_date,
                    min_us,
                    max_us,
                },
            );
        }
    }
}

impl Bounds {
    fn ends(self) -> (Option<i64>, Option<i64>) {
        match self {
            Self::Unknown | Self::Empty => (None, None),
            Self::Between(min, max) => (Some(min), Some(max)),
        }
    }
}

impl TableColumnRow {
    /// What the catalog says of all rows so far. Bounds that it lacks are unknown for ever:
    /// "no values yet" looks the same, and bounds that are too narrow hide rows.
    fn bounds(&self) -> Bounds {
        match (self.min_us, self.max_us) {
            (Some(min), Some(max)) => Bounds::Between(min, max),
            _ => Bounds::Unknown,
        }
    }
}

impl MappingRow {
    /// The rows of a new mapping, in the order of the file's columns.
    fn of(mapping_id: i64, table_id: i64, file: &NewFile, mapping: &Mapping) -> Vec<Self> {
        let columns = file.footer.columns.iter();
        let targets =
            columns.filter_map(|column| mapping.iter().find(|(_, name, _)| *name == column.name));
        targets
            .zip(0..)
            .map(|((target_field_id, name, is_partition), column_id)| Self {
                mapping_id,
                table_id,
                column_id,
                source_name: name.clone(),
                target_field_id: *target_field_id,
                is_partition: (*is_partition).into(),
            })
            .collect()
    }
}

/// How a file's columns map to the table's.
fn mapping(table: &CatalogTable, file: &NewFile) -> Mapping {
    let columns = table.columns.iter();
    let mapped =
        columns.filter(|(name, _)| file.footer.columns.iter().any(|c| c.name == name.as_str()));
    mapped
        .map(|(name, column)| {
            let is_partition = name.as_str() == PARTITION_COLUMN;
            (column.column_id, name.to_string(), is_partition)
        })
        .collect()
}

fn take(next_id: &mut i64) -> i64 {
    let id = *next_id;
    *next_id += 1;
    id
}
