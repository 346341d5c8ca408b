//! Builds a crate to a core module.

use serde_json::Value;
use std::{
    env,
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// What components are compiled for. Not a WASI target, whose standard library imports clocks,
/// files and chance.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// What a component is built with, whatever its workspace says.
const PROFILE: [&str; 7] = [
    "profile.component.inherits=\"release\"",
    "profile.component.opt-level=3",
    "profile.component.lto=\"fat\"",
    "profile.component.codegen-units=1",
    "profile.component.panic=\"abort\"",
    "profile.component.debug=false",
    "profile.component.strip=true",
];

/// Settings of an outer build that must not reach this one: lints, coverage, wrappers and
/// targets are another program's.
const OUTER_ONLY: [&str; 7] = [
    "RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
];

/// Why a crate does not become a core module.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Cargo cannot be started.
    #[error("cannot run `{program}`: {source}; is Rust installed (https://rustup.rs)?")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// There is no compiler for components.
    #[error("the target {TARGET} is not installed: run `rustup target add {TARGET}`")]
    TargetMissing,
    /// The compiler refused it, and said why on standard error.
    #[error("{0} does not build; the compiler's words are above")]
    Failed(String),
    /// There is no crate.
    #[error("{directory} holds no crate: {reason}")]
    NoCrate {
        /// Where it was looked for.
        directory: PathBuf,
        /// What Cargo said.
        reason: String,
    },
    /// Cargo was content, and there is no module.
    #[error("{0} has no library: a component's code is in src/lib.rs")]
    NoModule(String),
    /// The module cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The module.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A crate to build.
#[derive(Clone, Copy, Debug)]
pub struct CrateBuild<'a> {
    /// Cargo.
    pub cargo: &'a OsStr,
    /// Where Cargo is started: the crate's directory, or its workspace's.
    pub directory: &'a Path,
    /// The package.
    pub package: &'a str,
    /// Where Cargo keeps what it builds.
    pub target_directory: &'a Path,
}

impl CrateBuild<'_> {
    /// Builds it; gives the core module.
    ///
    /// # Errors
    /// Says what is missing, and what to do.
    pub fn run(&self) -> Result<Vec<u8>, BuildError> {
        self.build(&["--quiet"])
    }

    /// Builds it while Cargo says on standard error what it compiles; gives the core module.
    ///
    /// # Errors
    /// Says what is missing, and what to do.
    pub fn run_aloud(&self) -> Result<Vec<u8>, BuildError> {
        self.build(&[])
    }

    fn build(&self, arguments: &[&str]) -> Result<Vec<u8>, BuildError> {
        let mut cargo = Command::new(self.cargo);
        cargo
            .current_dir(self.directory)
            .args(["rustc", "--lib"])
            .args(arguments)
            .args(["--package", self.package, "--crate-type", "cdylib"])
            .args(["--message-format", "json-render-diagnostics"])
            .args(["--profile", "component", "--target", TARGET])
            .arg("--target-dir")
            .arg(self.target_directory);
        for setting in PROFILE {
            cargo.args(["--config", setting]);
        }
        for outer in OUTER_ONLY {
            cargo.env_remove(outer);
        }
        cargo.env("CARGO_ENCODED_RUSTFLAGS", rustflags());
        let output = output(&mut cargo)?;
        if !output.status.success() {
            return Err(match target_is_installed(self.directory) {
                false => BuildError::TargetMissing,
                true => BuildError::Failed(self.package.into()),
            });
        }
        let path = module_path(&output.stdout, self.package)
            .ok_or_else(|| BuildError::NoModule(self.package.into()))?;
        fs::read(&path).map_err(|source| BuildError::Read { path, source })
    }
}

/// A crate as Cargo knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub directory: PathBuf,
}

impl Package {
    /// The crate of this directory.
    ///
    /// # Errors
    /// There is none, or Cargo cannot read it.
    pub fn of(cargo: &OsStr, directory: &Path) -> Result<Self, BuildError> {
        let no_crate = |reason: String| BuildError::NoCrate {
            directory: directory.into(),
            reason,
        };
        let directory = directory
            .canonicalize()
            .map_err(|error| no_crate(error.to_string()))?;
        let manifest = directory.join("Cargo.toml");
        if !manifest.is_file() {
            return Err(no_crate("there is no Cargo.toml".into()));
        }
        let mut command = Command::new(cargo);
        command
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .args([OsStr::new("--manifest-path"), manifest.as_os_str()])
            .stderr(Stdio::piped());
        let output = output(&mut command)?;
        if !output.status.success() {
            return Err(no_crate(
                String::from_utf8_lossy(&output.stderr).trim().into(),
            ));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let packages = metadata["packages"].as_array();
        let name = packages
            .into_iter()
            .flatten()
            .find(|package| package["manifest_path"].as_str().map(Path::new) == Some(&manifest))
            .and_then(|package| package["name"].as_str())
            .ok_or_else(|| no_crate("its Cargo.toml names no package".into()))?;
        Ok(Self {
            name: name.into(),
            directory,
        })
    }
}

fn output(command: &mut Command) -> Result<Output, BuildError> {
    let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    started
        .and_then(std::process::Child::wait_with_output)
        .map_err(|source| BuildError::Start {
            program: command.get_program().display().to_string(),
            source,
        })
}

/// simd128 for the byte searches of parsers. The home of Cargo is mapped away, so that the
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

/// The module among what Cargo says that it made.
fn module_path(messages: &[u8], package: &str) -> Option<PathBuf> {
    let ident = package.replace('-', "_");
    let mut modules = messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|file| Some(PathBuf::from(file.as_str()?)))
        .filter(|file| file.extension() == Some(OsStr::new("wasm")))
        .collect::<Vec<_>>();
    // A dependency may be a module too; the crate itself comes last.
    let own = modules
        .iter()
        .position(|file| file.file_stem() == Some(OsStr::new(&ident)));
    match own {
        Some(own) => Some(modules.swap_remove(own)),
        None => modules.pop(),
    }
}

/// Whether this compiler has a standard library for components.
fn target_is_installed(directory: &Path) -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let printed = Command::new(rustc)
        .current_dir(directory)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    // Where no compiler answers, Cargo has said more than this could.
    printed.map_or(true, |output| {
        let path = String::from_utf8_lossy(&output.stdout);
        Path::new(path.trim()).is_dir()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_crates_own_module_in_what_cargo_says() {
        let messages = br#"{"reason":"compiler-artifact","filenames":["/t/libserde.rlib"]}
{"reason":"compiler-artifact","filenames":["/t/my_crate.wasm"]}
{"reason":"compiler-artifact","filenames":["/t/other.wasm"]}
not json
{"reason":"build-finished","success":true}"#;
        let found = |package| module_path(messages, package);
        assert_eq!(found("my-crate"), Some("/t/my_crate.wasm".into()));
        assert_eq!(found("renamed"), Some("/t/other.wasm".into()));
        assert_eq!(module_path(b"", "my-crate"), None);
    }

    #[test]
    fn finds_the_package_of_a_directory_and_says_where_there_is_none() {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
        let package = Package::of(&cargo, directory).unwrap();
        assert_eq!(package.name, "heplake-encode");
        let refused = Package::of(&cargo, &directory.join("src")).unwrap_err();
        assert!(refused.to_string().contains("no Cargo.toml"), "{refused}");
        // The root has a workspace, and no package.
        let root = Package::of(&cargo, &directory.join("../..")).unwrap_err();
        assert!(root.to_string().contains("names no package"), "{root}");
    }
}
