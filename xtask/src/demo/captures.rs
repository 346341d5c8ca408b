//! The bundled captures, and the rows that they must become.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::command::Failure;
use crate::workspace::Workspace;

const DIRECTORY: &str = "tests/captures";

/// Captures by file name, with their rows a table.
#[derive(Debug)]
pub(super) struct Captures {
    files: BTreeMap<PathBuf, BTreeMap<String, u64>>,
}

impl Captures {
    /// Reads the table of `tests/captures/README.md`, and adds the streams that lie beside it.
    pub(super) fn read(workspace: &Workspace) -> Result<Self, Failure> {
        let readme = workspace.read(Path::new(DIRECTORY).join("README.md"))?;
        let mut files = BTreeMap::new();
        for (name, rows) in readme.lines().filter_map(table_row) {
            let capture = workspace.path(DIRECTORY).join(name);
            let stream = capture.with_extension("stream");
            if stream.exists() {
                files.insert(stream, rows.clone());
            }
            files.insert(capture, rows);
        }
        if files.is_empty() {
            return Err(Failure::Task(format!(
                "{DIRECTORY}/README.md has no table of captures"
            )));
        }
        Ok(Self { files })
    }

    /// What goes over UDP.
    pub(super) fn datagrams(&self) -> Vec<&Path> {
        self.with_extension("pcap")
    }

    /// What goes over TCP.
    pub(super) fn streams(&self) -> Vec<&Path> {
        self.with_extension("stream")
    }

    /// Rows a table when all are sent.
    pub(super) fn expected(&self) -> BTreeMap<String, u64> {
        let mut expected = BTreeMap::new();
        for (table, count) in self.files.values().flatten() {
            *expected.entry(table.clone()).or_default() += count;
        }
        expected
    }

    fn with_extension(&self, extension: &str) -> Vec<&Path> {
        self.files
            .keys()
            .map(PathBuf::as_path)
            .filter(|file| file.extension().is_some_and(|found| found == extension))
            .collect()
    }
}

/// `| x.pcap | 14 | 1_call 3, 5_default 11 |`: the name, and rows by full table name.
fn table_row(line: &str) -> Option<(&str, BTreeMap<String, u64>)> {
    let mut cells = line.trim().trim_matches('|').split('|').map(str::trim);
    let name = cells.next().filter(|name| name.ends_with(".pcap"))?;
    let packets: u64 = cells.next()?.parse().ok()?;
    let rows = cells
        .next()?
        .split(',')
        .map(|entry| {
            let (table, count) = entry.trim().split_once(' ')?;
            Some((format!("hep_proto_{table}"), count.parse().ok()?))
        })
        .collect::<Option<BTreeMap<String, u64>>>()?;
    (rows.values().sum::<u64>() == packets).then_some((name, rows))
}

#[cfg(test)]
mod tests {
    use super::{Captures, table_row};
    use crate::workspace::Workspace;

    #[test]
    fn reads_a_row_of_the_table() {
        let (name, rows) = table_row("| a.pcap | 14 | 1_call 3, 5_default 11 |").unwrap();
        assert_eq!(name, "a.pcap");
        assert_eq!(rows["hep_proto_1_call"], 3);
        assert_eq!(rows["hep_proto_5_default"], 11);
    }

    #[test]
    fn refuses_a_row_that_does_not_add_up() {
        assert!(table_row("| a.pcap | 13 | 1_call 3, 5_default 11 |").is_none());
        assert!(table_row("| file | packets | rows by table |").is_none());
    }

    #[test]
    fn knows_every_capture_that_is_there() {
        let workspace = Workspace::find().unwrap();
        let captures = Captures::read(&workspace).unwrap();
        for (extension, known) in [
            (".pcap", captures.datagrams()),
            (".stream", captures.streams()),
        ] {
            let there = workspace.files(extension).unwrap();
            assert_eq!(known.len(), there.len(), "{extension}");
        }
    }
}
