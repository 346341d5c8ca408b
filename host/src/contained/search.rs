//! Which of many items makes a component fault.
//!
//! ```text
//!  ├──────────── stride, faults ────────────┤
//!  ├ fine ┼ fine ┼ faults ┤                    a sixteenth at a time
//!                ├┼┼┼ faults                   an item that stands alone is blamed
//!                     └ the next stride …
//! ```
//!
//! A call that goes well costs a microsecond or two, and its items are answered. One that
//! faults costs a hundred times as much: an instance and a trap. So a range is not halved
//! but taken in sixteenths, for as few faults as can be: two or three for a bad item.
//! Strides become as much shorter by a fault, and longer again while all goes well.

use crate::sandbox::Fault;
use std::{ops::Range, time::Duration};

/// What a runaway is given at least, of the processor's time: three ticks of the clock that
/// stops it, since the first may come at once. An item takes less than a microsecond.
const DEADLINE_MIN: Duration = Duration::from_millis(30);

/// Parts that a range is taken in once it faulted. With one bad item in a thousand, a hundred
/// or ten, two parts mean 6.1, 4.4 or 2.8 faults for each, sixteen 3.5, 2.7 and 1.9; 32 mean
/// hardly fewer, and half as many calls again.
const PARTS: usize = 16;

/// The part of a deadline that some items of a batch have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    items: usize,
    of: usize,
}

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self { items: 1, of: 1 };

    /// What so many items of a batch have of the batch's deadline: a runaway would cost a
    /// whole one at each attempt.
    #[must_use]
    pub fn of(self, deadline: Duration) -> Duration {
        let items = u32::try_from(self.items).unwrap_or(u32::MAX);
        let of = u32::try_from(self.of).unwrap_or(u32::MAX).max(1);
        let share = deadline.saturating_mul(items) / of;
        share.max(DEADLINE_MIN).min(deadline)
    }
}

/// Why items have no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// The component faulted.
    Fault {
        fault: Fault,
        /// The instance had served earlier batches: it may be what they left in it.
        was_used: bool,
    },
    /// The search ends here.
    Stopped(Stop),
}

/// Why a search ends before its last item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// There is an answer, but no room for it beside those that there are.
    Full,
    /// There is no instance to be called, for this reason.
    OutOfService(&'static str),
}

/// The items of a batch, as a search calls for their answers: from the first to the last,
/// each once.
pub(super) trait Attempts {
    /// Has these items answered. If it fails none of them is.
    fn attempt(&mut self, items: Range<usize>, share: Share) -> Result<(), Failed>;
    /// This item faulted when it stood alone.
    fn blame(&mut self, item: usize, fault: &Fault);
    /// So many items made a fault together, and none of them does alone; or a single one on
    /// an instance that was used, and not on another.
    fn excuse(&mut self, items: usize, fault: &Fault);
    /// Nothing can be called any more for the rest.
    fn give_up(&mut self, rest: Range<usize>, reason: &'static str);
}

/// What is remembered from one batch to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    /// Items that are sent in one call.
    stride: usize,
}

impl Default for Search {
    /// A batch is sent whole until something is wrong.
    fn default() -> Self {
        Self { stride: usize::MAX }
    }
}

impl Search {
    /// Gets an answer for each of so many items, or for the first that there is room for.
    pub(super) fn run(&mut self, count: usize, attempts: &mut impl Attempts) {
        let mut start = 0;
        while start < count {
            let end = start.saturating_add(self.stride).min(count);
            let share = |items: &Range<usize>| Share {
                items: items.len(),
                of: count,
            };
            let next = match attempts.attempt(start..end, share(&(start..end))) {
                Ok(()) => {
                    self.stride = self.stride.saturating_mul(2);
                    Ok(end)
                }
                Err(Failed::Fault { fault, was_used }) => {
                    self.stride = ((end - start) / PARTS).max(1);
                    match was_used && end - start == 1 {
                        true => hear_again(start, fault, share, attempts),
                        false => narrow(start..end, fault, share, attempts),
                    }
                }
                Err(Failed::Stopped(stop)) => Err((start, stop)),
            };
            match next {
                Ok(next) => start = next,
                Err((_, Stop::Full)) => return,
                Err((from, Stop::OutOfService(reason))) => {
                    return attempts.give_up(from..count, reason);
                }
            }
        }
    }
}

/// Answers a single item on which an instance faulted that was used: what earlier packets
/// left in an instance is not this one's fault. The next instance is a new one.
fn hear_again(
    item: usize,
    fault: Fault,
    share: impl Fn(&Range<usize>) -> Share,
    attempts: &mut impl Attempts,
) -> Result<usize, (usize, Stop)> {
    let alone = item..item + 1;
    match attempts.attempt(alone.clone(), share(&alone)) {
        Ok(()) => attempts.excuse(1, &fault),
        Err(Failed::Fault { fault, .. }) => attempts.blame(item, &fault),
        Err(Failed::Stopped(stop)) => return Err((item, stop)),
    }
    Ok(alone.end)
}

/// Answers a range that faulted as a whole up to and with its first guilty item, and tells
/// where to go on.
fn narrow(
    guilty: Range<usize>,
    fault: Fault,
    share: impl Fn(&Range<usize>) -> Share,
    attempts: &mut impl Attempts,
) -> Result<usize, (usize, Stop)> {
    let Range { mut start, mut end } = guilty;
    let mut together = end - start;
    let mut fault = fault;
    // Whether the fault in hand is that of one item by itself.
    let mut alone = end - start == 1;
    let mut part = ((end - start) / PARTS).max(1);
    while !alone {
        if end - start <= part && part > 1 {
            // The last part was found guilty by the innocence of the others: it is not run
            // whole again. It may be that only all of them together were too much, so a
            // single item is heard before it is blamed.
            part = ((end - start) / PARTS).max(1);
        }
        let next = (start + part).min(end);
        match attempts.attempt(start..next, share(&(start..next))) {
            Ok(()) if next == end => {
                attempts.excuse(together, &fault);
                return Ok(end);
            }
            Ok(()) => start = next,
            Err(Failed::Fault { fault: found, .. }) => {
                (end, fault) = (next, found);
                together = end - start;
                alone = together == 1;
                part = (together / PARTS).max(1);
            }
            Err(Failed::Stopped(stop)) => return Err((start, stop)),
        }
    }
    attempts.blame(start, &fault);
    Ok(end)
}

#[cfg(test)]
mod tests;
