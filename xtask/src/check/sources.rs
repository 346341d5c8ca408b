//! Source files: one noun of the domain each, one sitting long, and finished.

use crate::command::Failure;
use crate::workspace::Workspace;

/// A sitting. Beyond it a file has more than one subject.
const LINES_MAX: usize = 700;

/// Names of places where things are put that have no place.
const DRAWERS: &[&str] = &[
    "util", "utils", "helper", "helpers", "common", "misc", "manager", "managers",
];

/// What unfinished work is marked with, in two pieces so that this file has none.
const UNFINISHED: &[(&str, &str)] = &[
    ("#[ig", "nore"),
    ("to", "do!("),
    ("unimple", "mented!("),
    ("FIX", "ME"),
    ("TO", "DO"),
];

/// The one use of an ignored test: a test starts it as a process of its own, to kill it or to see
/// what a stranger sees.
const CHILD: &str = "a child of another test";

/// A sentence for each file that breaks a rule.
pub(super) fn broken(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let mut broken = Vec::new();
    for file in workspace.files(".rs")? {
        let name = file.display();
        for part in file.components() {
            let part = part.as_os_str().to_string_lossy();
            let part = part.strip_suffix(".rs").unwrap_or(&part);
            if DRAWERS.contains(&part) {
                broken.push(format!(
                    "{name}: `{part}` is a drawer. Name it after the one thing it is about."
                ));
            }
        }
        let text = workspace.read(&file)?;
        let lines = text.lines().count();
        if lines > LINES_MAX {
            broken.push(format!(
                "{name} has {lines} lines, and {LINES_MAX} are a sitting. Give a part of it a \
                 file and a name; tests go to <module>/tests.rs."
            ));
        }
    }
    for ending in [".rs", "Cargo.toml"] {
        for file in workspace.files(ending)? {
            let text = workspace.read(&file)?;
            for (number, line) in text.lines().enumerate() {
                for (start, end) in UNFINISHED {
                    let mark = format!("{start}{end}");
                    if line.contains(&mark) && !line.contains(CHILD) {
                        broken.push(format!(
                            "{}:{}: `{mark}` marks work that is not finished. Finish it, or take \
                             it out and open an issue.",
                            file.display(),
                            number + 1
                        ));
                    }
                }
            }
        }
    }
    Ok(broken)
}
