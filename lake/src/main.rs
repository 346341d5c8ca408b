//! `heplake`: the edge and the lake in one program, and the tools around them.

mod command;

use clap::{Parser, Subcommand};
use command::{
    component::ComponentArguments, config::ConfigArguments, repair::RepairArguments,
    replay::ReplayArguments, serve::Halves, sql::SqlArguments,
};
use heplake_host::{
    process::{self, ConfigurationFile, EdgeArguments, Failure},
    service,
};
use std::process::ExitCode;

/// Receives HEP from SIP servers and capture agents, keeps it as Parquet files in a DuckLake,
/// and answers SQL.
#[derive(Parser)]
#[command(
    name = "heplake",
    version,
    after_help = "Examples:\n  \
        heplake serve                                  receive on port 9060, answer on http://127.0.0.1:8080\n  \
        heplake serve --config /etc/heplake/heplake.toml\n  \
        heplake sql \"SELECT method, count(*) FROM hep_proto_1_call GROUP BY ALL\"\n  \
        heplake replay calls.pcap --to 127.0.0.1:9060\n  \
        heplake component list                         which components serve\n  \
        heplake component new gauges                   a parser of your own, to begin with\n  \
        heplake config print > heplake.toml            every setting, its default and its reason\n\n\
        Exit codes: 0 done, 1 failed, 2 force would do it (`component stage`, `activate`), 64 wrong\n\
        arguments or configuration."
)]
struct Arguments {
    #[command(flatten)]
    file: ConfigurationFile,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run edge and lake in one process, until SIGTERM or SIGINT
    Serve(EdgeArguments),
    /// Run the lake alone: register what edges commit, answer queries
    Lake,
    /// Run the edge alone: receive HEP, write data files and commits
    Edge(EdgeArguments),
    /// Ask a running lake
    Sql(SqlArguments),
    /// Show what the lake could not take, and decide what becomes of it
    Repair(RepairArguments),
    /// Print or check the configuration
    Config(ConfigArguments),
    /// Send the packets of capture files to a receiver of HEP
    Replay(ReplayArguments),
    /// Write, test and sign components; stage, activate and roll back those of a running edge
    Component(ComponentArguments),
}

fn main() -> ExitCode {
    match process::parse_arguments::<Arguments>() {
        Ok(arguments) => process::run(run(arguments)),
        Err(code) => code,
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let configuration = || arguments.file.read();
    match arguments.command {
        Command::Serve(edge) => command::serve::run(&configuration()?, Halves::Both(edge)).await,
        Command::Lake => command::serve::run(&configuration()?, Halves::Lake).await,
        Command::Edge(edge) => service::run_edge(&configuration()?, &edge).await,
        Command::Sql(arguments) => command::sql::run(&arguments, &configuration()?),
        Command::Repair(arguments) => command::repair::run(arguments, configuration()?).await,
        Command::Component(arguments) => command::component::run(&arguments, configuration),
        Command::Config(arguments) => command::config::run(&arguments, &configuration()?),
        Command::Replay(arguments) => command::replay::run(&arguments),
    }
}
