//! `heplake config`: what is configured, and whether it can be.

use super::print;
use clap::{Args, Subcommand};
use heplake_host::{
    configuration::{Configuration, EdgeSettings, http_address},
    process::Failure,
};
use heplake_lake::LakeSettings;

/// Arguments of `heplake config`.
#[derive(Args)]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Print every setting with the value in force, its default and its reason, as TOML
    Print,
    /// Check the configuration file and the HEPLAKE_… variables; says everything that is wrong
    Check,
}

pub(crate) fn run(
    arguments: &ConfigArguments,
    configuration: &Configuration,
) -> Result<(), Failure> {
    EdgeSettings::resolve(configuration)?;
    LakeSettings::resolve(configuration)?;
    http_address(configuration)?;
    match arguments.action {
        Action::Print => print(configuration.print()),
        Action::Check => print("The configuration is good.\n"),
    }
}
