//! `heplake component sign`: signs a component.

use super::component_file;
use crate::command::print;
use clap::Args;
use heplake_host::{process::Failure, signature::SigningKey};
use std::{fs, path::PathBuf};

/// Arguments of `heplake component sign`.
#[derive(Args)]
#[command(
    after_help = "Writes FILE.sig beside the component, and prints the public key that the signature is\n\
        believed by. What is signed are the exact bytes: a component that is built anew is signed\n\
        anew.\n\n\
        Example:\n  \
        heplake component sign --key release.key gauges.wasm"
)]
pub(super) struct SignArguments {
    /// The signing key that `keygen` wrote
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The component
    #[arg(value_name = "COMPONENT")]
    component: PathBuf,
}

pub(super) fn run(arguments: &SignArguments) -> Result<(), Failure> {
    let key =
        SigningKey::read(&arguments.key).map_err(|error| Failure::Failed(error.to_string()))?;
    let bytes = component_file::read(&arguments.component)?;
    let signature = key.sign(&bytes);
    let mut path = arguments.component.clone().into_os_string();
    path.push(".sig");
    let path = PathBuf::from(path);
    fs::write(&path, format!("{signature}\n"))
        .map_err(|error| Failure::of(&format!("cannot write {}", path.display()), &error))?;
    print(format!("{}\n", key.trusted_key()))
}
