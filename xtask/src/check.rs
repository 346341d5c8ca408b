//! `cargo xtask check`: formatting, lints, the rules of the house, licences.

mod dependencies;
mod documents;
mod homes;
mod sources;

use crate::command::{Command, Failure};
use crate::setup;
use crate::workspace::Workspace;

/// Checks all, cheapest first, and stops at the first kind that fails.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    rules(workspace)?;
    say("rustfmt");
    Command::cargo(workspace)
        .args(["fmt", "--all", "--check"])
        .run()
        .map_err(|failure| failure.and("Run: cargo fmt --all"))?;
    let duckdb = setup::duckdb(workspace)?;
    say("clippy");
    Command::cargo(workspace)
        .args(["clippy", "--workspace", "--all-targets"])
        .args(duckdb.features())
        .args(["--", "--deny", "warnings"])
        .run()?;
    licences(workspace)
}

fn rules(workspace: &Workspace) -> Result<(), Failure> {
    say("rules of the house");
    let mut broken = dependencies::broken(workspace)?;
    broken.extend(homes::broken(workspace)?);
    broken.extend(sources::broken(workspace)?);
    broken.extend(documents::broken(workspace)?);
    if broken.is_empty() {
        return Ok(());
    }
    for sentence in &broken {
        println!("          {sentence}");
    }
    Err(Failure::Task(format!(
        "{} rules of the house broken, above; each sentence says what to do",
        broken.len()
    )))
}

/// Licences, sources and doubled crates by `deny.toml`. Not advisories: they change without us,
/// and need a download.
fn licences(workspace: &Workspace) -> Result<(), Failure> {
    if !Command::cargo(workspace)
        .args(["deny", "--version"])
        .succeeds()
    {
        say(
            "licences: skipped, as cargo-deny is not installed (cargo install cargo-deny --locked)",
        );
        return Ok(());
    }
    say("licences");
    Command::cargo(workspace)
        .args(["deny", "check", "bans", "licenses", "sources"])
        .run()
}

fn say(what: &str) {
    println!("   check  {what}");
}
