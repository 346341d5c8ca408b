//! The committer: all workers' files of a flush, written and made to count together.
//!
//! Everything is created and nothing replaced. If another writer uses this edge's name, each of
//! them finds the other's commit under the sequence that it was to use, takes the next one that
//! is free, and says so: the names differ then, and nothing is lost.

mod kept_sequence;
mod status;

pub use kept_sequence::KeptSequence;
pub use status::{CommitMonitor, CommitStatus, OtherWriter, StoreFailure};

use crate::{
    claim::HeldName,
    health::{Code, cause},
    store::{Contents, Creation, Store, StoreError},
    worker::{Amount, Backlog, SealedWork, Work},
};
use bytes::Bytes;
use heplake_format::{
    COMMIT_BYTES_MAX, COMMIT_FORMAT, Commit, CommitPath, ComponentDigest, DataFile, DataFilePath,
    EdgeName, PartitionDate, Sequence, Table, TableName,
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::{mpsc, oneshot};

/// Wait before a commit that failed is tried again: long enough for a full disk or an
/// absent store to be seen to, short enough that nobody waits for us.
const RETRY_AFTER: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 1000 });

/// How long health tells of another writer after it was last in the way: longer than most
/// edges take from one commit to the next.
const OTHER_WRITER_LASTS: Duration = Duration::from_secs(600);

/// Why not all could be committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitFailed {
    /// A worker is gone: its error stands in the log. What the others had is committed.
    #[error("a worker has stopped, and with it the rows that it held")]
    WorkerGone,
    /// The committer itself is gone: its panic was reported.
    #[error("the committer has stopped, and what it was to commit is lost")]
    CommitterGone,
}

/// What a commit holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Committed {
    /// Packets.
    pub packets: u64,
    /// Rows.
    pub rows: u64,
    /// Data files.
    pub files: u64,
}

/// Commits what an edge's workers have made.
#[derive(Debug)]
pub struct Committer {
    store: Store,
    edge: EdgeName,
    /// Held as long as something may be written under the name.
    name: Option<Arc<HeldName>>,
    /// Where the highest sequence that was used is kept, if anywhere.
    kept: Option<KeptSequence>,
    /// The highest sequence that this edge has used, as far as it knows by itself.
    used: Option<Sequence>,
    next: Sequence,
    workers: Vec<mpsc::Sender<Work>>,
    backlog: Arc<Backlog>,
    monitor: Arc<CommitMonitor>,
    /// Packets that gave no row, so that there was nothing to commit: they count with the next
    /// that did.
    packets_before: u64,
    is_worker_gone: bool,
    /// All that was ever committed by this committer.
    total: Committed,
}

/// All that the workers made until they were sealed.
struct Flush {
    packets: u64,
    tables: Vec<Table>,
    components: Vec<ComponentDigest>,
    files: Vec<FlushedFile>,
}

/// A data file that has no path yet.
struct FlushedFile {
    table: TableName,
    date: PartitionDate,
    record_count: u64,
    bytes: Bytes,
    /// Digests of the components that made its rows.
    components: Vec<String>,
}

impl Committer {
    /// Goes on after the last commit of this edge in the store.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn open(
        store: Store,
        edge: EdgeName,
        workers: Vec<mpsc::Sender<Work>>,
        backlog: Arc<Backlog>,
    ) -> Result<Self, StoreError> {
        let last = store.last_sequence(&edge).await?;
        Ok(Self {
            store,
            edge,
            name: None,
            kept: None,
            used: None,
            next: after(last),
            workers,
            backlog,
            monitor: Arc::default(),
            packets_before: 0,
            is_worker_gone: false,
            total: Committed::default(),
        })
    }

    /// Holds the edge's name until it is dropped, however the edge ends.
    #[must_use]
    pub fn holding(self, name: Arc<HeldName>) -> Self {
        Self {
            name: Some(name),
            ..self
        }
    }

    /// Goes on after the sequence that was kept, too, and keeps the last one from now on.
    pub async fn keeping(mut self, mut kept: KeptSequence) -> Self {
        self.used = kept.read();
        let next = after(self.used);
        if next > self.next {
            tracing::warn!(
                edge = %self.edge,
                in_store = self.next.0 - 1,
                used = next.0 - 1,
                "the last commits of this edge are not in its store any more: it goes on after the last one that it wrote"
            );
            self.next = next;
        } else if next < self.next && self.next < Sequence::MAX {
            // The first start with such a file: the store may lose its commits before the next.
            let last = Sequence(self.next.0 - 1);
            self.used = Some(last);
            kept.write(last).await;
        }
        self.kept = Some(kept);
        self
    }

    /// How committing goes, also after the committer is gone.
    #[must_use]
    pub fn monitor(&self) -> &Arc<CommitMonitor> {
        &self.monitor
    }

    /// All that was committed since it was opened.
    #[must_use]
    pub fn total(&self) -> Committed {
        self.total
    }

    /// Whether a worker was gone when it was asked for its files.
    #[must_use]
    pub fn is_worker_gone(&self) -> bool {
        self.is_worker_gone
    }

    /// Writes nothing any more, and lets others have the name; unless another writer uses it, who
    /// may be a copy of this edge and go on.
    pub async fn close(self) {
        if self.monitor.status().other_writer.is_some() {
            tracing::warn!(edge = %self.edge, "the edge's name stays claimed: another writer uses it");
        } else if let Some(name) = &self.name {
            name.release().await;
        }
    }

    /// Seals all workers' files and commits them; retries until the store takes them. What a
    /// worker had that is gone is lost, and counted where it was: the others' is not.
    pub async fn commit(&mut self) -> Committed {
        let started = Instant::now();
        let flush = Flush::of(self.seal().await);
        let packets = flush.packets + self.packets_before;
        if flush.files.is_empty() {
            self.monitor.no_row(flush.packets);
            self.packets_before = packets;
            return Committed::default();
        }
        self.packets_before = 0;
        let committed = Committed {
            packets,
            rows: flush.files.iter().map(|file| file.record_count).sum(),
            files: flush.files.len() as u64,
        };
        let stored = Amount {
            rows: committed.rows,
            bytes: flush.files.iter().map(|file| file.bytes.len() as u64).sum(),
        };
        self.backlog.begin_storing();
        self.monitor.begin(committed);
        let sequence = self.store(&flush, packets).await;
        self.backlog.end_storing(stored);
        self.monitor.end(flush.packets);

        self.next = sequence.next();
        self.used = Some(sequence);
        if let Some(kept) = &mut self.kept {
            kept.write(sequence).await;
        }
        self.total.packets += committed.packets;
        self.total.rows += committed.rows;
        self.total.files += committed.files;
        metrics::counter!("heplake_commits_total").increment(1);
        metrics::counter!("heplake_committed_rows_total").increment(committed.rows);
        metrics::counter!("heplake_committed_files_total").increment(committed.files);
        metrics::histogram!("heplake_commit_seconds").record(started.elapsed().as_secs_f64());
        tracing::info!(
            sequence = sequence.0,
            packets = committed.packets,
            rows = committed.rows,
            files = committed.files,
            elapsed_ms = started.elapsed().as_millis() as u64,
            "committed"
        );
        committed
    }

    /// Has every worker end its files.
    async fn seal(&mut self) -> Vec<SealedWork> {
        let mut replies = Vec::with_capacity(self.workers.len());
        for worker in &self.workers {
            let (reply, answer) = oneshot::channel();
            // Where the worker is gone the reply goes as well, and the answer says so.
            let _ = worker.send(Work::Seal(self.next, reply)).await;
            replies.push(answer);
        }
        let mut sealed = Vec::with_capacity(replies.len());
        for answer in replies {
            match answer.await {
                Ok(work) => sealed.push(work),
                Err(_) => self.is_worker_gone = true,
            }
        }
        sealed
    }

    /// Writes the files and then the commit, under a sequence that nobody else has used. The
    /// sequence that stands in the files' own metadata is the one that was free when they were
    /// sealed: it only tells people where a file came from.
    async fn store(&self, flush: &Flush, packets: u64) -> Sequence {
        let mut sequence = self.next;
        loop {
            // No commit takes the highest: there would be no next one.
            if sequence >= Sequence::MAX {
                sequence = self.until_sequence_is_free().await;
            }
            let path = self.path(sequence).to_string();
            // Asked before anything is written: files under a sequence that is taken would be
            // files that no commit names.
            if !self.until_done(|| self.store.exists(&path)).await
                && let Some(files) = self.create_files(flush, sequence).await
            {
                let commit = Commit {
                    format: COMMIT_FORMAT,
                    edge: self.edge.clone(),
                    sequence,
                    created_us: now_us(),
                    components: flush.components.clone(),
                    tables: flush.tables.clone(),
                    files,
                    packets: BTreeMap::from([("received".into(), packets)]),
                };
                let json = Bytes::from(commit.to_json());
                match self
                    .until_done(|| self.store.create(&path, json.clone()))
                    .await
                {
                    Creation::Written => return sequence,
                    Creation::Taken => self.delete_unnamed(&commit.files, &path).await,
                }
            }
            self.tell_of_other_writer(sequence).await;
            let last = self.until_done(|| self.store.last_sequence(&self.edge));
            sequence = last
                .await
                .map_or(sequence, |last| last.max(sequence))
                .next();
        }
    }

    /// Waits until the store holds no commit of the highest sequence any more.
    async fn until_sequence_is_free(&self) -> Sequence {
        let health = self.backlog.health();
        let mut is_told = false;
        loop {
            let last = self.until_done(|| self.store.last_sequence(&self.edge));
            let last = last.await.max(self.used);
            if after(last) < Sequence::MAX {
                if is_told {
                    health.settle(Code::StoreUnwritable);
                    tracing::info!("there are sequences for commits again");
                }
                return after(last);
            }
            let path = self.path(last.unwrap_or(Sequence::MAX));
            let text = format!(
                "no number is left for a commit after {path}: no edge wrote that file; remove it"
            );
            if !is_told {
                tracing::error!(edge = %self.edge, "rows wait in memory: {text}");
                is_told = true;
            }
            health.raise(Code::StoreUnwritable, text);
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    /// Deletes the data files that were created for a commit whose path another writer took
    /// first, because a reader of the directory without the lake would find their rows twice.
    ///
    /// Only the commit that has this sequence could name them too, if both writers made a file
    /// of the same bytes. Where that commit cannot be read they stay.
    async fn delete_unnamed(&self, files: &[DataFile], path: &str) {
        let found = self.store.read_up_to(path, COMMIT_BYTES_MAX).await;
        let other = match found {
            Ok(Some(Contents::Whole(json))) => Commit::from_json(&json).ok(),
            _ => None,
        };
        let Some(other) = other else {
            tracing::warn!(
                path,
                "files that no commit names stay: the commit that came first cannot be read"
            );
            return;
        };
        let is_named = |file: &&DataFile| other.files.iter().any(|named| named.path == file.path);
        for file in files.iter().filter(|file| !is_named(file)) {
            if let Err(error) = self.store.delete(&file.path.to_string()).await {
                tracing::warn!(%error, "a file that no commit names stays");
            }
        }
    }

    /// Creates the data files of a commit, each under the next name that is free; none if there
    /// are no more names under this sequence.
    async fn create_files(&self, flush: &Flush, sequence: Sequence) -> Option<Vec<DataFile>> {
        let mut parts: BTreeMap<(&TableName, PartitionDate), u16> = BTreeMap::new();
        let mut files = Vec::with_capacity(flush.files.len());
        for file in &flush.files {
            let part = parts.entry((&file.table, file.date)).or_default();
            let path = loop {
                let path = DataFilePath {
                    table: file.table.clone(),
                    date: file.date,
                    edge: self.edge.clone(),
                    sequence,
                    part: *part,
                };
                *part = part.checked_add(1)?;
                let name = path.to_string();
                let created = self.until_done(|| self.store.create(&name, file.bytes.clone()));
                match created.await {
                    Creation::Written => break path,
                    // Most likely by a run of this edge that was killed before its commit.
                    Creation::Taken => {
                        metrics::counter!("heplake_data_file_names_taken_total").increment(1);
                        tracing::info!(
                            path = name,
                            "the name of a data file is taken: it gets the next"
                        );
                    }
                }
            };
            files.push(DataFile {
                path,
                record_count: file.record_count,
                file_size_bytes: file.bytes.len() as u64,
                components: file.components.clone(),
            });
        }
        Some(files)
    }

    /// Tries until the store does it, however long that takes: what is held here is held
    /// nowhere else.
    async fn until_done<T, F>(&self, attempt: impl Fn() -> F) -> T
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        loop {
            match attempt().await {
                Ok(done) => {
                    if self.monitor.succeeded() {
                        self.backlog.health().settle(Code::StoreUnwritable);
                        tracing::info!("the store takes files again");
                    }
                    return done;
                }
                Err(error) => {
                    metrics::counter!("heplake_store_errors_total").increment(1);
                    if self.monitor.failed(error.to_string()) {
                        tracing::error!(%error, "rows wait in memory until the store takes them");
                    }
                    let rows = self.backlog.waiting().rows;
                    let text = format!("{rows} rows wait in memory: {}", cause(&error));
                    self.backlog.health().raise(Code::StoreUnwritable, text);
                }
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    /// Says that a sequence is taken by a commit that is not ours.
    async fn tell_of_other_writer(&self, sequence: Sequence) {
        let holder = match &self.name {
            Some(name) => name.holder().await,
            None => "nobody that is known".into(),
        };
        metrics::counter!("heplake_commit_sequences_taken_total").increment(1);
        tracing::warn!(
            edge = %self.edge,
            sequence = sequence.0,
            holder,
            "another writer uses this edge's name: nothing is lost, but give one of the two another edge.name"
        );
        let text = format!("another writer uses the name of this edge: {holder}");
        let health = self.backlog.health();
        health.raise_for(Code::EdgeNameTaken, OTHER_WRITER_LASTS, text);
        self.monitor.other_writer(holder);
    }

    fn path(&self, sequence: Sequence) -> CommitPath {
        CommitPath {
            edge: self.edge.clone(),
            sequence,
        }
    }
}

impl Flush {
    fn of(sealed: Vec<SealedWork>) -> Self {
        let packets = sealed.iter().map(|work| work.packets).sum();
        let mut tables: BTreeMap<TableName, Table> = BTreeMap::new();
        let (mut files, mut components) = (Vec::new(), Vec::new());
        for file in sealed.into_iter().flat_map(|work| work.files) {
            for component in &file.made_by {
                if !components.contains(component) {
                    components.push(component.clone());
                }
            }
            files.push(FlushedFile {
                table: file.table.name.clone(),
                date: file.date,
                record_count: file.sealed.record_count,
                bytes: file.sealed.bytes,
                components: file.made_by.into_iter().map(|c| c.digest).collect(),
            });
            match tables.entry(file.table.name.clone()) {
                Entry::Vacant(vacant) => drop(vacant.insert(file.table)),
                // Its columns changed within the flush: a column that one of the files
                // lacks is null there.
                Entry::Occupied(mut table) => table.get_mut().widen(&file.table),
            }
        }
        Self {
            packets,
            tables: tables.into_values().collect(),
            components,
            files,
        }
    }
}

/// The sequence after the last.
fn after(last: Option<Sequence>) -> Sequence {
    last.map_or(Sequence::FIRST, Sequence::next)
}

/// Now, µs since 1970, UTC.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
