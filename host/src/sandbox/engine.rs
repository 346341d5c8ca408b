//! The engine: what all components of a process share.

use heplake_format::ComponentDigest;
use sha2::{Digest, Sha256};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};
use wasmtime::{
    Config, ResourceLimiter, Store, Trap,
    component::{
        Component, ComponentNamedList, Func, Instance, Lift, Linker, Lower, types::ComponentItem,
    },
};

/// Time between two looks at the deadline. A runaway is stopped within its deadline and
/// one tick; shorter would only wake the ticker more often.
const TICK: Duration = Duration::from_millis(10);
/// Largest component, in bytes: ours have about 200 KiB, other languages bring a runtime.
const COMPONENT_BYTES_MAX: usize = 64 << 20;
/// Stack of a component. Parsers loop rather than recurse.
const STACK_BYTES_MAX: usize = 512 << 10;
/// Bytes that one call may return: a batch is 1 MiB, rows of forty cells for each of 1024
/// packets are a third of one; the rest is room for text that had to be made.
const RETURNED_BYTES_MAX: usize = 32 << 20;

/// How much a component may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest time that one call may take.
    pub deadline: Duration,
    /// Most linear memory, in bytes.
    pub memory_bytes_max: usize,
}

impl Default for Limits {
    /// A second is a thousand times what a batch takes and still hurts nobody; 64 MiB holds
    /// the largest batch many times.
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(1),
            memory_bytes_max: 64 << 20,
        }
    }
}

/// Why a component is refused before it sees a packet.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// It is too large.
    #[error("the component has {0} bytes, more than the {COMPONENT_BYTES_MAX} that are loaded")]
    TooLarge(usize),
    /// It is no component, or not a valid one.
    #[error("not a valid WebAssembly component: {0}")]
    Invalid(String),
    /// It imports something.
    #[error(
        "it imports `{0}`, and a component may import nothing: build it for wasm32-unknown-unknown"
    )]
    Imports(String),
    /// It lacks an export of the contract, or has it with another type.
    #[error("it does not export the contract's {world}: {reason}")]
    Contract {
        /// The world of `wit/heplake.wit`.
        world: &'static str,
        /// What is missing or different.
        reason: String,
    },
    /// A call failed that must not.
    #[error("its `{call}` failed: {fault}")]
    Call {
        /// The export.
        call: &'static str,
        /// How.
        fault: Fault,
    },
    /// It refused its configuration.
    #[error("it refuses its configuration: {0}")]
    Configuration(String),
    /// Its description cannot be used.
    #[error("its description cannot be used: {0}")]
    Description(String),
}

/// How a call into a component failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It took longer than its deadline.
    #[error("stopped at its deadline")]
    Deadline,
    /// It wanted more memory than it may have, and gave up.
    #[error("ran out of the memory it may use")]
    Memory,
    /// It trapped.
    #[error("trapped: {0}")]
    Trap(String),
    /// It returned what the contract forbids.
    #[error("returned what the contract forbids: {0}")]
    Violation(crate::checked::Violation),
}

impl Fault {
    /// A short name: the label of a metric, and the reason stored with a rejected packet.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Deadline => "component_deadline",
            Self::Memory => "component_memory",
            Self::Trap(_) => "component_trap",
            Self::Violation(_) => "component_violation",
        }
    }
}

/// What all components of a process share: the compiler, and a clock for deadlines.
#[derive(Clone, Debug)]
pub struct Engine {
    engine: wasmtime::Engine,
    _ticker: Arc<Ticker>,
}

impl Engine {
    /// Starts an engine and the thread that ticks for deadlines.
    ///
    /// # Errors
    /// When the machine cannot run WebAssembly, or no thread can be started.
    pub fn new() -> Result<Self, ComponentError> {
        let mut config = Config::new();
        config.wasm_component_model(true);
        // A bare call costs 800 ns with concurrency support, 300 ns without.
        config.concurrency_support(false);
        config.epoch_interruption(true);
        config.max_wasm_stack(STACK_BYTES_MAX);
        config.wasm_memory64(false);
        config.wasm_relaxed_simd(false);
        // Unwind tables are for profilers, and registering them takes locks.
        config.native_unwind_info(false);
        let invalid = |error: wasmtime::Error| ComponentError::Invalid(format!("{error:#}"));
        let engine = wasmtime::Engine::new(&config).map_err(invalid)?;
        let ticker = Ticker::start(&engine).map_err(|error| {
            ComponentError::Invalid(format!("no thread for deadlines: {error}"))
        })?;
        Ok(Self {
            engine,
            _ticker: Arc::new(ticker),
        })
    }

    /// Compiles a component and makes sure that it imports nothing.
    pub(super) fn compile(&self, bytes: &[u8]) -> Result<Compiled, ComponentError> {
        if bytes.len() > COMPONENT_BYTES_MAX {
            return Err(ComponentError::TooLarge(bytes.len()));
        }
        let component = Component::new(&self.engine, bytes)
            .map_err(|error| ComponentError::Invalid(format!("{error:#}")))?;
        if let Some((name, _)) = component.component_type().imports(&self.engine).next() {
            return Err(ComponentError::Imports(name.into()));
        }
        let digest = Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Compiled {
            engine: self.clone(),
            component,
            digest,
        })
    }
}

/// A compiled component of whatever world.
#[derive(Clone)]
pub(super) struct Compiled {
    engine: Engine,
    component: Component,
    digest: String,
}

impl Compiled {
    /// How the commit names it.
    pub(super) fn named(&self, name: &str, version: &str) -> ComponentDigest {
        let digest = self.digest.clone();
        ComponentDigest {
            name: name.into(),
            version: version.into(),
            digest,
        }
    }

    /// What it exports, by name.
    pub(super) fn exports(&self) -> Vec<(String, ComponentItem)> {
        let exported = self.component.component_type();
        exported
            .exports(&self.engine.engine)
            .map(|(name, export)| (name.to_owned(), export.ty))
            .collect()
    }

    /// Makes an instance, configures it, and asks it for its description.
    pub(super) fn instantiate(
        &self,
        world: &'static str,
        configuration: &str,
        limits: Limits,
    ) -> Result<(Running, String), ComponentError> {
        let state = Allowance {
            memory_bytes_max: limits.memory_bytes_max,
            refused: false,
        };
        let mut store = Store::new(&self.engine.engine, state);
        store.limiter(|state| state);
        store.set_hostcall_fuel(RETURNED_BYTES_MAX);
        store.epoch_deadline_trap();
        let ticks = limits.deadline.as_millis().div_ceil(TICK.as_millis()) as u64 + 1;
        // Instantiating runs the component's start function: it, too, has a deadline.
        store.set_epoch_deadline(ticks);
        let instance = Linker::new(&self.engine.engine)
            .instantiate(&mut store, &self.component)
            .map_err(|error| ComponentError::Call {
                call: "instantiate",
                fault: fault(&error, store.data()),
            })?;
        let mut running = Running {
            store,
            instance,
            ticks,
        };
        let call = |call| move |fault| ComponentError::Call { call, fault };
        let configure = running.export::<(&str,), (Result<(), String>,)>(world, "configure")?;
        let describe = running.export::<(), (String,)>(world, "describe")?;
        let (configured,): (Result<(), String>,) = running
            .call(&configure, (configuration,))
            .map_err(call("configure"))?;
        configured.map_err(ComponentError::Configuration)?;
        let (description,) = running.call(&describe, ()).map_err(call("describe"))?;
        Ok((running, description))
    }
}

/// An instance and its store.
pub(super) struct Running {
    store: Store<Allowance>,
    instance: Instance,
    ticks: u64,
}

impl Running {
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

    /// Calls an export within the deadline. Its type is compared at each call, since a
    /// typed function cannot be kept for borrowed parameters: nothing, for a batch.
    pub(super) fn call<P, R>(&mut self, func: &Func, params: P) -> Result<R, Fault>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        self.store.set_epoch_deadline(self.ticks);
        func.typed::<P, R>(&self.store)
            .and_then(|func| func.call(&mut self.store, params))
            .map_err(|error| fault(&error, self.store.data()))
    }
}

fn fault(error: &wasmtime::Error, allowance: &Allowance) -> Fault {
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Fault::Deadline,
        _ if allowance.refused => Fault::Memory,
        Some(trap) => Fault::Trap(trap.to_string()),
        None => Fault::Trap(format!("{error:#}")),
    }
}

/// What one instance may still have.
struct Allowance {
    memory_bytes_max: usize,
    refused: bool,
}

impl ResourceLimiter for Allowance {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.refused |= desired > self.memory_bytes_max;
        Ok(desired <= self.memory_bytes_max)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        /// Entries of indirect calls: a component with more functions is none that we know.
        const TABLE_ENTRIES_MAX: usize = 20_000;
        Ok(desired <= TABLE_ENTRIES_MAX)
    }
}

/// The thread that lets deadlines pass; ends with the last engine that refers to it.
#[derive(Debug)]
struct Ticker {
    stop: Arc<AtomicBool>,
}

impl Ticker {
    fn start(engine: &wasmtime::Engine) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (engine, stopped) = (engine.weak(), stop.clone());
        thread::Builder::new()
            .name("sandbox-ticker".into())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    thread::sleep(TICK);
                    match engine.upgrade() {
                        Some(engine) => engine.increment_epoch(),
                        None => break,
                    }
                }
            })?;
        Ok(Self { stop })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
