//! What the configuration says of components and of who may change them.

use super::{Configuration, ConfigurationError, settings};
use crate::{components::BreakerSettings, signature::TrustedKey};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// How components are kept, tried, exchanged and cut off.
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentSettings {
    /// Where they are kept, absolute.
    pub store_directory: PathBuf,
    /// Where version 0.1 kept them, absolute, if the store is where it is by default: one store
    /// for all edges of a data directory.
    pub former_store_directory: Option<PathBuf>,
    /// Who must have signed what is staged; nobody if it is empty.
    pub trusted_keys: Vec<TrustedKey>,
    /// Where what appears is staged, absolute.
    pub watch_directory: Option<PathBuf>,
    /// Whether it is activated then.
    pub watch_activates: bool,
    /// Batches that a canary is watched for.
    pub canary_batches: u64,
    /// Time that it is watched for at most.
    pub canary_time: Duration,
    /// What a new component may do worse.
    pub thresholds: Thresholds,
    /// What cuts a component off.
    pub breaker: BreakerSettings,
}

/// What a new component may do worse than the one that serves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Share of rows that may differ.
    pub rows_different_max: f64,
    /// Share of packets that may be rejected beyond those that are.
    pub rejected_more_max: f64,
    /// How many times as long a packet may take.
    pub slowdown_max: f64,
}

impl ComponentSettings {
    /// The defaults, with the store in this directory.
    #[must_use]
    pub fn in_directory(store_directory: &Path) -> Self {
        Self {
            store_directory: store_directory.into(),
            former_store_directory: None,
            trusted_keys: Vec::new(),
            watch_directory: None,
            watch_activates: false,
            canary_batches: 4,
            canary_time: Duration::from_millis(250),
            thresholds: Thresholds {
                rows_different_max: 0.25,
                rejected_more_max: 0.01,
                slowdown_max: 2.0,
            },
            breaker: BreakerSettings {
                faults_max: 1000,
                window: Duration::from_secs(60),
            },
        }
    }

    pub(super) fn resolve(get: &Configuration) -> Result<Self, ConfigurationError> {
        let store_directory = get.absolute_path(&settings::COMPONENT_STORE)?;
        let watch_directory = get.absolute_path_or_none(&settings::WATCH_DIRECTORY)?;
        let watch_activates = get.get(&settings::WATCH_ACTIVATES)?;
        if watch_activates && watch_directory.is_none() {
            return Err(ConfigurationError::Contradiction(
                "components.watch_activates is true, and no directory is watched: set components.watch_directory, or components.watch_activates to false",
            ));
        }
        if watch_directory.as_ref() == Some(&store_directory) {
            return Err(ConfigurationError::Contradiction(
                "components.watch_directory is the store, components.store_directory: watch a directory of its own",
            ));
        }
        let former = get.absolute_path(&settings::DATA_DIR)?.join("components");
        let is_default = store_directory == former.join(get.get(&settings::EDGE_NAME)?.as_str());
        Ok(Self {
            store_directory,
            former_store_directory: is_default.then_some(former),
            trusted_keys: get.get(&settings::TRUSTED_KEYS)?,
            watch_directory,
            watch_activates,
            canary_batches: get.get(&settings::CANARY_BATCHES)? as u64,
            canary_time: get.get(&settings::CANARY_TIME)?,
            thresholds: Thresholds {
                rows_different_max: get.get(&settings::MAX_ROWS_DIFFERENT)?,
                rejected_more_max: get.get(&settings::MAX_REJECTED_MORE)?,
                slowdown_max: get.get(&settings::MAX_SLOWDOWN)?,
            },
            breaker: BreakerSettings {
                faults_max: u32::try_from(get.get(&settings::BREAKER_FAULTS)?).unwrap_or(u32::MAX),
                window: get.get(&settings::BREAKER_WINDOW)?,
            },
        })
    }
}

/// Where components are controlled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlSettings {
    /// Where it is served.
    pub address: SocketAddr,
    /// File with the token that requests must carry, absolute.
    pub token_file: Option<PathBuf>,
}

impl ControlSettings {
    /// Resolves them; none if components are not controlled over HTTP.
    ///
    /// # Errors
    /// Says which setting cannot be read, or that strangers could reach it.
    pub fn resolve(get: &Configuration) -> Result<Option<Self>, ConfigurationError> {
        if !get.get(&settings::CONTROL_ENABLE)? {
            return Ok(None);
        }
        let (host, port) = (
            get.get(&settings::CONTROL_HOST)?,
            get.get(&settings::CONTROL_PORT)?,
        );
        let token_file = get.absolute_path_or_none(&settings::CONTROL_TOKEN_FILE)?;
        if !host.is_loopback() && token_file.is_none() {
            return Err(ConfigurationError::OpenControl(host));
        }
        let address = SocketAddr::new(host, port);
        Ok(Some(Self {
            address,
            token_file,
        }))
    }
}
