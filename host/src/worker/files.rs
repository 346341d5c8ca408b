//! The data files that a worker has open, and those that are full.
//!
//! A writer that had rows stays when its file is sealed: the next rows most likely go where
//! the last went, and find its memory there.
//!
//! Senders say of which day a packet is, so how many files there are between two commits has
//! a bound: beyond it a day that has no file yet gets none. Its rows are stored under the
//! day of their arrival, as those are whose time cannot be, and keep their own time as
//! `data_extra.original_timestamp`.

use super::{Amount, Backlog, WorkedFile, WorkerError};
use crate::{
    configuration::Compression,
    data_file::{DataFileWriter, EndedFile},
    rows::{Row, TableRows},
};
use heplake_format::{ComponentDigest, EdgeName, PartitionDate, Sequence, TableName};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

/// Files that a worker has open at a time. Each holds a row group; packets with times all
/// over a year would open one for each day. Beyond this the fullest is closed early.
const OPEN_FILES_MAX: usize = 64;
/// Files that are closed early between two commits: as many again. Each is an object to
/// write and to register, however few rows it has. Beyond this there are further files only
/// for the days on which packets arrive, one for each table.
const CLOSED_EARLY_MAX: usize = 64;

type Key = (TableName, PartitionDate);

pub(super) struct Files {
    edge: EdgeName,
    compression: Compression,
    open: BTreeMap<Key, OpenFile>,
    full: Vec<FullFile>,
    /// How many of them there is nothing wrong with but that others had to be opened.
    closed_early: usize,
    /// What all of them hold, as the backlog knows it.
    held: Amount,
    backlog: Arc<Backlog>,
}

/// A file that takes rows, and who made them.
struct OpenFile {
    writer: DataFileWriter,
    /// Its bytes among those that are held.
    bytes: u64,
    /// Of the rows that came last: as long as it is the same, there is nothing to compare.
    last_made_by: Arc<[ComponentDigest]>,
    made_by: Vec<ComponentDigest>,
}

/// A file that takes no more rows: its writer's memory is given back.
struct FullFile {
    date: PartitionDate,
    file: EndedFile,
    made_by: Vec<ComponentDigest>,
}

impl Files {
    pub(super) fn new(edge: EdgeName, compression: Compression, backlog: Arc<Backlog>) -> Self {
        Self {
            edge,
            compression,
            open: BTreeMap::new(),
            full: Vec::new(),
            closed_early: 0,
            held: Amount::default(),
            backlog,
        }
    }

    /// Has the backlog know what is held now.
    fn hold(&mut self, now: Amount) {
        self.backlog.change(self.held, now);
        self.held = now;
    }

    /// Sleeps while the store is behind, and does meanwhile what else is to be done.
    pub(super) fn hold_up(&self, meanwhile: impl FnMut()) {
        self.backlog.hold_up(meanwhile);
    }

    pub(super) fn write(&mut self, rows: &TableRows<'_>) -> Result<(), WorkerError> {
        let key = (rows.plan.table().name.clone(), rows.date);
        if self.closed_early < CLOSED_EARLY_MAX || self.open.contains_key(&key) {
            return self.write_to(key, rows);
        }
        self.forget_empty();
        if self.open.len() < OPEN_FILES_MAX {
            return self.write_to(key, rows);
        }
        for (date, arrived) in by_arrival(rows) {
            let of_day = TableRows {
                date,
                rows: &arrived,
                ..*rows
            };
            self.write_to((key.0.clone(), date), &of_day)?;
        }
        Ok(())
    }

    fn write_to(&mut self, key: Key, rows: &TableRows<'_>) -> Result<(), WorkerError> {
        let table = rows.plan.table();
        let count = rows.len() as u64;
        let other_columns = |file: &OpenFile| {
            !Arc::ptr_eq(&file.last_made_by, rows.made_by) && file.writer.table() != table
        };
        if self.open.get(&key).is_some_and(other_columns) {
            self.close(&key)?;
        }
        let file = match self.open.entry(key.clone()) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(vacant) => vacant.insert(OpenFile {
                writer: DataFileWriter::new(table, self.compression)?,
                bytes: 0,
                last_made_by: Arc::new([]),
                made_by: Vec::new(),
            }),
        };
        file.made_by(rows.made_by);
        file.writer.write(rows)?;
        let bytes = file.writer.size_bytes() as u64;
        let before = std::mem::replace(&mut file.bytes, bytes);
        let is_full = file.writer.is_full();
        self.hold(Amount {
            rows: self.held.rows + count,
            bytes: self.held.bytes + bytes - before,
        });
        metrics::counter!("heplake_rows_written_total", "table" => key.0.to_string())
            .increment(count);
        if is_full {
            self.close(&key)?;
        } else if self.open.len() > OPEN_FILES_MAX {
            self.forget_empty();
        }
        if self.open.len() > OPEN_FILES_MAX && self.closed_early < CLOSED_EARLY_MAX {
            let fullest = self
                .open
                .iter()
                .max_by_key(|(_, file)| file.writer.record_count());
            if let Some(key) = fullest.map(|(key, _)| key.clone()) {
                self.closed_early += 1;
                self.close(&key)?;
            }
        }
        Ok(())
    }

    /// Gives up what is left of the commit before and has no rows yet.
    fn forget_empty(&mut self) {
        self.open.retain(|_, file| file.writer.record_count() > 0);
    }

    fn close(&mut self, key: &Key) -> Result<(), WorkerError> {
        let file = self.open.remove(key);
        if let Some(file) = file.filter(|file| file.writer.record_count() > 0) {
            let ended = file.writer.end()?;
            self.hold(Amount {
                bytes: self.held.bytes + ended.size_bytes() as u64 - file.bytes,
                ..self.held
            });
            self.full.push(FullFile {
                date: key.1,
                file: ended,
                made_by: file.made_by,
            });
        }
        Ok(())
    }

    /// Ends all files, and does now and then what else is to be done.
    pub(super) fn seal(
        &mut self,
        sequence: Sequence,
        mut meanwhile: impl FnMut(),
    ) -> Result<Vec<WorkedFile>, WorkerError> {
        self.forget_empty();
        self.closed_early = 0;
        let mut files = Vec::new();
        for full in std::mem::take(&mut self.full) {
            files.push(WorkedFile {
                table: full.file.table().clone(),
                date: full.date,
                sealed: full.file.seal(&self.edge, sequence, &full.made_by)?,
                made_by: full.made_by,
            });
            meanwhile();
        }
        for ((_, date), file) in &mut self.open {
            file.last_made_by = Arc::new([]);
            file.bytes = 0;
            let made_by = std::mem::take(&mut file.made_by);
            files.push(WorkedFile {
                table: file.writer.table().clone(),
                date: *date,
                sealed: file
                    .writer
                    .seal(&self.edge, sequence, &made_by, &mut meanwhile)?,
                made_by,
            });
            meanwhile();
        }
        // From here on it is the committer who has them, footers and all.
        let sealed = files.iter().map(|file| file.sealed.bytes.len() as u64);
        self.hold(Amount {
            bytes: sealed.sum(),
            ..self.held
        });
        self.held = Amount::default();
        Ok(files)
    }
}

impl Drop for Files {
    /// What is held here then is lost: no commit will take it off the backlog.
    fn drop(&mut self) {
        self.hold(Amount::default());
    }
}

/// The same rows with the time of their arrival, by its day.
fn by_arrival(rows: &TableRows<'_>) -> BTreeMap<PartitionDate, Vec<Row>> {
    let mut by_day: BTreeMap<PartitionDate, Vec<Row>> = BTreeMap::new();
    for row in rows.rows {
        let arrived = rows.origin.received.get(row.packet as usize);
        let arrived = arrived.and_then(|time| i64::try_from(*time).ok());
        let timestamp = arrived.unwrap_or(row.timestamp);
        let day = by_day.entry(PartitionDate::of_micros(timestamp));
        day.or_default().push(Row { timestamp, ..*row });
    }
    by_day
}

impl OpenFile {
    fn made_by(&mut self, made_by: &Arc<[ComponentDigest]>) {
        if Arc::ptr_eq(&self.last_made_by, made_by) {
            return;
        }
        self.last_made_by = made_by.clone();
        for component in made_by.iter() {
            if !self.made_by.contains(component) {
                self.made_by.push(component.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests;
