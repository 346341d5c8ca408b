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

pub mod field;

pub use rejection::Rejection;

use heplake_sdk::{Accepts, Description, Packet, Parser, Rows, Verdict};

/// Most HEP packets in one item. Agents send one a datagram; a batch of a thousand covers
/// what relays join, and keeps the cells of an item (about 250 bytes a row) below 300 kB.
const PACKETS_MAX: usize = 1024;

/// Kinds of item that carry nothing, in the order of their verdicts.
const ASIDE: [&str; 5] = ["empty", "crlf", "nul", "stun", "keep_alive"];

/// The parser of HEP.
#[derive(Debug, Default)]
pub struct Hep;

impl Parser for Hep {
    fn describe(&self) -> Description {
        Description::new("hep", env!("CARGO_PKG_VERSION"), Accepts::Datagrams)
            .fields(field::fields())
            .sets_aside(ASIDE)
            .refuses(Rejection::ALL.map(Rejection::name))
    }

    fn parse(&mut self, packet: &Packet<'_>, rows: &mut Rows<'_>) -> Verdict {
        match parse_item(packet.bytes, packet.received, rows) {
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

fn parse_item(bytes: &[u8], received: u64, rows: &mut Rows<'_>) -> Result<Contents, Rejection> {
    if !bytes.starts_with(&inflate::GZIP_MAGIC) {
        return parse_packets(bytes, inflate::INFLATED_BYTES_MAX, received, rows);
    }
    let mut frame = Vec::new();
    inflate::gzip(bytes, inflate::INFLATED_BYTES_MAX, &mut frame)?;
    // The packets inside may hold compressed payloads: they share the bound.
    parse_packets(
        &frame,
        inflate::INFLATED_BYTES_MAX - frame.len(),
        received,
        rows,
    )
}

/// Reads packets until the end of `bytes`; their payloads may inflate to
/// `inflated_bytes_max` together.
fn parse_packets(
    bytes: &[u8],
    mut inflated_bytes_max: usize,
    received: u64,
    rows: &mut Rows<'_>,
) -> Result<Contents, Rejection> {
    if !hep3::has_magic(bytes) {
        if let Some(kind) = keep_alive::Kind::of(bytes) {
            return Ok(Contents::Aside(kind));
        }
        let packet = hep12::Packet::parse(bytes, received)?;
        packet.write(&mut rows.row());
        return Ok(Contents::Rows);
    }

    let mut rest = bytes;
    let mut row_count = 0;
    for _ in 0..PACKETS_MAX {
        let (packet, after) = hep3::Packet::split(rest)?;
        rest = after;
        if !packet.is_keep_alive() {
            packet.write(&mut inflated_bytes_max, || rows.row())?;
            row_count += 1;
        }
        if rest.is_empty() {
            return Ok(match row_count {
                0 => Contents::Aside(keep_alive::Kind::Hep),
                _ => Contents::Rows,
            });
        }
        if !hep3::has_magic(rest) {
            return Err(Rejection::TrailingBytes);
        }
    }
    Err(Rejection::TooManyPackets)
}

#[cfg(test)]
mod tests;
