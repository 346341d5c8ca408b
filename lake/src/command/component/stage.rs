//! `heplake component stage`: uploads a component, which an edge compiles and tries.

use super::{
    super::print,
    control::{ControlArguments, EdgeControl},
    report,
};
use clap::Args;
use heplake_host::{
    configuration::Configuration,
    http::{SIGNATURE_HEADER, WASM},
    process::Failure,
};
use heplake_lake::ladder::printable;
use serde_json::Value;
use std::{fs, io, path::PathBuf};

/// Digits of a digest that are shown to be typed again: they hardly are those of another.
const DIGEST_SHOWN: usize = 12;

/// Arguments of `heplake component stage`.
#[derive(Args)]
pub(crate) struct StageArguments {
    #[command(flatten)]
    control: ControlArguments,
    /// The component; its signature is taken from FILE.sig if that is there
    #[arg(value_name = "FILE")]
    component: PathBuf,
    /// Its name, if it cannot tell it without its section of the configuration
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

pub(super) fn run(
    arguments: &StageArguments,
    configuration: &Configuration,
) -> Result<(), Failure> {
    let edge = EdgeControl::new(&arguments.control, configuration)?;
    let path = &arguments.component;
    let unreadable = |path: &PathBuf, error: io::Error| {
        Failure::of(&format!("{} cannot be read", path.display()), &error)
    };
    let bytes = fs::read(path).map_err(|error| unreadable(path, error))?;
    let mut beside = path.clone().into_os_string();
    beside.push(".sig");
    let beside = PathBuf::from(beside);
    let signature = match fs::read_to_string(&beside) {
        Ok(text) => Some(text.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(unreadable(&beside, error)),
    };
    let mut headers = vec![("content-type", WASM)];
    if let Some(signature) = &signature {
        headers.push((SIGNATURE_HEADER, signature));
    }
    let mut query = format!("?by={}", escaped(&edge.by));
    if let Some(name) = &arguments.name {
        query.push_str(&format!("&name={}", escaped(name)));
    }
    let staged = EdgeControl::accepted(edge.upload(&query, &headers, &bytes)?)?;
    print(format!("{}{}\n", report::text(&staged), next(&staged)))
}

/// What can be done with what was staged.
fn next(staged: &Value) -> String {
    let said = |key: &str| {
        let reasons = staged["report"][key].as_array();
        let reasons = reasons.into_iter().flatten().filter_map(Value::as_str);
        printable(&reasons.collect::<Vec<_>>().join("; "))
    };
    let digest = staged["digest"].as_str().unwrap_or_default();
    let digest = printable(digest.get(..DIGEST_SHOWN).unwrap_or(digest));
    match (said("impediments"), said("objections")) {
        (why, _) if !why.is_empty() => format!("it is in the store, but CANNOT SERVE: {why}"),
        (_, why) if !why.is_empty() => format!(
            "it is in the store, but serves BY FORCE ONLY (heplake component activate {digest} --force): {why}"
        ),
        _ => format!("heplake component activate {digest} has it serve"),
    }
}

/// A value of a query: what is no letter, digit or one of `-._~` is escaped (RFC 3986, 2.1).
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn the_last_line_says_what_can_be_done_with_it() {
        for (impediments, objections, expected) in [
            (
                json!([]),
                json!([]),
                "heplake component activate 0123456789ab has it serve",
            ),
            (
                json!([]),
                json!(["3 rows differ", "it is slower"]),
                "it is in the store, but serves BY FORCE ONLY (heplake component activate 0123456789ab --force): 3 rows differ; it is slower",
            ),
            (
                json!(["no router fits\u{1b}[2J"]),
                json!(["3 rows differ"]),
                "it is in the store, but CANNOT SERVE: no router fits",
            ),
        ] {
            let report = json!({ "impediments": impediments, "objections": objections });
            let staged = json!({ "digest": "0123456789abcdef".repeat(4), "report": report });
            let next = super::next(&staged);
            assert!(next.starts_with(expected), "{next}");
            assert!(!next.contains('\u{1b}'), "{next}");
        }
    }

    #[test]
    fn what_means_something_in_a_query_is_escaped() {
        assert_eq!(super::escaped("Ann & Bo=ü"), "Ann%20%26%20Bo%3D%C3%BC");
    }
}
