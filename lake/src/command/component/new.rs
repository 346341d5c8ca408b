//! `heplake component new`: writes a crate to begin with.

mod files;

use crate::command::print;
use clap::Args;
use files::{CRATE, VENDORED};
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
        yours, samples, a test, a benchmark, and the SDK and contract of this heplake.\n\n\
        Examples:\n  \
        heplake component new gauges\n  \
        heplake component new parsers/rtp-report --proto-type 34"
)]
pub(super) struct NewArguments {
    /// Name of the component, as edges know it: lower-case letters, digits and dashes. A
    /// directory may stand before it
    #[arg(value_name = "NAME")]
    path: PathBuf,
    /// HEP protocol type of the payloads that it parses
    #[arg(long, value_name = "N", default_value = PROTO_TYPE,
          value_parser = clap::value_parser!(u8))]
    proto_type: u8,
}

pub(super) fn run(arguments: &NewArguments) -> Result<(), Failure> {
    let name = arguments.path.file_name().unwrap_or_default();
    let name: Name = name
        .to_string_lossy()
        .parse()
        .map_err(|error: NameError| Failure::Usage(error.to_string()))?;
    let written = write(&arguments.path, &name, arguments.proto_type)?;
    let Name(name) = name;
    let path = arguments.path.display();
    print(format!(
        "{path}: {written} files, a parser of HEP protocol type {}\n\n  \
         cd {path}\n  \
         cargo test                                    the samples, natively\n  \
         heplake component test                        builds it; the samples, in the sandbox\n  \
         heplake component inspect target/{name}.wasm  what the edge will see of it\n\n\
         Then change src/lib.rs and samples/ into your protocol. README.md goes on from there.\n",
        arguments.proto_type
    ))
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

/// Writes the crate; gives the number of files.
fn write(directory: &Path, name: &Name, proto_type: u8) -> Result<usize, Failure> {
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
    let files = render(name, proto_type);
    for (path, text) in &files {
        let path = directory.join(path);
        let written = match path.parent() {
            Some(parent) => fs::create_dir_all(parent).and_then(|()| fs::write(&path, text)),
            None => fs::write(&path, text),
        };
        written.map_err(|error| failed(&path, error))?;
    }
    Ok(files.len())
}

/// All files of the crate, by path.
fn render(Name(name): &Name, proto_type: u8) -> Vec<(&'static str, String)> {
    let own = CRATE.iter().map(|(path, text)| {
        let text = text
            .replace("heplake-readings", name)
            .replace("heplake_readings", &name.replace('-', "_"))
            .replace("\"readings\"", &format!("\"{name}\""))
            .replace(
                &format!("const PROTO_TYPE: u32 = {PROTO_TYPE};"),
                &format!("const PROTO_TYPE: u32 = {proto_type};"),
            )
            .replace("{proto_type}", &proto_type.to_string());
        (*path, text)
    });
    // Beside the SDK stands the contract, and not two directories above.
    let vendored = VENDORED.iter().map(|(path, text)| {
        (
            *path,
            text.replace("path: \"../../wit\"", "path: \"../wit\""),
        )
    });
    own.chain(vendored).collect()
}

#[cfg(test)]
mod tests;
