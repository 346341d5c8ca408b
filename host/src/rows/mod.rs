//! Rows of tables, as Arrow columns.
//!
//! ```text
//!  checked cells ──▶ [ plan: which field fills which column ] ──▶ [ columns ] ──▶ record batch
//! ```
//!
//! Columns of text are views into the very bytes that were received: no text is copied
//! before it is encoded. What has to be made (a UUID, an address as text, JSON) goes to a
//! buffer of the column's own.

mod address;
mod column;
mod json;
mod plan;

pub use column::{NONE, Origin, Refusal, Row, Space, arrow_type};
pub use plan::{EnvelopeFields, PlanError, TablePlan, TablePlans};
