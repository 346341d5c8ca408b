//! The store of components on the edge's disk.
//!
//! ```text
//!  <directory>/state.json                      which version serves
//!             /history.ndjson                  what was done, a line each
//!             /<digest>/component.wasm         the bytes
//!                      /entry.json             description, when, by whom, report
//!                      /code-<key>.cwasm       machine code, for the engine of this key
//! ```
//!
//! A digest is checked whenever bytes are read. Documents are written whole or not at all,
//! and on disk before they count. The directory is its owner's alone, since machine code
//! in it is trusted.

use super::{
    entry::{Code, Entry},
    history::{EVENTS_MAX, Event},
    state::{STATE_FORMAT, State},
};
use crate::sandbox::{Compiled, ComponentError, Engine, TrustedCode, hexadecimal};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Components that neither serve, served before, nor wait: beyond this the oldest go.
const UNUSED_MAX: usize = 32;
/// Largest document that is read, in bytes: a report of a component with a thousand fields
/// stays far below.
const DOCUMENT_BYTES_MAX: u64 = 4 << 20;
/// Size beyond which the history is begun anew, and the one before kept beside it.
const HISTORY_BYTES_MAX: u64 = 4 << 20;

const STATE: &str = "state.json";
const HISTORY: &str = "history.ndjson";
const BYTES: &str = "component.wasm";
const ENTRY: &str = "entry.json";

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ComponentStoreError {
    /// Something in it cannot be read or written.
    #[error("the store of components: {path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may write to it.
    #[error(
        "the store of components {path} can be written by others than its owner (mode {mode:o}): chmod 700 it, and make this service's user its owner"
    )]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A document is not what it should be.
    #[error("the store of components: {path} cannot be read: {reason}")]
    Malformed {
        /// The document.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Bytes are not those that they were.
    #[error("the store of components: {path} has been changed: its SHA-256 is {found}")]
    Digest {
        /// The file.
        path: PathBuf,
        /// The digest that it has.
        found: String,
    },
}

/// The store of components.
pub(super) struct ComponentStore {
    directory: PathBuf,
    entries: BTreeMap<String, Entry>,
    state: State,
    history: Vec<Event>,
}

type Result<T> = std::result::Result<T, ComponentStoreError>;

impl ComponentStore {
    /// Opens a store, and makes it if it is not there.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let failed = |source| io_error(directory, source);
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(directory).map_err(failed)?;
        let metadata = fs::metadata(directory).map_err(failed)?;
        let (mode, owner) = (metadata.permissions().mode() & 0o777, metadata.uid());
        if mode & 0o022 != 0 || owner != nix::unistd::geteuid().as_raw() {
            let path = directory.into();
            return Err(ComponentStoreError::Open { path, mode });
        }
        let mut store = Self {
            directory: directory.into(),
            entries: BTreeMap::new(),
            state: State {
                format: STATE_FORMAT,
                ..State::default()
            },
            history: Vec::new(),
        };
        store.read_entries()?;
        if let Some(state) = read_document::<State>(&directory.join(STATE))? {
            if state.format > STATE_FORMAT {
                let reason = format!("it has format {}: update Heplake", state.format);
                let path = directory.join(STATE);
                return Err(ComponentStoreError::Malformed { path, reason });
            }
            store.state = state;
        }
        store.read_history()?;
        Ok(store)
    }

    fn read_entries(&mut self) -> Result<()> {
        let failed = |source| io_error(&self.directory, source);
        for found in fs::read_dir(&self.directory).map_err(failed)? {
            let path = found.map_err(failed)?.path();
            if !path.is_dir() {
                continue;
            }
            // One that was not written to its end, or is not ours, is as if it was not there.
            match read_document::<Entry>(&path.join(ENTRY)) {
                Ok(Some(entry)) if path.ends_with(&entry.digest) => {
                    self.entries.insert(entry.digest.clone(), entry);
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "a component in the store is left out"),
            }
        }
        Ok(())
    }

    fn read_history(&mut self) -> Result<()> {
        let path = self.directory.join(HISTORY);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(io_error(&path, source)),
        };
        // A line that was cut off by a crash is not worth a refusal to start.
        let events = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        self.history = events.collect();
        let too_many = self.history.len().saturating_sub(EVENTS_MAX);
        self.history.drain(..too_many);
        Ok(())
    }

    /// All components, by digest.
    pub(super) fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    /// Which version serves.
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// What was done, the latest last.
    pub(super) fn history(&self) -> &[Event] {
        &self.history
    }

    /// Changes which version serves, and writes it down.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut State)) -> Result<()> {
        let mut state = self.state.clone();
        change(&mut state);
        if state != self.state {
            write_document(&self.directory.join(STATE), &state)?;
            self.state = state;
        }
        Ok(())
    }

    /// Writes down what was done, and tells it. What cannot be written is told nevertheless.
    pub(super) fn record(&mut self, event: Event) {
        let event = event.tell();
        if let Err(error) = self.append(&event) {
            tracing::error!(%error, "the history of components could not be written");
        }
        self.history.push(event);
        if self.history.len() > EVENTS_MAX {
            self.history.remove(0);
        }
    }

    fn append(&self, event: &Event) -> Result<()> {
        let path = self.directory.join(HISTORY);
        let failed = |source| io_error(&path, source);
        let size = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        if size > HISTORY_BYTES_MAX {
            fs::rename(&path, path.with_extension("1.ndjson")).map_err(failed)?;
        }
        let mut line = serde_json::to_vec(event).unwrap_or_default();
        line.push(b'\n');
        let mut file = OpenOptions::new();
        let mut file = file
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        file.write_all(&line).map_err(failed)
    }

    /// Puts a component into the store, or its entry in the place of the one there.
    pub(super) fn put(&mut self, entry: Entry, bytes: &[u8]) -> Result<()> {
        let directory = self.directory.join(&entry.digest);
        let failed = |source| io_error(&directory, source);
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&directory).map_err(failed)?;
        if !self.entries.contains_key(&entry.digest) {
            write_whole(&directory.join(BYTES), bytes)?;
        }
        self.update(entry)?;
        self.tidy();
        Ok(())
    }

    /// Writes an entry in the place of the one there.
    pub(super) fn update(&mut self, entry: Entry) -> Result<()> {
        let path = self.directory.join(&entry.digest).join(ENTRY);
        write_document(&path, &entry)?;
        self.entries.insert(entry.digest.clone(), entry);
        Ok(())
    }

    /// Removes what has not been used for longest. What cannot be removed stays.
    fn tidy(&mut self) {
        let used = |digest: &str| {
            let mut shipped = self.state.shipped.values();
            self.state.names(digest) || shipped.any(|shipped| shipped == digest)
        };
        let mut unused: Vec<(u64, String)> = self
            .entries
            .values()
            .filter(|entry| !used(&entry.digest))
            .map(|entry| (entry.staged_us, entry.digest.clone()))
            .collect();
        unused.sort();
        let too_many = unused.len().saturating_sub(UNUSED_MAX);
        for (_, digest) in unused.into_iter().take(too_many) {
            self.entries.remove(&digest);
            if let Err(error) = fs::remove_dir_all(self.directory.join(&digest)) {
                tracing::warn!(digest, %error, "an old component could not be removed");
            }
        }
    }

    /// The bytes of a component.
    pub(super) fn bytes(&self, digest: &str) -> Result<Vec<u8>> {
        let path = self.directory.join(digest).join(BYTES);
        read_checked(&path, digest)
    }

    /// A component, compiled: by its machine code where that can be used, which then is
    /// written for the next time.
    pub(super) fn compiled(
        &mut self,
        engine: &Engine,
        digest: &str,
    ) -> Result<std::result::Result<Compiled, ComponentError>> {
        if let Some(compiled) = self.precompiled(engine, digest) {
            return Ok(Ok(compiled));
        }
        let compiled = engine.compile(&self.bytes(digest)?);
        if let Ok(compiled) = &compiled {
            self.keep_code(engine, compiled);
        }
        Ok(compiled)
    }

    fn precompiled(&self, engine: &Engine, digest: &str) -> Option<Compiled> {
        let code = self.entries.get(digest)?.code.as_ref()?;
        if code.key != engine.code_key() {
            return None;
        }
        let path = self.code_path(digest, &code.key);
        let loaded = read_checked(&path, &code.digest).map(|bytes| {
            // Its digest is that which this program noted in its own directory.
            engine.load(TrustedCode::new(&bytes), digest)
        });
        match loaded {
            Ok(Ok(compiled)) => return Some(compiled),
            Ok(Err(error)) => tracing::warn!(digest, %error, "machine code is made again"),
            Err(error) => tracing::warn!(digest, %error, "machine code is made again"),
        }
        None
    }

    /// Keeps the machine code of a component in the store. Without it the next start takes
    /// longer: no reason to fail.
    pub(super) fn keep_code(&mut self, engine: &Engine, compiled: &Compiled) {
        let digest = compiled.digest().to_owned();
        let Some(mut entry) = self.entries.get(&digest).cloned() else {
            return;
        };
        let key = engine.code_key();
        let kept = compiled.code().map(|code| {
            let digest = hexadecimal(&Sha256::digest(&code));
            write_whole(&self.code_path(&entry.digest, &key), &code)?;
            let before = entry.code.replace(Code { key, digest });
            let is_other = |before: &Code| Some(before) != entry.code.as_ref();
            if let Some(before) = before.filter(is_other) {
                // Of an engine that is gone.
                let _ = fs::remove_file(self.code_path(&entry.digest, &before.key));
            }
            self.update(entry)
        });
        match kept {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "machine code could not be kept"),
            Err(error) => tracing::warn!(%error, "machine code could not be kept"),
        }
    }

    fn code_path(&self, digest: &str, key: &str) -> PathBuf {
        self.directory
            .join(digest)
            .join(format!("code-{key}.cwasm"))
    }

    /// The shipped component of a name that was put into the store last.
    pub(super) fn shipped(&self, name: &str) -> Option<&Entry> {
        let shipped = |entry: &&Entry| entry.name == name && entry.is_shipped();
        let entries = self.entries.values().filter(shipped);
        entries.max_by_key(|entry| entry.staged_us)
    }
}

/// Reads a file and holds it to its digest.
fn read_checked(path: &Path, digest: &str) -> Result<Vec<u8>> {
    let bytes = fs::read(path).map_err(|source| io_error(path, source))?;
    let found = hexadecimal(&Sha256::digest(&bytes));
    if found != digest {
        let path = path.into();
        return Err(ComponentStoreError::Digest { path, found });
    }
    Ok(bytes)
}

fn read_document<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let malformed = |reason: String| ComponentStoreError::Malformed {
        path: path.into(),
        reason,
    };
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > DOCUMENT_BYTES_MAX => {
            return Err(malformed(format!("it has {} bytes", metadata.len())));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error(path, source)),
    }
    let json = fs::read(path).map_err(|source| io_error(path, source))?;
    let document = serde_json::from_slice(&json).map_err(|error| malformed(error.to_string()))?;
    Ok(Some(document))
}

fn write_document(path: &Path, document: &impl Serialize) -> Result<()> {
    let malformed = |error: serde_json::Error| ComponentStoreError::Malformed {
        path: path.into(),
        reason: error.to_string(),
    };
    write_whole(
        path,
        &serde_json::to_vec_pretty(document).map_err(malformed)?,
    )
}

/// Writes a file whole or not at all: after a power cut there is the one before or this one.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |source| io_error(path, source);
    let begun = path.with_extension("begun");
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&begun).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&begun, path).map_err(failed)?;
    let directory = path.parent().unwrap_or(path);
    let directory = File::open(directory).map_err(failed)?;
    directory.sync_all().map_err(failed)
}

fn io_error(path: &Path, source: io::Error) -> ComponentStoreError {
    let path = path.into();
    ComponentStoreError::Io { path, source }
}

#[cfg(test)]
mod tests;
