//! The sandbox: the one home of wasmtime.
//!
//! Three lifetimes: an [`Engine`] a process, a [`ParserComponent`] or [`RouterComponent`]
//! a configuration (compiled, described, found to import nothing), a [`Parser`] or
//! [`Router`] a worker (an instance of its own, replaced when it traps).
//!
//! What a component returns is untrusted until [`crate::checked`] has read it.

mod described;
mod engine;
mod instance;
mod parser;
mod pool;
mod precompiled;
mod router;
mod survey;

pub(crate) use engine::hexadecimal;
pub use engine::{Compiled, ComponentError, Engine, Fault, Limits, World};
pub use instance::Memory;
pub use parser::{Parser, ParserComponent};
pub use precompiled::TrustedCode;
pub use router::{Router, RouterComponent};
pub use survey::{AnyComponent, Export, Survey};
