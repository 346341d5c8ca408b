//! A store that version 0.1 left.
//!
//! It kept one store in a data directory, `{data_dir}/components`, for all edges that were
//! started there. Now each edge has its own below that. A store that can only have been this
//! edge's is moved there, and goes on as it was.

use super::{ComponentStoreError, HISTORY, HISTORY_BEFORE, STATE, io_error, is_digest};
use crate::configuration::EdgeSettings;
use heplake_format::{COMMITS_DIRECTORY, EdgeName};
use std::{
    fs::{self, File},
    io,
    path::Path,
};

/// Takes over the store of version 0.1, if there is one and this edge has none yet.
pub(super) fn take_over(settings: &EdgeSettings, own: &Path) -> Result<(), ComponentStoreError> {
    let Some(former) = &settings.component_settings.former_store_directory else {
        return Ok(());
    };
    if own.join(STATE).exists() || !former.join(STATE).exists() {
        return Ok(());
    }
    let others = others(settings, former);
    if !others.is_empty() {
        tracing::warn!(
            former = %former.display(),
            own = %own.display(),
            others = others.join(", "),
            "components of version 0.1 are left where they are, because another edge may have \
             activated them: this edge begins with the shipped ones. To give them to this edge, \
             stop it, and move state.json, history.ndjson and the directories named by digests \
             from the former directory to its own"
        );
        return Ok(());
    }
    // What names the components goes last: if this is interrupted, the next start goes on.
    for name in digests(former)?
        .iter()
        .map(String::as_str)
        .chain([HISTORY_BEFORE, HISTORY, STATE])
    {
        let (from, to) = (former.join(name), own.join(name));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error(&from, error));
            }
            _ => {}
        }
        if name == HISTORY {
            sync(own)?;
        }
    }
    sync(own)?;
    sync(former)?;
    tracing::info!(
        former = %former.display(),
        own = %own.display(),
        "the components of version 0.1 are taken over: each edge has a store of its own now"
    );
    Ok(())
}

/// Other edges that may have used the store: those that have one of their own by now, and those
/// that have written to a store of the same data directory.
fn others(settings: &EdgeSettings, former: &Path) -> Vec<String> {
    let mut others = Vec::new();
    for path in entries(former) {
        if path.join(STATE).exists() {
            others.extend(name_of(&path));
        }
    }
    if settings.data_path.starts_with(&settings.data_dir) {
        for path in entries(&settings.data_path.join(COMMITS_DIRECTORY)) {
            others.extend(name_of(&path));
        }
    }
    others.retain(|name| name != settings.name.as_str());
    others.sort();
    others.dedup();
    others
}

fn entries(directory: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    let found = fs::read_dir(directory).into_iter().flatten();
    found.filter_map(Result::ok).map(|found| found.path())
}

/// The name of an edge that a directory has.
fn name_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    Some(name.parse::<EdgeName>().ok()?.to_string())
}

/// The components in a store, by digest.
fn digests(directory: &Path) -> Result<Vec<String>, ComponentStoreError> {
    let failed = |source| io_error(directory, source);
    let mut digests = Vec::new();
    for found in fs::read_dir(directory).map_err(failed)? {
        let name = found.map_err(failed)?.file_name();
        digests.extend(
            name.to_str()
                .filter(|name| is_digest(name))
                .map(String::from),
        );
    }
    Ok(digests)
}

fn sync(directory: &Path) -> Result<(), ComponentStoreError> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|source| io_error(directory, source))
}

#[cfg(test)]
mod tests;
