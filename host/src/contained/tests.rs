use super::*;
use heplake_sdk::{Accepts, Batch, Field, Kind, Packet, Rows, TableDescription, Verdict};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A parser that faults on whatever holds an `X`.
#[derive(Default)]
struct Touchy;

impl heplake_sdk::Parser for Touchy {
    fn describe(&self) -> Description {
        Description::new("touchy", "0.1.0", Accepts::Datagrams)
            .fields([
                Field::new("text", Kind::Text),
                Field::new("made", Kind::Text),
            ])
            .refuses(["empty"])
            .sets_aside(["blank"])
    }

    fn parse(&mut self, packet: &Packet<'_>, rows: &mut Rows<'_>) -> Verdict {
        match packet.bytes {
            [] => return Verdict::named(0),
            b" " => return Verdict::named(1),
            b"?" => return Verdict::NOT_MINE,
            _ => {}
        }
        let mut row = rows.row();
        row.text(0, packet.bytes);
        row.written(1, |scratch| scratch.extend(packet.bytes.iter().rev()));
        Verdict::PARSED
    }
}

struct Source {
    description: Description,
    named: ComponentDigest,
    made: Arc<AtomicUsize>,
}

struct Instance;

impl Parse for Instance {
    fn parse(&mut self, items: &Items<'_>) -> Result<Checked, Fault> {
        if items.bytes.contains(&b'X') {
            return Err(Fault::Trap("unreachable".into()));
        }
        let batch = Batch {
            bytes: items.bytes.into(),
            ends: items.ends.into(),
            ..Batch::default()
        };
        let parsed = heplake_sdk::run(&mut Touchy, &batch);
        let shape = RowShape::of(&heplake_sdk::Parser::describe(&Touchy)).unwrap();
        Checked::new(parsed, items.ends, &shape).map_err(Fault::Violation)
    }
}

impl ParserSource for Source {
    fn description(&self) -> &Description {
        &self.description
    }
    fn named(&self) -> &ComponentDigest {
        &self.named
    }
    fn instantiate(&self) -> Result<Box<dyn Parse>, ComponentError> {
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Instance))
    }
}

fn digest(name: &str) -> ComponentDigest {
    ComponentDigest {
        name: name.into(),
        version: "0.1.0".into(),
        digest: "d".into(),
    }
}

fn touchy() -> (ContainedParser, Arc<AtomicUsize>) {
    let made = Arc::new(AtomicUsize::new(0));
    let description = heplake_sdk::Parser::describe(&Touchy);
    let source = Source {
        description,
        named: digest("touchy"),
        made: made.clone(),
    };
    (ContainedParser::new(Arc::new(source)).unwrap(), made)
}

/// What became of each item, and the texts of its rows.
fn parse(items: &[&str]) -> Vec<String> {
    let bytes = items.concat();
    let mut end = 0;
    let ends: Vec<u32> = items
        .iter()
        .map(|item| {
            end += item.len() as u32;
            end
        })
        .collect();
    let received = vec![0; ends.len()];
    let (mut parser, _) = touchy();
    let items = Items {
        bytes: bytes.as_bytes(),
        ends: &ends,
        received: &received,
        ..Items::default()
    };
    let checked = parser.parse(&items);
    (0..ends.len())
        .map(|item| match parser.outcome(checked.verdicts(), item) {
            Outcome::Parsed => {
                let row = checked
                    .items()
                    .iter()
                    .position(|of| *of as usize == item)
                    .unwrap();
                let text = |field| {
                    let text = checked
                        .cell(row, field)
                        .resolve(bytes.as_bytes(), checked.scratch());
                    String::from_utf8(text.unwrap().to_vec()).unwrap()
                };
                format!("{}/{}", text(0), text(1))
            }
            other => format!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_fault_costs_only_the_item_that_caused_it() {
    let faulted = "Faulted(\"component_trap\")";
    for (items, expected) in [
        (vec!["ab", "cd"], vec!["ab/ba", "cd/dc"]),
        (vec!["X"], vec![faulted]),
        (vec!["ab", "X", "cd"], vec!["ab/ba", faulted, "cd/dc"]),
        (
            vec!["X", "ab", "cX", "", "?", "ef", " "],
            vec![
                faulted,
                "ab/ba",
                faulted,
                "Refused(\"empty\")",
                "NotMine",
                "ef/fe",
                "Aside(\"blank\")",
            ],
        ),
        (vec!["X", "X", "X"], vec![faulted, faulted, faulted]),
        (vec![], vec![]),
    ] {
        assert_eq!(parse(&items), expected, "{items:?}");
    }
}

#[test]
fn every_place_of_one_bad_item_among_many_is_found() {
    let good: Vec<String> = (0..33).map(|number| format!("n{number}")).collect();
    for bad in 0..good.len() {
        let mut items: Vec<&str> = good.iter().map(String::as_str).collect();
        items[bad] = "X";
        let outcomes = parse(&items);
        for (item, outcome) in outcomes.iter().enumerate() {
            assert_eq!(
                outcome.starts_with("Faulted"),
                item == bad,
                "{bad}: {item} {outcome}"
            );
        }
    }
}

#[test]
fn an_instance_that_faulted_is_not_used_again() {
    let (mut parser, made) = touchy();
    let good = Items {
        bytes: b"ab",
        ends: &[2],
        received: &[0],
        ..Items::default()
    };
    parser.parse(&good);
    parser.parse(&good);
    assert_eq!(made.load(Ordering::Relaxed), 1);
    parser.parse(&Items {
        bytes: b"X",
        ends: &[1],
        received: &[0],
        ..Items::default()
    });
    parser.parse(&good);
    assert_eq!(made.load(Ordering::Relaxed), 2);
}

struct TouchyRouter(RouterDescription, ComponentDigest);

impl RouterSource for TouchyRouter {
    fn description(&self) -> &RouterDescription {
        &self.0
    }
    fn named(&self) -> &ComponentDigest {
        &self.1
    }
    fn instantiate(&self) -> Result<Box<dyn Route>, ComponentError> {
        Ok(Box::new(Instance))
    }
}

impl Route for Instance {
    fn route(&mut self, _: &[u8], cells: &[u64], _: u32) -> Result<Vec<u32>, Fault> {
        match cells.contains(&9) {
            true => Err(Fault::Deadline),
            false => Ok(cells.iter().map(|cell| *cell as u32).collect()),
        }
    }
}

#[test]
fn a_row_on_which_a_router_faults_has_no_table_and_the_others_have() {
    let description = RouterDescription {
        name: "touchy-router".into(),
        version: "0.1.0".into(),
        routes: "touchy".into(),
        reads: vec!["text".into()],
        tables: Vec::<TableDescription>::new(),
    };
    let source = TouchyRouter(description, digest("touchy-router"));
    let mut router = ContainedRouter::new(Arc::new(source)).unwrap();
    assert_eq!(
        router.route(&[], &[0, 1, 9, 2], 4),
        [Some(0), Some(1), None, Some(2)]
    );
    assert_eq!(router.route(&[], &[9], 1), [None]);
    assert_eq!(router.route(&[], &[], 0), []);
}
