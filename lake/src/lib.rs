//! The lake: a DuckLake catalog, the registering of data files, and queries.
//!
//! ```text
//!  commits/<edge>/<sequence>.json ─▶ register ─▶ catalog ─▶ query ─▶ answers
//!  main/<table>/date=…/*.parquet  ─▶ (footers)   (SQLite)   (DuckDB, read-only)
//! ```
//!
//! [`Lake`] is all of it. Its calls block: from async code, use `spawn_blocking`. It never
//! sees a packet, and it never opens the catalog with anything but DuckDB: a second SQLite
//! library in one process would corrupt it.

mod settings;

mod lake;
mod lock;

mod catalog;
mod condition;
mod footer;
mod register;
mod sequences;
mod store;
mod suspects;

mod answer;
mod call;
mod query;
mod redaction;
mod search;
mod statement;
mod tables;

mod database;

mod configuration;
pub mod http;
pub mod ladder;
pub mod replay;
pub mod watcher;

pub use answer::{Answer, Columns, Cut, End, Flow, Receiver};
pub use catalog::{DataPathError, TableConflict};
pub use condition::{ChangedNow, Condition, ConditionReason, RefusedNow, SetAsideGroup, Waiting};
pub use database::DatabaseError;
pub use footer::FooterError;
pub use lake::{Lake, OpenError, Question};
pub use lock::LockError;
pub use query::{Cancellation, QueryError};
pub use register::{
    ChangedFile, ColumnDecision, Decision, FailedFile, FileFault, Given, Refusal, RefusedCommit,
    RegisterError, Registered, RepairError, Repaired, SetAsideFile,
};
pub use search::{Coverage, Search};
pub use sequences::Gap;
pub use settings::LakeSettings;
pub use statement::StatementRefusal;
pub use store::StoreError;
pub use tables::{ColumnSummary, TableSummary};
