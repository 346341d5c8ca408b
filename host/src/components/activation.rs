//! How components take each other's place while packets flow.
//!
//! ```text
//!  pipelines made and warmed up ─▶ one worker, watched ─▶ all workers ─▶ the ones before stay warm
//!                                       └─ worse ──▶ the one before back into that worker
//! ```
//!
//! What components declare is remembered before the first packet reaches them, and what serves
//! is written down before it counts: where that fails, the workers get back what they had.

#![allow(
    clippy::vec_box,
    reason = "a worker is handed a pipeline as a box: it pauses for a pointer, not for a copy"
)]

use super::{
    ComponentSet, Event, Report, Version,
    canary::Canary,
    control::{Activate, Control, ControlError, lock, tell_serves},
    replay::warm_up,
    validation::digests,
    workers::Workers,
};
use crate::{
    commit::now_us,
    pipeline::{Pipeline, Tally},
    worker::Exchanged,
};
use heplake_format::Table;
use serde::Serialize;
use std::{sync::Arc, time::Instant};

/// How often an activation is prepared again since something else came to serve meanwhile.
const TRIES_MAX: usize = 3;

/// What changes what serves: held from the first worker's exchange to the last one's.
#[derive(Default)]
pub(super) struct Changing {
    pub(super) workers: Workers,
    /// What served before, with its instances.
    pub(super) warm: Option<Warm>,
    /// There are no workers any more.
    pub(super) detached: bool,
}

/// What served before the last activation.
pub(super) struct Warm {
    pub(super) set: ComponentSet,
    /// Of each worker.
    pub(super) pipelines: Vec<Box<Pipeline>>,
}

/// What an activation or a rollback did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Activated {
    /// Digests that serve now in place of others, by name; none where nothing does.
    pub changed: Vec<(String, Option<String>)>,
    /// Batches that the canary did alone.
    pub canary_batches: u64,
    /// Packets in them.
    pub canary_packets: u64,
    /// Time in which it was loaded, tried and warmed up, before any worker had it, ms.
    pub prepared_ms: f64,
    /// Time that the canary was watched, ms.
    pub canary_ms: f64,
    /// How long each worker did not work for it, µs.
    pub pauses_us: Vec<f64>,
    /// Time from the order until all workers had it, ms.
    pub elapsed_ms: f64,
    /// Time from the order until it was written down too, ms: beside the data files of a commit
    /// a disk may take its time.
    pub written_ms: f64,
    /// What was found, if it was tried for this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// What did not go as it should though it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// What is about to serve.
struct Candidate {
    /// What served when it was prepared, by digest.
    against: Vec<String>,
    set: ComponentSet,
    /// The new ones in it.
    versions: Vec<Arc<Version>>,
    report: Report,
    report_is_new: bool,
    /// Of each worker.
    pipelines: Vec<Box<Pipeline>>,
    tables: Vec<Table>,
}

impl Control {
    /// Has components serve in place of those of their names.
    ///
    /// # Errors
    /// When they cannot or should not serve, or did worse than those before: those go on.
    pub fn activate(&self, activate: &Activate) -> Result<Activated, ControlError> {
        let started = Instant::now();
        let _one = lock(&self.activating);
        let mut versions: Vec<Arc<Version>> = Vec::with_capacity(activate.digests.len());
        for digest in &activate.digests {
            let version = self.load(&self.entry(digest)?.digest)?;
            let name = &version.named().name;
            if versions.iter().any(|other| &other.named().name == name) {
                return Err(ControlError::Twice(name.clone()));
            }
            versions.push(Arc::new(version));
        }
        for _ in 0..TRIES_MAX {
            if self.is_stopping() {
                return Err(ControlError::Stopping);
            }
            let active = self.serving();
            let slots = self.store().state().slots.clone();
            let serves = |version: &&Arc<Version>| {
                let named = version.named();
                let active = active.get(&named.name);
                // What serves in place of what could not be loaded is not written down.
                let written = slots.get(&named.name).and_then(|slot| slot.active.as_ref());
                written == Some(&named.digest)
                    && active.is_some_and(|active| {
                        active.named() == named && !active.breaker().is_tripped()
                    })
            };
            let versions: Vec<_> = versions
                .iter()
                .filter(|one| !serves(one))
                .cloned()
                .collect();
            if versions.is_empty() {
                return Ok(Activated::default());
            }
            let candidate = self.candidate(&active, versions, activate.force)?;
            let mut changing = lock(&self.changing);
            if changing.detached {
                return Err(ControlError::Stopping);
            }
            if digests(&self.serving()) == candidate.against {
                return self.take_over(&mut changing, candidate, &activate.by, started);
            }
        }
        Err(ControlError::Changed)
    }

    /// Tries what is to serve, and makes its pipelines: nobody waits for that.
    fn candidate(
        &self,
        active: &ComponentSet,
        versions: Vec<Arc<Version>>,
        force: bool,
    ) -> Result<Candidate, ControlError> {
        let with = |set: ComponentSet, version: &Arc<Version>| set.with(version.clone());
        let set = versions.iter().fold(active.clone(), with);
        let known = self.known_report(active, &set);
        let report_is_new = known.is_none();
        let report = known.unwrap_or_else(|| self.validate(active, &set, 0.0));
        if !report.impediments.is_empty() {
            return Err(ControlError::Impeded(Box::new(report)));
        }
        if !report.objections.is_empty() && !force {
            return Err(ControlError::Objected(Box::new(report)));
        }
        let workers = lock(&self.changing).workers.len();
        let pipelines = self.pipelines(&set, workers, report.faults == 0)?;
        let tables = self.tables(&set, &pipelines)?;
        Ok(Candidate {
            against: digests(active),
            set,
            versions,
            report,
            report_is_new,
            pipelines,
            tables,
        })
    }

    fn take_over(
        &self,
        changing: &mut Changing,
        candidate: Candidate,
        by: &str,
        started: Instant,
    ) -> Result<Activated, ControlError> {
        let Candidate {
            set,
            versions,
            mut report,
            report_is_new,
            pipelines,
            tables,
            ..
        } = candidate;
        // The canary writes rows already.
        let new_columns = self.store().state().new_columns(tables.iter());
        if let Err(error) = new_columns {
            report.impediments.push(error.to_string());
            return Err(ControlError::Impeded(Box::new(report)));
        }
        self.store().change(|state| state.remember(tables.iter()))?;

        let named: Vec<(String, String)> = versions
            .iter()
            .map(|version| (version.named().name.clone(), version.named().digest.clone()))
            .collect();
        let prepared_ms = started.elapsed().as_secs_f64() * 1000.0;
        // A canary that is cut off goes back to the version that serves now.
        let serving = self.serving();
        for version in &versions {
            let has_before = serving.get(&version.named().name).is_some();
            version.breaker().expect_successor(has_before);
        }
        let (mut activated, before) = match self.swap(changing, pipelines, &versions) {
            Ok(swapped) => swapped,
            Err(error) => {
                if matches!(error, ControlError::Interrupted) {
                    let mut interrupted = lock(&self.interrupted);
                    for (name, _) in named {
                        *interrupted.entry(name).or_default() += 1;
                    }
                }
                self.canary_failed(&versions, by, &error);
                return Err(error);
            }
        };
        activated.elapsed_ms = started.elapsed().as_secs_f64() * 1000.0;
        let serving = self.serving_digests();
        let written = self.store().change(|state| {
            state.follow(named.iter().map(|(name, _)| name), &serving);
            state.activate(&named);
        });
        if let Err(error) = written {
            for (place, pipeline) in before.into_iter().enumerate() {
                changing.workers.give_back(place, pipeline);
            }
            return Err(error.into());
        }
        let set_before = std::mem::replace(&mut *lock(&self.serving), set);
        for version in &versions {
            if let Some(gone) = set_before.get(&version.named().name) {
                tell_serves(gone, false);
            }
            tell_serves(version, true);
        }
        self.forget_told(&set_before, named.iter().map(|(name, _)| name));
        self.expect_successors();
        changing.warm = Some(Warm {
            set: set_before,
            pipelines: before,
        });
        activated.prepared_ms = prepared_ms;
        activated.written_ms = started.elapsed().as_secs_f64() * 1000.0;

        let reason = report.objections.join("; ");
        let forced = !report.objections.is_empty();
        for (name, digest) in &named {
            let event = self.event("activated", name, digest, by);
            let reason = reason.clone();
            self.store().record(Event {
                forced,
                reason,
                ..event
            });
        }
        if report_is_new {
            if let [version] = versions.as_slice() {
                self.note_report(&version.named().digest, &report);
            }
            activated.report = Some(report);
        }
        activated.changed = named
            .into_iter()
            .map(|(name, digest)| (name, Some(digest)))
            .collect();
        Ok(activated)
    }

    /// What components of a set declare, of which these are pipelines.
    pub(super) fn tables(
        &self,
        set: &ComponentSet,
        pipelines: &[Box<Pipeline>],
    ) -> Result<Vec<Table>, ControlError> {
        Ok(match pipelines.first() {
            Some(pipeline) => pipeline.tables().cloned().collect(),
            None => set.pipeline(&self.options, 0)?.tables().cloned().collect(),
        })
    }

    /// A pipeline for each worker, warmed up unless golden packets make it fault.
    pub(super) fn pipelines(
        &self,
        set: &ComponentSet,
        workers: usize,
        warm: bool,
    ) -> Result<Vec<Box<Pipeline>>, ControlError> {
        let warming = self.warming();
        // Golden packets are no traffic to take samples of.
        let options = super::PipelineOptions {
            samples: None,
            ..self.options.clone()
        };
        let mut pipelines = Vec::with_capacity(workers);
        for index in 0..workers {
            let seed = now_us() ^ (index as u64) << 56;
            let mut pipeline = set.pipeline(&options, seed)?;
            if warm {
                warm_up(&mut pipeline, &warming);
                pipeline.count_anew();
            }
            pipelines.push(Box::new(match &self.options.samples {
                Some(samples) => pipeline.sampled(samples.clone()),
                None => pipeline,
            }));
        }
        Ok(pipelines)
    }

    /// Exchanges the pipelines of all workers, that of the canary before the others; gives
    /// those that they had.
    fn swap(
        &self,
        changing: &mut Changing,
        mut pipelines: Vec<Box<Pipeline>>,
        versions: &[Arc<Version>],
    ) -> Result<(Activated, Vec<Box<Pipeline>>), ControlError> {
        let workers = &mut changing.workers;
        let mut activated = Activated::default();
        let Some(place) = workers.busiest().filter(|place| *place < pipelines.len()) else {
            return Ok((activated, Vec::new()));
        };
        let pipeline = pipelines.remove(place);
        let mut canary = Canary::new(pipeline.tally().clone(), versions);
        let one = workers.exchange(&[place], vec![pipeline])?;
        activated.pauses_us.extend(one.iter().map(pause_us));
        let tally = one.first().map(|one| one.before.tally().clone());
        let active = self.serving();
        let replaced = versions.iter().filter_map(|v| active.get(&v.named().name));
        let replaced: Vec<&Arc<Version>> = replaced.collect();
        canary.held_against(
            &tally.unwrap_or_else(|| Arc::new(Tally::default())),
            &replaced,
        );
        let mut before: Vec<Box<Pipeline>> = one.into_iter().map(|one| one.before).collect();
        let watching = Instant::now();
        let watched = canary.watch(self);
        activated.canary_ms = watching.elapsed().as_secs_f64() * 1000.0;
        match watched {
            Ok(watched) => (activated.canary_batches, activated.canary_packets) = watched,
            Err(error) => {
                for pipeline in before {
                    workers.give_back(place, pipeline);
                }
                return Err(error);
            }
        }
        let others: Vec<usize> = (0..workers.len()).filter(|other| *other != place).collect();
        match workers.exchange(&others, pipelines) {
            Ok(exchanged) => {
                activated.pauses_us.extend(exchanged.iter().map(pause_us));
                let canarys = before.pop();
                before.extend(exchanged.into_iter().map(|one| one.before));
                if let Some(canarys) = canarys {
                    before.insert(place, canarys);
                }
                Ok((activated, before))
            }
            Err(error) => {
                for pipeline in before {
                    workers.give_back(place, pipeline);
                }
                Err(error)
            }
        }
    }

    fn canary_failed(&self, versions: &[Arc<Version>], by: &str, error: &ControlError) {
        let failed = matches!(error, ControlError::CanaryFailed { .. });
        if !failed && !matches!(error, ControlError::Interrupted) {
            return;
        }
        for version in versions {
            let named = version.named();
            let event = self.event("canary_failed", &named.name, &named.digest, by);
            let mut store = self.store();
            store.record(Event {
                reason: error.to_string(),
                ..event
            });
            if !failed {
                continue;
            }
            let noted = store.change(|state| {
                let slot = state.slots.entry(named.name.clone()).or_default();
                slot.failed = Some(named.digest.clone());
            });
            if let Err(error) = noted {
                tracing::error!(%error, "that it failed could not be written down");
            }
        }
    }
}

pub(super) fn pause_us(exchanged: &Exchanged) -> f64 {
    exchanged.pause.as_secs_f64() * 1_000_000.0
}
