//! `heplake component keygen`: makes a signing key.

use crate::command::print;
use clap::Args;
use heplake_host::{process::Failure, signature::SigningKey};
use std::path::PathBuf;

/// Arguments of `heplake component keygen`.
#[derive(Args)]
#[command(
    after_help = "The public key is printed: name it in components.trusted_keys of every edge that is to\n\
        stage what this key signs. The file is PKCS #8, as `openssl genpkey -algorithm ed25519`\n\
        writes it.\n\n\
        Example:\n  \
        heplake component keygen release.key"
)]
pub(super) struct KeygenArguments {
    /// Where the secret is written; must not be there yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(arguments: &KeygenArguments) -> Result<(), Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| Failure::Failed(format!("the system gives no chance: {error}")))?;
    let key = SigningKey::from_seed(&seed);
    key.write_new(&arguments.file)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    print(format!("{}\n", key.trusted_key()))
}
