//! Validation: a component is tried before it serves, on a thread that no packet waits for.

use super::{ComponentSet, PipelineOptions, Report, corpus::Corpus, replay::Trial, state::State};
use crate::configuration::Thresholds;

/// What a candidate is held against.
pub(super) struct Validation<'a> {
    /// The components that serve.
    pub(super) active: &'a ComponentSet,
    /// The same with the candidate.
    pub(super) candidate: &'a ComponentSet,
    /// What pipelines have in common.
    pub(super) options: &'a PipelineOptions,
    /// The golden packets.
    pub(super) corpus: &'a Corpus,
    /// The tables so far.
    pub(super) state: &'a State,
    /// What decides.
    pub(super) thresholds: &'a Thresholds,
    /// Now, µs since 1970.
    pub(super) now_us: u64,
    /// How long compiling took, ms.
    pub(super) compile_ms: f64,
}

impl Validation<'_> {
    /// Tries the candidate, and says what was found.
    pub(super) fn run(&self) -> Report {
        let mut report = Report {
            at_us: self.now_us,
            against: digests(self.active),
            compile_ms: self.compile_ms,
            ..Report::default()
        };
        let mut candidate = match Trial::new(self.candidate, self.options) {
            Ok(trial) => trial,
            Err(error) => {
                report.impediments.push(error.to_string());
                return report;
            }
        };
        match self.state.new_columns(candidate.pipeline().tables()) {
            Ok(columns) => report.new_columns = columns,
            Err(error) => {
                report.impediments.push(error.to_string());
                return report;
            }
        }
        // The active set serves: it makes a pipeline. Were it not so, there would be nothing
        // to be worse than.
        let Ok(mut active) = Trial::new(self.active, self.options) else {
            return report;
        };
        let (now, then) = (active.replay(self.corpus), candidate.replay(self.corpus));
        let new_columns = report.new_columns.clone();
        report.compare(&now, &then, &new_columns);
        [report.ns_per_packet_active, report.ns_per_packet_candidate] =
            Trial::ns_per_packet([&mut active, &mut candidate], self.corpus);
        report.judge(self.thresholds);
        report
    }
}

/// The digests of a set, sorted: what a report was held against.
pub(super) fn digests(set: &ComponentSet) -> Vec<String> {
    let mut digests: Vec<String> = set
        .versions()
        .map(|version| version.named().digest.clone())
        .collect();
    digests.sort();
    digests
}
