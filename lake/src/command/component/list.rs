//! `heplake component list`: what is in an edge's store, and what serves.

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

/// Arguments of `heplake component list`.
#[derive(Args)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    control: ControlArguments,
    /// Print JSON, as the edge gave it
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &ListArguments, configuration: &Configuration) -> Result<(), Failure> {
    let edge = EdgeControl::new(&arguments.control, configuration)?;
    let listed = edge.get("")?;
    match arguments.json {
        true => print(format!("{listed:#}\n")),
        false => print(text(&listed)),
    }
}

fn text(listed: &Value) -> String {
    let mut text = format!(
        "{:<16} {:<10} {:<14} {:<10} {:>9}  {:<20} BY\n",
        "NAME", "VERSION", "DIGEST", "STATE", "BYTES", "STAGED"
    );
    let components = listed["components"].as_array();
    let mut components: Vec<&Value> = components.into_iter().flatten().collect();
    components.sort_by_key(|one| (one["name"].to_string(), one["staged_us"].as_u64()));
    for one in components {
        let digest = one["digest"].as_str().unwrap_or_default();
        let name = one["name"].as_str().unwrap_or_default();
        let _ = writeln!(
            text,
            "{:<16} {:<10} {:<14} {:<10} {:>9}  {:<20} {}",
            printable(name),
            printable(one["version"].as_str().unwrap_or_default()),
            digest.get(..12).unwrap_or(digest),
            state(&listed["active"][name], digest),
            one["size_bytes"].to_string(),
            when(&one["staged_us"]),
            printable(one["staged_by"].as_str().unwrap_or_default()),
        );
    }
    text
}

/// What a digest is to its name.
fn state(slot: &Value, digest: &str) -> &'static str {
    let is = |key: &str| slot[key].as_str() == Some(digest);
    match () {
        () if is("active") && slot["tripped"] == true => "CUT OFF",
        () if is("active") => "active",
        () if is("staged") => "staged",
        () if is("failed") => "failed",
        () if is("previous") => "previous",
        () => "-",
    }
}
