//! What payloads without a start line look like.

use heplake_sdk::Verdict;

/// A kind of payload that is no SIP message. Names are stored as reasons and are labels of
/// a metric: keep them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotSip {
    /// No bytes at all.
    Empty,
    /// Line ends only (RFC 5626 section 3.5.1).
    Crlf,
    /// NULs only.
    Nul,
    /// Blanks, or a mixture of all these.
    Blank,
    /// A STUN message (RFC 8489).
    Stun,
    /// An HTTP request or response.
    Http,
    /// A HEP packet: an agent that captures its own traffic.
    Hep,
    /// RTCP (RFC 3550 section 6).
    Rtcp,
    /// RTP (RFC 3550 section 5).
    Rtp,
    /// DNS (RFC 1035 section 4).
    Dns,
    /// Header lines: a message whose beginning is missing.
    HeadersOnly,
    /// None of these.
    NoStartLine,
}

impl NotSip {
    /// What carries nothing, in the order of the verdicts.
    pub(crate) const ASIDE: [Self; 5] =
        [Self::Empty, Self::Crlf, Self::Nul, Self::Blank, Self::Stun];

    /// What is refused; its verdicts follow.
    pub(crate) const REFUSED: [Self; 7] = [
        Self::Http,
        Self::Hep,
        Self::Rtcp,
        Self::Rtp,
        Self::Dns,
        Self::HeadersOnly,
        Self::NoStartLine,
    ];

    /// Its name in the description.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Crlf => "crlf",
            Self::Nul => "nul",
            Self::Blank => "blank",
            Self::Stun => "stun",
            Self::Http => "http",
            Self::Hep => "hep",
            Self::Rtcp => "rtcp",
            Self::Rtp => "rtp",
            Self::Dns => "dns",
            Self::HeadersOnly => "headers_only",
            Self::NoStartLine => "no_start_line",
        }
    }

    /// What the host is told.
    pub(crate) fn verdict(self) -> Verdict {
        Verdict::named(self as u32)
    }

    /// What a payload without start line is, by its looks.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let all = |allowed: &[u8]| bytes.iter().all(|byte| allowed.contains(byte));
        if bytes.is_empty() {
            Self::Empty
        } else if all(b"\r\n") {
            Self::Crlf
        } else if all(b"\0") {
            Self::Nul
        } else if all(b"\r\n \t\0") {
            Self::Blank
        } else if is_stun(bytes) {
            Self::Stun
        } else if is_http(bytes) {
            Self::Http
        } else if bytes.starts_with(b"HEP3") || bytes.starts_with(b"EEP3") {
            Self::Hep
        } else if is_rtcp(bytes) {
            Self::Rtcp
        } else if is_rtp(bytes) {
            Self::Rtp
        } else if is_dns(bytes) {
            Self::Dns
        } else if crate::start_line::is_header_line(bytes) {
            Self::HeadersOnly
        } else {
            Self::NoStartLine
        }
    }
}

/// RFC 8489 section 5: two zero bits, a length, and the magic cookie.
fn is_stun(bytes: &[u8]) -> bool {
    let Some((header, attributes)) = bytes.split_first_chunk::<20>() else {
        return false;
    };
    header[0] < 0x40
        && header[4..8] == [0x21, 0x12, 0xa4, 0x42]
        && usize::from(u16::from_be_bytes([header[2], header[3]])) == attributes.len()
}

fn is_http(bytes: &[u8]) -> bool {
    let line = crate::start_line::line_of(bytes);
    line.starts_with(b"HTTP/")
        || line.ends_with(b" HTTP/1.1")
        || line.ends_with(b" HTTP/1.0")
        || line.starts_with(b"PRI * HTTP/2.0")
}

/// Version 2, a packet type of RFC 3550 or its profiles, and a length in words that fits.
fn is_rtcp(bytes: &[u8]) -> bool {
    let Some((header, rest)) = bytes.split_first_chunk::<4>() else {
        return false;
    };
    header[0] >> 6 == 2
        && (192..=223).contains(&header[1])
        && usize::from(u16::from_be_bytes([header[2], header[3]])) * 4 <= rest.len()
}

/// Version 2 and a whole header.
fn is_rtp(bytes: &[u8]) -> bool {
    bytes.len() >= 12 && bytes.first().is_some_and(|first| first >> 6 == 2)
}

/// A standard query or response about one name, with the reserved bit zero.
fn is_dns(bytes: &[u8]) -> bool {
    let Some((header, rest)) = bytes.split_first_chunk::<12>() else {
        return false;
    };
    let opcode_and_reserved = header[2] & 0x78 == 0 && header[3] & 0x40 == 0;
    opcode_and_reserved
        && header[4..6] == [0, 1]
        && rest.first().is_some_and(|label| *label < 64)
        && rest.contains(&0)
}
