//! `heplake component encode`: a component of a core module.

use super::component_file;
use crate::command::print;
use clap::Args;
use heplake_encode::{World, encode, with_contract};
use heplake_host::process::Failure;
use std::{fs, path::PathBuf};

/// Arguments of `heplake component encode`.
#[derive(Args)]
#[command(
    after_help = "For languages other than Rust. The module exports what the world has, by the canonical ABI\n\
        (memory, cabi_realloc, configure, describe, parse or route), and imports nothing.\n\n\
        Example:\n  \
        clang --target=wasm32 -O3 -nostdlib -Wl,--no-entry -o graphite.module.wasm graphite.c\n  \
        heplake component encode graphite.module.wasm --world parser --output graphite.wasm"
)]
pub(super) struct EncodeArguments {
    /// The core module
    #[arg(value_name = "MODULE")]
    module: PathBuf,
    /// World of the contract: parser or router
    #[arg(long, value_name = "WORLD")]
    world: World,
    /// Where the component is written
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

pub(super) fn run(arguments: &EncodeArguments) -> Result<(), Failure> {
    let module = component_file::read(&arguments.module)?;
    let component = with_contract(&module, arguments.world)
        .and_then(|module| encode(&module))
        .map_err(|error| Failure::of(&arguments.module.display().to_string(), &error))?;
    let output = arguments.output.display();
    fs::write(&arguments.output, &component)
        .map_err(|error| Failure::of(&format!("cannot write {output}"), &error))?;
    print(format!("{output}: {} bytes\n", component.len()))
}
