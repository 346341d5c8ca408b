//! The store of components on the edge's disk.
//!
//! ```text
//!  <directory>/state.json                      which version serves
//!             /history.ndjson                  what was done, a line each
//!             /history.1.ndjson                what was done before that
//!             /lock                            held by the edge that has the store
//!             /samples.ndjson                  samples of the traffic (`kept_samples`)
//!             /<digest>/component.wasm         the bytes
//!                      /entry.json             description, when, by whom, report
//!                      /code-<key>.cwasm       machine code, for the engine of this key
//! ```
//!
//! A store belongs to one edge, which holds its lock. A digest is checked whenever bytes are read. Documents are written whole or not at all,
//! and on disk before they count. The directory is its owner's alone, since machine code
//! in it is trusted.

mod takeover;

use super::{
    entry::{Code, Entry},
    history::{EVENTS_MAX, Event},
    kept_samples,
    state::{STATE_FORMAT, State},
};
use crate::{
    configuration::EdgeSettings,
    lock::{FileLock, FileLockError},
    sandbox::{Compiled, Engine, TrustedCode, hexadecimal},
};
use heplake_components::SHIPPED;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Components that neither serve, served before, nor wait: beyond this the oldest go.
const UNUSED_MAX: usize = 32;
/// Names that a store takes besides those of the shipped components. Whatever a name waits
/// with stays, so that names bound the disk and the metrics; a site has a dozen protocols.
const NAMES_MAX: usize = 256;
/// Largest document that is read, in bytes: a report of a component with a thousand fields
/// stays far below.
const DOCUMENT_BYTES_MAX: u64 = 4 << 20;
/// How long after it could not be written down what serves is tried again: a full disk may
/// have room then.
const WRITE_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Size beyond which the history is begun anew, and the one before kept beside it.
const HISTORY_BYTES_MAX: u64 = 4 << 20;

const LOCK: &str = "lock";
const STATE: &str = "state.json";
const HISTORY: &str = "history.ndjson";
const HISTORY_BEFORE: &str = "history.1.ndjson";
const BYTES: &str = "component.wasm";
const ENTRY: &str = "entry.json";
/// Extension of a file that is being written.
const BEGUN: &str = "begun";

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
    /// Another edge has it.
    #[error(
        "the store of components {path} is in use by {holder}: it belongs to one edge. Stop that one, or set components.store_directory to another directory for this edge; by default each edge has its own"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process that has it.
        holder: String,
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
    /// It has as many names as it takes.
    #[error(
        "the store of components has {NAMES_MAX} names, as many as it takes, and `{name}` is another: use one of those that `heplake component list` shows"
    )]
    TooManyNames {
        /// The name that it has no place for.
        name: String,
    },
}

/// The store of components.
pub(super) struct ComponentStore {
    directory: PathBuf,
    entries: BTreeMap<String, Entry>,
    state: State,
    /// When to write down again what could not be.
    unwritten: Option<Instant>,
    history: Vec<Event>,
    lock: Option<FileLock>,
}

type Result<T> = std::result::Result<T, ComponentStoreError>;

impl ComponentStore {
    /// Opens the store of an edge, and makes it if it is not there. One of version 0.1 is taken
    /// over.
    pub(super) fn open_for(settings: &EdgeSettings) -> Result<Self> {
        let (directory, lock) = Self::take(&settings.component_settings.store_directory)?;
        takeover::take_over(settings, directory)?;
        Self::read(directory, lock)
    }

    /// Opens a store, and makes it if it is not there.
    #[cfg(test)]
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let (directory, lock) = Self::take(directory)?;
        Self::read(directory, lock)
    }

    /// Makes a store's directory if it is not there, and takes its lock.
    fn take(directory: &Path) -> Result<(&Path, FileLock)> {
        let failed = |source| io_error(directory, source);
        // Directories above it are as others of the data directory: they hold no machine code.
        if let Some(above) = directory.parent() {
            fs::create_dir_all(above).map_err(|source| io_error(above, source))?;
        }
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(directory).map_err(failed)?;
        let metadata = fs::metadata(directory).map_err(failed)?;
        let (mode, owner) = (metadata.permissions().mode() & 0o777, metadata.uid());
        if mode & 0o022 != 0 || owner != nix::unistd::geteuid().as_raw() {
            let path = directory.into();
            return Err(ComponentStoreError::Open { path, mode });
        }
        let lock = FileLock::take(&directory.join(LOCK), "heplake");
        let lock = lock.map_err(|error| match error {
            FileLockError::Held { holder, .. } => {
                let path = directory.into();
                ComponentStoreError::InUse { path, holder }
            }
            FileLockError::Io { path, source } => ComponentStoreError::Io { path, source },
        })?;
        Ok((directory, lock))
    }

    fn read(directory: &Path, lock: FileLock) -> Result<Self> {
        let mut store = Self {
            directory: directory.into(),
            entries: BTreeMap::new(),
            state: State {
                format: STATE_FORMAT,
                ..State::default()
            },
            unwritten: None,
            history: Vec::new(),
            lock: Some(lock),
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
        store.sweep();
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

    /// Removes what a crash left: files begun, and directories of components without an
    /// entry. What cannot be removed stays.
    fn sweep(&self) {
        let samples = kept_samples::path_in(&self.directory);
        for path in [self.directory.join(STATE), samples] {
            remove_begun(&path.with_extension(BEGUN));
        }
        let found = fs::read_dir(&self.directory).into_iter().flatten();
        for found in found.filter_map(std::result::Result::ok) {
            let name = found.file_name();
            let Some(digest) = name.to_str().filter(|name| is_digest(name)) else {
                continue;
            };
            // A link may lead anywhere.
            if !found.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = found.path();
            let is_named = self.state.names(digest);
            if !is_named && is_cut_off(&path.join(ENTRY)) {
                tracing::warn!(
                    digest,
                    "a component that was not written to its end is removed"
                );
                if let Err(error) = fs::remove_dir_all(&path) {
                    tracing::warn!(digest, %error, "it could not be removed");
                }
                continue;
            }
            let files = fs::read_dir(&path).into_iter().flatten();
            for file in files.filter_map(std::result::Result::ok) {
                let file = file.path();
                if file.extension().is_some_and(|extension| extension == BEGUN) {
                    remove_begun(&file);
                }
            }
        }
    }

    fn read_history(&mut self) -> Result<()> {
        for name in [HISTORY_BEFORE, HISTORY] {
            let path = self.directory.join(name);
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(io_error(&path, source)),
            };
            // A line that was cut off by a crash, be it within a character, is not worth a
            // refusal to start.
            let lines = bytes.split(|byte| *byte == b'\n');
            let events =
                lines.filter_map(|line| serde_json::from_str(&String::from_utf8_lossy(line)).ok());
            self.history.extend(events);
        }
        let too_many = self.history.len().saturating_sub(EVENTS_MAX);
        self.history.drain(..too_many);
        Ok(())
    }

    /// Lets another edge have the store: nothing is changed any more.
    pub(super) fn unlock(&mut self) {
        self.lock = None;
    }

    /// Where it is.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
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
        if state != self.state || self.unwritten.is_some() {
            write_document(&self.directory.join(STATE), &state)?;
            (self.state, self.unwritten) = (state, None);
        }
        Ok(())
    }

    /// Changes it whether it can be written down or not. Where it cannot, a restart would undo it
    /// until [`write_again`](Self::write_again) has done so.
    pub(super) fn change_anyway(&mut self, change: impl FnOnce(&mut State)) -> Result<()> {
        let before = self.state.clone();
        change(&mut self.state);
        if self.state != before {
            self.unwritten = Some(Instant::now());
        }
        self.write_again()
    }

    /// Writes down what could not be, once it is time to try again.
    pub(super) fn write_again(&mut self) -> Result<()> {
        if self.unwritten.is_none_or(|again| again > Instant::now()) {
            return Ok(());
        }
        self.unwritten = Some(Instant::now() + WRITE_AGAIN_AFTER);
        write_document(&self.directory.join(STATE), &self.state)?;
        self.unwritten = None;
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
            fs::rename(&path, self.directory.join(HISTORY_BEFORE)).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        let options = options.create(true).read(true).append(true).mode(0o600);
        let mut file = options.open(&path).map_err(failed)?;
        let mut line = Vec::new();
        // A line that was cut off ends here, rather than with this one.
        if !ends_a_line(&file).map_err(failed)? {
            line.push(b'\n');
        }
        serde_json::to_writer(&mut line, event).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        file.write_all(&line).map_err(failed)
    }

    /// Puts a component into the store, or its entry in the place of the one there. Bytes
    /// that are missing or have been changed are written again.
    pub(super) fn put(&mut self, entry: Entry, bytes: &[u8]) -> Result<()> {
        self.check_names(&entry.name)?;
        let directory = self.directory.join(&entry.digest);
        let failed = |source| io_error(&directory, source);
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&directory).map_err(failed)?;
        let path = directory.join(BYTES);
        if read_checked(&path, &entry.digest).is_err() {
            write_whole(&path, bytes)?;
        }
        self.update(entry)?;
        self.tidy();
        Ok(())
    }

    /// Whether there is a place for a name: those of the shipped components have theirs.
    fn check_names(&self, name: &str) -> Result<()> {
        let is_shipped = |name: &str| SHIPPED.iter().any(|shipped| shipped.name == name);
        let known = self.entries.values().map(|entry| &entry.name);
        let known = known.chain(self.state.slots.keys()).map(String::as_str);
        let known: BTreeSet<&str> = known.filter(|name| !is_shipped(name)).collect();
        if is_shipped(name) || known.contains(name) || known.len() < NAMES_MAX {
            return Ok(());
        }
        let name = name.into();
        Err(ComponentStoreError::TooManyNames { name })
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

    /// Removes a component. It is gone once its entry is: what else there is of it is removed at
    /// the next start at the latest.
    pub(super) fn remove(&mut self, digest: &str) -> Result<()> {
        let directory = self.directory.join(digest);
        let path = directory.join(ENTRY);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error(&path, error));
            }
            _ => self.entries.remove(digest),
        };
        if let Err(error) = fs::remove_dir_all(&directory) {
            tracing::warn!(digest, %error, "the files of a component could not be removed");
        }
        Ok(())
    }

    /// The bytes of a component.
    pub(super) fn bytes(&self, digest: &str) -> Result<Vec<u8>> {
        let path = self.directory.join(digest).join(BYTES);
        read_checked(&path, digest)
    }

    /// Whether there is machine code of a component that can be used.
    pub(super) fn has_code(&self, engine: &Engine, digest: &str) -> bool {
        let code = self
            .entries
            .get(digest)
            .and_then(|entry| entry.code.as_ref());
        code.is_some_and(|code| code.key == engine.code_key())
    }

    /// A component by its machine code, if there is some that can be used.
    pub(super) fn precompiled(&self, engine: &Engine, digest: &str) -> Option<Compiled> {
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

/// Whether a name is that of a component's directory.
fn is_digest(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a document is not there, or no JSON. What another version of this program wrote,
/// and what cannot be read just now, is neither.
fn is_cut_off(path: &Path) -> bool {
    match fs::read(path) {
        Ok(json) => serde_json::from_slice::<serde::de::IgnoredAny>(&json).is_err(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Removes a file that was begun. There mostly is none.
fn remove_begun(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "it could not be removed");
        }
        _ => {}
    }
}

/// Whether a file of lines is empty, or ends with a whole one.
fn ends_a_line(file: &File) -> io::Result<bool> {
    let Some(last) = file.metadata()?.len().checked_sub(1) else {
        return Ok(true);
    };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte == [b'\n'])
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
    let json = serde_json::to_vec_pretty(document).map_err(malformed)?;
    if json.len() as u64 > DOCUMENT_BYTES_MAX {
        return Err(ComponentStoreError::Malformed {
            path: path.into(),
            reason: format!(
                "it would have {} bytes, and could not be read again",
                json.len()
            ),
        });
    }
    write_whole(path, &json)
}

/// Writes a file whole or not at all: after a power cut there is the one before or this one.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |source| io_error(path, source);
    let begun = path.with_extension(BEGUN);
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

pub(super) fn io_error(path: &Path, source: io::Error) -> ComponentStoreError {
    let path = path.into();
    ComponentStoreError::Io { path, source }
}

#[cfg(test)]
mod tests;
