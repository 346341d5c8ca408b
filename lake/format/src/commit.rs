//! The commit: one JSON document that makes data files count.
//!
//! It is written to the store after the files that it names. Its appearance is the commit:
//! before it, the files are nothing; after it, they are registered exactly once.

use crate::{DataFilePath, EdgeName, Sequence, Table};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the document. A reader refuses a newer one rather than misread it.
pub const COMMIT_FORMAT: u32 = 1;

/// Largest document that is read, in bytes: a flush of every table and date of a day's
/// backlog stays far below; what is larger is not ours.
pub const COMMIT_BYTES_MAX: usize = 64 << 20;

/// Longest path of a file that a document may name, in bytes: ours stay below 300.
const PATH_BYTES_MAX: usize = 1024;

/// All that one flush of an edge wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// [`COMMIT_FORMAT`] of the writer.
    pub format: u32,
    /// Who wrote it.
    pub edge: EdgeName,
    /// Its number.
    pub sequence: Sequence,
    /// When it was written, µs since 1970, UTC.
    pub created_us: u64,
    /// The components that made the rows, by name.
    pub components: Vec<ComponentDigest>,
    /// The tables that the files belong to, with their columns as the edge knows them.
    pub tables: Vec<Table>,
    /// The files.
    pub files: Vec<DataFile>,
    /// Packets since the commit before, by what became of them: `received`, `lost_…`.
    #[serde(default)]
    pub packets: BTreeMap<String, u64>,
}

/// A component that made rows of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentDigest {
    /// Its name.
    pub name: String,
    /// Its semantic version.
    pub version: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub digest: String,
}

/// A data file of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// Where it stands, relative to the data path.
    pub path: DataFilePath,
    /// Its rows.
    pub record_count: u64,
    /// Its size.
    pub file_size_bytes: u64,
    /// Digests of the components that made its rows; each is one of [`Commit::components`].
    /// Empty in commits of edges that did not say it of each file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
}

/// A commit as the lake reads it: what it can read, and the files of which it cannot read
/// the path or the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitParts {
    /// The tables and files that can be read. Each file's table is described.
    pub commit: Commit,
    /// The other files.
    pub unfit: Vec<UnfitFile>,
}

/// A file of a commit that has no table which this version can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfitFile {
    /// Its path, as the commit has it.
    pub path: String,
    /// The description of its table as the commit has it, in JSON; empty if there is none.
    pub description: String,
    /// Its rows, as the commit has it.
    pub record_count: u64,
    /// Its size, as the commit has it.
    pub file_size_bytes: u64,
    /// Why it has no table.
    pub reason: String,
}

/// Why a document is not a commit.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// It is too large to be one.
    #[error("the commit has {0} bytes, more than the {COMMIT_BYTES_MAX} that are read")]
    TooLarge(usize),
    /// It is not such a JSON document.
    #[error("the commit cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Its writer is newer than this reader.
    #[error(
        "the commit has format {0}, and this Heplake reads up to {COMMIT_FORMAT}: update the lake first"
    )]
    Newer(u32),
    /// A file claims another edge or sequence than its commit.
    #[error("the commit of {edge} {sequence} names {path}, which is not one of its files")]
    Foreign {
        /// The commit's edge.
        edge: EdgeName,
        /// The commit's sequence.
        sequence: Sequence,
        /// The file.
        path: DataFilePath,
    },
    /// A file is said to be made by a component that the commit does not name.
    #[error("{path} is said to be made by the component {digest}, which the commit does not name")]
    UnknownComponent {
        /// The file.
        path: DataFilePath,
        /// The component's digest.
        digest: String,
    },
    /// The path of a file is too long, or has control characters.
    #[error("the commit names a file `{0}`, which is too long or has control characters")]
    Path(String),
    /// A file's table is not described.
    #[error("the commit names {0}, but does not describe its table")]
    Undescribed(DataFilePath),
}

impl Commit {
    /// The document, as it is written to the store.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Maps have string keys and numbers are integers: serialising cannot fail.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// Reads a document and holds it to its own claims.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn from_json(json: &[u8]) -> Result<Self, CommitError> {
        check_format(json)?;
        let commit: Self = serde_json::from_slice(json)?;
        commit.check()?;
        Ok(commit)
    }

    /// Reads a document as far as it can be read: a table that cannot be costs its own files
    /// only. The rest is held to its own claims.
    ///
    /// # Errors
    /// Says what is wrong with the document as a whole.
    pub fn parts_from_json(json: &[u8]) -> Result<CommitParts, CommitError> {
        #[derive(Deserialize)]
        struct File {
            path: String,
            record_count: u64,
            file_size_bytes: u64,
            #[serde(default)]
            components: Vec<String>,
        }
        #[derive(Deserialize)]
        struct Document {
            format: u32,
            edge: EdgeName,
            sequence: Sequence,
            created_us: u64,
            components: Vec<ComponentDigest>,
            tables: Vec<serde_json::Value>,
            files: Vec<File>,
            #[serde(default)]
            packets: BTreeMap<String, u64>,
        }
        check_format(json)?;
        let document: Document = serde_json::from_slice(json)?;
        let mut commit = Self {
            format: document.format,
            edge: document.edge,
            sequence: document.sequence,
            created_us: document.created_us,
            components: document.components,
            tables: Vec::with_capacity(document.tables.len()),
            files: Vec::with_capacity(document.files.len()),
            packets: document.packets,
        };
        // Tables that cannot be, by the name that they are given: description and reason.
        let mut unreadable = BTreeMap::new();
        for description in document.tables {
            match Table::deserialize(&description) {
                Ok(table) => commit.tables.push(table),
                Err(error) => {
                    let name = description.get("name").and_then(serde_json::Value::as_str);
                    let name = name.unwrap_or_default().to_owned();
                    unreadable.insert(name, (description.to_string(), error.to_string()));
                }
            }
        }
        let mut unfit = Vec::new();
        for file in document.files {
            // It is kept as a key, and shown.
            if file.path.len() > PATH_BYTES_MAX || file.path.contains(char::is_control) {
                return Err(CommitError::Path(
                    file.path.escape_debug().take(100).collect(),
                ));
            }
            let described = file.path.split('/').nth(1);
            let described = described.and_then(|table| unreadable.get(table));
            let path = file.path.parse::<DataFilePath>();
            let reason = match (&path, described) {
                (_, Some((_, error))) => format!("its table cannot be: {error}"),
                (Err(error), None) => format!("its path cannot be: {error}"),
                (Ok(path), None) if !commit.describes(path) => {
                    "its table is not described by the commit".to_owned()
                }
                (Ok(path), None) => {
                    commit.files.push(DataFile {
                        path: path.clone(),
                        record_count: file.record_count,
                        file_size_bytes: file.file_size_bytes,
                        components: file.components,
                    });
                    continue;
                }
            };
            if let Ok(path) = path {
                commit.check_owner(&path)?;
            }
            unfit.push(UnfitFile {
                path: file.path,
                description: described.map(|(json, _)| json.clone()).unwrap_or_default(),
                record_count: file.record_count,
                file_size_bytes: file.file_size_bytes,
                reason,
            });
        }
        commit.check()?;
        Ok(CommitParts { commit, unfit })
    }

    fn check_owner(&self, path: &DataFilePath) -> Result<(), CommitError> {
        if path.edge == self.edge && path.sequence == self.sequence {
            return Ok(());
        }
        let (edge, sequence) = (self.edge.clone(), self.sequence);
        Err(CommitError::Foreign {
            edge,
            sequence,
            path: path.clone(),
        })
    }

    fn describes(&self, path: &DataFilePath) -> bool {
        self.tables.iter().any(|table| table.name == path.table)
    }

    /// Holds the commit to its own claims.
    fn check(&self) -> Result<(), CommitError> {
        for file in &self.files {
            let path = &file.path;
            self.check_owner(path)?;
            if !self.describes(path) {
                return Err(CommitError::Undescribed(path.clone()));
            }
            let named = |digest: &&String| self.components.iter().any(|c| c.digest == **digest);
            if let Some(digest) = file.components.iter().find(|digest| !named(digest)) {
                let (path, digest) = (path.clone(), digest.clone());
                return Err(CommitError::UnknownComponent { path, digest });
            }
        }
        Ok(())
    }
}

fn check_format(json: &[u8]) -> Result<(), CommitError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    if json.len() > COMMIT_BYTES_MAX {
        return Err(CommitError::TooLarge(json.len()));
    }
    let Format { format } = serde_json::from_slice(json)?;
    if format > COMMIT_FORMAT {
        return Err(CommitError::Newer(format));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit() -> Commit {
        Commit {
            format: COMMIT_FORMAT,
            edge: "fra-1".parse().unwrap(),
            sequence: Sequence(7),
            created_us: 1_795_305_600_000_000,
            components: vec![ComponentDigest {
                name: "hep".into(),
                version: "0.1.0".into(),
                digest: "00".repeat(32),
            }],
            tables: vec![Table::of_protocol(53)],
            files: vec![DataFile {
                path: "main/hep_proto_53_default/date=2026-11-22/fra-1-00000000000000000007-0000.parquet"
                    .parse()
                    .unwrap(),
                record_count: 4,
                file_size_bytes: 1234,
                components: vec!["00".repeat(32)],
            }],
            packets: BTreeMap::from([("received".into(), 4)]),
        }
    }

    #[test]
    fn a_commit_survives_its_document() {
        assert_eq!(Commit::from_json(&commit().to_json()).unwrap(), commit());
    }

    #[test]
    fn a_table_that_cannot_be_costs_its_own_files_only() {
        let mut document: serde_json::Value = serde_json::from_slice(&commit().to_json()).unwrap();
        let path = "main/Bad-Name/date=2026-11-22/fra-1-00000000000000000007-0000.parquet";
        let tables = document["tables"].as_array_mut().unwrap();
        tables.push(serde_json::json!({
            "name": "Bad-Name", "columns": [{"name": "date", "type": "DATE"}]
        }));
        tables.push(serde_json::json!({
            "name": "later", "columns": [{"name": "date", "type": "HUGEINT"}]
        }));
        let files = document["files"].as_array_mut().unwrap();
        for path in [
            path,
            &path.replace("Bad-Name", "later"),
            "main/x/y",
            "../etc/passwd",
        ] {
            files.push(serde_json::json!({
                "path": path, "record_count": 3, "file_size_bytes": 5
            }));
        }
        let parts = Commit::parts_from_json(document.to_string().as_bytes()).unwrap();
        assert_eq!(parts.commit, commit());
        let unfit: Vec<_> = parts
            .unfit
            .iter()
            .map(|file| file.reason.as_str())
            .collect();
        assert_eq!(unfit.len(), 4, "{unfit:?}");
        assert!(unfit[0].contains("`Bad-Name`"), "{unfit:?}");
        assert!(unfit[1].contains("`HUGEINT`"), "{unfit:?}");
        assert!(unfit[2].contains("its path cannot be"), "{unfit:?}");
        assert!(parts.unfit[1].description.contains("HUGEINT"));
        assert_eq!(parts.unfit[0].record_count, 3);
    }

    #[test]
    fn a_sound_commit_has_no_unfit_file() {
        let parts = Commit::parts_from_json(&commit().to_json()).unwrap();
        assert_eq!((parts.commit, parts.unfit), (commit(), Vec::new()));
        let json = commit().to_json();
        for length in 0..json.len() - 1 {
            assert!(Commit::parts_from_json(&json[..length]).is_err());
        }
    }

    #[test]
    fn refuses_a_file_of_another_commit() {
        let mut other = commit();
        other.sequence = Sequence(8);
        let error = Commit::from_json(&other.to_json()).unwrap_err();
        assert!(matches!(error, CommitError::Foreign { .. }), "{error}");
    }

    #[test]
    fn refuses_a_newer_format_whatever_else_it_holds() {
        let error = Commit::from_json(br#"{"format": 2, "what": "is this"}"#).unwrap_err();
        assert!(matches!(error, CommitError::Newer(2)), "{error}");
    }

    #[test]
    fn refuses_every_prefix() {
        let json = commit().to_json();
        for length in 0..json.len() - 1 {
            assert!(
                Commit::from_json(&json[..length]).is_err(),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn refuses_a_file_of_a_component_that_it_does_not_name() {
        let mut other = commit();
        other.files[0].components = vec!["11".repeat(32)];
        let error = Commit::from_json(&other.to_json()).unwrap_err();
        assert!(
            matches!(error, CommitError::UnknownComponent { .. }),
            "{error}"
        );
    }

    #[test]
    fn reads_a_commit_that_does_not_say_who_made_each_file() {
        let mut before = commit();
        before.files[0].components.clear();
        let json = before.to_json();
        assert!(!String::from_utf8_lossy(&json).contains(r#""components": []"#));
        assert_eq!(Commit::from_json(&json).unwrap(), before);
    }

    #[test]
    fn refuses_a_file_without_its_table() {
        let mut bare = commit();
        bare.tables.clear();
        let error = Commit::from_json(&bare.to_json()).unwrap_err();
        assert!(matches!(error, CommitError::Undescribed(_)), "{error}");
    }
}
