//! The committer: all workers' files of a flush, written and made to count together.

use crate::{
    health::{Code, cause},
    store::{Store, StoreError},
    worker::{Amount, Backlog, SealedWork, Work},
};
use bytes::Bytes;
use heplake_format::{
    COMMIT_FORMAT, Commit, CommitPath, DataFile, DataFilePath, EdgeName, PartitionDate, Sequence,
    Table, TableName,
};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::{mpsc, oneshot};

/// Wait before a commit that failed is tried again: long enough for a full disk or an
/// absent store to be seen to, short enough that nobody waits for us.
const RETRY_AFTER: Duration = Duration::from_secs(1);

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    next: Sequence,
    workers: Vec<mpsc::Sender<Work>>,
    backlog: Arc<Backlog>,
    /// Packets that gave no row, so that there was nothing to commit: they count with the next
    /// that did.
    packets_before: u64,
    is_worker_gone: bool,
    /// All that was ever committed by this committer.
    total: Committed,
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
        let next = last.map_or(Sequence::FIRST, Sequence::next);
        Ok(Self {
            store,
            edge,
            next,
            workers,
            backlog,
            packets_before: 0,
            is_worker_gone: false,
            total: Committed::default(),
        })
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

    /// Seals all workers' files and commits them; retries until the store takes them. What a
    /// worker had that is gone is lost, and counted where it was: the others' is not.
    pub async fn commit(&mut self) -> Committed {
        let started = Instant::now();
        let sealed = self.seal().await;
        let packets = sealed.iter().map(|work| work.packets).sum::<u64>() + self.packets_before;
        let (commit, contents) = self.describe(sealed, packets);
        if commit.files.is_empty() {
            self.packets_before = packets;
            return Committed::default();
        }
        self.packets_before = 0;
        let committed = Committed {
            packets,
            rows: commit.files.iter().map(|file| file.record_count).sum(),
            files: commit.files.len() as u64,
        };
        let stored = Amount {
            rows: committed.rows,
            bytes: commit.files.iter().map(|file| file.file_size_bytes).sum(),
        };
        self.backlog.begin_storing();
        for (file, bytes) in commit.files.iter().zip(contents) {
            self.put(file.path.to_string(), bytes).await;
        }
        let path = CommitPath {
            edge: self.edge.clone(),
            sequence: self.next,
        };
        self.put(path.to_string(), commit.to_json().into()).await;

        self.backlog.end_storing(stored);
        self.next = self.next.next();
        self.total.packets += committed.packets;
        self.total.rows += committed.rows;
        self.total.files += committed.files;
        metrics::counter!("heplake_commits_total").increment(1);
        metrics::counter!("heplake_committed_rows_total").increment(committed.rows);
        metrics::counter!("heplake_committed_files_total").increment(committed.files);
        metrics::histogram!("heplake_commit_seconds").record(started.elapsed().as_secs_f64());
        tracing::info!(
            sequence = commit.sequence.0,
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

    /// The commit of these files, and their bytes in the same order.
    fn describe(&self, sealed: Vec<SealedWork>, packets: u64) -> (Commit, Vec<Bytes>) {
        let mut tables: BTreeMap<TableName, Table> = BTreeMap::new();
        let mut parts: BTreeMap<(TableName, PartitionDate), u16> = BTreeMap::new();
        let (mut files, mut contents, mut components) = (Vec::new(), Vec::new(), Vec::new());
        for work in sealed {
            for file in work.files {
                for component in &file.made_by {
                    if !components.contains(component) {
                        components.push(component.clone());
                    }
                }
                let part = parts
                    .entry((file.table.name.clone(), file.date))
                    .or_default();
                let path = DataFilePath {
                    table: file.table.name.clone(),
                    date: file.date,
                    edge: self.edge.clone(),
                    sequence: self.next,
                    part: *part,
                };
                *part += 1;
                files.push(DataFile {
                    path,
                    record_count: file.sealed.record_count,
                    file_size_bytes: file.sealed.bytes.len() as u64,
                    components: file.made_by.into_iter().map(|c| c.digest).collect(),
                });
                contents.push(file.sealed.bytes);
                match tables.entry(file.table.name.clone()) {
                    Entry::Vacant(vacant) => drop(vacant.insert(file.table)),
                    // Its columns changed within the flush: a column that one of the files
                    // lacks is null there.
                    Entry::Occupied(mut table) => table.get_mut().widen(&file.table),
                }
            }
        }
        let commit = Commit {
            format: COMMIT_FORMAT,
            edge: self.edge.clone(),
            sequence: self.next,
            created_us: now_us(),
            components,
            tables: tables.into_values().collect(),
            files,
            packets: BTreeMap::from([("received".into(), packets)]),
        };
        (commit, contents)
    }

    /// Writes an object, however long it takes: what is held here is held nowhere else.
    async fn put(&self, path: String, bytes: Bytes) {
        let mut failing = false;
        loop {
            match self.store.put(path.clone(), bytes.clone()).await {
                Ok(()) if failing => {
                    self.backlog.health().settle(Code::StoreUnwritable);
                    return tracing::info!(path, "the store takes files again");
                }
                Ok(()) => return,
                Err(error) => {
                    metrics::counter!("heplake_store_errors_total").increment(1);
                    if !failing {
                        tracing::error!(%error, "rows wait in memory until the store takes them");
                    }
                    failing = true;
                    let rows = self.backlog.waiting().rows;
                    let text = format!("{rows} rows wait in memory: {}", cause(&error));
                    self.backlog.health().raise(Code::StoreUnwritable, text);
                }
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
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
