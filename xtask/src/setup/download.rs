//! Downloads: kept in the directory that `HEPLAKE_CACHE` names, so that the next fresh checkout
//! needs none; else in a directory that goes away.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::command::Failure;
use crate::workspace::Workspace;

/// A directory of archives.
#[derive(Debug)]
pub(super) struct Downloads {
    directory: PathBuf,
    /// Removed with this value.
    _temporary: Option<TempDir>,
}

impl Downloads {
    /// The cache, or a new temporary directory. A cache may be shared by platforms.
    pub(super) fn open(workspace: &Workspace) -> Result<Self, Failure> {
        let Some(cache) = env::var_os("HEPLAKE_CACHE").filter(|cache| !cache.is_empty()) else {
            let temporary = super::scratch(workspace)?;
            return Ok(Self {
                directory: temporary.path().to_owned(),
                _temporary: Some(temporary),
            });
        };
        let directory = workspace.path(cache).join("downloads").join(format!(
            "{}-{}",
            env::consts::OS,
            env::consts::ARCH
        ));
        fs::create_dir_all(&directory).map_err(|error| {
            Failure::Task(format!(
                "cannot create {} (HEPLAKE_CACHE): {error}",
                directory.display()
            ))
        })?;
        Ok(Self {
            directory,
            _temporary: None,
        })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(super) fn holds(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The file whose name starts so.
    pub(super) fn find(&self, start: &str) -> Option<PathBuf> {
        let entries = fs::read_dir(&self.directory).ok()?;
        entries
            .flatten()
            .find(|entry| entry.file_name().to_string_lossy().starts_with(start))
            .map(|entry| entry.path())
    }

    /// Lets `fetch` write a file of this name into a directory of its own, and keeps it when it
    /// is whole.
    pub(super) fn fetch(
        &self,
        name: &str,
        fetch: impl FnOnce(&Path) -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        let partial = tempfile::tempdir_in(&self.directory).map_err(|error| {
            Failure::Task(format!(
                "cannot write to {}: {error}",
                self.directory.display()
            ))
        })?;
        fetch(partial.path())?;
        super::put(&partial.path().join(name), &self.path(name))
    }
}
