//! One protocol's place in a pipeline: its parser, its router, and what fits them together.

use crate::{
    contained::{Breaker, ContainedParser, ContainedRouter},
    rows::{PlanError, TablePlan, TablePlans},
};
use heplake_format::{ComponentDigest, TableName};
use heplake_sdk::{Accepts, Kind};
use std::sync::Arc;

/// A parser with the router of its rows, if they have one.
pub(super) struct Protocol {
    pub(super) parser: ContainedParser,
    pub(super) router: Option<ContainedRouter>,
    /// By the router's tables; without a router by the parser's protocol types.
    pub(super) plans: Vec<TablePlan>,
    /// For each context field that the parser asks for, the envelope's.
    pub(super) context: Vec<(usize, Kind)>,
    /// For each field that the router reads, the parser's.
    pub(super) reads: Vec<(usize, Kind)>,
    pub(super) proto_types: Vec<u32>,
    /// Who makes the rows: envelope, parser, router.
    pub(super) rows_by: Arc<[ComponentDigest]>,
    /// Who refuses: envelope, parser.
    pub(super) refused_by: Arc<[ComponentDigest]>,
}

/// Why a set of components makes no pipeline.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// A table cannot be filled.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The envelope is none, or a parser is one.
    #[error("component `{0}` accepts something else than its place in the pipeline hands it")]
    Accepts(String),
    /// A name that the stage before does not have.
    #[error("component `{component}` asks for the field `{field}`, which `{of}` does not have")]
    Field {
        /// Who asks.
        component: String,
        /// The field.
        field: String,
        /// Who should have it.
        of: String,
    },
    /// A router of another parser's rows.
    #[error("router `{router}` routes the rows of `{routes}`, not of `{parser}`")]
    Router {
        /// The router.
        router: String,
        /// What it says it routes.
        routes: String,
        /// The parser.
        parser: String,
    },
    /// Two components that would give a table two sets of columns.
    #[error("the table `{0}` is written by two components that give it different columns")]
    Table(TableName),
    /// Two parsers of one protocol type.
    #[error("two parsers accept the protocol type {0}")]
    Doubled(u32),
}

impl Protocol {
    pub(super) fn new(
        envelope: &ContainedParser,
        parser: ContainedParser,
        router: Option<ContainedRouter>,
        plans: &TablePlans,
    ) -> Result<Self, PipelineError> {
        let (unpacks, parses) = (envelope.description(), parser.description());
        let Accepts::ProtocolTypes(proto_types) = &parses.accepts else {
            return Err(PipelineError::Accepts(parses.name.clone()));
        };
        let find = |component: &str, field: &String, of: &heplake_sdk::Description| {
            let index = of.fields.iter().position(|other| other.name == *field);
            index
                .map(|index| (index, of.fields[index].kind))
                .ok_or_else(|| PipelineError::Field {
                    component: component.into(),
                    field: field.clone(),
                    of: of.name.clone(),
                })
        };
        let context = parses
            .context
            .iter()
            .map(|field| find(&parses.name, field, unpacks));
        let context = context.collect::<Result<_, _>>()?;
        let proto_types = proto_types.clone();
        let refused_by = [envelope.named(), parser.named()];
        let mut rows_by: Vec<_> = refused_by.into_iter().cloned().collect();
        let (reads, table_plans) = match &router {
            Some(router) => {
                let routes = router.description();
                if routes.routes != parses.name {
                    return Err(PipelineError::Router {
                        router: routes.name.clone(),
                        routes: routes.routes.clone(),
                        parser: parses.name.clone(),
                    });
                }
                rows_by.push(router.named().clone());
                let reads = routes.reads.iter();
                let reads = reads.map(|field| find(&routes.name, field, parses));
                (
                    reads.collect::<Result<_, _>>()?,
                    plans.of_router(routes, parses)?,
                )
            }
            None => {
                let tables = proto_types.iter().map(|t| plans.of_parser(parses, *t));
                (Vec::new(), tables.collect::<Result<_, _>>()?)
            }
        };
        Ok(Self {
            refused_by: refused_by.map(Clone::clone).into(),
            rows_by: rows_by.into(),
            parser,
            router,
            plans: table_plans,
            context,
            reads,
            proto_types,
        })
    }

    /// Whether its parser or its router left something of the last batch to their successors.
    pub(super) fn is_cut_off(&self) -> bool {
        let router = self.router.as_ref();
        self.parser.is_cut_off() || router.is_some_and(ContainedRouter::is_cut_off)
    }

    /// What cuts its parser and its router off.
    pub(super) fn breakers(&self) -> impl Iterator<Item = &Arc<Breaker>> {
        let router = self.router.iter().map(ContainedRouter::breaker);
        std::iter::once(self.parser.breaker()).chain(router)
    }

    /// Memory of its instances, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let router = self
            .router
            .as_ref()
            .map_or(0, ContainedRouter::memory_bytes);
        self.parser.memory_bytes() + router
    }
}
