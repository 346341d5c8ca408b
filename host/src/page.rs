//! Pages of docs/ with tables that are made of ours, so that neither can lag behind the other.

use std::{fs, path::Path};

/// Compares a part of a page, between `<!-- begin: name -->` and `<!-- end: name -->`, with what it should be, or
/// writes it if `HEPLAKE_BLESS` is set.
pub(crate) fn hold(path: &Path, part: &str, expected: &str) {
    let page = fs::read_to_string(path).unwrap();
    let (begin, end) = (
        format!("<!-- begin: {part} -->\n"),
        format!("<!-- end: {part} -->"),
    );
    let (before, rest) = page.split_once(&begin).unwrap();
    let (found, after) = rest.split_once(&end).unwrap();
    if std::env::var_os("HEPLAKE_BLESS").is_some() && found != expected {
        let written = format!("{before}{begin}{expected}{end}{after}");
        return fs::write(path, written).unwrap();
    }
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(
            found,
            expected,
            "{} lags; HEPLAKE_BLESS=1 writes it anew",
            path.display()
        );
    }
    assert_eq!(
        found,
        expected,
        "{} lags; HEPLAKE_BLESS=1 writes it anew",
        path.display()
    );
}
