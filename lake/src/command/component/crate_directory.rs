//! The crate of a component.

use heplake_encode::{CrateBuild, Package, TARGET, encode};
use heplake_host::process::Failure;
use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

/// A crate whose library is a component.
pub(super) struct CrateDirectory {
    package: Package,
}

impl CrateDirectory {
    /// The crate in this directory.
    pub(super) fn find(directory: &Path) -> Result<Self, Failure> {
        let package = Package::of(&cargo(), directory).map_err(|error| {
            Failure::Failed(format!(
                "{error}; `heplake component new NAME` writes a crate to begin with"
            ))
        })?;
        Ok(Self { package })
    }

    pub(super) fn path(&self) -> &Path {
        &self.package.directory
    }

    /// Where its component is written.
    pub(super) fn component_path(&self) -> PathBuf {
        self.path()
            .join("target")
            .join(&self.package.name)
            .with_added_extension("wasm")
    }

    /// Builds it; gives where its component is.
    pub(super) fn build(&self) -> Result<PathBuf, Failure> {
        let failed = |error: &dyn std::error::Error| Failure::of(&self.package.name, error);
        let build = CrateBuild {
            cargo: &cargo(),
            directory: self.path(),
            package: &self.package.name,
            target_directory: &self.path().join("target"),
        };
        // Cargo's words go to standard error: the first build takes most of a minute.
        eprintln!("building {} for {TARGET}", self.package.name);
        let module = build.run_aloud().map_err(|error| failed(&error))?;
        let component = encode(&module).map_err(|error| {
            Failure::Failed(format!(
                "{}: {error}. Does src/lib.rs end with heplake_sdk::export_parser!(…) or \
                 export_router!(…)?",
                self.package.name
            ))
        })?;
        let path = self.component_path();
        fs::write(&path, component)
            .map_err(|error| Failure::of(&format!("cannot write {}", path.display()), &error))?;
        Ok(path)
    }
}

/// Cargo: the one that started this program, if one did.
pub(super) fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// A path as a reader in this directory would write it.
pub(super) fn shown(path: &Path) -> String {
    let here = env::current_dir().and_then(|here| here.canonicalize());
    let relative = here
        .ok()
        .and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    relative.as_deref().unwrap_or(path).display().to_string()
}
