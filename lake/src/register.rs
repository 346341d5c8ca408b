//! Registering: from commits in the store to rows of the catalog, exactly once.
//!
//! A round looks for commits that the ledger does not have, reads the footers of their files
//! outside any transaction, holds them to what the commits claim, and registers all that
//! passes in one transaction with its ledger rows. Whatever is interrupted before that
//! transaction is found again by the next round; after it, the ledger knows.

use crate::{
    catalog::{Catalog, NewCommit, NewFile, TableConflict},
    database::DatabaseError,
    footer::{Footer, FooterError},
    sequences::{Gap, Sequences},
    store::{Look, Store, StoreError},
};
use bytes::Bytes;
use heplake_format::{Commit, CommitError, CommitPath, DataFilePath, EdgeName, Sequence};
use metrics::{counter, gauge};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tracing::warn;

/// Commits and files that are registered in one transaction, at most (but for one commit
/// with more files): keeps a transaction below half a second and its rows in few megabytes.
const COMMITS_AT_ONCE: usize = 256;
const FILES_AT_ONCE: usize = 2000;
/// Commits of one edge that are looked at before it is the turn of the next.
const COMMITS_OF_AN_EDGE: usize = 256;
/// A directory is listed again after this many times what its listing took: new commits
/// are found by asking for the next one, listings find those behind a gap, and a directory
/// of millions must not keep the store busy.
const LISTING_PAUSE_FACTOR: u32 = 100;
/// A refused commit is looked at again after this long, then after twice that, and so on
/// up to the second value: someone may have put right what was wrong.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);
const REFUSED_PAUSE_MAX: Duration = Duration::from_secs(3600);

/// What a call of [`crate::Lake::register_new`] did.
#[derive(Debug, Default)]
pub struct Registered {
    /// Commits registered.
    pub commits: u64,
    /// Their files.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
    /// Commits that failed their checks, in this call.
    pub refused: Vec<RefusedCommit>,
    /// Gaps that this call found: commits missing before some that are there. Each is named
    /// once. Those behind it are registered nevertheless, and the missing when they appear.
    pub gaps: Vec<Gap>,
    /// Commits that are refused at present, whenever that was found.
    pub refused_now: u64,
    /// Gaps that there are at present, whenever they were found.
    pub gaps_now: u64,
}

/// A commit that was refused as a whole.
#[derive(Debug, thiserror::Error)]
#[error("commit {sequence} of {edge} is refused: {reason}")]
pub struct RefusedCommit {
    /// Whose commit it is.
    pub edge: EdgeName,
    /// Its number.
    pub sequence: Sequence,
    /// What is wrong with it.
    pub reason: Refusal,
}

/// Why a commit is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Its document is none.
    #[error(transparent)]
    Document(#[from] CommitError),
    /// Its document stands where another should.
    #[error("the document says that it is commit {sequence} of {edge}")]
    Misplaced {
        /// As the document says.
        edge: EdgeName,
        /// As the document says.
        sequence: Sequence,
    },
    /// Its number is larger than the catalog can hold.
    #[error("its number is too large")]
    Sequence,
    /// It describes a table, or names a file, twice.
    #[error("it has {0} twice")]
    Doubled(String),
    /// Its tables do not fit the lake.
    #[error(transparent)]
    Table(#[from] TableConflict),
    /// DuckDB does not take its tables or rows.
    #[error("the lake does not take it: {0}")]
    Lake(String),
    /// A file is not there.
    #[error("{0} is not in the store")]
    Absent(DataFilePath),
    /// A file has another size or number of rows than the commit says.
    #[error("{path} has {found} {what}, and the commit says {claimed}")]
    Claim {
        /// The file.
        path: DataFilePath,
        /// `bytes` or `rows`.
        what: &'static str,
        /// As it is.
        found: u64,
        /// As the commit has it.
        claimed: u64,
    },
    /// A file is not what its table needs.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: DataFilePath,
        /// What is wrong with it.
        error: FooterError,
    },
}

/// Why a round was not finished.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The catalog could not be written.
    #[error("the catalog could not be written: {0}")]
    Database(#[from] DatabaseError),
}

/// The one that registers.
pub(crate) struct Registrar {
    catalog: Catalog,
    store: Store,
    edges: BTreeMap<EdgeName, EdgeState>,
    /// Commits that were found and are not registered, and when they were found.
    waiting: BTreeMap<(EdgeName, Sequence), Instant>,
    /// Since when registering fails, if it does.
    failing_since: Option<Instant>,
}

#[derive(Default)]
struct EdgeState {
    /// As the ledger has it.
    sequences: Sequences,
    /// Refused commits: when to look again, and how long that pause was.
    refused: BTreeMap<Sequence, (Instant, Duration)>,
    /// Not to be listed before.
    listing_due: Option<Instant>,
    /// The end of the last gap that was reported.
    gaps_reported: u64,
}

/// Why a commit was not checked to its end.
enum Setback {
    Refused(Box<Refusal>),
    Failed(RegisterError),
}

impl Registrar {
    pub(crate) fn new(catalog: Catalog, store: Store) -> Result<Self, DatabaseError> {
        let edges = catalog.sequences()?.into_iter().map(|(edge, sequences)| {
            let state = EdgeState {
                sequences,
                ..EdgeState::default()
            };
            (edge, state)
        });
        Ok(Self {
            edges: edges.collect(),
            waiting: BTreeMap::new(),
            failing_since: None,
            catalog,
            store,
        })
    }

    /// Registers until nothing new is left.
    pub(crate) fn register_new(&mut self) -> Result<Registered, RegisterError> {
        let outcome = self.register_all();
        match &outcome {
            Ok(_) => self.failing_since = None,
            Err(_) => drop(self.failing_since.get_or_insert_with(Instant::now)),
        }
        // Commits are not even found where the store fails.
        let oldest = self.waiting.values().chain(&self.failing_since).min();
        let waiting = oldest.map_or(Duration::ZERO, Instant::elapsed);
        gauge!("heplake_register_oldest_waiting_seconds").set(waiting.as_secs_f64());
        outcome
    }

    fn register_all(&mut self) -> Result<Registered, RegisterError> {
        let mut registered = Registered::default();
        for edge in self.store.edges()? {
            self.edges.entry(edge).or_default();
        }
        while self.round(&mut registered)? > 0 {}
        self.report_gaps(&mut registered);
        for state in self.edges.values() {
            registered.refused_now += state.refused.len() as u64;
            registered.gaps_now += state.sequences.holes().count() as u64;
        }
        Ok(registered)
    }

    /// Registers some commits of every edge. Returns how many it looked at.
    fn round(&mut self, registered: &mut Registered) -> Result<usize, RegisterError> {
        self.catalog.refresh()?;
        let mut looked_at = 0;
        let mut batch = Vec::new();
        let edges: Vec<_> = self.edges.keys().cloned().collect();
        for edge in edges {
            for (sequence, document) in self.new_documents(&edge)? {
                looked_at += 1;
                self.waiting
                    .entry((edge.clone(), sequence))
                    .or_insert_with(Instant::now);
                match self.check(&edge, sequence, &document) {
                    Ok(commit) => batch.push(commit),
                    Err(Setback::Refused(reason)) => {
                        registered
                            .refused
                            .push(self.refuse(&edge, sequence, *reason));
                    }
                    Err(Setback::Failed(error)) => return Err(error),
                }
                let files: usize = batch
                    .iter()
                    .map(|commit: &NewCommit| commit.files.len())
                    .sum();
                if batch.len() >= COMMITS_AT_ONCE || files >= FILES_AT_ONCE {
                    self.register(std::mem::take(&mut batch), registered)?;
                }
            }
        }
        self.register(batch, registered)?;
        Ok(looked_at)
    }

    /// Commits of an edge that are neither registered nor lately refused, in order.
    fn new_documents(&mut self, edge: &EdgeName) -> Result<Vec<(Sequence, Bytes)>, RegisterError> {
        let Some(state) = self.edges.get_mut(edge) else {
            return Ok(Vec::new());
        };
        let now = Instant::now();
        let path = |sequence| CommitPath {
            edge: edge.clone(),
            sequence,
        };
        let mut found = BTreeMap::new();
        let mut sequence = state.sequences.next();
        while found.len() < COMMITS_OF_AN_EDGE {
            if !state.is_resting(sequence, now) {
                let Some(document) = self.store.commit(&path(sequence))? else {
                    break;
                };
                found.insert(sequence, document);
            }
            sequence = sequence.next();
        }
        if state.listing_due.is_none_or(|due| due <= now) {
            let listed = self
                .store
                .sequences_from(edge, state.sequences.first_missing())?;
            state.listing_due = Some(Instant::now() + now.elapsed() * LISTING_PAUSE_FACTOR);
            for sequence in listed {
                if found.len() >= COMMITS_OF_AN_EDGE {
                    // The rest is found by the next round.
                    state.listing_due = None;
                    break;
                }
                let is_known = state.sequences.contains(sequence)
                    || state.is_resting(sequence, now)
                    || found.contains_key(&sequence);
                if !is_known && let Some(document) = self.store.commit(&path(sequence))? {
                    found.insert(sequence, document);
                }
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Holds a commit to its claims, and the lake to the commit's tables.
    fn check(
        &mut self,
        edge: &EdgeName,
        sequence: Sequence,
        document: &[u8],
    ) -> Result<NewCommit, Setback> {
        let commit = Commit::from_json(document).map_err(Refusal::from)?;
        if commit.edge != *edge || commit.sequence != sequence {
            let (edge, sequence) = (commit.edge, commit.sequence);
            return Err(Refusal::Misplaced { edge, sequence }.into());
        }
        if i64::try_from(sequence.0).is_err() {
            return Err(Refusal::Sequence.into());
        }
        let mut names = BTreeSet::new();
        let tables = commit.tables.iter().map(|table| table.name.to_string());
        let files = commit.files.iter().map(|file| file.path.to_string());
        if let Some(doubled) = tables.chain(files).find(|name| !names.insert(name.clone())) {
            return Err(Refusal::Doubled(doubled).into());
        }
        let files = self.check_files(&commit)?;
        match self.catalog.evolve(&commit.tables) {
            Ok(evolved) => evolved.map_err(Refusal::from)?,
            Err(DatabaseError::Statement(message)) => return Err(Refusal::Lake(message).into()),
            Err(error) => return Err(error.into()),
        }
        Ok(NewCommit {
            edge: commit.edge,
            sequence,
            files,
        })
    }

    fn check_files(&self, commit: &Commit) -> Result<Vec<NewFile>, Setback> {
        let paths: Vec<_> = commit.files.iter().map(|file| file.path.clone()).collect();
        let looks = self.store.looks(&paths)?;
        let mut files = Vec::with_capacity(looks.len());
        for ((file, path), look) in commit.files.iter().zip(paths).zip(looks) {
            let tail = match look {
                Look::Tail(tail) => tail,
                Look::Absent => return Err(Refusal::Absent(path).into()),
                Look::NotParquet(error) => return Err(Refusal::File { path, error }.into()),
            };
            let claim = |what, found, claimed| {
                if found == claimed {
                    return Ok(());
                }
                let path = file.path.clone();
                Err(Setback::from(Refusal::Claim {
                    path,
                    what,
                    found,
                    claimed,
                }))
            };
            claim("bytes", tail.file_size_bytes, file.file_size_bytes)?;
            // Reading the commit has made sure that it describes the table of each file.
            let table = commit.tables.iter().find(|table| table.name == path.table);
            let Some(table) = table else {
                return Err(Refusal::from(CommitError::Undescribed(path)).into());
            };
            let footer = Footer::read(&tail.bytes, tail.footer_bytes, table, path.date);
            let footer = match footer {
                Ok(footer) => footer,
                Err(error) => return Err(Refusal::File { path, error }.into()),
            };
            claim("rows", footer.record_count, file.record_count)?;
            files.push(NewFile {
                path,
                footer,
                footer_bytes: tail.footer_bytes,
                file_size_bytes: tail.file_size_bytes,
            });
        }
        Ok(files)
    }

    fn register(
        &mut self,
        commits: Vec<NewCommit>,
        registered: &mut Registered,
    ) -> Result<(), RegisterError> {
        if commits.is_empty() {
            return Ok(());
        }
        match (self.catalog.register(&commits), commits.as_slice()) {
            (Ok(()), _) => {}
            (Err(DatabaseError::Statement(message)), [commit]) => {
                let (edge, sequence) = (commit.edge.clone(), commit.sequence);
                let refused = self.refuse(&edge, sequence, Refusal::Lake(message));
                registered.refused.push(refused);
                return Ok(());
            }
            // One of them is at fault: the others must not suffer.
            (Err(DatabaseError::Statement(_)), _) => {
                return commits
                    .into_iter()
                    .try_for_each(|commit| self.register(vec![commit], registered));
            }
            (Err(error), _) => return Err(error.into()),
        }
        let files = commits.iter().flat_map(|commit| &commit.files);
        let rows = files.clone().map(|file| file.footer.record_count).sum();
        let (files, count) = (files.count() as u64, commits.len() as u64);
        for commit in commits {
            self.waiting.remove(&(commit.edge.clone(), commit.sequence));
            let state = self.edges.entry(commit.edge).or_default();
            state.sequences.insert(commit.sequence);
            state.refused.remove(&commit.sequence);
        }
        registered.commits += count;
        registered.files += files;
        registered.rows += rows;
        counter!("heplake_register_commits_total").increment(count);
        counter!("heplake_register_files_total").increment(files);
        counter!("heplake_register_rows_total").increment(rows);
        Ok(())
    }

    /// Sets a commit aside for a while.
    fn refuse(&mut self, edge: &EdgeName, sequence: Sequence, reason: Refusal) -> RefusedCommit {
        let state = self.edges.entry(edge.clone()).or_default();
        let before = state.refused.get(&sequence).map(|(_, pause)| *pause);
        let pause = before.map_or(REFUSED_PAUSE, |pause| (pause * 2).min(REFUSED_PAUSE_MAX));
        state
            .refused
            .insert(sequence, (Instant::now() + pause, pause));
        counter!("heplake_register_refused_total").increment(1);
        warn!(%edge, sequence = sequence.0, %reason, again_s = pause.as_secs(), "commit refused");
        RefusedCommit {
            edge: edge.clone(),
            sequence,
            reason,
        }
    }

    fn report_gaps(&mut self, registered: &mut Registered) {
        for (edge, state) in &mut self.edges {
            // What was refused is not missing.
            let mut present = state.sequences.clone();
            let refused = state.refused.keys().filter(|one| **one < present.next());
            for sequence in refused.copied().collect::<Vec<_>>() {
                present.insert(sequence);
            }
            let new = present
                .holes()
                .filter(|(first, _)| first.0 > state.gaps_reported);
            for (first, last) in new.collect::<Vec<_>>() {
                state.gaps_reported = last.0;
                counter!("heplake_register_gaps_total").increment(1);
                warn!(%edge, first = first.0, last = last.0, "commits are missing");
                let edge = edge.clone();
                registered.gaps.push(Gap { edge, first, last });
            }
        }
    }
}

impl EdgeState {
    /// Whether a commit was refused and is not to be looked at yet.
    fn is_resting(&self, sequence: Sequence, now: Instant) -> bool {
        self.refused
            .get(&sequence)
            .is_some_and(|(again, _)| now < *again)
    }
}

impl From<Refusal> for Setback {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
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
