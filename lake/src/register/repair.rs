//! What somebody decides of files that were set aside, of refused commits, and of changed
//! files; and how it is done.

use super::{
    RegisterError, Registrar, Resting,
    check::{Claims, new_file},
    replaced::Comparison,
    rewrite::{Described, FileColumn, Rewrite, describe},
    shown,
};
use crate::{
    catalog::{AsideState, NewCommit, SetAsideFilter, SetAsideRow},
    database::DatabaseError,
    store::{Look, StoreError},
};
use heplake_format::{DataFile, DataFilePath, EdgeName, Sequence, TableName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Files that an answer names, at most.
const NAMED_MAX: usize = 20;
/// Added to the part of a file's name for the file that is written in its place. An edge that
/// writes so many files of one table and date in one commit has other troubles.
const PART_OFFSET: u16 = 10_000;

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Decision {
    /// Look again at files that were set aside and at refused commits, now.
    Retry {
        /// Only files of this table.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        table: Option<String>,
        /// Only files and commits of this edge.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edge: Option<EdgeName>,
    },
    /// Register the files of a table that were set aside, with other columns.
    Register {
        /// The table.
        table: String,
        /// Only files of this edge.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edge: Option<EdgeName>,
        /// What becomes of columns, by name.
        #[serde(default)]
        columns: BTreeMap<String, ColumnDecision>,
        /// The table that the rows go to instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        into: Option<TableName>,
        /// Also with other sizes and row counts than the commits have.
        #[serde(default)]
        as_found: bool,
    },
    /// Give up the files of a table that were set aside.
    GiveUp {
        /// The table.
        table: String,
        /// Only files of this edge.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edge: Option<EdgeName>,
    },
    /// Give up a refused commit.
    GiveUpCommit {
        /// Whose commit it is.
        edge: EdgeName,
        /// Its number.
        sequence: u64,
    },
    /// Take a changed file out of the catalog.
    TakeOut {
        /// The file, relative to the data path.
        path: String,
    },
    /// Register a changed file as it is now.
    TakeUp {
        /// The file, relative to the data path.
        path: String,
    },
}

/// What becomes of a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnDecision {
    /// It gets the lake's type. A value that the type cannot hold becomes null, and stays as
    /// text in `data_extra.not_cast`.
    Cast,
    /// It gets another name.
    Rename(TableName),
    /// Its values are given up.
    LeaveOut,
}

/// A decision, and whether its losses are agreed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// The decision.
    #[serde(flatten)]
    pub decision: Decision,
    /// Rows or values may be lost.
    #[serde(default)]
    pub yes: bool,
}

/// What came of a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repaired {
    /// Files that are registered now, or given up.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
    /// Values that the lake's type could not hold: null now, and in `data_extra.not_cast`.
    pub values_not_cast: u64,
    /// Files of which nothing came.
    pub failed_files: u64,
    /// Some of them, and why.
    pub failed: Vec<FailedFile>,
    /// What else there is to say.
    pub note: Option<String>,
}

/// A file of which nothing came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedFile {
    /// Its path.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// Something would be lost, and nobody said that it may be.
    #[error("{0}; say `--yes` (in JSON `\"yes\": true`) to do it")]
    Unconfirmed(String),
    /// There is nothing of the kind.
    #[error("{0}")]
    NothingThere(String),
    /// A column that no description has.
    #[error("no column `{0}` is described by the commit")]
    NoSuchColumn(String),
    /// A column's name or type cannot be.
    #[error("the column `{0}` cannot be: {1}: rename it, or leave it out")]
    Column(String, String),
    /// A cast to what the lake does not have.
    #[error("the lake's table has no column `{0}` to whose type it could be cast")]
    NothingToCastTo(String),
    /// Two columns would have one name.
    #[error("there would be two columns `{0}`")]
    Doubled(TableName),
    /// Another decision is being carried out.
    #[error("another repair is running; try again when it has ended")]
    Busy,
    /// Store or catalog failed.
    #[error(transparent)]
    Failed(#[from] RegisterError),
}

impl From<DatabaseError> for RepairError {
    fn from(error: DatabaseError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<StoreError> for RepairError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl Repaired {
    fn count(&mut self, row: &SetAsideRow, outcome: Result<Done, String>) {
        match outcome {
            Ok(done) => {
                self.files += 1;
                self.rows += done.rows;
                self.values_not_cast += done.values_not_cast;
            }
            Err(reason) => {
                self.failed_files += 1;
                if self.failed.len() < NAMED_MAX {
                    self.failed.push(FailedFile {
                        path: row.path.clone(),
                        reason: shown(&reason),
                    });
                }
            }
        }
    }
}

/// What came of one file.
#[derive(Default)]
struct Done {
    rows: u64,
    values_not_cast: u64,
}

impl Registrar {
    /// Begins to carry out a decision about files that were set aside: checks that there are
    /// some, and that losses are agreed to. None if the decision is about something else.
    pub(crate) fn set_aside_filter(
        &self,
        given: &Given,
    ) -> Result<Option<SetAsideFilter>, RepairError> {
        let (table, edge, loss) = match &given.decision {
            Decision::Retry { table, edge } => (table.clone(), edge, None),
            Decision::Register {
                table,
                edge,
                columns,
                ..
            } => {
                let mut left_out = columns
                    .iter()
                    .filter(|(_, decision)| **decision == ColumnDecision::LeaveOut);
                let loss = left_out
                    .next()
                    .map(|(name, _)| format!("the values of the column `{name}` would be lost in"));
                (Some(table.clone()), edge, loss)
            }
            Decision::GiveUp { table, edge } => {
                let loss = "no query would ever find".to_owned();
                (Some(table.clone()), edge, Some(loss))
            }
            _ => return Ok(None),
        };
        let filter = SetAsideFilter {
            table,
            edge: edge.clone(),
            after: None,
        };
        let (mut files, mut rows) = (0, 0);
        for group in self.catalog.set_aside_groups()? {
            let of_table = filter.table.as_ref().is_none_or(|t| *t == group.table_name);
            let of_edge = filter.edge.as_ref().is_none_or(|e| *e == group.edge);
            if of_table && of_edge {
                files += group.files;
                rows = u64::saturating_add(rows, group.rows);
            }
        }
        if files == 0 && !matches!(given.decision, Decision::Retry { .. }) {
            let table = filter.table.unwrap_or_default();
            return Err(RepairError::NothingThere(format!(
                "no file of the table `{table}` is set aside: `heplake repair list` shows what is"
            )));
        }
        match loss {
            Some(loss) if !given.yes => Err(RepairError::Unconfirmed(format!(
                "{loss} {rows} rows of {files} files"
            ))),
            _ => Ok(Some(filter)),
        }
    }

    /// The next files of a decision.
    pub(crate) fn next_set_aside(
        &self,
        filter: &mut SetAsideFilter,
        limit: usize,
    ) -> Result<Vec<SetAsideRow>, RepairError> {
        let rows = self.catalog.set_aside(filter, limit)?;
        if let Some(last) = rows.last() {
            filter.after = Some((last.edge.clone(), last.sequence, last.path.clone()));
        }
        Ok(rows)
    }

    /// Carries out a decision for one file that was set aside.
    pub(crate) fn decide(
        &mut self,
        row: &SetAsideRow,
        decision: &Decision,
        repaired: &mut Repaired,
    ) -> Result<(), RepairError> {
        self.catalog.refresh()?;
        let outcome = match decision {
            Decision::Register {
                columns,
                into,
                as_found,
                ..
            } => {
                let claims = match as_found {
                    true => Claims::Waived,
                    false => Claims::Held,
                };
                if columns.is_empty() && into.is_none() {
                    let rows = self.retry_file(row, claims)?;
                    rows.map(|rows| Done {
                        rows,
                        ..Done::default()
                    })
                } else {
                    self.rewrite(row, columns, into.as_ref(), claims)?
                }
            }
            Decision::GiveUp { .. } => {
                self.catalog
                    .write_decision(row, AsideState::Decided, "given up")?;
                tracing::warn!(edge = %row.edge, path = row.path, rows = row.rows, "a file that was set aside is given up");
                self.move_aside(row)?;
                Ok(Done {
                    rows: row.rows,
                    ..Done::default()
                })
            }
            _ => self.retry_file(row, Claims::Held)?.map(|rows| Done {
                rows,
                ..Done::default()
            }),
        };
        self.is_dirty = true;
        repaired.count(row, outcome);
        Ok(())
    }

    /// Writes a file anew, registers the new one, and moves the old one aside.
    fn rewrite(
        &mut self,
        row: &SetAsideRow,
        columns: &BTreeMap<String, ColumnDecision>,
        into: Option<&TableName>,
        claims: Claims,
    ) -> Result<Result<Done, String>, RepairError> {
        let Ok(described) = serde_json::from_str::<Described>(&row.description) else {
            return Ok(Err("its table is not described by the commit".into()));
        };
        let path = match path_in(row, into) {
            Ok(path) => path,
            Err(reason) => return Ok(Err(reason)),
        };
        match self.store.facts(&row.path)? {
            None => return Ok(Err("it is not in the store".into())),
            Some((size, _)) if size != row.bytes && claims == Claims::Held => {
                let claimed = row.bytes;
                return Ok(Err(format!(
                    "it has {size} bytes, and the commit says {claimed}"
                )));
            }
            Some(_) => {}
        }
        let source = self.data_path.join(&row.path).display().to_string();
        let found = match tried(self.catalog.rows_of::<FileColumn>(&describe(&source)))? {
            Ok(found) => found,
            Err(reason) => return Ok(Err(self.without_directory(&reason))),
        };
        let lake = self.catalog.table_of_lake(&path.table);
        // Another file may be described otherwise.
        let rewrite = Rewrite::of(&described, &found, &path.table, lake.as_ref(), columns);
        let rewrite = match rewrite {
            Ok(rewrite) => rewrite,
            Err(error) => return Ok(Err(error.to_string())),
        };
        #[derive(Deserialize)]
        struct Lost {
            lost: u64,
        }
        let mut values_not_cast = 0;
        if let Some(count) = rewrite.count_lost(&source) {
            match tried(self.catalog.rows_of::<Lost>(&count))? {
                Ok(lost) => values_not_cast = lost.iter().map(|row| row.lost).sum(),
                Err(reason) => return Ok(Err(self.without_directory(&reason))),
            }
            if values_not_cast > 0 && !rewrite.keeps() {
                return Ok(Err(format!(
                    "{values_not_cast} values cannot be cast, and the table has no data_extra to keep them in: rename the column instead"
                )));
            }
        }
        if let Some(conflict) = self.catalog.conflict(&rewrite.table) {
            return Ok(Err(format!("it does not fit so either: {conflict}")));
        }
        let target = DataFilePath {
            part: path.part.saturating_add(PART_OFFSET),
            ..path
        };
        let new = match self.write_anew(&rewrite, &source, &target)? {
            Ok(look) => look,
            Err(reason) => return Ok(Err(self.without_directory(&reason))),
        };
        let claimed = DataFile {
            path: target,
            record_count: row.rows,
            file_size_bytes: 0,
            components: Vec::new(),
        };
        // Its size is its own.
        let new = match new_file(&claimed, &rewrite.table, new, Claims::Waived) {
            Ok(new) if new.footer.record_count == row.rows || claims == Claims::Waived => new,
            Ok(new) => {
                let (found, claimed) = (new.footer.record_count, row.rows);
                self.store.delete(&new.path.to_string())?;
                return Ok(Err(format!(
                    "it has {found} rows, and the commit says {claimed}"
                )));
            }
            Err(fault) => {
                self.store.delete(&claimed.path.to_string())?;
                return Ok(Err(format!("what was made of it does not fit: {fault}")));
            }
        };
        // Last of all: a decision that fails leaves no column behind.
        if let Some(conflict) = self.fit(&rewrite.table)? {
            self.store.delete(&new.path.to_string())?;
            return Ok(Err(format!("it does not fit so either: {conflict}")));
        }
        let decision = format!("registered as {}", new.path);
        self.catalog
            .register_set_aside(row, &new, AsideState::Decided, &decision)?;
        let rows = new.footer.record_count;
        tracing::info!(edge = %row.edge, path = row.path, rows, decision, "a file that was set aside is registered");
        self.move_aside(row)?;
        Ok(Ok(Done {
            rows,
            values_not_cast,
        }))
    }

    /// Writes the new file of a rewrite, which appears at once and whole.
    fn write_anew(
        &self,
        rewrite: &Rewrite,
        source: &str,
        target: &DataFilePath,
    ) -> Result<Result<Look, String>, RepairError> {
        let name = target.to_string();
        if !self
            .catalog
            .registered_files(-1, Some(&name), 1)?
            .is_empty()
        {
            return Ok(Err(format!("a file {name} is registered already")));
        }
        let draft = format!("{name}.tmp");
        // Only an earlier try that was interrupted can have left these.
        self.store.delete(&draft)?;
        self.store.delete(&name)?;
        let directory = self.data_path.join(&name);
        if let Some(directory) = directory.parent()
            && let Err(error) = std::fs::create_dir_all(directory)
        {
            return Ok(Err(format!("its directory cannot be made: {error}")));
        }
        let draft_path = self.data_path.join(&draft).display().to_string();
        if let Err(error) = self.catalog.execute(&rewrite.copy(source, &draft_path)) {
            self.store.delete(&draft)?;
            return Ok(Err(error.to_string()));
        }
        self.store.rename(&draft, &name)?;
        let look = self.store.looks(std::slice::from_ref(target))?;
        Ok(look
            .into_iter()
            .next()
            .ok_or_else(|| "it is gone".to_owned()))
    }

    /// Moves the files of decisions that were interrupted.
    pub(super) fn finish_decisions(&self) -> Result<(), DatabaseError> {
        for row in self.catalog.set_aside_to_move()? {
            if let Err(RegisterError::Database(error)) = self.move_aside(&row) {
                return Err(error);
            }
        }
        Ok(())
    }

    fn move_aside(&self, row: &SetAsideRow) -> Result<(), RegisterError> {
        // What is not below `main/` was never a file of the lake.
        if row.path.parse::<DataFilePath>().is_ok() {
            match self.store.move_aside(&row.path) {
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(path = row.path, %error, "a file cannot be moved; the next start tries again");
                    return Err(error.into());
                }
            }
        }
        Ok(self.catalog.write_moved(row)?)
    }

    /// Carries out a decision that is not about files that were set aside.
    pub(crate) fn decide_other(&mut self, given: &Given) -> Result<Repaired, RepairError> {
        self.catalog.refresh()?;
        self.is_dirty = true;
        match &given.decision {
            Decision::GiveUpCommit { edge, sequence } => {
                self.give_up_commit(edge, Sequence(*sequence), given.yes)
            }
            Decision::TakeOut { path } => self.take_out(path, given.yes),
            Decision::TakeUp { path } => self.take_up(path),
            _ => Ok(Repaired::default()),
        }
    }

    /// Has refused commits looked at by the next round.
    pub(crate) fn retry_refused(&mut self, edge: Option<&EdgeName>) -> u64 {
        let mut count = 0;
        for (name, state) in &mut self.edges {
            if edge.is_none_or(|edge| edge == name) {
                for Resting { again, pause, .. } in state.refused.values_mut() {
                    *again = std::time::Instant::now();
                    *pause = std::time::Duration::ZERO;
                    count += 1;
                }
                state.listing_due = None;
                state.comparison = Comparison::default();
            }
        }
        count
    }

    fn give_up_commit(
        &mut self,
        edge: &EdgeName,
        sequence: Sequence,
        yes: bool,
    ) -> Result<Repaired, RepairError> {
        let state = self.edges.get_mut(edge);
        let Some(state) = state.filter(|state| state.refused.contains_key(&sequence)) else {
            return Err(RepairError::NothingThere(format!(
                "commit {} of {edge} is not refused: `heplake repair list` shows what is",
                sequence.0
            )));
        };
        if !yes {
            return Err(RepairError::Unconfirmed(format!(
                "no query would ever find the rows of commit {} of {edge}",
                sequence.0
            )));
        }
        if self.catalog.has_commit(edge, sequence)? {
            self.catalog.forget_created(edge, sequence)?;
            self.note_registered(edge, sequence)?;
            return Ok(Repaired {
                note: Some("a commit of this number was registered already, and still is".into()),
                ..Repaired::default()
            });
        }
        self.catalog.register(&[NewCommit {
            edge: edge.clone(),
            sequence,
            created_us: None,
            files: Vec::new(),
            set_aside: Vec::new(),
            was_refused: true,
        }])?;
        state.refused.remove(&sequence);
        state.sequences.insert(sequence);
        self.waiting.remove(&(edge.clone(), sequence));
        tracing::warn!(%edge, sequence = sequence.0, "a refused commit is given up");
        Ok(Repaired {
            note: Some("its document and its files stay where they are".into()),
            ..Repaired::default()
        })
    }

    fn take_out(&mut self, path: &str, yes: bool) -> Result<Repaired, RepairError> {
        let path = self.below_data_path(path);
        let file = self.registered(&path)?;
        let rows = file.record_count;
        if !yes {
            return Err(RepairError::Unconfirmed(format!(
                "the {rows} rows of {path} would be out of reach of every query, also of earlier snapshots"
            )));
        }
        self.catalog.replace(&file, None)?;
        self.changed.forget(&path);
        let note = match self.store.move_aside(&path) {
            Ok(true) => "the file is below aside/ now",
            Ok(false) => "the file was gone",
            Err(error) => {
                tracing::warn!(path, %error, "a file that was taken out cannot be moved");
                "the file could not be moved, and is where it was"
            }
        };
        tracing::warn!(path, rows, "a data file is taken out of the lake");
        Ok(Repaired {
            files: 1,
            rows,
            note: Some(note.into()),
            ..Repaired::default()
        })
    }

    fn take_up(&mut self, path: &str) -> Result<Repaired, RepairError> {
        let path = self.below_data_path(path);
        let file = self.registered(&path)?;
        let unfit =
            |reason: &dyn std::fmt::Display| RepairError::NothingThere(format!("{path}: {reason}"));
        let parsed: DataFilePath = path.parse().map_err(|error| unfit(&error))?;
        let table = self.catalog.table_of_lake(&parsed.table);
        let table = table.ok_or_else(|| unfit(&"its table is gone from the lake"))?;
        let look = self.store.looks(std::slice::from_ref(&parsed))?;
        let look = look.into_iter().next().unwrap_or(Look::Absent);
        let found = DataFile {
            path: parsed,
            record_count: 0,
            file_size_bytes: 0,
            components: Vec::new(),
        };
        let new = new_file(&found, &table, look, Claims::Waived).map_err(|fault| unfit(&fault))?;
        self.read_whole(&path).map_err(|reason| unfit(&reason))?;
        self.catalog.replace(&file, Some(&new))?;
        self.changed.forget(&path);
        let (before, rows) = (file.record_count, new.footer.record_count);
        tracing::warn!(
            path,
            before,
            rows,
            "a data file that changed is registered anew"
        );
        Ok(Repaired {
            files: 1,
            rows,
            note: Some(format!("it had {before} rows before")),
            ..Repaired::default()
        })
    }

    fn registered(&self, path: &str) -> Result<crate::catalog::RegisteredFile, RepairError> {
        let found = self.catalog.registered_files(-1, Some(path), 1)?;
        found
            .into_iter()
            .next()
            .ok_or_else(|| RepairError::NothingThere(format!("the lake has no data file {path}")))
    }

    /// A path as somebody copied it from an error or a listing.
    fn below_data_path(&self, path: &str) -> String {
        self.without_directory(path.trim())
    }

    fn without_directory(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.data_path.display()), "")
    }
}

/// The path of a file that was set aside, in the table that it goes to.
fn path_in(row: &SetAsideRow, into: Option<&TableName>) -> Result<DataFilePath, String> {
    let mut parts: Vec<&str> = row.path.split('/').collect();
    if let (Some(into), Some(table)) = (into, parts.get_mut(1)) {
        *table = into.as_str();
    }
    let path = parts.join("/").parse::<DataFilePath>();
    let path = path.map_err(|error| format!("its path cannot be: {error}"))?;
    if path.edge != row.edge || path.sequence.0 != row.sequence {
        return Err("it is named as a file of another commit".into());
    }
    Ok(path)
}

/// Tells a fault of the catalog from one of the file: a query of a damaged file fails, and
/// so does a cast that DuckDB does not know.
fn tried<T>(outcome: Result<T, DatabaseError>) -> Result<Result<T, String>, DatabaseError> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(DatabaseError::Locked(message)) => Err(DatabaseError::Locked(message)),
        Err(error) => Ok(Err(error.to_string())),
    }
}
