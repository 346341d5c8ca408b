//! The names that a statement may use, from the list in `functions.txt`.

use super::bounds::Rule;
use std::{collections::HashMap, sync::LazyLock};

const LIST: &str = include_str!("functions.txt");

/// Where in a statement a name stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// A function that gives a value: scalar, aggregate, window or macro.
    Expression,
    /// A function of the grammar, which the catalog does not list.
    Syntax,
    /// A function that gives rows.
    From,
    /// A function of the lake's own schema that gives rows.
    Lake,
    /// A view of DuckDB's own.
    View,
    /// A type.
    Type,
    /// A PRAGMA statement.
    Pragma,
}

/// What the list says of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may be used.
    Allowed,
    /// It may be used with arguments that a rule holds.
    Bounded(Rule),
    /// It may not be used, for this reason.
    Refused(&'static str),
    /// It is not in the list, so it may not be used.
    Unknown,
}

static VERDICTS: LazyLock<HashMap<(Place, String), Verdict>> =
    LazyLock::new(|| entries().filter_map(|entry| entry.ok()).collect());

/// The verdict on a name, however it is written.
pub(super) fn verdict(place: Place, name: &str) -> Verdict {
    let key = (place, name.to_lowercase().replace(' ', "_"));
    VERDICTS.get(&key).copied().unwrap_or(Verdict::Unknown)
}

/// The list, entry by entry; a line that cannot be read is given instead of its entries.
pub(super) fn entries() -> impl Iterator<Item = Result<((Place, String), Verdict), &'static str>> {
    let mut section = None;
    let lines = LIST.lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(move |line| {
        let mut found = Vec::new();
        if let Some(head) = line.strip_prefix('[') {
            section = self::section(head);
            if section.is_none() {
                found.push(Err(line));
            }
        } else if let Some((place, verdict)) = section {
            let names = line.split_whitespace();
            found.extend(names.map(|name| Ok(((place, name.to_lowercase()), verdict))));
        } else if !line.trim().is_empty() {
            found.push(Err(line));
        }
        found
    })
}

/// Reads `place verdict] reason`.
fn section(head: &'static str) -> Option<(Place, Verdict)> {
    let (head, reason) = head.split_once("] ")?;
    let (place, verdict) = head.split_once(' ')?;
    let place = match place {
        "expression" => Place::Expression,
        "syntax" => Place::Syntax,
        "from" => Place::From,
        "lake" => Place::Lake,
        "view" => Place::View,
        "type" => Place::Type,
        "pragma" => Place::Pragma,
        _ => return None,
    };
    let verdict = match verdict {
        "allowed" => Verdict::Allowed,
        "refused" => Verdict::Refused(reason),
        bounded => Verdict::Bounded(Rule::named(bounded.strip_prefix("bounded:")?)?),
    };
    Some((place, verdict))
}
