//! The name of an edge, held by one edge at a time.
//!
//! ```text
//!  {data_dir}/edges/<edge>/lock            one process on this host
//!                         /identity        tells this edge from others of the same name
//!                         /last_sequence   of the commit that it wrote last
//!  {data_path}/claims/<edge>.json          the edge that writes under this name to this store
//! ```
//!
//! The lock goes with its process. The claim stays when a process is killed, and only the edge
//! with the identity that it names can take it again; so a crash keeps nobody from starting but
//! another edge.

use crate::{
    commit::now_us,
    configuration::EdgeSettings,
    lock::{FileLock, FileLockError},
    store::{Contents, Creation, Store, StoreError},
};
use heplake_format::{CLAIM_BYTES_MAX, CLAIM_FORMAT, Claim, ClaimError, EdgeIdentity, EdgeName};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

/// Directory of what edges keep for themselves, below the data directory.
const EDGES_DIRECTORY: &str = "edges";
const LOCK: &str = "lock";
const IDENTITY: &str = "identity";

/// The end of the year 9999, µs since 1970: a claim may hold any number, and times beyond have no
/// text.
const LAST_TIME_US: u64 = 253_402_300_799_000_000;

/// How often a claim is looked for, and then made: a second time is for one that somebody makes or
/// removes in between. A path where nothing can be read or made stays so.
const LOOKS_MAX: usize = 3;

/// How long the end of an edge waits for the store to take that its name is free: everything
/// that was received is committed by then.
const RELEASES_WITHIN: Duration = Duration::from_secs(2);

/// The name of an edge, until it is dropped.
#[derive(Debug)]
pub struct HeldName {
    store: Store,
    claim: Claim,
    directory: PathBuf,
    _lock: FileLock,
}

/// Why an edge does not get its name.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// Another process of this host has it, with this data directory.
    #[error(
        "the edge name `{name}` is in use on this host by {holder} (lock file {path}): stop that one, or set edge.name to another name for this edge"
    )]
    InUse {
        /// The name.
        name: EdgeName,
        /// The process that has it.
        holder: String,
        /// The lock file.
        path: PathBuf,
    },
    /// Another edge writes to this store under this name, or did so when it was killed.
    #[error(
        "the edge name `{name}` belongs to another edge that writes to this store: {holder} ({path}). Two edges need two names: set edge.name to another name for this edge. If the other one is gone for good, start this one once with --take-over-name"
    )]
    Claimed {
        /// The name.
        name: EdgeName,
        /// The edge that has it.
        holder: String,
        /// The claim, below the data path.
        path: String,
    },
    /// The claim of this name cannot be read.
    #[error(
        "{path} does not say which edge has the name `{name}`: {reason}. If no other edge has it, start this one once with --take-over-name"
    )]
    Unreadable {
        /// The name.
        name: EdgeName,
        /// The claim, below the data path.
        path: String,
        /// What is wrong with it.
        reason: ClaimError,
    },
    /// The edge cannot keep its identity.
    #[error(
        "{path} cannot be used, where this edge keeps its identity: {source} (data_dir sets it)"
    )]
    Directory {
        /// The file or directory.
        path: PathBuf,
        /// The answer of the system.
        source: io::Error,
    },
    /// The identity is none.
    #[error(
        "{path} does not hold the identity of this edge: remove it, and start this edge once with --take-over-name"
    )]
    Identity {
        /// The file.
        path: PathBuf,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl HeldName {
    /// Takes the name of an edge: the lock first, then the claim in the store.
    ///
    /// # Errors
    /// Says who has the name, or why that cannot be known.
    pub async fn take(store: Store, settings: &EdgeSettings) -> Result<Self, NameError> {
        let name = &settings.name;
        let directory = settings.data_dir.join(EDGES_DIRECTORY).join(name.as_str());
        fs::create_dir_all(&directory).map_err(|source| NameError::Directory {
            path: directory.clone(),
            source,
        })?;
        let lock = FileLock::take(&directory.join(LOCK), &format!("the edge `{name}`"));
        let lock = lock.map_err(|error| match error {
            FileLockError::Held { path, holder } => NameError::InUse {
                name: name.clone(),
                holder,
                path,
            },
            FileLockError::Io { path, source } => NameError::Directory { path, source },
        })?;
        let claim = Claim {
            format: CLAIM_FORMAT,
            edge: name.clone(),
            identity: identity(&directory)?,
            host: gethostname::gethostname().to_string_lossy().into_owned(),
            process: std::process::id(),
            since_us: now_us(),
            ended_us: None,
        };
        put_claim(&store, &claim, settings.takes_over_name).await?;
        Ok(Self {
            store,
            claim,
            directory,
            _lock: lock,
        })
    }

    /// The directory of what this edge keeps for itself.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The edge that the store says has the name now, in words: another one if this edge's name
    /// was taken over, or this one if a copy of it runs elsewhere.
    pub async fn holder(&self) -> String {
        let found = read_claim(&self.store, &Claim::path(&self.claim.edge)).await;
        match found.ok().flatten() {
            Some(Ok(claim)) if claim.identity != self.claim.identity => holder(&claim),
            Some(Ok(_)) => "a copy of this edge, with its data directory".into(),
            _ => "nobody that is known".into(),
        }
    }

    /// Says in the store that the name is free. Where that cannot be said the name stays with
    /// this edge.
    pub async fn release(&self) {
        match tokio::time::timeout(RELEASES_WITHIN, self.try_release()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the edge's name stays claimed"),
            Err(_) => tracing::warn!("the edge's name stays claimed: the store takes too long"),
        }
    }

    async fn try_release(&self) -> Result<(), StoreError> {
        let path = Claim::path(&self.claim.edge);
        let found = read_claim(&self.store, &path).await?.and_then(Result::ok);
        // Somebody may have taken it over.
        if found.as_ref() != Some(&self.claim) {
            return Ok(());
        }
        let ended = Claim {
            ended_us: Some(now_us()),
            ..self.claim.clone()
        };
        self.store.replace(&path, ended.to_json().into()).await
    }
}

/// The claim that stands in the store; none if there is no document.
async fn read_claim(
    store: &Store,
    path: &str,
) -> Result<Option<Result<Claim, ClaimError>>, StoreError> {
    let found = store.read_up_to(path, CLAIM_BYTES_MAX).await?;
    Ok(found.map(|contents| match contents {
        Contents::Whole(json) => Claim::from_json(&json),
        Contents::TooLarge(bytes) => Err(ClaimError::TooLarge(bytes)),
    }))
}

/// Puts a claim into the store, if no other edge has the name.
async fn put_claim(store: &Store, claim: &Claim, takes_over: bool) -> Result<(), NameError> {
    let (name, path) = (&claim.edge, Claim::path(&claim.edge));
    let unreadable = |reason| NameError::Unreadable {
        name: name.clone(),
        path: path.clone(),
        reason,
    };
    let mut found = Err(ClaimError::NoDocument);
    for _ in 0..LOOKS_MAX {
        if let Some(there) = read_claim(store, &path).await? {
            found = there;
            break;
        }
        if store.create(&path, claim.to_json().into()).await? == Creation::Written {
            return Ok(());
        }
        // Another one has just put its own.
    }
    match found {
        Ok(found) if found.identity == claim.identity => {
            if found.ended_us.is_none() && found.host != claim.host {
                tracing::warn!(
                    host = found.host,
                    "this edge was last on another host: if it still runs there, this one is a copy of it; give one of the two another edge.name, and let it start without the other's data_dir"
                );
            }
        }
        Ok(found) if found.ended_us.is_some() => {
            tracing::info!(from = holder(&found), "the edge's name was free");
        }
        Ok(found) if takes_over => {
            tracing::warn!(from = holder(&found), "the edge's name is taken over");
        }
        Ok(found) => {
            return Err(NameError::Claimed {
                name: name.clone(),
                holder: holder(&found),
                path: path.clone(),
            });
        }
        // A link to nothing can be replaced, and a directory cannot.
        Err(reason @ ClaimError::NoDocument) if takes_over => {
            let replaced = store.replace(&path, claim.to_json().into()).await;
            return replaced.map_err(|error| {
                tracing::warn!(%error, path, "the edge's name cannot be taken over");
                unreadable(reason)
            });
        }
        Err(error) if takes_over => {
            tracing::warn!(%error, path, "the edge's name is taken over");
        }
        Err(reason) => return Err(unreadable(reason)),
    }
    Ok(store.replace(&path, claim.to_json().into()).await?)
}

/// The holder of a claim, in words.
fn holder(claim: &Claim) -> String {
    let at = |us: u64| {
        let since_1970 = Duration::from_micros(us.min(LAST_TIME_US));
        humantime::format_rfc3339_seconds(UNIX_EPOCH + since_1970)
    };
    let Claim {
        host,
        process,
        since_us,
        ..
    } = claim;
    match claim.ended_us {
        None => format!(
            "process {process} on host {host:?}, since {}",
            at(*since_us)
        ),
        Some(ended_us) => format!(
            "process {process} on host {host:?}, from {} to {}",
            at(*since_us),
            at(ended_us)
        ),
    }
}

/// The identity that is kept in a directory; drawn if there is none yet. Its lock is held.
fn identity(directory: &Path) -> Result<EdgeIdentity, NameError> {
    let path = directory.join(IDENTITY);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let identity = text.trim().parse();
            return identity.map_err(|_| NameError::Identity { path });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(NameError::Identity { path });
        }
        Err(source) => return Err(NameError::Directory { path, source }),
    }
    let drawn = EdgeIdentity::of_bits(fastrand::Rng::new().u128(..));
    // Whole or not at all, and on disk before it is claimed with: after a power cut the claim in
    // the store must not name an identity that nobody has.
    let write = || {
        let begun = directory.join("identity.begun");
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&begun)?;
        writeln!(file, "{drawn}")?;
        file.sync_all()?;
        fs::rename(&begun, &path)?;
        File::open(directory)?.sync_all()
    };
    match write() {
        Ok(()) => Ok(drawn),
        Err(source) => Err(NameError::Directory { path, source }),
    }
}

#[cfg(test)]
mod tests;
