//! Documents: links lead somewhere, and what ARCHITECTURE.md names is there.

use std::path::Path;

use crate::command::Failure;
use crate::workspace::Workspace;

/// A sentence for each dead link, and each place in ARCHITECTURE.md that is not in the tree.
pub(super) fn broken(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let mut broken = Vec::new();
    for file in workspace.files(".md")? {
        let text = workspace.read(&file)?;
        let directory = file.parent().unwrap_or(Path::new(""));
        for link in links(&text) {
            if !workspace.path(directory).join(link).exists() {
                broken.push(format!(
                    "{}: the link to {link} leads nowhere. Correct it.",
                    file.display()
                ));
            }
        }
        if file.as_os_str() == "ARCHITECTURE.md" {
            for place in places(&text) {
                if !workspace.path(place).exists() {
                    broken.push(format!(
                        "ARCHITECTURE.md names `{place}`, which is not there. Say what is there \
                         now."
                    ));
                }
            }
        }
    }
    if !workspace.path("ARCHITECTURE.md").exists() {
        broken.push("ARCHITECTURE.md is missing. Write down how the house stands.".to_owned());
    }
    Ok(broken)
}

/// Targets of Markdown links that are files of the checkout, without their headings.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter_map(|target| target.split('#').next())
        .filter(|target| !target.is_empty() && !target.contains("://"))
}

/// What stands between backticks and is a path in the checkout: starts with a name and a slash,
/// and has no placeholder or shell syntax in it.
fn places(text: &str) -> impl Iterator<Item = &str> {
    const TOP_LEVEL: &[&str] = &[
        "components",
        "fuzz",
        "host",
        "lake",
        "tests",
        "wit",
        "xtask",
        ".ci",
        "docs",
    ];
    text.split("```")
        .step_by(2)
        .flat_map(|prose| prose.split('`').skip(1).step_by(2))
        .filter(|place| {
            place
                .split_once('/')
                .is_some_and(|(top, _)| TOP_LEVEL.contains(&top))
                && !place.contains(['*', '<', '{', ' ', ':', '$'])
        })
}

#[cfg(test)]
mod tests {
    use super::{links, places};

    #[test]
    fn finds_links_to_files_only() {
        let text = "[a](a.md) [b](https://example.org) [c](#part) [d](d/e.md#part)";
        assert_eq!(links(text).collect::<Vec<_>>(), ["a.md", "d/e.md"]);
    }

    #[test]
    fn finds_places_in_prose_but_not_in_drawings() {
        let text = "`host/src` and `host/*` ```\n`lake/none` `lake/src`\n``` `tests/`, `x/y`";
        assert_eq!(places(text).collect::<Vec<_>>(), ["host/src", "tests/"]);
    }
}
