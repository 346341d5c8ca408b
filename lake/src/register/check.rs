//! A commit held to its claims: what of it can be registered, and what is set aside.

use super::{FileFault, Refusal, RegisterError, Registrar, replaced::kept as kept_time, shown};
use crate::{
    catalog::{NUMBER_MAX, NewCommit, NewFile, SetAsideRow, TableConflict},
    database::DatabaseError,
    footer::Footer,
    store::{Look, StoreError},
};
use heplake_format::{Commit, CommitParts, DataFile, EdgeName, Sequence, Table, TableName};
use std::collections::{BTreeMap, BTreeSet};

/// Longest description of a table that is kept with a file, in bytes: a thousand columns with
/// long names. A file of which it is longer can only be looked at again or given up.
const DESCRIPTION_BYTES_MAX: usize = 128 << 10;

/// Why a commit was not checked to its end.
pub(super) enum Setback {
    Refused(Refusal),
    Failed(RegisterError),
}

impl Registrar {
    /// Holds a commit to its claims, and makes the lake hold its tables.
    pub(super) fn check(
        &mut self,
        edge: &EdgeName,
        sequence: Sequence,
        document: &[u8],
    ) -> Result<NewCommit, Setback> {
        let CommitParts { commit, unfit } =
            Commit::parts_from_json(document).map_err(Refusal::from)?;
        if commit.edge != *edge || commit.sequence != sequence {
            let (edge, sequence) = (commit.edge, commit.sequence);
            return Err(Refusal::Misplaced { edge, sequence }.into());
        }
        if sequence.0 > NUMBER_MAX {
            return Err(Refusal::Sequence.into());
        }
        let mut names = BTreeSet::new();
        let tables = commit.tables.iter().map(|table| table.name.to_string());
        let files = commit.files.iter().map(|file| file.path.to_string());
        let unread = unfit.iter().map(|file| file.path.clone());
        let mut named = tables.chain(files).chain(unread);
        if let Some(doubled) = named.find(|name| !names.insert(name.clone())) {
            return Err(Refusal::Doubled(doubled).into());
        }
        let mut set_aside: Vec<_> = unfit
            .into_iter()
            .map(|file| {
                let fault = FileFault::Description(file.reason);
                let table = file.path.split('/').nth(1).unwrap_or_default();
                SetAsideRow {
                    edge: edge.clone(),
                    sequence: sequence.0,
                    table_name: table.to_owned(),
                    path: file.path,
                    rows: file.record_count.min(NUMBER_MAX),
                    bytes: file.file_size_bytes.min(NUMBER_MAX),
                    description: kept(file.description),
                    kind: fault.kind().into(),
                    reason: shown(&fault),
                }
            })
            .collect();
        let (files, faults) = self.check_files(&commit)?;
        set_aside.extend(faults);
        Ok(NewCommit {
            edge: commit.edge,
            sequence,
            created_us: Some(kept_time(commit.created_us)),
            files,
            set_aside,
            was_refused: false,
        })
    }

    /// The files of a commit that fit, and those that do not.
    fn check_files(
        &mut self,
        commit: &Commit,
    ) -> Result<(Vec<NewFile>, Vec<SetAsideRow>), Setback> {
        let tables: BTreeMap<_, _> = commit
            .tables
            .iter()
            .map(|table| (&table.name, table))
            .collect();
        let mut faults = Vec::new();
        let mut sound = Vec::new();
        let paths: Vec<_> = commit.files.iter().map(|file| file.path.clone()).collect();
        for (file, look) in commit.files.iter().zip(self.store.looks(&paths)?) {
            // Reading the commit has made sure that it describes the table of each file.
            let Some(table) = tables.get(&file.path.table) else {
                continue;
            };
            match new_file(file, table, look, Claims::Held) {
                Ok(new) => sound.push((file, new)),
                Err(fault) => faults.push(set_aside(commit, file, table, &fault)),
            }
        }
        // Tables and columns come with rows only: nobody makes a thousand by a description.
        let with_rows: BTreeSet<&TableName> = sound
            .iter()
            .filter(|(_, new)| new.footer.record_count > 0)
            .map(|(file, _)| &file.path.table)
            .collect();
        let with_rows: Vec<_> = with_rows
            .into_iter()
            .filter_map(|name| tables.get(name).copied())
            .collect();
        let mut conflicts = self.catalog.evolve(&with_rows)?;
        let mut files = Vec::new();
        for (file, new) in sound {
            match (
                conflicts.remove(&file.path.table),
                tables.get(&file.path.table),
            ) {
                (Some(conflict), Some(table)) => {
                    let fault = FileFault::Table(conflict);
                    faults.push(set_aside(commit, file, table, &fault));
                    let FileFault::Table(conflict) = fault else {
                        continue;
                    };
                    // The next file of this table meets the same conflict.
                    conflicts.insert(file.path.table.clone(), conflict);
                }
                _ => files.push(new),
            }
        }
        Ok((files, faults))
    }

    /// Makes the lake hold a table, or says why it does not fit.
    pub(super) fn fit(&mut self, table: &Table) -> Result<Option<TableConflict>, DatabaseError> {
        Ok(self.catalog.evolve(&[table])?.into_values().next())
    }
}

/// Whether a file must be as its commit says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claims {
    Held,
    /// It is taken as it is found.
    Waived,
}

/// What the catalog needs to know of a file.
pub(super) fn new_file(
    file: &DataFile,
    table: &Table,
    look: Look,
    claims: Claims,
) -> Result<NewFile, FileFault> {
    let tail = match look {
        Look::Tail(tail) => tail,
        Look::Absent => return Err(FileFault::Absent),
        Look::NotParquet(error) => return Err(error.into()),
    };
    let claim = |what, found, claimed| {
        if found == claimed || claims == Claims::Waived {
            return Ok(());
        }
        Err(FileFault::Claim {
            what,
            found,
            claimed,
        })
    };
    claim("bytes", tail.file_size_bytes, file.file_size_bytes)?;
    let footer = Footer::read(&tail.bytes, tail.footer_bytes, table, file.path.date)?;
    claim("rows", footer.record_count, file.record_count)?;
    Ok(NewFile {
        path: file.path.clone(),
        footer,
        footer_bytes: tail.footer_bytes,
        file_size_bytes: tail.file_size_bytes,
    })
}

fn set_aside(commit: &Commit, file: &DataFile, table: &Table, fault: &FileFault) -> SetAsideRow {
    SetAsideRow {
        edge: commit.edge.clone(),
        sequence: commit.sequence.0,
        path: file.path.to_string(),
        table_name: file.path.table.to_string(),
        rows: file.record_count.min(NUMBER_MAX),
        bytes: file.file_size_bytes.min(NUMBER_MAX),
        description: kept(serde_json::to_string(table).unwrap_or_default()),
        kind: fault.kind().into(),
        reason: shown(fault),
    }
}

fn kept(description: String) -> String {
    if description.len() > DESCRIPTION_BYTES_MAX {
        return String::new();
    }
    description
}

impl From<Refusal> for Setback {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<DatabaseError> for Setback {
    fn from(error: DatabaseError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<StoreError> for Setback {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}
