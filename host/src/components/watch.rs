//! A directory in which what appears is staged.

use super::{Activate, ComponentStoreError, Control, ControlError, Entry, Stage};
use crate::{
    health::{Code, Health},
    signature::Signature,
};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
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
/// How long after it could not be taken now it is tried again: a disk may have room then.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Who stages what appears.
const BY: &str = "watch";

/// Looks after components until `stop`: what was cut off, and what appears in the watched
/// directory.
pub async fn watch(control: Arc<Control>, health: Arc<Health>, stop: CancellationToken) {
    let breakers = every(BREAKERS_EVERY, &control, &stop, |control| {
        control.look_at_breakers();
    });
    let Some(directory) = control.watched().map(Path::to_owned) else {
        return breakers.await;
    };
    // Uploads take their time, and breakers must not wait for them.
    let watched = std::sync::Mutex::new(Watched::new(directory, health));
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

/// What is to be done with a file that has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ToDo {
    /// It is staged now.
    Stage,
    /// The same, but not before.
    Again(Instant),
    Nothing,
}

/// A directory, and what is known of what is in it.
struct Watched {
    directory: PathBuf,
    /// What each file looked like, and what is to be done if it looks so still.
    seen: BTreeMap<PathBuf, (Look, ToDo)>,
    /// What is there at the start may have been staged before: by then it was decided on.
    is_first: bool,
    /// Why it could not be read at the last look, if it could not.
    unreadable: Option<String>,
    health: Arc<Health>,
}

impl Watched {
    fn new(directory: PathBuf, health: Arc<Health>) -> Self {
        Self {
            directory,
            seen: BTreeMap::new(),
            is_first: true,
            unreadable: None,
            health,
        }
    }

    /// Says that the directory cannot be read, or that it can be read again: once, and in health as long as it is so.
    fn tell(&mut self, error: Option<&io::Error>) {
        let reason = error.map(ToString::to_string);
        if reason == self.unreadable {
            return;
        }
        let directory = self.directory.display();
        match &reason {
            Some(reason) => {
                tracing::warn!(%directory, reason,
                    "the watched directory cannot be read (components.watch_directory): nothing is staged from it until it can");
                let text = format!("components.watch_directory: {reason}");
                self.health.raise(Code::WatchDirectoryUnreadable, text);
            }
            None => {
                tracing::info!(%directory, "the watched directory can be read again");
                self.health.settle(Code::WatchDirectoryUnreadable);
            }
        }
        self.unreadable = reason;
    }

    fn look_and_stage(&mut self, control: &Control) {
        let looked = self.look();
        self.tell(looked.as_ref().err());
        let Ok(whole) = looked else {
            return;
        };
        let mut staged = Vec::new();
        for path in &whole {
            if control.is_stopping() {
                return;
            }
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
                Ok(entry) => staged.push((path.clone(), entry)),
                // What is refused stands in the history, and was logged with it.
                Err(ControlError::Store(ComponentStoreError::Io { .. })) => self.again(path),
                Err(_) => {}
            }
        }
        // Those of the first look are whole at the second.
        let waits = |(_, to_do): &(Look, ToDo)| *to_do == ToDo::Stage;
        self.is_first &= whole.is_empty() && self.seen.values().any(waits);
        if control.watch_activates() {
            let entries: Vec<&Entry> = staged.iter().map(|(_, entry)| entry).collect();
            for digest in activate(control, &entries) {
                let its = staged.iter().find(|(_, entry)| entry.digest == digest);
                if let Some((path, _)) = its {
                    self.again(path);
                }
            }
        }
    }

    fn again(&mut self, path: &Path) {
        if let Some((_, to_do)) = self.seen.get_mut(path) {
            *to_do = ToDo::Again(Instant::now() + AGAIN_AFTER);
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
            let to_do = match self.seen.get(&path) {
                Some((before, to_do)) if *before == look => match to_do {
                    ToDo::Again(at) if *at > Instant::now() => *to_do,
                    ToDo::Nothing => ToDo::Nothing,
                    ToDo::Stage | ToDo::Again(_) => {
                        whole.push(path.clone());
                        ToDo::Nothing
                    }
                },
                _ => ToDo::Stage,
            };
            now.insert(path, (look, to_do));
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
/// else each for itself, where that may come to something else. What was cut off or taken back
/// before is left to somebody. Gives what is to be tried again.
fn activate(control: &Control, staged: &[&Entry]) -> Vec<String> {
    let is_left = |entry: &Entry| {
        let (slots, _) = control.list();
        let slot = slots.get(&entry.name);
        slot.is_some_and(|slot| slot.failed.as_ref() == Some(&entry.digest))
    };
    let activate = |digests: &[String]| {
        control.activate(&Activate {
            digests: digests.to_vec(),
            force: false,
            by: BY.into(),
        })
    };
    let digests: Vec<String> = staged
        .iter()
        .filter(|entry| !is_left(entry))
        .map(|entry| entry.digest.clone())
        .collect();
    if digests.len() > 1 {
        match activate(&digests) {
            Ok(_) => return Vec::new(),
            Err(
                ControlError::Impeded(_) | ControlError::Objected(_) | ControlError::Components(_),
            ) => {}
            // Somebody took it back, or its canary failed: alone it is no better.
            Err(error) => {
                let staged = digests.join(" ");
                tracing::warn!(digests = staged, %error, "they were staged, but not activated");
                return match is_to_be_tried_again(&error) {
                    true => digests,
                    false => Vec::new(),
                };
            }
        }
    }
    let mut again = Vec::new();
    for digest in digests {
        if let Err(error) = activate(std::slice::from_ref(&digest)) {
            tracing::warn!(digest, %error, "it was staged, but not activated");
            if is_to_be_tried_again(&error) {
                again.push(digest);
            }
        }
    }
    again
}

/// Whether it would be activated at another time. What was interrupted would too, but whoever
/// did that may have meant it.
fn is_to_be_tried_again(error: &ControlError) -> bool {
    matches!(
        error,
        ControlError::Changed
            | ControlError::WorkerStuck(_)
            | ControlError::Store(ComponentStoreError::Io { .. })
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_missing_is_told_of_once_and_stands_in_health() {
        let directory = tempfile::tempdir().unwrap();
        let watched = directory.path().join("watched");
        let health = Health::new();
        let mut watch = Watched::new(watched.clone(), health.clone());
        let mut look = || {
            let looked = watch.look();
            watch.tell(looked.as_ref().err());
            watch.unreadable.is_some()
        };
        assert!(look() && look());
        let reasons = health.report().reasons;
        assert_eq!(reasons[0].code, Code::WatchDirectoryUnreadable);
        fs::create_dir(&watched).unwrap();
        assert!(!look());
        assert!(health.report().reasons.is_empty());
    }

    #[test]
    fn a_file_is_whole_once_it_has_not_changed_between_two_looks() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.wasm");
        let mut watched = Watched::new(directory.path().to_owned(), Health::new());
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
