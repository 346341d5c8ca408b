//! Where data files and commits stand in the store.
//!
//! ```text
//! main/<table>/date=YYYY-MM-DD/<edge>-<20-digit sequence>-<4-digit part>.parquet
//! commits/<edge>/<20-digit sequence>.json
//! aside/main/…                         data files that somebody took out of the lake
//! ```
//!
//! A name derives from edge, sequence and table. An edge only ever creates files: where a name
//! is taken, by a file of a run that was killed or by another writer of the same name, it takes
//! the next part or the next sequence. A commit names its files, so parts may have holes, and a
//! file that no commit names is nothing. One directory a table and date: DuckLake's merge fails for ever on a
//! partition whose files stand in two (duckdb/ducklake issues 1082 and 1195).

use crate::{DateError, EdgeName, EdgeNameError, PartitionDate, TableError, TableName};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// DuckLake's directory of the schema `main`, below the data path.
pub const DATA_DIRECTORY: &str = "main";
/// Directory of the commits, below the data path.
pub const COMMITS_DIRECTORY: &str = "commits";
/// Directory of the data files that were taken out of the lake, below the data path. They
/// keep their paths below it, and nothing reads them.
pub const ASIDE_DIRECTORY: &str = "aside";
/// Digits of a sequence in a path: enough for any `u64`, so that paths sort as numbers do.
const SEQUENCE_DIGITS: usize = 20;

/// The number of a commit of one edge: 1, 2, 3, … without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The first sequence of an edge.
    pub const FIRST: Self = Self(1);

    /// The highest there can be: the catalog keeps sequences in columns of type BIGINT, which
    /// hold no higher number. No path has a higher one.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// The sequence that follows; after the highest, the highest.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1)).min(Self::MAX)
    }
}

/// A text is no sequence: no number, or a higher one than [`Sequence::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sequence is a number up to {}", i64::MAX)]
pub struct SequenceError;

impl FromStr for Sequence {
    type Err = SequenceError;

    fn from_str(text: &str) -> Result<Self, SequenceError> {
        let sequence = text.parse().map(Self).map_err(|_| SequenceError)?;
        match sequence <= Self::MAX {
            true => Ok(sequence),
            false => Err(SequenceError),
        }
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$}", self.0, width = SEQUENCE_DIGITS)
    }
}

/// Why a text is not a path of this layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It has other parts than the layout.
    #[error("`{0}` is not laid out as {1}")]
    Layout(String, &'static str),
    /// The table's name cannot be one.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The date is none.
    #[error(transparent)]
    Date(#[from] DateError),
    /// The edge's name cannot be one.
    #[error(transparent)]
    Edge(#[from] EdgeNameError),
}

/// Path of a data file, relative to the data path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DataFilePath {
    /// The table it belongs to.
    pub table: TableName,
    /// The partition it belongs to.
    pub date: PartitionDate,
    /// Who wrote it.
    pub edge: EdgeName,
    /// The commit that it came with.
    pub sequence: Sequence,
    /// Tells the commit's files of this table and date apart: ascending, with holes where a
    /// name was taken.
    pub part: u16,
}

impl DataFilePath {
    const LAYOUT: &'static str = "main/<table>/date=YYYY-MM-DD/<edge>-<sequence>-<part>.parquet";

    /// The path below the table's directory, as the catalog stores it.
    #[must_use]
    pub fn below_table(&self) -> String {
        let Self {
            date,
            edge,
            sequence,
            part,
            ..
        } = self;
        format!("date={date}/{edge}-{sequence}-{part:04}.parquet")
    }
}

impl fmt::Display for DataFilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{DATA_DIRECTORY}/{}/{}", self.table, self.below_table())
    }
}

impl FromStr for DataFilePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let layout = || PathError::Layout(text.into(), Self::LAYOUT);
        let mut parts = text.split('/');
        let (Some(DATA_DIRECTORY), Some(table), Some(date), Some(file), None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Err(layout());
        };
        let stem = file.strip_suffix(".parquet").ok_or_else(layout)?;
        // From the right: the name of an edge may hold dashes.
        let (stem, part) = stem.rsplit_once('-').ok_or_else(layout)?;
        let (edge, sequence) = stem.rsplit_once('-').ok_or_else(layout)?;
        let path = Self {
            table: table.parse()?,
            date: date.strip_prefix("date=").ok_or_else(layout)?.parse()?,
            edge: edge.parse()?,
            sequence: sequence.parse().map_err(|_| layout())?,
            part: part.parse().map_err(|_| layout())?,
        };
        if path.to_string() == text {
            Ok(path)
        } else {
            Err(layout())
        }
    }
}

/// Path of a commit, relative to the data path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitPath {
    /// Whose commit it is.
    pub edge: EdgeName,
    /// Its number.
    pub sequence: Sequence,
}

impl CommitPath {
    const LAYOUT: &'static str = "commits/<edge>/<sequence>.json";
}

impl fmt::Display for CommitPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{COMMITS_DIRECTORY}/{}/{}.json",
            self.edge, self.sequence
        )
    }
}

impl FromStr for CommitPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let layout = || PathError::Layout(text.into(), Self::LAYOUT);
        let mut parts = text.split('/');
        let (Some(COMMITS_DIRECTORY), Some(edge), Some(file), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(layout());
        };
        let digits = file.strip_suffix(".json").ok_or_else(layout)?;
        let path = Self {
            edge: edge.parse()?,
            sequence: digits.parse().map_err(|_| layout())?,
        };
        if path.to_string() == text {
            Ok(path)
        } else {
            Err(layout())
        }
    }
}

impl From<DataFilePath> for String {
    fn from(path: DataFilePath) -> Self {
        path.to_string()
    }
}

impl TryFrom<String> for DataFilePath {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_as_they_were_when_the_first_lake_was_written() {
        let file = DataFilePath {
            table: "hep_proto_1_call".parse().unwrap(),
            date: "2026-11-22".parse().unwrap(),
            edge: "fra-1".parse().unwrap(),
            sequence: Sequence(42),
            part: 3,
        };
        assert_eq!(
            file.to_string(),
            "main/hep_proto_1_call/date=2026-11-22/fra-1-00000000000000000042-0003.parquet"
        );
        let commit = CommitPath {
            edge: file.edge,
            sequence: file.sequence,
        };
        assert_eq!(
            commit.to_string(),
            "commits/fra-1/00000000000000000042.json"
        );
    }

    #[test]
    fn refuses_paths_of_another_layout() {
        for text in [
            "",
            "main/t/date=2026-11-22/e-1-0000.parquet",
            "other/t/date=2026-11-22/e-00000000000000000001-0000.parquet",
            "main/t/date=2026-11-32/e-00000000000000000001-0000.parquet",
            "main/t/date=2026-11-22/hour=1/e-00000000000000000001-0000.parquet",
            "main/../date=2026-11-22/e-00000000000000000001-0000.parquet",
            "main/t/date=2026-11-22/e-+0000000000000000001-0000.parquet",
        ] {
            assert!(text.parse::<DataFilePath>().is_err(), "{text}");
        }
        for text in [
            "commits/e/1.json",
            "commits/e/00000000000000000001",
            "e/00000000000000000001.json",
        ] {
            assert!(text.parse::<CommitPath>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_that_the_catalog_cannot_hold_is_in_no_path() {
        let commit = |number: u64| format!("commits/e/{number:020}.json").parse::<CommitPath>();
        let file = |number: u64| {
            let path = format!("main/t/date=2026-11-22/e-{number:020}-0000.parquet");
            path.parse::<DataFilePath>()
        };
        let highest = i64::MAX as u64;
        assert_eq!(commit(highest).unwrap().sequence, Sequence::MAX);
        assert_eq!(file(highest).unwrap().sequence, Sequence::MAX);
        for number in [highest + 1, u64::MAX - 1, u64::MAX] {
            assert!(commit(number).is_err(), "{number}");
            assert!(file(number).is_err(), "{number}");
        }
        assert_eq!(Sequence::MAX.next(), Sequence::MAX);
        assert_eq!(Sequence(highest - 1).next(), Sequence::MAX);
    }

    proptest! {
        #[test]
        fn a_path_survives_its_text(
            edge in "[a-zA-Z0-9][a-zA-Z0-9_-]{0,20}", table in "[a-z][a-z0-9_]{0,20}",
            micros: i64, sequence in 0..=Sequence::MAX.0, part: u16,
        ) {
            let path = DataFilePath {
                table: table.parse().unwrap(),
                date: PartitionDate::of_micros(micros),
                edge: edge.parse().unwrap(),
                sequence: Sequence(sequence),
                part,
            };
            prop_assert_eq!(path.to_string().parse::<DataFilePath>(), Ok(path.clone()));
            let commit = CommitPath { edge: path.edge, sequence: path.sequence };
            prop_assert_eq!(commit.to_string().parse::<CommitPath>(), Ok(commit));
        }
    }
}
