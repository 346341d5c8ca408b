//! The validator: what a component returns is untrusted until it has been here.
//!
//! [`Checked`] is the only way to rows, and its constructor is the security boundary: a
//! row cannot quote a packet other than its own, nothing points outside of what was
//! returned, and an item's verdict agrees with its rows. It is pure, and fuzzed.

use crate::batch::item_bounds;
use heplake_sdk::{Cell, Description, Kind, Parsed};

/// Most fields of a parser: SIP has forty, and a row has a cell for each.
pub const FIELDS_MAX: usize = 256;
/// Most verdicts of a parser: each is the label of a metric.
pub const VERDICTS_MAX: usize = 256;
/// Longest name of a component, field or verdict, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// Rows that a batch may give beyond one for each item: gzipped frames and several
/// messages in a payload give a few, a flood is none of ours.
pub const EXTRA_ROWS_MAX: usize = 8192;
/// Text that a component may make for a batch, in bytes: all that a mebibyte of packets
/// inflates to when each is as compressible as SIP is, with room.
pub const SCRATCH_BYTES_MAX: usize = 16 << 20;

/// What a component returned that the contract forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Not one verdict for each item.
    #[error("{found} verdicts for {expected} items")]
    VerdictCount {
        /// Verdicts returned.
        found: usize,
        /// Items sent.
        expected: usize,
    },
    /// A verdict that it did not describe.
    #[error("item {item} has the verdict {verdict}, which the description does not name")]
    UnknownVerdict {
        /// The item.
        item: usize,
        /// Its code.
        verdict: u32,
    },
    /// Rows and cells do not fit together.
    #[error("{cells} cells for {rows} rows of {width} fields")]
    CellCount {
        /// Cells returned.
        cells: usize,
        /// Rows returned.
        rows: usize,
        /// Fields described.
        width: usize,
    },
    /// More rows than can be meant.
    #[error("{rows} rows for {items} items")]
    TooManyRows {
        /// Rows returned.
        rows: usize,
        /// Items sent.
        items: usize,
    },
    /// More scratch than can be meant.
    #[error("{0} bytes of scratch, more than the {SCRATCH_BYTES_MAX} that a batch may need")]
    TooMuchScratch(usize),
    /// A row of an item that is not there, or behind the row of a later one.
    #[error("row {row} names item {item}, which is not there or out of order")]
    RowOrder {
        /// The row.
        row: usize,
        /// The item it names.
        item: u32,
    },
    /// Rows of an item that is not parsed, or a parsed item without one.
    #[error("item {item} has the verdict {verdict} and {rows} rows")]
    RowsAgainstVerdict {
        /// The item.
        item: usize,
        /// Its verdict.
        verdict: u32,
        /// Its rows.
        rows: usize,
    },
    /// A span that leaves its item, or scratch.
    #[error(
        "field {field} of row {row} points at {start}..{end}, outside of {allowed_start}..{allowed_end}"
    )]
    Span {
        /// The row.
        row: usize,
        /// The field.
        field: usize,
        /// Where the span starts.
        start: usize,
        /// Where it ends.
        end: usize,
        /// Where it might have started.
        allowed_start: usize,
        /// Where it had to end.
        allowed_end: usize,
    },
    /// An address that is neither IPv4 nor IPv6.
    #[error("field {field} of row {row} is an address of {length} octets")]
    AddressLength {
        /// The row.
        row: usize,
        /// The field.
        field: usize,
        /// Its length.
        length: usize,
    },
    /// Not one table for each row.
    #[error("{found} tables for {expected} rows")]
    RouteCount {
        /// Tables returned.
        found: usize,
        /// Rows sent.
        expected: usize,
    },
    /// A table that it did not describe.
    #[error("row {row} goes to table {table}, which the description does not name")]
    UnknownTable {
        /// The row.
        row: usize,
        /// The place of the table.
        table: u32,
    },
}

/// How a cell is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CellShape {
    Scalar,
    Span,
    Address,
}

/// The shape of a parser's rows, by its description.
#[derive(Clone, Debug)]
pub struct RowShape {
    cells: Vec<CellShape>,
    verdicts: usize,
}

impl RowShape {
    /// Takes the shape from a description.
    ///
    /// # Errors
    /// Says what of the description is out of bounds, doubled or misnamed.
    pub fn of(description: &Description) -> Result<Self, String> {
        let Description {
            name,
            version,
            fields,
            verdicts,
            ..
        } = description;
        is_name(name, "-_")
            .then_some(())
            .ok_or_else(|| format!("`{}` is no name", shown(name)))?;
        if version.is_empty() || version.len() > NAME_BYTES_MAX || !version.is_ascii() {
            return Err("the version is empty, too long or not ASCII".into());
        }
        if fields.is_empty() || fields.len() > FIELDS_MAX {
            return Err(format!("{} fields, not 1 to {FIELDS_MAX}", fields.len()));
        }
        if verdicts.len() > VERDICTS_MAX {
            return Err(format!(
                "{} verdicts, more than {VERDICTS_MAX}",
                verdicts.len()
            ));
        }
        let mut seen = std::collections::BTreeSet::new();
        for field in fields {
            if !is_name(&field.name, "-_.") || !seen.insert(&field.name) {
                return Err(format!(
                    "the field `{}` is doubled or misnamed",
                    shown(&field.name)
                ));
            }
        }
        seen.clear();
        for verdict in verdicts {
            if !is_name(&verdict.name, "_") || !seen.insert(&verdict.name) {
                return Err(format!(
                    "the verdict `{}` is doubled or misnamed",
                    shown(&verdict.name)
                ));
            }
        }
        let cells = fields
            .iter()
            .map(|field| match field.kind {
                Kind::Text | Kind::Bytes => CellShape::Span,
                Kind::Address => CellShape::Address,
                Kind::Number | Kind::Real | Kind::Time => CellShape::Scalar,
            })
            .collect();
        Ok(Self {
            cells,
            verdicts: verdicts.len(),
        })
    }
}

/// Letters, digits and the marks allowed, not empty and not endless.
fn is_name(name: &str, marks: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || marks.contains(c))
}

/// A name as it can be shown: what a component sends may be long or worse.
fn shown(name: &str) -> String {
    name.chars()
        .take(40)
        .flat_map(char::escape_default)
        .collect()
}

/// What a parser returned, and found to be within the contract.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    parsed: Parsed,
    width: usize,
}

impl Checked {
    /// Checks what a parser returned for items that end at `ends`.
    ///
    /// # Errors
    /// The first violation found.
    pub fn new(parsed: Parsed, ends: &[u32], shape: &RowShape) -> Result<Self, Violation> {
        let width = shape.cells.len();
        let Parsed {
            cells,
            items,
            verdicts,
            scratch,
        } = &parsed;
        if verdicts.len() != ends.len() {
            return Err(Violation::VerdictCount {
                found: verdicts.len(),
                expected: ends.len(),
            });
        }
        if items.len() > ends.len() + EXTRA_ROWS_MAX {
            return Err(Violation::TooManyRows {
                rows: items.len(),
                items: ends.len(),
            });
        }
        if cells.len() != items.len() * width {
            return Err(Violation::CellCount {
                cells: cells.len(),
                rows: items.len(),
                width,
            });
        }
        if scratch.len() > SCRATCH_BYTES_MAX {
            return Err(Violation::TooMuchScratch(scratch.len()));
        }
        let mut rows = items
            .iter()
            .zip(cells.chunks_exact(width.max(1)))
            .enumerate()
            .peekable();
        for (item, &verdict) in verdicts.iter().enumerate() {
            if verdict as usize >= 2 + shape.verdicts {
                return Err(Violation::UnknownVerdict { item, verdict });
            }
            let bounds = item_bounds(ends, item);
            let mut count = 0;
            while let Some((row, (_, cells))) = rows.next_if(|(_, (of, _))| **of as usize == item) {
                check_row(row, cells, shape, bounds, scratch.len())?;
                count += 1;
            }
            if (verdict == 0) != (count > 0) {
                return Err(Violation::RowsAgainstVerdict {
                    item,
                    verdict,
                    rows: count,
                });
            }
        }
        match rows.next() {
            Some((row, (&item, _))) => Err(Violation::RowOrder { row, item }),
            None => Ok(Self { parsed, width }),
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.parsed.items.len()
    }

    /// The cell of a row; null if there is no such row or field.
    #[must_use]
    #[inline]
    pub fn cell(&self, row: usize, field: usize) -> Cell {
        debug_assert!(field < self.width);
        self.parsed
            .cells
            .get(row * self.width + field)
            .copied()
            .map_or(Cell::NULL, Cell)
    }

    /// The cells of a row; none if there is no such row.
    #[must_use]
    #[inline]
    pub fn row(&self, row: usize) -> &[u64] {
        let start = row * self.width;
        self.parsed
            .cells
            .get(start..start + self.width)
            .unwrap_or_default()
    }

    /// The item of each row; never falling.
    #[must_use]
    pub fn items(&self) -> &[u32] {
        &self.parsed.items
    }

    /// The verdict of each item.
    #[must_use]
    pub fn verdicts(&self) -> &[u32] {
        &self.parsed.verdicts
    }

    /// What the component made.
    #[must_use]
    pub fn scratch(&self) -> &[u8] {
        &self.parsed.scratch
    }

    /// Takes what the component made, for a buffer that columns point into.
    #[must_use]
    pub fn take_scratch(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.parsed.scratch)
    }

    /// Adds what was returned for the items that follow in the same bytes: `item_base`
    /// items and `byte_base` bytes came before them.
    pub(crate) fn append(
        &mut self,
        other: &Self,
        item_base: u32,
        byte_base: u32,
        shape: &RowShape,
    ) {
        let scratch_base = self.parsed.scratch.len() as u32;
        // Not the other's: what stands for an item without rows has no width.
        self.width = shape.cells.len();
        for cells in other.parsed.cells.chunks_exact(self.width.max(1)) {
            for (cell, shape) in cells.iter().zip(&shape.cells) {
                let moved = match shape {
                    CellShape::Scalar => *cell,
                    _ if *cell == Cell::NULL.0 => *cell,
                    _ if *cell as u32 & Cell::SCRATCH != 0 => cell + u64::from(scratch_base),
                    _ => cell + u64::from(byte_base),
                };
                self.parsed.cells.push(moved);
            }
        }
        self.parsed
            .items
            .extend(other.parsed.items.iter().map(|item| item + item_base));
        self.parsed
            .verdicts
            .extend_from_slice(&other.parsed.verdicts);
        self.parsed.scratch.extend_from_slice(&other.parsed.scratch);
    }

    /// What stands for one item that no component could be made to answer for.
    pub(crate) fn without_rows(verdict: u32) -> Self {
        Self {
            parsed: Parsed {
                verdicts: vec![verdict],
                ..Parsed::default()
            },
            width: 0,
        }
    }
}

#[inline]
fn check_row(
    row: usize,
    cells: &[u64],
    shape: &RowShape,
    (item_start, item_end): (usize, usize),
    scratch_length: usize,
) -> Result<(), Violation> {
    for (field, (&cell, shape)) in cells.iter().zip(&shape.cells).enumerate() {
        if *shape == CellShape::Scalar || cell == Cell::NULL.0 {
            continue;
        }
        let offset = cell as u32;
        let length = (cell >> 32) as usize;
        let (allowed_start, allowed_end) = if offset & Cell::SCRATCH == 0 {
            (item_start, item_end)
        } else {
            (0, scratch_length)
        };
        let start = (offset & !Cell::SCRATCH) as usize;
        let end = start + length;
        if start < allowed_start || end > allowed_end {
            return Err(Violation::Span {
                row,
                field,
                start,
                end,
                allowed_start,
                allowed_end,
            });
        }
        if *shape == CellShape::Address && length != 4 && length != 16 {
            return Err(Violation::AddressLength { row, field, length });
        }
    }
    Ok(())
}

/// Checks what a router returned: a table for each row, among those it described.
///
/// # Errors
/// The first violation found.
pub fn check_routes(tables: &[u32], rows: usize, described: usize) -> Result<(), Violation> {
    if tables.len() != rows {
        return Err(Violation::RouteCount {
            found: tables.len(),
            expected: rows,
        });
    }
    match tables.iter().position(|table| *table as usize >= described) {
        Some(row) => Err(Violation::UnknownTable {
            row,
            table: tables[row],
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
