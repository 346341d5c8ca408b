//! A breaker: takes a component out of service that faults too often.

use crate::log_limit::LogLimit;
use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Parts of the window that are counted for themselves: the oldest is forgotten at a time,
/// so that faults are counted over the window or up to a sixteenth less.
const SLOTS: usize = 16;

/// What all instances of one version of one component share: how often it faulted, and
/// whether it is called at all. Once tripped it stays so until the component is replaced.
pub struct Breaker {
    faults_max: u32,
    window: Duration,
    faults: AtomicU64,
    tripped: AtomicBool,
    successor: AtomicBool,
    recent: Mutex<Recent>,
}

/// What follows from a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// It was this one that tripped the breaker.
    pub trips: bool,
    /// A line may be logged for it, and so many were left out before it.
    pub line: Option<u64>,
}

impl Breaker {
    /// A breaker that more than `faults_max` faults within `window` trip; 0 stands for no
    /// limit.
    #[must_use]
    pub fn new(faults_max: u32, window: Duration) -> Self {
        Self {
            faults_max,
            window,
            faults: AtomicU64::new(0),
            tripped: AtomicBool::new(false),
            successor: AtomicBool::new(false),
            recent: Mutex::default(),
        }
    }

    /// Counts a fault of a kind that happened now. It is one fault however often a packet
    /// was tried until it stood alone.
    pub fn fault(&self, now: Instant, kind: &'static str) -> Noted {
        self.faults.fetch_add(1, Ordering::Relaxed);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let count = recent.count(now, self.window);
        let trips = self.faults_max > 0 && count > self.faults_max && !self.is_tripped();
        if trips {
            recent.tripped_by = Some(kind);
            self.tripped.store(true, Ordering::Relaxed);
        }
        Noted {
            trips,
            line: recent.lines.line(now),
        }
    }

    /// Whether the component is out of service.
    #[must_use]
    #[inline]
    pub fn is_tripped(&self) -> bool {
        // Nothing else is read on the strength of it: an instance that learns of it one
        // batch later does no harm.
        self.tripped.load(Ordering::Relaxed)
    }

    /// Says whether another version takes over once this one is cut off. Then nothing of what it
    /// was for is stored raw meanwhile: it waits for that version.
    pub fn expect_successor(&self, expected: bool) {
        self.successor.store(expected, Ordering::Relaxed);
    }

    /// Whether the component is out of service, and another version is about to take over.
    #[must_use]
    pub fn awaits_successor(&self) -> bool {
        self.is_tripped() && self.successor.load(Ordering::Relaxed)
    }

    /// The kind of the fault that tripped it.
    #[must_use]
    pub fn tripped_by(&self) -> Option<&'static str> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.tripped_by
    }

    /// Faults since it was made.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("faults", &self.faults())
            .field("is_tripped", &self.is_tripped())
            .finish_non_exhaustive()
    }
}

/// The faults of the window.
#[derive(Default)]
struct Recent {
    /// When the first fault was: slots are counted from there.
    start: Option<Instant>,
    /// The latest slot that is counted into.
    slot: u64,
    faults: [u32; SLOTS],
    lines: LogLimit,
    tripped_by: Option<&'static str>,
}

impl Recent {
    /// Counts a fault, and tells how many there were within the window.
    fn count(&mut self, now: Instant, window: Duration) -> u32 {
        let since = now.saturating_duration_since(*self.start.get_or_insert(now));
        let width = (window.as_nanos() / SLOTS as u128).max(1);
        // A clock that went back counts into the latest slot.
        let slot = u64::try_from(since.as_nanos() / width).unwrap_or(u64::MAX);
        let slot = slot.max(self.slot);
        for passed in 1..=(slot - self.slot).min(SLOTS as u64) {
            self.faults[((self.slot + passed) % SLOTS as u64) as usize] = 0;
        }
        self.slot = slot;
        let current = &mut self.faults[(slot % SLOTS as u64) as usize];
        *current = current.saturating_add(1);
        self.faults
            .iter()
            .fold(0, |sum, faults| sum.saturating_add(*faults))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(16);

    /// The place of the fault that trips, of faults at these seconds.
    fn trips_at(faults_max: u32, seconds: &[u64]) -> Option<usize> {
        let (breaker, start) = (Breaker::new(faults_max, WINDOW), Instant::now());
        let trips: Vec<bool> = seconds
            .iter()
            .map(|second| {
                breaker
                    .fault(start + Duration::from_secs(*second), "kind")
                    .trips
            })
            .collect();
        assert_eq!(breaker.faults(), seconds.len() as u64);
        assert_eq!(breaker.is_tripped(), trips.contains(&true));
        assert!(trips.iter().filter(|trips| **trips).count() <= 1);
        trips.iter().position(|trips| *trips)
    }

    #[test]
    fn more_faults_within_the_window_than_allowed_trip_it() {
        for (faults_max, seconds, expected) in [
            (0, vec![0; 1000], None),
            (1, vec![0], None),
            (1, vec![0, 0], Some(1)),
            (1, vec![0, 15], Some(1)),
            (1, vec![0, 16, 32, 48], None),
            (2, vec![0, 8, 16, 24, 32], None),
            (2, vec![0, 8, 15, 15, 15], Some(2)),
            (3, vec![0, 0, 0, 40, 40, 40, 41], Some(6)),
            // All slots are passed over, and the same slot is come back to.
            (3, vec![0, 0, 0, 16, 16, 16], None),
            (3, vec![5, 5, 5, 1_000_000, 1_000_000, 1_000_000], None),
            // A clock that went back.
            (2, vec![30, 20, 10], Some(2)),
        ] {
            assert_eq!(trips_at(faults_max, &seconds), expected, "{seconds:?}");
        }
    }

    #[test]
    fn once_tripped_it_stays_tripped_and_names_the_fault_that_did_it() {
        let (breaker, start) = (Breaker::new(1, WINDOW), Instant::now());
        breaker.fault(start, "component_trap");
        assert_eq!(breaker.tripped_by(), None);
        breaker.fault(start, "component_deadline");
        breaker.fault(start + 10 * WINDOW, "component_memory");
        assert!(breaker.is_tripped());
        assert_eq!(breaker.tripped_by(), Some("component_deadline"));
    }

    #[test]
    fn a_window_of_nothing_and_times_without_end_are_no_trouble() {
        let breaker = Breaker::new(1, Duration::ZERO);
        let start = Instant::now();
        for second in [0, 1, 1 << 40] {
            let now = start.checked_add(Duration::from_secs(second));
            assert!(!breaker.fault(now.unwrap_or(start), "kind").trips);
        }
    }
}
