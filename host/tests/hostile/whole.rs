//! Hostile guests in a whole pipeline: packets in are rows out.

use crate::{
    CLEAN, Done, ITEMS,
    case::{Case, SHORT},
    contained::REASONS,
    engine,
    guest::{Guest, PARSER, ROUTER},
};
use heplake_components::shipped;
use heplake_host::{
    BATCH_PACKETS_MAX, Breaker, ContainedParser, ContainedRouter, Limits, PacketBatch,
    ParserComponent, Pipeline, PipelineError, PlanError, RouterComponent, TableRows, TimeWindow,
};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

const RECEIVED: u64 = 1_795_305_600_000_000;

/// Rows by table, each as its texts.
type Rows = BTreeMap<String, Vec<String>>;

fn pipeline(
    envelope: &[u8],
    parser: &Guest,
    router: &Guest,
    limits: Limits,
    faults_max: u32,
) -> Result<Pipeline, PipelineError> {
    let breaker = || Arc::new(Breaker::new(faults_max, Duration::from_secs(3600)));
    pipeline_with(envelope, parser, router, limits, breaker)
}

fn pipeline_with(
    envelope: &[u8],
    parser: &Guest,
    router: &Guest,
    limits: Limits,
    breaker: impl Fn() -> Arc<Breaker>,
) -> Result<Pipeline, PipelineError> {
    let parser_of = |bytes: &[u8]| {
        let component = ParserComponent::load(engine(), bytes, "{}", limits).unwrap();
        ContainedParser::new(Arc::new(component), breaker()).unwrap()
    };
    let router = RouterComponent::load(engine(), &router.bytes(), "{}", limits).unwrap();
    let router = ContainedRouter::new(Arc::new(router), breaker()).unwrap();
    Pipeline::new(
        parser_of(envelope),
        vec![(parser_of(&parser.bytes()), Some(router))],
        TimeWindow::default(),
        false,
        1,
    )
}

fn hep() -> &'static [u8] {
    shipped("hep").unwrap().bytes
}

fn rows(pipeline: &mut Pipeline, packets: &[Vec<u8>]) -> Rows {
    let mut batch = PacketBatch::default();
    for packet in packets {
        batch.push(packet, RECEIVED, SocketAddr::from(([192, 0, 2, 9], 4000)));
    }
    let mut found = Rows::new();
    let write = |rows: TableRows<'_>| -> Result<(), PlanError> {
        let table = rows.plan.table();
        let mut lines = vec![String::new(); rows.len()];
        for (column, values) in rows.as_text() {
            for (line, value) in lines.iter_mut().zip(values) {
                if matches!(column.name.as_str(), "reason" | "payload" | "text") {
                    *line += &format!("{} ", value.unwrap_or_default());
                }
            }
        }
        found
            .entry(table.name.to_string())
            .or_default()
            .extend(lines);
        Ok(())
    };
    pipeline.process(batch, write).unwrap();
    found
}

/// A HEP 3 packet with a payload of the hostile parser's type.
fn packet(payload: &str) -> Vec<u8> {
    let mut packet = b"HEP3\0\0".to_vec();
    for (chunk, value) in [
        (1u16, &[2u8][..]),
        (2, &[17]),
        (3, &[192, 0, 2, 1]),
        (4, &[192, 0, 2, 2]),
        (7, &[0x13, 0xc4]),
        (8, &[0x13, 0xc4]),
        (11, &[200]),
        (15, payload.as_bytes()),
    ] {
        packet.extend_from_slice(&[0, 0]);
        packet.extend_from_slice(&chunk.to_be_bytes());
        packet.extend_from_slice(&(value.len() as u16 + 6).to_be_bytes());
        packet.extend_from_slice(value);
    }
    let length = (packet.len() as u16).to_be_bytes();
    packet[4..6].copy_from_slice(&length);
    packet
}

/// Forty packets, of which three start with an X.
fn packets() -> Vec<Vec<u8>> {
    (0..40)
        .map(|number| match number {
            7 | 8 | 31 => packet(&format!("X{number}")),
            _ => packet(&format!("p{number}")),
        })
        .collect()
}

fn count(rows: &Rows, table: &str) -> usize {
    rows.get(table).map_or(0, Vec::len)
}

/// All payloads, each once, wherever they went.
fn all_payloads(rows: &Rows) -> Vec<String> {
    let mut payloads: Vec<String> = rows
        .values()
        .flatten()
        .flat_map(|line| line.split_whitespace())
        .filter(|word| !word.starts_with("component_"))
        .map(String::from)
        .collect();
    payloads.sort();
    payloads
}

fn sent() -> Vec<String> {
    let mut sent: Vec<String> = (0..40)
        .map(|number| match number {
            7 | 8 | 31 => format!("X{number}"),
            _ => format!("p{number}"),
        })
        .collect();
    sent.sort();
    sent
}

/// What the host did with an envelope: what is rejected has a row that says why, and all else
/// is a payload of no type.
pub(crate) fn envelope(case: &Case) -> Result<Done, String> {
    let envelope = &case.component;
    let mut pipeline = pipeline(envelope, &Guest::parser(), &Guest::router(), case.limits, 0)
        .map_err(|error| error.to_string())?;
    let mut became = |items: &[&str]| {
        let packets: Vec<Vec<u8>> = items.iter().map(|item| item.as_bytes().to_vec()).collect();
        let rows = rows(&mut pipeline, &packets);
        assert_eq!(
            rows.values().map(Vec::len).sum::<usize>(),
            items.len(),
            "{}",
            case.name
        );
        let became = items.iter().map(|item| {
            let is_stored = |table: &str, line: String| {
                rows.get(table).is_some_and(|rows| rows.contains(&line))
            };
            let rejected = |reason: &&&str| is_stored("hep_rejected", format!("{reason} {item} "));
            let reason = REASONS.iter().find(rejected).copied();
            let is_payload = is_stored("hep_proto_0_default", format!("{item} "));
            assert!(
                is_payload != reason.is_some(),
                "{}: {item}: {rows:?}",
                case.name
            );
            reason
        });
        became.collect::<Vec<_>>()
    };
    let first = became(&ITEMS);
    assert_eq!(became(&CLEAN)[0].is_none(), case.works(), "{}", case.name);
    Ok(Done::of(first))
}

/// A gzip frame of 1024 HEP 3 packets, each with a payload of one octet: 78 octets.
const FRAME: [u8; 78] = [
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xed, 0xc7, 0xa1, 0x0d, 0x00, 0x20,
    0x10, 0x04, 0xb0, 0x73, 0x28, 0xc2, 0x30, 0xcc, 0x40, 0xf2, 0xf2, 0x47, 0x61, 0x7f, 0xc5, 0x1a,
    0x88, 0xd6, 0xb5, 0x4e, 0xef, 0xcc, 0x24, 0x2b, 0xe3, 0x96, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88,
    0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88,
    0x88, 0x88, 0x88, 0xfc, 0x94, 0x07, 0x72, 0x98, 0x9f, 0xed, 0x00, 0x34, 0x00, 0x00,
];

#[test]
fn a_burst_of_compressed_frames_is_stored_packet_by_packet_and_is_no_fault() {
    let breaker = Arc::new(Breaker::new(1, Duration::from_secs(3600)));
    let (parser, router) = (Guest::parser(), Guest::router());
    let limits = Limits::default();
    let pipeline = pipeline_with(hep(), &parser, &router, limits, || breaker.clone());
    let mut pipeline = pipeline.unwrap();
    let mut batch = PacketBatch::default();
    for number in 0..BATCH_PACKETS_MAX {
        let plain = packet("plain");
        let packet = if number % 8 == 0 { &plain[..] } else { &FRAME };
        batch.push(packet, RECEIVED, SocketAddr::from(([192, 0, 2, 9], 4000)));
    }
    let mut found = BTreeMap::<String, usize>::new();
    let write = |rows: TableRows<'_>| -> Result<(), PlanError> {
        *found.entry(rows.plan.table().name.to_string()).or_default() += rows.len();
        Ok(())
    };
    pipeline.process(batch, write).unwrap();
    let (frames, plain) = (BATCH_PACKETS_MAX / 8 * 7, BATCH_PACKETS_MAX / 8);
    let expected = [
        ("hep_proto_0_default", frames * 1024),
        ("hostile_rows", plain),
    ];
    assert_eq!(
        found,
        expected.map(|(table, rows)| (table.into(), rows)).into()
    );
    assert_eq!(breaker.faults(), 0);
}

#[test]
fn each_packet_of_a_pipeline_with_a_hostile_parser_is_a_row_and_the_bad_ones_are_rejected() {
    let on_x = |on_x| Guest {
        on_x,
        ..Guest::parser()
    };
    for (guest, limits, reason) in [
        (on_x("unreachable"), Limits::default(), "component_trap"),
        (on_x("(loop $l (br $l))"), SHORT, "component_deadline"),
        (
            on_x(
                "(loop $l (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable)) (br $l))",
            ),
            Limits::default(),
            "component_memory",
        ),
        (
            on_x("(i64.store (local.get $cell) (i64.const 0xffffffff00000000))"),
            Limits::default(),
            "component_violation",
        ),
    ] {
        let mut pipeline = pipeline(hep(), &guest, &Guest::router(), limits, 0).unwrap();
        for _ in 0..2 {
            let rows = rows(&mut pipeline, &packets());
            assert_eq!(all_payloads(&rows), sent(), "{reason}");
            assert_eq!(
                rows["hep_rejected"],
                [7, 8, 31].map(|number| format!("{reason} X{number} ")),
            );
            assert_eq!(count(&rows, "hostile_rows"), 37);
        }
    }
}

#[test]
fn rows_on_which_a_router_faults_are_stored_whole_by_their_protocol() {
    for (on_x, limits) in [
        ("unreachable", Limits::default()),
        ("(loop $l (br $l))", SHORT),
        (
            "(i32.store (local.get $item) (i32.const 9))",
            Limits::default(),
        ),
    ] {
        let router = Guest {
            on_x,
            ..Guest::router()
        };
        let mut pipeline = pipeline(hep(), &Guest::parser(), &router, limits, 0).unwrap();
        let rows = rows(&mut pipeline, &packets());
        assert_eq!(all_payloads(&rows), sent(), "{on_x}");
        assert_eq!(count(&rows, "hep_proto_200_default"), 3);
        assert_eq!(count(&rows, "hostile_rows"), 37);
    }
}

#[test]
fn packets_that_come_when_a_breaker_has_tripped_are_stored_too() {
    let trap = "unreachable";
    let (parser, router) = (Guest::parser(), Guest::router());
    let bad = |guest: Guest| Guest {
        on_x: trap,
        ..guest
    };
    // A parser, a router, an envelope; and where the rest is after three faults.
    let by_parser = pipeline(hep(), &bad(parser.clone()), &router, Limits::default(), 2);
    let by_router = pipeline(hep(), &parser, &bad(router.clone()), Limits::default(), 2);
    let envelope = bad(Guest::envelope()).bytes();
    let by_envelope = pipeline(&envelope, &parser, &router, Limits::default(), 2);
    for (pipeline, table, plain) in [
        (by_parser, "hep_proto_200_default", false),
        (by_router, "hep_proto_200_default", false),
        (by_envelope, "hep_rejected", true),
    ] {
        let mut pipeline = pipeline.unwrap();
        // The envelope's packets are no HEP: it takes each for a payload.
        let packets = match plain {
            true => sent().into_iter().map(String::into_bytes).collect(),
            false => packets(),
        };
        let first = rows(&mut pipeline, &packets);
        assert_eq!(all_payloads(&first), sent());
        let second = rows(&mut pipeline, &packets);
        assert_eq!(all_payloads(&second), sent());
        assert_eq!(count(&second, table), 40);
        if plain {
            assert!(
                second[table]
                    .iter()
                    .all(|row| row.starts_with("component_tripped "))
            );
        }
    }
}

#[test]
fn text_that_is_not_utf8_is_stored_as_text() {
    let parser = Guest {
        fields: "(data (i32.const 128) \"a\\ff\")",
        at_end:
            "(i32.store (i32.const 88) (i32.const 128)) (i32.store (i32.const 92) (i32.const 2))
                 (i64.store (local.get $cells) (i64.const 0x0000000280000000))",
        ..Guest::parser()
    };
    let mut pipeline = pipeline(hep(), &parser, &Guest::router(), Limits::default(), 0).unwrap();
    let rows = rows(&mut pipeline, &[packet("X")]);
    assert_eq!(rows["hostile_rows"], ["a\u{fffd} "]);
}

#[test]
fn components_that_do_not_fit_together_make_no_pipeline() {
    let told = |from: &str, to: &str| {
        assert!(ROUTER.contains(from), "{from}");
        Guest::router().describing(ROUTER.replace(from, to))
    };
    let extra = |members: &str| {
        told(
            r#""columns":["#,
            &format!(r#""columns":[{{"name":"data_extra","type":"JSON","members":[{members}]}},"#),
        )
    };
    let parser = Guest::parser();
    let member = |number: usize| format!(r#"{{"key":"{number}","from":["payload.text"]}}"#);
    let copies: Vec<String> = (0..16).map(member).collect();
    for (parser, router, expected) in [
        (
            parser.clone(),
            extra(&copies.join(",")),
            "a field fills more than 16 of its columns and JSON members",
        ),
        (
            parser.clone(),
            told(r#"["payload.text"]"#, r#"["host.peer_ip","payload.text"]"#),
            "what follows `host.peer_ip` in the sources of `text` is never looked at",
        ),
        (
            parser.clone(),
            told("hostile_rows", "hep_rejected"),
            "table `hep_rejected`: it is the host's",
        ),
        (
            parser.clone(),
            told("hostile_rows", "hep_proto_1_call"),
            "table `hep_proto_1_call` is part of the storage layout and must have its column",
        ),
        (
            parser.clone(),
            told("hostile_rows", "../../etc"),
            "`../../etc` cannot name a table or column",
        ),
        (
            parser.clone(),
            told(r#"["host.date"]"#, r#"["payload.text"]"#),
            "is DATE and cannot hold the Text of `payload.text`",
        ),
        (
            parser.clone(),
            told(r#""routes":"hostile""#, r#""routes":"sip""#),
            "router `hostile-router` routes the rows of `sip`, not of `hostile`",
        ),
        (
            parser.clone(),
            told(r#"["text"]"#, r#"["password"]"#),
            "asks for the field `password`, which `hostile` does not have",
        ),
        (
            parser.describing(PARSER.replace(r#""fields""#, r#""context":["password"],"fields""#)),
            Guest::router(),
            "asks for the field `password`, which `hep` does not have",
        ),
        (
            Guest::parser(),
            extra(r#"{"key":"a","from":["payload.text"]},{"key":"a","from":["payload.text"]}"#),
            "the JSON key `a` is doubled",
        ),
        (
            Guest::parser(),
            extra(r#"{"key":"version","from":["payload.text"]},{"key":"*","from":["envelope.*"]}"#),
            "the JSON key `version` is doubled",
        ),
    ] {
        let error = pipeline(hep(), &parser, &router, Limits::default(), 0);
        let error = error
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(error.contains(expected), "{error}");
    }
}
