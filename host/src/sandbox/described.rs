//! A component of whatever world, compiled and described: what its instances are made of.

use super::engine::{Compiled, ComponentError, Engine, Limits, Running};
use heplake_format::ComponentDigest;
use heplake_sdk::{Description, RouterDescription};
use serde::de::DeserializeOwned;
use wasmtime::component::Func;

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
}

impl Describes for Description {
    fn names(&self) -> (&str, &str) {
        (&self.name, &self.version)
    }
}

impl Describes for RouterDescription {
    fn names(&self) -> (&str, &str) {
        (&self.name, &self.version)
    }
}

/// A component, compiled and described.
#[derive(Clone)]
pub(super) struct Described<D> {
    compiled: Compiled,
    world: &'static World,
    configuration: String,
    limits: Limits,
    description: D,
    /// The description as the component wrote it.
    text: String,
    named: ComponentDigest,
}

impl<D: Describes> Described<D> {
    /// Compiles a component, makes an instance, configures it, and reads its description.
    pub(super) fn load(
        engine: &Engine,
        bytes: &[u8],
        world: &'static World,
        configuration: &str,
        limits: Limits,
    ) -> Result<Self, ComponentError> {
        let compiled = engine.compile(bytes)?;
        let (mut running, text) = compiled.instantiate(world.name, configuration, limits)?;
        (world.work)(&mut running)?;
        let description: D = serde_json::from_str(&text)
            .map_err(|error| ComponentError::Description(error.to_string()))?;
        let (name, version) = description.names();
        let named = compiled.named(name, version);
        Ok(Self {
            compiled,
            world,
            configuration: configuration.into(),
            limits,
            description,
            text,
            named,
        })
    }

    pub(super) fn description(&self) -> &D {
        &self.description
    }

    pub(super) fn named(&self) -> &ComponentDigest {
        &self.named
    }

    /// Makes an instance that says of itself what the first one said.
    pub(super) fn instantiate(&self) -> Result<(Running, Func), ComponentError> {
        let (mut running, text) =
            self.compiled
                .instantiate(self.world.name, &self.configuration, self.limits)?;
        if text != self.text {
            let reason = "it describes itself otherwise than before".into();
            return Err(ComponentError::Description(reason));
        }
        let work = (self.world.work)(&mut running)?;
        Ok((running, work))
    }
}
