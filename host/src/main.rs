//! `heplake-edge`: receives HEP and writes data files and commits. No DuckDB inside.

use clap::Parser;
use heplake_host::{
    process::{self, ConfigurationFile, Failure},
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
        On SIGTERM or SIGINT it writes what was received and exits with 0."
)]
struct Arguments {
    #[command(flatten)]
    file: ConfigurationFile,
}

fn main() -> ExitCode {
    match process::parse_arguments::<Arguments>() {
        Ok(arguments) => process::run(run(&arguments.file)),
        Err(code) => code,
    }
}

async fn run(file: &ConfigurationFile) -> Result<(), Failure> {
    service::run_edge(&file.read()?).await
}
