//! What a build needs and a fresh machine lacks: the wasm target, DuckDB's library, its
//! extensions, and for the tests a Python with DuckDB and other readers of Parquet. Each step is said in a line and
//! skipped when done. Nothing is left half done: what is there is whole.

mod download;
mod platform;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::command::{Command, Failure};
use crate::workspace::Workspace;
use download::Downloads;
use platform::Platform;

/// The crate `duckdb` of the root `Cargo.toml` speaks to this version, and an extension loads
/// into the version it was built for only.
const DUCKDB_VERSION: &str = "1.5.5";

/// The npm package that holds the prebuilt library.
const LIBRARY_PACKAGE_VERSION: &str = "1.5.5-r.1";

/// `ducklake` and `sqlite_scanner` are the lake; `icu` is time zones for a DuckDB that is built
/// from source; `httpfs` reads object stores.
const EXTENSIONS: &[&str] = &["ducklake", "sqlite_scanner", "httpfs", "icu"];

/// Other readers of Parquet, which the tests hold data files against, with what they stand on:
/// Arrow's own in C++, and one that takes less than most. About 89 MB.
const READERS: &[&str] = &[
    "pyarrow==26.0.1",
    "fastparquet==2026.9.0",
    "cramjam==2.14.0",
    "fsspec==2026.9.0",
    "numpy==2.4.6",
    "packaging==26.4",
    "pandas==3.1.1",
    "python-dateutil==4.0.0",
];

/// How DuckDB gets into the build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DuckDb {
    /// The prebuilt library is linked.
    Prebuilt,
    /// It is compiled from source.
    Bundled,
}

impl DuckDb {
    /// What Cargo is to be told.
    pub(crate) fn features(self) -> &'static [&'static str] {
        match self {
            Self::Prebuilt => &[],
            Self::Bundled => &["--features", "heplake-lake/bundled"],
        }
    }
}

/// Sets up what every build needs.
pub(crate) fn duckdb(workspace: &Workspace) -> Result<DuckDb, Failure> {
    wasm_target(workspace)?;
    let downloads = Downloads::open(workspace)?;
    let duckdb = library(workspace, &downloads)?;
    extensions(workspace, &downloads)?;
    Ok(duckdb)
}

/// Where the extensions are, for those who ask DuckDB to load them.
pub(crate) fn extension_directory(workspace: &Workspace) -> PathBuf {
    workspace.path(".setup/duckdb/extensions")
}

/// The Python that setup made, with DuckDB inside.
pub(crate) fn python_program(workspace: &Workspace) -> PathBuf {
    workspace.path(".setup/python/bin/python")
}

fn wasm_target(workspace: &Workspace) -> Result<(), Failure> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let directory = Command::new(workspace, "rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()?;
    if Path::new(directory.trim()).is_dir() {
        done("Rust target", TARGET);
        return Ok(());
    }
    step("Rust target", &format!("{TARGET}: rustup target add"));
    Command::new(workspace, "rustup")
        .args(["target", "add", TARGET])
        .run()
}

fn library(workspace: &Workspace, downloads: &Downloads) -> Result<DuckDb, Failure> {
    if env::var_os("HEPLAKE_DUCKDB").is_some_and(|wanted| wanted == "source") {
        step("DuckDB", "HEPLAKE_DUCKDB=source: it is built from source");
        return Ok(DuckDb::Bundled);
    }
    let Some(platform) = Platform::here() else {
        step(
            "DuckDB",
            "no prebuilt library for this platform: it is built from source, about 25 minutes on \
             2 cores, once",
        );
        return Ok(DuckDb::Bundled);
    };
    let file_name = platform.library_file();
    let library = workspace.path(".setup/duckdb").join(file_name);
    if library.exists() {
        done("DuckDB", &format!(".setup/duckdb/{file_name}"));
        return Ok(DuckDb::Prebuilt);
    }
    let archive_name = format!(
        "duckdb-node-bindings-{}-{LIBRARY_PACKAGE_VERSION}.tgz",
        platform.npm_name()
    );
    if !downloads.holds(&archive_name) {
        if !Command::new(workspace, "npm").arg("--version").succeeds() {
            step(
                "DuckDB",
                "npm is not here to fetch the prebuilt library: DuckDB is built from source, \
                 about 25 minutes on 2 cores, once (install npm to spare them)",
            );
            return Ok(DuckDb::Bundled);
        }
        let package = format!(
            "@duckdb/node-bindings-{}@{LIBRARY_PACKAGE_VERSION}",
            platform.npm_name()
        );
        step("DuckDB", &format!("npm pack {package} (24 MB)"));
        downloads
            .fetch(&archive_name, |directory| {
                Command::new(workspace, "npm")
                    .args(["pack", "--silent", &package])
                    .directory(directory)
                    .output()
            })
            .map_err(|failure| {
                failure.and(
                    "Try again, or build DuckDB from source, about 25 minutes on 2 cores: set \
                     HEPLAKE_DUCKDB=source",
                )
            })?;
    } else {
        step("DuckDB", &format!("{archive_name} from the cache"));
    }
    let unpacked = scratch(workspace)?;
    Command::new(workspace, "tar")
        .arg("-xzf")
        .arg(downloads.path(&archive_name))
        .arg("-C")
        .arg(unpacked.path())
        .arg(format!("package/{file_name}"))
        .output()
        .map_err(|failure| {
            failure.and(&format!(
                "If {} is damaged, delete it and try again",
                downloads.path(&archive_name).display()
            ))
        })?;
    let unpacked_library = unpacked.path().join("package").join(file_name);
    verify(&unpacked_library, platform, &downloads.path(&archive_name))?;
    put(&unpacked_library, &library)?;
    Ok(DuckDb::Prebuilt)
}

/// A library that is linked into everything is the one that was tested, or it is not used.
fn verify(library: &Path, platform: Platform, archive: &Path) -> Result<(), Failure> {
    let Some(expected) = platform.library_sha256() else {
        return Ok(());
    };
    let bytes = fs::read(library)
        .map_err(|error| Failure::Task(format!("cannot read {}: {error}", library.display())))?;
    let digest: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if digest == expected {
        return Ok(());
    }
    Err(Failure::Task(format!(
        "the DuckDB library in {} has the SHA-256 {digest}, not {expected}: delete that file and try \
         again; if it stays so, it is not the library that it should be",
        archive.display()
    )))
}

fn extensions(workspace: &Workspace, downloads: &Downloads) -> Result<(), Failure> {
    const SELF_INSTALL: &str = "DuckDB installs its extensions itself when the lake is first \
                                opened, which needs access to the internet";
    let Some(platform) = Platform::here() else {
        step("Extensions", SELF_INSTALL);
        return Ok(());
    };
    let directory = extension_directory(workspace)
        .join(format!("v{DUCKDB_VERSION}"))
        .join(platform.duckdb_name());
    let file = |name: &str| format!("{name}.duckdb_extension");
    let missing: Vec<&str> = EXTENSIONS
        .iter()
        .copied()
        .filter(|name| !directory.join(file(name)).exists())
        .collect();
    if missing.is_empty() {
        done("Extensions", &EXTENSIONS.join(", "));
        return Ok(());
    }
    if !Command::new(workspace, "python3")
        .args(["-m", "pip", "--version"])
        .succeeds()
    {
        step(
            "Extensions",
            &format!("Python's pip is not here: {SELF_INSTALL}"),
        );
        return Ok(());
    }
    for name in missing {
        let wheel = format!("duckdb_extension_{name}-{DUCKDB_VERSION}-");
        let requirement = format!(
            "duckdb-extension-{}=={DUCKDB_VERSION}",
            name.replace('_', "-")
        );
        let wheel = match downloads.find(&wheel) {
            Some(wheel) => {
                step("Extension", &format!("{name} from the cache"));
                wheel
            }
            None => {
                step("Extension", &format!("{name}: pip download {requirement}"));
                if let Err(failure) = pip_download(workspace, downloads, &[&requirement]) {
                    step("Extension", &failure.and(SELF_INSTALL).to_string());
                    return Ok(());
                }
                downloads.find(&wheel).ok_or_else(|| {
                    Failure::Task(format!("pip downloaded no {wheel}*.whl for {requirement}"))
                })?
            }
        };
        let unpacked = scratch(workspace)?;
        Command::new(workspace, "python3")
            .args(["-m", "zipfile", "-e"])
            .arg(&wheel)
            .arg(unpacked.path())
            .output()?;
        let unpacked_file = unpacked
            .path()
            .join(format!("duckdb_extension_{name}/extensions"))
            .join(format!("v{DUCKDB_VERSION}"))
            .join(file(name));
        put(&unpacked_file, &directory.join(file(name)))?;
    }
    Ok(())
}

/// Sets up the Python of those tests that read the lake with a DuckDB that knows nothing of us,
/// and its files with other readers.
pub(crate) fn python(workspace: &Workspace) -> Result<(), Failure> {
    let requirement = format!("duckdb=={DUCKDB_VERSION}");
    if python_has(workspace, &[&requirement]) {
        done("Python", &format!(".setup/python with {requirement}"));
    } else {
        step("Python", &format!(".setup/python: venv and {requirement}"));
        Command::new(workspace, "python3")
            .args(["-m", "venv", "--clear"])
            .arg(workspace.path(".setup/python"))
            .output()
            .map_err(|failure| {
                failure.and(
                    "The tests read the lake with a plain DuckDB in Python: install Python 3 with \
                     venv and pip",
                )
            })?;
        python_install(workspace, &[&requirement])?;
    }
    if python_has(workspace, READERS) {
        done("Readers", "pyarrow, fastparquet");
        return Ok(());
    }
    step("Readers", "pyarrow, fastparquet and what they need (89 MB)");
    if let Err(failure) = python_install(workspace, READERS) {
        const LEFT_OUT: &str = "The tests go without these readers";
        step("Readers", &failure.and(LEFT_OUT).to_string());
    }
    Ok(())
}

/// Whether the Python that setup made has these packages in these versions.
fn python_has(workspace: &Workspace, requirements: &[&str]) -> bool {
    const CHECK: &str = "import sys; from importlib.metadata import version\n\
                         for name, pinned in (r.split('==') for r in sys.argv[1:]):\n\
                         \x20   assert version(name) == pinned";
    Command::new(workspace, python_program(workspace))
        .args(["-c", CHECK])
        .args(requirements)
        .succeeds()
}

fn python_install(workspace: &Workspace, requirements: &[&str]) -> Result<(), Failure> {
    let downloads = Downloads::open(workspace)?;
    let install = || {
        Command::new(workspace, python_program(workspace))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args(["--no-index", "--no-deps", "--find-links"])
            .arg(downloads.directory())
            .args(requirements)
            .output()
    };
    if install().is_err() {
        pip_download(workspace, &downloads, requirements)?;
        install()?;
    }
    Ok(())
}

fn pip_download(
    workspace: &Workspace,
    downloads: &Downloads,
    requirements: &[&str],
) -> Result<String, Failure> {
    Command::new(workspace, "python3")
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .args(["--no-deps", "--only-binary=:all:", "--dest"])
        .arg(downloads.directory())
        .args(requirements)
        .output()
}

/// A directory on the file system of `.setup`, so that what it holds can be renamed into place.
fn scratch(workspace: &Workspace) -> Result<tempfile::TempDir, Failure> {
    let parent = workspace.path(".setup");
    fs::create_dir_all(&parent)
        .and_then(|()| tempfile::tempdir_in(&parent))
        .map_err(|error| Failure::Task(format!("cannot write to {}: {error}", parent.display())))
}

/// Moves a whole file to where it belongs.
fn put(from: &Path, to: &Path) -> Result<(), Failure> {
    let parent = to.parent().unwrap_or(to);
    fs::create_dir_all(parent)
        .and_then(|()| fs::rename(from, to))
        .map_err(|error| {
            Failure::Task(format!(
                "cannot move {} to {}: {error}",
                from.display(),
                to.display()
            ))
        })
}

fn done(what: &str, detail: &str) {
    println!("   ready  {what}: {detail}");
}

fn step(what: &str, detail: &str) {
    println!("   setup  {what}: {detail}");
}
