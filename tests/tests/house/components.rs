//! The shipped components in the sandbox, against their native twins and cut packets.

use heplake_components::shipped;
use heplake_hep::Hep;
use heplake_host::{Checked, Engine, Items, Limits, Parse, ParserComponent, ParserSource};
use heplake_sdk::Cell;
use heplake_sip::Sip;
use heplake_tests::{captures, native::NativeParser};

/// Items of a batch: as many as a worker takes.
const BATCH: usize = 1024;
/// When all is said to have arrived: the day of the captures.
const RECEIVED: u64 = 1_795_305_600_000_000;

struct Both {
    sandbox: Box<dyn Parse>,
    native: Box<dyn Parse>,
}

fn both(name: &str, native: Box<dyn ParserSource>) -> Both {
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
    let describe = heplake_sdk::Parser::describe(&Hep::default());
    let field = describe
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
