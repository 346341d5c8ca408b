//! What the next stage gets to see of a batch, and no more.

use super::{Received, Unpacked};
use crate::{
    batch::{BATCH_BYTES_MAX, BATCH_PACKETS_MAX},
    checked::Checked,
    contained::Items,
    rows::Space,
};
use heplake_sdk::{Cell, Kind};

/// Payloads of one protocol, end to end: all that its parser gets to see.
pub(super) struct Payloads {
    pub(super) space: Space,
    pub(super) ends: Vec<u32>,
    received: Vec<u64>,
    context: Vec<u64>,
    context_bytes: Vec<u8>,
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
        let (mut cells, mut context_bytes) = (Vec::new(), Vec::new());
        for one in group {
            bytes.extend_from_slice(payload(one));
            ends.push(bytes.len() as u32);
            arrived.push(received.arrived(one.row.packet));
            for &(field, kind) in context {
                let cell = received.envelope.cell(one.row.envelope as usize, field);
                cells.push(copied(cell, kind, packets, scratch, &mut context_bytes));
            }
        }
        Self {
            space: Space::new(bytes),
            ends,
            received: arrived,
            context: cells,
            context_bytes,
        }
    }

    pub(super) fn items(&self) -> Items<'_> {
        Items {
            bytes: self.space.bytes(),
            ends: &self.ends,
            received: &self.received,
            context: &self.context,
            context_bytes: &self.context_bytes,
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

/// The fields that a router reads, row by row, with their text end to end.
pub(super) fn gather(
    parsed: &Checked,
    reads: &[(usize, Kind)],
    bytes: &[u8],
    scratch: &[u8],
) -> (Vec<u8>, Vec<u64>) {
    let mut text = Vec::with_capacity(parsed.rows() * 8);
    let mut cells = Vec::with_capacity(parsed.rows() * reads.len());
    for row in 0..parsed.rows() {
        for &(field, kind) in reads {
            cells.push(copied(
                parsed.cell(row, field),
                kind,
                bytes,
                scratch,
                &mut text,
            ));
        }
    }
    (text, cells)
}

/// A cell whose text is copied to where another component may see it.
fn copied(cell: Cell, kind: Kind, bytes: &[u8], scratch: &[u8], to: &mut Vec<u8>) -> u64 {
    if matches!(kind, Kind::Number | Kind::Real | Kind::Time) {
        return cell.0;
    }
    let Some(text) = cell.resolve(bytes, scratch) else {
        return Cell::NULL.0;
    };
    let offset = to.len() as u32;
    to.extend_from_slice(text);
    Cell::span(offset, text.len() as u32).0
}
