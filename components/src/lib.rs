//! The shipped components, built and encoded by this package's build script.
//!
//! Host and tests load these bytes as they would load a component from anywhere else: a
//! shipped component has no privileges.

/// A component as the sandbox loads it.
#[derive(Debug, Clone, Copy)]
pub struct Shipped {
    /// The name that its `describe` gives, and its section of the configuration has.
    pub name: &'static str,
    /// The encoded WebAssembly component.
    pub bytes: &'static [u8],
}

/// Every shipped component.
pub const SHIPPED: &[Shipped] = include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// The shipped component of this name.
#[must_use]
pub fn shipped(name: &str) -> Option<Shipped> {
    SHIPPED
        .iter()
        .find(|component| component.name == name)
        .copied()
}

#[cfg(test)]
mod tests;
