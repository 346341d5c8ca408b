//! Routers: which table a row goes to.

use super::{
    described::{Described, World},
    engine::{Compiled, ComponentError, Engine, Fault, Limits},
    instance::{Memory, Running},
};
use crate::checked::check_routes;
use heplake_format::ComponentDigest;
use heplake_sdk::RouterDescription;
use std::time::Duration;
use wasmtime::component::Func;

static WORLD: World = World {
    name: "router",
    work: |running| running.export::<Params<'_>, (Vec<u32>,)>("router", "route"),
};

type Params<'a> = (&'a [u8], &'a [u64], u32);

/// A router, compiled and described.
#[derive(Clone)]
pub struct RouterComponent {
    described: Described<RouterDescription>,
}

impl RouterComponent {
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
        let described = Described::of(compiled, &WORLD, configuration, limits)?;
        Ok(Self { described })
    }

    /// What it says of itself.
    #[must_use]
    pub fn description(&self) -> &RouterDescription {
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
    pub fn instantiate(&self) -> Result<Router, ComponentError> {
        let (running, route) = self.described.instantiate()?;
        Ok(Router {
            running,
            route,
            tables: self.description().tables.len(),
        })
    }
}

/// An instance of a router: one worker's.
pub struct Router {
    running: Running,
    route: Func,
    tables: usize,
}

impl Router {
    /// For each row the place of its table in the description, within a deadline.
    ///
    /// # Errors
    /// After any fault the instance must not be used again: a trap poisons it.
    pub fn route(
        &mut self,
        bytes: &[u8],
        cells: &[u64],
        rows: u32,
        deadline: Duration,
    ) -> Result<Vec<u32>, Fault> {
        let params = (bytes, cells, rows);
        let (tables,): (Vec<u32>,) = self.running.call(&self.route, params, deadline)?;
        check_routes(&tables, rows as usize, self.tables).map_err(Fault::Violation)?;
        Ok(tables)
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
}
