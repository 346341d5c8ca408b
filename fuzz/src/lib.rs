//! What fuzz targets share: the part of the contract that every parser has to keep.
//!
//! ```text
//! cargo +nightly run --manifest-path fuzz/Cargo.toml --example seed
//! cargo +nightly fuzz run hep -- -max_total_time=600
//! cargo +nightly fuzz run sip -- -max_total_time=600
//! ```

use heplake_sdk::{Batch, Cell, Description, Kind, Parsed, Parser, run};

/// When the items of a run were received: 2026-11-22, µs since 1970.
pub const RECEIVED: u64 = 1_795_330_000_000_000;

/// Parses `data`, cut into items, and checks what `wit/heplake.wit` asks of the answer.
/// Gives the items and the answer for further checks.
///
/// Two items of a batch make spans that leave their own item visible.
///
/// # Panics
/// A part of the contract is broken.
pub fn parse<P: Parser>(parser: &mut P, data: &[u8]) -> (Batch<'static>, Parsed) {
    // The first byte says where the first item ends, so that the fuzzer can move it.
    let (cut, bytes) = data
        .split_first()
        .map_or((0, data), |(first, rest)| (*first, rest));
    let (head, tail) = bytes.split_at(usize::from(cut).min(bytes.len()));
    let batch = match cut {
        0 => Batch::of(&[bytes], RECEIVED),
        _ => Batch::of(&[head, tail], RECEIVED),
    };
    let description = parser.describe();
    let parsed = run(parser, &batch);
    check(&description, &batch, &parsed);
    (batch, parsed)
}

fn check(description: &Description, batch: &Batch<'_>, parsed: &Parsed) {
    let width = description.fields.len();
    assert_eq!(
        parsed.verdicts.len(),
        batch.ends.len(),
        "a verdict for each item"
    );
    assert_eq!(
        parsed.cells.len(),
        parsed.items.len() * width,
        "rows of fixed width"
    );
    assert!(parsed.items.is_sorted(), "rows in the order of their items");
    for (item, verdict) in parsed.verdicts.iter().enumerate() {
        let has_rows = parsed.items.contains(&(item as u32));
        assert_eq!(*verdict == 0, has_rows, "rows of parsed items only");
        assert!(
            *verdict < 2 + description.verdicts.len() as u32,
            "verdicts that are described"
        );
    }
    for (row, item) in parsed.cells.chunks_exact(width).zip(&parsed.items) {
        let item = *item as usize;
        let start = item.checked_sub(1).map_or(0, |before| batch.ends[before]) as usize;
        let within = start..=batch.ends[item] as usize;
        for (field, cell) in description.fields.iter().zip(row) {
            let cell = Cell(*cell);
            if cell.is_null() || !field.kind.is_span() {
                continue;
            }
            let value = cell
                .resolve(&batch.bytes, &parsed.scratch)
                .expect("a span in range");
            let offset = cell.0 as u32;
            if offset & Cell::SCRATCH == 0 {
                let offset = offset as usize;
                assert!(within.contains(&offset), "{}: of its own item", field.name);
                assert!(
                    within.contains(&(offset + value.len())),
                    "{}: of its own item",
                    field.name
                );
            }
            if field.kind == Kind::Address {
                assert!(
                    matches!(value.len(), 4 | 16),
                    "{}: 4 or 16 octets",
                    field.name
                );
            }
        }
    }
}
