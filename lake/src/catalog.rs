//! The catalog: DuckLake's metadata tables, and the ledger of registered commits.
//!
//! Tables are made and altered by the `ducklake` extension, which keeps its schema cache in
//! order that way. Files are registered by writing the metadata rows themselves
//! ([`registration`]), 0.1 ms a file. Source: the DuckLake specification 1.0.

mod data_path;
mod ledger;
mod registration;
mod snapshot_time;

pub use data_path::DataPathError;
pub(crate) use ledger::{
    AsideState, ChangedRow, NUMBER_MAX, RefusedRow, SetAsideFilter, SetAsideGroupRow, SetAsideRow,
};
pub(crate) use registration::{NewCommit, NewFile, RegisteredFile};

use crate::{
    database::{DatabaseError, Session, metadata_schema},
    lake::OpenError,
    settings::LakeSettings,
};
use heplake_format::{
    COLUMNS_MAX, Column, ColumnType, DATA_DIRECTORY, TABLES_MAX, Table, TableName,
};
use serde::{Deserialize, de::DeserializeOwned};
use std::collections::{BTreeMap, BTreeSet};

/// Version of the DuckLake specification that is written here. A newer one has columns
/// that would be left empty.
pub(crate) const DUCKLAKE_VERSION: &str = "1.0";
/// Name of the partition column.
const PARTITION_COLUMN: &str = "date";
/// Name of the column that files are sorted by when they are merged.
const SORT_COLUMN: &str = "timestamp";

/// The catalog, as the one who writes it has it.
pub(crate) struct Catalog {
    session: Session,
    lake_name: String,
    /// Qualifies the metadata tables.
    metadata: String,
    schema_version: i64,
    tables: BTreeMap<TableName, CatalogTable>,
}

/// A table as it stands in the catalog.
struct CatalogTable {
    table_id: i64,
    /// Of the partitioning by `date` alone, and only if its files lie where ours do.
    partition_id: Option<i64>,
    columns: BTreeMap<TableName, CatalogColumn>,
}

struct CatalogColumn {
    column_id: i64,
    /// None if it is a type that the layout does not store.
    column_type: Option<ColumnType>,
}

/// Why a table of a commit does not fit the lake.
#[derive(Debug, thiserror::Error)]
pub enum TableConflict {
    /// It has no partition column, or more than one.
    #[error("`{0}` needs the column `date` of type DATE, and no other of that type")]
    Partition(TableName),
    /// The lake's table is another one by that name.
    #[error(
        "the lake's table `{0}` is not partitioned by `date` alone, or its files lie elsewhere than in main/{0}/"
    )]
    Foreign(TableName),
    /// A column is there with another type.
    #[error(
        "`{table}` has the column `{column}` of type {there} in the lake, and the commit brings {brought}"
    )]
    Type {
        /// The table.
        table: TableName,
        /// The column.
        column: TableName,
        /// As it is in the lake.
        there: &'static str,
        /// As the commit has it.
        brought: &'static str,
    },
    /// A column is described twice.
    #[error("`{table}` is described with the column `{column}` twice")]
    Doubled {
        /// The table.
        table: TableName,
        /// The column.
        column: TableName,
    },
    /// DuckDB does not take it.
    #[error("the lake does not take `{table}`: {message}")]
    Lake {
        /// The table.
        table: TableName,
        /// As DuckDB says.
        message: String,
    },
    /// Too many tables.
    #[error("`{0}` would be one table more than the {TABLES_MAX} that edges may make")]
    Tables(TableName),
    /// Too many columns.
    #[error("`{0}` would have more than {COLUMNS_MAX} columns")]
    Columns(TableName),
}

/// What has to be done to the lake before a table's files fit.
enum Change<'a> {
    Create(&'a Table),
    Add(&'a TableName, &'a Column),
}

impl Catalog {
    /// Opens the catalog, making it and its tables as needed.
    pub(crate) fn open(settings: &LakeSettings) -> Result<Self, OpenError> {
        let session = Session::writer(settings)?;
        data_path::take_over(&session, settings)?;
        session.attach_lake(settings)?;
        let metadata = metadata_schema(&settings.lake_name);
        #[derive(Deserialize)]
        struct Version {
            value: String,
        }
        let select =
            format!("SELECT value FROM {metadata}.ducklake_metadata WHERE key = 'version'");
        let versions = session.rows::<Version>(&select, &[])?;
        let version = versions.into_iter().next().map(|row| row.value);
        if version.as_deref() != Some(DUCKLAKE_VERSION) {
            return Err(OpenError::unknown_version(version));
        }
        snapshot_time::mend(&session, &metadata)?;
        ledger::create(&session, &metadata)?;
        ledger::heal(&session, &metadata)?;
        let mut catalog = Self {
            session,
            lake_name: settings.lake_name.clone(),
            metadata,
            schema_version: -1,
            tables: BTreeMap::new(),
        };
        catalog.refresh()?;
        let tables = Table::of_a_new_lake();
        let tables: Vec<_> = tables.iter().collect();
        match catalog.evolve(&tables)?.into_values().next() {
            Some(conflict) => Err(conflict.into()),
            None => Ok(catalog),
        }
    }

    /// Makes the lake hold what each of these tables needs: the table, and its columns.
    /// Returns why, for each table that does not fit. Such a table is left as it was, and
    /// does not hinder the others.
    pub(crate) fn evolve(
        &mut self,
        tables: &[&Table],
    ) -> Result<BTreeMap<TableName, TableConflict>, DatabaseError> {
        let mut conflicts = BTreeMap::new();
        let mut statements = Vec::new();
        let mut created = 0;
        for table in tables {
            match self.changes(table, created) {
                Ok(changes) if changes.is_empty() => {}
                Ok(changes) => {
                    let creates = |change: &&Change<'_>| matches!(change, Change::Create(_));
                    created += changes.iter().filter(creates).count();
                    let changes = changes.iter().map(|change| self.statement(change));
                    statements.push((&table.name, changes.collect::<String>()));
                }
                Err(conflict) => {
                    conflicts.insert(table.name.clone(), conflict);
                }
            }
        }
        if statements.is_empty() {
            return Ok(conflicts);
        }
        let all: String = statements.iter().map(|(_, sql)| sql.as_str()).collect();
        match self.execute_at_once(&all) {
            Err(DatabaseError::Statement(_)) => {
                // One of them is at fault: the others must not suffer.
                for (table, sql) in statements {
                    match self.execute_at_once(&sql) {
                        Err(DatabaseError::Statement(message)) => {
                            let table = table.clone();
                            conflicts.insert(table.clone(), TableConflict::Lake { table, message });
                        }
                        done => done?,
                    }
                }
            }
            done => done?,
        }
        self.refresh()?;
        Ok(conflicts)
    }

    fn execute_at_once(&self, statements: &str) -> Result<(), DatabaseError> {
        self.session
            .transaction(|| self.session.execute(statements))
    }

    /// The SQL that makes a change.
    fn statement(&self, change: &Change<'_>) -> String {
        let lake = &self.lake_name;
        match change {
            // Sorted by time, as dashboards read; it takes effect when files are merged.
            Change::Create(table) => {
                let columns = table
                    .columns
                    .iter()
                    .map(|column| format!("\"{}\" {}", column.name, column.column_type.sql()));
                let (name, columns) = (&table.name, columns.collect::<Vec<_>>().join(", "));
                let sorted =
                    format!("ALTER TABLE {lake}.\"{name}\" SET SORTED BY (\"{SORT_COLUMN}\" ASC);");
                let has_sort_column = table.columns.iter().any(|c| c.name.as_str() == SORT_COLUMN);
                format!(
                    "CREATE TABLE {lake}.\"{name}\" ({columns});
                     ALTER TABLE {lake}.\"{name}\" SET PARTITIONED BY (\"{PARTITION_COLUMN}\");
                     {}",
                    if has_sort_column { &sorted } else { "" }
                )
            }
            Change::Add(table, column) => format!(
                "ALTER TABLE {lake}.\"{table}\" ADD COLUMN \"{}\" {};",
                column.name,
                column.column_type.sql()
            ),
        }
    }

    /// What has to change for a table, when `created` tables will be made before it.
    fn changes<'a>(
        &self,
        table: &'a Table,
        created: usize,
    ) -> Result<Vec<Change<'a>>, TableConflict> {
        let name = &table.name;
        let is_date = |column: &&Column| column.column_type == ColumnType::Date;
        let mut dates = table.columns.iter().filter(is_date);
        match (dates.next(), dates.next()) {
            (Some(date), None) if date.name.as_str() == PARTITION_COLUMN => {}
            _ => return Err(TableConflict::Partition(name.clone())),
        }
        let mut names = BTreeSet::new();
        if let Some(doubled) = table.columns.iter().find(|c| !names.insert(&c.name)) {
            return Err(TableConflict::Doubled {
                table: name.clone(),
                column: doubled.name.clone(),
            });
        }
        let Some(there) = self.tables.get(name) else {
            if table.columns.len() > COLUMNS_MAX {
                return Err(TableConflict::Columns(name.clone()));
            }
            if self.tables.len() + created >= TABLES_MAX {
                return Err(TableConflict::Tables(name.clone()));
            }
            return Ok(vec![Change::Create(table)]);
        };
        if there.partition_id.is_none() {
            return Err(TableConflict::Foreign(name.clone()));
        }
        let mut changes = Vec::new();
        for column in &table.columns {
            match there.columns.get(&column.name) {
                None => changes.push(Change::Add(name, column)),
                Some(known) if known.column_type == Some(column.column_type) => {}
                Some(known) => {
                    return Err(TableConflict::Type {
                        table: name.clone(),
                        column: column.name.clone(),
                        there: known.column_type.map_or("another type", ColumnType::sql),
                        brought: column.column_type.sql(),
                    });
                }
            }
        }
        if there.columns.len() + changes.len() > COLUMNS_MAX {
            return Err(TableConflict::Columns(name.clone()));
        }
        Ok(changes)
    }

    /// Why a table does not fit the lake, if it does not. Changes nothing.
    pub(crate) fn conflict(&self, table: &Table) -> Option<TableConflict> {
        self.changes(table, 0).err()
    }

    /// Runs a statement of the one who writes.
    pub(crate) fn execute(&self, sql: &str) -> Result<(), DatabaseError> {
        self.session.execute(sql)
    }

    /// The rows of a SELECT of the one who writes.
    pub(crate) fn rows_of<T: DeserializeOwned>(
        &self,
        select: &str,
    ) -> Result<Vec<T>, DatabaseError> {
        self.session.rows(select, &[])
    }

    /// A table as the lake has it, with the columns of types that the layout stores.
    pub(crate) fn table_of_lake(&self, name: &TableName) -> Option<Table> {
        let there = self.tables.get(name)?;
        let columns = there.columns.iter().filter_map(|(name, column)| {
            Some(Column {
                name: name.clone(),
                column_type: column.column_type?,
            })
        });
        Some(Table {
            name: name.clone(),
            columns: columns.collect(),
        })
    }

    /// Reads the tables anew if anyone changed them.
    pub(crate) fn refresh(&mut self) -> Result<(), DatabaseError> {
        let snapshot = self.snapshot()?;
        if snapshot.schema_version == self.schema_version {
            return Ok(());
        }
        #[derive(Deserialize)]
        struct TableRow {
            table_id: i64,
            table_name: String,
            partition_id: Option<i64>,
        }
        #[derive(Deserialize)]
        struct ColumnRow {
            table_id: i64,
            column_id: i64,
            column_name: String,
            column_type: String,
        }
        let metadata = &self.metadata;
        let tables = self.session.rows::<TableRow>(
            &format!(
                "SELECT t.table_id, t.table_name, p.partition_id
                 FROM {metadata}.ducklake_table t
                 JOIN {metadata}.ducklake_schema s USING (schema_id)
                 LEFT JOIN (
                    SELECT i.partition_id, any_value(i.table_id) AS table_id
                    FROM {metadata}.ducklake_partition_info i
                    JOIN {metadata}.ducklake_partition_column c USING (partition_id)
                    JOIN {metadata}.ducklake_column d
                        ON d.table_id = i.table_id AND d.column_id = c.column_id
                    WHERE i.end_snapshot IS NULL AND d.end_snapshot IS NULL
                    GROUP BY i.partition_id
                    HAVING count(*) = 1 AND any_value(c.transform) = 'identity'
                        AND any_value(d.column_name) = '{PARTITION_COLUMN}'
                 ) p ON p.table_id = t.table_id AND t.path = t.table_name || '/'
                    AND t.path_is_relative AND s.path = '{DATA_DIRECTORY}/' AND s.path_is_relative
                 WHERE t.end_snapshot IS NULL AND s.end_snapshot IS NULL
                    AND s.schema_name = '{DATA_DIRECTORY}'"
            ),
            &[],
        )?;
        let columns = self.session.rows::<ColumnRow>(
            &format!(
                "SELECT table_id, column_id, column_name, column_type
                 FROM {metadata}.ducklake_column
                 WHERE end_snapshot IS NULL AND parent_column IS NULL"
            ),
            &[],
        )?;
        let mut columns_of: BTreeMap<i64, BTreeMap<TableName, CatalogColumn>> = BTreeMap::new();
        for row in columns {
            // A name that is none of ours is a column that no commit can bring.
            let Ok(name) = row.column_name.parse() else {
                continue;
            };
            let column = CatalogColumn {
                column_id: row.column_id,
                column_type: of_catalog(&row.column_type),
            };
            columns_of
                .entry(row.table_id)
                .or_default()
                .insert(name, column);
        }
        let tables = tables.into_iter().filter_map(|row| {
            let table = CatalogTable {
                table_id: row.table_id,
                partition_id: row.partition_id,
                columns: columns_of.remove(&row.table_id).unwrap_or_default(),
            };
            Some((row.table_name.parse().ok()?, table))
        });
        self.tables = tables.collect();
        self.schema_version = snapshot.schema_version;
        Ok(())
    }

    /// The newest snapshot.
    fn snapshot(&self) -> Result<Snapshot, DatabaseError> {
        let select = format!(
            "SELECT snapshot_id, schema_version, next_catalog_id, next_file_id
             FROM {}.ducklake_snapshot ORDER BY snapshot_id DESC LIMIT 1",
            self.metadata
        );
        let newest = self.session.rows(&select, &[])?.into_iter().next();
        newest.ok_or_else(|| DatabaseError::Internal("the catalog has no snapshot".into()))
    }
}

/// The newest row of `ducklake_snapshot`.
#[derive(Clone, Copy, Deserialize)]
struct Snapshot {
    snapshot_id: i64,
    schema_version: i64,
    next_catalog_id: i64,
    next_file_id: i64,
}

/// The type that DuckLake calls so, in `ducklake_column.column_type`.
fn of_catalog(name: &str) -> Option<ColumnType> {
    Some(match name {
        "varchar" => ColumnType::Varchar,
        "date" => ColumnType::Date,
        "timestamp" => ColumnType::Timestamp,
        "uint32" => ColumnType::UInteger,
        "uint64" => ColumnType::UBigInt,
        "int64" => ColumnType::BigInt,
        "float64" => ColumnType::Double,
        "json" => ColumnType::Json,
        "blob" => ColumnType::Blob,
        _ => return None,
    })
}
