//! A lake that moved: its catalog remembers another data path than it is opened with.
//!
//! Paths of data files are relative to the data path, so a lake may be copied, mounted
//! elsewhere, or named through a link. It is recognised by its files: those that the catalog
//! has must be in the new data path, with the size that the catalog has.

use super::DUCKLAKE_VERSION;
use crate::{
    database::{DatabaseError, Session, data_url, literal},
    lake::OpenError,
    settings::LakeSettings,
};
use serde::Deserialize;
use std::{fs, path::PathBuf};

/// Name of the catalog while it is attached as the SQLite file that it is.
const MOVED: &str = "heplake_moved";
/// Data files that are looked for in the new data path, spread evenly over all of the lake:
/// a look at each of a million would take minutes.
const FILES_LOOKED_FOR_MAX: usize = 1000;
/// Files that an error names, at most.
const FILES_NAMED_MAX: usize = 3;

/// Why a lake does not open with the data path of the settings.
#[derive(Debug, thiserror::Error)]
pub enum DataPathError {
    /// Its files are not there.
    #[error(
        "the catalog's data files were in {stored}, and {given} is another place: {missing} of {looked_for} files of the catalog are not there, or not with the size that the catalog has, such as {examples}. Set ducklake.data_path to the directory that has them, or copy them there first"
    )]
    Absent {
        /// As the catalog has it.
        stored: String,
        /// As the settings have it.
        given: PathBuf,
        /// Files that are not there.
        missing: usize,
        /// Files that were looked for.
        looked_for: usize,
        /// Some that are not there.
        examples: String,
    },
    /// No file tells whether it is the same lake.
    #[error(
        "the catalog's data path is {stored}, and {given} is another place. The catalog has no data file yet by which to recognise the lake, and commits may wait in {stored}: set ducklake.data_path to it, or rename it if {given} is right"
    )]
    Unknown {
        /// As the catalog has it.
        stored: String,
        /// As the settings have it.
        given: PathBuf,
    },
    /// It has files outside of its data path.
    #[error(
        "the lake was moved from {stored} to {given}, and its catalog names {count} data files by a path that is not relative to it and that is not there: {examples}. Put them back there, or open the lake at its old place and take them out of it first"
    )]
    Elsewhere {
        /// As the catalog has it.
        stored: String,
        /// As the settings have it.
        given: PathBuf,
        /// Files with such a path.
        count: usize,
        /// Some of them.
        examples: String,
    },
}

#[derive(Deserialize)]
struct DataFile {
    path: String,
    file_size_bytes: u64,
}

/// Has the catalog name the data path of the settings, if the lake is recognised there.
pub(super) fn take_over(session: &Session, settings: &LakeSettings) -> Result<(), OpenError> {
    let size = fs::metadata(&settings.catalog_path).map_or(0, |found| found.len());
    if size == 0 {
        return Ok(());
    }
    let catalog = literal(&settings.catalog_path.display().to_string());
    session.execute(&format!("ATTACH {catalog} AS {MOVED} (TYPE sqlite)"))?;
    let done = take_over_attached(session, settings);
    session.execute(&format!("DETACH {MOVED}"))?;
    done
}

fn take_over_attached(session: &Session, settings: &LakeSettings) -> Result<(), OpenError> {
    let Some(stored) = metadata(session, "data_path")? else {
        return Ok(());
    };
    let given = data_url(&settings.data_path);
    if stored == given {
        return Ok(());
    }
    let version = metadata(session, "version")?;
    if version.as_deref() != Some(DUCKLAKE_VERSION) {
        return Err(OpenError::unknown_version(version));
    }
    if !is_same_directory(&stored, &given) {
        recognise(session, settings, &stored)?;
    }
    session.transaction(|| {
        session.execute(&format!(
            "UPDATE {MOVED}.ducklake_metadata SET value = {} WHERE key = 'data_path'",
            literal(&given)
        ))
    })?;
    tracing::info!(before = stored, now = given, "the lake moved");
    Ok(())
}

/// A value of the catalog; none if the file is no catalog yet.
fn metadata(session: &Session, key: &str) -> Result<Option<String>, DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        value: String,
    }
    let tables = format!(
        "SELECT table_name AS value FROM duckdb_tables()
         WHERE database_name = '{MOVED}' AND table_name = 'ducklake_metadata'"
    );
    if session.rows::<Row>(&tables, &[])?.is_empty() {
        return Ok(None);
    }
    let select = format!("SELECT value FROM {MOVED}.ducklake_metadata WHERE key = '{key}'");
    let found = session.rows::<Row>(&select, &[])?;
    Ok(found.into_iter().next().map(|row| row.value))
}

fn is_same_directory(one: &str, other: &str) -> bool {
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// Looks for the lake's files in the new data path.
fn recognise(session: &Session, settings: &LakeSettings, stored: &str) -> Result<(), OpenError> {
    let (stored, given) = (stored.to_owned(), settings.data_path.clone());
    let absolute = data_files(session, false)?;
    let elsewhere: Vec<_> = absolute
        .iter()
        .filter(|file| !fs::exists(&file.path).unwrap_or(false))
        .map(|file| file.path.as_str())
        .collect();
    if !elsewhere.is_empty() {
        return Err(DataPathError::Elsewhere {
            stored,
            given,
            count: elsewhere.len(),
            examples: named(&elsewhere),
        }
        .into());
    }
    let files = data_files(session, true)?;
    if files.is_empty() {
        return match fs::exists(&stored) {
            Ok(false) => Ok(()),
            _ => Err(DataPathError::Unknown { stored, given }.into()),
        };
    }
    let is_there = |file: &&DataFile| {
        let found = fs::metadata(given.join(&file.path));
        found.is_ok_and(|found| found.is_file() && found.len() == file.file_size_bytes)
    };
    let missing: Vec<_> = files
        .iter()
        .filter(|file| !is_there(file))
        .map(|file| file.path.as_str())
        .collect();
    // Some may have been lost before the move; most are there, or it is another lake.
    if missing.len() * 2 >= files.len() {
        return Err(DataPathError::Absent {
            stored,
            given,
            missing: missing.len(),
            looked_for: files.len(),
            examples: named(&missing),
        }
        .into());
    }
    if !missing.is_empty() {
        tracing::warn!(
            missing = missing.len(),
            looked_for = files.len(),
            examples = named(&missing),
            "files of the lake that moved are not in its new place"
        );
    }
    Ok(())
}

/// Live data files, of which the path is relative to the data path or is not.
fn data_files(session: &Session, relative: bool) -> Result<Vec<DataFile>, DatabaseError> {
    let is_relative = if relative {
        "is_relative"
    } else {
        "NOT is_relative"
    };
    session.rows::<DataFile>(
        &format!(
            "WITH tables AS (
                SELECT table_id, any_value(schema_id) AS schema_id, any_value(path) AS path,
                    any_value(path_is_relative) AS path_is_relative
                FROM {MOVED}.ducklake_table GROUP BY table_id
            ), schemas AS (
                SELECT schema_id, any_value(path) AS path,
                    any_value(path_is_relative) AS path_is_relative
                FROM {MOVED}.ducklake_schema GROUP BY schema_id
            ), files AS (
                SELECT f.file_size_bytes,
                    f.path_is_relative AND t.path_is_relative AND s.path_is_relative AS is_relative,
                    CASE WHEN NOT f.path_is_relative THEN f.path
                        WHEN NOT t.path_is_relative THEN t.path || f.path
                        ELSE s.path || t.path || f.path END AS path,
                    row_number() OVER (ORDER BY f.data_file_id) - 1 AS place
                FROM {MOVED}.ducklake_data_file f
                JOIN tables t USING (table_id) JOIN schemas s USING (schema_id)
                WHERE f.end_snapshot IS NULL AND {is_relative}
            )
            SELECT path, file_size_bytes FROM files
            WHERE place % (1 + (SELECT count(*) FROM files) // {FILES_LOOKED_FOR_MAX}) = 0"
        ),
        &[],
    )
}

fn named(paths: &[&str]) -> String {
    let named = paths.iter().take(FILES_NAMED_MAX);
    named.copied().collect::<Vec<_>>().join(", ")
}
