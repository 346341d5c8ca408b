//! Registered files that change or vanish afterwards.
//!
//! Nothing should touch a registered file, and much can: a second edge of the same name, a
//! restored backup, a hand. The catalog knows the size, the footer and the times of each, so a
//! look at a file is enough. Files are looked at in turn, slowly; a file that a query could
//! not read is read whole at once.

use super::{RegisterError, Registered, Registrar, now_us, shown};
use crate::{
    catalog::{Catalog, ChangedRow, RegisteredFile},
    database::{DatabaseError, literal},
    footer::Footer,
    store::Look,
};
use heplake_format::DataFilePath;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Files that are looked at in one go, and the pause to the next: a look asks the store for a
/// file's size and time. A lake of a million files is looked at within 14 hours.
const FILES_AT_ONCE: usize = 200;
const PAUSE: Duration = Duration::from_secs(10);
/// Files that are read whole in one go, at most, and for how long.
const READ_AT_ONCE: usize = 8;
const READ_FOR: Duration = Duration::from_secs(2);

/// A registered file that changed or vanished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedFile {
    /// Relative to the data path.
    pub path: String,
    /// Its rows when it was registered.
    pub rows: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// What is known of changed files, and which are looked at next.
pub(super) struct ChangedFiles {
    known: BTreeMap<String, ChangedRow>,
    due: Option<Instant>,
    /// The id of the last file that was looked at.
    after: i64,
    /// The query failures that name no file are explained when every file was looked into
    /// that was written after it was registered: the ids that are left begin behind this.
    unnamed_after: Option<i64>,
}

impl ChangedFiles {
    pub(super) fn load(catalog: &Catalog) -> Result<Self, DatabaseError> {
        let known = catalog.changed_files()?.into_iter();
        Ok(Self {
            known: known.map(|row| (row.path.clone(), row)).collect(),
            due: None,
            after: -1,
            unnamed_after: None,
        })
    }

    pub(super) fn forget(&mut self, path: &str) {
        self.known.remove(path);
    }
}

/// How closely a file is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    /// Its size, its time, and its footer if the time is late.
    Facts,
    /// Also all its values if the time is late.
    ReadIfLate,
    /// Also all its values.
    Read,
}

impl Registrar {
    /// Looks at the next files, if it is time, and at those that queries failed at.
    pub(super) fn look_for_changes(
        &mut self,
        registered: &mut Registered,
    ) -> Result<(), RegisterError> {
        let started = Instant::now();
        let found = self.suspects.take();
        for path in found.paths.iter().take(READ_AT_ONCE) {
            for file in self.catalog.registered_files(-1, Some(path), 1)? {
                self.look_at(&file, Care::Read, registered)?;
            }
        }
        if found.unnamed && self.changed.unnamed_after.is_none() {
            self.changed.unnamed_after = Some(-1);
        }
        while let Some(after) = self.changed.unnamed_after
            && started.elapsed() < READ_FOR
        {
            let files = self.catalog.registered_files(after, None, FILES_AT_ONCE)?;
            self.changed.unnamed_after = None;
            for file in files {
                self.changed.unnamed_after = Some(file.data_file_id);
                self.look_at(&file, Care::ReadIfLate, registered)?;
                if started.elapsed() >= READ_FOR {
                    break;
                }
            }
        }
        if self.changed.due.is_some_and(|due| started < due) {
            return Ok(());
        }
        self.changed.due = Some(started + PAUSE);
        // Somebody may have put back what had changed.
        let known: Vec<_> = self.changed.known.keys().cloned().collect();
        for path in known {
            if started.elapsed() >= READ_FOR {
                break;
            }
            match self.catalog.registered_files(-1, Some(&path), 1)?.first() {
                Some(file) => self.look_at(file, Care::Read, registered)?,
                None => self.is_sound(&path)?,
            }
        }
        let after = self.changed.after;
        let files = self.catalog.registered_files(after, None, FILES_AT_ONCE)?;
        self.changed.after = match files.last() {
            Some(last) if files.len() == FILES_AT_ONCE => last.data_file_id,
            _ => -1,
        };
        for file in files {
            if !self.changed.known.contains_key(&file.path) {
                self.look_at(&file, Care::Facts, registered)?;
            }
        }
        Ok(())
    }

    fn look_at(
        &mut self,
        file: &RegisteredFile,
        care: Care,
        registered: &mut Registered,
    ) -> Result<(), RegisterError> {
        let Some(reason) = self.change_of(file, care)? else {
            return self.is_sound(&file.path);
        };
        let reason = shown(&reason);
        let known = self.changed.known.get(&file.path);
        if known.is_some_and(|known| known.reason == reason) {
            return Ok(());
        }
        let row = ChangedRow {
            path: file.path.clone(),
            rows: file.record_count,
            since_us: known.map_or_else(now_us, |known| known.since_us),
            reason,
        };
        self.catalog.note_changed(std::slice::from_ref(&row))?;
        let (path, rows, reason) = (&row.path, row.rows, &row.reason);
        tracing::error!(
            path,
            rows,
            reason,
            "a registered data file changed: `heplake repair list` shows what can be done"
        );
        registered.changed.push(ChangedFile {
            path: path.clone(),
            rows,
            reason: reason.clone(),
        });
        self.changed.known.insert(path.clone(), row);
        self.is_dirty = true;
        Ok(())
    }

    fn is_sound(&mut self, path: &str) -> Result<(), RegisterError> {
        if self.changed.known.remove(path).is_some() {
            self.catalog.forget_changed(path)?;
            self.is_dirty = true;
            tracing::info!(path, "a data file that had changed is sound again");
        }
        Ok(())
    }

    /// What is wrong with a registered file.
    fn change_of(
        &self,
        file: &RegisteredFile,
        care: Care,
    ) -> Result<Option<String>, RegisterError> {
        let (size, written_us) = match self.store.facts(&file.path) {
            Ok(Some(facts)) => facts,
            Ok(None) => return Ok(Some("it is gone".into())),
            Err(error) => return Ok(Some(error.without_path())),
        };
        if size != file.file_size_bytes {
            let registered = file.file_size_bytes;
            return Ok(Some(format!(
                "it has {size} bytes, and had {registered} when it was registered"
            )));
        }
        // Where the clock of a file server is ahead, this costs a look at the footer.
        let is_late = written_us > file.registered_us;
        if (is_late || care == Care::Read)
            && let Some(reason) = self.change_of_footer(file)?
        {
            return Ok(Some(reason));
        }
        if care == Care::Read || (is_late && care == Care::ReadIfLate) {
            return Ok(self.read_whole(&file.path).err());
        }
        Ok(None)
    }

    fn change_of_footer(&self, file: &RegisteredFile) -> Result<Option<String>, RegisterError> {
        // Files that DuckLake itself wrote have other names, and columns that are its own.
        let Ok(path) = file.path.parse::<DataFilePath>() else {
            return Ok(None);
        };
        let Some(table) = self.catalog.table_of_lake(&path.table) else {
            return Ok(None);
        };
        let look = match self.store.looks(std::slice::from_ref(&path)) {
            Ok(looks) => looks.into_iter().next(),
            Err(error) => return Ok(Some(error.without_path())),
        };
        let tail = match look {
            Some(Look::Tail(tail)) => tail,
            Some(Look::NotParquet(error)) => return Ok(Some(error.to_string())),
            Some(Look::Absent) | None => return Ok(Some("it is gone".into())),
        };
        let footer = match Footer::read(&tail.bytes, tail.footer_bytes, &table, path.date) {
            Ok(footer) => footer,
            // The lake's table may have been altered since, which is not the file's fault.
            Err(error) if error.is_of_the_table() && tail.footer_bytes == file.footer_size => {
                return Ok(None);
            }
            Err(error) => return Ok(Some(error.to_string())),
        };
        let (rows, registered) = (footer.record_count, file.record_count);
        if rows != registered {
            return Ok(Some(format!(
                "it has {rows} rows, and had {registered} when it was registered"
            )));
        }
        if tail.footer_bytes != file.footer_size
            || self
                .catalog
                .bounds_differ(file.data_file_id, &path.table, &footer)?
        {
            return Ok(Some(
                "it holds other rows than when it was registered".into(),
            ));
        }
        Ok(None)
    }

    /// Reads every value of a file, or says why that is not possible.
    pub(super) fn read_whole(&self, path: &str) -> Result<(), String> {
        let file = literal(&self.data_path.join(path).display().to_string());
        let read = self.catalog.execute(&format!(
            "SELECT max(hash(f)) FROM read_parquet([{file}], hive_partitioning = false) f"
        ));
        read.map_err(|error| {
            let message = error.to_string();
            let directory = format!("{}/", self.data_path.display());
            format!("it cannot be read: {}", message.replace(&directory, ""))
        })
    }
}
