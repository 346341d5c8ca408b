//! Payload parser: readings of measuring stations, a made-up protocol. One reading a line:
//!
//! ```text
//! # a comment
//! roof temperature 21.5 17
//!   │       │       │   └─ sequence number, may be missing
//!   │       │       └───── value
//!   │       └───────────── sensor
//!   └───────────────────── station
//! ```
//!
//! A packet has as many rows as readings. One with none is a keep-alive, and one with a line
//! that cannot be read is refused as a whole: the host keeps its bytes with the reason.

use heplake_sdk::{Accepts, Description, Packet, Parser, Rows, Verdict};

/// HEP protocol type of the payloads that are handed to this parser.
const PROTO_TYPE: u32 = 200;

/// Places of the verdicts in the description.
const NOT_A_READING: Verdict = Verdict::named(0);
const KEEP_ALIVE: Verdict = Verdict::named(1);

/// The fields of a row. Their names become columns: keep them.
mod field {
    heplake_sdk::fields! {
        /// Where it was measured.
        STATION, "station", Text;
        /// What was measured.
        SENSOR, "sensor", Text;
        /// How much.
        VALUE, "value", Real;
        /// Number of the reading, as its station counts.
        SEQUENCE, "sequence", Number;
    }
}

/// The parser.
#[derive(Debug, Default)]
pub struct Readings;

impl Parser for Readings {
    fn describe(&self) -> Description {
        let accepts = Accepts::ProtocolTypes(vec![PROTO_TYPE]);
        Description::new("readings", env!("CARGO_PKG_VERSION"), accepts)
            .fields(field::fields())
            .refuses(["not_a_reading"])
            .sets_aside(["keep_alive"])
    }

    fn parse(&mut self, packet: &Packet<'_>, rows: &mut Rows<'_>) -> Verdict {
        // A JSON object is another protocol's: the host stores it as if no parser were there.
        if packet.bytes.starts_with(b"{") {
            return Verdict::NOT_MINE;
        }
        let mut verdict = KEEP_ALIVE;
        for line in packet.bytes.split(|byte| *byte == b'\n') {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let Some(reading) = Reading::of(line) else {
                return NOT_A_READING;
            };
            let mut row = rows.row();
            // Part of the packet: the row only points at it.
            row.text(field::STATION, reading.station);
            row.text(field::SENSOR, reading.sensor);
            row.real(field::VALUE, reading.value);
            if let Some(sequence) = reading.sequence {
                row.number(field::SEQUENCE, sequence);
            }
            verdict = Verdict::PARSED;
        }
        verdict
    }
}

heplake_sdk::export_parser!(Readings);

/// One line.
struct Reading<'a> {
    station: &'a [u8],
    sensor: &'a [u8],
    value: f64,
    sequence: Option<u64>,
}

impl<'a> Reading<'a> {
    /// Reads a line, unless it is none.
    fn of(line: &'a [u8]) -> Option<Self> {
        let words = line.split(u8::is_ascii_whitespace);
        let mut words = words.filter(|word| !word.is_empty());
        let reading = Self {
            station: words.next()?,
            sensor: words.next()?,
            value: std::str::from_utf8(words.next()?).ok()?.parse().ok()?,
            sequence: match words.next() {
                Some(word) => Some(std::str::from_utf8(word).ok()?.parse().ok()?),
                None => None,
            },
        };
        words.next().is_none().then_some(reading)
    }
}
