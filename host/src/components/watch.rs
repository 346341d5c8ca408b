//! A directory in which what appears is staged.

use super::{Activate, Control, Stage};
use crate::signature::Signature;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio_util::sync::CancellationToken;

/// Time between two looks. What has not changed from one to the next is there whole.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time between two looks at what may have been cut off.
const BREAKERS_EVERY: Duration = Duration::from_millis(20);
/// Files that are looked at: more is no directory of components.
const FILES_MAX: usize = 1024;
/// Who stages what appears.
const BY: &str = "watch";

/// What a file looks like from outside.
type Look = (u64, Option<SystemTime>);

/// Looks after components until `stop`: what was cut off, and what appears in the watched
/// directory.
pub async fn watch(control: Arc<Control>, stop: CancellationToken) {
    let directory = control.watched().map(Path::to_owned);
    let mut seen: BTreeMap<PathBuf, (Look, bool)> = BTreeMap::new();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let mut breakers = tokio::time::interval(BREAKERS_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = breakers.tick() => {
                let control = control.clone();
                // A panic in it has been reported; the next look goes on.
                let _ = tokio::task::spawn_blocking(move || control.look_at_breakers()).await;
            }
            _ = looks.tick(), if directory.is_some() => {
                let Some(directory) = &directory else { continue };
                let whole = look(directory, &mut seen).unwrap_or_else(|error| {
                    tracing::warn!(directory = %directory.display(), %error,
                        "the watched directory cannot be read (components.watch_directory)");
                    Vec::new()
                });
                // Uploads take their time, and breakers must not wait for them.
                for path in whole {
                    let control = control.clone();
                    tokio::task::spawn_blocking(move || stage(&control, &path));
                }
            }
        }
    }
}

/// Components that are there whole and were not staged yet.
fn look(directory: &Path, seen: &mut BTreeMap<PathBuf, (Look, bool)>) -> io::Result<Vec<PathBuf>> {
    let mut now = BTreeMap::new();
    let mut whole = Vec::new();
    for found in fs::read_dir(directory)?.take(FILES_MAX) {
        let path = found?.path();
        if path.extension().is_none_or(|extension| extension != "wasm") {
            continue;
        }
        // One that went away between the two calls is looked at no more.
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        let look = (metadata.len(), metadata.modified().ok());
        let staged = match seen.get(&path) {
            Some((before, staged)) if *before == look => {
                if !staged {
                    whole.push(path.clone());
                }
                true
            }
            _ => false,
        };
        now.insert(path, (look, staged));
    }
    *seen = now;
    Ok(whole)
}

fn stage(control: &Control, path: &Path) {
    let shown = path.display();
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return tracing::warn!(path = %shown, %error, "it cannot be staged"),
    };
    let signature: Option<Signature> = fs::read_to_string(path.with_extension("wasm.sig"))
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let stage = Stage {
        bytes,
        name: None,
        by: BY.into(),
        signature,
    };
    // What is refused stands in the history, and was logged with it.
    let Ok(entry) = control.stage(stage) else {
        return;
    };
    let accepted = entry
        .report
        .as_ref()
        .is_some_and(super::Report::is_accepted);
    if !control.watch_activates() || !accepted {
        return;
    }
    let activate = Activate {
        digests: vec![entry.digest],
        force: false,
        by: BY.into(),
    };
    if let Err(error) = control.activate(&activate) {
        tracing::warn!(path = %shown, %error, "it was staged, but not activated");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_once_it_has_not_changed_between_two_looks() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.wasm");
        let mut seen = BTreeMap::new();
        let mut look = || super::look(directory.path(), &mut seen).unwrap();
        assert!(look().is_empty());
        fs::write(&path, "half").unwrap();
        fs::write(directory.path().join("a.wasm.sig"), "no component").unwrap();
        assert!(look().is_empty());
        fs::write(&path, "half and half").unwrap();
        assert!(look().is_empty());
        assert_eq!(look(), std::slice::from_ref(&path));
        // Once.
        assert!(look().is_empty());
        fs::write(&path, "another one").unwrap();
        assert!(look().is_empty());
        assert_eq!(look(), [path]);
    }
}
