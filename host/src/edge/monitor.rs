//! What an edge has received and not committed yet, for health and for the end of a process.

use crate::{
    commit::{CommitMonitor, CommitStatus},
    worker::{Amount, Backlog},
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Watches an edge, also while it drains.
#[derive(Clone, Debug)]
pub struct EdgeMonitor {
    pub(super) received: Vec<Arc<AtomicU64>>,
    pub(super) backlog: Arc<Backlog>,
    pub(super) commits: Arc<CommitMonitor>,
}

/// What was received and is in no commit: it is lost if the process ends now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unwritten {
    /// Packets, also those of which no row was made yet.
    pub packets: u64,
    /// Rows.
    pub rows: u64,
    /// Data files of the commit that is being written.
    pub files: u64,
    /// Why the store takes nothing, if it does not.
    pub error: Option<String>,
}

impl EdgeMonitor {
    /// How committing goes.
    #[must_use]
    pub fn commits(&self) -> CommitStatus {
        self.commits.status()
    }

    /// Rows that no commit holds yet, and their bytes.
    #[must_use]
    pub fn waiting(&self) -> Amount {
        self.backlog.waiting()
    }

    /// What would be lost if the process ended now.
    #[must_use]
    pub fn unwritten(&self) -> Unwritten {
        // What is done first: a packet that comes meanwhile is counted rather than left out.
        let done = self.commits.packets_done();
        let received = self.received.iter();
        let received: u64 = received.map(|count| count.load(Ordering::Relaxed)).sum();
        let status = self.commits.status();
        Unwritten {
            packets: received.saturating_sub(done),
            rows: self.backlog.waiting().rows,
            files: status.storing.map_or(0, |storing| storing.files),
            error: status.store_failure.map(|failure| failure.error),
        }
    }
}

impl Unwritten {
    /// Whether nothing would be lost.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.packets == 0 && self.rows == 0
    }
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            packets,
            rows,
            files,
            error,
        } = self;
        write!(f, "{packets} packets, {rows} rows, {files} files")?;
        match error {
            Some(error) => write!(f, " ({error})"),
            None => Ok(()),
        }
    }
}
