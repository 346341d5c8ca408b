//! `heplake-edge`: receives HEP and writes data files and commits. No DuckDB inside.

use clap::Parser;
use heplake_host::{
    process::{self, ConfigurationFile, EdgeArguments, Failure},
    service,
};
use std::process::ExitCode;

/// Receives HEP, parses it in sandboxed components, writes Parquet files and commits.
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:\n  \
        heplake-edge\n  \
        HEPLAKE_DUCKLAKE_DATA_PATH=/mnt/lake/parquet heplake-edge\n  \
        heplake-edge --config /etc/heplake/heplake.toml\n\n\
        On SIGTERM or SIGINT it writes what was received and exits with 0. SIGHUP is ignored."
)]
struct Arguments {
    #[command(flatten)]
    file: ConfigurationFile,
    #[command(flatten)]
    edge: EdgeArguments,
}

fn main() -> ExitCode {
    match process::parse_arguments::<Arguments>() {
        Ok(arguments) => process::run(run(&arguments)),
        Err(code) => code,
    }
}

async fn run(arguments: &Arguments) -> Result<(), Failure> {
    service::run_edge(&arguments.file.read()?, &arguments.edge).await
}
