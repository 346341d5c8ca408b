//! An instance of a component: what it may use, and how a call into it fails.

use super::engine::{ComponentError, Fault, Limits, TICK};
use crate::checked::cut;
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;
use wasmtime::{
    ResourceLimiter, Store, StoreContextMut, Trap, UpdateDeadline,
    component::{ComponentNamedList, Func, Instance, InstancePre, Lift, Lower},
};

/// Bytes that one call may return: a batch is 1 MiB, rows of forty cells for each of 1024
/// packets are a third of one; the rest is room for text that had to be made.
const RETURNED_BYTES_MAX: usize = 32 << 20;
/// Entries of all tables of a component, of indirect calls: one with more functions is none
/// that we know.
pub(super) const TABLE_ENTRIES_MAX: usize = 20_000;
/// Core instances, memories and tables of a component. One of a single module has one or
/// two of each, one that adapters were joined to a few more.
pub(super) const PARTS_MAX: u32 = 32;

/// What an instance has of the machine's memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// What it has. It never shrinks, so it is also the most that it had.
    pub bytes: usize,
    /// What it had before its first batch.
    pub bytes_at_start: usize,
    /// What it may have.
    pub bytes_max: usize,
}

impl Memory {
    /// Whether it grew beyond half of what it may have: it will not give it back, and the
    /// next batch might want the other half.
    #[must_use]
    pub fn is_swollen(&self) -> bool {
        self.bytes > self.bytes_at_start && self.bytes > self.bytes_max / 2
    }
}

/// An instance and its store.
pub(super) struct Running {
    store: Store<Allowance>,
    instance: Instance,
    limits: Limits,
    bytes_at_start: usize,
}

impl Running {
    /// Makes an instance. That runs the component's start function: it, too, has a deadline.
    pub(super) fn start(
        component: &InstancePre<Allowance>,
        limits: Limits,
    ) -> Result<Self, ComponentError> {
        let mut store = Store::new(component.engine(), Allowance::new(limits));
        store.limiter(|allowance| allowance);
        store.set_hostcall_fuel(RETURNED_BYTES_MAX);
        store.epoch_deadline_callback(at_deadline);
        begin(&mut store, limits.deadline);
        let instance = component
            .instantiate(&mut store)
            .map_err(|error| ComponentError::Call {
                call: "instantiate",
                fault: fault(&error, store.data()),
            })?;
        Ok(Self {
            store,
            instance,
            limits,
            bytes_at_start: 0,
        })
    }

    /// Configures it.
    pub(super) fn configure(
        &mut self,
        world: &'static str,
        configuration: &str,
    ) -> Result<(), ComponentError> {
        let configure = self.export::<(&str,), (Result<(), String>,)>(world, "configure")?;
        let (configured,): (Result<(), String>,) = self
            .call(&configure, (configuration,), self.limits.deadline)
            .map_err(|fault| ComponentError::Call {
                call: "configure",
                fault,
            })?;
        self.bytes_at_start = self.store.data().memory_bytes;
        configured.map_err(ComponentError::Configuration)
    }

    /// Asks it for its description.
    pub(super) fn describe(&mut self, world: &'static str) -> Result<String, ComponentError> {
        let describe = self.export::<(), (String,)>(world, "describe")?;
        let (description,) = self
            .call(&describe, (), self.limits.deadline)
            .map_err(|fault| ComponentError::Call {
                call: "describe",
                fault,
            })?;
        Ok(description)
    }

    /// An export of the contract, found to have the contract's type.
    pub(super) fn export<P, R>(
        &mut self,
        world: &'static str,
        name: &str,
    ) -> Result<Func, ComponentError>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        let contract = |reason| ComponentError::Contract { world, reason };
        let func = self
            .instance
            .get_func(&mut self.store, name)
            .ok_or_else(|| contract(format!("there is no function `{name}`")))?;
        func.typed::<P, R>(&self.store)
            .map_err(|error| contract(format!("`{name}` has another type: {error:#}")))?;
        Ok(func)
    }

    /// Calls an export within a deadline. Its type is compared at each call, since a typed
    /// function cannot be kept for borrowed parameters: nothing, for a batch.
    pub(super) fn call<P, R>(
        &mut self,
        func: &Func,
        params: P,
        deadline: Duration,
    ) -> Result<R, Fault>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        begin(&mut self.store, deadline);
        func.typed::<P, R>(&self.store)
            .and_then(|func| func.call(&mut self.store, params))
            .map_err(|error| fault(&error, self.store.data()))
    }

    /// The longest that a call may take.
    pub(super) fn deadline(&self) -> Duration {
        self.limits.deadline
    }

    pub(super) fn memory(&self) -> Memory {
        Memory {
            bytes: self.store.data().memory_bytes,
            bytes_at_start: self.bytes_at_start,
            bytes_max: self.limits.memory_bytes_max,
        }
    }
}

/// Sets the deadline of the call that follows.
fn begin(store: &mut Store<Allowance>, deadline: Duration) {
    let allowance = store.data_mut();
    allowance.refused = false;
    allowance.until = thread_time().saturating_add(deadline);
    store.set_epoch_deadline(ticks(deadline));
}

/// Ticks are of the wall clock. What counts is the time that the thread really ran: a
/// component is not to blame for a machine that is busy with something else.
fn at_deadline(context: StoreContextMut<'_, Allowance>) -> wasmtime::Result<UpdateDeadline> {
    let left = context.data().until.saturating_sub(thread_time());
    Ok(match left.is_zero() {
        true => UpdateDeadline::Interrupt,
        false => UpdateDeadline::Continue(ticks(left)),
    })
}

fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX / 2)
}

/// The processor's time that this thread has had.
fn thread_time() -> Duration {
    // Where there is no such clock the wall clock's ticks decide.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::MAX, Duration::from)
}

fn fault(error: &wasmtime::Error, allowance: &Allowance) -> Fault {
    /// A sentence, not a page.
    const CHARACTERS_MAX: usize = 400;
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Fault::Deadline,
        _ if allowance.refused => Fault::Memory,
        Some(trap) => {
            let text = trap.to_string();
            Fault::Trap(text.strip_prefix("wasm trap: ").unwrap_or(&text).into())
        }
        // Only the cause: what surrounds it may name the component's own functions.
        None => Fault::Interface(cut(&error.root_cause().to_string(), CHARACTERS_MAX)),
    }
}

/// What one instance may still have.
pub(super) struct Allowance {
    memory_bytes: usize,
    memory_bytes_max: usize,
    table_entries: usize,
    /// Whether it wanted more memory or entries in this call.
    refused: bool,
    /// When the call in hand must end, by the time that its thread has had.
    until: Duration,
}

impl Allowance {
    fn new(limits: Limits) -> Self {
        Self {
            memory_bytes: 0,
            memory_bytes_max: limits.memory_bytes_max,
            table_entries: 0,
            refused: false,
            until: Duration::ZERO,
        }
    }
}

impl ResourceLimiter for Allowance {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        // All memories together: a component may have several.
        let growth = desired.saturating_sub(current);
        let allowed = growth <= self.memory_bytes_max.saturating_sub(self.memory_bytes);
        self.refused |= !allowed;
        if allowed {
            // Counted even if the machine then has none to give: the call that says so says
            // it of growths, too, that were never asked for here.
            self.memory_bytes += growth;
        }
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let growth = desired.saturating_sub(current);
        let allowed = growth <= TABLE_ENTRIES_MAX.saturating_sub(self.table_entries);
        self.refused |= !allowed;
        if allowed {
            self.table_entries += growth;
        }
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        PARTS_MAX as usize
    }

    fn tables(&self) -> usize {
        PARTS_MAX as usize
    }

    fn memories(&self) -> usize {
        PARTS_MAX as usize
    }
}
