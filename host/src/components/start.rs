//! What serves when an edge starts: what did before, what came with a newer program, or what is
//! left of it that can be loaded.

use super::{
    ComponentSet, ComponentsError, Entry, Event, Version,
    control::{Control, ControlError, digest_of, lock},
    entry::SHIPPED_BY,
};
use crate::{configuration::nearest, sandbox::ComponentError};
use heplake_components::SHIPPED;
use std::sync::Arc;

/// Digits of a digest in a sentence: enough to tell the versions in a store apart.
const DIGEST_SHOWN: usize = 12;
/// What the loss of the record is kept by among what could not be loaded: no component has such
/// a name.
const LOST_STATE: &str = "state.json";

impl Control {
    /// Puts the shipped components into the store. Those of another program than ran last succeed
    /// the ones that came with that, together; what a user activated stays, and so does what
    /// was gone back to since.
    pub(super) fn put_shipped(&self) -> Result<(), ControlError> {
        let (mut first, mut succeeding) = (Vec::new(), Vec::new());
        for shipped in SHIPPED {
            let digest = digest_of(shipped.bytes);
            let store = self.store();
            let known = store.entries().get(&digest);
            let is_there = known.is_some_and(Entry::is_shipped) && store.bytes(&digest).is_ok();
            drop(store);
            if !is_there {
                let compiled = self.engine.compile(shipped.bytes)?;
                let entry = Entry {
                    shipped: true,
                    ..self.entry_of(&compiled, shipped.bytes, SHIPPED_BY, Some(shipped.name))?
                };
                let mut store = self.store();
                store.put(entry, shipped.bytes)?;
                store.keep_code(&self.engine, &compiled);
            }
            let store = self.store();
            let state = store.state();
            let slot = state.slots.get(shipped.name).cloned().unwrap_or_default();
            let is_news = state.shipped.get(shipped.name) != Some(&digest)
                && slot.failed.as_ref() != Some(&digest);
            let active = slot.active.map(|active| {
                let entry = store.entries().get(&active);
                entry.is_none_or(Entry::is_shipped) && active != digest
            });
            let named = (shipped.name.to_owned(), digest);
            match active {
                None => first.push(named),
                Some(true) if is_news => succeeding.push(named),
                Some(_) => {}
            }
        }
        self.store().change(|state| {
            for (name, digest) in first {
                state.slots.entry(name).or_default().active = Some(digest);
            }
            state.activate(&succeeding);
            let embedded = SHIPPED.iter();
            state.shipped = embedded
                .map(|shipped| (shipped.name.into(), digest_of(shipped.bytes)))
                .collect();
        })?;
        for (name, digest) in &succeeding {
            let event = Event {
                reason: "it came with this version of Heplake".into(),
                ..self.event("activated", name, digest, SHIPPED_BY)
            };
            self.store().record(event);
        }
        Ok(())
    }

    /// A section of the configuration may wait for its component. One that nearly has the name
    /// of a shipped one is a mistake.
    pub(super) fn check_sections(&self) -> Result<(), ControlError> {
        let slots = self.store().state().slots.clone();
        let unknown = self
            .sections
            .keys()
            .filter(|name| !slots.contains_key(name.as_str()));
        for name in unknown {
            let shipped = SHIPPED.iter().map(|shipped| shipped.name.to_owned());
            if let Some(meant) = nearest(name, '.', shipped) {
                let name = name.clone();
                return Err(ComponentsError::Unknown { name, meant }.into());
            }
            tracing::warn!(
                name,
                "the configuration has a section for a component that is not here yet"
            );
        }
        Ok(())
    }

    /// Loads what serves. In place of what cannot be loaded, the one before serves, or the shipped
    /// one: until the next start, which tries it again.
    pub(super) fn load_active(&self) -> Result<ComponentSet, ControlError> {
        let state = self.store().state().clone();
        let mut set = ComponentSet::default();
        for (name, slot) in &state.slots {
            let shipped = self.store().shipped(name).map(|entry| entry.digest.clone());
            let Some(active) = slot.active.clone() else {
                continue;
            };
            let candidates = [Some(active), slot.previous.clone(), shipped];
            for digest in candidates.into_iter().flatten() {
                match self.load(&digest) {
                    Ok(version) => {
                        set = set.with(Arc::new(version));
                        break;
                    }
                    // Whoever wrote the configuration is there to mend it.
                    Err(ControlError::Refused(source @ ComponentError::Configuration(_))) => {
                        let name = name.clone();
                        return Err(ComponentsError::Component { name, source }.into());
                    }
                    Err(error) => self.load_failed(name, &digest, &error),
                }
            }
        }
        if self.check_fits(&set).is_ok() {
            return Ok(set);
        }
        // What was activated together fitted together: only what could not be loaded, or another
        // program, comes here. What fits in with the shipped ones serves on.
        let mut fitting = ComponentSet::default();
        for component in SHIPPED {
            fitting = fitting.with(Arc::new(self.load(&digest_of(component.bytes))?));
        }
        let mut others: Vec<Arc<Version>> = set.versions().cloned().collect();
        others.retain(|version| {
            let shipped = fitting.get(&version.named().name);
            shipped.is_none_or(|shipped| shipped.named() != version.named())
        });
        loop {
            let fits = |version: &Arc<Version>| {
                let with = fitting.with(version.clone());
                self.check_fits(&with).is_ok()
            };
            // A router comes after the parser that it needs, in whatever order they are here.
            let Some(place) = others.iter().position(fits) else {
                break;
            };
            fitting = fitting.with(others.remove(place));
        }
        for version in others {
            let with = fitting.with(version.clone());
            if let Err(error) = self.check_fits(&with) {
                let named = version.named();
                self.load_failed(&named.name, &named.digest, &error);
            }
        }
        Ok(fitting)
    }

    /// Whether components fit together, and their tables those that there have been: without
    /// a router that could not be loaded, a parser writes others than it did.
    fn check_fits(&self, set: &ComponentSet) -> Result<(), ControlError> {
        let pipeline = set.pipeline(&self.options, 0)?;
        self.store().state().new_columns(pipeline.tables())?;
        Ok(())
    }

    /// In words, what was active when the edge ended and does not serve; none once another version
    /// of each was activated.
    #[must_use]
    pub fn not_loaded_now(&self) -> Option<String> {
        let not_loaded = lock(&self.not_loaded);
        let said: Vec<&str> = not_loaded.values().map(String::as_str).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }

    /// Says that the store does not know any more what was active, though something was.
    pub(super) fn tell_of_lost_state(&self) {
        let has_lost_state = {
            let store = self.store();
            store.state().slots.is_empty() && !store.history().is_empty()
        };
        if has_lost_state {
            let text = "the store of components has lost state.json, its record of what was active: \
                 the shipped components serve";
            tracing::warn!("{text}");
            lock(&self.not_loaded).insert(LOST_STATE.into(), text.into());
        }
    }

    fn load_failed(&self, name: &str, digest: &str, error: &ControlError) {
        let short = digest.get(..DIGEST_SHOWN).unwrap_or(digest);
        lock(&self.not_loaded).insert(
            name.into(),
            format!("{name} {short} could not be loaded: {error}"),
        );
        let event = Event {
            reason: error.to_string(),
            ..self.event("load_failed", name, digest, SHIPPED_BY)
        };
        self.store().record(event);
    }
}
