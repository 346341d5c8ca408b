//! Why a commit, or a file of one, is not registered.

use crate::{catalog::TableConflict, footer::FooterError};
use heplake_format::{CommitError, EdgeName, Sequence};

/// Longest reason that is kept, in characters: it may quote what an edge wrote, and goes into
/// the catalog, the log and every answer of `/health`.
const REASON_CHARACTERS_MAX: usize = 500;

/// How the reason of a commit begins whose number is in the ledger, for another document.
pub(crate) const REPLACED: &str = "another document of this number is registered already";

/// A commit that was refused as a whole.
#[derive(Debug, thiserror::Error)]
#[error("commit {sequence} of {edge} is refused: {reason}")]
pub struct RefusedCommit {
    /// Whose commit it is.
    pub edge: EdgeName,
    /// Its number.
    pub sequence: Sequence,
    /// What is wrong with it.
    pub reason: Refusal,
}

/// Why a commit is refused as a whole.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Its document is none.
    #[error(transparent)]
    Document(#[from] CommitError),
    /// Its document has more bytes than are read.
    #[error("the commit has {0} bytes, more than are read")]
    TooLarge(u64),
    /// Its document stands where another should.
    #[error("the document says that it is commit {sequence} of {edge}")]
    Misplaced {
        /// As the document says.
        edge: EdgeName,
        /// As the document says.
        sequence: Sequence,
    },
    /// Another document of this number is registered.
    #[error(
        "{REPLACED}, and its rows are not registered: the edge lost its commits and counts from the beginning again, or two edges have one name; give the edge a new name (docs/several-edges.md)"
    )]
    Replaced,
    /// Its number is larger than the catalog can hold.
    #[error("its number is too large")]
    Sequence,
    /// It describes a table, or names a file, twice.
    #[error("it has {0} twice")]
    Doubled(String),
    /// DuckDB does not take its rows in the catalog.
    #[error("the lake does not take it: {0}")]
    Lake(String),
}

/// Why a file of a commit is set aside. The path is not part of it.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// Its path or its table cannot be read.
    #[error("{0}")]
    Description(String),
    /// Its table does not fit the lake.
    #[error(transparent)]
    Table(#[from] TableConflict),
    /// It is not there.
    #[error("it is not in the store")]
    Absent,
    /// It has another size or number of rows than the commit says.
    #[error("it has {found} {what}, and the commit says {claimed}")]
    Claim {
        /// `bytes` or `rows`.
        what: &'static str,
        /// As it is.
        found: u64,
        /// As the commit has it.
        claimed: u64,
    },
    /// It is not what its table needs.
    #[error(transparent)]
    Footer(#[from] FooterError),
}

impl FileFault {
    /// Its kind, as the catalog and metrics have it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Description(_) => "description",
            Self::Table(TableConflict::Type { .. }) => "column_type",
            Self::Table(_) => "table",
            Self::Absent => "absent",
            Self::Claim { .. } => "claim",
            Self::Footer(_) => "file",
        }
    }
}

/// A reason that can be kept and shown: one line, and not long.
pub(crate) fn shown(reason: &impl std::fmt::Display) -> String {
    let reason = crate::ladder::printable(&reason.to_string());
    match reason.char_indices().nth(REASON_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason,
    }
}
