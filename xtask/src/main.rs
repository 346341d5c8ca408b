//! `cargo xtask`: what a developer types. Each task sets up what it needs and says so.
//!
//! ```text
//!  setup ─▶ .setup/ (DuckDB, its extensions, a Python that reads the lake)
//!    ├─▶ demo    builds, serves, replays the captures, shows the rows
//!    ├─▶ test    the whole suite
//!    ├─▶ bench, soak
//!  check         format, lints, the rules of the house, licences
//! ```

mod check;
mod command;
mod demo;
mod setup;
mod test;
mod workspace;

use std::env;
use std::process::ExitCode;

use command::{Command, Failure};
use workspace::Workspace;

const USAGE: &str = "\
Usage: cargo xtask <task>

  setup                     Fetch what a build needs and is missing; says each step
  demo                      Build, serve on a temporary directory, replay the bundled captures,
                            show the rows, go on serving until Ctrl-C
       --once               Stop after showing the rows
       --data DIR           Keep the lake in DIR instead
       --port-base N        HTTP on port N, HEP on N + 1, control on N + 2; else any free ports
  test [ARGUMENTS]          Run every test, or those that the arguments select
  check                     Formatting, clippy, the rules of the house, licences
  bench NAME [ARGUMENTS]    Run a benchmark in release: ingest, poison
  soak NAME [ARGUMENTS]     Run a long test in release
  fuzz TARGET SECONDS       Fuzz a target (needs a nightly compiler and cargo-fuzz)
";

fn main() -> ExitCode {
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.is_empty() || arguments.iter().any(|a| a == "--help" || a == "-h") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let task = arguments.remove(0);
    match run(&task, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure @ Failure::Usage(_)) => {
            eprintln!("error: {failure}\n\n{USAGE}");
            ExitCode::from(64)
        }
        Err(failure @ Failure::Task(_)) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &str, arguments: Vec<String>) -> Result<(), Failure> {
    let workspace = Workspace::find()?;
    match (task, arguments.as_slice()) {
        ("setup", []) => {
            setup::duckdb(&workspace)?;
            setup::python(&workspace)
        }
        ("demo", options) => demo::run(&workspace, &demo::Options::parse(options)?),
        ("test", arguments) => test::run(&workspace, arguments),
        ("check", []) => check::run(&workspace),
        ("bench", [name, rest @ ..]) => {
            let duckdb = setup::duckdb(&workspace)?;
            Command::cargo(&workspace)
                .args(["bench", "--package", "heplake-tests", "--bench", name])
                .args(duckdb.features())
                .arg("--")
                .args(rest)
                .run()
        }
        ("soak", [name, rest @ ..]) => {
            let duckdb = setup::duckdb(&workspace)?;
            Command::cargo(&workspace)
                .args(["run", "--release", "--package", "heplake-tests"])
                .args(duckdb.features())
                .args(["--bin", "soak", "--", name])
                .args(rest)
                .run()
        }
        ("fuzz", [target, seconds]) => fuzz(&workspace, target, seconds),
        ("setup" | "check" | "bench" | "soak" | "fuzz", _) => Err(Failure::Usage(format!(
            "`{task}` does not take these arguments"
        ))),
        _ => Err(Failure::Usage(format!("there is no task `{task}`"))),
    }
}

/// Fuzzes for a time, from what the captures of real senders hold.
fn fuzz(workspace: &Workspace, target: &str, seconds: &str) -> Result<(), Failure> {
    let seconds: u32 = seconds
        .parse()
        .map_err(|_| Failure::Usage(format!("`{seconds}` is no number of seconds")))?;
    let nightly = || {
        let mut cargo = Command::new(workspace, "cargo");
        // `+nightly` is for rustup, which heeds it only where no toolchain is fixed yet.
        cargo.environment_remove("RUSTUP_TOOLCHAIN").arg("+nightly");
        cargo
    };
    nightly()
        .args(["run", "--quiet", "--manifest-path", "fuzz/Cargo.toml"])
        .args(["--example", "seed"])
        .run()?;
    nightly()
        .args(["fuzz", "run", target, "--"])
        .arg(format!("-max_total_time={seconds}"))
        .run()
        .map_err(|failure| {
            failure.and(
                "If cargo-fuzz is missing: cargo install cargo-fuzz --locked; if the nightly \
                 compiler is: rustup toolchain install nightly",
            )
        })
}
