//! The edge: from sockets to committed data files.
//!
//! ```text
//!  listener ─▶ worker: [ pipeline: envelope ─▶ parser ─▶ router ─▶ rows ] ─▶ data files ─▶ commit ─▶ store
//!              (sandbox: every component is WebAssembly without imports)
//! ```
//!
//! The host moves bytes, splits a TCP stream by HEP's length field, and checks what a
//! component returns. It never parses a packet, and knows nothing of the lake beyond
//! `heplake-format`.

pub mod configuration;

mod claim;
mod edge;
mod listener;

pub mod disk;
pub mod health;

mod batch;
mod commit;
mod lock;
mod log_limit;
mod permissions;
mod store;
mod worker;

mod components;
mod contained;
mod live_samples;
mod pipeline;

mod checked;
mod data_file;
mod rows;
mod sandbox;

pub mod http;
pub mod process;
pub mod service;
pub mod signature;
pub mod telemetry;

#[cfg(test)]
mod page;

pub use batch::{BATCH_BYTES_MAX, BATCH_PACKETS_MAX, PacketBatch};
pub use checked::{Checked, RowShape, Violation, check_routes};
pub use claim::NameError;
pub use commit::{CommitFailed, CommitStatus, Committed, OtherWriter, StoreFailure};
pub use components::{
    Activate, Activated, BreakerSettings, ComponentSet, ComponentStoreError, ComponentsError,
    Control, ControlError, Difference, Entry, Event, Kept, KeptBecause, PipelineOptions, Remove,
    Removed, Report, Slot, Stage, Version, WorkerLink,
};
pub use contained::{
    Breaker, ContainedParser, ContainedRouter, Items, Noted, Outcome, Parse, ParserSource, Quoted,
    Route, RouterSource, Share,
};
pub use data_file::{DataFileError, DataFileWriter, SealedFile};
pub use edge::{Edge, EdgeMonitor, StartError, Unwritten};
pub use listener::ListenError;
pub use live_samples::{LiveSamples, Sample};
pub use lock::{FileLock, FileLockError};
pub use permissions::DataPermissions;
pub use pipeline::{Pipeline, PipelineError, Tally, TimeWindow, Unfinished};
pub use rows::{PlanError, TablePlan, TableRows, Values};
pub use sandbox::{
    AnyComponent, Compiled, ComponentError, Engine, Export, Fault, Limits, Memory, Parser,
    ParserComponent, Router, RouterComponent, Survey, World,
};
pub use store::StoreError;
pub use worker::{Amount, Backlog, Exchange, Exchanged, SealedWork, Work, Worker, WorkerError};
