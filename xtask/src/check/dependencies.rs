//! Import directions: what a package must never come to know, directly or through others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::command::{Command, Failure};
use crate::workspace::Workspace;

/// A package and what must not be found below it.
struct Absence {
    package: &'static str,
    never: &'static [&'static str],
    reason: &'static str,
}

const ABSENCES: &[Absence] = &[
    Absence {
        package: "heplake-format",
        never: &[
            "arrow",
            "arrow-schema",
            "axum",
            "duckdb",
            "object_store",
            "parquet",
            "tokio",
            "wasmtime",
            "heplake-host",
            "heplake-lake",
            "heplake-sdk",
        ],
        reason: "it is what both halves agree on, and does no IO",
    },
    Absence {
        package: "heplake-host",
        never: &[
            "duckdb",
            "libduckdb-sys",
            "rusqlite",
            "heplake-lake",
            "heplake-hep",
            "heplake-sip",
            "heplake-sip-router",
        ],
        reason: "the edge has no DuckDB inside, and parses packets in a sandbox only",
    },
    Absence {
        package: "heplake-lake",
        never: &[
            "heplake-hep",
            "heplake-sip",
            "heplake-sip-router",
            "rusqlite",
            "libsqlite3-sys",
            "sqlx",
        ],
        reason: "the lake never parses a packet, and a second SQLite library in its process would \
                 corrupt the catalog",
    },
];

/// What a component may stand on: the SDK, and pure functions of bytes. An addition must do no
/// IO and need no import of the host.
const PURE_CRATES: &[&str] = &[
    "flate2",
    "heplake-sdk",
    "memchr",
    "serde",
    "serde_json",
    "wide",
];

/// What the SDK may stand on: the interface, JSON for the descriptions, base64 for samples, which
/// are not built into components. No protocol.
const SDK_CRATES: &[&str] = &["base64", "serde", "serde_json", "wit-bindgen"];

/// What builds and encodes components may stand on. It is a tool, and part of none.
const ENCODE_CRATES: &[&str] = &["serde_json", "thiserror", "wit-component", "wit-parser"];

/// A sentence for each rule that is broken.
pub(super) fn broken(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let text = Command::cargo(workspace)
        .args(["metadata", "--format-version", "1", "--quiet"])
        .output()?;
    let metadata: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::Task(format!("cannot read `cargo metadata`: {error}")))?;
    let graph = Graph::of(&metadata);
    let mut broken = Vec::new();
    for absence in ABSENCES {
        for path in graph.paths_to(absence.package, absence.never) {
            broken.push(format!(
                "{} must not come to {}, but does: {}. Take the dependency out: {}.",
                absence.package,
                path.last().copied().unwrap_or_default(),
                path.join(" → "),
                absence.reason
            ));
        }
    }
    for (package, manifest) in &graph.members {
        let (allowed, kind) = match manifest.strip_prefix("components/") {
            Some("Cargo.toml") | None => continue,
            Some("sdk/Cargo.toml") => (SDK_CRATES, "the SDK"),
            Some("encode/Cargo.toml") => (ENCODE_CRATES, "what builds components"),
            Some(_) => (PURE_CRATES, "a component"),
        };
        for dependency in graph.direct(package) {
            if !allowed.contains(&dependency) {
                broken.push(format!(
                    "{package} depends on {dependency}, and {kind} may depend on {} only. Take it \
                     out, or if it is a pure function of bytes, add it to the list in {}.",
                    allowed.join(", "),
                    file!()
                ));
            }
        }
    }
    Ok(broken)
}

/// Which package needs which to run, by name. Needs of tests and build scripts are left out.
struct Graph<'a> {
    needs: BTreeMap<&'a str, BTreeSet<&'a str>>,
    /// The packages of the checkout, with the path of their manifest in it.
    members: BTreeMap<&'a str, &'a str>,
}

impl<'a> Graph<'a> {
    fn of(metadata: &'a Value) -> Self {
        let root = metadata["workspace_root"].as_str().unwrap_or_default();
        let list = |value: &'a Value| value.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut names = BTreeMap::new();
        let mut members = BTreeMap::new();
        for package in list(&metadata["packages"]) {
            let (Some(id), Some(name)) = (package["id"].as_str(), package["name"].as_str()) else {
                continue;
            };
            names.insert(id, name);
            let manifest = package["manifest_path"].as_str().unwrap_or_default();
            if package["source"].is_null()
                && let Some(relative) = manifest.strip_prefix(root)
            {
                members.insert(name, relative.trim_start_matches('/'));
            }
        }
        let mut needs: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for node in list(&metadata["resolve"]["nodes"]) {
            let Some(name) = node["id"].as_str().and_then(|id| names.get(id)) else {
                continue;
            };
            let needed = list(&node["deps"])
                .iter()
                .filter(|dependency| {
                    list(&dependency["dep_kinds"])
                        .iter()
                        .any(|kind| kind["kind"].is_null())
                })
                .filter_map(|dependency| names.get(dependency["pkg"].as_str()?).copied());
            needs.entry(*name).or_default().extend(needed);
        }
        Self { needs, members }
    }

    fn direct(&self, package: &str) -> impl Iterator<Item = &'a str> {
        self.needs.get(package).into_iter().flatten().copied()
    }

    /// For each of `targets` that is needed by `package`, a way there.
    fn paths_to(&self, package: &'a str, targets: &[&str]) -> Vec<Vec<&'a str>> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::from([package]);
        let mut waiting = vec![vec![package]];
        while let Some(path) = waiting.pop() {
            let Some(last) = path.last() else { continue };
            if targets.contains(last) {
                found.push(path);
                continue;
            }
            for next in self.direct(last) {
                if seen.insert(next) {
                    let mut longer = path.clone();
                    longer.push(next);
                    waiting.push(longer);
                }
            }
        }
        found
    }
}
