//! A worker: a thread with a pipeline and data files of its own, sharing nothing.

use crate::{
    batch::PacketBatch,
    configuration::Compression,
    data_file::{DataFileError, DataFileWriter, SealedFile},
    pipeline::Pipeline,
    rows::{PlanError, TableRows},
};
use heplake_format::{ComponentDigest, EdgeName, PartitionDate, Sequence, Table, TableName};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Files that a worker has open at a time. Each holds a row group; packets with times all
/// over a year would open one for each day. Beyond this the fullest is closed early.
const OPEN_FILES_MAX: usize = 64;

/// How long a worker sleeps while the store holds it up.
const HELD_UP: Duration = Duration::from_millis(1);

/// Rows that no commit holds yet: what the committer and the workers know of each other.
#[derive(Debug)]
pub struct Backlog {
    rows: AtomicU64,
    /// The committer has all sealed files in hand and is writing them: until it is done
    /// it will ask no worker to seal.
    storing: AtomicBool,
    rows_max: u64,
}

impl Backlog {
    /// A backlog that holds workers up while the store is slow or away, once there are so
    /// many rows: what they do not take waits in the queue, then at the senders.
    #[must_use]
    pub fn new(rows_max: u64) -> Arc<Self> {
        Arc::new(Self {
            rows: AtomicU64::new(0),
            storing: AtomicBool::new(false),
            rows_max,
        })
    }

    /// Rows that no commit holds yet.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// The committer begins to write sealed files.
    pub fn begin_storing(&self) {
        self.storing.store(true, Ordering::Release);
    }

    /// The committer has committed so many rows.
    pub fn end_storing(&self, rows: u64) {
        self.rows.fetch_sub(rows, Ordering::Relaxed);
        self.storing.store(false, Ordering::Release);
    }

    /// Sleeps while the store is behind. Never while the committer waits for a worker.
    fn hold_up(&self) {
        let mut held_up = false;
        while self.storing.load(Ordering::Acquire) && self.rows() >= self.rows_max {
            if !held_up {
                metrics::counter!("heplake_workers_held_up_total").increment(1);
            }
            held_up = true;
            std::thread::sleep(HELD_UP);
        }
    }
}

/// What a worker is given to do.
#[derive(Debug)]
pub enum Work {
    /// Packets to store.
    Packets(PacketBatch),
    /// End all files: they are to be committed under this sequence.
    Seal(Sequence, oneshot::Sender<SealedWork>),
}

/// What a worker has made since it was last sealed.
#[derive(Debug, Default)]
pub struct SealedWork {
    /// The files.
    pub files: Vec<WorkedFile>,
    /// The components that made them.
    pub components: Vec<ComponentDigest>,
    /// Packets that went into them.
    pub packets: u64,
}

/// A file that a worker made.
#[derive(Debug)]
pub struct WorkedFile {
    /// Its table.
    pub table: Table,
    /// Its partition.
    pub date: PartitionDate,
    /// Its content.
    pub sealed: SealedFile,
}

/// Why a worker stopped: only a fault of this program.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Rows could not be encoded.
    #[error(transparent)]
    DataFile(#[from] DataFileError),
    /// A table of the storage layout could not be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// A worker's files and pipeline.
pub struct Worker {
    pipeline: Pipeline,
    files: Files,
    packets: u64,
}

impl Worker {
    /// A worker without work.
    #[must_use]
    pub fn new(
        pipeline: Pipeline,
        edge: EdgeName,
        compression: Compression,
        backlog: Arc<Backlog>,
    ) -> Self {
        let files = Files {
            edge,
            compression,
            components: pipeline.components(),
            open: BTreeMap::new(),
            full: Vec::new(),
            backlog,
        };
        Self {
            pipeline,
            files,
            packets: 0,
        }
    }

    /// Works until there is nobody left to give it work.
    ///
    /// # Errors
    /// Only a fault of this program.
    pub fn run(&mut self, work: &mut mpsc::Receiver<Work>) -> Result<(), WorkerError> {
        let mut next = work.blocking_recv();
        while let Some(work_now) = next.take() {
            match work_now {
                Work::Packets(mut batch) => {
                    // Small batches cost nearly what large ones do: take what waits along.
                    while !batch.is_full() {
                        match work.try_recv() {
                            Ok(Work::Packets(more)) if batch.has_room_for(&more) => {
                                batch.append(&more);
                            }
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.process(batch)?;
                }
                Work::Seal(sequence, reply) => {
                    // Nobody waits only when the process is on its way out.
                    let _ = reply.send(self.seal(sequence)?);
                }
            }
            if next.is_none() {
                next = work.blocking_recv();
            }
        }
        Ok(())
    }

    /// Stores a batch of packets.
    ///
    /// # Errors
    /// Only a fault of this program.
    pub fn process(&mut self, batch: PacketBatch) -> Result<(), WorkerError> {
        let Self {
            pipeline,
            files,
            packets,
        } = self;
        files.backlog.hold_up();
        *packets += batch.len() as u64;
        metrics::counter!("heplake_packets_processed_total").increment(batch.len() as u64);
        pipeline.process(batch, |rows| files.write(&rows))
    }

    /// Ends all files.
    ///
    /// # Errors
    /// Only a fault of this program.
    pub fn seal(&mut self, sequence: Sequence) -> Result<SealedWork, WorkerError> {
        Ok(SealedWork {
            files: self.files.seal(sequence)?,
            components: self.files.components.clone(),
            packets: std::mem::take(&mut self.packets),
        })
    }
}

/// The data files that a worker has open, and those that are full.
///
/// A writer that had rows stays when its file is sealed: the next rows most likely go where
/// the last went, and find its memory there.
struct Files {
    edge: EdgeName,
    compression: Compression,
    components: Vec<ComponentDigest>,
    open: BTreeMap<(TableName, PartitionDate), DataFileWriter>,
    full: Vec<(PartitionDate, DataFileWriter)>,
    backlog: Arc<Backlog>,
}

impl Files {
    fn write(&mut self, rows: &TableRows<'_>) -> Result<(), WorkerError> {
        let key = (rows.plan.table().name.clone(), rows.date);
        let count = rows.len() as u64;
        let writer = match self.open.entry(key.clone()) {
            std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::btree_map::Entry::Vacant(vacant) => {
                vacant.insert(DataFileWriter::new(rows.plan.table(), self.compression)?)
            }
        };
        writer.write(rows)?;
        self.backlog.rows.fetch_add(count, Ordering::Relaxed);
        metrics::counter!("heplake_rows_written_total", "table" => key.0.to_string())
            .increment(count);
        if writer.is_full() {
            self.close(&key);
        } else if self.open.len() > OPEN_FILES_MAX {
            self.open.retain(|_, writer| writer.record_count() > 0);
        }
        if self.open.len() > OPEN_FILES_MAX {
            let fullest = self
                .open
                .iter()
                .max_by_key(|(_, writer)| writer.record_count());
            if let Some(key) = fullest.map(|(key, _)| key.clone()) {
                self.close(&key);
            }
        }
        Ok(())
    }

    fn close(&mut self, key: &(TableName, PartitionDate)) {
        if let Some(writer) = self.open.remove(key) {
            self.full.push((key.1, writer));
        }
    }

    fn seal(&mut self, sequence: Sequence) -> Result<Vec<WorkedFile>, WorkerError> {
        self.open.retain(|_, writer| writer.record_count() > 0);
        let mut full = std::mem::take(&mut self.full);
        let full = full.iter_mut().map(|(date, writer)| (*date, writer));
        let open = self.open.iter_mut();
        let all = full.chain(open.map(|((_, date), writer)| (*date, writer)));
        let mut files = Vec::new();
        for (date, writer) in all {
            files.push(WorkedFile {
                table: writer.table().clone(),
                date,
                sealed: writer.seal(&self.edge, sequence, &self.components)?,
            });
        }
        Ok(files)
    }
}
