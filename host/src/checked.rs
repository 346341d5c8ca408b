//! The validator: what a component returns is untrusted until it has been here.
//!
//! [`Checked`] is the only way to rows, and its constructor is the security boundary: a
//! row cannot quote a packet other than its own, nothing points outside of what was
//! returned, and an item's verdict agrees with its rows. It is pure, and fuzzed.

use crate::batch::item_bounds;
use heplake_sdk::{Accepts, Cell, Description, Kind, Parsed, RouterDescription};
use std::collections::BTreeSet;

/// Most fields of a parser: SIP has forty, and a row has a cell for each.
pub const FIELDS_MAX: usize = 256;
/// Most verdicts of a parser: each is the label of a metric.
pub const VERDICTS_MAX: usize = 256;
/// Longest name of a field or verdict, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// Longest name or version of a component, in bytes: they stand in the name of a metric's
/// series, in each row of `hep_rejected`, and in paths.
pub const COMPONENT_NAME_BYTES_MAX: usize = 64;
/// Protocol types of a parser: HEP has so many.
pub const PROTO_TYPES_MAX: usize = 256;
/// Tables of a router: each has a file open in each worker.
pub const TABLES_MAX: usize = 64;
/// Columns of a table, and members of a JSON column.
pub const COLUMNS_MAX: usize = 256;
/// Fields of which the first that is not null fills a column.
pub const SOURCES_MAX: usize = 16;
/// Rows that a batch may give beyond one for each item: gzipped frames and several
/// messages in a payload give a few, a flood is none of ours.
pub const EXTRA_ROWS_MAX: usize = 8192;
/// Text that a component may make for a batch, in bytes: all that a mebibyte of packets
/// inflates to when each is as compressible as SIP is, with room.
pub const SCRATCH_BYTES_MAX: usize = 16 << 20;

/// Bytes that all spans of a batch have together. Spans may overlap, and each is copied to
/// where rows are stored: a batch of a mebibyte is quoted once or twice, and so is what it
/// inflates to.
pub const QUOTED_BYTES_MAX: usize = 64 << 20;

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
    /// More text than can be meant.
    #[error(
        "{0} bytes of text in all spans, more than the {QUOTED_BYTES_MAX} that a batch may quote"
    )]
    TooMuchText(usize),
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

impl Violation {
    /// Whether it is a total over all items, to which each may have added only its own.
    pub(crate) fn is_of_a_total(&self) -> bool {
        matches!(
            self,
            Self::TooManyRows { .. } | Self::TooMuchScratch(_) | Self::TooMuchText(_)
        )
    }
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
            accepts,
            context,
            fields,
            verdicts,
        } = description;
        check_identity(name, version)?;
        if let Accepts::ProtocolTypes(accepted) = accepts {
            counted(accepted, 1, PROTO_TYPES_MAX, "protocol types")?;
            let is_type = |proto_type: &&u32| **proto_type <= 255;
            once_each(accepted, is_type, "the protocol type", "more than 255")?;
        }
        counted(context, 0, FIELDS_MAX, "context fields")?;
        let is_field = |name: &&str| is_field_name(name);
        let names = context.iter().map(String::as_str);
        once_each(names, is_field, "the context field", "misnamed")?;
        counted(fields, 1, FIELDS_MAX, "fields")?;
        let names = fields.iter().map(|field| field.name.as_str());
        once_each(names, is_field, "the field", "misnamed")?;
        counted(verdicts, 0, VERDICTS_MAX, "verdicts")?;
        let names = verdicts.iter().map(|verdict| verdict.name.as_str());
        once_each(
            names,
            |name| is_verdict_name(name),
            "the verdict",
            "misnamed",
        )?;
        let cells = fields
            .iter()
            .map(|field| match field.kind {
                Kind::Text | Kind::Bytes => CellShape::Span,
                Kind::Address => CellShape::Address,
                Kind::Number | Kind::Signed | Kind::Real | Kind::Time | Kind::Flag => {
                    CellShape::Scalar
                }
            })
            .collect();
        Ok(Self {
            cells,
            verdicts: verdicts.len(),
        })
    }
}

/// Holds what a router says of itself against bounds, as far as no table has to be planned.
///
/// # Errors
/// Says what is out of bounds, doubled or misnamed.
pub fn check_router(description: &RouterDescription) -> Result<(), String> {
    let RouterDescription {
        name,
        version,
        routes: _,
        reads,
        tables,
    } = description;
    check_identity(name, version)?;
    counted(reads, 0, FIELDS_MAX, "fields to read")?;
    let names = reads.iter().map(String::as_str);
    once_each(names, |name| is_field_name(name), "the field", "misnamed")?;
    counted(tables, 1, TABLES_MAX, "tables")?;
    for table in tables {
        counted(&table.columns, 0, COLUMNS_MAX, "columns")?;
        for column in &table.columns {
            counted(&column.from, 0, SOURCES_MAX, "sources of a column")?;
            counted(&column.members, 0, COLUMNS_MAX, "members")?;
            for member in &column.members {
                counted(&member.from, 0, SOURCES_MAX, "sources of a member")?;
            }
        }
    }
    let names = tables.iter().map(|table| table.name.as_str());
    once_each(names, |_| true, "the table", "misnamed")
}

/// A component's name stands in paths, labels and sections of the configuration.
fn check_identity(name: &str, version: &str) -> Result<(), String> {
    let is_component_name = (1..=COMPONENT_NAME_BYTES_MAX).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !is_component_name {
        return Err(format!(
            "`{}` is no name: use 1 to {COMPONENT_NAME_BYTES_MAX} of a-z, 0-9 and -, and start with a letter",
            shown(name)
        ));
    }
    if !is_version(version) {
        return Err(format!(
            "`{}` is no version: use one such as 1.2.3",
            shown(version)
        ));
    }
    Ok(())
}

/// As <https://semver.org> has it, without its rule on leading zeros.
fn is_version(version: &str) -> bool {
    let (core, rest) = version.split_at(version.find(['-', '+']).unwrap_or(version.len()));
    let numbers: Vec<&str> = core.split('.').collect();
    version.len() <= COMPONENT_NAME_BYTES_MAX
        && numbers.len() == 3
        && numbers
            .iter()
            .all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        && rest != "-"
        && rest != "+"
        && rest
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-+.".contains(c))
}

/// Letters, digits and marks that need no quoting in a key of JSON.
fn is_field_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// A reason is stored and counted by its name, beside those of the host itself.
fn is_verdict_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.starts_with("component_")
        && name != "proto_type_out_of_range"
        && name != "not_mine"
}

fn counted<T>(list: &[T], least: usize, most: usize, what: &str) -> Result<(), String> {
    match list.len() {
        count if (least..=most).contains(&count) => Ok(()),
        count if least == 0 => Err(format!("{count} {what}, more than {most}")),
        count => Err(format!("{count} {what}, not {least} to {most}")),
    }
}

fn once_each<T: Ord + ToString>(
    list: impl IntoIterator<Item = T>,
    is_allowed: impl Fn(&T) -> bool,
    what: &str,
    otherwise: &str,
) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for one in list {
        let text = one.to_string();
        if !is_allowed(&one) || !seen.insert(one) {
            return Err(format!(
                "{what} `{}` is doubled or {otherwise}",
                shown(&text)
            ));
        }
    }
    Ok(())
}

/// What a component sends, as it can be shown: it may be long or worse.
pub(crate) fn shown(text: &str) -> String {
    /// Enough to know what it is.
    const CHARACTERS_MAX: usize = 40;
    cut(text, CHARACTERS_MAX)
}

/// The beginning of a text, without what a terminal would take for a command.
pub(crate) fn cut(text: &str, characters_max: usize) -> String {
    // Control characters, and those that turn the direction of writing or are not seen.
    let is_harmless = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut shown = String::new();
    let mut room = characters_max;
    for c in text.chars() {
        let before = shown.len();
        match c {
            // Of lines and indents that are for a page, one space.
            '\n' | '\t' | '\r' | ' ' if shown.ends_with(' ') => {}
            '\n' | '\t' | '\r' => shown.push(' '),
            c if is_harmless(&c) => shown.push(c),
            c => shown.extend(c.escape_default()),
        }
        let taken = shown[before..].chars().count();
        if taken > room {
            shown.truncate(before);
            shown.push('…');
            break;
        }
        room -= taken;
    }
    shown
}

/// What a parser returned, and found to be within the contract.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    parsed: Parsed,
    width: usize,
    /// The lengths of all spans together.
    quoted_bytes: usize,
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
        within_bounds(items.len(), ends.len(), scratch.len(), 0)?;
        if cells.len() != items.len() * width {
            return Err(Violation::CellCount {
                cells: cells.len(),
                rows: items.len(),
                width,
            });
        }
        let mut quoted_bytes = 0_usize;
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
                let quoted = check_row(row, cells, shape, bounds, scratch.len())?;
                quoted_bytes = quoted_bytes.saturating_add(quoted);
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
            None => {
                within_bounds(0, 0, 0, quoted_bytes)?;
                Ok(Self {
                    parsed,
                    width,
                    quoted_bytes,
                })
            }
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

    /// Adds what was returned for the items that follow in the same bytes; `byte_base` bytes
    /// came before them. The whole may be what a batch of `items` may return.
    ///
    /// # Errors
    /// If it would be more. Then nothing is added.
    pub(crate) fn append(
        &mut self,
        other: &Self,
        byte_base: u32,
        items: usize,
        shape: &RowShape,
    ) -> Result<(), Violation> {
        let rows = self.rows() + other.rows();
        let scratch = self.parsed.scratch.len() + other.parsed.scratch.len();
        let quoted_bytes = self.quoted_bytes.saturating_add(other.quoted_bytes);
        within_bounds(rows, items, scratch, quoted_bytes)?;
        self.quoted_bytes = quoted_bytes;
        let item_base = self.parsed.verdicts.len() as u32;
        let scratch_base = self.parsed.scratch.len() as u32;
        // Not the other's: what stands for items without rows has no width.
        self.width = shape.cells.len();
        // Once, for a row of each item.
        let room = |length: usize, width: usize| (items * width).saturating_sub(length);
        let Parsed {
            cells,
            items: of_items,
            verdicts,
            ..
        } = &mut self.parsed;
        cells.reserve(room(cells.len(), self.width));
        of_items.reserve(room(of_items.len(), 1));
        verdicts.reserve(room(verdicts.len(), 1));
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
        Ok(())
    }

    /// Adds a verdict for each of so many items that no component could be made to answer for.
    pub(crate) fn append_verdicts(&mut self, verdict: u32, items: usize, shape: &RowShape) {
        self.width = shape.cells.len();
        let verdicts = &mut self.parsed.verdicts;
        verdicts.resize(verdicts.len() + items, verdict);
    }
}

/// Holds what a batch returned against what it may.
fn within_bounds(
    rows: usize,
    items: usize,
    scratch_bytes: usize,
    quoted_bytes: usize,
) -> Result<(), Violation> {
    if rows > items + EXTRA_ROWS_MAX {
        return Err(Violation::TooManyRows { rows, items });
    }
    if scratch_bytes > SCRATCH_BYTES_MAX {
        return Err(Violation::TooMuchScratch(scratch_bytes));
    }
    if quoted_bytes > QUOTED_BYTES_MAX {
        return Err(Violation::TooMuchText(quoted_bytes));
    }
    Ok(())
}

#[inline]
fn check_row(
    row: usize,
    cells: &[u64],
    shape: &RowShape,
    (item_start, item_end): (usize, usize),
    scratch_length: usize,
) -> Result<usize, Violation> {
    let mut quoted = 0_usize;
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
        quoted = quoted.saturating_add(length);
    }
    Ok(quoted)
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
