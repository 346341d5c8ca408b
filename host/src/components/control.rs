//! Who decides which components serve.
//!
//! Locks, taken in this order: `activating`, one activation at a time; `changing`, from the first
//! worker's exchange to the last one's; the store, or what serves, for a moment. Nothing is
//! compiled or tried under `changing`, and whoever waits for it ends the canary that holds it:
//! a rollback waits for nothing but workers. What it goes back to is compiled before, if it
//! has to be.

use super::{
    ComponentSet, ComponentStoreError, ComponentsError, Entry, Event, PipelineOptions, Report,
    Slot, Version,
    activation::Changing,
    corpus::Corpus,
    kept_samples,
    removal::Kept,
    state::{State, TableMisfit},
    store::ComponentStore,
    tried::Tried,
    validation::Validation,
    workers::{WorkerLink, Workers},
};
use crate::{
    commit::now_us,
    configuration::{ComponentSettings, EdgeSettings},
    live_samples::LiveSamples,
    pipeline::Pipeline,
    sandbox::{Compiled, ComponentError, Engine, Limits, hexadecimal},
    signature::{Signature, SignatureError, verify},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

/// Shortest start of a digest that may stand for it.
pub(super) const DIGEST_START_MIN: usize = 8;

/// Why components cannot be started or changed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] ComponentStoreError),
    /// Components cannot be put to work.
    #[error(transparent)]
    Components(#[from] ComponentsError),
    /// What was uploaded is no component that could serve.
    #[error("refused: {0}")]
    Refused(#[from] ComponentError),
    /// It is of another world than the one that has its name.
    #[error("refused: `{name}` is a {is} here, and this is a {brought}: give it another name")]
    World {
        /// The name.
        name: String,
        /// What has it.
        is: &'static str,
        /// What it would be.
        brought: &'static str,
    },
    /// It is not signed by a trusted key.
    #[error("refused: {0}")]
    Signature(#[from] SignatureError),
    /// It must be signed, and is not.
    #[error(
        "refused: only signed components are staged here: sign it by `heplake component sign`, and send the signature along"
    )]
    Unsigned,
    /// It was staged before keys were trusted, or is signed by one that no longer is.
    #[error(
        "`{name}` {digest} is not signed by a key of components.trusted_keys: sign it, and stage it again"
    )]
    Untrusted {
        /// Its name.
        name: String,
        /// Its digest.
        digest: String,
    },
    /// No component in the store has this digest or name.
    #[error(
        "there is no component `{0}` in the store: `heplake component list` shows what is there"
    )]
    Unknown(String),
    /// Several digests start so.
    #[error("several components have a digest that starts with `{0}`: give more of it")]
    Ambiguous(String),
    /// Two versions of one name.
    #[error("`{0}` is named twice: one version of a name can serve")]
    Twice(String),
    /// It cannot serve.
    #[error("it cannot serve: {}", .0.impediments.join("; "))]
    Impeded(Box<Report>),
    /// It should not serve.
    #[error("it was not activated: {}; if that is meant to be, activate it by force", .0.objections.join("; "))]
    Objected(Box<Report>),
    /// It was tried on real traffic and taken back.
    #[error("it was taken back after {batches} batches of the canary: {reason}")]
    CanaryFailed {
        /// Batches that the canary did.
        batches: u64,
        /// What was wrong.
        reason: String,
    },
    /// Something could not wait for a canary.
    #[error(
        "it was taken back from the canary, since something else was to be rolled back at once: activate it again"
    )]
    Interrupted,
    /// What served was another at each try.
    #[error("what serves was changed meanwhile: nothing was activated, try again")]
    Changed,
    /// A rollback from a version that does not serve.
    #[error("`{name}` is not rolled back from {from}: active is {active}")]
    NotActive {
        /// The name.
        name: String,
        /// What was to be rolled back.
        from: String,
        /// What serves.
        active: String,
    },
    /// There is nothing to go back to.
    #[error("there is no version of `{0}` before this one to go back to")]
    NothingBefore(String),
    /// Something needs it.
    #[error("`{}` {} was not removed: {}", .0.component.name, .0.component.digest, .0.reason)]
    Kept(Box<Kept>),
    /// It would be in the way of an activation.
    #[error("something is being activated: try again once that is done")]
    Busy,
    /// A worker did not take its pipeline.
    #[error("worker {0} did not take the new components in time: nothing was changed")]
    WorkerStuck(usize),
    /// The edge is on its way out.
    #[error("the edge is stopping")]
    Stopping,
}

impl From<TableMisfit> for ControlError {
    fn from(misfit: TableMisfit) -> Self {
        Self::Impeded(Box::new(Report {
            impediments: vec![misfit.to_string()],
            ..Report::default()
        }))
    }
}

/// What is staged.
#[derive(Clone, Debug, Default)]
pub struct Stage {
    /// The bytes of the component.
    pub bytes: Vec<u8>,
    /// Its name, for one that cannot tell it without its section of the configuration.
    pub name: Option<String>,
    /// Who stages it.
    pub by: String,
    /// Its signature.
    pub signature: Option<Signature>,
}

/// What is activated.
#[derive(Clone, Debug, Default)]
pub struct Activate {
    /// Digests, or their starts: all at once, such as a parser and its router.
    pub digests: Vec<String>,
    /// Whether objections are overridden.
    pub force: bool,
    /// Who activates it.
    pub by: String,
}

/// Components of an edge: what is in the store, and what serves.
pub struct Control {
    pub(super) engine: Engine,
    pub(super) settings: ComponentSettings,
    pub(super) options: PipelineOptions,
    limits: Limits,
    /// Each component's section of the configuration, by its name.
    pub(super) sections: BTreeMap<String, Value>,
    samples: Arc<LiveSamples>,
    /// One upload is compiled and tried at a time.
    staging: Mutex<()>,
    /// One activation is prepared and done at a time.
    pub(super) activating: Mutex<()>,
    pub(super) changing: Mutex<Changing>,
    /// How many canaries of each name were ended by whoever waits for none.
    pub(super) interrupted: Mutex<BTreeMap<String, u64>>,
    /// How many wait for `changing` and for no canary.
    pub(super) urgent: AtomicUsize,
    stopping: AtomicBool,
    /// Digests that serve and were cut off, and when to try to go back from them again: never
    /// where there is nothing to go back to.
    pub(super) told: Mutex<BTreeMap<String, Option<Instant>>>,
    /// Names of components that were cut off, for which the version before serves instead.
    pub(super) replaced: Mutex<BTreeSet<String>>,
    /// Components that were active and could not be loaded at the start, by name, and why.
    pub(super) not_loaded: Mutex<BTreeMap<String, String>>,
    pub(super) serving: Mutex<ComponentSet>,
    tried: Mutex<Tried>,
    store: Mutex<ComponentStore>,
}

impl Control {
    /// Opens the store, puts the shipped components into it, and loads those that serve.
    ///
    /// # Errors
    /// When the store cannot be used, the configuration is refused by a component, or there
    /// is no set of components that could serve.
    pub fn open(settings: &EdgeSettings) -> Result<Self, ControlError> {
        let engine = Engine::new()?;
        let store = ComponentStore::open_for(settings)?;
        let samples = Arc::new(LiveSamples::new(now_us()));
        let kept = kept_samples::path_in(store.directory());
        if let Err(error) = kept_samples::read(&kept, &samples) {
            tracing::warn!(%error, "samples of the traffic before the restart are left out");
        }
        let control = Self {
            engine,
            settings: settings.component_settings.clone(),
            options: PipelineOptions {
                samples: Some(samples.clone()),
                ..PipelineOptions::of(settings)
            },
            limits: Limits {
                deadline: settings.deadline,
                memory_bytes_max: settings.memory_bytes_max,
            },
            sections: settings.components.clone(),
            samples,
            staging: Mutex::new(()),
            activating: Mutex::new(()),
            changing: Mutex::default(),
            interrupted: Mutex::default(),
            urgent: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            told: Mutex::default(),
            replaced: Mutex::default(),
            not_loaded: Mutex::default(),
            serving: Mutex::default(),
            tried: Mutex::default(),
            store: Mutex::new(store),
        };
        control.tell_of_lost_state();
        control.put_shipped()?;
        control.check_sections()?;
        let set = control.load_active()?;
        // Fails here rather than in each worker.
        let pipeline = set.pipeline(&control.options, 0)?;
        control
            .store()
            .change(|state| state.remember(pipeline.tables()))?;
        for version in set.versions() {
            tell_serves(version, true);
        }
        *lock(&control.serving) = set;
        control.expect_successors();
        Ok(control)
    }

    /// A pipeline of what serves, for a worker that starts.
    ///
    /// # Errors
    /// When an instance fails to start.
    pub fn pipeline(&self, seed: u64) -> Result<Pipeline, ControlError> {
        Ok(self.serving().pipeline(&self.options, seed)?)
    }

    /// Takes the workers that components are exchanged in from now on.
    pub fn attach(&self, workers: Vec<WorkerLink>) {
        lock(&self.changing).workers = Workers::new(workers);
    }

    /// Nothing more is changed: a canary that is watched ends at once, and no worker waits for a
    /// version that takes over.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        for version in self.serving().versions() {
            version.breaker().expect_successor(false);
        }
    }

    /// Whether nothing more is changed.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Lets go of what belongs to workers, which then can end, and of the store. It waits for
    /// whoever is exchanging pipelines.
    pub fn detach(&self) {
        self.stop();
        let mut changing = lock(&self.changing);
        changing.workers = Workers::default();
        changing.warm = None;
        changing.detached = true;
        drop(changing);
        let mut store = self.store();
        let kept = kept_samples::path_in(store.directory());
        if let Err(error) = kept_samples::write(&kept, &self.samples) {
            tracing::warn!(%error, "samples of the traffic could not be kept for the next start");
        }
        store.unlock();
    }

    /// Takes a component into the store, compiled and tried.
    ///
    /// # Errors
    /// When it is no component of the contract, or not signed as it must be. What a report
    /// objects to is no error here.
    pub fn stage(&self, stage: Stage) -> Result<Entry, ControlError> {
        let _one = lock(&self.staging);
        if self.is_stopping() {
            return Err(ControlError::Stopping);
        }
        let digest = digest_of(&stage.bytes);
        let staged = self.try_stage(&stage);
        if let Err(error) = &staged {
            let name = stage.name.clone().unwrap_or_default();
            let event = Event {
                reason: error.to_string(),
                ..self.event("refused", &name, &digest, &stage.by)
            };
            self.store().record(event);
        }
        staged
    }

    fn try_stage(&self, stage: &Stage) -> Result<Entry, ControlError> {
        let signed_by = match (&stage.signature, self.settings.trusted_keys.is_empty()) {
            (_, true) => None,
            (None, false) => return Err(ControlError::Unsigned),
            (Some(signature), false) => {
                let key = verify(&self.settings.trusted_keys, &stage.bytes, signature)?;
                Some(key.to_string())
            }
        };
        let started = Instant::now();
        let compiled = self.engine.compile(&stage.bytes)?;
        let compile_ms = started.elapsed().as_secs_f64() * 1000.0;
        let mut entry = Entry {
            signed_by,
            ..self.entry_of(&compiled, &stage.bytes, &stage.by, stage.name.as_deref())?
        };
        let version = Arc::new(self.version(compiled.clone(), Some(&entry.name))?);
        let active = self.serving();
        if let Some(other) = active.get(&entry.name)
            && other.world() != entry.world
        {
            return Err(ControlError::World {
                name: entry.name,
                is: other.world().name(),
                brought: version.world().name(),
            });
        }
        entry.report = Some(self.validate(&active, &active.with(version), compile_ms));

        let mut store = self.store();
        if let Some(known) = store
            .entries()
            .get(&entry.digest)
            .filter(|one| one.is_shipped())
        {
            // Whoever stages it again is not who brought it.
            (entry.shipped, entry.staged_by) = (true, known.staged_by.clone());
            entry.staged_us = known.staged_us;
        }
        store.put(entry.clone(), &stage.bytes)?;
        store.keep_code(&self.engine, &compiled);
        let digest = entry.digest.clone();
        store.change(|state| {
            let slot = state.slots.entry(entry.name.clone()).or_default();
            if slot.active.as_ref() != Some(&digest) {
                slot.staged = Some(digest);
            }
        })?;
        drop(store);
        let event = self.event("staged", &entry.name, &entry.digest, &stage.by);
        self.store().record(event);
        let store = self.store();
        Ok(store.entries().get(&entry.digest).cloned().unwrap_or(entry))
    }

    pub(super) fn validate(
        &self,
        active: &ComponentSet,
        candidate: &ComponentSet,
        compile_ms: f64,
    ) -> Report {
        let state: State = self.store().state().clone();
        let now_us = now_us();
        let report = Validation {
            active,
            candidate,
            options: &self.options,
            corpus: &Corpus::new(&self.samples, now_us),
            state: &state,
            thresholds: &self.settings.thresholds,
            now_us,
            compile_ms,
        }
        .run();
        lock(&self.tried).keep(active, candidate, &report);
        report
    }

    /// What was found of the same not long ago.
    pub(super) fn known_report(
        &self,
        active: &ComponentSet,
        candidate: &ComponentSet,
    ) -> Option<Report> {
        lock(&self.tried).report(active, candidate, now_us())
    }

    /// Writes down what was found of a component. Where that fails, what was found before stands.
    pub(super) fn note_report(&self, digest: &str, report: &Report) {
        let mut store = self.store();
        if let Some(mut entry) = store.entries().get(digest).cloned() {
            entry.report = Some(report.clone());
            if let Err(error) = store.update(entry) {
                tracing::warn!(%error, "a report could not be written down");
            }
        }
    }

    /// What pipelines are warmed up with.
    pub(super) fn warming(&self) -> Corpus {
        Corpus::of_what_was_taken(&self.samples, now_us()).full_batch()
    }

    /// The entry of a component that was just compiled.
    pub(super) fn entry_of(
        &self,
        compiled: &Compiled,
        bytes: &[u8],
        by: &str,
        name: Option<&str>,
    ) -> Result<Entry, ControlError> {
        let world = compiled.world()?;
        let version = self.version(compiled.clone(), name)?;
        let named = version.named();
        Ok(Entry {
            name: named.name.clone(),
            version: named.version.clone(),
            digest: named.digest.clone(),
            world,
            size_bytes: bytes.len() as u64,
            staged_us: now_us(),
            staged_by: by.into(),
            shipped: false,
            signed_by: None,
            description: version.description(),
            report: None,
            code: None,
        })
    }

    /// A version of a component. Its section of the configuration goes by its name, which
    /// most tell without one.
    fn version(&self, compiled: Compiled, name: Option<&str>) -> Result<Version, ControlError> {
        let section = |name: Option<&str>| {
            let section = name.and_then(|name| self.sections.get(name));
            section.map_or_else(|| "{}".into(), Value::to_string)
        };
        let make = |section: &str| {
            let compiled = compiled.clone();
            Version::new(compiled, section, self.limits, self.settings.breaker)
        };
        let given = section(name);
        let version = make(&given)?;
        let told = section(Some(&version.named().name));
        Ok(match told == given {
            true => version,
            false => make(&told)?,
        })
    }

    /// Loads a version from the store.
    pub(super) fn load(&self, digest: &str) -> Result<Version, ControlError> {
        let store = self.store();
        let entry = store.entries().get(digest);
        let entry = entry.ok_or_else(|| ControlError::Unknown(digest.into()))?;
        let name = entry.name.clone();
        let mut trusted = self.settings.trusted_keys.iter().map(ToString::to_string);
        if !self.settings.trusted_keys.is_empty()
            && !entry.is_shipped()
            && !trusted.any(|key| entry.signed_by.as_ref() == Some(&key))
        {
            let digest = digest.into();
            return Err(ControlError::Untrusted { name, digest });
        }
        drop(store);
        // Compiling takes its time, and nobody waits for the store meanwhile.
        let precompiled = self.store().precompiled(&self.engine, digest);
        let compiled = match precompiled {
            Some(compiled) => compiled,
            None => {
                let bytes = self.store().bytes(digest)?;
                let compiled = self.engine.compile(&bytes)?;
                self.store().keep_code(&self.engine, &compiled);
                compiled
            }
        };
        self.version(compiled, Some(&name))
    }

    /// All components in the store, and which of each name serves.
    #[must_use]
    pub fn list(&self) -> (BTreeMap<String, Slot>, Vec<Entry>) {
        let serving = self.serving();
        let store = self.store();
        let entries = store.entries().values().cloned().collect();
        let mut slots = store.state().slots.clone();
        for (name, slot) in &mut slots {
            // It may be another than was written down, where that could not be loaded.
            slot.active = serving
                .get(name)
                .map(|version| version.named().digest.clone());
        }
        (slots, entries)
    }

    /// A component by its digest, or the start of it.
    ///
    /// # Errors
    /// When there is none, or several.
    pub fn entry(&self, digest: &str) -> Result<Entry, ControlError> {
        let store = self.store();
        if digest.len() < DIGEST_START_MIN {
            return Err(ControlError::Unknown(digest.into()));
        }
        let mut found = store
            .entries()
            .values()
            .filter(|entry| entry.digest.starts_with(digest));
        match (found.next(), found.next()) {
            (Some(entry), None) => Ok(entry.clone()),
            (None, _) => Err(ControlError::Unknown(digest.into())),
            (Some(_), Some(_)) => Err(ControlError::Ambiguous(digest.into())),
        }
    }

    /// The bytes of a component, by its digest or the start of it.
    ///
    /// # Errors
    /// When there is none, or its bytes have been changed.
    pub fn bytes(&self, digest: &str) -> Result<Vec<u8>, ControlError> {
        let digest = self.entry(digest)?.digest;
        Ok(self.store().bytes(&digest)?)
    }

    /// Whether these bytes were staged before.
    pub(super) fn is_known(&self, bytes: &[u8]) -> bool {
        self.store().entries().contains_key(&digest_of(bytes))
    }

    /// Where what appears is staged.
    pub(super) fn watched(&self) -> Option<&std::path::Path> {
        self.settings.watch_directory.as_deref()
    }

    pub(super) fn watch_activates(&self) -> bool {
        self.settings.watch_activates
    }

    /// What was done to components, the latest last.
    #[must_use]
    pub fn history(&self) -> Vec<Event> {
        self.store().history().to_vec()
    }

    /// Whether a component that serves has been cut off.
    #[must_use]
    pub fn is_tripped(&self, digest: &str) -> bool {
        let serving = self.serving();
        let mut versions = serving.versions();
        versions.any(|v| v.named().digest == digest && v.breaker().is_tripped())
    }

    /// An event about a component.
    pub(super) fn event(&self, event: &str, name: &str, digest: &str, by: &str) -> Event {
        let store = self.store();
        let version = store
            .entries()
            .get(digest)
            .map(|entry| entry.version.clone());
        Event {
            at_us: now_us(),
            event: event.into(),
            name: name.into(),
            version: version.unwrap_or_default(),
            digest: digest.into(),
            by: by.into(),
            forced: false,
            reason: String::new(),
        }
    }

    pub(super) fn store(&self) -> MutexGuard<'_, ComponentStore> {
        lock(&self.store)
    }

    /// What serves.
    pub(super) fn serving(&self) -> ComponentSet {
        lock(&self.serving).clone()
    }

    /// Its digests, by name.
    pub(super) fn serving_digests(&self) -> BTreeMap<String, String> {
        let serving = self.serving();
        let versions = serving.versions().map(|version| version.named());
        versions
            .map(|named| (named.name.clone(), named.digest.clone()))
            .collect()
    }
}

/// What a panic left half done is looked at nevertheless: packets go on.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Control")
    }
}

pub(super) fn tell_serves(version: &Version, serves: bool) {
    let named = version.named();
    metrics::gauge!("heplake_component_active",
        "component" => named.name.clone(), "version" => named.version.clone(),
        "digest" => named.digest.clone())
    .set(if serves { 1.0 } else { 0.0 });
}

pub(super) fn digest_of(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}
