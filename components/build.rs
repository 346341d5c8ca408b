//! Builds every shipped component for `wasm32-unknown-unknown`, encodes it against the
//! contract in `wit/`, and writes `<name>.wasm` and the list `shipped.rs` to `OUT_DIR`.

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use wit_component::ComponentEncoder;

/// The shipped components: directories beside this file, packages `heplake-<name>`.
const NAMES: &[&str] = &["hep", "sip", "sip-router"];

const TARGET: &str = "wasm32-unknown-unknown";

/// What a component is built with, whatever the host is built with (see the root `Cargo.toml`).
const PROFILE: &str = "component";

/// Settings of the outer build that must not reach the inner one: lints, coverage, wrappers
/// and targets are the host's.
const OUTER_ONLY: &[&str] = &[
    "RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
];

fn main() -> ExitCode {
    match build_all() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn build_all() -> Result<(), String> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    let components = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = components.parent().unwrap_or(&components).to_owned();
    rerun_if_changed(&workspace, &components);

    let target_directory = shared_target_directory(&out);
    let mut list = String::from("&[\n");
    for name in NAMES {
        let module = build(name, &workspace, &target_directory)?;
        let encoded = encode(&module).map_err(|reason| {
            format!(
                "component `{name}` does not fit the contract in wit/: {reason}\n\
                 Check that components/{name}/src/lib.rs ends with export_parser! or export_router!."
            )
        })?;
        let file = out.join(format!("{name}.wasm"));
        fs::write(&file, encoded)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        let _ = writeln!(
            list,
            "    Shipped {{ name: {name:?}, bytes: include_bytes!({file:?}) }},"
        );
    }
    list.push(']');
    let file = out.join("shipped.rs");
    fs::write(&file, list).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

fn rerun_if_changed(workspace: &Path, components: &Path) {
    for input in ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "wit"] {
        println!("cargo:rerun-if-changed={}", workspace.join(input).display());
    }
    println!("cargo:rerun-if-changed=build.rs");
    for name in ["sdk"].iter().chain(NAMES) {
        for input in ["Cargo.toml", "src"] {
            let path = components.join(name).join(input);
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
}

/// `<target>/components`, one for all profiles of the host, so that a release build does
/// not build the components again. Not the directory of the outer Cargo, which holds its lock.
fn shared_target_directory(out: &Path) -> PathBuf {
    out.ancestors()
        .find(|directory| directory.join("CACHEDIR.TAG").exists())
        .unwrap_or(out)
        .join("components")
}

/// Runs the inner Cargo, and gives the core module that it made.
fn build(name: &str, workspace: &Path, target_directory: &Path) -> Result<Vec<u8>, String> {
    let package = format!("heplake-{name}");
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .current_dir(workspace)
        .args(["rustc", "--quiet", "--lib"])
        .args(["--package", &package, "--crate-type", "cdylib"])
        .args(["--profile", PROFILE, "--target", TARGET, "--target-dir"])
        .arg(target_directory);
    for outer in OUTER_ONLY {
        cargo.env_remove(outer);
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", rustflags());
    let status = cargo
        .status()
        .map_err(|error| format!("cannot run Cargo for component `{name}`: {error}"))?;
    if !status.success() {
        return Err(format!(
            "component `{name}` does not build for {TARGET} (its compiler's words are above).\n\
             If the target is not installed: cargo xtask setup"
        ));
    }
    let module = target_directory
        .join(TARGET)
        .join(PROFILE)
        .join(format!("{}.wasm", package.replace('-', "_")));
    fs::read(&module).map_err(|error| format!("cannot read {}: {error}", module.display()))
}

/// simd128 for the byte searches of the parsers. The home of Cargo is mapped away, so that the
/// same sources give the same component, and the same digest, on every machine.
fn rustflags() -> OsString {
    let mut flags = OsString::from("-Ctarget-feature=+simd128");
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
        let home = env::var_os("HOME").or_else(|| env::var_os("USERPROFILE"))?;
        Some(PathBuf::from(home).join(".cargo"))
    });
    if let Some(home) = home {
        // CARGO_ENCODED_RUSTFLAGS separates flags by 0x1f.
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(home);
        flags.push("=/cargo");
    }
    flags
}

/// Wraps the core module as a component, by the contract that wit-bindgen left in it.
fn encode(module: &[u8]) -> Result<Vec<u8>, String> {
    ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| format!("{error:#}"))
}

fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("{name} is not set: run this by Cargo"))
}
