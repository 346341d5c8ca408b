//! Lets what is linked here find the prebuilt DuckDB library where it was linked from, and
//! builds the component with a fault in it as `components/build.rs` builds the shipped ones.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};
use wit_component::ComponentEncoder;

const TARGET: &str = "wasm32-unknown-unknown";
/// What the shipped components are built with (see the root `Cargo.toml`).
const PROFILE: &str = "component";

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
    for input in [
        "Cargo.lock",
        "components/sdk/src",
        "components/sip/src",
        "tests/poison/src",
        "wit",
    ] {
        println!("cargo:rerun-if-changed={}", workspace.join(input).display());
    }
    let target_directory = out
        .ancestors()
        .find(|directory| directory.join("CACHEDIR.TAG").exists())
        .unwrap_or(&out)
        .join("components");
    let module = build(workspace, &target_directory)?;
    let component = ComponentEncoder::default()
        .module(&module)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| format!("{error:#}"))?;
    fs::write(out.join("poison.wasm"), component).map_err(|error| error.to_string())
}

fn build(workspace: &Path, target_directory: &Path) -> Result<Vec<u8>, String> {
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .current_dir(workspace)
        .args(["rustc", "--quiet", "--lib", "--package", "heplake-poison"])
        .args(["--crate-type", "cdylib", "--profile", PROFILE])
        .args(["--target", TARGET, "--target-dir"])
        .arg(target_directory);
    // Settings of the outer build that must not reach the inner one.
    for outer in [
        "RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_TARGET",
        "CARGO_TARGET_DIR",
    ] {
        cargo.env_remove(outer);
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+simd128");
    let status = cargo.status().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(format!("it does not build for {TARGET}"));
    }
    let module = target_directory
        .join(TARGET)
        .join(PROFILE)
        .join("heplake_poison.wasm");
    fs::read(&module).map_err(|error| format!("cannot read {}: {error}", module.display()))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set: run this by Cargo"))
}
