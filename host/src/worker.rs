//! A worker: a thread with a pipeline and data files of its own, sharing nothing.
//!
//! Between two batches its pipeline can be exchanged for another ([`Exchange`]): rows go on
//! in the same files, unless a table has other columns now.

mod exchange;
mod files;

pub use self::exchange::{Exchange, Exchanged};

use self::files::Files;
use crate::{
    batch::PacketBatch,
    configuration::Compression,
    data_file::{DataFileError, SealedFile},
    health::{Code, Health},
    pipeline::{Pipeline, Tally},
    rows::{PlanError, TableRows},
};
use heplake_format::{ComponentDigest, EdgeName, PartitionDate, Sequence, Table};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

/// How long a worker sleeps while the store holds it up.
const HELD_UP: Duration = Duration::from_millis(1);
/// How long a worker stands still before that is reported: shorter waits are how a busy edge and
/// its disk keep step.
const REPORTED_AFTER: Duration = Duration::from_secs(1);

/// Rows, and what they take in memory: encoded, as files hold them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Amount {
    /// More than there can be.
    pub const MAX: Self = Self {
        rows: u64::MAX,
        bytes: u64::MAX,
    };

    /// Whether there is as much of one of the two: many rows are small, and few can be large.
    #[must_use]
    pub fn reaches(self, limit: Self) -> bool {
        self.rows >= limit.rows || self.bytes >= limit.bytes
    }
}

/// What no commit holds yet: what the committer and the workers know of each other.
#[derive(Debug)]
pub struct Backlog {
    rows: AtomicU64,
    bytes: AtomicU64,
    /// The committer has all sealed files in hand and is writing them: until it is done
    /// it will ask no worker to seal.
    storing: AtomicBool,
    max: Amount,
    health: Arc<Health>,
}

impl Backlog {
    /// A backlog that holds workers up while the store is slow or away, once there is so
    /// much: what they do not take waits in the queue, then at the senders.
    #[must_use]
    pub fn new(max: Amount) -> Arc<Self> {
        Self::reporting(max, Health::new())
    }

    /// A backlog that reports to `health` when it is full.
    #[must_use]
    pub fn reporting(max: Amount, health: Arc<Health>) -> Arc<Self> {
        Arc::new(Self {
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            storing: AtomicBool::new(false),
            max,
            health,
        })
    }

    /// Where the edge of this backlog reports how it is.
    #[must_use]
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// What no commit holds yet.
    #[must_use]
    pub fn waiting(&self) -> Amount {
        Amount {
            rows: self.rows.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    /// What a worker had before is now so much.
    fn change(&self, before: Amount, now: Amount) {
        // Both go round at their end, so that a difference may be less than nothing.
        let rows = now.rows.wrapping_sub(before.rows);
        let bytes = now.bytes.wrapping_sub(before.bytes);
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The committer begins to write sealed files.
    pub fn begin_storing(&self) {
        self.storing.store(true, Ordering::Release);
    }

    /// The committer has committed so much.
    pub fn end_storing(&self, stored: Amount) {
        self.change(stored, Amount::default());
        self.storing.store(false, Ordering::Release);
    }

    /// Sleeps while the store is behind, and does meanwhile what else is to be done. Never
    /// while the committer waits for a worker.
    fn hold_up(&self, mut meanwhile: impl FnMut()) {
        let mut since = None;
        let mut is_reported = false;
        while self.storing.load(Ordering::Acquire) && self.waiting().reaches(self.max) {
            if since.is_none() {
                metrics::counter!("heplake_workers_held_up_total").increment(1);
            }
            let since = *since.get_or_insert_with(Instant::now);
            if !is_reported && since.elapsed() >= REPORTED_AFTER {
                is_reported = true;
                let Amount { rows, bytes } = self.waiting();
                let text =
                    format!("{rows} rows of {bytes} bytes wait for the store, as many as may");
                self.health.raise(Code::BacklogFull, text);
            }
            meanwhile();
            std::thread::sleep(HELD_UP);
        }
        if is_reported {
            self.health.settle(Code::BacklogFull);
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
    /// Nothing: wakes an idle worker to look for a pipeline to exchange its own for.
    Wake,
}

/// What a worker has made since it was last sealed.
#[derive(Debug, Default)]
pub struct SealedWork {
    /// The files.
    pub files: Vec<WorkedFile>,
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
    /// The components that made its rows.
    pub made_by: Vec<ComponentDigest>,
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
    pipeline: Box<Pipeline>,
    files: Files,
    packets: u64,
    exchange: Arc<Exchange>,
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
        Self {
            pipeline: Box::new(pipeline),
            files: Files::new(edge, compression, backlog),
            packets: 0,
            exchange: Arc::default(),
        }
    }

    /// Where its pipeline can be exchanged.
    #[must_use]
    pub fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// What became of the packets of the pipeline that it has now.
    #[must_use]
    pub fn tally(&self) -> &Arc<Tally> {
        self.pipeline.tally()
    }

    /// Works until there is nobody left to give it work, and says whether it came to that.
    /// Where it did not, which only a fault of this program can bring about, what it had and
    /// what waited for it is lost, and counted.
    #[must_use]
    pub fn work(mut self, mut work: mpsc::Receiver<Work>) -> bool {
        // What it may have left half done is looked at no more.
        let ended = catch_unwind(AssertUnwindSafe(|| self.run(&mut work)));
        let error = match ended {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it panicked, as was reported".into(),
        };
        let mut lost = self.packets;
        // Who has packets for it from now on finds that out, and counts them.
        work.close();
        while let Some(waiting) = work.blocking_recv() {
            if let Work::Packets(batch) = waiting {
                lost += batch.len() as u64;
            }
        }
        metrics::counter!("heplake_packets_lost_total", "reason" => "worker_stopped")
            .increment(lost);
        tracing::error!(
            error,
            lost,
            "a worker stopped: this is a fault of Heplake, please report it"
        );
        false
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
                            Ok(Work::Wake) => {}
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
                Work::Wake => self.exchange.meet(&mut self.pipeline),
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
            exchange,
        } = self;
        exchange.meet(pipeline);
        files.hold_up(|| exchange.meet(pipeline));
        *packets += batch.len() as u64;
        metrics::counter!("heplake_packets_processed_total").increment(batch.len() as u64);
        let mut write = |rows: TableRows<'_>| files.write(&rows);
        let mut unfinished = pipeline.process_until_cut_off(batch, &mut write)?;
        while let Some(left) = unfinished {
            exchange.await_successor(pipeline);
            unfinished = pipeline.go_on(left, &mut write)?;
        }
        Ok(())
    }

    /// Ends all files.
    ///
    /// # Errors
    /// Only a fault of this program.
    pub fn seal(&mut self, sequence: Sequence) -> Result<SealedWork, WorkerError> {
        Ok(SealedWork {
            // Whoever rolls back waits for no more than a column.
            files: self
                .files
                .seal(sequence, || self.exchange.meet(&mut self.pipeline))?,
            packets: std::mem::take(&mut self.packets),
        })
    }
}

#[cfg(test)]
mod tests;
