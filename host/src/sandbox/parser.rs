//! Parsers: envelopes and payload protocols.

use super::{
    described::{Described, World},
    engine::{Compiled, ComponentError, Engine, Fault, Limits},
    instance::{Memory, Running},
};
use crate::{
    checked::{Checked, RowShape},
    contained::Items,
};
use heplake_format::ComponentDigest;
use heplake_sdk::{Description, Parsed};
use std::time::Duration;
use wasmtime::component::Func;

static WORLD: World = World {
    name: "parser",
    work: |running| running.export::<Params<'_>, (Returned,)>("parser", "parse"),
};

/// What `parse` of `wit/heplake.wit` answers: cells, items, verdicts, scratch.
type Returned = (Vec<u64>, Vec<u32>, Vec<u32>, Vec<u8>);

type Params<'a> = (&'a [u8], &'a [u32], &'a [u64], &'a [u64], &'a [u8]);

/// A parser, compiled and described.
#[derive(Clone)]
pub struct ParserComponent {
    described: Described<Description>,
    shape: RowShape,
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
        Self::of(engine.compile(bytes)?, configuration, limits)
    }

    /// As [`Self::load`], of a component that is compiled.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn of(
        compiled: Compiled,
        configuration: &str,
        limits: Limits,
    ) -> Result<Self, ComponentError> {
        let described = Described::<Description>::of(compiled, &WORLD, configuration, limits)?;
        let shape = RowShape::of(described.description()).map_err(ComponentError::Description)?;
        Ok(Self { described, shape })
    }

    /// What it says of itself.
    #[must_use]
    pub fn description(&self) -> &Description {
        self.described.description()
    }

    /// How the commit names it.
    #[must_use]
    pub fn named(&self) -> &ComponentDigest {
        self.described.named()
    }

    /// Makes an instance for a worker.
    ///
    /// # Errors
    /// When it fails now though it did not when it was loaded.
    pub fn instantiate(&self) -> Result<Parser, ComponentError> {
        let (running, parse) = self.described.instantiate()?;
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
    /// Has a batch parsed within a deadline, and checks what comes back.
    ///
    /// # Errors
    /// After any fault the instance must not be used again: a trap poisons it.
    pub fn parse(&mut self, items: &Items<'_>, deadline: Duration) -> Result<Checked, Fault> {
        let Items {
            bytes,
            ends,
            received,
            context,
        } = *items;
        let params = (bytes, ends, received, context.cells, context.bytes);
        let ((cells, items, verdicts, scratch),): (Returned,) =
            self.running.call(&self.parse, params, deadline)?;
        let parsed = Parsed {
            cells,
            items,
            verdicts,
            scratch,
        };
        Checked::new(parsed, ends, &self.shape).map_err(Fault::Violation)
    }

    /// The longest that a call may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.running.deadline()
    }

    /// What it has of the machine's memory.
    #[must_use]
    pub fn memory(&self) -> Memory {
        self.running.memory()
    }

    /// Bytes of memory that it has: it never gives any back.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.memory().bytes
    }
}
