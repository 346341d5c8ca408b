//! All that rows of one batch come from, and where in it a value is found.

use super::plan::{HostField, Source, TablePlan};
use crate::checked::Checked;
use heplake_sdk::{Cell, Kind};
use std::{net::SocketAddr, sync::Arc};

/// In a [`Row`]: there is no such row.
pub const NONE: u32 = u32::MAX;

/// Bytes that spans point into.
#[derive(Clone, Debug)]
pub struct Space {
    bytes: Vec<u8>,
    /// All of it is ASCII, hence any part of it UTF-8.
    ascii: bool,
}

impl Space {
    /// Takes bytes over, without a copy.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        let ascii = bytes.is_ascii();
        Self { bytes, ascii }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// One row to be: where its fields are, and what the host knows of it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The packet, by its place in the batch.
    pub packet: u32,
    /// The envelope's row, or [`NONE`].
    pub envelope: u32,
    /// The parser's row, or [`NONE`].
    pub payload: u32,
    /// Place in [`Origin::refusals`], or [`NONE`].
    pub refusal: u32,
    /// µs since 1970, UTC: the packet's, or its arrival's.
    pub timestamp: i64,
    /// Its UUIDv7.
    pub uuid: uuid::Uuid,
}

/// Why and by whom something was refused, and where it is.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The verdict's name, or the kind of a fault.
    pub reason: String,
    /// `name@version sha256:digest`.
    pub component: Arc<str>,
    /// What was refused: a place in the packets, or in the payloads.
    pub bytes: Cell,
    /// Whether it is the whole packet rather than a payload.
    pub packet: bool,
}

/// All that rows of one batch come from.
#[derive(Debug)]
pub struct Origin<'a> {
    /// What the envelope returned.
    pub envelope: &'a Checked,
    /// What the parser returned, if there is one.
    pub payload: Option<&'a Checked>,
    /// The packets.
    pub packets: &'a Space,
    /// What the envelope made.
    pub envelope_scratch: &'a Space,
    /// The payloads that the parser was handed.
    pub payloads: &'a Space,
    /// What the parser made.
    pub payload_scratch: &'a Space,
    /// When each packet was received.
    pub received: &'a [u64],
    /// Who sent each packet.
    pub peers: &'a [SocketAddr],
    /// The envelope's field that holds the packet's own time.
    pub timestamp_field: usize,
    /// What was refused.
    pub refusals: &'a [Refusal],
}

/// A value as it was found: bytes somewhere, or a scalar.
#[derive(Clone, Copy)]
pub(super) enum Found<'a> {
    Null,
    Bytes {
        bytes: &'a [u8],
        /// Known to be UTF-8 without a look.
        ascii: bool,
        kind: Kind,
    },
    Scalar(u64, Kind),
    Host(HostField),
}

impl<'a> Origin<'a> {
    /// The first source that is not null.
    #[inline]
    pub(super) fn find(&self, from: &[Source], row: &Row) -> Found<'a> {
        for source in from {
            let found = match *source {
                Source::Envelope(field, kind) if row.envelope != NONE => {
                    let cell = self.envelope.cell(row.envelope as usize, field);
                    resolve(cell, kind, self.packets, self.envelope_scratch)
                }
                Source::Payload(field, kind) if row.payload != NONE => {
                    let cell = self
                        .payload
                        .map_or(Cell::NULL, |rows| rows.cell(row.payload as usize, field));
                    resolve(cell, kind, self.payloads, self.payload_scratch)
                }
                Source::Host(HostField::Refused) => match self.refusal(row) {
                    Some(Refusal { bytes, packet, .. }) => {
                        let space = if *packet { self.packets } else { self.payloads };
                        resolve(*bytes, Kind::Bytes, space, space)
                    }
                    None => Found::Null,
                },
                Source::Host(field) => Found::Host(field),
                _ => Found::Null,
            };
            if !matches!(found, Found::Null) {
                return found;
            }
        }
        Found::Null
    }

    pub(super) fn refusal(&self, row: &Row) -> Option<&'a Refusal> {
        self.refusals.get(row.refusal as usize)
    }

    pub(super) fn peer(&self, row: &Row) -> Option<&'a SocketAddr> {
        self.peers.get(row.packet as usize)
    }

    /// The packet's own time, where the row has another.
    pub(super) fn original_timestamp(&self, row: &Row) -> Option<u64> {
        if row.envelope == NONE {
            return None;
        }
        let cell = self
            .envelope
            .cell(row.envelope as usize, self.timestamp_field);
        (!cell.is_null() && i64::try_from(cell.0) != Ok(row.timestamp)).then_some(cell.0)
    }

    /// The exact bytes of the column `payload`, where it is text and they are not UTF-8.
    pub(super) fn mended_payload(&self, plan: &TablePlan, row: &Row) -> Option<&'a [u8]> {
        match self.find(plan.payload_text.as_deref()?, row) {
            Found::Bytes {
                bytes,
                ascii: false,
                ..
            } if !is_utf8(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// A cell of a stage whose items lie in `space` and whose scratch is `scratch`.
#[inline]
fn resolve<'a>(cell: Cell, kind: Kind, space: &'a Space, scratch: &'a Space) -> Found<'a> {
    if cell.is_null() {
        return Found::Null;
    }
    if matches!(kind, Kind::Number | Kind::Real | Kind::Time) {
        return Found::Scalar(cell.0, kind);
    }
    let from = if cell.0 as u32 & Cell::SCRATCH == 0 {
        space
    } else {
        scratch
    };
    let start = (cell.0 as u32 & !Cell::SCRATCH) as usize;
    let length = (cell.0 >> 32) as usize;
    match from.bytes.get(start..start + length) {
        Some(bytes) => Found::Bytes {
            bytes,
            ascii: from.ascii,
            kind,
        },
        None => Found::Null,
    }
}

pub(super) fn is_utf8(bytes: &[u8]) -> bool {
    simdutf8::basic::from_utf8(bytes).is_ok()
}
