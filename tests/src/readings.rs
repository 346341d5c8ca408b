//! The components that `heplake component new` writes, as the guide to components has them.

/// The parser: a reading a line, of HEP protocol type 200.
pub const PARSER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/heplake-readings.wasm"));

/// The router of its rows: temperatures have a table of their own.
pub const ROUTER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/heplake-readings-router.wasm"));

/// HEP protocol type of the parser's payloads.
pub const PROTO_TYPE: u8 = 200;
