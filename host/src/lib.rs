//! To come.

pub mod configuration;
pub mod http;
pub mod telemetry;
