//! The lock file: one service a catalog.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Longest note of a holder that is read back, in bytes.
const NOTE_BYTES_MAX: u64 = 200;

/// Holds `<catalog>.lock` until dropped, or until the process ends, however it ends.
///
/// The lock lies on a file of its own: locks on SQLite's own file would be lost whenever
/// any other handle to it in this process is closed.
pub(crate) struct CatalogLock {
    _file: File,
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
        /// What the holder wrote into it.
        holder: String,
    },
    /// The file cannot be made, read or written.
    #[error("the lock file {path} cannot be used: {source}")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl CatalogLock {
    /// Takes the lock of a catalog.
    pub(crate) fn take(catalog: &Path) -> Result<Self, LockError> {
        let mut path = catalog.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let io = |source| LockError::Io {
            path: path.clone(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // A holder that has not yet written its note is as much a holder.
                let _ = (&file).take(NOTE_BYTES_MAX).read_to_string(&mut holder);
                let holder = match holder.trim() {
                    "" => "another process".into(),
                    holder => holder.into(),
                };
                return Err(LockError::Held { path, holder });
            }
            Err(TryLockError::Error(source)) => return Err(LockError::Io { path, source }),
        }
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "heplake, process {}", std::process::id()))
            .map_err(io)?;
        Ok(Self { _file: file })
    }
}
