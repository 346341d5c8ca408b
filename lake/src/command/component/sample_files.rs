//! The sample files of a component's directory.

use heplake_host::process::Failure;
use heplake_sdk::samples::{self, Sample};
use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

/// Largest sample file that is read, in bytes: it is text that a person wrote.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A file of samples.
pub(super) struct SampleFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What is in it.
    pub(super) samples: Vec<Sample>,
}

/// Reads `samples/*.json` of a directory, by name.
pub(super) fn read(directory: &Path) -> Result<Vec<SampleFile>, Failure> {
    let directory = directory.join("samples");
    let unreadable = |error: std::io::Error| {
        let what = format!("cannot read the samples in {}", directory.display());
        Failure::of(&what, &error)
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(&directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            paths.push(path);
        }
    }
    paths.sort();
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let unusable =
            |error: &dyn std::error::Error| Failure::of(&path.display().to_string(), error);
        let mut text = String::new();
        File::open(&path)
            .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
            .map_err(|error| unusable(&error))?;
        let samples = samples::read(&text).map_err(|error| unusable(&error))?;
        files.push(SampleFile { path, samples });
    }
    if files.iter().all(|file| file.samples.is_empty()) {
        return Err(Failure::Failed(format!(
            "there are no samples in {}: write a JSON file that lists inputs and the rows that are \
             expected of them (docs/components.md)",
            directory.display()
        )));
    }
    Ok(files)
}
