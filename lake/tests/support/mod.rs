//! A lake in a temporary directory, and an edge that commits to it what a test says.

#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

mod a_call;

pub(crate) use a_call::with_a_call;

use arrow::{
    array::{
        ArrayRef, BinaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray, UInt32Array, UInt64Array,
    },
    datatypes::{DataType, Field, Schema, TimeUnit},
};
use heplake_format::{
    COMMIT_FORMAT, Column, ColumnType, Commit, CommitPath, DataFile, DataFilePath, PartitionDate,
    Sequence, Table,
};
use heplake_lake::{Answer, Lake, LakeSettings};
use parquet::arrow::ArrowWriter;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

/// 2026-11-22T00:00:00Z.
pub(crate) const DAY_US: i64 = 1_795_305_600_000_000;
pub(crate) const DAY: &str = "2026-11-22";

/// A row: values by column, as text. What is not named is null.
pub(crate) type Row<'a> = Vec<(&'a str, String)>;

pub(crate) struct Site {
    settings: LakeSettings,
    /// Removed when dropped.
    _directory: Option<TempDir>,
}

impl Site {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            settings: settings(directory.path()),
            _directory: Some(directory),
        }
    }

    /// A site in a directory that is not this one's to remove.
    pub(crate) fn at(directory: &Path) -> Self {
        Self::with(&settings(directory))
    }

    pub(crate) fn with(settings: &LakeSettings) -> Self {
        Self {
            settings: settings.clone(),
            _directory: None,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.settings.catalog_path.parent().unwrap()
    }

    pub(crate) fn settings(&self) -> LakeSettings {
        self.settings.clone()
    }

    pub(crate) fn open(&self) -> Lake {
        Lake::open(&self.settings()).unwrap()
    }

    /// Writes files and then the commit that names them, as an edge does.
    pub(crate) fn commit(
        &self,
        edge: &str,
        sequence: u64,
        files: &[(&Table, &str, Vec<Row<'_>>)],
    ) -> Commit {
        let commit = self.files(edge, sequence, files);
        self.put(&commit);
        commit
    }

    /// Writes files, and returns the commit that would name them.
    pub(crate) fn files(
        &self,
        edge: &str,
        sequence: u64,
        files: &[(&Table, &str, Vec<Row<'_>>)],
    ) -> Commit {
        let mut commit = Commit {
            format: COMMIT_FORMAT,
            edge: edge.parse().unwrap(),
            sequence: Sequence(sequence),
            created_us: DAY_US as u64,
            components: Vec::new(),
            tables: Vec::new(),
            files: Vec::new(),
            packets: BTreeMap::new(),
        };
        for (part, (table, date, rows)) in files.iter().enumerate() {
            let path = DataFilePath {
                table: table.name.clone(),
                date: date.parse().unwrap(),
                edge: commit.edge.clone(),
                sequence: commit.sequence,
                part: part as u16,
            };
            let file = self.data_path().join(path.to_string());
            write_parquet(&file, &batch(table, rows));
            commit.files.push(DataFile {
                path,
                record_count: rows.len() as u64,
                file_size_bytes: fs::metadata(&file).unwrap().len(),
                components: Vec::new(),
            });
            if !commit.tables.contains(table) {
                commit.tables.push((*table).clone());
            }
        }
        commit
    }

    pub(crate) fn put(&self, commit: &Commit) {
        let path = self.commit_path(commit.edge.as_str(), commit.sequence.0);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Appears at once and whole, as objects in a store do.
        let staged = path.with_extension("tmp");
        fs::write(&staged, commit.to_json()).unwrap();
        fs::rename(staged, path).unwrap();
    }

    pub(crate) fn commit_path(&self, edge: &str, sequence: u64) -> PathBuf {
        let path = CommitPath {
            edge: edge.parse().unwrap(),
            sequence: Sequence(sequence),
        };
        self.data_path().join(path.to_string())
    }

    pub(crate) fn data_path(&self) -> PathBuf {
        self.settings().data_path
    }
}

pub(crate) fn settings(directory: &Path) -> LakeSettings {
    LakeSettings {
        catalog_path: directory.join("homer_catalog.sqlite"),
        data_path: directory.join("parquet"),
        lake_name: "homer_lake".into(),
        extension_directory: None,
        memory_limit_bytes: 512 << 20,
        threads: 2,
        query_deadline: Duration::from_secs(30),
        query_rows_max: 100_000,
        query_bytes_max: 256 << 20,
        register_interval: Duration::from_secs(1),
    }
}

/// A table of a new lake.
pub(crate) fn table(name: &str) -> Table {
    let mut tables = Table::of_a_new_lake().into_iter();
    tables.find(|table| table.name.as_str() == name).unwrap()
}

pub(crate) fn column(name: &str, column_type: ColumnType) -> Column {
    Column {
        name: name.parse().unwrap(),
        column_type,
    }
}

/// A row with a time, some seconds into the day.
pub(crate) fn row<'a>(seconds: i64, values: &[(&'a str, &str)]) -> Row<'a> {
    let mut row = vec![("timestamp", (DAY_US + seconds * 1_000_000).to_string())];
    row.extend(
        values
            .iter()
            .map(|(name, value)| (*name, (*value).to_string())),
    );
    row
}

/// Arrow as the edge writes it: no column of the partition.
pub(crate) fn batch(table: &Table, rows: &[Row<'_>]) -> RecordBatch {
    let columns: Vec<_> = table
        .columns
        .iter()
        .filter(|column| column.column_type != ColumnType::Date)
        .collect();
    let fields = columns.iter().map(|column| field(column));
    let arrays = columns.iter().map(|column| {
        let value = |row: &Row<'_>| {
            let found = row.iter().find(|(name, _)| *name == column.name.as_str());
            found.map(|(_, value)| value.clone())
        };
        array(column.column_type, rows.iter().map(value).collect())
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, arrays.collect()).unwrap()
}

fn field(column: &Column) -> Field {
    let data_type = match column.column_type {
        ColumnType::Varchar | ColumnType::Json => DataType::Utf8,
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        ColumnType::UInteger => DataType::UInt32,
        ColumnType::UBigInt => DataType::UInt64,
        ColumnType::BigInt => DataType::Int64,
        ColumnType::Double => DataType::Float64,
        ColumnType::Blob => DataType::Binary,
    };
    let field = Field::new(column.name.as_str(), data_type, true);
    if column.column_type == ColumnType::Json {
        let extension = [
            ("ARROW:extension:name", "arrow.json"),
            ("ARROW:extension:metadata", ""),
        ];
        field.with_metadata(
            extension
                .map(|(key, value)| (key.into(), value.into()))
                .into(),
        )
    } else {
        field
    }
}

fn array(column_type: ColumnType, values: Vec<Option<String>>) -> ArrayRef {
    fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(
        values: Vec<Option<String>>,
    ) -> impl Iterator<Item = Option<T>> {
        values
            .into_iter()
            .map(|value| value.map(|text| text.parse().unwrap()))
    }
    match column_type {
        ColumnType::Varchar | ColumnType::Json => Arc::new(StringArray::from(values)),
        ColumnType::Timestamp => Arc::new(parsed(values).collect::<TimestampMicrosecondArray>()),
        ColumnType::UInteger => Arc::new(parsed(values).collect::<UInt32Array>()),
        ColumnType::UBigInt => Arc::new(parsed(values).collect::<UInt64Array>()),
        ColumnType::BigInt => Arc::new(parsed(values).collect::<Int64Array>()),
        ColumnType::Double => Arc::new(parsed(values).collect::<Float64Array>()),
        ColumnType::Blob => {
            let bytes = values
                .iter()
                .map(|value| value.as_ref().map(String::as_bytes));
            Arc::new(bytes.collect::<BinaryArray>())
        }
        ColumnType::Date => panic!("the partition column is not in the file"),
    }
}

pub(crate) fn write_parquet(path: &Path, batch: &RecordBatch) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = fs::File::create(path).unwrap();
    // Small row groups, so that statistics are summed over several.
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_max_row_group_row_count(Some(4))
        .build();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// The day of a number of days after [`DAY`].
pub(crate) fn day(after: i64) -> String {
    PartitionDate::of_micros(DAY_US + after * 86_400_000_000).to_string()
}

/// An answer as `a,b;c,d`: columns by comma, rows by semicolon.
pub(crate) fn text(answer: &Answer) -> String {
    let mut rows = Vec::new();
    for batch in &answer.batches {
        let options = arrow::util::display::FormatOptions::new().with_null("null");
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| arrow::util::display::ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|column| column.value(row).to_string());
            rows.push(cells.collect::<Vec<_>>().join(","));
        }
    }
    rows.join(";")
}

pub(crate) fn ask(lake: &Lake, sql: &str) -> String {
    match lake.sql(sql, None) {
        Ok(answer) => text(&answer),
        Err(error) => panic!("{sql}: {error}"),
    }
}

/// A DuckDB that knows nothing of Heplake.
pub(crate) fn duckdb() -> duckdb::Connection {
    let extensions = concat!(env!("DUCKDB_LIB_DIR"), "/extensions");
    let config = duckdb::Config::default()
        .with("extension_directory", extensions)
        .unwrap();
    let duckdb = duckdb::Connection::open_in_memory_with_flags(config).unwrap();
    duckdb
        .execute_batch("LOAD icu; LOAD sqlite_scanner; LOAD ducklake")
        .unwrap();
    duckdb
}
