//! The set of components that an edge works with.

use crate::{
    configuration::EdgeSettings,
    contained::{Breaker, ContainedParser, ContainedRouter},
    pipeline::{Pipeline, PipelineError, TimeWindow},
    sandbox::{ComponentError, Engine, Limits, ParserComponent, RouterComponent},
};
use heplake_components::shipped;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// Why the components cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub enum ComponentsError {
    /// One cannot be loaded.
    #[error("component `{name}`: {source}")]
    Component {
        /// Its name.
        name: String,
        /// Why.
        source: ComponentError,
    },
    /// They do not fit together.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A section of the configuration that no component has.
    #[error("[components.{name}] configures no component: there are {known}")]
    Unknown {
        /// The section.
        name: String,
        /// The components.
        known: String,
    },
}

/// The shipped set: an envelope, and parsers with their routers.
const ENVELOPE: &str = "hep";
const PARSERS: [(&str, &str); 1] = [("sip", "sip-router")];

/// Compiled components, from which each worker takes its own instances.
#[derive(Clone)]
pub struct Components {
    envelope: ParserComponent,
    parsers: Vec<(ParserComponent, RouterComponent)>,
    window: TimeWindow,
    store_keep_alives: bool,
}

impl Components {
    /// Compiles, configures and describes the shipped components.
    ///
    /// # Errors
    /// Says which component is refused, and why.
    pub fn load(settings: &EdgeSettings) -> Result<Self, ComponentsError> {
        let names: BTreeSet<&str> = std::iter::once(ENVELOPE)
            .chain(
                PARSERS
                    .iter()
                    .flat_map(|(parser, router)| [*parser, *router]),
            )
            .collect();
        if let Some(name) = settings
            .components
            .keys()
            .find(|name| !names.contains(name.as_str()))
        {
            let known = names.into_iter().collect::<Vec<_>>().join(", ");
            return Err(ComponentsError::Unknown {
                name: name.clone(),
                known,
            });
        }
        let failed = |name: &str| {
            let name = name.to_owned();
            move |source| ComponentsError::Component { name, source }
        };
        let engine = Engine::new().map_err(failed("engine"))?;
        let limits = Limits {
            deadline: settings.deadline,
            memory_bytes_max: settings.memory_bytes_max,
        };
        let bytes = |name: &str| {
            shipped(name)
                .map(|shipped| shipped.bytes)
                .unwrap_or_default()
        };
        let section = |name: &str| {
            let section = settings.components.get(name);
            section.map_or_else(|| "{}".into(), serde_json::Value::to_string)
        };
        let parser = |name: &str| {
            ParserComponent::load(&engine, bytes(name), &section(name), limits)
                .map_err(failed(name))
        };
        let envelope = parser(ENVELOPE)?;
        let mut parsers = Vec::with_capacity(PARSERS.len());
        for (name, router) in PARSERS {
            let routes = RouterComponent::load(&engine, bytes(router), &section(router), limits)
                .map_err(failed(router))?;
            parsers.push((parser(name)?, routes));
        }
        let window = TimeWindow {
            max_age: settings.max_age,
            max_skew: settings.max_skew,
        };
        Ok(Self {
            envelope,
            parsers,
            window,
            store_keep_alives: settings.store_keep_alives,
        })
    }

    /// Makes a worker's pipeline, with instances of its own.
    ///
    /// # Errors
    /// Says which components do not fit together, or fail to start.
    pub fn pipeline(&self, seed: u64) -> Result<Pipeline, ComponentsError> {
        let contain = |component: &ParserComponent| {
            let name = component.named().name.clone();
            ContainedParser::new(Arc::new(component.clone()), never_tripping())
                .map_err(|source| ComponentsError::Component { name, source })
        };
        let envelope = contain(&self.envelope)?;
        let mut parsers = Vec::with_capacity(self.parsers.len());
        for (parser, router) in &self.parsers {
            let name = router.named().name.clone();
            let router = ContainedRouter::new(Arc::new(router.clone()), never_tripping())
                .map_err(|source| ComponentsError::Component { name, source })?;
            parsers.push((contain(parser)?, router));
        }
        let pipeline = Pipeline::new(envelope, parsers, self.window, self.store_keep_alives, seed)?;
        Ok(pipeline)
    }
}

/// Until faults have a setting.
fn never_tripping() -> Arc<Breaker> {
    Arc::new(Breaker::new(0, Duration::ZERO))
}
