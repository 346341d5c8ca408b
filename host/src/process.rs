//! What both binaries are as a process: arguments and configuration in, an exit code out,
//! a signal that ends them, and a deadline for what is still to be written then.

use crate::{
    Unwritten,
    configuration::{CONFIG_VARIABLE, Configuration, ConfigurationError, EdgeSettings, Machine},
};
use clap::{Args, Parser};
use nix::unistd::{User, getuid};
use std::{
    error::Error,
    io::{self, Write},
    path::PathBuf,
    pin::pin,
    process::ExitCode,
    time::Duration,
};
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

/// How often it is said how much still waits to be written at the end.
const SAYS_EVERY: Duration = Duration::from_secs(3);

/// What still blocks once a program has ended well has this long: a query, or a component
/// that is compiled. Nothing that has to be kept comes of it any more.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// EX_USAGE of sysexits.h: arguments or configuration are wrong. Starting again is no use.
const EXIT_USAGE: u8 = 64;

/// Something was left undone that force would do: only the user can decide on it.
const EXIT_BY_FORCE_ONLY: u8 = 2;

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
    /// Something was left undone, and force would do it.
    #[error("{0}")]
    ByForceOnly(String),
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
/// what a drain did not do within its limit may never be.
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
            // Whoever started it may have gone, and the terminal with him.
            let _ = writeln!(io::stderr(), "error: {failure}");
            ExitCode::from(match failure {
                Failure::Usage(_) => EXIT_USAGE,
                Failure::Failed(_) => EXIT_FAILURE,
                Failure::ByForceOnly(_) => EXIT_BY_FORCE_ONLY,
            })
        }
    }
}

/// The name of the user that this process runs as: by the operating system rather than by a
/// variable, which services and containers often lack. The user's number if it has no name.
#[must_use]
pub fn user_name() -> String {
    let uid = getuid();
    let user = User::from_uid(uid).ok().flatten();
    user.map_or_else(|| format!("uid {uid}"), |user| user.name)
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

/// Arguments of what runs an edge.
#[derive(Args, Clone, Debug, Default)]
pub struct EdgeArguments {
    /// Take the edge's name over from an edge that is gone for good: another machine, or one
    /// whose data directory is lost. If that one still runs, both write under one name
    #[arg(long)]
    pub take_over_name: bool,
}

impl EdgeArguments {
    /// The settings with what was asked for.
    #[must_use]
    pub fn apply(&self, settings: EdgeSettings) -> EdgeSettings {
        EdgeSettings {
            takes_over_name: self.take_over_name,
            ..settings
        }
    }
}

/// The signals that end a service, and SIGHUP, which does not.
///
/// SIGHUP would end the process at once if it were not caught. It means "read the settings
/// again" to most who send it to a service, by hand or from a rotation of logs, and systemd may
/// send it right behind SIGTERM: so it neither ends a service, nor counts as the second signal
/// of one that drains.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
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
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one that ends a service; its name.
    pub async fn next(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hang_up.recv() => tracing::warn!(
                    "SIGHUP is ignored: settings are read at the start only, and SIGTERM ends the service"
                ),
            }
        }
    }

    /// Ends what is still to be done, within `limit` and unless another signal says not to
    /// wait. Says every few seconds what is still `unwritten`; none where nothing is received.
    ///
    /// # Errors
    /// Says why it was not done to the end, and how much is lost.
    pub async fn drain<T>(
        &mut self,
        work: impl Future<Output = T>,
        limit: Duration,
        unwritten: impl Fn() -> Option<Unwritten>,
    ) -> Result<T, Failure> {
        let mut work = pin!(work);
        let deadline = Instant::now() + limit;
        let mut says = tokio::time::interval_at(Instant::now() + SAYS_EVERY, SAYS_EVERY);
        let reason = loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                signal = self.next() => {
                    break format!("stopped by a second signal ({signal})");
                }
                () = tokio::time::sleep_until(deadline) => {
                    let limit = humantime::format_duration(limit);
                    break format!("stopped after {limit}, the time that drain_timeout allows");
                }
                _ = says.tick() => {
                    let left = deadline.saturating_duration_since(Instant::now()).as_secs();
                    say_what_waits(unwritten(), left);
                }
            }
        };
        let lost = match unwritten() {
            Some(lost) if !lost.is_nothing() => {
                format!("{reason} before everything was written; lost are {lost}")
            }
            _ => format!("{reason} before everything was registered; the next start goes on"),
        };
        Err(Failure::Failed(lost))
    }
}

fn say_what_waits(unwritten: Option<Unwritten>, left_s: u64) {
    match unwritten {
        Some(Unwritten {
            packets,
            rows,
            files,
            error,
        }) if packets > 0 || rows > 0 => tracing::warn!(
            packets,
            rows,
            files,
            left_s,
            error,
            "still writing what was received"
        ),
        _ => tracing::info!(left_s, "still registering what was written"),
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
    fn the_user_is_known_where_no_variable_names_it() {
        let name = user_name();
        assert!(!name.is_empty() && name != "command", "{name}");
    }

    #[test]
    fn a_program_that_has_ended_waits_for_nothing_that_blocks() {
        assert!(is_prompt(Ok(())));
        assert!(is_prompt(Err(Failure::Failed("the deadline".into()))));
    }
}
