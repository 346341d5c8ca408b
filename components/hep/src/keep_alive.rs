//! Items that carry nothing: what agents and load balancers send to keep a path open.

use heplake_sdk::Verdict;

/// A kind of item that is set aside; the discriminant is its place in [`crate::ASIDE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No bytes at all.
    Empty,
    /// Line ends and blanks only.
    Crlf,
    /// NULs only.
    Nul,
    /// A STUN message (RFC 8489).
    Stun,
    /// HEP 3 with a keep-alive timer and no payload.
    Hep,
}

impl Kind {
    /// The kind of an item that is not HEP 3.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            Some(Self::Empty)
        } else if bytes
            .iter()
            .all(|byte| matches!(byte, b'\r' | b'\n' | b' ' | b'\t'))
        {
            Some(Self::Crlf)
        } else if bytes.iter().all(|byte| *byte == 0) {
            Some(Self::Nul)
        } else if is_stun(bytes) {
            Some(Self::Stun)
        } else {
            None
        }
    }

    /// What the host is told.
    pub(crate) fn verdict(self) -> Verdict {
        Verdict::named(self as u32)
    }
}

/// RFC 8489 section 5: two zero bits, a length in words, and the magic cookie. HEP 1 may
/// begin with the same octet, but hardly with the right length too.
fn is_stun(bytes: &[u8]) -> bool {
    let Some((header, attributes)) = bytes.split_first_chunk::<20>() else {
        return false;
    };
    header[0] < 0x40
        && header[4..8] == [0x21, 0x12, 0xa4, 0x42]
        && usize::from(u16::from_be_bytes([header[2], header[3]])) == attributes.len()
}
