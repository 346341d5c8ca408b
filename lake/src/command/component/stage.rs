//! `heplake component stage`: uploads a component, which an edge compiles and tries.

use super::{
    super::print,
    control::{ControlArguments, EdgeControl},
    report::{self, Judgement},
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
#[command(
    after_help = "Exit codes: 0 it is in the store and may serve, 2 it is in the store and serves by force only,\n\
        1 it cannot serve, or was not taken, 64 wrong arguments or configuration."
)]
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
    let mut text = report::text(&staged);
    let next = next(&staged);
    if let Ok(next) = &next {
        text.push_str(next);
    }
    print(text)?;
    next.map(|_| ())
}

/// What can be done with what was staged; an error if it may not serve as it is.
fn next(staged: &Value) -> Result<String, Failure> {
    let digest = staged["digest"].as_str().unwrap_or_default();
    let digest = printable(digest.get(..DIGEST_SHOWN).unwrap_or(digest));
    match Judgement::of(&staged["report"]) {
        Judgement::Accepted => Ok(format!(
            "nothing objects to it: heplake component activate {digest} has it serve\n"
        )),
        Judgement::Objected(why) => Err(Failure::ByForceOnly(format!(
            "it is in the store, but serves by force only (heplake component activate {digest} --force): {why}"
        ))),
        Judgement::Impeded(why) => Err(Failure::Failed(format!(
            "it is in the store, but cannot serve: {why}"
        ))),
    }
}

/// A value of a query: what is no letter, digit or one of `-._~` is escaped (RFC 3986, 2.1).
pub(super) fn escaped(text: &str) -> String {
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
    use super::Failure;
    use serde_json::json;

    #[test]
    fn the_last_line_says_what_can_be_done_with_it() {
        for (impediments, objections, expected) in [
            (
                json!([]),
                json!([]),
                "nothing objects to it: heplake component activate 0123456789ab has it serve",
            ),
            (
                json!([]),
                json!(["3 rows differ", "it is slower"]),
                "it is in the store, but serves by force only (heplake component activate 0123456789ab --force): 3 rows differ; it is slower",
            ),
            (
                json!(["no router fits\u{1b}[2J"]),
                json!(["3 rows differ"]),
                "it is in the store, but cannot serve: no router fits",
            ),
        ] {
            let report = json!({ "impediments": impediments, "objections": objections });
            let staged = json!({ "digest": "0123456789abcdef".repeat(4), "report": report });
            let next = match super::next(&staged) {
                Ok(next) | Err(Failure::ByForceOnly(next) | Failure::Failed(next)) => next,
                Err(Failure::Usage(other)) => other,
            };
            assert!(next.starts_with(expected), "{next}");
            assert!(!next.contains('\u{1b}'), "{next}");
        }
    }

    #[test]
    fn what_means_something_in_a_query_is_escaped() {
        assert_eq!(super::escaped("Ann & Bo=ü"), "Ann%20%26%20Bo%3D%C3%BC");
    }
}
