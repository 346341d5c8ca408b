//! What was found of sets of components since the start.

use super::{ComponentSet, Report, validation::digests};
use std::{collections::VecDeque, time::Duration};

/// Reports that are kept: going to and fro between a few versions tries none of them twice.
const REPORTS_MAX: usize = 64;

/// How long a report holds: what a site's traffic is like changes.
const AGE_MAX: Duration = Duration::from_secs(3600);

/// Reports, by what was tried and what it was held against.
#[derive(Default)]
pub(super) struct Tried {
    reports: VecDeque<([Vec<String>; 2], Report)>,
}

impl Tried {
    /// What was found of a candidate against what serves, not long ago.
    pub(super) fn report(
        &self,
        active: &ComponentSet,
        candidate: &ComponentSet,
        now_us: u64,
    ) -> Option<Report> {
        let key = [digests(active), digests(candidate)];
        let mut known = self.reports.iter().rev();
        let (_, report) = known.find(|(of, _)| *of == key)?;
        let age = Duration::from_micros(now_us.saturating_sub(report.at_us));
        (age < AGE_MAX).then(|| report.clone())
    }

    /// Keeps what was found. What cannot serve is not kept, since another time it may fit; nor
    /// what no packet came to, since some may have come by then.
    pub(super) fn keep(
        &mut self,
        active: &ComponentSet,
        candidate: &ComponentSet,
        report: &Report,
    ) {
        if !report.impediments.is_empty() || report.packets_reached == 0 {
            return;
        }
        let key = [digests(active), digests(candidate)];
        self.reports.retain(|(of, _)| *of != key);
        self.reports.push_back((key, report.clone()));
        if self.reports.len() > REPORTS_MAX {
            self.reports.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_packet_came_to_is_tried_again() {
        let (mut tried, set) = (Tried::default(), ComponentSet::default());
        for packets_reached in [0, 1] {
            let report = Report {
                packets_reached,
                ..Report::default()
            };
            tried.keep(&set, &set, &report);
            let known = tried.report(&set, &set, 0);
            assert_eq!(known.is_some(), packets_reached > 0);
        }
        let later = AGE_MAX.as_micros() as u64;
        assert!(tried.report(&set, &set, later).is_none());
    }
}
