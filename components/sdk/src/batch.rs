//! The batch a parser is driven with, and the rows it gives back.

use crate::{Cell, Parser};

/// Longest batch, in bytes: spans have 31 bits of offset.
const BATCH_BYTES_MAX: usize = 1 << 31;

/// A batch as the host sends it; see `wit/heplake.wit`.
#[derive(Clone, Debug, Default)]
pub struct Batch<'a> {
    /// All items end to end.
    pub bytes: std::borrow::Cow<'a, [u8]>,
    /// Where each item ends in `bytes`.
    pub ends: std::borrow::Cow<'a, [u32]>,
    /// When the host received each item, µs since 1970.
    pub received: std::borrow::Cow<'a, [u64]>,
    /// Context cells, item by item.
    pub context: std::borrow::Cow<'a, [u64]>,
    /// What spans in `context` point into.
    pub context_bytes: std::borrow::Cow<'a, [u8]>,
}

impl Batch<'_> {
    /// A batch of these items, all received at `received` µs since 1970, without context.
    #[must_use]
    pub fn of<B: AsRef<[u8]>>(items: &[B], received: u64) -> Batch<'static> {
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(items.len());
        for item in items {
            bytes.extend_from_slice(item.as_ref());
            ends.push(bytes.len() as u32);
        }
        Batch {
            received: vec![received; ends.len()].into(),
            bytes: bytes.into(),
            ends: ends.into(),
            ..Batch::default()
        }
    }
}

/// What a parser gives back for a batch; see `wit/heplake.wit`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Rows of fixed width, one after the other.
    pub cells: Vec<u64>,
    /// For each row, its item.
    pub items: Vec<u32>,
    /// For each item, its verdict.
    pub verdicts: Vec<u32>,
    /// Text that the parser had to make.
    pub scratch: Vec<u8>,
}

/// One item of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The packet itself.
    pub bytes: &'a [u8],
    /// When the host received it, µs since 1970.
    pub received: u64,
    ahead: &'a [u8],
    origin: Origin,
    context: &'a [u64],
    context_bytes: &'a [u8],
}

impl<'a> Packet<'a> {
    /// The packet's bytes and all that follow in the batch, so that a parser can load whole
    /// words and blocks up to its end. What it finds behind the end must count for nothing:
    /// those are other packets, and the host refuses spans of them.
    #[must_use]
    #[inline]
    pub fn ahead(&self) -> &'a [u8] {
        self.ahead
    }

    /// What spans of the packet are cut out of; see [`Row::span`].
    #[must_use]
    #[inline]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The number in the `index`-th context field asked for, unless it is null.
    #[must_use]
    pub fn context_number(&self, index: usize) -> Option<u64> {
        self.context
            .get(index)
            .copied()
            .filter(|cell| *cell != Cell::NULL.0)
    }

    /// The number in the `index`-th context field asked for, which is a signed one, unless it
    /// is null.
    #[must_use]
    pub fn context_signed(&self, index: usize) -> Option<i64> {
        Cell(*self.context.get(index)?).as_signed()
    }

    /// The bytes of the `index`-th context field asked for, unless it is null.
    #[must_use]
    pub fn context_bytes(&self, index: usize) -> Option<&'a [u8]> {
        Cell(*self.context.get(index)?).resolve(self.context_bytes, &[])
    }
}

/// What a parser says of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict(u32);

impl Verdict {
    /// It gave at least one row.
    pub const PARSED: Self = Self(0);
    /// Another protocol's: the host stores the payload as if no parser were there.
    pub const NOT_MINE: Self = Self(1);

    /// The `index`-th of the description's verdicts.
    #[must_use]
    pub const fn named(index: u32) -> Self {
        Self(index + 2)
    }

    /// The code that crosses to the host.
    #[must_use]
    pub const fn code(self) -> u32 {
        self.0
    }
}

/// Takes the rows of one item.
#[derive(Debug)]
pub struct Rows<'a> {
    out: &'a mut Parsed,
    width: usize,
    item: u32,
    packet_address: usize,
    packet_length: usize,
    packet_offset: u32,
}

impl Rows<'_> {
    /// Starts a row, all null.
    #[inline]
    pub fn row(&mut self) -> Row<'_> {
        let start = self.out.items.len() * self.width;
        let end = start + self.width;
        if end > self.out.cells.len() {
            self.out.cells.resize(end, Cell::NULL.0);
        }
        self.out.items.push(self.item);
        Row {
            cells: &mut self.out.cells[start..end],
            scratch: &mut self.out.scratch,
            packet_address: self.packet_address,
            packet_length: self.packet_length,
            packet_offset: self.packet_offset,
        }
    }
}

/// Bytes that spans are cut out of: the packet, or text kept in scratch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin(u32);

/// One row being filled. Fields are named by their place in the description.
#[derive(Debug)]
pub struct Row<'a> {
    cells: &'a mut [u64],
    scratch: &'a mut Vec<u8>,
    packet_address: usize,
    packet_length: usize,
    packet_offset: u32,
}

/// The first `N` fields of a row, whose number is known when the parser is compiled: a
/// place that is known too is not compared with it.
#[derive(Debug)]
pub struct Fields<'a, const N: usize> {
    cells: &'a mut [u64; N],
}

impl<const N: usize> Fields<'_, N> {
    /// As [`Row::span`]. A field counts modulo `N`.
    #[inline(always)]
    pub fn span(&mut self, field: usize, origin: Origin, begin: usize, end: usize) {
        self.cells[field % N] = origin.cell(begin, end);
    }

    /// Sets the field to null.
    #[inline(always)]
    pub fn clear(&mut self, field: usize) {
        self.cells[field % N] = Cell::NULL.0;
    }

    /// As [`Row::is_null`].
    #[must_use]
    #[inline(always)]
    pub fn is_null(&self, field: usize) -> bool {
        self.cells[field % N] == Cell::NULL.0
    }

    /// Where the span of a field begins and ends, if it is one of `origin`.
    #[must_use]
    #[inline(always)]
    pub fn places(&self, field: usize, origin: Origin) -> Option<(usize, usize)> {
        let cell = self.cells[field % N];
        let begin = (cell as u32).wrapping_sub(origin.0) as usize;
        (cell != Cell::NULL.0).then_some((begin, begin + (cell >> 32) as usize))
    }
}

impl Origin {
    #[inline(always)]
    fn cell(self, begin: usize, end: usize) -> u64 {
        debug_assert!(begin <= end, "a span ends before it begins");
        let length = end.wrapping_sub(begin) as u32;
        Cell::span(self.0.wrapping_add(begin as u32), length).0
    }
}

impl Row<'_> {
    /// Takes a row apart: its first `N` fields, and a row of those that follow. None if it
    /// has fewer.
    #[must_use]
    #[inline(always)]
    pub fn split<const N: usize>(&mut self) -> Option<(Fields<'_, N>, Row<'_>)> {
        let (cells, rest) = self.cells.split_first_chunk_mut()?;
        let rest = Row {
            cells: rest,
            scratch: self.scratch,
            packet_address: self.packet_address,
            packet_length: self.packet_length,
            packet_offset: self.packet_offset,
        };
        Some((Fields { cells }, rest))
    }

    /// Sets a text, bytes or address field. Bytes that are part of the packet are only
    /// pointed at; others are copied.
    #[inline]
    pub fn text(&mut self, field: usize, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        // Comparing addresses, not reading through them: is this a part of the packet?
        let at = (bytes.as_ptr() as usize).wrapping_sub(self.packet_address);
        let cell = if at <= self.packet_length && bytes.len() <= self.packet_length - at {
            Cell::span(self.packet_offset + at as u32, bytes.len() as u32)
        } else {
            let Origin(start) = self.keep(bytes);
            Cell::span(start, bytes.len() as u32)
        };
        self.cells[field] = cell.0;
    }

    /// Copies text that had to be made, for [`span`](Self::span).
    #[inline]
    pub fn keep(&mut self, text: &[u8]) -> Origin {
        let start = self.scratch.len() as u32 | Cell::SCRATCH;
        self.scratch.extend_from_slice(text);
        Origin(start)
    }

    /// Has text made in scratch by `write`, for [`span`](Self::span): where, and its length.
    #[inline]
    pub fn keep_written(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> (Origin, usize) {
        let start = self.scratch.len();
        write(self.scratch);
        let length = self.scratch.len() - start;
        (Origin(start as u32 | Cell::SCRATCH), length)
    }

    /// Sets a text, bytes or address field to `begin..end` of `origin`: what
    /// [`text`](Self::text) does, for a parser that works with places. The host refuses a
    /// span that leaves the packet.
    #[inline(always)]
    pub fn span(&mut self, field: usize, origin: Origin, begin: usize, end: usize) {
        self.cells[field] = origin.cell(begin, end);
    }

    /// Sets a text field that `write` makes in scratch.
    #[inline]
    pub fn written(&mut self, field: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let (origin, length) = self.keep_written(write);
        self.span(field, origin, 0, length);
    }

    /// Sets a number or time field. All ones is null, so that value cannot be stored.
    #[inline]
    pub fn number(&mut self, field: usize, value: u64) {
        self.cells[field] = value;
    }

    /// Sets a signed field. [`i64::MAX`] is null, so that value cannot be stored.
    #[inline]
    pub fn signed(&mut self, field: usize, value: i64) {
        self.cells[field] = Cell::signed(value).0;
    }

    /// Sets a flag field.
    #[inline]
    pub fn flag(&mut self, field: usize, value: bool) {
        self.cells[field] = u64::from(value);
    }

    /// Sets a real field.
    #[inline]
    pub fn real(&mut self, field: usize, value: f64) {
        self.cells[field] = value.to_bits();
    }

    /// Whether the field is still null.
    #[must_use]
    #[inline]
    pub fn is_null(&self, field: usize) -> bool {
        self.cells[field] == Cell::NULL.0
    }
}

/// Drives a parser over a batch, as the exported `parse` does.
///
/// Rows that a packet gave before it was refused are taken back, and a packet that is
/// called parsed without a row is handed back as not mine: an author cannot break that
/// part of the contract.
pub fn run<P: Parser>(parser: &mut P, batch: &Batch<'_>) -> Parsed {
    run_with_width(parser, batch, parser.describe().fields.len())
}

/// As [`run`], for a caller that keeps the width of a row.
pub(crate) fn run_with_width<P: Parser>(parser: &mut P, batch: &Batch<'_>, width: usize) -> Parsed {
    let all: &[u8] = &batch.bytes;
    let ends: &[u32] = &batch.ends;
    let received: &[u64] = &batch.received;
    let context: &[u64] = &batch.context;
    let context_bytes: &[u8] = &batch.context_bytes;
    debug_assert!(all.len() < BATCH_BYTES_MAX, "a span's offset has 31 bits");
    let items = ends.len();
    let context_width = context.len().checked_div(items).unwrap_or(0);
    let mut out = Parsed {
        // One fill for all rows that items have as a rule.
        cells: vec![Cell::NULL.0; items * width],
        items: Vec::with_capacity(items),
        verdicts: Vec::with_capacity(items),
        scratch: Vec::new(),
    };
    let mut start = 0;
    for (item, &end) in ends.iter().enumerate() {
        let bytes = &all[start as usize..end as usize];
        let packet = Packet {
            bytes,
            received: received.get(item).copied().unwrap_or(0),
            ahead: &all[start as usize..],
            origin: Origin(start),
            context: &context[item * context_width..(item + 1) * context_width],
            context_bytes,
        };
        let rows_before = out.items.len();
        let scratch_before = out.scratch.len();
        let mut rows = Rows {
            out: &mut out,
            width,
            item: item as u32,
            packet_address: bytes.as_ptr() as usize,
            packet_length: bytes.len(),
            packet_offset: start,
        };
        let mut verdict = parser.parse(&packet, &mut rows);
        if verdict != Verdict::PARSED {
            let rows_after = out.items.len();
            out.cells[rows_before * width..rows_after * width].fill(Cell::NULL.0);
            out.items.truncate(rows_before);
            out.scratch.truncate(scratch_before);
        } else if out.items.len() == rows_before {
            verdict = Verdict::NOT_MINE;
        }
        out.verdicts.push(verdict.code());
        start = end;
    }
    out.cells.truncate(out.items.len() * width);
    out
}
