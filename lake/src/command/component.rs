//! `heplake component`: writing, testing and signing components, a subcommand a file.

mod bench;
mod build;
mod component_file;
mod crate_directory;
mod encode;
mod inspect;
mod keygen;
mod new;
mod sample_files;
mod sign;
mod test;
mod trial;

use clap::{Args, Subcommand};
use heplake_host::process::Failure;

/// Arguments of `heplake component`.
#[derive(Args)]
#[command(
    after_help = "From nothing to a component that is tested in the sandbox:\n  \
        heplake component new gauges --proto-type 200\n  \
        cd gauges && cargo test                        the samples, natively\n  \
        heplake component test                         builds it; the samples, in the sandbox\n  \
        heplake component inspect target/gauges.wasm   what the edge will see of it"
)]
pub(crate) struct ComponentArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Write a crate with a parser that works, samples and a test
    New(new::NewArguments),
    /// Build a crate to a component
    Build(build::BuildArguments),
    /// Run samples through a component in the sandbox: bytes in, rows out
    Test(test::TestArguments),
    /// Measure a component: in the sandbox, natively, and against another
    Bench(bench::BenchArguments),
    /// Show what a component imports, exports and says of itself
    Inspect(inspect::InspectArguments),
    /// Make a component of a core module that another compiler made
    Encode(encode::EncodeArguments),
    /// Make a key that signs components
    Keygen(keygen::KeygenArguments),
    /// Sign a component: its exact bytes, with Ed25519
    Sign(sign::SignArguments),
}

pub(crate) fn run(arguments: &ComponentArguments) -> Result<(), Failure> {
    match &arguments.action {
        Action::New(arguments) => new::run(arguments),
        Action::Build(arguments) => build::run(arguments),
        Action::Test(arguments) => test::run(arguments),
        Action::Bench(arguments) => bench::run(arguments),
        Action::Inspect(arguments) => inspect::run(arguments),
        Action::Encode(arguments) => encode::run(arguments),
        Action::Keygen(arguments) => keygen::run(arguments),
        Action::Sign(arguments) => sign::run(arguments),
    }
}
