//! Parsers: envelopes and payload protocols.

use super::engine::{Compiled, ComponentError, Engine, Fault, Limits, Running};
use crate::checked::{Checked, RowShape};
use heplake_format::ComponentDigest;
use heplake_sdk::{Description, Parsed};
use wasmtime::component::Func;

const WORLD: &str = "parser";

/// What `parse` of `wit/heplake.wit` answers: cells, items, verdicts, scratch.
type Returned = (Vec<u64>, Vec<u32>, Vec<u32>, Vec<u8>);

type Params<'a> = (&'a [u8], &'a [u32], &'a [u64], &'a [u64], &'a [u8]);

/// A parser, compiled and described.
#[derive(Clone)]
pub struct ParserComponent {
    compiled: Compiled,
    configuration: String,
    limits: Limits,
    description: Description,
    shape: RowShape,
    named: ComponentDigest,
}

impl ParserComponent {
    /// Compiles a component, makes an instance, configures it, and reads its description.
    /// `configuration` is a JSON object.
    ///
    /// # Errors
    /// Says what of the contract it does not keep.
    pub fn load(
        engine: &Engine,
        bytes: &[u8],
        configuration: &str,
        limits: Limits,
    ) -> Result<Self, ComponentError> {
        let compiled = engine.compile(bytes)?;
        let (mut running, text) = compiled.instantiate(WORLD, configuration, limits)?;
        running.export::<Params<'_>, (Returned,)>(WORLD, "parse")?;
        let description: Description = serde_json::from_str(&text)
            .map_err(|error| ComponentError::Description(error.to_string()))?;
        let shape = RowShape::of(&description).map_err(ComponentError::Description)?;
        let named = compiled.named(&description.name, &description.version);
        let configuration = configuration.into();
        Ok(Self {
            compiled,
            configuration,
            limits,
            description,
            shape,
            named,
        })
    }

    /// What it says of itself.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// How the commit names it.
    #[must_use]
    pub fn named(&self) -> &ComponentDigest {
        &self.named
    }

    /// Makes an instance for a worker.
    ///
    /// # Errors
    /// When it fails now though it did not when it was loaded.
    pub fn instantiate(&self) -> Result<Parser, ComponentError> {
        let (mut running, text) =
            self.compiled
                .instantiate(WORLD, &self.configuration, self.limits)?;
        let described: Option<Description> = serde_json::from_str(&text).ok();
        if described.as_ref() != Some(&self.description) {
            let reason = "it describes itself otherwise than before".into();
            return Err(ComponentError::Description(reason));
        }
        let parse = running.export::<Params<'_>, (Returned,)>(WORLD, "parse")?;
        Ok(Parser {
            running,
            parse,
            shape: self.shape.clone(),
        })
    }
}

/// An instance of a parser: one worker's.
pub struct Parser {
    running: Running,
    parse: Func,
    shape: RowShape,
}

impl Parser {
    /// Has a batch parsed, and checks what comes back.
    ///
    /// # Errors
    /// After any fault the instance must not be used again: a trap poisons it.
    pub fn parse(
        &mut self,
        bytes: &[u8],
        ends: &[u32],
        received: &[u64],
        context: &[u64],
        context_bytes: &[u8],
    ) -> Result<Checked, Fault> {
        let ((cells, items, verdicts, scratch),): (Returned,) = self
            .running
            .call(&self.parse, (bytes, ends, received, context, context_bytes))?;
        let parsed = Parsed {
            cells,
            items,
            verdicts,
            scratch,
        };
        Checked::new(parsed, ends, &self.shape).map_err(Fault::Violation)
    }
}
