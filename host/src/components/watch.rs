//! A directory in which what appears is staged.

use super::{Activate, Control, ControlError, Entry, Stage};
use crate::signature::Signature;
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Time between two looks. What has not changed from one to the next is there whole.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time between two looks at what may have been cut off.
const BREAKERS_EVERY: Duration = Duration::from_millis(20);
/// Files that are looked at: more is no directory of components.
const FILES_MAX: usize = 1024;
/// Largest file that is read: larger ones cannot be components.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Largest signature.
const SIGNATURE_BYTES_MAX: u64 = 4096;
/// Who stages what appears.
const BY: &str = "watch";

/// Looks after components until `stop`: what was cut off, and what appears in the watched
/// directory.
pub async fn watch(control: Arc<Control>, stop: CancellationToken) {
    let breakers = every(BREAKERS_EVERY, &control, &stop, |control| {
        control.look_at_breakers();
    });
    let Some(directory) = control.watched().map(Path::to_owned) else {
        return breakers.await;
    };
    // Uploads take their time, and breakers must not wait for them.
    let watched = std::sync::Mutex::new(Watched::new(directory));
    let uploads = every(LOOK_EVERY, &control, &stop, move |control| {
        super::control::lock(&watched).look_and_stage(control);
    });
    tokio::join!(breakers, uploads);
}

/// Does something that blocks, again and again, until `stop`; once at a time.
async fn every(
    interval: Duration,
    control: &Arc<Control>,
    stop: &CancellationToken,
    work: impl Fn(&Control) + Send + Sync + 'static,
) {
    let work = Arc::new(work);
    let mut looks = tokio::time::interval(interval);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        let (control, work) = (control.clone(), work.clone());
        // A panic in it has been reported; the next look goes on.
        let _ = tokio::task::spawn_blocking(move || work(&control)).await;
    }
}

/// What a file and its signature look like from outside.
type Look = [Option<(u64, Option<SystemTime>)>; 2];

/// A directory, and what is known of what is in it.
struct Watched {
    directory: PathBuf,
    /// What each file looked like, and whether it is done with.
    seen: BTreeMap<PathBuf, (Look, bool)>,
    /// What is there at the start may have been staged before: by then it was decided on.
    is_first: bool,
}

impl Watched {
    fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            seen: BTreeMap::new(),
            is_first: true,
        }
    }

    fn look_and_stage(&mut self, control: &Control) {
        let whole = match self.look() {
            Ok(whole) => whole,
            Err(error) => {
                tracing::warn!(directory = %self.directory.display(), %error,
                    "the watched directory cannot be read (components.watch_directory)");
                return;
            }
        };
        let mut staged = Vec::new();
        for path in &whole {
            let bytes = match read(path, FILE_BYTES_MAX) {
                Ok(bytes) => bytes,
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "it cannot be staged");
                    continue;
                }
            };
            if self.is_first && control.is_known(&bytes) {
                continue;
            }
            match stage(control, path, bytes) {
                Ok(entry) => staged.push(entry),
                // A full disk may have room later. What is refused stands in the history, and
                // was logged with it.
                Err(ControlError::Store(_)) => {
                    if let Some((_, done)) = self.seen.get_mut(path) {
                        *done = false;
                    }
                }
                Err(_) => {}
            }
        }
        // Those of the first look are whole at the second.
        self.is_first &= whole.is_empty() && self.seen.values().any(|(_, done)| !done);
        if control.watch_activates() {
            activate(control, &staged);
        }
    }

    /// Components that are there whole and are not done with, by name.
    fn look(&mut self) -> io::Result<Vec<PathBuf>> {
        let mut now = BTreeMap::new();
        let mut whole = Vec::new();
        for found in fs::read_dir(&self.directory)?.take(FILES_MAX) {
            let path = found?.path();
            if path.extension().is_none_or(|extension| extension != "wasm") {
                continue;
            }
            let of = |path: &Path| {
                let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
                Some((metadata.len(), metadata.modified().ok()))
            };
            // One that went away between the two calls is looked at no more.
            let look = [of(&path), of(&signature_of(&path))];
            if look[0].is_none() {
                continue;
            }
            let done = match self.seen.get(&path) {
                Some((before, done)) if *before == look => {
                    if !done {
                        whole.push(path.clone());
                    }
                    true
                }
                _ => false,
            };
            now.insert(path, (look, done));
        }
        self.seen = now;
        whole.sort();
        Ok(whole)
    }
}

fn signature_of(path: &Path) -> PathBuf {
    path.with_extension("wasm.sig")
}

fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path)?;
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let what = format!("it has more than {bytes_max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(bytes)
}

fn stage(control: &Control, path: &Path, bytes: Vec<u8>) -> Result<Entry, ControlError> {
    let signature = match read(&signature_of(path), SIGNATURE_BYTES_MAX) {
        Ok(text) => String::from_utf8_lossy(&text).trim().parse::<Signature>(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return control.stage(Stage {
                bytes,
                by: BY.into(),
                ..Stage::default()
            });
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "its signature cannot be read");
            return Err(ControlError::Unsigned);
        }
    };
    let signature = signature.inspect_err(|error| {
        tracing::warn!(path = %path.display(), %error, "its signature is none");
    })?;
    control.stage(Stage {
        bytes,
        name: None,
        by: BY.into(),
        signature: Some(signature),
    })
}

/// Activates what appeared at the same time together, as a parser and its router must be, or
/// else each for itself. What was cut off or taken back before is left to somebody.
fn activate(control: &Control, staged: &[Entry]) {
    let (slots, _) = control.list();
    let failed = |entry: &&Entry| {
        let slot = slots.get(&entry.name);
        slot.is_some_and(|slot| slot.failed.as_ref() == Some(&entry.digest))
    };
    let digests: Vec<String> = staged
        .iter()
        .filter(|entry| !failed(entry))
        .map(|entry| entry.digest.clone())
        .collect();
    let activate = |digests: Vec<String>| {
        control.activate(&Activate {
            digests,
            force: false,
            by: BY.into(),
        })
    };
    if digests.len() > 1 && activate(digests.clone()).is_ok() {
        return;
    }
    for digest in digests {
        if let Err(error) = activate(vec![digest.clone()]) {
            tracing::warn!(digest, %error, "it was staged, but not activated");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_once_it_has_not_changed_between_two_looks() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.wasm");
        let mut watched = Watched::new(directory.path().to_owned());
        let mut look = || watched.look().unwrap();
        assert!(look().is_empty());
        fs::write(&path, "half").unwrap();
        fs::create_dir(directory.path().join("directory.wasm")).unwrap();
        assert!(look().is_empty());
        fs::write(&path, "half and half").unwrap();
        assert!(look().is_empty());
        assert_eq!(look(), std::slice::from_ref(&path));
        // Once.
        assert!(look().is_empty());
        fs::write(&path, "another one").unwrap();
        assert!(look().is_empty());
        assert_eq!(look(), std::slice::from_ref(&path));
        // Its signature came after it.
        fs::write(directory.path().join("a.wasm.sig"), "a signature").unwrap();
        assert!(look().is_empty());
        assert_eq!(look(), [path]);
    }
}
