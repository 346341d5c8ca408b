//! The lock file: one service a catalog.

use heplake_host::{FileLock, FileLockError};
use std::path::{Path, PathBuf};

/// Holds `<catalog>.lock` until dropped, or until the process ends, however it ends.
///
/// The lock lies on a file of its own: locks on SQLite's own file would be lost whenever
/// any other handle to it in this process is closed.
pub(crate) struct CatalogLock {
    _lock: FileLock,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another service has it.
    #[error(
        "the catalog is in use by {holder} (lock file {path}): stop it, or give this lake another catalog"
    )]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The note that the holder wrote into it.
        holder: String,
    },
    /// The file cannot be made, read or written.
    #[error("the lock file {path} cannot be used: {source}")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// The answer of the system.
        source: std::io::Error,
    },
}

impl CatalogLock {
    /// Takes the lock of a catalog.
    pub(crate) fn take(catalog: &Path) -> Result<Self, LockError> {
        let mut path = catalog.as_os_str().to_owned();
        path.push(".lock");
        let lock = FileLock::take(Path::new(&path), "heplake")?;
        Ok(Self { _lock: lock })
    }
}

impl From<FileLockError> for LockError {
    fn from(error: FileLockError) -> Self {
        match error {
            FileLockError::Held { path, holder } => Self::Held { path, holder },
            FileLockError::Io { path, source } => Self::Io { path, source },
        }
    }
}
