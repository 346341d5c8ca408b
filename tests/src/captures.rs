//! The bundled captures: HEP as real programs send it.

use heplake_lake::replay::{Capture, CaptureError};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// The directory of the captures.
#[must_use]
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

/// Files with this ending, by name.
///
/// # Errors
/// When the directory cannot be read.
pub fn files(ending: &str) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory())? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == ending)
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The datagrams of a capture, or the bytes of a stream as one.
///
/// # Errors
/// When it cannot be read.
pub fn packets(path: &Path) -> Result<Vec<Vec<u8>>, CaptureError> {
    Ok(match Capture::read(path)? {
        Capture::Packets { packets, .. } => packets,
        Capture::Stream { bytes, .. } => vec![bytes],
    })
}

/// Rows by table, as the table in the captures' README tells, for each file.
///
/// # Errors
/// When the README cannot be read.
pub fn expected_rows() -> io::Result<BTreeMap<String, BTreeMap<String, u64>>> {
    let readme = fs::read_to_string(directory().join("README.md"))?;
    let mut expected = BTreeMap::new();
    for line in readme.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [file, _packets, rows] = cells[..] else {
            continue;
        };
        if !file.ends_with(".pcap") {
            continue;
        }
        let tables = rows.split(", ").filter_map(|pair| {
            let (table, count) = pair.split_once(' ')?;
            Some((format!("hep_proto_{table}"), count.parse().ok()?))
        });
        expected.insert(file.to_owned(), tables.collect());
    }
    Ok(expected)
}
