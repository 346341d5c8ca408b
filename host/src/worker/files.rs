//! The data files that a worker has open, and those that are full.
//!
//! A writer that had rows stays when its file is sealed: the next rows most likely go where
//! the last went, and find its memory there.

use super::{Backlog, WorkedFile, WorkerError};
use crate::{configuration::Compression, data_file::DataFileWriter, rows::TableRows};
use heplake_format::{ComponentDigest, EdgeName, PartitionDate, Sequence, TableName};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, atomic::Ordering},
};

/// Files that a worker has open at a time. Each holds a row group; packets with times all
/// over a year would open one for each day. Beyond this the fullest is closed early.
const OPEN_FILES_MAX: usize = 64;

type Key = (TableName, PartitionDate);

pub(super) struct Files {
    edge: EdgeName,
    compression: Compression,
    open: BTreeMap<Key, OpenFile>,
    full: Vec<(PartitionDate, OpenFile)>,
    backlog: Arc<Backlog>,
}

/// A file that takes rows, and who made them.
struct OpenFile {
    writer: DataFileWriter,
    /// Of the rows that came last: as long as it is the same, there is nothing to compare.
    last_made_by: Arc<[ComponentDigest]>,
    made_by: Vec<ComponentDigest>,
}

impl Files {
    pub(super) fn new(edge: EdgeName, compression: Compression, backlog: Arc<Backlog>) -> Self {
        Self {
            edge,
            compression,
            open: BTreeMap::new(),
            full: Vec::new(),
            backlog,
        }
    }

    /// Sleeps while the store is behind, and does meanwhile what else is to be done.
    pub(super) fn hold_up(&self, meanwhile: impl FnMut()) {
        self.backlog.hold_up(meanwhile);
    }

    pub(super) fn write(&mut self, rows: &TableRows<'_>) -> Result<(), WorkerError> {
        let table = rows.plan.table();
        let key = (table.name.clone(), rows.date);
        let count = rows.len() as u64;
        let other_columns = |file: &OpenFile| {
            !Arc::ptr_eq(&file.last_made_by, rows.made_by) && file.writer.table() != table
        };
        if self.open.get(&key).is_some_and(other_columns) {
            self.close(&key);
        }
        let file = match self.open.entry(key.clone()) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(vacant) => vacant.insert(OpenFile {
                writer: DataFileWriter::new(table, self.compression)?,
                last_made_by: Arc::new([]),
                made_by: Vec::new(),
            }),
        };
        file.made_by(rows.made_by);
        file.writer.write(rows)?;
        self.backlog.rows.fetch_add(count, Ordering::Relaxed);
        metrics::counter!("heplake_rows_written_total", "table" => key.0.to_string())
            .increment(count);
        if file.writer.is_full() {
            self.close(&key);
        } else if self.open.len() > OPEN_FILES_MAX {
            self.open.retain(|_, file| file.writer.record_count() > 0);
        }
        if self.open.len() > OPEN_FILES_MAX {
            let fullest = self
                .open
                .iter()
                .max_by_key(|(_, file)| file.writer.record_count());
            if let Some(key) = fullest.map(|(key, _)| key.clone()) {
                self.close(&key);
            }
        }
        Ok(())
    }

    fn close(&mut self, key: &Key) {
        let file = self.open.remove(key);
        // One that is left of the commit before has no rows yet.
        if let Some(file) = file.filter(|file| file.writer.record_count() > 0) {
            self.full.push((key.1, file));
        }
    }

    pub(super) fn seal(&mut self, sequence: Sequence) -> Result<Vec<WorkedFile>, WorkerError> {
        self.open.retain(|_, file| file.writer.record_count() > 0);
        let mut full = std::mem::take(&mut self.full);
        let full = full.iter_mut().map(|(date, file)| (*date, file));
        let open = self.open.iter_mut();
        let all = full.chain(open.map(|((_, date), file)| (*date, file)));
        let mut files = Vec::new();
        for (date, file) in all {
            file.last_made_by = Arc::new([]);
            let made_by = std::mem::take(&mut file.made_by);
            files.push(WorkedFile {
                table: file.writer.table().clone(),
                date,
                sealed: file.writer.seal(&self.edge, sequence, &made_by)?,
                made_by,
            });
        }
        Ok(files)
    }
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
