//! Taking components out of the store.

use super::{
    Entry, Event,
    control::{Control, ControlError},
};
use heplake_format::ComponentDigest;
use serde::Serialize;
use std::sync::TryLockError;

/// What is to be removed.
#[derive(Clone, Debug, Default)]
pub struct Remove {
    /// A name, for all its versions that nothing needs, or a digest or the start of one.
    pub key: String,
    /// Whether a version goes that a rollback would go back to.
    pub force: bool,
    /// Who removes it.
    pub by: String,
}

/// What a removal did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Versions that are gone.
    pub removed: Vec<ComponentDigest>,
    /// Versions of the name that stay.
    pub kept: Vec<Kept>,
}

/// A version that stays, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The version.
    #[serde(flatten)]
    pub component: ComponentDigest,
    /// Why it stays.
    pub reason: KeptBecause,
}

/// Why a version is not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum KeptBecause {
    /// Packets go through it.
    #[error("it serves: roll it back first")]
    Serves,
    /// It is part of the program.
    #[error("it came with Heplake")]
    Shipped,
    /// Another version may have to give way to it.
    #[error(
        "a rollback would go back to it; if it is not needed for that any more, remove it by force"
    )]
    RollbackTarget,
}

impl Control {
    /// Takes a component out of the store: its bytes, its machine code and its report. The history
    /// and the columns of its tables stay.
    ///
    /// # Errors
    /// When there is none, something needs it, or something is being activated.
    pub fn remove(&self, remove: &Remove) -> Result<Removed, ControlError> {
        // An activation may be about to use what would be removed. It may take an hour.
        let _none_is_activated = match self.activating.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(ControlError::Busy),
        };
        let mut changing = self.change_at_once();
        if changing.detached || self.is_stopping() {
            return Err(ControlError::Stopping);
        }
        let (found, is_name) = self.found(&remove.key)?;
        let mut done = Removed::default();
        for entry in &found {
            let component = ComponentDigest {
                name: entry.name.clone(),
                version: entry.version.clone(),
                digest: entry.digest.clone(),
            };
            match self.kept_because(entry, remove.force) {
                Some(reason) => done.kept.push(Kept { component, reason }),
                None => done.removed.push(component),
            }
        }
        if let ([], Some(kept)) = (done.removed.as_slice(), done.kept.first()) {
            return Err(ControlError::Kept(Box::new(kept.clone())));
        }
        let is_whole_name = is_name && done.kept.is_empty();
        self.store().change(|state| {
            for component in &done.removed {
                state.forget(&component.digest);
            }
            if is_whole_name {
                state.slots.remove(&remove.key);
            }
        })?;
        for component in &done.removed {
            let ComponentDigest {
                name,
                version,
                digest,
            } = component;
            // The entry, and the version in it, is gone by the time that this is recorded.
            let event = Event {
                version: version.clone(),
                ..self.event("removed", name, digest, &remove.by)
            };
            let mut store = self.store();
            store.remove(digest)?;
            store.record(event);
        }
        let is_gone = |digest: &String| done.removed.iter().any(|gone| gone.digest == *digest);
        let warm = changing.warm.as_ref();
        if warm.is_some_and(|warm| super::validation::digests(&warm.set).iter().any(is_gone)) {
            changing.warm = None;
        }
        self.expect_successors();
        Ok(done)
    }

    /// The components that a key stands for, and whether it is a name.
    fn found(&self, key: &str) -> Result<(Vec<Entry>, bool), ControlError> {
        let store = self.store();
        let entries = store.entries().values();
        let of_name: Vec<Entry> = entries.filter(|entry| entry.name == key).cloned().collect();
        if !of_name.is_empty() || store.state().slots.contains_key(key) {
            return Ok((of_name, true));
        }
        drop(store);
        Ok((vec![self.entry(key)?], false))
    }

    fn kept_because(&self, entry: &Entry, force: bool) -> Option<KeptBecause> {
        let serving = self.serving_digests();
        let serves = serving.values().any(|digest| *digest == entry.digest);
        let store = self.store();
        let state = store.state();
        let mut slots = state.slots.values();
        // Where the version that was activated last could not be loaded, it serves once it can be.
        let is_active = |digest: Option<&String>| digest == Some(&entry.digest);
        match () {
            () if serves || slots.any(|slot| is_active(slot.active.as_ref())) => {
                Some(KeptBecause::Serves)
            }
            () if entry.is_shipped() => Some(KeptBecause::Shipped),
            () if !force && state.is_gone_back_to(&entry.digest) => {
                Some(KeptBecause::RollbackTarget)
            }
            () => None,
        }
    }
}
