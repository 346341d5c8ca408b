//! `heplake component report`: what a validation found.

use super::{
    super::print,
    control::{ControlArguments, EdgeControl},
};
use clap::Args;
use heplake_host::{configuration::Configuration, process::Failure};
use heplake_lake::ladder::printable;
use serde_json::Value;
use std::fmt::Write as _;

/// Arguments of `heplake component report`.
#[derive(Args)]
pub(crate) struct ReportArguments {
    #[command(flatten)]
    control: ControlArguments,
    /// The component's digest, or the first eight of its digits or more
    #[arg(value_name = "DIGEST")]
    digest: String,
    /// Print JSON, as the edge gave it
    #[arg(long)]
    json: bool,
}

pub(super) fn run(
    arguments: &ReportArguments,
    configuration: &Configuration,
) -> Result<(), Failure> {
    let edge = EdgeControl::new(&arguments.control, configuration)?;
    let entry = edge.get(&format!("/{}", arguments.digest))?;
    match arguments.json {
        true => print(format!("{entry:#}\n")),
        false => print(whole(&entry)),
    }
}

/// An entry and the measurements of its report, for people. Writing to a string cannot fail.
pub(super) fn text(entry: &Value) -> String {
    let said = |key: &str| printable(entry[key].as_str().unwrap_or_default());
    let mut text = format!(
        "{} {}, {} bytes\nsha256 {}\n",
        said("name"),
        said("version"),
        entry["size_bytes"],
        said("digest")
    );
    if let Some(key) = entry["signed_by"].as_str() {
        let _ = writeln!(text, "signed by {}", printable(key));
    }
    match &entry["report"] {
        Value::Null => text.push_str("it came with Heplake and was not tried here\n"),
        report => text.push_str(&measured(report)),
    }
    text
}

/// All that a report says: the measurements, and whether the component may serve.
fn whole(entry: &Value) -> String {
    let mut text = text(entry);
    let report = &entry["report"];
    for (key, what) in [
        ("impediments", "cannot serve"),
        ("objections", "should not serve"),
    ] {
        for reason in report[key].as_array().into_iter().flatten() {
            let _ = writeln!(text, "{what}: {}", shown(reason));
        }
    }
    let is_empty = |key: &str| report[key].as_array().is_some_and(Vec::is_empty);
    if is_empty("impediments") && is_empty("objections") {
        text.push_str("nothing objects to it\n");
    }
    text
}

/// Whether a component may serve, by its report.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Nothing objects to it.
    Accepted,
    /// It may serve by force only, for these reasons.
    Objected(String),
    /// It cannot serve, for these reasons.
    Impeded(String),
}

impl Judgement {
    /// What a report comes to.
    pub(super) fn of(report: &Value) -> Self {
        let reasons = |key: &str| {
            let reasons = report[key].as_array().into_iter().flatten();
            let reasons: Vec<&str> = reasons.filter_map(Value::as_str).collect();
            printable(&reasons.join("; "))
        };
        match (reasons("impediments"), reasons("objections")) {
            (why, _) if !why.is_empty() => Self::Impeded(why),
            (_, why) if !why.is_empty() => Self::Objected(why),
            _ => Self::Accepted,
        }
    }
}

/// The measurements of a report. There are none if the component could not be tried.
pub(super) fn measured(report: &Value) -> String {
    let mut text = String::new();
    if report["packets"].as_u64().unwrap_or(0) == 0 {
        return text;
    }
    let number = |key: &str| report[key].as_f64().unwrap_or(0.0);
    let mib = |key: &str| number(key) / f64::from(1 << 20);
    let _ = write!(
        text,
        "  golden packets {:>10}   came to it {}\n  rows the same  {:>10}\n  rows different {:>10}\n  rows rescued   {:>10}\n  \
           rejected       {:>10}   now {}\n  faults         {:>10}   now {}\n  \
           ns a packet    {:>10.0}   now {:.0}\n  memory, MiB    {:>10.1}   now {:.1}\n",
        report["packets"].to_string(),
        report["packets_reached"],
        report["rows_same"].to_string(),
        report["rows_different"].to_string(),
        report["rows_rescued"].to_string(),
        report["rejected_candidate"].to_string(),
        report["rejected_active"],
        report["faults"].to_string(),
        report["faults_active"],
        number("ns_per_packet_candidate"),
        number("ns_per_packet_active"),
        mib("memory_bytes_candidate"),
        mib("memory_bytes_active"),
    );
    for column in report["new_columns"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "  new column     {}", shown(column));
    }
    if let Some(difference) = report["first_difference"].as_object() {
        let of = |key: &str| difference.get(key).map_or_else(|| "no row".into(), shown);
        let _ = writeln!(
            text,
            "first difference: golden packet {}, {} now, {} then",
            of("packet"),
            of("table_active"),
            of("table_candidate")
        );
        let fields = difference.get("fields").and_then(Value::as_array);
        for field in fields.into_iter().flatten() {
            let _ = writeln!(
                text,
                "  {}: {} -> {}",
                shown(&field["field"]),
                shown(&field["active"]),
                shown(&field["candidate"])
            );
        }
    }
    text
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::String(text) => printable(text),
        value => value.to_string(),
    }
}
