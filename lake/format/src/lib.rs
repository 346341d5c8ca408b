//! What both halves of Heplake agree on: tables, partitions, paths, and the commit.
//!
//! ```text
//!  host ──▶ main/<table>/date=YYYY-MM-DD/<edge>-<sequence>-<part>.parquet ──▶ lake
//!       ──▶ commits/<edge>/<sequence>.json  (its appearance is the commit) ──▶
//!       ──▶ claims/<edge>.json              (who writes under this name)
//! ```
//!
//! Everything here is persisted, or names what is: change it and lakes stop being
//! readable. The crate does no IO; it must never know a socket, a store or a database.

mod claim;
mod commit;
mod date;
mod edge;
mod path;
mod table;

pub use claim::{
    CLAIM_BYTES_MAX, CLAIM_FORMAT, CLAIMS_DIRECTORY, Claim, ClaimError, EdgeIdentity,
    EdgeIdentityError,
};
pub use commit::{
    COMMIT_BYTES_MAX, COMMIT_FORMAT, Commit, CommitError, CommitParts, ComponentDigest, DataFile,
    UnfitFile,
};
pub use date::{DateError, PartitionDate};
pub use edge::{EdgeName, EdgeNameError};
pub use path::{
    ASIDE_DIRECTORY, COMMITS_DIRECTORY, CommitPath, DATA_DIRECTORY, DataFilePath, PathError,
    Sequence, SequenceError,
};
pub use table::{COLUMNS_MAX, Column, ColumnType, TABLES_MAX, Table, TableError, TableName};
