//! What the configuration means to the lake.

use crate::settings::LakeSettings;
use heplake_host::configuration::{Configuration, ConfigurationError, settings};

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
            register_interval: get.get(&settings::REGISTER_INTERVAL)?,
        })
    }
}
