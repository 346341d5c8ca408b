//! `heplake component new`: writes a crate to begin with.

mod files;
mod template;

use self::template::Template;
use crate::command::print;
use clap::Args;
use heplake_host::process::Failure;
use std::{
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

/// HEP protocol type of the example, which none of those known is.
const PROTO_TYPE: &str = "200";

/// Arguments of `heplake component new`.
#[derive(Args)]
#[command(
    after_help = "Writes a directory of that name: a parser of a made-up line protocol to be changed into\n\
        yours, samples, a test, a benchmark, and the SDK and contract of this heplake. With --router\n\
        it is a router of the rows of such a parser, with a test.\n\n\
        Examples:\n  \
        heplake component new gauges\n  \
        heplake component new parsers/rtp-report --proto-type 34\n  \
        heplake component new gauges-router --router        routes the rows of `gauges`\n  \
        heplake component new by-site --router --routes gauges"
)]
pub(super) struct NewArguments {
    /// Name of the component, as edges know it: lower-case letters, digits and dashes. A
    /// directory may stand before it
    #[arg(value_name = "NAME")]
    path: PathBuf,
    /// HEP protocol type of the payloads that it parses, or whose rows it routes
    #[arg(long, value_name = "N", default_value = PROTO_TYPE,
          value_parser = clap::value_parser!(u8))]
    proto_type: u8,
    /// Write a router instead of a parser
    #[arg(long)]
    router: bool,
    /// The parser whose rows the router routes [default: NAME without its `-router`]
    #[arg(long, value_name = "PARSER", requires = "router")]
    routes: Option<String>,
}

/// Components that ship with Heplake: a test holds that these are all.
const SHIPPED: [&str; 3] = ["hep", "sip", "sip-router"];

/// Ending of a router's name that tells the parser it belongs to.
const ROUTER_ENDING: &str = "-router";

pub(super) fn run(arguments: &NewArguments) -> Result<(), Failure> {
    let name = arguments.path.file_name().unwrap_or_default();
    let parsed = |name: &str| -> Result<Name, Failure> {
        name.parse()
            .map_err(|error: NameError| Failure::Usage(error.to_string()))
    };
    let name = parsed(&name.to_string_lossy())?;
    let routes = match arguments.router {
        true => Some(parsed(parser_of(&name, arguments.routes.as_deref())?)?),
        false => None,
    };
    let template = routes.as_ref().map_or(Template::Parser, Template::Router);
    let files = template.files(&name, arguments.proto_type);
    write(&arguments.path, &files)?;
    if SHIPPED.contains(&&*name.0) {
        eprintln!(
            "warning: `{0}` is the name of a component that ships with Heplake: an edge that activates yours has it in the place of its own `{0}`. If that is not meant, give another name",
            name.0
        );
    }
    let path = arguments.path.display();
    let kind = match &routes {
        None => format!("a parser of HEP protocol type {}", arguments.proto_type),
        Some(Name(routes)) => format!("a router of the rows of `{routes}`"),
    };
    let told = next_steps(&path.to_string(), &name, routes.is_some());
    print(format!("{path}: {} files, {kind}\n\n{told}", files.len()))
}

/// The parser that a router belongs to.
fn parser_of<'a>(Name(name): &'a Name, routes: Option<&'a str>) -> Result<&'a str, Failure> {
    let by_name = name.strip_suffix(ROUTER_ENDING);
    routes.or(by_name).ok_or_else(|| {
        Failure::Usage(format!(
            "--routes is missing: it names the parser whose rows `{name}` routes; a router that is called PARSER{ROUTER_ENDING} needs none"
        ))
    })
}

/// The commands that come next, each with what it does.
fn next_steps(path: &str, Name(name): &Name, is_router: bool) -> String {
    let inspect = format!("heplake component inspect target/{name}.wasm");
    let (tests, build, change) = match is_router {
        false => (
            "the samples, natively",
            (
                "heplake component test",
                "builds it; the samples, in the sandbox",
            ),
            "Then change src/lib.rs and samples/ into your protocol.",
        ),
        true => (
            "which table a row goes to, natively",
            ("heplake component build", "builds it"),
            "Then change the fields, tables and columns in src/lib.rs into yours.",
        ),
    };
    let steps = [
        ("cargo test", tests),
        build,
        (&*inspect, "what the edge will see of it"),
    ];
    let width = steps.iter().map(|(command, _)| command.len()).max();
    let width = width.unwrap_or(0);
    let steps = steps.map(|(command, what)| format!("  {command:<width$}  {what}\n"));
    format!(
        "  cd {path}\n{}\n{change} README.md goes on from there.\n",
        steps.concat()
    )
}

/// A name that a component can have, and its crate.
#[derive(Debug, PartialEq, Eq)]
struct Name(String);

/// Why a name cannot be one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum NameError {
    #[error(
        "`{0}` is no name of a component: give lower-case letters, digits and single dashes, \
         beginning with a letter, such as rtp-report"
    )]
    Form(String),
    #[error("the name has {0} letters, more than {NAME_LENGTH_MAX}")]
    Long(usize),
    #[error("`{0}` is a word of Rust or of Cargo: give another name")]
    Reserved(String),
}

/// Longest name: it stands in a metric's label and in each commit.
const NAME_LENGTH_MAX: usize = 64;

/// Names that Cargo refuses, or that something in the crate has.
const RESERVED: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "base64",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "heplake-sdk",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "serde",
    "serde-json",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "wit-bindgen",
    "yield",
];

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() > NAME_LENGTH_MAX {
            return Err(NameError::Long(text.len()));
        }
        let words = text.split('-').all(|word| {
            let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            !word.is_empty() && word.chars().all(letters)
        });
        if !words || !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(NameError::Form(text.escape_debug().to_string()));
        }
        if RESERVED.contains(&text) {
            return Err(NameError::Reserved(text.into()));
        }
        Ok(Self(text.into()))
    }
}

/// Writes the files of a crate to a directory that is not there yet.
fn write(directory: &Path, files: &[(&str, String)]) -> Result<(), Failure> {
    let failed = |path: &Path, error: io::Error| {
        Failure::of(&format!("cannot write {}", path.display()), &error)
    };
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
    }
    // Not create_dir_all: what is there already is somebody's work.
    fs::create_dir(directory).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::Failed(format!(
            "{} is there already: give another name, or move it away",
            directory.display()
        )),
        _ => failed(directory, error),
    })?;
    for (path, text) in files {
        let path = directory.join(path);
        let written = match path.parent() {
            Some(parent) => fs::create_dir_all(parent).and_then(|()| fs::write(&path, text)),
            None => fs::write(&path, text),
        };
        written.map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
