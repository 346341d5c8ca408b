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

/// The cells of one row, of both stages.
pub(super) struct Cells<'o, 'a> {
    origin: &'o Origin<'a>,
    row: &'o Row,
    envelope: &'a [u64],
    payload: &'a [u64],
}

impl<'a> Cells<'_, 'a> {
    /// The first source that is not null.
    #[inline(always)]
    pub(super) fn find(&self, from: &[Source]) -> Found<'a> {
        let origin = self.origin;
        let cell = |cells: &[u64], field: usize| cells.get(field).copied().map_or(Cell::NULL, Cell);
        for source in from {
            let (cell, kind, space, scratch) = match *source {
                Source::Envelope(field, kind) => (
                    cell(self.envelope, field),
                    kind,
                    origin.packets,
                    origin.envelope_scratch,
                ),
                Source::Payload(field, kind) => (
                    cell(self.payload, field),
                    kind,
                    origin.payloads,
                    origin.payload_scratch,
                ),
                Source::Host(HostField::Refused) => match origin.refusal(self.row) {
                    Some(Refusal { bytes, packet, .. }) => {
                        let space = if *packet {
                            origin.packets
                        } else {
                            origin.payloads
                        };
                        (*bytes, Kind::Bytes, space, space)
                    }
                    None => continue,
                },
                Source::Host(field) => return Found::Host(field),
            };
            if !cell.is_null() {
                return resolve(cell, kind, space, scratch);
            }
        }
        Found::Null
    }
}

impl<'a> Origin<'a> {
    /// The cells of a row.
    #[inline(always)]
    pub(super) fn cells<'o>(&'o self, row: &'o Row) -> Cells<'o, 'a> {
        let cells = |checked: Option<&'a Checked>, index: u32| match checked {
            Some(checked) if index != NONE => checked.row(index as usize),
            _ => &[],
        };
        Cells {
            origin: self,
            row,
            envelope: cells(Some(self.envelope), row.envelope),
            payload: cells(self.payload, row.payload),
        }
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
        match self.cells(row).find(plan.payload_text.as_deref()?) {
            Found::Bytes {
                bytes,
                ascii: false,
                ..
            } if !is_utf8(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// A cell that is not null, of a stage whose items lie in `space`.
#[inline(always)]
fn resolve<'a>(cell: Cell, kind: Kind, space: &'a Space, scratch: &'a Space) -> Found<'a> {
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
