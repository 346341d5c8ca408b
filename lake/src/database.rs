//! DuckDB: the one home of its crate.
//!
//! Two instances in one process, on one SQLite library: one that writes the catalog, one
//! that answers queries and can neither write nor reach beyond the data files. Rows of the
//! catalog cross as JSON, both ways: one parameter a statement, however many rows.

mod type_name;

use crate::{answer::Columns, settings::LakeSettings, statement};
use arrow::{array::RecordBatch, datatypes::SchemaRef};
use duckdb::{Config, Connection};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Extensions without which there is no lake. `icu` is what TIMESTAMPTZ needs.
pub(crate) const EXTENSIONS: [&str; 3] = ["icu", "sqlite_scanner", "ducklake"];
/// Memory of the instance that writes the catalog: a registration of the largest size
/// handles some thousand small rows.
const WRITER_MEMORY_BYTES: u64 = 512 << 20;
/// How often a catalog write is tried while another process holds the catalog, and the
/// pause after the first failure, which doubles: 2.5 seconds in all.
const LOCKED_TRIES: u32 = 8;
const LOCKED_PAUSE: Duration = Duration::from_millis(20);

/// What DuckDB says when it does not do as told.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The statement is wrong, or the data does not fit it.
    #[error("{0}")]
    Statement(String),
    /// It was told to stop.
    #[error("interrupted")]
    Interrupted,
    /// Its memory limit was reached.
    #[error("{0}")]
    OutOfMemory(String),
    /// Another process holds the catalog.
    #[error("the catalog is locked by another process: {0}")]
    Locked(String),
    /// An extension cannot be loaded.
    #[error("DuckDB's extension `{extension}` cannot be loaded: {reason} {}", advice(.directory))]
    Extension {
        /// Its name.
        extension: &'static str,
        /// Where it was looked for; DuckDB's own directory if there is none.
        directory: Option<PathBuf>,
        /// What DuckDB says.
        reason: String,
    },
    /// All else: disk, network, a fault of its own.
    #[error("{0}")]
    Internal(String),
    /// The catalog holds what it should not.
    #[error("the catalog's rows cannot be read: {0}")]
    Rows(#[from] serde_json::Error),
}

impl From<duckdb::Error> for DatabaseError {
    fn from(error: duckdb::Error) -> Self {
        /// Kinds of errors that are the statement's.
        const STATEMENT: [&str; 13] = [
            "Parser",
            "Syntax",
            "Binder",
            "Catalog",
            "Conversion",
            "Invalid Input",
            "Invalid",
            "Out of Range",
            "Not implemented",
            "Mismatch Type",
            "Permission",
            "Parameter Not Resolved",
            "Constraint",
        ];
        /// What DuckDB says, in errors of whatever kind, where a data file is not as it should be.
        const OF_A_FILE: [&str; 3] = [
            "TProtocolException",
            "found in Parquet file",
            "decompression failure",
        ];
        let message = match error {
            duckdb::Error::NulError(_) => {
                return Self::Statement("text must not hold a NUL character".into());
            }
            duckdb::Error::DuckDBFailure(_, Some(message)) => message,
            error => error.to_string(),
        };
        let kind = message.split_once(" Error").map_or("", |(kind, _)| kind);
        if message.contains("database is locked") {
            Self::Locked(message)
        } else if kind == "INTERRUPT" {
            Self::Interrupted
        } else if kind == "Out of Memory" {
            Self::OutOfMemory(message)
        } else if OF_A_FILE.iter().any(|said| message.contains(said)) {
            Self::Internal(format!("a data file cannot be read: {message}"))
        } else if STATEMENT.contains(&kind) || message.contains("constraint failed") {
            Self::Statement(message)
        } else {
            Self::Internal(message)
        }
    }
}

/// Advice about an extension that was not found there.
fn advice(directory: &Option<PathBuf>) -> String {
    match directory {
        Some(directory) => format!(
            "(duckdb.extension_directory is {}: let it be .setup/duckdb/extensions, as `cargo xtask setup` makes it, or a copy; the extensions are in <version>/<platform>/ there)",
            directory.display()
        ),
        None => "(set duckdb.extension_directory to .setup/duckdb/extensions, as `cargo xtask setup` makes it, or to a copy)".into(),
    }
}

/// A connection. It is used by one thread at a time.
pub(crate) struct Session {
    connection: Connection,
}

/// Stops what a session is doing, from another thread.
#[derive(Clone)]
pub(crate) struct Interrupt(Arc<duckdb::InterruptHandle>);

impl Interrupt {
    pub(crate) fn now(&self) {
        self.0.interrupt();
    }
}

impl Session {
    /// The session that writes the catalog, which is not attached yet.
    pub(crate) fn writer(settings: &LakeSettings) -> Result<Self, DatabaseError> {
        Self::open(settings, WRITER_MEMORY_BYTES, 1)
    }

    /// Attaches the lake to the session that writes. Makes the catalog if it is absent.
    pub(crate) fn attach_lake(&self, settings: &LakeSettings) -> Result<(), DatabaseError> {
        // Inlined rows would live in the catalog, where no other engine finds them. The
        // default journal blocks readers and writers for seconds.
        self.execute(&format!(
            "ATTACH {} AS {} (DATA_PATH {}, DATA_INLINING_ROW_LIMIT 0, META_JOURNAL_MODE 'WAL')",
            catalog_url(settings),
            settings.lake_name,
            literal(&data_url(&settings.data_path)),
        ))
    }

    /// The first of the sessions that answer queries, in an instance of its own. The
    /// catalog is attached read-only; but for the data files, no file and no network is in
    /// reach; and none of this can be changed again.
    pub(crate) fn reader(settings: &LakeSettings) -> Result<Self, DatabaseError> {
        let session = Self::open(settings, settings.memory_limit_bytes, settings.threads)?;
        let tables = settings.data_path.join(heplake_format::DATA_DIRECTORY);
        // A file that was repaired would be answered from what the cache has of the one before.
        session.execute(&format!(
            "ATTACH {} AS {} (DATA_PATH {}, READ_ONLY);
             SET enable_external_file_cache = false;
             SET allowed_directories = [{}];
             SET enable_external_access = false;
             SET lock_configuration = true",
            catalog_url(settings),
            settings.lake_name,
            literal(&data_url(&settings.data_path)),
            literal(&data_url(&tables)),
        ))?;
        session.execute(&format!("USE {}", settings.lake_name))?;
        Ok(session)
    }

    /// Another session of the same instance.
    pub(crate) fn another(&self, lake_name: &str) -> Result<Self, DatabaseError> {
        let connection = self.connection.try_clone()?;
        let session = Self { connection };
        session.execute(&format!("USE {lake_name}"))?;
        Ok(session)
    }

    fn open(
        settings: &LakeSettings,
        memory_bytes: u64,
        threads: usize,
    ) -> Result<Self, DatabaseError> {
        let directory = extension_directory(settings);
        let spill = temporary_directory(&settings.catalog_path);
        let mut config = Config::default()
            .with("memory_limit", format!("{memory_bytes}B"))?
            .with("threads", threads.max(1).to_string())?
            .with("temp_directory", spill.display().to_string())?
            .with("allow_unsigned_extensions", "false")?
            .with("autoinstall_known_extensions", "false")?
            .with("autoload_known_extensions", "false")?;
        if let Some(directory) = &directory {
            config = config.with("extension_directory", directory.display().to_string())?;
        }
        let connection = Connection::open_in_memory_with_flags(config)?;
        let session = Self { connection };
        for extension in EXTENSIONS {
            let install = match &directory {
                None => session.execute(&format!("INSTALL {extension}")),
                Some(_) => Ok(()),
            };
            let loaded = install.and_then(|()| session.execute(&format!("LOAD {extension}")));
            loaded.map_err(|error| DatabaseError::Extension {
                extension,
                directory: directory.clone(),
                // Its other lines tell to install what is to be here already.
                reason: error.to_string().lines().next().unwrap_or_default().into(),
            })?;
        }
        // DuckLake writes times of snapshots as text, in the zone of connections of its own,
        // and SQLite compares them as text. They take the zone from the global setting only.
        session.execute("SET GLOBAL TimeZone = 'UTC'")?;
        Ok(session)
    }

    /// Runs statements that answer nothing.
    pub(crate) fn execute(&self, sql: &str) -> Result<(), DatabaseError> {
        Ok(self.connection.execute_batch(sql)?)
    }

    /// The rows of a SELECT, by column name.
    pub(crate) fn rows<T: DeserializeOwned>(
        &self,
        select: &str,
        parameters: &[String],
    ) -> Result<Vec<T>, DatabaseError> {
        let sql = format!("SELECT to_json(found)::VARCHAR FROM ({select}) found");
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query(duckdb::params_from_iter(parameters))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let json: String = row.get(0)?;
            found.push(serde_json::from_str(&json)?);
        }
        Ok(found)
    }

    /// Inserts rows by column name. `structure` gives the type of each field, as DuckDB's
    /// `from_json` takes it; `select` makes the columns from the fields of `r`. A value that
    /// does not fit its type, or is missing, is an error: it never becomes NULL.
    pub(crate) fn insert<T: Serialize>(
        &self,
        table: &str,
        structure: &str,
        select: &str,
        rows: &[T],
    ) -> Result<(), DatabaseError> {
        if rows.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "INSERT INTO {table} BY NAME SELECT {select}
             FROM (SELECT unnest(from_json_strict(?, '[{{{structure}}}]')) AS r)"
        );
        let json = serde_json::to_string(rows)?;
        self.connection.execute(&sql, [json])?;
        Ok(())
    }

    /// Does work in one transaction, again when another process held the catalog.
    pub(crate) fn transaction<T>(
        &self,
        mut work: impl FnMut() -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        let mut pause = LOCKED_PAUSE;
        for _ in 1..LOCKED_TRIES {
            match self.transaction_once(&mut work) {
                Err(DatabaseError::Locked(_)) => std::thread::sleep(pause),
                done => return done,
            }
            pause *= 2;
        }
        self.transaction_once(&mut work)
    }

    fn transaction_once<T>(
        &self,
        work: &mut impl FnMut() -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        self.execute("BEGIN TRANSACTION")?;
        let done = work().and_then(|done| self.execute("COMMIT").map(|()| done));
        if done.is_err() {
            // Without effect when the failed COMMIT has rolled back already.
            let _ = self.execute("ROLLBACK");
        }
        done
    }

    /// DuckDB's own reading of a statement, as JSON: what [`statement`] judges.
    pub(crate) fn parse(&self, sql: &str) -> Result<String, DatabaseError> {
        Ok(self
            .connection
            .query_row(statement::PARSE, [sql], |row| row.get(0))?)
    }

    /// Starts a query.
    pub(crate) fn run(
        &self,
        sql: &str,
        parameters: &[String],
    ) -> Result<Running<'_>, DatabaseError> {
        let mut statement = self.connection.prepare(sql)?;
        let schema = statement
            .stream_arrow(duckdb::params_from_iter(parameters))?
            .get_schema();
        Ok(Running { statement, schema })
    }

    pub(crate) fn interrupt(&self) -> Interrupt {
        Interrupt(self.connection.interrupt_handle())
    }
}

/// A query that gives its rows one batch after the other.
pub(crate) struct Running<'s> {
    statement: duckdb::Statement<'s>,
    schema: SchemaRef,
}

impl Running<'_> {
    pub(crate) fn columns(&self) -> Columns {
        let name = |index| type_name::type_name(&self.statement.column_logical_type(index));
        Columns {
            schema: Arc::clone(&self.schema),
            types: (0..self.schema.fields().len()).map(name).collect(),
        }
    }

    /// The next batch. It is not an iterator of the crate's, which panics on an error in the middle.
    pub(crate) fn next(&self) -> Result<Option<RecordBatch>, DatabaseError> {
        let batch = self.statement.step()?;
        Ok(batch.map(|batch| RecordBatch::from(&batch)))
    }
}

/// Where the catalog's metadata tables are, beside the lake that they describe.
pub(crate) fn metadata_schema(lake_name: &str) -> String {
    format!("__ducklake_metadata_{lake_name}")
}

/// Text as an SQL literal. DuckDB knows no escapes within one but the doubled quote.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn catalog_url(settings: &LakeSettings) -> String {
    let path = settings.catalog_path.display();
    literal(&format!("ducklake:sqlite:{path}"))
}

/// A directory as DuckLake stores it: with a slash at the end.
pub(crate) fn data_url(directory: &Path) -> String {
    format!("{}/", directory.display())
}

/// Where queries spill, beside the catalog: `/tmp` is memory on many machines.
fn temporary_directory(catalog: &Path) -> PathBuf {
    let mut name = catalog.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

fn extension_directory(settings: &LakeSettings) -> Option<PathBuf> {
    let beside_executable = || {
        let executable = std::env::current_exe().ok()?;
        Some(executable.parent()?.join("extensions"))
    };
    let built_against = || Some(Path::new(option_env!("DUCKDB_LIB_DIR")?).join("extensions"));
    settings.extension_directory.clone().or_else(|| {
        [beside_executable(), built_against()]
            .into_iter()
            .flatten()
            .find(|directory| directory.is_dir())
    })
}
