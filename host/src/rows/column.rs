//! One column of a table's rows, value by value.

use super::{
    address, json,
    origin::{Found, NONE, Origin, Row, WHOLE, cut_for_column, is_utf8, whole_in_column},
    plan::{ColumnPlan, MemberPlan, TablePlan},
    source::{HostField, Source, Stage},
    uuid,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use heplake_format::{ColumnType, ComponentDigest, PartitionDate};
use heplake_sdk::{Cell, Kind};
use std::sync::Arc;

/// Takes the values of a column, in the order of its rows.
pub trait Values {
    /// No value.
    fn null(&mut self);
    /// A number, or the bits of a double or of a signed number.
    fn number(&mut self, number: u64);
    /// Text or bytes.
    fn bytes(&mut self, bytes: &[u8]);
    /// The bytes that the column has in this row which it may be like: for one who then need
    /// not look them up again.
    fn like(&mut self, row: usize, bytes: &[u8]) {
        let _ = row;
        self.bytes(bytes);
    }
    /// Text that `write` appends to what it is handed, and changes nothing before.
    fn made(&mut self, write: impl FnOnce(&mut Vec<u8>));
    /// Text that `key` determines: one key always makes the same. `write` may not be called
    /// when the key was there before.
    fn keyed(&mut self, key: u32, write: impl FnOnce(&mut Vec<u8>));
}

/// Rows of one table and date, still where they came from: their values are copied once,
/// to where a data file is encoded.
#[derive(Debug)]
pub struct TableRows<'a> {
    /// The table and what fills it.
    pub plan: &'a TablePlan,
    /// The partition.
    pub date: PartitionDate,
    /// The components that made them; shared by all rows that the same ones made.
    pub made_by: &'a Arc<[ComponentDigest]>,
    pub(crate) origin: &'a Origin<'a>,
    pub(crate) rows: &'a [Row],
}

impl TableRows<'_> {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The packet that a row is of, by its place in the batch.
    #[must_use]
    pub fn packet(&self, row: usize) -> usize {
        self.rows
            .get(row)
            .map_or(usize::MAX, |row| row.packet as usize)
    }

    /// The place of a row's payload among the payloads of its packet; 0 for a row that is of the
    /// packet as a whole.
    pub(crate) fn payload_of_packet(&self, row: usize) -> usize {
        let Some(row) = self.rows.get(row).filter(|row| row.envelope != NONE) else {
            return 0;
        };
        let packets = self.origin.envelope.items();
        let first = packets.partition_point(|packet| *packet < row.packet);
        (row.envelope as usize).saturating_sub(first)
    }

    /// Hands all values of a column to `to`. Columns are counted as they stand in a data
    /// file: without the partition's.
    pub fn fill(&self, column: usize, to: &mut impl Values) {
        let Some(plan) = self.plan.columns.get(column) else {
            return;
        };
        match plan.column.column_type {
            ColumnType::Varchar => self.texts(plan, to),
            ColumnType::Blob => self.blobs(&plan.from, to),
            ColumnType::Json => self.objects(plan, to),
            ColumnType::Timestamp => self.times(&plan.from, to),
            ColumnType::UInteger => self.numbers(&plan.from, u64::from(u32::MAX), to),
            ColumnType::UBigInt | ColumnType::Double => self.numbers(&plan.from, u64::MAX, to),
            ColumnType::BigInt => self.signed_numbers(&plan.from, to),
            // The partition's: it stands in the path, and no plan keeps it.
            ColumnType::Date => {}
        }
    }

    /// The column before this one that it may have values in common with.
    #[must_use]
    pub fn like(&self, column: usize) -> Option<usize> {
        let (like, _) = self.plan.columns.get(column)?.like.as_ref()?;
        Some(*like)
    }

    fn texts(&self, plan: &ColumnPlan, to: &mut impl Values) {
        for (index, row) in self.rows.iter().enumerate() {
            match self.origin.find(&plan.from, row) {
                Found::Null => to.null(),
                Found::Bytes {
                    bytes,
                    kind: Kind::Address,
                    ..
                } => match <[u8; 4]>::try_from(bytes) {
                    Ok(octets) => to.keyed(u32::from_ne_bytes(octets), |out| {
                        address::write(&octets, out);
                    }),
                    Err(_) => to.made(|out| address::write(bytes, out)),
                },
                Found::Bytes {
                    bytes,
                    ascii,
                    stage,
                    ..
                } => {
                    let bytes = match whole_in_column(bytes, stage, row) {
                        true => bytes,
                        false => cut_for_column(bytes, row),
                    };
                    if !(ascii || is_utf8(bytes)) {
                        to.bytes(String::from_utf8_lossy(bytes).as_bytes());
                    } else if let Some((_, like)) = &plan.like
                        && self.origin.is_one_cell(&plan.from, like, row)
                    {
                        to.like(index, bytes);
                    } else {
                        to.bytes(bytes);
                    }
                }
                Found::Scalar(cell, Kind::Signed) => {
                    to.made(|out| json::write_signed(Cell(cell), out));
                }
                Found::Scalar(number, _) => to.made(|out| json::write_number(number, out)),
                Found::Host(field) => self.host_text(field, row, to),
            }
        }
    }

    fn host_text(&self, field: HostField, row: &Row, to: &mut impl Values) {
        match (field, self.origin.refusal(row)) {
            (HostField::Uuid, _) => to.bytes(&uuid::text(row.uuid)),
            (HostField::PeerIp, _) => match self.origin.peer(row) {
                Some(peer) => to.made(|out| address::write_peer(peer.ip(), out)),
                None => to.null(),
            },
            (HostField::Reason, Some(refusal)) => to.bytes(refusal.reason.as_bytes()),
            (HostField::Component, Some(refusal)) => to.bytes(refusal.component.as_bytes()),
            _ => to.null(),
        }
    }

    fn blobs(&self, from: &[Source], to: &mut impl Values) {
        for row in self.rows {
            match self.origin.find(from, row) {
                Found::Bytes { bytes, stage, .. } if whole_in_column(bytes, stage, row) => {
                    to.bytes(bytes);
                }
                Found::Bytes { bytes, .. } => to.bytes(cut_for_column(bytes, row)),
                _ => to.null(),
            }
        }
    }

    fn times(&self, from: &[Source], to: &mut impl Values) {
        for row in self.rows {
            match self.origin.find(from, row) {
                Found::Scalar(time, _) if i64::try_from(time).is_ok() => to.number(time),
                Found::Host(HostField::Timestamp) => to.number(row.timestamp as u64),
                _ => to.null(),
            }
        }
    }

    fn numbers(&self, from: &[Source], most: u64, to: &mut impl Values) {
        for row in self.rows {
            let number = match self.origin.find(from, row) {
                Found::Scalar(number, _) => Some(number),
                Found::Host(HostField::PeerPort) => {
                    self.origin.peer(row).map(|peer| peer.port().into())
                }
                _ => None,
            };
            match number.filter(|number| *number <= most) {
                Some(number) => to.number(number),
                None => to.null(),
            }
        }
    }

    fn signed_numbers(&self, from: &[Source], to: &mut impl Values) {
        for row in self.rows {
            let number = match self.origin.find(from, row) {
                Found::Scalar(cell, Kind::Signed) => Cell(cell).as_signed(),
                _ => None,
            };
            match number {
                Some(number) => to.number(number as u64),
                None => to.null(),
            }
        }
    }

    fn objects(&self, column: &ColumnPlan, to: &mut impl Values) {
        for row in self.rows {
            to.made(|out| match row.envelope_text_max {
                WHOLE => self.object::<false>(&column.members, row, out),
                _ => self.object::<true>(&column.members, row, out),
            });
        }
    }

    /// Writes a JSON object of all members that have a value. If it `REPEATS` the envelope of a
    /// row before, long texts of it are cut.
    fn object<const REPEATS: bool>(&self, members: &[MemberPlan], row: &Row, out: &mut Vec<u8>) {
        let mut object = json::ObjectWriter::open(out);
        let mut is_cut = REPEATS && self.cuts_a_column(row);
        let cells = self.origin.cells(row);
        for member in members {
            let key = &member.key;
            let found = match member.only {
                Some(field) => cells.field(field),
                None => cells.find(&member.from),
            };
            match found {
                Found::Null => {}
                Found::Bytes {
                    bytes,
                    kind: Kind::Address,
                    ..
                } => {
                    let value = object.text_key(key);
                    address::write(bytes, value);
                    value.push(b'"');
                }
                Found::Bytes {
                    bytes,
                    stage: Stage::Envelope,
                    ..
                } if REPEATS => {
                    let bytes_max = row.envelope_text_max as usize;
                    is_cut |= json::write_text_within(bytes, bytes_max, object.text_key(key));
                }
                Found::Bytes { bytes, ahead, .. } => {
                    json::write_text(bytes, ahead, object.text_key(key));
                }
                Found::Scalar(bits, Kind::Real) => {
                    json::write_real(f64::from_bits(bits), object.key(key));
                }
                Found::Scalar(cell, Kind::Signed) => {
                    json::write_signed(Cell(cell), object.key(key));
                }
                Found::Scalar(flag, Kind::Flag) => {
                    json::write_flag(flag != 0, object.key(key));
                }
                Found::Scalar(number, _) => json::write_number(number, object.key(key)),
                Found::Host(HostField::OriginalTimestamp) => {
                    if let Some(time) = self.origin.original_timestamp(row) {
                        json::write_number(time, object.key(key));
                    }
                }
                Found::Host(HostField::PayloadBase64) => {
                    if let Some(bytes) = self.origin.mended_payload(self.plan, row) {
                        let text = BASE64_STANDARD.encode(bytes);
                        json::write_text(text.as_bytes(), &[], object.text_key(key));
                    }
                }
                Found::Host(_) => {}
            }
        }
        if is_cut {
            json::write_flag(true, object.key(&json::ENVELOPE_CUT));
        }
        object.close();
    }

    /// Whether a column has not all of what the envelope has for a row.
    #[cold]
    #[inline(never)]
    fn cuts_a_column(&self, row: &Row) -> bool {
        let mut columns = self.plan.columns.iter();
        columns.any(|column| match self.origin.find(&column.from, row) {
            Found::Bytes { bytes, stage, .. } => !whole_in_column(bytes, stage, row),
            _ => false,
        })
    }
}
