//! A component of whatever world, compiled and described: what its instances are made of.

use super::{
    engine::{Compiled, ComponentError, Engine, Limits},
    instance::{Allowance, Running},
};
use crate::checked::{RowShape, check_router};
use heplake_format::ComponentDigest;
use heplake_sdk::{Description, RouterDescription};
use serde::de::DeserializeOwned;
use wasmtime::component::{Func, InstancePre};

/// Longest description, in bytes: SIP's has 2 kB, its router's 15.
const DESCRIPTION_BYTES_MAX: usize = 1 << 20;

/// A world of `wit/heplake.wit`.
pub(super) struct World {
    /// Its name.
    pub(super) name: &'static str,
    /// Finds the export that does the work, of the contract's type.
    pub(super) work: fn(&mut Running) -> Result<Func, ComponentError>,
}

/// What a component says of itself, whatever its world.
pub(super) trait Describes: DeserializeOwned {
    /// The name and the version.
    fn names(&self) -> (&str, &str);
    /// Holds it against bounds.
    fn check(&self) -> Result<(), String>;
}

impl Describes for Description {
    fn names(&self) -> (&str, &str) {
        (&self.name, &self.version)
    }
    fn check(&self) -> Result<(), String> {
        RowShape::of(self).map(|_| ())
    }
}

impl Describes for RouterDescription {
    fn names(&self) -> (&str, &str) {
        (&self.name, &self.version)
    }
    fn check(&self) -> Result<(), String> {
        check_router(self)
    }
}

/// A component, compiled and described.
#[derive(Clone)]
pub(super) struct Described<D> {
    /// Kept, since it holds the clock of deadlines.
    _engine: Engine,
    prepared: InstancePre<Allowance>,
    world: &'static World,
    configuration: String,
    limits: Limits,
    description: D,
    named: ComponentDigest,
}

impl<D: Describes> Described<D> {
    /// Makes an instance of a component, configures it, and reads its description.
    pub(super) fn of(
        compiled: Compiled,
        world: &'static World,
        configuration: &str,
        limits: Limits,
    ) -> Result<Self, ComponentError> {
        Self::of_any(compiled, world, configuration, limits).map_err(ComponentError::fit_to_show)
    }

    fn of_any(
        compiled: Compiled,
        world: &'static World,
        configuration: &str,
        limits: Limits,
    ) -> Result<Self, ComponentError> {
        let prepared = compiled.prepare()?;
        let mut running = Running::start(&prepared, limits)?;
        (world.work)(&mut running)?;
        running.configure(world.name, configuration)?;
        let text = running.describe(world.name)?;
        let description: D = read(&text).map_err(ComponentError::Description)?;
        let (name, version) = description.names();
        let named = compiled.named(name, version);
        Ok(Self {
            _engine: compiled.engine().clone(),
            prepared,
            world,
            configuration: configuration.into(),
            limits,
            description,
            named,
        })
    }

    pub(super) fn description(&self) -> &D {
        &self.description
    }

    pub(super) fn named(&self) -> &ComponentDigest {
        &self.named
    }

    /// Makes an instance. It is not asked for its description again: without imports it has
    /// nothing to make another of, and what it returns is held to the first one's anyhow.
    pub(super) fn instantiate(&self) -> Result<(Running, Func), ComponentError> {
        let mut running = Running::start(&self.prepared, self.limits)?;
        let work = (self.world.work)(&mut running)?;
        running.configure(self.world.name, &self.configuration)?;
        Ok((running, work))
    }
}

fn read<D: Describes>(text: &str) -> Result<D, String> {
    if text.len() > DESCRIPTION_BYTES_MAX {
        return Err(format!(
            "it has {} bytes, more than {DESCRIPTION_BYTES_MAX}",
            text.len()
        ));
    }
    let description: D = serde_json::from_str(text).map_err(|error| error.to_string())?;
    description.check()?;
    Ok(description)
}
