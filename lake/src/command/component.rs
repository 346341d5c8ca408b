//! `heplake component`: writing, testing and signing components, and those of a running
//! edge; a subcommand a file.

mod activate;
mod bench;
mod build;
mod component_file;
mod control;
mod crate_directory;
mod encode;
mod history;
mod inspect;
mod keygen;
mod list;
mod new;
mod remove;
mod report;
mod sample_files;
mod sign;
mod stage;
mod test;
mod trial;

use clap::{Args, Subcommand};
use heplake_host::{configuration::Configuration, process::Failure};
use serde_json::Value;

/// Arguments of `heplake component`.
#[derive(Args)]
#[command(after_help = "From nothing to a component that serves:\n  \
        heplake component new gauges --proto-type 200\n  \
        cd gauges && cargo test                        the samples, natively\n  \
        heplake component test                         builds it; the samples, in the sandbox\n  \
        heplake component inspect target/gauges.wasm   what the edge will see of it\n  \
        heplake component stage target/gauges.wasm     uploads it; it is tried, and does not serve yet\n  \
        heplake component activate 3f2a91c0            has it serve\n  \
        heplake component rollback gauges              goes back")]
pub(crate) struct ComponentArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Write a crate with a parser that works, samples and a test; or with a router
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
    /// List the components of a running edge, and which serve
    List(list::ListArguments),
    /// Upload a component: it is compiled and tried, and does not serve yet
    Stage(stage::StageArguments),
    /// Show what the trial of a component found
    Report(report::ReportArguments),
    /// Have components serve, after a canary
    Activate(activate::ActivateArguments),
    /// Go back to the version that served before
    Rollback(activate::RollBackArguments),
    /// Take components out of the store of a running edge
    Remove(remove::RemoveArguments),
    /// Show what was done to components, when and by whom
    History(history::HistoryArguments),
}

pub(crate) fn run(
    arguments: &ComponentArguments,
    configuration: impl FnOnce() -> Result<Configuration, Failure>,
) -> Result<(), Failure> {
    match &arguments.action {
        Action::New(arguments) => new::run(arguments),
        Action::Build(arguments) => build::run(arguments),
        Action::Test(arguments) => test::run(arguments),
        Action::Bench(arguments) => bench::run(arguments, configuration),
        Action::Inspect(arguments) => inspect::run(arguments),
        Action::Encode(arguments) => encode::run(arguments),
        Action::Keygen(arguments) => keygen::run(arguments),
        Action::Sign(arguments) => sign::run(arguments),
        Action::List(arguments) => list::run(arguments, &configuration()?),
        Action::Stage(arguments) => stage::run(arguments, &configuration()?),
        Action::Report(arguments) => report::run(arguments, &configuration()?),
        Action::Activate(arguments) => activate::activate(arguments, &configuration()?),
        Action::Rollback(arguments) => activate::roll_back(arguments, &configuration()?),
        Action::Remove(arguments) => remove::run(arguments, &configuration()?),
        Action::History(arguments) => history::run(arguments, &configuration()?),
    }
}

/// A time, µs since 1970, as people read it.
fn when(time_us: &Value) -> String {
    let time = time_us
        .as_i64()
        .and_then(chrono::DateTime::from_timestamp_micros);
    time.map_or_else(
        || "-".into(),
        |time| time.format("%Y-%m-%d %H:%M:%SZ").to_string(),
    )
}
