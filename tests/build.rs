//! Lets what is linked here find the prebuilt DuckDB library where it was linked from, and
//! builds the component with a fault in it as `components/build.rs` builds the shipped ones.

use heplake_encode::{CrateBuild, encode};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What the component is made of, beside the workspace's manifest.
const INPUTS: &[&str] = &[
    "Cargo.lock",
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
    match poison() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: the component heplake-poison: {error}");
            ExitCode::FAILURE
        }
    }
}

fn poison() -> Result<(), String> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    let tests = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = tests.parent().unwrap_or(&tests);
    for input in INPUTS {
        println!("cargo:rerun-if-changed={}", workspace.join(input).display());
    }
    let cargo = env::var_os("CARGO").ok_or("CARGO is not set: run this by Cargo")?;
    let build = CrateBuild {
        cargo: &cargo,
        directory: workspace,
        package: "heplake-poison",
        target_directory: &shared_target_directory(&out),
    };
    let module = build.run().map_err(|error| error.to_string())?;
    let component = encode(&module).map_err(|error| error.to_string())?;
    fs::write(out.join("poison.wasm"), component).map_err(|error| error.to_string())
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
