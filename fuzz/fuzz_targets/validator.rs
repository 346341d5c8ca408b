//! Whatever a component returns, the validator lets nothing through that leaves its item or
//! scratch, and it never panics. An independent reading of the contract judges what passes.
#![no_main]

// The validator's own source, without the sandbox that it stands before: that would have to
// be built with a sanitizer, too.
#[allow(dead_code, unused_imports, reason = "the host uses more of it")]
#[path = "../../host/src/batch.rs"]
mod batch;
#[allow(dead_code, reason = "the host uses more of it")]
#[path = "../../host/src/checked.rs"]
mod checked;

use arbitrary::Arbitrary;
use checked::{Checked, RowShape, check_routes};
use heplake_sdk::{Accepts, Cell, Description, Field, Kind, Parsed};
use libfuzzer_sys::fuzz_target;

const KINDS: [Kind; 8] = [
    Kind::Text,
    Kind::Bytes,
    Kind::Address,
    Kind::Number,
    Kind::Signed,
    Kind::Real,
    Kind::Time,
    Kind::Flag,
];

/// A cell, mostly one that could be right: chance alone would hardly make a span.
#[derive(Arbitrary, Debug)]
enum MadeCell {
    Null,
    Any(u64),
    Span { offset: u8, length: u8, scratch: bool },
}

impl MadeCell {
    fn cell(&self) -> u64 {
        match *self {
            Self::Null => Cell::NULL.0,
            Self::Any(cell) => cell,
            Self::Span { offset, length, scratch } => {
                let place = if scratch { Cell::SCRATCH } else { 0 };
                Cell::span(u32::from(offset) | place, u32::from(length)).0
            }
        }
    }
}

#[derive(Arbitrary, Debug)]
struct Returned {
    item_lengths: Vec<u8>,
    kinds: Vec<u8>,
    described_verdicts: u8,
    cells: Vec<MadeCell>,
    items: Vec<u8>,
    verdicts: Vec<u8>,
    scratch: Vec<u8>,
    routes: Vec<u8>,
}

fuzz_target!(|returned: Returned| {
    let kinds: Vec<Kind> =
        returned.kinds.iter().map(|kind| KINDS[usize::from(*kind) % KINDS.len()]).collect();
    let names: Vec<String> =
        (0..returned.described_verdicts).map(|verdict| format!("v{verdict}")).collect();
    let fields = kinds.iter().enumerate().map(|(at, kind)| Field::new(&format!("f{at}"), *kind));
    let description = Description::new("fuzzed", "0.1.0", Accepts::Datagrams)
        .fields(fields)
        .refuses(names.iter().map(String::as_str));
    let Ok(shape) = RowShape::of(&description) else { return };
    let mut end = 0;
    let ends: Vec<u32> = returned
        .item_lengths
        .iter()
        .map(|length| {
            end += u32::from(*length);
            end
        })
        .collect();
    let parsed = Parsed {
        cells: returned.cells.iter().map(MadeCell::cell).collect(),
        items: returned.items.iter().map(|item| u32::from(*item)).collect(),
        verdicts: returned.verdicts.iter().map(|verdict| u32::from(*verdict)).collect(),
        scratch: returned.scratch,
    };
    let routes: Vec<u32> = returned.routes.iter().map(|route| u32::from(*route)).collect();
    if check_routes(&routes, returned.items.len(), kinds.len()).is_ok() {
        assert!(routes.len() == returned.items.len());
        assert!(routes.iter().all(|route| (*route as usize) < kinds.len()));
    }
    let Ok(checked) = Checked::new(parsed.clone(), &ends, &shape) else { return };
    assert_eq!(checked.rows() * kinds.len(), parsed.cells.len());
    assert_eq!(checked.verdicts().len(), ends.len());
    assert!(checked.items().is_sorted());
    for (row, item) in checked.items().iter().enumerate() {
        let item = *item as usize;
        assert_eq!(checked.verdicts()[item], 0, "rows of parsed items only");
        let start = if item == 0 { 0 } else { ends[item - 1] };
        for (field, kind) in kinds.iter().enumerate() {
            let cell = checked.cell(row, field);
            if cell.is_null() || !kind.is_span() {
                continue;
            }
            let (place, length) = (cell.0 as u32, cell.0 >> 32);
            let offset = u64::from(place & !Cell::SCRATCH);
            if place & Cell::SCRATCH == 0 {
                assert!(offset >= u64::from(start) && offset + length <= u64::from(ends[item]));
            } else {
                assert!(offset + length <= checked.scratch().len() as u64);
            }
            assert!(*kind != Kind::Address || length == 4 || length == 16);
        }
    }
});
