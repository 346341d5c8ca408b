//! A limit on log lines that packets and their senders can cause.

use std::time::{Duration, Instant};

/// Lines in a period: enough to see what is wrong, and too few to fill a disk.
const LINES_MAX: u32 = 4;
const PERIOD: Duration = Duration::from_secs(1);

/// Lets a few lines a second through, and counts the others.
#[derive(Debug, Default)]
pub(crate) struct LogLimit {
    period_start: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl LogLimit {
    /// Whether a line may be logged now; if so, how many were left out before it.
    pub(crate) fn line(&mut self, now: Instant) -> Option<u64> {
        let is_over = |start: Instant| now.saturating_duration_since(start) >= PERIOD;
        if self.period_start.is_none_or(is_over) {
            self.period_start = Some(now);
            self.lines = 0;
        }
        if self.lines == LINES_MAX {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_lines_a_second_are_let_through_and_the_next_says_how_many_were_not() {
        let (mut limit, start) = (LogLimit::default(), Instant::now());
        let mut line = |milliseconds| limit.line(start + Duration::from_millis(milliseconds));
        let found: Vec<Option<u64>> = [0, 1, 2, 3, 4, 999, 1000, 1500, 3000]
            .into_iter()
            .map(&mut line)
            .collect();
        let none_left_out = Some(0);
        assert_eq!(
            found,
            [
                none_left_out,
                none_left_out,
                none_left_out,
                none_left_out,
                None,
                None,
                Some(2),
                none_left_out,
                none_left_out,
            ]
        );
    }
}
