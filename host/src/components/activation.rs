//! How components take each other's place while packets flow.
//!
//! ```text
//!  pipelines made and warmed up ─▶ worker 0, watched ─▶ all workers ─▶ the ones before stay warm
//!                                       └─ worse ──▶ the one before back into worker 0
//! ```

#![allow(
    clippy::vec_box,
    reason = "a worker is handed a pipeline as a box: it pauses for a pointer, not for a copy"
)]

use super::{
    ComponentSet, Event, Report, Version,
    control::{Activate, Control, ControlError, WorkerLink, tell_serves},
    replay::warm_up,
    state::Slot,
    validation::digests,
};
use crate::{
    commit::now_us,
    pipeline::Pipeline,
    worker::{Exchanged, Work},
};
use serde::Serialize;
use std::{
    collections::BTreeSet,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot::{Receiver, error::TryRecvError};

/// How long a worker may take to look for its pipeline: longer than it can be in a batch
/// that is cut into halves again and again.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at a worker or a canary.
const LOOK_EVERY: Duration = Duration::from_micros(200);

/// What serves.
#[derive(Default)]
pub(super) struct Serving {
    pub(super) set: ComponentSet,
    pub(super) workers: Vec<WorkerLink>,
    /// What served before, with its instances.
    pub(super) warm: Option<Warm>,
    /// Digests that were cut off with nothing before them, which has been told.
    told: BTreeSet<String>,
}

/// What served before the last activation.
pub(super) struct Warm {
    set: ComponentSet,
    /// Of each worker.
    pipelines: Vec<Box<Pipeline>>,
    /// Names that were activated together, and go back together.
    names: Vec<String>,
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
    /// How long each worker did not work for it, µs.
    pub pauses_us: Vec<f64>,
    /// Time from the order until all workers had it, ms.
    pub elapsed_ms: f64,
    /// What was found, if it was tried for this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}

impl Control {
    /// Has components serve in place of those of their names.
    ///
    /// # Errors
    /// When they cannot or should not serve, or did worse than those before: those go on.
    pub fn activate(&self, activate: &Activate) -> Result<Activated, ControlError> {
        let started = Instant::now();
        let mut entries = Vec::with_capacity(activate.digests.len());
        for digest in &activate.digests {
            let entry = self.entry(digest)?;
            if entries
                .iter()
                .any(|other: &super::Entry| other.name == entry.name)
            {
                return Err(ControlError::Twice(entry.name));
            }
            entries.push(entry);
        }
        let mut versions = Vec::with_capacity(entries.len());
        for entry in &entries {
            versions.push(Arc::new(self.load(&entry.digest)?));
        }
        let mut serving = self.serving();
        let serves = |version: &Arc<Version>| {
            let name = &version.named().name;
            serving.set.get(name).is_some_and(|active| {
                active.named() == version.named() && !active.breaker().is_tripped()
            })
        };
        versions.retain(|version| !serves(version));
        if versions.is_empty() {
            return Ok(Activated::default());
        }
        let with = |set: ComponentSet, version: &Arc<Version>| set.with(version.clone());
        let set = versions.iter().fold(serving.set.clone(), with);

        // What was found still holds if it was held against the components that serve.
        let known = match entries.as_slice() {
            [entry] => entry.report.clone(),
            _ => None,
        };
        let holds = |report: &Report| report.against == digests(&serving.set);
        let (report, is_new) = match known.filter(holds) {
            Some(report) => (report, false),
            None => (self.validate(&serving.set, &set, 0.0), true),
        };
        if !report.impediments.is_empty() {
            return Err(ControlError::Impeded(Box::new(report)));
        }
        let forced = !report.objections.is_empty();
        if forced && !activate.force {
            return Err(ControlError::Objected(Box::new(report)));
        }
        let reason = report.objections.join("; ");

        let pipelines = self.pipelines(&set, serving.workers.len())?;
        let mut activated = match self.swap(&mut serving, set, pipelines, &versions) {
            Ok(activated) => activated,
            Err(error) => {
                self.canary_failed(&versions, &activate.by, &error)?;
                return Err(error);
            }
        };
        activated.elapsed_ms = started.elapsed().as_secs_f64() * 1000.0;
        drop(serving);
        if is_new {
            // Holds for the next time that it takes over from the same.
            if let [entry] = entries.as_mut_slice() {
                entry.report = Some(report.clone());
                self.store().update(entry.clone())?;
            }
            activated.report = Some(report);
        }

        let names = versions.iter().map(|version| version.named());
        activated.changed = names
            .clone()
            .map(|named| (named.name.clone(), Some(named.digest.clone())))
            .collect();
        self.remember_tables()?;
        self.store().change(|state| {
            for named in names {
                let slot = state.slots.entry(named.name.clone()).or_default();
                if slot.active.as_ref() != Some(&named.digest) {
                    slot.previous = slot.active.replace(named.digest.clone());
                }
                if slot.staged == slot.active {
                    slot.staged = None;
                }
            }
        })?;
        for version in &versions {
            let named = version.named();
            let event = self.event("activated", &named.name, &named.digest, &activate.by);
            let reason = reason.clone();
            self.store().record(Event {
                forced,
                reason,
                ..event
            });
        }
        Ok(activated)
    }

    /// Goes back to the version of a name that served before, and with it to those of what
    /// was activated together with it. What had none before is taken out.
    ///
    /// # Errors
    /// When there was none before, or it cannot serve any more.
    pub fn roll_back(&self, name: &str, by: &str) -> Result<Activated, ControlError> {
        let mut serving = self.serving();
        self.roll_back_locked(&mut serving, name, by, "")
    }

    fn roll_back_locked(
        &self,
        serving: &mut Serving,
        name: &str,
        by: &str,
        reason: &str,
    ) -> Result<Activated, ControlError> {
        let started = Instant::now();
        let warm = serving.warm.take();
        let warm = warm.filter(|warm| warm.names.iter().any(|other| other == name));
        let (set, pipelines, names) = match warm {
            Some(warm) => (warm.set, warm.pipelines, warm.names),
            None => {
                let slot = self.store().state().slots.get(name).cloned();
                let slot = slot.ok_or_else(|| ControlError::Unknown(name.into()))?;
                let set = match &slot.previous {
                    Some(previous) => serving.set.with(Arc::new(self.load(previous)?)),
                    None => self.without(&serving.set, name, &slot)?,
                };
                let pipelines = self.pipelines(&set, serving.workers.len())?;
                (set, pipelines, vec![name.to_owned()])
            }
        };
        let before = std::mem::replace(&mut serving.set, set);
        let exchanged = match exchange_all(&serving.workers, pipelines) {
            Ok(exchanged) => exchanged,
            Err(error) => {
                serving.set = before;
                return Err(error);
            }
        };
        let mut activated = Activated {
            pauses_us: exchanged.iter().map(pause_us).collect(),
            elapsed_ms: started.elapsed().as_secs_f64() * 1000.0,
            ..Activated::default()
        };
        drop(exchanged);

        let failed = !reason.is_empty();
        self.store().change(|state| {
            for name in &names {
                let slot = state.slots.entry(name.clone()).or_default();
                let now = serving
                    .set
                    .get(name)
                    .map(|version| version.named().digest.clone());
                let gone = std::mem::replace(&mut slot.active, now);
                slot.previous = None;
                if failed {
                    slot.failed = gone;
                } else {
                    slot.staged = gone;
                }
            }
        })?;
        for name in names {
            let now = serving.set.get(&name);
            if let Some(gone) = before.get(&name) {
                tell_serves(gone, false);
            }
            let event = match now {
                Some(version) => {
                    tell_serves(version, true);
                    self.event("rolled_back", &name, &version.named().digest, by)
                }
                None => {
                    let gone = before.get(&name).map(|gone| gone.named().digest.as_str());
                    self.event("taken_out", &name, gone.unwrap_or_default(), by)
                }
            };
            let reason = reason.to_owned();
            self.store().record(Event { reason, ..event });
            let digest = now.map(|version| version.named().digest.clone());
            activated.changed.push((name, digest));
        }
        Ok(activated)
    }

    /// The set without a component that nothing was before, which only one that came from
    /// somebody else can be.
    fn without(
        &self,
        set: &ComponentSet,
        name: &str,
        slot: &Slot,
    ) -> Result<ComponentSet, ControlError> {
        let store = self.store();
        let active = slot
            .active
            .as_ref()
            .and_then(|digest| store.entries().get(digest));
        match active {
            Some(entry) if !entry.is_shipped() && store.shipped(name).is_none() => {
                Ok(set.without(name))
            }
            _ => Err(ControlError::NothingBefore(name.into())),
        }
    }

    /// Looks whether a component that serves was cut off, and goes back to the version before
    /// it. Where there is none it stays cut off: its payloads are stored raw.
    pub fn look_at_breakers(&self) {
        let mut serving = self.serving();
        let tripped = |serving: &Serving| {
            let mut versions = serving.set.versions();
            versions
                .find(|version| {
                    version.breaker().is_tripped()
                        && !serving.told.contains(&version.named().digest)
                })
                .cloned()
        };
        while let Some(version) = tripped(&serving) {
            let named = version.named();
            let faults = version.breaker().faults();
            let reason = format!("{faults} faults: it was cut off");
            let event = self.event("breaker_tripped", &named.name, &named.digest, "breaker");
            self.store().record(Event {
                reason: reason.clone(),
                ..event
            });
            serving.told.insert(named.digest.clone());
            // The one before it may have been cut off itself.
            let before = serving
                .warm
                .as_ref()
                .and_then(|warm| warm.set.get(&named.name));
            if before.is_some_and(|before| before.breaker().is_tripped()) {
                continue;
            }
            let has_previous = |slot: &Slot| slot.previous.is_some();
            let slots = self.store().state().slots.clone();
            if !slots.get(&named.name).is_some_and(has_previous) {
                tracing::error!(component = %named.name, "there is no version before it: its payloads are stored raw until another is activated");
                continue;
            }
            if let Err(error) = self.roll_back_locked(&mut serving, &named.name, "breaker", &reason)
            {
                tracing::error!(component = %named.name, %error, "it could not be rolled back");
            }
        }
    }

    /// A pipeline for each worker, warmed up.
    fn pipelines(
        &self,
        set: &ComponentSet,
        workers: usize,
    ) -> Result<Vec<Box<Pipeline>>, ControlError> {
        let warming = self.warming();
        let mut pipelines = Vec::with_capacity(workers);
        for index in 0..workers {
            let seed = now_us() ^ (index as u64) << 56;
            let mut pipeline = set.pipeline(&self.options, seed)?;
            warm_up(&mut pipeline, &warming);
            pipelines.push(Box::new(pipeline));
        }
        Ok(pipelines)
    }

    /// Exchanges the pipelines of all workers, that of the first before the others.
    fn swap(
        &self,
        serving: &mut Serving,
        set: ComponentSet,
        pipelines: Vec<Box<Pipeline>>,
        versions: &[Arc<Version>],
    ) -> Result<Activated, ControlError> {
        let mut activated = Activated::default();
        let mut pipelines = pipelines.into_iter();
        let mut before = Vec::with_capacity(serving.workers.len());
        if let (Some(canary), Some(pipeline)) = (serving.workers.first(), pipelines.next()) {
            let tally = pipeline.tally().clone();
            // Warming up has been counted by both.
            let faults: Vec<u64> = versions.iter().map(|v| v.breaker().faults()).collect();
            let (batches, packets, refused) = (tally.batches(), tally.packets(), tally.refused());
            let exchanged = exchange_all(std::slice::from_ref(canary), vec![pipeline])?;
            let watched = self.watch_canary(&exchanged, versions, &faults, || {
                (
                    tally.batches() - batches,
                    tally.packets() - packets,
                    tally.refused() - refused,
                )
            });
            activated.pauses_us.extend(exchanged.iter().map(pause_us));
            let one_before: Vec<_> = exchanged.into_iter().map(|one| one.before).collect();
            match watched {
                Ok((batches, packets)) => {
                    (activated.canary_batches, activated.canary_packets) = (batches, packets);
                    before.extend(one_before);
                }
                Err(error) => {
                    exchange_all(std::slice::from_ref(canary), one_before)?;
                    return Err(error);
                }
            }
        }
        let others = serving.workers.get(1..).unwrap_or_default();
        match exchange_all(others, pipelines.collect()) {
            Ok(exchanged) => {
                activated.pauses_us.extend(exchanged.iter().map(pause_us));
                before.extend(exchanged.into_iter().map(|one| one.before));
            }
            Err(error) => {
                let canary = serving.workers.get(..1).unwrap_or_default();
                exchange_all(canary, before)?;
                return Err(error);
            }
        }
        let names: Vec<String> = versions.iter().map(|v| v.named().name.clone()).collect();
        for version in versions {
            if let Some(gone) = serving.set.get(&version.named().name) {
                tell_serves(gone, false);
            }
            tell_serves(version, true);
        }
        let set_before = std::mem::replace(&mut serving.set, set);
        serving.told.clear();
        serving.warm = Some(Warm {
            set: set_before,
            pipelines: before,
            names,
        });
        Ok(activated)
    }

    /// Watches what the canary does with its batches: their number, and that of the packets.
    fn watch_canary(
        &self,
        exchanged: &[Exchanged],
        versions: &[Arc<Version>],
        faults_before: &[u64],
        done: impl Fn() -> (u64, u64, u64),
    ) -> Result<(u64, u64), ControlError> {
        let started = Instant::now();
        let rejected_before = exchanged.first().map_or(0.0, |one| {
            let tally = one.before.tally();
            tally.refused() as f64 / tally.packets().max(1) as f64
        });
        loop {
            let (batches, packets, refused) = done();
            let failed = |reason| ControlError::CanaryFailed { batches, reason };
            for (version, before) in versions.iter().zip(faults_before) {
                let faults = version.breaker().faults() - before;
                if faults > 0 {
                    let name = &version.named().name;
                    return Err(failed(format!("`{name}` faulted {faults} times")));
                }
            }
            let more_max = self.settings.thresholds.rejected_more_max;
            if rejects_more(refused, packets, rejected_before, more_max) {
                return Err(failed(format!(
                    "it rejected {refused} of {packets} packets, against {:.2} % before",
                    rejected_before * 100.0
                )));
            }
            if batches >= self.settings.canary_batches
                || started.elapsed() >= self.settings.canary_time
            {
                return Ok((batches, packets));
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    fn canary_failed(
        &self,
        versions: &[Arc<Version>],
        by: &str,
        error: &ControlError,
    ) -> Result<(), ControlError> {
        if !matches!(error, ControlError::CanaryFailed { .. }) {
            return Ok(());
        }
        for version in versions {
            let named = version.named();
            let event = self.event("canary_failed", &named.name, &named.digest, by);
            let mut store = self.store();
            store.record(Event {
                reason: error.to_string(),
                ..event
            });
            store.change(|state| {
                let slot = state.slots.entry(named.name.clone()).or_default();
                slot.failed = Some(named.digest.clone());
            })?;
        }
        Ok(())
    }

    fn remember_tables(&self) -> Result<(), ControlError> {
        let set = self.serving().set.clone();
        let pipeline = set.pipeline(&self.options, 0)?;
        self.store()
            .change(|state| state.remember(pipeline.tables()))?;
        Ok(())
    }
}

/// Whether so many packets refused of so many are more than a share before, and as much more as
/// may be: beyond what chance makes of few packets (three standard deviations, and three).
fn rejects_more(refused: u64, packets: u64, share_before: f64, more_max: f64) -> bool {
    let expected = packets as f64 * (share_before + more_max);
    refused as f64 > expected + 3.0 * expected.sqrt() + 3.0
}

fn pause_us(exchanged: &Exchanged) -> f64 {
    exchanged.pause.as_secs_f64() * 1_000_000.0
}

/// Exchanges the pipelines of workers, all at the same time. If one does not take it, the
/// others get theirs back.
fn exchange_all(
    workers: &[WorkerLink],
    pipelines: Vec<Box<Pipeline>>,
) -> Result<Vec<Exchanged>, ControlError> {
    let mut offers: Vec<Receiver<Exchanged>> = workers
        .iter()
        .zip(pipelines)
        .map(|(worker, pipeline)| {
            let answer = worker.exchange.offer(pipeline);
            if let Some(work) = worker.work.upgrade() {
                // A full queue is one that wakes it.
                let _ = work.try_send(Work::Wake);
            }
            answer
        })
        .collect();
    let deadline = Instant::now() + PATIENCE;
    let mut exchanged: Vec<Exchanged> = Vec::with_capacity(offers.len());
    let mut stuck = None;
    for (index, offer) in offers.iter_mut().enumerate() {
        match wait(offer, deadline) {
            Ok(one) => {
                metrics::histogram!("heplake_component_swap_pause_seconds")
                    .record(one.pause.as_secs_f64());
                exchanged.push(one);
            }
            Err(is_stuck) => {
                stuck = Some((index, is_stuck));
                break;
            }
        }
    }
    let Some((index, is_stuck)) = stuck else {
        return Ok(exchanged);
    };
    for worker in workers {
        worker.exchange.withdraw();
    }
    // Some of the others have theirs by now, and the stuck one may have taken it at last: an
    // offer that was withdrawn is closed, and waits for nobody.
    let answered = exchanged.into_iter().map(Some);
    let late = offers.iter_mut().skip(index);
    let late = late.map(|offer| wait(offer, Instant::now() + PATIENCE).ok());
    for (worker, one) in workers.iter().zip(answered.chain(late)) {
        if let Some(one) = one {
            drop(worker.exchange.offer(one.before));
        }
    }
    Err(match is_stuck {
        true => ControlError::WorkerStuck(index),
        false => ControlError::Stopping,
    })
}

/// Waits for a worker; the error says whether it is stuck rather than gone.
fn wait(offer: &mut Receiver<Exchanged>, deadline: Instant) -> Result<Exchanged, bool> {
    loop {
        match offer.try_recv() {
            Ok(exchanged) => return Ok(exchanged),
            Err(TryRecvError::Closed) => return Err(false),
            Err(TryRecvError::Empty) if Instant::now() >= deadline => return Err(true),
            Err(TryRecvError::Empty) => thread::sleep(LOOK_EVERY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::rejects_more;

    #[test]
    fn a_canary_rejects_more_once_that_cannot_be_chance() {
        for (refused, packets, before, expected) in [
            (0, 0, 0.0, false),
            (1, 1, 0.0, false),
            (3, 128, 0.0134, false),
            (5, 5, 0.0, true),
            (10, 10, 0.9, false),
            (128, 128, 0.0134, true),
            (13, 128, 0.0134, true),
            (1000, 100_000, 0.0, false),
            (1200, 100_000, 0.0, true),
        ] {
            let told = rejects_more(refused, packets, before, 0.01);
            assert_eq!(told, expected, "{refused} of {packets}, {before} before");
        }
    }
}
