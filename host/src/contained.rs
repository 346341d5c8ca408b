//! A component that is held to its job: whatever it does, every item gets an answer.
//!
//! A fault (a trap, a deadline, a violation of the contract) costs only the item that
//! caused it. The instance is thrown away, since a trap poisons it, and the batch is cut
//! in halves until the item that faults is alone; all others are parsed as if it had not
//! been there.

mod instances;

use self::instances::Instances;
use crate::{
    batch::item_bounds,
    checked::{Checked, RowShape},
    sandbox::{ComponentError, Fault, Parser, ParserComponent, Router, RouterComponent},
};
use heplake_format::ComponentDigest;
use heplake_sdk::{Description, RouterDescription, VerdictClass};
use std::{ops::Range, sync::Arc};

/// A parser as a pipeline calls it: in the sandbox, or natively for a baseline.
pub trait Parse: Send {
    /// Has a batch parsed, and checks what comes back.
    ///
    /// # Errors
    /// After any fault the parser is thrown away.
    fn parse(&mut self, items: &Items<'_>) -> Result<Checked, Fault>;
}

/// Makes parsers, and makes them again after a fault.
pub trait ParserSource: Send + Sync {
    /// What its parsers say of themselves.
    fn description(&self) -> &Description;
    /// How commits and rejected rows name it.
    fn named(&self) -> &ComponentDigest;
    /// Makes a parser.
    ///
    /// # Errors
    /// When it fails now though it did not when it was loaded.
    fn instantiate(&self) -> Result<Box<dyn Parse>, ComponentError>;
}

/// A router as a pipeline calls it.
pub trait Route: Send {
    /// For each row the place of its table in the description.
    ///
    /// # Errors
    /// After any fault the router is thrown away.
    fn route(&mut self, bytes: &[u8], cells: &[u64], rows: u32) -> Result<Vec<u32>, Fault>;
}

/// Makes routers, and makes them again after a fault.
pub trait RouterSource: Send + Sync {
    /// What its routers say of themselves.
    fn description(&self) -> &RouterDescription;
    /// How commits name it.
    fn named(&self) -> &ComponentDigest;
    /// Makes a router.
    ///
    /// # Errors
    /// When it fails now though it did not when it was loaded.
    fn instantiate(&self) -> Result<Box<dyn Route>, ComponentError>;
}

/// Items for a parser; see `parse` in `wit/heplake.wit`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Items<'a> {
    /// All items end to end.
    pub bytes: &'a [u8],
    /// Where each ends.
    pub ends: &'a [u32],
    /// When each was received, µs since 1970.
    pub received: &'a [u64],
    /// One cell for each item and context field.
    pub context: &'a [u64],
    /// What their spans point into.
    pub context_bytes: &'a [u8],
}

impl ParserSource for ParserComponent {
    fn description(&self) -> &Description {
        Self::description(self)
    }
    fn named(&self) -> &ComponentDigest {
        Self::named(self)
    }
    fn instantiate(&self) -> Result<Box<dyn Parse>, ComponentError> {
        Ok(Box::new(Self::instantiate(self)?))
    }
}

impl Parse for Parser {
    fn parse(&mut self, items: &Items<'_>) -> Result<Checked, Fault> {
        let Items {
            bytes,
            ends,
            received,
            context,
            context_bytes,
        } = items;
        Self::parse(self, bytes, ends, received, context, context_bytes)
    }
}

impl RouterSource for RouterComponent {
    fn description(&self) -> &RouterDescription {
        Self::description(self)
    }
    fn named(&self) -> &ComponentDigest {
        Self::named(self)
    }
    fn instantiate(&self) -> Result<Box<dyn Route>, ComponentError> {
        Ok(Box::new(Self::instantiate(self)?))
    }
}

impl Route for Router {
    fn route(&mut self, bytes: &[u8], cells: &[u64], rows: u32) -> Result<Vec<u32>, Fault> {
        Self::route(self, bytes, cells, rows)
    }
}

/// What became of an item, as the host goes on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It has rows.
    Parsed,
    /// It is another protocol's.
    NotMine,
    /// The component refused it, for this reason.
    Refused(&'a str),
    /// The component found that it carries nothing, of this kind.
    Aside(&'a str),
    /// The component faulted on it, in this way.
    Faulted(&'static str),
}

/// A parser that answers for every item.
pub struct ContainedParser {
    source: Arc<dyn ParserSource>,
    shape: RowShape,
    /// `name@version sha256:digest`, as rejected rows name it.
    label: Arc<str>,
    instances: Instances<dyn Parse>,
    /// Items of the batch in hand that faulted, and how; rising.
    faults: Vec<(u32, &'static str)>,
}

/// A verdict for items that faulted; no component can return it.
const FAULTED: u32 = u32::MAX;

impl ContainedParser {
    /// Makes the first instance.
    ///
    /// # Errors
    /// When it cannot be made, or describes itself beyond bounds.
    pub fn new(source: Arc<dyn ParserSource>) -> Result<Self, ComponentError> {
        let shape = RowShape::of(source.description()).map_err(ComponentError::Description)?;
        let ComponentDigest {
            name,
            version,
            digest,
        } = source.named();
        let label = format!("{name}@{version} sha256:{digest}").into();
        let maker = source.clone();
        let instances = Instances::new(source.named().clone(), move || maker.instantiate())?;
        Ok(Self {
            source,
            shape,
            label,
            instances,
            faults: Vec::new(),
        })
    }

    /// What it says of itself.
    #[must_use]
    pub fn description(&self) -> &Description {
        self.source.description()
    }

    /// How commits name it.
    #[must_use]
    pub fn named(&self) -> &ComponentDigest {
        self.source.named()
    }

    /// How rejected rows name it.
    #[must_use]
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// Has a batch parsed.
    pub fn parse(&mut self, items: &Items<'_>) -> Checked {
        self.faults.clear();
        match self.instances.call(|parser| parser.parse(items)) {
            Ok(checked) => checked,
            Err(fault) => {
                let mut all = Checked::default();
                self.bisect(items, 0..items.ends.len(), &fault, &mut all);
                all
            }
        }
    }

    /// What became of an item of the batch parsed last.
    #[must_use]
    pub fn outcome(&self, verdicts: &[u32], item: usize) -> Outcome<'_> {
        match verdicts.get(item).copied().unwrap_or(FAULTED) {
            0 => Outcome::Parsed,
            1 => Outcome::NotMine,
            FAULTED => {
                let at = self
                    .faults
                    .binary_search_by_key(&(item as u32), |(item, _)| *item);
                Outcome::Faulted(at.map_or("component_fault", |at| self.faults[at].1))
            }
            named => match self.description().verdicts.get(named as usize - 2) {
                Some(verdict) if verdict.class == VerdictClass::Aside => {
                    Outcome::Aside(&verdict.name)
                }
                Some(verdict) => Outcome::Refused(&verdict.name),
                // The validator lets no such verdict pass.
                None => Outcome::Faulted("component_violation"),
            },
        }
    }

    /// Parses a range that faulted as a whole, in halves.
    fn bisect(&mut self, items: &Items<'_>, range: Range<usize>, fault: &Fault, all: &mut Checked) {
        if range.len() <= 1 {
            let item = range.start as u32;
            tracing::warn!(component = %self.label, %fault, "a packet made a component fault; it goes to hep_rejected");
            self.faults.push((item, fault.kind()));
            all.append(&Checked::without_rows(FAULTED), item, 0, &self.shape);
            return;
        }
        let middle = range.start + range.len() / 2;
        for half in [range.start..middle, middle..range.end] {
            let (start, _) = item_bounds(items.ends, half.start);
            let (_, end) = item_bounds(items.ends, half.end - 1);
            let ends: Vec<u32> = items.ends[half.clone()]
                .iter()
                .map(|end| end - start as u32)
                .collect();
            let width = self.description().context.len();
            let part = Items {
                bytes: items.bytes.get(start..end).unwrap_or_default(),
                ends: &ends,
                received: items.received.get(half.clone()).unwrap_or_default(),
                context: items
                    .context
                    .get(half.start * width..half.end * width)
                    .unwrap_or_default(),
                context_bytes: items.context_bytes,
            };
            match self.instances.call(|parser| parser.parse(&part)) {
                Ok(checked) => {
                    all.append(&checked, half.start as u32, start as u32, &self.shape);
                }
                Err(fault) => self.bisect(items, half, &fault, all),
            }
        }
    }
}

/// A router that answers for every row.
pub struct ContainedRouter {
    source: Arc<dyn RouterSource>,
    instances: Instances<dyn Route>,
}

impl ContainedRouter {
    /// Makes the first instance.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(source: Arc<dyn RouterSource>) -> Result<Self, ComponentError> {
        let maker = source.clone();
        let instances = Instances::new(source.named().clone(), move || maker.instantiate())?;
        Ok(Self { source, instances })
    }

    /// What it says of itself.
    #[must_use]
    pub fn description(&self) -> &RouterDescription {
        self.source.description()
    }

    /// How commits name it.
    #[must_use]
    pub fn named(&self) -> &ComponentDigest {
        self.source.named()
    }

    /// For each row the place of its table; of a row on which the router faults none.
    pub fn route(&mut self, bytes: &[u8], cells: &[u64], rows: usize) -> Vec<Option<u32>> {
        let width = self.description().reads.len();
        let routed = self
            .instances
            .call(|router| router.route(bytes, cells, rows as u32));
        match routed {
            Ok(tables) => tables.into_iter().map(Some).collect(),
            Err(fault) if rows <= 1 => {
                let component = &self.source.named().name;
                tracing::warn!(%component, %fault, "a row made a router fault; it goes to the default table");
                vec![None; rows]
            }
            Err(_) => {
                let middle = rows / 2;
                let (first, second) = cells.split_at(middle * width);
                let mut tables = self.route(bytes, first, middle);
                tables.extend(self.route(bytes, second, rows - middle));
                tables
            }
        }
    }
}

#[cfg(test)]
mod tests;
