//! What columns hold of packets in which something is unusual.

use crate::rows::{chunks, hep3, rows_by, rows_of};
use heplake_host::{Breaker, ContainedParser, Pipeline, TimeWindow};
use heplake_sdk::{Accepts, Description, Packet, Parser, Rows, Verdict};
use heplake_tests::{captures, native::NativeParser};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const PAYLOAD: u16 = 0x0f;
const CORRELATION_ID: u16 = 0x11;

type Row = BTreeMap<String, String>;

/// Gives a chunk another value, or leaves it out.
type Change<'a> = &'a dyn Fn(u16, &[u8]) -> Option<Vec<u8>>;

/// The `cid` of a row, which a registration has in `data_extra`.
fn cid(row: &Row) -> Option<String> {
    let extra: Value = serde_json::from_str(&row["data_extra"]).unwrap();
    let member = extra.get("cid").and_then(Value::as_str).map(String::from);
    row.get("cid").cloned().or(member)
}

/// Asterisk's SIP messages, whose correlation id is their own Call-ID.
fn of_asterisk() -> Vec<Vec<(u16, Vec<u8>)>> {
    let path = captures::directory().join("asterisk-22.10-udp.pcap");
    let packets = captures::packets(&path).unwrap();
    let all = packets.iter().map(|packet| chunks(packet));
    all.filter(|chunks| {
        chunks
            .iter()
            .any(|(kind, value)| *kind == 0x0b && value == &[1])
    })
    .collect()
}

/// A packet with other values of chunks.
fn with(all: &[(u16, Vec<u8>)], change: impl Fn(u16, &[u8]) -> Option<Vec<u8>>) -> Vec<u8> {
    let changed: Vec<(u16, Vec<u8>)> = all
        .iter()
        .filter_map(|(kind, value)| Some((*kind, change(*kind, value)?)))
        .collect();
    let changed: Vec<(u16, &[u8])> = changed.iter().map(|(k, v)| (*k, v.as_slice())).collect();
    hep3(&changed)
}

/// A payload with a header line more.
fn with_header(payload: &[u8], line: &str) -> Vec<u8> {
    let start = payload.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let (start_line, rest) = payload.split_at(start);
    [start_line, line.as_bytes(), b"\r\n", rest].concat()
}

#[test]
fn a_correlation_id_equal_to_the_call_id_does_not_hide_a_correlation_header() {
    let packets = of_asterisk();
    assert!(packets.len() > 90, "{}", packets.len());
    let (mut tables, mut tied) = (BTreeMap::new(), 0);
    for all in &packets {
        let of = |change: Change<'_>| {
            let rows = rows_of(&[with(all, change)]);
            assert_eq!(rows.len(), 1);
            rows.into_iter().next().unwrap()
        };
        let (table, sent) = of(&|_, value| Some(value.to_vec()));
        let call_id = sent["session_id"].clone();
        *tables.entry(table).or_insert(0) += 1;
        // Some of them are of a leg whose switch sent the header.
        let payload = &sent["payload"];
        let header = payload
            .lines()
            .find_map(|line| line.strip_prefix("X-CID: "));
        let own = header.unwrap_or(&call_id).to_owned();
        tied += usize::from(header.is_some());
        assert_eq!(cid(&sent), Some(own.clone()));
        let with_headers = |kind: u16, value: &[u8]| match kind {
            PAYLOAD => with_header(value, "X-Call-ID: later\r\nX-CID: legA"),
            _ => value.to_vec(),
        };
        let (_, equal) = of(&|kind, value| Some(with_headers(kind, value)));
        assert_eq!(cid(&equal).as_deref(), Some("legA"));
        assert_eq!(equal["session_id"], call_id);
        let (_, other) = of(&|kind, value| match kind {
            CORRELATION_ID => Some(b"of the agent".to_vec()),
            _ => Some(with_headers(kind, value)),
        });
        assert_eq!(cid(&other).as_deref(), Some("of the agent"));
        let (_, none) = of(&|kind, value| match kind {
            CORRELATION_ID => None,
            _ => Some(with_headers(kind, value)),
        });
        assert_eq!(cid(&none).as_deref(), Some("legA"));
        let (_, neither) = of(&|kind, value| match kind {
            CORRELATION_ID => None,
            _ => Some(value.to_vec()),
        });
        assert_eq!(cid(&neither), Some(own));
    }
    assert!(tied > 0, "a capture with a correlation header");
    let tables: Vec<&str> = tables.keys().map(String::as_str).collect();
    assert_eq!(
        tables,
        [
            "hep_proto_1_call",
            "hep_proto_1_default",
            "hep_proto_1_registration"
        ]
    );
}

#[test]
fn a_packet_cut_within_its_payload_is_a_row_with_a_flag_and_its_exact_bytes() {
    let sip =
        "INVITE sip:bob@h SIP/2.0\r\nCall-ID: 1\r\nSubject: Gr\u{fc}\u{df}e\r\nX-CID: legA\r\n\r\n";
    let whole = hep3(&[(0x0b, &[1]), (0x13, b"edge"), (PAYLOAD, sip.as_bytes())]);
    let before = whole.len() - sip.len();
    for end in 0..whole.len() {
        let rows = rows_of(&[whole[..end].to_vec()]);
        let [(table, row)] = rows.as_slice() else {
            assert_eq!((rows.len(), end), (0, 0), "only nothing gives nothing");
            continue;
        };
        let arrived = end.saturating_sub(before);
        if !sip[..].is_char_boundary(arrived) || arrived <= "INVITE sip:bob@h SIP/2.0".len() {
            // Refused by HEP or SIP, or looked at below.
        } else {
            assert_eq!(table, "hep_proto_1_call", "{arrived}");
        }
        if table == "hep_rejected" {
            continue;
        }
        let extra: Value = serde_json::from_str(&row["data_extra"]).unwrap();
        assert_eq!(extra["truncated"], true);
        assert_eq!(extra["node_name"], "edge");
        let exact = sip.as_bytes()[..arrived].to_vec();
        match String::from_utf8(exact) {
            Ok(text) => {
                assert_eq!(row["payload"], text);
                assert_eq!(extra.get("payload_base64"), None);
            }
            Err(_) => assert!(extra["payload_base64"].is_string(), "{arrived}"),
        }
        let line_end = sip.find("X-CID").unwrap() - "\r\n".len();
        assert_eq!(
            row.get("session_id").is_some(),
            arrived >= sip.find("Subject").unwrap()
        );
        assert_eq!(
            row.get("cid").map(String::as_str) == Some("legA"),
            arrived >= sip.len() - 2
        );
        assert!(line_end < sip.len());
    }
    let (_, row) = &rows_of(&[whole])[0];
    assert!(
        !row["data_extra"].contains("truncated"),
        "a whole one has no flag"
    );
}

/// Reports as RTCP has them, a made-up encoding: cumulative loss and a mark.
#[derive(Default)]
struct Reports;

mod field {
    heplake_sdk::fields! {
        /// Packets lost; less than none if some came twice (RFC 3550 section 6.4.1).
        PACKETS_LOST, "packets_lost", Signed;
        /// Whether it is the last.
        IS_LAST, "is_last", Flag;
    }
}

impl Parser for Reports {
    fn describe(&self) -> Description {
        Description::new("reports", "0.1.0", Accepts::ProtocolTypes(vec![202]))
            .fields(field::fields())
    }

    fn parse(&mut self, packet: &Packet<'_>, rows: &mut Rows<'_>) -> Verdict {
        for word in packet.bytes.split(|byte| *byte == b' ') {
            let mut row = rows.row();
            let (number, is_last) = match word.strip_suffix(b"!") {
                Some(number) => (number, true),
                None => (word, false),
            };
            let number = std::str::from_utf8(number)
                .ok()
                .and_then(|text| text.parse().ok());
            if let Some(number) = number {
                row.signed(field::PACKETS_LOST, number);
            }
            row.flag(field::IS_LAST, is_last);
        }
        Verdict::PARSED
    }
}

#[test]
fn a_signed_number_is_a_bigint_with_its_sign_and_a_flag_a_truth_value_of_data_extra() {
    let breaker = Arc::new(Breaker::new(0, Duration::ZERO));
    let contained = |source| ContainedParser::new(source, breaker.clone()).unwrap();
    let envelope = contained(NativeParser::<heplake_hep::Hep>::source());
    let parser = contained(NativeParser::<Reports>::source());
    let parsers = vec![(parser, None)];
    let mut pipeline = Pipeline::new(envelope, parsers, TimeWindow::default(), false, 1).unwrap();
    let table = pipeline.tables().next().unwrap().clone();
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| format!("{} {}", column.name, column.column_type.sql()))
        .collect();
    assert!(
        columns.contains(&"packets_lost BIGINT".into()),
        "{columns:?}"
    );
    assert!(!columns.iter().any(|column| column.starts_with("is_last")));
    let payload = b"-2 -1 0 1! -9223372036854775808 9223372036854775806 9223372036854775807 x";
    let rows = rows_by(
        &mut pipeline,
        &[hep3(&[(0x0b, &[202]), (PAYLOAD, payload)])],
    );
    let lost: Vec<Option<&str>> = rows
        .iter()
        .map(|(_, row)| row.get("packets_lost").map(String::as_str))
        .collect();
    assert_eq!(
        lost,
        [
            Some("-2"),
            Some("-1"),
            Some("0"),
            Some("1"),
            Some("-9223372036854775808"),
            Some("9223372036854775806"),
            // The greatest is null.
            None,
            None,
        ]
    );
    let last: Vec<bool> = rows
        .iter()
        .map(|(_, row)| row["data_extra"].contains("\"is_last\":true"))
        .collect();
    assert_eq!(last.iter().position(|last| *last), Some(3));
    assert!(rows[0].1["data_extra"].contains("\"is_last\":false"));
}
