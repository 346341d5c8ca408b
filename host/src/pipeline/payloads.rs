//! What the next stage gets to see of a batch, and no more.

use super::{groups::Unpacked, opened::Received};
use crate::{
    batch::{BATCH_BYTES_MAX, BATCH_PACKETS_MAX},
    checked::Checked,
    contained::{Items, Quoted},
    rows::Space,
};
use heplake_sdk::{Cell, Kind};

/// Payloads of one protocol, end to end: all that its parser gets to see.
pub(super) struct Payloads {
    pub(super) space: Space,
    pub(super) ends: Vec<u32>,
    received: Vec<u64>,
    context: Gathered,
}

/// Fields of rows, with their text end to end.
pub(super) struct Gathered {
    cells: Vec<u64>,
    bytes: Vec<u8>,
    /// Where the text of each row ends.
    ends: Vec<u32>,
    spans: Vec<bool>,
}

impl Gathered {
    /// Of so many rows these fields.
    fn with_room(rows: usize, fields: &[(usize, Kind)]) -> Self {
        let is_span = |(_, kind): &(usize, Kind)| kind.is_span();
        Self {
            cells: Vec::with_capacity(rows * fields.len()),
            bytes: Vec::new(),
            ends: Vec::with_capacity(rows),
            spans: fields.iter().map(is_span).collect(),
        }
    }

    /// Takes a field, whose text is copied to where another component may see it.
    fn take(&mut self, cell: Cell, kind: Kind, bytes: &[u8], scratch: &[u8]) {
        let text = match kind.is_span() {
            false => return self.cells.push(cell.0),
            true => cell.resolve(bytes, scratch),
        };
        let offset = self.bytes.len() as u32;
        let span = |text: &[u8]| Cell::span(offset, text.len() as u32);
        self.cells.push(text.map_or(Cell::NULL, span).0);
        self.bytes.extend_from_slice(text.unwrap_or_default());
    }

    fn end_row(&mut self) {
        self.ends.push(self.bytes.len() as u32);
    }

    pub(super) fn quoted(&self) -> Quoted<'_> {
        Quoted {
            cells: &self.cells,
            bytes: &self.bytes,
            ends: &self.ends,
            spans: &self.spans,
        }
    }
}

impl Payloads {
    pub(super) fn of(
        group: &[Unpacked],
        received: &Received<'_>,
        context: &[(usize, Kind)],
    ) -> Self {
        let (packets, scratch) = (received.packets.bytes(), received.envelope_scratch.bytes());
        let payload = |one: &Unpacked| one.payload.resolve(packets, scratch).unwrap_or_default();
        let mut bytes = Vec::with_capacity(group.iter().map(|one| payload(one).len()).sum());
        let mut ends = Vec::with_capacity(group.len());
        let mut arrived = Vec::with_capacity(group.len());
        let mut gathered = Gathered::with_room(group.len(), context);
        for one in group {
            bytes.extend_from_slice(payload(one));
            ends.push(bytes.len() as u32);
            arrived.push(received.arrived(one.row.packet));
            for &(field, kind) in context {
                let cell = received.envelope.cell(one.row.envelope as usize, field);
                gathered.take(cell, kind, packets, scratch);
            }
            gathered.end_row();
        }
        Self {
            space: Space::new(bytes),
            ends,
            received: arrived,
            context: gathered,
        }
    }

    pub(super) fn items(&self) -> Items<'_> {
        Items {
            bytes: self.space.bytes(),
            ends: &self.ends,
            received: &self.received,
            context: self.context.quoted(),
        }
    }
}

/// How many of the first payloads make a batch, as packets do: an envelope may give many
/// payloads for a packet, and inflate them.
pub(super) fn of_one_batch(group: &[Unpacked]) -> usize {
    let mut bytes = 0;
    let has_room = |one: &&Unpacked| {
        let has_room = bytes < BATCH_BYTES_MAX;
        bytes += match one.payload.is_null() {
            true => 0,
            false => (one.payload.0 >> 32) as usize,
        };
        has_room
    };
    group
        .iter()
        .take(BATCH_PACKETS_MAX)
        .take_while(has_room)
        .count()
}

/// The fields that a router reads, row by row.
pub(super) fn gather(
    parsed: &Checked,
    reads: &[(usize, Kind)],
    bytes: &[u8],
    scratch: &[u8],
) -> Gathered {
    let mut gathered = Gathered::with_room(parsed.rows(), reads);
    for row in 0..parsed.rows() {
        for &(field, kind) in reads {
            gathered.take(parsed.cell(row, field), kind, bytes, scratch);
        }
        gathered.end_row();
    }
    gathered
}
