//! The subcommands, one a file: their arguments, and what they do.

pub(crate) mod component;
pub(crate) mod config;
pub(crate) mod repair;
pub(crate) mod replay;
pub(crate) mod serve;
pub(crate) mod sql;

use heplake_host::process::Failure;
use std::io::{self, Write};

/// Writes what a command prints. A reader that has read enough (`| head`) is no error.
fn print(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::of("cannot write to standard output", &error))
        }
        _ => Ok(()),
    }
}
