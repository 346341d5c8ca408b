//! `heplake component inspect`: what a component is.

use super::component_file::Settings;
use crate::command::print;
use clap::Args;
use heplake_host::{AnyComponent, Survey, process::Failure};
use serde_json::{Value, json};
use std::{fmt::Write, path::PathBuf};

/// Arguments of `heplake component inspect`.
#[derive(Args)]
#[command(
    after_help = "The component is loaded in the sandbox, under its limits, as the edge would load it: what\n\
        is no component, imports something or breaks the contract is refused with the reason, and\n\
        exit code 1.\n\n\
        Examples:\n  \
        heplake component inspect gauges.wasm\n  \
        heplake component inspect --json gauges.wasm | jq .description.fields\n  \
        heplake component inspect --settings '{\"custom_headers\": [\"X-Trunk\"]}' sip.wasm"
)]
pub(super) struct InspectArguments {
    /// The component
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(arguments: &InspectArguments) -> Result<(), Failure> {
    let (bytes, survey) = arguments.settings.load(&arguments.file)?;
    let facts = facts(bytes.len(), &survey);
    if arguments.json {
        return print(format!("{facts:#}\n"));
    }
    print(text(&facts))
}

/// All there is to say, as JSON.
fn facts(size_bytes: usize, survey: &Survey) -> Value {
    let (world, digest, description) = match &survey.component {
        AnyComponent::Parser(parser) => ("parser", parser.named(), json!(parser.description())),
        AnyComponent::Router(router) => ("router", router.named(), json!(router.description())),
    };
    let exports: serde_json::Map<String, Value> = survey
        .exports
        .iter()
        .map(|export| (export.name.clone(), export.signature.clone().into()))
        .collect();
    json!({
        "size_bytes": size_bytes,
        "sha256": digest.digest,
        "world": world,
        // What imports something has not been loaded.
        "imports": [],
        "exports": exports,
        "description": description,
    })
}

/// The same for a reader.
fn text(facts: &Value) -> String {
    let mut page = Page::default();
    page.line("size", &format!("{} bytes", facts["size_bytes"]));
    page.line("sha256", plain(&facts["sha256"]));
    page.line("world", plain(&facts["world"]));
    page.line("imports", "none");
    let exports = facts["exports"].as_object().into_iter().flatten();
    page.list(
        "exports",
        exports.map(|(name, signature)| format!("{name}: {}", plain(signature))),
    );
    let description = &facts["description"];
    page.line("name", plain(&description["name"]));
    page.line("version", plain(&description["version"]));
    if facts["world"] == "router" {
        page.line("routes", plain(&description["routes"]));
        page.list(
            "reads",
            items(&description["reads"]).map(|name| plain(name).into()),
        );
        for table in items(&description["tables"]) {
            page.list(
                "table",
                std::iter::once(plain(&table["name"]).to_owned())
                    .chain(items(&table["columns"]).map(column)),
            );
        }
        return page.0;
    }
    page.line("accepts", &accepts(&description["accepts"]));
    page.list(
        "context",
        items(&description["context"]).map(|name| plain(name).into()),
    );
    page.list(
        "fields",
        items(&description["fields"]).map(|field| pair(field, "kind")),
    );
    page.list(
        "verdicts",
        items(&description["verdicts"]).map(|verdict| pair(verdict, "class")),
    );
    page.0
}

fn accepts(accepts: &Value) -> String {
    let types: Vec<String> = items(&accepts["protocol_types"])
        .map(ToString::to_string)
        .collect();
    match types.as_slice() {
        [] => "datagrams: it is an envelope".into(),
        types => format!("payloads of HEP protocol type {}", types.join(", ")),
    }
}

fn column(column: &Value) -> String {
    let from: Vec<&str> = items(&column["from"]).map(plain).collect();
    let from = match from.as_slice() {
        [] => format!("{} members", items(&column["members"]).count()),
        from => from.join(", "),
    };
    format!("  {:<22} {from}", pair(column, "type"))
}

fn pair(of: &Value, what: &str) -> String {
    format!("{:<22} {}", plain(&of["name"]), plain(&of[what]))
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn plain(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Lines of a name and what belongs to it.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, name: &str, what: &str) {
        let _ = writeln!(self.0, "{}", format!("{name:<9} {what}").trim_end());
    }

    /// The name stands before the first of the list only.
    fn list(&mut self, name: &str, list: impl Iterator<Item = String>) {
        let mut name = name;
        for what in list {
            self.line(name, &what);
            name = "";
        }
        if !name.is_empty() {
            self.line(name, "none");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heplake_components::{SHIPPED, shipped};
    use heplake_host::{Engine, Limits};

    fn inspect(name: &str) -> Value {
        let bytes = shipped(name).unwrap().bytes;
        let engine = Engine::new().unwrap();
        let survey = Survey::of(&engine, bytes, "{}", Limits::default()).unwrap();
        facts(bytes.len(), &survey)
    }

    #[test]
    fn every_field_table_and_verdict_of_the_shipped_components_is_shown() {
        for component in SHIPPED {
            let facts = inspect(component.name);
            let shown = text(&facts);
            let description = &facts["description"];
            for list in ["fields", "verdicts", "tables"] {
                for item in items(&description[list]) {
                    assert!(shown.contains(plain(&item["name"])), "{item}\n{shown}");
                }
            }
            assert!(shown.contains(plain(&facts["sha256"])), "{shown}");
        }
    }

    #[test]
    fn a_parser_and_an_envelope_say_what_they_accept() {
        let shown = text(&inspect("sip"));
        assert!(
            shown.contains("accepts   payloads of HEP protocol type 1\n"),
            "{shown}"
        );
        assert!(shown.contains("imports   none\n"), "{shown}");
        let shown = text(&inspect("hep"));
        assert!(
            shown.contains("accepts   datagrams: it is an envelope\n"),
            "{shown}"
        );
    }
}
