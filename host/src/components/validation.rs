//! Validation: a component is tried before it serves, on a thread that no packet waits for.

use super::{ComponentSet, PipelineOptions, Report, corpus::Corpus, replay::Trial, state::State};
use crate::configuration::Thresholds;
use heplake_format::{Column, ComponentDigest, TableName};
use std::collections::BTreeSet;

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
        let mut active = match Trial::new(self.active, self.options) {
            Ok(trial) => trial,
            Err(error) => {
                let what = "what serves could not be tried beside it, try again";
                report.impediments.push(format!("{what}: {error}"));
                return report;
            }
        };
        let (now, then) = (active.replay(self.corpus), candidate.replay(self.corpus));
        report.compare(&now, &then, &self.changed(&active, &candidate));
        [report.ns_per_packet_active, report.ns_per_packet_candidate] =
            Trial::ns_per_packet([&mut active, &mut candidate], self.corpus);
        report.judge(self.thresholds);
        report
    }

    /// What the candidate changes.
    fn changed(&self, active: &Trial, candidate: &Trial) -> Changed {
        let new = self.candidate.versions().filter(|version| {
            let active = self.active.get(&version.named().name);
            active.is_none_or(|active| active.named() != version.named())
        });
        let new: Vec<ComponentDigest> = new.map(|version| version.named().clone()).collect();
        let old = new.iter().filter_map(|new| self.active.get(&new.name));
        let old: Vec<ComponentDigest> = old.map(|version| version.named().clone()).collect();
        let columns = |trial: &Trial| -> BTreeSet<(TableName, String)> {
            let tables = trial.pipeline().tables();
            let columns = tables.flat_map(|table| {
                let name = |column: &Column| (table.name.clone(), column.name.to_string());
                table.columns.iter().map(name).collect::<Vec<_>>()
            });
            columns.collect()
        };
        let (now, then) = (columns(active), columns(candidate));
        Changed {
            columns: then.difference(&now).cloned().collect(),
            replaces: !old.is_empty(),
            components: new.into_iter().chain(old).collect(),
        }
    }
}

/// What is different about a candidate.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// Columns that only its tables have: to fill them is no difference.
    pub(super) columns: BTreeSet<(TableName, String)>,
    /// Its new components, and those in whose place they come.
    pub(super) components: Vec<ComponentDigest>,
    /// Whether they come in the place of others.
    pub(super) replaces: bool,
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
