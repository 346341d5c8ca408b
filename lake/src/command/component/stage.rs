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
use std::{fs, io, path::PathBuf};

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
    print(report::text(&staged))
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
    #[test]
    fn what_means_something_in_a_query_is_escaped() {
        assert_eq!(super::escaped("Ann & Bo=ü"), "Ann%20%26%20Bo%3D%C3%BC");
    }
}
