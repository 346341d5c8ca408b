//! The name of an edge: part of every path it writes.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Longest name, in bytes: file names are limited to 255 on every file system, and a
/// data file's has the sequence, the part and the ending to carry as well.
const EDGE_NAME_BYTES_MAX: usize = 64;

/// Who wrote a file: 1 to 64 of `a-z`, `A-Z`, `0-9`, `_` and `-`, starting with a letter or
/// digit, so that it is the same in a path, a URL and a query.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct EdgeName(String);

/// Why a text is not the name of an edge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot name an edge: use 1 to 64 letters, digits, `_` or `-`, and start with a letter or digit"
)]
pub struct EdgeNameError(pub String);

impl EdgeName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EdgeName {
    type Err = EdgeNameError;

    fn from_str(text: &str) -> Result<Self, EdgeNameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let fits = text.len() <= EDGE_NAME_BYTES_MAX
            && text
                .bytes()
                .next()
                .is_some_and(|byte| byte.is_ascii_alphanumeric())
            && text.bytes().all(allowed);
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(EdgeNameError(text.into()))
        }
    }
}

impl fmt::Display for EdgeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<EdgeName> for String {
    fn from(name: EdgeName) -> Self {
        name.0
    }
}

impl TryFrom<String> for EdgeName {
    type Error = EdgeNameError;

    fn try_from(text: String) -> Result<Self, EdgeNameError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_names_that_could_leave_their_directory() {
        let long = "a".repeat(65);
        for text in [
            "",
            ".",
            "..",
            "a/b",
            "a\\b",
            "-a",
            "a.b",
            "a b",
            "ä",
            long.as_str(),
        ] {
            assert_eq!(text.parse::<EdgeName>(), Err(EdgeNameError(text.into())));
        }
        for text in ["edge", "fra-1", "7", "Site_B"] {
            assert_eq!(
                text.parse::<EdgeName>().map(String::from),
                Ok(text.to_string())
            );
        }
    }
}
