//! Lock files: one holder at a time on one host.

use std::{
    fmt,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Longest note of a holder that is read back, in bytes.
const NOTE_BYTES_MAX: u64 = 200;

/// A lock on a file of its own, held until it is dropped or the process ends, however it ends.
///
/// The kernel gives the lock back, so a process that was killed never keeps the next one out.
/// The file stays: removing it would let two processes lock two files of one name.
pub struct FileLock {
    _file: File,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum FileLockError {
    /// Another process has it, or another part of this one.
    #[error("the lock file {path} is held by {holder}")]
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
        source: io::Error,
    },
}

impl FileLock {
    /// Takes the lock, and notes in the file who holds it: `holder`, and this process.
    ///
    /// # Errors
    /// Says who holds it, or why the file cannot be used.
    pub fn take(path: &Path, holder: &str) -> Result<Self, FileLockError> {
        let io = |source| FileLockError::Io {
            path: path.into(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // A holder that has not yet written its note is a holder all the same.
                let _ = (&file).take(NOTE_BYTES_MAX).read_to_string(&mut holder);
                let holder = match holder.trim() {
                    "" => "another process".into(),
                    holder => holder.into(),
                };
                let path = path.into();
                return Err(FileLockError::Held { path, holder });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{holder}, process {}", std::process::id()))
            .map_err(io)?;
        Ok(Self { _file: file })
    }
}

impl fmt::Debug for FileLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileLock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_has_one_holder_who_is_named_to_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        // Longer than the next note, of which nothing may be left.
        drop(FileLock::take(&path, &"x".repeat(100)).unwrap());
        let held = FileLock::take(&path, "one").unwrap();
        let error = FileLock::take(&path, "two").unwrap_err().to_string();
        let expected = format!(
            "the lock file {} is held by one, process {}",
            path.display(),
            std::process::id()
        );
        assert_eq!(error, expected);
        drop(held);
        FileLock::take(&path, "two").unwrap();
    }

    #[test]
    fn a_lock_file_that_cannot_be_made_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("absent/lock");
        let error = FileLock::take(&path, "one").unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}
