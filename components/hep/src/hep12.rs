//! HEP 1 and 2.
//!
//! ```text
//!  0         1        2        3          4       6       8      8+a    8+2a
//!  ┌─────────┬────────┬────────┬──────────┬───────┬───────┬──────┬──────┬─ ─ ─ ─
//!  │ version │ header │ family │ IP       │ src   │ dst   │ src  │ dst  │ HEP 1: payload
//!  │ 1 or 2  │ length │        │ protocol │ port  │ port  │ a    │ a    │
//!  └─────────┴────────┴────────┴──────────┴───────┴───────┴──────┴──────┴─ ─ ─ ─
//!                        big-endian; a = 4 or 16
//!
//!  HEP 2, from 8+2a:  ┌─────────┬──────────────┬────────────┬─────────┬─ ─ ─ ─
//!                     │ seconds │ microseconds │ capture id │ padding │ payload
//!                     │ 4       │ 4            │ 2          │ 2 or 0  │
//!                     └─────────┴──────────────┴────────────┴─────────┴─ ─ ─ ─
//! ```
//!
//! The time header is a C structure that senders write as it lies in memory: with two
//! octets of padding and little-endian. Receivers read it big-endian and without padding,
//! so either may arrive. The header length is garbage from some senders and is not read.

use std::cmp::Ordering;

use heplake_sdk::Row;

use crate::hep3::write_decimal;
use crate::{Rejection, field};

/// Proto type of SIP: HEP 1 and 2 carry nothing else.
const PROTO_TYPE_SIP: u64 = 1;

/// Octets of the time header without its padding.
const TIME_HEADER: usize = 10;
/// Octets of padding that C puts after it.
const TIME_PADDING: usize = 2;

/// A capture time this long before the receive time is nonsense: 10 years, µs.
const AGE_MAX: u64 = 10 * 366 * 86_400 * 1_000_000;
/// A capture time this long after the receive time is nonsense: 1 day, µs.
const SKEW_MAX: u64 = 86_400 * 1_000_000;

/// One packet: it takes all of its item, since nothing says its length.
#[derive(Debug)]
pub(crate) struct Packet<'a> {
    version: u8,
    protocol: u8,
    src_ip: &'a [u8],
    dst_ip: &'a [u8],
    src_port: u16,
    dst_port: u16,
    time: Option<TimeHeader>,
    payload: &'a [u8],
}

/// What HEP 2 adds to HEP 1.
#[derive(Debug)]
struct TimeHeader {
    /// Microseconds since 1970, if it makes sense.
    timestamp: Option<u64>,
    capture_id: u16,
}

impl<'a> Packet<'a> {
    /// Reads an item that was received at `received`, µs since 1970.
    ///
    /// # Errors
    /// It does not begin with a known version and family, or ends inside the header.
    pub(crate) fn parse(bytes: &'a [u8], received: u64) -> Result<Self, Rejection> {
        let version @ (1 | 2) = *bytes.first().ok_or(Rejection::TruncatedHeader)? else {
            return Err(Rejection::UnknownMagic);
        };
        let (header, rest) = bytes
            .split_first_chunk::<8>()
            .ok_or(Rejection::TruncatedHeader)?;
        let address_length = match header[2] {
            2 => 4,
            // AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, Darwin.
            10 | 24 | 28 | 30 => 16,
            _ => return Err(Rejection::UnknownFamily),
        };
        let (src_ip, rest) = rest
            .split_at_checked(address_length)
            .ok_or(Rejection::TruncatedHeader)?;
        let (dst_ip, rest) = rest
            .split_at_checked(address_length)
            .ok_or(Rejection::TruncatedHeader)?;
        let (time, payload) = match version {
            1 => (None, rest),
            _ => {
                let (time, rest) = rest
                    .split_first_chunk::<TIME_HEADER>()
                    .ok_or(Rejection::TruncatedHeader)?;
                (
                    Some(TimeHeader::parse(time, received)),
                    without_padding(rest),
                )
            }
        };
        Ok(Self {
            version,
            protocol: header[3],
            src_ip,
            dst_ip,
            src_port: u16::from_be_bytes([header[4], header[5]]),
            dst_port: u16::from_be_bytes([header[6], header[7]]),
            time,
            payload,
        })
    }

    /// Writes its row.
    pub(crate) fn write(&self, row: &mut Row<'_>) {
        row.number(field::VERSION, u64::from(self.version));
        row.number(field::PROTOCOL, u64::from(self.protocol));
        row.text(field::SRC_IP, self.src_ip);
        row.text(field::DST_IP, self.dst_ip);
        row.number(field::SRC_PORT, u64::from(self.src_port));
        row.number(field::DST_PORT, u64::from(self.dst_port));
        row.number(field::PROTO_TYPE, PROTO_TYPE_SIP);
        row.text(field::PAYLOAD, self.payload);
        if let Some(time) = &self.time {
            if let Some(timestamp) = time.timestamp {
                row.number(field::TIMESTAMP, timestamp);
            }
            row.written(field::NODE_ID, |out| {
                write_decimal(out, u32::from(time.capture_id))
            });
        }
    }
}

impl TimeHeader {
    /// Takes the byte order whose time makes sense and is nearest to `received`. If none
    /// does, the capture id is little-endian, as all known senders write it.
    fn parse(bytes: &[u8; TIME_HEADER], received: u64) -> Self {
        let &[s0, s1, s2, s3, u0, u1, u2, u3, c0, c1] = bytes;
        let little = timestamp(
            u32::from_le_bytes([s0, s1, s2, s3]),
            u32::from_le_bytes([u0, u1, u2, u3]),
            received,
        );
        let big = timestamp(
            u32::from_be_bytes([s0, s1, s2, s3]),
            u32::from_be_bytes([u0, u1, u2, u3]),
            received,
        );
        let distance = |time: Option<u64>| time.map_or(u64::MAX, |time| time.abs_diff(received));
        match distance(big).cmp(&distance(little)) {
            Ordering::Less => Self {
                timestamp: big,
                capture_id: u16::from_be_bytes([c0, c1]),
            },
            _ => Self {
                timestamp: little,
                capture_id: u16::from_le_bytes([c0, c1]),
            },
        }
    }
}

/// Microseconds since 1970, unless that is nonsense.
fn timestamp(seconds: u32, microseconds: u32, received: u64) -> Option<u64> {
    let time = u64::from(seconds) * 1_000_000 + u64::from(microseconds);
    let sensible = seconds != 0
        && microseconds < 1_000_000
        && time.saturating_add(AGE_MAX) >= received
        && time <= received.saturating_add(SKEW_MAX);
    sensible.then_some(time)
}

/// The payload, after the padding if there is one. Padding may be zero or garbage that
/// reads as letters, so known start lines decide, then zeroes, then anything that looks
/// like a start line. In doubt the two octets stay part of the payload.
fn without_padding(bytes: &[u8]) -> &[u8] {
    let Some((padding, padded)) = bytes.split_at_checked(TIME_PADDING) else {
        return bytes;
    };
    if starts_known_sip(bytes) {
        bytes
    } else if starts_known_sip(padded)
        || padding == [0; TIME_PADDING]
        || (!starts_request(bytes) && starts_request(padded))
    {
        padded
    } else {
        bytes
    }
}

/// Whether a status line, or a request of a registered method, begins here.
fn starts_known_sip(bytes: &[u8]) -> bool {
    const STARTS: [&[u8]; 15] = [
        b"SIP/",
        b"INVITE ",
        b"ACK ",
        b"BYE ",
        b"CANCEL ",
        b"REGISTER ",
        b"OPTIONS ",
        b"INFO ",
        b"PRACK ",
        b"UPDATE ",
        b"MESSAGE ",
        b"SUBSCRIBE ",
        b"NOTIFY ",
        b"PUBLISH ",
        b"REFER ",
    ];
    STARTS.iter().any(|start| bytes.starts_with(start))
}

/// Whether a request of any method may begin here: a token and a blank.
fn starts_request(bytes: &[u8]) -> bool {
    // Twice the longest registered method is room enough for private ones.
    let method = bytes
        .iter()
        .take(20)
        .take_while(|byte| is_token(**byte))
        .count();
    method > 0 && bytes.get(method) == Some(&b' ')
}

/// RFC 3261 section 25.1, `token`.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}
