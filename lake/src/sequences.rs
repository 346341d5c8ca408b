//! Which commits of an edge are registered, and which are missing in between.
//!
//! Commits are registered in order. A commit that never comes must not block those behind
//! it for ever (an edge may have lost its disk), so a hole is reported once and passed by;
//! should its commits appear later, they are registered then. Order between commits bears
//! no meaning for the rows: each carries its own times.

use heplake_format::{EdgeName, Sequence};
use std::collections::BTreeMap;

/// Commits of an edge that are missing before one that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Whose they are.
    pub edge: EdgeName,
    /// The first that is missing.
    pub first: Sequence,
    /// The last that is missing.
    pub last: Sequence,
}

/// The sequences of one edge that are registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sequences {
    /// The one after the last that is registered.
    next: Sequence,
    /// Holes before it: first to last that is missing.
    holes: BTreeMap<Sequence, Sequence>,
}

impl Default for Sequences {
    fn default() -> Self {
        Self {
            next: Sequence::FIRST,
            holes: BTreeMap::new(),
        }
    }
}

impl Sequences {
    /// All up to `last` but for the holes.
    // The one after the highest number is no number of a commit, but says that the highest is registered.
    pub(crate) fn up_to(last: Sequence, holes: BTreeMap<Sequence, Sequence>) -> Self {
        let next = Sequence(last.0.saturating_add(1));
        Self { next, holes }
    }

    /// The one after the last that is registered: most likely the next to come.
    pub(crate) fn next(&self) -> Sequence {
        self.next
    }

    /// The first that is not registered: where a listing has to begin.
    pub(crate) fn first_missing(&self) -> Sequence {
        self.holes.keys().next().copied().unwrap_or(self.next)
    }

    /// Whether a sequence is registered.
    pub(crate) fn contains(&self, sequence: Sequence) -> bool {
        let hole = self.holes.range(..=sequence).next_back();
        sequence < self.next && hole.is_none_or(|(_, last)| *last < sequence)
    }

    /// Notes a sequence as registered.
    pub(crate) fn insert(&mut self, sequence: Sequence) {
        if sequence >= self.next {
            if sequence > self.next {
                self.holes.insert(self.next, Sequence(sequence.0 - 1));
            }
            self.next = Sequence(sequence.0.saturating_add(1));
            return;
        }
        let hole = self.holes.range(..=sequence).next_back();
        let Some((first, last)) = hole.map(|(first, last)| (*first, *last)) else {
            return;
        };
        if last < sequence {
            return;
        }
        self.holes.remove(&first);
        if first < sequence {
            self.holes.insert(first, Sequence(sequence.0 - 1));
        }
        if sequence < last {
            self.holes.insert(sequence.next(), last);
        }
    }

    /// The holes, first to last.
    pub(crate) fn holes(&self) -> impl Iterator<Item = (Sequence, Sequence)> {
        self.holes.iter().map(|(first, last)| (*first, *last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn holds_what_a_set_holds(inserted in prop::collection::vec(1u64..40, 0..60)) {
            let mut sequences = Sequences::default();
            let mut set = BTreeSet::new();
            for number in inserted {
                sequences.insert(Sequence(number));
                set.insert(number);
            }
            let last = set.last().copied().unwrap_or(0);
            prop_assert_eq!(sequences.next(), Sequence(last + 1));
            for number in 1..=last + 1 {
                prop_assert_eq!(sequences.contains(Sequence(number)), set.contains(&number), "{}", number);
            }
            let missing: Vec<u64> = sequences.holes().flat_map(|(a, b)| a.0..=b.0).collect();
            let expected: Vec<u64> = (1..=last).filter(|n| !set.contains(n)).collect();
            prop_assert_eq!(missing, expected);
        }
    }
}
