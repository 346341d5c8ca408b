//! The claim: one JSON document in the store that says who writes under the name of an edge.
//!
//! Two edges of one name would write the same file names. The claim lets the second one be
//! refused at its start, with words that say who the first one is. It stands in a directory of
//! its own: whoever lists commits finds nothing but commits.

use crate::EdgeName;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Directory of the claims, below the data path.
pub const CLAIMS_DIRECTORY: &str = "claims";

/// Version of the document. A reader refuses a newer one rather than misread it.
pub const CLAIM_FORMAT: u32 = 1;

/// Largest document that is read, in bytes: a claim has a few hundred.
pub const CLAIM_BYTES_MAX: usize = 64 << 10;

/// Digits of an identity: 128 bits, so that no two edges draw the same.
const IDENTITY_DIGITS: usize = 32;

/// Tells an edge from every other, also from one of the same name: drawn by chance at its first
/// start, and kept in its data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct EdgeIdentity(String);

/// Why a text is no identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an identity has {IDENTITY_DIGITS} digits of 0-9 and a-f")]
pub struct EdgeIdentityError;

impl EdgeIdentity {
    /// The identity of these random bits.
    #[must_use]
    pub fn of_bits(bits: u128) -> Self {
        Self(format!("{bits:0IDENTITY_DIGITS$x}"))
    }
}

impl fmt::Display for EdgeIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for EdgeIdentity {
    type Err = EdgeIdentityError;

    fn from_str(text: &str) -> Result<Self, EdgeIdentityError> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        match text.len() == IDENTITY_DIGITS && text.bytes().all(is_digit) {
            true => Ok(Self(text.into())),
            false => Err(EdgeIdentityError),
        }
    }
}

impl From<EdgeIdentity> for String {
    fn from(identity: EdgeIdentity) -> Self {
        identity.0
    }
}

impl TryFrom<String> for EdgeIdentity {
    type Error = EdgeIdentityError;

    fn try_from(text: String) -> Result<Self, EdgeIdentityError> {
        text.parse()
    }
}

/// Who writes under the name of an edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// [`CLAIM_FORMAT`] of the writer.
    pub format: u32,
    /// The name that is claimed.
    pub edge: EdgeName,
    /// The edge that claims it.
    pub identity: EdgeIdentity,
    /// The host that the edge runs on.
    pub host: String,
    /// The edge's process on that host.
    pub process: u32,
    /// When the process started, µs since 1970, UTC.
    pub since_us: u64,
    /// When the process had written everything and ended, µs since 1970, UTC. None while it
    /// runs, and after it was killed. A name whose edge has ended is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_us: Option<u64>,
}

/// Why a document is not a claim.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// It is too large to be one.
    #[error("it has {0} bytes, more than the {CLAIM_BYTES_MAX} that are read")]
    TooLarge(u64),
    /// Its path is taken, but no document can be read there.
    #[error("it is no file, but a directory, say, or a link to nothing: remove it")]
    NoDocument,
    /// It is not such a JSON document.
    #[error("it cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Its writer is newer than this reader.
    #[error("it has format {0}, and this Heplake reads up to {CLAIM_FORMAT}")]
    Newer(u32),
}

impl Claim {
    /// The path of the claim of a name, relative to the data path.
    #[must_use]
    pub fn path(edge: &EdgeName) -> String {
        format!("{CLAIMS_DIRECTORY}/{edge}.json")
    }

    /// The document, as it is written to the store.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // It has string keys, and numbers are integers: serialising cannot fail.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// Reads a document.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn from_json(json: &[u8]) -> Result<Self, ClaimError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        if json.len() > CLAIM_BYTES_MAX {
            return Err(ClaimError::TooLarge(json.len() as u64));
        }
        let Format { format } = serde_json::from_slice(json)?;
        if format > CLAIM_FORMAT {
            return Err(ClaimError::Newer(format));
        }
        Ok(serde_json::from_slice(json)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CommitPath;

    fn claim() -> Claim {
        Claim {
            format: CLAIM_FORMAT,
            edge: "fra-1".parse().unwrap(),
            identity: EdgeIdentity::of_bits(7),
            host: "sbc".into(),
            process: 12,
            since_us: 1_795_305_600_000_000,
            ended_us: None,
        }
    }

    #[test]
    fn a_claim_survives_its_document() {
        let ended = Claim {
            ended_us: Some(1_795_305_700_000_000),
            ..claim()
        };
        for claim in [claim(), ended] {
            assert_eq!(Claim::from_json(&claim.to_json()).unwrap(), claim);
        }
    }

    #[test]
    fn every_cut_of_a_claim_is_refused() {
        let json = claim().to_json();
        for length in 0..json.len() {
            assert!(Claim::from_json(&json[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_claim_of_a_newer_writer_is_refused_by_its_format_alone() {
        let error = Claim::from_json(br#"{"format": 2, "of": "the future"}"#).unwrap_err();
        assert!(matches!(error, ClaimError::Newer(2)), "{error}");
    }

    #[test]
    fn the_path_of_a_claim_is_no_commit() {
        let path = Claim::path(&claim().edge);
        assert_eq!(path, "claims/fra-1.json");
        assert!(path.parse::<CommitPath>().is_err());
    }

    #[test]
    fn an_identity_is_128_bits_in_hexadecimal() {
        for bits in [0, 1, u128::MAX] {
            let text = EdgeIdentity::of_bits(bits).to_string();
            assert_eq!(text.parse(), Ok(EdgeIdentity::of_bits(bits)));
        }
        for text in ["", "0", &"g".repeat(32), &"A".repeat(32), &"0".repeat(33)] {
            assert_eq!(text.parse::<EdgeIdentity>(), Err(EdgeIdentityError));
        }
    }
}
