//! A set of components that fit together: one version a name.

use crate::{
    configuration::EdgeSettings,
    contained::{Breaker, ContainedParser, ContainedRouter},
    live_samples::LiveSamples,
    pipeline::{Pipeline, PipelineError, TimeWindow},
    sandbox::{
        AnyComponent, Compiled, ComponentError, Limits, ParserComponent, RouterComponent, World,
    },
};
use heplake_format::ComponentDigest;
use heplake_sdk::Accepts;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Why components cannot be put to work.
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
    /// Nothing opens packets.
    #[error("there is no component that accepts datagrams: nothing could be received")]
    NoEnvelope,
    /// Two components of which there can be one.
    #[error("`{first}` and `{second}` both {what}: take one of them out first")]
    Both {
        /// One.
        first: String,
        /// The other.
        second: String,
        /// What only one can do.
        what: String,
    },
    /// A router whose parser is not there.
    #[error("the router `{router}` routes the rows of `{parser}`, which is not active")]
    WithoutParser {
        /// The router.
        router: String,
        /// The parser.
        parser: String,
    },
    /// A section of the configuration that no component has.
    #[error("[components.{name}] configures no component: is [components.{meant}] meant?")]
    Unknown {
        /// The section.
        name: String,
        /// The component that was meant.
        meant: String,
    },
}

/// How many faults a component may have before it is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Faults within the window, of all workers, after which it is called no more; 0 for any
    /// number.
    pub faults_max: u32,
    /// The window.
    pub window: Duration,
}

/// One version of a component: compiled, configured and described.
pub struct Version {
    named: ComponentDigest,
    component: Component,
    /// Of all its instances, in all workers.
    breaker: Arc<Breaker>,
    breaker_settings: BreakerSettings,
}

#[derive(Clone)]
enum Component {
    Parser(Arc<ParserComponent>),
    Router(Arc<RouterComponent>),
}

impl Version {
    /// Configures a compiled component and reads its description.
    ///
    /// # Errors
    /// Says what of the contract it does not keep.
    pub fn new(
        compiled: Compiled,
        configuration: &str,
        limits: Limits,
        breaker_settings: BreakerSettings,
    ) -> Result<Self, ComponentError> {
        let (named, component) = match AnyComponent::of(compiled, configuration, limits)? {
            AnyComponent::Parser(parser) => {
                (parser.named().clone(), Component::Parser(Arc::new(parser)))
            }
            AnyComponent::Router(router) => {
                (router.named().clone(), Component::Router(Arc::new(router)))
            }
        };
        Ok(Self {
            named,
            component,
            breaker: breaker(breaker_settings),
            breaker_settings,
        })
    }

    /// How commits name it.
    #[must_use]
    pub fn named(&self) -> &ComponentDigest {
        &self.named
    }

    /// What cuts it off.
    #[must_use]
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.breaker
    }

    /// The same with a breaker that has seen nothing: for a trial, or a new start.
    #[must_use]
    pub fn afresh(&self) -> Self {
        Self {
            named: self.named.clone(),
            component: self.component.clone(),
            breaker: breaker(self.breaker_settings),
            breaker_settings: self.breaker_settings,
        }
    }

    /// The world that it is of.
    #[must_use]
    pub fn world(&self) -> World {
        match self.component {
            Component::Parser(_) => World::Parser,
            Component::Router(_) => World::Router,
        }
    }

    /// What it says of itself.
    #[must_use]
    pub fn description(&self) -> Value {
        match &self.component {
            Component::Parser(parser) => json!(parser.description()),
            Component::Router(router) => json!(router.description()),
        }
    }
}

fn breaker(settings: BreakerSettings) -> Arc<Breaker> {
    Arc::new(Breaker::new(settings.faults_max, settings.window))
}

/// What all pipelines of an edge have in common.
#[derive(Clone)]
pub struct PipelineOptions {
    /// What packets' times are held against.
    pub window: TimeWindow,
    /// Whether keep-alives get a row.
    pub store_keep_alives: bool,
    /// Where samples of the traffic are kept.
    pub samples: Option<Arc<LiveSamples>>,
}

impl PipelineOptions {
    /// As configured.
    #[must_use]
    pub fn of(settings: &EdgeSettings) -> Self {
        Self {
            window: TimeWindow {
                max_age: settings.max_age,
                max_skew: settings.max_skew,
            },
            store_keep_alives: settings.store_keep_alives,
            samples: None,
        }
    }
}

/// One version of each component, by name.
#[derive(Clone, Default)]
pub struct ComponentSet {
    versions: BTreeMap<String, Arc<Version>>,
}

impl ComponentSet {
    /// Its versions, by name.
    pub fn versions(&self) -> impl Iterator<Item = &Arc<Version>> {
        self.versions.values()
    }

    /// The version of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Version>> {
        self.versions.get(name)
    }

    /// The same with this version in the place of another of its name.
    #[must_use]
    pub fn with(&self, version: Arc<Version>) -> Self {
        let mut versions = self.versions.clone();
        versions.insert(version.named.name.clone(), version);
        Self { versions }
    }

    /// The same without the version of a name.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let mut versions = self.versions.clone();
        versions.remove(name);
        Self { versions }
    }

    /// The same with breakers that have seen nothing: what happens in a trial must not count.
    #[must_use]
    pub fn afresh(&self) -> Self {
        let afresh =
            |(name, version): (&String, &Arc<Version>)| (name.clone(), Arc::new(version.afresh()));
        Self {
            versions: self.versions.iter().map(afresh).collect(),
        }
    }

    /// Makes a pipeline with instances of its own.
    ///
    /// # Errors
    /// Says which components do not fit together, or fail to start.
    pub fn pipeline(
        &self,
        options: &PipelineOptions,
        seed: u64,
    ) -> Result<Pipeline, ComponentsError> {
        let (mut envelope, mut parsers, mut routers) = (None, Vec::new(), BTreeMap::new());
        for (name, version) in &self.versions {
            let failed = |source| ComponentsError::Component {
                name: name.clone(),
                source,
            };
            let breaker = version.breaker.clone();
            match &version.component {
                Component::Parser(parser) => {
                    let contained =
                        ContainedParser::new(parser.clone(), breaker).map_err(failed)?;
                    if parser.description().accepts != Accepts::Datagrams {
                        parsers.push((name, contained));
                    } else if let Some((first, _)) = envelope.replace((name, contained)) {
                        return Err(both(first, name, "accept datagrams".into()));
                    }
                }
                Component::Router(router) => {
                    let contained =
                        ContainedRouter::new(router.clone(), breaker).map_err(failed)?;
                    let routes = router.description().routes.clone();
                    if let Some((first, _)) = routers.insert(routes.clone(), (name, contained)) {
                        return Err(both(first, name, format!("route the rows of `{routes}`")));
                    }
                }
            }
        }
        let (_, envelope) = envelope.ok_or(ComponentsError::NoEnvelope)?;
        let with_routers = parsers.into_iter().map(|(name, parser)| {
            let router = routers.remove(name).map(|(_, router)| router);
            (parser, router)
        });
        let parsers = with_routers.collect();
        if let Some((parser, (router, _))) = routers.into_iter().next() {
            let router = router.clone();
            return Err(ComponentsError::WithoutParser { router, parser });
        }
        let PipelineOptions {
            window,
            store_keep_alives,
            samples,
        } = options;
        let pipeline = Pipeline::new(envelope, parsers, *window, *store_keep_alives, seed)?;
        Ok(match samples {
            Some(samples) => pipeline.sampled(samples.clone()),
            None => pipeline,
        })
    }
}

fn both(first: &str, second: &str, what: String) -> ComponentsError {
    ComponentsError::Both {
        first: first.into(),
        second: second.into(),
        what,
    }
}
