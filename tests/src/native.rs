//! Native twins: the shipped components' own code, called without a sandbox. They are the
//! baseline of measurements and the other side of differential tests.

use heplake_format::ComponentDigest;
use heplake_host::{
    Breaker, Checked, ComponentError, ContainedParser, ContainedRouter, Fault, Items, Parse,
    ParserSource, Pipeline, Route, RouterSource, RowShape, TimeWindow, check_routes,
};
use heplake_sdk::{Batch, Description, Parser, RouteBatch, Router, RouterDescription};
use std::{sync::Arc, time::Duration};

/// Makes native parsers.
pub struct NativeParser<P> {
    description: Description,
    named: ComponentDigest,
    kind: std::marker::PhantomData<fn() -> P>,
}

impl<P: Parser + Send + 'static> NativeParser<P> {
    /// A source of parsers with their default configuration.
    #[must_use]
    pub fn source() -> Arc<dyn ParserSource> {
        let description = P::default().describe();
        let named = named(&description.name, &description.version);
        Arc::new(Self {
            description,
            named,
            kind: std::marker::PhantomData,
        })
    }
}

impl<P: Parser + Send + 'static> ParserSource for NativeParser<P> {
    fn description(&self) -> &Description {
        &self.description
    }

    fn named(&self) -> &ComponentDigest {
        &self.named
    }

    fn instantiate(&self) -> Result<Box<dyn Parse>, ComponentError> {
        let shape = RowShape::of(&self.description).map_err(ComponentError::Description)?;
        Ok(Box::new(Running {
            parser: P::default(),
            shape,
        }))
    }
}

struct Running<P> {
    parser: P,
    shape: RowShape,
}

impl<P: Parser + Send> Parse for Running<P> {
    fn parse(&mut self, items: &Items<'_>) -> Result<Checked, Fault> {
        let batch = Batch {
            bytes: items.bytes.into(),
            ends: items.ends.into(),
            received: items.received.into(),
            context: items.context.cells.into(),
            context_bytes: items.context.bytes.into(),
        };
        let parsed = heplake_sdk::run(&mut self.parser, &batch);
        Checked::new(parsed, items.ends, &self.shape).map_err(Fault::Violation)
    }
}

/// Makes native routers.
pub struct NativeRouter<R> {
    description: RouterDescription,
    named: ComponentDigest,
    kind: std::marker::PhantomData<fn() -> R>,
}

impl<R: Router + Send + 'static> NativeRouter<R> {
    /// A source of routers with their default configuration.
    #[must_use]
    pub fn source() -> Arc<dyn RouterSource> {
        let description = R::default().describe();
        let named = named(&description.name, &description.version);
        Arc::new(Self {
            description,
            named,
            kind: std::marker::PhantomData,
        })
    }
}

impl<R: Router + Send + 'static> RouterSource for NativeRouter<R> {
    fn description(&self) -> &RouterDescription {
        &self.description
    }

    fn named(&self) -> &ComponentDigest {
        &self.named
    }

    fn instantiate(&self) -> Result<Box<dyn Route>, ComponentError> {
        Ok(Box::new(RunningRouter {
            router: R::default(),
            tables: self.description.tables.len(),
        }))
    }
}

struct RunningRouter<R> {
    router: R,
    tables: usize,
}

impl<R: Router + Send> Route for RunningRouter<R> {
    fn route(&mut self, bytes: &[u8], cells: &[u64], rows: u32) -> Result<Vec<u32>, Fault> {
        let tables = heplake_sdk::route(&mut self.router, &RouteBatch { bytes, cells, rows });
        check_routes(&tables, rows as usize, self.tables).map_err(Fault::Violation)?;
        Ok(tables)
    }
}

/// The shipped pipeline, without a sandbox.
///
/// # Panics
/// When the shipped components do not fit together.
#[must_use]
#[allow(clippy::expect_used, reason = "a test that cannot start has failed")]
pub fn pipeline(seed: u64) -> Pipeline {
    let breaker = Arc::new(Breaker::new(0, Duration::ZERO));
    let envelope =
        ContainedParser::new(NativeParser::<heplake_hep::Hep>::source(), breaker.clone());
    let parser = ContainedParser::new(NativeParser::<heplake_sip::Sip>::source(), breaker.clone());
    let router = ContainedRouter::new(
        NativeRouter::<heplake_sip_router::SipRouter>::source(),
        breaker.clone(),
    );
    let parsers = vec![(parser.expect("sip"), Some(router.expect("sip-router")))];
    Pipeline::new(
        envelope.expect("hep"),
        parsers,
        TimeWindow::default(),
        false,
        seed,
    )
    .expect("the shipped components fit together")
}

fn named(name: &str, version: &str) -> ComponentDigest {
    ComponentDigest {
        name: name.into(),
        version: version.into(),
        digest: "native".into(),
    }
}
