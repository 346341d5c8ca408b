//! `heplake component remove`: takes components out of an edge's store.

use super::{
    super::print,
    control::{ControlArguments, EdgeControl},
    stage::escaped,
};
use clap::Args;
use heplake_host::{configuration::Configuration, process::Failure};
use heplake_lake::ladder::printable;
use serde_json::Value;
use std::fmt::Write as _;

/// Arguments of `heplake component remove`.
#[derive(Args)]
#[command(
    after_help = "A version that serves stays, and so do those that ship with Heplake. One that a rollback would go\n\
        back to goes by force only. Rows and columns that a component made stay in the lake.\n\n\
        Examples:\n  \
        heplake component remove 3f2a91c0   this version\n  \
        heplake component remove gauges     all versions of the name that nothing needs"
)]
pub(crate) struct RemoveArguments {
    #[command(flatten)]
    control: ControlArguments,
    /// A component's name, or a digest, or the first eight of its digits or more
    #[arg(value_name = "NAME|DIGEST")]
    key: String,
    /// Remove it though a rollback would go back to it
    #[arg(long)]
    force: bool,
}

pub(super) fn run(
    arguments: &RemoveArguments,
    configuration: &Configuration,
) -> Result<(), Failure> {
    let edge = EdgeControl::new(&arguments.control, configuration)?;
    let path = format!(
        "/{}?force={}&by={}",
        escaped(&arguments.key),
        arguments.force,
        escaped(&edge.by)
    );
    let removed = EdgeControl::accepted(edge.delete(&path)?)?;
    print(text(&removed))
}

fn text(done: &Value) -> String {
    let mut text = String::new();
    let versions = |key: &str| done[key].as_array().cloned().unwrap_or_default();
    let shown = |version: &Value| {
        let said = |key: &str| printable(version[key].as_str().unwrap_or_default());
        format!("{} {} {}", said("name"), said("version"), said("digest"))
    };
    for version in versions("removed") {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} is removed", shown(&version));
    }
    for version in versions("kept") {
        let reason = match version["reason"].as_str().unwrap_or_default() {
            "serves" => "it serves",
            "shipped" => "it came with Heplake",
            "rollback_target" => {
                "a rollback would go back to it, and --force removes it nevertheless"
            }
            other => &printable(other),
        };
        let _ = writeln!(text, "{} stays: {reason}", shown(&version));
    }
    if text.is_empty() {
        text.push_str("nothing was left of it but its name, which is free now\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn it_is_told_what_goes_what_stays_and_why() {
        let version =
            |version: &str| json!({ "name": "gauges", "version": version, "digest": "ab" });
        let mut kept = version("0.2.0");
        kept["reason"] = json!("rollback_target");
        let done = json!({ "removed": [version("0.1.0")], "kept": [kept] });
        let text = super::text(&done);
        assert!(text.contains("gauges 0.1.0 ab is removed\n"), "{text}");
        assert!(text.contains("gauges 0.2.0 ab stays: "), "{text}");
        assert!(text.contains("--force"), "{text}");
        let nothing = super::text(&json!({ "removed": [], "kept": [] }));
        assert!(nothing.contains("is free now"), "{nothing}");
    }
}
