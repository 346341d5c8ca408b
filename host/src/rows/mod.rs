//! Rows of tables, still where they came from.
//!
//! ```text
//!  checked cells ──▶ [ plan: which field fills which column ] ──▶ values, column by column
//! ```
//!
//! Text stays in the very bytes that were received until a column of a data file takes it:
//! it is copied once, to where it is encoded. What has to be made (a UUID, an address as
//! text, JSON) is written there right away.

mod address;
mod column;
mod json;
mod origin;
mod plan;
mod source;
mod text;
mod uuid;

pub use column::{TableRows, Values};
pub use origin::{NONE, Origin, Refusal, Row, Space, WHOLE};
pub use plan::{EnvelopeFields, PlanError, TablePlan, TablePlans};
