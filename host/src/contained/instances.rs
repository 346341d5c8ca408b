//! The instances of a component that is held to its job.

use super::{
    breaker::Breaker,
    search::{Failed, Stop},
    {Memory, Parse, Route},
};
use crate::sandbox::{ComponentError, Fault};
use heplake_format::ComponentDigest;
use std::{sync::Arc, time::Instant};

/// The reason for what a component was not asked for, since its breaker tripped.
pub(super) const TRIPPED: &str = "component_tripped";

/// What the instances of every world have.
pub(super) trait Instance {
    /// What it has of the machine's memory.
    fn memory(&self) -> Memory;
}

impl Instance for dyn Parse {
    fn memory(&self) -> Memory {
        Parse::memory(self)
    }
}

impl Instance for dyn Route {
    fn memory(&self) -> Memory {
        Route::memory(self)
    }
}

type Make<I> = dyn Fn() -> Result<Box<I>, ComponentError> + Send;

/// Where a worker has its instance of a component from: an instance that faulted is thrown
/// away, since a trap poisons it, and the next call is another's.
pub(super) struct Instances<I: ?Sized> {
    make: Box<Make<I>>,
    named: ComponentDigest,
    breaker: Arc<Breaker>,
    working: Option<Working<I>>,
    /// So that the first fault of a batch costs no time to make another.
    spare: Option<Box<I>>,
}

/// The instance that is called.
struct Working<I: ?Sized> {
    instance: Box<I>,
    /// It has served earlier batches.
    is_used: bool,
}

impl<I: ?Sized> Working<I> {
    fn new(instance: Box<I>) -> Self {
        Self {
            instance,
            is_used: false,
        }
    }
}

impl<I: ?Sized + Instance> Instances<I> {
    /// Makes the first instance, and a spare.
    ///
    /// # Errors
    /// When they cannot be made.
    pub(super) fn new(
        named: &ComponentDigest,
        breaker: Arc<Breaker>,
        make: impl Fn() -> Result<Box<I>, ComponentError> + Send + 'static,
    ) -> Result<Self, ComponentError> {
        let (working, spare) = (Some(Working::new(make()?)), Some(make()?));
        Ok(Self {
            make: Box::new(make),
            named: named.clone(),
            breaker,
            working,
            spare,
        })
    }

    /// Calls an instance.
    ///
    /// # Errors
    /// As the instance did, or when there is none to be called.
    pub(super) fn call<R>(
        &mut self,
        call: impl FnOnce(&mut I) -> Result<R, Fault>,
    ) -> Result<R, Failed> {
        if self.breaker.is_tripped() {
            (self.working, self.spare) = (None, None);
            return Err(Failed::Stopped(Stop::OutOfService(TRIPPED)));
        }
        let spare = || self.spare.take().map(Working::new);
        let mut working = match self.working.take().or_else(spare) {
            Some(working) => working,
            None => Working::new((self.make)().map_err(|error| {
                let fault = Fault::Start(error.to_string());
                self.note(&fault, "a component cannot be started again");
                Failed::Stopped(Stop::OutOfService(fault.kind()))
            })?),
        };
        match call(&mut working.instance) {
            Ok(returned) => {
                self.working = Some(working);
                Ok(returned)
            }
            Err(fault) => {
                self.count_replaced("fault");
                let was_used = working.is_used;
                Err(Failed::Fault { fault, was_used })
            }
        }
    }

    /// What takes the component out of service.
    pub(super) fn breaker(&self) -> &Arc<Breaker> {
        &self.breaker
    }

    /// Makes ready for the next batch: replaces an instance that has become too large, and
    /// the spare if it was used.
    pub(super) fn tidy(&mut self) {
        let working = self.working.as_ref();
        if working.is_some_and(|working| working.instance.memory().is_swollen()) {
            self.count_replaced("memory");
            self.working = None;
        }
        match &mut self.working {
            Some(working) => working.is_used = true,
            None => self.working = self.spare.take().map(Working::new),
        }
        if self.spare.is_none() && !self.breaker.is_tripped() {
            // If it cannot be made now it is tried again when it is needed, and said there.
            self.spare = (self.make)().ok();
        }
    }

    /// Counts a fault, and says so.
    pub(super) fn note(&self, fault: &Fault, what: &str) {
        let ComponentDigest { name, version, .. } = &self.named;
        metrics::counter!("heplake_component_faults_total",
            "component" => name.clone(), "version" => version.clone(), "kind" => fault.kind())
        .increment(1);
        let noted = self.breaker.fault(Instant::now(), fault.kind());
        let component = format_args!("{name}@{version}");
        if let Some(left_out) = noted.line {
            tracing::warn!(%component, %fault, left_out, "{what}");
        }
        if noted.trips {
            let faults = self.breaker.faults();
            tracing::error!(%component, faults, "a component faulted too often; it is not called again until it is replaced");
        }
    }

    /// The same of a fault for which no item is to blame: that of so many together and of
    /// none of them alone, or of one on an instance that was used and not on another.
    pub(super) fn note_excused(&self, items: usize, fault: &Fault, [alone, together]: [&str; 2]) {
        match items {
            1 => self.note(fault, alone),
            _ if is_of_a_total(fault) => {}
            _ => self.note(fault, together),
        }
    }

    /// Bytes of memory that the instances have.
    pub(super) fn memory_bytes(&self) -> usize {
        let working = self.working.as_ref().map(|working| &working.instance);
        working
            .into_iter()
            .chain(&self.spare)
            .map(|instance| instance.memory().bytes)
            .sum()
    }

    fn count_replaced(&self, reason: &'static str) {
        let ComponentDigest { name, version, .. } = &self.named;
        metrics::counter!("heplake_component_instances_replaced_total",
            "component" => name.clone(), "version" => version.clone(), "reason" => reason)
        .increment(1);
    }
}

/// Whether a fault may be that of a total: many items, each right by itself, together ask
/// for more rows, text or memory than one call is granted. Senders choose what comes
/// together, so it must not count against the component; what is cut has its answers.
fn is_of_a_total(fault: &Fault) -> bool {
    match fault {
        // More than is taken of one call is among what cannot be read.
        Fault::Memory | Fault::Interface(_) => true,
        Fault::Violation(violation) => violation.is_of_a_total(),
        // Time is a batch's, too; but it is lost, and what loses it a breaker must stop. By
        // default a thousand in a minute trip it: sixteen workers that lose all their time.
        Fault::Deadline | Fault::Trap(_) | Fault::Start(_) => false,
    }
}
