//! Lets what is linked here find the prebuilt DuckDB library where it was linked from, and
//! builds components as `components/build.rs` builds the shipped ones: one with a fault in it,
//! and those that `heplake component new` writes.

use heplake_encode::{CrateBuild, encode};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The packages, and the files that they are written to.
const COMPONENTS: &[(&str, &str)] = &[
    ("heplake-poison", "poison.wasm"),
    ("heplake-readings", "heplake-readings.wasm"),
    ("heplake-readings-router", "heplake-readings-router.wasm"),
];

/// What the components are made of, beside the workspace's manifest.
const INPUTS: &[&str] = &[
    "Cargo.lock",
    "components/examples/readings/src",
    "components/examples/readings-router/src",
    "components/sdk/src",
    "components/sip/src",
    "tests/poison/src",
    "wit",
];

fn main() -> ExitCode {
    println!("cargo:rerun-if-env-changed=DUCKDB_LIB_DIR");
    if let Ok(directory) = env::var("DUCKDB_LIB_DIR") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{directory}");
    }
    match components() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn components() -> Result<(), String> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    let tests = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = tests.parent().unwrap_or(&tests);
    for input in INPUTS {
        println!("cargo:rerun-if-changed={}", workspace.join(input).display());
    }
    println!("cargo:rerun-if-changed=build.rs");
    let cargo = env::var_os("CARGO").ok_or("CARGO is not set: run this by Cargo")?;
    for (package, file) in COMPONENTS {
        let build = CrateBuild {
            cargo: &cargo,
            directory: workspace,
            package,
            target_directory: &shared_target_directory(&out),
        };
        let failed = |error: &dyn std::error::Error| format!("the component {package}: {error}");
        let module = build.run().map_err(|error| failed(&error))?;
        let component = encode(&module).map_err(|error| failed(&error))?;
        fs::write(out.join(file), component).map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// As in `components/build.rs`: one for all profiles of the host.
fn shared_target_directory(out: &Path) -> PathBuf {
    out.ancestors()
        .find(|directory| directory.join("CACHEDIR.TAG").exists())
        .unwrap_or(out)
        .join("components")
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set: run this by Cargo"))
}
