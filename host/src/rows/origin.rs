//! All that rows of one batch come from, and where in it a value is found.

use super::{
    plan::TablePlan,
    source::{FieldPlace, HostField, Source, Stage},
};
use crate::checked::Checked;
use heplake_sdk::{Cell, Kind};
use std::{net::SocketAddr, sync::Arc};

/// In a [`Row`]: there is no such row.
pub const NONE: u32 = u32::MAX;

/// In a [`Row`]: the envelope's text is stored whole.
pub const WHOLE: u32 = u32::MAX;

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
    /// Most bytes of one text of the envelope, as written: [`WHOLE`] in the first row of a
    /// payload, less in the others where a long text would be repeated.
    pub envelope_text_max: u32,
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
    /// What spans of the envelope's cells point into: the packets, what it made; then
    /// likewise of the parser's: the payloads that it was handed, what it made.
    pub spaces: [&'a Space; 4],
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
        /// The bytes, and all that follow them where they stand: a copy of a fixed size
        /// from here is cheaper than one of the right size.
        ahead: &'a [u8],
        /// Known to be UTF-8 without a look.
        ascii: bool,
        kind: Kind,
        /// Whose field it is.
        stage: Stage,
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
    pub(super) fn find(&self, from: &[Source]) -> Found<'a> {
        self.origin
            .find_by(from, self.row, |stage, field| self.cell(stage, field))
    }

    /// The value of one field.
    #[inline(always)]
    pub(super) fn field(&self, (stage, field, kind): (Stage, usize, Kind)) -> Found<'a> {
        let cell = self.cell(stage, field);
        if cell.is_null() {
            return Found::Null;
        }
        self.origin.resolve(cell, kind, stage)
    }

    #[inline(always)]
    fn cell(&self, stage: Stage, field: usize) -> Cell {
        let cells = match stage {
            Stage::Envelope => self.envelope,
            Stage::Payload => self.payload,
        };
        cells.get(field).copied().map_or(Cell::NULL, Cell)
    }
}

impl<'a> Origin<'a> {
    /// The cells of a row, for several values of it.
    pub(super) fn cells<'o>(&'o self, row: &'o Row) -> Cells<'o, 'a> {
        Cells {
            origin: self,
            row,
            envelope: self.envelope.row(row.envelope as usize),
            payload: self
                .payload
                .map_or(&[], |payload| payload.row(row.payload as usize)),
        }
    }

    /// The first source that is not null, for one value of a row.
    #[inline(always)]
    pub(super) fn find(&self, from: &[Source], row: &Row) -> Found<'a> {
        self.find_by(from, row, |stage, field| self.cell(stage, field, row))
    }

    #[inline(always)]
    fn cell(&self, stage: Stage, field: usize, row: &Row) -> Cell {
        // No row is that of `NONE`: its cells are null.
        let (rows, index) = match stage {
            Stage::Envelope => (Some(self.envelope), row.envelope),
            Stage::Payload => (self.payload, row.payload),
        };
        rows.map_or(Cell::NULL, |rows| rows.cell(index as usize, field))
    }

    #[inline(always)]
    fn find_by(
        &self,
        from: &[Source],
        row: &Row,
        cell: impl Fn(Stage, usize) -> Cell,
    ) -> Found<'a> {
        for source in from {
            match *source {
                Source::Field(stage, field, kind) => {
                    let cell = cell(stage, field);
                    if !cell.is_null() {
                        return self.resolve(cell, kind, stage);
                    }
                }
                Source::Unless(place @ (stage, field, kind), other) => {
                    let value = cell(stage, field);
                    if !value.is_null()
                        && !self.are_same((value, place), (cell(other.0, other.1), other))
                    {
                        return self.resolve(value, kind, stage);
                    }
                }
                Source::Host(HostField::Refused) => {
                    if let Some(Refusal { bytes, packet, .. }) = self.refusal(row) {
                        let stage = match packet {
                            true => Stage::Envelope,
                            false => Stage::Payload,
                        };
                        return self.resolve(*bytes, Kind::Bytes, stage);
                    }
                }
                Source::Host(field) => return Found::Host(field),
            }
        }
        Found::Null
    }

    /// Whether two columns are filled from one and the same cell in a row.
    #[inline(always)]
    pub(super) fn is_one_cell(&self, one: &[Source], other: &[Source], row: &Row) -> bool {
        let first = |from: &[Source]| {
            from.iter().find_map(|source| {
                let place @ (stage, field, kind) = source.field()?;
                let cell = self.cell(stage, field, row);
                if cell.is_null() {
                    return None;
                }
                if let Source::Unless(_, other) = *source {
                    let (other_stage, other_field, _) = other;
                    let other_cell = self.cell(other_stage, other_field, row);
                    if self.are_same((cell, place), (other_cell, other)) {
                        return None;
                    }
                }
                Some((stage, kind, cell))
            })
        };
        first(one) == first(other)
    }

    /// Whether two cells hold the same octets. A null holds none.
    #[inline(never)]
    fn are_same(
        &self,
        (one, (one_stage, _, one_kind)): (Cell, FieldPlace),
        (other, (other_stage, _, other_kind)): (Cell, FieldPlace),
    ) -> bool {
        if one.is_null() || other.is_null() {
            return false;
        }
        let both = (
            self.resolve(one, one_kind, one_stage),
            self.resolve(other, other_kind, other_stage),
        );
        matches!(both, (Found::Bytes { bytes: one, .. }, Found::Bytes { bytes: other, .. }) if one == other)
    }

    /// A cell that is not null.
    #[inline(always)]
    fn resolve(&self, cell: Cell, kind: Kind, stage: Stage) -> Found<'a> {
        if !kind.is_span() {
            return Found::Scalar(cell.0, kind);
        }
        let offset = cell.0 as u32;
        let made = usize::from(offset & Cell::SCRATCH != 0);
        let space = match stage {
            Stage::Envelope => self.spaces[made],
            Stage::Payload => self.spaces[2 + made],
        };
        let start = (offset & !Cell::SCRATCH) as usize;
        let ahead = space.bytes.get(start..);
        match ahead.and_then(|ahead| Some((ahead, ahead.get(..(cell.0 >> 32) as usize)?))) {
            Some((ahead, bytes)) => Found::Bytes {
                bytes,
                ahead,
                ascii: space.ascii,
                kind,
                stage,
            },
            None => Found::Null,
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
        if self.spaces.iter().all(|space| space.ascii) {
            return None;
        }
        match self.find(plan.payload_text.as_deref()?, row) {
            Found::Bytes {
                bytes,
                ascii: false,
                stage,
                ..
            } if !is_utf8(bytes) && whole_in_column(bytes, stage, row) => Some(bytes),
            _ => None,
        }
    }
}

/// Bytes that a text of the envelope may always have in a column: no id is longer, and whoever
/// looks for one looks for all of it.
const COLUMN_TEXT_MIN: usize = 256;

/// Whether a value fits a column of a row as it is.
pub(super) fn whole_in_column(bytes: &[u8], stage: Stage, row: &Row) -> bool {
    row.envelope_text_max == WHOLE || stage == Stage::Payload || bytes.len() <= column_text_max(row)
}

/// What a column of a row has of a value of the envelope that does not fit as it is: the
/// beginning, without half a character at its end.
#[cold]
#[inline(never)]
pub(super) fn cut_for_column<'a>(bytes: &'a [u8], row: &Row) -> &'a [u8] {
    cut(bytes, column_text_max(row))
}

fn column_text_max(row: &Row) -> usize {
    (row.envelope_text_max as usize).max(COLUMN_TEXT_MIN)
}

/// The first bytes of a text, without half a character at the end.
pub(super) fn cut(bytes: &[u8], bytes_max: usize) -> &[u8] {
    let mut end = bytes_max;
    // A character has four octets at most, of which all but the first begin with the bits 10.
    while end + 4 > bytes_max && bytes.get(end).is_some_and(|octet| octet & 0xc0 == 0x80) {
        end = end.saturating_sub(1);
    }
    bytes.get(..end).unwrap_or(bytes)
}

pub(super) fn is_utf8(bytes: &[u8]) -> bool {
    simdutf8::basic::from_utf8(bytes).is_ok()
}
