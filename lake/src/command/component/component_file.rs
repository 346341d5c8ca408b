//! A component in a file, and loaded as the edge loads it.

use clap::Args;
use heplake_host::{AnyComponent, Engine, Limits, ParserComponent, Survey, process::Failure};
use std::{fs::File, io::Read, path::Path};

/// Largest file that is read, in bytes: one more than the sandbox takes, so that it is the one
/// to say so.
const FILE_BYTES_MAX: u64 = (64 << 20) + 1;

/// Reads the bytes of a component.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|error| Failure::of(&format!("cannot read {}", path.display()), &error))?;
    Ok(bytes)
}

/// How a component is loaded.
#[derive(Args)]
pub(super) struct Settings {
    /// The component's section of the configuration, a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}")]
    settings: String,
}

impl Settings {
    /// Loads the component of a file, under the limits of the sandbox.
    pub(super) fn load(&self, path: &Path) -> Result<(Vec<u8>, Survey), Failure> {
        let bytes = read(path)?;
        let survey = self.survey(&path.display().to_string(), &bytes)?;
        Ok((bytes, survey))
    }

    fn survey(&self, whence: &str, bytes: &[u8]) -> Result<Survey, Failure> {
        let refused = |error| Failure::of(whence, &error);
        let engine = Engine::new().map_err(refused)?;
        Survey::of(&engine, bytes, &self.settings, Limits::default()).map_err(refused)
    }

    /// Loads the parser of a file.
    pub(super) fn load_parser(&self, path: &Path) -> Result<ParserComponent, Failure> {
        self.parser(&path.display().to_string(), &read(path)?)
    }

    /// Loads the parser that these bytes are; `whence` they come stands in errors.
    pub(super) fn parser(&self, whence: &str, bytes: &[u8]) -> Result<ParserComponent, Failure> {
        match self.survey(whence, bytes)?.component {
            AnyComponent::Parser(parser) => Ok(parser),
            AnyComponent::Router(router) => Err(Failure::Failed(format!(
                "{whence}: `{}` is a router, and samples are for parsers: `cargo test` shows what a router does",
                router.named().name
            ))),
        }
    }
}
