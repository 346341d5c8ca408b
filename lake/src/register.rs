//! Registering: from commits in the store to rows of the catalog, exactly once.
//!
//! A round looks for commits that the ledger does not have, reads the footers of their files
//! outside any transaction, holds them to what the commits claim, and registers all that
//! passes in one transaction with its ledger rows. Files that do not pass are set aside in
//! that transaction, too: they cost no other file anything, and wait for a decision. Whatever
//! is interrupted before that transaction is found again by the next round; after it, the
//! ledger knows.

mod changed;
mod check;
mod fault;
mod repair;
mod replaced;
mod retry;
mod rewrite;

pub use fault::{FileFault, Refusal, RefusedCommit};
pub use repair::{ColumnDecision, Decision, FailedFile, Given, RepairError, Repaired};

use crate::{
    catalog::{Catalog, NUMBER_MAX, NewCommit, RefusedRow},
    condition::Condition,
    database::DatabaseError,
    sequences::{Gap, Sequences},
    store::{Document, Store, StoreError},
    suspects::Suspects,
};
pub use changed::ChangedFile;
use changed::ChangedFiles;
use check::Setback;
use fault::{REPLACED, shown};
use heplake_format::{CommitPath, EdgeName, Sequence};
use metrics::{counter, gauge};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
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
    /// Commits that were refused as a whole, in this call.
    pub refused: Vec<RefusedCommit>,
    /// Files of registered commits that were set aside, in this call.
    pub set_aside: Vec<SetAsideFile>,
    /// Registered files that this call found changed or gone.
    pub changed: Vec<ChangedFile>,
    /// What waits for a person now.
    pub condition: Condition,
    /// Gaps that this call found: commits missing before some that are there. Each is named
    /// once. Those behind it are registered nevertheless, and the missing when they appear.
    pub gaps: Vec<Gap>,
    /// Gaps that there are at present, whenever they were found.
    pub gaps_now: u64,
}

/// A file of a registered commit that cannot be queried until somebody decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAsideFile {
    /// Its path, as the commit has it.
    pub path: String,
    /// Its table.
    pub table: String,
    /// Its rows, as the commit has it.
    pub rows: u64,
    /// Why it does not fit.
    pub reason: String,
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
    /// Reasons of refusals that the ledger does not have yet.
    newly_refused: Vec<RefusedRow>,
    retry: retry::Schedule,
    changed: ChangedFiles,
    /// What queries failed at.
    suspects: Suspects,
    data_path: PathBuf,
    condition: Condition,
    /// Whether the catalog may have another condition by now.
    is_dirty: bool,
}

#[derive(Default)]
struct EdgeState {
    /// As the ledger has it.
    sequences: Sequences,
    /// Commits of which nothing is registered.
    refused: BTreeMap<Sequence, Resting>,
    comparison: replaced::Comparison,
    /// Not to be listed before.
    listing_due: Option<Instant>,
    /// The end of the last gap that was reported.
    gaps_reported: u64,
}

/// A refused commit, until it is looked at again.
struct Resting {
    again: Instant,
    /// Before it was looked at last.
    pause: Duration,
    reason: String,
    since_us: i64,
}

impl Registrar {
    pub(crate) fn new(
        catalog: Catalog,
        store: Store,
        data_path: &Path,
        suspects: Suspects,
    ) -> Result<Self, DatabaseError> {
        let mut edges = BTreeMap::<_, EdgeState>::new();
        for (edge, sequences) in catalog.sequences()? {
            edges.entry(edge).or_default().sequences = sequences;
        }
        for row in catalog.refused()? {
            let sequence = Sequence(row.sequence);
            let state = edges.get(&row.edge);
            let is_registered = state.is_some_and(|state| state.sequences.contains(sequence));
            if is_registered && !row.reason.starts_with(REPLACED) {
                catalog.forget_refused(&row.edge, sequence)?;
                continue;
            }
            let resting = Resting {
                again: Instant::now(),
                pause: Duration::ZERO,
                reason: row.reason,
                since_us: row.since_us,
            };
            let state = edges.entry(row.edge).or_default();
            state.refused.insert(sequence, resting);
        }
        let changed = ChangedFiles::load(&catalog)?;
        let registrar = Self {
            edges,
            waiting: BTreeMap::new(),
            failing_since: None,
            catalog,
            store,
            newly_refused: Vec::new(),
            retry: retry::Schedule::default(),
            changed,
            suspects,
            data_path: data_path.to_owned(),
            condition: Condition::default(),
            is_dirty: true,
        };
        registrar.finish_decisions()?;
        Ok(registrar)
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
        self.retry_set_aside(&mut registered)?;
        self.look_for_changes(&mut registered)?;
        registered.condition = self.condition()?;
        Ok(registered)
    }

    /// What waits for a person.
    pub(crate) fn condition(&mut self) -> Result<Condition, DatabaseError> {
        if self.is_dirty {
            self.condition = Condition::read(&self.catalog)?;
            self.is_dirty = false;
        }
        Ok(self.condition.clone())
    }

    /// Registers some commits of every edge. Returns how many it looked at.
    fn round(&mut self, registered: &mut Registered) -> Result<usize, RegisterError> {
        self.catalog.refresh()?;
        let mut looked_at = 0;
        let mut batch = Vec::new();
        let edges: Vec<_> = self.edges.keys().cloned().collect();
        for edge in edges {
            self.compare(&edge, registered)?;
            for (sequence, document) in self.new_documents(&edge)? {
                looked_at += 1;
                self.waiting
                    .entry((edge.clone(), sequence))
                    .or_insert_with(Instant::now);
                let checked = match document {
                    Document::Read(json) => self.check(&edge, sequence, &json),
                    Document::TooLarge(bytes) => Err(Refusal::TooLarge(bytes).into()),
                };
                match checked {
                    Ok(mut commit) => {
                        let state = self.edges.get(&edge);
                        commit.was_refused =
                            state.is_some_and(|state| state.refused.contains_key(&sequence));
                        batch.push(commit);
                    }
                    Err(Setback::Refused(reason)) => {
                        registered
                            .refused
                            .push(self.refuse(&edge, sequence, reason));
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
        self.catalog.note_refused(&self.newly_refused)?;
        self.is_dirty |= !self.newly_refused.is_empty();
        self.newly_refused.clear();
        Ok(looked_at)
    }

    /// Commits of an edge that are neither registered nor lately refused, in order.
    fn new_documents(
        &mut self,
        edge: &EdgeName,
    ) -> Result<Vec<(Sequence, Document)>, RegisterError> {
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
        while found.len() < COMMITS_OF_AN_EDGE && sequence.0 <= NUMBER_MAX {
            if !state.is_resting(sequence, now) {
                let Some(document) = self.store.commit(&path(sequence))? else {
                    break;
                };
                found.insert(sequence, document);
            }
            sequence = Sequence(sequence.0.saturating_add(1));
        }
        if state.listing_due.is_none_or(|due| due <= now) {
            let listed = self
                .store
                .sequences_from(edge, state.sequences.first_missing())?;
            state.listing_due = Some(Instant::now() + now.elapsed() * LISTING_PAUSE_FACTOR);
            // A larger number has no place in the ledger, and no edge ever comes to it.
            for sequence in listed.into_iter().filter(|it| it.0 <= NUMBER_MAX) {
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
                if self.catalog.has_commit(&edge, sequence)? {
                    // The ledger is right, and what is known of it here is old.
                    self.note_registered(&edge, sequence)?;
                    return Ok(());
                }
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
            self.is_dirty |= commit.was_refused || !commit.set_aside.is_empty();
            for row in commit.set_aside {
                let (edge, rows) = (&row.edge, row.rows);
                warn!(%edge, sequence = row.sequence, path = shown(&row.path), rows, reason = row.reason, "file set aside");
                counter!("heplake_register_set_aside_rows_total", "reason" => row.kind)
                    .increment(rows);
                registered.set_aside.push(SetAsideFile {
                    path: row.path,
                    table: row.table_name,
                    rows,
                    reason: row.reason,
                });
            }
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

    /// Takes a commit as registered, as the ledger has it already.
    fn note_registered(
        &mut self,
        edge: &EdgeName,
        sequence: Sequence,
    ) -> Result<(), DatabaseError> {
        self.catalog.forget_refused(edge, sequence)?;
        self.newly_refused
            .retain(|row| row.edge != *edge || row.sequence != sequence.0);
        self.waiting.remove(&(edge.clone(), sequence));
        self.is_dirty = true;
        let state = self.edges.entry(edge.clone()).or_default();
        state.refused.remove(&sequence);
        state.sequences.insert(sequence);
        warn!(%edge, sequence = sequence.0, "the catalog has this commit already");
        Ok(())
    }

    /// Leaves a commit alone for a while.
    fn refuse(&mut self, edge: &EdgeName, sequence: Sequence, reason: Refusal) -> RefusedCommit {
        let state = self.edges.entry(edge.clone()).or_default();
        let before = state.refused.get(&sequence);
        let pause = before.map_or(Duration::ZERO, |resting| resting.pause);
        let pause = (pause * 2).clamp(REFUSED_PAUSE, REFUSED_PAUSE_MAX);
        let since_us = before.map_or_else(now_us, |resting| resting.since_us);
        let text = shown(&reason);
        if before.is_none_or(|resting| resting.reason != text) {
            counter!("heplake_register_refused_total").increment(1);
            self.newly_refused.push(RefusedRow {
                edge: edge.clone(),
                sequence: sequence.0,
                reason: text.clone(),
                since_us,
            });
        }
        warn!(%edge, sequence = sequence.0, reason = text, again_s = pause.as_secs(), "commit refused");
        let resting = Resting {
            again: Instant::now() + pause,
            pause,
            reason: text,
            since_us,
        };
        state.refused.insert(sequence, resting);
        RefusedCommit {
            edge: edge.clone(),
            sequence,
            reason,
        }
    }

    fn report_gaps(&mut self, registered: &mut Registered) {
        for (edge, state) in &mut self.edges {
            let gaps = state.gaps();
            registered.gaps_now += gaps.len() as u64;
            let reported = state.gaps_reported;
            for (first, last) in gaps.into_iter().filter(|(first, _)| first.0 > reported) {
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
    /// First and last of each range of commits that are missing before one that is there. A
    /// refused commit is not missing.
    fn gaps(&self) -> Vec<(Sequence, Sequence)> {
        let mut present = self.sequences.clone();
        let refused = self.refused.keys().copied();
        for sequence in refused.filter(|sequence| *sequence < self.sequences.next()) {
            present.insert(sequence);
        }
        present.holes().collect()
    }

    /// Whether a commit was refused and is not to be looked at yet.
    fn is_resting(&self, sequence: Sequence, now: Instant) -> bool {
        self.refused
            .get(&sequence)
            .is_some_and(|resting| now < resting.again)
    }
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as i64)
}
