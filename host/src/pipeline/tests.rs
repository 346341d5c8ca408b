use super::*;
use crate::{
    checked::{Checked, RowShape, Violation},
    contained::{Breaker, Parse, ParserSource, Route, RouterSource},
    sandbox::{ComponentError, Fault},
};
use heplake_sdk::{
    Batch, Column, Description, Field, Kind, Member, Packet, Parser, RouteBatch, RouteRow, Router,
    RouterDescription, Rows, TableDescription, Verdict,
};
use std::{net::SocketAddr, sync::Arc};

const RECEIVED: u64 = 1_795_305_600_000_000;

/// An envelope of text: `type|time|payload`, ten times over behind a `+`; `!` is refused, a
/// blank set aside, `~` another's, and on a `@` it panics, as no component can.
#[derive(Default)]
struct Wrapped;

impl Parser for Wrapped {
    fn describe(&self) -> Description {
        let fields = [
            ("version", Kind::Number),
            ("protocol", Kind::Number),
            ("src_ip", Kind::Address),
            ("dst_ip", Kind::Address),
            ("src_port", Kind::Number),
            ("dst_port", Kind::Number),
            ("timestamp", Kind::Time),
            ("proto_type", Kind::Number),
            ("node_id", Kind::Text),
            ("correlation_id", Kind::Text),
            ("payload", Kind::Bytes),
            ("vlan", Kind::Number),
        ];
        Description::new("wrapped", "0.1.0", Accepts::Datagrams)
            .fields(fields.map(|(name, kind)| Field::new(name, kind)))
            .refuses(["torn"])
            .sets_aside(["blank"])
    }

    fn parse(&mut self, packet: &Packet<'_>, rows: &mut Rows<'_>) -> Verdict {
        match packet.bytes {
            b" " => return Verdict::named(1),
            b"~" => return Verdict::NOT_MINE,
            b"@" => panic!("a test asks for it"),
            [b'!', ..] => return Verdict::named(0),
            _ => {}
        }
        let (times, bytes) = match packet.bytes {
            [b'+', rest @ ..] => (10, rest),
            bytes => (1, bytes),
        };
        for _ in 0..times {
            write_wrapped(bytes, rows);
        }
        Verdict::PARSED
    }
}

fn write_wrapped(bytes: &[u8], rows: &mut Rows<'_>) {
    let mut parts = bytes.splitn(3, |byte| *byte == b'|');
    let mut number = || -> Option<u64> { std::str::from_utf8(parts.next()?).ok()?.parse().ok() };
    let (proto_type, time) = (number(), number());
    let mut row = rows.row();
    row.number(0, 3);
    row.text(2, [10, 0, 0, 1]);
    if let Some(time) = time {
        row.number(6, time);
    }
    if let Some(proto_type) = proto_type {
        row.number(7, proto_type);
    }
    row.text(10, parts.next().unwrap_or_default());
    row.number(11, 7);
}

/// A parser of words: each is a row. `?` is not its, `!` refused, `-` set aside.
#[derive(Default)]
struct Words;

impl Parser for Words {
    fn describe(&self) -> Description {
        Description::new("words", "0.1.0", Accepts::ProtocolTypes(vec![1]))
            .context(["vlan"])
            .fields([
                Field::new("word", Kind::Text),
                Field::new("vlan", Kind::Number),
            ])
            .refuses(["shouting"])
            .sets_aside(["pause"])
    }

    fn parse(&mut self, packet: &Packet<'_>, rows: &mut Rows<'_>) -> Verdict {
        match packet.bytes {
            b"?" => return Verdict::NOT_MINE,
            b"!" => return Verdict::named(0),
            b"-" => return Verdict::named(1),
            _ => {}
        }
        for word in packet.bytes.split(|byte| *byte == b' ') {
            let mut row = rows.row();
            row.text(0, word);
            row.number(1, packet.context_number(0).unwrap_or(0));
        }
        Verdict::PARSED
    }
}

#[derive(Default)]
struct ByLength;

impl Router for ByLength {
    fn describe(&self) -> RouterDescription {
        let column = |name: &str, column_type: &str, from: &[&str]| Column {
            name: name.into(),
            column_type: column_type.into(),
            from: from.iter().map(|from| (*from).into()).collect(),
            members: Vec::new(),
        };
        let table = |name: &str| TableDescription {
            name: name.into(),
            columns: vec![
                column("uuid", "VARCHAR", &["host.uuid"]),
                column("date", "DATE", &["host.date"]),
                column("timestamp", "TIMESTAMP", &["host.timestamp"]),
                column("word", "VARCHAR", &["payload.word"]),
                column("src_ip", "VARCHAR", &["envelope.src_ip"]),
                column("vlan", "UINTEGER", &["payload.vlan"]),
                Column {
                    members: vec![
                        Member {
                            key: "again".into(),
                            from: vec!["payload.word".into()],
                        },
                        Member {
                            key: "*".into(),
                            from: vec!["envelope.*".into()],
                        },
                    ],
                    ..column("data_extra", "JSON", &[])
                },
            ],
        };
        RouterDescription {
            name: "by-length".into(),
            version: "0.1.0".into(),
            routes: "words".into(),
            reads: vec!["word".into()],
            tables: vec![table("short_words"), table("long_words")],
        }
    }

    fn route(&mut self, row: &RouteRow<'_>) -> u32 {
        u32::from(row.text(0).is_some_and(|word| word.len() > 3))
    }
}

struct NativeSource<T>(T, ComponentDigest);

fn named(name: &str) -> ComponentDigest {
    ComponentDigest {
        name: name.into(),
        version: "0.1.0".into(),
        digest: "d".into(),
    }
}

impl<P: Parser + Send + 'static> ParserSource for NativeSource<(Description, fn() -> P)> {
    fn description(&self) -> &Description {
        &self.0.0
    }
    fn named(&self) -> &ComponentDigest {
        &self.1
    }
    fn instantiate(&self) -> Result<Box<dyn Parse>, ComponentError> {
        Ok(Box::new(Instance((self.0.1)())))
    }
}

struct Instance<P>(P);

impl<P: Parser + Send> Parse for Instance<P> {
    fn parse(&mut self, items: &Items<'_>) -> Result<Checked, Fault> {
        let batch = Batch {
            bytes: items.bytes.into(),
            ends: items.ends.into(),
            received: items.received.into(),
            context: items.context.cells.into(),
            context_bytes: items.context.bytes.into(),
        };
        let shape = RowShape::of(&self.0.describe()).unwrap();
        let parsed = heplake_sdk::run(&mut self.0, &batch);
        Checked::new(parsed, items.ends, &shape).map_err(Fault::Violation)
    }
}

struct RouterOf(RouterDescription, ComponentDigest);

impl RouterSource for RouterOf {
    fn description(&self) -> &RouterDescription {
        &self.0
    }
    fn named(&self) -> &ComponentDigest {
        &self.1
    }
    fn instantiate(&self) -> Result<Box<dyn Route>, ComponentError> {
        Ok(Box::new(Instance(ByLength)))
    }
}

impl Route for Instance<ByLength> {
    fn route(&mut self, bytes: &[u8], cells: &[u64], rows: u32) -> Result<Vec<u32>, Fault> {
        let text = |cell: &u64| Cell(*cell).resolve(bytes, &[]);
        if cells
            .iter()
            .any(|cell| text(cell).is_some_and(|text| text == b"#"))
        {
            return Err(Fault::Violation(Violation::RouteCount {
                found: 0,
                expected: 1,
            }));
        }
        Ok(heplake_sdk::route(
            &mut self.0,
            &RouteBatch { bytes, cells, rows },
        ))
    }
}

fn breaker() -> Arc<Breaker> {
    Arc::new(Breaker::new(0, Duration::ZERO))
}

fn contain<P: Parser + Send + 'static>(name: &str, breaker: &Arc<Breaker>) -> ContainedParser {
    let make: fn() -> P = P::default;
    let source = NativeSource((P::default().describe(), make), named(name));
    ContainedParser::new(Arc::new(source), breaker.clone()).unwrap()
}

pub(crate) fn pipeline(store_keep_alives: bool) -> Pipeline {
    pipeline_with(store_keep_alives, &breaker())
}

fn pipeline_with(store_keep_alives: bool, breaker: &Arc<Breaker>) -> Pipeline {
    let router = RouterOf(ByLength.describe(), named("by-length"));
    let router = ContainedRouter::new(Arc::new(router), breaker.clone()).unwrap();
    let parsers = vec![(contain::<Words>("words", breaker), Some(router))];
    let window = TimeWindow::default();
    Pipeline::new(
        contain::<Wrapped>("wrapped", breaker),
        parsers,
        window,
        store_keep_alives,
        1,
    )
    .unwrap()
}

fn batch_of(packets: &[&[u8]]) -> PacketBatch {
    let mut batch = PacketBatch::default();
    for packet in packets {
        batch.push(packet, RECEIVED, SocketAddr::from(([192, 0, 2, 9], 4000)));
    }
    batch
}

/// Rows as `table date: column=value …`, without UUIDs and nulls.
fn rows_of(pipeline: &mut Pipeline, packets: &[&[u8]]) -> Vec<String> {
    let mut texts = Vec::new();
    let write = |rows: TableRows<'_>| -> Result<(), PlanError> {
        texts.extend(as_texts(&rows));
        Ok(())
    };
    pipeline.process(batch_of(packets), write).unwrap();
    texts
}

fn as_texts(rows: &TableRows<'_>) -> Vec<String> {
    let table = rows.plan.table();
    let mut lines = vec![format!("{} {}:", table.name, rows.date); rows.len()];
    for (column, values) in rows.as_text() {
        assert_eq!(values.len(), rows.len(), "a value or a null for each row");
        for (line, value) in lines.iter_mut().zip(values) {
            if let Some(value) = value.filter(|_| column.name.as_str() != "uuid") {
                let received = value.replace(&RECEIVED.to_string(), "received");
                *line += &format!(" {}={received}", column.name);
            }
        }
    }
    lines
}

/// Rows of packets that the first pipeline is cut off from, and the second finishes; sorted.
fn rows_of_both(first: &mut Pipeline, second: &mut Pipeline, packets: &[&[u8]]) -> Vec<String> {
    let mut texts = Vec::new();
    let mut write = |rows: TableRows<'_>| -> Result<(), PlanError> {
        texts.extend(as_texts(&rows));
        Ok(())
    };
    let left = first.process_until_cut_off(batch_of(packets), &mut write);
    let left = left.unwrap().unwrap();
    assert!(first.awaits_successor());
    assert!(second.go_on(left, &mut write).unwrap().is_none());
    texts.sort();
    texts
}

/// A breaker that so many faults trip, of a component that has a version before it.
fn breaker_with_successor(faults_max: u32) -> Arc<Breaker> {
    let breaker = Arc::new(Breaker::new(faults_max, Duration::from_secs(3600)));
    breaker.expect_successor(true);
    breaker
}

/// The router faults on two of them, and on the second before all of its rows are routed.
const WITH_TWO_FAULTS: &[&[u8]] = &[
    b"1||one two",
    b"9||raw",
    b"1||#",
    b"!",
    b"1||three",
    b"1||four # five",
    b"1||six",
    b"1||?",
];

#[test]
fn a_pipeline_that_takes_over_finishes_what_the_one_before_was_cut_off_from() {
    let mut expected = rows_of(&mut pipeline(false), WITH_TWO_FAULTS);
    expected.sort();
    // In the middle of a batch, and before its first packet.
    for faults_before in [0, 2] {
        let breaker = breaker_with_successor(1);
        for _ in 0..faults_before {
            breaker.fault(std::time::Instant::now(), "component_trap");
        }
        let mut first = pipeline_with(false, &breaker);
        let rows = rows_of_both(&mut first, &mut pipeline(false), WITH_TWO_FAULTS);
        assert_eq!(rows, expected, "{faults_before} faults before");
    }
}

#[test]
fn a_pipeline_that_nobody_takes_over_from_stores_raw_what_it_was_cut_off_from() {
    let breaker = breaker_with_successor(1);
    let rows = rows_of(&mut pipeline_with(false, &breaker), WITH_TWO_FAULTS);
    let raw = |payload: &str| {
        let raw = format!("payload={payload} ");
        let mut rows = rows.iter();
        rows.any(|row| row.starts_with("hep_proto_1_default") && row.contains(&raw))
    };
    assert!(raw("four # five") && raw("six"), "{rows:?}");
    assert!(!raw("three"), "{rows:?}");
}

/// The envelope with a field more, before all others.
#[derive(Default)]
struct WrappedAnew(Wrapped);

impl Parser for WrappedAnew {
    fn describe(&self) -> Description {
        let mut description = self.0.describe();
        description
            .fields
            .insert(0, Field::new("colour", Kind::Text));
        description
    }

    fn parse(&mut self, _: &Packet<'_>, _: &mut Rows<'_>) -> Verdict {
        Verdict::named(0)
    }
}

#[test]
fn payloads_that_another_envelope_has_opened_are_stored_raw_by_the_pipeline_that_takes_over() {
    let mut first = pipeline_with(false, &breaker_with_successor(1));
    let mut second = Pipeline::new(
        contain::<WrappedAnew>("wrapped", &breaker()),
        vec![(contain::<Words>("words", &breaker()), None)],
        TimeWindow::default(),
        false,
        1,
    )
    .unwrap();
    let rows = rows_of_both(&mut first, &mut second, WITH_TWO_FAULTS);
    let expected = |payload: &str| {
        format!(
            r#"hep_proto_1_default 2026-11-22: timestamp=received src_ip=10.0.0.1 payload={payload} data_extra={{"version":3,"proto_type":1,"vlan":7}}"#
        )
    };
    for payload in ["four # five", "six", "?"] {
        let found = rows.iter().filter(|row| **row == expected(payload));
        assert_eq!(found.count(), 1, "{payload}: {rows:?}");
    }
}

#[test]
fn packets_in_are_rows_out() {
    let extra = r#""version":3,"proto_type":1,"vlan":7"#;
    let extra_of_words =
        |word: &str| format!(r#"{{"again":"{word}","version":3,"proto_type":1,"vlan":7}}"#);
    let cases: &[(&[&[u8]], Vec<String>)] = &[
        (&[], vec![]),
        // Two rows of one packet, to two tables.
        (&[b"1||Hi there"], vec![
            format!("short_words 2026-11-22: timestamp=received word=Hi src_ip=10.0.0.1 vlan=7 data_extra={}", extra_of_words("Hi")),
            format!("long_words 2026-11-22: timestamp=received word=there src_ip=10.0.0.1 vlan=7 data_extra={}", extra_of_words("there")),
        ]),
        // No parser for the type; a parser that says it is not its.
        (&[b"9||bytes"], vec![
            r#"hep_proto_9_default 2026-11-22: timestamp=received src_ip=10.0.0.1 payload=bytes data_extra={"version":3,"proto_type":9,"vlan":7}"#.into(),
        ]),
        (&[b"1||?"], vec![
            format!("hep_proto_1_default 2026-11-22: timestamp=received src_ip=10.0.0.1 payload=? data_extra={{{extra}}}"),
        ]),
        // A router that faults on one of two rows: the payload is kept whole.
        (&[b"1||a #"], vec![
            format!("short_words 2026-11-22: timestamp=received word=a src_ip=10.0.0.1 vlan=7 data_extra={}", extra_of_words("a")),
            format!("hep_proto_1_default 2026-11-22: timestamp=received src_ip=10.0.0.1 payload=a # data_extra={{{extra}}}"),
        ]),
        // Refused by the envelope, and by the parser; set aside.
        (&[b"!\xff", b" "], vec![
            "hep_rejected 2026-11-22: timestamp=received peer_ip=192.0.2.9 peer_port=4000 reason=torn component=wrapped@0.1.0 sha256:d payload=!\u{fffd} data_extra={}".into(),
        ]),
        (&[b"1||!"], vec![
            format!("hep_rejected 2026-11-22: timestamp=received peer_ip=192.0.2.9 peer_port=4000 reason=shouting proto_type=1 component=words@0.1.0 sha256:d src_ip=10.0.0.1 payload=! data_extra={{\"version\":3,\"vlan\":7}}"),
        ]),
        // Another's, and there is no other envelope.
        (&[b"~"], vec![
            "hep_rejected 2026-11-22: timestamp=received peer_ip=192.0.2.9 peer_port=4000 reason=not_mine component=wrapped@0.1.0 sha256:d payload=~ data_extra={}".into(),
        ]),
        // A type that HEP cannot have.
        (&[b"256||x"], vec![
            "hep_rejected 2026-11-22: timestamp=received peer_ip=192.0.2.9 peer_port=4000 reason=proto_type_out_of_range proto_type=256 component=wrapped@0.1.0 sha256:d src_ip=10.0.0.1 payload=256||x data_extra={\"version\":3,\"vlan\":7}".into(),
        ]),
        // Not UTF-8: readable in the column, exact in data_extra.
        (&[b"9||a\xffb"], vec![
            "hep_proto_9_default 2026-11-22: timestamp=received src_ip=10.0.0.1 payload=a\u{fffd}b data_extra={\"version\":3,\"proto_type\":9,\"payload_base64\":\"Yf9i\",\"vlan\":7}".into(),
        ]),
    ];
    for (packets, expected) in cases {
        let mut pipeline = pipeline(false);
        assert_eq!(rows_of(&mut pipeline, packets), *expected);
        let refused = expected
            .iter()
            .filter(|row| row.starts_with("hep_rejected"));
        assert_eq!(pipeline.tally().refused(), refused.count() as u64);
    }
}

#[test]
fn what_a_stream_ended_with_is_refused_though_the_envelope_reads_it() {
    // Ten rows of each packet are more than a call may give: the batch goes on in parts.
    let mut batch = PacketBatch::default();
    let peer = SocketAddr::from(([192, 0, 2, 9], 4000));
    for packet in 0..1024 {
        match packet % 512 {
            511 => batch.push_unfinished(b"+9||cut", RECEIVED, peer),
            _ => batch.push(b"+9||x", RECEIVED, peer),
        }
    }
    let mut whole = PacketBatch::default();
    whole.append(&batch);
    assert_eq!(whole.unfinished, [511, 1023]);
    let mut rows = Vec::new();
    let mut pipeline = pipeline(false);
    let write = |written: TableRows<'_>| -> Result<(), PlanError> {
        let table = written.plan.table().name.to_string();
        for (column, values) in written.as_text() {
            if column.name.as_str() == "payload" {
                rows.extend(values.into_iter().map(|value| (table.clone(), value)));
            }
        }
        Ok(())
    };
    pipeline.process(whole, write).unwrap();
    let refused = ("hep_rejected".to_owned(), Some("+9||cut".to_owned()));
    assert_eq!(rows.iter().filter(|row| **row == refused).count(), 2);
    assert_eq!(rows.len(), 2 + 1022 * 10);
    assert_eq!(pipeline.tally().refused(), 2);
}

#[test]
fn packets_that_give_many_rows_are_all_stored_and_are_no_fault() {
    /// Ten rows of each are more than a call may give.
    const PACKETS: usize = 1024;
    let ten = "a b c d e f g h i j";
    for (packets, expected) in [
        // The parser gives ten rows a payload, the envelope ten a packet, and both.
        (
            vec![format!("1||{ten}"); PACKETS],
            vec![("short_words", 10_240)],
        ),
        (
            vec!["+9||x".into(); PACKETS],
            vec![("hep_proto_9_default", 10_240)],
        ),
        (
            vec![format!("+1||{ten}"); PACKETS],
            vec![("short_words", 102_400)],
        ),
        (
            (0..PACKETS)
                .map(|packet| match packet % 4 {
                    0 => "!".into(),
                    1 => "+1||?".into(),
                    2 => "+256||x".into(),
                    _ => format!("+1||{ten}"),
                })
                .collect(),
            vec![
                ("hep_proto_1_default", 2560),
                ("hep_rejected", 256 + 2560),
                ("short_words", 25_600),
            ],
        ),
    ] {
        let breaker = breaker();
        let mut pipeline = pipeline_with(false, &breaker);
        let mut batch = PacketBatch::default();
        for packet in &packets {
            let peer = SocketAddr::from(([192, 0, 2, 9], 4000));
            batch.push(packet.as_bytes(), RECEIVED, peer);
        }
        let mut rows = BTreeMap::new();
        let write = |written: TableRows<'_>| -> Result<(), PlanError> {
            let table = written.plan.table().name.to_string();
            *rows.entry(table).or_default() += written.len();
            Ok(())
        };
        pipeline.process(batch, write).unwrap();
        let expected = expected
            .into_iter()
            .map(|(table, rows)| (table.into(), rows));
        assert_eq!(rows, expected.collect::<BTreeMap<String, usize>>());
        assert_eq!(breaker.faults(), 0);
        let tally = pipeline.tally();
        assert_eq!((tally.batches(), tally.packets()), (1, PACKETS as u64));
    }
}

#[test]
fn keep_alives_are_stored_if_configured() {
    let samples = Arc::new(LiveSamples::new(1));
    let mut pipeline = pipeline(true).sampled(samples.clone());
    let rows = rows_of(&mut pipeline, &[b" ", b"1||-", b"!"]);
    let reasons = [
        ("blank", "payload= "),
        ("pause", "payload=-"),
        ("torn", "payload=!"),
    ];
    assert_eq!(rows.len(), reasons.len(), "{rows:?}");
    for (reason, payload) in reasons {
        let row = rows
            .iter()
            .find(|row| row.contains(&format!("reason={reason} ")));
        assert!(row.unwrap().contains("hep_rejected") && row.unwrap().contains(payload));
    }
    // Nobody refused them: what a component is blamed for, and tried with, is the last alone.
    assert_eq!(pipeline.tally().refused(), 1);
    let kept: Vec<Vec<u8>> = samples.all().into_iter().map(|one| one.bytes).collect();
    // The other one is a sample of its protocol type.
    assert_eq!(kept, [&b"!"[..], b"1||-"]);
}

#[test]
fn rows_go_to_the_date_of_their_packet_and_impossible_times_to_that_of_arrival() {
    let day = 86_400_000_000;
    let packet = |time: u64| format!("9|{time}|x").into_bytes();
    let packets = [
        packet(RECEIVED - day),
        packet(RECEIVED),
        packet(RECEIVED - day + 1),
        packet(1),
        packet(RECEIVED + 2 * day),
        packet(u64::MAX - 1),
        packet(0),
    ];
    let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
    let rows = rows_of(&mut pipeline(false), &packets);
    let found: Vec<(&str, bool)> = rows
        .iter()
        .map(|row| {
            let date = row.split([' ', ':']).nth(1).unwrap();
            (date, row.contains("\"original_timestamp\":"))
        })
        .collect();
    let (today, yesterday) = ("2026-11-22", "2026-11-21");
    assert_eq!(
        found,
        [
            (yesterday, false),
            (yesterday, false),
            (today, false),
            (today, true),
            (today, true),
            (today, true),
            (today, true),
        ]
    );
}

#[test]
fn uuids_are_of_version_7_and_rise_with_arrival() {
    let mut uuids = Uuids::new(1);
    let made: Vec<Uuid> = (0..700_000u64)
        .map(|n| uuids.next(RECEIVED + n / 300_000 * 1000 - n % 2 * 5000))
        .collect();
    assert!(made.iter().all(|uuid| uuid.get_version_num() == 7));
    let texts: Vec<String> = made.iter().map(Uuid::to_string).collect();
    assert!(texts.is_sorted_by(|a, b| a < b));
}
