//! The sandbox: the one home of wasmtime.
//!
//! Three lifetimes: an [`Engine`] a process, a [`ParserComponent`] or [`RouterComponent`]
//! a configuration (compiled, described, found to import nothing), a [`Parser`] or
//! [`Router`] a worker (an instance of its own, replaced when it traps).
//!
//! What a component returns is untrusted until [`crate::checked`] has read it.

mod engine;
mod parser;
mod router;
mod survey;

pub use engine::{ComponentError, Engine, Fault, Limits};
pub use parser::{Parser, ParserComponent};
pub use router::{Router, RouterComponent};
pub use survey::{AnyComponent, Export, Survey};
