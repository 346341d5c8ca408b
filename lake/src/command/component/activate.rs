//! `heplake component activate` and `rollback`: what serves.

use super::{
    super::print,
    control::{ControlArguments, EdgeControl},
    report,
};
use clap::Args;
use heplake_host::{configuration::Configuration, process::Failure};
use heplake_lake::ladder::printable;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The code of an answer to whom only force helps.
const OBJECTED: &str = "objected";

/// Arguments of `heplake component activate`.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
        heplake component activate 3f2a91c0\n  \
        heplake component activate 3f2a91c0 88e01b7d    a parser and its router, together\n\n\
        Exit codes: 0 it serves, 2 its report objects and it serves by force only, 1 it cannot serve or failed,\n\
        64 wrong arguments or configuration.")]
pub(crate) struct ActivateArguments {
    #[command(flatten)]
    control: ControlArguments,
    /// Digests, or the first eight of their digits or more: all take over together
    #[arg(value_name = "DIGEST", required = true)]
    digests: Vec<String>,
    /// Activate it though its report objects
    #[arg(long)]
    force: bool,
}

/// Arguments of `heplake component rollback`.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
        heplake component rollback gauges                   from what serves now\n  \
        heplake component rollback gauges --from 3f2a91c0   only if that serves still")]
pub(crate) struct RollBackArguments {
    #[command(flatten)]
    control: ControlArguments,
    /// The component's name
    #[arg(value_name = "NAME")]
    name: String,
    /// The version that is to go, by its digest or the start of it [default: what serves now]
    #[arg(long, value_name = "DIGEST")]
    from: Option<String>,
}

pub(super) fn activate(
    arguments: &ActivateArguments,
    configuration: &Configuration,
) -> Result<(), Failure> {
    let edge = EdgeControl::new(&arguments.control, configuration)?;
    let Some((first, others)) = arguments.digests.split_first() else {
        return Ok(());
    };
    let request = json!({ "with": others, "force": arguments.force, "by": edge.by });
    match edge.post(&format!("/{first}/activate"), &request)? {
        Ok(activated) => print(text(&activated)),
        Err(denied) => {
            if let Some(found) = &denied.report {
                print(report::measured(found))?;
            }
            Err(match denied.code.as_deref() {
                Some(OBJECTED) => Failure::ByForceOnly(denied.message),
                _ => Failure::Failed(denied.message),
            })
        }
    }
}

pub(super) fn roll_back(
    arguments: &RollBackArguments,
    configuration: &Configuration,
) -> Result<(), Failure> {
    let edge = EdgeControl::new(&arguments.control, configuration)?;
    // What the breaker goes back from meanwhile is not gone back from once more.
    let serves = || {
        edge.get("")
            .map(|listed| listed["active"][&arguments.name]["active"].clone())
    };
    let from = match &arguments.from {
        Some(from) => json!(from),
        None => serves()?,
    };
    let answer = edge.post(
        &format!("/{}/rollback", arguments.name),
        &json!({ "from": from, "by": edge.by }),
    )?;
    print(text(&EdgeControl::accepted(answer)?))
}

fn text(activated: &Value) -> String {
    let mut text = String::new();
    let changed = activated["changed"].as_array();
    for change in changed.into_iter().flatten() {
        let name = printable(change[0].as_str().unwrap_or_default());
        // Writing to a string cannot fail.
        let _ = match change[1].as_str() {
            Some(digest) => writeln!(text, "{name} is now {}", printable(digest)),
            None => writeln!(text, "{name} serves no more"),
        };
    }
    if text.is_empty() {
        return "it serves already\n".into();
    }
    let pauses = activated["pauses_us"].as_array();
    let longest = pauses.into_iter().flatten().filter_map(Value::as_f64);
    let _ = writeln!(
        text,
        "in {:.1} ms; no worker paused for more than {:.0} us",
        activated["elapsed_ms"].as_f64().unwrap_or(0.0),
        longest.fold(0.0, f64::max)
    );
    let batches = activated["canary_batches"].as_u64().unwrap_or(0);
    if batches > 0 {
        let packets = &activated["canary_packets"];
        let watched_ms = activated["canary_ms"].as_f64().unwrap_or(0.0);
        let _ = writeln!(
            text,
            "one worker tried it on {packets} packets for {watched_ms:.1} ms"
        );
    }
    if let Some(warning) = activated["warning"].as_str() {
        let _ = writeln!(text, "warning: {}", printable(warning));
    }
    text
}
