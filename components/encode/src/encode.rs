//! Wraps core modules as components.

use crate::CONTRACT;
use std::{fmt, str::FromStr};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata, metadata};
use wit_parser::Resolve;

/// Why a module cannot be a component.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// No world of the contract.
    #[error("`{0}` is no world of the contract: there are parser and router")]
    World(String),
    /// The contract cannot be written into it.
    #[error("not a core WebAssembly module: {0}")]
    Module(String),
    /// It is a component already.
    #[error("it is a component already, not a core module")]
    Component,
    /// It exports something else than the contract, or imports something.
    #[error("it does not fit the contract: {0}")]
    Contract(String),
}

/// A world of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// From packets to rows.
    Parser,
    /// From rows to tables.
    Router,
}

impl World {
    /// Its name in the contract.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parser => "parser",
            Self::Router => "router",
        }
    }
}

impl FromStr for World {
    type Err = EncodeError;

    fn from_str(name: &str) -> Result<Self, EncodeError> {
        [Self::Parser, Self::Router]
            .into_iter()
            .find(|world| world.name() == name)
            .ok_or_else(|| EncodeError::World(name.into()))
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Writes into a core module which world it implements, as the SDK's bindings do: for modules
/// whose compiler knows nothing of components.
///
/// # Errors
/// It is no core module.
pub fn with_contract(module: &[u8], world: World) -> Result<Vec<u8>, EncodeError> {
    check_is_module(module)?;
    let mut module = module.to_vec();
    let failed = |error| EncodeError::Module(format!("{error:#}"));
    let mut resolve = Resolve::default();
    let package = resolve.push_str("heplake.wit", CONTRACT).map_err(failed)?;
    let world = resolve
        .select_world(&[package], Some(world.name()))
        .map_err(failed)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
        .map_err(failed)?;
    Ok(module)
}

/// Wraps a core module as a component, by the contract that is written in it.
///
/// # Errors
/// It is no core module, or does not export what the contract asks for.
pub fn encode(module: &[u8]) -> Result<Vec<u8>, EncodeError> {
    check_is_module(module)?;
    // Without one, what comes out is a valid component that has nothing in it.
    if let Ok((None, _)) = metadata::decode(module) {
        let reason = "no world of the contract is written in it";
        return Err(EncodeError::Contract(reason.into()));
    }
    ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| EncodeError::Contract(format!("{error:#}")))
}

/// A core module and a component begin alike; the version differs, and its upper half says
/// which ("layer") of the two it is.
fn check_is_module(module: &[u8]) -> Result<(), EncodeError> {
    match module {
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Err(EncodeError::Component),
        _ => Err(EncodeError::Module(
            "it does not begin as one does, with \\0asm and version 1".into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest core module: its header.
    const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

    #[test]
    fn refuses_what_is_no_core_module() {
        for bytes in [&b""[..], b"\0asm", b"ELF", b"\0asm\x0d\0\x01\0"] {
            assert!(with_contract(bytes, World::Parser).is_err());
            assert!(encode(bytes).is_err());
        }
    }

    #[test]
    fn refuses_a_module_of_no_world() {
        let refused = encode(EMPTY).unwrap_err().to_string();
        assert!(refused.contains("no world"), "{refused}");
    }

    #[test]
    fn says_which_export_a_module_lacks() {
        for (world, export) in [(World::Parser, "parse"), (World::Router, "route")] {
            let module = with_contract(EMPTY, world).unwrap();
            let refused = encode(&module).unwrap_err().to_string();
            assert!(refused.contains("does not fit the contract"), "{refused}");
            assert!(
                ["configure", "describe", export]
                    .iter()
                    .any(|name| refused.contains(name)),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_world_is_read_by_its_name() {
        for world in [World::Parser, World::Router] {
            assert_eq!(world.to_string().parse::<World>().unwrap(), world);
        }
        assert!("envelope".parse::<World>().is_err());
    }
}
