//! Files that were set aside are looked at again: what was missing may have come, and
//! somebody may have put right what was wrong.

use super::{FileFault, RegisterError, Registered, Registrar, check, check::Claims, shown};
use crate::{
    catalog::{AsideState, NewFile, SetAsideFilter, SetAsideRow},
    database::DatabaseError,
};
use heplake_format::{DataFile, DataFilePath, EdgeName, Table};
use metrics::counter;
use std::time::{Duration, Instant};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(60);
/// Files of one look: some hundred milliseconds. The next look goes on behind them.
const FILES_AT_ONCE: usize = 256;

/// When the next look is due, and behind which file it begins.
#[derive(Default)]
pub(super) struct Schedule {
    due: Option<Instant>,
    after: Option<(EdgeName, u64, String)>,
}

impl Registrar {
    /// Looks at some of the files that were set aside, if it is time.
    pub(super) fn retry_set_aside(
        &mut self,
        registered: &mut Registered,
    ) -> Result<(), RegisterError> {
        let now = Instant::now();
        if self.retry.due.is_some_and(|due| now < due) {
            return Ok(());
        }
        self.retry.due = Some(now + PAUSE);
        let filter = SetAsideFilter {
            after: self.retry.after.take(),
            ..SetAsideFilter::default()
        };
        let rows = self.catalog.set_aside(&filter, FILES_AT_ONCE)?;
        if rows.len() == FILES_AT_ONCE {
            let last = rows.last();
            self.retry.after = last.map(|row| (row.edge.clone(), row.sequence, row.path.clone()));
        }
        for row in &rows {
            if let Ok(file) = self.retry_file(row, Claims::Held)? {
                registered.files += 1;
                registered.rows += file;
            }
        }
        Ok(())
    }

    /// Registers a file that was set aside, as it is. Returns its rows, or why it still
    /// does not fit.
    pub(super) fn retry_file(
        &mut self,
        row: &SetAsideRow,
        claims: Claims,
    ) -> Result<Result<u64, String>, RegisterError> {
        let fault = match self.examine(row, claims)? {
            Ok(file) => {
                let rows = file.footer.record_count;
                let done = self.catalog.register_set_aside(
                    row,
                    &file,
                    AsideState::Done,
                    "registered as it is",
                );
                match done {
                    Ok(()) => {
                        self.is_dirty = true;
                        let (edge, sequence) = (&row.edge, row.sequence);
                        tracing::info!(%edge, sequence, path = row.path, rows, "a file that was set aside is registered");
                        counter!("heplake_register_files_total").increment(1);
                        counter!("heplake_register_rows_total").increment(rows);
                        return Ok(Ok(rows));
                    }
                    Err(DatabaseError::Statement(message)) => FileFault::Description(message),
                    Err(error) => return Err(error.into()),
                }
            }
            Err(fault) => fault,
        };
        let mut row = row.clone();
        let reason = shown(&fault);
        if row.reason != reason {
            row.kind = fault.kind().into();
            row.reason.clone_from(&reason);
            self.catalog.write_reason(&row)?;
            self.is_dirty = true;
        }
        Ok(Err(reason))
    }

    /// What the catalog needs to know of a file that was set aside, if it fits now.
    fn examine(
        &mut self,
        row: &SetAsideRow,
        claims: Claims,
    ) -> Result<Result<NewFile, FileFault>, RegisterError> {
        let (path, table) = match described(row) {
            Ok(described) => described,
            Err(reason) => return Ok(Err(FileFault::Description(reason))),
        };
        let file = DataFile {
            path,
            record_count: row.rows,
            file_size_bytes: row.bytes,
            components: Vec::new(),
        };
        let looks = self.store.looks(std::slice::from_ref(&file.path))?;
        let Some(look) = looks.into_iter().next() else {
            return Ok(Err(FileFault::Absent));
        };
        let new = match check::new_file(&file, &table, look, claims) {
            Ok(new) => new,
            Err(fault) => return Ok(Err(fault)),
        };
        if new.footer.record_count > 0
            && let Some(conflict) = self.fit(&table)?
        {
            return Ok(Err(conflict.into()));
        }
        Ok(Ok(new))
    }
}

/// The path and the table of a file, if both can be.
fn described(row: &SetAsideRow) -> Result<(DataFilePath, Table), String> {
    let path = row.path.parse::<DataFilePath>();
    let path = path.map_err(|error| format!("its path cannot be: {error}"))?;
    if row.description.is_empty() {
        return Err("its table is not described by the commit".into());
    }
    let table = serde_json::from_str::<Table>(&row.description);
    let table = table.map_err(|error| format!("its table cannot be: {error}"))?;
    Ok((path, table))
}
