//! HEP 3 and EEP.
//!
//! ```text
//!  0          4        6               total length
//!  ┌──────────┬────────┬─── ─ ─ ─ ─────┐
//!  │ HEP3     │ total  │ chunks        │   big-endian; total length includes these
//!  │ or EEP3  │ length │               │   6 octets
//!  └──────────┴────────┴─── ─ ─ ─ ─────┘
//! ```

use std::io::Write;

use heplake_sdk::Row;

use crate::chunk::{self, Chunks};
use crate::{Rejection, field, inflate};

/// Octets of the header.
const HEADER: usize = 6;

/// The number of `AF_INET`, the same everywhere. That of `AF_INET6` is not.
const FAMILY_IP4: u32 = 2;

/// Whether a HEP 3 or EEP packet may begin here.
pub(crate) fn has_magic(bytes: &[u8]) -> bool {
    bytes.starts_with(b"HEP3") || bytes.starts_with(b"EEP3")
}

/// One packet.
#[derive(Debug)]
pub(crate) struct Packet<'a> {
    chunks: Chunks<'a>,
}

impl<'a> Packet<'a> {
    /// Takes the first packet of `bytes`, and gives back what follows it.
    ///
    /// # Errors
    /// The packet or one of its chunks is cut off, or says an impossible length.
    pub(crate) fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Rejection> {
        let header: &[u8; HEADER] = bytes.first_chunk().ok_or(Rejection::TruncatedHeader)?;
        let total = usize::from(u16::from_be_bytes([header[4], header[5]]));
        if total < HEADER {
            return Err(Rejection::LengthMismatch);
        }
        let (packet, after) = bytes
            .split_at_checked(total)
            .ok_or(Rejection::TruncatedPacket)?;
        let chunks = Chunks::parse(packet.get(HEADER..).unwrap_or_default())?;
        Ok((Self { chunks }, after))
    }

    /// Whether it has a keep-alive timer and nothing to keep.
    pub(crate) fn is_keep_alive(&self) -> bool {
        self.chunks.get(chunk::KEEP_ALIVE_TIMER).is_some()
            && self.chunks.get(chunk::PAYLOAD).is_none_or(<[u8]>::is_empty)
            && self
                .chunks
                .get(chunk::COMPRESSED_PAYLOAD)
                .is_none_or(<[u8]>::is_empty)
    }

    /// Writes the row that `start` gives. What its payload inflates to is taken off
    /// `inflated_bytes_max`.
    ///
    /// # Errors
    /// There is no payload, it cannot be inflated, or a chunk has a wrong length.
    pub(crate) fn write<'r>(
        &self,
        inflated_bytes_max: &mut usize,
        start: impl FnOnce() -> Row<'r>,
    ) -> Result<(), Rejection> {
        let chunks = &self.chunks;
        let mut row = start();
        self.write_payload(inflated_bytes_max, &mut row)?;

        row.number(field::VERSION, 3);
        let family = chunks.number(chunk::IP_FAMILY)?;
        let source = self.address(family, chunk::SRC_IP4, chunk::SRC_IP6)?;
        let destination = self.address(family, chunk::DST_IP4, chunk::DST_IP6)?;
        let octets = if family == Some(FAMILY_IP4) { 4 } else { 16 };
        for (address, field) in [(source, field::SRC_IP), (destination, field::DST_IP)] {
            let Some(address) = address else { continue };
            row.text(field, address);
            // The addresses tell the family; only one that they contradict is news.
            if address.len() != octets {
                write_number(&mut row, field::IP_FAMILY, family);
            }
        }
        for (kind, field) in [
            (chunk::IP_PROTOCOL, field::PROTOCOL),
            (chunk::SRC_PORT, field::SRC_PORT),
            (chunk::DST_PORT, field::DST_PORT),
            (chunk::PROTO_TYPE, field::PROTO_TYPE),
        ] {
            write_number(&mut row, field, chunks.number(kind)?);
        }
        if let Some(timestamp) = self.timestamp()? {
            row.number(field::TIMESTAMP, timestamp);
        }
        if let Some(raw) = chunks.number(chunk::CAPTURE_ID)? {
            let node = repaired_node_id(raw);
            row.written(field::NODE_ID, |out| write_decimal(out, node));
            if node != raw {
                row.number(field::RAW_NODE_ID, u64::from(raw));
            }
        }
        // An empty chunk is sent by agents that know no correlation id.
        write_text(
            &mut row,
            field::CORRELATION_ID,
            chunks.get(chunk::CORRELATION_ID),
        );
        write_text(
            &mut row,
            field::OPENSIPS_CORRELATION,
            chunks.opensips_correlation,
        );
        if chunks.has_any(RARE) {
            self.write_rare(&mut row)?;
        }
        Ok(())
    }

    fn write_payload(
        &self,
        inflated_bytes_max: &mut usize,
        row: &mut Row<'_>,
    ) -> Result<(), Rejection> {
        if let Some(payload) = self.chunks.get(chunk::PAYLOAD) {
            row.text(field::PAYLOAD, payload);
            return Ok(());
        }
        let compressed = self
            .chunks
            .get(chunk::COMPRESSED_PAYLOAD)
            .ok_or(Rejection::NoPayload)?;
        let mut outcome = Ok(());
        row.written(field::PAYLOAD, |out| {
            let before = out.len();
            outcome = inflate::payload(compressed, *inflated_bytes_max, out);
            *inflated_bytes_max = inflated_bytes_max.saturating_sub(out.len() - before);
        });
        outcome
    }

    /// The address of one end: that of the packet's family, or whichever is there, since
    /// some agents say IPv6 and send IPv4 chunks.
    fn address(
        &self,
        family: Option<u32>,
        ip4: usize,
        ip6: usize,
    ) -> Result<Option<&'a [u8]>, Rejection> {
        let ip4 = self.chunks.address(ip4)?;
        let ip6 = self.chunks.address(ip6)?;
        Ok(match family {
            Some(FAMILY_IP4) => ip4.or(ip6),
            _ => ip6.or(ip4),
        })
    }

    /// Microseconds since 1970, unless the seconds are missing or 0.
    fn timestamp(&self) -> Result<Option<u64>, Rejection> {
        let seconds = self.chunks.number(chunk::SECONDS)?.unwrap_or(0);
        let microseconds = self.chunks.number(chunk::MICROSECONDS)?.unwrap_or(0);
        Ok((seconds != 0)
            .then(|| u64::from(seconds) * 1_000_000 + u64::from(microseconds.min(999_999))))
    }

    /// Writes what few agents send.
    fn write_rare(&self, row: &mut Row<'_>) -> Result<(), Rejection> {
        for (kind, field) in RARE_NUMBERS {
            write_number(row, field, self.chunks.number(kind)?);
        }
        for (kind, field) in RARE_TEXTS {
            write_text(row, field, self.chunks.get(kind));
        }
        for (kind, field) in RARE_MACS {
            if let Some([a, b, c, d, e, f]) = self.chunks.mac(kind)? {
                row.written(field, |out| {
                    // Writing to a vector cannot fail.
                    let _ = write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
                });
            }
        }
        Ok(())
    }
}

const RARE_NUMBERS: [(usize, usize); 9] = [
    (chunk::VLAN, field::VLAN),
    (chunk::TCP_FLAGS, field::TCP_FLAGS),
    (chunk::IP_TOS, field::IP_TOS),
    (chunk::MOS, field::MOS),
    (chunk::R_FACTOR, field::R_FACTOR),
    (chunk::JITTER, field::JITTER),
    (chunk::ETHERTYPE, field::ETHERTYPE),
    (chunk::EVENT_TYPE, field::EVENT_TYPE),
    (chunk::KEEP_ALIVE_TIMER, field::KEEP_ALIVE_TIMER),
];

const RARE_TEXTS: [(usize, usize); 5] = [
    (chunk::NODE_NAME, field::NODE_NAME),
    (chunk::GEO, field::GEO),
    (chunk::TRANSACTION_TYPE, field::TRANSACTION_TYPE),
    (chunk::TAGS, field::TAGS),
    (chunk::GROUP_ID, field::GROUP_ID),
];

const RARE_MACS: [(usize, usize); 2] = [
    (chunk::SRC_MAC, field::SRC_MAC),
    (chunk::DST_MAC, field::DST_MAC),
];

/// The bits of all the chunks above.
const RARE: u64 = bits(&RARE_NUMBERS) | bits(&RARE_TEXTS) | bits(&RARE_MACS);

const fn bits(table: &[(usize, usize)]) -> u64 {
    match table {
        [] => 0,
        [(kind, _), rest @ ..] => 1 << *kind | bits(rest),
    }
}

/// Undoes what agents do that write the 32-bit id with `htons`: 2001 arrives as
/// `07 D1 00 00`. Ids above 65535 whose low half is 0 are not used otherwise.
fn repaired_node_id(raw: u32) -> u32 {
    if raw > 0xffff && raw & 0xffff == 0 {
        raw >> 16
    } else {
        raw
    }
}

/// Writes `number` in decimal. It is on the path of every packet, and formatting takes as
/// long as walking all chunks.
pub(crate) fn write_decimal(out: &mut Vec<u8>, mut number: u32) {
    let mut digits = [0; 10];
    let mut start = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        start -= 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

fn write_number(row: &mut Row<'_>, field: usize, number: Option<u32>) {
    if let Some(number) = number {
        row.number(field, u64::from(number));
    }
}

fn write_text(row: &mut Row<'_>, field: usize, text: Option<&[u8]>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        row.text(field, text);
    }
}
