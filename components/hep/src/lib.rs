//! Envelope parser: Homer Encapsulation Protocol 1, 2 and 3, and EEP.
//!
//! ```text
//!  datagram ─▶ keep-alive? ─▶ gzip? ─▶ HEP 3 (many) │ HEP 1, 2 (one) ─▶ a row each
//! ```
//!
//! A datagram or stream frame gives one row for each HEP packet in it. If any part of it
//! cannot be read, all of it is refused, with the way in which it is malformed: rows and
//! a refusal of the same item would store some of its bytes twice or none of them.
//!
//! It does not look into payloads, except to see where the one of HEP 2 begins, and never
//! extracts the authentication key (chunk 0x000e).

mod chunk;
mod hep12;
mod hep3;
mod inflate;
mod keep_alive;
mod rejection;
mod usual;

pub mod field;

pub use rejection::Rejection;

use heplake_sdk::{Accepts, Description, Origin, Packet, Parser, Rows, Verdict};

/// Most HEP packets in one item. Agents send one a datagram; a batch of a thousand covers
/// what relays join, and keeps the cells of an item (about 250 bytes a row) below 300 kB.
const PACKETS_MAX: usize = 1024;

/// Kinds of item that carry nothing, in the order of their verdicts.
const ASIDE: [&str; 5] = ["empty", "crlf", "nul", "stun", "keep_alive"];

/// The parser of HEP.
#[derive(Debug, Default)]
pub struct Hep {
    /// Where the chunks of the packet in hand are; kept since clearing it takes as long as
    /// reading them.
    chunks: chunk::Chunks,
}

impl Parser for Hep {
    fn describe(&self) -> Description {
        Description::new("hep", env!("CARGO_PKG_VERSION"), Accepts::Datagrams)
            .fields(field::fields())
            .sets_aside(ASIDE)
            .refuses(Rejection::ALL.map(Rejection::name))
    }

    fn parse(&mut self, packet: &Packet<'_>, rows: &mut Rows<'_>) -> Verdict {
        match self.parse_item(packet, rows) {
            Ok(Contents::Rows) => Verdict::PARSED,
            Ok(Contents::Aside(kind)) => kind.verdict(),
            Err(rejection) => rejection.verdict(),
        }
    }
}

heplake_sdk::export_parser!(Hep);

/// What a readable item holds.
enum Contents {
    /// At least one packet, which gave a row.
    Rows,
    /// Nothing to store.
    Aside(keep_alive::Kind),
}

impl Hep {
    fn parse_item(
        &mut self,
        packet: &Packet<'_>,
        rows: &mut Rows<'_>,
    ) -> Result<Contents, Rejection> {
        let Packet {
            bytes, received, ..
        } = *packet;
        if bytes.starts_with(&inflate::GZIP_MAGIC) {
            return self.parse_gzip(bytes, received, rows);
        }
        let item = Item {
            bytes,
            origin: Some(packet.origin()),
            received,
        };
        self.parse_packets(item, inflate::INFLATED_BYTES_MAX, rows)
    }

    #[cold]
    #[inline(never)]
    fn parse_gzip(
        &mut self,
        bytes: &[u8],
        received: u64,
        rows: &mut Rows<'_>,
    ) -> Result<Contents, Rejection> {
        let mut frame = Vec::new();
        inflate::gzip(bytes, inflate::INFLATED_BYTES_MAX, &mut frame)?;
        // The packets inside may hold compressed payloads: they share the bound.
        let inflated_bytes_max = inflate::INFLATED_BYTES_MAX - frame.len();
        let item = Item {
            bytes: &frame,
            origin: None,
            received,
        };
        self.parse_packets(item, inflated_bytes_max, rows)
    }

    /// Reads packets until the end of an item; their payloads may inflate to
    /// `inflated_bytes_max` together.
    #[inline]
    fn parse_packets(
        &mut self,
        item: Item<'_>,
        mut inflated_bytes_max: usize,
        rows: &mut Rows<'_>,
    ) -> Result<Contents, Rejection> {
        let bytes = item.bytes;
        if !hep3::has_magic(bytes) {
            return parse_old(bytes, item.received, rows);
        }
        let mut begin = 0;
        let mut row_count = 0;
        for _ in 0..PACKETS_MAX {
            let (packet, end) = hep3::Packet::at(bytes, begin, item.origin, &mut self.chunks)?;
            if !packet.is_keep_alive() {
                packet.write(&mut inflated_bytes_max, rows.row())?;
                row_count += 1;
            }
            if end == bytes.len() {
                return Ok(match row_count {
                    0 => Contents::Aside(keep_alive::Kind::Hep),
                    _ => Contents::Rows,
                });
            }
            if !bytes.get(end..).is_some_and(hep3::has_magic) {
                return Err(Rejection::TrailingBytes);
            }
            begin = end;
        }
        Err(Rejection::TooManyPackets)
    }
}

/// Bytes with packets in them.
#[derive(Clone, Copy)]
struct Item<'a> {
    bytes: &'a [u8],
    /// What spans are cut out of, unless the bytes were inflated.
    origin: Option<Origin>,
    received: u64,
}

/// Reads what is not HEP 3.
#[inline(never)]
fn parse_old(bytes: &[u8], received: u64, rows: &mut Rows<'_>) -> Result<Contents, Rejection> {
    if let Some(kind) = keep_alive::Kind::of(bytes) {
        return Ok(Contents::Aside(kind));
    }
    let packet = hep12::Packet::parse(bytes, received)?;
    packet.write(&mut rows.row());
    Ok(Contents::Rows)
}

#[cfg(test)]
mod tests;
