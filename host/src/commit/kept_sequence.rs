//! The highest sequence that an edge has used, in a file of the edge's own.
//!
//! ```text
//!  {data_dir}/edges/<edge>/last_sequence
//! ```
//!
//! The store knows it too, as long as it has the edge's last commits. Where they are gone, deleted
//! or lost with a backup that is older, their numbers look free; but the lake has registered them
//! and takes nothing under them any more. So the edge remembers by itself.

use heplake_format::Sequence;
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

const FILE: &str = "last_sequence";

/// Longest text that is read, in bytes: a number has 20 digits at most, and a line end.
const TEXT_BYTES_MAX: u64 = 64;

/// The file of one edge, whose lock is held.
#[derive(Debug)]
pub struct KeptSequence {
    path: PathBuf,
    is_failing: bool,
}

impl KeptSequence {
    /// In the directory of what the edge keeps for itself.
    #[must_use]
    pub fn below(directory: &Path) -> Self {
        Self {
            path: directory.join(FILE),
            is_failing: false,
        }
    }

    /// What was kept last. A file that cannot be read is told in the log: the edge can only go by
    /// the store then.
    pub(super) fn read(&self) -> Option<Sequence> {
        let mut text = String::new();
        let read = File::open(&self.path)
            .and_then(|file| file.take(TEXT_BYTES_MAX).read_to_string(&mut text));
        let reason = match read {
            Ok(_) => match text.trim().parse() {
                Ok(sequence) => return Some(sequence),
                Err(_) => "it holds no number of a commit".to_owned(),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => error.to_string(),
        };
        tracing::warn!(
            path = %self.path.display(),
            reason,
            "the last sequence of this edge cannot be read: the commits in the store alone say where it goes on"
        );
        None
    }

    /// Keeps a sequence. A failure costs nothing as long as the store has its commits: it is told
    /// once, and the next commit tries again.
    pub(super) async fn write(&mut self, sequence: Sequence) {
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || replace(&path, sequence)).await;
        match written.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => self.is_failing = false,
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                tracing::warn!(
                    path = %self.path.display(),
                    %error,
                    "the last sequence of this edge cannot be kept: commits go on"
                );
            }
            Err(_) => {}
        }
    }
}

/// Writes the file whole or not at all, and on disk: an empty one would say nothing after a power
/// cut.
fn replace(path: &Path, sequence: Sequence) -> io::Result<()> {
    let begun = path.with_extension("begun");
    let mut file = File::create(&begun)?;
    writeln!(file, "{}", sequence.0)?;
    file.sync_all()?;
    fs::rename(&begun, path)
}
