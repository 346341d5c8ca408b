//! What of the lake waits for a person: files set aside, refused commits, changed files.

use crate::catalog::{Catalog, ChangedRow, RefusedRow, SetAsideGroupRow};
use crate::database::DatabaseError;
use heplake_format::EdgeName;
use serde::{Deserialize, Serialize};

/// Entries of a list that are told, at most; the counts are of all. `/health` is asked often.
const TOLD_MAX: usize = 20;

/// What waits for a person, as the catalog has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Files of registered commits that are not registered.
    pub set_aside_files: u64,
    /// Their rows, as the commits have it.
    pub set_aside_rows: u64,
    /// The oldest of them, by edge, table and reason.
    pub set_aside: Vec<SetAsideGroup>,
    /// Commits of which nothing is registered.
    pub refused_commits: u64,
    /// The oldest of them.
    pub refused: Vec<RefusedNow>,
    /// Registered files that changed or vanished: queries of their tables fail.
    pub changed_files: u64,
    /// The oldest of them.
    pub changed: Vec<ChangedNow>,
}

/// A kind of what waits for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// A registered file that changed or vanished.
    Changed,
    /// Files that were set aside.
    SetAside,
    /// A refused commit.
    Refused,
}

/// One thing that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionReason {
    /// Its kind.
    pub of: Waiting,
    /// Tells it from others of its kind.
    pub subject: String,
    /// A sentence.
    pub text: String,
}

/// Files that were set aside for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAsideGroup {
    /// Who wrote them.
    pub edge: EdgeName,
    /// Their table.
    pub table: String,
    /// Why they do not fit.
    pub reason: String,
    /// How many.
    pub files: u64,
    /// Their rows, as the commits have it.
    pub rows: u64,
    /// When the first was set aside, seconds since 1970.
    pub since_s: u64,
}

/// A commit of which nothing is registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedNow {
    /// Whose commit it is.
    pub edge: EdgeName,
    /// Its number.
    pub sequence: u64,
    /// What is wrong with it.
    pub reason: String,
    /// When it was first refused, seconds since 1970.
    pub since_s: u64,
}

/// A registered file that changed or vanished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedNow {
    /// Relative to the data path.
    pub path: String,
    /// Its rows when it was registered.
    pub rows: u64,
    /// What is wrong with it.
    pub reason: String,
    /// When that was found, seconds since 1970.
    pub since_s: u64,
}

impl Condition {
    pub(crate) fn read(catalog: &Catalog) -> Result<Self, DatabaseError> {
        let set_aside = catalog.set_aside_groups()?;
        let refused = catalog.refused()?;
        let changed = catalog.changed_files()?;
        Ok(Self {
            set_aside_files: set_aside.iter().map(|group| group.files).sum(),
            set_aside_rows: rows(&set_aside),
            set_aside: told(set_aside),
            refused_commits: refused.len() as u64,
            refused: told(refused),
            changed_files: changed.len() as u64,
            changed: told(changed),
        })
    }

    /// What is wrong, a sentence each. None if all is well.
    #[must_use]
    pub fn reasons(&self) -> Vec<ConditionReason> {
        let changed = self.changed.iter().map(|file| ConditionReason {
            of: Waiting::Changed,
            subject: file.path.clone(),
            text: format!(
                "the data file {} ({} rows) is not as it was registered: {}",
                file.path, file.rows, file.reason
            ),
        });
        let set_aside = self.set_aside.iter().map(|group| ConditionReason {
            of: Waiting::SetAside,
            subject: format!("{} {} {}", group.edge, group.table, group.reason),
            text: format!(
                "{} rows of the table {} of the edge {} are set aside: {}",
                group.rows, group.table, group.edge, group.reason
            ),
        });
        let refused = self.refused.iter().map(|commit| ConditionReason {
            of: Waiting::Refused,
            subject: format!("{} {}", commit.edge, commit.sequence),
            text: format!(
                "commit {} of the edge {} is refused: {}",
                commit.sequence, commit.edge, commit.reason
            ),
        });
        changed.chain(set_aside).chain(refused).collect()
    }
}

/// Commits may claim any number of rows.
fn rows(groups: &[SetAsideGroupRow]) -> u64 {
    let rows = groups.iter().map(|group| group.rows);
    rows.fold(0, u64::saturating_add)
}

fn told<R, T: From<R>>(rows: Vec<R>) -> Vec<T> {
    rows.into_iter().take(TOLD_MAX).map(T::from).collect()
}

fn seconds(us: i64) -> u64 {
    u64::try_from(us).unwrap_or_default() / 1_000_000
}

impl From<SetAsideGroupRow> for SetAsideGroup {
    fn from(row: SetAsideGroupRow) -> Self {
        Self {
            edge: row.edge,
            table: crate::ladder::printable(&row.table_name),
            reason: row.reason,
            files: row.files,
            rows: row.rows,
            since_s: seconds(row.since_us),
        }
    }
}

impl From<RefusedRow> for RefusedNow {
    fn from(row: RefusedRow) -> Self {
        Self {
            edge: row.edge,
            sequence: row.sequence,
            reason: row.reason,
            since_s: seconds(row.since_us),
        }
    }
}

impl From<ChangedRow> for ChangedNow {
    fn from(row: ChangedRow) -> Self {
        Self {
            path: row.path,
            rows: row.rows,
            reason: row.reason,
            since_s: seconds(row.since_us),
        }
    }
}
