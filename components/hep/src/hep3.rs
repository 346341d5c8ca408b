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

use heplake_sdk::{Origin, Row};

use crate::chunk::{self, Body, Chunks};
use crate::usual::{self, Usual};
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
    /// What nearly all packets begin with, if this one does.
    usual: Option<Usual>,
    /// All other chunks.
    body: Body<'a>,
    /// Whether the end of the payload did not arrive.
    is_truncated: bool,
}

impl<'a> Packet<'a> {
    /// Takes the packet that begins at `begin` in `bytes`, and says where it ends. Its
    /// fields are spans of `origin`, or copies if there is none.
    ///
    /// A datagram may end within the payload of its last packet, if that is the packet's last
    /// chunk: then the packet ends there.
    ///
    /// # Errors
    /// The packet or one of its chunks is cut off elsewhere, or says an impossible length.
    #[inline]
    pub(crate) fn at(
        bytes: &'a [u8],
        begin: usize,
        origin: Option<Origin>,
        chunks: &'a mut Chunks,
    ) -> Result<(Self, usize), Rejection> {
        let rest = bytes.get(begin..).unwrap_or_default();
        let header: &[u8; HEADER] = rest.first_chunk().ok_or(Rejection::TruncatedHeader)?;
        let total = usize::from(u16::from_be_bytes([header[4], header[5]]));
        if total < HEADER {
            return Err(Rejection::LengthMismatch);
        }
        if total > rest.len() {
            // What was inflated is no datagram: nothing cuts it on the way.
            let origin = origin.ok_or(Rejection::TruncatedPacket)?;
            return Self::cut(bytes, (begin + HEADER, begin + total), origin, chunks);
        }
        let end = begin + total;
        let begin = begin + HEADER;
        let mut usual = Usual::at(bytes, begin, end);
        let others = match usual {
            Some(_) => begin + usual::LENGTH,
            None => begin,
        };
        chunks.read(bytes, (others, end))?;
        // Of several chunks of a type the last counts, and IPv6 may come after IPv4.
        if usual.is_some() && chunks.have_any(usual::KINDS) {
            usual = None;
            chunks.read(bytes, (begin, end))?;
        }
        let body = chunks.body(bytes, end, origin);
        let is_truncated = false;
        Ok((
            Self {
                usual,
                body,
                is_truncated,
            },
            end,
        ))
    }

    /// Takes a packet that was to end behind the datagram that it begins in. Nothing else of a
    /// datagram says how long it is, so a sender that cuts at the MTU does not mend the lengths.
    /// No frame of a stream comes here: it was split by that very length.
    #[cold]
    #[inline(never)]
    fn cut(
        bytes: &'a [u8],
        (begin, end): (usize, usize),
        origin: Origin,
        chunks: &'a mut Chunks,
    ) -> Result<(Self, usize), Rejection> {
        chunks.read_cut(bytes, (begin, end))?;
        let body = chunks.body(bytes, bytes.len(), Some(origin));
        let packet = Self {
            usual: None,
            body,
            is_truncated: true,
        };
        Ok((packet, bytes.len()))
    }

    /// Whether it has a keep-alive timer and nothing to keep.
    #[inline]
    pub(crate) fn is_keep_alive(&self) -> bool {
        self.body.has_any(1 << chunk::KEEP_ALIVE_TIMER)
            && self.body.get(chunk::PAYLOAD).is_none_or(<[u8]>::is_empty)
            && self
                .body
                .get(chunk::COMPRESSED_PAYLOAD)
                .is_none_or(<[u8]>::is_empty)
    }

    /// Writes its row. What its payload inflates to is taken off `inflated_bytes_max`.
    ///
    /// # Errors
    /// There is no payload, it cannot be inflated, or a chunk has a wrong length.
    #[inline]
    pub(crate) fn write(
        &self,
        inflated_bytes_max: &mut usize,
        mut row: Row<'_>,
    ) -> Result<(), Rejection> {
        let body = self.body;
        if !body.write_any(chunk::PAYLOAD, &mut row, field::PAYLOAD) {
            self.write_compressed(inflated_bytes_max, &mut row)?;
        }
        row.number(field::VERSION, 3);
        if self.is_truncated {
            row.flag(field::TRUNCATED, true);
        }
        match &self.usual {
            Some(usual) => self.write_usual(usual, &mut row),
            None => self.write_unusual(&mut row)?,
        }
        if body.has_any(FEW) {
            self.write_few(&mut row)?;
        }
        Ok(())
    }

    #[inline(always)]
    fn write_usual(&self, usual: &Usual, row: &mut Row<'_>) {
        for (field, address) in [(field::SRC_IP, usual.source), (field::DST_IP, usual.target)] {
            self.body.write_at(address, usual::ADDRESS, row, field);
        }
        for (field, number) in [
            (field::PROTOCOL, usual.protocol),
            (field::SRC_PORT, usual.source_port),
            (field::DST_PORT, usual.target_port),
            (field::PROTO_TYPE, usual.proto_type),
        ] {
            row.number(field, u64::from(number));
        }
        write_timestamp(row, usual.seconds, usual.microseconds);
        write_node_id(row, usual.capture_id);
    }

    #[inline(never)]
    fn write_unusual(&self, row: &mut Row<'_>) -> Result<(), Rejection> {
        let body = self.body;
        let family = body.number(chunk::IP_FAMILY)?;
        for (ip4, ip6, field) in [
            (chunk::SRC_IP4, chunk::SRC_IP6, field::SRC_IP),
            (chunk::DST_IP4, chunk::DST_IP6, field::DST_IP),
        ] {
            self.write_address(family, (ip4, ip6), row, field)?;
        }
        for (kind, field) in [
            (chunk::IP_PROTOCOL, field::PROTOCOL),
            (chunk::SRC_PORT, field::SRC_PORT),
            (chunk::DST_PORT, field::DST_PORT),
            (chunk::PROTO_TYPE, field::PROTO_TYPE),
        ] {
            write_number(row, field, body.number(kind)?);
        }
        let seconds = body.number(chunk::SECONDS)?.unwrap_or(0);
        let microseconds = body.number(chunk::MICROSECONDS)?.unwrap_or(0);
        write_timestamp(row, seconds, microseconds);
        if let Some(raw) = body.number(chunk::CAPTURE_ID)? {
            write_node_id(row, raw);
        }
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn write_compressed(
        &self,
        inflated_bytes_max: &mut usize,
        row: &mut Row<'_>,
    ) -> Result<(), Rejection> {
        let compressed = self
            .body
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

    /// Writes the address of one end: that of the packet's family, or whichever is there,
    /// since some agents say IPv6 and send IPv4 chunks.
    #[inline]
    fn write_address(
        &self,
        family: Option<u32>,
        (ip4, ip6): (usize, usize),
        row: &mut Row<'_>,
        field: usize,
    ) -> Result<(), Rejection> {
        let length4 = self.body.address_length(ip4)?;
        let length6 = self.body.address_length(ip6)?;
        let is_ip4 = family == Some(FAMILY_IP4);
        let (octets, first, second) = match is_ip4 {
            true => (4, (ip4, length4), (ip6, length6)),
            false => (16, (ip6, length6), (ip4, length4)),
        };
        let (kind, length) = match first {
            (_, 0) => second,
            first => first,
        };
        self.body.write(kind, row, field);
        // The addresses tell the family; only one that they contradict is news.
        if length != 0 && length != octets {
            write_number(row, field::IP_FAMILY, family);
        }
        Ok(())
    }

    /// Writes what few agents send.
    #[inline(never)]
    fn write_few(&self, row: &mut Row<'_>) -> Result<(), Rejection> {
        for (kind, field) in FEW_NUMBERS {
            write_number(row, field, self.body.number(kind)?);
        }
        for (kind, field) in FEW_TEXTS {
            self.body.write(kind, row, field);
        }
        for (kind, field) in FEW_MACS {
            if let Some([a, b, c, d, e, f]) = self.body.mac(kind)? {
                row.written(field, |out| {
                    // Writing to a vector cannot fail.
                    let _ = write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
                });
            }
        }
        Ok(())
    }
}

const FEW_NUMBERS: [(usize, usize); 9] = [
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

const FEW_TEXTS: [(usize, usize); 7] = [
    // An empty chunk is sent by agents that know no correlation id.
    (chunk::CORRELATION_ID, field::CORRELATION_ID),
    (chunk::OPENSIPS_CORRELATION, field::OPENSIPS_CORRELATION),
    (chunk::NODE_NAME, field::NODE_NAME),
    (chunk::GEO, field::GEO),
    (chunk::TRANSACTION_TYPE, field::TRANSACTION_TYPE),
    (chunk::TAGS, field::TAGS),
    (chunk::GROUP_ID, field::GROUP_ID),
];

const FEW_MACS: [(usize, usize); 2] = [
    (chunk::SRC_MAC, field::SRC_MAC),
    (chunk::DST_MAC, field::DST_MAC),
];

/// The bits of all the chunks above.
const FEW: u64 = bits(&FEW_NUMBERS) | bits(&FEW_TEXTS) | bits(&FEW_MACS);

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

/// Microseconds since 1970, unless the seconds are missing or 0.
#[inline(always)]
fn write_timestamp(row: &mut Row<'_>, seconds: u32, microseconds: u32) {
    if seconds != 0 {
        let timestamp = u64::from(seconds) * 1_000_000 + u64::from(microseconds.min(999_999));
        row.number(field::TIMESTAMP, timestamp);
    }
}

#[inline(always)]
fn write_node_id(row: &mut Row<'_>, raw: u32) {
    let node = repaired_node_id(raw);
    row.written(field::NODE_ID, |out| write_decimal(out, node));
    if node != raw {
        row.number(field::RAW_NODE_ID, u64::from(raw));
    }
}

/// Writes `number` in decimal. It is on the path of every packet, and formatting takes as
/// long as walking all chunks.
#[inline(always)]
pub(crate) fn write_decimal(out: &mut Vec<u8>, number: u32) {
    if number > 9999 {
        return write_long_decimal(out, number);
    }
    let (high, low) = (number / 100, number % 100);
    let digits = [high / 10, high % 10, low / 10, low % 10].map(|digit| b'0' + digit as u8);
    let zeroes = u32::from(number < 10) + u32::from(number < 100) + u32::from(number < 1000);
    let digits = u32::from_le_bytes(digits) >> (8 * zeroes);
    // Copying as many bytes as there may be, known when this is compiled, is one move;
    // copying as many as there are is a call.
    let length = out.len() + 4 - zeroes as usize;
    out.extend_from_slice(&digits.to_le_bytes());
    out.truncate(length);
}

#[cold]
#[inline(never)]
fn write_long_decimal(out: &mut Vec<u8>, number: u32) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{number}");
}

fn write_number(row: &mut Row<'_>, field: usize, number: Option<u32>) {
    if let Some(number) = number {
        row.number(field, u64::from(number));
    }
}
