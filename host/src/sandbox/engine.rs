//! The engine: what all components of a process share.

use super::{instance::Allowance, pool, precompiled::TrustedCode};
use crate::checked::cut;
use heplake_format::ComponentDigest;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};
use wasmtime::{
    Config,
    component::{Component, InstancePre, Linker, types::ComponentItem},
};

/// Time between two looks at the deadline. A runaway is stopped within its deadline and
/// one tick; shorter would only wake the ticker more often.
pub(super) const TICK: Duration = Duration::from_millis(10);
/// Largest component, in bytes: ours have about 200 KiB, other languages bring a runtime.
const COMPONENT_BYTES_MAX: usize = 64 << 20;
/// Stack of a component. Parsers loop rather than recurse.
const STACK_BYTES_MAX: usize = 512 << 10;

/// How much a component may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest time of a processor that one call may take.
    pub deadline: Duration,
    /// Most linear memory of an instance, in bytes.
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

impl ComponentError {
    /// The same with what the component itself wrote cut to what can be shown and stored.
    pub(super) fn fit_to_show(self) -> Self {
        /// A sentence, not a page.
        const CHARACTERS_MAX: usize = 400;
        let fit = |text: String| cut(&text, CHARACTERS_MAX);
        match self {
            Self::Invalid(reason) => Self::Invalid(fit(reason)),
            Self::Imports(name) => Self::Imports(fit(name)),
            Self::Contract { world, reason } => Self::Contract {
                world,
                reason: fit(reason),
            },
            Self::Configuration(reason) => Self::Configuration(fit(reason)),
            Self::Description(reason) => Self::Description(fit(reason)),
            // A fault's texts are the host's own.
            other @ (Self::TooLarge(_) | Self::Call { .. }) => other,
        }
    }
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
    /// What it returned cannot be read: it lies outside of its memory, is not UTF-8, or is
    /// more than is taken.
    #[error("returned what cannot be read: {0}")]
    Interface(String),
    /// It cannot be started again.
    #[error("could not be started again: {0}")]
    Start(String),
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
            Self::Interface(_) | Self::Violation(_) => "component_violation",
            Self::Start(_) => "component_start",
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
        // Where a trap was is of no use to us, and the names in it are the component's.
        config.wasm_backtrace_max_frames(None);
        let invalid = |error: wasmtime::Error| ComponentError::Invalid(format!("{error:#}"));
        let engine = pool::engine(config).map_err(invalid)?;
        let ticker = Ticker::start(&engine).map_err(|error| {
            ComponentError::Invalid(format!("no thread for deadlines: {error}"))
        })?;
        Ok(Self {
            engine,
            _ticker: Arc::new(ticker),
        })
    }

    /// Compiles a component and makes sure that it imports nothing.
    ///
    /// # Errors
    /// When it is too large, no valid component, or imports something.
    pub fn compile(&self, bytes: &[u8]) -> Result<Compiled, ComponentError> {
        self.compile_any(bytes).map_err(ComponentError::fit_to_show)
    }

    fn compile_any(&self, bytes: &[u8]) -> Result<Compiled, ComponentError> {
        if bytes.len() > COMPONENT_BYTES_MAX {
            return Err(ComponentError::TooLarge(bytes.len()));
        }
        let component = Component::new(&self.engine, bytes)
            .map_err(|error| ComponentError::Invalid(format!("{error:#}")))?;
        Compiled::new(self, component, hexadecimal(&Sha256::digest(bytes)))
    }

    /// What precompiled code is kept under: code of an engine with another key does not run
    /// here. Sixteen hexadecimal digits.
    #[must_use]
    pub fn code_key(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.engine
            .precompile_compatibility_hash()
            .hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// Loads what [`Compiled::code`] gave for the component of this digest.
    ///
    /// # Errors
    /// When this engine cannot run it.
    pub fn load(&self, code: TrustedCode<'_>, digest: &str) -> Result<Compiled, ComponentError> {
        let component = code
            .load(&self.engine)
            .map_err(|error| ComponentError::Invalid(format!("{error:#}")))?;
        Compiled::new(self, component, digest.into())
    }
}

/// Digits of bytes, as digests are written.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The worlds of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum World {
    /// An envelope or a payload protocol: exports `parse`.
    Parser,
    /// Exports `route`.
    Router,
}

impl World {
    /// Its name in `wit/heplake.wit`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Parser => "parser",
            Self::Router => "router",
        }
    }
}

/// A compiled component of whatever world.
#[derive(Clone)]
pub struct Compiled {
    engine: Engine,
    component: Component,
    digest: String,
}

impl Compiled {
    fn new(engine: &Engine, component: Component, digest: String) -> Result<Self, ComponentError> {
        if let Some((name, _)) = component.component_type().imports(&engine.engine).next() {
            return Err(ComponentError::Imports(name.into()));
        }
        Ok(Self {
            engine: engine.clone(),
            component,
            digest,
        })
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// SHA-256 of the component's bytes, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The machine code, to be loaded again without compiling.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn code(&self) -> Result<Vec<u8>, ComponentError> {
        let code = self.component.serialize();
        code.map_err(|error| ComponentError::Invalid(format!("{error:#}")))
    }

    /// The world that it is of, by what it exports.
    ///
    /// # Errors
    /// When it is of neither world of the contract, or of both.
    pub fn world(&self) -> Result<World, ComponentError> {
        let exports = |name: &str| self.component.get_export(None, name).is_some();
        match (exports("parse"), exports("route")) {
            (true, false) => Ok(World::Parser),
            (false, true) => Ok(World::Router),
            (parses, _) => Err(ComponentError::Contract {
                world: "parser or router",
                reason: match parses {
                    true => "it exports both `parse` and `route`".into(),
                    false => "there is no function `parse` or `route`".into(),
                },
            }),
        }
    }

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

    /// What instances are made of: all that can be done once is done.
    pub(super) fn prepare(&self) -> Result<InstancePre<Allowance>, ComponentError> {
        Linker::new(&self.engine.engine)
            .instantiate_pre(&self.component)
            .map_err(|error| ComponentError::Invalid(format!("{error:#}")))
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
