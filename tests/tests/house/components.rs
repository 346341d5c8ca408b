//! The shipped components in the sandbox, against their native twins and cut packets.

use heplake_components::{SHIPPED, shipped};
use heplake_hep::Hep;
use heplake_host::{
    Checked, Engine, Items, Limits, Parse, ParserComponent, ParserSource, RouterComponent,
    RouterSource,
};
use heplake_sdk::{Cell, Description, Parser};
use heplake_sip::Sip;
use heplake_sip_router::SipRouter;
use heplake_tests::{
    captures,
    native::{NativeParser, NativeRouter},
};
use std::sync::Arc;

/// Items of a batch: as many as a worker takes.
const BATCH: usize = 1024;
/// When all is said to have arrived: the day of the captures.
const RECEIVED: u64 = 1_795_305_600_000_000;

struct Both {
    sandbox: Box<dyn Parse>,
    native: Box<dyn Parse>,
}

fn both(name: &str, native: Arc<dyn ParserSource>) -> Both {
    let engine = Engine::new().unwrap();
    let bytes = shipped(name).unwrap().bytes;
    let component = ParserComponent::load(&engine, bytes, "{}", Limits::default()).unwrap();
    assert_eq!(
        component.description(),
        native.description(),
        "{name} describes itself twice"
    );
    Both {
        sandbox: ParserSource::instantiate(&component).unwrap(),
        native: native.instantiate().unwrap(),
    }
}

impl Both {
    /// Parses on both sides, and holds one against the other.
    fn parse(&mut self, items: &[Vec<u8>]) -> Vec<(Checked, Vec<u8>)> {
        items
            .chunks(BATCH)
            .map(|items| {
                let bytes = items.concat();
                let mut end = 0;
                let ends: Vec<u32> = items
                    .iter()
                    .map(|item| {
                        end += item.len() as u32;
                        end
                    })
                    .collect();
                let received = vec![RECEIVED; items.len()];
                let items = Items {
                    bytes: &bytes,
                    ends: &ends,
                    received: &received,
                    ..Items::default()
                };
                let sandbox = self.sandbox.parse(&items).unwrap();
                let native = self.native.parse(&items).unwrap();
                assert_eq!(format!("{sandbox:?}"), format!("{native:?}"));
                (sandbox, bytes)
            })
            .collect()
    }
}

/// Every packet of every capture.
fn packets() -> Vec<Vec<u8>> {
    let files = captures::files("pcap").unwrap();
    files
        .iter()
        .flat_map(|file| captures::packets(file).unwrap())
        .collect()
}

/// Every prefix, the empty one and the whole included.
fn prefixes(items: &[Vec<u8>]) -> Vec<Vec<u8>> {
    items
        .iter()
        .flat_map(|item| (0..=item.len()).map(|length| item[..length].to_vec()))
        .collect()
}

/// What HEP carries in these packets.
fn payloads(hep: &mut Both, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let field = Hep::default()
        .describe()
        .fields
        .iter()
        .position(|field| field.name == "payload")
        .unwrap();
    let mut payloads = Vec::new();
    for (checked, bytes) in hep.parse(packets) {
        for row in 0..checked.rows() {
            let cell: Cell = checked.cell(row, field);
            payloads.push(cell.resolve(&bytes, checked.scratch()).unwrap().to_vec());
        }
    }
    payloads
}

#[test]
fn hep_in_the_sandbox_reads_every_prefix_of_every_packet_as_it_does_natively() {
    let mut hep = both("hep", NativeParser::<Hep>::source());
    let parsed = hep.parse(&prefixes(&packets()));
    assert!(
        parsed
            .iter()
            .map(|(checked, _)| checked.rows())
            .sum::<usize>()
            >= packets().len()
    );
}

#[test]
fn sip_in_the_sandbox_reads_every_prefix_of_every_payload_as_it_does_natively() {
    let mut hep = both("hep", NativeParser::<Hep>::source());
    let payloads = payloads(&mut hep, &packets());
    assert_eq!(
        payloads.len(),
        packets().len(),
        "each captured packet carries one payload"
    );
    let mut sip = both("sip", NativeParser::<Sip>::source());
    sip.parse(&prefixes(&payloads));
}

#[test]
fn sip_router_in_the_sandbox_routes_every_row_of_every_prefix_as_it_does_natively() {
    let bytes = shipped("sip-router").unwrap().bytes;
    let engine = Engine::new().unwrap();
    let sandbox = RouterComponent::load(&engine, bytes, "{}", Limits::default()).unwrap();
    let native = NativeRouter::<SipRouter>::source();
    let description = native.description();
    assert_eq!(RouterSource::description(&sandbox), description);
    let fields = Sip::default().describe().fields;
    let reads: Vec<usize> = description
        .reads
        .iter()
        .map(|name| fields.iter().position(|field| field.name == *name).unwrap())
        .collect();
    let mut sandbox = RouterSource::instantiate(&sandbox).unwrap();
    let mut native = native.instantiate().unwrap();

    let mut hep = both("hep", NativeParser::<Hep>::source());
    let mut sip = both("sip", NativeParser::<Sip>::source());
    let payloads = payloads(&mut hep, &packets());
    let mut seen = std::collections::BTreeSet::new();
    for (checked, bytes) in sip.parse(&prefixes(&payloads)) {
        let (mut text, mut cells) = (Vec::new(), Vec::new());
        for row in 0..checked.rows() {
            for field in &reads {
                let read = checked.cell(row, *field).resolve(&bytes, checked.scratch());
                cells.push(read.map_or(Cell::NULL.0, |read| {
                    let cell = Cell::span(text.len() as u32, read.len() as u32);
                    text.extend_from_slice(read);
                    cell.0
                }));
            }
        }
        let rows = checked.rows() as u32;
        let tables = sandbox.route(&text, &cells, rows).unwrap();
        assert_eq!(tables, native.route(&text, &cells, rows).unwrap());
        seen.extend(tables);
    }
    assert_eq!(seen.len(), description.tables.len(), "each table has rows");
}

#[test]
fn every_shipped_component_is_held_against_its_native_twin() {
    let names: Vec<&str> = SHIPPED.iter().map(|component| component.name).collect();
    assert_eq!(
        names,
        ["hep", "sip", "sip-router"],
        "give the new one a test as those above have"
    );
}

/// A cell without regard to where in a batch its item stands.
#[derive(Debug, PartialEq)]
enum Value {
    Null,
    Number(u64),
    /// A part of the item, from a place in it on.
    Part(usize, usize),
    Made(Vec<u8>),
}

/// What a parser says of each item of a batch: its verdict, and the values of its rows.
fn said(
    parser: &mut dyn Parse,
    description: &Description,
    items: &[&Vec<u8>],
) -> Vec<(u32, Vec<Value>)> {
    let bytes: Vec<u8> = items.iter().flat_map(|item| item.iter().copied()).collect();
    let mut starts = vec![0];
    for item in items {
        starts.push(starts[starts.len() - 1] + item.len() as u32);
    }
    let checked = parser
        .parse(&Items {
            bytes: &bytes,
            ends: &starts[1..],
            received: &vec![RECEIVED; items.len()],
            ..Items::default()
        })
        .unwrap();
    let mut said: Vec<(u32, Vec<Value>)> = checked
        .verdicts()
        .iter()
        .map(|verdict| (*verdict, Vec::new()))
        .collect();
    for (row, item) in checked.items().iter().enumerate() {
        let values = description.fields.iter().enumerate().map(|(field, of)| {
            let cell = checked.cell(row, field);
            match of.kind {
                _ if cell.is_null() => Value::Null,
                kind if !kind.is_span() => Value::Number(cell.0),
                _ if cell.0 as u32 & Cell::SCRATCH != 0 => {
                    Value::Made(cell.resolve(&[], checked.scratch()).unwrap().to_vec())
                }
                _ => Value::Part(
                    (cell.0 as u32 - starts[*item as usize]) as usize,
                    (cell.0 >> 32) as usize,
                ),
            }
        });
        said[*item as usize].1.extend(values);
    }
    said
}

/// Parsers load words and blocks beyond the end of an item: what stands there, another
/// sender's packet, must not matter.
fn hold_that_neighbours_do_not_matter<P: Parser + Send + 'static>(items: &[Vec<u8>]) {
    let description = P::default().describe();
    let mut parser = NativeParser::<P>::source().instantiate().unwrap();
    for items in items.chunks(BATCH) {
        let forwards: Vec<&Vec<u8>> = items.iter().collect();
        let backwards: Vec<&Vec<u8>> = items.iter().rev().collect();
        let first = said(&mut *parser, &description, &forwards);
        let mut second = said(&mut *parser, &description, &backwards);
        second.reverse();
        for ((item, first), second) in items.iter().zip(first).zip(second) {
            assert_eq!(first, second, "{:?}", String::from_utf8_lossy(item));
        }
    }
}

#[test]
fn what_is_said_of_a_packet_does_not_depend_on_its_neighbours() {
    let packets = packets();
    let mut hep = both("hep", NativeParser::<Hep>::source());
    hold_that_neighbours_do_not_matter::<Hep>(&prefixes(&packets));
    hold_that_neighbours_do_not_matter::<Sip>(&prefixes(&payloads(&mut hep, &packets)));
}
