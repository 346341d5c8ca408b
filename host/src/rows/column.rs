//! Columns, built from checked cells.

use super::{
    address, json,
    plan::{ColumnPlan, HostField, MemberPlan, Source, TablePlan},
};
use crate::checked::Checked;
use arrow::{
    array::{
        ArrayRef, BinaryViewArray, Float64Array, RecordBatch, RecordBatchOptions,
        TimestampMicrosecondArray, UInt32Array, UInt64Array, builder::make_view,
    },
    buffer::{Buffer, NullBuffer, ScalarBuffer},
    datatypes::{DataType, Field, Schema, TimeUnit},
    error::ArrowError,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use heplake_format::ColumnType;
use heplake_sdk::{Cell, Kind};
use std::{net::SocketAddr, sync::Arc};

/// In a [`Row`]: there is no such row.
pub const NONE: u32 = u32::MAX;

/// Bytes that spans point into.
#[derive(Clone, Debug)]
pub struct Space {
    buffer: Buffer,
    /// All of it is ASCII, hence any part of it UTF-8.
    ascii: bool,
}

impl Space {
    /// Takes bytes over, without a copy.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        let ascii = bytes.is_ascii();
        Self {
            buffer: Buffer::from_vec(bytes),
            ascii,
        }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.buffer.as_slice()
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

/// Places of the spaces among a view's buffers; the column's own comes last.
const PACKETS: u32 = 0;
const ENVELOPE_SCRATCH: u32 = 1;
const PAYLOADS: u32 = 2;
const PAYLOAD_SCRATCH: u32 = 3;
const MADE: u32 = 4;

/// A value as it was found: bytes somewhere, or a scalar.
#[derive(Clone, Copy)]
enum Found<'a> {
    Null,
    Bytes {
        bytes: &'a [u8],
        space: u32,
        offset: u32,
        utf8: bool,
        kind: Kind,
    },
    Scalar(u64, Kind),
    Host(HostField),
}

impl<'a> Origin<'a> {
    /// Builds the columns of a table's rows.
    ///
    /// # Errors
    /// Only if this module is at fault: checked cells always make columns.
    pub fn record_batch(&self, plan: &TablePlan, rows: &[Row]) -> Result<RecordBatch, ArrowError> {
        let mut fields = Vec::with_capacity(plan.columns.len());
        let mut arrays = Vec::with_capacity(plan.columns.len());
        for column in &plan.columns {
            let array = self.column(column, plan, rows)?;
            fields.push(Field::new(
                column.column.name.as_str(),
                array.data_type().clone(),
                true,
            ));
            arrays.push(array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
    }

    fn column(
        &self,
        column: &ColumnPlan,
        plan: &TablePlan,
        rows: &[Row],
    ) -> Result<ArrayRef, ArrowError> {
        let from = &column.from;
        let number = |row: &Row| match self.find(from, row) {
            Found::Scalar(number, _) => Some(number),
            Found::Host(HostField::PeerPort) => self.peer(row).map(|peer| peer.port().into()),
            _ => None,
        };
        Ok(match column.column.column_type {
            ColumnType::Varchar => self.texts(from, rows)?,
            ColumnType::Blob => self.blobs(from, rows)?,
            ColumnType::Json => self.objects(&column.members, plan, rows)?,
            ColumnType::Timestamp => Arc::new(
                rows.iter()
                    .map(|row| match self.find(from, row) {
                        Found::Scalar(time, _) => i64::try_from(time).ok(),
                        Found::Host(HostField::Timestamp) => Some(row.timestamp),
                        _ => None,
                    })
                    .collect::<TimestampMicrosecondArray>(),
            ),
            ColumnType::UInteger => {
                let narrow = |row| number(row).and_then(|number| u32::try_from(number).ok());
                Arc::new(rows.iter().map(narrow).collect::<UInt32Array>())
            }
            ColumnType::UBigInt => Arc::new(rows.iter().map(number).collect::<UInt64Array>()),
            ColumnType::Double => {
                let real = |row| number(row).map(f64::from_bits);
                Arc::new(rows.iter().map(real).collect::<Float64Array>())
            }
            // The partition's: it stands in the path, and no plan keeps it.
            ColumnType::Date => arrow::array::new_null_array(&DataType::Date32, rows.len()),
        })
    }

    /// A column of text.
    fn texts(&self, from: &[Source], rows: &[Row]) -> Result<ArrayRef, ArrowError> {
        let mut views = Views::with_capacity(rows.len());
        let mut addresses = AddressViews::default();
        for row in rows {
            match self.find(from, row) {
                Found::Null => views.null(),
                Found::Bytes {
                    bytes,
                    kind: Kind::Address,
                    ..
                } => {
                    addresses.push(bytes, &mut views);
                }
                Found::Bytes {
                    bytes,
                    space,
                    offset,
                    utf8,
                    ..
                } => {
                    if utf8 || is_utf8(bytes) {
                        views.push(make_view(bytes, space, offset));
                    } else {
                        let text = String::from_utf8_lossy(bytes);
                        views.made(|made| made.extend_from_slice(text.as_bytes()));
                    }
                }
                Found::Scalar(number, _) => views.made(|made| json::write_number(number, made)),
                Found::Host(field) => self.host_text(field, row, &mut views),
            }
        }
        self.finish(views)
    }

    fn host_text(&self, field: HostField, row: &Row, views: &mut Views) {
        match (field, self.refusals.get(row.refusal as usize)) {
            (HostField::Uuid, _) => {
                let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
                row.uuid.hyphenated().encode_lower(&mut text);
                views.made(|made| made.extend_from_slice(&text));
            }
            (HostField::PeerIp, _) => match self.peer(row) {
                Some(peer) => views.made(|made| address::write_peer(peer.ip(), made)),
                None => views.null(),
            },
            (HostField::Reason, Some(refusal)) => {
                views.made(|made| made.extend_from_slice(refusal.reason.as_bytes()));
            }
            (HostField::Component, Some(refusal)) => {
                views.made(|made| made.extend_from_slice(refusal.component.as_bytes()));
            }
            _ => views.null(),
        }
    }

    /// A column of bytes as they are.
    fn blobs(&self, from: &[Source], rows: &[Row]) -> Result<ArrayRef, ArrowError> {
        let mut views = Views::with_capacity(rows.len());
        for row in rows {
            match self.find(from, row) {
                Found::Bytes {
                    bytes,
                    space,
                    offset,
                    ..
                } => {
                    views.push(make_view(bytes, space, offset));
                }
                _ => views.null(),
            }
        }
        self.finish(views)
    }

    /// A column of JSON objects.
    fn objects(
        &self,
        members: &[MemberPlan],
        plan: &TablePlan,
        rows: &[Row],
    ) -> Result<ArrayRef, ArrowError> {
        let mut views = Views::with_capacity(rows.len());
        for row in rows {
            views.made(|made| {
                let mut object = json::ObjectWriter::open(made);
                for MemberPlan { key, nest, from } in members {
                    match self.find(from, row) {
                        Found::Null => {}
                        Found::Bytes {
                            bytes,
                            kind: Kind::Address,
                            ..
                        } => {
                            let value = object.key(nest.as_deref(), key);
                            value.push(b'"');
                            address::write(bytes, value);
                            value.push(b'"');
                        }
                        Found::Bytes { bytes, .. } => {
                            json::write_string(bytes, object.key(nest.as_deref(), key));
                        }
                        Found::Scalar(bits, Kind::Real) => {
                            let real = f64::from_bits(bits);
                            json::write_real(real, object.key(nest.as_deref(), key));
                        }
                        Found::Scalar(number, _) => {
                            json::write_number(number, object.key(nest.as_deref(), key));
                        }
                        Found::Host(HostField::OriginalTimestamp) => {
                            if let Some(time) = self.original_timestamp(row) {
                                json::write_number(time, object.key(nest.as_deref(), key));
                            }
                        }
                        Found::Host(HostField::PayloadBase64) => {
                            if let Some(bytes) = self.mended_payload(plan, row) {
                                let text = BASE64_STANDARD.encode(bytes);
                                let value = object.key(nest.as_deref(), key);
                                json::write_string(text.as_bytes(), value);
                            }
                        }
                        Found::Host(_) => {}
                    }
                }
                object.close();
            });
        }
        self.finish(views)
    }

    fn finish(&self, views: Views) -> Result<ArrayRef, ArrowError> {
        let spaces = [
            self.packets,
            self.envelope_scratch,
            self.payloads,
            self.payload_scratch,
        ];
        let mut buffers: Vec<Buffer> = spaces.map(|space| space.buffer.clone()).into();
        buffers.push(Buffer::from_vec(views.made));
        let nulls = views
            .nulls
            .contains(&false)
            .then(|| NullBuffer::from(views.nulls));
        Ok(Arc::new(BinaryViewArray::try_new(
            ScalarBuffer::from(views.views),
            buffers,
            nulls,
        )?))
    }

    /// The first source that is not null.
    #[inline]
    fn find(&self, from: &[Source], row: &Row) -> Found<'a> {
        for source in from {
            let found = match *source {
                Source::Envelope(field, kind) if row.envelope != NONE => {
                    let cell = self.envelope.cell(row.envelope as usize, field);
                    self.resolve(cell, kind, PACKETS)
                }
                Source::Payload(field, kind) if row.payload != NONE => {
                    let cell = self
                        .payload
                        .map_or(Cell::NULL, |rows| rows.cell(row.payload as usize, field));
                    self.resolve(cell, kind, PAYLOADS)
                }
                Source::Host(HostField::Refused) => match self.refusals.get(row.refusal as usize) {
                    Some(Refusal { bytes, packet, .. }) => self.resolve(
                        *bytes,
                        Kind::Bytes,
                        if *packet { PACKETS } else { PAYLOADS },
                    ),
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

    /// A cell of a stage whose items lie in `space` and whose scratch follows it.
    #[inline]
    fn resolve(&self, cell: Cell, kind: Kind, space: u32) -> Found<'a> {
        if cell.is_null() {
            return Found::Null;
        }
        if matches!(kind, Kind::Number | Kind::Real | Kind::Time) {
            return Found::Scalar(cell.0, kind);
        }
        let scratch = cell.0 as u32 & Cell::SCRATCH != 0;
        let space = space + u32::from(scratch);
        let from = match space {
            PACKETS => self.packets,
            ENVELOPE_SCRATCH => self.envelope_scratch,
            PAYLOADS => self.payloads,
            PAYLOAD_SCRATCH => self.payload_scratch,
            _ => return Found::Null,
        };
        let offset = cell.0 as u32 & !Cell::SCRATCH;
        let length = (cell.0 >> 32) as usize;
        match from.bytes().get(offset as usize..offset as usize + length) {
            Some(bytes) => Found::Bytes {
                bytes,
                space,
                offset,
                utf8: from.ascii,
                kind,
            },
            None => Found::Null,
        }
    }

    fn peer(&self, row: &Row) -> Option<&SocketAddr> {
        self.peers.get(row.packet as usize)
    }

    /// The packet's own time, where the row has another.
    fn original_timestamp(&self, row: &Row) -> Option<u64> {
        if row.envelope == NONE {
            return None;
        }
        let cell = self
            .envelope
            .cell(row.envelope as usize, self.timestamp_field);
        (!cell.is_null() && i64::try_from(cell.0) != Ok(row.timestamp)).then_some(cell.0)
    }

    /// The exact bytes of the column `payload`, where it is not UTF-8.
    fn mended_payload(&self, plan: &TablePlan, row: &Row) -> Option<&'a [u8]> {
        let is_payload = |column: &&ColumnPlan| {
            column.column.name.as_str() == "payload"
                && column.column.column_type == ColumnType::Varchar
        };
        match self.find(&plan.columns.iter().find(is_payload)?.from, row) {
            Found::Bytes {
                bytes, utf8: false, ..
            } if !is_utf8(bytes) => Some(bytes),
            _ => None,
        }
    }
}

fn is_utf8(bytes: &[u8]) -> bool {
    simdutf8::basic::from_utf8(bytes).is_ok()
}

/// A column of views in the making.
struct Views {
    views: Vec<u128>,
    nulls: Vec<bool>,
    made: Vec<u8>,
}

impl Views {
    fn with_capacity(rows: usize) -> Self {
        Self {
            views: Vec::with_capacity(rows),
            nulls: Vec::with_capacity(rows),
            made: Vec::new(),
        }
    }

    #[inline]
    fn push(&mut self, view: u128) {
        self.views.push(view);
        self.nulls.push(true);
    }

    #[inline]
    fn null(&mut self) {
        self.views.push(0);
        self.nulls.push(false);
    }

    /// A value that `write` makes in the column's own buffer.
    #[inline]
    fn made(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.made.len();
        write(&mut self.made);
        let view = make_view(&self.made[start..], MADE, start as u32);
        self.push(view);
    }
}

/// Addresses already written to a column: there are few in a batch, and each stands in
/// many rows.
#[derive(Default)]
struct AddressViews<'a> {
    known: [Option<(&'a [u8], u128)>; 16],
}

impl<'a> AddressViews<'a> {
    fn push(&mut self, octets: &'a [u8], views: &mut Views) {
        let mixed = octets
            .iter()
            .fold(0u8, |sum, octet| sum.rotate_left(3) ^ octet);
        let slot = &mut self.known[usize::from(mixed ^ mixed >> 4) % 16];
        match slot {
            Some((known, view)) if *known == octets => views.push(*view),
            _ => {
                views.made(|made| address::write(octets, made));
                *slot = views.views.last().map(|view| (octets, *view));
            }
        }
    }
}

/// The Arrow type of a column in a data file.
#[must_use]
pub fn arrow_type(column_type: ColumnType) -> DataType {
    match column_type {
        ColumnType::Varchar | ColumnType::Json | ColumnType::Blob => DataType::BinaryView,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        ColumnType::UInteger => DataType::UInt32,
        ColumnType::UBigInt => DataType::UInt64,
        ColumnType::Double => DataType::Float64,
        ColumnType::Date => DataType::Date32,
    }
}
