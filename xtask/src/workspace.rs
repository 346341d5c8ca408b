//! Where things are: the checkout, and what setup puts into it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::command::Failure;

/// The checkout.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The checkout that `cargo xtask` was called in, which need not be the one that built this
    /// program: checkouts may share a target directory.
    pub(crate) fn find() -> Result<Self, Failure> {
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        match package.parent() {
            Some(root) if root.join("Cargo.toml").is_file() => Ok(Self {
                root: root.to_owned(),
            }),
            _ => Err(Failure::Task(format!(
                "{} is not in a checkout of Heplake: run `cargo xtask` inside one",
                package.display()
            ))),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// All files of the checkout with this ending, relative and sorted, without what is built
    /// or fetched.
    pub(crate) fn files(&self, ending: &str) -> Result<Vec<PathBuf>, Failure> {
        let mut found = Vec::new();
        let mut waiting = vec![self.root.clone()];
        while let Some(directory) = waiting.pop() {
            let entries = fs::read_dir(&directory)
                .map_err(|error| unreadable(&directory, &error))?
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| unreadable(&directory, &error))?;
            for entry in entries {
                let path = entry.path();
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if path.is_dir() {
                    if !name.starts_with('.') && !path.join("CACHEDIR.TAG").exists() {
                        waiting.push(path);
                    }
                } else if name.ends_with(ending)
                    && let Ok(relative) = path.strip_prefix(&self.root)
                {
                    found.push(relative.to_owned());
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// The text of a file of the checkout.
    pub(crate) fn read(&self, relative: impl AsRef<Path>) -> Result<String, Failure> {
        let path = self.path(relative);
        fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Task(format!("cannot read {}: {error}", path.display()))
}
