//! Builds every shipped component for `wasm32-unknown-unknown`, encodes it against the
//! contract in `wit/`, and writes `<name>.wasm` and the list `shipped.rs` to `OUT_DIR`.

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use heplake_encode::{BuildError, CrateBuild, encode};

/// The shipped components: directories beside this file, packages `heplake-<name>`.
const NAMES: &[&str] = &["hep", "sip", "sip-router"];

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

    let cargo = variable("CARGO")?;
    let target_directory = shared_target_directory(&out);
    let mut list = String::from("&[\n");
    for name in NAMES {
        let build = CrateBuild {
            cargo: &cargo,
            directory: &workspace,
            package: &format!("heplake-{name}"),
            target_directory: &target_directory,
        };
        let module = build.run().map_err(|error| match error {
            BuildError::TargetMissing => format!("{error}, or `cargo xtask setup`"),
            error => error.to_string(),
        })?;
        let encoded = encode(&module).map_err(|reason| {
            format!(
                "component `{name}`: {reason}\n\
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

fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("{name} is not set: run this by Cargo"))
}
