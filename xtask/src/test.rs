//! `cargo xtask test`: every test there is, or those that the arguments select.

use crate::command::{Command, Failure};
use crate::setup;
use crate::workspace::Workspace;

/// Runs the tests. With arguments, which go to cargo-nextest or `cargo test` as they are, only
/// what they select of the Rust tests is run.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<(), Failure> {
    let duckdb = setup::duckdb(workspace)?;
    setup::python(workspace)?;
    let nextest = Command::cargo(workspace)
        .args(["nextest", "--version"])
        .succeeds();
    let suite: &[&str] = if nextest {
        &["nextest", "run", "--workspace"]
    } else {
        &["test", "--workspace", "--all-targets"]
    };
    Command::cargo(workspace)
        .args(suite)
        .args(duckdb.features())
        .args(arguments)
        .run()?;
    if !arguments.is_empty() {
        return Ok(());
    }
    Command::cargo(workspace)
        .args(["test", "--workspace", "--doc", "--quiet"])
        .args(duckdb.features())
        .run()?;
    // The independent reading of the captures, which the Rust tests are held against.
    Command::new(workspace, setup::python_program(workspace))
        .directory(workspace.path("tests/independent"))
        .environment(
            "HEPLAKE_DUCKDB_EXTENSIONS",
            setup::extension_directory(workspace),
        )
        .args(["-m", "unittest"])
        .run()
}
