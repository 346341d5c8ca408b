//! The ledger: which commits are registered, and what of them is not.
//!
//! Its tables stand in the catalog beside DuckLake's, so that one transaction writes both:
//!
//! ```text
//!  heplake_commit        commits that are registered, with as much of them as is sound
//!  heplake_set_aside     files of registered commits that are not registered, and why
//!  heplake_refused       commits of which nothing is registered, and why
//!  heplake_changed_file  registered files that changed or vanished afterwards
//! ```

use super::{Catalog, NewCommit};
use crate::{
    database::{DatabaseError, Session, literal},
    sequences::Sequences,
};
use heplake_format::{EdgeName, Sequence};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tracing::warn;

/// Where a file that was set aside stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AsideState {
    /// Nobody has decided yet.
    Waiting,
    /// Somebody decided. The file has still to be moved out of the tables' directories.
    Decided,
    /// All is done.
    Done,
}

impl AsideState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Decided => "decided",
            Self::Done => "done",
        }
    }
}

/// A file of a registered commit that is not registered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SetAsideRow {
    pub(crate) edge: EdgeName,
    pub(crate) sequence: u64,
    /// As the commit has it.
    pub(crate) path: String,
    pub(crate) table_name: String,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// The table as the commit describes it, in JSON; empty if it does not.
    pub(crate) description: String,
    /// The kind of fault, for metrics.
    pub(crate) kind: String,
    pub(crate) reason: String,
}

/// A commit of which nothing is registered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RefusedRow {
    pub(crate) edge: EdgeName,
    pub(crate) sequence: u64,
    pub(crate) reason: String,
    pub(crate) since_us: i64,
}

/// A registered file that changed or vanished.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ChangedRow {
    /// Relative to the data path.
    pub(crate) path: String,
    pub(crate) rows: u64,
    pub(crate) reason: String,
    pub(crate) since_us: i64,
}

/// Files that were set aside for one reason.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct SetAsideGroupRow {
    pub(crate) edge: EdgeName,
    pub(crate) table_name: String,
    pub(crate) reason: String,
    pub(crate) files: u64,
    pub(crate) rows: u64,
    pub(crate) since_us: i64,
}

/// Which files that were set aside are meant.
#[derive(Clone, Debug, Default)]
pub(crate) struct SetAsideFilter {
    pub(crate) table: Option<String>,
    pub(crate) edge: Option<EdgeName>,
    /// Only files whose place (edge, sequence, path) is behind this one.
    pub(crate) after: Option<(EdgeName, u64, String)>,
}

const ASIDE: &str = r#""edge":"VARCHAR","sequence":"BIGINT","path":"VARCHAR","table_name":"VARCHAR","rows":"BIGINT","bytes":"BIGINT","description":"VARCHAR","kind":"VARCHAR","reason":"VARCHAR""#;

/// The keys of the tables. SQLite lets a key hold NULL.
const KEYS: [(&str, &[&str]); 4] = [
    ("heplake_commit", &["edge", "sequence"]),
    ("heplake_set_aside", &["edge", "sequence", "path"]),
    ("heplake_refused", &["edge", "sequence"]),
    ("heplake_changed_file", &["path"]),
];

/// The largest number that a column of the catalog holds.
pub(crate) const NUMBER_MAX: u64 = i64::MAX as u64;

/// Deletes rows without a key. Such a row was once written for a number that its column does
/// not hold, and no start could read it.
pub(super) fn heal(session: &Session, metadata: &str) -> Result<(), DatabaseError> {
    #[derive(Deserialize)]
    struct Row {
        rows: u64,
    }
    for (table, keys) in KEYS {
        let nulls: Vec<_> = keys.iter().map(|key| format!("{key} IS NULL")).collect();
        let nulls = nulls.join(" OR ");
        let select = format!("SELECT count(*) AS rows FROM {metadata}.{table} WHERE {nulls}");
        let rows: u64 = session
            .rows::<Row>(&select, &[])?
            .iter()
            .map(|row| row.rows)
            .sum();
        if rows > 0 {
            warn!(table, rows, "rows of the catalog without a key are deleted");
            session.transaction(|| {
                session.execute(&format!("DELETE FROM {metadata}.{table} WHERE {nulls}"))
            })?;
        }
    }
    Ok(())
}

/// Makes the tables that are missing.
pub(super) fn create(session: &Session, metadata: &str) -> Result<(), DatabaseError> {
    session.execute(&format!(
        "CREATE TABLE IF NOT EXISTS {metadata}.heplake_commit (
            edge VARCHAR NOT NULL, sequence BIGINT NOT NULL, snapshot_id BIGINT NOT NULL,
            registered_us BIGINT NOT NULL, files BIGINT NOT NULL, rows BIGINT NOT NULL,
            PRIMARY KEY (edge, sequence));
         CREATE TABLE IF NOT EXISTS {metadata}.heplake_set_aside (
            edge VARCHAR NOT NULL, sequence BIGINT NOT NULL, path VARCHAR NOT NULL,
            table_name VARCHAR NOT NULL, rows BIGINT NOT NULL, bytes BIGINT NOT NULL,
            description VARCHAR NOT NULL, kind VARCHAR NOT NULL, reason VARCHAR NOT NULL,
            since_us BIGINT NOT NULL, state VARCHAR NOT NULL, decision VARCHAR,
            decided_us BIGINT, PRIMARY KEY (edge, sequence, path));
         CREATE TABLE IF NOT EXISTS {metadata}.heplake_refused (
            edge VARCHAR NOT NULL, sequence BIGINT NOT NULL, reason VARCHAR NOT NULL,
            since_us BIGINT NOT NULL, PRIMARY KEY (edge, sequence));
         CREATE TABLE IF NOT EXISTS {metadata}.heplake_changed_file (
            path VARCHAR NOT NULL PRIMARY KEY, rows BIGINT NOT NULL, reason VARCHAR NOT NULL,
            since_us BIGINT NOT NULL);
         -- Catalogs of earlier versions have no such column.
         ALTER TABLE {metadata}.heplake_commit ADD COLUMN IF NOT EXISTS created_us BIGINT"
    ))
}

impl Catalog {
    /// The registered commits, by edge.
    pub(crate) fn sequences(&self) -> Result<BTreeMap<EdgeName, Sequences>, DatabaseError> {
        #[derive(Deserialize)]
        struct Row {
            edge: EdgeName,
            last: Sequence,
            /// First and last of each hole.
            holes: Vec<(Sequence, Sequence)>,
        }
        let rows = self.session.rows::<Row>(
            &format!(
                "SELECT edge, max(sequence) AS last,
                    coalesce(list([previous + 1, sequence - 1])
                        FILTER (previous + 1 < sequence), []) AS holes
                 FROM (SELECT edge, sequence, lag(sequence, 1, 0)
                        OVER (PARTITION BY edge ORDER BY sequence) AS previous
                    FROM {}.heplake_commit WHERE edge IS NOT NULL AND sequence IS NOT NULL)
                 GROUP BY edge",
                self.metadata
            ),
            &[],
        )?;
        let sequences = |row: Row| {
            let holes = row.holes.into_iter().collect();
            (row.edge, Sequences::up_to(row.last, holes))
        };
        Ok(rows.into_iter().map(sequences).collect())
    }

    /// Writes that a commit is registered; `files` and `rows` count what of it is.
    pub(super) fn write_commits(
        &self,
        commits: &[NewCommit],
        snapshot_id: i64,
    ) -> Result<(), DatabaseError> {
        #[derive(Serialize)]
        struct Row<'a> {
            edge: &'a EdgeName,
            sequence: u64,
            created_us: Option<u64>,
            files: u64,
            rows: u64,
        }
        fn row(commit: &NewCommit) -> Row<'_> {
            let files = &commit.files;
            Row {
                edge: &commit.edge,
                sequence: commit.sequence.0,
                created_us: commit.created_us,
                files: files.len() as u64,
                rows: files.iter().map(|file| file.footer.record_count).sum(),
            }
        }
        let rows: Vec<_> = commits.iter().map(row).collect();
        self.session.insert(
            &format!("{}.heplake_commit", self.metadata),
            r#""edge":"VARCHAR","sequence":"BIGINT","created_us":"BIGINT","files":"BIGINT","rows":"BIGINT""#,
            &format!("r.*, {snapshot_id} AS snapshot_id, epoch_us(now()) AS registered_us"),
            &rows,
        )?;
        let set_aside: Vec<_> = commits
            .iter()
            .flat_map(|commit| &commit.set_aside)
            .collect();
        self.session.insert(
            &format!("{}.heplake_set_aside", self.metadata),
            ASIDE,
            "r.*, epoch_us(now()) AS since_us, 'waiting' AS state",
            &set_aside,
        )?;
        for commit in commits.iter().filter(|commit| commit.was_refused) {
            self.delete_refused(&commit.edge, commit.sequence)?;
        }
        Ok(())
    }

    /// Whether the ledger has a commit as registered.
    pub(crate) fn has_commit(
        &self,
        edge: &EdgeName,
        sequence: Sequence,
    ) -> Result<bool, DatabaseError> {
        #[derive(Deserialize)]
        struct Row {}
        let select = format!(
            "SELECT sequence FROM {}.heplake_commit WHERE edge = {} AND sequence = {}",
            self.metadata,
            literal(edge.as_str()),
            sequence.0
        );
        Ok(!self.session.rows::<Row>(&select, &[])?.is_empty())
    }

    /// When the edge made its registered commits, from one on, in order. Commits of which that
    /// is not known are passed by.
    pub(crate) fn created(
        &self,
        edge: &EdgeName,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, u64)>, DatabaseError> {
        #[derive(Deserialize)]
        struct Row {
            sequence: Sequence,
            created_us: u64,
        }
        let select = format!(
            "SELECT sequence, created_us FROM {}.heplake_commit
             WHERE edge = {} AND sequence >= {} AND created_us IS NOT NULL
             ORDER BY sequence LIMIT {limit}",
            self.metadata,
            literal(edge.as_str()),
            from.0.min(NUMBER_MAX)
        );
        let rows = self.session.rows::<Row>(&select, &[])?.into_iter();
        Ok(rows.map(|row| (row.sequence, row.created_us)).collect())
    }

    /// Has the document of a commit not compared again.
    pub(crate) fn forget_created(
        &self,
        edge: &EdgeName,
        sequence: Sequence,
    ) -> Result<(), DatabaseError> {
        self.session.transaction(|| {
            self.session.execute(&format!(
                "UPDATE {}.heplake_commit SET created_us = NULL WHERE edge = {} AND sequence = {}",
                self.metadata,
                literal(edge.as_str()),
                sequence.0
            ))
        })
    }

    /// Forgets that a commit was refused.
    pub(crate) fn forget_refused(
        &self,
        edge: &EdgeName,
        sequence: Sequence,
    ) -> Result<(), DatabaseError> {
        self.session
            .transaction(|| self.delete_refused(edge, sequence))
    }

    fn delete_refused(&self, edge: &EdgeName, sequence: Sequence) -> Result<(), DatabaseError> {
        self.session.execute(&format!(
            "DELETE FROM {}.heplake_refused WHERE edge = {} AND sequence = {}",
            self.metadata,
            literal(edge.as_str()),
            sequence.0
        ))
    }

    /// The commits of which nothing is registered.
    pub(crate) fn refused(&self) -> Result<Vec<RefusedRow>, DatabaseError> {
        let select = format!(
            "SELECT edge, sequence, reason, since_us FROM {}.heplake_refused
             WHERE edge IS NOT NULL AND sequence IS NOT NULL ORDER BY since_us, edge, sequence",
            self.metadata
        );
        self.session.rows(&select, &[])
    }

    /// Notes commits of which nothing is registered, or another reason of one.
    pub(crate) fn note_refused(&self, rows: &[RefusedRow]) -> Result<(), DatabaseError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.session.transaction(|| {
            for row in rows {
                self.delete_refused(&row.edge, Sequence(row.sequence))?;
            }
            self.session.insert(
                &format!("{}.heplake_refused", self.metadata),
                r#""edge":"VARCHAR","sequence":"BIGINT","reason":"VARCHAR","since_us":"BIGINT""#,
                "r.*",
                rows,
            )
        })
    }

    /// Files that wait for a decision, in order of edge, sequence and path.
    pub(crate) fn set_aside(
        &self,
        filter: &SetAsideFilter,
        limit: usize,
    ) -> Result<Vec<SetAsideRow>, DatabaseError> {
        let mut conditions = format!(
            "state = '{}' AND edge IS NOT NULL AND sequence IS NOT NULL AND path IS NOT NULL",
            AsideState::Waiting.as_str()
        );
        if let Some(table) = &filter.table {
            conditions.push_str(&format!(" AND table_name = {}", literal(table)));
        }
        if let Some(edge) = &filter.edge {
            conditions.push_str(&format!(" AND edge = {}", literal(edge.as_str())));
        }
        if let Some((edge, sequence, path)) = &filter.after {
            conditions.push_str(&format!(
                " AND (edge, sequence, path) > ({}, {sequence}, {})",
                literal(edge.as_str()),
                literal(path)
            ));
        }
        let select = format!(
            "SELECT edge, sequence, path, table_name, rows, bytes, description, kind, reason
             FROM {}.heplake_set_aside WHERE {conditions}
             ORDER BY edge, sequence, path LIMIT {limit}",
            self.metadata
        );
        self.session.rows(&select, &[])
    }

    /// Paths of files of which somebody decided and that have still to be moved.
    pub(crate) fn set_aside_to_move(&self) -> Result<Vec<SetAsideRow>, DatabaseError> {
        let select = format!(
            "SELECT edge, sequence, path, table_name, rows, bytes, description, kind, reason
             FROM {}.heplake_set_aside WHERE state = '{}'
                AND edge IS NOT NULL AND sequence IS NOT NULL AND path IS NOT NULL",
            self.metadata,
            AsideState::Decided.as_str()
        );
        self.session.rows(&select, &[])
    }

    /// What waits for a decision, by edge, table and reason, the oldest first.
    pub(crate) fn set_aside_groups(&self) -> Result<Vec<SetAsideGroupRow>, DatabaseError> {
        let select = format!(
            "SELECT edge, table_name, reason, count(*)::UBIGINT AS files,
                least(sum(rows), {NUMBER_MAX})::UBIGINT AS rows, min(since_us) AS since_us
             FROM {}.heplake_set_aside WHERE state = '{}'
                AND edge IS NOT NULL AND sequence IS NOT NULL AND path IS NOT NULL
             GROUP BY ALL ORDER BY since_us, edge, table_name, reason",
            self.metadata,
            AsideState::Waiting.as_str()
        );
        self.session.rows(&select, &[])
    }

    /// Notes what was decided of a file that was set aside.
    pub(crate) fn write_decision(
        &self,
        row: &SetAsideRow,
        state: AsideState,
        decision: &str,
    ) -> Result<(), DatabaseError> {
        self.session.execute(&format!(
            "UPDATE {}.heplake_set_aside
             SET state = '{}', decision = {}, decided_us = epoch_us(now()) WHERE {}",
            self.metadata,
            state.as_str(),
            literal(decision),
            is(row)
        ))
    }

    /// Notes that a file of which somebody decided was moved.
    pub(crate) fn write_moved(&self, row: &SetAsideRow) -> Result<(), DatabaseError> {
        self.session.execute(&format!(
            "UPDATE {}.heplake_set_aside SET state = '{}' WHERE {}",
            self.metadata,
            AsideState::Done.as_str(),
            is(row)
        ))
    }

    /// Notes why a file still waits.
    pub(crate) fn write_reason(&self, row: &SetAsideRow) -> Result<(), DatabaseError> {
        self.session.execute(&format!(
            "UPDATE {}.heplake_set_aside SET kind = {}, reason = {} WHERE {}",
            self.metadata,
            literal(&row.kind),
            literal(&row.reason),
            is(row)
        ))
    }

    /// Adds a file and its rows to what is registered of a commit.
    pub(super) fn count_in(&self, row: &SetAsideRow, rows: u64) -> Result<(), DatabaseError> {
        self.session.execute(&format!(
            "UPDATE {}.heplake_commit SET files = files + 1, rows = rows + {rows}
             WHERE edge = {} AND sequence = {}",
            self.metadata,
            literal(row.edge.as_str()),
            row.sequence
        ))
    }

    /// The registered files that changed or vanished.
    pub(crate) fn changed_files(&self) -> Result<Vec<ChangedRow>, DatabaseError> {
        let select = format!(
            "SELECT path, rows, reason, since_us FROM {}.heplake_changed_file WHERE path IS NOT NULL ORDER BY since_us, path",
            self.metadata
        );
        self.session.rows(&select, &[])
    }

    /// Notes that registered files changed, or why now.
    pub(crate) fn note_changed(&self, rows: &[ChangedRow]) -> Result<(), DatabaseError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.session.transaction(|| {
            for row in rows {
                self.delete_changed(&row.path)?;
            }
            self.session.insert(
                &format!("{}.heplake_changed_file", self.metadata),
                r#""path":"VARCHAR","rows":"BIGINT","reason":"VARCHAR","since_us":"BIGINT""#,
                "r.*",
                rows,
            )
        })
    }

    /// Notes that a file is as it was registered.
    pub(crate) fn forget_changed(&self, path: &str) -> Result<(), DatabaseError> {
        self.session.transaction(|| self.delete_changed(path))
    }

    pub(super) fn delete_changed(&self, path: &str) -> Result<(), DatabaseError> {
        self.session.execute(&format!(
            "DELETE FROM {}.heplake_changed_file WHERE path = {}",
            self.metadata,
            literal(path)
        ))
    }
}

fn is(row: &SetAsideRow) -> String {
    format!(
        "edge = {} AND sequence = {} AND path = {}",
        literal(row.edge.as_str()),
        row.sequence,
        literal(&row.path)
    )
}
