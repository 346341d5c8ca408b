//! HEP packets on a stream (HEP3 specification, "Transport"): back to back, each with its
//! length in the fifth and sixth octet.
//!
//! ```text
//!  0       4         6
//!  +-------+---------+--- - - - ---+
//!  | magic | length  | chunks      |   length counts all of it, magic included
//!  +-------+---------+--- - - - ---+
//! ```
//!
//! The host reads these six octets and no others: what they frame is the envelope's.

/// Magic and length.
const HEADER_BYTES: usize = 6;
const MAGICS: [&[u8; 4]; 2] = [b"HEP3", b"EEP3"];

/// Why a stream cannot be split further. What is left of it goes to `hep_rejected`, and
/// the connection is closed: no later byte could be trusted to start a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Something else than a packet stands where one should start.
    #[error(
        "neither HEP3 nor EEP3 where a packet should start; send HEP version 3 on TCP, and gzipped frames over UDP"
    )]
    Magic,
    /// A length that leaves no room for itself.
    #[error("a packet claims a length of {0}, which does not hold its own header")]
    Length(u16),
}

impl FrameError {
    /// A short name: the label of a metric.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Magic => "stream_magic",
            Self::Length(_) => "stream_length",
        }
    }
}

/// Where the packets of a buffer end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing;

impl Framing {
    /// The length of the packet at the start of `bytes`, or `None` while it is not all
    /// there.
    ///
    /// # Errors
    /// When no packet can start so; found at the first octet that cannot be.
    pub fn packet_length(bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        let start = &bytes[..bytes.len().min(4)];
        if !MAGICS.iter().any(|magic| magic.starts_with(start)) {
            return Err(FrameError::Magic);
        }
        let Some(&[_, _, _, _, high, low]) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let length = u16::from_be_bytes([high, low]);
        if usize::from(length) < HEADER_BYTES {
            return Err(FrameError::Length(length));
        }
        Ok((bytes.len() >= usize::from(length)).then_some(usize::from(length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_as_long_as_it_says() {
        for (bytes, expected) in [
            (&b""[..], Ok(None)),
            (b"H", Ok(None)),
            (b"HEP3\x00", Ok(None)),
            (b"HEP3\x00\x06", Ok(Some(6))),
            (b"EEP3\x00\x07", Ok(None)),
            (b"EEP3\x00\x07x", Ok(Some(7))),
            (b"HEP3\x00\x06HEP3", Ok(Some(6))),
            (b"X", Err(FrameError::Magic)),
            (b"HEP2", Err(FrameError::Magic)),
            (b"\x1f\x8b", Err(FrameError::Magic)),
            (b"HEP3\x00\x05", Err(FrameError::Length(5))),
        ] {
            assert_eq!(Framing::packet_length(bytes), expected, "{bytes:?}");
        }
    }
}
