//! Errors in words that anybody may read: `/health` has no password.

use std::error::Error;

/// Longest text, in characters: a sentence or two.
const CHARACTERS_MAX: usize = 300;

/// The first line of an error, without directories of this machine. Of a path its last name stays.
#[must_use]
pub fn for_strangers(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty());
    let mut said = String::new();
    let mut word = String::new();
    let is_delimiter = |c: char| c.is_whitespace() || "\"'`()[]<>,;=".contains(c);
    for c in line.unwrap_or_default().trim().chars() {
        if is_delimiter(c) {
            said.push_str(last_name(&word));
            word.clear();
            said.push(if c.is_control() { ' ' } else { c });
        } else if !c.is_control() {
            word.push(c);
        }
    }
    said.push_str(last_name(&word));
    match said.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &said[..end]),
        None => said,
    }
}

/// The cause of an error that has none itself: `No space left on device`, rather than the path and the program that
/// met it.
#[must_use]
pub fn cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Of a word that holds an absolute path, what follows the last directory.
fn last_name(word: &str) -> &str {
    let is_path = word.starts_with('/') || word.contains("://") || word.contains(":/");
    match word.trim_end_matches('/').rsplit_once('/') {
        Some((_, name)) if is_path => name,
        _ => word,
    }
}
