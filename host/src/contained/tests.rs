use super::*;
use heplake_sdk::{Accepts, Batch, Field, Kind, Packet, Rows, TableDescription, Verdict};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// Rows of an item that is a star.
const MANY: usize = 3000;

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
            b"*" => {
                for _ in 1..MANY {
                    rows.row().text(0, packet.bytes);
                }
            }
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
    /// How many can be made.
    made_max: usize,
}

#[derive(Default)]
struct Instance {
    memory: Memory,
    calls: usize,
}

impl Parse for Instance {
    fn memory(&self) -> Memory {
        self.memory
    }

    fn parse(&mut self, items: &Items<'_>) -> Result<Checked, Fault> {
        if items.bytes.contains(&b'G') {
            self.memory = Memory {
                bytes: 60,
                bytes_at_start: 10,
                bytes_max: 100,
            };
        }
        self.calls += 1;
        let is_stale = self.calls > 1 && items.bytes.contains(&b'S');
        if is_stale || items.bytes.contains(&b'X') {
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
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        match made < self.made_max {
            true => Ok(Box::new(Instance::default())),
            false => Err(ComponentError::Invalid("no more memory".into())),
        }
    }
}

fn digest(name: &str) -> ComponentDigest {
    ComponentDigest {
        name: name.into(),
        version: "0.1.0".into(),
        digest: "d".into(),
    }
}

/// A contained parser as the tests have it.
struct Contained {
    accepts: Accepts,
    faults_max: u32,
    made_max: usize,
}

impl Default for Contained {
    fn default() -> Self {
        Self {
            accepts: Accepts::Datagrams,
            faults_max: 0,
            made_max: usize::MAX,
        }
    }
}

fn touchy(contained: Contained) -> (ContainedParser, Arc<AtomicUsize>) {
    let breaker = breaker(contained.faults_max);
    touchy_with(contained, breaker)
}

fn touchy_with(contained: Contained, breaker: Arc<Breaker>) -> (ContainedParser, Arc<AtomicUsize>) {
    let made = Arc::new(AtomicUsize::new(0));
    let mut description = heplake_sdk::Parser::describe(&Touchy);
    description.accepts = contained.accepts;
    let source = Source {
        description,
        named: digest("touchy"),
        made: made.clone(),
        made_max: contained.made_max,
    };
    let parser = ContainedParser::new(Arc::new(source), breaker).unwrap();
    (parser, made)
}

fn breaker(faults_max: u32) -> Arc<Breaker> {
    Arc::new(Breaker::new(faults_max, Duration::from_secs(3600)))
}

/// What became of each item, and the texts of its rows.
fn parse(items: &[&str]) -> Vec<String> {
    parse_with(&mut touchy(Contained::default()).0, items)
}

fn parse_with(parser: &mut ContainedParser, items: &[&str]) -> Vec<String> {
    let mut outcomes = Vec::new();
    while outcomes.len() < items.len() {
        let first = parse_first(parser, &items[outcomes.len()..]);
        assert!(!first.is_empty());
        outcomes.extend(first);
    }
    outcomes
}

/// The same of as many of the first items as are answered in one go.
fn parse_first(parser: &mut ContainedParser, items: &[&str]) -> Vec<String> {
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
    let items = Items {
        bytes: bytes.as_bytes(),
        ends: &ends,
        received: &received,
        ..Items::default()
    };
    let checked = parser.parse(&items);
    (0..checked.verdicts().len())
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
                let rows = checked.items().iter().filter(|of| **of as usize == item);
                match rows.count() {
                    MANY => "many".into(),
                    _ => format!("{}/{}", text(0), text(1)),
                }
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
fn an_instance_that_faulted_is_not_used_again_and_a_spare_stands_by() {
    let (mut parser, made) = touchy(Contained::default());
    let made = || made.load(Ordering::Relaxed);
    parse_with(&mut parser, &["ab"]);
    parse_with(&mut parser, &["ab"]);
    assert_eq!(made(), 2);
    // It is heard again, since the instance was used.
    parse_with(&mut parser, &["X"]);
    assert_eq!(made(), 3);
    parse_with(&mut parser, &["ab"]);
    assert_eq!(made(), 4);
    parse_with(&mut parser, &["ab"]);
    assert_eq!(made(), 4);
}

#[test]
fn an_item_alone_is_not_blamed_for_what_others_left_in_an_instance() {
    let breaker = breaker(0);
    let (mut parser, _) = touchy_with(Contained::default(), breaker.clone());
    for (items, expected, faults) in [
        (vec!["S"], vec!["S/S"], 0),
        (vec!["S"], vec!["S/S"], 1),
        (vec!["ab"], vec!["ab/ba"], 1),
        (vec!["S", "cd"], vec!["S/S", "cd/dc"], 2),
        (vec!["XS"], vec!["Faulted(\"component_trap\")"], 3),
    ] {
        assert_eq!(parse_with(&mut parser, &items), expected);
        assert_eq!(breaker.faults(), faults, "{items:?}");
    }
}

#[test]
fn items_that_give_more_rows_than_a_batch_may_are_answered_in_turns_and_are_no_fault() {
    let x = "Faulted(\"component_trap\")";
    for (items, expected, faults) in [
        (vec!["*"; 2], vec!["many"; 2], 0),
        (vec!["*"; 4], vec!["many"; 4], 0),
        (vec!["*"; 100], vec!["many"; 100], 0),
        (
            vec!["ab", "*", "X", "*", "*", "", "*", "X", "cd"],
            vec![
                "ab/ba",
                "many",
                x,
                "many",
                "many",
                "Refused(\"empty\")",
                "many",
                x,
                "cd/dc",
            ],
            2,
        ),
    ] {
        let breaker = breaker(0);
        let (mut parser, _) = touchy_with(Contained::default(), breaker.clone());
        assert_eq!(parse_with(&mut parser, &items), expected);
        assert_eq!(breaker.faults(), faults, "{items:?}");
    }
}

#[test]
fn an_instance_that_has_become_large_is_replaced_between_batches() {
    let (mut parser, made) = touchy(Contained::default());
    let made = || made.load(Ordering::Relaxed);
    assert_eq!(parse_with(&mut parser, &["G", "ab"]), ["G/G", "ab/ba"]);
    assert_eq!((made(), parser.memory_bytes()), (3, 0));
    parse_with(&mut parser, &["ab"]);
    assert_eq!(made(), 3);
}

#[test]
fn when_no_instance_can_be_made_the_rest_is_answered_all_the_same() {
    let fault = |kind: &str| format!("Faulted(\"component_{kind}\")");
    let (mut parser, _) = touchy(Contained {
        made_max: 2,
        ..Contained::default()
    });
    assert_eq!(
        parse_with(&mut parser, &["X", "ab", "cd"]),
        [fault("trap"), fault("start"), fault("start")]
    );
    let outcomes = parse_with(&mut parser, &["ab", "X"]);
    assert_eq!(outcomes, [fault("start"), fault("start")]);
}

#[test]
fn a_component_that_faults_too_often_is_not_called_any_more() {
    for (accepts, left) in [
        (Accepts::ProtocolTypes(vec![1]), "NotMine"),
        (Accepts::Datagrams, "Faulted(\"component_tripped\")"),
    ] {
        let (mut parser, made) = touchy(Contained {
            accepts,
            faults_max: 2,
            ..Contained::default()
        });
        let trap = "Faulted(\"component_trap\")";
        assert_eq!(
            parse_with(&mut parser, &["ab", "X", "X", "cd", "X", "ef", "gh"]),
            ["ab/ba", trap, trap, "cd/dc", trap, left, left]
        );
        let before = made.load(Ordering::Relaxed);
        assert_eq!(parse_with(&mut parser, &["ab", "X"]), [left, left]);
        assert_eq!(made.load(Ordering::Relaxed), before);
        assert_eq!(parser.memory_bytes(), 0);
    }
}

#[test]
fn what_a_component_is_cut_off_from_has_no_answer_while_another_version_takes_over() {
    for accepts in [Accepts::ProtocolTypes(vec![1]), Accepts::Datagrams] {
        let breaker = breaker(2);
        breaker.expect_successor(true);
        let contained = Contained {
            accepts,
            ..Contained::default()
        };
        let (mut parser, _) = touchy_with(contained, breaker.clone());
        let trap = "Faulted(\"component_trap\")";
        assert_eq!(
            parse_first(&mut parser, &["ab", "X", "X", "cd", "X", "ef", "gh"]),
            ["ab/ba", trap, trap, "cd/dc", trap]
        );
        assert!(parser.is_cut_off());
        assert!(parse_first(&mut parser, &["ef", "gh"]).is_empty());
        // No version takes over after all.
        breaker.expect_successor(false);
        assert_eq!(parse_first(&mut parser, &["ef", "gh"]).len(), 2);
        assert!(!parser.is_cut_off());
    }
}

#[test]
fn a_breaker_is_shared_by_all_that_contain_the_component() {
    let shared = breaker(1);
    let parser = || {
        let source = Source {
            description: heplake_sdk::Parser::describe(&Touchy),
            named: digest("touchy"),
            made: Arc::default(),
            made_max: usize::MAX,
        };
        ContainedParser::new(Arc::new(source), shared.clone()).unwrap()
    };
    let (mut first, mut second) = (parser(), parser());
    parse_with(&mut first, &["X"]);
    assert_eq!(parse_with(&mut second, &["ab"]), ["ab/ba"]);
    parse_with(&mut second, &["X"]);
    let tripped = ["Faulted(\"component_tripped\")"];
    assert_eq!(parse_with(&mut first, &["ab"]), tripped);
    assert_eq!(parse_with(&mut second, &["ab"]), tripped);
    assert_eq!(shared.faults(), 2);
}

/// Text that a touchy router has memory for.
const TEXT_MAX: usize = 100;

struct TouchyRouter(RouterDescription, ComponentDigest);

impl RouterSource for TouchyRouter {
    fn description(&self) -> &RouterDescription {
        &self.0
    }
    fn named(&self) -> &ComponentDigest {
        &self.1
    }
    fn instantiate(&self) -> Result<Box<dyn Route>, ComponentError> {
        Ok(Box::new(Instance::default()))
    }
}

impl Route for Instance {
    fn route(&mut self, bytes: &[u8], cells: &[u64], _: u32) -> Result<Vec<u32>, Fault> {
        match (cells.contains(&9), bytes.len() > TEXT_MAX) {
            (true, _) => Err(Fault::Deadline),
            (_, true) => Err(Fault::Memory),
            _ => Ok(cells.iter().map(|cell| *cell as u32).collect()),
        }
    }
}

fn router(faults_max: u32) -> ContainedRouter {
    router_with(breaker(faults_max))
}

fn router_with(breaker: Arc<Breaker>) -> ContainedRouter {
    let description = RouterDescription {
        name: "touchy-router".into(),
        version: "0.1.0".into(),
        routes: "touchy".into(),
        reads: vec!["text".into()],
        tables: Vec::<TableDescription>::new(),
    };
    let source = TouchyRouter(description, digest("touchy-router"));
    ContainedRouter::new(Arc::new(source), breaker).unwrap()
}

fn cells(cells: &[u64]) -> Quoted<'_> {
    Quoted {
        cells,
        ..Quoted::default()
    }
}

#[test]
fn a_row_on_which_a_router_faults_has_no_table_and_the_others_have() {
    let mut router = router(0);
    assert_eq!(
        router.route(cells(&[0, 1, 9, 2]), 4),
        [Some(0), Some(1), None, Some(2)]
    );
    assert_eq!(router.route(cells(&[9]), 1), [None]);
    assert_eq!(router.route(cells(&[]), 0), []);
}

#[test]
fn a_router_that_faults_too_often_is_not_asked_any_more() {
    let mut router = router(1);
    assert_eq!(
        router.route(cells(&[9, 1, 9, 2]), 4),
        [None, Some(1), None, None]
    );
    assert_eq!(router.route(cells(&[1, 2]), 2), [None, None]);
}

#[test]
fn rows_that_a_router_is_cut_off_from_have_no_answer_while_another_version_takes_over() {
    let breaker = breaker(1);
    breaker.expect_successor(true);
    let mut router = router_with(breaker.clone());
    assert_eq!(router.route(cells(&[9, 1, 9, 2]), 4), [None, Some(1), None]);
    assert!(router.is_cut_off());
    breaker.expect_successor(false);
    assert_eq!(router.route(cells(&[1, 2]), 2), [None, None]);
    assert!(!router.is_cut_off());
}

#[test]
fn a_router_is_shown_the_text_of_fewer_rows_where_that_of_all_is_too_much() {
    let mut router = router(1);
    let bytes = [b'x'; 60];
    let ends: Vec<u32> = (1..=20).map(|row| row * 60).collect();
    let fields = Quoted {
        cells: &[1; 20],
        bytes: &bytes.repeat(20),
        ends: &ends,
        spans: &[false],
    };
    assert_eq!(router.route(fields, 20), [Some(1); 20]);
    // Nobody is to blame.
    assert_eq!(router.route(fields, 20), [Some(1); 20]);
    assert_eq!(router.route(cells(&[9, 1]), 2), [None, Some(1)]);
}
