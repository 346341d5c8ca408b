//! Components at work: which there are, which serve, and how one takes another's place.
//!
//! ```text
//!  bytes ─▶ [ store: by digest ] ─▶ [ validation: golden packets ] ─▶ report
//!                                                                      │ activate
//!  workers ◀── pipelines ◀── [ set: one version a name ] ◀── canary ◀──┘
//! ```
//!
//! Nothing here is on a packet's way: pipelines are made beforehand, and a worker takes one
//! between two batches.

mod activation;
mod canary;
mod control;
mod corpus;
mod entry;
mod history;
mod kept_samples;
mod removal;
mod replay;
mod report;
mod rollback;
mod set;
mod start;
mod state;
mod store;
mod tried;
mod validation;
mod watch;
mod workers;

pub use activation::Activated;
pub use control::{Activate, Control, ControlError, Stage};
pub use entry::Entry;
pub use history::Event;
pub use removal::{Kept, KeptBecause, Remove, Removed};
pub use report::{Difference, Report};
pub use set::{BreakerSettings, ComponentSet, ComponentsError, PipelineOptions, Version};
pub use state::Slot;
pub use store::ComponentStoreError;
pub use watch::watch;
pub use workers::WorkerLink;
