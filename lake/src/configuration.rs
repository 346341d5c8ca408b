//! What the configuration means to the lake.

use crate::{database::EXTENSIONS, settings::LakeSettings};
use heplake_host::configuration::{Configuration, ConfigurationError, settings};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The extension that is part of the prebuilt library.
const IN_DUCKDB: &str = "icu";

impl LakeSettings {
    /// Resolves them.
    ///
    /// # Errors
    /// Says which setting cannot be read.
    pub fn resolve(configuration: &Configuration) -> Result<Self, ConfigurationError> {
        let get = configuration;
        Ok(Self {
            catalog_path: get.absolute_path(&settings::CATALOG_PATH)?,
            data_path: get.absolute_path(&settings::DATA_PATH)?,
            lake_name: get.get(&settings::LAKE_NAME)?,
            extension_directory: get.absolute_path_or_none(&settings::EXTENSION_DIRECTORY)?,
            memory_limit_bytes: get.get(&settings::QUERY_MEMORY)?,
            threads: get.get(&settings::QUERY_THREADS)?,
            query_deadline: get.get(&settings::QUERY_DEADLINE)?,
            query_rows_max: get.get(&settings::QUERY_MAX_ROWS)?,
            query_bytes_max: get.get(&settings::QUERY_MAX_BYTES)?,
            register_interval: get.get(&settings::REGISTER_INTERVAL)?,
        })
    }

    /// Looks whether the extensions are in the directory that is configured, if one is: DuckDB wants them in
    /// `<version>/<platform>/`.
    ///
    /// # Errors
    /// Says what is not there.
    pub fn check_extensions(&self) -> Result<(), String> {
        let Some(directory) = &self.extension_directory else {
            return Ok(());
        };
        let has = |extension: &str| {
            let file = format!("{extension}.duckdb_extension");
            below(directory)
                .iter()
                .flat_map(|version| below(version))
                .any(|platform| platform.join(&file).is_file())
        };
        let is_missing = |extension: &&&str| **extension != IN_DUCKDB && !has(extension);
        match EXTENSIONS.iter().find(is_missing) {
            None => Ok(()),
            Some(missing) => Err(format!(
                "duckdb.extension_directory: {} has no <version>/<platform>/{missing}.duckdb_extension: let it be .setup/duckdb/extensions, or a copy of it",
                directory.display()
            )),
        }
    }
}

/// The entries of a directory; none if it cannot be read.
fn below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests;
