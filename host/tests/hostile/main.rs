//! Guests that do all that a component can do wrong, and what the host does then: whatever
//! they return or do not return, each packet has an answer. docs/hostile-guests.md is made
//! of what is seen here.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod case;
mod contained;
mod document;
mod guest;
mod refused;
mod whole;

use case::{Case, Host};
use heplake_host::{
    Breaker, ContainedParser, ContainedRouter, Engine, Items, Outcome, ParserComponent, Quoted,
    RouterComponent,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
    time::Duration,
};

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new().unwrap())
}

fn never_tripping() -> Arc<Breaker> {
    Arc::new(Breaker::new(0, Duration::ZERO))
}

/// Four packets or rows, of which the second starts with an X.
const ITEMS: [&str; 4] = ["first", "X, the second", "third", "fourth"];
const CLEAN: [&str; 1] = ["clean"];

/// What the host did with a parser.
fn parser(case: &Case) -> Result<Done, String> {
    let component = ParserComponent::load(engine(), &case.component, "{}", case.limits)
        .map_err(|error| error.to_string())?;
    let mut parser = ContainedParser::new(Arc::new(component), never_tripping())
        .map_err(|error| error.to_string())?;
    let (first, texts) = parse(&mut parser, &ITEMS);
    if !case.texts.is_empty() {
        let expected = case.texts.iter().map(|(text, rows)| (text.to_vec(), *rows));
        assert_eq!(texts, expected.collect(), "{}", case.name);
    }
    let memory_bytes = parser.memory_bytes();
    assert!(
        memory_bytes <= 2 * case.limits.memory_bytes_max,
        "{}: {memory_bytes} bytes",
        case.name
    );
    // Afterwards it works as before, if it ever did.
    let (clean, texts) = parse(&mut parser, &CLEAN);
    assert_eq!(clean[0].is_none(), case.works(), "{}", case.name);
    if case.works() && !case.is_of_addresses() {
        assert_eq!(texts, [(CLEAN[0].into(), 1)].into(), "{}", case.name);
    }
    Ok(Done::of(first))
}

/// What rows quote, and how many of each there are.
type Texts = BTreeMap<Vec<u8>, usize>;

/// The fault of each item, if it has one, and what the first field of the rows holds.
fn parse(parser: &mut ContainedParser, texts: &[&str]) -> (Vec<Option<&'static str>>, Texts) {
    let bytes = texts.concat();
    let mut end = 0;
    let ends: Vec<u32> = texts
        .iter()
        .map(|text| {
            end += text.len() as u32;
            end
        })
        .collect();
    let received = vec![1_795_305_600_000_001; texts.len()];
    let checked = parser.parse(&Items {
        bytes: bytes.as_bytes(),
        ends: &ends,
        received: &received,
        ..Items::default()
    });
    assert_eq!(checked.verdicts().len(), texts.len());
    let mut found = Texts::new();
    for row in 0..checked.rows() {
        let text = checked
            .cell(row, 0)
            .resolve(bytes.as_bytes(), checked.scratch());
        *found.entry(text.unwrap_or_default().to_vec()).or_default() += 1;
    }
    let faults = (0..texts.len())
        .map(|item| match parser.outcome(checked.verdicts(), item) {
            Outcome::Faulted(kind) => Some(kind),
            Outcome::Parsed => {
                assert!(checked.items().contains(&(item as u32)));
                None
            }
            other => panic!("{other:?}"),
        })
        .collect();
    (faults, found)
}

/// What the host did with a router.
fn router(case: &Case) -> Result<Done, String> {
    let component = RouterComponent::load(engine(), &case.component, "{}", case.limits)
        .map_err(|error| error.to_string())?;
    let component = Arc::new(component);
    let breaker = never_tripping();
    let mut router = ContainedRouter::new(component.clone(), breaker.clone())
        .map_err(|error| error.to_string())?;
    let first = route(&mut router, &ITEMS);
    let faults = breaker.faults();
    let clean = route(&mut router, &CLEAN);
    assert_eq!(clean[0].is_some(), case.works(), "{}", case.name);
    assert_eq!(
        faults,
        first.iter().filter(|table| table.is_none()).count() as u64
    );
    let mut kind = None;
    if faults > 0 {
        // A router's fault is stored nowhere, but a breaker tells of the one that trips it.
        let breaker = Arc::new(Breaker::new(1, Duration::from_secs(3600)));
        let mut router = ContainedRouter::new(component, breaker.clone()).unwrap();
        while breaker.tripped_by().is_none() {
            route(&mut router, &ITEMS);
        }
        kind = breaker.tripped_by();
    }
    Ok(Done::of(
        first
            .iter()
            .map(|table| table.is_none().then_some(kind).flatten())
            .collect(),
    ))
}

fn route(router: &mut ContainedRouter, texts: &[&str]) -> Vec<Option<u32>> {
    let (mut bytes, mut cells, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for text in texts {
        cells.push((text.len() as u64) << 32 | bytes.len() as u64);
        bytes.extend_from_slice(text.as_bytes());
        ends.push(bytes.len() as u32);
    }
    let fields = Quoted {
        cells: &cells,
        bytes: &bytes,
        ends: &ends,
        spans: &[true],
    };
    let tables = router.route(fields, texts.len());
    assert_eq!(tables.len(), texts.len());
    tables
}

/// What became of the four items.
#[derive(Debug, PartialEq, Eq)]
struct Done {
    faults: BTreeSet<&'static str>,
    items: Vec<usize>,
}

impl Done {
    fn of(faults: Vec<Option<&'static str>>) -> Self {
        Self {
            faults: faults.iter().flatten().copied().collect(),
            items: (0..faults.len())
                .filter(|item| faults[*item].is_some())
                .collect(),
        }
    }
}

#[test]
fn every_hostile_guest_is_contained_and_the_document_says_how() {
    let mut sections = Vec::new();
    let mut wrong = Vec::new();
    for (heading, cases, run) in [
        (
            document::PARSERS_REFUSED,
            refused::parsers(),
            parser as fn(&Case) -> Result<Done, String>,
        ),
        (document::PARSERS, contained::parsers(), parser),
        (document::ENVELOPES, contained::envelopes(), whole::envelope),
        (document::ROUTERS_REFUSED, refused::routers(), router),
        (document::ROUTERS, contained::routers(), router),
    ] {
        let mut rows = Vec::new();
        for case in &cases {
            let done = run(case);
            let as_it_must = match (case.host, &done) {
                (Host::Refuse(says), Err(error)) => {
                    error.contains(says) && error.chars().count() < 600
                }
                (Host::Contain(kind, items), Ok(done)) => {
                    done.items == items && done.faults.iter().all(|fault| *fault == kind)
                }
                _ => false,
            };
            if !as_it_must {
                wrong.push(format!("{}: {:?}, not {done:?}", case.name, case.host));
            }
            rows.push(document::row(case, &done));
        }
        sections.push((heading, rows));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    document::hold(&sections);
}

#[test]
fn instances_without_end_are_an_error_that_says_so() {
    let bytes = guest::Guest::parser().bytes();
    let component =
        ParserComponent::load(&Engine::new().unwrap(), &bytes, "{}", case::WIDE).unwrap();
    let mut instances = Vec::new();
    let error = loop {
        match component.instantiate() {
            Ok(instance) => instances.push(instance),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("limit of 3200"), "{error}");
    // One that is thrown away makes room for another.
    instances.pop();
    component.instantiate().unwrap();
}

#[test]
fn no_beginning_of_a_component_is_taken_for_one() {
    let bytes = guest::Guest::parser().bytes();
    let loads = |length: &usize| {
        let limits = heplake_host::Limits::default();
        ParserComponent::load(engine(), &bytes[..*length], "{}", limits).is_ok()
    };
    let first = (0..=bytes.len()).find(loads).unwrap();
    // What may be missing are the names of functions, which stand at the end.
    let rest = String::from_utf8_lossy(&bytes[first..]);
    assert!(
        rest.is_empty() || rest.contains("component-name"),
        "{first}: {rest}"
    );
}
