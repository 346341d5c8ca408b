//! What a lake is opened with.

use std::{path::PathBuf, time::Duration};

/// Settings of a lake, resolved: every value is meant.
#[derive(Clone, Debug)]
pub struct LakeSettings {
    /// The SQLite file of the catalog; made if absent. Beside it stand its lock file and,
    /// while open, SQLite's `-wal` and `-shm`.
    pub catalog_path: PathBuf,
    /// Root of the store: `main/` and `commits/` stand below it; made if absent. A catalog
    /// remembers it. A lake opens with another one only if its data files are there.
    pub data_path: PathBuf,
    /// Name of the lake in SQL: letters, digits and `_`, not starting with a digit.
    pub lake_name: String,
    /// Where DuckDB's extensions stand, as `<directory>/v1.5.5/<platform>/…`. Without it:
    /// `extensions` beside the executable, else beside the library that was built against,
    /// else DuckDB's own directory, installing from the network what is missing.
    pub extension_directory: Option<PathBuf>,
    /// Memory that all queries together may use before they spill to disk or fail, in bytes.
    pub memory_limit_bytes: u64,
    /// Threads of all queries together.
    pub threads: usize,
    /// How long a query may take, with the wait for its turn.
    pub query_deadline: Duration,
    /// Most rows of one answer, whatever limit is asked for.
    pub query_rows_max: usize,
    /// Most bytes of one answer.
    pub query_bytes_max: u64,
    /// How often the service looks for new commits.
    pub register_interval: Duration,
}
