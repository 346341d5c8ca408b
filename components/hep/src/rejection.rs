//! The ways in which an item can be malformed.

use heplake_sdk::Verdict;

/// Why an item is refused. Names are stored as reasons and are labels of a metric: keep them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Neither HEP nor EEP of any version.
    UnknownMagic,
    /// The item ends inside the header.
    TruncatedHeader,
    /// HEP 3 says a total length shorter than its own header.
    LengthMismatch,
    /// HEP 3 says a total length beyond the end of the item, and more is missing than the end
    /// of a payload that is the last chunk.
    TruncatedPacket,
    /// A chunk reaches beyond the end of its packet.
    TruncatedChunk,
    /// A chunk is shorter than its header, or of a length that its type cannot have.
    BadChunkLength,
    /// A HEP 3 packet without payload that is no keep-alive.
    NoPayload,
    /// HEP 1 or 2 of an address family that is neither IPv4 nor IPv6.
    UnknownFamily,
    /// A gzipped frame that cannot be inflated.
    BadGzip,
    /// A compressed payload that is no zlib, gzip or deflate stream.
    BadCompressedPayload,
    /// A gzipped frame or compressed payloads beyond the bound.
    InflatesTooFar,
    /// Something else after a HEP 3 packet.
    TrailingBytes,
    /// More packets in one item than the bound.
    TooManyPackets,
}

impl Rejection {
    /// All of them, in the order of their verdicts.
    pub(crate) const ALL: [Self; 13] = [
        Self::UnknownMagic,
        Self::TruncatedHeader,
        Self::LengthMismatch,
        Self::TruncatedPacket,
        Self::TruncatedChunk,
        Self::BadChunkLength,
        Self::NoPayload,
        Self::UnknownFamily,
        Self::BadGzip,
        Self::BadCompressedPayload,
        Self::InflatesTooFar,
        Self::TrailingBytes,
        Self::TooManyPackets,
    ];

    /// Its name in the description.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UnknownMagic => "unknown_magic",
            Self::TruncatedHeader => "truncated_header",
            Self::LengthMismatch => "length_mismatch",
            Self::TruncatedPacket => "truncated_packet",
            Self::TruncatedChunk => "truncated_chunk",
            Self::BadChunkLength => "bad_chunk_length",
            Self::NoPayload => "no_payload",
            Self::UnknownFamily => "unknown_family",
            Self::BadGzip => "bad_gzip",
            Self::BadCompressedPayload => "bad_compressed_payload",
            Self::InflatesTooFar => "inflates_too_far",
            Self::TrailingBytes => "trailing_bytes",
            Self::TooManyPackets => "too_many_packets",
        }
    }

    /// What the host is told.
    pub(crate) fn verdict(self) -> Verdict {
        Verdict::named((crate::ASIDE.len() + self as usize) as u32)
    }
}
