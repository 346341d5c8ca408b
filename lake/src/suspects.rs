//! Data files that a query could not read, as DuckDB's errors name them.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// Files that wait to be looked at, at most: each is read whole, and the next query that
/// fails names the others again.
const SUSPECTS_MAX: usize = 64;

/// Ending of a data file.
const ENDING: &str = ".parquet";

/// What DuckDB says when a file is damaged and it does not name the file.
const UNNAMED: [&str; 4] = ["Parquet", "TProtocolException", "nappy", "ZSTD"];

/// Shared by the sessions that answer queries and the one that registers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Suspects(Arc<Mutex<Found>>);

/// What queries failed at since it was last asked for.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Files, relative to the data path.
    pub(crate) paths: BTreeSet<String>,
    /// Whether a query failed at a file that DuckDB did not name.
    pub(crate) unnamed: bool,
}

impl Suspects {
    /// Notes what an error of DuckDB says about files below the data path.
    pub(crate) fn note(&self, message: &str, data_path: &Path) {
        let directory = format!("{}/", data_path.display());
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut named = false;
        for part in message.split(directory.as_str()).skip(1) {
            let end = part.find(ENDING).map(|end| end + ENDING.len());
            // No data file has a space in its path.
            let path = end.map(|end| &part[..end]);
            let Some(path) = path.filter(|path| !path.contains(char::is_whitespace)) else {
                continue;
            };
            named = true;
            if found.paths.len() < SUSPECTS_MAX {
                found.paths.insert(path.to_owned());
            }
        }
        found.unnamed |= !named && UNNAMED.iter().any(|word| message.contains(word));
    }

    /// What was noted since the last call.
    pub(crate) fn take(&self) -> Found {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_taken_out_of_what_duckdb_says() {
        let suspects = Suspects::default();
        let data_path = Path::new("/d/parquet");
        for message in [
            "IO Error: Cannot open file \"/d/parquet/main/t/date=2026-11-22/e-1-0.parquet\": No such file",
            "Failed to read file /d/parquet/main/u/date=2026-11-22/f-1-0.parquet: Snappy decompression failure",
            "nothing of /d/parquet/ here, nor of /e/parquet/main/t/x.parquet",
        ] {
            suspects.note(message, data_path);
        }
        let found = suspects.take();
        let expected = [
            "main/t/date=2026-11-22/e-1-0.parquet",
            "main/u/date=2026-11-22/f-1-0.parquet",
        ];
        assert!(found.paths.iter().eq(expected.iter()), "{found:?}");
        assert!(!found.unnamed);
        suspects.note("Invalid Error: TProtocolException: Invalid data", data_path);
        let found = suspects.take();
        assert!(found.unnamed && found.paths.is_empty());
        for n in 0..1000 {
            suspects.note(&format!("/d/parquet/{n}.parquet"), data_path);
        }
        assert_eq!(suspects.take().paths.len(), SUSPECTS_MAX);
    }
}
