//! `heplake config`: what is configured, and whether it can be.

use super::print;
use clap::{Args, Subcommand};
use heplake_host::{
    configuration::{Configuration, ControlSettings, EdgeSettings, http_address},
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
    /// Check the configuration file, the HEPLAKE_… variables, and the places that they name; says everything that is
    /// wrong
    Check,
}

pub(crate) fn run(
    arguments: &ConfigArguments,
    configuration: &Configuration,
) -> Result<(), Failure> {
    EdgeSettings::resolve(configuration)?;
    ControlSettings::resolve(configuration)?;
    let settings = LakeSettings::resolve(configuration)?;
    http_address(configuration)?;
    match arguments.action {
        Action::Print => print(configuration.print()),
        Action::Check => check(configuration, &settings),
    }
}

fn check(configuration: &Configuration, settings: &LakeSettings) -> Result<(), Failure> {
    let mut problems = configuration.check_places()?;
    problems.extend(settings.check_extensions().err());
    if !problems.is_empty() {
        return Err(Failure::Usage(problems.join("\n")));
    }
    let mut text = String::from("The configuration is good.\n");
    if !configuration.service_links().is_empty() {
        let links = configuration.service_links().join(", ");
        text.push_str(&format!(
            "Ignored, since they tell of a service: {links}.\n"
        ));
    }
    print(text)
}
