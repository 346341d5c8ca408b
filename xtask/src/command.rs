//! Other programs: run in the checkout, and what went wrong said in a sentence.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::process;

use crate::workspace::Workspace;

/// Why a task ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was called wrongly.
    Usage(String),
    /// It could not do its work; says what to do.
    Task(String),
}

impl Failure {
    /// The same with a sentence of advice.
    pub(crate) fn and(self, advice: &str) -> Self {
        match self {
            Self::Usage(message) => Self::Usage(format!("{message}\n{advice}")),
            Self::Task(message) => Self::Task(format!("{message}\n{advice}")),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(message) | Self::Task(message)) = self;
        f.write_str(message)
    }
}

/// A program with its arguments, to be run at the root of the checkout.
#[derive(Debug)]
pub(crate) struct Command {
    inner: process::Command,
}

impl Command {
    /// Without the caller's `HEPLAKE_…` variables: those for this program are no settings of the
    /// service, and settings of a real service are not for a demo or a test.
    pub(crate) fn new(workspace: &Workspace, program: impl AsRef<OsStr>) -> Self {
        let mut inner = process::Command::new(program);
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("HEPLAKE_") {
                inner.env_remove(name);
            }
        }
        inner.current_dir(workspace.root());
        inner.stdin(process::Stdio::null());
        Self { inner }
    }

    /// The Cargo that runs us.
    pub(crate) fn cargo(workspace: &Workspace) -> Self {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Self::new(workspace, cargo)
    }

    pub(crate) fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.inner.arg(argument);
        self
    }

    pub(crate) fn args(
        &mut self,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> &mut Self {
        self.inner.args(arguments);
        self
    }

    pub(crate) fn directory(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        self.inner.current_dir(directory);
        self
    }

    pub(crate) fn environment(&mut self, name: &str, value: impl AsRef<OsStr>) -> &mut Self {
        self.inner.env(name, value);
        self
    }

    pub(crate) fn environment_remove(&mut self, name: &str) -> &mut Self {
        self.inner.env_remove(name);
        self
    }

    /// Sends all that it writes to a file.
    pub(crate) fn log_to(&mut self, file: File) -> &mut Self {
        if let Ok(copy) = file.try_clone() {
            self.inner.stdout(copy);
        }
        self.inner.stderr(file);
        self
    }

    /// Runs it, its output on ours.
    pub(crate) fn run(&mut self) -> Result<(), Failure> {
        let status = self.inner.status().map_err(|error| self.not_run(&error))?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::Task(format!(
                "`{}` failed: {status}",
                self.as_typed()
            )))
        }
    }

    /// Runs it and gives what it wrote; what it complained of is part of the failure.
    pub(crate) fn output(&mut self) -> Result<String, Failure> {
        let output = self.inner.output().map_err(|error| self.not_run(&error))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Failure::Task(format!(
            "`{}` failed: {}\n{}",
            self.as_typed(),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        )))
    }

    /// Whether the program is there and ends well.
    pub(crate) fn succeeds(&mut self) -> bool {
        self.inner
            .output()
            .is_ok_and(|output| output.status.success())
    }

    /// Starts it and does not wait.
    pub(crate) fn spawn(&mut self) -> Result<process::Child, Failure> {
        self.inner.spawn().map_err(|error| self.not_run(&error))
    }

    fn not_run(&self, error: &std::io::Error) -> Failure {
        Failure::Task(format!("cannot run `{}`: {error}", self.as_typed()))
    }

    fn as_typed(&self) -> String {
        let mut typed = self.inner.get_program().to_string_lossy().into_owned();
        for argument in self.inner.get_args() {
            typed.push(' ');
            typed.push_str(&argument.to_string_lossy());
        }
        typed
    }
}
