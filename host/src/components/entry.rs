//! What the store keeps of a component besides its bytes.

use super::Report;
use crate::sandbox::World;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A component in the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its semantic version.
    pub version: String,
    /// SHA-256 of its bytes, in hexadecimal: its place in the store.
    pub digest: String,
    /// The world that it is of.
    pub world: World,
    /// Size of its bytes.
    pub size_bytes: u64,
    /// When it was staged, µs since 1970, UTC.
    pub staged_us: u64,
    /// Who staged it.
    pub staged_by: String,
    /// Whether it came with the program.
    #[serde(default)]
    pub shipped: bool,
    /// The key that it is signed by, if a signature was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// What it says of itself.
    pub description: Value,
    /// What its validation found; none of a shipped one that was never tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// Its precompiled code, if there is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// Who stages what comes with the program, as events have it.
pub(super) const SHIPPED_BY: &str = "heplake";

impl Entry {
    /// Whether it came with the program.
    #[must_use]
    pub fn is_shipped(&self) -> bool {
        self.shipped
    }
}

/// Precompiled code of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// The engine that it was made for.
    pub key: String,
    /// SHA-256 of the code, in hexadecimal.
    pub digest: String,
}
