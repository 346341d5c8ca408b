//! What both binaries are as a process: arguments and configuration in, an exit code out,
//! a signal that ends them, and a deadline for what is still to be written then.

use crate::configuration::{CONFIG_VARIABLE, Configuration, ConfigurationError, Machine};
use clap::{Args, Parser};
use std::{error::Error, io, path::PathBuf, process::ExitCode, time::Duration};
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};

/// What is still to be sealed and committed has this long; service managers kill after 90 s
/// (systemd) or 30 s (Kubernetes).
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(30);

/// What still blocks once a program has ended well has this long: a query, or a component
/// that is compiled. Nothing that has to be kept comes of it any more.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// EX_USAGE of sysexits.h: arguments or configuration are wrong. Starting again is no use.
const EXIT_USAGE: u8 = 64;

/// Anything else that failed.
const EXIT_FAILURE: u8 = 1;

/// Why a process ends other than well.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The arguments or the configuration are wrong.
    #[error("{0}")]
    Usage(String),
    /// Something failed.
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    /// Something failed: what, and why, with all causes.
    pub fn of(what: &str, error: &dyn Error) -> Self {
        let mut text = format!("{what}: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            let said = error.to_string();
            if !text.contains(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            cause = error.source();
        }
        Self::Failed(text)
    }
}

impl From<ConfigurationError> for Failure {
    fn from(error: ConfigurationError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// The arguments of this process.
///
/// # Errors
/// The code to exit with: help was asked for and printed, or the arguments are wrong, which
/// was said.
pub fn parse_arguments<A: Parser>() -> Result<A, ExitCode> {
    A::try_parse().map_err(|error| {
        // Where standard error is closed there is nobody to tell.
        let _ = error.print();
        ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 })
    })
}

/// Runs a program to its end, and gives the code to exit with. Then nothing is waited for:
/// what was not done within [`DRAIN_DEADLINE`] may never be.
pub fn run(program: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return exit_code(Err(Failure::of("no thread can be started", &error))),
    };
    let result = runtime.block_on(program);
    let patience = match result {
        Ok(()) => ENDS_WITHIN,
        Err(_) => Duration::ZERO,
    };
    let code = exit_code(result);
    runtime.shutdown_timeout(patience);
    code
}

/// The code to exit with; says on standard error what failed.
fn exit_code(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(match failure {
                Failure::Usage(_) => EXIT_USAGE,
                Failure::Failed(_) => EXIT_FAILURE,
            })
        }
    }
}

/// Where the configuration is.
#[derive(Args, Clone, Debug)]
pub struct ConfigurationFile {
    /// Configuration file: TOML, or JSON if its name ends in .json. Without one the defaults
    /// and HEPLAKE_… variables apply; `heplake config print` prints all of them.
    #[arg(long, short, value_name = "FILE", env = CONFIG_VARIABLE, global = true)]
    pub config: Option<PathBuf>,
}

impl ConfigurationFile {
    /// Reads it, and the environment.
    ///
    /// # Errors
    /// Says everything that is wrong with it.
    pub fn read(&self) -> Result<Configuration, Failure> {
        let machine = Machine::this()
            .map_err(|error| Failure::of("the current directory cannot be read", &error))?;
        // A variable that is not UTF-8 cannot be one of ours, whose names and values are.
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Ok(Configuration::read(
            self.config.as_deref(),
            variables,
            machine,
        )?)
    }
}

/// The signals that end a service.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one; its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Ends what is still to be done, within [`DRAIN_DEADLINE`] and unless another signal
    /// says not to wait.
    ///
    /// # Errors
    /// Says why it was not done to the end.
    pub async fn drain<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            done = work => Ok(done),
            signal = self.next() => Err(Failure::Failed(format!(
                "stopped by a second signal ({signal}) before everything was written"
            ))),
            () = tokio::time::sleep(DRAIN_DEADLINE) => Err(Failure::Failed(format!(
                "not everything could be written within {} s of the signal to stop",
                DRAIN_DEADLINE.as_secs()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{thread, time::Instant};

    /// A program that ends like this, and leaves something that blocks for longer than anybody
    /// waits.
    fn is_prompt(result: Result<(), Failure>) -> bool {
        const BLOCKS: Duration = Duration::from_secs(20);
        let started = Instant::now();
        let _code = run(async {
            let (begins, begun) = tokio::sync::oneshot::channel();
            let _blocks = tokio::task::spawn_blocking(move || {
                let _ = begins.send(());
                thread::sleep(BLOCKS);
            });
            let _ = begun.await;
            result
        });
        started.elapsed() < BLOCKS / 2
    }

    #[test]
    fn a_program_that_has_ended_waits_for_nothing_that_blocks() {
        assert!(is_prompt(Ok(())));
        assert!(is_prompt(Err(Failure::Failed("the deadline".into()))));
    }
}
