//! Times in the catalog are text in UTC.
//!
//! DuckLake compares them as text on SQLite: for time travel, and to expire snapshots. An
//! earlier Heplake let DuckLake write some of them in the time zone of the host, such as
//! `2026-11-29 21:36:39+05:30`, and wrote the others itself in UTC.

use crate::database::{DatabaseError, Session};
use serde::Deserialize;

/// Tables and columns of the catalog that hold a time.
const TIMES: [(&str, &str); 2] = [
    ("ducklake_snapshot", "snapshot_time"),
    ("ducklake_files_scheduled_for_deletion", "schedule_start"),
];

/// Rewrites every time that is not in UTC, in one transaction.
pub(super) fn mend(session: &Session, metadata: &str) -> Result<(), DatabaseError> {
    #[derive(Deserialize)]
    struct Count {
        rows: u64,
    }
    let mended = session.transaction(|| {
        let mut mended = 0;
        for (table, column) in TIMES {
            // A text that is no time at all is left for a person to look at.
            let is_foreign = format!(
                "NOT ends_with({column}, '+00') AND TRY_CAST({column} AS TIMESTAMPTZ) IS NOT NULL"
            );
            let select =
                format!("SELECT count(*) AS rows FROM {metadata}.{table} WHERE {is_foreign}");
            let found = session.rows::<Count>(&select, &[])?;
            let rows: u64 = found.iter().map(|count| count.rows).sum();
            if rows > 0 {
                session.execute(&format!(
                    "UPDATE {metadata}.{table}
                     SET {column} = {column}::TIMESTAMPTZ::VARCHAR WHERE {is_foreign}"
                ))?;
            }
            mended += rows;
        }
        Ok(mended)
    })?;
    if mended > 0 {
        tracing::warn!(
            rows = mended,
            "the catalog had times in the time zone of a host: they are in UTC now"
        );
    }
    Ok(())
}
