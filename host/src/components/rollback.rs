//! The way back: to what served before, by order or since a component was cut off.

use super::{
    ComponentSet, Event, Version,
    activation::{Activated, Changing, pause_us},
    control::{Control, ControlError, DIGEST_START_MIN, lock, tell_serves},
    state::State,
    validation::digests,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// How long after a failed way back from what was cut off it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// A digest for each name, or nothing.
type Digests = BTreeMap<String, Option<String>>;

impl Control {
    /// Goes back to the version of a name that served before, and with it to those of what
    /// was activated together with it. What had none before is taken out. A canary that is
    /// being watched is taken back first, and if it is of this name, that is all.
    ///
    /// # Errors
    /// When there was none before, or it cannot serve any more.
    pub fn roll_back(&self, name: &str, by: &str) -> Result<Activated, ControlError> {
        self.roll_back_from(name, None, by)
    }

    /// The same if the active version of the name is the one whose digest starts so: an order
    /// that comes twice, or late, does not go further back than was meant.
    ///
    /// # Errors
    /// When another is active, and as above.
    pub fn roll_back_from(
        &self,
        name: &str,
        from: Option<&str>,
        by: &str,
    ) -> Result<Activated, ControlError> {
        if let Some(from) = from
            && from.len() < DIGEST_START_MIN
        {
            return Err(ControlError::Ambiguous(from.into()));
        }
        self.make_ready(name);
        let interrupted = || lock(&self.interrupted).get(name).copied();
        let before = interrupted();
        let mut changing = self.change_at_once();
        let active = self.serving_digests().remove(name);
        // A canary of this name that was ended for it is all that was to be gone back from.
        if interrupted() != before {
            return Ok(Activated {
                changed: vec![(name.into(), active)],
                ..Activated::default()
            });
        }
        if let Some(from) = from
            && active
                .as_ref()
                .is_none_or(|active| !active.starts_with(from))
        {
            return Err(ControlError::NotActive {
                name: name.into(),
                from: from.into(),
                active: active.unwrap_or_else(|| "nothing".into()),
            });
        }
        self.go_back(&mut changing, name, by, None)
    }

    /// Compiles what a rollback of a name would bring back, if there is no machine code for this
    /// program yet: whoever waits for `changing` waits for no compiler. What fails here is said
    /// where it is needed.
    fn make_ready(&self, name: &str) {
        let before = self.before(name).unwrap_or_default();
        for digest in before.into_values().flatten() {
            let is_ready = self.store().has_code(&self.engine, &digest);
            if !is_ready && let Err(error) = self.load(&digest) {
                tracing::warn!(name, digest, %error, "what a rollback would bring back cannot be loaded");
            }
        }
    }

    /// Waits for whoever changes what serves, but for no canary.
    pub(super) fn change_at_once(&self) -> std::sync::MutexGuard<'_, Changing> {
        self.urgent.fetch_add(1, Ordering::AcqRel);
        let changing = lock(&self.changing);
        self.urgent.fetch_sub(1, Ordering::AcqRel);
        changing
    }

    /// What a rollback of a name comes to.
    fn before(&self, name: &str) -> Result<Digests, ControlError> {
        let serving = self.serving_digests();
        let store = self.store();
        let mut state = store.state().clone();
        let names: Vec<String> = state.slots.keys().cloned().collect();
        state.follow(names.iter(), &serving);
        if let Some(before) = state.before(name) {
            return Ok(before);
        }
        let slot = state.slots.get(name);
        let slot = slot.ok_or_else(|| ControlError::Unknown(name.into()))?;
        // So long ago that it is forgotten: what came with the program is there still.
        match store.shipped(name) {
            Some(shipped) if slot.active.as_ref() != Some(&shipped.digest) => {
                Ok(BTreeMap::from([(
                    name.into(),
                    Some(shipped.digest.clone()),
                )]))
            }
            _ => Err(ControlError::NothingBefore(name.into())),
        }
    }

    /// `failed` says why, if it is since the version that serves was cut off.
    fn go_back(
        &self,
        changing: &mut Changing,
        name: &str,
        by: &str,
        failed: Option<&str>,
    ) -> Result<Activated, ControlError> {
        let started = Instant::now();
        if changing.detached {
            return Err(ControlError::Stopping);
        }
        let before = self.before(name)?;
        let active = self.serving();
        let (set, pipelines) = match self.warm(changing, &active, &before) {
            Some(warm) => warm,
            None => {
                let mut set = active.clone();
                for (name, digest) in &before {
                    set = match digest {
                        Some(digest) => set.with(Arc::new(self.load(digest)?)),
                        None => set.without(name),
                    };
                }
                // Whoever goes back cannot wait for warming up.
                let pipelines = self.pipelines(&set, changing.workers.len(), false)?;
                (set, pipelines)
            }
        };
        // It may be put together as it never served before.
        let tables = self.tables(&set, &pipelines)?;
        self.store().state().new_columns(tables.iter())?;
        let remember = |state: &mut State| state.remember(tables.iter());
        // If it cannot be written down, that is said below, where all of it is.
        let _ = self.store().change_anyway(remember);
        let places: Vec<usize> = (0..changing.workers.len()).collect();
        let exchanged = changing.workers.exchange(&places, pipelines)?;
        let mut activated = Activated {
            pauses_us: exchanged.iter().map(pause_us).collect(),
            elapsed_ms: started.elapsed().as_secs_f64() * 1000.0,
            ..Activated::default()
        };

        let failed_name = failed.map(|_| name);
        let serving = self.serving_digests();
        let written = self.store().change_anyway(|state| {
            state.follow(before.keys(), &serving);
            state.undo(name, &before, failed_name);
        });
        activated.written_ms = started.elapsed().as_secs_f64() * 1000.0;
        *lock(&self.serving) = set.clone();
        self.forget_told(&active, before.keys());
        if failed.is_some() {
            lock(&self.replaced).insert(name.into());
        }
        self.expect_successors();
        // Whoever goes back needs it now: a full disk is no reason to go on with what is bad.
        activated.warning = written.err().map(|error| {
            tracing::error!(%error, name, "a rollback could not be written down: that is tried again, and until then a restart would undo it");
            format!("it could not be written down yet, and until it is a restart would undo it: {error}")
        });
        for (name, digest) in before {
            if let Some(gone) = active.get(&name) {
                tell_serves(gone, false);
            }
            if let Some(version) = set.get(&name) {
                tell_serves(version, true);
            }
            let event = match &digest {
                Some(digest) => self.event("rolled_back", &name, digest, by),
                None => {
                    let gone = active.get(&name).map(|gone| gone.named().digest.as_str());
                    self.event("taken_out", &name, gone.unwrap_or_default(), by)
                }
            };
            let reason = failed.unwrap_or_default().to_owned();
            self.store().record(Event { reason, ..event });
            activated.changed.push((name, digest));
        }
        // The pipelines that are gone: whoever waited has waited for the rest.
        drop(exchanged);
        Ok(activated)
    }

    /// Some names have changed hands: if one is cut off now, that is news.
    pub(super) fn forget_told<'a>(
        &self,
        before: &ComponentSet,
        names: impl Iterator<Item = &'a String>,
    ) {
        let serving = self.serving();
        let mut told = lock(&self.told);
        let mut replaced = lock(&self.replaced);
        let mut not_loaded = lock(&self.not_loaded);
        for name in names {
            replaced.remove(name);
            not_loaded.remove(name);
            let versions = [before.get(name), serving.get(name)];
            for version in versions.into_iter().flatten() {
                told.remove(&version.named().digest);
            }
        }
    }

    /// The pipelines of what served before, if they are those that are to serve now.
    #[allow(
        clippy::vec_box,
        reason = "a worker is handed a pipeline as a box: it pauses for a pointer, not for a copy"
    )]
    fn warm(
        &self,
        changing: &mut Changing,
        active: &ComponentSet,
        before: &Digests,
    ) -> Option<(ComponentSet, Vec<Box<crate::pipeline::Pipeline>>)> {
        let unchanged = active.versions().filter(|version| {
            let name = &version.named().name;
            !before.contains_key(name)
        });
        let unchanged = unchanged.map(|version| version.named().digest.clone());
        let mut wanted: Vec<String> = unchanged
            .chain(before.values().flatten().cloned())
            .collect();
        wanted.sort();
        let fits = |warm: &super::activation::Warm| {
            let mut versions = warm.set.versions();
            digests(&warm.set) == wanted
                && warm.pipelines.len() == changing.workers.len()
                // What was cut off before it was replaced has to begin anew.
                && !versions.any(|version| version.breaker().is_tripped())
        };
        if !changing.warm.as_ref().is_some_and(fits) {
            return None;
        }
        let warm = changing.warm.take()?;
        Some((warm.set, warm.pipelines))
    }

    /// Looks whether a component that serves was cut off, and goes back to the version before
    /// it. Where there is none it stays cut off: its payloads are stored raw.
    pub fn look_at_breakers(&self) {
        if let Err(error) = self.store().write_again() {
            tracing::warn!(%error, "what serves could not be written down: that is tried again");
        }
        // Whoever only looks is in no canary's way.
        let Some(version) = self.cut_off() else {
            return;
        };
        self.make_ready(&version.named().name);
        let mut changing = self.change_at_once();
        while let Some(version) = self.cut_off() {
            let named = version.named();
            let reason = format!("{} faults: it was cut off", version.breaker().faults());
            let before = self.before(&named.name).ok();
            let has_before =
                before.is_some_and(|before| before.get(&named.name).is_some_and(Option::is_some));
            let again = has_before.then(|| Instant::now() + RETRY_AFTER);
            let is_new = lock(&self.told)
                .insert(named.digest.clone(), again)
                .is_none();
            if is_new {
                let event = self.event("breaker_tripped", &named.name, &named.digest, "breaker");
                self.store().record(Event {
                    reason: reason.clone(),
                    ..event
                });
            }
            if !has_before {
                version.breaker().expect_successor(false);
                tracing::error!(component = %named.name, "there is no version before it: its payloads are stored raw until another is activated");
                continue;
            }
            // The one before may have been cut off itself: then it is next.
            let back = self.go_back(&mut changing, &named.name, "breaker", Some(&reason));
            if let Err(error) = back {
                version.breaker().expect_successor(false);
                tracing::error!(component = %named.name, %error, "it could not be rolled back, and is tried again");
            }
        }
    }

    /// In words, the components that faulted too often and that nobody has replaced since: those that serve and are
    /// not called any more, and those whose version before serves instead.
    #[must_use]
    pub fn cut_off_now(&self) -> Option<String> {
        let serving = self.serving();
        let mut said: Vec<String> = Vec::new();
        for version in serving.versions() {
            let named = version.named();
            if version.breaker().is_tripped() {
                let (name, version) = (&named.name, &named.version);
                said.push(format!("{name}@{version} is not called any more"));
            }
        }
        for name in &*lock(&self.replaced) {
            said.push(format!("the version before serves as {name}"));
        }
        (!said.is_empty()).then(|| said.join("; "))
    }

    /// Tells the breaker of each component that serves whether there is a version to go back to:
    /// then the workers store nothing raw while it is on its way. One that was cut off already
    /// has told its workers.
    pub(super) fn expect_successors(&self) {
        for version in self.serving().versions() {
            let name = &version.named().name;
            let before = self.before(name).ok();
            let has_before =
                before.is_some_and(|before| before.get(name).is_some_and(Option::is_some));
            if !version.breaker().is_tripped() && !self.is_stopping() {
                version.breaker().expect_successor(has_before);
            }
        }
    }

    /// A version that serves, was cut off, and about which something is to be done now.
    fn cut_off(&self) -> Option<Arc<Version>> {
        let serving = self.serving();
        let told = lock(&self.told);
        let now = Instant::now();
        let is_due = |version: &&Arc<Version>| {
            let told = told.get(&version.named().digest);
            version.breaker().is_tripped()
                && told.is_none_or(|again| again.is_some_and(|again| now >= again))
        };
        serving.versions().find(is_due).cloned()
    }
}
