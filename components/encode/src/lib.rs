//! From a crate, or a core module of any language, to a component.
//!
//! ```text
//!  crate ─ CrateBuild ─▶ core module, the contract in it ─┐
//!  C, Zig, … ─▶ core module ─ with_contract(World) ───────┴─ encode ─▶ component
//! ```
//!
//! What is built here imports nothing and is the same, byte for byte, on every machine. The
//! shipped components and those of `heplake component build` are made by this one code.

mod crate_build;
mod encode;

pub use crate_build::{BuildError, CrateBuild, Package, TARGET};
pub use encode::{EncodeError, World, encode, with_contract};

/// The contract between host and components: `wit/heplake.wit`.
pub const CONTRACT: &str = include_str!("../../../wit/heplake.wit");
