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

/// Packets of real programs, as they came from sockets: what a new component is tried with
/// before it serves. Each stands behind its length, four bytes in little-endian order.
const GOLDEN: &[u8] = include_bytes!("../golden.packets");

/// The golden packets.
pub fn golden_packets() -> impl Iterator<Item = &'static [u8]> {
    let mut rest = GOLDEN;
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk()?;
        let (packet, next) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        rest = next;
        Some(packet)
    })
}

#[cfg(test)]
mod tests;
