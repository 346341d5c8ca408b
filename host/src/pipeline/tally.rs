//! What became of a pipeline's packets, for those who watch it from another thread.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of one pipeline. Read while it works: the counts need not be of one moment.
#[derive(Debug, Default)]
pub struct Tally {
    batches: AtomicU64,
    packets: AtomicU64,
    refused: AtomicU64,
    passed_over: AtomicU64,
}

impl Tally {
    /// Batches that it has done.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    /// Packets that it has got, those of the batch in hand among them.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    /// Packets or payloads that a component refused or faulted on.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Payloads that their parser called another's, or gave rows that its router put nowhere:
    /// they are stored whole in the default table.
    #[must_use]
    pub fn passed_over(&self) -> u64 {
        self.passed_over.load(Ordering::Relaxed)
    }

    pub(super) fn count_packets(&self, packets: usize) {
        self.packets.fetch_add(packets as u64, Ordering::Relaxed);
    }

    pub(super) fn count_batch(&self) {
        self.batches.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_refused(&self, refused: usize) {
        self.refused.fetch_add(refused as u64, Ordering::Relaxed);
    }

    pub(super) fn count_passed_over(&self, passed_over: usize) {
        self.passed_over
            .fetch_add(passed_over as u64, Ordering::Relaxed);
    }
}
