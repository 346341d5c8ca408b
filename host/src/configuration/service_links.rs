//! Variables that Kubernetes and Docker set for a service whose name starts with `heplake`: they look like ours, and set
//! nothing.
//!
//! A pod gets, for each service of its namespace, `{NAME}_SERVICE_HOST`, `{NAME}_SERVICE_PORT` (and one more for each
//! named port), `{NAME}_PORT` with an URL, and `{NAME}_PORT_{NUMBER}_{PROTOCOL}` with its parts. `docker --link` sets
//! the last two, `{NAME}_NAME` and `{NAME}_ENV_…`. Only names are believed for which a host or an URL is there, so that a
//! mistyped setting stays an error.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
const PARTS: [&str; 3] = ["_PROTO", "_PORT", "_ADDR"];

/// Those of these variables that tell of a service.
pub(super) fn service_links(variables: &BTreeMap<String, String>) -> BTreeSet<String> {
    let services: BTreeSet<&str> = variables
        .iter()
        .filter_map(|(name, value)| announced(name, value))
        .collect();
    let is_of = |(name, value): &(&String, &String)| {
        services.iter().any(|service| {
            let rest = name
                .strip_prefix(*service)
                .and_then(|rest| rest.strip_prefix('_'));
            rest.is_some_and(|rest| tells_of_a_service(rest, value))
        })
    };
    variables
        .iter()
        .filter(is_of)
        .map(|(name, _)| name.clone())
        .collect()
}

/// The service whose host, or whose URL, the variable has.
fn announced<'a>(name: &'a str, value: &str) -> Option<&'a str> {
    let host = name.strip_suffix("_SERVICE_HOST");
    let host = host.filter(|_| value.parse::<IpAddr>().is_ok());
    let url = name.strip_suffix("_PORT").filter(|_| is_url(value));
    host.or(url)
}

fn is_url(value: &str) -> bool {
    let protocol = value.split_once("://").map(|(protocol, _)| protocol);
    protocol.is_some_and(|found| PROTOCOLS.iter().any(|one| one.eq_ignore_ascii_case(found)))
}

/// Whether a variable is one of those, by what stands behind the name of the service.
fn tells_of_a_service(rest: &str, value: &str) -> bool {
    let port = || {
        let (number, protocol) = rest.strip_prefix("PORT_")?.split_once('_')?;
        let part = PARTS.iter().find_map(|part| protocol.strip_suffix(part));
        let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        Some(is_number && PROTOCOLS.contains(&part.unwrap_or(protocol)))
    };
    match rest {
        "SERVICE_HOST" | "SERVICE_PORT" => true,
        "PORT" => is_url(value),
        "NAME" => value.starts_with('/'),
        _ => rest.starts_with("SERVICE_PORT_") || rest.starts_with("ENV_") || port() == Some(true),
    }
}
