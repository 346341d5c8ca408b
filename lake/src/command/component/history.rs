//! `heplake component history`: what was done to an edge's components.

use super::{
    super::print,
    control::{ControlArguments, EdgeControl},
    when,
};
use clap::Args;
use heplake_host::{configuration::Configuration, process::Failure};
use heplake_lake::ladder::printable;
use serde_json::Value;
use std::fmt::Write as _;

/// Arguments of `heplake component history`.
#[derive(Args)]
pub(crate) struct HistoryArguments {
    #[command(flatten)]
    control: ControlArguments,
    /// Print JSON, as the edge gave it
    #[arg(long)]
    json: bool,
}

pub(super) fn run(
    arguments: &HistoryArguments,
    configuration: &Configuration,
) -> Result<(), Failure> {
    let edge = EdgeControl::new(&arguments.control, configuration)?;
    let history = edge.get("/history")?;
    match arguments.json {
        true => print(format!("{history:#}\n")),
        false => print(text(&history)),
    }
}

fn text(history: &Value) -> String {
    let mut text = String::new();
    for event in history["events"].as_array().into_iter().flatten() {
        let said = |key: &str| printable(event[key].as_str().unwrap_or_default());
        let digest = said("digest");
        let forced = if event["forced"] == true {
            " by force"
        } else {
            ""
        };
        let reason = match said("reason") {
            reason if reason.is_empty() => reason,
            reason => format!(": {reason}"),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}  {:<15} {} {} {} by {}{forced}{reason}",
            when(&event["at_us"]),
            said("event"),
            said("name"),
            said("version"),
            digest.get(..12).unwrap_or(&digest),
            said("by"),
        );
    }
    text
}
