//! A file that is written anew with other columns: cast, renamed, or left out.
//!
//! The new file has one type a column, as the lake has it, so that engines which read the
//! directory without the catalog can read it too.

use super::repair::{ColumnDecision, RepairError};
use crate::database::literal;
use heplake_format::{Column, ColumnType, Table, TableName};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Column that keeps what a cast would lose, and the name within it.
const KEEPER: &str = "data_extra";
const KEPT: &str = "not_cast";

/// A table as a commit describes it: its names and types may be none of ours.
#[derive(Debug, Deserialize)]
pub(super) struct Described {
    columns: Vec<DescribedColumn>,
}

#[derive(Debug, Deserialize)]
struct DescribedColumn {
    name: String,
    #[serde(rename = "type")]
    column_type: String,
}

/// A column as DuckDB finds it in the file.
#[derive(Debug, Deserialize)]
pub(super) struct FileColumn {
    pub(super) column_name: String,
    pub(super) column_type: String,
}

/// How a file is written anew.
#[derive(Debug)]
pub(super) struct Rewrite {
    /// The table that the new file belongs to, with the columns that are left.
    pub(super) table: Table,
    /// Selects the columns of the new file; the source comes behind.
    select: String,
    /// Counts the values that a cast would lose; none if nothing is cast.
    lost: Option<String>,
    /// Whether the new file has a place for such values.
    keeps: bool,
}

impl Rewrite {
    /// Works out how a file of `found` columns becomes one of `table` of the lake.
    pub(super) fn of(
        described: &Described,
        found: &[FileColumn],
        table: &TableName,
        lake: Option<&Table>,
        decisions: &BTreeMap<String, ColumnDecision>,
    ) -> Result<Self, RepairError> {
        if let Some(unknown) = decisions
            .keys()
            .find(|name| !described.columns.iter().any(|c| c.name == **name))
        {
            return Err(RepairError::NoSuchColumn(unknown.clone()));
        }
        let type_in_lake = |name: &str| {
            let mut columns = lake.iter().flat_map(|table| &table.columns);
            let column = columns.find(|column| column.name.as_str() == name);
            column.map(|column| column.column_type)
        };
        let mut columns = Vec::new();
        let mut names = BTreeSet::new();
        for column in &described.columns {
            let decision = decisions.get(&column.name);
            let unreadable = |error: &dyn std::fmt::Display| {
                RepairError::Column(column.name.clone(), error.to_string())
            };
            let name = match decision {
                Some(ColumnDecision::LeaveOut) => continue,
                Some(ColumnDecision::Rename(to)) => to.clone(),
                _ => column.name.parse().map_err(|error| unreadable(&error))?,
            };
            let column_type = match decision {
                Some(ColumnDecision::Cast) => type_in_lake(&column.name)
                    .ok_or_else(|| RepairError::NothingToCastTo(column.name.clone()))?,
                _ => column
                    .column_type
                    .parse()
                    .map_err(|error| unreadable(&error))?,
            };
            if !names.insert(name.clone()) {
                return Err(RepairError::Doubled(name));
            }
            columns.push(Column { name, column_type });
        }
        let is_json = Some(ColumnType::Json);
        let has_keeper = found.iter().any(|c| c.column_name == KEEPER);
        let keeps = match type_in_lake(KEEPER) {
            None => has_keeper && columns.iter().any(|c| c.name.as_str() == KEEPER),
            there => there == is_json,
        };
        let keeps = keeps && !decisions.contains_key(KEEPER);
        let casts: Vec<Cast> = found
            .iter()
            .filter(|column| {
                matches!(
                    decisions.get(&column.column_name),
                    Some(ColumnDecision::Cast)
                )
            })
            .filter_map(|column| {
                let to = type_in_lake(&column.column_name)?;
                Some(Cast::of(column, to))
            })
            .collect();
        let keeps = keeps && !casts.is_empty();
        let mut selected = Vec::new();
        for column in found {
            let name = &column.column_name;
            let quoted = identifier(name);
            match decisions.get(name) {
                Some(ColumnDecision::LeaveOut) => {}
                Some(ColumnDecision::Rename(to)) => {
                    selected.push(format!("{quoted} AS {}", identifier(to.as_str())));
                }
                Some(ColumnDecision::Cast) => {
                    let cast = casts.iter().find(|cast| cast.name == *name);
                    selected.extend(cast.map(|cast| format!("{} AS {quoted}", cast.value)));
                }
                None if name == KEEPER && keeps => selected.push(keeper(&casts, &quoted)),
                None => selected.push(quoted),
            }
        }
        if keeps && !has_keeper {
            selected.push(keeper(&casts, "NULL::JSON"));
            let name: TableName = KEEPER
                .parse()
                .map_err(|_| RepairError::NoSuchColumn(KEEPER.into()))?;
            if names.insert(name.clone()) {
                columns.push(Column {
                    name,
                    column_type: ColumnType::Json,
                });
            }
        }
        let lost = casts
            .iter()
            .map(|cast| format!("count_if({})", cast.is_lost));
        let lost = lost.collect::<Vec<_>>().join(" + ");
        Ok(Self {
            table: Table {
                name: table.clone(),
                columns,
            },
            select: selected.join(", "),
            lost: (!lost.is_empty()).then_some(lost),
            keeps,
        })
    }

    /// Whether what a cast would lose is kept.
    pub(super) fn keeps(&self) -> bool {
        self.keeps
    }

    /// The SELECT that counts the values that a cast would lose, as `lost`.
    pub(super) fn count_lost(&self, source: &str) -> Option<String> {
        let lost = self.lost.as_ref()?;
        Some(format!("SELECT {lost} AS lost FROM {}", read(source)))
    }

    /// The statement that writes the new file.
    pub(super) fn copy(&self, source: &str, target: &str) -> String {
        format!(
            "COPY (SELECT {} FROM {}) TO {} (FORMAT parquet, COMPRESSION zstd)",
            self.select,
            read(source),
            literal(target)
        )
    }
}

/// The statement that describes the columns of a file.
pub(super) fn describe(source: &str) -> String {
    format!(
        "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {})",
        read(source)
    )
}

fn read(source: &str) -> String {
    format!(
        "read_parquet([{}], hive_partitioning = false)",
        literal(source)
    )
}

/// A column that gets another type.
struct Cast {
    name: String,
    /// The value in the other type; null if that would not be the same value.
    value: String,
    /// Whether a value is null for that reason.
    is_lost: String,
    /// The value as text.
    text: String,
}

impl Cast {
    fn of(column: &FileColumn, to: ColumnType) -> Self {
        let (from, to) = (&column.column_type, to.sql());
        let name = identifier(&column.column_name);
        // There and back again: 1.5 is no whole number, and `007` is not 7.
        let same =
            format!("TRY_CAST(TRY_CAST({name} AS {to}) AS {from}) IS NOT DISTINCT FROM {name}");
        Self {
            name: column.column_name.clone(),
            value: format!("CASE WHEN {same} THEN TRY_CAST({name} AS {to}) END"),
            is_lost: format!("({name} IS NOT NULL AND NOT ({same}))"),
            text: format!("{name}::VARCHAR"),
        }
    }
}

/// The column that keeps what casts would lose: `{"not_cast": {"jitter": "1.5"}}` beside what
/// is there already.
fn keeper(casts: &[Cast], there: &str) -> String {
    let any = casts.iter().map(|cast| cast.is_lost.as_str());
    let any = any.collect::<Vec<_>>().join(" OR ");
    // Merging leaves out what is null.
    let values = casts.iter().map(|cast| {
        let Cast {
            name,
            is_lost,
            text,
            ..
        } = cast;
        format!("{}, CASE WHEN {is_lost} THEN {text} END", literal(name))
    });
    let values = values.collect::<Vec<_>>().join(", ");
    format!(
        "(CASE WHEN {any} THEN json_merge_patch(coalesce({there}, '{{}}'),
            json_object('{KEPT}', json_object({values}))) ELSE {there} END)::JSON AS {}",
        identifier(KEEPER)
    )
}

/// A name as an SQL identifier.
fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
