//! docs/hostile-guests.md: made of what was seen, so that it cannot lag.

use crate::{
    Done, ITEMS,
    case::{Case, Host},
};
use std::{fmt::Write as _, fs, path::PathBuf};

pub(crate) const PARSERS_REFUSED: &str = "Parsers that are not loaded";
pub(crate) const PARSERS: &str = "Parsers that are contained";
pub(crate) const ENVELOPES: &str = "Envelopes that are contained";
pub(crate) const ROUTERS_REFUSED: &str = "Routers that are not loaded";
pub(crate) const ROUTERS: &str = "Routers that are contained";

const HEAD: &str = "\
# Hostile guests

What the host does with components that do wrong, by mistake or on purpose. Each is a component of its own in
`host/tests/hostile/`; the ordinary tests run them all and compare this page with what they saw. `HEPLAKE_BLESS=1 cargo xtask
test every_hostile_guest` writes it anew.

Those that load are handed four packets or rows in one batch, of which the second starts with an X: most do wrong on that
one. Afterwards they are handed a clean one alone, which all answer but those that fail on whatever they get. A packet that
is rejected is a row of `hep_rejected`, with the reason named here, the component's digest, and all its bytes. The payload
of a row that a router fails on goes to the default table of its protocol.

What no host can hold a component to is the truth: it may say that a call was made by somebody else. It can say so
in text that it makes, for what it quotes must lie within the packet that the row names.
";

/// What the host did, in a row of a table.
pub(crate) fn row(case: &Case, done: &Result<Done, String>) -> String {
    let did = match done {
        Err(error) => format!("refused: {}", cell(error)),
        Ok(done) => {
            let lost = match case.host {
                Host::Contain(..) if done.items.is_empty() => "all four answered".into(),
                _ if done.items.len() == ITEMS.len() => "all four".into(),
                _ => {
                    let numbers: Vec<String> = done
                        .items
                        .iter()
                        .map(|item| format!("no. {}", item + 1))
                        .collect();
                    format!("{}, the others answered", numbers.join(" and "))
                }
            };
            match done.faults.iter().next() {
                None => lost,
                Some(fault) => format!("`{fault}`: {lost}"),
            }
        }
    };
    format!("| {} | {} | {did} |", case.name, case.does)
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    let line = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    line.replace('|', "\\|").replace('<', "&lt;")
}

/// Compares the page with what was seen, or writes it.
pub(crate) fn hold(sections: &[(&str, Vec<String>)]) {
    let mut page = HEAD.to_owned();
    for (heading, rows) in sections {
        let _ = write!(
            page,
            "\n## {heading}\n\n| guest | what it does | what the host did |\n|---|---|---|\n{}\n",
            rows.join("\n")
        );
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/hostile-guests.md");
    if std::env::var_os("HEPLAKE_BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    for (number, (was, is)) in written.lines().zip(page.lines()).enumerate() {
        assert_eq!(
            was,
            is,
            "line {} of docs/hostile-guests.md lags; HEPLAKE_BLESS=1 writes it anew",
            number + 1
        );
    }
    assert_eq!(written.len(), page.len(), "docs/hostile-guests.md lags");
}
