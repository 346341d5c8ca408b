//! A component that is held to its job: whatever it does, every item gets an answer.
//!
//! A fault (a trap, a deadline, a violation of the contract) costs only the item that
//! caused it. The instance is thrown away, since a trap poisons it, and the items are sent
//! in ever shorter ranges until the item that faults is alone; all others are parsed as if
//! it had not been there. A component that faults too often is not called any more.

mod breaker;
mod instances;
mod quoted;
mod search;

pub use self::{
    breaker::{Breaker, Noted},
    quoted::Quoted,
    search::Share,
};

use self::{
    instances::{Instances, TRIPPED},
    search::{Attempts, Failed, Search, Stop},
};
use crate::{
    batch::item_bounds,
    checked::{Checked, RowShape, Violation},
    sandbox::{ComponentError, Fault, Memory, Parser, ParserComponent, Router, RouterComponent},
};
use heplake_format::ComponentDigest;
use heplake_sdk::{Accepts, Description, RouterDescription, VerdictClass};
use std::{ops::Range, sync::Arc};

/// A parser as a pipeline calls it: in the sandbox, or natively for a baseline.
pub trait Parse: Send {
    /// Has a batch parsed, and checks what comes back.
    ///
    /// # Errors
    /// After any fault the parser is thrown away.
    fn parse(&mut self, items: &Items<'_>) -> Result<Checked, Fault>;

    /// The same within a part of the deadline. One without deadlines takes no notice.
    ///
    /// # Errors
    /// After any fault the parser is thrown away.
    fn parse_within(&mut self, items: &Items<'_>, share: Share) -> Result<Checked, Fault> {
        let _ = share;
        self.parse(items)
    }

    /// What it has of the machine's memory, for itself.
    fn memory(&self) -> Memory {
        Memory::default()
    }
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

    /// The same within a part of the deadline. One without deadlines takes no notice.
    ///
    /// # Errors
    /// After any fault the router is thrown away.
    fn route_within(
        &mut self,
        bytes: &[u8],
        cells: &[u64],
        rows: u32,
        share: Share,
    ) -> Result<Vec<u32>, Fault> {
        let _ = share;
        self.route(bytes, cells, rows)
    }

    /// What it has of the machine's memory, for itself.
    fn memory(&self) -> Memory {
        Memory::default()
    }
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
    /// The context fields.
    pub context: Quoted<'a>,
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
        self.parse_within(items, Share::WHOLE)
    }

    fn parse_within(&mut self, items: &Items<'_>, share: Share) -> Result<Checked, Fault> {
        let deadline = share.of(self.deadline());
        Self::parse(self, items, deadline)
    }

    fn memory(&self) -> Memory {
        Self::memory(self)
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
        self.route_within(bytes, cells, rows, Share::WHOLE)
    }

    fn route_within(
        &mut self,
        bytes: &[u8],
        cells: &[u64],
        rows: u32,
        share: Share,
    ) -> Result<Vec<u32>, Fault> {
        let deadline = share.of(self.deadline());
        Self::route(self, bytes, cells, rows, deadline)
    }

    fn memory(&self) -> Memory {
        Self::memory(self)
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
    search: Search,
    /// Items of the batch in hand that faulted, and how; rising.
    faults: Vec<(u32, &'static str)>,
    /// It was cut off in the batch in hand, and left the rest of it to its successor.
    is_cut_off: bool,
}

/// Not this component's: the second verdict of `wit/heplake.wit`.
const NOT_MINE: u32 = 1;
/// A verdict for items that faulted; no component can return it.
const FAULTED: u32 = u32::MAX;

impl ContainedParser {
    /// Makes the first instances. All that contain the same component share its breaker.
    ///
    /// # Errors
    /// When they cannot be made, or describe themselves beyond bounds.
    pub fn new(
        source: Arc<dyn ParserSource>,
        breaker: Arc<Breaker>,
    ) -> Result<Self, ComponentError> {
        let shape = RowShape::of(source.description()).map_err(ComponentError::Description)?;
        let ComponentDigest {
            name,
            version,
            digest,
        } = source.named();
        let label = format!("{name}@{version} sha256:{digest}").into();
        let maker = source.clone();
        let instances = Instances::new(source.named(), breaker, move || maker.instantiate())?;
        Ok(Self {
            source,
            shape,
            label,
            instances,
            search: Search::default(),
            faults: Vec::new(),
            is_cut_off: false,
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

    /// Bytes of memory that its instances have.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.instances.memory_bytes()
    }

    /// Has a batch parsed, or as many of its first items as one batch may return the rows of:
    /// at least one, and as many as there are verdicts. The others are to be handed in again.
    ///
    /// Without the component, since it faulted too often, each item of an envelope has
    /// faulted, and a payload is nobody's. If another version is about to take over, the rest of
    /// the batch has no verdicts instead ([`is_cut_off`](Self::is_cut_off)): there may be none
    /// at all then.
    pub fn parse(&mut self, items: &Items<'_>) -> Checked {
        self.faults.clear();
        let description = self.source.description();
        let mut parsing = Parsing {
            items,
            context: description.context.len(),
            is_envelope: description.accepts == Accepts::Datagrams,
            shape: &self.shape,
            instances: &mut self.instances,
            faults: &mut self.faults,
            is_cut_off: false,
            all: Checked::default(),
        };
        self.search.run(items.ends.len(), &mut parsing);
        self.is_cut_off = parsing.is_cut_off;
        let all = parsing.all;
        self.instances.tidy();
        all
    }

    /// How many of the first items of the batch parsed last have their answers: one at least,
    /// unless the component was cut off.
    #[must_use]
    pub fn answered(&self, parsed: &Checked) -> usize {
        match self.is_cut_off {
            true => parsed.verdicts().len(),
            false => parsed.verdicts().len().max(1),
        }
    }

    /// Whether it was cut off in the batch parsed last, and left the rest of it to the version
    /// that takes over.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.is_cut_off
    }

    /// What takes the component out of service.
    #[must_use]
    pub fn breaker(&self) -> &Arc<Breaker> {
        self.instances.breaker()
    }

    /// What became of an item of the batch parsed last.
    #[must_use]
    pub fn outcome(&self, verdicts: &[u32], item: usize) -> Outcome<'_> {
        match verdicts.get(item).copied().unwrap_or(FAULTED) {
            0 => Outcome::Parsed,
            NOT_MINE => Outcome::NotMine,
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
}

/// A batch that is being parsed.
struct Parsing<'a> {
    items: &'a Items<'a>,
    /// Number of context fields.
    context: usize,
    is_envelope: bool,
    shape: &'a RowShape,
    instances: &'a mut Instances<dyn Parse>,
    faults: &'a mut Vec<(u32, &'static str)>,
    is_cut_off: bool,
    all: Checked,
}

impl Parsing<'_> {
    fn call(&mut self, items: &Items<'_>, share: Share) -> Result<Checked, Failed> {
        self.instances.call(|parser| {
            let checked = parser.parse_within(items, share)?;
            let (found, expected) = (checked.verdicts().len(), items.ends.len());
            match found == expected {
                true => Ok(checked),
                false => Err(Fault::Violation(Violation::VerdictCount {
                    found,
                    expected,
                })),
            }
        })
    }

    fn answer(&mut self, items: Range<usize>, verdict: u32, fault: Option<&'static str>) {
        if let Some(kind) = fault {
            self.faults
                .extend(items.clone().map(|item| (item as u32, kind)));
        }
        self.all.append_verdicts(verdict, items.len(), self.shape);
    }
}

impl Attempts for Parsing<'_> {
    fn attempt(&mut self, part: Range<usize>, share: Share) -> Result<(), Failed> {
        let Items {
            bytes,
            ends,
            received,
            context,
        } = *self.items;
        if part == (0..ends.len()) {
            self.all = self.call(self.items, share)?;
            return Ok(());
        }
        let (start, _) = item_bounds(ends, part.start);
        let (_, end) = item_bounds(ends, part.end - 1);
        let (cells, context_text) = context.part(part.clone(), self.context);
        let part_ends: Vec<u32> = ends[part.clone()]
            .iter()
            .map(|end| end - start as u32)
            .collect();
        let items = Items {
            bytes: bytes.get(start..end).unwrap_or_default(),
            ends: &part_ends,
            received: received.get(part.clone()).unwrap_or_default(),
            context: Quoted {
                cells: &cells,
                bytes: context_text,
                ..Quoted::default()
            },
        };
        let checked = self.call(&items, share)?;
        if part.start == 0 {
            // There is always room for the first.
            self.all = checked;
            return Ok(());
        }
        // What the parts of a batch return together is held to what a batch may: beyond it
        // is no fault of the part that comes last.
        self.all
            .append(&checked, start as u32, ends.len(), self.shape)
            .map_err(|_| Failed::Stopped(Stop::Full))
    }

    fn blame(&mut self, item: usize, fault: &Fault) {
        let what = "a packet made a component fault; it goes to hep_rejected";
        self.instances.note(fault, what);
        self.answer(item..item + 1, FAULTED, Some(fault.kind()));
    }

    fn excuse(&mut self, items: usize, fault: &Fault) {
        let alone = "a packet made an instance fault that was used, and a new one not";
        let together = "packets made a component fault together, and none of them alone";
        self.instances.note_excused(items, fault, [alone, together]);
    }

    fn give_up(&mut self, rest: Range<usize>, reason: &'static str) {
        if reason == TRIPPED && self.instances.breaker().awaits_successor() {
            self.is_cut_off = true;
        } else if reason == TRIPPED && !self.is_envelope {
            self.answer(rest, NOT_MINE, None);
        } else {
            self.answer(rest, FAULTED, Some(reason));
        }
    }
}

/// A router that answers for every row.
pub struct ContainedRouter {
    source: Arc<dyn RouterSource>,
    instances: Instances<dyn Route>,
    search: Search,
    /// It was cut off among the rows in hand, and left the rest of them to its successor.
    is_cut_off: bool,
}

impl ContainedRouter {
    /// Makes the first instances. All that contain the same component share its breaker.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn new(
        source: Arc<dyn RouterSource>,
        breaker: Arc<Breaker>,
    ) -> Result<Self, ComponentError> {
        let maker = source.clone();
        let instances = Instances::new(source.named(), breaker, move || maker.instantiate())?;
        Ok(Self {
            source,
            instances,
            search: Search::default(),
            is_cut_off: false,
        })
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

    /// Bytes of memory that its instances have.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.instances.memory_bytes()
    }

    /// For each row the place of its table; none of a row on which the router faults, or
    /// when it faulted too often to be asked. If another version is about to take over, the rest
    /// of the rows has no answers instead ([`is_cut_off`](Self::is_cut_off)).
    pub fn route(&mut self, fields: Quoted<'_>, rows: usize) -> Vec<Option<u32>> {
        let mut routing = Routing {
            fields,
            rows,
            width: self.source.description().reads.len(),
            instances: &mut self.instances,
            is_cut_off: false,
            tables: Vec::with_capacity(rows),
        };
        self.search.run(rows, &mut routing);
        self.is_cut_off = routing.is_cut_off;
        let tables = routing.tables;
        self.instances.tidy();
        tables
    }

    /// Whether it was cut off among the rows routed last, and left the rest of them to the version
    /// that takes over.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.is_cut_off
    }

    /// What takes the component out of service.
    #[must_use]
    pub fn breaker(&self) -> &Arc<Breaker> {
        self.instances.breaker()
    }
}

/// Rows that are being routed.
struct Routing<'a> {
    fields: Quoted<'a>,
    rows: usize,
    /// Cells of a row.
    width: usize,
    instances: &'a mut Instances<dyn Route>,
    is_cut_off: bool,
    tables: Vec<Option<u32>>,
}

impl Attempts for Routing<'_> {
    fn attempt(&mut self, part: Range<usize>, share: Share) -> Result<(), Failed> {
        let rows = part.len() as u32;
        let (cells, bytes) = match part == (0..self.rows) {
            true => (self.fields.cells.into(), self.fields.bytes),
            false => self.fields.part(part, self.width),
        };
        let tables = self
            .instances
            .call(|router| router.route_within(bytes, &cells, rows, share))?;
        self.tables.extend(tables.into_iter().map(Some));
        Ok(())
    }

    fn blame(&mut self, _: usize, fault: &Fault) {
        let what = "a row made a router fault; its payload goes to the default table";
        self.instances.note(fault, what);
        self.tables.push(None);
    }

    fn excuse(&mut self, items: usize, fault: &Fault) {
        let alone = "a row made an instance of a router fault that was used, and a new one not";
        let together = "rows made a router fault together, and none of them alone";
        self.instances.note_excused(items, fault, [alone, together]);
    }

    fn give_up(&mut self, rest: Range<usize>, reason: &'static str) {
        if reason == TRIPPED && self.instances.breaker().awaits_successor() {
            self.is_cut_off = true;
            return;
        }
        self.tables.extend(rest.map(|_| None));
    }
}

#[cfg(test)]
mod tests;
