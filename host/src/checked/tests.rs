use super::*;
use heplake_sdk::{Accepts, Field};

const ENDS: &[u32] = &[10, 20];

fn shape() -> RowShape {
    let fields = [
        Field::new("text", Kind::Text),
        Field::new("number", Kind::Number),
        Field::new("address", Kind::Address),
    ];
    let description = Description::new("sample", "0.1.0", Accepts::Datagrams)
        .fields(fields)
        .refuses(["bad"]);
    RowShape::of(&description).unwrap()
}

fn scratch(offset: u32, length: u32) -> u64 {
    Cell::span(offset | Cell::SCRATCH, length).0
}

fn good() -> Parsed {
    Parsed {
        cells: vec![
            Cell::span(2, 8).0,
            7,
            Cell::span(0, 4).0,
            scratch(1, 3),
            Cell::NULL.0,
            Cell::NULL.0,
        ],
        items: vec![0, 0],
        verdicts: vec![0, 2],
        scratch: b"abcd".to_vec(),
    }
}

#[test]
fn accepts_what_keeps_the_contract() {
    let checked = Checked::new(good(), ENDS, &shape()).unwrap();
    assert_eq!(checked.rows(), 2);
    assert_eq!(checked.cell(0, 1), Cell(7));
}

#[test]
fn refuses_each_way_to_break_the_contract() {
    type Break = fn(&mut Parsed);
    let cases: &[(Break, &str)] = &[
        (|p| p.verdicts.truncate(1), "1 verdicts for 2 items"),
        (
            |p| p.verdicts[1] = 3,
            "item 1 has the verdict 3, which the description does not name",
        ),
        (|p| p.cells.truncate(5), "5 cells for 2 rows of 3 fields"),
        (|p| p.items.push(0), "6 cells for 3 rows of 3 fields"),
        (|p| p.verdicts[0] = 1, "item 0 has the verdict 1 and 2 rows"),
        (|p| p.verdicts[1] = 0, "item 1 has the verdict 0 and 0 rows"),
        (
            |p| p.items = vec![0, 2],
            "row 1 names item 2, which is not there or out of order",
        ),
        (
            |p| p.items = vec![1, 0],
            "item 0 has the verdict 0 and 0 rows",
        ),
        // Into the packet that follows, and into the one before.
        (
            |p| p.cells[0] = Cell::span(2, 9).0,
            "field 0 of row 0 points at 2..11, outside of 0..10",
        ),
        (
            |p| (p.items, p.verdicts) = (vec![1, 1], vec![2, 0]),
            "field 0 of row 0 points at 2..10, outside of 10..20",
        ),
        (
            |p| p.cells[3] = scratch(2, 3),
            "field 0 of row 1 points at 2..5, outside of 0..4",
        ),
        (
            |p| p.cells[0] = Cell::span(0x7fff_ffff, u32::MAX).0,
            "field 0 of row 0 points at 2147483647..6442450942, outside of 0..10",
        ),
        (
            |p| p.cells[2] = Cell::span(0, 5).0,
            "field 2 of row 0 is an address of 5 octets",
        ),
        (
            |p| p.scratch = vec![0; SCRATCH_BYTES_MAX + 1],
            "16777217 bytes of scratch, more than the 16777216 that a batch may need",
        ),
        (
            |p| (p.items, p.cells) = (vec![0; 8195], vec![Cell::NULL.0; 8195 * 3]),
            "8195 rows for 2 items",
        ),
    ];
    for (break_it, expected) in cases {
        let mut parsed = good();
        break_it(&mut parsed);
        let violation = Checked::new(parsed, ENDS, &shape()).unwrap_err();
        assert_eq!(violation.to_string(), *expected);
    }
}

#[test]
fn refuses_descriptions_out_of_bounds() {
    let base = || Description::new("sample", "0.1.0", Accepts::Datagrams);
    let field = |name: &str| Field::new(name, Kind::Text);
    let many = (0..=FIELDS_MAX).map(|number| field(&format!("f{number}")));
    for (description, expected) in [
        (base(), "0 fields, not 1 to 256"),
        (base().fields(many), "257 fields, not 1 to 256"),
        (
            base().fields([field("a"), field("a")]),
            "the field `a` is doubled or misnamed",
        ),
        (
            base().fields([field("a b")]),
            "the field `a b` is doubled or misnamed",
        ),
        (
            base().fields([field("")]),
            "the field `` is doubled or misnamed",
        ),
        (
            base().fields([field("a")]).refuses(["x", "x"]),
            "the verdict `x` is doubled or misnamed",
        ),
        (
            Description::new("a\u{1b}b", "0.1.0", Accepts::Datagrams).fields([field("a")]),
            "`a\\u{1b}b` is no name: use 1 to 64 of a-z, 0-9 and -, and start with a letter",
        ),
        (
            Description::new("a", "", Accepts::Datagrams).fields([field("a")]),
            "`` is no version: use one such as 1.2.3",
        ),
    ] {
        assert_eq!(RowShape::of(&description).unwrap_err(), expected);
    }
}

#[test]
fn a_version_is_three_numbers_with_what_semver_lets_follow() {
    for (version, expected) in [
        ("0.1.0", true),
        ("10.20.30", true),
        ("1.0.0-rc.1", true),
        ("1.0.0+build.7", true),
        ("1.0.0-rc.1+7", true),
        ("", false),
        ("1", false),
        ("1.2", false),
        ("1.2.3.4", false),
        ("1..3", false),
        ("1.2.x", false),
        ("1.2.3-", false),
        ("1.2.3+", false),
        ("1.2.3-a/b", false),
        ("v1.2.3", false),
        ("latest", false),
    ] {
        assert_eq!(is_version(version), expected, "{version}");
    }
}

#[test]
fn what_parts_of_a_batch_return_is_held_to_what_a_batch_may() {
    let with = |rows: usize, scratch: usize| {
        let parsed = Parsed {
            cells: vec![Cell::NULL.0; rows * 3],
            items: vec![0; rows],
            verdicts: vec![0],
            scratch: vec![0; scratch],
        };
        Checked::new(parsed, &[10], &shape()).unwrap()
    };
    for (first, second, expected) in [
        (with(4096, 0), with(4096, 0), None),
        (with(4097, 0), with(4098, 0), Some("8195 rows for 2 items")),
        (with(1, 9 << 20), with(1, 7 << 20), None),
        (
            with(1, 9 << 20),
            with(1, 8 << 20),
            Some("17825792 bytes of scratch"),
        ),
    ] {
        let mut all = Checked::default();
        all.append(&first, 0, 2, &shape()).unwrap();
        let before = format!("{all:?}");
        let again = all.append(&second, 10, 2, &shape());
        let Some(expected) = expected else {
            assert_eq!(again, Ok(()));
            continue;
        };
        assert!(again.unwrap_err().to_string().starts_with(expected));
        assert_eq!(format!("{all:?}"), before);
    }
}

#[test]
fn what_all_spans_quote_together_is_bounded() {
    let shape = shape();
    let rows = 8000;
    let quote = |length: u32| Parsed {
        cells: (0..rows)
            .flat_map(|_| [scratch(0, length), Cell::NULL.0, Cell::NULL.0])
            .collect(),
        items: vec![0; rows],
        verdicts: vec![0],
        scratch: vec![0; 9000],
    };
    assert!(Checked::new(quote(8000), &[10], &shape).is_ok());
    assert_eq!(
        Checked::new(quote(9000), &[10], &shape).unwrap_err(),
        Violation::TooMuchText(72_000_000)
    );
}

#[test]
fn what_is_appended_points_at_the_same_text() {
    let mut all = Checked::new(good(), ENDS, &shape()).unwrap();
    let second = Checked::new(good(), ENDS, &shape()).unwrap();
    all.append(&second, 20, 4, &shape()).unwrap();
    assert_eq!(all.items(), [0, 0, 2, 2]);
    assert_eq!(all.cell(2, 0), Cell::span(22, 8));
    assert_eq!(all.cell(2, 1), Cell(7));
    assert_eq!(all.cell(3, 0).0, scratch(5, 3));
    assert_eq!(all.verdicts(), [0, 2, 0, 2]);
    let ends: Vec<u32> = ENDS
        .iter()
        .copied()
        .chain(ENDS.iter().map(|end| end + 20))
        .collect();
    Checked::new(all.parsed, &ends, &shape()).unwrap();
}

#[test]
fn refuses_routes_to_tables_that_are_not_there() {
    assert_eq!(check_routes(&[0, 1], 2, 2), Ok(()));
    assert_eq!(
        check_routes(&[0], 2, 2).unwrap_err().to_string(),
        "1 tables for 2 rows"
    );
    assert_eq!(
        check_routes(&[0, 2], 2, 2).unwrap_err().to_string(),
        "row 1 goes to table 2, which the description does not name"
    );
}
