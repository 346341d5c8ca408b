//! How committing goes, for health and for the end of a process.

use super::{Committed, now_us};
use serde::Serialize;
use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// How committing goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CommitStatus {
    /// When something was last committed, µs since 1970, UTC.
    pub last_committed_us: Option<u64>,
    /// The commit that is being written now; none between two commits.
    pub storing: Option<Committed>,
    /// Why the store takes nothing now; none if it does.
    pub store_failure: Option<StoreFailure>,
    /// Another writer under the name of this edge; none if none was seen since the start.
    pub other_writer: Option<OtherWriter>,
}

/// Why the store takes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoreFailure {
    /// When it failed first, µs since 1970, UTC.
    pub since_us: u64,
    /// The error of the last try.
    pub error: String,
}

/// Another writer under the name of this edge. Nothing is lost by it: both only create files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OtherWriter {
    /// How many times it was in the way of a commit.
    pub times: u64,
    /// When it was last in the way, µs since 1970, UTC.
    pub last_us: u64,
    /// The holder of the name, as the claim in the store says.
    pub holder: String,
}

/// Tells how committing goes while it goes on.
#[derive(Debug, Default)]
pub struct CommitMonitor {
    status: Mutex<CommitStatus>,
    /// Packets of which nothing waits any more.
    packets_done: AtomicU64,
}

impl CommitMonitor {
    /// How committing goes now.
    #[must_use]
    pub fn status(&self) -> CommitStatus {
        self.lock().clone()
    }

    /// Packets that were committed, or gave no row to commit.
    #[must_use]
    pub fn packets_done(&self) -> u64 {
        self.packets_done.load(Ordering::Relaxed)
    }

    pub(super) fn no_row(&self, packets: u64) {
        self.packets_done.fetch_add(packets, Ordering::Relaxed);
    }

    pub(super) fn begin(&self, storing: Committed) {
        self.lock().storing = Some(storing);
    }

    /// `packets` are those of this flush: others of the commit gave no row before.
    pub(super) fn end(&self, packets: u64) {
        let mut status = self.lock();
        status.storing = None;
        status.last_committed_us = Some(now_us());
        self.packets_done.fetch_add(packets, Ordering::Relaxed);
    }

    /// Whether it had not failed before.
    pub(super) fn failed(&self, error: String) -> bool {
        let mut status = self.lock();
        let since_us = status.store_failure.as_ref().map(|before| before.since_us);
        status.store_failure = Some(StoreFailure {
            since_us: since_us.unwrap_or_else(now_us),
            error,
        });
        since_us.is_none()
    }

    /// Whether it had failed before.
    pub(super) fn succeeded(&self) -> bool {
        self.lock().store_failure.take().is_some()
    }

    pub(super) fn other_writer(&self, holder: String) {
        let mut status = self.lock();
        let before = status.other_writer.as_ref().map_or(0, |other| other.times);
        status.other_writer = Some(OtherWriter {
            times: before + 1,
            last_us: now_us(),
            holder,
        });
    }

    fn lock(&self) -> MutexGuard<'_, CommitStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
