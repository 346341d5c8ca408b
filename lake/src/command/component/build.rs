//! `heplake component build`: from a crate to a component.

use super::{
    component_file::Settings,
    crate_directory::{CrateDirectory, shown},
};
use crate::command::print;
use clap::Args;
use heplake_host::{AnyComponent, process::Failure};
use std::path::PathBuf;

/// Arguments of `heplake component build`.
#[derive(Args)]
#[command(
    after_help = "Compiles the crate for wasm32-unknown-unknown as the shipped components are (optimised, with\n\
        simd128, without paths of this machine), wraps it by the contract, and loads it once in the\n\
        sandbox. The component is written to DIR/target/NAME.wasm.\n\n\
        Examples:\n  \
        heplake component build\n  \
        heplake component build ../gauges"
)]
pub(super) struct BuildArguments {
    /// Directory of the crate
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(arguments: &BuildArguments) -> Result<(), Failure> {
    let path = CrateDirectory::find(&arguments.directory)?.build()?;
    let (bytes, survey) = arguments.settings.load(&path)?;
    let named = match &survey.component {
        AnyComponent::Parser(parser) => parser.named(),
        AnyComponent::Router(router) => router.named(),
    };
    print(format!(
        "{}: {} {}, {} bytes, sha256 {}\n",
        shown(&path),
        named.name,
        named.version,
        bytes.len(),
        named.digest
    ))
}
