//! Which version of each component serves, served before, and waits.

use heplake_format::{Column, ColumnType, Table};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the document.
pub(super) const STATE_FORMAT: u32 = 1;

/// The versions of one name, by digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The one that serves; none if it was taken out.
    pub active: Option<String>,
    /// The one that served before, and is gone back to.
    pub previous: Option<String>,
    /// The one that was staged last and does not serve yet.
    pub staged: Option<String>,
    /// The last one that was cut off or failed as a canary: it is never gone back to by itself.
    #[serde(default)]
    pub failed: Option<String>,
}

impl Slot {
    /// Whether a digest is one of these.
    pub(super) fn names(&self, digest: &str) -> bool {
        [&self.active, &self.previous, &self.staged]
            .into_iter()
            .flatten()
            .any(|own| own == digest)
    }
}

/// All that survives a restart besides the components themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// [`STATE_FORMAT`] of the writer.
    pub(super) format: u32,
    /// By name.
    pub(super) slots: BTreeMap<String, Slot>,
    /// All tables that components have ever declared here, with all their columns: a column
    /// keeps its type for good, since the lake has rows with it.
    pub(super) tables: Vec<Table>,
}

/// A column that is to have another type than it has had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "column `{column}` of `{table}` was {was} and would be {brought}: give the new one another name",
    was = .was.sql(),
    brought = .brought.sql()
)]
pub struct ChangedColumn {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// Its type so far.
    pub was: ColumnType,
    /// The type that it would have.
    pub brought: ColumnType,
}

impl State {
    /// Columns that these tables would add, as `table.column TYPE`.
    ///
    /// # Errors
    /// When one of their columns has another type so far.
    pub(super) fn new_columns<'a>(
        &self,
        tables: impl Iterator<Item = &'a Table>,
    ) -> Result<Vec<String>, ChangedColumn> {
        let layout = Table::of_a_new_lake();
        let mut added = Vec::new();
        for table in tables {
            let known = |columns: &[Table], column: &Column| {
                let mut tables = columns.iter().filter(|known| known.name == table.name);
                tables.find_map(|known| {
                    let mut columns = known.columns.iter();
                    columns
                        .find(|other| other.name == column.name)
                        .map(|other| other.column_type)
                })
            };
            for column in &table.columns {
                match known(&self.tables, column).or_else(|| known(&layout, column)) {
                    Some(was) if was != column.column_type => {
                        return Err(ChangedColumn {
                            table: table.name.to_string(),
                            column: column.name.to_string(),
                            was,
                            brought: column.column_type,
                        });
                    }
                    Some(_) => {}
                    None => added.push(format!(
                        "{}.{} {}",
                        table.name,
                        column.name,
                        column.column_type.sql()
                    )),
                }
            }
        }
        Ok(added)
    }

    /// Remembers tables that are written from now on.
    pub(super) fn remember<'a>(&mut self, tables: impl Iterator<Item = &'a Table>) {
        for table in tables {
            match self
                .tables
                .iter_mut()
                .find(|known| known.name == table.name)
            {
                Some(known) => known.widen(table),
                None => self.tables.push(table.clone()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, columns: &[(&str, ColumnType)]) -> Table {
        let column = |(name, column_type): &(&str, ColumnType)| Column {
            name: name.parse().unwrap(),
            column_type: *column_type,
        };
        Table {
            name: name.parse().unwrap(),
            columns: columns.iter().map(column).collect(),
        }
    }

    #[test]
    fn a_column_keeps_the_type_that_it_was_first_written_with() {
        use ColumnType::{UBigInt, Varchar};
        let mut state = State::default();
        let first = [table("gauges", &[("name", Varchar)])];
        assert_eq!(
            state.new_columns(first.iter()).unwrap(),
            ["gauges.name VARCHAR"]
        );
        state.remember(first.iter());
        let wider = [table("gauges", &[("name", Varchar), ("value", UBigInt)])];
        assert_eq!(
            state.new_columns(wider.iter()).unwrap(),
            ["gauges.value UBIGINT"]
        );
        state.remember(wider.iter());
        // What a version lacks is not forgotten.
        state.remember(first.iter());
        assert_eq!(state.new_columns(wider.iter()).unwrap(), [""; 0]);
        let changed = [table("gauges", &[("value", Varchar)])];
        let error = state.new_columns(changed.iter()).unwrap_err();
        assert_eq!(error.was, UBigInt);
        assert!(error.to_string().contains("another name"), "{error}");
    }

    #[test]
    fn the_storage_layout_holds_before_anything_was_written() {
        let state = State::default();
        let changed = [table(
            "hep_proto_1_call",
            &[("caller", ColumnType::UBigInt)],
        )];
        assert!(state.new_columns(changed.iter()).is_err());
    }
}
